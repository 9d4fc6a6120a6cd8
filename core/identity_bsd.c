/* Who a process is, on FreeBSD and macOS: its number and when it began, to the microsecond, which
 * is `unique` too: no two processes share both. Asked of the system by number; a child of ours that
 * is not reaped keeps its own. */
#ifdef __FreeBSD__
#define __BSD_VISIBLE 1
#else
#define _DARWIN_C_SOURCE 1
#endif
#include <errno.h>
#include <limits.h>
#include <sys/types.h>

#include <sys/sysctl.h>
#include <sys/time.h>
#ifdef __FreeBSD__
#include <sys/user.h>
#endif

#include "base/os.h"
#include "base/status.h"
#include "core/loop.h"
#include "core/process.h"

static int read_identity(int64_t pid, rp_identity *ret_identity)
{
    int name[4] = {CTL_KERN, KERN_PROC, KERN_PROC_PID, (int)pid};
    struct kinfo_proc process;
    size_t size = sizeof process;
    uint64_t start_us;

    if (sysctl(name, 4, &process, &size, NULL, 0) < 0) {
        return errno == ENOENT ? RP_ESRCH : -errno;
    }
    if (size == 0) {
        return RP_ESRCH;
    }
#ifdef RPI_OS_FREEBSD
    start_us = (uint64_t)process.ki_start.tv_sec * 1000000 + (uint64_t)process.ki_start.tv_usec;
#else
    start_us = (uint64_t)process.kp_proc.p_starttime.tv_sec * 1000000 +
               (uint64_t)process.kp_proc.p_starttime.tv_usec;
#endif
    *ret_identity = (rp_identity){.pid = pid, .start_time_ms = start_us / 1000, .unique = start_us};
    return 0;
}

int rp_identify(int64_t pid, rp_identity *ret_identity)
{
    rpi_detail_clear();
    if (pid <= 0 || pid > INT_MAX) {
        return rpi_detail(RP_EINVAL, "%lld is no process number", (long long)pid);
    }
    return read_identity(pid, ret_identity);
}

int rp_process_identity(const rp_process *process, rp_identity *ret_identity)
{
    const int r = rpi_loop_enter(process->loop);

    if (r < 0) {
        return r;
    }
    if (process->state < RPI_PROCESS_RUNNING) {
        return rpi_detail(RP_EAGAIN, "the child has not started");
    }
    return process->reaped ? RP_ESRCH : read_identity(process->pid, ret_identity);
}
