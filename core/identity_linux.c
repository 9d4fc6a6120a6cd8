/* See identity.h. The moment of the start and who lives come from /proc; the kernel's own id is the
 * inode of a pidfd, since pidfds have a file system of their own (Linux 6.9). Called by the public
 * functions below, by tree, holders and track. */
#include "core/identity.h"

#include <errno.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/os.h"
#include "base/status.h"
#include "core/loop.h"
#include "core/process.h"

enum {
    CLOCK_TRIES = 8,
    /* How far two readings of one start may lie apart: the clock's tick and the time between two
     * readings of clocks, where the start is all that tells; else only another boot must be told
     * from this. */
    START_SLACK_MS = 20,
    BOOT_SLACK_MS = 2000
};

/* ---- time --------------------------------------------------------------------------- */

static int64_t nanoseconds(const struct timespec *time)
{
    return (int64_t)time->tv_sec * 1000000000 + time->tv_nsec;
}

/* The wall clock at the boot. The two clocks cannot be read at once: the reading that took least
 * time is the best one. */
static int64_t boot_wall_ns(void)
{
    int64_t best_ns = INT64_MAX;
    int64_t wall_ns = 0;

    for (int i = 0; i < CLOCK_TRIES && best_ns > 20000; i++) {
        struct timespec before;
        struct timespec real;
        struct timespec after;
        int64_t took_ns;

        (void)clock_gettime(CLOCK_BOOTTIME, &before);
        (void)clock_gettime(CLOCK_REALTIME, &real);
        (void)clock_gettime(CLOCK_BOOTTIME, &after);
        took_ns = nanoseconds(&after) - nanoseconds(&before);
        if (took_ns < best_ns) {
            best_ns = took_ns;
            wall_ns = nanoseconds(&real) - nanoseconds(&before) - took_ns / 2;
        }
    }
    return wall_ns;
}

uint64_t rpi_identity_wall_ms(uint64_t ticks)
{
    const int64_t tick_ns = 1000000000 / sysconf(_SC_CLK_TCK);

    return (uint64_t)((boot_wall_ns() + (int64_t)ticks * tick_ns) / 1000000);
}

void rpi_identity_boot(char ret_boot[RPI_BOOT_SIZE])
{
    int r = rpi_proc_file_read("/proc/sys/kernel/random/boot_id", ret_boot, RPI_BOOT_SIZE);

    if (r < 0) {
        ret_boot[0] = '\0';
    }
    ret_boot[strcspn(ret_boot, "\n")] = '\0';
}

/* ---- the kernel's own id ----------------------------------------------------------------- */

/* The device that holds everything anonymous, such as an eventfd, and before Linux 6.9 pidfds: all
 * with one inode. 0: not known. */
static uint64_t anonymous_device(void)
{
    static _Atomic uint64_t known;
    uint64_t device = atomic_load_explicit(&known, memory_order_relaxed);
    struct stat status;
    int other;

    if (device != 0) {
        return device;
    }
    other = rpi_os.eventfd(0, EFD_CLOEXEC);
    if (other < 0) {
        return 0;
    }
    if (rpi_os.fstat(other, &status) == 0) {
        device = (uint64_t)status.st_dev;
        atomic_store_explicit(&known, device, memory_order_relaxed);
    }
    (void)rpi_os.close(other); /* nothing was written to it */
    return device;
}

uint64_t rpi_identity_unique(int pidfd)
{
    const uint64_t anonymous = anonymous_device();
    struct stat status;

    if (pidfd < 0 || anonymous == 0 || rpi_os.fstat(pidfd, &status) < 0) {
        return 0;
    }
    return (uint64_t)status.st_dev != anonymous ? (uint64_t)status.st_ino : 0;
}

/* ---- who it is --------------------------------------------------------------------------- */

int rpi_identity_read(int64_t pid, int pidfd, rpi_identity *ret_identity)
{
    rpi_proc_stat stat;
    int r = rpi_proc_stat_read(pid, &stat);

    if (r < 0) {
        return r;
    }
    *ret_identity = (rpi_identity){
        .pid = pid, .start_ticks = stat.start_ticks, .unique = rpi_identity_unique(pidfd)};
    return 0;
}

rp_identity rpi_identity_public(const rpi_identity *identity)
{
    return (rp_identity){.pid = identity->pid,
                         .start_time_ms = rpi_identity_wall_ms(identity->start_ticks),
                         .unique = identity->unique};
}

/* A pidfd of whoever has the number; errors as rpi_identity_open's. */
static int open_number(int64_t pid)
{
    int pidfd;

    if (pid <= 0 || pid > INT_MAX) {
        return RP_ESRCH;
    }
    pidfd = rpi_os.pidfd_open((pid_t)pid, 0);
    if (pidfd >= 0) {
        return rpi_os_lift(pidfd);
    }
    if (errno == ENOSYS || errno == EPERM) {
        return RP_EUNSUPPORTED;
    }
    return -errno;
}

int rpi_identity_of(int64_t pid, rpi_identity *ret_identity)
{
    int pidfd = open_number(pid);
    int r = pidfd == RP_ESRCH ? pidfd : rpi_identity_read(pid, pidfd, ret_identity);

    if (pidfd >= 0) {
        (void)rpi_os.close(pidfd); /* it only holds */
    }
    return r;
}

static bool is_within(uint64_t a_ms, uint64_t b_ms, uint64_t slack_ms)
{
    return a_ms > b_ms ? a_ms - b_ms <= slack_ms : b_ms - a_ms <= slack_ms;
}

/* Whether who has the number is the one that is meant: 0, RP_ESRCH, RP_EINVAL. */
static int compare(const rp_identity *wanted, const rpi_identity *found)
{
    const uint64_t start_ms = rpi_identity_wall_ms(found->start_ticks);

    if (wanted->unique == 0 || found->unique == 0) {
        return wanted->start_time_ms == 0 ||
                       is_within(wanted->start_time_ms, start_ms, START_SLACK_MS)
                   ? 0
                   : RP_ESRCH;
    }
    if (wanted->unique != found->unique) {
        return RP_ESRCH;
    }
    if (wanted->start_time_ms != 0 && !is_within(wanted->start_time_ms, start_ms, BOOT_SLACK_MS)) {
        return rpi_detail(RP_EINVAL,
                          "process %lld: its start does not fit: the clock was set since, or this "
                          "names a process of an earlier boot",
                          (long long)wanted->pid);
    }
    return 0;
}

int rpi_identity_find(const rp_identity *wanted, rpi_identity *ret_identity)
{
    rpi_identity found;
    int r = rpi_identity_of(wanted->pid, &found);

    r = r < 0 ? r : compare(wanted, &found);
    if (r == 0) {
        *ret_identity = found;
    }
    return r;
}

int rpi_identity_open(const rpi_identity *identity)
{
    rpi_identity found;
    int pidfd = open_number(identity->pid);
    int r;

    if (pidfd < 0) {
        return pidfd;
    }
    r = rpi_identity_read(identity->pid, pidfd, &found);
    if (r == 0 &&
        (found.start_ticks != identity->start_ticks ||
         (identity->unique != 0 && found.unique != 0 && identity->unique != found.unique))) {
        r = RP_ESRCH; /* another has the number */
    }
    if (r < 0) {
        (void)rpi_os.close(pidfd); /* it only holds */
        return r;
    }
    return pidfd;
}

int rpi_identity_signal(const rpi_identity *identity, int signal)
{
    int pidfd = rpi_identity_open(identity);
    int r = pidfd;

    if (pidfd >= 0) {
        r = rpi_os.pidfd_send_signal(pidfd, signal, 0) < 0 ? -errno : 0;
        (void)rpi_os.close(pidfd); /* it only holds */
    }
    return r;
}

/* ---- the public functions ------------------------------------------------------------------ */

int rp_identify(int64_t pid, rp_identity *ret_identity)
{
    rpi_identity found;
    int r;

    rpi_detail_clear();
    if (pid <= 0 || pid > INT_MAX) {
        return rpi_detail(RP_EINVAL, "%lld is no process number", (long long)pid);
    }
    r = rpi_identity_find(&(rp_identity){.pid = pid}, &found);
    if (r == 0) {
        *ret_identity = rpi_identity_public(&found);
    }
    return r;
}

int rp_process_identity(const rp_process *process, rp_identity *ret_identity)
{
    rpi_identity found;
    int r = rpi_loop_enter(process->loop);

    if (r < 0) {
        return r;
    }
    if (process->state < RPI_PROCESS_RUNNING) {
        return rpi_detail(RP_EAGAIN, "the child has not started");
    }
    if (process->reaped) { /* its number may be another's by now */
        return RP_ESRCH;
    }
    r = rpi_identity_read(process->pid, process->pidfd, &found);
    if (r == 0) {
        *ret_identity = rpi_identity_public(&found);
    }
    return r;
}
