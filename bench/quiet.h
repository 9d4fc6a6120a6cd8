/* quiet's shared part: what holding so many quiet children costs. */
#ifndef RPI_BENCH_QUIET_H
#define RPI_BENCH_QUIET_H

#include "bench/bench.h"

typedef struct rpi_memory { /* bytes in use */
    double heap, anonymous, shared;
} rpi_memory;

typedef struct rpi_quiet {
    const char *const *argv;
    size_t count;
    bool captured; /* both outputs through pipes, or none */
    rp_backend backend;
    uint64_t watch_ns;        /* how long to look for wake-ups */
    rpi_memory before, after; /* by rpi_quiet_memory */
    double wakeups, switches; /* a second; NAN = not known */
    rpi_sample *sample;
} rpi_quiet;

rpi_memory rpi_quiet_memory(void);
void rpi_quiet_uv(rpi_quiet *quiet);
double
rpi_quiet_switches(void); /* voluntary and involuntary context switches of this thread so far */

#endif
