/* The loop as core/ sees it: a reactor, and what all children of it share. It belongs to one
 * thread. */
#ifndef RPI_CORE_LOOP_H
#define RPI_CORE_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "base/ring.h"
#include "base/status.h"
#include "core/capture.h"
#include "core/group.h"
#include "core/idle.h"
#include "core/limits.h"
#include "core/sessions.h"
#include "core/spawner.h"
#include "core/track.h"
#include "core/usage.h"
#include "reactor/reactor.h"
#include "rp/loop.h"

struct rp_loop {
    rpi_reactor reactor; /* first: rpi_reactor_of */
    rp_allocator allocator;
    rpi_spawner *spawner;
    rpi_ring_pool *rings;
    size_t ring_size;
    rpi_budget
        budget; /* captures and rings; `used` counts captures only, rings are asked of their pool */
    size_t memory_max; /* 0 = unlimited */
    uint32_t process_max;
    bool stay;
    bool closing;
    rpi_list processes;      /* rp_process.node: not yet closed */
    rpi_list closed;         /* rp_process.node: closed and not yet freed */
    rpi_list queue;          /* rpi_launch.node: waiting for admission */
    rpi_list memory_waiting; /* rpi_stream.op.node, of idle operations */
    rpi_list pull_ready;     /* rpi_pull.ready: something may be pulled */
    rpi_task admission;      /* looks at the queue */
    rpi_sessions sessions;   /* who is in those that children lead */
    rpi_groups groups;
    rpi_limits limits;
    rpi_idle_switches idle_switches;
    rp_track *track; /* borrowed; NULL */
    rpi_track_link track_link;
    uint32_t track_troubles; /* that the log was told */
    rpi_usage_table *usage;  /* while somebody asks for what trees use */
    uint32_t queued;         /* in the queue */
    uint32_t live;           /* with the spawner or running, until reaped */
    uint32_t pulling;        /* processes in pull mode whose end was not pulled yet */
    bool refused;       /* the system had no room for a launch: admit only what credit allows */
    uint32_t launching; /* with the spawner */
    uint32_t credit; /* launches that may be tried while refused: one for each child that ended or
                        started */
    rpi_timer memory_timer;  /* asks for ring memory again that the system refused */
    rpi_timer refused_timer; /* tries a refused launch again: others may have made room */
    uint64_t order_next;
    uint64_t kernel_calls; /* by core/, of the loop's thread */
    uint64_t spawned, exited, bytes_read, reads;
    uint32_t descriptors;
    uint32_t ptys; /* whose master is open */
    void (*log)(int level, const char *text, void *user);
    void *log_user;
};

_Static_assert(offsetof(struct rp_loop, reactor) == 0, "rpi_reactor_of relies on it");

/** What every public function asks first: clears the error detail; RP_EPERM in a forked child. */
int rpi_loop_enter(rp_loop *loop);

/** Tells the log callback, printf-like; silent without one. Level: 0 error, 1 warning, 2 debug. */
void rpi_loop_log(rp_loop *loop, int level, const char *format, ...) RPI_PRINTF(3, 4);

/** One descriptor of the loop's is closed or opened: close goes through here so that it is counted.
 */
void rpi_loop_close_fd(rp_loop *loop, int fd);

/** Runs turns until `*flag` style conditions of the caller's hold: one turn bounded by the point
 * `until_ns`. 1: a turn ran; RP_ETIMEDOUT; RP_ECANCELED (rp_loop_stop); RP_EDEADLK; RP_EINTR; a
 * backend's error. For waiting functions. */
int rpi_loop_wait_turn(rp_loop *loop, uint64_t until_ns);

/* ---- admission.c ---- */

typedef struct rp_process rp_process;

void rpi_admission_run(rpi_task *task);
/** Time to try a refused launch again. */
void rpi_admission_again(rpi_timer *timer);
/** Puts a process at its place in the queue (by order) and looks at the queue soon. */
void rpi_admission_add(rp_process *process);
void rpi_admission_remove(rp_process *process);
/** A child ended or a launch came back: others may go. */
void rpi_admission_wake(rp_loop *loop);
/** A launch came back well. */
void rpi_admission_succeeded(rp_loop *loop);
/** The system was out of something: true when the launch was queued again, to be tried when a child
 * ends. */
bool rpi_admission_retry(rp_process *process, int error);

#endif
