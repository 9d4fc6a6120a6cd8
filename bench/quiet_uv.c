/* quiet's libuv row. */
#include <stdlib.h>

#include "bench/quiet.h"
#include "bench/uv_child.h"

static char buffer_bytes[65536];

static void on_alloc(uv_handle_t *handle, size_t size, uv_buf_t *buffer)
{
    (void)handle;
    (void)size;
    buffer->base = buffer_bytes;
    buffer->len = sizeof buffer_bytes;
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buffer)
{
    const rpi_uv_child *child = stream->data;
    const rpi_quiet *quiet = child->owner;

    (void)buffer;
    rpi_fail(quiet->sample, "%zd from a quiet child", n);
}

static void on_exit_status(uv_process_t *process, int64_t status, int signal)
{
    const rpi_uv_child *child = process->data;
    const rpi_quiet *quiet = child->owner;

    (void)status;
    rpi_fail(quiet->sample, "a quiet child ended with signal %d", signal);
}

static void on_timer(uv_timer_t *timer)
{
    uv_stop(timer->loop);
}

static bool start_all(rpi_quiet *quiet, uv_loop_t *loop, rpi_uv_child *children)
{
    const rpi_uv_spawn what = {.argv = quiet->argv,
                               .pipes_out = quiet->captured,
                               .pipes_err = quiet->captured,
                               .exited = on_exit_status};

    for (size_t i = 0; i < quiet->count; i++) {
        int r;

        children[i].owner = quiet;
        r = rpi_uv_spawn_child(loop, &what, &children[i]);
        if (r < 0) {
            rpi_fail(quiet->sample, "uv_spawn: %s", uv_strerror(r));
            return false;
        }
        if (quiet->captured) {
            (void)uv_read_start((uv_stream_t *)&children[i].out, on_alloc, on_read);
            (void)uv_read_start((uv_stream_t *)&children[i].err, on_alloc, on_read);
        }
    }
    return true;
}

static void watch_quiet(rpi_quiet *quiet, uv_loop_t *loop)
{
    static uv_timer_t timer;
    double switches;

    (void)uv_timer_init(loop, &timer); /* always 0 */
    (void)uv_run(loop, UV_RUN_NOWAIT);
    (void)uv_timer_start(&timer, on_timer, quiet->watch_ns / RP_MILLISECOND, 0);
    switches = rpi_quiet_switches();
    (void)uv_run(loop, UV_RUN_DEFAULT);
    quiet->switches = (rpi_quiet_switches() - switches - 1.0) / ((double)quiet->watch_ns / 1e9);
}

/* The children are alive when it returns; the worker process ends then. The handles, which the
 * caller of libuv allocates, count. */
void rpi_quiet_uv(rpi_quiet *quiet)
{
    static uv_loop_t loop;
    rpi_uv_child *children;

    if (uv_loop_init(&loop) < 0) {
        rpi_fail(quiet->sample, "uv_loop_init failed");
        return;
    }
    quiet->before = rpi_quiet_memory();
    children = calloc(quiet->count, sizeof *children);
    if (children == NULL) {
        rpi_fail(quiet->sample, "out of memory");
        return;
    }
    if (start_all(quiet, &loop, children)) {
        quiet->after = rpi_quiet_memory();
        watch_quiet(quiet, &loop);
    }
}
