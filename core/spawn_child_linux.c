/* What a child does between clone and exec. It may share the host's memory and begins in the host's
 * descriptor table, so everything here is async-signal-safe and more: raw system calls, no errno,
 * no table of rpi_os (tests rewrite it), no sanitizer, nothing allocated. It reads its plan and
 * writes into it only `moved`, `error` and `phase`.
 *
 * The order matters. The descriptor table comes first, and nothing touches a descriptor before it
 * is known to be the child's own: a dup2 in the host's table would be the host's. What the child
 * does not need is closed right after, as the write end of some file held here for long is what
 * makes another thread's exec fail with ETXTBSY. Privileged attributes come before the ids, the
 * directory after them, with the rights of the new user. Signals get their defaults before the mask
 * opens, or a handler of the host would run here, in the host's memory; the mask opens last. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "base/raw_linux.h"
#include "core/spawn_linux.h"

#define FD_MAX_GUESS ((uint64_t)1024 * 1024) /* where neither close_range nor /proc is there */
#define SMALL_PLAN 4 /* with more descriptors the unneeded ones are closed before any is moved */

/* On old 32-bit architectures the plain calls take 16-bit ids. */
#ifdef SYS_setresuid32
#define CALL_FCHOWN SYS_fchown32
#define CALL_SETGROUPS SYS_setgroups32
#define CALL_SETRESGID SYS_setresgid32
#define CALL_SETRESUID SYS_setresuid32
#else
#define CALL_FCHOWN SYS_fchown
#define CALL_SETGROUPS SYS_setgroups
#define CALL_SETRESGID SYS_setresgid
#define CALL_SETRESUID SYS_setresuid
#endif

/* ---- closing ---- */

/* Layout of the kernel's struct linux_dirent64. */
typedef struct directory_entry {
    uint64_t inode;
    int64_t offset;
    unsigned short size;
    unsigned char type;
    char name[];
} directory_entry;

/* The number that a file name of /proc/self/fd is, or -1. */
RPI_CHILD_CODE static long name_to_fd(const char *name)
{
    long fd = 0;

    // The kernel wrote it, which the analyser does not see.
    // NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult)
    for (; *name >= '0' && *name <= '9'; name++) {
        fd = fd * 10 + (*name - '0');
    }
    return *name == '\0' ? fd : -1;
}

/* Closes first..last by what /proc says is open: 0, or -errno when there is no /proc. */
RPI_CHILD_CODE static long close_listed(unsigned first, unsigned last)
{
    uint64_t buffer[128];
    const long directory = rpi_raw(SYS_openat, AT_FDCWD, (long)(uintptr_t) "/proc/self/fd",
                                   O_RDONLY | O_DIRECTORY, 0, 0);
    long size = directory;

    while (directory >= 0 && (size = rpi_raw(SYS_getdents64, directory, (long)(uintptr_t)buffer,
                                             sizeof buffer, 0, 0)) > 0) {
        const char *at = (const char *)buffer;

        while (at < (const char *)buffer + size) {
            const directory_entry *entry = (const directory_entry *)(const void *)at;
            const long fd = name_to_fd(entry->name);

            if (fd >= (long)first && fd <= (long)last && fd != directory) {
                (void)rpi_raw(SYS_close, fd, 0, 0, 0, 0); // it is gone, whatever it says
            }
            at += entry->size; // NOLINT(clang-analyzer-core.uninitialized.Assign): as the name
        }
    }
    if (directory >= 0) {
        (void)rpi_raw(SYS_close, directory, 0, 0, 0, 0); // as above
    }
    return size < 0 ? size : 0;
}

/* Closes first..last in the child's own table. Only forked children come past close_range. */
RPI_CHILD_CODE static long close_between(const rpi_child_plan *plan, long first, long last)
{
    struct {
        uint64_t soft, hard;
    } limit = {FD_MAX_GUESS, FD_MAX_GUESS};
    long r = -ENOSYS;

    if (first > last) {
        return 0;
    }
    if (plan->has_close_range) {
        r = rpi_raw_close_range((unsigned)first, (unsigned)last, 0);
    }
    if (r == 0 || plan->shares_table) {
        return r;
    }
    if (close_listed((unsigned)first, (unsigned)last) == 0) {
        return 0;
    }
    (void)rpi_raw(SYS_prlimit64, 0, RLIMIT_NOFILE, 0, (long)(uintptr_t)&limit, 0); // else the guess
    if (limit.hard > FD_MAX_GUESS) {
        limit.hard = FD_MAX_GUESS;
    }
    for (; first <= last && first < (long)limit.hard; first++) {
        (void)rpi_raw(SYS_close, first, 0, 0, 0, 0); // most are not open
    }
    return 0;
}

/* Closes whatever lies between the descriptors that the plan needs. */
RPI_CHILD_CODE static long close_unneeded(const rpi_child_plan *plan)
{
    long first = 0;
    long r = 0;
    size_t i;

    for (i = 0; i < plan->kept_count && r == 0; i++) {
        r = close_between(plan, first, (long)plan->kept[i] - 1);
        first = (long)plan->kept[i] + 1;
    }
    return r;
}

/* ---- descriptors ---- */

/* The table becomes the child's own, without anything above what it needs. */
RPI_CHILD_CODE static long own_table(const rpi_child_plan *plan)
{
    const long above = plan->kept_count == 0 ? 0 : (long)plan->kept[plan->kept_count - 1] + 1;

    if (plan->shares_table) {
        return rpi_raw_close_range((unsigned)above, UINT_MAX, RPI_CLOSE_RANGE_UNSHARE);
    }
    return close_between(plan, above, (long)INT_MAX);
}

/* Step 1: what lies in the targets' range and is not in its place moves above it. */
RPI_CHILD_CODE static long move_out_of_the_way(rpi_child_plan *plan)
{
    const long above = plan->target_count;
    size_t i;

    for (i = 0; i < plan->map_count; i++) {
        rpi_child_map *map = &plan->maps[i];

        map->moved = map->from;
        if (map->from >= 0 && map->from < plan->target_count && map->from != map->target) {
            const long moved = rpi_raw(SYS_fcntl, map->from, F_DUPFD_CLOEXEC, above, 0, 0);

            if (moved < 0 && moved != -EBADF) {
                return moved;
            }
            map->moved =
                moved < 0 ? -1 : (int)moved; // EBADF: inherited, but the host has closed it
        }
    }
    if (plan->report >= 0 && plan->report < plan->target_count) {
        const long moved = rpi_raw(SYS_fcntl, plan->report, F_DUPFD_CLOEXEC, above, 0, 0);

        if (moved < 0) {
            return moved;
        }
        plan->report = (int)moved; // a forked child: its own memory
    }
    return 0;
}

/* Steps 2 and 3: each target gets its descriptor, without close-on-exec; the others are closed. */
RPI_CHILD_CODE static long fill_targets(const rpi_child_plan *plan)
{
    long next = 0;
    size_t i;

    for (i = 0; i < plan->map_count; i++) {
        const rpi_child_map *map = &plan->maps[i];
        long r = 0;

        r = close_between(plan, next, (long)map->target - 1);
        if (r < 0) {
            return r;
        }
        next = (long)map->target + 1;
        if (map->moved == map->target) {
            r = rpi_raw(SYS_fcntl, map->target, F_SETFD, 0, 0, 0);
        } else if (map->moved >= 0) {
            r = rpi_raw(SYS_dup3, map->moved, map->target, 0, 0, 0);
        } else {
            (void)rpi_raw(SYS_close, map->target, 0, 0, 0, 0); // it may not be open
        }
        if (r < 0 && !(r == -EBADF && map->source == map->target)) {
            return r; // EBADF: inherited, but the host has closed it
        }
    }
    return 0;
}

RPI_CHILD_CODE static long arrange_descriptors(rpi_child_plan *plan)
{
    long r = own_table(plan);

    if (r == 0 && (plan->conflicts || plan->map_count > SMALL_PLAN)) {
        r = close_unneeded(plan);
    }
    if (r == 0) {
        r = move_out_of_the_way(plan);
    }
    if (r == 0) {
        r = fill_targets(plan);
    }
    if (r < 0) {
        return r;
    }
    if (plan->report < 0) {
        return close_between(plan, plan->target_count, (long)INT_MAX);
    }
    r = close_between(plan, plan->target_count, (long)plan->report - 1);
    return r < 0 ? r : close_between(plan, (long)plan->report + 1, (long)INT_MAX);
}

/* ---- attributes ---- */

RPI_CHILD_CODE static long set_limit(int resource, uint64_t value)
{
    const struct {
        uint64_t soft, hard;
    } limit = {value, value};

    return rpi_raw(SYS_prlimit64, 0, resource, (long)(uintptr_t)&limit, 0, 0);
}

/* Of this process alone: the C library's functions would change all threads of the host. */
RPI_CHILD_CODE static long set_ids(const rpi_launch *launch)
{
    const long uid = (long)launch->uid;
    const long gid = (long)launch->gid;
    long r = rpi_raw(CALL_SETGROUPS, (long)launch->group_count, (long)(uintptr_t)launch->groups, 0,
                     0, 0);

    if (r == 0) {
        r = rpi_raw(CALL_SETRESGID, gid, gid, gid, 0, 0);
    }
    return r == 0 ? rpi_raw(CALL_SETRESUID, uid, uid, uid, 0, 0) : r;
}

/* Moves itself before anything else is done, with the rights of the caller. */
RPI_CHILD_CODE static long enter_cgroup(const char *folder)
{
    const long path = rpi_raw(SYS_openat, AT_FDCWD, (long)(uintptr_t)folder,
                              O_PATH | O_DIRECTORY | O_CLOEXEC, 0, 0);
    long fd = path;
    long r = path;

    if (path >= 0) {
        fd =
            rpi_raw(SYS_openat, path, (long)(uintptr_t) "cgroup.procs", O_WRONLY | O_CLOEXEC, 0, 0);
        r = fd;
        (void)rpi_raw(SYS_close, path, 0, 0, 0, 0); // it only named the folder
    }
    if (fd >= 0 && path >= 0) {
        r = rpi_raw(SYS_write, fd, (long)(uintptr_t) "0", 1, 0, 0);
        (void)rpi_raw(SYS_close, fd, 0, 0, 0, 0); // the write was the deed
    }
    return r;
}

/* Standard input is the terminal of the new session from now on. Where the ids change it becomes
 * the new user's, who may then open it by its name, as after a login. */
RPI_CHILD_CODE static long take_terminal(const rpi_launch *launch)
{
    const long r = rpi_raw(SYS_ioctl, 0, TIOCSCTTY, 0, 0, 0);

    if (r == 0 && launch->set_ids) {
        (void)rpi_raw(CALL_FCHOWN, 0, (long)launch->uid, -1, 0, 0); // it is usable without
    }
    return r;
}

/* The terminal goes from the caller's group to the child's own, which is made here. Only the
 * caller's is taken: in the background it has none to give. SIGTTOU is blocked, as everything is.
 */
RPI_CHILD_CODE static long take_foreground(rpi_child_plan *plan)
{
    const long own = rpi_raw(SYS_getpgid, 0, 0, 0, 0, 0);
    const int self = (int)rpi_raw(SYS_getpid, 0, 0, 0, 0, 0);
    const long fd = rpi_raw(SYS_openat, AT_FDCWD, (long)(uintptr_t) "/dev/tty",
                            O_RDWR | O_NOCTTY | O_CLOEXEC, 0, 0);
    int group = 0;
    long r = fd;

    if (r >= 0) {
        r = rpi_raw(SYS_ioctl, fd, TIOCGPGRP, (long)(uintptr_t)&group, 0, 0);
    }
    if (r >= 0 && group != own) {
        r = -EBUSY;
    }
    if (r >= 0) {
        plan->phase = RPI_PHASE_SETPGID;
        r = rpi_raw(SYS_setpgid, 0, 0, 0, 0, 0);
    }
    if (r >= 0) {
        plan->phase = RPI_PHASE_TERMINAL;
        r = rpi_raw(SYS_ioctl, fd, TIOCSPGRP, (long)(uintptr_t)&self, 0, 0);
    }
    if (fd >= 0) {
        (void)rpi_raw(SYS_close, fd, 0, 0, 0, 0); // it would be closed at exec, too
    }
    return r;
}

/* Everything but descriptors and signals. Sets the phase before each step. */
RPI_CHILD_CODE static long set_attributes(rpi_child_plan *plan)
{
    const rpi_launch *launch = plan->launch;
    long r = 0;

    if (plan->enters_cgroup) {
        plan->phase = RPI_PHASE_CGROUP;
        r = enter_cgroup(launch->cgroup);
    }
    if (r < 0) {
        return r;
    }
    if (launch->new_session) {
        plan->phase = RPI_PHASE_SETSID;
        r = rpi_raw(SYS_setsid, 0, 0, 0, 0, 0);
    } else if (launch->foreground) {
        plan->phase = RPI_PHASE_TERMINAL;
        r = take_foreground(plan);
    } else if (launch->own_group) {
        plan->phase = RPI_PHASE_SETPGID;
        r = rpi_raw(SYS_setpgid, 0, 0, 0, 0, 0);
    }
    if (r >= 0 && launch->terminal) {
        plan->phase = RPI_PHASE_TERMINAL;
        r = take_terminal(launch);
    }
    if (r >= 0 && launch->no_core) {
        plan->phase = RPI_PHASE_RLIMIT;
        r = set_limit(RLIMIT_CORE, 0);
    }
    if (r >= 0 && launch->open_files != 0) {
        plan->phase = RPI_PHASE_RLIMIT;
        r = set_limit(RLIMIT_NOFILE, launch->open_files);
    }
    if (r >= 0 && launch->nice != 0) {
        plan->phase = RPI_PHASE_NICE;
        r = rpi_raw(SYS_setpriority, PRIO_PROCESS, 0, launch->nice, 0, 0);
    }
    if (r >= 0 && launch->set_umask) {
        (void)rpi_raw(SYS_umask, (long)launch->umask, 0, 0, 0, 0); // cannot fail
    }
    if (r >= 0 && launch->set_ids) {
        plan->phase = RPI_PHASE_IDS;
        r = set_ids(launch);
    }
    if (r >= 0 && launch->cwd != NULL) {
        plan->phase = RPI_PHASE_CHDIR;
        r = rpi_raw(SYS_chdir, (long)(uintptr_t)launch->cwd, 0, 0, 0, 0);
    }
    return r;
}

/* All signals at their defaults, but an ignored SIGHUP stays so (nohup). */
RPI_CHILD_CODE static void reset_signals(const rpi_child_plan *plan)
{
    uint64_t left = plan->reset_signals;
    int number;

    for (; left != 0; left &= left - 1) {
        rpi_raw_set_default(__builtin_ctzll(left) + 1);
    }
    for (number = 1; plan->resets_all && number <= RPI_RAW_SIGNAL_MAX; number++) {
        const uintptr_t handler = rpi_raw_handler(number);

        if (handler != RPI_RAW_DEFAULT && !(handler == RPI_RAW_IGNORED && number == SIGHUP)) {
            rpi_raw_set_default(number);
        }
    }
}

/* ---- exec ---- */

/* Whether execvp looks at the next directory of the path after this error. */
RPI_CHILD_CODE static bool goes_on(long error)
{
    return error == -ENOENT || error == -ENOTDIR || error == -EACCES || error == -ESTALE ||
           error == -ENODEV || error == -ETIMEDOUT;
}

RPI_CHILD_CODE static long execute(const rpi_launch *launch)
{
    const char *const *program = launch->programs;
    bool refused = false;
    long r = -ENOENT;

    for (; *program != NULL; program++) {
        r = rpi_raw(SYS_execve, (long)(uintptr_t)*program, (long)(uintptr_t)launch->argv,
                    (long)(uintptr_t)launch->env, 0, 0);
        if (!goes_on(r)) {
            return r;
        }
        refused = refused || r == -EACCES;
    }
    return refused ? -EACCES : r;
}

/* A forked child waits until its parent holds it: false when the parent gave it up. */
RPI_CHILD_CODE static bool may_go(const rpi_child_plan *plan)
{
    char byte = 0;
    long r = 1;

    if (plan->report >= 0) {
        do {
            r = rpi_raw(SYS_read, plan->report, (long)(uintptr_t)&byte, 1, 0, 0);
        } while (r == -EINTR);
    }
    return r == 1;
}

RPI_CHILD_CODE static int fail(rpi_child_plan *plan, rpi_phase phase, long error)
{
    const rpi_child_report report = {(int)error, (int)phase};

    plan->phase = phase;
    plan->error = (int)error;
    if (plan->report >= 0) {
        // Nobody to tell when the parent is gone.
        (void)rpi_raw(SYS_sendto, plan->report, (long)(uintptr_t)&report, (long)sizeof report,
                      MSG_NOSIGNAL, 0);
    }
    return 127;
}

RPI_CHILD_CODE int rpi_child_main(void *argument)
{
    rpi_child_plan *plan = argument;
    long r = 0;

    r = arrange_descriptors(plan);
    if (r < 0) {
        return fail(plan, RPI_PHASE_DESCRIPTORS, r);
    }
    if (!may_go(plan)) { // only now: it has no copy of the parent's end any more
        return 127;
    }
    r = set_attributes(plan);
    if (r < 0) {
        return fail(plan, plan->phase, r);
    }
    reset_signals(plan);
    (void)rpi_raw_set_mask(0);
    return fail(plan, RPI_PHASE_EXEC, execute(plan->launch));
}
