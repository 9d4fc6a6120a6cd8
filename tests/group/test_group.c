/* Tests groups: all that children of a group have started ends with it, at each grade, on each
 * backend, whatever ties it has broken; what callers are told; closes at awkward moments. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/group/rig.h"
#include "tests/support/check.h"

#define LONG_NS (60 * RP_SECOND)

/* What a test runs with. */
typedef struct setting {
    rp_backend backend;
    rp_grade grade;
} setting;

static struct criterion_test_params settings(void)
{
    static const rp_grade grades[] = {RP_GRADE_GROUP, RP_GRADE_SCAN, RP_GRADE_KERNEL};
    static setting all[3 * STAGE_BACKENDS_MAX];
    rp_backend backends[STAGE_BACKENDS_MAX];
    const size_t backend_count = stage_backend_list(backends);
    size_t count = 0;

    for (size_t i = 0; i < backend_count; i++) {
        for (int k = 0; k < (rp_has("cgroup") ? 3 : 2); k++) {
            all[count++] = (setting){backends[i], grades[k]};
        }
    }
    return cr_make_param_array(setting, all, count);
}

#define GRADE_TEST(name)                                                                           \
    ParameterizedTestParameters(group, name)                                                       \
    {                                                                                              \
        return settings();                                                                         \
    }                                                                                              \
    ParameterizedTest(setting *with, group, name, .timeout = 120)

/* The same, but for the grade at which children can break out. */
#define HELD_TEST(name)                                                                            \
    ParameterizedTestParameters(group, name)                                                       \
    {                                                                                              \
        return held_settings();                                                                    \
    }                                                                                              \
    ParameterizedTest(setting *with, group, name, .timeout = 120)

static struct criterion_test_params held_settings(void)
{
    static setting held[2 * STAGE_BACKENDS_MAX];
    struct criterion_test_params all = settings();
    const setting *every = all.params;
    size_t count = 0;

    for (size_t i = 0; i < all.length; i++) {
        if (every[i].grade != RP_GRADE_GROUP) {
            held[count++] = every[i];
        }
    }
    return cr_make_param_array(setting, held, count);
}

static void set_grade(rp_grade grade)
{
    static const char *const names[] = {
        [RP_GRADE_GROUP] = "group", [RP_GRADE_SCAN] = "scan", [RP_GRADE_KERNEL] = "kernel"};

    cr_assert_eq(setenv("RP_GRADE", names[grade], 1), 0);
}

static rp_group *open_group(stage *on, rp_grade grade)
{
    rp_group_options options = RP_GROUP_OPTIONS_INIT;
    rp_group *group = NULL;

    options.grade_min = grade;
    cr_assert_eq(rp_group_open(on->loop, &options, &group), 0, "%s", rp_error_detail());
    cr_assert_eq(rp_group_grade(group), grade);
    return group;
}

/* ---- ends ------------------------------------------------------------------------------- */

GRADE_TEST(kills_what_its_children_have_started)
{
    stage on;
    grove trees[3];
    verdict told = {0};
    rp_group *group;

    set_grade(with->grade);
    stage_open(&on, with->backend, NULL);
    group = open_group(&on, with->grade);
    for (int i = 0; i < 3; i++) {
        grove_plant(&on, &trees[i], group, CHILD("tree", "2", "4", "4", "pause"));
    }
    for (int i = 0; i < 3; i++) {
        grove_await(&on, &trees[i], 20);
    }
    cr_assert_eq(rp_group_kill(group, LONG_NS, verdict_note, &told), 0);
    cr_assert_eq(told.calls, 0, "not from inside the call");
    stage_run_until(&on, &told.calls, 1);
    cr_assert_eq(told.survivors, 0);
    for (int i = 0; i < 3; i++) {
        cr_assert_not(grove_is_alive(&trees[i]));
        stage_run_until(&on, &trees[i].actor.counts[ACTOR_DONE], 1);
        cr_assert_eq(trees[i].actor.exit.reason, RP_STOP_KILL);
        grove_check_gone(&trees[i]);
    }
    cr_assert_eq(rp_group_close(group), 0);
    stage_run(&on);
    cr_assert_eq(told.calls, 1);
    stage_close(&on);
}

HELD_TEST(finds_a_thousand_that_broke_their_ties)
{
    stage on;
    grove tree;
    verdict told = {0};
    rp_group *group;

    set_grade(with->grade);
    stage_open(&on, with->backend, NULL);
    group = open_group(&on, with->grade);
    grove_plant(&on, &tree, group,
                CHILD("fork", "multiply", "300", "4", "end", "scatter", "700", "4"));
    grove_await(&on, &tree, 1000);
    cr_assert_eq(rp_group_kill(group, LONG_NS, verdict_note, &told), 0);
    stage_run_until(&on, &told.calls, 1);
    cr_assert_eq(told.survivors, 0);
    cr_assert_not(grove_is_alive(&tree));
    cr_assert_eq(rp_group_close(group), 0);
    stage_run(&on);
    grove_check_gone(&tree);
    stage_close(&on);
}

HELD_TEST(finds_what_a_child_left_that_is_long_done)
{
    stage on;
    grove tree;
    verdict told = {0};
    rp_group *group;

    set_grade(with->grade);
    stage_open(&on, with->backend, NULL);
    group = open_group(&on, with->grade);
    grove_plant(&on, &tree, group,
                CHILD("fork", "setsid", "fork", "write", "4", "x", "pause", "end", "exit", "0",
                      "end", "write", "4", "x"));
    grove_await(&on, &tree, 2);
    stage_run_until(&on, &tree.actor.counts[ACTOR_DONE], 1);
    cr_assert(grove_is_alive(&tree));
    cr_assert_eq(rp_group_kill(group, LONG_NS, verdict_note, &told), 0);
    stage_run_until(&on, &told.calls, 1);
    cr_assert_eq(told.survivors, 0);
    cr_assert_not(grove_is_alive(&tree));
    cr_assert_eq(rp_group_close(group), 0);
    stage_run(&on);
    grove_check_gone(&tree);
    stage_close(&on);
}

HELD_TEST(leaves_others_alone)
{
    stage on;
    grove ours;
    grove others;
    grove free_one;
    verdict told = {0};
    rp_group *group;
    rp_group *other;

    set_grade(with->grade);
    stage_open(&on, with->backend, NULL);
    group = open_group(&on, with->grade);
    other = open_group(&on, with->grade);
    grove_plant(&on, &ours, group, CHILD("scatter", "10", "4", "pause"));
    grove_plant(&on, &others, other, CHILD("scatter", "10", "4", "pause"));
    grove_plant(&on, &free_one, NULL, CHILD("tree", "1", "10", "4", "pause"));
    grove_await(&on, &ours, 10);
    grove_await(&on, &others, 10);
    grove_await(&on, &free_one, 10);
    cr_assert_eq(rp_group_kill(group, LONG_NS, verdict_note, &told), 0);
    stage_run_until(&on, &told.calls, 1);
    cr_assert_not(grove_is_alive(&ours));
    cr_assert_eq(others.actor.counts[ACTOR_EXITED], 0);
    cr_assert_eq(free_one.actor.counts[ACTOR_EXITED], 0);
    cr_assert_eq(rp_group_close(other), 0);
    cr_assert_eq(rp_group_close(group), 0);
    stage_run_until(&on, &others.actor.counts[ACTOR_DONE], 1);
    cr_assert_eq(others.actor.exit.reason, RP_STOP_CLOSE);
    cr_assert_eq(free_one.actor.counts[ACTOR_EXITED], 0);
    grove_check_gone(&ours);
    grove_check_gone(&others);
    cr_assert(grove_is_alive(&free_one));
    cr_assert_eq(rp_kill(free_one.actor.process), 0);
    stage_run(&on);
    lifeline_close(&free_one.line);
    actor_free(&free_one.actor);
    stage_close(&on);
}

GRADE_TEST(can_be_used_again_after_a_kill)
{
    stage on;
    grove tree;
    verdict told = {0};
    rp_group *group;

    set_grade(with->grade);
    stage_open(&on, with->backend, NULL);
    group = open_group(&on, with->grade);
    for (unsigned int i = 0; i < 3; i++) {
        grove_plant(&on, &tree, group, CHILD("tree", "2", "3", "4", "pause"));
        grove_await(&on, &tree, 12);
        cr_assert_eq(rp_group_kill(group, LONG_NS, verdict_note, &told), 0);
        stage_run_until(&on, &told.calls, i + 1);
        cr_assert_eq(told.survivors, 0);
        stage_run(&on);
        grove_check_gone(&tree);
    }
    cr_assert_eq(rp_group_close(group), 0);
    stage_run(&on);
    stage_close(&on);
}

/* Who forks and ends for ever is somebody else at every look. */
BACKEND_TEST(group, ends_a_run_away_in_a_cgroup)
{
    stage on;
    grove tree;
    verdict told = {0};
    rp_group *group;

    if (!rp_has("cgroup")) {
        cr_skip_test("no cgroup can be had here");
    }
    stage_open(&on, *backend, NULL);
    group = open_group(&on, RP_GRADE_KERNEL);
    grove_plant(&on, &tree, group, CHILD("write", "4", "x", "run-away"));
    grove_await(&on, &tree, 1);
    cr_assert_eq(rp_group_kill(group, LONG_NS, verdict_note, &told), 0);
    stage_run_until(&on, &told.calls, 1);
    cr_assert_eq(told.survivors, 0);
    cr_assert_not(grove_is_alive(&tree));
    cr_assert_eq(rp_group_close(group), 0);
    stage_run(&on);
    grove_check_gone(&tree);
    stage_close(&on);
}

/* ---- what callers are told ------------------------------------------------------------------ */

BACKEND_TEST(group, is_empty_at_once_where_nobody_was)
{
    stage on;
    verdict told = {0};
    rp_group *group;

    stage_open(&on, *backend, NULL);
    cr_assert_eq(rp_group_open(on.loop, NULL, &group), 0);
    cr_assert_eq(rp_group_kill(group, 0, verdict_note, &told), 0);
    cr_assert_eq(rp_group_kill(group, 0, verdict_note, &told), RP_EBUSY);
    cr_assert_eq(told.calls, 0);
    stage_run(&on); /* a kill under way keeps it running */
    cr_assert_eq(told.calls, 1);
    cr_assert_eq(told.survivors, 0);
    cr_assert_eq(rp_group_kill(group, RP_FOREVER, NULL, NULL), 0, "it may be used again");
    stage_run(&on);
    cr_assert_eq(rp_group_close(group), 0);
    cr_assert_eq(rp_group_close(NULL), 0);
    stage_run(&on);
    stage_close(&on);
}

BACKEND_TEST(group, refuses_what_it_cannot_do)
{
    stage on;
    stage other = {.loop = NULL};
    rp_loop_options other_options = RP_LOOP_OPTIONS_INIT;
    rp_group_options options = RP_GROUP_OPTIONS_INIT;
    rp_command command = stage_command(CHILD("exit", "0"));
    verdict told = {0};
    actor child = {0};
    rp_group *group;

    set_grade(RP_GRADE_GROUP);
    stage_open(&on, *backend, NULL);
    options.grade_min = RP_GRADE_SCAN;
    cr_assert_eq(rp_group_open(on.loop, &options, &group), RP_EUNSUPPORTED);
    cr_assert_neq(strstr(rp_error_detail(), "grade_min"), NULL);
    options.grade_min = (rp_grade)77;
    cr_assert_eq(rp_group_open(on.loop, &options, &group), RP_EINVAL);
    options.grade_min = 0;
    options.originator = "a:b";
    cr_assert_eq(rp_group_open(on.loop, &options, &group), RP_EINVAL);
    options.originator = NULL;
    options.size = 0;
    cr_assert_eq(rp_group_open(on.loop, &options, &group), RP_EINVAL);
    cr_assert_eq(rp_group_open(on.loop, NULL, &group), 0);
    command.group = group;
    cr_assert_eq(rp_group_kill(group, 0, verdict_note, &told), 0);
    cr_assert_eq(actor_try_spawn(&on, &child, &command, ACTOR_DATA), RP_EBUSY);
    stage_run(&on);
    other_options.backend = *backend;
    cr_assert_eq(rp_loop_open(&other_options, &other.loop), 0);
    cr_assert_eq(actor_try_spawn(&other, &child, &command, ACTOR_DATA), RP_EINVAL);
    cr_assert_eq(rp_loop_close(other.loop), 0); /* the guard of the first is a child that stays */
    actor_play(&on, &child, &command, ACTOR_DATA);
    actor_check_code(&child, 0);
    actor_free(&child);
    stage_close(&on);
}

BACKEND_TEST(group, gives_its_originator_to_commands_that_name_none)
{
    stage on;
    rp_group_options options = RP_GROUP_OPTIONS_INIT;
    rp_command command = stage_command(CHILD("env", "RUNNING_PROCESS_ORIGINATOR"));
    actor child = {0};
    char wanted[64];
    rp_group *group;

    stage_open(&on, *backend, NULL);
    options.originator = "forest";
    cr_assert_eq(rp_group_open(on.loop, &options, &group), 0);
    command.group = group;
    (void)snprintf(wanted, sizeof wanted, "forest:%d\n", getpid());
    actor_play(&on, &child, &command, ACTOR_DATA);
    cr_assert_str_eq(actor_data(&child, RP_STDOUT), wanted);
    actor_free(&child);
    command.originator = "tree";
    (void)snprintf(wanted, sizeof wanted, "tree:%d\n", getpid());
    actor_play(&on, &child, &command, ACTOR_DATA);
    cr_assert_str_eq(actor_data(&child, RP_STDOUT), wanted);
    actor_free(&child);
    cr_assert_eq(rp_group_close(group), 0);
    stage_run(&on);
    stage_close(&on);
}

BACKEND_TEST(group, keeps_the_marks_of_the_groups_around_it)
{
    stage on;
    rp_command command = stage_command(CHILD("env", "RUNNING_PROCESS_GROUP"));
    actor child = {0};
    rp_group *group;

    cr_assert_eq(setenv("RUNNING_PROCESS_GROUP", "outer", 1), 0);
    stage_open(&on, *backend, NULL);
    cr_assert_eq(rp_group_open(on.loop, NULL, &group), 0);
    command.group = group;
    actor_play(&on, &child, &command, ACTOR_DATA);
    cr_assert_eq(strncmp(actor_data(&child, RP_STDOUT), "outer,", 6), 0, "%s",
                 actor_data(&child, RP_STDOUT));
    cr_assert_gt(strlen(actor_data(&child, RP_STDOUT)), sizeof "outer,\n");
    actor_free(&child);
    cr_assert_eq(rp_group_close(group), 0);
    stage_run(&on);
    stage_close(&on);
}

/* ---- awkward moments ------------------------------------------------------------------------- */

BACKEND_TEST(group, cancels_what_has_not_begun)
{
    enum {
        COUNT = 40
    };
    static actor children[COUNT];
    rp_loop_options options = {.process_max = 4};
    rp_command command = stage_command(CHILD("pause"));
    verdict told = {0};
    unsigned int cancelled = 0;
    rp_group *group;
    stage on;

    stage_open(&on, *backend, &options);
    cr_assert_eq(rp_group_open(on.loop, NULL, &group), 0);
    command.group = group;
    for (int i = 0; i < COUNT; i++) {
        actor_spawn(&on, &children[i], &command, ACTOR_DATA);
    }
    cr_assert_geq(rp_loop_run_once(on.loop, 0), 0);
    cr_assert_eq(rp_group_kill(group, LONG_NS, verdict_note, &told), 0);
    stage_run(&on);
    cr_assert_eq(told.calls, 1);
    cr_assert_eq(told.survivors, 0);
    for (int i = 0; i < COUNT; i++) {
        cr_assert_eq(children[i].counts[ACTOR_DONE], 1);
        cancelled += children[i].exit.kind == RP_SPAWN_FAILED;
        cr_assert(children[i].exit.kind == RP_SIGNALED || children[i].exit.error == RP_ECANCELED);
        actor_free(&children[i]);
    }
    cr_assert_geq(cancelled, COUNT - 4);
    stage_close(&on);
}

BACKEND_TEST(group, reaches_children_that_were_let_go)
{
    stage on;
    grove tree;
    rp_group *group;

    stage_open(&on, *backend, NULL);
    cr_assert_eq(rp_group_open(on.loop, NULL, &group), 0);
    grove_plant(&on, &tree, NULL, CHILD("exit", "0"));
    stage_run_until(&on, &tree.actor.counts[ACTOR_DONE], 1);
    grove_check_gone(&tree);
    grove_plant(&on, &tree, group, CHILD("tree", "1", "3", "4", "pause"));
    grove_await(&on, &tree, 3);
    actor_close(&tree.actor);
    grove_check_gone(&tree);
    cr_assert_eq(rp_group_close(group), 0);
    stage_run(&on);
    stage_close(&on);
}

static void close_group_in_callback(actor *self, actor_event event, rp_stream stream)
{
    rp_group **group = self->context;

    (void)stream;
    if (event == ACTOR_GOT_DATA && *group != NULL) {
        cr_assert_eq(rp_group_close(*group), 0);
        *group = NULL;
    }
}

BACKEND_TEST(group, may_be_closed_from_a_callback_of_its_child)
{
    stage on;
    grove tree;
    rp_group *group;

    stage_open(&on, *backend, NULL);
    cr_assert_eq(rp_group_open(on.loop, NULL, &group), 0);
    grove_plant(&on, &tree, group, CHILD("tree", "1", "3", "4", "echo", "now", "pause"));
    tree.actor.hook = close_group_in_callback;
    tree.actor.context = &group;
    stage_run(&on);
    cr_assert_null(group);
    cr_assert_eq(tree.actor.counts[ACTOR_DONE], 1, "its done still comes");
    cr_assert_eq(tree.actor.exit.reason, RP_STOP_CLOSE);
    grove_check_gone(&tree);
    stage_close(&on);
}

static void
close_when_emptied(rp_group *group, const rp_survivor *survivors, size_t count, void *user)
{
    verdict_note(group, survivors, count, user);
    cr_assert_eq(rp_group_close(group), 0);
}

BACKEND_TEST(group, may_be_closed_when_it_tells_that_it_is_empty)
{
    stage on;
    grove tree;
    verdict told = {0};
    rp_group *group;

    stage_open(&on, *backend, NULL);
    cr_assert_eq(rp_group_open(on.loop, NULL, &group), 0);
    grove_plant(&on, &tree, group, CHILD("tree", "1", "3", "4", "pause"));
    grove_await(&on, &tree, 3);
    cr_assert_eq(rp_group_kill(group, LONG_NS, close_when_emptied, &told), 0);
    stage_run(&on);
    cr_assert_eq(told.calls, 1);
    grove_check_gone(&tree);
    stage_close(&on);
}

BACKEND_TEST(group, is_silent_after_its_close)
{
    stage on;
    grove tree;
    verdict told = {0};
    rp_group *group;

    stage_open(&on, *backend, NULL);
    cr_assert_eq(rp_group_open(on.loop, NULL, &group), 0);
    grove_plant(&on, &tree, group, CHILD("tree", "1", "3", "4", "pause"));
    grove_await(&on, &tree, 3);
    cr_assert_eq(rp_group_kill(group, RP_FOREVER, verdict_note, &told), 0);
    cr_assert_eq(rp_group_close(group), 0);
    stage_run(&on);
    cr_assert_eq(told.calls, 0);
    grove_check_gone(&tree);
    stage_close(&on);
}

HELD_TEST(ends_with_the_loop)
{
    stage on;
    grove trees[12]; /* more than there are threads for */
    rp_group *group;

    set_grade(with->grade);
    stage_open(&on, with->backend, NULL);
    for (int i = 0; i < 12; i++) {
        group = open_group(&on, with->grade);
        grove_plant(&on, &trees[i], group, CHILD("scatter", "5", "4", "pause"));
    }
    for (int i = 0; i < 12; i++) {
        grove_await(&on, &trees[i], 5);
    }
    on.before.descriptors += 12; /* the lines */
    stage_close(&on);
    for (int i = 0; i < 12; i++) {
        cr_assert_not(grove_is_alive(&trees[i]));
        cr_assert_eq(trees[i].actor.counts[ACTOR_DONE], 0);
        lifeline_close(&trees[i].line);
        trees[i].actor.process = NULL;
        actor_free(&trees[i].actor);
    }
}

BACKEND_TEST(group, is_nothing_to_a_forked_host)
{
    stage on;
    grove tree;
    verdict told = {0};
    rp_group *group;
    pid_t copy;
    int status = 0;

    stage_open(&on, *backend, NULL);
    cr_assert_eq(rp_group_open(on.loop, NULL, &group), 0);
    grove_plant(&on, &tree, group, CHILD("tree", "1", "3", "4", "pause"));
    grove_await(&on, &tree, 3);
    cr_assert_eq(rp_group_kill(group, LONG_NS, NULL, NULL), 0);
    stage_run(&on);
    grove_check_gone(&tree);
    grove_plant(&on, &tree, group, CHILD("tree", "1", "3", "4", "pause"));
    grove_await(&on, &tree, 3);
    copy = fork();
    if (copy == 0) {
        rp_group *other = NULL;
        const bool right = rp_group_kill(group, 0, verdict_note, &told) == RP_EPERM &&
                           rp_group_close(group) == RP_EPERM &&
                           rp_group_open(on.loop, NULL, &other) == RP_EPERM &&
                           rp_loop_close(on.loop) == 0;

        _exit(right ? 0 : 1);
    }
    cr_assert_eq(waitpid(copy, &status, 0), copy);
    cr_assert_eq(status, 0);
    cr_assert(grove_is_alive(&tree));
    cr_assert_eq(rp_group_close(group), 0);
    stage_run(&on);
    grove_check_gone(&tree);
    stage_close(&on);
}
