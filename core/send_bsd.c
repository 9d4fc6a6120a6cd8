/* Sending signals on FreeBSD and macOS: by number, to a child and its process group, which are
 * nobody else's while the child is unreaped. Called by signal.c. */
#include <errno.h>

#include "base/os.h"
#include "core/process.h"

int rpi_send_check(void)
{
    return 0;
}

bool rpi_send_group_exists(int64_t group)
{
    return rpi_os.kill((pid_t)-group, 0) == 0 || errno != ESRCH;
}

int rpi_send_leader(rp_process *process, int signal)
{
    return rpi_os.kill((pid_t)process->pid, signal) < 0 ? -errno : 0;
}

int rpi_send_group(rp_process *process, int signal)
{
    return rpi_os.kill((pid_t)-process->pid, signal) < 0 ? -errno : 0;
}
