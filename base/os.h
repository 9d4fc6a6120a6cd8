/* The one table of operating-system calls. Whatever reactor, spawn, streams and tracking ask of the
 * system goes through rpi_os, so that the test build can make the n-th call of a kind fail
 * (tests/support/fault.h replaces entries). The entries are the system's own calls with their own
 * results (-1 and errno), but for those marked "raw": they return -errno as the kernel does and
 * leave errno alone. Calls that a child makes between clone and exec are not here: that child
 * shares the host's memory and must not read a table that a test rewrites.
 *
 * Below the table stand the few questions that several rooms ask of the system, each made of calls
 * of the table. This header and files with an operating system's suffix are the only places for OS
 * macros. */
#ifndef RPI_BASE_OS_H
#define RPI_BASE_OS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#if defined(__linux__)
#define RPI_OS_LINUX 1
#elif defined(__FreeBSD__)
#define RPI_OS_FREEBSD 1
#elif defined(__APPLE__)
#define RPI_OS_MACOS 1
#elif defined(_WIN32)
#define RPI_OS_WINDOWS 1
#else
#error "this system is not known"
#endif

/* FreeBSD and macOS have kqueue; a build for tests (RP_TEST_KQUEUE) brings its own to Linux. */
#if defined(RPI_OS_FREEBSD) || defined(RPI_OS_MACOS) || defined(RP_TEST_KQUEUE)
#define RPI_HAS_KQUEUE 1
#endif

#ifndef RPI_OS_WINDOWS

struct epoll_event;
struct io_uring_params;
struct kevent;
struct msghdr;
struct pollfd;
struct rlimit;
struct rusage;
struct stat;
struct timespec;

#ifdef RPI_OS_LINUX
/** What clone3 is asked for; the kernel's struct clone_args, version 2 (cgroup). */
typedef struct rpi_clone_args {
    uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid,
        set_tid_size, cgroup;
} rpi_clone_args;
#endif

typedef int rpi_child_fn(void *argument); /* its result is the child's exit code */

typedef struct rpi_os_table {
    int (*open)(const char *path, int flags, mode_t mode);
    int (*openat)(int folder, const char *path, int flags);
    int (*mkdir)(const char *path, mode_t mode);
    int (*rmdir)(const char *path);
    ssize_t (*readlink)(const char *path, char *memory, size_t size);
    int (*close)(int fd);
    ssize_t (*read)(int fd, void *memory, size_t size);
    ssize_t (*pread)(int fd, void *memory, size_t size, off_t offset);
    ssize_t (*write)(int fd, const void *memory, size_t size);
    int (*pipe2)(int ends[2], int flags);
    int (*socketpair)(int domain, int type, int protocol, int ends[2]);
    ssize_t (*sendmsg)(int fd, const struct msghdr *message, int flags);
    ssize_t (*recvmsg)(int fd, struct msghdr *message, int flags);
    int (*fcntl)(int fd, int command, int argument);
    int (*dup3)(int from, int to, int flags);
    int (*ioctl)(int fd, unsigned long request, void *argument);
    int (*fstat)(int fd, struct stat *ret_stat);
    int (*stat)(const char *path, struct stat *ret_stat);
    int (*poll)(struct pollfd *fds, size_t count, int timeout_ms);

    void *(*mmap)(void *address, size_t size, int protection, int flags, int fd, off_t offset);
    int (*munmap)(void *address, size_t size);
    int (*madvise)(void *address, size_t size, int advice);
    int (*ftruncate)(int fd, off_t size);

    pid_t (*fork)(void);
    int (*kill)(pid_t pid, int signal);
    /** waitid with rusage (NULL = not asked): id_type P_PID, Linux: P_PIDFD, ... */
    int (*waitid)(int id_type, int id, void *ret_siginfo, int options, struct rusage *ret_rusage);
    int (*setpriority)(int which, int who, int nice);
    int (*getrlimit)(int resource, struct rlimit *ret_limit);
    int (*setrlimit)(int resource, const struct rlimit *limit);
    /** 0 or an errno, as pthread_create; ret_thread is a pthread_t. */
    int (*thread_start)(void *(*run)(void *), void *argument, size_t stack_size, void *ret_thread);

#ifdef RPI_HAS_KQUEUE
    int (*kqueue)(void);
    /** No change and no room for events are given as NULL and 0; NULL timeout = for ever. */
    int (*kevent)(int kqueue,
                  const struct kevent *changes,
                  int change_count,
                  struct kevent *events,
                  int event_max,
                  const struct timespec *timeout);
#endif

#ifdef RPI_OS_LINUX
    /** Entries of a folder as the kernel gives them (struct linux_dirent64): the bytes, 0 = all. */
    ssize_t (*getdents64)(int folder, void *memory, size_t size);
    ssize_t (*getxattr)(const char *path, const char *name, void *memory, size_t size);
    int (*inotify_init1)(int flags);
    int (*inotify_add_watch)(int inotify, const char *path, uint32_t events);
    int (*inotify_rm_watch)(int inotify, int watch);
    int (*eventfd)(unsigned int value, int flags);
    int (*epoll_create1)(int flags);
    int (*epoll_ctl)(int epoll, int operation, int fd, struct epoll_event *event);
    /** epoll_pwait2 where the kernel has it (timeout to the nanosecond; NULL = for ever), else
     * epoll_wait rounded up. */
    int (*epoll_wait)(int epoll,
                      struct epoll_event *events,
                      int event_max,
                      const struct timespec *timeout);

    int (*io_uring_setup)(unsigned int entries, struct io_uring_params *params); /* raw */
    int (*io_uring_enter)(int ring,
                          unsigned int submit,
                          unsigned int wait,
                          unsigned int flags,
                          const void *argument,
                          size_t size); /* raw */
    int (*io_uring_register)(int ring,
                             unsigned int operation,
                             const void *argument,
                             unsigned int count); /* raw */

    int (*memfd_create)(const char *name, unsigned int flags);
    int (*fallocate)(int fd, int mode, off_t offset, off_t size);
    /** fn(argument) runs in the child on the given stack, which then exits with its result; see
     * base/clone.h. */
    int (*clone3)(const rpi_clone_args *args,
                  size_t size,
                  rpi_child_fn *fn,
                  void *argument); /* raw */
    int (*clone)(uint64_t flags,
                 void *stack_top,
                 int *ret_pidfd,
                 rpi_child_fn *fn,
                 void *argument); /* raw */
    int (*pidfd_open)(pid_t pid, unsigned int flags);
    int (*pidfd_send_signal)(int pidfd, int signal, unsigned int flags);
    int (*close_range)(unsigned int first, unsigned int last, unsigned int flags);
#endif
} rpi_os_table;

extern rpi_os_table rpi_os;
#endif /* the table of Windows stands in base/os_windows.h */

/* ---- questions made of the table's calls ---- */

/** Closes a descriptor of ours; nothing that could be lost stands behind it. */
void rpi_os_close(int fd);

/** A duplicate of a descriptor, close-on-exec and above 2; or -EBADF, -EMFILE. The original stays.
 */
int rpi_os_duplicate(intptr_t fd);

/** What the launch of a child keeps of a further descriptor for it: a duplicate, or on Windows,
 * where its number is to be the same in the child, the handle itself, which must be inheritable. Or
 * an error as above; RP_EINVAL: it is not. */
int rpi_os_keep(intptr_t fd);

/** Whether what rpi_os_keep gives is a duplicate, to be closed. */
bool rpi_os_keeps_by_copy(void);

/** Moves a descriptor just made above 2: where a host closed its standard streams, ours must not
 * stand in for them. The descriptor (a new one, close-on-exec, if it moved), or -EMFILE and it is
 * closed. */
int rpi_os_lift(int fd);

/** 0, or -EBADF: there is no such descriptor. */
int rpi_os_check_descriptor(intptr_t fd);

/** Bytes that wait in a pipe, of which no read is pending; or an error. */
int rpi_os_unread(int fd);

/** Whether nobody holds the other ends of these pipes (bytes may still be in them). One system
 * call, where the system can. */
void rpi_os_are_hung_up(const int *fds, size_t count, bool *ret_hung_up);

/** Reads what is there without waiting: bytes, 0 = end of file, -EAGAIN = nothing now, or an error.
 * No read is pending. */
int rpi_os_read_now(int fd, void *memory, uint32_t size);

/** Writes without waiting: bytes, -EAGAIN = no room now, or an error. Not for pipes, as whoever has
 * no reader raises SIGPIPE. */
int rpi_os_write_now(int fd, const void *bytes, uint32_t size);

/** What both ends of a pipe have in common, and nobody else has: 0 or an error. */
int rpi_os_pipe_name(int fd, uint64_t *ret_name);

/** Waits for the end of the process that a descriptor stands for (rpi_launch.pidfd). */
void rpi_os_wait_for_exit(int process);

/** Whether `path` is a directory: 0, -ENOENT, -ENOTDIR, -EACCES, .... */
int rpi_os_check_directory(const char *path);

/** How the file of a child's stream is opened: the flags of open(2); Windows: one of
 * rpi_os_file_use. */
int rpi_os_file_flags(bool is_output, bool append);

typedef enum rpi_os_file_use {
    RPI_OS_FILE_READ = 1,
    RPI_OS_FILE_TRUNCATE,
    RPI_OS_FILE_APPEND
} rpi_os_file_use;

/** Takes the calling process's environment as it is now, for rpi_os_environment in this thread: 0
 * or -ENOMEM. */
int rpi_os_environment_load(void);

/** The environment as of the last load, NULL-terminated, UTF-8 on Windows; NULL = empty. As with
 * getenv, no other thread may change it meanwhile (on Windows it may). */
char *const *rpi_os_environment(void);

/** Whether two names of variables are the same one: `length` bytes of each are compared. */
bool rpi_os_same_variable(const char *a, const char *b, size_t length);

/** The calling process's number. */
int64_t rpi_os_pid(void);

#endif
