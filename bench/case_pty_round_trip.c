/* pty_round_trip: one dialogue on a terminal, a line out and the prompt back, as often as a sample
 * has trips. The comparison is poll, read and write by hand; pexpect and Tcl expect run scripts of
 * their own (bench/peers/) that print what each trip took.
 */
#include <errno.h>
#include <math.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/pty.h"

extern char **environ;

enum {
    MEDIAN,
    P99,
    CPU,
    METRICS,
    TRIPS_FULL = 20000,
    TRIPS_LEAST = 50
};

static const rpi_metric metrics[METRICS] = {
    [MEDIAN] = {"p50", "us", false},
    [P99] = {"p99", "us", false},
    [CPU] = {"cpu", "us/trip", false},
};

/* ---- ours ---- */

static int await_prompt(rp_process *process)
{
    const rp_pattern prompt = {.kind = RP_LITERAL, .text = "> "};
    rp_expect_options options = RP_EXPECT_OPTIONS_INIT;
    rp_match match;

    options.patterns = &prompt;
    options.pattern_count = 1;
    options.timeout_ns = 30 * RP_SECOND;
    return rp_expect_wait(process, &options, &match);
}

static int talk(rpi_pty_dialogue *dialogue, rp_process *process)
{
    int r = await_prompt(process);

    rpi_meter_start(&dialogue->meter);
    for (size_t i = 0; i < dialogue->trips && r == 0; i++) {
        const uint64_t begin_ns = rp_now_ns();

        r = rp_write(process, (rp_view){"x\n", 2}, NULL, NULL);
        r = r < 0 ? r : await_prompt(process);
        dialogue->spans_ns[i] = rp_now_ns() - begin_ns;
    }
    rpi_meter_stop(&dialogue->meter);
    r = r < 0 ? r : rp_write(process, (rp_view){"q\n", 2}, NULL, NULL);
    return r < 0 ? r : rp_wait(process, 30 * RP_SECOND);
}

int rpi_pty_dialogue_ours(rpi_pty_dialogue *dialogue)
{
    rp_loop_options options = RP_LOOP_OPTIONS_INIT;
    rp_command command = RP_COMMAND_INIT;
    rp_process *process = NULL;
    rp_loop *loop = NULL;
    int r;

    options.backend = dialogue->backend;
    command.argv = dialogue->argv;
    command.transport = RP_PTY;
    r = rp_loop_open(&options, &loop);
    if (r < 0) {
        rpi_skip(dialogue->sample, "rp_loop_open: %s: %s", rp_error_name(r), rp_error_detail());
        return -1;
    }
    r = rp_spawn(loop, &command, NULL, NULL, &process);
    r = r < 0 ? r : talk(dialogue, process);
    if (r < 0) {
        rpi_fail(dialogue->sample, "the dialogue broke off: %s: %s", rp_error_name(r),
                 rp_error_detail());
    }
    (void)rp_loop_close(loop); // a child that is left belongs to a sample that failed
    return r < 0 ? -1 : 0;
}

/* ---- programs ---- */

static int start_script(const rpi_pty_dialogue *dialogue,
                        const char *const runner[2],
                        FILE **ret_output,
                        pid_t *ret_pid)
{
    char script[RPI_PATH_SIZE];
    char trips[32];
    char *argv[] = {(char *)(uintptr_t)runner[0], script, (char *)(uintptr_t)dialogue->argv[0],
                    trips, NULL};
    posix_spawn_file_actions_t actions;
    int ends[2];
    int r = rpi_program_path(runner[1], script, sizeof script);

    if (r < 0 || pipe(ends) < 0) {
        return r < 0 ? r : -errno;
    }
    (void)snprintf(trips, sizeof trips, "%zu", dialogue->trips);
    (void)posix_spawn_file_actions_init(&actions);
    (void)posix_spawn_file_actions_addclose(&actions, ends[0]);
    (void)posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    (void)posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", 1, 0);
    r = -posix_spawnp(ret_pid, argv[0], &actions, NULL, argv, environ);
    (void)posix_spawn_file_actions_destroy(&actions);
    (void)close(ends[1]);
    *ret_output = r < 0 ? NULL : fdopen(ends[0], "r");
    if (*ret_output == NULL) {
        (void)close(ends[0]);
    }
    return r;
}

static int dialogue_by_script(rpi_pty_dialogue *dialogue, const char *const runner[2])
{
    FILE *output = NULL;
    pid_t pid = 0;
    size_t count = 0;
    int status = -1;
    int r = start_script(dialogue, runner, &output, &pid);

    if (r < 0 || output == NULL) {
        rpi_skip(dialogue->sample, "%s is not there", runner[0]);
        return -1;
    }
    while (count < dialogue->trips && fscanf(output, "%lu", &dialogue->spans_ns[count]) == 1) {
        count++;
    }
    (void)fclose(output);
    if (waitpid(pid, &status, 0) != pid || status != 0 || count != dialogue->trips) {
        rpi_skip(dialogue->sample, "%s ended with wait status %d, after %zu trips", runner[0],
                 status, count);
        return -1;
    }
    return 0;
}

static int dialogue_pexpect(rpi_pty_dialogue *dialogue)
{
    static const char *const runner[] = {"python3", "pty_round_trip.py"};

    return dialogue_by_script(dialogue, runner);
}

static int dialogue_tcl(rpi_pty_dialogue *dialogue)
{
    static const char *const runner[] = {"expect", "pty_round_trip.exp"};

    return dialogue_by_script(dialogue, runner);
}

/* ---- the case ---- */

static int compare(const void *a, const void *b)
{
    const uint64_t left = *(const uint64_t *)a;
    const uint64_t right = *(const uint64_t *)b;

    return (left > right) - (left < right);
}

static void run(const rpi_job *job, rpi_sample *sample, int (*talker)(rpi_pty_dialogue *))
{
    char program[RPI_PATH_SIZE];
    const char *argv[] = {program, "reply", NULL};
    rpi_pty_dialogue dialogue = {.argv = argv, .backend = job->subject->backend, .sample = sample};

    if (rpi_program_path("rp-bench-typist", program, sizeof program) < 0) {
        rpi_fail(sample, "rp-bench-typist is not beside this program");
        return;
    }
    dialogue.trips = rpi_scaled(job, TRIPS_FULL, TRIPS_LEAST);
    dialogue.spans_ns = calloc(dialogue.trips, sizeof *dialogue.spans_ns);
    if (dialogue.spans_ns == NULL) {
        rpi_fail(sample, "out of memory");
        return;
    }
    rpi_meter_init(&dialogue.meter);
    if (talker(&dialogue) == 0) {
        qsort(dialogue.spans_ns, dialogue.trips, sizeof *dialogue.spans_ns, compare);
        sample->values[MEDIAN] = (double)dialogue.spans_ns[dialogue.trips / 2] / 1e3;
        sample->values[P99] = (double)dialogue.spans_ns[dialogue.trips * 99 / 100] / 1e3;
        sample->values[CPU] = NAN;
        if (dialogue.meter.wall_ns > 0) {
            sample->values[CPU] =
                (dialogue.meter.user_ns + dialogue.meter.system_ns) / 1e3 / (double)dialogue.trips;
        }
    }
    free(dialogue.spans_ns);
}

static void run_ours(const rpi_job *job, rpi_sample *sample)
{
    run(job, sample, rpi_pty_dialogue_ours);
}

static void run_bare(const rpi_job *job, rpi_sample *sample)
{
    run(job, sample, rpi_pty_dialogue_bare);
}

static void run_pexpect(const rpi_job *job, rpi_sample *sample)
{
    run(job, sample, dialogue_pexpect);
}

static void run_tcl(const rpi_job *job, rpi_sample *sample)
{
    run(job, sample, dialogue_tcl);
}

static const rpi_subject subjects[] = {
    {.name = "ours_uring", .run = run_ours, .backend = RP_BACKEND_URING},
    {.name = "ours_epoll", .run = run_ours, .backend = RP_BACKEND_EPOLL},
    {.name = "poll_read", .run = run_bare},
    {.name = "tcl_expect", .run = run_tcl},
    {.name = "pexpect", .run = run_pexpect},
};
static const char *const groups[] = {"prompt"};
static const size_t sizes[] = {1};

const rpi_case rpi_case_pty_round_trip = {
    .name = "pty_round_trip",
    .question = "a line to a program on a terminal, and its next prompt seen",
    .budget = "within 10 % of poll_read",
    .size_name = "dialogue",
    .metrics = metrics,
    .metric_count = METRICS,
    .groups = groups,
    .group_count = 1,
    .sizes = sizes,
    .size_count = 1,
    .reference_size = SIZE_MAX,
    .subjects = subjects,
    .subject_count = sizeof subjects / sizeof subjects[0],
    .baseline = "poll_read",
};
