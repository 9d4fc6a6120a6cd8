/* Which backends Windows has: one. Called once by rpi_reactor_init. */
#include <stdlib.h>
#include <string.h>

#include "base/status.h"
#include "reactor/backend.h"

static const struct known {
    const char *name;
    rp_backend id;
    const rpi_backend_api *api; /* NULL: not of this system */
} KNOWN[] = {
    {"iocp", RP_BACKEND_IOCP, &rpi_backend_iocp},
    {"uring", RP_BACKEND_URING, NULL},
    {"epoll", RP_BACKEND_EPOLL, NULL},
    {"kqueue", RP_BACKEND_KQUEUE, NULL},
};
#define KNOWN_COUNT (sizeof KNOWN / sizeof KNOWN[0])

int rpi_backend_choose(rpi_reactor *reactor, rp_backend wanted, rpi_backend **ret_backend)
{
    const char *name = wanted == RP_BACKEND_AUTO ? getenv("RP_BACKEND") : NULL;
    size_t i;

    if (wanted == RP_BACKEND_AUTO && (name == NULL || name[0] == '\0')) {
        return rpi_backend_iocp.open(reactor, ret_backend);
    }
    for (i = 0; i < KNOWN_COUNT; i++) {
        if (name != NULL ? strcmp(name, KNOWN[i].name) == 0 : wanted == KNOWN[i].id) {
            if (KNOWN[i].api == NULL) {
                return rpi_detail(RP_EUNSUPPORTED, "backend %s: not in this build", KNOWN[i].name);
            }
            return KNOWN[i].api->open(reactor, ret_backend);
        }
    }
    if (name != NULL) {
        return rpi_detail(RP_EINVAL, "RP_BACKEND=%.40s: no such backend", name);
    }
    return rpi_detail(RP_EINVAL, "backend %d: no such backend", (int)wanted);
}

bool rpi_backend_is_built_in(const char *name)
{
    size_t i;

    for (i = 0; i < KNOWN_COUNT; i++) {
        if (strcmp(name, KNOWN[i].name) == 0) {
            return KNOWN[i].api != NULL;
        }
    }
    return false;
}
