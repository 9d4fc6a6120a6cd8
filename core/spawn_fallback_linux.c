/* Children where clone with shared memory is refused, or where this architecture has no trampoline
 * for it: by posix_spawn of the C library, and by fork. Same contract, higher cost: both copy the
 * descriptor table, fork the memory map too.
 *
 * posix_spawn says only an errno: the phase is found out afterwards. What it cannot do (ids,
 * limits, umask, priority, numbers far apart) goes to fork. The pidfd is opened after the fact: in
 * a host that ignores SIGCHLD a child may be gone by then, which is reported as pidfd -1.
 *
 * A forked child holds a socket: it waits there until its parent has its pidfd, and tells its
 * failure through it; close-on-exec is its success. Where the kernel's clone makes a pidfd in the
 * same step (CLONE_PIDFD without shared memory), that is used in place of fork() and pidfd_open,
 * which a filter may refuse; valgrind knows only fork(). */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/disposable.h"
#include "base/os.h"
#include "base/raw_linux.h"
#include "core/spawn_linux.h"

/* ---- posix_spawn ---- */

#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 34)
#define HAVE_CLOSEFROM_ACTION 1 /* without it undeclared descriptors would reach the child */
#else
#define HAVE_CLOSEFROM_ACTION 0
#endif

/* Whether the host lets children go without a wait. */
static bool ignores_children(void)
{
    struct sigaction action;

    return sigaction(SIGCHLD, NULL, &action) == 0 &&
           (action.sa_handler == SIG_IGN || (action.sa_flags & SA_NOCLDWAIT) != 0);
}

/* Whether posix_spawn can do all that the launch asks for. */
static bool posix_spawn_suffices(const rpi_child_plan *plan)
{
    const rpi_launch *launch = plan->launch;

    return HAVE_CLOSEFROM_ACTION && !ignores_children() && !launch->set_ids && !launch->set_umask &&
           !launch->no_core && launch->open_files == 0 && launch->nice == 0 && !launch->terminal &&
           !launch->foreground && launch->cgroup == NULL &&
           plan->map_count == (size_t)plan->target_count;
}

/* Moves what lies in the targets' range and not in its place above it, in the host's table. */
static int move_conflicts(rpi_child_plan *plan)
{
    size_t i;

    for (i = 0; i < plan->map_count; i++) {
        rpi_child_map *map = &plan->maps[i];

        map->moved = map->from;
        if (map->from >= 0 && map->from < plan->target_count && map->from != map->target) {
            map->moved = rpi_os.fcntl(map->from, F_DUPFD_CLOEXEC, plan->target_count);
            if (map->moved < 0) {
                return -errno;
            }
        }
    }
    return 0;
}

static void close_moved(rpi_child_plan *plan)
{
    size_t i;

    for (i = 0; i < plan->map_count; i++) {
        if (plan->maps[i].moved >= 0 && plan->maps[i].moved != plan->maps[i].from) {
            (void)rpi_os.close(plan->maps[i].moved); // a duplicate
        }
        plan->maps[i].moved = -1;
    }
}

static int add_actions(posix_spawn_file_actions_t *actions, const rpi_child_plan *plan)
{
    int r = 0;
    size_t i;

    for (i = 0; i < plan->map_count && r == 0; i++) {
        const rpi_child_map *map = &plan->maps[i];

        r = map->moved >= 0 ? posix_spawn_file_actions_adddup2(actions, map->moved, map->target)
                            : posix_spawn_file_actions_addclose(actions, map->target);
    }
#if HAVE_CLOSEFROM_ACTION
    if (r == 0) {
        r = posix_spawn_file_actions_addclosefrom_np(actions, plan->target_count);
    }
    if (r == 0 && plan->launch->cwd != NULL) {
        r = posix_spawn_file_actions_addchdir_np(actions, plan->launch->cwd);
    }
#endif
    return -r;
}

static int set_spawn_attributes(posix_spawnattr_t *attributes, const rpi_launch *launch)
{
    int flags = POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK;
    sigset_t defaults;
    sigset_t none;
    int r = 0;

    // All of it: sigfillset leaves out the C library's own two, which the child would then ignore.
    memset(&defaults, 0xff, sizeof defaults);
    (void)sigemptyset(&none); // the sets cannot fail
    if (rpi_raw_handler(SIGHUP) == RPI_RAW_IGNORED) {
        (void)sigdelset(&defaults, SIGHUP);
    }
    if (launch->new_session) {
        flags |= POSIX_SPAWN_SETSID;
    } else if (launch->own_group) {
        flags |= POSIX_SPAWN_SETPGROUP; // to group 0: its own
    }
    r = posix_spawnattr_setflags(attributes, (short)flags);
    if (r == 0) {
        r = posix_spawnattr_setsigdefault(attributes, &defaults);
    }
    if (r == 0) {
        r = posix_spawnattr_setsigmask(attributes, &none);
    }
    return -r;
}

/* The candidates in turn, as execvp does. The number of the child or -errno. */
static int64_t spawn_first(const rpi_launch *launch,
                           const posix_spawn_file_actions_t *actions,
                           const posix_spawnattr_t *attributes)
{
    const char *const *program = launch->programs;
    bool refused = false;
    int r = ENOENT;

    for (; *program != NULL; program++) {
        pid_t pid = 0;

        // A child only to learn that a file is not there can be saved where this sees the same
        // file.
        if ((launch->cwd == NULL || **program == '/') && access(*program, F_OK) < 0 &&
            (errno == ENOENT || errno == ENOTDIR)) {
            r = errno;
            continue;
        }
        r = posix_spawn(&pid, *program, actions, attributes, launch->argv, launch->env);
        if (r == 0) {
            return pid;
        }
        if (r != ENOENT && r != ENOTDIR && r != EACCES && r != ESTALE && r != ENODEV &&
            r != ETIMEDOUT) {
            return -r;
        }
        refused = refused || r == EACCES;
    }
    return refused ? -EACCES : -r;
}

/* What posix_spawn does not say: where its child failed. */
static rpi_phase guess_phase(const rpi_launch *launch, int error)
{
    struct stat status;

    if (error == -EAGAIN || error == -ENOMEM) {
        return RPI_PHASE_CLONE;
    }
    if (error == -EMFILE || error == -EBADF) {
        return RPI_PHASE_DESCRIPTORS;
    }
    if (launch->cwd != NULL && (stat(launch->cwd, &status) < 0 || !S_ISDIR(status.st_mode) ||
                                access(launch->cwd, X_OK) < 0)) {
        return RPI_PHASE_CHDIR;
    }
    return RPI_PHASE_EXEC;
}

/* The pidfd of a child that runs already. `spare` is a descriptor kept so that there is room. */
static void hold(int64_t pid, int spare, rpi_made *ret_made)
{
    rpi_made made = {pid, -1, 0, RPI_PHASE_NONE};

    if (spare >= 0) {
        (void)rpi_os.close(spare); // a duplicate
    }
    made.pidfd = rpi_os.pidfd_open((pid_t)pid, 0);
    if (made.pidfd < 0) {
        // Gone, as somebody waited for it; or the spare place is taken, and nothing holds the
        // child.
        made.error = errno == ESRCH ? RP_ELOST : -errno;
        if (made.error != RP_ELOST) {
            (void)rpi_os.kill((pid_t)pid, SIGKILL);
            rpi_reap_failed(pid, -1);
        }
        made = (rpi_made){0, -1, made.error, RPI_PHASE_CLONE};
    }
    *ret_made = made;
}

void rpi_make_by_posix_spawn(rpi_maker *maker, rpi_child_plan *plan, rpi_made *ret_made)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    rpi_made made = {0, -1, 0, RPI_PHASE_CLONE};
    int64_t pid = 0;
    int spare = -1;

    if (!posix_spawn_suffices(plan)) {
        rpi_make_by_fork(maker, plan, ret_made);
        return;
    }
    if (posix_spawn_file_actions_init(&actions) != 0) {
        *ret_made = (rpi_made){0, -1, -ENOMEM, RPI_PHASE_CLONE};
        return;
    }
    if (posix_spawnattr_init(&attributes) != 0) {
        (void)posix_spawn_file_actions_destroy(&actions); // cannot fail
        *ret_made = (rpi_made){0, -1, -ENOMEM, RPI_PHASE_CLONE};
        return;
    }
    made.error = move_conflicts(plan);
    if (made.error == 0) {
        made.error = add_actions(&actions, plan);
    }
    if (made.error == 0) {
        made.error = set_spawn_attributes(&attributes, plan->launch);
    }
    if (made.error == 0) {
        spare = rpi_os.fcntl(plan->kept_count > 0 ? plan->kept[0] : 0, F_DUPFD_CLOEXEC, 3);
        made.error = spare < 0 && errno != EBADF ? -errno : 0;
    }
    if (made.error == 0) {
        pid = spawn_first(plan->launch, &actions, &attributes);
        if (pid > 0) {
            hold(pid, spare, &made);
        } else {
            made.error = (int)pid;
            made.phase = guess_phase(plan->launch, made.error);
            if (spare >= 0) {
                (void)rpi_os.close(spare); // a duplicate
            }
        }
    }
    close_moved(plan);
    (void)posix_spawnattr_destroy(&attributes); // cannot fail
    (void)posix_spawn_file_actions_destroy(&actions);
    *ret_made = made;
}

/* ---- fork ---- */

/* The child's number, 0 never; or -errno. *ret_pidfd stays -1 where none came with it. */
static int make_forked(rpi_maker *maker, rpi_child_plan *plan, int *ret_pidfd)
{
    char *top = rpi_on_valgrind() ? NULL : rpi_maker_stack(maker);
    const uint64_t mask =
        rpi_raw_set_mask(~UINT64_C(0)); // no handler of the host runs in the child
    int pid = -ENOSYS;

    if (top != NULL) {
        pid = rpi_os.clone((uint64_t)CLONE_PIDFD | SIGCHLD, top, ret_pidfd, rpi_child_main, plan);
    }
    if (pid == -ENOSYS || pid == -EINVAL || pid == -EPERM) {
        *ret_pidfd = -1;
        pid = rpi_os.fork();
        if (pid == 0) {
            rpi_raw_exit(rpi_child_main(plan));
        }
        pid = pid < 0 ? -errno : pid;
    }
    (void)rpi_raw_set_mask(mask);
    return pid;
}

/* Lets the child go and hears what became of it. With an error it is gone, or goes as soon as the
 * channel is closed. */
static rpi_child_report send_off(int channel)
{
    char byte = 1;
    struct iovec go = {&byte, sizeof byte};
    const struct msghdr message = {.msg_iov = &go, .msg_iovlen = 1};
    rpi_child_report report = {0, RPI_PHASE_NONE};
    ssize_t size = 0;

    do {
        size = rpi_os.sendmsg(channel, &message, MSG_NOSIGNAL);
    } while (size < 0 && errno == EINTR);
    if (size < 0 && errno != EPIPE) { // EPIPE: a signal was faster, which its exit tells
        return (rpi_child_report){-errno, RPI_PHASE_CLONE};
    }
    do {
        size = rpi_os.read(channel, &report, sizeof report);
    } while (size < 0 && errno == EINTR);
    if (size != (ssize_t)sizeof report) {
        report.error = 0; // the end: exec closed it
    }
    return report;
}

/* Holds the child that waits for its go-ahead. 0 or an error: RP_EUNSUPPORTED where there are no
 * pidfds at all. */
static int hold_forked(int pid, int *pidfd)
{
    if (*pidfd < 0) {
        *pidfd = rpi_os.pidfd_open(pid, 0);
    }
    if (*pidfd < 0) {
        return errno == ENOSYS ? RP_EUNSUPPORTED : -errno;
    }
    return 0;
}

void rpi_make_by_fork(rpi_maker *maker, rpi_child_plan *plan, rpi_made *ret_made)
{
    rpi_child_report report = {0, RPI_PHASE_CLONE};
    int pidfd = -1;
    int channel[2];
    int pid = 0;

    if (rpi_os.socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, channel) < 0) {
        *ret_made = (rpi_made){0, -1, -errno, RPI_PHASE_PIPE};
        return;
    }
    rpi_plan_finish(plan, channel[1]);
    plan->shares_table = false;
    plan->resets_all = true;
    pid = make_forked(maker, plan, &pidfd);
    (void)rpi_os.close(channel[1]); // the child's
    report.error = pid < 0 ? pid : hold_forked(pid, &pidfd);
    if (report.error == 0) {
        report = send_off(channel[0]);
    }
    (void)rpi_os.close(channel[0]); // a child without a go-ahead ends now
    if (report.error < 0 && pid > 0) {
        rpi_reap_failed(pid, pidfd);
    }
    rpi_plan_finish(plan, -1);
    *ret_made = report.error < 0 ? (rpi_made){0, -1, report.error, (rpi_phase)report.phase}
                                 : (rpi_made){pid, pidfd, 0, RPI_PHASE_NONE};
}
