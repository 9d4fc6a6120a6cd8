/* The reactor: one thread's queue of what is ready, its timers, its posts, and a backend to wait
 * in. It knows nothing of processes: the loop of core/ begins with one, and the public timers,
 * watches and posts of this room find it there.
 *
 * A turn:  is there work?  yes: look into the backend now and then, without waiting
 *                          no:  wait in the backend
 *          [asyncs, posts] -> [ready operations] -> [ready exits] -> [due timers] -> [tasks]
 *
 * Each of these takes what is there when its part of the turn begins: what a callback makes ready,
 * due or started belongs to the next turn, so that none can keep a turn from ending. Exits
 * (RPI_OP_EXIT) come after all other operations that became ready in the same wait, so that the
 * last bytes of a child are seen before its end where both are known. Timers come after both, and
 * only after a look into the backend: what happened in time is never told as late because the loop
 * itself was. Everything that calls back is
 * called from the turn, one at a time; `running` says so and turns a nested run into RP_EDEADLK.
 *
 * Waking: `awake` is true from the end of a wait to just before the next, and whoever sends work
 * from another thread rings the bell only when he finds it false (and makes it true); the loop
 * looks for work again between making it false and sleeping, so no wake is lost and few are made.
 */
#ifndef RPI_REACTOR_REACTOR_H
#define RPI_REACTOR_REACTOR_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/alloc.h"
#include "base/heap.h"
#include "base/list.h"
#include "reactor/backend.h"
#include "reactor/op.h"
#include "rp/loop.h"

/** An embedded timer: fires once, from the turn; started again at will. */
typedef struct rpi_timer rpi_timer;
typedef void rpi_timer_fn(rpi_timer *timer);
struct rpi_timer {
    rpi_heap_node node;
    rpi_list due; /* in the list of those that fire in this turn */
    rpi_timer_fn *fire;
};

/** Something to be done by this turn, after the ready operations, once however often asked for.
 * Embedded. */
typedef struct rpi_task rpi_task;
typedef void rpi_task_fn(rpi_task *task);
struct rpi_task {
    rpi_list node;
    rpi_task_fn *run;
};

/** A bell that other threads ring: `run` is called once by a turn that begins after rpi_async_send,
 * however often it was sent meanwhile. Embedded; initialised and finished by the loop's thread. */
typedef struct rpi_async rpi_async;
typedef void rpi_async_fn(rpi_async *async);
struct rpi_async {
    rpi_list node;
    rpi_reactor *reactor; /* borrowed */
    rpi_async_fn *run;
    atomic_bool sent;
};

/** What every public handle that is closed with the loop (timer, watch, idle) begins with. */
typedef struct rpi_handle rpi_handle;
struct rpi_handle {
    rpi_list node;        /* of reactor->handles until its close */
    rpi_reactor *reactor; /* borrowed */
    /** The public close. */
    void (*close)(rpi_handle *handle);
    /** In a forked child: frees, and touches nothing of the parent's. */
    void (*drop)(rpi_handle *handle);
};

/** How time is told; tests give a fake one. */
typedef uint64_t rpi_clock_fn(void *user);

typedef struct rpi_reactor_options {
    const rp_allocator *allocator;      /* borrowed; NULL = the default */
    rp_backend backend;                 /* AUTO: RP_BACKEND of the environment, then the platform's
                                           order */
    const rpi_backend_api *backend_api; /* tests: this one, whatever `backend` says */
    rpi_clock_fn *clock;                /* tests; NULL = the monotonic clock */
    void *clock_user;
    bool return_on_signal;
} rpi_reactor_options;

struct rpi_reactor {
    const rp_allocator *allocator; /* borrowed */
    rpi_backend *backend;
    rpi_list operations;  /* rpi_op.node: pending in the backend */
    rpi_list ready;       /* rpi_op.node: completed, done not yet called */
    rpi_list ready_exits; /* the same for RPI_OP_EXIT */
    rpi_list tasks;       /* rpi_task.node */
    rpi_heap timers;
    rpi_list due;    /* rpi_timer.due: they fire in this turn */
    uint64_t now_ns; /* when this turn began, or its wait ended */
    rpi_clock_fn *clock;
    void *clock_user;
    uint32_t pending; /* operations in the backend */
    uint32_t left; /* what keeps rp_loop_run from returning: armed public timers, watches, and what
                      core/ adds */
    uint32_t unlooked; /* turns since the backend was last asked */
    bool running;      /* inside a turn */
    bool closing;      /* no operation is started any more */
    bool embedded;     /* another loop sleeps on our descriptor: see rpi_reactor_fd */
    bool forked;       /* being finished in a forked child */
    bool return_on_signal;
    uint64_t turns;
    uint64_t wakeups;      /* ends of a wait that could sleep */
    uint64_t callbacks;    /* called so far: timers, operations, posts, asyncs, tasks */
    atomic_bool stop;      /* rp_loop_stop asked: the next wait does not sleep */
    atomic_bool awake;     /* see above */
    rpi_list handles;      /* public timers and watches, closed with the reactor */
    rpi_list asyncs;       /* rpi_async.node: all of them */
    atomic_bool called_on; /* an async was sent or a post made since the last look */
    pthread_mutex_t post_mutex;
    struct rpi_post *post_first, **post_last; /* under post_mutex */
    bool posts_closed;                        /* under post_mutex */
    const unsigned char *fork_mark;           /* a page that reads 0 in a forked child, or NULL */
    int64_t owner_pid;                        /* where there is no such page */
};

/** 0; RP_EUNSUPPORTED for a named backend that the system lacks; RP_EINVAL for an unknown one or an
 * unknown RP_BACKEND; -ENOMEM, -EMFILE, ... */
int rpi_reactor_init(rpi_reactor *reactor, const rpi_reactor_options *options);

/** Closes public timers and watches, runs the remaining posts, cancels and waits for pending
 * operations (their done is called), closes the backend. Not from inside a turn. Timers, asyncs and
 * tasks that others embed are simply not called any more. */
void rpi_reactor_fini(rpi_reactor *reactor);

/** Closes public timers and watches, silently: before a closing loop waits for its children. */
void rpi_reactor_close_handles(rpi_reactor *reactor);

/** In a forked child: frees memory and descriptors, touches neither the kernel's ring nor the
 * registrations of the parent, calls nothing back. */
void rpi_reactor_fini_forked(rpi_reactor *reactor);

/** One turn: calls back what is ready or due; where nothing is, waits at most `timeout_ns` and
 * calls back what came. The number of callbacks (0: time was over, or only a wake came); RP_EDEADLK
 * from inside a callback; RP_EINTR with return_on_signal; RP_EPERM in a forked child, or in another
 * thread than the one that ran it first where the backend cannot move; other errors of the backend.
 */
int rpi_reactor_turn(rpi_reactor *reactor, uint64_t timeout_ns);

/** How long another loop may sleep for us: 0 when something is ready, RP_FOREVER when no timer is
 * armed. Submits what waits. */
uint64_t rpi_reactor_timeout_ns(rpi_reactor *reactor);

/** The descriptor that another loop waits on, or an error. From its first call on, every turn looks
 * into the backend. */
intptr_t rpi_reactor_fd(rpi_reactor *reactor);

/** Whether posts or asyncs wait to be called. */
bool rpi_reactor_has_posts(rpi_reactor *reactor);

/** [any thread, signal handler] Ends the wait under way, or the next one. */
void rpi_reactor_wake(rpi_reactor *reactor);

/** Whether this process was forked from the one that opened the reactor. */
bool rpi_reactor_is_forked(const rpi_reactor *reactor);

/** Backends: the operation is finished; its done will be called from the turn. */
void rpi_reactor_complete(rpi_reactor *reactor, rpi_op *op, int32_t result);

/** The clock of this reactor, now (now_ns is the turn's). */
uint64_t rpi_reactor_clock_ns(const rpi_reactor *reactor);

/** Reserves the timer's place in the heap: 0 or -ENOMEM. Then set and off cannot fail; fini gives
 * the place back. */
int rpi_timer_init(rpi_reactor *reactor, rpi_timer *timer, rpi_timer_fn *fire);
void rpi_timer_fini(rpi_reactor *reactor, rpi_timer *timer);

/** Fires at the point `at_ns` (RP_FOREVER = never), whatever was set before. */
void rpi_timer_set(rpi_reactor *reactor, rpi_timer *timer, uint64_t at_ns);
void rpi_timer_off(rpi_reactor *reactor, rpi_timer *timer);

void rpi_task_init(rpi_task *task, rpi_task_fn *run);
/** Asked for from the loop's thread; from another, post instead. */
void rpi_task_start(rpi_reactor *reactor, rpi_task *task);
void rpi_task_cancel(rpi_task *task);

void rpi_async_init(rpi_reactor *reactor, rpi_async *async, rpi_async_fn *run);
/** No thread sends any more. */
void rpi_async_fini(rpi_async *async);
/** [any thread, signal handler] */
void rpi_async_send(rpi_async *async);

/** The reactor that a public loop begins with (core/loop.h asserts it). */
static inline rpi_reactor *rpi_reactor_of(rp_loop *loop)
{
    return (rpi_reactor *)(void *)loop;
}

#endif
