/* Limits of a tree: memory, processes and processor time (rp_limits; what has to be read of the
 * output is stream.c's, descriptors are the spawner's). Memory and processes are held by the
 * kernel, in a cgroup of the child's own: below its group's cgroup, or where groups have theirs. A
 * limit that is reached stops the tree.
 *
 *     memory_bytes  memory.max; beyond it the kernel kills the whole tree
 *     processes     pids.max; the fork that is refused is told by inotify, one for a loop
 *     cpu_ns        cpu.stat, read again when the tree could have used the rest, were all
 *                   processors its own; without a cgroup by looks through all processes
 *
 * A limiter is an observer of its process: it is freed with it. Called by process_make.c. */
#ifndef RPI_CORE_LIMITS_H
#define RPI_CORE_LIMITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "reactor/op.h"
#include "rp/command.h"

typedef struct rp_loop rp_loop;
typedef struct rp_process rp_process;
typedef struct rpi_limiter rpi_limiter;

/* The loop's part. */
typedef struct rpi_limits {
    rpi_list limiters; /* rpi_limiter.node: all that have a cgroup */
    rpi_list left;     /* cgroups that somebody was still in when their child was done */
    int inotify;       /* owned; -1: nobody needed it yet */
    rpi_io io;
    rpi_op op;
    uint64_t next; /* number of the next cgroup, for its name */
} rpi_limits;

void rpi_limits_init(rp_loop *loop);
/** No process is left. Before the reactor's end, which may close the rest. */
void rpi_limits_fini(rp_loop *loop);
/** In a forked child: the cgroups are the parent's. */
void rpi_limits_fini_forked(rp_loop *loop);

/** What the limits of a command need before its launch: 0, and *ret_limiter is NULL where nothing
 * is; RP_EUNSUPPORTED, with the field in the detail; -ENOMEM, -EMFILE, ... */
int rpi_limiter_make(rp_loop *loop, const rp_command *command, rpi_limiter **ret_limiter);

/** Whether it has a cgroup of its own, which tells what became of it. */
bool rpi_limiter_has_cgroup(const rpi_limiter *limiter);

/** It belongs to the process from now on, whose launch was not handed over yet. */
void rpi_limiter_attach(rpi_limiter *self, rp_process *process);

/** Of a command that is not spawned after all. NULL is allowed. */
void rpi_limiter_free(rpi_limiter *self);

#endif
