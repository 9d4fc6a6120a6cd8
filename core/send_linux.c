/* Sending signals: to a child by its pidfd, which is that child and no other, and to its process
 * group by number, which is nobody else's while the leader is unreaped. Called by signal.c. */
#include <errno.h>

#include "base/os.h"
#include "core/process.h"

int rpi_send_check(void)
{
    return 0;
}

int rpi_send_leader(rp_process *process, int signal)
{
    return rpi_os.pidfd_send_signal(process->pidfd, signal, 0) < 0 ? -errno : 0;
}

bool rpi_send_group_exists(int64_t group)
{
    return rpi_os.kill((pid_t)-group, 0) == 0 || errno != ESRCH;
}

int rpi_send_group(rp_process *process, int signal)
{
    return rpi_os.kill((pid_t)-process->pid, signal) < 0 ? -errno : 0;
}
