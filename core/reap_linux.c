/* How a child ended: status and use of resources, read without reaping at the exit and with it at
 * the end, and, where a thief reaped it first (a host that waits for everything, SIGCHLD ignored),
 * what newer kernels still tell through the pidfd. Called by process.c. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "base/os.h"
#include "core/exit.h"
#include "core/loop.h"
#include "core/process.h"

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

/* The kernel's struct pidfd_info, first version; linux/pidfd.h of older systems lacks it. */
struct pidfd_info_v0 {
    uint64_t mask;
    uint64_t cgroup_id;
    uint32_t pid, tgid, ppid, ruid, rgid, euid, egid, suid, sgid, fsuid, fsgid;
    int32_t exit_code;
};
_Static_assert(sizeof(struct pidfd_info_v0) == 64, "the kernel's PIDFD_INFO_SIZE_VER0");
#define PIDFD_GET_INFO_V0 _IOWR(0xFF, 11, struct pidfd_info_v0)
#define PIDFD_INFO_EXIT_BIT (UINT64_C(1) << 3)

static uint64_t nanoseconds(struct timeval time)
{
    return (uint64_t)time.tv_sec * RP_SECOND + (uint64_t)time.tv_usec * 1000;
}

static void read_usage(const struct rusage *usage, rp_exit *exit)
{
    exit->user_ns = nanoseconds(usage->ru_utime);
    exit->system_ns = nanoseconds(usage->ru_stime);
    exit->max_rss_bytes = (uint64_t)usage->ru_maxrss * 1024;
    exit->minor_faults = (uint64_t)usage->ru_minflt;
    exit->major_faults = (uint64_t)usage->ru_majflt;
    exit->voluntary_switches = (uint64_t)usage->ru_nvcsw;
    exit->involuntary_switches = (uint64_t)usage->ru_nivcsw;
}

/* waitid's two fields back into the status that wait tells. */
static int wait_status(const siginfo_t *info)
{
    if (info->si_code == CLD_EXITED) {
        return (info->si_status & 0xff) << 8;
    }
    return info->si_status | (info->si_code == CLD_DUMPED ? 0x80 : 0);
}

/* Somebody else reaped it: the kernel may remember its status for as long as the pidfd is open. */
static int ask_pidfd(int pidfd, rp_exit *exit)
{
    struct pidfd_info_v0 info = {.mask = PIDFD_INFO_EXIT_BIT};

    if (rpi_os.ioctl(pidfd, PIDFD_GET_INFO_V0, &info) < 0 ||
        (info.mask & PIDFD_INFO_EXIT_BIT) == 0) {
        rpi_exit_from_loss(exit);
        return RP_ELOST;
    }
    rpi_exit_from_wait(exit, info.exit_code);
    return RPI_REAPED_BEFORE;
}

/* So often is asked again where the system gives an answer that it must not give. */
enum {
    TRIES_MAX = 3
};

int rpi_reap(rp_loop *loop, int pidfd, bool consume, rp_exit *exit)
{
    siginfo_t info;
    struct rusage usage;
    int options = WEXITED | WNOHANG | (consume ? 0 : WNOWAIT);
    int tries = 0;
    int r;

    memset(&info, 0, sizeof info);
    do {
        loop->kernel_calls++;
        r = rpi_os.waitid(P_PIDFD, pidfd, &info, options, &usage);
        tries += r < 0 && errno != EINTR ? 1 : 0;
    } while (r < 0 && errno != ECHILD && tries < TRIES_MAX);
    if (r < 0) {
        if (errno != ECHILD) {
            return -errno;
        }
        loop->kernel_calls++;
        return ask_pidfd(pidfd, exit);
    }
    if (info.si_pid == 0) {
        return RP_EAGAIN;
    }
    rpi_exit_from_wait(exit, wait_status(&info));
    read_usage(&usage, exit);
    return 0;
}
