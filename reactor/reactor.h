/* The reactor: one thread's queue of what is ready, its timers, its posts, and a backend to wait in. It knows nothing of
 * processes: the loop of core/ begins with one, and the public timers, watches and posts of this room find it there.
 *
 * A turn: [asyncs, posts] -> [due timers] -> [ready operations] -> [tasks] -> (nothing was called?) wait in the backend, once more. Everything that
 * calls back is called from the turn, one at a time; `running` says so and turns a nested run into RP_EDEADLK.
 * Exits (RPI_OP_EXIT) are drained after all other operations that became ready in the same wait, so that the last bytes of a
 * child are seen before its end where both are known. */
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
    rpi_timer_fn *fire;
};

/** Something to be done by this turn, after the ready operations, once however often asked for. Embedded. */
typedef struct rpi_task rpi_task;
typedef void rpi_task_fn(rpi_task *task);
struct rpi_task {
    rpi_list node;
    rpi_task_fn *run;
};

/** A bell that other threads ring: `run` is called once by a turn that begins after rpi_async_send, however often it was sent
 * meanwhile. Embedded; initialised and finished by the loop's thread. */
typedef struct rpi_async rpi_async;
typedef void rpi_async_fn(rpi_async *async);
struct rpi_async {
    rpi_list node;
    rpi_reactor *reactor; /* borrowed */
    rpi_async_fn *run;
    atomic_bool sent;
};

/** How time is told; tests give a fake one. */
typedef uint64_t rpi_clock_fn(void *user);

typedef struct rpi_reactor_options {
    const rp_allocator *allocator;      /* NULL = the default */
    rp_backend backend;                 /* AUTO: RP_BACKEND of the environment, then the platform's order */
    const rpi_backend_api *backend_api; /* tests: this one, whatever `backend` says */
    rpi_clock_fn *clock;                /* tests; NULL = the monotonic clock */
    void *clock_user;
    bool return_on_signal;
} rpi_reactor_options;

struct rpi_reactor {
    const rp_allocator *allocator;
    rpi_backend *backend;
    rpi_list ready;       /* rpi_op.node: completed, done not yet called */
    rpi_list ready_exits; /* the same for RPI_OP_EXIT */
    rpi_list tasks;       /* rpi_task.node */
    rpi_heap timers;
    uint64_t now_ns; /* when this turn began */
    rpi_clock_fn *clock;
    void *clock_user;
    uint32_t pending;    /* operations in the backend */
    uint32_t left;       /* what keeps rp_loop_run from returning: public timers and watches (and what core/ adds) */
    bool running;        /* inside a turn */
    bool return_on_signal;
    uint64_t turns, wakeups;
    uint64_t callbacks;  /* called so far: timers, operations, posts, tasks */
    atomic_bool stop;    /* rp_loop_stop asked */
    atomic_bool awake_wanted; /* a wake is under way: further ones are saved */
    rpi_list handles;    /* public timers and watches, closed with the reactor */
    rpi_list asyncs;     /* rpi_async.node: all of them */
    atomic_bool async_sent; /* at least one was sent since the last look */
    pthread_mutex_t post_mutex;
    struct rpi_post *post_first, **post_last; /* under post_mutex */
    const unsigned char *fork_mark; /* a page that reads 0 in a forked child (MADV_WIPEONFORK) */
    int64_t owner_pid;              /* where there is no such page */
};

/** 0; RP_EUNSUPPORTED for a named backend that the system lacks; -EINVAL for an unknown one or an unknown RP_BACKEND; -ENOMEM, -EMFILE, .... */
int rpi_reactor_init(rpi_reactor *reactor, const rpi_reactor_options *options);

/** Closes public timers and watches, runs the remaining posts, cancels and waits for pending operations, closes the backend. */
void rpi_reactor_fini(rpi_reactor *reactor);

/** In a forked child: frees memory, touches neither kernel ring nor descriptors' registrations of the parent. */
void rpi_reactor_fini_forked(rpi_reactor *reactor);

/** One turn: calls back what is ready or due; when nothing was, waits at most `timeout_ns` and calls back what came.
 * The number of callbacks (0: time was over, or only a wake came); RP_EDEADLK from inside a callback; -EINTR with return_on_signal; a backend's error. */
int rpi_reactor_turn(rpi_reactor *reactor, uint64_t timeout_ns);

/** How long a turn may sleep: 0 when something is ready, RP_FOREVER when no timer is armed. */
uint64_t rpi_reactor_timeout_ns(rpi_reactor *reactor);

/** [any thread, signal handler] Ends the wait under way, or the next one. */
void rpi_reactor_wake(rpi_reactor *reactor);

/** Whether this process was forked from the one that opened the reactor. */
bool rpi_reactor_is_forked(const rpi_reactor *reactor);

/** Backends: the operation is finished; its done will be called from the turn. */
void rpi_reactor_complete(rpi_reactor *reactor, rpi_op *op, int32_t result);

/** The clock of this reactor, now (now_ns is the turn's). */
uint64_t rpi_reactor_clock_ns(const rpi_reactor *reactor);

/** Reserves the timer's place in the heap: 0 or -ENOMEM. Then set and off cannot fail; fini gives the place back. */
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
void rpi_async_fini(rpi_async *async);
/** [any thread, signal handler] */
void rpi_async_send(rpi_async *async);

/** The reactor that a public loop begins with (core/loop.h asserts it). */
static inline rpi_reactor *rpi_reactor_of(rp_loop *loop)
{
    return (rpi_reactor *)(void *)loop;
}

#endif
