/* Groups from inside: what a loop keeps of them, what processes tell them, and the jobs that end
 * them. A kill takes long where it has to look through all processes, so it is a job: a thread of
 * its own, handed all that it needs, which rings the loop when it is over. On the loop's thread
 * only what is quick is done: known children are killed at once, and cgroups too.
 *
 *     group.c              the public functions, states
 *     group_job.c          jobs: their threads, and those that wait for one
 *     group_scan_linux.c   what a job does at grades GROUP and SCAN; who survived
 *     group_cgroup_linux.c the same at grade KERNEL; what a cgroup tells of its members
 *
 * States: OPEN -> KILLING -> OPEN, and from either to CLOSING, where the handle is gone; a group is
 * freed when it is CLOSING, no job of it is left, and none of its processes. */
#ifndef RPI_CORE_GROUP_H
#define RPI_CORE_GROUP_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "base/members.h"
#include "core/guard.h"
#include "reactor/reactor.h"
#include "rp/group.h"

typedef enum rpi_group_state {
    RPI_GROUP_OPEN = 0,
    RPI_GROUP_KILLING, /* a job is under way, or awaits launches that are */
    RPI_GROUP_CLOSING  /* the same, for the last time; or only processes are left */
} rpi_group_state;

typedef struct rpi_survivors {
    rp_survivor *list; /* owned, with the texts behind it */
    size_t count;
    size_t block_size;
} rpi_survivors;

/* What a thread works on. It belongs to the thread from its start to `is_over`. */
typedef struct rpi_group_job {
    rpi_list node;   /* the loop's jobs: running, or waiting for a thread */
    rp_group *group; /* borrowed; the thread does not look at it */
    const rp_allocator *allocator;
    const char *cgroup; /* the group's; NULL: none */
    rpi_members members;
    _Atomic uint64_t until_ns; /* brought nearer by a close */
    rpi_async *bell;           /* borrowed */
    pthread_t thread;
    bool runs;
    bool is_early; /* it was begun while children were being launched: they could not be seen yet */
    atomic_bool is_over;
    int result; /* members alive, or an error: it is not known */
    rpi_survivors survivors;
} rpi_group_job;

/* A child that was reaped while others were left in its process group. */
typedef struct rpi_group_trace {
    int64_t pid;
    uint64_t start_ticks, ended_ticks;
} rpi_group_trace;

struct rp_group {
    rp_loop *loop;      /* borrowed */
    rpi_list node;      /* the loop's groups */
    rpi_list processes; /* rp_process.group_node */
    rpi_group_state state;
    rp_grade grade;
    bool survives_crash;
    bool is_guarded;
    bool awaits_launches; /* the job is over, but is done again when launches under way are */
    bool is_dirty;        /* something of it may live: a process joined since it was empty */
    char mark[RPI_GROUP_MARK_SIZE];
    uint64_t since_ticks; /* when it was opened */
    char *originator;     /* owned; NULL: none */
    char *cgroup;         /* owned, the folder's path, as is the cgroup itself; NULL: none */
    char *members;        /* owned: the one below it that children are born in, so that others
                             below it can have limits; NULL: that one itself */
    bool was_killed;      /* the cgroup, at least once */
    uint64_t oom_kills;   /* of its members without limits, which were told */
    rpi_group_trace *traces;
    size_t trace_count, trace_capacity;
    rpi_group_job *job; /* owned; NULL: none is under way */
    uint64_t until_ns;  /* of the kill under way */
    void (*emptied)(rp_group *, const rp_survivor *, size_t, void *);
    void *user;
};

/* The loop's part. */
typedef struct rpi_groups {
    rpi_list groups;  /* rp_group.node */
    rpi_list jobs;    /* rpi_group_job.node, of those that run */
    rpi_list waiting; /* those that do not yet */
    uint32_t running;
    uint64_t next; /* number of the next group, for its mark */
    rpi_async bell;
    rpi_guard guard;
} rpi_groups;

typedef struct rp_process rp_process;

/* ---- group.c: for loop.c ---- */

void rpi_groups_init(rp_loop *loop);
/** The loop closes: closes all groups. */
void rpi_groups_close(rp_loop *loop);
/** Whether some group is still being emptied. */
bool rpi_groups_are_busy(const rp_loop *loop);
/** No process is left: ends what runs and frees. */
void rpi_groups_fini(rp_loop *loop);
/** The same in a forked child, where the threads do not exist. */
void rpi_groups_fini_forked(rp_loop *loop);

/** The guard has ended by itself. */
void rpi_groups_lost_guard(rp_loop *loop);

/* ---- for processes ---- */

/** The cgroup that commands of the group are born in; NULL: none, also for no group. */
const char *rpi_group_cgroup(const rp_group *group);
/** Whether RP_GRADE in the environment, which is for tests, lets anything be held so strongly. */
bool rpi_group_allows(rp_grade grade);
/** Whether a command may be of this group: 0, RP_EINVAL, RP_EBUSY. */
int rpi_group_check(const rp_group *group, const rp_loop *loop);
/** The process is of the group from now on, until rpi_group_leave. */
void rpi_group_join(rp_group *group, rp_process *process);
/** Its child runs. */
void rpi_group_started(rp_process *process);
/** Its launch is over, and nothing runs. */
void rpi_group_failed(rp_process *process);
/** Its number may be given to another from now on. */
void rpi_group_reaping(rp_process *process);
/** Its exit is known: adds what the group knows of it. */
void rpi_group_exited(rp_process *process);
/** It is done: its number is not its own any more. */
void rpi_group_ended(rp_process *process);
void rpi_group_leave(rp_process *process);

/* ---- stop.c ---- */

/** Kills the child and its tree, cancels its launch; closed and detached ones too. */
void rpi_stop_with_group(rp_process *process, rp_stop_reason reason);

/* ---- group_job.c ---- */

/** A job for the group as it is now: 0 or -ENOMEM. */
int rpi_group_job_make(rp_group *group, rpi_group_job **ret_job);
void rpi_group_job_free(rpi_group_job *job);
/** Hands the job to a thread, now or when one of the others is over. 0 or -errno: no thread. */
int rpi_group_job_start(rp_loop *loop, rpi_group_job *job);
/** Lets a job that is over be done once more, by the next turn. */
void rpi_group_job_again(rpi_group_job *job);
/** A job is over. */
void rpi_groups_on_bell(rpi_async *bell);

/* ---- group.c: for group_job.c ---- */

/** The job is over: tells who is left. */
void rpi_group_over(rp_group *group, rpi_group_job *job);

/* ---- group_scan_linux.c ---- */

/** The strongest grade that this system allows, without a cgroup. */
rp_grade rpi_group_scan_grade(void);
/** Ends the members of a job, lists who is left. In its thread. */
void rpi_group_job_scan(rpi_group_job *job);
/** Lists the members that the last look saw alive, at most `count`, which is not 0: how many, or
 * -ENOMEM. */
int rpi_survivors_list(rpi_survivors *survivors, const rpi_members *members, size_t count);
void rpi_survivors_fini(rpi_survivors *survivors, const rp_allocator *allocator);

/* ---- group_cgroup_linux.c ---- */

/** Gives the group the path that its cgroup will have: 0, or why it cannot have one. */
int rpi_group_cgroup_name(rp_group *group);
/** Makes it: 0; or why it cannot, and then there is no path either. */
int rpi_group_cgroup_open(rp_group *group);
/** Removes it, unless it is only forgotten, as in a forked child. */
void rpi_group_cgroup_close(rp_group *group, bool forget);
/** As rpi_group_job_scan. */
void rpi_group_job_cgroup(rpi_group_job *job);

#endif
