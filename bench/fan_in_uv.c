/* fan_in's libuv reader: uv_read_start on the created pipes, one buffer of 64 KiB for all. */
#include <stdlib.h>
#include <unistd.h>

#include "bench/fan_in.h"
#include "bench/uv_child.h"

typedef struct reader {
    rpi_fan *fan;
    uv_loop_t loop;
    char buffer[RPI_FAN_READ_SIZE];
} reader;

static void on_alloc(uv_handle_t *handle, size_t size, uv_buf_t *buffer)
{
    const rpi_uv_child *child = handle->data;
    reader *r = child->owner;

    (void)size;
    buffer->base = r->buffer;
    buffer->len = sizeof r->buffer;
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buffer)
{
    const rpi_uv_child *child = stream->data;
    const reader *r = child->owner;

    (void)buffer;
    if (n > 0) {
        r->fan->bytes += (size_t)n;
    } else if (n < 0) {
        uv_close((uv_handle_t *)stream, NULL);
    }
}

static void on_exit_status(uv_process_t *process, int64_t status, int signal)
{
    const rpi_uv_child *child = process->data;
    const reader *r = child->owner;

    if (status != 0 || signal != 0) {
        rpi_fail(r->fan->sample, "a writer ended with code %lld, signal %d", (long long)status,
                 signal);
    }
    uv_close((uv_handle_t *)process, NULL);
}

static int start_writers(reader *r, rpi_uv_child *children)
{
    const rpi_uv_spawn what = {.argv = r->fan->argv,
                               .has_in = true,
                               .in_fd = r->fan->gate_fd,
                               .pipes_out = true,
                               .exited = on_exit_status};

    for (size_t i = 0; i < r->fan->writers; i++) {
        int error;

        children[i].owner = r;
        error = rpi_uv_spawn_child(&r->loop, &what, &children[i]);
        if (error < 0) {
            rpi_fail(r->fan->sample, "uv_spawn: %s", uv_strerror(error));
            return -1;
        }
        (void)uv_read_start((uv_stream_t *)&children[i].out, on_alloc, on_read);
    }
    return 0;
}

int rpi_fan_uv(rpi_fan *fan)
{
    static reader r; /* where a start fails, handles stay in use to the end of the worker process */
    rpi_uv_child *children = calloc(fan->writers, sizeof *children);

    r.fan = fan;
    if (children == NULL || uv_loop_init(&r.loop) < 0) {
        free(children);
        rpi_fail(fan->sample, "out of memory");
        return -1;
    }
    if (start_writers(&r, children) < 0) {
        return -1;
    }
    rpi_meter_start(&fan->meter);
    (void)close(fan->gate_open_fd);
    (void)uv_run(&r.loop, UV_RUN_DEFAULT); /* ends when every handle is closed */
    rpi_meter_stop(&fan->meter);
    (void)uv_loop_close(&r.loop);
    free(children);
    return fan->sample->outcome == RPI_MEASURED ? 0 : -1;
}
