/* running-process: the loop. One thread runs it; it waits for all children, timers and descriptors
 * at once and calls back. It stands alone (rp_loop_run) or inside another loop (rp_loop_fd).
 *
 * Conventions (results, units, threads, [runs], views): rp/base.h. */
#ifndef RP_LOOP_H
#define RP_LOOP_H

#include "rp/base.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum rp_backend { /* AUTO: the platform's completion backend, or its fallback */
    RP_BACKEND_AUTO = 0,
    RP_BACKEND_URING,
    RP_BACKEND_EPOLL,
    RP_BACKEND_KQUEUE,
    RP_BACKEND_IOCP
} rp_backend;

typedef struct rp_loop_options {
    size_t size;
    rp_backend backend; /* AUTO: RP_BACKEND=uring, =epoll or =kqueue of the environment, if set */
    uint32_t spawn_threads; /* 0 = chosen from the processors; RP_SPAWN_INLINE = none */
    size_t ring_size;       /* a stream's ring, bytes; 0 = 64 KiB; rounded up to a power of two */
    size_t memory_max;      /* rings and captures of the loop, bytes; 0 = unlimited; reached: reads
                               wait, captures are cut */
    uint32_t process_max;   /* live children; the rest wait in a queue, first in first out;
                               0 = unlimited */
    bool stay;              /* rp_loop_run returns on rp_loop_stop only: posts may come */
    bool return_on_signal;  /* [runs] functions return RP_EINTR when a signal handler interrupts
                               their  wait; call again to go on */
    rp_track *track;        /* rp/track.h; borrowed until the loop is closed; NULL = no tracking */
    const rp_allocator *allocator; /* copied; its user is used until rp_loop_close returns; NULL =
                                      malloc */
    /** 0 error, 1 warning, 2 debug; in the loop's thread; NULL = silent. */
    void (*log)(int level, const char *text, void *user);
    void *log_user;
} rp_loop_options;
#define RP_LOOP_OPTIONS_INIT RP_INIT(rp_loop_options)
#define RP_SPAWN_INLINE UINT32_MAX

/** Opens a loop that belongs to the calling thread. `options` may be NULL: all defaults.
 * 0; RP_EINVAL: no size, a ring_size above 1 GiB, an allocator without resize, an unknown backend,
 * also as RP_BACKEND in the environment; RP_E2BIG; RP_EUNSUPPORTED: the backend that is named (AUTO
 * finds one); RP_ENOMEM; RP_EMFILE: no descriptors left; other errors of the system.
 * Close it with rp_loop_close. */
RP_API int rp_loop_open(const rp_loop_options *options, rp_loop **ret_loop);

/** [runs] Until nothing is left. 0: nothing is left; 1: rp_loop_stop; RP_EDEADLK: from inside a
 * callback; RP_EINTR: see return_on_signal; RP_EPERM: another thread or a forked child; other
 * negative: the backend failed.
 * Left are: timers, watches, posts, processes until done (in pull mode until the exit is known),
 * and closed ones until reaped, detached ones excepted. With `stay` only rp_loop_stop ends it. */
RP_API int rp_loop_run(rp_loop *loop);

/** [runs] One turn: calls back what is ready; where nothing is, waits for it, also with nothing
 * left, for `timeout_ns` nanoseconds at most (0 = looks only, RP_FOREVER = no bound), and calls
 * back what came. The number of callbacks; 0 = none, as the time was over or rp_loop_stop was
 * called. Errors as rp_loop_run. */
RP_API int rp_loop_run_once(rp_loop *loop, uint64_t timeout_ns);

/** [any thread] and from signal handlers. Ends the [runs] call under way after its current
 * callback, or, where none is, the next one. Calls add up to one. Not while rp_loop_close runs or
 * after. */
RP_API void rp_loop_stop(rp_loop *loop);

/** [any thread] Has `task(loop, user)` called once by the loop's thread, out of its next turn, in
 * the order of the posts of one thread; rp_loop_close runs the rest. 0; RP_ENOMEM; RP_EINVAL: no
 * task; RP_ECANCELED: from a post that rp_loop_close runs; RP_EPERM: a forked child. Not while
 * rp_loop_close runs in another thread, or after. */
RP_API int rp_loop_post(rp_loop *loop, void (*task)(rp_loop *, void *), void *user);

/** A descriptor for another loop: while it is readable, call rp_loop_run_once(loop, 0). Ask
 * rp_loop_timeout_ns before every sleep. Owned by the loop, the same until its close; do not read
 * it. Windows: an event HANDLE. Negative: RP_EMFILE, RP_ENOMEM, RP_EPERM or the backend's error. */
RP_API intptr_t rp_loop_fd(rp_loop *loop);

/** How long, in nanoseconds, another loop may sleep on rp_loop_fd: 0 = something is ready,
 * RP_FOREVER = no timer is armed. Ask before every sleep: it also submits what waits to be
 * submitted. Rounding it up to milliseconds is harmless, rounding it down makes a busy loop. */
RP_API uint64_t rp_loop_timeout_ns(rp_loop *loop);

/** When this turn of the loop began, as rp_now_ns: the time of what its callbacks report. Outside
 * of callbacks: of the last turn, or of rp_loop_open. */
RP_API uint64_t rp_loop_now_ns(rp_loop *loop);

/** The backend in use; never AUTO. */
RP_API rp_backend rp_loop_backend(rp_loop *loop);

/** Calls `each(process, user)` for every process not yet closed, from the oldest, until it returns
 * false. `each` may close its own process and start others, which may or may not be seen; it is
 * called out of this function. `each` may be NULL. The number of processes seen (all, where each is
 * NULL); RP_EPERM: a forked child. */
RP_API int rp_loop_processes(rp_loop *loop, bool (*each)(rp_process *, void *), void *user);

/** [runs], not stopped by rp_loop_stop. Closes what is left (processes by their on_close), waits 5
 * s at most for their ends, runs the posts that wait, frees. Closes are silent: of the callbacks
 * only posts come. The number of processes not seen to end: 0 = all ended; RP_EDEADLK: from inside
 * a callback, nothing was closed. NULL is allowed: 0. In a forked child it frees memory, touches no
 * process, and returns 0. */
RP_API int rp_loop_close(rp_loop *loop);

/** What the loop has done since rp_loop_open, and what it holds now. */
typedef struct rp_loop_stats {
    size_t size;
    uint64_t spawned;      /* children that ran */
    uint64_t exited;       /* exits learned of */
    uint64_t bytes_read;   /* from all streams */
    uint64_t reads;        /* that brought bytes */
    uint64_t wakeups;      /* ends of waiting in the kernel */
    uint64_t kernel_calls; /* of the loop's thread in its backend */
    uint32_t live;         /* children now */
    uint32_t queued;       /* launches that wait */
    uint32_t descriptors;  /* open for children now */
    uint32_t ptys;         /* open now */
    size_t memory_bytes;   /* rings and captures now */
    uint64_t track_lost;   /* children that the track had to leave out, of all its loops */
} rp_loop_stats;

/** Fills as much of `ret_stats` as its size says; set the size before. 0; RP_EINVAL: no size;
 * RP_EPERM: a forked child. */
RP_API int rp_loop_get_stats(rp_loop *loop, rp_loop_stats *ret_stats);

/* ---- timers --------------------------------------------------------------- */

/** Calls `fire(timer, user)` after `delay_ns` nanoseconds (0 = in the next turn; RP_FOREVER = not
 * before rp_timer_set) and then every `repeat_ns` (0 = once). Late turns do not pile up: a
 * repeating timer fires once a turn at most and keeps to its grid. A fired single shot stays, for
 * rp_timer_set, until closed; with ret_timer NULL it closes itself (a repeating one then runs until
 * the loop is closed). An armed timer keeps rp_loop_run going, an idle one does not. 0; RP_EINVAL:
 * no fire; RP_ENOMEM; RP_EPERM: a forked child. Close it with rp_timer_close. */
RP_API int rp_timer_start(rp_loop *loop,
                          uint64_t delay_ns,
                          uint64_t repeat_ns,
                          void (*fire)(rp_timer *, void *),
                          void *user,
                          rp_timer **ret_timer);

/** Arms the timer anew, whatever was set before; delay_ns RP_FOREVER = off. Cannot fail. Also from
 * its own fire. Nothing happens in a forked child. */
RP_API void rp_timer_set(rp_timer *timer, uint64_t delay_ns, uint64_t repeat_ns);

/** Ends and frees the timer; it fires no more. Also from its own fire. NULL is allowed. */
RP_API void rp_timer_close(rp_timer *timer);

/* ---- watches -------------------------------------------------------------- */

enum {
    RP_READABLE = 1,
    RP_WRITABLE = 2
};

/** Any descriptor of the caller's, borrowed until the close; `ready(watch, events, user)` is called
 * once a turn for as long as it is ready for any of `events`. End of file, hang-up and errors count
 * as both readable and writable, as far as asked for. A regular file is always ready. Several
 * watches on one descriptor are allowed. Windows: a waitable HANDLE. 0; RP_EINVAL: no ready, no
 * events or unknown ones, a negative descriptor; -EBADF: not open; RP_ENOMEM; RP_EPERM: a forked
 * child; other errors of the system. Close it with rp_watch_close, before the descriptor. */
RP_API int rp_watch_start(rp_loop *loop,
                          intptr_t fd,
                          uint32_t events,
                          void (*ready)(rp_watch *, uint32_t events, void *),
                          void *user,
                          rp_watch **ret_watch);

/** Ends and frees the watch; the descriptor may be closed from now on. Also from its own ready.
 * NULL is allowed. */
RP_API void rp_watch_close(rp_watch *watch);

#ifdef __cplusplus
}
#elif defined(__STDC_VERSION__) && __STDC_VERSION__ >= 201112L
_Static_assert(sizeof(rp_backend) == sizeof(int),
               "enums have another size here: -fshort-enums is another ABI");
#endif
#endif
