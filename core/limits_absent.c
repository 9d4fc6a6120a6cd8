/* Limits of a tree on systems other than Linux: nothing of ours holds memory, processes or
 * processor time of a whole tree there, so they are refused, and no process has a limiter. */
#include "core/limits.h"

#include "base/assert.h"
#include "base/status.h"
#include "core/command.h"
#include "core/loop.h"

void rpi_limits_init(rp_loop *loop)
{
    loop->limits = (rpi_limits){.inotify = -1};
    rpi_list_init(&loop->limits.limiters);
    rpi_list_init(&loop->limits.left);
}

void rpi_limits_fini(rp_loop *loop)
{
    RP_ASSERT(rpi_list_is_empty(&loop->limits.limiters));
}

void rpi_limits_fini_forked(rp_loop *loop)
{
    (void)loop; // nothing is kept
}

int rpi_limiter_make(rp_loop *loop, const rp_command *command, rpi_limiter **ret_limiter)
{
    rp_limits limits = RP_INIT(rp_limits);

    (void)loop;
    *ret_limiter = NULL;
    if (command->limits == NULL) {
        return 0;
    }
    (void)rpi_options_read(command->limits, sizeof limits, &limits); // checked before
    if (limits.memory_bytes != 0) {
        return rpi_detail(RP_EUNSUPPORTED, "limits: memory_bytes is not held on this system");
    }
    if (limits.processes != 0) {
        return rpi_detail(RP_EUNSUPPORTED, "limits: processes is not held on this system");
    }
    if (limits.cpu_ns != 0) {
        return rpi_detail(RP_EUNSUPPORTED, "limits: cpu_ns is not held on this system");
    }
    return 0;
}

bool rpi_limiter_has_cgroup(const rpi_limiter *limiter)
{
    (void)limiter;
    return false;
}

void rpi_limiter_attach(rpi_limiter *limiter, rp_process *process)
{
    (void)process;
    RP_ASSERT(limiter == NULL);
}

void rpi_limiter_free(rpi_limiter *limiter)
{
    RP_ASSERT(limiter == NULL);
}
