/* Tests rp_tree_each and rp_tree_kill: who belongs to a tree, in which order they are told, that
 * nobody is left after a kill, and that it never reaches anybody else. The trees are real; that all
 * are gone shows in a pipe whose write end each of them holds. */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/os.h"
#include "rp/contain.h"
#include "rp/explain.h"
#include "tests/support/check.h"
#include "tests/support/stage.h"

enum {
    SEEN_MAX = 64
};

/* A child whose descriptor 4 tells when its tree is ready, and by its end when all of it is gone.
 */
typedef struct tree {
    stage on;
    actor actor;
    lifeline line;
    lifeline hold;
    rp_fd fds[2];
    rp_identity root;
} tree;

static void tree_start(tree *self, rp_command *command, unsigned int ready)
{
    memset(self, 0, sizeof *self);
    stage_open(&self->on, stage_backend(), NULL);
    self->line = lifeline_open();
    self->hold = lifeline_open();
    self->fds[0] = (rp_fd){.parent = self->line.write, .child = 4};
    self->fds[1] = (rp_fd){.parent = self->hold.read, .child = 3};
    command->fds = self->fds;
    command->fd_count = 2;
    actor_spawn(&self->on, &self->actor, command, 0);
    stage_run_until(&self->on, &self->actor.counts[ACTOR_STARTED], 1);
    for (unsigned int i = 0; i < ready; i++) {
        lifeline_await_byte(&self->line);
    }
    cr_assert_eq(rp_process_identity(self->actor.process, &self->root), 0);
}

static void tree_start_child(tree *self, const char *const *argv, unsigned int ready)
{
    rp_command command = stage_command(argv);

    tree_start(self, &command, ready);
}

/* All of it is gone already, but for what the loop has still to reap. */
static void tree_end(tree *self)
{
    lifeline_close(&self->hold);
    lifeline_await_end(&self->line);
    stage_run(&self->on);
    actor_free(&self->actor);
    stage_close(&self->on);
}

/* ---- rp_tree_each ---------------------------------------------------------------------- */

typedef struct seen {
    rp_process_info infos[SEEN_MAX];
    char names[SEEN_MAX][32];
    char commands[SEEN_MAX][64];
    char states[SEEN_MAX][16];
    int count;
    int stop_at;
} seen;

static bool note(const rp_process_info *info, void *user)
{
    seen *all = user;

    cr_assert_lt(all->count, SEEN_MAX);
    all->infos[all->count] = *info;
    (void)snprintf(all->names[all->count], sizeof all->names[0], "%s", info->name);
    (void)snprintf(all->commands[all->count], sizeof all->commands[0], "%s", info->command);
    (void)snprintf(all->states[all->count], sizeof all->states[0], "%s", info->state);
    cr_assert_not_null(info->cwd);
    cr_assert_not_null(info->kind);
    cr_assert_not_null(info->originator);
    all->count++;
    return all->count != all->stop_at;
}

Test(tree_each, tells_parents_before_children_each_followed_by_its_own, .timeout = 120)
{
    seen all = {.count = 0};
    tree one;

    tree_start_child(&one,
                     CHILD("fork", "fork", "write", "4", "a", "pause", "end", "write", "4", "b",
                           "pause", "end", "fork", "setsid", "write", "4", "c", "pause", "end",
                           "write", "4", "d", "pause"),
                     4);
    stage_run_until_blocked(&one.on, one.root.pid);
    cr_assert_eq(rp_tree_each(&one.root, note, &all), 4);
    cr_assert_eq(all.infos[0].id.pid, one.root.pid);
    cr_assert_eq(all.infos[0].id.unique, one.root.unique);
    cr_assert_eq(all.infos[0].depth, 0);
    cr_assert_eq(all.infos[0].parent_pid, getpid());
    cr_assert(all.infos[0].parent_alive);
    cr_assert_str_eq(all.states[0], "sleeping");
    cr_assert_not_null(strstr(RP_TEST_CHILD, all.names[0]));
    cr_assert_eq(strncmp(all.commands[0], RP_TEST_CHILD, 8), 0);
    for (int i = 1; i < 4; i++) {
        int parent = 0;

        while (parent < i && all.infos[parent].id.pid != all.infos[i].parent_pid) {
            parent++;
        }
        cr_assert_lt(parent, i, "%d comes before its parent", i);
        cr_assert_eq(all.infos[i].depth, all.infos[parent].depth + 1);
    }
    for (int i = 1; i < 4; i++) { /* the one at depth 2 right behind its parent */
        cr_assert(all.infos[i].depth < 2 || all.infos[i - 1].id.pid == all.infos[i].parent_pid);
    }
    all = (seen){.stop_at = 2};
    cr_assert_eq(rp_tree_each(&one.root, note, &all), 2);
    cr_assert_eq(rp_tree_kill(&one.root, 60 * RP_SECOND), 0);
    tree_end(&one);
    cr_assert_eq(rp_tree_each(&one.root, note, &all), RP_ESRCH);
}

/* The moment between the list of processes and the question about one of them: that one forks, ends
 * and is reaped, and its child is not in the list. */
static struct {
    rpi_os_table system;
    tree *tree;
    char path[64];
    bool is_over;
} hidden;

static int open_late(const char *path, int flags, mode_t mode)
{
    if (!hidden.is_over && strcmp(path, hidden.path) == 0) {
        lifeline_tell(&hidden.tree->hold);
        lifeline_await_byte(&hidden.tree->line);
        while (access(path, F_OK) == 0) {
            (void)sched_yield();
        }
        hidden.is_over = true;
    }
    return hidden.system.open(path, flags, mode);
}

static ssize_t list_no_more(int folder, void *memory, size_t size)
{
    static bool was_cut;

    if (hidden.is_over && !was_cut) {
        was_cut = true;
        return 0;
    }
    return hidden.system.getdents64(folder, memory, size);
}

Test(tree_each, finds_who_was_hidden_by_a_parent_that_ended_meanwhile, .timeout = 120)
{
    seen all = {.stop_at = SEEN_MAX};
    tree one;

    tree_start_child(&one,
                     CHILD("ignore", "17", "fork", "wait", "3", "fork", "write", "4", "c", "pause",
                           "end", "exit", "0", "end", "write", "4", "r", "pause"),
                     1);
    cr_assert_eq(rp_tree_each(&one.root, note, &all), 2);
    hidden.system = rpi_os;
    hidden.tree = &one;
    (void)snprintf(hidden.path, sizeof hidden.path, "/proc/%lld/stat",
                   (long long)all.infos[1].id.pid);
    rpi_os.open = open_late;
    rpi_os.getdents64 = list_no_more;
    all.count = 0;
    cr_assert_eq(rp_tree_each(&one.root, note, &all), 2);
    rpi_os = hidden.system;
    cr_assert(hidden.is_over);
    cr_assert_neq(all.infos[1].parent_pid, one.root.pid);
    cr_assert_eq(rp_tree_kill(&one.root, 60 * RP_SECOND), 0);
    tree_end(&one);
}

Test(describe, tells_of_one_process_and_its_parent, .timeout = 60)
{
    seen all = {.count = 0};
    tree one;

    tree_start_child(&one, CHILD("write", "4", "a", "pause"), 1);
    stage_run_until_blocked(&one.on, one.root.pid);
    cr_assert_eq(rp_describe(&one.root, note, &all), 1);
    cr_assert_eq(all.count, 1);
    cr_assert_eq(all.infos[0].id.pid, one.root.pid);
    cr_assert_eq(all.infos[0].id.unique, one.root.unique);
    cr_assert_eq(all.infos[0].parent_pid, getpid());
    cr_assert(all.infos[0].parent_alive);
    cr_assert_str_eq(all.states[0], "sleeping");
    one.root.start_time_ms -= UINT64_C(3600000); /* a later process with its number */
    one.root.unique = 0;
    cr_assert_eq(rp_describe(&one.root, note, &all), RP_ESRCH);
    cr_assert_eq(rp_process_identity(one.actor.process, &one.root), 0);
    cr_assert_eq(rp_tree_kill(&one.root, 60 * RP_SECOND), 0);
    tree_end(&one);
    cr_assert_eq(rp_describe(&one.root, note, &all), RP_ESRCH);
    cr_assert_eq(all.count, 1);
}

Test(describe, refuses_what_is_none, .timeout = 60)
{
    const rp_identity self = {.pid = getpid()};
    seen all = {.count = 0};

    cr_assert_eq(rp_describe(NULL, note, &all), RP_EINVAL);
    cr_assert_eq(rp_describe(&(rp_identity){.pid = -1}, note, &all), RP_EINVAL);
    cr_assert_eq(rp_describe(&self, NULL, NULL), RP_EINVAL);
    cr_assert_eq(rp_describe(&self, note, &all), 1);
}

Test(tree_each, holds_the_caller_like_anybody, .timeout = 60)
{
    seen all = {.count = 0};
    rp_identity self;

    cr_assert_eq(rp_identify(getpid(), &self), 0);
    cr_assert_geq(rp_tree_each(&self, note, &all), 1);
    cr_assert_eq(all.infos[0].id.pid, getpid());
    cr_assert_str_eq(all.states[0], "running");
    cr_assert_eq(rp_tree_each(&(rp_identity){.pid = getpid()}, note, &all), 1);
}

Test(tree_each, refuses_what_names_nobody, .timeout = 60)
{
    seen all = {.count = 0};
    rp_identity self;

    cr_assert_eq(rp_tree_each(NULL, note, &all), RP_EINVAL);
    cr_assert_eq(rp_tree_each(&(rp_identity){.pid = 0}, note, &all), RP_EINVAL);
    cr_assert_eq(rp_tree_each(&(rp_identity){.pid = INT64_MAX}, note, &all), RP_ESRCH);
    cr_assert_eq(rp_identify(getpid(), &self), 0);
    cr_assert_eq(rp_tree_each(&self, NULL, NULL), RP_EINVAL);
    cr_assert_eq(all.count, 0);
}

/* ---- rp_tree_kill ---------------------------------------------------------------------- */

Test(tree_kill, leaves_nobody_of_a_tree_that_ignores_signals, .timeout = 120)
{
    tree one;

    tree_start_child(&one, CHILD("ignore", "15", "ignore", "2", "tree", "3", "4", "4", "pause"),
                     4 + 16 + 64);
    cr_assert_eq(rp_tree_kill(&one.root, 60 * RP_SECOND), 0);
    cr_assert_eq(rp_tree_kill(&one.root, 0), 0, "it is gone");
    tree_end(&one);
}

Test(tree_kill, finds_who_was_left_by_a_parent_through_group_and_session, .timeout = 120)
{
    tree one;

    /* The first stays in the root's group; the second in the session of one that lives. */
    tree_start_child(&one,
                     CHILD("fork", "fork", "write", "4", "a", "pause", "end", "exit", "0", "end",
                           "fork", "setsid", "fork", "fork", "setpgid", "write", "4", "b", "pause",
                           "end", "exit", "0", "end", "write", "4", "c", "pause", "end", "pause"),
                     3);
    cr_assert_eq(rp_tree_kill(&one.root, 60 * RP_SECOND), 0);
    tree_end(&one);
}

Test(tree_kill, finds_who_has_left_every_group_by_the_originator, .timeout = 120)
{
    static const char script[] =
        "export RUNNING_PROCESS_ORIGINATOR=tool:$$;"
        "\"$1\" setsid fork setsid write 4 a pause end exit 0; exec \"$1\" write 4 b pause";
    const char *const argv[] = {"/bin/sh", "-c", script, "sh", RP_TEST_CHILD, NULL};
    tree one;

    tree_start_child(&one, argv, 2);
    cr_assert_eq(rp_tree_kill(&one.root, 60 * RP_SECOND), 0);
    tree_end(&one);
}

Test(tree_kill, outruns_a_tree_that_forks_as_fast_as_it_can, .timeout = 300)
{
    tree one;

    tree_start_child(&one, CHILD("bomb", "1000", "4"), 1);
    cr_assert_eq(rp_tree_kill(&one.root, 200 * RP_SECOND), 0);
    tree_end(&one);
}

Test(tree_kill, outruns_a_chain_of_parents_that_end_at_once, .timeout = 300)
{
    tree one;

    tree_start_child(&one, CHILD("fork", "chain", "20000", "end", "write", "4", "r", "pause"), 1);
    cr_assert_eq(rp_tree_kill(&one.root, 200 * RP_SECOND), 0);
    tree_end(&one);
}

Test(tree_kill, kills_the_stopped_too, .timeout = 120)
{
    tree one;

    tree_start_child(&one,
                     CHILD("fork", "write", "4", "a", "kill", "19", "pause", "end", "write", "4",
                           "b", "kill", "19", "pause"),
                     2);
    cr_assert_eq(rp_tree_kill(&one.root, 60 * RP_SECOND), 0);
    tree_end(&one);
}

/* Whether the child still answers. */
static void check_lives(tree *one)
{
    lifeline_tell(&one->hold);
    lifeline_await_byte(&one->line);
}

Test(tree_kill, never_reaches_a_later_process_with_the_number, .timeout = 120)
{
    rp_identity other;
    tree one;

    tree_start_child(&one,
                     CHILD("write", "4", "r", "wait", "3", "write", "4", "r", "wait", "3", "write",
                           "4", "r", "pause"),
                     1);
    other = one.root;
    other.start_time_ms -= 60000;
    other.unique = 0;
    cr_assert_eq(rp_tree_kill(&other, 0), 0, "that one is gone");
    check_lives(&one);
    if (one.root.unique != 0) {
        other = one.root;
        other.unique++;
        cr_assert_eq(rp_tree_kill(&other, 0), 0);
        other = one.root;
        other.start_time_ms -= 60000; /* of another boot, or the clock was set: it cannot be told */
        cr_assert_eq(rp_tree_kill(&other, 0), RP_EINVAL);
        cr_assert_not_null(strstr(rp_error_detail(), "clock"));
    }
    check_lives(&one);
    cr_assert_eq(rp_tree_kill(&one.root, 60 * RP_SECOND), 0);
    tree_end(&one);
}

Test(tree_kill, refuses_a_bare_number_and_the_callers_own_tree, .timeout = 120)
{
    rp_identity self;
    rp_identity parent;

    cr_assert_eq(rp_tree_kill(NULL, 0), RP_EINVAL);
    cr_assert_eq(rp_tree_kill(&(rp_identity){.pid = getpid()}, 0), RP_EINVAL);
    cr_assert_not_null(strstr(rp_error_detail(), "number"));
    cr_assert_eq(rp_identify(getpid(), &self), 0);
    cr_assert_eq(rp_tree_kill(&self, 0), RP_EINVAL);
    cr_assert_eq(rp_identify(getppid(), &parent), 0);
    cr_assert_eq(rp_tree_kill(&parent, 0), RP_EINVAL);
    cr_assert_not_null(strstr(rp_error_detail(), "calling"));
}

Test(tree_kill, spares_siblings, .timeout = 120)
{
    rp_identity inner;
    seen all = {.count = 0};
    tree one;

    tree_start_child(&one,
                     CHILD("fork", "setpgid", "fork", "write", "4", "a", "pause", "end", "write",
                           "4", "b", "pause", "end", "write", "4", "c", "wait", "3", "write", "4",
                           "r", "pause"),
                     3);
    cr_assert_eq(rp_tree_each(&one.root, note, &all), 3);
    inner = all.infos[1].id;
    cr_assert_eq(all.infos[1].depth, 1);
    cr_assert_eq(rp_tree_kill(&inner, 60 * RP_SECOND), 0);
    check_lives(&one);
    cr_assert_eq(rp_tree_kill(&one.root, 60 * RP_SECOND), 0);
    tree_end(&one);
}

Test(tree_kill, counts_who_is_not_gone_when_the_time_is_over, .timeout = 120)
{
    tree one;

    tree_start_child(
        &one, CHILD("fork", "write", "4", "a", "pause", "end", "write", "4", "b", "pause"), 2);
    rpi_fault_os_start();
    rpi_fault_os_fail("pidfd_send_signal", RPI_FAULT_EVERY, EPERM); /* none of ours to signal */
    cr_assert_eq(rp_tree_kill(&one.root, 0), 2);
    rpi_fault_os_stop();
    cr_assert_eq(rp_tree_kill(&one.root, 60 * RP_SECOND), 0);
    tree_end(&one);
}

/* Whatever fails once: it says so, or nobody is left. Afterwards nobody is. */
Test(tree_kill, survives_each_failing_call, .timeout = 300)
{
    static const char *const entries[] = {"open",  "read",       "getdents64",
                                          "close", "pidfd_open", "pidfd_send_signal",
                                          "poll",  "fstat",      "eventfd"};

    for (size_t i = 0; i < sizeof entries / sizeof *entries; i++) {
        for (unsigned int n = 1; n <= 40; n += 3) {
            stage_holdings before;
            tree one;
            int r;

            tree_start_child(
                &one, CHILD("fork", "write", "4", "a", "pause", "end", "write", "4", "b", "pause"),
                2);
            before = stage_count();
            rpi_fault_os_start();
            rpi_fault_os_fail(entries[i], n, EMFILE);
            r = rp_tree_kill(&one.root, 60 * RP_SECOND);
            rpi_fault_os_stop();
            cr_assert_eq(stage_count().descriptors, before.descriptors, "%s, %u", entries[i], n);
            cr_assert_leq(r, 0, "%s, %u: %d", entries[i], n, r);
            cr_assert_eq(rp_tree_kill(&one.root, 60 * RP_SECOND), 0);
            tree_end(&one);
        }
    }
}

Test(tree_kill, signals_nobody_where_processes_cannot_be_held, .timeout = 120)
{
    tree one;

    tree_start_child(&one, CHILD("write", "4", "r", "wait", "3", "write", "4", "r", "pause"), 1);
    rpi_fault_os_start();
    rpi_fault_os_fail("pidfd_open", RPI_FAULT_EVERY, ENOSYS);
    cr_assert_eq(rp_tree_kill(&one.root, RP_SECOND), RP_EUNSUPPORTED);
    rpi_fault_os_stop();
    check_lives(&one);
    cr_assert_eq(rp_tree_kill(&one.root, 60 * RP_SECOND), 0);
    tree_end(&one);
}
