/* Groups that the kernel holds: a cgroup each, below our own, where that is ours to divide. Nobody
 * leaves it by anything that he does to his parents, groups or sessions; one write kills all who
 * are in it, those included that are being born. What the kernel counts of its members is read
 * back. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/cgroup.h"
#include "base/clock.h"
#include "base/os.h"
#include "core/group.h"
#include "core/loop.h"
#include "core/process.h"

enum {
    EVENTS_SIZE = 512,
    PAUSE_MS = 20 /* between looks that fail */
};

int rpi_group_cgroup_name(rp_group *group)
{
    const rp_allocator *allocator = &group->loop->allocator;
    char name[RPI_GROUP_MARK_SIZE + sizeof "running-process."];
    char path[RPI_CGROUP_PATH_SIZE];
    size_t size;
    int r;

    (void)snprintf(name, sizeof name, "running-process.%s", group->mark);
    r = rpi_cgroup_name(name, path);
    if (r < 0) {
        return r;
    }
    size = strlen(path) + 1;
    group->cgroup = rpi_alloc(allocator, size);
    if (group->cgroup == NULL) {
        return RP_ENOMEM;
    }
    memcpy(group->cgroup, path, size);
    return 0;
}

/* Where there are controllers, children are born one further down: a cgroup with processes in it
 * gives none to those below. What does not work leaves them where they would be without. */
static void open_members(rp_group *group)
{
    const rp_allocator *allocator = &group->loop->allocator;
    char above[RPI_CGROUP_PATH_SIZE];
    char path[RPI_CGROUP_PATH_SIZE];

    (void)snprintf(above, sizeof above, "%s", group->cgroup);
    *strrchr(above, '/') = '\0';
    if ((!rpi_cgroup_lists(above, "cgroup.controllers", "memory") &&
         !rpi_cgroup_lists(above, "cgroup.controllers", "pids")) ||
        !rpi_cgroup_join(path, group->cgroup, "members")) {
        return;
    }
    group->members = rpi_alloc(allocator, strlen(path) + 1);
    if (group->members == NULL || rpi_os.mkdir(path, 0755) < 0) {
        rpi_free(allocator, group->members, strlen(path) + 1);
        group->members = NULL;
        return;
    }
    memcpy(group->members, path, strlen(path) + 1);
    if (!rpi_cgroup_is_root(above)) { /* the root of all is not ours; there may be none needed */
        (void)rpi_cgroup_offer(above, "memory");
    }
    if (rpi_cgroup_lists(above, "cgroup.subtree_control", "memory")) {
        (void)rpi_cgroup_offer(group->cgroup, "memory"); /* for memory.events; else not told */
    }
}

int rpi_group_cgroup_open(rp_group *group)
{
    const int r = rpi_cgroup_make(group->cgroup);

    if (r < 0) {
        rpi_group_cgroup_close(group, true);
    } else {
        open_members(group);
    }
    return r;
}

void rpi_group_cgroup_close(rp_group *group, bool forget)
{
    int r = 0;

    if (group->cgroup == NULL) {
        return;
    }
    if (!forget) {
        r = rpi_cgroup_remove(group->cgroup);
    }
    if (r < 0) {
        rpi_loop_log(group->loop, 1, "%s stays: %s", group->cgroup, rp_strerror(r));
    }
    rpi_free(&group->loop->allocator, group->cgroup, strlen(group->cgroup) + 1);
    group->cgroup = NULL;
    if (group->members != NULL) {
        rpi_free(&group->loop->allocator, group->members, strlen(group->members) + 1);
        group->members = NULL;
    }
}

const char *rpi_group_cgroup(const rp_group *group)
{
    if (group == NULL) {
        return NULL;
    }
    return group->members != NULL ? group->members : group->cgroup;
}

/* ---- the job ------------------------------------------------------------------------------ */

/* Somebody who is still in it: as if a look had seen him. */
static void see(int64_t pid, void *user)
{
    rpi_group_job *job = user;
    uint64_t start_ticks = 0;

    if (rpi_proc_start_read(pid, &start_ticks) == 0 && job->result >= 0) {
        const int r = rpi_members_add(&job->members, pid, start_ticks, rpi_ticks_now());

        job->result = r < 0 ? r : job->result;
    }
}

/* Who is in it now: how many are alive, or an error. */
static int look(rpi_group_job *job)
{
    int r;

    job->result = 0;
    r = rpi_cgroup_each(job->cgroup, see, job);
    r = r < 0 ? r : job->result;
    return r < 0 ? r : rpi_members_look(&job->members);
}

void rpi_group_job_cgroup(rpi_group_job *job)
{
    int r = rpi_cgroup_end(job->cgroup, &job->until_ns);

    /* No descriptor to look with: others may let go of theirs. */
    while ((r == -EMFILE || r == -ENFILE || r == -ENOMEM || r == -EIO) &&
           rpi_clock_now_ns() < atomic_load(&job->until_ns)) {
        (void)rpi_os.poll(NULL, 0, PAUSE_MS);
        r = rpi_cgroup_end(job->cgroup, &job->until_ns);
    }
    if (r > 0) {
        job->members.mark[0] = '\0'; /* only who is in it */
        job->members.only_groups = true;
        r = look(job);
    }
    r = r <= 0 ? r : rpi_survivors_list(&job->survivors, &job->members, (size_t)r);
    job->result = r == -ENOENT ? 0 : r; /* removed by others: nobody was in it */
}

/* ---- what it tells -------------------------------------------------------------------------- */

/* Killed by nobody that we know: whether that was the kernel, for want of memory. */
void rpi_group_exited(rp_process *process)
{
    rp_group *group = process->group;
    char text[EVENTS_SIZE];
    uint64_t kills;

    if (process->limiter != NULL && rpi_limiter_has_cgroup(process->limiter)) {
        return; /* it is not there, and tells by itself */
    }
    if (group->cgroup == NULL || process->exit.signal != SIGKILL ||
        process->step == RPI_STEP_KILL ||
        rpi_cgroup_read(rpi_group_cgroup(group), "memory.events", text, sizeof text) < 0) {
        return;
    }
    kills = rpi_cgroup_number(text, "oom_kill");
    if (kills != UINT64_MAX && kills > group->oom_kills) {
        group->oom_kills++;
        process->exit.oom_killed = true;
    }
}
