/* pty_throughput: many terminals, one reading thread. A terminal hands over at most 4,095 bytes a
 * read, so the number of system calls is given; the comparison is the loop that everybody writes by
 * hand, epoll and read into one buffer.
 */
#include <stdio.h>
#include <stdlib.h>

#include "bench/pty.h"

enum {
    RATE,
    CPU,
    CALLS,
    METRICS
};

static const rpi_metric metrics[METRICS] = {
    [RATE] = {"rate", "MB/s", true},
    [CPU] = {"cpu", "s/GiB", false},
    [CALLS] = {"calls", "/MiB", false},
};

/* ---- ours ---- */

typedef struct ours {
    rpi_pty_flood *flood;
    rp_loop *loop;
    rp_process **processes;
    size_t started, done;
} ours;

static void on_data(rp_process *process, rp_stream stream, rp_view bytes, void *user)
{
    ours *o = user;

    (void)process;
    (void)stream;
    o->flood->bytes += bytes.size;
    if (o->started < o->flood->count) { // ready
        o->processes[o->started++] = process;
        if (o->started == o->flood->count) {
            rp_loop_stop(o->loop);
        }
    }
}

static void on_done(rp_process *process, const rp_exit *exit, void *user)
{
    ours *o = user;

    if (exit->kind != RP_EXITED || exit->code != 0) {
        rpi_fail(o->flood->sample, "a child ended: kind %d, code %d, error %s", (int)exit->kind,
                 exit->code, rp_error_name(exit->error));
        rp_loop_stop(o->loop);
    }
    if (++o->done == o->flood->count) {
        rp_loop_stop(o->loop);
    }
    rp_process_close(process);
}

static int start_all(ours *o)
{
    const rp_handlers handlers = {.data = on_data, .done = on_done};
    rp_command command = RP_COMMAND_INIT;
    rp_process *process = NULL;

    command.argv = o->flood->argv;
    command.transport = RP_PTY;
    for (size_t i = 0; i < o->flood->count; i++) {
        int r = rp_spawn(o->loop, &command, &handlers, o, &process);

        if (r < 0) {
            rpi_fail(o->flood->sample, "rp_spawn: %s: %s", rp_error_name(r), rp_error_detail());
            return r;
        }
    }
    return rp_loop_run(o->loop);
}

static int flood_all(ours *o)
{
    for (size_t i = 0; i < o->started; i++) {
        int r = rp_write(o->processes[i], (rp_view){"g", 1}, NULL, NULL);

        if (r < 0) {
            return r;
        }
    }
    return rp_loop_run(o->loop);
}

int rpi_pty_flood_ours(rpi_pty_flood *flood)
{
    ours o = {.flood = flood};
    rp_loop_options options = RP_LOOP_OPTIONS_INIT;
    int r;

    options.backend = flood->backend;
    o.processes = calloc(flood->count, sizeof *o.processes);
    r = rp_loop_open(&options, &o.loop);
    if (r < 0 || o.processes == NULL) {
        rpi_skip(flood->sample, "rp_loop_open: %s: %s", rp_error_name(r), rp_error_detail());
        free(o.processes);
        return -1;
    }
    r = start_all(&o);
    if (r >= 0 && o.started == flood->count) {
        rpi_meter_start(&flood->meter);
        r = flood_all(&o);
        rpi_meter_stop(&flood->meter);
    }
    if (flood->sample->outcome == RPI_MEASURED && (r < 0 || o.done != flood->count)) {
        rpi_fail(flood->sample, "the loop ended with %s, %zu of %zu children done",
                 rp_error_name(r), o.done, flood->count);
    }
    (void)rp_loop_close(o.loop); // children that are left belong to a sample that failed
    free(o.processes);
    return flood->sample->outcome == RPI_MEASURED ? 0 : -1;
}

/* ---- the case ---- */

static void run(const rpi_job *job, rpi_sample *sample, int (*reader)(rpi_pty_flood *))
{
    static const size_t chunks[] = {4096, 100};
    static const size_t totals[] = {(size_t)512 << 20, (size_t)32 << 20};
    char program[RPI_PATH_SIZE];
    char bytes[32];
    char chunk[32];
    const char *argv[] = {program, "flood", bytes, chunk, NULL};
    rpi_pty_flood flood = {
        .argv = argv, .count = job->size, .backend = job->subject->backend, .sample = sample};
    size_t bytes_each = rpi_scaled(job, totals[job->group], job->size) / job->size;
    double gibibytes;

    if (rpi_program_path("rp-bench-typist", program, sizeof program) < 0) {
        rpi_fail(sample, "rp-bench-typist is not beside this program");
        return;
    }
    if (!rpi_limits_allow(job->size, job->size * 4 + 8, sample)) {
        return;
    }
    (void)snprintf(bytes, sizeof bytes, "%zu", bytes_each);
    (void)snprintf(chunk, sizeof chunk, "%zu", chunks[job->group]);
    rpi_meter_init(&flood.meter);
    (void)rpi_meter_count_calls(&flood.meter); // not counted then
    if (reader(&flood) < 0) {
        return;
    }
    if (flood.bytes != (bytes_each + 1) * flood.count) {
        rpi_fail(sample, "%zu bytes arrived of %zu", flood.bytes, (bytes_each + 1) * flood.count);
        return;
    }
    gibibytes = (double)flood.bytes / (double)(1U << 30);
    sample->values[RATE] = (double)flood.bytes / 1e6 / ((double)flood.meter.wall_ns / 1e9);
    sample->values[CPU] = (flood.meter.user_ns + flood.meter.system_ns) / 1e9 / gibibytes;
    sample->values[CALLS] = flood.meter.loop_calls / (gibibytes * 1024.0);
    rpi_meter_fini(&flood.meter);
}

static void run_ours(const rpi_job *job, rpi_sample *sample)
{
    run(job, sample, rpi_pty_flood_ours);
}

static void run_bare(const rpi_job *job, rpi_sample *sample)
{
    run(job, sample, rpi_pty_flood_bare);
}

static const rpi_subject subjects[] = {
    {.name = "ours_uring", .run = run_ours, .backend = RP_BACKEND_URING},
    {.name = "ours_epoll", .run = run_ours, .backend = RP_BACKEND_EPOLL},
    {.name = "epoll_read", .run = run_bare},
};
static const char *const groups[] = {"4KiB", "100B"};
static const size_t sizes[] = {1, 64, 1000};

const rpi_case rpi_case_pty_throughput = {
    .name = "pty_throughput",
    .question = "reading many terminals at once, children that write 4 KiB or 100 B at a time",
    .budget = ">= 0.95 x epoll_read",
    .size_name = "terminals",
    .metrics = metrics,
    .metric_count = METRICS,
    .groups = groups,
    .group_count = 2,
    .sizes = sizes,
    .size_count = sizeof sizes / sizeof sizes[0],
    .reference_size = SIZE_MAX,
    .log_plot = true,
    .subjects = subjects,
    .subject_count = sizeof subjects / sizeof subjects[0],
    .baseline = "epoll_read",
};
