/* idle_many: thousands of sessions on terminals, each with an idle watch that leaves control
 * sequences out of account. What share of a processor the loop's thread takes while every child
 * paints a spinner ten times a second, and while none says anything; beside it the same sessions
 * without a watch: the difference is what the watches cost.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "bench/bench.h"

enum {
    SHARE,
    WAKEUPS,
    READS,
    METRICS
};

static const rpi_metric metrics[METRICS] = {
    [SHARE] = {"share", "%", false},
    [WAKEUPS] = {"wakeups", "/s", false},
    [READS] = {"reads", "/s", false},
};

typedef struct sessions {
    const rpi_job *job;
    rpi_sample *sample;
    const char *const *argv;
    rp_loop *loop;
    size_t count, started, reports;
    bool watched;
    bool spinning;
} sessions;

static void on_started(rp_process *process, void *user)
{
    sessions *all = user;

    (void)process;
    if (++all->started == all->count) {
        rp_loop_stop(all->loop);
    }
}

static void on_data(rp_process *process, rp_stream stream, rp_view bytes, void *user)
{
    (void)process;
    (void)stream;
    (void)bytes;
    (void)user;
}

static void on_done(rp_process *process, const rp_exit *exit, void *user)
{
    sessions *all = user;

    (void)process;
    rpi_fail(all->sample, "a child ended: kind %d, code %d, error %s", (int)exit->kind, exit->code,
             rp_error_name(exit->error));
    rp_loop_stop(all->loop);
}

static void on_idle(rp_process *process, const rp_idle_result *result, void *user)
{
    sessions *all = user;

    (void)process;
    all->reports += result->reason == RP_IDLE_IS_IDLE ? 1 : 0;
}

static int start_one(sessions *all)
{
    const rp_handlers handlers = {.started = on_started, .data = on_data, .done = on_done};
    rp_command command = RP_COMMAND_INIT;
    rp_idle_options idle = RP_IDLE_OPTIONS_INIT;
    rp_process *process = NULL;
    int r;

    command.argv = all->argv;
    command.transport = RP_PTY;
    idle.ignore_churn = true;
    r = rp_spawn(all->loop, &command, &handlers, all, &process);
    if (r == 0 && all->watched) {
        r = rp_idle_start(process, &idle, on_idle, all, NULL);
    }
    return r;
}

static double processor_ns(void)
{
    struct rusage usage;

    (void)getrusage(RUSAGE_THREAD, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e9 +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e3;
}

static int run_for(sessions *all, uint64_t span_ns)
{
    uint64_t end_ns = rp_now_ns() + span_ns;
    uint64_t now_ns;
    int r = 0;

    while (r >= 0 && (now_ns = rp_now_ns()) < end_ns) {
        r = rp_loop_run_once(all->loop, end_ns - now_ns);
    }
    return r;
}

/* After as long as the first quiet time takes, so that in the quiet group it was reported. */
static int watch(sessions *all)
{
    const bool is_short = all->job->options->scale < 1.0;
    const uint64_t settle_ns = is_short ? RP_SECOND / 5 : 12 * RP_SECOND;
    const uint64_t span_ns = is_short ? RP_SECOND / 2 : 5 * RP_SECOND;
    rp_loop_stats before = {.size = sizeof before};
    rp_loop_stats after = {.size = sizeof after};
    double processor;
    int r = run_for(all, settle_ns);

    if (r < 0) {
        return r;
    }
    (void)rp_loop_get_stats(all->loop, &before); // its size is set
    processor = processor_ns();
    r = run_for(all, span_ns);
    processor = processor_ns() - processor;
    (void)rp_loop_get_stats(all->loop, &after);
    all->sample->values[SHARE] = 100.0 * processor / (double)span_ns;
    all->sample->values[WAKEUPS] = // one is this time-out's own
        ((double)(after.wakeups - before.wakeups) - 1.0) / ((double)span_ns / 1e9);
    all->sample->values[READS] = (double)(after.reads - before.reads) / ((double)span_ns / 1e9);
    if (!is_short && all->watched && !all->spinning && all->reports != all->count) {
        rpi_fail(all->sample, "%zu of %zu quiet children were found idle", all->reports,
                 all->count);
    }
    if (all->spinning && all->reports > 0) {
        rpi_fail(all->sample, "%zu spinning children were taken for idle", all->reports);
    }
    return r;
}

static void hold(sessions *all)
{
    rp_loop_options options = RP_LOOP_OPTIONS_INIT;
    int r;

    options.backend = all->job->subject->backend;
    r = rp_loop_open(&options, &all->loop);
    if (r < 0) {
        rpi_skip(all->sample, "rp_loop_open: %s: %s", rp_error_name(r), rp_error_detail());
        return;
    }
    for (size_t i = 0; i < all->count && r == 0; i++) {
        r = start_one(all);
    }
    r = r < 0 ? r : rp_loop_run(all->loop);
    if (r >= 0 && all->started == all->count) {
        r = watch(all);
    }
    if (all->sample->outcome == RPI_MEASURED && (r < 0 || all->started != all->count)) {
        rpi_fail(all->sample, "%s: %s, %zu of %zu started", rp_error_name(r), rp_error_detail(),
                 all->started, all->count);
    }
    (void)rp_loop_close(all->loop); // children that are left belong to a sample that failed
}

static void run(const rpi_job *job, rpi_sample *sample, bool watched)
{
    char program[RPI_PATH_SIZE];
    const char *spins[] = {program, "spin", "100", NULL};
    const char *sleeps[] = {program, NULL};
    bool spinning = job->group == 0;
    sessions all = {.job = job,
                    .sample = sample,
                    .argv = spinning ? spins : sleeps,
                    .count = job->size,
                    .watched = watched,
                    .spinning = spinning};
    const char *name = spinning ? "rp-bench-typist" : "rp-bench-sleeper";

    if (rpi_program_path(name, program, sizeof program) < 0) {
        rpi_fail(sample, "%s is not beside this program", name);
        return;
    }
    if (rpi_limits_allow(job->size, job->size * 4 + 8, sample)) {
        hold(&all);
    }
}

static void run_watched(const rpi_job *job, rpi_sample *sample)
{
    run(job, sample, true);
}

static void run_unwatched(const rpi_job *job, rpi_sample *sample)
{
    run(job, sample, false);
}

static const rpi_subject subjects[] = {
    {.name = "ours_uring", .run = run_watched, .backend = RP_BACKEND_URING},
    {.name = "ours_epoll", .run = run_watched, .backend = RP_BACKEND_EPOLL},
    {.name = "unwatched_uring", .run = run_unwatched, .backend = RP_BACKEND_URING},
    {.name = "unwatched_epoll", .run = run_unwatched, .backend = RP_BACKEND_EPOLL},
};
static const char *const groups[] = {"spinner", "quiet"};
static const size_t sizes[] = {400, 4000};

const rpi_case rpi_case_idle_many = {
    .name = "idle_many",
    .question = "idle watches on terminals that spin or are silent: share of one processor that "
                "the loop's thread takes",
    .budget = "watched less unwatched < 5 % with 4,000 spinners; 0 wake-ups a second when quiet",
    .size_name = "sessions",
    .metrics = metrics,
    .metric_count = METRICS,
    .groups = groups,
    .group_count = 2,
    .sizes = sizes,
    .size_count = sizeof sizes / sizeof sizes[0],
    .reference_size = SIZE_MAX,
    .scale_sizes = true,
    .subjects = subjects,
    .subject_count = sizeof subjects / sizeof subjects[0],
    .baseline = "unwatched_uring",
};
