/* The library as an engine, written as its user would: one loop, handlers, the next child spawned
 * from the last one's `done`. A row for each backend.
 */
#include <string.h>

#include "bench/engine.h"

typedef struct ours {
    const rpi_engine_job *job;
    rpi_engine_result *result;
    rp_loop *loop;
    rp_command command, sleeper;
    rp_handlers handlers, sleeper_handlers;
    size_t started, done, sleeping;
    size_t bytes;
    uint64_t deadline_ns;
} ours;

static void start_next(ours *o)
{
    int r = rp_spawn(o->loop, &o->command, &o->handlers, o, NULL);

    if (r < 0) {
        (void)rpi_engine_fail(o->result, "rp_spawn: %s: %s", rp_error_name(r), rp_error_detail());
        rp_loop_stop(o->loop);
        return;
    }
    o->started++;
}

static void on_data(rp_process *process, rp_stream stream, rp_view bytes, void *user)
{
    ours *o = user;

    (void)process;
    (void)stream;
    o->bytes += bytes.size;
}

static void on_done(rp_process *process, const rp_exit *exit, void *user)
{
    ours *o = user;

    (void)process;
    if (exit->kind != RP_EXITED || exit->code != 0) {
        (void)rpi_engine_fail(o->result, "a child ended with kind %d, code %d, error %s, phase %s",
                              (int)exit->kind, exit->code, rp_error_name(exit->error),
                              exit->phase ? exit->phase : "none");
        rp_loop_stop(o->loop);
        return;
    }
    o->done++;
    if (o->started < o->job->total && rp_now_ns() < o->deadline_ns) {
        start_next(o);
    } else if (o->done == o->started) {
        rp_loop_stop(o->loop);
    }
}

static void on_sleeper_started(rp_process *process, void *user)
{
    ours *o = user;

    (void)process;
    if (++o->sleeping == o->job->sleepers) {
        rp_loop_stop(o->loop);
    }
}

static void on_sleeper_done(rp_process *process, const rp_exit *exit, void *user)
{
    ours *o = user;

    (void)process;
    (void)rpi_engine_fail(o->result, "a sleeper ended: kind %d, code %d, error %s, phase %s",
                          (int)exit->kind, exit->code, rp_error_name(exit->error),
                          exit->phase ? exit->phase : "none");
    rp_loop_stop(o->loop);
}

static int run_loop(ours *o)
{
    int r = rp_loop_run(o->loop);

    if (r < 0) {
        return rpi_engine_fail(o->result, "rp_loop_run: %s: %s", rp_error_name(r),
                               rp_error_detail());
    }
    return o->result->outcome == RPI_FAILED ? -1 : 0;
}

static int start_sleepers(ours *o)
{
    o->sleeper = (rp_command)RP_COMMAND_INIT;
    o->sleeper.argv = o->job->sleeper_argv;
    o->sleeper.err.kind = RP_STDIO_NULL; /* one pipe each: 8,000 fit into 20,000 descriptors */
    o->sleeper_handlers.data = on_data;
    o->sleeper_handlers.started = on_sleeper_started;
    o->sleeper_handlers.done = on_sleeper_done;
    for (size_t i = 0; i < o->job->sleepers; i++) {
        int r = rp_spawn(o->loop, &o->sleeper, &o->sleeper_handlers, o, NULL);

        if (r < 0) {
            return rpi_engine_fail(o->result, "rp_spawn of a sleeper: %s: %s", rp_error_name(r),
                                   rp_error_detail());
        }
    }
    return o->job->sleepers > 0 ? run_loop(o) : 0;
}

static int run_children(ours *o)
{
    int r;

    o->command = (rp_command)RP_COMMAND_INIT;
    o->command.argv = o->job->argv;
    o->handlers.data = on_data;
    o->handlers.done = on_done;
    rpi_meter_start(&o->result->meter);
    o->deadline_ns = rp_now_ns() + o->job->time_max_ns;
    for (size_t i = 0; i < o->job->at_once && o->started < o->job->total; i++) {
        start_next(o);
    }
    r = run_loop(o);
    rpi_meter_stop(&o->result->meter);
    o->result->done = o->done;
    return r;
}

static int run_ours(const rpi_engine_job *job, rpi_engine_result *ret_result, rp_backend backend)
{
    ours o = {.job = job, .result = ret_result};
    rp_loop_options options = RP_LOOP_OPTIONS_INIT;
    int left;
    int r;

    options.backend = backend;
    options.spawn_threads = job->threads;
    options.track = job->track;
    r = rp_loop_open(&options, &o.loop);
    if (r == RP_EUNSUPPORTED) {
        return rpi_engine_skip(ret_result, "this backend does not work here: %s",
                               rp_error_detail());
    }
    if (r < 0) {
        return rpi_engine_fail(ret_result, "rp_loop_open: %s: %s", rp_error_name(r),
                               rp_error_detail());
    }
    r = start_sleepers(&o);
    if (r == 0) {
        r = run_children(&o);
    }
    o.sleeper_handlers.done = NULL;
    left = rp_loop_close(o.loop);
    if (r == 0 && left != 0) {
        r = rpi_engine_fail(ret_result, "rp_loop_close: %d processes did not end", left);
    }
    return r;
}

int rpi_engine_uring(const rpi_engine_job *job, rpi_engine_result *ret_result)
{
    return run_ours(job, ret_result, RP_BACKEND_URING);
}

int rpi_engine_epoll(const rpi_engine_job *job, rpi_engine_result *ret_result)
{
    return run_ours(job, ret_result, RP_BACKEND_EPOLL);
}
