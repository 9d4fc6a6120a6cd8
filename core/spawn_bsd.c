/* Carrying launches out on FreeBSD and macOS: the parent's side. All that the child needs is opened
 * and put above its highest descriptor, the child moves it into place and runs the program
 * (spawn_child_bsd.c). FreeBSD makes it by vfork, so that its cost does not grow with the host's
 * memory; macOS by fork. A pipe that the exec closes tells how it went. Called by spawner.c. */
#ifdef __FreeBSD__
#define __BSD_VISIBLE 1
#else
#define _DARWIN_C_SOURCE 1
#endif
#include "core/spawn_bsd.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/os.h"
#include "core/spawn.h"
#include "pty/pty_bsd.h"

enum {
    BUSY_TRIES_MAX = 16, // of a program that somebody still writes (ETXTBSY)
    BUSY_PAUSE_MS = 3,
    STACK_SIZE = 256 * 1024
};

struct rpi_spawn_site {
    const rp_allocator *allocator; // borrowed
};

static const char *const PHASES[] = {"setsid", "setpgid", "terminal",    "rlimit", "nice",
                                     "ids",    "chdir",   "descriptors", "exec"};

/** What one launch has open, besides what becomes the process's. */
typedef struct attempt {
    rpi_launch *launch;
    rpi_child_plan plan;
    char terminal[RPI_TERMINAL_NAME_SIZE];
    int report; // our end of the pipe
    size_t move_max;
} attempt;

int rpi_spawn_site_open(const rp_allocator *allocator,
                        rpi_spawn_method method,
                        uint32_t lane_count,
                        rpi_spawn_site **ret_site)
{
    rpi_spawn_site *site;

    (void)lane_count; // lanes share nothing
    if (method != RPI_SPAWN_UNKNOWN && method != RPI_SPAWN_FORK) {
        return RP_EUNSUPPORTED;
    }
    site = rpi_alloc(allocator, sizeof *site);
    if (site == NULL) {
        return -ENOMEM;
    }
    site->allocator = allocator;
    *ret_site = site;
    return 0;
}

void rpi_spawn_site_close(rpi_spawn_site *site)
{
    if (site != NULL) {
        rpi_free(site->allocator, site, sizeof *site);
    }
}

void rpi_spawn_site_close_forked(rpi_spawn_site *site)
{
    rpi_spawn_site_close(site);
}

rpi_spawn_method rpi_spawn_site_method(const rpi_spawn_site *site)
{
    (void)site;
    return RPI_SPAWN_FORK; // or its cheap sister
}

/* ---- what the child gets ---- */

static void close_quietly(int *fd)
{
    if (*fd >= 0) {
        rpi_os_close(*fd); // ours, nothing was written to it
        *fd = -1;
    }
}

static int fail(rpi_launch *launch, int error, const char *phase)
{
    launch->phase = phase;
    return error;
}

/** A duplicate above all that the child has; -errno. */
static int raise_above(const rpi_launch *launch, int fd)
{
    const int high = rpi_os.fcntl(fd, F_DUPFD_CLOEXEC, launch->fd_max + 1);

    // EINVAL: the limit on descriptors is no higher.
    return high >= 0 ? high : (errno == EINVAL ? -EMFILE : -errno);
}

/** Adds a move of a descriptor that is ours or nobody's (-1); it is closed here. */
static int add_move(attempt *at, int fd, int to)
{
    const int from = fd < 0 ? -1 : raise_above(at->launch, fd);

    close_quietly(&fd);
    if (from < -1) {
        return from;
    }
    RP_ASSERT(at->plan.move_count < at->move_max);
    at->plan.moves[at->plan.move_count++] = (rpi_child_move){.from = from, .to = to};
    return 0;
}

static int open_file(rpi_launch *launch, const char *path, int flags)
{
    const int fd = rpi_os.open(path, flags, 0666);

    return fd < 0 ? fail(launch, -errno, "open") : fd;
}

/** A pipe whose other end is the child's: our end into the launch; the child's, or -errno. */
static int open_pipe(rpi_launch *launch, int index)
{
    const int ours = index == 0 ? 1 : 0; // the child reads its input
    int ends[2];
    int flags;

    if (rpi_os.pipe2(ends, O_CLOEXEC) < 0) {
        return fail(launch, -errno, "pipe");
    }
    ends[ours] = rpi_os_lift(ends[ours]);
    flags = ends[ours] < 0 ? -1 : rpi_os.fcntl(ends[ours], F_GETFL, 0);
    if (ends[ours] < 0 || rpi_os.fcntl(ends[ours], F_SETFL, flags | O_NONBLOCK) < 0) {
        close_quietly(&ends[1 - ours]);
        close_quietly(&ends[ours]);
        return fail(launch, -EMFILE, "pipe");
    }
    launch->pipes[index] = ends[ours];
    return ends[1 - ours];
}

/** A descriptor of ours for the child's end, -1 where it is closed there, or an error below. */
static int open_end(attempt *at, int index)
{
    rpi_launch *launch = at->launch;
    const rpi_launch_end *end = &launch->ends[index];
    int fd = -1;

    switch (end->kind) {
    case RPI_END_NULL:
        return open_file(launch, "/dev/null", O_RDWR | O_CLOEXEC);
    case RPI_END_PIPE:
        return open_pipe(launch, index);
    case RPI_END_INHERIT:
        fd = raise_above(launch, index);
        return fd == -EBADF ? -1 : fd;
    case RPI_END_FD:
        return raise_above(launch, end->fd);
    case RPI_END_FILE:
        return open_file(launch, end->path, end->open_flags);
    case RPI_END_MERGE:
        fd = at->plan.moves[1].from;
        return fd < 0 ? -1 : raise_above(launch, fd);
    case RPI_END_PTY:
        return -1; // the child opens it
    }
    return RP_EINVAL;
}

static int open_terminal(attempt *at)
{
    rpi_launch *launch = at->launch;
    int master = -1;
    int r = rpi_pty_open_master(launch->pty_rows, launch->pty_cols, &master, at->terminal,
                                sizeof at->terminal);

    if (r < 0) {
        return fail(launch, r, "terminal");
    }
    launch->pipes[1] = master;
    launch->pipes[0] = rpi_os_duplicate(master);
    if (launch->pipes[0] < 0) {
        r = launch->pipes[0];
        launch->pipes[0] = -1;
        return fail(launch, r, "terminal");
    }
#ifdef RPI_OS_MACOS
    // Without any slave the master would be at its end from the first look on.
    launch->slave = rpi_os.open(at->terminal, O_RDWR | O_NOCTTY | O_CLOEXEC, 0);
    if (launch->slave < 0) {
        launch->slave = -1;
        return fail(launch, -errno, "terminal");
    }
    launch->slave = rpi_os_lift(launch->slave);
#endif
    at->plan.terminal = at->terminal;
    return 0;
}

static int open_descriptors(attempt *at)
{
    rpi_launch *launch = at->launch;
    int r = launch->terminal ? open_terminal(at) : 0;
    int fd;

    for (int i = 0; i < 3 && r == 0 && !launch->terminal; i++) {
        fd = open_end(at, i);
        r = fd < -1 ? fd : add_move(at, fd, i);
    }
    for (size_t i = 0; i < launch->fd_count && r == 0; i++) {
        fd = raise_above(launch, launch->fds[i].fd);
        r = fd < 0 ? fd : add_move(at, fd, launch->fds[i].child);
    }
    return r;
}

/** The pipe that tells how it went: its write end is above all that the child has. */
static int open_report(attempt *at)
{
    int ends[2];
    int r;

    if (rpi_os.pipe2(ends, O_CLOEXEC) < 0) {
        return fail(at->launch, -errno, "pipe");
    }
    r = raise_above(at->launch, ends[1]);
    close_quietly(&ends[1]);
    if (r < 0) {
        close_quietly(&ends[0]);
        return fail(at->launch, r, "pipe");
    }
    at->report = ends[0];
    at->plan.report = r;
    return 0;
}

/* ---- the child ---- */

/** The frame from which the child of a vfork never returns. */
static pid_t make_child(const rpi_child_plan *plan)
{
#ifdef RPI_OS_FREEBSD
    const pid_t pid = vfork();
#else
    const pid_t pid = rpi_os.fork();
#endif

    if (pid == 0) {
        rpi_child_run(plan);
    }
    return pid;
}

static void reap(pid_t pid)
{
    siginfo_t info;

    while (rpi_os.waitid(P_PID, pid, &info, WEXITED, NULL) < 0 && errno == EINTR) {
    }
}

/** Waits until the program runs or the child has failed: 0 or -errno. */
static int await_report(attempt *at, pid_t pid)
{
    rpi_child_report report = {0, 0};
    ssize_t n;

    do {
        n = rpi_os.read(at->report, &report, sizeof report);
    } while (n < 0 && errno == EINTR);
    if (n <= 0) {
        return 0; // the exec has closed it; one who was killed before is an exit like others
    }
    reap(pid);
    return fail(at->launch, -report.error, PHASES[report.phase]);
}

/** Makes the child with all signals blocked: no handler of the host's runs in it. */
static int start_child(attempt *at)
{
    sigset_t all;
    sigset_t before;
    pid_t pid;
    int error;

    (void)sigfillset(&all); // cannot fail
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    pid = make_child(&at->plan);
    error = errno;
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    close_quietly(&at->plan.report); // else it would never be at its end
    if (pid < 0) {
        return fail(at->launch, -error, "clone");
    }
    error = await_report(at, pid);
    if (error == 0) {
        at->launch->pid = pid;
        at->launch->pidfd = rpi_pidfd_of(pid);
    }
    return error;
}

/* ---- a launch ---- */

static void finish(attempt *at, int error)
{
    rpi_launch *launch = at->launch;

    for (size_t i = 0; i < at->plan.move_count; i++) {
        close_quietly(&at->plan.moves[i].from);
    }
    close_quietly(&at->report);
    close_quietly(&at->plan.report);
    rpi_free(launch->allocator, at->plan.moves, at->move_max * sizeof *at->plan.moves);
    if (error < 0) {
        for (int i = 0; i < 3; i++) {
            close_quietly(&launch->pipes[i]);
        }
        close_quietly(&launch->slave);
    }
}

static int carry_out(rpi_launch *launch)
{
    attempt at = {.launch = launch, .report = -1, .move_max = 3 + launch->fd_count};
    int r;

    launch->phase = "descriptors";
    at.plan.launch = launch;
    at.plan.report = -1;
    at.plan.moves = rpi_alloc(launch->allocator, at.move_max * sizeof *at.plan.moves);
    if (at.plan.moves == NULL) {
        return -ENOMEM;
    }
    r = open_descriptors(&at);
    r = r < 0 ? r : open_report(&at);
    r = r < 0 ? r : start_child(&at);
    finish(&at, r);
    return r;
}

void rpi_spawn_carry_out(rpi_spawn_site *site, uint32_t number, rpi_launch *launch)
{
    int tries = 0;

    (void)site;
    (void)number;
    launch->launched_ns = rpi_clock_now_ns();
    do {
        if (tries > 0) {
            (void)rpi_os.poll(NULL, 0, BUSY_PAUSE_MS); // whoever writes it is about to exec
        }
        launch->error = carry_out(launch);
    } while (launch->error == -ETXTBSY && tries++ < BUSY_TRIES_MAX);
    if (launch->error == 0) {
        launch->phase = NULL;
    }
    launch->started_ns = rpi_clock_now_ns();
}

int rpi_spawn_thread_start(void *(*run)(void *), void *argument, pthread_t *ret_thread)
{
    sigset_t all;
    sigset_t before;
    int error;

    (void)sigfillset(&all); // cannot fail
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    error = rpi_os.thread_start(run, argument, STACK_SIZE, ret_thread);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return -error;
}

uint32_t rpi_spawn_processors(void)
{
    const long count = sysconf(_SC_NPROCESSORS_ONLN);

    return count < 1 ? 1 : (uint32_t)count;
}
