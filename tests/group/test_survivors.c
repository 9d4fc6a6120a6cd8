/* Tests what a kill of a group says of those that it leaves: exactly those are listed that are
 * alive. Some of a tree are under protection: signals for them are refused, as those for another
 * user's would be. Others leave the process groups, at the grade that does not follow them. Who is
 * alive is found independently: by the pipe that all of the tree hold. */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/os.h"
#include "tests/group/rig.h"
#include "tests/support/check.h"

enum {
    TREE_MAX = 64 /* as many as a verdict has room for */
};

typedef struct setting {
    rp_backend backend;
    rp_grade grade;
} setting;

static struct criterion_test_params settings(void)
{
    static setting all[4];
    size_t count = 0;

    for (int i = 0; i < (rp_has("uring") ? 2 : 1); i++) {
        for (int k = 0; k < 2; k++) {
            all[count++] = (setting){i == 0 ? RP_BACKEND_EPOLL : RP_BACKEND_URING,
                                     k == 0 ? RP_GRADE_GROUP : RP_GRADE_SCAN};
        }
    }
    return cr_make_param_array(setting, all, count);
}

/* ---- protection -------------------------------------------------------------------------- */

/* Changed only while nothing of the library sends signals. */
static const grove *guarded;
static int64_t spared[TREE_MAX];
static size_t spared_count;
static rpi_os_table real;

static bool is_in(int64_t pid, const int64_t *pids, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (pids[i] == pid) {
            return true;
        }
    }
    return false;
}

static bool is_spared(int64_t pid)
{
    return is_in(pid, spared, spared_count);
}

static int64_t pid_of(int pidfd)
{
    char path[64];
    char line[128];
    int64_t pid = 0;
    FILE *info;

    (void)snprintf(path, sizeof path, "/proc/self/fdinfo/%d", pidfd);
    info = fopen(path, "re");
    while (info != NULL && fgets(line, sizeof line, info) != NULL) {
        if (strncmp(line, "Pid:", 4) == 0) {
            pid = strtoll(line + 4, NULL, 10);
        }
    }
    if (info != NULL) {
        (void)fclose(info); /* only read */
    }
    return pid;
}

static int send_by_pidfd(int pidfd, int signal, unsigned flags)
{
    if (spared_count > 0 && signal != 0 && is_spared(pid_of(pidfd))) {
        errno = EPERM;
        return -1;
    }
    return real.pidfd_send_signal(pidfd, signal, flags);
}

/* To a process group: reaches those that it may, and succeeds where that was anybody. */
static int send_by_number(pid_t pid, int signal)
{
    int64_t pids[TREE_MAX];
    bool reached = false;
    size_t count;

    if (spared_count == 0 || signal == 0 || (pid > 0 && !is_spared(pid))) {
        return real.kill(pid, signal);
    }
    count = pid < 0 ? grove_list(guarded, pids, TREE_MAX) : 0;
    for (size_t i = 0; i < count; i++) {
        if (getpgid((pid_t)pids[i]) == -pid && !is_spared(pids[i])) {
            reached = real.kill((pid_t)pids[i], signal) == 0 || reached;
        }
    }
    errno = EPERM;
    return reached ? 0 : -1;
}

static void wrap(void)
{
    real = rpi_os;
    rpi_os.pidfd_send_signal = send_by_pidfd;
    rpi_os.kill = send_by_number;
}

/* Each third of those that are in the process group of the tree's first, or in others. */
static void spare(const grove *tree, int64_t leader)
{
    int64_t pids[TREE_MAX];
    const size_t count = grove_list(tree, pids, TREE_MAX);

    guarded = tree;
    for (size_t i = 0; i < count; i += 3) {
        if (pids[i] != leader) {
            spared[spared_count++] = pids[i];
        }
    }
    cr_assert_geq(spared_count, 4);
}

/* ---- the tests ----------------------------------------------------------------------------- */

static rp_group *open_group(stage *on, rp_grade grade)
{
    rp_group *group = NULL;

    cr_assert_eq(setenv("RP_GRADE", grade == RP_GRADE_GROUP ? "group" : "scan", 1), 0);
    cr_assert_eq(rp_group_open(on->loop, NULL, &group), 0, "%s", rp_error_detail());
    cr_assert_eq(rp_group_grade(group), grade);
    return group;
}

static void end(stage *on, rp_group *group, verdict *told)
{
    const unsigned int calls = told->calls;

    cr_assert_eq(rp_group_kill(group, RP_SECOND / 5, verdict_note, told), 0);
    stage_run_until(on, &told->calls, calls + 1);
}

/* Whether somebody is left that the grade kills: he was dying when it was looked. */
static bool is_dying(const grove *tree, rp_grade grade, int64_t leader)
{
    int64_t pids[TREE_MAX];
    const size_t count = grove_list(tree, pids, TREE_MAX);

    for (size_t i = 0; i < count; i++) {
        if (!is_spared(pids[i]) && (grade != RP_GRADE_GROUP || getpgid((pid_t)pids[i]) == leader)) {
            return true;
        }
    }
    return false;
}

/* Kills until all are gone that can be killed; nobody who is left must ever have been kept quiet
 * about, and in the end nobody else is told. How many are left. */
static size_t end_and_compare(stage *on, const grove *tree, rp_group *group, setting with)
{
    const int64_t leader = rp_process_pid(tree->actor.process);
    verdict told = {0};
    int64_t pids[TREE_MAX];
    size_t count;
    bool is_last;

    do {
        is_last = !is_dying(tree, with.grade, leader);
        end(on, group, &told);
        count = grove_list(tree, pids, TREE_MAX);
        for (size_t i = 0; i < count; i++) {
            cr_assert(is_in(pids[i], told.pids, told.survivors), "%lld is alive",
                      (long long)pids[i]);
        }
    } while (!is_last);
    cr_assert_eq(told.survivors, count);
    for (size_t i = 0; i < told.survivors; i++) {
        cr_assert(is_in(told.pids[i], pids, count), "%lld is not", (long long)told.pids[i]);
    }
    return count;
}

/* Whoever is left goes now. */
static void let_go(stage *on, grove *tree, rp_group *group)
{
    int64_t pids[TREE_MAX];
    const size_t count = grove_list(tree, pids, TREE_MAX);
    verdict told = {0};

    spared_count = 0;
    for (size_t i = 0; i < count; i++) {
        cr_assert_eq(kill((pid_t)pids[i], SIGKILL), 0);
    }
    lifeline_await_end(&tree->line);
    end(on, group, &told);
    cr_assert_eq(told.survivors, 0);
    cr_assert_eq(rp_group_close(group), 0);
    actor_close(&tree->actor);
    stage_run(on);
    lifeline_close(&tree->line);
    actor_free(&tree->actor);
}

ParameterizedTestParameters(survivors, are_exactly_those_that_could_not_be_killed)
{
    return settings();
}

ParameterizedTest(setting *with,
                  survivors,
                  are_exactly_those_that_could_not_be_killed,
                  .timeout = 120)
{
    stage on;
    grove tree;
    rp_group *group;
    size_t count;

    wrap();
    stage_open(&on, with->backend, NULL);
    group = open_group(&on, with->grade);
    grove_plant(&on, &tree, group, CHILD("tree", "2", "3", "4", "scatter", "10", "4", "pause"));
    tree.actor.stays = true;
    grove_await(&on, &tree, 22);
    spare(&tree, rp_process_pid(tree.actor.process));
    count = end_and_compare(&on, &tree, group, *with);
    cr_assert_geq(count, 4);
    let_go(&on, &tree, group);
    stage_close(&on);
}

ParameterizedTestParameters(survivors, are_also_those_that_left_the_process_groups)
{
    return stage_backends();
}

ParameterizedTest(rp_backend *backend,
                  survivors,
                  are_also_those_that_left_the_process_groups,
                  .timeout = 120)
{
    const setting with = {*backend, RP_GRADE_GROUP};
    stage on;
    grove tree;
    rp_group *group;

    stage_open(&on, with.backend, NULL);
    group = open_group(&on, with.grade);
    grove_plant(&on, &tree, group, CHILD("scatter", "50", "4", "pause"));
    tree.actor.stays = true;
    grove_await(&on, &tree, 50);
    cr_assert_eq(end_and_compare(&on, &tree, group, with), 20, "two kinds of five lead sessions");
    let_go(&on, &tree, group);
    stage_close(&on);
}
