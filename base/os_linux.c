/* The table of system calls for Linux: the C library's functions where their types fit, small
 * wrappers where they are variadic, differ from the table, or are missing from an older C library.
 * Numbers of calls that every architecture shares are given where old headers lack them. */
#define _GNU_SOURCE
#include "base/os.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clone.h"

#ifndef SYS_io_uring_setup
#define SYS_io_uring_setup 425
#define SYS_io_uring_enter 426
#define SYS_io_uring_register 427
#endif
#ifndef SYS_pidfd_send_signal
#define SYS_pidfd_send_signal 424
#endif
#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#ifndef SYS_close_range
#define SYS_close_range 436
#endif
#ifndef SYS_epoll_pwait2
#define SYS_epoll_pwait2 441
#endif

/** The result of a call as the kernel gives it, and errno as it was before. */
static int raw_result(long result, int saved_errno)
{
    if (result == -1) {
        result = -errno;
    }
    errno = saved_errno;
    return (int)result;
}

static int os_open(const char *path, int flags, mode_t mode)
{
    return open(path, flags, mode);
}

static int os_openat(int folder, const char *path, int flags)
{
    return openat(folder, path, flags);
}

static ssize_t os_getdents64(int folder, void *memory, size_t size)
{
    return syscall(SYS_getdents64, folder, memory, size);
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

/** Whole milliseconds, rounded up so that nothing is woken early; -1 = for ever. */
static int to_milliseconds(const struct timespec *timeout)
{
    if (timeout == NULL) {
        return -1;
    }
    if (timeout->tv_sec >= INT_MAX / 1000) {
        return INT_MAX;
    }
    return (int)(timeout->tv_sec * 1000 + (timeout->tv_nsec + 999999) / 1000000);
}

static int
os_epoll_wait(int epoll, struct epoll_event *events, int event_max, const struct timespec *timeout)
{
    static atomic_bool is_missing; // epoll_pwait2: before Linux 5.11, or refused by a filter
    int result;

    // Neither "for ever" nor "not at all" needs the newer call.
    if (timeout != NULL && (timeout->tv_sec != 0 || timeout->tv_nsec != 0) &&
        !atomic_load_explicit(&is_missing, memory_order_relaxed)) {
        result = (int)syscall(SYS_epoll_pwait2, epoll, events, event_max, timeout, NULL, 0);
        if (result >= 0 || (errno != ENOSYS && errno != EPERM)) {
            return result;
        }
        atomic_store_explicit(&is_missing, true, memory_order_relaxed);
    }
    return epoll_wait(epoll, events, event_max, to_milliseconds(timeout));
}

static int os_io_uring_setup(unsigned int entries, struct io_uring_params *params)
{
    const int saved = errno;

    return raw_result(syscall(SYS_io_uring_setup, entries, params), saved);
}

// NOLINTNEXTLINE(readability-function-size): the system call has six parameters
static int os_io_uring_enter(int ring,
                             unsigned int submit,
                             unsigned int wait,
                             unsigned int flags,
                             const void *argument,
                             size_t size)
{
    const int saved = errno;

    return raw_result(syscall(SYS_io_uring_enter, ring, submit, wait, flags, argument, size),
                      saved);
}

static int
os_io_uring_register(int ring, unsigned int operation, const void *argument, unsigned int count)
{
    const int saved = errno;

    return raw_result(syscall(SYS_io_uring_register, ring, operation, argument, count), saved);
}

static int os_pidfd_open(pid_t pid, unsigned int flags)
{
    return (int)syscall(SYS_pidfd_open, pid, flags);
}

static int os_pidfd_send_signal(int pidfd, int signal, unsigned int flags)
{
    return (int)syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, flags);
}

static int os_waitid(int id_type, int id, void *ret_siginfo, int options, struct rusage *ret_rusage)
{
    // The kernel's own call: the C library's has no rusage.
    return (int)syscall(SYS_waitid, id_type, id, ret_siginfo, options, ret_rusage);
}

// The C library gives these two an enum of its own for their first parameter.
static int os_setpriority(int which, int who, int nice)
{
    return setpriority((__priority_which_t)which, (id_t)who, nice);
}

static int os_getrlimit(int resource, struct rlimit *ret_limit)
{
    return getrlimit((__rlimit_resource_t)resource, ret_limit);
}

static int os_setrlimit(int resource, const struct rlimit *limit)
{
    return setrlimit((__rlimit_resource_t)resource, limit);
}

static int os_close_range(unsigned int first, unsigned int last, unsigned int flags)
{
    return (int)syscall(SYS_close_range, first, last, flags);
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

rpi_os_table rpi_os = {
    .open = os_open,
    .openat = os_openat,
    .mkdir = mkdir,
    .rmdir = rmdir,
    .getdents64 = os_getdents64,
    .readlink = readlink,
    .close = close,
    .read = read,
    .pread = pread,
    .write = write,
    .pipe2 = pipe2,
    .socketpair = socketpair,
    .sendmsg = sendmsg,
    .recvmsg = recvmsg,
    .fcntl = os_fcntl,
    .dup3 = dup3,
    .ioctl = os_ioctl,
    .fstat = os_fstat,
    .stat = os_stat,
    .getxattr = getxattr,
    .inotify_init1 = inotify_init1,
    .inotify_add_watch = inotify_add_watch,
    .inotify_rm_watch = inotify_rm_watch,
    .poll = os_poll,
    .eventfd = eventfd,
    .epoll_create1 = epoll_create1,
    .epoll_ctl = epoll_ctl,
    .epoll_wait = os_epoll_wait,
    .io_uring_setup = os_io_uring_setup,
    .io_uring_enter = os_io_uring_enter,
    .io_uring_register = os_io_uring_register,
    .mmap = mmap,
    .munmap = munmap,
    .madvise = madvise,
    .memfd_create = memfd_create,
    .ftruncate = ftruncate,
    .fallocate = fallocate,
    .clone3 = rpi_clone3,
    .clone = rpi_clone,
    .fork = fork,
    .pidfd_open = os_pidfd_open,
    .pidfd_send_signal = os_pidfd_send_signal,
    .kill = kill,
    .waitid = os_waitid,
    .setpriority = os_setpriority,
    .getrlimit = os_getrlimit,
    .setrlimit = os_setrlimit,
    .close_range = os_close_range,
    .thread_start = os_thread_start,
};

/* ---- questions that only Linux answers so ---- */

int rpi_os_pipe_name(int fd, uint64_t *ret_name)
{
    struct stat status;

    if (rpi_os.fstat(fd, &status) < 0) {
        return -errno;
    }
    *ret_name = status.st_ino;
    return 0;
}

void rpi_os_wait_for_exit(int process)
{
    struct pollfd entry = {.fd = process, .events = POLLIN};

    (void)rpi_os.poll(&entry, 1, -1); // interrupted: the caller asks again
}

char *const *rpi_os_environment(void)
{
    return environ;
}
