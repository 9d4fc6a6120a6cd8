/* What the engines and the cases that use them share: checking limits, finding the children's
 * programs, handing errors on. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "bench/engine.h"

int rpi_engine_fail(rpi_engine_result *result, const char *format, ...)
{
    va_list arguments;

    if (result->outcome == RPI_FAILED) {
        return -1; /* the first reason is the one to tell */
    }
    va_start(arguments, format);
    (void)vsnprintf(result->note, sizeof result->note, format, arguments);
    va_end(arguments);
    result->outcome = RPI_FAILED;
    return -1;
}

int rpi_engine_skip(rpi_engine_result *result, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(result->note, sizeof result->note, format, arguments);
    va_end(arguments);
    result->outcome = RPI_SKIPPED;
    return -1;
}

bool rpi_engine_run(const rpi_job *job,
                    const rpi_engine_job *engine_job,
                    rpi_sample *sample,
                    rpi_engine_result *ret_result)
{
    int r;

    memset(ret_result, 0, sizeof *ret_result);
    rpi_meter_init(&ret_result->meter);
    /* A child costs two pipe ends and a pidfd while it lives, a sleeper one of each. */
    if (!rpi_limits_allow(engine_job->at_once + engine_job->sleepers,
                          engine_job->at_once * 3 + engine_job->sleepers * 2, sample)) {
        return false;
    }
    if (engine_job->count_calls) {
        r = rpi_meter_count_calls(&ret_result->meter);
        if (r < 0) {
            rpi_skip(sample,
                     "counting system calls: %s (needs the right to use perf events, and "
                     "mount -t tracefs nodev /sys/kernel/tracing)",
                     rp_strerror(r));
            return false;
        }
    }
    r = job->subject->engine(engine_job, ret_result);
    rpi_meter_fini(&ret_result->meter);
    if (r < 0 || ret_result->done == 0) {
        sample->outcome = ret_result->outcome == RPI_SKIPPED ? RPI_SKIPPED : RPI_FAILED;
        (void)snprintf(sample->note, sizeof sample->note, "%s",
                       ret_result->note[0] ? ret_result->note : "no child ended");
        return false;
    }
    return true;
}

bool rpi_engine_programs(rpi_sample *sample, char *tiny, char *sleeper)
{
    if (rpi_program_path("rp-bench-tiny", tiny, RPI_PATH_SIZE) < 0 ||
        rpi_program_path("rp-bench-sleeper", sleeper, RPI_PATH_SIZE) < 0) {
        rpi_fail(sample, "rp-bench-tiny or rp-bench-sleeper is not beside this program");
        return false;
    }
    return true;
}
