/* fan_in: many writers, one reading thread. How fast, and for how much processor time of the
 * reader. The writers are processes (child/writer.c); the comparison is the loop that everybody
 * writes by hand, epoll and read into one buffer, which stays in the processor's cache whatever the
 * number of writers.
 */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "bench/fan_in.h"

enum {
    FAN_RATE,
    FAN_CPU,
    FAN_USER,
    FAN_SYSTEM,
    FAN_WAITS,
    FAN_METRICS
};

static const rpi_metric fan_metrics[FAN_METRICS] = {
    [FAN_RATE] = {"rate", "MB/s", true},    [FAN_CPU] = {"cpu", "s/GiB", false},
    [FAN_USER] = {"user", "s/GiB", false},  [FAN_SYSTEM] = {"system", "s/GiB", false},
    [FAN_WAITS] = {"waits", "/MiB", false},
};

/* ---- ours ---- */

typedef struct ours {
    rpi_fan *fan;
    rp_loop *loop;
    size_t started, done;
} ours;

static void on_started(rp_process *process, void *user)
{
    ours *o = user;

    (void)process;
    if (++o->started == o->fan->writers) {
        rp_loop_stop(o->loop);
    }
}

static void on_data(rp_process *process, rp_stream stream, rp_view bytes, void *user)
{
    ours *o = user;

    (void)process;
    (void)stream;
    o->fan->bytes += bytes.size;
}

static void on_done(rp_process *process, const rp_exit *exit, void *user)
{
    ours *o = user;

    (void)process;
    if (exit->kind != RP_EXITED || exit->code != 0) {
        rpi_fail(o->fan->sample, "a writer ended: kind %d, code %d, error %s", (int)exit->kind,
                 exit->code, rp_error_name(exit->error));
        rp_loop_stop(o->loop);
    }
    if (++o->done == o->fan->writers) {
        rp_loop_stop(o->loop);
    }
}

static int start_writers(ours *o)
{
    const rp_handlers handlers = {.started = on_started, .data = on_data, .done = on_done};
    rp_command command = RP_COMMAND_INIT;

    command.argv = o->fan->argv;
    command.in.kind = RP_STDIO_FD;
    command.in.fd = o->fan->gate_fd;
    command.err.kind = RP_STDIO_NULL;
    for (size_t i = 0; i < o->fan->writers; i++) {
        int r = rp_spawn(o->loop, &command, &handlers, o, NULL);

        if (r < 0) {
            rpi_fail(o->fan->sample, "rp_spawn: %s: %s", rp_error_name(r), rp_error_detail());
            return r;
        }
    }
    return rp_loop_run(o->loop);
}

int rpi_fan_ours(rpi_fan *fan)
{
    ours o = {.fan = fan};
    rp_loop_options options = RP_LOOP_OPTIONS_INIT;
    int r;

    options.backend = fan->backend;
    r = rp_loop_open(&options, &o.loop);
    if (r < 0) {
        rpi_skip(fan->sample, "rp_loop_open: %s: %s", rp_error_name(r), rp_error_detail());
        return -1;
    }
    r = start_writers(&o);
    if (r >= 0 && o.started == fan->writers) {
        rpi_meter_start(&fan->meter);
        (void)close(fan->gate_open_fd);
        r = rp_loop_run(o.loop);
        rpi_meter_stop(&fan->meter);
    }
    if (fan->sample->outcome == RPI_MEASURED && (r < 0 || o.done != fan->writers)) {
        rpi_fail(fan->sample, "the loop ended with %s, %zu of %zu writers done", rp_error_name(r),
                 o.done, fan->writers);
    }
    (void)rp_loop_close(o.loop); /* writers that are left belong to a sample that failed */
    return fan->sample->outcome == RPI_MEASURED ? 0 : -1;
}

/* ---- the case ---- */

static int open_gate(rpi_fan *fan)
{
    int fds[2];

    if (pipe2(fds, O_CLOEXEC) < 0) {
        rpi_fail(fan->sample, "pipe: %s", strerror(errno));
        return -1;
    }
    fan->gate_fd = fds[0];
    fan->gate_open_fd = fds[1];
    return 0;
}

static void run_fan(const rpi_job *job, rpi_sample *sample, int (*reader)(rpi_fan *))
{
    static const size_t chunks[] = {65536, 100};
    static const size_t totals[] = {(size_t)2 << 30, (size_t)128 << 20};
    char program[RPI_PATH_SIZE];
    char bytes[32];
    char chunk[32];
    const char *argv[] = {program, bytes, chunk, NULL};
    rpi_fan fan = {
        .argv = argv, .writers = job->size, .backend = job->subject->backend, .sample = sample};
    double gibibytes;

    if (rpi_program_path("rp-bench-writer", program, sizeof program) < 0) {
        rpi_fail(sample, "rp-bench-writer is not beside this program");
        return;
    }
    if (!rpi_limits_allow(job->size, job->size * 2 + 8, sample) || open_gate(&fan) < 0) {
        return;
    }
    fan.bytes_each = rpi_scaled(job, totals[job->group], job->size) / job->size;
    (void)snprintf(bytes, sizeof bytes, "%zu", fan.bytes_each);
    (void)snprintf(chunk, sizeof chunk, "%zu", chunks[job->group]);
    rpi_meter_init(&fan.meter);
    if (reader(&fan) < 0) {
        return;
    }
    if (fan.bytes != fan.bytes_each * fan.writers) {
        rpi_fail(sample, "%zu bytes arrived of %zu", fan.bytes, fan.bytes_each * fan.writers);
        return;
    }
    gibibytes = (double)fan.bytes / (double)(1U << 30);
    sample->values[FAN_RATE] = (double)fan.bytes / 1e6 / ((double)fan.meter.wall_ns / 1e9);
    sample->values[FAN_USER] = fan.meter.user_ns / 1e9 / gibibytes;
    sample->values[FAN_SYSTEM] = fan.meter.system_ns / 1e9 / gibibytes;
    sample->values[FAN_CPU] = sample->values[FAN_USER] + sample->values[FAN_SYSTEM];
    sample->values[FAN_WAITS] = fan.meter.waits / (gibibytes * 1024.0);
}

static void run_ours(const rpi_job *job, rpi_sample *sample)
{
    run_fan(job, sample, rpi_fan_ours);
}

static void run_epoll(const rpi_job *job, rpi_sample *sample)
{
    run_fan(job, sample, rpi_fan_epoll);
}

static void run_cat(const rpi_job *job, rpi_sample *sample)
{
    if (job->size != 1) {
        rpi_skip(sample, "cat reads one writer");
        return;
    }
    run_fan(job, sample, rpi_fan_cat);
}

static void run_uv(const rpi_job *job, rpi_sample *sample)
{
    run_fan(job, sample, rpi_fan_uv);
}

static const rpi_subject fan_subjects[] = {
    {.name = "ours_uring", .run = run_ours, .backend = RP_BACKEND_URING},
    {.name = "ours_epoll", .run = run_ours, .backend = RP_BACKEND_EPOLL},
    {.name = "epoll_read", .run = run_epoll},
    {.name = "libuv", .run = run_uv},
    {.name = "cat", .run = run_cat},
};
static const char *const fan_groups[] = {"64KiB", "100B"};
static const size_t fan_sizes[] = {1, 64, 1000};

const rpi_case rpi_case_fan_in = {
    .name = "fan_in",
    .question = "reading many writers at once, in writes of 64 KiB or 100 B; processor time is the "
                "reader's",
    .budget = ">= 0.95 x epoll_read, for less processor time a GiB",
    .size_name = "writers",
    .metrics = fan_metrics,
    .metric_count = FAN_METRICS,
    .groups = fan_groups,
    .group_count = 2,
    .sizes = fan_sizes,
    .size_count = sizeof fan_sizes / sizeof fan_sizes[0],
    .reference_size = SIZE_MAX,
    .log_plot = true,
    .subjects = fan_subjects,
    .subject_count = sizeof fan_subjects / sizeof fan_subjects[0],
    .baseline = "epoll_read",
};
