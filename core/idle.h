/* What the loop keeps for idle watches: those that another thread has just switched on. */
#ifndef RPI_CORE_IDLE_H
#define RPI_CORE_IDLE_H

#include <stdatomic.h>

#include "reactor/reactor.h"
#include "rp/base.h"

/** One bell for all watches of a loop, and who rang: any thread puts itself in front, the loop
 * takes all at once. */
typedef struct rpi_idle_switches {
    rpi_async async;
    _Atomic(rp_idle *) first;
} rpi_idle_switches;

/** Restarts the clocks of those that were switched on. */
void rpi_idle_switches_run(rpi_async *async);

#endif
