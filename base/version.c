/* What this library is and what it can do here. The version comes from the build (RPI_VERSION),
 * which has it from one place; the header's number is held against it below. */
#include <string.h>

#include "base/probe.h"
#include "rp/base.h"

const char *rp_version(void)
{
    return RPI_VERSION;
}

uint32_t rp_version_number(void)
{
    return RP_VERSION_NUMBER;
}

bool rp_has(const char *feature)
{
    if (feature == NULL) {
        return false;
    }
    if (strcmp(feature, "uring") == 0) {
#ifdef RP_HAVE_URING
        return rpi_probe_uring() == 0;
#else
        return false;
#endif
    }
    // "pty", "regex", "screen", "track" and "cgroup" are not built in.
    return false;
}
