/* Who a process is, beyond its reusable number: the time it was started, from /proc, and the
 * kernel's own id of it, which newer kernels give as the inode of a pidfd. Called by the public
 * functions only. */
#include <errno.h>
#include <limits.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/os.h"
#include "base/status.h"
#include "core/loop.h"
#include "core/proc_linux.h"
#include "core/process.h"

static int64_t milliseconds(const struct timespec *time)
{
    return (int64_t)time->tv_sec * 1000 + time->tv_nsec / 1000000;
}

/* The wall clock at `ticks` after the boot. */
static uint64_t wall_time_ms(uint64_t ticks)
{
    struct timespec real;
    struct timespec boot;
    uint64_t per_second = (uint64_t)sysconf(_SC_CLK_TCK);
    int64_t booted_ms;

    (void)clock_gettime(CLOCK_REALTIME, &real);
    (void)clock_gettime(CLOCK_BOOTTIME, &boot);
    booted_ms = milliseconds(&real) - milliseconds(&boot);
    return (uint64_t)booted_ms + ticks * 1000 / per_second;
}

/* The inode of a pidfd, where pidfds have a file system of their own (Linux 6.9): before, all of
 * them share one inode with everything that is anonymous, such as an eventfd. */
static uint64_t unique_id(int pidfd)
{
    struct stat pidfd_stat;
    struct stat other_stat;
    int other = rpi_os.eventfd(0, EFD_CLOEXEC);
    uint64_t unique = 0;

    if (other >= 0 && rpi_os.fstat(pidfd, &pidfd_stat) == 0 &&
        rpi_os.fstat(other, &other_stat) == 0 && pidfd_stat.st_dev != other_stat.st_dev) {
        unique = pidfd_stat.st_ino;
    }
    if (other >= 0) {
        (void)rpi_os.close(other);
    }
    return unique;
}

static int identify(int64_t pid, int pidfd, rp_identity *ret_identity)
{
    rpi_proc_stat stat;
    int r = rpi_proc_stat_read(pid, &stat);

    if (r < 0) {
        return r;
    }
    *ret_identity = (rp_identity){.pid = pid,
                                  .start_time_ms = wall_time_ms(stat.start_ticks),
                                  .unique = pidfd >= 0 ? unique_id(pidfd) : 0};
    return 0;
}

int rp_identify(int64_t pid, rp_identity *ret_identity)
{
    int pidfd;
    int r;

    rpi_detail_clear();
    if (pid <= 0 || pid > INT_MAX) {
        return rpi_detail(RP_EINVAL, "%lld is no process number", (long long)pid);
    }
    pidfd = rpi_os.pidfd_open((pid_t)pid, 0);
    if (pidfd < 0 && errno == ESRCH) {
        return RP_ESRCH;
    }
    r = identify(pid, pidfd, ret_identity);
    if (pidfd >= 0) {
        (void)rpi_os.close(pidfd);
    }
    return r;
}

int rp_process_identity(const rp_process *process, rp_identity *ret_identity)
{
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
    return identify(process->pid, process->pidfd, ret_identity);
}
