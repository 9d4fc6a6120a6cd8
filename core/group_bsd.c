/* Groups on FreeBSD and macOS: not built, so that none can be opened, and no process is ever in
 * one.
 */
#include "base/assert.h"
#include "base/status.h"
#include "core/group.h"
#include "core/loop.h"
#include "core/process.h"

int rp_group_open(rp_loop *loop, const rp_group_options *options, rp_group **ret_group)
{
    const int r = rpi_loop_enter(loop);

    (void)options;
    (void)ret_group;
    return r < 0 ? r : rpi_detail(RP_EUNSUPPORTED, "groups are not built for this system");
}

rp_grade rp_group_grade(const rp_group *group)
{
    (void)group; // there is none
    return RP_GRADE_GROUP;
}

bool rp_group_is_guarded(const rp_group *group)
{
    (void)group;
    return false;
}

int rp_group_kill(rp_group *group,
                  uint64_t timeout_ns,
                  void (*emptied)(rp_group *, const rp_survivor *, size_t, void *),
                  void *user)
{
    (void)group;
    (void)timeout_ns;
    (void)emptied;
    (void)user;
    return RP_EUNSUPPORTED;
}

int rp_group_close(rp_group *group)
{
    RP_ASSERT(group == NULL); // none was ever opened
    return 0;
}

void rpi_groups_init(rp_loop *loop)
{
    rpi_list_init(&loop->groups.groups);
    rpi_list_init(&loop->groups.jobs);
    rpi_list_init(&loop->groups.waiting);
}

void rpi_groups_close(rp_loop *loop)
{
    RP_ASSERT(rpi_list_is_empty(&loop->groups.groups));
}

bool rpi_groups_are_busy(const rp_loop *loop)
{
    (void)loop;
    return false;
}

void rpi_groups_fini(rp_loop *loop)
{
    (void)loop;
}

void rpi_groups_fini_forked(rp_loop *loop)
{
    (void)loop;
}

const char *rpi_group_cgroup(const rp_group *group)
{
    (void)group;
    return NULL;
}

int rpi_group_check(const rp_group *group, const rp_loop *loop)
{
    (void)group;
    (void)loop;
    return rpi_detail(RP_EINVAL, "group: none can be open");
}

void rpi_group_join(rp_group *group, rp_process *process)
{
    (void)process;
    RP_ASSERT(group == NULL);
}

void rpi_group_started(rp_process *process)
{
    (void)process;
}

void rpi_group_failed(rp_process *process)
{
    (void)process;
}

void rpi_group_reaping(rp_process *process)
{
    (void)process;
}

void rpi_group_exited(rp_process *process)
{
    (void)process;
}

void rpi_group_ended(rp_process *process)
{
    (void)process;
}

void rpi_group_leave(rp_process *process)
{
    (void)process;
}
