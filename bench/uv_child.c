/* Starts one child with libuv, its documented way: pipes created by uv_spawn, the rest ignored or
 * inherited. */
#include <stdint.h>
#include <string.h>

#include "bench/uv_child.h"

static void want_pipe(uv_loop_t *loop, uv_stdio_container_t *io, uv_pipe_t *pipe)
{
    (void)uv_pipe_init(loop, pipe, 0); /* always 0 */
    io->flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE;
    io->data.stream = (uv_stream_t *)pipe;
}

int rpi_uv_spawn_child(uv_loop_t *loop, const rpi_uv_spawn *what, rpi_uv_child *child)
{
    uv_stdio_container_t io[3] = {{.flags = UV_IGNORE}, {.flags = UV_IGNORE}, {.flags = UV_IGNORE}};
    uv_process_options_t options;
    int r;

    memset(&options, 0, sizeof options);
    if (what->has_in) {
        io[0].flags = UV_INHERIT_FD;
        io[0].data.fd = what->in_fd;
    }
    if (what->pipes_out) {
        want_pipe(loop, &io[1], &child->out);
    }
    if (what->pipes_err) {
        want_pipe(loop, &io[2], &child->err);
    }
    options.exit_cb = what->exited;
    options.file = what->argv[0];
    options.args = (char **)(uintptr_t)what->argv;
    options.stdio_count = 3;
    options.stdio = io;
    r = uv_spawn(loop, &child->process, &options);
    child->process.data = child;
    child->out.data = child;
    child->err.data = child;
    return r;
}
