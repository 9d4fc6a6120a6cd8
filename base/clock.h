/* The one clock of all stamps: monotonic, in nanoseconds (CLOCK_MONOTONIC). Spans that an option
 * gives are added with rpi_clock_after, which keeps RP_FOREVER and never wraps. */
#ifndef RPI_BASE_CLOCK_H
#define RPI_BASE_CLOCK_H

#include <stdint.h>

/** Now, on the monotonic clock; never 0, so that 0 can mean "never". */
uint64_t rpi_clock_now_ns(void);

/** Now on the wall clock, milliseconds since 1970. */
uint64_t rpi_clock_wall_time_ms(void);

/** `at_ns + span_ns`, at most UINT64_MAX (RP_FOREVER). */
static inline uint64_t rpi_clock_after(uint64_t at_ns, uint64_t span_ns)
{
    return span_ns > UINT64_MAX - at_ns ? UINT64_MAX : at_ns + span_ns;
}

#endif
