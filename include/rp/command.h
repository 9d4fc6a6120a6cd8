/* running-process: the command. What to run and how, as one struct that rp_spawn and rp_run take;
 * it is copied in the call, nothing of it is used afterwards. Every field is zero by default:
 *
 *     const char *argv[] = {"cc", "-c", "a.c", NULL};
 *     rp_command command = RP_COMMAND_INIT;
 *     command.argv = argv;
 *
 * What a command must not be is checked in the call, with the field's name in rp_error_detail; the
 * errors are listed at rp_spawn (rp/process.h). Conventions: rp/base.h. */
#ifndef RP_COMMAND_H
#define RP_COMMAND_H

#include "rp/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/** A stream of a child. A PTY's output is RP_STDOUT. */
typedef enum rp_stream {
    RP_STDIN = 0,
    RP_STDOUT = 1,
    RP_STDERR = 2,
    RP_BOTH = 3
} rp_stream;

typedef enum rp_transport {
    RP_PIPES = 0,        /* a process group of its own: the terminal's Ctrl-C and input do not reach
                            it */
    RP_PTY,              /* a pseudo-terminal; in, out and err stay RP_STDIO_DEFAULT */
    RP_CONSOLE_SHARED,   /* in the caller's process group: has its terminal, shares Ctrl-C; streams
                            may   still be redirected */
    RP_CONSOLE_ISOLATED, /* own process group, Ctrl-C stays the caller's. POSIX: in the background,
                            so stdin defaults to RP_STDIO_NULL */
    RP_CONSOLE_FOREGROUND /* own process group that has the terminal while it runs, as a shell's
                             job. Windows: RP_EUNSUPPORTED */
} rp_transport;

typedef enum rp_stdio_kind {
    RP_STDIO_DEFAULT = 0, /* pipes: stdin RP_STDIO_NULL, outputs RP_STDIO_PIPE; consoles:
                             RP_STDIO_INHERIT */
    RP_STDIO_PIPE,        /* a pipe between child and loop: rp_write, or data and lines */
    RP_STDIO_NULL,        /* /dev/null */
    RP_STDIO_INHERIT,     /* the caller's own of that number, as it is at the launch; closed there =
                             closed in the child */
    RP_STDIO_FD,          /* `fd` */
    RP_STDIO_FILE,        /* `path`; stdin: opened for reading; outputs: created or truncated, or
                             appended to */
    RP_STDIO_MERGE        /* stderr only: to wherever stdout goes, in exact write order */
} rp_stdio_kind;

/* RP_CONSOLE_FOREGROUND needs a controlling terminal (else rp_spawn gives RP_EINVAL), whatever
 * stdin is, and that the caller is in its foreground when the child is launched (else the launch
 * fails with RP_EBUSY, phase "terminal"). The child's group has the terminal before its program
 * runs. When the child ends, is stopped (rp_handlers.stopped) or is closed, the caller's group has
 * it again, with the settings that it had before the launch, however the child left them. If the
 * caller dies instead, a guard, a small process that is made beside the child, does the same, and
 * the child is in the background: what it reads then is an error. The terminal stays with the
 * caller's shell where that has taken it meanwhile. One such child at a time in a process. */

/** Where one of the child's three streams goes. Fields that its kind does not use stay zero. */
typedef struct rp_stdio {
    rp_stdio_kind kind;
    bool append;      /* RP_STDIO_FILE, outputs */
    intptr_t fd;      /* RP_STDIO_FD; yours may be closed after the call; Windows: a HANDLE */
    const char *path; /* RP_STDIO_FILE; seen from the caller's directory; opened at the launch, mode
                         0666 less the umask */
    uint64_t reserved[2];
} rp_stdio;

/** A further descriptor for the child, beyond stdin, stdout and stderr. */
typedef struct rp_fd {
    intptr_t parent; /* yours may be closed after the call */
    int child;       /* its number there, 3 to 65,535, each once; Windows: 0, the HANDLE keeps its
                        value */
} rp_fd;

/** When `done` comes after the exit: see rp_exit.holders. */
typedef enum rp_drain {
    RP_DRAIN_ON_EXIT = 0, /* after exit deliver all that is in the pipe, then done: a grandchild
                             that holds it delays nothing */
    RP_DRAIN_TO_EOF,      /* wait for every holder to close */
    RP_DRAIN_GRACE        /* to end of file, for drain_grace_ns at most */
} rp_drain;

/** What rp_process_close does to a child that still runs. Detached: its pipes close; the loop still
 * reaps it. */
typedef enum rp_on_close {
    RP_ON_CLOSE_KILL = 0,
    RP_ON_CLOSE_DETACH
} rp_on_close;

/** Which end of more output than capture_max is kept. */
typedef enum rp_keep {
    RP_KEEP_HEAD = 0,
    RP_KEEP_TAIL
} rp_keep;

/** What ends a line. LF: "\r\n" is one end, bare "\r" is kept. */
typedef enum rp_line_end {
    RP_LINE_LF = 0,
    RP_LINE_CR_OR_LF,
    RP_LINE_NUL
} rp_line_end;

enum { /* for rp_command.nice */
    RP_PRIORITY_HIGH = -5,
    RP_PRIORITY_NORMAL = 0,
    RP_PRIORITY_LOW = 5,
    RP_PRIORITY_MINIMAL = 15
};

/** Reached: the tree is stopped, RP_STOP_LIMIT; rp_exit.phase names the field. Until done or the
 * close; memory_bytes and processes as long as anybody of the tree lives.
 *
 * memory_bytes and processes are held by the system (Linux: a cgroup v2 of the child's own, which
 * needs the controllers "memory" and "pids": as root outside of services, or in a leaf of a cgroup
 * that is delegated, as in systemd's Delegate= with DelegateSubgroup=). Where it cannot,
 * RP_EUNSUPPORTED, as nothing else means the same. cpu_ns is counted by the system where a cgroup
 * can be made (no controller is needed), nobody escapes; else by looks at all processes, for which
 * the tree is who descends from the child or is in its group or session, and what a process used
 * that ended before its parent waited for it is not counted. It is looked at when it can be
 * reached, were all processors the tree's own: at most 10 ms (looks: 50 ms, more where a look is
 * slow) times the processors too late. */
typedef struct rp_limits {
    size_t size;
    uint64_t memory_bytes; /* of the tree, without swap; 0 = none. Beyond it the system kills the
                              whole tree: rp_exit.oom_killed */
    uint64_t cpu_ns;       /* of the tree; 0 = none */
    uint64_t output_bytes; /* both streams together; 0 = none */
    uint32_t open_files;   /* the child's RLIMIT_NOFILE; 0 = unchanged */
    uint32_t processes;    /* in the tree, threads too; 0 = none. One more is refused (EAGAIN) */
} rp_limits;

/** How to stop a tree: interrupt, interrupt again, terminate, kill; each step waits for the whole
 * tree to go. */
typedef struct rp_stop_options {
    size_t size;
    uint64_t grace_ns; /* after each interrupt; 0 = 1 s */
    bool no_second_interrupt;
    bool no_interrupt;     /* begin with terminate */
    int terminate_signal;  /* 0 = SIGTERM */
    uint64_t terminate_ns; /* after terminate; 0 = no such step (with no_interrupt: 2 s) */
    uint64_t kill_ns;      /* after kill; 0 = 2 s; then done comes all the same, with
                              rp_exit.survivors */
} rp_stop_options;

/** On Windows RP_EUNSUPPORTED. */
typedef struct rp_posix {
    size_t size;
    bool new_session; /* setsid() */
    bool no_core;     /* RLIMIT_CORE 0 */
    bool set_umask;   /* to `umask` */
    bool set_ids;     /* to `uid`, `gid` and `groups` */
    uint32_t umask;   /* 0 to 0777 */
    uint32_t uid, gid;
    const uint32_t *groups; /* with set_ids: exactly these supplementary groups */
    size_t group_count;
} rp_posix;

/** Elsewhere RP_EUNSUPPORTED. */
typedef struct rp_windows {
    size_t size;
    bool verbatim; /* argv joined by spaces, unquoted */
    bool hide_window;
    uint32_t creation_flags;
} rp_windows;

/** In the child all signals are unblocked and at their defaults (an ignored SIGHUP stays so). */
typedef struct rp_command {
    size_t size;
    const char *const *argv; /* NULL-terminated; exactly one of argv and shell */
    const char *shell;       /* one line for the system's shell; "" is one. POSIX: /bin/sh -c, not a
                                login shell */
    const char *program;     /* the file to run; NULL = argv[0]. Without a slash: searched on the
                                child's PATH; else seen from cwd */
    const char *cwd;         /* NULL = the caller's */
    const char *const *env;  /* NULL-terminated "NAME=value"; a bare "NAME" removes it; of two the
                                last  counts */
    bool env_clear;          /* start empty instead of from the caller's environment as it is in the
                                call */
    rp_transport transport;
    rp_stdio in, out, err;
    const rp_fd *fds; /* exactly these and the three above reach the child */
    size_t fd_count;
    rp_view input;    /* written to stdin, which is then closed (PTY: its end-of-file key); implies
                         RP_STDIO_PIPE */
    size_t write_max; /* bytes queued for stdin; 0 = unlimited; beyond it rp_write gives RP_EAGAIN;
                         an empty queue takes all */
    uint16_t pty_rows, pty_cols; /* 0 = 24, 80 */
    bool screen;                 /* PTY: keep a screen */
    int nice;                    /* 0 = unchanged; -20 to 19, absolute */
    rp_group *group;
    const char *originator;  /* "TOOL": the child and its descendants carry
                                RUNNING_PROCESS_ORIGINATOR=TOOL:PID, over what env says; NULL = as
                                env says, never as the caller's environment has it, where it may
                                name a launcher that is long gone */
    uint64_t timeout_ns;     /* wall clock from started to done; 0 = none; RP_STOP_TIMEOUT */
    uint64_t deadline_at_ns; /* the same as a point in time, while queued too (then RP_SPAWN_FAILED,
                                RP_ETIMEDOUT); 0 = none */
    uint64_t quiet_timeout_ns;   /* without a byte on any stream while we were ready to read; 0 =
                                    none;   RP_STOP_QUIET */
    const rp_stop_options *stop; /* how timeouts and limits stop the tree; NULL = terminate, 2 s,
                                    kill */
    rp_drain drain;
    uint64_t drain_grace_ns; /* with RP_DRAIN_GRACE only; 0 = 100 ms */
    size_t ring_size;        /* bytes, up to 1 GiB; 0 = the loop's */
    size_t capture_max;      /* bytes kept a stream; 0 = none (rp_run: all); RP_UNLIMITED; more than
                                that does not stop the child */
    rp_keep capture_keep;
    bool capture_order; /* also keep order and times, for rp_process_captured_chunk */
    size_t line_max; /* bytes of the longest line delivered whole; 0 = 1 MiB; longer comes in pieces
                        marked partial */
    rp_line_end line_end;
    rp_on_close on_close;
    const rp_limits *limits;
    const rp_posix *posix;
    const rp_windows *windows;
} rp_command;
#define RP_COMMAND_INIT RP_INIT(rp_command)

#ifdef __cplusplus
}
#endif
#endif
