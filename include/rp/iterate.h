/* running-process: pull mode, and running a command to its end. For programs that would rather ask
 * than be called back: a process spawned without handlers is read with these functions, which run
 * the loop while they wait. rp_run needs no loop at all.
 *
 *     while (rp_next_line(process, RP_STDOUT, RP_FOREVER, &line) == 1) { ... }
 *
 * Conventions (results, units, threads, [runs], views): rp/base.h. */
#ifndef RP_ITERATE_H
#define RP_ITERATE_H

#include "rp/base.h"
#include "rp/command.h"
#include "rp/loop.h"
#include "rp/process.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum rp_event_kind {
    RP_EVENT_LINE,
    RP_EVENT_DATA,
    RP_EVENT_EOS,
    RP_EVENT_EXIT
} rp_event_kind;

typedef struct rp_event {
    rp_event_kind kind;
    rp_stream stream;    /* all but RP_EVENT_EXIT */
    rp_line line;        /* RP_EVENT_LINE */
    rp_view bytes;       /* RP_EVENT_DATA: PTY output comes in chunks, not lines */
    const rp_exit *exit; /* RP_EVENT_EXIT: always the last; until the close */
    uint64_t seq, time_ns, reserved[4];
} rp_event;

/** [runs] The next event of a process in pull mode, in the order read: lines, the end of each piped
 * stream, and last the exit. What nobody pulls fills its ring, then the child waits.
 * `timeout_ns`: nanoseconds; 0 = only what is there, after one look; RP_FOREVER.
 * 1 = one came; 0 = the end: the exit was pulled before; RP_ETIMEDOUT; RP_EINVAL: a process with
 * handlers, or one that rp_wait was called for; RP_ECANCELED: closed meanwhile, or rp_loop_stop;
 * RP_EDEADLK: from inside a callback; RP_EINTR: see rp_loop_options; RP_EPERM: another thread or a
 * forked child; else the loop's error.
 */
RP_API int rp_next(rp_process *process, uint64_t timeout_ns, rp_event *ret_event);

/** [runs] The same over all processes of the loop in pull mode, in turn. 0 = the end: none is left
 * that has an event to come. Views until the next pulling call on that process. Results as rp_next.
 */
RP_API int
rp_next_any(rp_loop *loop, uint64_t timeout_ns, rp_process **ret_process, rp_event *ret_event);

/** [runs] The next line of RP_STDOUT, RP_STDERR or RP_BOTH (as read). Results as rp_next, 0 = that
 * stream's end; and RP_ENOBUFS: nothing came, and the other stream's ring is full, so nothing may
 * ever come: pull that one. RP_EINVAL: also another stream, or one that is no pipe. */
RP_API int
rp_next_line(rp_process *process, rp_stream stream, uint64_t timeout_ns, rp_line *ret_line);

/** [runs] All bytes that are there of RP_STDOUT or RP_STDERR, at least one. Results as
 * rp_next_line. */
RP_API int
rp_next_data(rp_process *process, rp_stream stream, uint64_t timeout_ns, rp_view *ret_bytes);

/** [runs] Waits for done; kills nothing. In pull mode unread output, old and new, is dropped (a
 * capture keeps it). 0 = done, also when it was before; RP_ETIMEDOUT; other errors as rp_next, but
 * a process with handlers is allowed. */
RP_API int rp_wait(rp_process *process, uint64_t timeout_ns);

/* ---- run to the end ------------------------------------------------------- */

typedef struct rp_result {
    rp_exit exit;
    rp_view out, err; /* raw bytes, owned by the result; a NUL follows */
    bool out_truncated, err_truncated;
    uint64_t reserved[4];
} rp_result;

/** [any thread] Runs a command to its end in a loop of its own, captures both streams (capture_max
 * 0: all), cannot deadlock. 0: it ended, or could not be started: see ret_result->exit
 * (RP_SPAWN_FAILED); release the result with rp_result_free. Negative: errors of rp_loop_open and
 * rp_spawn. */
RP_API int rp_run(const rp_command *command, rp_result *ret_result);

/** [runs] The same in a loop of the caller's, whose other callbacks come meanwhile. RP_ECANCELED:
 * rp_loop_stop; on this and any other error the tree is killed. Errors of rp_spawn and rp_next. */
RP_API int rp_run_on(rp_loop *loop, const rp_command *command, rp_result *ret_result);

/** Frees what a result points to, not the struct, and empties it; a result that is all zero is
 * allowed, NULL too. [any thread] */
RP_API void rp_result_free(rp_result *result);

#ifdef __cplusplus
}
#endif
#endif
