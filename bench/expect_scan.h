/* expect_scan's shared part: a stream without a match, and who searches it. */
#ifndef RPI_BENCH_EXPECT_SCAN_H
#define RPI_BENCH_EXPECT_SCAN_H

#include "bench/bench.h"
#include "bench/meter.h"

enum {
    RPI_SCAN_PATTERN_MAX = 100,
    RPI_SCAN_PATTERN_SIZE = 40
};

typedef struct rpi_scan_job {
    char program[RPI_PATH_SIZE]; /* the talker */
    char bytes[32], chunk[32];   /* its arguments */
    size_t total;                /* bytes */
    bool regex;
    size_t count; /* patterns */
    char patterns[RPI_SCAN_PATTERN_MAX][RPI_SCAN_PATTERN_SIZE];
    rp_backend backend;
    rpi_sample *sample;
    rpi_meter meter;
} rpi_scan_job;

/* 0: all was searched and metered; else the sample says why not. */
int rpi_scan_tcl(rpi_scan_job *job);
int rpi_scan_pexpect(rpi_scan_job *job);

#endif
