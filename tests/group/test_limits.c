/* Tests the limits of a tree that a cgroup holds (memory, processes) or measures (processor time):
 * what is written there, that a limit which is reached stops the tree and is named, and what was
 * the kernel's doing is told so. Most of it on a tree of plain files; with the kernel's own where
 * it has what is needed. */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/group/fake_cgroup.h"
#include "tests/group/rig.h"
#include "tests/support/check.h"

#define MEBIBYTE (UINT64_C(1) << 20)

/* A stage in a container's cgroup "/leaf", beside which cgroups can have all controllers. */
static void open_stage(stage *on, rp_backend backend)
{
    fake_cgroup_open("/leaf", "memory pids ", false);
    stage_open(on, backend, NULL);
}

static void close_stage(stage *on)
{
    stage_close(on);
    fake_cgroup_close();
}

static rp_limits limits_of(uint64_t memory_bytes, uint32_t processes, uint64_t cpu_ns)
{
    rp_limits limits = RP_INIT(rp_limits);

    limits.memory_bytes = memory_bytes;
    limits.processes = processes;
    limits.cpu_ns = cpu_ns;
    return limits;
}

static void start(stage *on, actor *child, const rp_limits *limits, rp_group *group)
{
    rp_command command = stage_command(CHILD("echo", "ready", "pause"));

    command.limits = limits;
    command.group = group;
    actor_spawn(on, child, &command, ACTOR_LINES);
    stage_run_until(on, &child->counts[ACTOR_GOT_LINE], 1);
}

/* It ends, stopped for this limit. */
static void check_stopped(stage *on, actor *child, const char *field)
{
    stage_run_until(on, &child->counts[ACTOR_DONE], 1);
    cr_assert_eq(child->exit.reason, RP_STOP_LIMIT);
    cr_assert_not_null(child->exit.phase);
    cr_assert_str_eq(child->exit.phase, field);
    cr_assert_eq(child->exit.survivors, 0);
    actor_free(child);
}

/* ---- memory ------------------------------------------------------------------------------ */

BACKEND_TEST(limits, tell_that_the_kernel_killed_a_tree_for_its_memory)
{
    const rp_limits limits = limits_of(3 * MEBIBYTE, 0, 0);
    actor child = {0};
    stage on;

    open_stage(&on, *backend);
    start(&on, &child, &limits, NULL);
    fake_cgroup_check(fake_cgroup_last(), "memory.max", "3145728");
    fake_cgroup_check(fake_cgroup_last(), "memory.oom.group", "1");
    fake_cgroup_check(fake_cgroup_last(), "memory.swap.max", "0");
    fake_cgroup_set(fake_cgroup_last(), "memory.events", "oom 1\noom_kill 1\n");
    cr_assert_eq(kill((pid_t)rp_process_pid(child.process), SIGKILL), 0);
    stage_run_until(&on, &child.counts[ACTOR_DONE], 1);
    cr_assert(child.exit.oom_killed);
    cr_assert(child.exit.possible_oom);
    cr_assert_eq(child.exit.step, RP_STOP_NONE, "it was not us");
    check_stopped(&on, &child, "memory_bytes");
    stage_run(&on);
    cr_assert_eq(fake_cgroup_count(), 0);
    close_stage(&on);
}

BACKEND_TEST(limits, are_not_blamed_for_another_kill)
{
    const rp_limits limits = limits_of(3 * MEBIBYTE, 5, 60 * RP_SECOND);
    actor child = {0};
    stage on;

    open_stage(&on, *backend);
    start(&on, &child, &limits, NULL);
    cr_assert_eq(kill((pid_t)rp_process_pid(child.process), SIGKILL), 0);
    stage_run_until(&on, &child.counts[ACTOR_DONE], 1);
    cr_assert_not(child.exit.oom_killed);
    cr_assert_eq(child.exit.reason, RP_STOP_NONE);
    cr_assert_null(child.exit.phase);
    actor_free(&child);
    close_stage(&on);
}

/* ---- processes ---------------------------------------------------------------------------- */

BACKEND_TEST(limits, stop_a_tree_that_forks_too_much)
{
    const rp_limits limits = limits_of(0, 5, 0);
    actor children[2] = {{0}, {0}};
    char folder[512];
    stage on;

    open_stage(&on, *backend);
    start(&on, &children[0], &limits, NULL);
    (void)snprintf(folder, sizeof folder, "%s", fake_cgroup_last());
    start(&on, &children[1], &limits, NULL);
    fake_cgroup_check(folder, "pids.max", "5");
    fake_cgroup_set(folder, "pids.events", "max 1\n");
    stage_run_until(&on, &children[0].counts[ACTOR_DONE], 1);
    cr_assert_eq(children[0].exit.step, RP_STOP_TERMINATE);
    check_stopped(&on, &children[0], "processes");
    cr_assert_eq(children[1].counts[ACTOR_EXITED], 0, "the other one is in its own");
    fake_cgroup_set(fake_cgroup_last(), "pids.events", "max 3\n");
    check_stopped(&on, &children[1], "processes");
    close_stage(&on);
}

BACKEND_TEST(limits, name_the_refused_fork_that_a_child_ended_after)
{
    const rp_limits limits = limits_of(0, 5, 0);
    rp_command command = stage_command(CHILD("echo", "ready", "read", "1", "exit", "7"));
    actor child = {0};
    stage on;

    open_stage(&on, *backend);
    command.limits = &limits;
    command.in.kind = RP_STDIO_PIPE;
    actor_spawn(&on, &child, &command, ACTOR_LINES);
    stage_run_until(&on, &child.counts[ACTOR_GOT_LINE], 1);
    cr_assert_eq(rp_write(child.process, (rp_view){"x", 1}, NULL, NULL), 0);
    fake_cgroup_set(fake_cgroup_last(), "pids.events", "max 1\n");
    check_stopped(&on, &child, "processes");
    close_stage(&on);
}

/* ---- processor time ------------------------------------------------------------------------ */

BACKEND_TEST(limits, stop_a_tree_when_it_has_used_its_time)
{
    const rp_limits limits = limits_of(0, 0, 20 * RP_MILLISECOND);
    actor child = {0};
    stage on;

    open_stage(&on, *backend);
    start(&on, &child, &limits, NULL);
    fake_cgroup_set(fake_cgroup_last(), "cpu.stat", "usage_usec 19999\n");
    for (int turns = 0; turns < 5; turns++) { /* of which some are ticks */
        cr_assert_geq(rp_loop_run_once(on.loop, 20 * RP_MILLISECOND), 0);
    }
    cr_assert_eq(child.counts[ACTOR_EXITED], 0);
    fake_cgroup_set(fake_cgroup_last(), "cpu.stat", "usage_usec 20000\n");
    check_stopped(&on, &child, "cpu_ns");
    close_stage(&on);
}

static void burn(rp_backend backend, const char *const *argv)
{
    const rp_limits limits = limits_of(0, 0, 100 * RP_MILLISECOND);
    rp_command command = stage_command(argv);
    actor child = {0};
    stage on;

    stage_open(&on, backend, NULL);
    command.limits = &limits;
    actor_spawn(&on, &child, &command, ACTOR_LINES);
    check_stopped(&on, &child, "cpu_ns");
    stage_close(&on);
}

BACKEND_TEST(limits, count_the_time_of_the_whole_tree)
{
    if (!rp_has("cgroup")) {
        cr_skip_test("no cgroup of our own can be made here");
    }
    burn(*backend, CHILD("burn", "200000"));
    burn(*backend, CHILD("fork", "burn", "200000", "end", "pause"));
    burn(*backend, CHILD("fork", "setsid", "fork", "burn", "200000", "end", "end", "pause"));
}

BACKEND_TEST(limits, count_the_time_of_the_tree_without_a_cgroup)
{
    cr_assert_eq(setenv("RP_GRADE", "scan", 1), 0);
    burn(*backend, CHILD("burn", "200000"));
    burn(*backend, CHILD("fork", "burn", "200000", "end", "pause"));
}

/* ---- where they cannot be held --------------------------------------------------------------- */

static void check_refused(const rp_limits *limits, const char *field)
{
    rp_command command = stage_command(CHILD("pause"));
    actor child = {0};
    stage on;

    command.limits = limits;
    stage_open(&on, stage_backend(), NULL);
    cr_assert_eq(actor_try_spawn(&on, &child, &command, 0), RP_EUNSUPPORTED);
    cr_assert_not_null(strstr(rp_error_detail(), field), "%s", rp_error_detail());
    stage_close(&on);
}

Test(limits, that_nobody_can_hold_are_refused)
{
    const rp_limits memory = limits_of(MEBIBYTE, 0, RP_SECOND);
    const rp_limits processes = limits_of(0, 5, 0);

    fake_cgroup_open("/leaf", "cpu ", false);
    check_refused(&memory, "memory_bytes");
    check_refused(&processes, "processes");
    fake_cgroup_close();
    fake_cgroup_open("/leaf", "memory ", false);
    check_refused(&processes, "processes");
    fake_cgroup_close();
    fake_cgroup_open("/leaf", "memory pids ", true); /* we are in it, and may not go up */
    check_refused(&memory, "memory_bytes");
    fake_cgroup_close();
    cr_assert_eq(setenv("RP_GRADE", "scan", 1), 0);
    check_refused(&memory, "memory_bytes");
    check_refused(&processes, "processes");
}

BACKEND_TEST(limits, are_held_below_the_root_of_all)
{
    const rp_limits limits = limits_of(MEBIBYTE, 5, 0);
    actor child = {0};
    stage on;

    fake_cgroup_open("/", "memory pids ", true);
    stage_open(&on, *backend, NULL);
    start(&on, &child, &limits, NULL);
    fake_cgroup_check(fake_cgroup_last(), "pids.max", "5");
    fake_cgroup_set(fake_cgroup_last(), "pids.events", "max 1\n");
    check_stopped(&on, &child, "processes");
    close_stage(&on);
}

/* ---- groups ------------------------------------------------------------------------------------
 */

BACKEND_TEST(limits, of_a_member_stand_inside_of_its_group)
{
    const rp_limits limits = limits_of(MEBIBYTE, 5, 0);
    actor member = {0};
    actor limited = {0};
    rp_group *group = NULL;
    char inside[512];
    stage on;

    open_stage(&on, *backend);
    cr_assert_eq(rp_group_open(on.loop, NULL, &group), 0);
    (void)snprintf(inside, sizeof inside, "%s", fake_cgroup_last());
    *strrchr(inside, '/') = '\0';
    start(&on, &member, NULL, group);
    start(&on, &limited, &limits, group);
    cr_assert_eq(strncmp(fake_cgroup_last(), inside, strlen(inside)), 0);
    cr_assert_eq(fake_cgroup_count(), 3);
    fake_cgroup_set(fake_cgroup_last(), "pids.events", "max 1\n");
    check_stopped(&on, &limited, "processes");
    cr_assert_eq(member.counts[ACTOR_EXITED], 0);
    cr_assert_eq(rp_group_close(group), 0);
    stage_run(&on);
    actor_free(&member);
    close_stage(&on);
}

BACKEND_TEST(limits, are_not_needed_to_be_told_of_a_kill_for_memory)
{
    actor children[2] = {{0}, {0}};
    rp_group *group = NULL;
    stage on;

    open_stage(&on, *backend);
    cr_assert_eq(rp_group_open(on.loop, NULL, &group), 0);
    for (int i = 0; i < 2; i++) {
        start(&on, &children[i], NULL, group);
    }
    fake_cgroup_set(fake_cgroup_last(), "memory.events", "oom 1\noom_kill 1\n");
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(kill((pid_t)rp_process_pid(children[i].process), SIGKILL), 0);
        stage_run_until(&on, &children[i].counts[ACTOR_DONE], 1);
        cr_assert_eq(children[i].exit.oom_killed, i == 0, "the kernel counts one kill");
        cr_assert_eq(children[i].exit.reason, RP_STOP_NONE);
        actor_free(&children[i]);
    }
    cr_assert_eq(rp_group_close(group), 0);
    close_stage(&on);
}

/* ---- what is left -------------------------------------------------------------------------------
 */

BACKEND_TEST(limits, stay_on_while_somebody_is_left_of_the_tree)
{
    const rp_limits limits = limits_of(MEBIBYTE, 0, 0);
    actor child = {0};
    char folder[512];
    stage on;

    open_stage(&on, *backend);
    start(&on, &child, &limits, NULL);
    (void)snprintf(folder, sizeof folder, "%s", fake_cgroup_last());
    fake_cgroup_set(folder, "cgroup.events", "populated 1\n");
    cr_assert_eq(rp_kill(child.process), 0);
    stage_run_until(&on, &child.counts[ACTOR_DONE], 1);
    stage_run(&on);
    actor_free(&child);
    cr_assert_eq(fake_cgroup_count(), 1);
    fake_cgroup_set(folder, "cgroup.events", "populated 0\n");
    start(&on, &child, &limits, NULL);
    cr_assert_eq(rp_kill(child.process), 0);
    stage_run_until(&on, &child.counts[ACTOR_DONE], 1);
    stage_run(&on);
    actor_free(&child);
    cr_assert_eq(fake_cgroup_count(), 0, "both are gone");
    close_stage(&on);
}

BACKEND_TEST(limits, of_a_launch_that_fails_leave_nothing)
{
    const rp_limits limits = limits_of(MEBIBYTE, 5, RP_SECOND);
    const char *const argv[] = {"/nowhere/at/all", NULL};
    rp_command command = stage_command(argv);
    actor child = {0};
    stage on;

    open_stage(&on, *backend);
    command.limits = &limits;
    actor_play(&on, &child, &command, 0);
    cr_assert_eq(child.exit.kind, RP_SPAWN_FAILED);
    cr_assert_eq(child.exit.reason, RP_STOP_NONE);
    actor_free(&child);
    close_stage(&on);
}

/* ---- faults
 * ---------------------------------------------------------------------------------------- */

/* A life with all limits in which something fails: whether it did. */
static bool live(rp_backend backend, unsigned int allocation, const char *entry, unsigned int call)
{
    const rp_limits limits = limits_of(MEBIBYTE, 5, RP_SECOND);
    rp_command command = stage_command(CHILD("exit", "4"));
    rp_group *group = NULL;
    actor child = {0};
    bool fired;
    stage on;
    int r;

    open_stage(&on, backend);
    cr_assert_eq(rp_group_open(on.loop, NULL, &group), 0);
    command.limits = &limits;
    command.group = group;
    on.memory.fail_at = allocation == 0 ? 0 : atomic_load(&on.memory.requests) + allocation;
    rpi_fault_os_start();
    if (entry != NULL) {
        rpi_fault_os_fail(entry, call, EMFILE);
    }
    r = actor_try_spawn(&on, &child, &command, 0);
    if (r == 0) {
        stage_run_until(&on, &child.counts[ACTOR_DONE], 1);
    }
    fired = entry != NULL ? rpi_fault_os_fired() : atomic_load(&on.memory.fired);
    rpi_fault_os_stop();
    cr_assert(r == 0 || fired, "%s", rp_error_detail());
    cr_assert(r < 0 || child.exit.kind == RP_SPAWN_FAILED || child.exit.code == 4);
    actor_free(&child);
    on.memory.fail_at = 0;
    cr_assert_eq(rp_group_close(group), 0);
    close_stage(&on);
    return fired;
}

BACKEND_TEST(limits, survive_a_failure_of_each_allocation_and_call)
{
    static const char *const entries[] = {
        "open", "mkdir", "write", "inotify_init1", "inotify_add_watch", "read", "clone3"};

    for (unsigned int n = 1; live(*backend, n, NULL, 0); n++) {
        cr_assert_lt(n, 200);
    }
    for (size_t i = 0; i < sizeof entries / sizeof *entries; i++) {
        for (unsigned int n = 1; n < 40 && live(*backend, 0, entries[i], n); n++) {
        }
    }
}

/* ---- the kernel's own
 * -------------------------------------------------------------------------------- */

/* Whether limits of ours can be held here: else says which controller is missing. */
static bool can_hold(const rp_limits *limits)
{
    rp_command command = stage_command(CHILD("exit", "0"));
    actor child = {0};
    stage on;
    int r;

    stage_open(&on, stage_backend(), NULL);
    command.limits = limits;
    r = actor_try_spawn(&on, &child, &command, 0);
    cr_assert(r == 0 || r == RP_EUNSUPPORTED, "%s", rp_error_detail());
    if (r == 0) {
        stage_run_until(&on, &child.counts[ACTOR_DONE], 1);
        actor_check_code(&child, 0);
    }
    actor_free(&child);
    stage_close(&on);
    return r == 0;
}

BACKEND_TEST(limits, of_processes_are_held_by_the_kernel)
{
    const rp_limits limits = limits_of(0, 20, 0);
    rp_command command = stage_command(CHILD("tree", "3", "4", "1", "pause"));
    actor child = {0};
    stage on;

    if (!can_hold(&limits)) {
        cr_skip_test("cgroup v2 has no controller \"pids\" for us here");
    }
    stage_open(&on, *backend, NULL);
    command.limits = &limits;
    actor_spawn(&on, &child, &command, ACTOR_DATA);
    check_stopped(&on, &child, "processes");
    stage_close(&on);
}

BACKEND_TEST(limits, of_memory_are_held_by_the_kernel)
{
    const rp_limits limits = limits_of(16 * MEBIBYTE, 0, 0);
    rp_command command = stage_command(CHILD("hoard", "64", "pause"));
    actor child = {0};
    stage on;

    if (!can_hold(&limits)) {
        cr_skip_test("cgroup v2 has no controller \"memory\" for us here");
    }
    stage_open(&on, *backend, NULL);
    command.limits = &limits;
    actor_spawn(&on, &child, &command, 0);
    stage_run_until(&on, &child.counts[ACTOR_DONE], 1);
    cr_assert(child.exit.oom_killed);
    check_stopped(&on, &child, "memory_bytes");
    stage_close(&on);
}
