/* Tests a host that forks while a loop is alive: in the child every call gives RP_EPERM and the
 * close frees memory and nothing else; the parent does not notice. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/check.h"
#include "tests/support/stage.h"

/* The forked child has no Criterion to tell: what is wrong there goes into its exit code. */
#define MUST(condition)                                                                            \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            (void)fprintf(stderr, "line %d: %s\n", __LINE__, #condition);                          \
            _exit(1);                                                                              \
        }                                                                                          \
    } while (0)

static void check_forked(pid_t pid)
{
    int status = -1;

    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_assert_eq(status, 0, "the forked child ended with status %x", (unsigned int)status);
}

static void fail_task(rp_loop *loop, void *user)
{
    (void)loop;
    (void)user;
    _exit(1);
}

static void fail_timer(rp_timer *timer, void *user)
{
    (void)timer;
    (void)user;
    _exit(1);
}

/* Everything that a forked child may call by mistake. */
static void call_loop(rp_loop *loop)
{
    rp_loop_stats stats = {.size = sizeof stats};
    rp_command command = stage_command(CHILD("exit", "0"));
    rp_process *process;
    rp_result result;
    rp_event event;

    MUST(rp_loop_run(loop) == RP_EPERM);
    MUST(rp_loop_run_once(loop, 0) == RP_EPERM);
    MUST(rp_loop_fd(loop) == RP_EPERM);
    MUST(rp_loop_timeout_ns(loop) == RP_FOREVER);
    MUST(rp_loop_processes(loop, NULL, NULL) == RP_EPERM);
    MUST(rp_loop_get_stats(loop, &stats) == RP_EPERM);
    MUST(rp_loop_post(loop, fail_task, NULL) == RP_EPERM);
    MUST(rp_timer_start(loop, 0, 0, fail_timer, NULL, NULL) == RP_EPERM);
    MUST(rp_spawn(loop, &command, NULL, NULL, &process) == RP_EPERM);
    MUST(rp_run_on(loop, &command, &result) == RP_EPERM);
    MUST(rp_next_any(loop, 0, &process, &event) == RP_EPERM);
}

static void call_process(rp_process *process)
{
    rp_identity id;
    rp_chunk chunk;
    rp_event event;
    rp_line line;
    rp_view bytes;

    MUST(rp_write(process, (rp_view){"x", 1}, NULL, NULL) == RP_EPERM);
    MUST(rp_submit(process, (rp_view){"x", 1}) == RP_EPERM);
    MUST(rp_close_stdin(process) == RP_EPERM);
    MUST(rp_pause(process, RP_BOTH) == RP_EPERM);
    MUST(rp_resume(process, RP_BOTH) == RP_EPERM);
    MUST(rp_close_output(process, RP_STDOUT) == RP_EPERM);
    MUST(rp_signal(process, 9, RP_SCOPE_TREE) == RP_EPERM);
    MUST(rp_interrupt(process) == RP_EPERM);
    MUST(rp_terminate(process) == RP_EPERM);
    MUST(rp_kill(process) == RP_EPERM);
    MUST(rp_stop(process, NULL) == RP_EPERM);
    MUST(rp_process_identity(process, &id) == RP_EPERM);
    MUST(rp_process_captured_chunk(process, 0, &chunk) == RP_EPERM);
    MUST(rp_next(process, 0, &event) == RP_EPERM);
    MUST(rp_next_line(process, RP_STDOUT, 0, &line) == RP_EPERM);
    MUST(rp_next_data(process, RP_STDOUT, 0, &bytes) == RP_EPERM);
    MUST(rp_wait(process, 0) == RP_EPERM);
    rp_process_close(process); // does nothing
}

/* In the forked child: tries everything, closes, and looks at what is left. */
static _Noreturn void be_forked(stage *on, rp_process *const *processes, size_t count)
{
    stage_holdings left;

    call_loop(on->loop);
    for (size_t i = 0; i < count; i++) {
        call_process(processes[i]);
    }
    MUST(rp_loop_close(on->loop) == 0);
    left = stage_count();
    MUST(left.descriptors == on->before.descriptors);
    MUST(on->memory.live_blocks == 0);
    _exit(0);
}

BACKEND_TEST(fork, of_the_host_leaves_the_loop_to_the_parent)
{
    rp_loop_options options = {.process_max = 4, .spawn_threads = 1};
    rp_command talker = stage_command(CHILD("flood-forever", "1"));
    rp_command reader = stage_command(CHILD("write", "1", "a\\n", "digest"));
    rp_command sleeper =
        stage_command(CHILD("fork", "ignore", "2", "echo", "ready", "pause", "end", "pause"));
    rp_stop_options slow = {.size = sizeof slow, .grace_ns = 900 * RP_SECOND};
    static char big[300000];
    rp_process *processes[6] = {NULL};
    actor children[4] = {{0}};
    rp_event event;
    stage on;

    stage_open(&on, *backend, &options);
    reader.in.kind = RP_STDIO_PIPE;
    reader.capture_max = RP_UNLIMITED;
    reader.capture_order = true;
    actor_spawn(&on, &children[0], &talker, ACTOR_DATA);
    actor_spawn(&on, &children[1], &reader, ACTOR_LINES);
    actor_spawn(&on, &children[2], &sleeper, ACTOR_LINES);
    cr_assert_eq(rp_spawn(on.loop, &reader, NULL, NULL, &processes[3]), 0);
    stage_run_until(&on, &children[0].counts[ACTOR_GOT_DATA], 1);
    stage_run_until(&on, &children[1].counts[ACTOR_GOT_LINE], 1);
    stage_run_until(&on, &children[2].counts[ACTOR_GOT_LINE], 1); // its child ignores interrupts
    cr_assert_eq(rp_next(processes[3], RP_FOREVER, &event), 1);
    cr_assert_eq(rp_write(children[1].process, (rp_view){big, sizeof big}, NULL, NULL), 0);
    cr_assert_eq(rp_stop(children[2].process, &slow), 0); // its tree is being waited for
    stage_run_until(&on, &children[2].counts[ACTOR_EXITED], 1);
    actor_spawn(&on, &children[3], &reader, ACTOR_LINES); // queued
    for (int i = 0; i < 3; i++) {
        processes[i] = children[i].process;
    }
    processes[4] = children[3].process;

    for (int round = 0; round < 3; round++) {
        pid_t pid = fork();

        cr_assert_geq(pid, 0);
        if (pid == 0) {
            processes[0] = processes[3]; // in pull mode: the others refuse to be pulled first
            be_forked(&on, processes, 1);
        }
        check_forked(pid);
        cr_assert_eq(rp_next(processes[3], 0, &event), RP_ETIMEDOUT);
        cr_assert_geq(rp_loop_run_once(on.loop, 0), 0);
    }
    cr_assert_eq(rp_close_stdin(processes[3]), 0);
    cr_assert_eq(rp_wait(processes[3], RP_FOREVER), 0);
    cr_assert_eq(rp_process_exit(processes[3])->code, 0);
    rp_process_close(processes[3]);
    cr_assert_eq(rp_close_stdin(children[1].process), 0);
    stage_run_until(&on, &children[1].counts[ACTOR_DONE], 1);
    actor_check_code(&children[1], 0);
    cr_assert_eq(children[1].exit.in_bytes, sizeof big);
    actor_close(&children[0]);
    cr_assert_eq(rp_kill(children[2].process), 0);
    cr_assert_eq(rp_close_stdin(children[3].process), 0);
    stage_run(&on);
    actor_check_code(&children[3], 0);
    for (int i = 0; i < 4; i++) {
        actor_free(&children[i]);
    }
    stage_close(&on);
}

/* A forked child that execs or exits without a word is the common case. */
BACKEND_TEST(fork, of_the_host_that_ends_without_a_close_disturbs_nothing)
{
    static actor children[20];
    rp_command command = stage_command(CHILD("flood-both", "200000", "3"));
    stage on;

    stage_open(&on, *backend, NULL);
    for (int i = 0; i < 20; i++) {
        pid_t pid;

        actor_spawn(&on, &children[i], &command, ACTOR_DATA);
        cr_assert_geq(rp_loop_run_once(on.loop, 0), 0);
        pid = fork();
        cr_assert_geq(pid, 0);
        if (pid == 0) {
            _exit(0);
        }
        check_forked(pid);
    }
    stage_run(&on);
    for (int i = 0; i < 20; i++) {
        actor_check_code(&children[i], 0);
        cr_assert_eq(children[i].data[0].size, 200000);
        cr_assert_eq(children[i].data[1].size, 200000);
        actor_free(&children[i]);
    }
    stage_close(&on);
}

/* A forked child may have loops of its own. */
BACKEND_TEST(fork, of_the_host_can_use_the_library_anew)
{
    rp_command command = stage_command(CHILD("echo", "x", "exit", "5"));
    actor child = {0};
    stage on;
    pid_t pid;

    stage_open(&on, *backend, NULL);
    actor_play(&on, &child, &command, ACTOR_LINES);
    actor_free(&child);
    pid = fork();
    cr_assert_geq(pid, 0);
    if (pid == 0) {
        rp_result result;

        MUST(rp_loop_close(on.loop) == 0);
        MUST(rp_run(&command, &result) == 0);
        MUST(result.exit.code == 5);
        MUST(strcmp(result.out.data, "x\n") == 0);
        rp_result_free(&result);
        _exit(0);
    }
    check_forked(pid);
    stage_close(&on);
}

/* At any moment of a launch: what a thread had in its hands is the parent's, and nothing that the
 * child frees is. */
BACKEND_TEST(fork, of_the_host_in_the_middle_of_launches_is_survived_by_both)
{
    enum {
        ROUNDS = 150
    };
    rp_command command = stage_command(CHILD("digest"));
    rp_loop_options options = RP_LOOP_OPTIONS_INIT;

    options.backend = *backend;
    command.input = (rp_view){"some input", 10};
    command.capture_max = RP_UNLIMITED;
    for (int round = 0; round < ROUNDS; round++) {
        rp_loop_stats stats = {.size = sizeof stats};
        rp_loop *loop = NULL;
        pid_t pid;

        cr_assert_eq(rp_loop_open(&options, &loop), 0);
        for (int i = 0; i < 6; i++) {
            cr_assert_eq(rp_spawn(loop, &command, NULL, NULL, NULL), 0);
        }
        for (int turn = 0; turn < round % 6; turn++) {
            cr_assert_geq(rp_loop_run_once(loop, 0), 0);
        }
        pid = fork();
        cr_assert_geq(pid, 0);
        if (pid == 0) {
            MUST(rp_loop_close(loop) == 0);
            _exit(0);
        }
        check_forked(pid);
        cr_assert_eq(rp_loop_run(loop), 0);
        cr_assert_eq(rp_loop_get_stats(loop, &stats), 0);
        cr_assert_eq(stats.exited, 6);
        cr_assert_eq(rp_loop_close(loop), 0);
    }
}

/* ---- watches ---- */

static void fail_idle(rp_process *process, const rp_idle_result *result, void *user)
{
    (void)process;
    (void)result;
    (void)user;
    _exit(1);
}

static void ignore_attention(rp_process *process, const rp_attention_info *info, void *user)
{
    (void)process;
    (void)info;
    (void)user;
}

BACKEND_TEST(fork, frees_watches_and_screens_of_the_parent_silently)
{
    const rp_idle_options measured = {.size = sizeof measured, .metrics = true};
    rp_command command = stage_command(CHILD("pause"));
    rp_attention_info info = {.size = sizeof info};
    rp_screen screen = {.size = sizeof screen};
    rp_attention *attention;
    rp_idle_result result;
    actor child = {0};
    rp_idle *idle;
    stage on;
    pid_t pid;

    stage_open(&on, *backend, NULL);
    command.transport = RP_PTY;
    command.screen = rp_has("screen");
    actor_spawn(&on, &child, &command, ACTOR_DATA);
    stage_run_until(&on, &child.counts[ACTOR_STARTED], 1);
    cr_assert_eq(rp_idle_start(child.process, &measured, fail_idle, NULL, &idle), 0);
    cr_assert_eq(rp_idle_start(child.process, NULL, fail_idle, NULL, NULL), 0);
    cr_assert_eq(rp_attention_start(child.process, NULL, ignore_attention, NULL, &attention), 0);
    cr_assert_eq(rp_attention_start(child.process, NULL, ignore_attention, NULL, NULL), 0);
    pid = fork();
    if (pid == 0) {
        MUST(rp_idle_start(child.process, NULL, fail_idle, NULL, NULL) == RP_EPERM);
        MUST(rp_idle_wait(child.process, NULL, 0, &result) == RP_EPERM);
        MUST(rp_attention_start(child.process, NULL, ignore_attention, NULL, NULL) == RP_EPERM);
        MUST(rp_attention_get(attention, &info) == RP_EPERM);
        MUST(rp_pty_screen(child.process, &screen) == RP_EPERM);
        MUST(rp_pty_wait_settled(child.process, 0, 0, &screen) == RP_EPERM);
        rp_idle_enable(idle, false);
        rp_idle_enable(idle, true);
        rp_idle_close(idle);
        rp_attention_close(attention);
        MUST(rp_loop_close(on.loop) == 0);
        MUST(on.memory.live_blocks == 0);
        _exit(0);
    }
    check_forked(pid);
    cr_assert_eq(rp_attention_get(attention, &info), 0);
    actor_close(&child);
    actor_free(&child);
    stage_close(&on);
}
