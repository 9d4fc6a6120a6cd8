/* The table of system calls for FreeBSD and macOS: the C library's functions where their types fit,
 * small wrappers where they are variadic, differ from the table, or are missing on one of the two.
 * What macOS has no call for (a pipe or a duplicate that is close-on-exec from the start) is made
 * in two steps there; its spawner passes nothing on that was not named, so nothing leaks between.
 */
#ifdef __FreeBSD__
#define __BSD_VISIBLE 1
#endif
#include "base/os.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/event.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifdef RPI_OS_MACOS
#include <crt_externs.h>
#else
extern char **environ;
#endif

static int os_open(const char *path, int flags, mode_t mode)
{
    return open(path, flags, mode);
}

static int os_openat(int folder, const char *path, int flags)
{
    return openat(folder, path, flags);
}

static int os_fcntl(int fd, int command, int argument)
{
    return fcntl(fd, command, argument);
}

static int os_ioctl(int fd, unsigned long request, void *argument)
{
    return ioctl(fd, request, argument);
}

static int os_fstat(int fd, struct stat *ret_stat)
{
    return fstat(fd, ret_stat);
}

static int os_stat(const char *path, struct stat *ret_stat)
{
    return stat(path, ret_stat);
}

static int os_poll(struct pollfd *fds, size_t count, int timeout_ms)
{
    return poll(fds, (nfds_t)count, timeout_ms);
}

#ifdef RPI_OS_MACOS
/** Sets what pipe2 and dup3 are asked for; -1 and errno. */
static int set_flags(int fd, int flags)
{
    if ((flags & O_CLOEXEC) != 0 && fcntl(fd, F_SETFD, FD_CLOEXEC) < 0) {
        return -1;
    }
    return (flags & O_NONBLOCK) != 0 ? fcntl(fd, F_SETFL, O_NONBLOCK) : 0;
}

static int os_pipe2(int ends[2], int flags)
{
    int saved;

    if (pipe(ends) < 0) {
        return -1;
    }
    if (set_flags(ends[0], flags) < 0 || set_flags(ends[1], flags) < 0) {
        saved = errno;
        (void)close(ends[0]); // never used
        (void)close(ends[1]);
        errno = saved;
        return -1;
    }
    return 0;
}
#else
#define os_pipe2 pipe2
#endif

static int os_dup3(int from, int to, int flags)
{
#ifdef RPI_OS_FREEBSD
    return fcntl(from, (flags & O_CLOEXEC) != 0 ? F_DUP2FD_CLOEXEC : F_DUP2FD, to);
#else
    const int fd = dup2(from, to);

    return fd < 0 || set_flags(fd, flags) == 0 ? fd : -1;
#endif
}

static int os_waitid(int id_type, int id, void *ret_siginfo, int options, struct rusage *ret_rusage)
{
#ifdef RPI_OS_FREEBSD
    struct __wrusage usage;
    int status = 0;
    pid_t pid;

    memset(&usage, 0, sizeof usage);
    memset(ret_siginfo, 0, sizeof(siginfo_t));
    pid = wait6((idtype_t)id_type, (id_t)id, &status, options, &usage, ret_siginfo);
    if (pid > 0 && ret_rusage != NULL) {
        *ret_rusage = usage.wru_self;
    }
    return pid < 0 ? -1 : 0;
#else
    // It tells no usage until the child is taken.
    if (ret_rusage != NULL) {
        memset(ret_rusage, 0, sizeof *ret_rusage);
    }
    if (ret_rusage != NULL && (options & WNOWAIT) == 0 && id_type == P_PID) {
        int status = 0;
        siginfo_t *info = ret_siginfo;
        const pid_t pid = wait4(id, &status, (options & WNOHANG) != 0 ? WNOHANG : 0, ret_rusage);

        memset(info, 0, sizeof *info);
        if (pid > 0) {
            info->si_pid = pid;
            info->si_code =
                WIFEXITED(status) ? CLD_EXITED : (WCOREDUMP(status) ? CLD_DUMPED : CLD_KILLED);
            info->si_status = WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status);
        }
        return pid < 0 ? -1 : 0;
    }
    return waitid((idtype_t)id_type, (id_t)id, ret_siginfo, options);
#endif
}

static int os_setpriority(int which, int who, int nice)
{
#ifdef RPI_OS_FREEBSD
    return setpriority(which, who, nice);
#else
    return setpriority(which, (id_t)who, nice);
#endif
}

static int os_getrlimit(int resource, struct rlimit *ret_limit)
{
    return getrlimit(resource, ret_limit);
}

static int os_setrlimit(int resource, const struct rlimit *limit)
{
    return setrlimit(resource, limit);
}

static int
os_thread_start(void *(*run)(void *), void *argument, size_t stack_size, void *ret_thread)
{
    pthread_attr_t attributes;
    int result = pthread_attr_init(&attributes);

    if (result != 0) {
        return result;
    }
    result = pthread_attr_setstacksize(&attributes, stack_size);
    if (result == 0) {
        result = pthread_create(ret_thread, &attributes, run, argument);
    }
    (void)pthread_attr_destroy(&attributes); // cannot fail for one that was initialised
    return result;
}

// NOLINTNEXTLINE(readability-function-size): the system call has six parameters
static int os_kevent(int queue,
                     const struct kevent *changes,
                     int change_count,
                     struct kevent *events,
                     int event_max,
                     const struct timespec *timeout)
{
    return kevent(queue, changes, change_count, events, event_max, timeout);
}

rpi_os_table rpi_os = {
    .open = os_open,
    .openat = os_openat,
    .mkdir = mkdir,
    .rmdir = rmdir,
    .readlink = readlink,
    .close = close,
    .read = read,
    .pread = pread,
    .write = write,
    .pipe2 = os_pipe2,
    .socketpair = socketpair,
    .sendmsg = sendmsg,
    .recvmsg = recvmsg,
    .fcntl = os_fcntl,
    .dup3 = os_dup3,
    .ioctl = os_ioctl,
    .fstat = os_fstat,
    .stat = os_stat,
    .poll = os_poll,
    .mmap = mmap,
    .munmap = munmap,
    .madvise = madvise,
    .ftruncate = ftruncate,
    .fork = fork,
    .kill = kill,
    .waitid = os_waitid,
    .setpriority = os_setpriority,
    .getrlimit = os_getrlimit,
    .setrlimit = os_setrlimit,
    .thread_start = os_thread_start,
    .kqueue = kqueue,
    .kevent = os_kevent,
};

/* ---- questions that these systems answer in their own way ---- */

int rpi_os_pipe_name(int fd, uint64_t *ret_name)
{
    (void)fd; // the two ends of a pipe have numbers of their own, and nothing in common
    (void)ret_name;
    return -EOPNOTSUPP;
}

void rpi_os_wait_for_exit(int process)
{
    siginfo_t info;

    // Without taking it; interrupted: the caller asks again.
    // What stands for a process here is its number (rpi_pidfd_of).
    (void)rpi_os.waitid(P_PID, -1 - process, &info, WEXITED | WNOWAIT, NULL);
}

char *const *rpi_os_environment(void)
{
#ifdef RPI_OS_MACOS
    return *_NSGetEnviron(); // a shared library has no `environ`
#else
    return environ;
#endif
}
