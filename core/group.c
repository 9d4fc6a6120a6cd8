/* Groups: see group.h for their states. What is quick is done here and now, on the loop's thread:
 * launches are cancelled, children that we know are killed. That nobody is left is found out by a
 * job. A child that is being launched at that moment is killed as soon as it runs; until that is
 * settled the group does not count as empty, and is looked at again. */
#include "core/group.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/cgroup.h"
#include "base/clock.h"
#include "base/os.h"
#include "base/status.h"
#include "core/command.h"
#include "core/loop.h"
#include "core/process.h"

#define CLOSE_NS (5 * RP_SECOND)

enum {
    TRACES_FIRST = 8,
    TRACES_MAX = 4096 /* groups with nobody left are forgotten before */
};

void rpi_groups_init(rp_loop *loop)
{
    rpi_groups *groups = &loop->groups;

    rpi_list_init(&groups->groups);
    rpi_list_init(&groups->jobs);
    rpi_list_init(&groups->waiting);
    rpi_async_init(&loop->reactor, &groups->bell, rpi_groups_on_bell);
    rpi_guard_init(loop);
}

/* ---- states ----------------------------------------------------------------------------- */

static void group_free(rp_group *group, bool forked)
{
    const rp_allocator *allocator = &group->loop->allocator;

    RP_ASSERT(group->job == NULL);
    RP_ASSERT(rpi_list_is_empty(&group->processes));
    rpi_list_remove(&group->node);
    if (group->originator != NULL) {
        rpi_free(allocator, group->originator, strlen(group->originator) + 1);
    }
    rpi_group_cgroup_close(group, forked);
    if (group->is_guarded && !forked) {
        rpi_guard_tell(group->loop, "- %s", group->mark);
    }
    rpi_free(allocator, group->traces, group->trace_capacity * sizeof *group->traces);
    rpi_free(allocator, group, sizeof *group);
}

static void free_if_over(rp_group *group)
{
    if (group->state == RPI_GROUP_CLOSING && group->job == NULL &&
        rpi_list_is_empty(&group->processes)) {
        group_free(group, false);
    }
}

/* Whether a thread is starting one of its children at this moment, or one that was is ending. */
static bool has_launches(const rp_group *group)
{
    for (rpi_list *node = group->processes.next; node != &group->processes; node = node->next) {
        if (RPI_CONTAINER(node, rp_process, group_node)->state == RPI_PROCESS_LAUNCHING) {
            return true;
        }
    }
    return false;
}

static void log_survivors(rp_group *group, const rpi_group_job *job)
{
    if (job->result < 0) {
        rpi_loop_log(group->loop, 0, "a closed group: it is not known whether it is empty: %s",
                     rp_strerror(job->result));
    } else if (job->survivors.count > 0) {
        rpi_loop_log(group->loop, 0, "a closed group: %zu processes do not end, the first is %lld",
                     job->survivors.count, (long long)job->survivors.list[0].id.pid);
    }
}

/* Where it is not known who is left, somebody may be: never nobody. */
static void tell_emptied(rp_group *group, const rpi_group_job *job)
{
    const rp_survivor unknown = {
        .name = "", .command = "", .cwd = "", .kind = "", .originator = "", .state = "unknown"};

    if (group->emptied != NULL && job->result < 0) {
        group->emptied(group, &unknown, 1, group->user);
    } else if (group->emptied != NULL) {
        group->emptied(group, job->survivors.list, job->survivors.count, group->user);
    }
}

void rpi_group_over(rp_group *group, rpi_group_job *job)
{
    if (has_launches(group)) {
        group->awaits_launches = true;
        return;
    }
    if (job->is_early) { /* what was launched meanwhile may have left somebody */
        rpi_group_job_again(job);
        return;
    }
    group->job = NULL;
    group->loop->reactor.left--;
    if (group->state == RPI_GROUP_CLOSING) {
        log_survivors(group, job);
        rpi_group_job_free(job);
        free_if_over(group);
        return;
    }
    group->state = RPI_GROUP_OPEN;
    group->is_dirty = job->result != 0;
    tell_emptied(group, job);
    rpi_group_job_free(job);
}

/* Kills what is known; then a job, if there is anything to look for. 0, or an error: there is no
 * job. */
static int group_end(rp_group *group, rp_stop_reason reason)
{
    rpi_list *node = group->processes.next;
    rpi_group_job *job = NULL;
    int r;

    while (node != &group->processes) {
        rpi_list *next = node->next;

        rpi_stop_with_group(RPI_CONTAINER(node, rp_process, group_node), reason);
        node = next;
    }
    if (group->cgroup != NULL) {
        group->was_killed = true;
        (void)rpi_cgroup_kill(group->cgroup); /* refused: the job tries again, and tells */
    }
    r = rpi_group_job_make(group, &job);
    if (r < 0) {
        return r;
    }
    job->is_early = has_launches(group);
    r = rpi_group_job_start(group->loop, job);
    if (r < 0) {
        rpi_group_job_free(job);
        return r;
    }
    group->job = job;
    return 0;
}

/* ---- for processes ------------------------------------------------------------------------ */

int rpi_group_check(const rp_group *group, const rp_loop *loop)
{
    if (group->loop != loop) {
        return rpi_detail(RP_EINVAL, "group: it belongs to another loop");
    }
    if (group->state != RPI_GROUP_OPEN) {
        return rpi_detail(RP_EBUSY, "group: it is being killed");
    }
    return 0;
}

void rpi_group_join(rp_group *group, rp_process *process)
{
    process->group = group;
    group->is_dirty = true;
    rpi_list_append(&group->processes, &process->group_node);
}

static void tell_leader(const rp_group *group, char verb, int64_t pid, uint64_t start_ticks)
{
    if (group->is_guarded && start_ticks > 0) {
        rpi_guard_tell(group->loop, "%c %s %lld %llu", verb, group->mark, (long long)pid,
                       (unsigned long long)start_ticks);
    }
}

void rpi_group_started(rp_process *process)
{
    if (process->group->cgroup == NULL) {
        /* Not readable: it is found by its mark. */
        (void)rpi_proc_start_read(process->pid, &process->start_ticks);
        tell_leader(process->group, 'l', process->pid, process->start_ticks);
    }
}

void rpi_group_failed(rp_process *process)
{
    rp_group *group = process->group;

    if (group->awaits_launches && !has_launches(group)) {
        group->awaits_launches = false;
        rpi_group_job_again(group->job);
    }
}

/* Forgets those with nobody left. */
static void prune_traces(rp_group *group)
{
    size_t kept = 0;

    for (size_t i = 0; i < group->trace_count; i++) {
        const rpi_group_trace *trace = &group->traces[i];

        if (rpi_send_group_exists(trace->pid)) {
            group->traces[kept++] = *trace;
        } else {
            tell_leader(group, 'e', trace->pid, trace->start_ticks);
        }
    }
    group->trace_count = kept;
}

static void add_trace(rp_group *group, const rpi_group_trace *trace)
{
    size_t capacity = group->trace_capacity;

    if (group->trace_count == capacity) {
        prune_traces(group);
    }
    if (group->trace_count == capacity && capacity < TRACES_MAX) {
        rpi_group_trace *grown = NULL;

        capacity = capacity == 0 ? TRACES_FIRST : 2 * capacity;
        grown = rpi_resize(&group->loop->allocator, group->traces,
                           group->trace_capacity * sizeof *grown, capacity * sizeof *grown);
        if (grown != NULL) {
            group->traces = grown;
            group->trace_capacity = capacity;
        }
    }
    if (group->trace_count < group->trace_capacity) { /* else its mark alone tells */
        group->traces[group->trace_count++] = *trace;
    }
}

void rpi_group_reaping(rp_process *process)
{
    if (process->start_ticks > 0) {
        process->ended_ticks = rpi_ticks_now();
    }
}

void rpi_group_ended(rp_process *process)
{
    if (process->start_ticks == 0) {
        return;
    }
    if (process->own_group && process->pid > 0 && rpi_send_group_exists(process->pid)) {
        add_trace(process->group, &(rpi_group_trace){.pid = process->pid,
                                                     .start_ticks = process->start_ticks,
                                                     .ended_ticks = process->ended_ticks});
    } else {
        tell_leader(process->group, 'e', process->pid, process->start_ticks);
    }
    process->start_ticks = 0;
}

void rpi_group_leave(rp_process *process)
{
    rp_group *group = process->group;

    process->group = NULL;
    rpi_list_remove(&process->group_node);
    free_if_over(group);
}

static int read_options(const rp_group_options *options, rp_group_options *ret_options)
{
    int r;

    if (options == NULL) {
        *ret_options = (rp_group_options)RP_GROUP_OPTIONS_INIT;
        return 0;
    }
    r = rpi_options_read(options, sizeof *ret_options, ret_options);
    r = r < 0 ? r : rpi_originator_check(ret_options->originator);
    if (r == 0 && ((int)ret_options->grade_min < 0 || ret_options->grade_min > RP_GRADE_KERNEL)) {
        return rpi_detail(RP_EINVAL, "grade_min: no such one: %d", (int)ret_options->grade_min);
    }
    return r;
}

/* The strongest grade that RP_GRADE in the environment lets groups have, for tests: group, scan,
 * kernel; all of them where it is not set. */
static rp_grade allowed_grade(void)
{
    const char *value = getenv("RP_GRADE");

    if (value != NULL && strcmp(value, "group") == 0) {
        return RP_GRADE_GROUP;
    }
    return value != NULL && strcmp(value, "scan") == 0 ? RP_GRADE_SCAN : RP_GRADE_KERNEL;
}

bool rpi_group_allows(rp_grade grade)
{
    return grade <= allowed_grade();
}

/* ---- the guard ------------------------------------------------------------------------------ */

static void tell_group(rp_group *group)
{
    rpi_guard_tell(group->loop, "+ %s %llu %s", group->mark, (unsigned long long)group->since_ticks,
                   group->cgroup != NULL ? group->cgroup : "-");
}

/* Of a group that another guard was told of. */
static void tell_again(rp_group *group)
{
    tell_group(group);
    for (rpi_list *node = group->processes.next; node != &group->processes; node = node->next) {
        const rp_process *process = RPI_CONTAINER(node, rp_process, group_node);

        tell_leader(group, 'l', process->pid, process->start_ticks);
    }
    for (size_t i = 0; i < group->trace_count; i++) {
        tell_leader(group, 'l', group->traces[i].pid, group->traces[i].start_ticks);
    }
}

/* Lets the guard watch the group too: 0, or why there is none. */
static int guard_group(rp_group *group)
{
    rp_loop *loop = group->loop;
    const int r = rpi_guard_start(loop);

    if (r < 0) {
        return r;
    }
    for (rpi_list *node = loop->groups.groups.next; r > 0 && node != &loop->groups.groups;
         node = node->next) {
        rp_group *other = RPI_CONTAINER(node, rp_group, node);

        if (!other->survives_crash) {
            other->is_guarded = true;
            tell_again(other);
        }
    }
    group->is_guarded = true;
    tell_group(group);
    return 0;
}

void rpi_groups_lost_guard(rp_loop *loop)
{
    rpi_list *node;

    for (node = loop->groups.groups.next; node != &loop->groups.groups; node = node->next) {
        RPI_CONTAINER(node, rp_group, node)->is_guarded = false;
    }
    rpi_loop_log(loop, 0, "the guard has ended: groups outlive a caller that dies");
}

/* ---- the public functions --------------------------------------------------------------- */

/* A cgroup for the group: 0 or why it has none. The guard knows of it before it is there, so that
 * none stays behind. */
static int open_cgroup(rp_group *group)
{
    int r;

    if (!rpi_group_allows(RP_GRADE_KERNEL)) {
        return 0;
    }
    r = rpi_group_cgroup_name(group);
    if (r == 0 && group->is_guarded) {
        rpi_guard_tell(group->loop, "- %s", group->mark);
        tell_group(group);
    }
    r = r < 0 ? r : rpi_group_cgroup_open(group);
    if (r < 0 && group->is_guarded) {
        rpi_guard_tell(group->loop, "- %s", group->mark);
        tell_group(group);
    }
    return r;
}

/* Gives the group the strongest grade that can be had: 0, or RP_EUNSUPPORTED: it is too weak. */
static int choose_grade(rp_group *group, rp_grade grade_min)
{
    const rp_grade allowed = allowed_grade();
    const rp_grade reached = rpi_group_scan_grade();
    const int guard = group->survives_crash ? 0 : guard_group(group);
    const int cgroup = open_cgroup(group);

    group->grade = reached < allowed ? reached : allowed;
    if (group->cgroup != NULL) {
        group->grade = RP_GRADE_KERNEL;
    }
    if (rp_group_grade(group) >= grade_min) {
        return 0;
    }
    return rpi_detail(RP_EUNSUPPORTED, "grade_min: %d cannot be reached, only %d: %s: %s",
                      (int)grade_min, (int)rp_group_grade(group),
                      cgroup < 0 ? "a cgroup" : "the guard",
                      rp_strerror(cgroup < 0 ? cgroup : guard));
}

static int group_make(rp_loop *loop, const rp_group_options *options, rp_group **ret_group)
{
    rp_group *group = rpi_alloc_zero(&loop->allocator, sizeof *group);

    if (group == NULL) {
        return RP_ENOMEM;
    }
    group->loop = loop;
    group->survives_crash = options->survive_crash;
    group->since_ticks = rpi_ticks_now();
    rpi_list_init(&group->node);
    rpi_list_init(&group->processes);
    (void)snprintf(group->mark, sizeof group->mark, "%lld.%llx.%llu", (long long)rpi_os_pid(),
                   (unsigned long long)rpi_clock_now_ns(), (unsigned long long)loop->groups.next++);
    if (options->originator != NULL) {
        const size_t size = strlen(options->originator) + 1;

        group->originator = rpi_alloc(&loop->allocator, size);
        if (group->originator == NULL) {
            group_free(group, false);
            return RP_ENOMEM;
        }
        memcpy(group->originator, options->originator, size);
    }
    *ret_group = group;
    return 0;
}

int rp_group_open(rp_loop *loop, const rp_group_options *options, rp_group **ret_group)
{
    rp_group_options full;
    rp_group *group = NULL;
    int r = rpi_loop_enter(loop);

    if (r == 0 && loop->closing) {
        return rpi_detail(RP_ECANCELED, "the loop is being closed");
    }
    r = r < 0 ? r : read_options(options, &full);
    r = r < 0 ? r : group_make(loop, &full, &group);
    if (r < 0) {
        return r;
    }
    r = choose_grade(group, full.grade_min);
    if (r < 0) {
        group_free(group, false);
        return r;
    }
    rpi_list_append(&loop->groups.groups, &group->node);
    *ret_group = group;
    return 0;
}

rp_grade rp_group_grade(const rp_group *group)
{
    if (group->survives_crash || group->is_guarded || group->grade < RP_GRADE_SCAN) {
        return group->grade;
    }
    return RP_GRADE_SCAN; /* however it is held, nobody holds it when the caller dies */
}

bool rp_group_is_guarded(const rp_group *group)
{
    return group->is_guarded;
}

int rp_group_kill(rp_group *group,
                  uint64_t timeout_ns,
                  void (*emptied)(rp_group *, const rp_survivor *, size_t, void *),
                  void *user)
{
    int r = rpi_loop_enter(group->loop);

    if (r == 0 && group->state != RPI_GROUP_OPEN) {
        return rpi_detail(RP_EBUSY, "a kill of this group is under way");
    }
    if (r < 0) {
        return r;
    }
    group->until_ns = rpi_clock_after(rpi_clock_now_ns(), timeout_ns);
    r = group_end(group, RP_STOP_KILL);
    if (r < 0) {
        return rpi_detail(r, "nobody can look whether the group is empty: %s", rp_strerror(r));
    }
    group->state = RPI_GROUP_KILLING;
    group->emptied = emptied;
    group->user = user;
    group->loop->reactor.left++;
    return 0;
}

int rp_group_close(rp_group *group)
{
    rp_loop *loop;
    int r;

    if (group == NULL) {
        return 0;
    }
    loop = group->loop;
    r = rpi_loop_enter(loop);
    if (r < 0) {
        return r;
    }
    group->until_ns = rpi_clock_after(rpi_clock_now_ns(), CLOSE_NS);
    group->emptied = NULL;
    if (group->state == RPI_GROUP_KILLING) {
        group->state = RPI_GROUP_CLOSING;
        if (group->job != NULL && atomic_load(&group->job->until_ns) > group->until_ns) {
            atomic_store(&group->job->until_ns, group->until_ns);
        }
        return 0;
    }
    group->state = RPI_GROUP_CLOSING;
    if (!group->is_dirty) {
        free_if_over(group);
        return 0;
    }
    r = group_end(group, RP_STOP_CLOSE);
    if (r == 0) {
        loop->reactor.left++;
        return 0;
    }
    rpi_loop_log(loop, 0, "a closed group: nobody can look whether it is empty: %s",
                 rp_strerror(r));
    free_if_over(group);
    return 0;
}

/* ---- the loop's part ------------------------------------------------------------------- */

void rpi_groups_close(rp_loop *loop)
{
    rpi_list *node = loop->groups.groups.next;

    while (node != &loop->groups.groups) {
        rpi_list *next = node->next;
        rp_group *group = RPI_CONTAINER(node, rp_group, node);

        if (group->state != RPI_GROUP_CLOSING) {
            (void)rp_group_close(group); /* frees at most this one */
        }
        node = next;
    }
}

bool rpi_groups_are_busy(const rp_loop *loop)
{
    return !rpi_list_is_empty(&loop->groups.jobs) || !rpi_list_is_empty(&loop->groups.waiting);
}

void rpi_groups_fini(rp_loop *loop)
{
    rpi_groups *groups = &loop->groups;
    rpi_list *node;

    for (node = groups->jobs.next; node != &groups->jobs; node = node->next) {
        atomic_store(&RPI_CONTAINER(node, rpi_group_job, node)->until_ns, 0);
    }
    while ((node = rpi_list_take_first(&groups->jobs)) != NULL) {
        rpi_group_job *job = RPI_CONTAINER(node, rpi_group_job, node);

        (void)pthread_join(job->thread, NULL); /* it ends soon: its time is over */
        job->group->job = NULL;
        log_survivors(job->group, job);
        rpi_group_job_free(job);
    }
    while ((node = rpi_list_take_first(&groups->waiting)) != NULL) {
        rpi_group_job *job = RPI_CONTAINER(node, rpi_group_job, node);

        job->group->job = NULL;
        rpi_group_job_free(job);
    }
    while (!rpi_list_is_empty(&groups->groups)) {
        rp_group *group = RPI_CONTAINER(groups->groups.next, rp_group, node);

        if (group->job != NULL) { /* it awaits launches that were given up */
            rpi_group_job_free(group->job);
            group->job = NULL;
        }
        while ((node = rpi_list_take_first(&group->processes)) != NULL) {
            RPI_CONTAINER(node, rp_process, group_node)->group = NULL;
        }
        group_free(group, false);
    }
    rpi_guard_close(loop);
    rpi_async_fini(&groups->bell);
}

void rpi_groups_fini_forked(rp_loop *loop)
{
    rpi_groups *groups = &loop->groups;

    while (!rpi_list_is_empty(&groups->groups)) {
        rp_group *group = RPI_CONTAINER(groups->groups.next, rp_group, node);

        /* What a thread of the parent's was working on when it forked is in no state to be
         * touched. */
        if (group->job != NULL && !group->job->runs) {
            rpi_group_job_free(group->job);
        }
        group->job = NULL;
        group_free(group, true);
    }
    rpi_guard_close_forked(loop);
}
