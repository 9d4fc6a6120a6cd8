/* See reading.h. /proc/PID/task/TID/syscall tells the call that a sleeping thread is in and its six
 * arguments; /proc/PID/mem what they point to, where a set of descriptors is given;
 * /proc/PID/fdinfo/FD what an epoll descriptor waits for. All three are for who may trace the
 * process, which a parent usually may. Where not, the name of the place in the kernel where it
 * sleeps says a little. */
#include "core/reading.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#include "base/os.h"
#include "base/proc_linux.h"
#include "rp/base.h"

enum {
    THREADS_MAX = 32, // looked at
    WATCHED_MAX = 64, // descriptors of one poll or select
    INFO_SIZE = 4096, // of an epoll descriptor's fdinfo
    ARGUMENT_COUNT = 6
};

// A system call that a thread is in.
typedef struct sleep_call {
    long number;
    uint64_t arguments[ARGUMENT_COUNT];
} sleep_call;

// What a wait is for.
typedef struct waits {
    unsigned int for_target;
    unsigned int for_others;
    bool ends_by_itself; // it has a time-out
} waits;

static bool is_target(int64_t pid, int fd, const rpi_reading_target *target)
{
    char path[64];
    struct stat info;

    (void)snprintf(path, sizeof path, "/proc/%lld/fd/%d", (long long)pid, fd);
    if (fd < 0 || rpi_os.stat(path, &info) < 0) {
        return false;
    }
    if (!target->is_terminal) {
        return S_ISFIFO(info.st_mode) && info.st_ino == target->inode;
    }
    return S_ISCHR(info.st_mode) &&
           (info.st_rdev == target->device || info.st_rdev == makedev(5, 0)); // /dev/tty
}

// Reads memory of the process: whether all of it came.
static bool peek(int64_t pid, uint64_t address, void *memory, size_t size)
{
    char path[48];
    ssize_t n;
    int fd;

    (void)snprintf(path, sizeof path, "/proc/%lld/mem", (long long)pid);
    fd = rpi_os.open(path, O_RDONLY | O_CLOEXEC, 0);
    if (fd < 0) {
        return false;
    }
    n = rpi_os.pread(fd, memory, size, (off_t)address);
    (void)rpi_os.close(fd); // only read
    return n == (ssize_t)size;
}

/* ---- kinds of waits -------------------------------------------------------------------- */

static void count(waits *all, bool target)
{
    if (target) {
        all->for_target++;
    } else {
        all->for_others++;
    }
}

static void
count_poll(int64_t pid, const sleep_call *call, const rpi_reading_target *target, waits *all)
{
    struct pollfd entries[WATCHED_MAX];
    size_t size = call->arguments[1] < WATCHED_MAX ? (size_t)call->arguments[1] : WATCHED_MAX;

    if (size == 0 || !peek(pid, call->arguments[0], entries, size * sizeof *entries)) {
        return;
    }
    for (size_t i = 0; i < size; i++) {
        if (entries[i].fd >= 0) {
            count(all, (entries[i].events & POLLIN) != 0 && is_target(pid, entries[i].fd, target));
        }
    }
}

static void
count_select(int64_t pid, const sleep_call *call, const rpi_reading_target *target, waits *all)
{
    unsigned char set[FD_SETSIZE / 8] = {0};
    int end = call->arguments[0] < FD_SETSIZE ? (int)call->arguments[0] : FD_SETSIZE;
    size_t size = ((size_t)end + 7) / 8;

    if (end <= 0 || call->arguments[1] == 0) {
        return;
    }
    if (!peek(pid, call->arguments[1], set, size)) {
        set[0] = end == 1 ? 1 : 0; // of one, it can only be that
    }
    for (int fd = 0; fd < end; fd++) {
        if ((set[fd / 8] & (1U << ((unsigned int)fd % 8))) != 0) {
            count(all, is_target(pid, fd, target));
        }
    }
    all->for_others += call->arguments[2] != 0 ? 1 : 0; // it also waits to write somewhere
}

static void
count_epoll(int64_t pid, const sleep_call *call, const rpi_reading_target *target, waits *all)
{
    char name[32];
    char text[INFO_SIZE];
    const char *at = text;

    (void)snprintf(name, sizeof name, "fdinfo/%d", (int)call->arguments[0]);
    if (rpi_proc_text_read(pid, name, text, sizeof text) < 0) {
        return;
    }
    while ((at = strstr(at, "\ntfd:")) != NULL) {
        int fd = (int)strtol(at + 5, NULL, 10);
        const char *events = strstr(at, "events:");

        count(all, events != NULL && (strtoul(events + 7, NULL, 16) & POLLIN) != 0 &&
                       is_target(pid, fd, target));
        at += 5;
    }
}

// Whether a time-out that is handed over by its address, or as a number, ever ends.
static bool is_bounded(uint64_t argument, bool by_address)
{
    return by_address ? argument != 0 : (int32_t)argument >= 0;
}

static waits count_waits(int64_t pid, const sleep_call *call, const rpi_reading_target *target)
{
    waits all = {0, 0, false};

    switch (call->number) {
    case SYS_read:
    case SYS_readv:
        count(&all, is_target(pid, (int)call->arguments[0], target));
        break;
#ifdef SYS_poll
    case SYS_poll:
        count_poll(pid, call, target, &all);
        all.ends_by_itself = is_bounded(call->arguments[2], false);
        break;
#endif
    case SYS_ppoll:
        count_poll(pid, call, target, &all);
        all.ends_by_itself = is_bounded(call->arguments[2], true);
        break;
#ifdef SYS_select
    case SYS_select:
#endif
    case SYS_pselect6:
        count_select(pid, call, target, &all);
        all.ends_by_itself = is_bounded(call->arguments[4], true);
        break;
#ifdef SYS_epoll_wait
    case SYS_epoll_wait:
#endif
    case SYS_epoll_pwait:
        count_epoll(pid, call, target, &all);
        all.ends_by_itself = is_bounded(call->arguments[3], false);
        break;
#ifdef SYS_epoll_pwait2
    case SYS_epoll_pwait2:
        count_epoll(pid, call, target, &all);
        all.ends_by_itself = is_bounded(call->arguments[3], true);
        break;
#endif
    default:
        break;
    }
    return all;
}

/* ---- threads ----------------------------------------------------------------------------- */

// The call that a thread is in; false: it runs, or sleeps elsewhere.
static bool parse_call(const char *text, sleep_call *ret_call)
{
    char *rest = NULL;

    ret_call->number = strtol(text, &rest, 10);
    if (rest == text || ret_call->number < 0) {
        return false;
    }
    for (int i = 0; i < ARGUMENT_COUNT; i++) {
        ret_call->arguments[i] = strtoull(rest, &rest, 16);
    }
    return true;
}

// What the place in the kernel says, where more is not for us.
static rpi_reading ask_place(int64_t pid, const rpi_reading_target *target)
{
    char text[64];

    if (target->is_terminal && rpi_proc_text_read(pid, "wchan", text, sizeof text) > 0 &&
        (strcmp(text, "n_tty_read") == 0 || strcmp(text, "wait_woken") == 0)) {
        return RPI_READING_MAYBE;
    }
    return RPI_READING_UNKNOWN;
}

static rpi_reading ask_thread(int64_t pid, const char *thread, const rpi_reading_target *target)
{
    char name[48];
    char text[256];
    sleep_call call;
    waits all;
    int r;

    (void)snprintf(name, sizeof name, "task/%.16s/syscall", thread);
    r = rpi_proc_text_read(pid, name, text, sizeof text);
    if (r == RP_EPERM || r == RP_EACCES) {
        return ask_place(pid, target);
    }
    if (r < 0 || !parse_call(text, &call)) {
        return RPI_READING_NOT;
    }
    all = count_waits(pid, &call, target);
    if (all.for_target == 0) {
        return RPI_READING_NOT;
    }
    return all.for_others > 0 || all.ends_by_itself ? RPI_READING_MAYBE : RPI_READING_SURELY;
}

rpi_reading rpi_reading_ask(int64_t pid, const rpi_reading_target *target)
{
    rpi_reading strongest = RPI_READING_NOT;
    unsigned int threads = 0;
    char path[48];
    struct dirent *each;
    DIR *folder;

    (void)snprintf(path, sizeof path, "/proc/%lld/task", (long long)pid);
    folder = opendir(path);
    if (folder == NULL) {
        return errno == ENOENT ? RPI_READING_NOT : RPI_READING_UNKNOWN;
    }
    while (threads < THREADS_MAX && (each = readdir(folder)) != NULL) {
        rpi_reading found;

        if (each->d_name[0] < '0' || each->d_name[0] > '9') {
            continue;
        }
        threads++;
        found = ask_thread(pid, each->d_name, target);
        strongest = found > strongest ? found : strongest;
    }
    (void)closedir(folder); // read only: nothing can be lost
    // The others may be about something else.
    return threads > 1 && strongest == RPI_READING_SURELY ? RPI_READING_MAYBE : strongest;
}
