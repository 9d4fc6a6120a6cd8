/* Carrying launches out: what the spawner (core/spawner.c: queue, threads, completions) asks of the
 * operating system's side. A site belongs to one spawner; it knows the method and owns the reserved
 * descriptors. It has a number of lanes, each used by one thread at a time: lane 0 by the loop's,
 * the others by a spawner thread each. Lanes work side by side. */
#ifndef RPI_CORE_SPAWN_H
#define RPI_CORE_SPAWN_H

#include <pthread.h>
#include <stdint.h>

#include "base/alloc.h"
#include "core/launch.h"
#include "core/spawner.h"

typedef struct rpi_spawn_site rpi_spawn_site;

/** Reserves descriptors low in the table, for `lane_count` (1 or more) lanes; none where the table
 * is so small that all of it is low. `method` UNKNOWN: the strongest that works (RP_SPAWN in the
 * environment, for tests: clone3, clone, posix_spawn or fork). 0, -ENOMEM, -EMFILE, -EINVAL
 * (RP_SPAWN names none); RP_EUNSUPPORTED: no method works here. */
int rpi_spawn_site_open(const rp_allocator *allocator,
                        rpi_spawn_method method,
                        uint32_t lane_count,
                        rpi_spawn_site **ret_site);

/** No lane is in use any more. NULL is allowed. */
void rpi_spawn_site_close(rpi_spawn_site *site);

/** The same in a process that was forked from the owner's: threads of the owner do not exist here.
 */
void rpi_spawn_site_close_forked(rpi_spawn_site *site);

rpi_spawn_method rpi_spawn_site_method(const rpi_spawn_site *site);

/** Carries `launch` out on lane `number` and writes what came of it, from launched_ns to
 * started_ns. Returns when the program runs or the launch has failed; no child is left then. */
void rpi_spawn_carry_out(rpi_spawn_site *site, uint32_t number, rpi_launch *launch);

/** Starts a thread that no signal of the host reaches. 0 or -errno. */
int rpi_spawn_thread_start(void *(*run)(void *), void *argument, pthread_t *ret_thread);

/** The processors that this process may use, 1 or more. */
uint32_t rpi_spawn_processors(void);

#endif
