/* The clocks, read through the C library (on Linux without entering the kernel). */
#include <time.h>

#include "base/assert.h"
#include "base/clock.h"
#include "rp/base.h"

uint64_t rpi_clock_now_ns(void)
{
    struct timespec now;
    const int result = clock_gettime(CLOCK_MONOTONIC, &now);

    RP_ASSERT(result == 0); // this clock is always there
    return (uint64_t)now.tv_sec * RP_SECOND + (uint64_t)now.tv_nsec + 1; // + 1: never 0
}

uint64_t rpi_clock_wall_time_ms(void)
{
    struct timespec now;
    const int result = clock_gettime(CLOCK_REALTIME, &now);

    RP_ASSERT(result == 0); // this clock is always there
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / RP_MILLISECOND;
}

uint64_t rp_now_ns(void)
{
    return rpi_clock_now_ns();
}
