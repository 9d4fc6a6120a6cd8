/* stall's libuv rows: so many children going, both outputs read, the next launched from the last
 * one's end. */
#include <stdlib.h>
#include <string.h>

#include "bench/stall.h"
#include "bench/uv_child.h"

typedef struct runner {
    rpi_stall *stall;
    uv_loop_t loop;
    uv_poll_t ticks;
    rpi_uv_child *children;
    size_t started, done;
    bool finished;
    char buffer[65536];
} runner;

static void start_child(runner *r, rpi_uv_child *child);

static void on_close(uv_handle_t *handle)
{
    rpi_uv_child *child = handle->data;
    runner *r = child->owner;

    if (--child->open > 0) {
        return;
    }
    r->done++;
    if (r->started < r->stall->total && !r->finished) {
        start_child(r, child);
    } else if (r->done == r->started) {
        r->finished = true;
        uv_stop(&r->loop);
    }
}

static void on_alloc(uv_handle_t *handle, size_t size, uv_buf_t *buffer)
{
    const rpi_uv_child *child = handle->data;
    runner *r = child->owner;

    (void)size;
    buffer->base = r->buffer;
    buffer->len = sizeof r->buffer;
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buffer)
{
    (void)buffer;
    if (n < 0) {
        uv_close((uv_handle_t *)stream, on_close);
    }
}

static void on_exit_status(uv_process_t *process, int64_t status, int signal)
{
    (void)status;
    (void)signal;
    uv_close((uv_handle_t *)process, on_close);
}

static void start_child(runner *r, rpi_uv_child *child)
{
    const rpi_uv_spawn what = {
        .argv = r->stall->argv, .pipes_out = true, .pipes_err = true, .exited = on_exit_status};
    int error;

    memset(child, 0, sizeof *child);
    child->owner = r;
    child->open = 3;
    error = rpi_uv_spawn_child(&r->loop, &what, child);
    if (error < 0) {
        rpi_fail(r->stall->sample, "uv_spawn: %s", uv_strerror(error));
        r->finished = true;
        uv_stop(&r->loop);
        return;
    }
    r->started++;
    (void)uv_read_start((uv_stream_t *)&child->out, on_alloc, on_read);
    (void)uv_read_start((uv_stream_t *)&child->err, on_alloc, on_read);
}

static void on_tick(uv_poll_t *poll, int status, int events)
{
    const runner *r = poll->data;

    (void)status;
    (void)events;
    rpi_stall_on_tick(r->stall);
}

static void run_loop(runner *r)
{
    if (r->stall->spins) {
        while (!r->finished) {
            (void)uv_run(&r->loop, UV_RUN_NOWAIT);
            rpi_stall_on_turn(r->stall);
        }
        return;
    }
    r->ticks.data = r;
    if (uv_poll_init(&r->loop, &r->ticks, r->stall->timer_fd) < 0 ||
        uv_poll_start(&r->ticks, UV_READABLE, on_tick) < 0) {
        rpi_fail(r->stall->sample, "uv_poll failed");
        return;
    }
    (void)uv_run(&r->loop, UV_RUN_DEFAULT);
    (void)uv_poll_stop(&r->ticks);
}

/* The handles are left to the end of the worker process, which comes next. */
void rpi_stall_uv(rpi_stall *stall)
{
    static runner r;
    uint64_t start_ns;

    r.stall = stall;
    r.children = calloc(stall->at_once, sizeof *r.children);
    if (r.children == NULL || uv_loop_init(&r.loop) < 0) {
        rpi_fail(stall->sample, "out of memory");
        return;
    }
    start_ns = rp_now_ns();
    for (size_t i = 0; i < stall->at_once && !r.finished; i++) {
        start_child(&r, &r.children[i]);
    }
    stall->queue_ns = (double)(rp_now_ns() - start_ns);
    rpi_stall_begin(stall);
    if (!r.finished) {
        run_loop(&r);
    }
}
