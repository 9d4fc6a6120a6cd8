/* Which backends there are on this system, in the order in which AUTO tries them, and small things
 * that they share. Called once by rpi_reactor_init. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/os.h"
#include "base/status.h"
#include "reactor/backend.h"

static const struct known {
    const char *name;
    rp_backend id;
    const rpi_backend_api *api; /* NULL: not of this system, or not built in */
} KNOWN[] = {
#ifdef RP_HAVE_URING
    {"uring", RP_BACKEND_URING, &rpi_backend_uring},
#else
    {"uring", RP_BACKEND_URING, NULL},
#endif
#ifdef RPI_OS_LINUX
    {"epoll", RP_BACKEND_EPOLL, &rpi_backend_epoll},
#else
    {"epoll", RP_BACKEND_EPOLL, NULL},
#endif
#ifdef RPI_HAS_KQUEUE
    {"kqueue", RP_BACKEND_KQUEUE, &rpi_backend_kqueue},
#else
    {"kqueue", RP_BACKEND_KQUEUE, NULL},
#endif
    {"iocp", RP_BACKEND_IOCP, NULL},
};
#define KNOWN_COUNT (sizeof KNOWN / sizeof KNOWN[0])

static int open_known(const struct known *known, rpi_reactor *reactor, rpi_backend **ret_backend)
{
    if (known->api == NULL) {
        return rpi_detail(RP_EUNSUPPORTED, "backend %s: not in this build", known->name);
    }
    return known->api->open(reactor, ret_backend);
}

static int open_first(rpi_reactor *reactor, rpi_backend **ret_backend)
{
    int r = RP_EUNSUPPORTED;
    size_t i;

    // Whatever keeps one from opening (refused, too little locked memory), the next may do.
    for (i = 0; i < KNOWN_COUNT && r < 0; i++) {
        if (KNOWN[i].api != NULL) {
            r = KNOWN[i].api->open(reactor, ret_backend);
        }
    }
    if (r == 0) {
        rpi_detail_clear();
    }
    return r;
}

int rpi_backend_choose(rpi_reactor *reactor, rp_backend wanted, rpi_backend **ret_backend)
{
    const char *name = wanted == RP_BACKEND_AUTO ? getenv("RP_BACKEND") : NULL;
    size_t i;

    if (wanted == RP_BACKEND_AUTO && (name == NULL || name[0] == '\0')) {
        return open_first(reactor, ret_backend);
    }
    for (i = 0; i < KNOWN_COUNT; i++) {
        if (name != NULL ? strcmp(name, KNOWN[i].name) == 0 : wanted == KNOWN[i].id) {
            return open_known(&KNOWN[i], reactor, ret_backend);
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

int rpi_backend_descriptor(int fd)
{
    int high;
    int error;

    if (fd < 0) {
        return -errno;
    }
    if (fd > 2) {
        return fd;
    }
    high = rpi_os.fcntl(fd, F_DUPFD_CLOEXEC, 3);
    error = errno;
    (void)rpi_os.close(fd); // replaced
    return high < 0 ? -error : high;
}
