/* The libuv rows of a build without libuv: they say so instead of being missing. */
#include "bench/engine.h"
#include "bench/exit_storm.h"
#include "bench/fan_in.h"
#include "bench/quiet.h"
#include "bench/stall.h"

static const char absent[] = "built without libuv (Debian: libuv1-dev)";

int rpi_engine_uv(const rpi_engine_job *job, rpi_engine_result *ret_result)
{
    (void)job;
    return rpi_engine_skip(ret_result, "%s", absent);
}

int rpi_fan_uv(rpi_fan *fan)
{
    rpi_skip(fan->sample, "%s", absent);
    return -1;
}

void rpi_storm_uv(rpi_storm *storm)
{
    rpi_skip(storm->sample, "%s", absent);
}

void rpi_quiet_uv(rpi_quiet *quiet)
{
    rpi_skip(quiet->sample, "%s", absent);
}

void rpi_stall_uv(rpi_stall *stall)
{
    rpi_skip(stall->sample, "%s", absent);
}
