/* Tests rp_process_holders: who is told, which streams they hold, while the child runs and when it
 * is done, on pipes and terminals. */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "rp/contain.h"
#include "tests/support/check.h"
#include "tests/support/stage.h"

enum {
    HELD_MAX = 16
};

typedef struct held {
    int64_t pids[HELD_MAX];
    uint32_t streams[HELD_MAX];
    char names[HELD_MAX][32];
    int count;
    rp_process *closes; /* in the first call */
} held;

static bool note(const rp_process_info *info, void *user)
{
    held *all = user;

    cr_assert_lt(all->count, HELD_MAX);
    all->pids[all->count] = info->id.pid;
    all->streams[all->count] = info->streams;
    (void)snprintf(all->names[all->count], 32, "%s", info->name);
    cr_assert_gt(info->id.start_time_ms, 0);
    all->count++;
    if (all->closes != NULL) {
        rp_process_close(all->closes);
        all->closes = NULL;
    }
    return true;
}

static const uint32_t out_only = 1U << RP_STDOUT;
static const uint32_t err_only = 1U << RP_STDERR;

/* A child with a pipe (3) whose end lets all of its tree go, and one (4) to tell that it is ready.
 */
typedef struct scene {
    stage on;
    actor actor;
    lifeline hold;
    lifeline ready;
    rp_fd fds[2];
    bool gone;
} scene;

static void scene_open(scene *self, rp_backend backend, rp_command *command, unsigned int ready)
{
    memset(self, 0, sizeof *self);
    stage_open(&self->on, backend, NULL);
    self->hold = lifeline_open();
    self->ready = lifeline_open();
    self->fds[0] = (rp_fd){.parent = self->hold.read, .child = 3};
    self->fds[1] = (rp_fd){.parent = self->ready.write, .child = 4};
    command->fds = self->fds;
    command->fd_count = 2;
    self->actor.stays = true;
    actor_spawn(&self->on, &self->actor, command, ACTOR_DATA);
    stage_run_until(&self->on, &self->actor.counts[ACTOR_STARTED], 1);
    for (unsigned int i = 0; i < ready; i++) {
        lifeline_await_byte(&self->ready);
    }
}

/* Nobody of its tree is left, but for what the loop has to reap. */
static void scene_let_go(scene *self)
{
    if (!self->gone) {
        self->gone = true;
        lifeline_close(&self->hold);
        lifeline_await_end(&self->ready);
    }
}

static void scene_close(scene *self)
{
    scene_let_go(self);
    actor_close(&self->actor);
    stage_run(&self->on);
    actor_free(&self->actor);
    stage_close(&self->on);
}

BACKEND_TEST(holders, are_those_who_could_still_write)
{
    rp_command command = stage_command(CHILD("fork", "close", "1", "write", "4", "a", "wait", "3",
                                             "end", "fork", "close", "2", "write", "4", "b", "wait",
                                             "3", "end", "write", "4", "c", "wait", "3"));
    held all = {.count = 0};
    int64_t leader;
    scene it;

    scene_open(&it, *backend, &command, 3);
    leader = rp_process_pid(it.actor.process);
    cr_assert_eq(rp_process_holders(it.actor.process, note, &all), 3);
    for (int i = 0; i < 3; i++) {
        if (all.pids[i] == leader) {
            cr_assert_eq(all.streams[i], out_only | err_only);
        } else {
            cr_assert(all.streams[i] == out_only || all.streams[i] == err_only);
        }
        cr_assert_neq(all.pids[i], getpid(), "we read, we do not write");
    }
    scene_close(&it);
}

BACKEND_TEST(holders, are_named_when_the_child_is_done)
{
    rp_command command = stage_command(CHILD("fork", "close", "2", "setsid", "write", "4", "a",
                                             "wait", "3", "end", "echo", "text", "exit", "0"));
    held all = {.count = 0};
    scene it;

    scene_open(&it, *backend, &command, 1);
    stage_run_until(&it.on, &it.actor.counts[ACTOR_DONE], 1);
    cr_assert_eq(it.actor.exit.holders, 1);
    cr_assert_eq(rp_process_holders(it.actor.process, note, &all), 1);
    cr_assert_eq(all.streams[0], out_only);
    cr_assert_not_null(strstr(RP_TEST_CHILD, all.names[0]));
    scene_let_go(&it);
    all.count = 0;
    cr_assert_eq(rp_process_holders(it.actor.process, note, &all), 0, "it has gone");
    scene_close(&it);
}

BACKEND_TEST(holders, are_none_of_a_child_that_left_none)
{
    rp_command command = stage_command(CHILD("echo", "text"));
    held all = {.count = 0};
    scene it;

    scene_open(&it, *backend, &command, 0);
    stage_run_until(&it.on, &it.actor.counts[ACTOR_DONE], 1);
    cr_assert_eq(rp_process_holders(it.actor.process, note, &all), 0);
    scene_close(&it);
}

BACKEND_TEST(holders, of_a_merged_stream_hold_stdout)
{
    rp_command command = stage_command(CHILD("write", "4", "a", "wait", "3"));
    held all = {.count = 0};
    scene it;

    command.err.kind = RP_STDIO_MERGE;
    scene_open(&it, *backend, &command, 1);
    cr_assert_eq(rp_process_holders(it.actor.process, note, &all), 1);
    cr_assert_eq(all.streams[0], out_only);
    scene_close(&it);
}

BACKEND_TEST(holders, of_a_terminal_have_it_open)
{
    rp_command command = stage_command(CHILD(
        "fork", "reopen", "write", "4", "a", "wait", "3", "end", "fork", "close", "0", "close", "1",
        "close", "2", "write", "4", "b", "wait", "3", "end", "write", "4", "c", "wait", "3"));
    held all = {.count = 0};
    scene it;

    command.transport = RP_PTY;
    scene_open(&it, *backend, &command, 3);
    cr_assert_eq(rp_process_holders(it.actor.process, note, &all), 2, "%d", all.count);
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(all.streams[i], out_only);
        cr_assert_neq(all.pids[i], getpid());
    }
    scene_close(&it);
}

BACKEND_TEST(holders, of_a_terminal_are_named_when_the_child_is_done)
{
    rp_command command =
        stage_command(CHILD("fork", "ignore", "1", "write", "4", "a", "wait", "3", "end", "pause"));
    held all = {.count = 0};
    scene it;

    command.transport = RP_PTY;
    scene_open(&it, *backend, &command, 1);
    cr_assert_eq(rp_signal(it.actor.process, SIGKILL, RP_SCOPE_LEADER), 0);
    stage_run_until(&it.on, &it.actor.counts[ACTOR_DONE], 1);
    cr_assert_eq(it.actor.exit.holders, 1);
    cr_assert_eq(rp_process_holders(it.actor.process, note, &all), 1);
    cr_assert_eq(all.streams[0], out_only);
    scene_close(&it);
}

BACKEND_TEST(holders, may_close_the_process_that_they_hold)
{
    rp_command command = stage_command(
        CHILD("fork", "write", "4", "a", "wait", "3", "end", "write", "4", "b", "wait", "3"));
    held all = {.count = 0};
    scene it;

    scene_open(&it, *backend, &command, 2);
    all.closes = it.actor.process;
    cr_assert_geq(rp_process_holders(it.actor.process, note, &all), 1);
    it.actor.process = NULL;
    scene_close(&it);
}

BACKEND_TEST(holders, are_not_asked_for_before_the_child_runs)
{
    rp_command command = stage_command(CHILD("echo", "text"));
    held all = {.count = 0};
    actor early = {0};
    stage on;

    stage_open(&on, *backend, NULL);
    actor_spawn(&on, &early, &command, ACTOR_DATA);
    cr_assert_eq(rp_process_holders(early.process, note, &all), RP_EAGAIN);
    cr_assert_eq(rp_process_holders(early.process, NULL, NULL), RP_EINVAL);
    stage_run(&on);
    actor_free(&early);
    stage_close(&on);
}
