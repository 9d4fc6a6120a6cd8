/* Engines: each runs many children by one means, the library, bare system calls, libuv, GLib, or a
 * whole program. All do the same job: keep `at_once` children going until `total` are through; for
 * each, standard input at /dev/null, a process group of its own where the means allows it, both
 * output pipes read to their end, the exit status seen. The cases lifecycle, lifecycle_heap, live
 * and syscalls differ only in the job they hand over.
 */
#ifndef RPI_BENCH_ENGINE_H
#define RPI_BENCH_ENGINE_H

#include "bench/bench.h"
#include "bench/meter.h"

struct rpi_engine_job {
    const char *const *argv;
    const char *const *sleeper_argv;
    size_t total, at_once;
    size_t sleepers;       /* started first and left alive; each holds one pipe of ours */
    unsigned threads;      /* spawner threads of the library; 0 = it chooses */
    unsigned bare_threads; /* of the bare loops */
    bool count_calls;
    rp_track *track;      /* of the library's rows; NULL = none */
    uint64_t time_max_ns; /* none is started later than this; those begun are seen through */
};

struct rpi_engine_result {
    size_t done;
    rpi_meter meter; /* from the first child to the last, without the sleepers */
    rpi_outcome outcome;
    char note[RPI_NOTE_SIZE];
};

rpi_engine_fn rpi_engine_uring, rpi_engine_epoll, rpi_engine_bare, rpi_engine_bare_flat,
    rpi_engine_posix_spawn, rpi_engine_uv, rpi_engine_glib, rpi_engine_xargs, rpi_engine_parallel;

/* For engines: records why it did not work; returns -1. */
int rpi_engine_fail(rpi_engine_result *result, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
int rpi_engine_skip(rpi_engine_result *result, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* For cases: checks limits, runs job->subject->engine, copies a failure into the sample. False: the
 * sample is final. */
bool rpi_engine_run(const rpi_job *job,
                    const rpi_engine_job *engine_job,
                    rpi_sample *sample,
                    rpi_engine_result *ret_result);
/* Paths of the child programs; false: the sample says what is missing. */
bool rpi_engine_programs(rpi_sample *sample, char *tiny, char *sleeper);

#endif
