/* exit_storm: so many sleeping children are killed at once; how long until the last exit is
 * reported. Against the barest reaping there is, kill and wait for everybody, and one with a pidfd
 * and epoll a child. A cost that grows faster than the number of children shows as growth.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/exit_storm.h"

extern char **environ;

enum {
    STORM_CHILD,
    STORM_ALL,
    STORM_CPU,
    STORM_METRICS,
    EVENT_MAX = 256
};

static const rpi_metric storm_metrics[STORM_METRICS] = {
    [STORM_CHILD] = {"exit", "us/child", false},
    [STORM_ALL] = {"all", "ms", false},
    [STORM_CPU] = {"cpu", "us/child", false},
};

static void *kill_all(void *user)
{
    const rpi_storm *storm = user;

    for (size_t i = 0; i < storm->count; i++) {
        (void)kill(storm->pids[i], SIGKILL); /* alive and ours: this is what it dies of */
    }
    return NULL;
}

void rpi_storm_kill(rpi_storm *storm)
{
    rpi_meter_start(&storm->meter);
    if (!storm->by_thread) {
        (void)kill_all(storm);
        return;
    }
    storm->killer_runs = pthread_create(&storm->killer, NULL, kill_all, storm) == 0;
    if (!storm->killer_runs) {
        rpi_fail(storm->sample, "pthread_create failed");
        (void)kill_all(storm); /* the subject waits for them */
    }
}

/* ---- ours ---- */

typedef struct ours {
    rpi_storm *storm;
    rp_loop *loop;
    size_t started, exited;
} ours;

static void on_started(rp_process *process, void *user)
{
    ours *o = user;

    o->storm->pids[o->started++] = (pid_t)rp_process_pid(process);
    if (o->started == o->storm->count) {
        rp_loop_stop(o->loop);
    }
}

static void on_exited(rp_process *process, const rp_exit *exit, void *user)
{
    ours *o = user;

    (void)process;
    if (exit->kind != RP_SIGNALED || exit->signal != SIGKILL) {
        rpi_fail(o->storm->sample, "a child ended with kind %d, signal %d", (int)exit->kind,
                 exit->signal);
    }
    if (++o->exited == o->storm->count) {
        rpi_meter_stop(&o->storm->meter);
        rp_loop_stop(o->loop);
    }
}

static void on_done(rp_process *process, const rp_exit *exit, void *user)
{
    ours *o = user;

    (void)process;
    if (exit->kind == RP_SPAWN_FAILED) {
        rpi_fail(o->storm->sample, "a launch failed: %s in %s", rp_error_name(exit->error),
                 exit->phase);
        rp_loop_stop(o->loop);
    }
}

static int start_all(ours *o)
{
    const rp_handlers handlers = {.started = on_started, .exited = on_exited, .done = on_done};
    rp_command command = RP_COMMAND_INIT;

    command.argv = o->storm->argv;
    command.out.kind = RP_STDIO_NULL;
    command.err.kind = RP_STDIO_NULL;
    for (size_t i = 0; i < o->storm->count; i++) {
        int r = rp_spawn(o->loop, &command, &handlers, o, NULL);

        if (r < 0) {
            return r;
        }
    }
    return rp_loop_run(o->loop);
}

static void storm_ours(rpi_storm *storm)
{
    ours o = {.storm = storm};
    rp_loop_options options = RP_LOOP_OPTIONS_INIT;
    int r;

    options.backend = storm->backend;
    r = rp_loop_open(&options, &o.loop);
    if (r < 0) {
        rpi_skip(storm->sample, "rp_loop_open: %s: %s", rp_error_name(r), rp_error_detail());
        return;
    }
    r = start_all(&o);
    if (r >= 0 && o.started == storm->count) {
        rpi_storm_kill(storm);
        r = rp_loop_run(o.loop);
    }
    if (storm->sample->outcome == RPI_MEASURED && (r < 0 || o.exited != storm->count)) {
        rpi_fail(storm->sample, "the loop ended with %s, %zu started, %zu exited", rp_error_name(r),
                 o.started, o.exited);
    }
    (void)rp_loop_close(o.loop); /* what is left belongs to a sample that failed */
}

/* ---- bare ---- */

static bool start_bare(rpi_storm *storm)
{
    for (size_t i = 0; i < storm->count; i++) {
        int r = posix_spawn(&storm->pids[i], storm->argv[0], NULL, NULL,
                            (char *const *)(uintptr_t)storm->argv, environ);

        if (r != 0) {
            rpi_fail(storm->sample, "posix_spawn: %s", strerror(r));
            return false;
        }
    }
    return true;
}

static void storm_wait(rpi_storm *storm)
{
    size_t left = storm->count;

    if (!start_bare(storm)) {
        return;
    }
    rpi_storm_kill(storm);
    while (left > 0) {
        int status = 0;

        if (waitpid(-1, &status, 0) < 0) {
            rpi_fail(storm->sample, "waitpid: %s", strerror(errno));
            return;
        }
        left--;
    }
    rpi_meter_stop(&storm->meter);
}

static bool watch_pids(rpi_storm *storm, int epoll_fd)
{
    for (size_t i = 0; i < storm->count; i++) {
        struct epoll_event event = {.events = EPOLLIN};
        int fd = (int)syscall(SYS_pidfd_open, storm->pids[i], 0);

        event.data.fd = fd;
        if (fd < 0 || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0) {
            rpi_fail(storm->sample, "pidfd: %s", strerror(errno));
            return false;
        }
    }
    return true;
}

static void reap(rpi_storm *storm, int pidfd)
{
    siginfo_t info;

    if (waitid((idtype_t)P_PIDFD, (id_t)pidfd, &info, WEXITED | WNOHANG) < 0) {
        rpi_fail(storm->sample, "waitid: %s", strerror(errno));
    }
    (void)close(pidfd);
}

static void storm_pidfd(rpi_storm *storm)
{
    struct epoll_event events[EVENT_MAX];
    size_t left = storm->count;
    int epoll_fd = epoll_create1(EPOLL_CLOEXEC);

    if (!start_bare(storm) || !watch_pids(storm, epoll_fd)) {
        return;
    }
    rpi_storm_kill(storm);
    while (left > 0 && storm->sample->outcome == RPI_MEASURED) {
        int n = epoll_wait(epoll_fd, events, EVENT_MAX, -1);

        for (int i = 0; i < n; i++) {
            reap(storm, events[i].data.fd);
            left--;
        }
    }
    rpi_meter_stop(&storm->meter);
    (void)close(epoll_fd);
}

/* ---- the case ---- */

static void run_storm(const rpi_job *job, rpi_sample *sample, void (*subject)(rpi_storm *))
{
    char program[RPI_PATH_SIZE];
    const char *argv[] = {program, NULL};
    rpi_storm storm = {
        .argv = argv, .count = job->size, .backend = job->subject->backend, .sample = sample};

    if (rpi_program_path("rp-bench-sleeper", program, sizeof program) < 0) {
        rpi_fail(sample, "rp-bench-sleeper is not beside this program");
        return;
    }
    if (!rpi_limits_allow(job->size, job->size, sample)) {
        return;
    }
    storm.pids = calloc(job->size, sizeof *storm.pids);
    if (storm.pids == NULL) {
        rpi_fail(sample, "out of memory");
        return;
    }
    rpi_meter_init(&storm.meter);
    subject(&storm);
    if (storm.killer_runs) {
        (void)pthread_join(storm.killer, NULL);
    }
    if (sample->outcome == RPI_MEASURED) {
        sample->values[STORM_CHILD] = (double)storm.meter.wall_ns / 1e3 / (double)job->size;
        sample->values[STORM_ALL] = (double)storm.meter.wall_ns / 1e6;
        sample->values[STORM_CPU] =
            (storm.meter.user_ns + storm.meter.system_ns) / 1e3 / (double)job->size;
    }
    free(storm.pids);
}

static void run_ours(const rpi_job *job, rpi_sample *sample)
{
    run_storm(job, sample, storm_ours);
}

static void run_wait(const rpi_job *job, rpi_sample *sample)
{
    run_storm(job, sample, storm_wait);
}

static void run_pidfd(const rpi_job *job, rpi_sample *sample)
{
    run_storm(job, sample, storm_pidfd);
}

static void run_uv(const rpi_job *job, rpi_sample *sample)
{
    run_storm(job, sample, rpi_storm_uv);
}

static const rpi_subject storm_subjects[] = {
    {.name = "ours_uring", .run = run_ours, .backend = RP_BACKEND_URING},
    {.name = "ours_epoll", .run = run_ours, .backend = RP_BACKEND_EPOLL},
    {.name = "bare_wait", .run = run_wait},
    {.name = "bare_pidfd", .run = run_pidfd},
    {.name = "libuv", .run = run_uv},
};
static const char *const storm_groups[] = {"by_loop", "by_thread"};
static const size_t storm_sizes[] = {1000, 2500, 5000, 10000};

const rpi_case rpi_case_exit_storm = {
    .name = "exit_storm",
    .question =
        "all children killed at once, by the loop's thread or by another while the loop runs: from "
        "the first kill to the last exit reported",
    .budget = "linear (growth near 1); ratio to bare_wait >= 0.83 (its time + 20 %)",
    .size_name = "children",
    .metrics = storm_metrics,
    .metric_count = STORM_METRICS,
    .groups = storm_groups,
    .group_count = 2,
    .sizes = storm_sizes,
    .size_count = sizeof storm_sizes / sizeof storm_sizes[0],
    .reference_size = 1000,
    .scale_sizes = true,
    .log_plot = true,
    .subjects = storm_subjects,
    .subject_count = sizeof storm_subjects / sizeof storm_subjects[0],
    .baseline = "bare_wait",
};
