/* What a stretch of work cost: wall time, processor time and, where the kernel tells, system calls
 * counted exactly. Opened before any thread of the subject exists (counters are inherited by later
 * threads), started and stopped in the loop's thread. Engines and cases use it.
 */
#ifndef RPI_BENCH_METER_H
#define RPI_BENCH_METER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>

typedef struct rpi_meter {
    int loop_calls_fd, all_calls_fd; /* negative = not counted */
    uint64_t start_ns;
    struct rusage start_all, start_loop;
    uint64_t start_loop_calls, start_all_calls;
    /* written by stop */
    uint64_t wall_ns;
    double user_ns, system_ns; /* of the process: all its threads, not its children */
    double loop_user_ns;       /* of the calling thread */
    double loop_calls,
        all_calls; /* system calls of the calling thread, of the process; NAN = not counted */
    double waits;  /* voluntary context switches of the calling thread */
} rpi_meter;

void rpi_meter_init(rpi_meter *meter);
int rpi_meter_count_calls(
    rpi_meter *meter); /* before threads; negative errno: this kernel or user may not count */
void rpi_meter_start(rpi_meter *meter);
void rpi_meter_stop(rpi_meter *meter);
void rpi_meter_fini(rpi_meter *meter);

#endif
