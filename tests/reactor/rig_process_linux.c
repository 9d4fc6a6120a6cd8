/* What stands for a process of the contract test: a pidfd. See rig.h. */
#define _GNU_SOURCE
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/reactor/rig.h"
#include "tests/support/check.h"

intptr_t rig_process_handle(int64_t pid)
{
    const intptr_t pidfd = (intptr_t)syscall(SYS_pidfd_open, (pid_t)pid, 0);

    cr_assert_geq(pidfd, 0);
    return pidfd;
}
