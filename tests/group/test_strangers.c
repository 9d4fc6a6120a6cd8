/* Numbers of processes that come round again within moments: a namespace with 300 of them, in which
 * strangers come and go without end while children, trees and groups of ours are made and killed in
 * every way that there is. No signal may reach a stranger: their parent, which is none of ours,
 * sees of each how it ended, and that none was stopped. 5 s here; RP_STRANGERS_SECONDS names more.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "rp/rp.h"
#include "tests/support/check.h"

enum {
    PID_MAX = 600, /* the kernel gives the first 300 only once: 300 come round */
    AT_ONCE = 40,
    REACHED = 9, /* exit codes: a stranger was */
    BROKEN = 8,
    UNABLE = 77
};

/* Since Linux 6.14 each namespace has its own; before, it would be the whole system's. */
static bool has_own_pid_max(void)
{
    struct utsname name;
    char *end = NULL;
    long major;

    if (uname(&name) != 0) {
        return false;
    }
    major = strtol(name.release, &end, 10);
    return major > 6 || (major == 6 && *end == '.' && strtol(end + 1, NULL, 10) >= 14);
}

/* Ends the host, and says what went wrong. */
static _Noreturn void fail(const char *what, int number)
{
    (void)dprintf(STDERR_FILENO, "broken: %s: %d, %s\n", what, number, rp_error_detail());
    _exit(BROKEN);
}

/* ---- strangers ---------------------------------------------------------------------------- */

static void start_stranger(unsigned int number)
{
    if (fork() == 0) {
        const struct timespec life = {.tv_nsec = 100000L * (number % 40)};

        (void)nanosleep(&life, NULL); /* an end that nobody knows beforehand */
        _exit(0);
    }
}

/* Their parent: starts another for each that has ended, until it is told to end. */
static _Noreturn void churn(int hold)
{
    unsigned int number = 0;
    int status = 0;

    (void)fcntl(hold, F_SETFL, O_NONBLOCK);
    for (; number < AT_ONCE; number++) {
        start_stranger(number);
    }
    for (;;) {
        char byte;
        const pid_t pid = waitpid(-1, &status, WUNTRACED);

        if (pid > 0 && (WIFSIGNALED(status) || WIFSTOPPED(status) || WEXITSTATUS(status) != 0)) {
            (void)dprintf(STDERR_FILENO, "stranger %d of %u: status %x\n", (int)pid, number,
                          (unsigned int)status);
            _exit(REACHED);
        }
        if (read(hold, &byte, 1) == 0) {
            break;
        }
        start_stranger(number++);
    }
    while (waitpid(-1, &status, 0) > 0) {
        if (WIFSIGNALED(status)) {
            _exit(REACHED);
        }
    }
    _exit(number > 1000 ? 0 : BROKEN);
}

/* ---- ours ------------------------------------------------------------------------------------ */

static void ignore_emptied(rp_group *group, const rp_survivor *survivors, size_t count, void *user)
{
    unsigned int *calls = user;

    (void)group;
    if (count > 0) {
        (void)dprintf(STDERR_FILENO, "survivor: %lld, %s, %s\n", (long long)survivors[0].id.pid,
                      survivors[0].name, survivors[0].state);
        fail("survivors", (int)count);
    }
    ++*calls;
}

static rp_process *start(rp_loop *loop, rp_group *group, const char *const *argv)
{
    const rp_handlers none = {0};
    rp_command command = RP_COMMAND_INIT;
    rp_process *process = NULL;

    command.argv = argv;
    command.group = group;
    command.in.kind = RP_STDIO_PIPE;
    const int r = rp_spawn(loop, &command, &none, NULL, &process);

    if (r < 0) {
        fail("rp_spawn", r);
    }
    return process;
}

/* Or could not: numbers may be out for a moment. */
static bool has_begun(const rp_process *process)
{
    return rp_process_pid(process) != 0 || rp_process_exit(process) != NULL;
}

/* One of each: a tree whose leader is gone, one that is stopped, one that is killed from outside,
 * a group with what its children left. */
static void one_round(rp_loop *loop)
{
    /* Nobody ends what a child without a group has left: that ends with its input. */
    static const char *const tree[] = {RP_TEST_CHILD, "fork", "fork", "cat", "end",
                                       "cat",         "end",  "exit", "0",   NULL};
    static const char *const lasting[] = {RP_TEST_CHILD, "fork", "pause", "end", "pause", NULL};
    rp_group *group = NULL;
    rp_process *all[4];
    rp_identity id;
    unsigned int calls = 0;

    int r = rp_group_open(loop, NULL, &group);

    if (r < 0) {
        fail("rp_group_open", r);
    }
    all[0] = start(loop, NULL, tree);
    all[1] = start(loop, NULL, lasting);
    all[2] = start(loop, group, tree);
    all[3] = start(loop, NULL, lasting);
    while (!has_begun(all[1]) || !has_begun(all[2]) || !has_begun(all[3])) {
        r = rp_loop_run_once(loop, RP_SECOND);
        if (r < 0) {
            fail("rp_loop_run_once", r);
        }
    }
    (void)rp_stop(all[0], NULL); /* it may be over already, its group gone or not */
    (void)rp_kill(all[1]);
    if (rp_process_identity(all[3], &id) == 0) {
        (void)rp_tree_kill(&id, RP_SECOND);
        (void)rp_tree_kill(&id, RP_SECOND); /* nobody, or by now somebody else */
    }
    (void)rp_kill(all[0]);
    /* The thread that looks wants a number too; what has ended meanwhile gives some back. */
    while ((r = rp_group_kill(group, 10 * RP_SECOND, ignore_emptied, &calls)) == RP_EAGAIN) {
        r = rp_loop_run_once(loop, RP_MILLISECOND);
        if (r < 0) {
            fail("rp_loop_run_once", r);
        }
    }
    if (r < 0) {
        fail("rp_group_kill", r);
    }
    while (calls == 0) {
        r = rp_loop_run_once(loop, RP_SECOND);
        if (r < 0) {
            fail("rp_loop_run_once", r);
        }
    }
    for (int i = 0; i < 4; i++) {
        (void)rp_kill(all[i]); /* again, when most are gone */
        rp_process_close(all[i]);
    }
    (void)rp_group_close(group);
}

/* The host: its exit code tells how it went. */
static _Noreturn void be_host(uint64_t span_ns)
{
    const uint64_t until_ns = rp_now_ns() + span_ns;
    rp_loop_options options = RP_LOOP_OPTIONS_INIT;
    rp_loop *loop = NULL;
    int hold[2];
    int status = 0;
    pid_t churner;

    (void)alarm((unsigned int)(span_ns / RP_SECOND) + 60);
    if (pipe2(hold, O_CLOEXEC) < 0) {
        _exit(UNABLE);
    }
    churner = fork();
    if (churner == 0) {
        (void)close(hold[1]);
        (void)setsid();
        churn(hold[0]);
    }
    if (rp_loop_open(&options, &loop) < 0) {
        fail("rp_loop_open", 0);
    }
    while (rp_now_ns() < until_ns && waitpid(churner, &status, WNOHANG) == 0) {
        one_round(loop);
    }
    if (rp_loop_close(loop) != 0) {
        fail("rp_loop_close", 0);
    }
    (void)close(hold[1]);
    while (waitpid(churner, &status, 0) < 0 && errno == EINTR) {
    }
    _exit(WIFEXITED(status) ? WEXITSTATUS(status) : REACHED);
}

/* The first process of the namespace, to which orphans come. */
static _Noreturn void be_first(uint64_t span_ns)
{
    int result = REACHED;
    int status = 0;
    pid_t pid = 0;
    pid_t host;
    int fd;

    (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* with it all others go */
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("proc", "/proc", "proc", 0, NULL) < 0) {
        _exit(UNABLE);
    }
    fd = open("/proc/sys/kernel/pid_max", O_WRONLY | O_CLOEXEC);
    if (fd < 0 || dprintf(fd, "%d\n", PID_MAX) < 0) {
        _exit(UNABLE);
    }
    (void)close(fd);
    host = fork();
    if (host == 0) {
        be_host(span_ns);
    }
    while (pid != host && (pid = waitpid(-1, &status, 0)) > 0) {
        if (pid == host && WIFEXITED(status)) {
            result = WEXITSTATUS(status);
        } else if (pid == host) {
            (void)dprintf(STDERR_FILENO, "the host ended by signal %d%s\n", WTERMSIG(status),
                          WTERMSIG(status) == SIGALRM ? ": it hung" : "");
            result = WTERMSIG(status) == SIGKILL ? REACHED : BROKEN;
        }
    }
    _exit(result);
}

static void run(const char *grade)
{
    const char *seconds = getenv("RP_STRANGERS_SECONDS");
    const uint64_t span_ns =
        seconds != NULL ? strtoull(seconds, NULL, 10) * RP_SECOND : 5 * RP_SECOND;
    int status = 0;
    pid_t first;

    if (geteuid() != 0 || !has_own_pid_max()) {
        cr_skip_test("only root, on Linux 6.14 or later, makes a namespace with few numbers");
    }
    cr_assert_eq(setenv("RP_GRADE", grade, 1), 0);
    if (unshare(CLONE_NEWPID | CLONE_NEWNS) < 0) {
        cr_skip_test("no namespace can be made here");
    }
    first = fork();
    cr_assert_geq(first, 0);
    if (first == 0) {
        be_first(span_ns);
    }
    cr_assert_eq(waitpid(first, &status, 0), first);
    cr_assert(WIFEXITED(status));
    if (WEXITSTATUS(status) == UNABLE) {
        cr_skip_test("no namespace of processes can be set up here");
    }
    cr_assert_neq(WEXITSTATUS(status), REACHED, "a stranger was signalled");
    cr_assert_eq(WEXITSTATUS(status), 0);
}

Test(strangers, are_never_signalled_by_a_scan, .timeout = 200)
{
    run("scan");
}

Test(strangers, are_never_signalled_at_grade_group, .timeout = 200)
{
    run("group");
}

Test(strangers, are_never_signalled_where_the_kernel_holds_the_group, .timeout = 200)
{
    run("kernel");
}
