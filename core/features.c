/* What this build and this system can do: rp_has. */
#include <string.h>

#include "base/cgroup.h"
#include "base/probe.h"
#include "core/regex.h"
#include "core/track_store.h"
#include "pty/pty.h"
#include "pty/screen.h"
#include "reactor/backend.h"
#include "rp/base.h"

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
    if (strcmp(feature, "epoll") == 0 || strcmp(feature, "kqueue") == 0 ||
        strcmp(feature, "iocp") == 0) {
        return rpi_backend_is_built_in(feature);
    }
    if (strcmp(feature, "pty") == 0) {
        return rpi_pty_is_available();
    }
    if (strcmp(feature, "regex") == 0) {
        return rpi_regex_is_built_in();
    }
    if (strcmp(feature, "screen") == 0) {
        return rpi_screen_is_available();
    }
    if (strcmp(feature, "cgroup") == 0) {
        return rpi_cgroup_is_usable();
    }
    if (strcmp(feature, "track") == 0) {
        return rpi_track_store_is_built_in();
    }
    return false;
}
