/* libuv as an engine: uv_spawn, two created pipes, read to their end, exit callback; the next child
 * is spawned from the last one's end. One thread: uv_spawn belongs to the loop's thread, and it
 * returns when the child has executed its program.
 */
#include <stdlib.h>
#include <string.h>

#include "bench/engine.h"
#include "bench/uv_child.h"

typedef struct engine {
    const rpi_engine_job *job;
    rpi_engine_result *result;
    uv_loop_t loop;
    rpi_uv_child *children; /* at_once of them, then the sleepers */
    size_t started, done, bytes;
    uint64_t deadline_ns;
    char buffer[65536];
} engine;

static void start_child(engine *e, rpi_uv_child *child);

static void on_close(uv_handle_t *handle)
{
    rpi_uv_child *child = handle->data;
    engine *e = child->owner;

    if (--child->open > 0) {
        return;
    }
    e->done++;
    if (e->result->outcome != RPI_FAILED && e->started < e->job->total &&
        rp_now_ns() < e->deadline_ns) {
        start_child(e, child);
    } else if (e->done == e->started) {
        uv_stop(&e->loop); /* sleepers may keep it alive */
    }
}

static void on_alloc(uv_handle_t *handle, size_t size, uv_buf_t *buffer)
{
    const rpi_uv_child *child = handle->data;
    engine *e = child->owner;

    (void)size;
    buffer->base = e->buffer;
    buffer->len = sizeof e->buffer;
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buffer)
{
    const rpi_uv_child *child = stream->data;
    engine *e = child->owner;

    (void)buffer;
    if (n > 0) {
        e->bytes += (size_t)n;
    } else if (n < 0) {
        uv_close((uv_handle_t *)stream, on_close);
    }
}

static void on_exit_status(uv_process_t *process, int64_t status, int signal)
{
    const rpi_uv_child *child = process->data;
    engine *e = child->owner;

    if (status != 0 || signal != 0) {
        (void)rpi_engine_fail(e->result, "a child ended with code %lld, signal %d",
                              (long long)status, signal);
    }
    uv_close((uv_handle_t *)process, on_close);
}

static int spawn(engine *e, rpi_uv_child *child, bool sleeps)
{
    const rpi_uv_spawn what = {.argv = sleeps ? e->job->sleeper_argv : e->job->argv,
                               .pipes_out = true,
                               .pipes_err = !sleeps,
                               .exited = on_exit_status};
    int r;

    memset(child, 0, sizeof *child);
    child->owner = e;
    r = rpi_uv_spawn_child(&e->loop, &what, child);
    if (r < 0) {
        return rpi_engine_fail(e->result, "uv_spawn: %s", uv_strerror(r));
    }
    child->open = sleeps ? 2 : 3;
    (void)uv_read_start((uv_stream_t *)&child->out, on_alloc, on_read);
    if (!sleeps) {
        (void)uv_read_start((uv_stream_t *)&child->err, on_alloc, on_read);
    }
    return 0;
}

static void start_child(engine *e, rpi_uv_child *child)
{
    if (spawn(e, child, false) < 0) {
        uv_stop(&e->loop);
        return;
    }
    e->started++;
}

static int run_children(engine *e)
{
    for (size_t i = 0; i < e->job->sleepers; i++) {
        if (spawn(e, &e->children[e->job->at_once + i], true) < 0) {
            return -1;
        }
    }
    rpi_meter_start(&e->result->meter);
    e->deadline_ns = rp_now_ns() + e->job->time_max_ns;
    for (size_t i = 0; i < e->job->at_once && e->started < e->job->total; i++) {
        if (rp_now_ns() > e->deadline_ns || e->result->outcome == RPI_FAILED) {
            break;
        }
        start_child(e, &e->children[i]);
    }
    if (e->result->outcome != RPI_FAILED) {
        (void)uv_run(&e->loop, UV_RUN_DEFAULT);
    }
    rpi_meter_stop(&e->result->meter);
    e->result->done = e->done;
    return e->result->outcome == RPI_FAILED ? -1 : 0;
}

int rpi_engine_uv(const rpi_engine_job *job, rpi_engine_result *ret_result)
{
    static engine
        e; /* its handles stay in use to the end of the worker process where sleepers are alive */
    int r;

    e.job = job;
    e.result = ret_result;
    e.children = calloc(job->at_once + job->sleepers, sizeof *e.children);
    if (e.children == NULL || uv_loop_init(&e.loop) < 0) {
        free(e.children);
        return rpi_engine_fail(ret_result, "out of memory");
    }
    r = run_children(&e);
    if (uv_loop_close(&e.loop) == 0) { /* UV_EBUSY: sleepers */
        free(e.children);
        e.children = NULL;
    }
    return r;
}
