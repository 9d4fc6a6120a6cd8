/* The clocks. Stamps come from the performance counter, which never goes back and is the same for
 * all threads; the wall clock from the system's precise file time. */
#include "base/clock.h"

#include "base/assert.h"
#include "base/os_windows.h"
#include "rp/base.h"

/* From 1601, where file times begin, to 1970; in their unit, 100 ns. */
#define FILETIME_UNIX_EPOCH UINT64_C(116444736000000000)

uint64_t rpi_clock_now_ns(void)
{
    static volatile LONG64 frequency; // fixed since the boot; written with the same value by all
    LARGE_INTEGER value;
    uint64_t hertz = (uint64_t)frequency;
    uint64_t ticks;

    if (hertz == 0) {
        const BOOL known = QueryPerformanceFrequency(&value);

        RP_ASSERT(known && value.QuadPart > 0); // since Windows XP it always is
        frequency = value.QuadPart;
        hertz = (uint64_t)value.QuadPart;
    }
    (void)QueryPerformanceCounter(&value); // likewise
    ticks = (uint64_t)value.QuadPart;
    return ticks / hertz * RP_SECOND + ticks % hertz * RP_SECOND / hertz + 1; // + 1: never 0
}

uint64_t rpi_clock_wall_time_ms(void)
{
    FILETIME now;

    GetSystemTimePreciseAsFileTime(&now);
    return ((((uint64_t)now.dwHighDateTime << 32) | now.dwLowDateTime) - FILETIME_UNIX_EPOCH) /
           10000;
}

uint64_t rp_now_ns(void)
{
    return rpi_clock_now_ns();
}
