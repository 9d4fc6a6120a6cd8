/* See fault.h, whose allocator stands in fault_memory.c. Each entry of the table of system calls
 * gets a wrapper, made by one macro, that counts and asks whether this call is the one to fail. */
#define _GNU_SOURCE
#include "tests/support/fault.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/os.h"

static _Noreturn void give_up(const char *what, const char *name)
{
    (void)fprintf(stderr, "fault: %s%s\n", what, name);
    abort();
}

/* ---- the table of system calls ---------------------------------------------- */

/* How a call fails: FAIL_ERRNO -1 and errno; FAIL_SIZE likewise, or it moves one of the `c` bytes;
 * FAIL_CLOSE likewise, but the descriptor `a` is gone, as on Linux; FAIL_RAW -errno; FAIL_MAP
 * MAP_FAILED and errno; FAIL_NUMBER the errno itself. */
#define FAIL_ERRNO(error) return errno = (error), -1
#define FAIL_SIZE(error)                                                                           \
    if ((error) != RPI_FAULT_SHORT) {                                                              \
        return errno = (error), -1;                                                                \
    }                                                                                              \
    c = c > 1 && may_be_short(a) ? 1 : c
#define FAIL_CLOSE(error) return (void)real.close(a), errno = (error), -1
#define FAIL_RAW(error) return -(error)
#define FAIL_MAP(error) return errno = (error), MAP_FAILED
#define FAIL_NUMBER(error) return (error)

/* The entries: how it fails, result, name, parameters, arguments. */
// clang-format off
#define POSIX_ENTRIES(X)                                                                           \
    X(FAIL_ERRNO, int, open, (const char *a, int b, mode_t c), (a, b, c))                          \
    X(FAIL_ERRNO, int, openat, (int a, const char *b, int c), (a, b, c))                           \
    X(FAIL_ERRNO, int, mkdir, (const char *a, mode_t b), (a, b))                                   \
    X(FAIL_ERRNO, int, rmdir, (const char *a), (a))                                                \
    X(FAIL_ERRNO, ssize_t, readlink, (const char *a, char *b, size_t c), (a, b, c))                \
    X(FAIL_CLOSE, int, close, (int a), (a))                                                        \
    X(FAIL_SIZE, ssize_t, read, (int a, void *b, size_t c), (a, b, c))                            \
    X(FAIL_SIZE, ssize_t, pread, (int a, void *b, size_t c, off_t d), (a, b, c, d))               \
    X(FAIL_SIZE, ssize_t, write, (int a, const void *b, size_t c), (a, b, c))                     \
    X(FAIL_ERRNO, int, pipe2, (int a[2], int b), (a, b))                                           \
    X(FAIL_ERRNO, int, socketpair, (int a, int b, int c, int d[2]), (a, b, c, d))                  \
    X(FAIL_ERRNO, ssize_t, sendmsg, (int a, const struct msghdr *b, int c), (a, b, c))             \
    X(FAIL_ERRNO, ssize_t, recvmsg, (int a, struct msghdr *b, int c), (a, b, c))                   \
    X(FAIL_ERRNO, int, fcntl, (int a, int b, int c), (a, b, c))                                    \
    X(FAIL_ERRNO, int, dup3, (int a, int b, int c), (a, b, c))                                     \
    X(FAIL_ERRNO, int, ioctl, (int a, unsigned long b, void *c), (a, b, c))                        \
    X(FAIL_ERRNO, int, fstat, (int a, struct stat *b), (a, b))                                     \
    X(FAIL_ERRNO, int, stat, (const char *a, struct stat *b), (a, b))                              \
    X(FAIL_ERRNO, int, poll, (struct pollfd *a, size_t b, int c), (a, b, c))                       \
    X(FAIL_MAP, void *, mmap, (void *a, size_t b, int c, int d, int e, off_t f),                   \
      (a, b, c, d, e, f))                                                                          \
    X(FAIL_ERRNO, int, munmap, (void *a, size_t b), (a, b))                                        \
    X(FAIL_ERRNO, int, madvise, (void *a, size_t b, int c), (a, b, c))                             \
    X(FAIL_ERRNO, int, ftruncate, (int a, off_t b), (a, b))                                        \
    X(FAIL_ERRNO, pid_t, fork, (void), ())                                                         \
    X(FAIL_ERRNO, int, kill, (pid_t a, int b), (a, b))                                             \
    X(FAIL_ERRNO, int, waitid, (int a, int b, void *c, int d, struct rusage *e), (a, b, c, d, e))  \
    X(FAIL_ERRNO, int, setpriority, (int a, int b, int c), (a, b, c))                              \
    X(FAIL_ERRNO, int, getrlimit, (int a, struct rlimit *b), (a, b))                               \
    X(FAIL_ERRNO, int, setrlimit, (int a, const struct rlimit *b), (a, b))                         \
    X(FAIL_NUMBER, int, thread_start, (void *(*a)(void *), void *b, size_t c, void *d),            \
      (a, b, c, d))

#ifdef RPI_HAS_KQUEUE
#define KQUEUE_ENTRIES(X)                                                                          \
    X(FAIL_ERRNO, int, kqueue, (void), ())                                                         \
    X(FAIL_ERRNO, int, kevent,                                                                     \
      (int a, const struct kevent *b, int c, struct kevent *d, int e, const struct timespec *f),   \
      (a, b, c, d, e, f))
#else
#define KQUEUE_ENTRIES(X)
#endif

#ifdef RPI_OS_LINUX
#define LINUX_ENTRIES(X)                                                                           \
    X(FAIL_ERRNO, ssize_t, getxattr, (const char *a, const char *b, void *c, size_t d),           \
      (a, b, c, d))                                                                                \
    X(FAIL_ERRNO, int, inotify_init1, (int a), (a))                                                \
    X(FAIL_ERRNO, int, inotify_add_watch, (int a, const char *b, uint32_t c), (a, b, c))           \
    X(FAIL_ERRNO, int, inotify_rm_watch, (int a, int b), (a, b))                                   \
    X(FAIL_ERRNO, ssize_t, getdents64, (int a, void *b, size_t c), (a, b, c))                      \
    X(FAIL_ERRNO, int, eventfd, (unsigned a, int b), (a, b))                                       \
    X(FAIL_ERRNO, int, epoll_create1, (int a), (a))                                                \
    X(FAIL_ERRNO, int, epoll_ctl, (int a, int b, int c, struct epoll_event *d), (a, b, c, d))      \
    X(FAIL_ERRNO, int, epoll_wait, (int a, struct epoll_event *b, int c, const struct timespec *d),\
      (a, b, c, d))                                                                                \
    X(FAIL_RAW, int, io_uring_setup, (unsigned a, struct io_uring_params *b), (a, b))              \
    X(FAIL_RAW, int, io_uring_enter,                                                               \
      (int a, unsigned b, unsigned c, unsigned d, const void *e, size_t f), (a, b, c, d, e, f))    \
    X(FAIL_RAW, int, io_uring_register, (int a, unsigned b, const void *c, unsigned d),            \
      (a, b, c, d))                                                                                \
    X(FAIL_ERRNO, int, memfd_create, (const char *a, unsigned b), (a, b))                          \
    X(FAIL_ERRNO, int, fallocate, (int a, int b, off_t c, off_t d), (a, b, c, d))                  \
    X(FAIL_RAW, int, clone3, (const rpi_clone_args *a, size_t b, rpi_child_fn *c, void *d),        \
      (a, b, c, d))                                                                                \
    X(FAIL_RAW, int, clone, (uint64_t a, void *b, int *c, rpi_child_fn *d, void *e),               \
      (a, b, c, d, e))                                                                             \
    X(FAIL_ERRNO, int, pidfd_open, (pid_t a, unsigned b), (a, b))                                  \
    X(FAIL_ERRNO, int, pidfd_send_signal, (int a, int b, unsigned c), (a, b, c))                   \
    X(FAIL_ERRNO, int, close_range, (unsigned a, unsigned b, unsigned c), (a, b, c))
#else
#define LINUX_ENTRIES(X)
#endif

#define ENTRIES(X) POSIX_ENTRIES(X) KQUEUE_ENTRIES(X) LINUX_ENTRIES(X)

#define NUMBER(fail, result, name, parameters, arguments) ENTRY_##name,
enum { ENTRIES(NUMBER) ENTRY_COUNT, ENTRY_ANY = ENTRY_COUNT };

#define NAME(fail, result, name, parameters, arguments) #name,
static const char *const entry_names[] = {ENTRIES(NAME)};
// clang-format on

_Static_assert(sizeof(rpi_os_table) == ENTRY_COUNT * sizeof(void (*)(void)),
               "every entry of the table stands in ENTRIES");

typedef struct plan {
    atomic_uint calls;
    atomic_uint countdown; // calls until the one that fails; 0 = every one, if there is an error
    atomic_int error;      // 0 = no plan
} plan;

static plan plans[ENTRY_COUNT + 1]; // the last one: any entry
static atomic_bool has_fired;
static rpi_os_table real;
static bool is_started;

/** Pipes, terminals and files may move less than was asked for; what counts events moves a number
 * or nothing, and what has packets moves a packet. */
static bool may_be_short(int fd)
{
    struct stat status;

    return real.fstat(fd, &status) == 0 &&
           (S_ISFIFO(status.st_mode) || S_ISCHR(status.st_mode) || S_ISREG(status.st_mode));
}

/** Counts a call; the error that it is to fail with, or 0. */
static int next_error(plan *asked)
{
    int error = atomic_load(&asked->error);
    unsigned left;

    atomic_fetch_add(&asked->calls, 1);
    if (error == 0) {
        return 0;
    }
    left = atomic_load(&asked->countdown);
    if (left != RPI_FAULT_EVERY) {
        left = atomic_fetch_sub(&asked->countdown, 1);
        if (left != 1) {
            return 0;
        }
        atomic_store(&asked->error, 0);
    }
    atomic_store(&has_fired, true);
    return error;
}

static int take_error(int entry)
{
    const int any = next_error(&plans[ENTRY_ANY]);
    const int own = next_error(&plans[entry]);

    return own != 0 ? own : any;
}

#define WRAPPER(fail, result, name, parameters, arguments)                                         \
    static result wrapped_##name parameters                                                        \
    {                                                                                              \
        const int error = take_error(ENTRY_##name);                                                \
                                                                                                   \
        if (error != 0) {                                                                          \
            fail(error);                                                                           \
        }                                                                                          \
        return real.name arguments;                                                                \
    }
ENTRIES(WRAPPER)

#define WRAPPED(fail, result, name, parameters, arguments) .name = wrapped_##name,
static const rpi_os_table wrapped = {ENTRIES(WRAPPED)};

static int find_entry(const char *name)
{
    if (name == NULL) {
        return ENTRY_ANY;
    }
    for (int i = 0; i < ENTRY_COUNT; i++) {
        if (strcmp(entry_names[i], name) == 0) {
            return i;
        }
    }
    return -1;
}

static int find_known_entry(const char *name)
{
    const int entry = find_entry(name);

    if (entry < 0) {
        give_up("no such system call in the table: ", name);
    }
    return entry;
}

void rpi_fault_os_start(void)
{
    for (int i = 0; i <= ENTRY_COUNT; i++) {
        atomic_store(&plans[i].calls, 0);
        atomic_store(&plans[i].error, 0);
        atomic_store(&plans[i].countdown, 0);
    }
    atomic_store(&has_fired, false);
    if (!is_started) {
        real = rpi_os;
        rpi_os = wrapped;
        is_started = true;
    }
}

void rpi_fault_os_stop(void)
{
    if (is_started) {
        rpi_os = real;
        is_started = false;
    }
}

void rpi_fault_os_fail(const char *entry, unsigned nth, int error)
{
    plan *planned = &plans[find_known_entry(entry)];

    if (error == RPI_FAULT_SHORT &&
        (entry == NULL || (strcmp(entry, "read") != 0 && strcmp(entry, "pread") != 0 &&
                           strcmp(entry, "write") != 0))) {
        give_up("it moves no bytes: ", entry != NULL ? entry : "any");
    }
    if (!is_started) {
        give_up("rpi_fault_os_start comes first", "");
    }
    atomic_store(&planned->error, 0);
    atomic_store(&planned->countdown, nth);
    atomic_store(&planned->error, error);
}

bool rpi_fault_os_has(const char *entry)
{
    return find_entry(entry) >= 0;
}

unsigned rpi_fault_os_calls(const char *entry)
{
    return atomic_load(&plans[find_known_entry(entry)].calls);
}

bool rpi_fault_os_fired(void)
{
    return atomic_load(&has_fired);
}
