/* fan_in's shared part: what a reader of many writers is asked for, and the readers. Each starts
 * the writers behind one gate (the read end of a pipe as their standard input), opens the gate when
 * all are there, and reads every output to its end.
 */
#ifndef RPI_BENCH_FAN_IN_H
#define RPI_BENCH_FAN_IN_H

#include "bench/bench.h"
#include "bench/meter.h"

enum {
    RPI_FAN_READ_SIZE = 65536
};

typedef struct rpi_fan {
    const char *const *argv; /* of a writer */
    size_t writers;
    size_t bytes_each;
    int gate_fd;      /* read end, close-on-exec: the writers' standard input */
    int gate_open_fd; /* closed to open the gate */
    rp_backend backend;
    rpi_meter meter;
    size_t bytes; /* read, all together */
    rpi_sample *sample;
} rpi_fan;

int rpi_fan_ours(rpi_fan *fan); /* 0, or -1 with the sample failed or skipped */
int rpi_fan_epoll(rpi_fan *fan);
int rpi_fan_cat(rpi_fan *fan);
int rpi_fan_uv(rpi_fan *fan);

#endif
