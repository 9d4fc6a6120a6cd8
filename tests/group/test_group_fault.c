/* Fault loops over a group's whole life: the n-th allocation fails, and the n-th call of every
 * entry of the table of system calls, while a group is opened, its guard started, a child spawned
 * in it, and it is killed and closed. Whatever failed: nothing is left behind, "nobody is left" is
 * never said while somebody lives, and the loop works afterwards. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cgroup.h"
#include "tests/group/rig.h"
#include "tests/support/check.h"

typedef struct setting {
    rp_backend backend;
    rp_grade grade;
} setting;

/* A fault, and what it may do beside failing a call. */
typedef struct fault {
    const char *entry; /* NULL: of an allocation */
    int error;
    unsigned int
        max; /* so many are tried: what goes through /proc makes thousands of calls alike */
} fault;

static struct criterion_test_params settings(void)
{
    static setting all[4];
    size_t count = 0;

    for (int i = 0; i < (rp_has("uring") ? 2 : 1); i++) {
        for (int k = 0; k < (rp_has("cgroup") ? 2 : 1); k++) {
            all[count++] = (setting){i == 0 ? RP_BACKEND_EPOLL : RP_BACKEND_URING,
                                     k == 0 ? RP_GRADE_SCAN : RP_GRADE_KERNEL};
        }
    }
    return cr_make_param_array(setting, all, count);
}

/* Folders of cgroups that this program has made and not removed. */
static unsigned int count_cgroups(void)
{
    char path[RPI_CGROUP_PATH_SIZE];
    char prefix[64];
    unsigned int count = 0;
    const struct dirent *entry;
    DIR *folder;

    if (rpi_cgroup_name("any", path) < 0) {
        return 0;
    }
    *strrchr(path, '/') = '\0';
    (void)snprintf(prefix, sizeof prefix, "running-process.%d.", (int)getpid());
    folder = opendir(path);
    while (folder != NULL && (entry = readdir(folder)) != NULL) {
        count += strncmp(entry->d_name, prefix, strlen(prefix)) == 0;
    }
    if (folder != NULL) {
        (void)closedir(folder); /* only read */
    }
    return count;
}

static bool is_alive(const lifeline *line)
{
    struct pollfd entry = {.fd = line->read, .events = POLLIN};
    char bytes[16];

    while (poll(&entry, 1, 0) == 1 && (entry.revents & POLLIN) != 0) {
        if (read(line->read, bytes, sizeof bytes) <= 0) {
            return false;
        }
    }
    return (entry.revents & POLLHUP) == 0;
}

/* One of whom nothing is known is a survivor, too. */
static void note(rp_group *group, const rp_survivor *survivors, size_t count, void *user)
{
    verdict *noted = user;

    cr_assert_not_null(group);
    for (size_t i = 0; i < count; i++) {
        cr_assert(survivors[i].id.pid > 0 || strcmp(survivors[i].state, "unknown") == 0);
    }
    noted->calls++;
    noted->survivors = count;
}

static void turn(stage *on)
{
    (void)rp_loop_run_once(on->loop, RP_SECOND); /* may be what fails: then again */
}

static int open_and_spawn(stage *on, actor *child, const rp_command *command, rp_group **group)
{
    rp_command full = *command;
    int r = rp_group_open(on->loop, NULL, group);

    full.group = *group;
    r = r < 0 ? r : actor_try_spawn(on, child, &full, ACTOR_DATA);
    while (r == 0 && child->counts[ACTOR_STARTED] + child->counts[ACTOR_DONE] == 0) {
        turn(on);
    }
    return r;
}

/* Whether it was said that nobody is left while somebody is. */
static bool kill_and_close(stage *on, actor *child, rp_group *group, const lifeline *line)
{
    bool lied = false;
    verdict told = {0};

    if (group != NULL && rp_group_kill(group, 5 * RP_SECOND, note, &told) == 0) {
        while (told.calls == 0) {
            turn(on);
        }
        cr_assert_eq(told.calls, 1);
        lied = told.survivors == 0 && is_alive(line);
    }
    if (child->process != NULL) {
        actor_close(child);
    }
    cr_assert_eq(rp_group_close(group), 0);
    return lied;
}

/* After the faults: another group has a life without any. */
static void check_usable(stage *on, rp_grade grade)
{
    rp_group *group = NULL;
    verdict told = {0};
    grove tree;

    cr_assert_eq(rp_group_open(on->loop, NULL, &group), 0);
    cr_assert_eq(rp_group_grade(group), grade);
    grove_plant(on, &tree, group, CHILD("tree", "1", "2", "4", "pause"));
    grove_await(on, &tree, 2);
    cr_assert_eq(rp_group_kill(group, 60 * RP_SECOND, verdict_note, &told), 0);
    stage_run_until(on, &told.calls, 1);
    cr_assert_eq(told.survivors, 0);
    stage_run_until(on, &tree.actor.counts[ACTOR_DONE], 1);
    grove_check_gone(&tree);
    cr_assert_eq(rp_group_close(group), 0);
}

/* A life in which this fails for the nth time: whether it did. */
static bool live(const setting *with, const fault *what, unsigned int n)
{
    const rp_command calm = stage_command(CHILD("fork", "wait", "5", "end", "wait", "5"));
    lifeline line = lifeline_open();
    lifeline control = lifeline_open();
    const rp_fd fds[] = {{.parent = line.write, .child = 4}, {.parent = control.read, .child = 5}};
    rp_command command = calm;
    rp_group *group = NULL;
    actor child = {0};
    bool fired;
    stage on;

    stage_open(&on, with->backend, NULL);
    on.before.descriptors -= 4;
    command.fds = fds;
    command.fd_count = 2;
    rpi_fault_os_start();
    if (what->entry == NULL) {
        on.memory.fail_at = atomic_load(&on.memory.requests) + n;
    } else {
        rpi_fault_os_fail(what->entry, n, what->error);
    }
    (void)open_and_spawn(&on, &child, &command, &group);
    lifeline_close_write(&line); /* the launch has a duplicate, or is over */
    cr_assert_not(kill_and_close(&on, &child, group, &line), "%s, %u: told empty, and is not",
                  what->entry, n);
    stage_run(&on);
    fired = what->entry == NULL ? atomic_load(&on.memory.fired) : rpi_fault_os_fired();
    rpi_fault_os_stop();
    on.memory.fail_at = 0;
    lifeline_close(&control); /* whoever could not be killed goes now */
    lifeline_await_end(&line);
    lifeline_close(&line);
    check_usable(&on, with->grade);
    actor_free(&child);
    stage_close(&on);
    if (what->entry == NULL || strcmp(what->entry, "rmdir") != 0) {
        cr_assert_eq(count_cgroups(), 0, "%s, %u", what->entry, n);
    }
    return fired;
}

ParameterizedTestParameters(group_fault, of_each_kind_is_survived)
{
    return settings();
}

ParameterizedTest(setting *with, group_fault, of_each_kind_is_survived, .timeout = 300)
{
    static const fault faults[] = {
        {NULL, 0, 100},
        {"mkdir", EACCES, 9},
        {"rmdir", EBUSY, 3},
        {"open", EMFILE, 12},
        {"read", EIO, 8},
        {"pread", EIO, 8},
        {"write", EIO, 9},
        {"getdents64", ENOMEM, 5},
        {"pidfd_open", EMFILE, 5},
        {"kill", EPERM, 4},
        {"waitid", EINTR, 5},
        {"clone3", EAGAIN, 6},
        {"socketpair", EMFILE, 2},
        {"sendmsg", EPIPE, 5},
        {"fcntl", EMFILE, 9},
        {"poll", EINTR, 6},
        {"pipe2", EMFILE, 4},
        {"thread_start", EAGAIN, 4},
        {"pidfd_send_signal", EPERM, 5},
        {"close", EINTR, 12},
        {"fork", EAGAIN, 3},
    };

    cr_assert_eq(setenv("RP_GRADE", with->grade == RP_GRADE_SCAN ? "scan" : "kernel", 1), 0);
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        for (unsigned int n = 1; n <= faults[i].max && live(with, &faults[i], n); n++) {
        }
    }
}
