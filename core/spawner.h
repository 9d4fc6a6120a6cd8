/* The spawner: starts children at flat cost, off the loop's thread. It owns the spawner threads
 * (made at the first launch that needs one, as long-lived as the loop), their queue, the reserved
 * low descriptor slots, and the knowledge of what this system lets us do (found out once a process,
 * in a disposable child). Launches come back in the loop's thread through `launched`. */
#ifndef RPI_CORE_SPAWNER_H
#define RPI_CORE_SPAWNER_H

#include <stdbool.h>
#include <stdint.h>

#include "core/launch.h"
#include "reactor/reactor.h"

typedef struct rpi_spawner rpi_spawner;
typedef void rpi_launched_fn(rpi_launch *launch, void *user);

/** How children are made, strongest first. RP_SPAWN in the environment (clone3, clone, posix_spawn
 * or fork) names one in place of the strongest that works, for tests. */
typedef enum rpi_spawn_method {
    RPI_SPAWN_UNKNOWN = 0,
    RPI_SPAWN_CLONE3,        /* shared table, unshared in the child; the kernel clears handlers */
    RPI_SPAWN_CLONE,         /* the same with clone and a reset loop in the child */
    RPI_SPAWN_POSIX_SPAWN,   /* the C library's, plus pidfd_open */
    RPI_SPAWN_FORK,          /* fork, failures told by a socket: valgrind, exotic emulators */
    RPI_SPAWN_CREATE_PROCESS /* Windows */
} rpi_spawn_method;

typedef struct rpi_spawner_options {
    const rp_allocator *allocator;
    rpi_reactor *reactor;
    uint32_t threads;        /* 0 = from the processors; RP_SPAWN_INLINE = none: launches run in the
                                loop's thread */
    rpi_spawn_method method; /* UNKNOWN = probe; tests force one */
    rpi_launched_fn *launched; /* out of the loop, once for each submitted launch */
    void *user;
} rpi_spawner_options;

/** Reserves the descriptor slots; starts no thread yet. 0, -ENOMEM, -EMFILE; -EINVAL: RP_SPAWN
 * names no method; RP_EUNSUPPORTED: no method works here. */
int rpi_spawner_open(const rpi_spawner_options *options, rpi_spawner **ret_spawner);

/** Launches still queued are given back by `launched` with -ECANCELED first; waits for those under
 * way, whose results are given back too. In a forked child it frees, and `launched` is not called.
 * NULL is allowed. */
void rpi_spawner_close(rpi_spawner *spawner);

/** Hands a launch over; it comes back through `launched`, out of the loop. With no threads it is
 * carried out by the next turn, one a turn. */
void rpi_spawner_submit(rpi_spawner *spawner, rpi_launch *launch);

/** Takes a launch back that no thread has begun: true, and `launched` will not come. */
bool rpi_spawner_take_back(rpi_spawner *spawner, rpi_launch *launch);

/** Carries a launch out in the calling (the loop's) thread; `launched` is not called. For a lone
 * launch on an idle loop. */
void rpi_spawner_run(rpi_spawner *spawner, rpi_launch *launch);

/** Launches handed over and not yet given back. */
uint32_t rpi_spawner_busy(const rpi_spawner *spawner);

rpi_spawn_method rpi_spawner_method(const rpi_spawner *spawner);

#endif
