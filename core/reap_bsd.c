/* How a child ended, on FreeBSD and macOS: status and use of resources, read without reaping at the
 * exit and with it at the end. A child that a thief has reaped (a host that waits for everything,
 * SIGCHLD ignored) is lost: nothing remembers it. Called by process.c. */
#ifdef __FreeBSD__
#define __BSD_VISIBLE 1
#endif
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "base/os.h"
#include "core/exit.h"
#include "core/loop.h"
#include "core/process.h"

#ifdef RPI_OS_MACOS
#define RSS_UNIT 1U // bytes
#else
#define RSS_UNIT 1024U
#endif

static uint64_t nanoseconds(struct timeval time)
{
    return (uint64_t)time.tv_sec * RP_SECOND + (uint64_t)time.tv_usec * 1000;
}

static void read_usage(const struct rusage *usage, rp_exit *exit)
{
    exit->user_ns = nanoseconds(usage->ru_utime);
    exit->system_ns = nanoseconds(usage->ru_stime);
    exit->max_rss_bytes = (uint64_t)usage->ru_maxrss * RSS_UNIT;
    exit->minor_faults = (uint64_t)usage->ru_minflt;
    exit->major_faults = (uint64_t)usage->ru_majflt;
    exit->voluntary_switches = (uint64_t)usage->ru_nvcsw;
    exit->involuntary_switches = (uint64_t)usage->ru_nivcsw;
}

/** waitid's two fields back into the status that wait tells. */
static int wait_status(const siginfo_t *info)
{
    if (info->si_code == CLD_EXITED) {
        return (info->si_status & 0xff) << 8;
    }
    return info->si_status | (info->si_code == CLD_DUMPED ? 0x80 : 0);
}

int rpi_reap(rp_loop *loop, int pidfd, bool consume, rp_exit *exit)
{
    const int pid = (int)rpi_pidfd_number(pidfd);
    const int options = WEXITED | WNOHANG | (consume ? 0 : WNOWAIT);
    struct rusage usage;
    siginfo_t info;
    int r;

    memset(&info, 0, sizeof info);
    memset(&usage, 0, sizeof usage);
    do {
        loop->kernel_calls++;
        r = rpi_os.waitid(P_PID, pid, &info, options, &usage);
    } while (r < 0 && errno == EINTR);
    if (r < 0) {
        if (errno != ECHILD) {
            return -errno;
        }
        rpi_exit_from_loss(exit);
        return RP_ELOST;
    }
    if (info.si_pid == 0) {
        return RP_EAGAIN;
    }
    rpi_exit_from_wait(exit, wait_status(&info));
    read_usage(&usage, exit);
    return 0;
}
