/* syscalls: what the library itself costs a child: system calls of the loop's thread and of all
 * threads, counted exactly by the kernel (meter_linux.c), and user time. Also here: threads, the
 * probe by which the harness learns how many spawner threads the library chooses, so that the bare
 * loop gets as many.
 */
#include <math.h>

#include "bench/engine.h"

enum {
    CALLS_LOOP,
    CALLS_ALL,
    CALLS_USER,
    CALLS_LOOP_USER,
    CALLS_SYSTEM,
    CALLS_WAITS,
    CALLS_CHILD,
    CALLS_METRICS
};

static const rpi_metric calls_metrics[CALLS_METRICS] = {
    [CALLS_LOOP] = {"loop_calls", "/child", false},
    [CALLS_ALL] = {"all_calls", "/child", false},
    [CALLS_USER] = {"user", "us/child", false},
    [CALLS_LOOP_USER] = {"loop_user", "us/child", false},
    [CALLS_SYSTEM] = {"system", "us/child", false},
    [CALLS_WAITS] = {"loop_waits", "/child", false},
    [CALLS_CHILD] = {"child", "us", false},
};

static void run_calls(const rpi_job *job, rpi_sample *sample)
{
    char tiny[RPI_PATH_SIZE];
    char sleeper[RPI_PATH_SIZE];
    const char *argv[] = {tiny, NULL};
    rpi_engine_result result;
    rpi_engine_job engine_job = {.argv = argv,
                                 .at_once = job->size,
                                 .total = rpi_scaled(job, 10000, job->size),
                                 .threads = job->options->threads,
                                 .bare_threads = job->options->bare_threads,
                                 .count_calls = true,
                                 .time_max_ns = 20 * RP_SECOND};
    double done;

    if (!rpi_engine_programs(sample, tiny, sleeper) ||
        !rpi_engine_run(job, &engine_job, sample, &result)) {
        return;
    }
    done = (double)result.done;
    sample->values[CALLS_LOOP] = result.meter.loop_calls / done;
    sample->values[CALLS_ALL] = result.meter.all_calls / done;
    sample->values[CALLS_USER] = result.meter.user_ns / 1e3 / done;
    sample->values[CALLS_LOOP_USER] = result.meter.loop_user_ns / 1e3 / done;
    sample->values[CALLS_SYSTEM] = result.meter.system_ns / 1e3 / done;
    sample->values[CALLS_WAITS] = result.meter.waits / done;
    sample->values[CALLS_CHILD] = (double)result.meter.wall_ns / 1e3 / done;
}

static const rpi_subject calls_subjects[] = {
    {.name = "ours_uring", .run = run_calls, .engine = rpi_engine_uring},
    {.name = "ours_epoll", .run = run_calls, .engine = rpi_engine_epoll},
    {.name = "bare",
     .run = run_calls,
     .engine = rpi_engine_bare}, /* its loops are not the counted thread: see all_calls */
    {.name = "libuv", .run = run_calls, .engine = rpi_engine_uv},
    {.name = "glib", .run = run_calls, .engine = rpi_engine_glib},
};
static const char *const calls_groups[] = {"tiny"};
static const size_t calls_sizes[] = {1, 64, 1000};

const rpi_case rpi_case_syscalls = {
    .name = "syscalls",
    .question = "system calls and user time a child (bare: its threads are in all_calls, the "
                "counted loop thread only waits)",
    .budget = "loop_calls <= 20, user < 30 us",
    .size_name = "at once",
    .metrics = calls_metrics,
    .metric_count = CALLS_METRICS,
    .groups = calls_groups,
    .group_count = 1,
    .sizes = calls_sizes,
    .size_count = sizeof calls_sizes / sizeof calls_sizes[0],
    .reference_size = SIZE_MAX,
    .subjects = calls_subjects,
    .subject_count = sizeof calls_subjects / sizeof calls_subjects[0],
    .baseline = NULL,
};

/* ---- threads ---- */

static const rpi_metric threads_metrics[] = {{"threads", "spawners", false}};

typedef struct probe {
    rp_command command;
    size_t left;
    unsigned threads_max;
    int error;
} probe;

static void on_done(rp_process *process, const rp_exit *exit, void *user)
{
    probe *p = user;
    unsigned threads = rpi_thread_count() - 1; /* the loop's own */

    p->error = exit->kind == RP_SPAWN_FAILED ? exit->error : p->error;
    p->threads_max = threads > p->threads_max ? threads : p->threads_max;
    if (p->left > 0) {
        const rp_handlers handlers = {.done = on_done};

        p->left--;
        (void)rp_spawn(rp_process_loop(process), &p->command, &handlers, p,
                       NULL); /* one less makes no difference */
    }
}

static void run_threads(const rpi_job *job, rpi_sample *sample)
{
    const rp_handlers handlers = {.done = on_done};
    char tiny[RPI_PATH_SIZE];
    char sleeper[RPI_PATH_SIZE];
    const char *argv[] = {tiny, NULL};
    probe p = {.command = RP_COMMAND_INIT, .left = 200};
    rp_loop *loop;
    int r;

    (void)job;
    if (!rpi_engine_programs(sample, tiny, sleeper)) {
        return;
    }
    p.command.argv = argv;
    r = rp_loop_open(NULL, &loop);
    for (int i = 0; i < 64 && r == 0; i++) {
        r = rp_spawn(loop, &p.command, &handlers, &p, NULL);
    }
    r = r == 0 ? rp_loop_run(loop) : r;
    if (r < 0 || p.error < 0) {
        rpi_fail(sample, "%s: %s", rp_error_name(r < 0 ? r : p.error), rp_error_detail());
        return;
    }
    (void)rp_loop_close(loop); /* nothing is left in it */
    sample->values[0] = (double)p.threads_max;
}

static const rpi_subject threads_subjects[] = {{.name = "ours", .run = run_threads}};
static const size_t threads_sizes[] = {64};

const rpi_case rpi_case_threads = {
    .name = "threads",
    .question = "how many spawner threads the library chooses here",
    .budget = "none",
    .size_name = "at once",
    .metrics = threads_metrics,
    .metric_count = 1,
    .groups = calls_groups,
    .group_count = 1,
    .sizes = threads_sizes,
    .size_count = 1,
    .reference_size = SIZE_MAX,
    .subjects = threads_subjects,
    .subject_count = 1,
    .baseline = NULL,
};
