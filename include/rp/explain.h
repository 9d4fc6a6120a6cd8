/* running-process: asking about processes that need not be ours, by their identities (rp_identity,
 * rp/process.h): who one is, what its threads wait in, and who has the other ends of its pipes and
 * terminals. That is what one wants to know of a process that does not go on.
 *
 * Conventions: rp/base.h. Everything is a look at one moment, and takes nothing from the processes:
 * they are not stopped. Of processes that we may not look into (another user's), only names, states
 * and parents are told; what is not told is marked. */
#ifndef RP_EXPLAIN_H
#define RP_EXPLAIN_H

#include "rp/base.h"
#include "rp/contain.h"
#include "rp/process.h"

#ifdef __cplusplus
extern "C" {
#endif

/** [any thread] Tells of one process, once: parent_pid is its parent, depth and streams are 0. 1;
 * RP_ESRCH: it is gone; RP_EINVAL: no number, nobody to tell, or its start does not fit (see
 * rp_tree_kill); RP_ENOMEM; other errors of the system. */
RP_API int rp_describe(const rp_identity *process, rp_each_fn *told, void *user);

/** What a thread waits in. Texts are never NULL and live until the callback returns. `call` is the
 * system call that it is in ("read"; "system call 999" where it has no name here; "" in none; of a
 * program for another architecture it may be wrong), `fd` the descriptor that this is about (-1 =
 * none), `opened` what that is: "pipe:[4711]", "/dev/pts/3", a path. */
typedef struct rp_wait_info {
    int64_t thread;    /* its number; the first thread's is the process's */
    const char *name;  /* the thread's own */
    const char *state; /* as in rp_process_info */
    bool hidden;       /* the system does not tell us the rest */
    const char *call;
    int64_t fd;
    const char *opened;
    const char *place; /* where in the kernel it sleeps: "pipe_read"; "" = not known */
    uint64_t reserved[4];
} rp_wait_info;

/** Called for one thread after the other; false ends. */
typedef bool rp_wait_fn(const rp_wait_info *wait, void *user);

/** [any thread] Tells of each thread, the first one first. How many were told; errors as of
 * rp_describe, and RP_EACCES: not even its threads are for us. */
RP_API int rp_describe_waits(const rp_identity *process, rp_wait_fn *each, void *user);

/** A pipe or terminal that a process has open, and somebody who has the other end. */
typedef struct rp_end {
    size_t process;     /* the index of whose it is */
    bool hidden;        /* what that process has open is not for us: nothing else is set */
    int64_t fd;         /* there */
    const char *name;   /* "pipe:[4711]", "/dev/pts/3"; "" */
    bool reads, writes; /* what it is open for */
    bool is_terminal;   /* else a pipe */
    bool is_master;     /* the terminal's other side: of who shows it */
    const rp_process_info *other; /* NULL = nobody that we can see */
    int64_t other_fd;             /* there */
    uint64_t reserved[4];
} rp_end;

/** Called for one after the other; false ends. */
typedef bool rp_end_fn(const rp_end *end, void *user);

/** [any thread] Tells of each pipe and terminal that each of `count` processes has open, by process
 * and descriptor, once for everybody who has the other end: of what is open for reading whoever can
 * write there, and the other way round; of a terminal whoever has its master, of a master whoever
 * has the terminal. That may be the process itself, too. Where nobody is seen it is told once, with
 * `other` NULL; a process that may not be looked into is told once, with `hidden`; one that is gone
 * is not told. FIFOs of the file system and sockets are left out. How often `each` was called;
 * RP_EINVAL: no processes or nobody to tell; RP_ENOMEM; other errors of the system. One look
 * through the descriptors of the whole system, see rp_process_holders. */
RP_API int
rp_describe_ends(const rp_identity *processes, size_t count, rp_end_fn *each, void *user);

#ifdef __cplusplus
}
#endif
#endif
