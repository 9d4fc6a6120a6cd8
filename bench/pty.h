/* What the pty cases share: what a reader of terminals is asked for, and the peers by hand, which
 * open a terminal as one does (posix_openpt, fork, setsid, TIOCSCTTY) and wait in epoll or poll.
 */
#ifndef RPI_BENCH_PTY_H
#define RPI_BENCH_PTY_H

#include <sys/types.h>

#include "bench/bench.h"
#include "bench/meter.h"

enum {
    RPI_PTY_READ_SIZE = 65536
};

/* Many terminals, read until their children are gone. Each child says "r" when it is ready, and
 * floods when it gets a byte. */
typedef struct rpi_pty_flood {
    const char *const *argv;
    size_t count;
    rp_backend backend;
    rpi_meter meter; /* from the first byte sent to the last end */
    size_t bytes;    /* read, all together, the "r"s too */
    rpi_sample *sample;
} rpi_pty_flood;

int rpi_pty_flood_ours(rpi_pty_flood *flood); /* 0, or -1 with the sample failed or skipped */
int rpi_pty_flood_bare(rpi_pty_flood *flood);

/* One dialogue: so many times a line is sent and the prompt awaited. */
typedef struct rpi_pty_dialogue {
    const char *const *argv;
    size_t trips;
    uint64_t *spans_ns; /* of each trip, written */
    rp_backend backend;
    rpi_meter meter;
    rpi_sample *sample;
} rpi_pty_dialogue;

int rpi_pty_dialogue_ours(rpi_pty_dialogue *dialogue);
int rpi_pty_dialogue_bare(rpi_pty_dialogue *dialogue);

/* A child on a terminal of its own: its pid, or -1 with errno set; the non-blocking master. */
pid_t rpi_pty_start(const char *const *argv, int *ret_master);

#endif
