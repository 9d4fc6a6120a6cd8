/* Tests stops: single signals, the ladder and each of its steps, whole trees, and what is told of
 * it. Children say by a byte on descriptor 4 that they are ready, so no signal comes too early. */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <string.h>

#include "tests/support/check.h"
#include "tests/support/stage.h"

/* A child whose descriptor 4 tells when it is ready, and by its end when all of its tree is gone;
 * whoever waits on descriptor 3 ends with the test. */
typedef struct target {
    actor actor;
    lifeline ready;
    lifeline hold;
    rp_fd fds[2];
    rp_command command;
} target;

static void target_make(target *self, const char *const *argv)
{
    memset(self, 0, sizeof *self);
    self->ready = lifeline_open();
    self->hold = lifeline_open();
    self->fds[0] = (rp_fd){.parent = self->ready.write, .child = 4};
    self->fds[1] = (rp_fd){.parent = self->hold.read, .child = 3};
    self->command = stage_command(argv);
    self->command.fds = self->fds;
    self->command.fd_count = 2;
}

/* Starts it and waits for `count` ready ones of its tree. */
static void target_start(stage *on, target *self, unsigned int count)
{
    actor_spawn(on, &self->actor, &self->command, ACTOR_DATA | ACTOR_LINES);
    stage_run_until(on, &self->actor.counts[ACTOR_STARTED], 1);
    for (unsigned int i = 0; i < count; i++) {
        lifeline_await_byte(&self->ready);
    }
}

/* Runs to its end; nobody of its tree is left. */
static void target_end(stage *on, target *self)
{
    stage_run_until(on, &self->actor.counts[ACTOR_DONE], 1);
    lifeline_close(&self->hold);
    lifeline_await_end(&self->ready);
    actor_free(&self->actor);
}

static void check_stop(
    const actor *child, int code, rp_stop_reason reason, rp_stop_reason step, uint32_t interrupts)
{
    cr_assert_eq(child->exit.code, code, "code %d", child->exit.code);
    cr_assert_eq(child->exit.reason, reason, "reason %d", (int)child->exit.reason);
    cr_assert_eq(child->exit.step, step, "step %d", (int)child->exit.step);
    cr_assert_eq(child->exit.interrupts, interrupts, "%u interrupts", child->exit.interrupts);
    cr_assert_eq(child->exit.survivors, 0);
}

/* A ladder that is quick where a test must wait for a step, and slow where it must not come. */
static rp_stop_options ladder_with(uint64_t grace_ns)
{
    rp_stop_options ladder = {.size = sizeof ladder, .grace_ns = grace_ns};

    return ladder;
}

#define SOON_NS (20 * RP_MILLISECOND)
#define LATE_NS (1000 * RP_SECOND)

/* ---- single signals -------------------------------------------------------------------- */

BACKEND_TEST(stop, interrupts_and_terminates_by_one_signal)
{
    target child;
    stage on;

    stage_open(&on, *backend, NULL);
    target_make(&child, CHILD("write", "4", "r", "pause"));
    target_start(&on, &child, 1);
    cr_assert_eq(rp_interrupt(child.actor.process), 0);
    stage_run_until(&on, &child.actor.counts[ACTOR_DONE], 1);
    check_stop(&child.actor, -SIGINT, RP_STOP_INTERRUPT, RP_STOP_INTERRUPT, 1);
    cr_assert(child.actor.exit.interrupted);
    target_end(&on, &child);

    target_make(&child, CHILD("write", "4", "r", "pause"));
    target_start(&on, &child, 1);
    cr_assert_eq(rp_terminate(child.actor.process), 0);
    stage_run_until(&on, &child.actor.counts[ACTOR_DONE], 1);
    check_stop(&child.actor, -SIGTERM, RP_STOP_TERMINATE, RP_STOP_TERMINATE, 0);
    target_end(&on, &child);
    stage_close(&on);
}

BACKEND_TEST(stop, sends_any_signal_which_is_no_stop)
{
    target child;
    stage on;

    stage_open(&on, *backend, NULL);
    target_make(&child, CHILD("announce", "10", "usr1\\n", "write", "4", "r", "wait", "0"));
    child.command.in.kind = RP_STDIO_PIPE;
    target_start(&on, &child, 1);
    cr_assert_eq(rp_signal(child.actor.process, SIGUSR1, RP_SCOPE_LEADER), 0);
    stage_run_until(&on, &child.actor.counts[ACTOR_GOT_DATA], 1);
    cr_assert_eq(rp_signal(child.actor.process, SIGUSR1, RP_SCOPE_TREE), 0);
    stage_run_until(&on, &child.actor.counts[ACTOR_GOT_DATA], 2);
    cr_assert_eq(rp_signal(child.actor.process, 65, RP_SCOPE_TREE), RP_EINVAL);
    cr_assert_eq(rp_signal(child.actor.process, -1, RP_SCOPE_TREE), RP_EINVAL);
    cr_assert_eq(rp_signal(child.actor.process, 9, (rp_scope)9), RP_EINVAL);
    cr_assert_eq(rp_signal(child.actor.process, 9, RP_SCOPE_FOREGROUND), RP_EUNSUPPORTED);
    cr_assert_eq(rp_close_stdin(child.actor.process), 0);
    stage_run_until(&on, &child.actor.counts[ACTOR_DONE], 1);
    actor_check_code(&child.actor, 0);
    target_end(&on, &child);
    stage_close(&on);
}

BACKEND_TEST(stop, reaches_the_whole_group_or_the_leader_alone)
{
    target child;
    stage on;

    stage_open(&on, *backend, NULL);
    target_make(&child, CHILD("fork", "write", "4", "r", "wait", "3", "write", "4", "x", "end",
                              "write", "4", "r", "pause"));
    target_start(&on, &child, 2);
    cr_assert_eq(rp_signal(child.actor.process, SIGKILL, RP_SCOPE_LEADER), 0);
    stage_run_until(&on, &child.actor.counts[ACTOR_DONE], 1);
    cr_assert_eq(child.actor.exit.code, -9);
    cr_assert_eq(child.actor.exit.reason, RP_STOP_NONE);
    cr_assert_geq(child.actor.exit.holders, 1);
    cr_assert(lifeline_is_silent(&child.ready));
    lifeline_tell(&child.hold);
    lifeline_await_byte(&child.ready); // the grandchild was spared
    target_end(&on, &child);

    target_make(&child,
                CHILD("fork", "write", "4", "r", "pause", "end", "write", "4", "r", "pause"));
    target_start(&on, &child, 2);
    cr_assert_eq(rp_signal(child.actor.process, SIGTERM, RP_SCOPE_TREE), 0);
    stage_run_until(&on, &child.actor.counts[ACTOR_DONE], 1);
    cr_assert_eq(child.actor.exit.code, -15);
    target_end(&on, &child); // nobody was
    stage_close(&on);
}

/* ---- the ladder --------------------------------------------------------------------------- */

typedef struct rung {
    const char *const *argv;
    bool no_second;
    bool no_interrupt;
    uint64_t grace_ns;
    uint64_t terminate_ns;
    int code;
    rp_stop_reason last;
    uint32_t interrupts;
} rung;

BACKEND_TEST(stop, climbs_the_ladder_as_far_as_it_must)
{
    const rung rungs[] = {
        {CHILD("write", "4", "r", "pause"), false, false, LATE_NS, 0, -2, RP_STOP_INTERRUPT, 1},
        {CHILD("ignore-first", "2", "1", "write", "4", "r", "pause"), false, false, 3 * RP_SECOND,
         0, -2, RP_STOP_INTERRUPT, 2},
        {CHILD("ignore-first", "2", "2", "write", "4", "r", "pause"), false, false, SOON_NS, 0, -9,
         RP_STOP_KILL, 2},
        {CHILD("ignore", "2", "write", "4", "r", "pause"), false, false, SOON_NS, LATE_NS, -15,
         RP_STOP_TERMINATE, 2},
        {CHILD("ignore", "2", "write", "4", "r", "pause"), true, false, SOON_NS, LATE_NS, -15,
         RP_STOP_TERMINATE, 1},
        {CHILD("ignore", "2", "write", "4", "r", "pause"), true, false, SOON_NS, 0, -9,
         RP_STOP_KILL, 1},
        {CHILD("ignore", "2", "ignore", "15", "write", "4", "r", "pause"), false, false, SOON_NS,
         SOON_NS, -9, RP_STOP_KILL, 2},
        {CHILD("ignore", "15", "write", "4", "r", "pause"), false, true, LATE_NS, SOON_NS, -9,
         RP_STOP_KILL, 0},
        {CHILD("write", "4", "r", "pause"), false, true, LATE_NS, LATE_NS, -15, RP_STOP_TERMINATE,
         0},
    };
    stage on;

    stage_open(&on, *backend, NULL);
    for (size_t i = 0; i < sizeof rungs / sizeof *rungs; i++) {
        rp_stop_options ladder = ladder_with(rungs[i].grace_ns);
        target child;

        ladder.no_second_interrupt = rungs[i].no_second;
        ladder.no_interrupt = rungs[i].no_interrupt;
        ladder.terminate_ns = rungs[i].terminate_ns;
        target_make(&child, rungs[i].argv);
        target_start(&on, &child, 1);
        cr_assert_eq(rp_stop(child.actor.process, &ladder), 0);
        stage_run_until(&on, &child.actor.counts[ACTOR_DONE], 1);
        check_stop(&child.actor, rungs[i].code, rungs[i].last, rungs[i].last, rungs[i].interrupts);
        target_end(&on, &child);
    }
    stage_close(&on);
}

BACKEND_TEST(stop, takes_another_signal_to_terminate)
{
    rp_stop_options ladder = ladder_with(0);
    target child;
    stage on;

    stage_open(&on, *backend, NULL);
    ladder.no_interrupt = true;
    ladder.terminate_signal = SIGHUP;
    target_make(&child, CHILD("write", "4", "r", "pause"));
    target_start(&on, &child, 1);
    cr_assert_eq(rp_stop(child.actor.process, &ladder), 0);
    stage_run_until(&on, &child.actor.counts[ACTOR_DONE], 1);
    check_stop(&child.actor, -SIGHUP, RP_STOP_TERMINATE, RP_STOP_TERMINATE, 0);
    target_end(&on, &child);
    stage_close(&on);
}

BACKEND_TEST(stop, is_overtaken_by_a_stronger_one_only)
{
    rp_stop_options slow = ladder_with(LATE_NS);
    target child;
    stage on;

    stage_open(&on, *backend, NULL);
    target_make(&child, CHILD("ignore", "2", "ignore", "15", "write", "4", "r", "pause"));
    target_start(&on, &child, 1);
    cr_assert_eq(rp_stop(child.actor.process, &slow), 0);
    slow.no_interrupt = true;
    slow.terminate_ns = LATE_NS;
    cr_assert_eq(rp_stop(child.actor.process, &slow), 0);
    slow.no_interrupt = false;
    cr_assert_eq(rp_stop(child.actor.process, &slow), 0, "a weaker one changes nothing");
    cr_assert_eq(rp_kill(child.actor.process), 0);
    cr_assert_eq(rp_kill(child.actor.process), 0);
    stage_run_until(&on, &child.actor.counts[ACTOR_DONE], 1);
    check_stop(&child.actor, -9, RP_STOP_KILL, RP_STOP_KILL, 1);
    target_end(&on, &child);
    stage_close(&on);
}

/* Each interrupt of a user's is sent and counted while a ladder is under way. */
BACKEND_TEST(stop, counts_every_interrupt)
{
    rp_stop_options slow = ladder_with(LATE_NS);
    target child;
    stage on;

    stage_open(&on, *backend, NULL);
    target_make(&child, CHILD("ignore-first", "2", "2", "write", "4", "r", "pause"));
    target_start(&on, &child, 1);
    cr_assert_eq(rp_interrupt(child.actor.process), 0);
    stage_run_until_blocked(&on, rp_process_pid(child.actor.process));
    cr_assert_eq(rp_stop(child.actor.process, &slow), 0);
    stage_run_until_blocked(&on, rp_process_pid(child.actor.process));
    cr_assert_eq(rp_interrupt(child.actor.process), 0);
    stage_run_until(&on, &child.actor.counts[ACTOR_DONE], 1);
    check_stop(&child.actor, -2, RP_STOP_INTERRUPT, RP_STOP_INTERRUPT, 3);
    target_end(&on, &child);
    stage_close(&on);
}

/* ---- trees --------------------------------------------------------------------------------- */

BACKEND_TEST(stop, kills_grandchildren_that_ignore_everything_else)
{
    target child;
    stage on;

    stage_open(&on, *backend, NULL);
    target_make(&child, CHILD("ignore", "2", "ignore", "15", "tree", "3", "4", "4", "pause"));
    target_start(&on, &child, 4 + 16 + 64);
    cr_assert_eq(rp_kill(child.actor.process), 0);
    stage_run_until(&on, &child.actor.counts[ACTOR_DONE], 1);
    check_stop(&child.actor, -9, RP_STOP_KILL, RP_STOP_KILL, 0);
    target_end(&on, &child);
    stage_close(&on);
}

/* The leader goes at the first step, its tree only at the last: done waits for the tree. */
BACKEND_TEST(stop, waits_at_each_step_for_the_whole_tree)
{
    rp_stop_options ladder = ladder_with(500 * RP_MILLISECOND);
    target child;
    stage on;

    ladder.terminate_ns = SOON_NS;
    stage_open(&on, *backend, NULL);
    target_make(&child, CHILD("fork", "ignore", "2", "ignore", "15", "tree", "1", "100", "4",
                              "write", "4", "r", "pause", "end", "pause"));
    target_start(&on, &child, 101);
    cr_assert_eq(rp_stop(child.actor.process, &ladder), 0);
    stage_run_until(&on, &child.actor.counts[ACTOR_DONE], 1);
    cr_assert_eq(child.actor.exit.code, -2, "the leader went at once");
    cr_assert_eq(child.actor.exit.step, RP_STOP_KILL);
    cr_assert_eq(child.actor.exit.survivors, 0);
    target_end(&on, &child);
    stage_close(&on);
}

BACKEND_TEST(stop, reaches_what_an_exited_leader_has_left)
{
    target child;
    stage on;

    stage_open(&on, *backend, NULL);
    target_make(&child, CHILD("fork", "write", "4", "r", "pause", "end", "exit", "3"));
    child.command.drain = RP_DRAIN_TO_EOF; // else done would not wait
    target_start(&on, &child, 1);
    stage_run_until(&on, &child.actor.counts[ACTOR_EXITED], 1);
    cr_assert_eq(rp_kill(child.actor.process), 0);
    stage_run_until(&on, &child.actor.counts[ACTOR_DONE], 1);
    cr_assert_eq(child.actor.exit.code, 3);
    cr_assert_eq(child.actor.exit.survivors, 0);
    target_end(&on, &child);
    stage_close(&on);
}

/* Somebody who left the group keeps the pipe: a kill is bounded all the same. */
BACKEND_TEST(stop, ends_although_one_who_left_holds_the_pipe)
{
    rp_stop_options ladder = {.size = sizeof ladder, .no_interrupt = true, .kill_ns = SOON_NS};
    target child;
    stage on;

    stage_open(&on, *backend, NULL);
    target_make(&child, CHILD("fork", "setsid", "write", "4", "r", "wait", "3", "end", "pause"));
    child.command.drain = RP_DRAIN_TO_EOF;
    target_start(&on, &child, 1);
    cr_assert_eq(rp_stop(child.actor.process, &ladder), 0);
    stage_run_until(&on, &child.actor.counts[ACTOR_EXITED], 1);
    cr_assert_eq(rp_kill(child.actor.process), 0);
    stage_run_until(&on, &child.actor.counts[ACTOR_DONE], 1);
    cr_assert_geq(child.actor.exit.holders, 1);
    target_end(&on, &child);
    stage_close(&on);
}

/* Where the system lets nothing be killed, done comes all the same and says so. */
BACKEND_TEST(stop, gives_up_on_what_cannot_be_killed)
{
    rp_stop_options ladder = {
        .size = sizeof ladder, .no_interrupt = true, .terminate_ns = 1, .kill_ns = 1};
    target child;
    stage on;

    stage_open(&on, *backend, NULL);
    target_make(&child, CHILD("write", "4", "r", "pause"));
    child.actor.stays = true;
    target_start(&on, &child, 1);
    rpi_fault_os_start();
    rpi_fault_os_fail("kill", RPI_FAULT_EVERY, EPERM);
    rpi_fault_os_fail("pidfd_send_signal", RPI_FAULT_EVERY, EPERM);
    cr_assert_eq(rp_stop(child.actor.process, &ladder), RP_EPERM);
    stage_run_until(&on, &child.actor.counts[ACTOR_DONE], 1);
    rpi_fault_os_stop();
    cr_assert_eq(child.actor.exit.survivors, 1);
    cr_assert_eq(child.actor.exit.kind, RP_LOST);
    cr_assert_eq(child.actor.exit.code, RP_ELOST);
    cr_assert_eq(stage_stats(&on).live, 1, "it is there still");
    cr_assert_eq(rp_kill(child.actor.process), 0, "after done a stop does nothing");
    actor_close(&child.actor); // which kills once more
    while (stage_stats(&on).live > 0) {
        cr_assert_geq(rp_loop_run_once(on.loop, 10 * RP_SECOND), 0);
    }
    target_end(&on, &child);
    stage_close(&on);
}

/* ---- before and after ------------------------------------------------------------------------ */

typedef int stop_fn(rp_process *process);

static int stop_by_default(rp_process *process)
{
    return rp_stop(process, NULL);
}

BACKEND_TEST(stop, before_the_start_cancels_the_launch)
{
    static stop_fn *const stops[] = {rp_interrupt, rp_terminate, rp_kill, stop_by_default};
    stage on;

    stage_open(&on, *backend, NULL);
    for (size_t i = 0; i < sizeof stops / sizeof *stops; i++) {
        rp_command command = stage_command(CHILD("pause"));
        actor child = {0};

        actor_spawn(&on, &child, &command, 0);
        cr_assert_eq(stops[i](child.process), 0);
        cr_assert_eq(child.counts[ACTOR_DONE], 0);
        stage_run(&on);
        cr_assert_eq(child.exit.kind, RP_SPAWN_FAILED);
        cr_assert_eq(child.exit.error, RP_ECANCELED);
        cr_assert_eq(child.exit.code, 126);
        cr_assert_eq(child.counts[ACTOR_STARTED], 0);
    }
    cr_assert_eq(stage_stats(&on).spawned, 0);
    stage_close(&on);
}

/* While a spawner thread has the launch in its hands: whenever the stop comes, the launch is
 * cancelled, or it was started before. */
BACKEND_TEST(stop, during_the_launch_cancels_it_too)
{
    enum {
        COUNT = 60
    };
    static actor children[COUNT];
    stage on;

    stage_open(&on, *backend, NULL);
    for (int i = 0; i < COUNT; i++) {
        rp_command command = stage_command(CHILD("pause"));

        actor_spawn(&on, &children[i], &command, 0);
    }
    cr_assert_geq(rp_loop_run_once(on.loop, 0), 0); // hands them to the threads
    for (int i = 0; i < COUNT; i++) {
        bool started = children[i].counts[ACTOR_STARTED] > 0;

        cr_assert_eq(rp_kill(children[i].process), 0);
        children[i].context = started ? &on : NULL;
    }
    stage_run(&on);
    for (int i = 0; i < COUNT; i++) {
        bool started = children[i].context != NULL;

        cr_assert_eq(children[i].counts[ACTOR_STARTED], started ? 1 : 0);
        cr_assert_eq(children[i].counts[ACTOR_DONE], 1);
        cr_assert_eq(children[i].exit.kind, started ? RP_SIGNALED : RP_SPAWN_FAILED);
        cr_assert_eq(children[i].exit.error, started ? 0 : RP_ECANCELED);
        actor_free(&children[i]);
    }
    stage_close(&on);
}

BACKEND_TEST(stop, after_the_end_does_nothing)
{
    rp_command command = stage_command(CHILD("exit", "0"));
    rp_stop_options bad = {.size = sizeof bad, .terminate_signal = 99};
    actor child = {.stays = true};
    stage on;

    stage_open(&on, *backend, NULL);
    actor_play(&on, &child, &command, 0);
    cr_assert_eq(rp_interrupt(child.process), 0);
    cr_assert_eq(rp_terminate(child.process), 0);
    cr_assert_eq(rp_kill(child.process), 0);
    cr_assert_eq(rp_stop(child.process, NULL), 0);
    cr_assert_eq(rp_stop(child.process, &bad), RP_EINVAL);
    bad.size = 0;
    cr_assert_eq(rp_stop(child.process, &bad), RP_EINVAL);
    cr_assert_eq(rp_process_exit(child.process)->reason, RP_STOP_NONE);
    actor_close(&child);
    stage_close(&on);
}

BACKEND_TEST(stop, of_many_at_once_leaves_nobody)
{
    enum {
        COUNT = 100
    };
    static target children[COUNT];
    stage on;

    stage_open(&on, *backend, NULL);
    for (int i = 0; i < COUNT; i++) {
        target_make(&children[i], CHILD("fork", "write", "4", "r", "pause", "end", "pause"));
        target_start(&on, &children[i], 1);
    }
    for (int i = 0; i < COUNT; i++) {
        cr_assert_eq(rp_kill(children[i].actor.process), 0);
    }
    stage_run(&on);
    for (int i = 0; i < COUNT; i++) {
        check_stop(&children[i].actor, -9, RP_STOP_KILL, RP_STOP_KILL, 0);
        target_end(&on, &children[i]);
    }
    stage_close(&on);
}
