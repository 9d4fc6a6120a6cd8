/* The one narrow interface between the reactor and an operating system's way of waiting: io_uring,
 * epoll, kqueue, later IOCP, and the scripted fake of the tests. A backend never calls back: it
 * finishes operations by rpi_reactor_complete, which appends to the ready queue. All functions but
 * `wake` are called by the loop's thread only. */
#ifndef RPI_REACTOR_BACKEND_H
#define RPI_REACTOR_BACKEND_H

#include <stdbool.h>
#include <stdint.h>

#include "reactor/op.h"
#include "rp/loop.h"

typedef struct rpi_backend rpi_backend; /* each backend's own struct begins with this one */

typedef struct rpi_backend_api {
    const char *name;
    rp_backend id;

    /** Makes one, or an error with nothing left behind: RP_EUNSUPPORTED where the system lacks or
     * refuses it (found out by trying). */
    int (*open)(rpi_reactor *reactor, rpi_backend **ret_backend);

    /** No operation is pending any more (the reactor cancelled and waited). In a forked child
     * (reactor->forked) it gives back memory and descriptors and leaves all else alone. */
    void (*close)(rpi_backend *backend);

    /** Takes a pending operation over. An error: it was not taken. May complete it at once (through
     * the ready queue). */
    int (*submit)(rpi_backend *backend, rpi_op *op);

    /** A request for a pending operation, made once a start; cannot fail: it is made again by the
     * backend where the system had no room for it. */
    void (*cancel)(rpi_backend *backend, rpi_op *op);

    /** Before a descriptor is closed: drops a registration that would outlive it (a forked host
     * keeps the description open). In a forked child, where that is the parent's, only a duplicate
     * is closed. */
    void (*forget)(rpi_backend *backend, rpi_io *io);

    /** Hands everything submitted to the system without waiting, before another loop sleeps for us.
     * 0; 1: something has completed already, `wait` would find it; or an error. */
    int (*flush)(rpi_backend *backend);

    /** Submits what is queued, waits until something completes, a wake arrives, or `timeout_ns`
     * (relative; 0 = look only, RP_FOREVER = no bound) is over, and appends all completions to the
     * ready queue, not leaving one behind. 0; -EINTR when a signal handler interrupted the wait and
     * nothing came; other errors end the loop. */
    int (*wait)(rpi_backend *backend, uint64_t timeout_ns);

    /** [any thread, signal handler] ends the wait under way, or else the next. Idempotent until
     * then. Leaves errno alone. */
    void (*wake)(rpi_backend *backend);

    /** A descriptor that becomes readable when `wait` with timeout 0 would find something; made at
     * the first call, when it may be readable for nothing; or an error. */
    intptr_t (*fd)(rpi_backend *backend);
} rpi_backend_api;

struct rpi_backend {
    const rpi_backend_api *api;
    rpi_reactor *reactor;  /* borrowed */
    uint64_t kernel_calls; /* made by the loop thread in this backend */
};

#ifdef RP_HAVE_URING
extern const rpi_backend_api rpi_backend_uring;
#endif
extern const rpi_backend_api rpi_backend_epoll;
extern const rpi_backend_api rpi_backend_iocp;
extern const rpi_backend_api rpi_backend_kqueue;

/** How many events the kqueue backend takes from the kernel at a time; tests set fewer. */
extern int rpi_kqueue_event_max;

/** Opens the backend that is wanted: the named one, or for AUTO the one that RP_BACKEND in the
 * environment names, else the first of this platform's that opens. Errors as rpi_reactor_init. */
int rpi_backend_choose(rpi_reactor *reactor, rp_backend wanted, rpi_backend **ret_backend);

/** Whether this build has the backend of this name. */
bool rpi_backend_is_built_in(const char *name);

/** For backends: takes the result of a call that makes a descriptor (-1 and errno allowed) and
 * gives the descriptor back above 2, as a host may have closed its own standard ones; or -errno. */
int rpi_backend_descriptor(int fd);

/** For the uring backend, which lends itself an epoll: `fd` becoming readable (each time anew, it
 * is never read) ends the epoll backend's waits, as a wake does. 0 or an error. */
int rpi_epoll_listen(rpi_backend *epoll, int fd);

#ifdef RP_HAVE_URING
/** Tests: from now on this uring backend acts as on a kernel before 6.18, where a write through the
 * ring raises SIGPIPE. */
void rpi_uring_write_without_ring(rpi_backend *backend);
#endif

#endif
