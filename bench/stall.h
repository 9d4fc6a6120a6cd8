/* stall's shared part: gathering how long a loop kept an event waiting. */
#ifndef RPI_BENCH_STALL_H
#define RPI_BENCH_STALL_H

#include "bench/bench.h"

enum {
    RPI_STALL_TICK_US = 500
};

typedef struct rpi_stall {
    const char *const *argv;
    size_t total, at_once;
    bool spins; /* turns are counted, else a timerfd's ticks */
    rp_backend backend;
    unsigned threads, bare_threads; /* of the library (0 = it chooses), of the floor */
    rpi_sample *sample;
    int timer_fd; /* ticks every RPI_STALL_TICK_US from rpi_stall_begin on */
    uint64_t begin_ns, last_ns, tick_count;
    double queue_ns; /* the first at_once launches, asked for in one go */
    uint64_t *waits; /* ns: how late a tick was seen, or how long a turn took */
    size_t wait_count;
} rpi_stall;

void rpi_stall_begin(rpi_stall *stall);   /* after the first launches are queued */
void rpi_stall_on_turn(rpi_stall *stall); /* spins: at the end of each turn of the loop */
void rpi_stall_on_tick(rpi_stall *stall); /* timer_fd is readable */
void rpi_stall_uv(rpi_stall *stall);

#endif
