/* A launch: everything that starting one child takes, and what came of it. rp_spawn builds it from
 * the command (nothing of the caller's memory is used later, descriptors are duplicated), the
 * admission queue holds it, a spawner carries it out, and the process takes the results and frees
 * it. One owner at a time: process -> spawner -> process. */
#ifndef RPI_CORE_LAUNCH_H
#define RPI_CORE_LAUNCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/alloc.h"
#include "base/list.h"
#include "rp/command.h"

typedef enum rpi_end_kind {
    RPI_END_NULL = 0, /* /dev/null */
    RPI_END_PIPE,     /* a new pipe: the child's end there, ours in rpi_launch.pipes */
    RPI_END_INHERIT, /* the host's descriptor of that number, as it is at the launch; closed there =
                        closed here */
    RPI_END_FD,      /* `fd`, a duplicate that the launch owns */
    RPI_END_FILE, /* `path` is opened with `open_flags`, mode 0666, seen from the caller's directory
                   */
    RPI_END_MERGE, /* 2 only: whatever 1 is */
    RPI_END_PTY    /* all three: a new pseudo-terminal, the child's controlling one */
} rpi_end_kind;

typedef struct rpi_launch_end {
    rpi_end_kind kind;
    int fd;         /* RPI_END_FD: owned, close-on-exec, above 2; else -1 */
    int open_flags; /* RPI_END_FILE */
    const char *path;
} rpi_launch_end;

typedef struct rpi_launch_fd {
    int fd;    /* a duplicate that the launch owns, close-on-exec, above 2; Windows: the caller's */
    int child; /* its number in the child, 3 or more; no two are the same; Windows: 0 */
} rpi_launch_fd;

typedef struct rpi_launch {
    rpi_list node;                 /* of whoever owns the launch */
    const rp_allocator *allocator; /* borrowed */
    size_t block_size;             /* bytes of this struct and all it points to, one block */
    void *user;                    /* the process */

    /* What is asked for; nobody writes it after the build. */
    char *const *argv; /* a shell's: {"/bin/sh", "-c", text}, no login shell */
    char *const *env;
    const char *const *programs; /* tried in turn as execvp does (PATH already applied); at least
                                    one, NULL-terminated; relative ones are seen from cwd */
    const char *cwd;             /* NULL = the caller's */
    rpi_launch_end ends[3];
    rpi_launch_fd *fds;
    size_t fd_count;
    int fd_max;       /* the highest number in the child, 2 or more */
    bool own_group;   /* setpgid(0, 0) */
    bool foreground;  /* and that group gets the terminal from the caller's */
    bool new_session; /* setsid() instead */
    bool terminal;    /* ends are RPI_END_PTY; a new session */
    bool no_core;     /* RLIMIT_CORE 0 */
    bool set_umask;
    bool set_ids;
    uint16_t pty_rows, pty_cols;
    uint32_t umask;
    uint32_t uid, gid;
    const uint32_t *groups;
    size_t group_count;
    const char *cgroup; /* the folder of the one that the child is born in; NULL = the caller's */
    bool enters_cgroup; /* by itself: it must not be born there */
    int nice;           /* 0 = unchanged; absolute, by setpriority */
    bool shell;         /* argv is the shell's, its last one the line */
    bool verbatim;      /* as rp_windows has them, these three */
    bool hide_window;
    uint32_t creation_flags;
    uint32_t open_files; /* RLIMIT_NOFILE; 0 = unchanged */
    uint64_t queued_ns;  /* when rp_spawn was called */
    uint64_t order;      /* of rp_spawn, for a fair queue */

    /* What came of it; the spawner writes, then gives the launch back. */
    int64_t pid;      /* 0: no child */
    int pidfd;        /* owned; -1: none; where a system has none, rpi_pidfd_of(pid) */
    int pipes[3];     /* our ends, owned, close-on-exec, O_NONBLOCK, above 2; -1. Of a
                         pseudo-terminal: [RP_STDOUT] its master, [RP_STDIN] a duplicate of that
                         for the writer */
    int slave;        /* a duplicate of the child's end of its pseudo-terminal, as above; -1 */
    int job;          /* Windows: the job object that holds the child and its tree, owned; -1 */
    void *console;    /* Windows: the pseudo-console, owned; NULL */
    int error;        /* 0 = the program runs; else -errno, and no child is left */
    int system_error; /* that error in the system's own numbers; 0: it is errno's */
    const char
        *phase; /* static: "open", "pipe", "terminal", "clone", "cgroup", "setsid", "setpgid",
                   "rlimit", "nice", "ids", "chdir", "descriptors", "exec"; or NULL */
    uint64_t launched_ns; /* before the system was asked */
    uint64_t started_ns;  /* the program runs */
} rpi_launch;

/** A process by its number in place of a descriptor for it: never one that could be closed. */
static inline int rpi_pidfd_of(int64_t pid)
{
    return (int)(-1 - pid);
}

static inline int64_t rpi_pidfd_number(int pidfd)
{
    return -1 - (int64_t)pidfd;
}

/** Builds the launch of a command that rpi_command_check accepted, in one block of memory. Reads
 * the caller's environment, and duplicates the descriptors that the command names. 0, -ENOMEM,
 * -EMFILE, -EBADF (a descriptor of the caller's, named in the detail), RP_EAGAIN (see
 * environment.h). */
int rpi_launch_build(const rp_allocator *allocator,
                     const rp_command *command,
                     rpi_launch **ret_launch);

/** Closes what it still owns (descriptors not taken over) and frees. NULL is allowed. */
void rpi_launch_free(rpi_launch *launch);

#endif
