/* Tests closes: of a process in every state and from inside every callback, with its child killed
 * or let go, and of a loop with whatever is left in it. */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/check.h"
#include "tests/support/stage.h"

#define LATE_NS (900 * RP_SECOND)

/* A child whose tree's end is seen by descriptor 4, and that waits on descriptor 3. */
typedef struct tied {
    actor actor;
    lifeline hold;
    lifeline gone;
    rp_fd fds[2];
    rp_command command;
} tied;

static void tie(tied *self, const char *const *argv)
{
    memset(self, 0, sizeof *self);
    self->hold = lifeline_open();
    self->gone = lifeline_open();
    self->fds[0] = (rp_fd){.parent = self->hold.read, .child = 3};
    self->fds[1] = (rp_fd){.parent = self->gone.write, .child = 4};
    self->command = stage_command(argv);
    self->command.fds = self->fds;
    self->command.fd_count = 2;
    self->command.in.kind = RP_STDIO_PIPE;
}

/* The tree is gone although nobody let it go. */
static void tied_check_gone(tied *self)
{
    lifeline_await_end(&self->gone);
    lifeline_close(&self->hold);
    actor_free(&self->actor);
}

/* The child lives: it answers. */
static void tied_check_alive(tied *self)
{
    lifeline_tell(&self->hold);
    lifeline_await_byte(&self->gone);
    lifeline_await_end(&self->gone);
    lifeline_close(&self->hold);
    actor_free(&self->actor);
}

/* ---- in every state -------------------------------------------------------------------- */

BACKEND_TEST(close, before_the_launch_starts_nothing)
{
    tied child;
    stage on;

    stage_open(&on, *backend, NULL);
    tie(&child, CHILD("wait", "3"));
    actor_spawn(&on, &child.actor, &child.command, ACTOR_DATA);
    cr_assert_eq(rp_write(child.actor.process, (rp_view){"x", 1}, NULL, NULL), 0);
    actor_close(&child.actor);
    stage_run(&on);
    cr_assert_eq(stage_stats(&on).spawned, 0);
    cr_assert_eq(child.actor.counts[ACTOR_DONE], 0);
    tied_check_gone(&child);
    rp_process_close(NULL);
    stage_close(&on);
}

BACKEND_TEST(close, during_the_launch_ends_what_comes_of_it)
{
    enum {
        COUNT = 40
    };
    static tied children[COUNT];
    stage on;

    stage_open(&on, *backend, NULL);
    for (int i = 0; i < COUNT; i++) {
        tie(&children[i], CHILD("wait", "3"));
        actor_spawn(&on, &children[i].actor, &children[i].command, ACTOR_DATA);
    }
    cr_assert_geq(rp_loop_run_once(on.loop, 0), 0);
    for (int i = 0; i < COUNT; i++) {
        actor_close(&children[i].actor);
    }
    stage_run(&on);
    cr_assert_eq(stage_stats(&on).live, 0);
    for (int i = 0; i < COUNT; i++) {
        cr_assert_eq(children[i].actor.counts[ACTOR_DONE], 0);
        tied_check_gone(&children[i]);
    }
    stage_close(&on);
}

BACKEND_TEST(close, while_it_runs_kills_its_tree_silently)
{
    tied child;
    stage on;

    stage_open(&on, *backend, NULL);
    tie(&child, CHILD("fork", "ignore", "15", "wait", "3", "end", "flood-forever", "1"));
    actor_spawn(&on, &child.actor, &child.command, ACTOR_DATA);
    stage_run_until(&on, &child.actor.counts[ACTOR_GOT_DATA], 1);
    actor_close(&child.actor);
    stage_run(&on);
    tied_check_gone(&child);
    stage_close(&on);
}

BACKEND_TEST(close, after_the_exit_kills_what_is_left_of_the_tree)
{
    tied child;
    stage on;

    stage_open(&on, *backend, NULL);
    tie(&child, CHILD("fork", "wait", "3", "end", "exit", "0"));
    child.command.drain = RP_DRAIN_TO_EOF;
    actor_spawn(&on, &child.actor, &child.command, ACTOR_DATA);
    stage_run_until(&on, &child.actor.counts[ACTOR_EXITED], 1);
    actor_close(&child.actor);
    stage_run(&on);
    tied_check_gone(&child);
    stage_close(&on);
}

BACKEND_TEST(close, during_a_stop_ends_the_stop)
{
    rp_stop_options ladder = {.size = sizeof ladder, .grace_ns = LATE_NS};
    tied child;
    stage on;

    stage_open(&on, *backend, NULL);
    tie(&child, CHILD("fork", "ignore", "2", "write", "4", "r", "wait", "3", "end", "pause"));
    actor_spawn(&on, &child.actor, &child.command, ACTOR_DATA);
    stage_run_until(&on, &child.actor.counts[ACTOR_STARTED], 1);
    lifeline_await_byte(&child.gone);
    cr_assert_eq(rp_stop(child.actor.process, &ladder), 0);
    stage_run_until(&on, &child.actor.counts[ACTOR_EXITED], 1);
    for (int i = 0; i < 10; i++) { // the leader is gone, its tree is waited for
        cr_assert_geq(rp_loop_run_once(on.loop, 0), 0);
    }
    cr_assert_eq(child.actor.counts[ACTOR_DONE], 0);
    actor_close(&child.actor);
    stage_run(&on);
    tied_check_gone(&child);
    stage_close(&on);
}

BACKEND_TEST(close, with_input_under_way_drops_it)
{
    static char bytes[1 << 20];
    tied child;
    stage on;

    stage_open(&on, *backend, NULL);
    tie(&child, CHILD("wait", "3"));
    actor_spawn(&on, &child.actor, &child.command, ACTOR_DATA);
    cr_assert_eq(rp_write(child.actor.process, (rp_view){bytes, sizeof bytes}, NULL, NULL), 0);
    stage_run_until(&on, &child.actor.counts[ACTOR_STARTED], 1);
    stage_run_until_blocked(&on, rp_process_pid(child.actor.process));
    actor_close(&child.actor);
    stage_run(&on);
    tied_check_gone(&child);
    stage_close(&on);
}

/* ---- from inside every callback ----------------------------------------------------------- */

static void close_at(actor *self, actor_event event, rp_stream stream)
{
    (void)stream;
    if (event == *(const actor_event *)self->context) {
        actor_close(self);
    }
}

/* The views of a callback live until it returns, even if it closes the handle. */
static void close_and_look(rp_process *process, rp_stream stream, rp_view bytes, void *user)
{
    (void)stream;
    (void)user;
    rp_process_close(process);
    cr_assert_eq(memcmp(bytes.data, "abc\n", 4), 0);
}

static void
close_line_and_look(rp_process *process, rp_stream stream, const rp_line *line, void *user)
{
    (void)stream;
    (void)user;
    rp_process_close(process);
    cr_assert_eq(memcmp(line->text.data, "abc", 3), 0);
}

BACKEND_TEST(close, from_inside_each_callback_is_the_last_of_them)
{
    stage on;

    stage_open(&on, *backend, NULL);
    for (int event = ACTOR_STARTED; event <= ACTOR_DONE; event++) {
        for (int drain = RP_DRAIN_ON_EXIT; drain <= RP_DRAIN_TO_EOF; drain++) {
            const actor_event at = (actor_event)event;
            tied child;

            tie(&child, CHILD("fork", "wait", "3", "end", "lines", "1", "100", "lines", "2", "100",
                              "close", "2", "exit", "1"));
            child.command.drain = at == ACTOR_DONE ? RP_DRAIN_ON_EXIT : (rp_drain)drain;
            child.command.capture_max = RP_UNLIMITED;
            child.actor.hook = close_at;
            child.actor.context = (void *)(uintptr_t)&at;
            actor_spawn(&on, &child.actor, &child.command, ACTOR_DATA | ACTOR_LINES);
            if (at == ACTOR_EOS && drain == RP_DRAIN_TO_EOF) {
                lifeline_close_write(&child.hold); // its end would not come otherwise
            }
            stage_run(&on);
            cr_assert_null(child.actor.process);
            cr_assert_eq(child.actor.counts[event], 1);
            lifeline_close_write(&child.hold);
            tied_check_gone(&child);
        }
    }
    stage_close(&on);
}

BACKEND_TEST(close, leaves_the_views_of_its_callback_alone)
{
    static const rp_handlers by_data = {.data = close_and_look};
    static const rp_handlers by_line = {.line = close_line_and_look};
    rp_loop_options options = {.memory_max = 4096, .ring_size = 4096};
    rp_command command = stage_command(CHILD("write", "1", "abc\\n", "pause"));
    stage on;

    for (int budget = 0; budget < 2; budget++) {
        stage_open(&on, *backend, budget == 0 ? NULL : &options);
        cr_assert_eq(rp_spawn(on.loop, &command, &by_data, NULL, NULL), 0);
        stage_run(&on);
        cr_assert_eq(rp_spawn(on.loop, &command, &by_line, NULL, NULL), 0);
        stage_run(&on);
        stage_close(&on);
    }
}

static void close_the_other(actor *self, actor_event event, rp_stream stream)
{
    actor *other = self->context;

    (void)stream;
    if (event == ACTOR_GOT_DATA && other->process != NULL) {
        actor_close(other);
    }
}

BACKEND_TEST(close, of_another_process_from_inside_a_callback)
{
    rp_command command = stage_command(CHILD("flood-forever", "1"));
    actor pair[2] = {{.hook = close_the_other}, {.hook = close_the_other}};
    stage on;

    pair[0].context = &pair[1];
    pair[1].context = &pair[0];
    stage_open(&on, *backend, NULL);
    actor_spawn(&on, &pair[0], &command, ACTOR_DATA);
    actor_spawn(&on, &pair[1], &command, ACTOR_DATA);
    while (pair[0].process != NULL && pair[1].process != NULL) {
        cr_assert_geq(rp_loop_run_once(on.loop, 10 * RP_SECOND), 0);
    }
    actor_close(pair[0].process != NULL ? &pair[0] : &pair[1]);
    stage_run(&on);
    actor_free(&pair[0]);
    actor_free(&pair[1]);
    stage_close(&on);
}

/* ---- let go -------------------------------------------------------------------------------- */

BACKEND_TEST(close, lets_a_child_go_that_is_detached)
{
    rp_loop_options options = {.memory_max = 1 << 20};
    tied child;
    stage on;

    stage_open(&on, *backend, &options);
    tie(&child, CHILD("write", "1", "x", "wait", "3", "write", "4", "y"));
    child.command.on_close = RP_ON_CLOSE_DETACH;
    child.command.timeout_ns = 2 * RP_SECOND; // is dropped with the rest
    actor_spawn(&on, &child.actor, &child.command, ACTOR_DATA);
    stage_run_until(&on, &child.actor.counts[ACTOR_GOT_DATA], 1);
    actor_close(&child.actor);
    stage_run(&on); // does not wait for it
    cr_assert_eq(stage_stats(&on).live, 1);
    cr_assert_geq(rp_loop_run_once(on.loop, 2500 * RP_MILLISECOND), 0);
    cr_assert_eq(stage_stats(&on).memory_bytes, 0);
    cr_assert(lifeline_is_silent(&child.gone), "it was ended by its time-out");
    tied_check_alive(&child);
    while (stage_stats(&on).live > 0) { // the loop still reaps it
        cr_assert_geq(rp_loop_run_once(on.loop, 10 * RP_SECOND), 0);
    }
    stage_close(&on);
}

BACKEND_TEST(close, lets_a_child_go_that_is_not_yet_launched)
{
    tied child;
    stage on;

    stage_open(&on, *backend, NULL);
    tie(&child, CHILD("write", "4", "r", "wait", "3", "write", "4", "y"));
    child.command.on_close = RP_ON_CLOSE_DETACH;
    actor_spawn(&on, &child.actor, &child.command, ACTOR_DATA);
    actor_close(&child.actor);
    stage_run(&on); // launches it, and waits no longer
    cr_assert_eq(stage_stats(&on).spawned, 1);
    lifeline_await_byte(&child.gone);
    tied_check_alive(&child);
    while (stage_stats(&on).live > 0) {
        cr_assert_geq(rp_loop_run_once(on.loop, 10 * RP_SECOND), 0);
    }
    stage_close(&on);
}

BACKEND_TEST(close, spares_what_a_detached_child_has_left_behind)
{
    tied child;
    stage on;

    stage_open(&on, *backend, NULL);
    tie(&child, CHILD("fork", "wait", "3", "write", "4", "y", "end", "exit", "0"));
    child.command.on_close = RP_ON_CLOSE_DETACH;
    child.command.drain = RP_DRAIN_TO_EOF;
    actor_spawn(&on, &child.actor, &child.command, ACTOR_DATA);
    stage_run_until(&on, &child.actor.counts[ACTOR_EXITED], 1);
    actor_close(&child.actor);
    stage_run(&on);
    tied_check_alive(&child);
    stage_close(&on);
}

/* Ends the orphans of a loop that was closed: they are the test's children all the same. */
static void reap_orphan(void)
{
    siginfo_t info;

    cr_assert_eq(waitid(P_ALL, 0, &info, WEXITED), 0);
}

BACKEND_TEST(close, of_a_loop_lets_detached_children_go_too)
{
    rp_loop_options options = {.process_max = 1};
    tied running;
    tied waiting;
    stage on;

    stage_open(&on, *backend, &options);
    tie(&running, CHILD("write", "4", "r", "wait", "3", "write", "4", "y"));
    running.command.on_close = RP_ON_CLOSE_DETACH;
    tie(&waiting, CHILD("write", "4", "r", "wait", "3", "write", "4", "y"));
    waiting.command.on_close = RP_ON_CLOSE_DETACH;
    actor_spawn(&on, &running.actor, &running.command, ACTOR_DATA);
    stage_run_until(&on, &running.actor.counts[ACTOR_STARTED], 1);
    lifeline_await_byte(&running.gone);
    actor_spawn(&on, &waiting.actor, &waiting.command, ACTOR_DATA); // behind process_max
    cr_assert_eq(rp_loop_close(on.loop), 0);
    cr_assert_eq(on.memory.live_blocks, 0);
    lifeline_await_byte(&waiting.gone); // it was launched, as a close of a detached one promises
    lifeline_close_write(&running.gone);
    lifeline_close_write(&waiting.gone);
    lifeline_tell(&running.hold);
    lifeline_tell(&waiting.hold);
    reap_orphan();
    reap_orphan();
    lifeline_close(&running.hold);
    lifeline_close(&waiting.hold);
    lifeline_close_read(&running.gone);
    lifeline_close_read(&waiting.gone);
    stage_check(&on.before);
}

/* ---- by itself ------------------------------------------------------------------------------- */

static unsigned int ended;

static void count_done(rp_process *process, const rp_exit *exit, void *user)
{
    (void)process;
    (void)user;
    ended++;
    cr_assert_eq(exit->code, 4);
}

BACKEND_TEST(close, comes_by_itself_where_nobody_has_the_handle)
{
    static const rp_handlers handlers = {.done = count_done};
    rp_command command = stage_command(CHILD("flood-both", "300000", "1", "exit", "4"));
    stage on;

    ended = 0;
    stage_open(&on, *backend, NULL);
    cr_assert_eq(rp_spawn(on.loop, &command, &handlers, NULL, NULL), 0);
    cr_assert_eq(rp_spawn(on.loop, &command, NULL, NULL, NULL), 0); // drops its output
    cr_assert_eq(rp_loop_processes(on.loop, NULL, NULL), 2);
    stage_run(&on);
    cr_assert_eq(ended, 1);
    cr_assert_eq(stage_stats(&on).exited, 2);
    cr_assert_eq(stage_stats(&on).bytes_read, 1200000);
    cr_assert_eq(rp_loop_processes(on.loop, NULL, NULL), 0);
    stage_close(&on);
}

static void close_itself_twice(rp_process *process, const rp_exit *exit, void *user)
{
    (void)exit;
    (void)user;
    rp_process_close(process);
    ended++;
}

BACKEND_TEST(close, by_hand_in_the_done_of_one_that_closes_itself_is_fine)
{
    static const rp_handlers handlers = {.done = close_itself_twice};
    rp_command command = stage_command(CHILD("exit", "4"));
    stage on;

    ended = 0;
    stage_open(&on, *backend, NULL);
    cr_assert_eq(rp_spawn(on.loop, &command, &handlers, NULL, NULL), 0);
    stage_run(&on);
    cr_assert_eq(ended, 1);
    stage_close(&on);
}

/* ---- of a loop
 * ----------------------------------------------------------------------------------- */

BACKEND_TEST(close, of_a_loop_ends_whatever_is_in_it)
{
    enum {
        COUNT = 30
    };
    static const char *const missing[] = {"/nowhere/at-all", NULL};
    static tied running[COUNT];
    rp_loop_options options = {.process_max = COUNT + 2};
    rp_command command = stage_command(missing);
    rp_process *pulled;
    actor others[4] = {{0}};
    stage on;

    stage_open(&on, *backend, &options);
    for (int i = 0; i < COUNT; i++) {
        tie(&running[i], CHILD("fork", "flood-forever", "1", "end", "wait", "3"));
        actor_spawn(&on, &running[i].actor, &running[i].command, ACTOR_DATA);
    }
    for (int i = 0; i < COUNT; i++) {
        stage_run_until(&on, &running[i].actor.counts[ACTOR_STARTED], 1);
    }
    command.argv = CHILD("exit", "0");
    others[0].stays = true;
    actor_play(&on, &others[0], &command, 0); // done, and not closed
    command.argv = missing;
    others[1].stays = true;
    actor_play(&on, &others[1], &command, 0);
    command.argv = CHILD("flood-forever", "1");
    cr_assert_eq(rp_spawn(on.loop, &command, NULL, NULL, &pulled), 0);
    cr_assert_geq(rp_loop_run_once(on.loop, 0), 0); // with the spawner, or started
    actor_spawn(&on, &others[2], &command, 0);
    actor_spawn(&on, &others[3], &command, 0); // queued
    rp_loop_stop(on.loop);                     // does not stop a close
    cr_assert_eq(rp_loop_close(on.loop), 0);
    cr_assert_eq(on.memory.live_blocks, 0);
    for (int i = 0; i < COUNT; i++) {
        cr_assert_eq(running[i].actor.counts[ACTOR_DONE], 0, "closes are silent");
        tied_check_gone(&running[i]);
    }
    stage_check(&on.before);
}
