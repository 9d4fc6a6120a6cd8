/* Seeded randomness for tests: RP_TEST_SEED of the environment, or the time; the seed is printed,
 * so that a failure can be run again. */
#ifndef RPI_TESTS_SUPPORT_SEED_H
#define RPI_TESTS_SUPPORT_SEED_H

#include <stdio.h>
#include <stdlib.h>

#include "rp/base.h"

static inline void rpi_seed_random(void)
{
    const char *given = getenv("RP_TEST_SEED");
    const unsigned seed =
        given != NULL ? (unsigned)strtoul(given, NULL, 10) : (unsigned)rp_now_ns();

    (void)fprintf(stderr, "RP_TEST_SEED=%u\n", seed);
    srand(seed);
}

#endif
