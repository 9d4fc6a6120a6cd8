/* exit_storm's shared part: the children to be killed and what it took, for the subjects in files
 * of their own. */
#ifndef RPI_BENCH_EXIT_STORM_H
#define RPI_BENCH_EXIT_STORM_H

#include <pthread.h>
#include <sys/types.h>

#include "bench/bench.h"
#include "bench/meter.h"

typedef struct rpi_storm {
    const char *const *argv;
    size_t count;
    pid_t *pids;    /* filled in by the subject */
    bool by_thread; /* another thread kills, while the subject waits already */
    bool killer_runs;
    pthread_t killer;
    rp_backend backend;
    rpi_meter meter; /* stopped by the subject when it has seen the last exit */
    rpi_sample *sample;
} rpi_storm;

void rpi_storm_kill(rpi_storm *storm); /* starts the meter, kills all */
void rpi_storm_uv(rpi_storm *storm);

#endif
