/* rp_describe_waits: /proc/PID/task/TID/syscall tells the call that a sleeping thread is in and its
 * arguments, wchan the place in the kernel. Both are for who may trace the process. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include "base/os.h"
#include "base/proc_linux.h"
#include "base/scan_linux.h"
#include "base/status.h"
#include "core/identity.h"
#include "rp/explain.h"

enum {
    PLACE_SIZE = 64,
    OPENED_SIZE = 256
};

typedef struct call_name {
    long number;
    const char *name;
    bool has_fd; /* its first argument is a descriptor */
} call_name;

/* What programs sleep in. */
static const call_name call_names[] = {
    {SYS_read, "read", true},
    {SYS_readv, "readv", true},
    {SYS_pread64, "pread64", true},
    {SYS_write, "write", true},
    {SYS_writev, "writev", true},
    {SYS_pwrite64, "pwrite64", true},
#ifdef SYS_open
    {SYS_open, "open", false},
    {SYS_poll, "poll", false},
    {SYS_select, "select", false},
    {SYS_epoll_wait, "epoll_wait", true},
    {SYS_pause, "pause", false},
    {SYS_vfork, "vfork", false},
#endif
    {SYS_openat, "openat", false},
    {SYS_ppoll, "ppoll", false},
    {SYS_pselect6, "pselect6", false},
    {SYS_epoll_pwait, "epoll_pwait", true},
#ifdef SYS_epoll_pwait2
    {SYS_epoll_pwait2, "epoll_pwait2", true},
#endif
    {SYS_futex, "futex", false},
    {SYS_nanosleep, "nanosleep", false},
    {SYS_clock_nanosleep, "clock_nanosleep", false},
    {SYS_restart_syscall, "restart_syscall", false},
    {SYS_wait4, "wait4", false},
    {SYS_waitid, "waitid", false},
    {SYS_recvfrom, "recvfrom", true},
    {SYS_recvmsg, "recvmsg", true},
    {SYS_recvmmsg, "recvmmsg", true},
    {SYS_sendto, "sendto", true},
    {SYS_sendmsg, "sendmsg", true},
    {SYS_sendmmsg, "sendmmsg", true},
    {SYS_accept, "accept", true},
    {SYS_accept4, "accept4", true},
    {SYS_connect, "connect", true},
    {SYS_flock, "flock", true},
    {SYS_fcntl, "fcntl", true},
    {SYS_ioctl, "ioctl", true},
    {SYS_fsync, "fsync", true},
    {SYS_fdatasync, "fdatasync", true},
    {SYS_close, "close", true},
    {SYS_splice, "splice", true},
    {SYS_tee, "tee", true},
    {SYS_sendfile, "sendfile", true},
    {SYS_rt_sigsuspend, "rt_sigsuspend", false},
    {SYS_rt_sigtimedwait, "rt_sigtimedwait", false},
    {SYS_io_getevents, "io_getevents", false},
#ifdef SYS_io_uring_enter
    {SYS_io_uring_enter, "io_uring_enter", true},
#endif
    {SYS_msgrcv, "msgrcv", false},
    {SYS_semtimedop, "semtimedop", false},
    {SYS_clone, "clone", false},
    {SYS_execve, "execve", false},
    {SYS_exit_group, "exit_group", false},
};

/* What is told of a thread, with its texts. */
typedef struct told {
    rp_wait_info info;
    char name[RPI_PROC_NAME_SIZE];
    char number[40];
    char opened[OPENED_SIZE];
    char place[PLACE_SIZE];
} told;

static const call_name *name_of(long number)
{
    for (size_t i = 0; i < sizeof call_names / sizeof call_names[0]; i++) {
        if (call_names[i].number == number) {
            return &call_names[i];
        }
    }
    return NULL;
}

/* ---- one thread -------------------------------------------------------------------------- */

static int read_of_thread(int64_t pid, int64_t thread, const char *file, char *text, size_t size)
{
    char name[64];

    (void)snprintf(name, sizeof name, "task/%lld/%s", (long long)thread, file);
    return rpi_proc_text_read(pid, name, text, size);
}

/* The name between the first parenthesis and the last, and the letter behind it. */
static int read_state(int64_t pid, told *what)
{
    char text[1024];
    int r = read_of_thread(pid, what->info.thread, "stat", text, sizeof text);
    const char *start;
    char *end;

    if (r < 0) {
        return r;
    }
    start = strchr(text, '(');
    end = strrchr(text, ')');
    if (start == NULL || end == NULL || end < start || end[1] != ' ') {
        return RP_EIO;
    }
    what->info.state = rpi_proc_state_word(end[2]);
    *end = '\0';
    (void)snprintf(what->name, sizeof what->name, "%.*s", (int)sizeof what->name - 1, start + 1);
    return 0;
}

static void read_opened(int64_t pid, told *what)
{
    char path[64];
    ssize_t size;

    (void)snprintf(path, sizeof path, "/proc/%lld/fd/%lld", (long long)pid,
                   (long long)what->info.fd);
    size = rpi_os.readlink(path, what->opened, sizeof what->opened - 1);
    what->opened[size > 0 ? size : 0] = '\0';
}

static void read_call(int64_t pid, told *what)
{
    char text[256];
    char *rest = NULL;
    const call_name *known;
    long number;
    int r = read_of_thread(pid, what->info.thread, "syscall", text, sizeof text);

    if (r == RP_EACCES || r == RP_EPERM) {
        what->info.hidden = true;
    }
    if (r < 0) {
        return; /* or it has ended */
    }
    number = strtol(text, &rest, 10);
    if (rest == text || number < 0) {
        return; /* it runs, or sleeps outside of any call */
    }
    known = name_of(number);
    if (known == NULL) {
        (void)snprintf(what->number, sizeof what->number, "system call %ld", number);
        what->info.call = what->number;
        return;
    }
    what->info.call = known->name;
    if (known->has_fd) {
        what->info.fd = (int)strtoull(rest, NULL, 16);
        read_opened(pid, what);
    }
}

static void read_place(int64_t pid, told *what)
{
    int r = read_of_thread(pid, what->info.thread, "wchan", what->place, sizeof what->place);

    if (r < 0 || strcmp(what->place, "0") == 0) { /* 0: it does not sleep, or we are not told */
        what->place[0] = '\0';
    }
}

static int describe(int64_t pid, int64_t thread, told *what)
{
    int r;

    *what = (told){.info = {.thread = thread, .call = "", .fd = -1}};
    r = read_state(pid, what);
    if (r < 0) {
        return r;
    }
    read_call(pid, what);
    read_place(pid, what);
    what->info.name = what->name;
    what->info.opened = what->opened;
    what->info.place = what->place;
    return 0;
}

/* ---- all of them --------------------------------------------------------------------------- */

static int tell_all(rpi_scan *scan, int64_t pid, rp_wait_fn *each, void *user)
{
    int count = 0;
    int64_t thread;
    int r;

    while ((r = rpi_scan_next(scan, &thread)) > 0) {
        told what;

        if (describe(pid, thread, &what) < 0) {
            continue; /* it has ended */
        }
        count++;
        if (!each(&what.info, user)) {
            break;
        }
    }
    return r < 0 ? r : count;
}

int rp_describe_waits(const rp_identity *process, rp_wait_fn *each, void *user)
{
    rpi_identity found;
    rpi_scan scan;
    int r;

    rpi_detail_clear();
    if (process == NULL || process->pid <= 0) {
        return rpi_detail(RP_EINVAL, "process: no process number");
    }
    if (each == NULL) {
        return rpi_detail(RP_EINVAL, "no function to tell");
    }
    r = rpi_identity_find(process, &found);
    r = r < 0 ? r : rpi_scan_open_threads(&scan, found.pid);
    if (r < 0) {
        return r;
    }
    r = tell_all(&scan, found.pid, each, user);
    rpi_scan_close(&scan);
    return r;
}
