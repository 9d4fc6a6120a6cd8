/* What a child does between fork and exec on FreeBSD and macOS. On FreeBSD it shares the host's
 * memory (vfork), which it only reads, but for its own stack; so it calls the system itself and not
 * through the table that a test rewrites. Called by spawn_bsd.c. */
#ifdef __FreeBSD__
#define __BSD_VISIBLE 1
#else
#define _DARWIN_C_SOURCE 1
#endif
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "base/os.h"
#include "core/spawn_bsd.h"

static _Noreturn void fail(const rpi_child_plan *plan, rpi_child_phase phase)
{
    const rpi_child_report report = {.error = errno, .phase = (int)phase};

    (void)!write(plan->report, &report, sizeof report); // the parent sees at least that it ends
    _exit(127);
}

/** Handlers would run in the host's memory: they go before the mask opens. */
static void reset_signals(void)
{
    struct sigaction action;
    int signal;

    memset(&action, 0, sizeof action);
    action.sa_handler = SIG_DFL;
    for (signal = 1; signal < NSIG; signal++) {
        (void)sigaction(signal, &action, NULL); // not for SIGKILL and SIGSTOP
    }
}

static void set_session(const rpi_child_plan *plan)
{
    const rpi_launch *launch = plan->launch;
    pid_t group = getpid();

    if (launch->new_session) {
        if (setsid() < 0) {
            fail(plan, RPI_PHASE_CHILD_SETSID);
        }
        return;
    }
    if (launch->own_group && setpgid(0, 0) < 0) {
        fail(plan, RPI_PHASE_CHILD_SETPGID);
    }
    if (launch->foreground) {
        const int terminal = open("/dev/tty", O_RDWR | O_CLOEXEC);

        // SIGTTOU is blocked, as all signals are.
        if (terminal < 0 || ioctl(terminal, TIOCSPGRP, &group) < 0) {
            fail(plan, RPI_PHASE_CHILD_TERMINAL);
        }
        (void)close(terminal);
    }
}

/** The slave is opened here: on FreeBSD nobody else may have it when its leader ends. */
static void set_terminal(const rpi_child_plan *plan)
{
    int slave;

    if (plan->terminal == NULL) {
        return;
    }
    slave = open(plan->terminal, O_RDWR | O_NOCTTY);
    if (slave < 0 || ioctl(slave, TIOCSCTTY, 0) < 0) {
        fail(plan, RPI_PHASE_CHILD_TERMINAL);
    }
    if (dup2(slave, 0) < 0 || dup2(slave, 1) < 0 || dup2(slave, 2) < 0) {
        fail(plan, RPI_PHASE_CHILD_TERMINAL);
    }
    if (slave > 2) {
        (void)close(slave);
    }
}

static void set_limits(const rpi_child_plan *plan)
{
    const rpi_launch *launch = plan->launch;
    struct rlimit limit = {0, 0};

    if (launch->no_core && setrlimit(RLIMIT_CORE, &limit) < 0) {
        fail(plan, RPI_PHASE_CHILD_RLIMIT);
    }
    if (launch->open_files != 0) {
        limit.rlim_cur = launch->open_files;
        limit.rlim_max = launch->open_files;
        if (setrlimit(RLIMIT_NOFILE, &limit) < 0) {
            fail(plan, RPI_PHASE_CHILD_RLIMIT);
        }
    }
    if (launch->nice != 0 && setpriority(PRIO_PROCESS, 0, launch->nice) < 0) {
        fail(plan, RPI_PHASE_CHILD_NICE);
    }
    if (launch->set_umask) {
        (void)umask((mode_t)launch->umask);
    }
}

static void set_ids(const rpi_child_plan *plan)
{
    const rpi_launch *launch = plan->launch;

    if (!launch->set_ids) {
        return;
    }
    if (setgroups((int)launch->group_count, (const gid_t *)launch->groups) < 0 ||
        setgid((gid_t)launch->gid) < 0 || setuid((uid_t)launch->uid) < 0) {
        fail(plan, RPI_PHASE_CHILD_IDS);
    }
}

/** All that come from above go to their places; what was not named is closed. */
static void set_descriptors(const rpi_child_plan *plan)
{
    const int first_other = plan->launch->fd_max + 1;
    int fd;
    size_t i;

    for (i = 0; i < plan->move_count; i++) {
        if (plan->moves[i].from >= 0 && dup2(plan->moves[i].from, plan->moves[i].to) < 0) {
            fail(plan, RPI_PHASE_CHILD_DESCRIPTORS);
        }
    }
    for (fd = plan->terminal != NULL ? 3 : 0; fd < first_other; fd++) {
        bool is_wanted = false;

        for (i = 0; i < plan->move_count; i++) {
            is_wanted = is_wanted || (plan->moves[i].to == fd && plan->moves[i].from >= 0);
        }
        if (!is_wanted) {
            (void)close(fd); // or there is none
        }
    }
#ifdef RPI_OS_FREEBSD
    // Closed by the exec, as the report must live until then.
    if (close_range((unsigned int)first_other, ~0U, CLOSE_RANGE_CLOEXEC) == 0) {
        return;
    }
#endif
    for (fd = first_other; fd < getdtablesize(); fd++) {
        (void)fcntl(fd, F_SETFD, FD_CLOEXEC); // or there is none
    }
}

/** Tries each program, as execvp does. */
static _Noreturn void start_program(const rpi_child_plan *plan)
{
    const rpi_launch *launch = plan->launch;
    bool was_denied = false;
    size_t i;

    for (i = 0; launch->programs[i] != NULL; i++) {
        (void)execve(launch->programs[i], launch->argv, launch->env);
        was_denied = was_denied || errno == EACCES;
        if (errno != ENOENT && errno != ENOTDIR && errno != EACCES) {
            break;
        }
    }
    if (was_denied && (errno == ENOENT || errno == ENOTDIR)) {
        errno = EACCES;
    }
    fail(plan, RPI_PHASE_CHILD_EXEC);
}

_Noreturn void rpi_child_run(const rpi_child_plan *plan)
{
    sigset_t none;

    reset_signals();
    set_session(plan);
    set_terminal(plan);
    set_limits(plan);
    set_ids(plan);
    if (plan->launch->cwd != NULL && chdir(plan->launch->cwd) < 0) {
        fail(plan, RPI_PHASE_CHILD_CHDIR);
    }
    set_descriptors(plan);
    (void)sigemptyset(&none); // cannot fail
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    start_program(plan);
}
