/* The GLib row of a build without GLib: it says so instead of being missing. */
#include "bench/engine.h"

int rpi_engine_glib(const rpi_engine_job *job, rpi_engine_result *ret_result)
{
    (void)job;
    return rpi_engine_skip(ret_result, "built without GLib (Debian: libglib2.0-dev)");
}
