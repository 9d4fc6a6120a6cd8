/* How a child ended, asked of its handle: as long as that is open nothing of it is lost, so there
 * is nothing to reap. Called by process.c. */
#include <errno.h>

#include "base/os_windows.h"
#include <psapi.h>

#include "core/exit.h"
#include "core/loop.h"
#include "core/process.h"

/* In units of 100 ns. */
static uint64_t nanoseconds(FILETIME time)
{
    return (((uint64_t)time.dwHighDateTime << 32) | time.dwLowDateTime) * 100;
}

static void read_usage(HANDLE process, rp_exit *exit)
{
    PROCESS_MEMORY_COUNTERS memory = {.cb = sizeof memory};
    FILETIME created;
    FILETIME exited;
    FILETIME kernel;
    FILETIME user;

    if (rpi_os.GetProcessTimes(process, &created, &exited, &kernel, &user)) {
        exit->user_ns = nanoseconds(user);
        exit->system_ns = nanoseconds(kernel);
    }
    if (GetProcessMemoryInfo(process, &memory, sizeof memory)) {
        exit->max_rss_bytes = memory.PeakWorkingSetSize;
        exit->minor_faults = memory.PageFaultCount; // the system does not tell them apart
    }
}

int rpi_reap(rp_loop *loop, int pidfd, bool consume, rp_exit *exit)
{
    const HANDLE process = rpi_os_handle(pidfd);
    DWORD code = 0;

    (void)consume;
    loop->kernel_calls += 3;
    // 259 is a code that a program may end with, so whether it has ended is asked separately.
    if (rpi_os.WaitForSingleObject(process, 0) == WAIT_TIMEOUT) {
        return RP_EAGAIN;
    }
    if (!rpi_os.GetExitCodeProcess(process, &code)) {
        return rpi_os_last_error();
    }
    rpi_exit_from_code(exit, code);
    read_usage(process, exit);
    return 0;
}
