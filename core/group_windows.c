/* Groups on Windows (core/group.c): a job object each, which every member is put into before it
 * runs its first step, and all whom it starts are born into. The system kills who is in it when the
 * last handle of the job goes, so when the caller dies, too: no guard is needed. A group that is to
 * survive its caller has a job without that. The job's name within the library
 * (rp_group.cgroup) is its handle as a number. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cgroup.h"
#include "base/clock.h"
#include "base/os_windows.h"
#include "base/signals.h"
#include "base/status.h"
#include "core/group.h"
#include "core/loop.h"
#include "core/process.h"

enum {
    CODE_KILLED = 128 + SIGKILL,
    LOOK_MS = 5, /* between two looks for who is left */
    NAME_SIZE = 16,
    SURVIVORS_MAX = 256,
};

static HANDLE job_of(const char *name)
{
    return rpi_os_handle(strtol(name, NULL, 10));
}

/* ---- the job object -------------------------------------------------------------------- */

int rpi_group_cgroup_name(rp_group *group)
{
    (void)group;
    return 0; // the name is the handle, which is made below
}

int rpi_group_cgroup_open(rp_group *group)
{
    JOBOBJECT_EXTENDED_LIMIT_INFORMATION limits = {
        .BasicLimitInformation = {.LimitFlags = JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE}};
    const HANDLE job = rpi_os.CreateJobObjectW(NULL, NULL);
    int r = 0;

    if (job == NULL) {
        return rpi_os_last_error();
    }
    if (!group->survives_crash &&
        !rpi_os.SetInformationJobObject(job, JobObjectExtendedLimitInformation, &limits,
                                        sizeof limits)) {
        r = rpi_os_last_error();
    } else {
        group->cgroup = rpi_alloc(&group->loop->allocator, NAME_SIZE);
        r = group->cgroup != NULL ? 0 : RP_ENOMEM;
    }
    if (r < 0) {
        (void)rpi_os.CloseHandle(job); // nobody is in it
        return r;
    }
    (void)snprintf(group->cgroup, NAME_SIZE, "%d", rpi_os_fd(job));
    return 0;
}

void rpi_group_cgroup_close(rp_group *group, bool forget)
{
    (void)forget; // this system does not fork
    if (group->cgroup != NULL) {
        (void)rpi_os.CloseHandle(job_of(group->cgroup)); // ends who may still be in it
        rpi_free(&group->loop->allocator, group->cgroup, NAME_SIZE);
        group->cgroup = NULL;
    }
}

const char *rpi_group_cgroup(const rp_group *group)
{
    return group == NULL ? NULL : group->cgroup;
}

int rpi_cgroup_kill(const char *cgroup)
{
    return rpi_os.TerminateJobObject(job_of(cgroup), CODE_KILLED) ? 0 : rpi_os_last_error();
}

rp_grade rpi_group_scan_grade(void)
{
    return RP_GRADE_GROUP; // what is left without a job of the group: the children's own
}

/* ---- the look for who is left ------------------------------------------------------------ */

static int count_active(HANDLE job)
{
    JOBOBJECT_BASIC_ACCOUNTING_INFORMATION accounting;

    if (!rpi_os.QueryInformationJobObject(job, JobObjectBasicAccountingInformation, &accounting,
                                          sizeof accounting, NULL)) {
        return rpi_os_last_error();
    }
    return (int)accounting.ActiveProcesses;
}

static int list_survivors(rpi_group_job *job, size_t count)
{
    const size_t size = sizeof(JOBOBJECT_BASIC_PROCESS_ID_LIST) + SURVIVORS_MAX * sizeof(ULONG_PTR);
    JOBOBJECT_BASIC_PROCESS_ID_LIST *list = calloc(1, size);
    rpi_survivors *survivors = &job->survivors;

    if (list == NULL) {
        return -ENOMEM;
    }
    if (!rpi_os.QueryInformationJobObject(job_of(job->cgroup), JobObjectBasicProcessIdList, list,
                                          (DWORD)size, NULL) &&
        GetLastError() != ERROR_MORE_DATA) {
        list->NumberOfProcessIdsInList = 0; // they are counted, not named
    }
    count = count < list->NumberOfProcessIdsInList ? count : list->NumberOfProcessIdsInList;
    survivors->block_size = count * sizeof(rp_survivor);
    survivors->list = count > 0 ? rpi_alloc_zero(job->allocator, survivors->block_size) : NULL;
    if (count > 0 && survivors->list == NULL) {
        free(list);
        return -ENOMEM;
    }
    for (size_t i = 0; i < count; i++) {
        survivors->list[i] = (rp_survivor){.id = {.pid = (int64_t)list->ProcessIdList[i]},
                                           .name = "",
                                           .command = "",
                                           .cwd = "",
                                           .kind = "",
                                           .originator = "",
                                           .state = "unknown"};
    }
    survivors->count = count;
    free(list);
    return 0;
}

void rpi_survivors_fini(rpi_survivors *survivors, const rp_allocator *allocator)
{
    rpi_free(allocator, survivors->list, survivors->block_size);
    *survivors = (rpi_survivors){.list = NULL};
}

void rpi_group_job_cgroup(rpi_group_job *job)
{
    int r;

    // Who is started while it is killed dies with it; an end takes a moment all the same.
    while ((r = rpi_cgroup_kill(job->cgroup)) == 0 && (r = count_active(job_of(job->cgroup))) > 0 &&
           rpi_clock_now_ns() < atomic_load(&job->until_ns)) {
        Sleep(LOOK_MS);
    }
    if (r > 0 && list_survivors(job, (size_t)r) < 0) {
        r = -ENOMEM;
    }
    job->result = r;
}

void rpi_group_job_scan(rpi_group_job *job)
{
    job->result = RP_EUNSUPPORTED; // without a job nobody knows
}

void rpi_group_exited(rp_process *process)
{
    (void)process; // the system tells nothing more of an end
}

/* ---- marks and traces: of systems that look through their processes ------------------------ */

void rpi_members_init(rpi_members *members, const rp_allocator *allocator, const char *mark)
{
    *members = (rpi_members){.allocator = allocator};
    (void)mark;
}

void rpi_members_fini(rpi_members *members)
{
    (void)members;
}

int rpi_members_add(rpi_members *members, int64_t pid, uint64_t start_ticks, uint64_t seen_ticks)
{
    (void)members;
    (void)pid;
    (void)start_ticks;
    (void)seen_ticks;
    return 0; // a job knows its members by itself
}

uint64_t rpi_ticks_now(void)
{
    return rpi_clock_now_ns();
}

int rpi_proc_start_read(int64_t pid, uint64_t *ret_ticks)
{
    (void)pid;
    (void)ret_ticks;
    return RP_EUNSUPPORTED; // so that nobody is traced
}

/* ---- the guard: the system ----------------------------------------------------------------------
 */

void rpi_guard_init(rp_loop *loop)
{
    loop->groups.guard = (rpi_guard){.pidfd = -1, .line = -1};
}

int rpi_guard_start(rp_loop *loop)
{
    (void)loop;
    return 0; // it is there all the time
}

bool rpi_guard_runs(const rp_loop *loop)
{
    (void)loop;
    return true;
}

void rpi_guard_tell(rp_loop *loop, const char *format, ...)
{
    (void)loop;
    (void)format; // it knows
}

void rpi_guard_close(rp_loop *loop)
{
    (void)loop;
}

void rpi_guard_close_forked(rp_loop *loop)
{
    (void)loop;
}
