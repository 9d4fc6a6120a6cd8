/* running-process: one child, from rp_spawn to its close: handlers, input, signals, what came of
 * it.
 *
 * The order of a life: started; data and line (data first) as they come; eos of each piped stream;
 * done, which comes once and last. exited comes anywhere between started and done. A launch that
 * failed: done alone. Pending writes report before done.
 *
 * A process without handlers is in pull mode: see rp/iterate.h. All functions belong to the loop's
 * thread but those marked [any thread]; in a forked child those that return int give RP_EPERM and
 * the others do nothing. Conventions: rp/base.h. */
#ifndef RP_PROCESS_H
#define RP_PROCESS_H

#include "rp/base.h"
#include "rp/command.h"
#include "rp/loop.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- what came of a child ------------------------------------------------- */

typedef enum rp_exit_kind {
    RP_EXITED = 0,
    RP_SIGNALED,
    RP_SPAWN_FAILED, /* never ran: error and phase say why */
    RP_LOST          /* the host reaped it; that it ended is known, how is not */
} rp_exit_kind;

typedef enum rp_stop_reason {
    RP_STOP_NONE = 0,
    RP_STOP_INTERRUPT,
    RP_STOP_TERMINATE,
    RP_STOP_KILL,
    RP_STOP_TIMEOUT,
    RP_STOP_QUIET,
    RP_STOP_LIMIT,
    RP_STOP_CLOSE
} rp_stop_reason;

typedef struct rp_exit {
    rp_exit_kind kind;
    int code;          /* 0 only if the child said so. Its exit code (Windows: all 32 bits, also of
                          what we killed); -signal; RP_SPAWN_FAILED: 127 not found, else 126;
                          RP_LOST: RP_ELOST */
    int signal;        /* RP_SIGNALED: its number; else 0 */
    int error;         /* RP_SPAWN_FAILED: negative; RP_ECANCELED, RP_ETIMEDOUT = stopped before it
                          began */
    int system_error;  /* the same in the system's own numbers: errno, GetLastError */
    const char *phase; /* RP_SPAWN_FAILED: "pipe", "clone", "chdir", "exec", ...; RP_STOP_LIMIT:
                          "memory_bytes", ...; static or NULL */
    rp_stop_reason reason; /* what set out first to stop it; if a call did (rp_stop, rp_kill, ...),
                              the step that ended it */
    rp_stop_reason step;   /* the last step sent: RP_STOP_INTERRUPT, _TERMINATE, _KILL; or _NONE */
    uint32_t interrupts;   /* sent */
    bool abnormal;         /* neither a 0 of its own nor interrupted */
    bool interrupted;      /* ended as an interrupt ends it: by SIGINT, or with 130 */
    bool core_dumped;
    bool possible_oom;  /* SIGKILL, which may have been the system's for want of memory */
    bool oom_killed;    /* it was, as far as the system tells */
    uint32_t holders;   /* 0 = nobody held a stream when it was drained; else as many as are known
                           without a scan, 1 or more */
    uint32_t survivors; /* of the tree, where a kill was given up */
    /** Points in time; 0 = never. launched: before the system is asked, started: the program runs;
     * both precise, exited: as soon as the loop learns of it. */
    uint64_t queued_ns, launched_ns, started_ns, first_output_ns, exited_ns, done_ns;
    uint64_t user_ns, system_ns, max_rss_bytes; /* the child and those it waited for */
    uint64_t minor_faults, major_faults, voluntary_switches, involuntary_switches;
    uint64_t in_bytes, out_bytes, err_bytes; /* through us */
    uint64_t reserved[8];
} rp_exit;

/** [any thread] One sentence for a person: "Process exited from SIGKILL (return code -9); this may
 * indicate a forced kill or OOM condition". As snprintf: writes at most text_size bytes with a NUL
 * at the end and returns the length of the whole; text may be NULL when text_size is 0. RP_EINVAL:
 * `exit` is NULL. */
RP_API int rp_exit_summary(const rp_exit *exit, char *text, size_t text_size);

/* ---- handlers ------------------------------------------------------------- */

typedef struct rp_line {
    rp_view text; /* without its end */
    bool partial; /* longer than line_max: more of it follows */
    bool unended; /* last line, no newline before end of stream */
    uint64_t seq; /* one order over both streams of the process, as read */
    uint64_t time_ns, reserved[2];
} rp_line;

/** What is called back for a process; each may be NULL. Out of [runs] functions, one at a time. */
typedef struct rp_handlers {
    void (*started)(rp_process *process, void *user);
    /** Bytes as they come, straight from the ring. */
    void (*data)(rp_process *process, rp_stream stream, rp_view bytes, void *user);
    void (*line)(rp_process *process, rp_stream stream, const rp_line *line, void *user);
    /** No more data or line of this stream. */
    void (*eos)(rp_process *process, rp_stream stream, void *user);
    /** At once; output may still be draining. */
    void (*exited)(rp_process *process, const rp_exit *exit, void *user);
    /** Once and last, for every rp_spawn that returned 0, if the process was not closed before. */
    void (*done)(rp_process *process, const rp_exit *exit, void *user);
    /** RP_CONSOLE_FOREGROUND: a signal has stopped the child (SIGTSTP: Ctrl-Z), and its terminal is
     * the caller's again, as it was. rp_signal with SIGCONT hands it over once more and lets the
     * child go on. Learned at most 0.1 s after it happened. */
    void (*stopped)(rp_process *process, int signal, void *user);
    /** timeout_ns, deadline_at_ns (RP_STOP_TIMEOUT) or quiet_timeout_ns (RP_STOP_QUIET) is over,
     * and the child runs; rp_exit.reason is set, and none of the three comes again. True: the tree
     * is stopped now, as without a handler. False: not yet, as the child is to be looked at while
     * it lives: from here on rp_stop or rp_kill is up to you. */
    bool (*timed_out)(rp_process *process, rp_stop_reason reason, void *user);
    void (*reserved[8])(void);
} rp_handlers;

/** Checks the command, queues the launch and returns; what goes wrong later arrives as
 * done(RP_SPAWN_FAILED). `handlers` are copied; NULL: pull mode. ret_process NULL: the process
 * closes itself after done, and without handlers drops its output. Before started, writes wait and
 * a stop of any kind cancels the launch (RP_ECANCELED). After done, stops do nothing and return 0,
 * writes give RP_EPIPE.
 *
 * 0, and `done` will come; or an error, nothing was started, and rp_error_detail names the field:
 *
 * - RP_EINVAL: no size; a field out of its range; fields that contradict each other: neither or
 *   both of argv and shell, an empty program name, input with a stdin that is no pipe,
 *   RP_STDIO_MERGE for anything but stderr, a child descriptor below 3 or given twice, an
 *   environment entry without a name, drain_grace_ns without RP_DRAIN_GRACE, ...
 * - RP_E2BIG: bytes are set beyond what this library knows of a struct
 * - RP_ENOENT, -ENOTDIR, RP_EACCES, ...: cwd
 * - -EBADF: a descriptor of yours that is not open
 * - RP_EUNSUPPORTED: what this system or build cannot: RP_PTY without pseudo-terminals, limits that
 *   it cannot hold, rp_windows, ...
 * - RP_EBUSY: RP_CONSOLE_FOREGROUND while another such child, or a relay, has the terminal
 * - RP_EAGAIN: another thread changed the environment during the call
 * - RP_ECANCELED: the loop is being closed
 * - RP_ENOMEM, RP_EMFILE; RP_EPERM: a forked child */
RP_API int rp_spawn(rp_loop *loop,
                    const rp_command *command,
                    const rp_handlers *handlers,
                    void *user,
                    rp_process **ret_process);

/* ---- asking --------------------------------------------------------------- */

/** The loop that it belongs to. */
RP_API rp_loop *rp_process_loop(const rp_process *process);

/** The `user` of rp_spawn or of the last rp_process_set_user. */
RP_API void *rp_process_user(const rp_process *process);

/** The next callback gets it. */
RP_API void rp_process_set_user(rp_process *process, void *user);

/** The child's number; 0 before started, and for a launch that failed. It stays after the exit,
 * when the number may be another process's: signal through this library or rp_process_handle. */
RP_API int64_t rp_process_pid(const rp_process *process);

/** Its pidfd or HANDLE, borrowed until the close; negative = none: before started, after a launch
 * that failed, or where the system has no such thing. */
RP_API intptr_t rp_process_handle(const rp_process *process);

/** From rp_spawn to the exit, or to the launch's failure. */
RP_API bool rp_process_is_running(const rp_process *process);

/** NULL while running; what is known from the exit on; complete at done. Borrowed until the close.
 */
RP_API const rp_exit *rp_process_exit(const rp_process *process);

/** What was captured so far of RP_STDOUT or RP_STDERR (with RP_STDIO_MERGE all is in RP_STDOUT);
 * empty without capture_max and for other streams. *ret_truncated (may be NULL): there was more
 * than capture_max or the loop's memory_max let keep, or the system failed to read it. The view is
 * yours until the loop runs next, after done until the close. */
RP_API rp_view rp_process_captured(const rp_process *process,
                                   rp_stream stream,
                                   bool *ret_truncated);

/** A piece of one stream, as it was read at once. */
typedef struct rp_chunk {
    rp_stream stream;
    rp_view bytes;
    uint64_t seq, time_ns, reserved[2];
} rp_chunk;

/** Both captured streams in the order read: the `index`th piece, from 0. 1 = there; 0 = the end;
 * RP_EINVAL: without capture_order. The view lives as rp_process_captured's. */
RP_API int rp_process_captured_chunk(const rp_process *process, size_t index, rp_chunk *ret_chunk);

/** Lets the capture of RP_STDOUT, RP_STDERR or RP_BOTH go; capturing goes on with nothing kept. The
 * bytes freed. */
RP_API size_t rp_process_discard_captured(rp_process *process, rp_stream stream);

/** Bytes of RP_STDOUT, RP_STDERR or RP_BOTH that are read and not yet consumed; 0 for other
 * streams. */
RP_API size_t rp_process_available(const rp_process *process, rp_stream stream);

/** Bytes queued for stdin that the system does not have yet. */
RP_API size_t rp_process_unwritten(const rp_process *process);

/* ---- input ---------------------------------------------------------------- */

/** Queues bytes for stdin: copied, written in order without ever blocking the loop.
 * `written(process, status, user)` may be NULL; its status: 0 = the system has it all, RP_EPIPE =
 * the child is gone or closed its stdin, RP_EMSGSIZE = with a line longer than the terminal takes,
 * nothing of it was written; or another error of the system. Size 0 is allowed: written comes after
 * what was queued before. 0; RP_EPIPE: after rp_close_stdin, after done, or the child closed its
 * end; RP_EINVAL: stdin is no pipe, or no data; RP_EAGAIN: the queue is not empty and would grow
 * beyond write_max, nothing was queued; RP_ENOMEM. */
RP_API int rp_write(rp_process *process,
                    rp_view bytes,
                    void (*written)(rp_process *, int status, void *),
                    void *user);

/** Closes stdin after all that is queued; a PTY gets its end-of-file key (once more where a line
 * was begun, which the first one ends), if it edits lines when its turn comes: in raw mode no key
 * ends anything, and only the log is told. 0, also when it is closed already or the child is gone;
 * RP_EINVAL: stdin is no pipe; RP_EUNSUPPORTED: a PTY in raw mode with nothing queued: it stays
 * open. */
RP_API int rp_close_stdin(rp_process *process);

/** As rp_write without `written`, and counts as a submit for idle detection. */
RP_API int rp_submit(rp_process *process, rp_view bytes);

/* ---- back-pressure -------------------------------------------------------- */

/** At once no data, line or eos of RP_STDOUT, RP_STDERR or RP_BOTH; the child blocks once its pipe
 * is full; done waits. Twice is as once. 0; RP_EINVAL: another stream, or pull mode. */
RP_API int rp_pause(rp_process *process, rp_stream stream);

/** Ends the pause; what waits comes out of the loop. 0, also without a pause; errors as
 * rp_pause. */
RP_API int rp_resume(rp_process *process, rp_stream stream);

/** Closes our end of RP_STDOUT, RP_STDERR or RP_BOTH: a child that writes on gets SIGPIPE or EPIPE,
 * as if its reader had gone; a PTY hangs up as a whole. What was read before still comes, then eos.
 * 0, also when it has ended already; RP_EAGAIN: before started; RP_EINVAL: another stream. */
RP_API int rp_close_output(rp_process *process, rp_stream stream);

/* ---- signals and stopping ------------------------------------------------- */

/** Whom a signal is for: all of the tree, the child alone, the foreground group of its PTY. The
 * tree is the child's process group; where it leads a session (RP_PTY, rp_posix.new_session) all
 * groups of that, which jobs of a shell are: those beside its own get it by the end of the loop's
 * turn. */
typedef enum rp_scope {
    RP_SCOPE_TREE = 0,
    RP_SCOPE_LEADER,
    RP_SCOPE_FOREGROUND
} rp_scope;

/** Sends any signal (0 = only looks); is no stop. 0; RP_ESRCH: it has ended; RP_EAGAIN: before
 * started; RP_EINVAL: no such signal, no such scope; RP_EPERM: the system refuses. Windows, and
 * RP_SCOPE_FOREGROUND without a PTY: RP_EUNSUPPORTED. */
RP_API int rp_signal(rp_process *process, int signal, rp_scope scope);

/** SIGINT / Ctrl-C to the tree, in a PTY to the foreground group. 0, also after the end; before
 * started it cancels the launch; RP_EPERM: the system refuses. */
RP_API int rp_interrupt(rp_process *process);

/** SIGTERM / Ctrl-Break to the tree. Results as rp_interrupt. */
RP_API int rp_terminate(rp_process *process);

/** Kills the whole tree, verified: looks again until it is empty or 2 s are over; see
 * rp_exit.survivors. Results as rp_interrupt. */
RP_API int rp_kill(rp_process *process);

/** Starts the ladder of rp_stop_options and returns; NULL: interrupt, again, kill, with the
 * defaults. A stronger stop overtakes the one under way, a weaker one changes nothing. 0, also
 * after the end; RP_EINVAL: no size, no such signal; RP_E2BIG; RP_ENOMEM. */
RP_API int rp_stop(rp_process *process, const rp_stop_options *options);

/** Ends the handle at any moment, also from its own callbacks, none of which follow. A child that
 * runs is killed or let go (on_close; its PTY hangs up then, too); the loop reaps it and frees all.
 * NULL is allowed. */
RP_API void rp_process_close(rp_process *process);

/* ---- identity ------------------------------------------------------------- */

/** Who a process is, beyond its reusable number. */
typedef struct rp_identity {
    int64_t pid;
    uint64_t start_time_ms; /* wall clock */
    uint64_t unique;        /* the kernel's own id of it; 0 = none */
} rp_identity;

/** Who the child is. 0; RP_EAGAIN: before started; RP_ESRCH: it never ran, or had ended before it
 * could be asked. */
RP_API int rp_process_identity(const rp_process *process, rp_identity *ret_identity);

/** [any thread] Who has this number now. 0; RP_ESRCH: nobody; RP_EINVAL: not above 0; other errors
 * of the system. */
RP_API int rp_identify(int64_t pid, rp_identity *ret_identity);

#ifdef __cplusplus
}
#endif
#endif
