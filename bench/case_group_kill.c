/* group_kill: how long it takes until all of a group is gone and known to be: from rp_group_kill to
 * `emptied`, by the grade at which the group is held. Members of a `tree` have their ties;
 * `scattered` ones are daemons, each with a session of its own and its parent gone; a `bomb` still
 * forks when it is killed. Every member has told its number, so that those who are alive afterwards
 * are counted, and compared with the survivors that were told.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/bench.h"

enum {
    KILL_EMPTY,
    KILL_TOLD,
    KILL_ALIVE,
    KILL_UNTOLD,
    KILL_METRICS,
    CHILD_LINE = 4
};

static const rpi_metric kill_metrics[KILL_METRICS] = {
    [KILL_EMPTY] = {"empty", "ms", false},
    [KILL_TOLD] = {"told", "survivors", false},
    [KILL_ALIVE] = {"alive", "members", false},
    [KILL_UNTOLD] = {"untold", "members", false},
};

typedef struct brood {
    const rpi_job *job;
    rpi_sample *sample;
    rp_loop *loop;
    rp_group *group;
    int line[2];
    int64_t *members;
    size_t count;
    int64_t *told;
    size_t told_count;
    uint64_t killed_ns, empty_ns;
} brood;

static void on_line(rp_watch *watch, uint32_t events, void *user)
{
    brood *b = user;
    ssize_t size =
        read(b->line[0], &b->members[b->count], (b->job->size - b->count) * sizeof *b->members);

    (void)events;
    if (size > 0) { /* whole numbers: each was written at once, and a pipe has room for 8,192 */
        b->count += (size_t)size / sizeof *b->members;
    }
    if (b->count >= b->job->size / (b->job->group == 2 ? 2 : 1) || size == 0) {
        rp_watch_close(watch);
        rp_loop_stop(b->loop);
    }
}

static void on_emptied(rp_group *group, const rp_survivor *survivors, size_t count, void *user)
{
    brood *b = user;

    (void)group;
    b->empty_ns = rp_now_ns();
    b->told = calloc(count + 1, sizeof *b->told);
    b->told_count = b->told == NULL ? 0 : count;
    for (size_t i = 0; i < b->told_count; i++) {
        b->told[i] = survivors[i].id.pid;
    }
    rp_loop_stop(b->loop);
}

static void on_done(rp_process *process, const rp_exit *exit, void *user)
{
    brood *b = user;

    (void)process;
    if (exit->kind == RP_SPAWN_FAILED) {
        rpi_fail(b->sample, "the launch failed: %s in %s", rp_error_name(exit->error), exit->phase);
        rp_loop_stop(b->loop);
    }
}

/* Lets all of them begin to be, and waits until they are; of a bomb until half are. */
static bool start(brood *b)
{
    static const char *const modes[] = {"tree", "scattered", "bomb"};
    const rp_handlers handlers = {.done = on_done};
    rp_command command = RP_COMMAND_INIT;
    char program[RPI_PATH_SIZE];
    char count[24];
    const char *argv[] = {program, modes[b->job->group], count, "4", NULL};
    const rp_fd fd = {.parent = b->line[1], .child = CHILD_LINE};
    rp_watch *watch = NULL;
    int r;

    if (rpi_program_path("rp-bench-brood", program, sizeof program) < 0) {
        rpi_fail(b->sample, "rp-bench-brood is not beside this program");
        return false;
    }
    (void)snprintf(count, sizeof count, "%zu", b->job->size);
    command.argv = argv;
    command.group = b->group;
    command.fds = &fd;
    command.fd_count = 1;
    command.out.kind = RP_STDIO_NULL;
    command.err.kind = RP_STDIO_NULL;
    r = rp_spawn(b->loop, &command, &handlers, b, NULL);
    r = r < 0 ? r : rp_watch_start(b->loop, b->line[0], RP_READABLE, on_line, b, &watch);
    r = r < 0 ? r : rp_loop_run(b->loop);
    if (r < 0 && r != RP_ECANCELED) {
        rpi_fail(b->sample, "the members did not start: %s", rp_error_name(r));
    }
    return b->sample->outcome == RPI_MEASURED;
}

static bool is_alive(int64_t pid)
{
    char path[64];
    char text[512];
    ssize_t size;
    char *state;
    int fd;

    (void)snprintf(path, sizeof path, "/proc/%lld/stat", (long long)pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    size = read(fd, text, sizeof text - 1);
    (void)close(fd);
    text[size < 0 ? 0 : size] = '\0';
    state = strrchr(text, ')');
    return state != NULL && state[2] != 'Z' && state[2] != 'X';
}

static bool was_told(const brood *b, int64_t pid)
{
    for (size_t i = 0; i < b->told_count; i++) {
        if (b->told[i] == pid) {
            return true;
        }
    }
    return false;
}

/* Those of a bomb that came after the half have written, too. */
static void count_alive(brood *b)
{
    double alive = 0;
    double untold = 0;
    ssize_t size = 0;

    do {
        b->count += (size_t)size / sizeof *b->members;
        size =
            read(b->line[0], &b->members[b->count], (b->job->size - b->count) * sizeof *b->members);
    } while (size > 0);
    for (size_t i = 0; i < b->count; i++) {
        if (is_alive(b->members[i])) {
            alive++;
            untold += was_told(b, b->members[i]) ? 0 : 1;
            (void)kill((pid_t)b->members[i], SIGKILL); /* measured: now it may go */
        }
    }
    b->sample->values[KILL_EMPTY] = (double)(b->empty_ns - b->killed_ns) / 1e6;
    b->sample->values[KILL_TOLD] = (double)b->told_count;
    b->sample->values[KILL_ALIVE] = alive;
    b->sample->values[KILL_UNTOLD] = untold;
}

static void measure(brood *b)
{
    int r = 0;

    if (start(b)) {
        b->killed_ns = rp_now_ns();
        r = rp_group_kill(b->group, 10 * RP_SECOND, on_emptied, b);
        while (r >= 0 && b->empty_ns == 0) {
            r = rp_loop_run_once(b->loop, RP_SECOND);
        }
        if (r < 0) {
            rpi_fail(b->sample, "rp_group_kill: %s", rp_error_name(r));
            return;
        }
        count_alive(b);
    }
}

static void run_grade(const rpi_job *job, rpi_sample *sample, rp_grade grade, const char *name)
{
    brood b = {.job = job, .sample = sample, .line = {-1, -1}};
    rp_loop_options options = RP_LOOP_OPTIONS_INIT;
    rp_group_options how = RP_GROUP_OPTIONS_INIT;
    int r;

    if (!rpi_limits_allow(job->size, 16, sample)) {
        return;
    }
    (void)setenv("RP_GRADE", name, 1);
    how.grade_min = grade;
    how.survive_crash = true; /* the guard is not what is measured */
    b.members = calloc(job->size + 1, sizeof *b.members);
    r = rp_loop_open(&options, &b.loop);
    if (b.members == NULL || r < 0 || pipe2(b.line, O_CLOEXEC | O_NONBLOCK) < 0) {
        rpi_fail(sample, "no loop, memory or pipe");
        free(b.members);
        return;
    }
    r = rp_group_open(b.loop, &how, &b.group);
    if (r < 0) {
        rpi_skip(sample, "%s: %s", rp_error_name(r), rp_error_detail());
    } else {
        measure(&b);
    }
    (void)close(b.line[0]);
    (void)close(b.line[1]);
    (void)rp_loop_close(b.loop); /* what is left belongs to a sample that failed */
    free(b.members);
    free(b.told);
}

static void run_kernel(const rpi_job *job, rpi_sample *sample)
{
    run_grade(job, sample, RP_GRADE_KERNEL, "kernel");
}

static void run_scan(const rpi_job *job, rpi_sample *sample)
{
    run_grade(job, sample, RP_GRADE_SCAN, "scan");
}

static void run_group(const rpi_job *job, rpi_sample *sample)
{
    run_grade(job, sample, RP_GRADE_GROUP, "group");
}

static const rpi_subject kill_subjects[] = {
    {.name = "kernel", .run = run_kernel},
    {.name = "scan", .run = run_scan},
    {.name = "group", .run = run_group},
};
static const char *const kill_groups[] = {"tree", "scattered", "bomb"};
static const size_t kill_sizes[] = {100, 1000};

const rpi_case rpi_case_group_kill = {
    .name = "group_kill",
    .question = "a group of so many is killed: from the call to the news that nobody is left; who "
                "is alive then, and who of them was not told",
    .budget = "1,000 at grade kernel: nobody alive, <= 100 ms",
    .size_name = "members",
    .metrics = kill_metrics,
    .metric_count = KILL_METRICS,
    .groups = kill_groups,
    .group_count = 3,
    .sizes = kill_sizes,
    .size_count = sizeof kill_sizes / sizeof kill_sizes[0],
    .reference_size = SIZE_MAX,
    .scale_sizes = true,
    .subjects = kill_subjects,
    .subject_count = sizeof kill_subjects / sizeof kill_subjects[0],
    .baseline = NULL,
};
