/* Who a process is: its number and when it was created, to 100 ns, which is `unique`: no two
 * processes of one boot share both. Asked of a handle, so that it is this one and no later. Numbers
 * are given again within milliseconds here. */
#include <errno.h>
#include <limits.h>

#include "base/os_windows.h"
#include "base/status.h"
#include "core/loop.h"
#include "core/process.h"

#define FILETIME_UNIX_EPOCH UINT64_C(116444736000000000) /* from 1601 to 1970, in 100 ns */

static int read_identity(HANDLE process, int64_t pid, rp_identity *ret_identity)
{
    FILETIME created;
    FILETIME exited;
    FILETIME kernel;
    FILETIME user;
    uint64_t ticks;

    if (!rpi_os.GetProcessTimes(process, &created, &exited, &kernel, &user)) {
        return rpi_os_last_error();
    }
    ticks = ((uint64_t)created.dwHighDateTime << 32) | created.dwLowDateTime;
    *ret_identity = (rp_identity){
        .pid = pid, .start_time_ms = (ticks - FILETIME_UNIX_EPOCH) / 10000, .unique = ticks};
    return 0;
}

int rp_identify(int64_t pid, rp_identity *ret_identity)
{
    HANDLE process;
    int r;

    rpi_detail_clear();
    if (pid <= 0 || pid > INT_MAX) {
        return rpi_detail(RP_EINVAL, "%lld is no process number", (long long)pid);
    }
    process =
        rpi_os.OpenProcess(PROCESS_QUERY_LIMITED_INFORMATION | SYNCHRONIZE, FALSE, (DWORD)pid);
    if (process == NULL) {
        const DWORD error = GetLastError();

        return error == ERROR_INVALID_PARAMETER ? RP_ESRCH : rpi_os_error(error);
    }
    // A handle that somebody holds keeps the number of one who has ended.
    r = rpi_os.WaitForSingleObject(process, 0) == WAIT_OBJECT_0
            ? RP_ESRCH
            : read_identity(process, pid, ret_identity);
    (void)rpi_os.CloseHandle(process); // ours
    return r;
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
    if (process->reaped) {
        return RP_ESRCH;
    }
    return read_identity(rpi_os_handle(process->pidfd), process->pid, ret_identity);
}
