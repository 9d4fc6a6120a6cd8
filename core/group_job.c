/* The jobs of groups: threads that find out that nobody is left, a few at once; who comes later
 * waits for one of them. All functions but the thread's own run on the loop's thread. */
#include "core/group.h"

#include "base/status.h"
#include "core/loop.h"
#include "core/process.h"
#include "core/spawn.h"

enum {
    JOBS_MAX = 8 /* threads at once; what waits has been killed as far as we know it */
};

void rpi_group_job_free(rpi_group_job *job)
{
    const rp_allocator *allocator = job->allocator;

    rpi_members_fini(&job->members);
    rpi_survivors_fini(&job->survivors, allocator);
    rpi_free(allocator, job, sizeof *job);
}

static void job_work(rpi_group_job *job)
{
    if (job->cgroup != NULL) {
        rpi_group_job_cgroup(job);
    } else {
        rpi_group_job_scan(job);
    }
}

static void *run_job(void *argument)
{
    rpi_group_job *job = argument;
    rpi_async *bell = job->bell;

    job_work(job);
    atomic_store(&job->is_over, true);
    rpi_async_send(bell); /* the loop joins this thread before it takes the bell away */
    return NULL;
}

/* The children, also those that are reaped while somebody of their process groups is awaited, and
 * the traces of others. */
static int add_leaders(const rp_group *group, rpi_members *members)
{
    const uint64_t now_ticks = rpi_ticks_now();
    int r = 0;

    for (rpi_list *node = group->processes.next; r == 0 && node != &group->processes;
         node = node->next) {
        const rp_process *process = RPI_CONTAINER(node, rp_process, group_node);

        if (process->pid > 0 && process->start_ticks > 0) {
            r = rpi_members_add(members, process->pid, process->start_ticks,
                                process->reaped ? process->ended_ticks : now_ticks);
        }
    }
    for (size_t i = 0; r == 0 && i < group->trace_count; i++) {
        const rpi_group_trace *trace = &group->traces[i];

        r = rpi_members_add(members, trace->pid, trace->start_ticks, trace->ended_ticks);
    }
    return r;
}

int rpi_group_job_make(rp_group *group, rpi_group_job **ret_job)
{
    const rp_allocator *allocator = &group->loop->allocator;
    rpi_group_job *job = rpi_alloc_zero(allocator, sizeof *job);
    int r;

    if (job == NULL) {
        return RP_ENOMEM;
    }
    job->allocator = allocator;
    job->group = group;
    job->bell = &group->loop->groups.bell;
    atomic_init(&job->until_ns, group->until_ns);
    atomic_init(&job->is_over, false);
    rpi_members_init(&job->members, allocator, group->mark);
    job->cgroup = group->cgroup;
    job->members.since_ticks = group->since_ticks;
    job->members.only_groups = group->grade == RP_GRADE_GROUP;
    r = group->cgroup != NULL ? 0 : add_leaders(group, &job->members);
    if (r < 0) {
        rpi_group_job_free(job);
        return r;
    }
    *ret_job = job;
    return 0;
}

int rpi_group_job_start(rp_loop *loop, rpi_group_job *job)
{
    rpi_groups *groups = &loop->groups;
    int r;

    if (groups->running >= JOBS_MAX) {
        rpi_list_append(&groups->waiting, &job->node);
        return 0;
    }
    r = rpi_spawn_thread_start(run_job, job, &job->thread);
    if (r < 0) {
        return r;
    }
    job->runs = true;
    groups->running++;
    rpi_list_append(&groups->jobs, &job->node);
    return 0;
}

/* Without a thread: what can be done at once. */
static void job_run_here(rpi_group_job *job)
{
    rp_group *group = job->group;

    atomic_store(&job->until_ns, 0);
    job_work(job);
    rpi_group_over(group, job);
}

static void start_waiting(rp_loop *loop)
{
    rpi_list *node;

    while (loop->groups.running < JOBS_MAX &&
           (node = rpi_list_take_first(&loop->groups.waiting)) != NULL) {
        rpi_group_job *job = RPI_CONTAINER(node, rpi_group_job, node);

        if (rpi_group_job_start(loop, job) < 0) {
            job_run_here(job);
        }
    }
}

static rpi_group_job *find_over(rpi_groups *groups)
{
    for (rpi_list *node = groups->jobs.next; node != &groups->jobs; node = node->next) {
        rpi_group_job *job = RPI_CONTAINER(node, rpi_group_job, node);

        if (atomic_load(&job->is_over)) {
            return job;
        }
    }
    return NULL;
}

void rpi_groups_on_bell(rpi_async *bell)
{
    rp_loop *loop = RPI_CONTAINER(bell, rp_loop, groups.bell);
    rpi_group_job *job;

    while ((job = find_over(&loop->groups)) != NULL) {
        (void)pthread_join(job->thread, NULL); /* it has nothing left to do */
        rpi_list_remove(&job->node);
        loop->groups.running--;
        rpi_group_over(job->group, job);
    }
    start_waiting(loop);
}

void rpi_group_job_again(rpi_group_job *job)
{
    rpi_groups *groups = &job->group->loop->groups;

    rpi_survivors_fini(&job->survivors, job->allocator);
    atomic_store(&job->is_over, false);
    job->runs = false;
    job->is_early = false;
    rpi_list_append(&groups->waiting, &job->node);
    rpi_async_send(&groups->bell); /* out of the loop, as it may call back */
}
