/* Tests the guard: hosts that die without closing their groups, at planned and at random moments,
 * and what becomes of their children; guards that cannot be had, or die themselves. A host is a
 * copy of the test that opens a loop of its own; all whom it starts hold a pipe of the test's. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cgroup.h"
#include "base/members.h"
#include "core/loop.h"
#include "tests/group/rig.h"
#include "tests/support/check.h"
#include "tests/support/seed.h"

#define NOBODY 65534

enum {
    ROUNDS = 25,
    FAR = 30000 /* milliseconds; what takes so long has failed */
};

/* What a host does. */
typedef struct plot {
    rp_backend backend;
    bool in_cgroup;
    bool survive_crash;
    bool forks;       /* and leaves a copy of itself that lives on */
    bool is_nobody;   /* it has no rights */
    bool is_restless; /* goes on starting and closing groups */
    lifeline line;    /* children hold its write end as descriptor 4 */
    lifeline hold;    /* until its end the copy lives on */
} plot;

static void host_spawn(const plot *of, rp_loop *loop, rp_group *group, const char *const *argv)
{
    const rp_fd fd = {.parent = of->line.write, .child = 4};
    rp_command command = RP_COMMAND_INIT;

    command.argv = argv;
    command.fds = &fd;
    command.fd_count = 1;
    command.group = group;
    command.out.kind = RP_STDIO_NULL;
    command.err.kind = RP_STDIO_NULL;
    if (rp_spawn(loop, &command, NULL, NULL, NULL) != 0) {
        _exit(3);
    }
}

static _Noreturn void host_main(const plot *of)
{
    rp_loop_options options = RP_LOOP_OPTIONS_INIT;
    rp_group_options group_options = RP_GROUP_OPTIONS_INIT;
    rp_group *group = NULL;
    rp_loop *loop = NULL;

    if (of->is_nobody && (setgid(NOBODY) < 0 || setuid(NOBODY) < 0)) {
        _exit(4);
    }
    group_options.survive_crash = of->survive_crash;
    options.backend = of->backend;
    options.stay = true;
    (void)setenv("RP_GRADE", of->in_cgroup ? "kernel" : "scan", 1);
    if (rp_loop_open(&options, &loop) != 0 || rp_group_open(loop, &group_options, &group) != 0) {
        _exit(2);
    }
    if (rp_group_is_guarded(group) == of->survive_crash) {
        _exit(5);
    }
    if (of->forks && fork() == 0) {
        char byte;

        (void)close(of->line.write);
        (void)close(of->hold.write);
        _exit((int)read(of->hold.read, &byte, 1));
    }
    host_spawn(of, loop, group, CHILD("scatter", "10", "4", "tree", "1", "10", "4", "pause"));
    while (of->is_restless) {
        rp_group *other = NULL;

        if (rp_group_open(loop, &group_options, &other) != 0) {
            _exit(2);
        }
        host_spawn(of, loop, other, CHILD("scatter", "5", "4", "pause"));
        host_spawn(of, loop, group, CHILD("exit", "0"));
        for (int i = 0; i < 5; i++) {
            (void)rp_loop_run_once(loop, RP_MILLISECOND);
        }
        if (rp_group_close(other) != 0) {
            _exit(2);
        }
    }
    (void)rp_loop_run(loop);
    _exit(1);
}

static pid_t host_start(plot *of)
{
    pid_t host;

    if (of->is_nobody) {
        stage_need_for_nobody(RP_TEST_CHILD);
    }
    of->line = lifeline_open();
    of->hold = lifeline_open();
    host = fork();
    cr_assert_geq(host, 0);
    if (host == 0) {
        host_main(of);
    }
    lifeline_close_write(&of->line);
    return host;
}

/* Waits for so many bytes from its children. */
static void host_await(const plot *of, size_t count)
{
    char byte;

    for (size_t i = 0; i < count; i++) {
        cr_assert_eq(read(of->line.read, &byte, 1), 1, "the host ended");
    }
}

static void host_kill(pid_t host)
{
    int status = 0;

    cr_assert_eq(kill(host, SIGKILL), 0);
    cr_assert_eq(waitpid(host, &status, 0), host);
    cr_assert(WIFSIGNALED(status), "it ended with %d before", WEXITSTATUS(status));
}

static void host_forget(plot *of)
{
    lifeline_close(&of->line);
    lifeline_close(&of->hold);
}

static struct criterion_test_params plots(void)
{
    static plot all[3 * STAGE_BACKENDS_MAX];
    rp_backend backends[STAGE_BACKENDS_MAX];
    const size_t backend_count = stage_backend_list(backends);
    size_t count = 0;

    for (size_t i = 0; i < backend_count; i++) {
        const rp_backend backend = backends[i];

        all[count++] = (plot){.backend = backend};
        if (geteuid() == 0) {
            all[count++] = (plot){.backend = backend, .is_nobody = true};
        }
        if (rp_has("cgroup")) {
            all[count++] = (plot){.backend = backend, .in_cgroup = true};
        }
    }
    return cr_make_param_array(plot, all, count);
}

#define PLOT_TEST(name)                                                                            \
    ParameterizedTestParameters(guard, name)                                                       \
    {                                                                                              \
        return plots();                                                                            \
    }                                                                                              \
    ParameterizedTest(plot *of, guard, name, .timeout = 120)

/* ---- hosts that die ----------------------------------------------------------------------- */

PLOT_TEST(ends_the_groups_of_a_host_that_is_killed)
{
    pid_t host = host_start(of);

    host_await(of, 20);
    host_kill(host);
    lifeline_await_end(&of->line);
    host_forget(of);
}

PLOT_TEST(is_not_kept_waiting_by_a_copy_of_the_host)
{
    pid_t host;

    of->forks = true;
    host = host_start(of);
    host_await(of, 20);
    host_kill(host);
    lifeline_await_end(&of->line);
    host_forget(of);
}

/* Those that a host left which nobody guarded. */
static void remove_cgroups(pid_t host)
{
    char path[RPI_CGROUP_PATH_SIZE];
    char prefix[64];
    char *name = NULL;
    struct dirent *entry;
    DIR *folder;

    if (rpi_cgroup_name("x", path) != 0) {
        return; /* there are none here */
    }
    name = strrchr(path, '/') + 1;
    *name = '\0';
    folder = opendir(path);
    cr_assert_not_null(folder);
    (void)snprintf(prefix, sizeof prefix, "running-process.%d.", host);
    while ((entry = readdir(folder)) != NULL) {
        if (strncmp(entry->d_name, prefix, strlen(prefix)) == 0) {
            (void)snprintf(name, sizeof path - (size_t)(name - path), "%s", entry->d_name);
            cr_assert_eq(rpi_cgroup_remove(path), 0);
        }
    }
    (void)closedir(folder);
}

PLOT_TEST(leaves_a_group_that_survives_a_crash)
{
    const _Atomic uint64_t until_ns = RP_FOREVER;
    struct pollfd entry;
    rpi_members members;
    char mark[32];
    pid_t host;

    /* By this mark of an outer group the test ends them, and nobody else's. */
    (void)snprintf(mark, sizeof mark, "survivors.%d", (int)getpid());
    cr_assert_eq(setenv("RUNNING_PROCESS_GROUP", mark, 1), 0);

    of->survive_crash = true;
    host = host_start(of);
    host_await(of, 20);
    host_kill(host);
    entry = (struct pollfd){.fd = of->line.read, .events = POLLIN};
    cr_assert_eq(poll(&entry, 1, 300), 0, "nothing ends: there is nobody who could end it");
    rpi_members_init(&members, rpi_alloc_default(), mark);
    cr_assert_eq(rpi_members_end(&members, &until_ns), 0);
    rpi_members_fini(&members);
    remove_cgroups(host);
    lifeline_await_end(&of->line);
    host_forget(of);
}

/* Bounded here; RP_STRESS_CRASHES names more rounds. */
PLOT_TEST(ends_the_groups_of_a_host_at_any_moment)
{
    const char *wanted = getenv("RP_STRESS_CRASHES");
    const long rounds = wanted != NULL ? strtol(wanted, NULL, 10) : ROUNDS;
    uint64_t longest_ns = 0;

    rpi_seed_random();
    of->is_restless = true;
    for (long i = 0; i < rounds; i++) {
        pid_t host = host_start(of);
        uint64_t killed_at_ns;
        uint64_t took_ns;

        (void)poll(NULL, 0, rand() % 60);
        host_kill(host);
        killed_at_ns = rp_now_ns();
        lifeline_await_end(&of->line);
        host_forget(of);
        took_ns = rp_now_ns() - killed_at_ns;
        longest_ns = took_ns > longest_ns ? took_ns : longest_ns;
    }
    cr_log_info("%s: the last one was gone %llu ms after its host, at most",
                of->in_cgroup ? "cgroups" : "looks",
                (unsigned long long)(longest_ns / RP_MILLISECOND));
}

/* ---- guards that cannot be had --------------------------------------------------------------- */

typedef struct log_book {
    unsigned int lines;
} log_book;

static void write_log(int level, const char *text, void *user)
{
    log_book *book = user;

    if (level < 2 && strstr(text, "guard") != NULL) {
        book->lines++;
    }
}

BACKEND_TEST(guard, says_so_where_there_is_none)
{
    log_book book = {0};
    rp_loop_options options = {.log = write_log, .log_user = &book};
    rp_group_options group_options = RP_GROUP_OPTIONS_INIT;
    rp_group *group = NULL;
    stage on;

    cr_assert_eq(setenv("RUNNING_PROCESS_GUARD", "/nonexistent/guard", 1), 0);
    stage_open(&on, *backend, &options);
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(rp_group_open(on.loop, NULL, &group), 0);
        cr_assert_not(rp_group_is_guarded(group));
        cr_assert_leq(rp_group_grade(group), RP_GRADE_SCAN);
    }
    cr_assert_eq(book.lines, 1);
    group_options.grade_min = RP_GRADE_KERNEL;
    cr_assert_eq(rp_group_open(on.loop, &group_options, &group), RP_EUNSUPPORTED);
    if (rp_has("cgroup")) {
        group_options.survive_crash = true;
        cr_assert_eq(rp_group_open(on.loop, &group_options, &group), 0);
        cr_assert_eq(rp_group_grade(group), RP_GRADE_KERNEL);
    }
    stage_close(&on);
}

static void send_guard(const stage *on, int signal)
{
    const int pidfd = on->loop->groups.guard.pidfd;

    cr_assert_geq(pidfd, 0);
    cr_assert_eq(syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0), 0);
}

BACKEND_TEST(guard, is_replaced_when_it_dies)
{
    log_book book = {0};
    rp_loop_options options = {.log = write_log, .log_user = &book};
    rp_group *first = NULL;
    rp_group *second = NULL;
    stage on;

    stage_open(&on, *backend, &options);
    cr_assert_eq(rp_group_open(on.loop, NULL, &first), 0);
    cr_assert(rp_group_is_guarded(first));
    send_guard(&on, SIGKILL);
    stage_run_until(&on, &book.lines, 1);
    cr_assert_not(rp_group_is_guarded(first));
    cr_assert_leq(rp_group_grade(first), RP_GRADE_SCAN);
    cr_assert_eq(rp_group_open(on.loop, NULL, &second), 0);
    cr_assert(rp_group_is_guarded(first));
    cr_assert(rp_group_is_guarded(second));
    cr_assert_eq(rp_group_close(first), 0);
    cr_assert_eq(rp_group_close(second), 0);
    stage_run(&on);
    stage_close(&on);
}

BACKEND_TEST(guard, may_be_stopped_and_keeps_nobody_waiting)
{
    rp_command command = stage_command(CHILD("exit", "0"));
    rp_group *group = NULL;
    stage on;

    cr_assert_eq(setenv("RP_GRADE", "scan", 1), 0);
    stage_open(&on, *backend, NULL);
    cr_assert_eq(rp_group_open(on.loop, NULL, &group), 0);
    send_guard(&on, SIGSTOP);
    command.group = group;
    for (int i = 0; i < 50; i++) {
        actor child = {0};

        actor_play(&on, &child, &command, ACTOR_DATA);
        actor_check_code(&child, 0);
        actor_free(&child);
    }
    cr_assert_eq(rp_group_close(group), 0);
    stage_close(&on);
}

BACKEND_TEST(guard, holds_nothing_of_the_host)
{
    rp_group *group = NULL;
    lifeline line;
    stage on;

    stage_open(&on, *backend, NULL);
    line = lifeline_open();
    cr_assert_eq(rp_group_open(on.loop, NULL, &group), 0);
    cr_assert(rp_group_is_guarded(group));
    lifeline_await_end(&line); /* the guard has no copy, and ours is closed first */
    lifeline_close(&line);
    stage_close(&on);
}
