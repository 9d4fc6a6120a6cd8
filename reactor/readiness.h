/* The readiness-to-completion adapter: makes the operations of op.h out of a system's "is ready"
 * events. Shared by the backends whose system tells readiness (epoll, kqueue).
 *
 * READ and WRITE are registered once and for edges: after each edge the descriptor is used until
 * it says EAGAIN (a short read means nothing: a packet-mode pipe hands out one packet a read), and
 * what is known in between is kept in the io's flags, so that an operation on a descriptor that is
 * known to be ready is carried out by its start, without another round of waiting. WRITE is tried
 * at once, for most pipes have room, and registered when there was none. POLL is asked anew each
 * time, one report each. EXIT is an edge on the pidfd. */
#ifndef RPI_REACTOR_READINESS_H
#define RPI_REACTOR_READINESS_H

#include "reactor/backend.h"
#include "reactor/op.h"

enum {                     /* rpi_io.backend_flags */
    RPI_IO_REGISTERED = 1, /* the system knows it */
    RPI_IO_ONCE = 2,       /* for one report; else for edges */
    RPI_IO_WANTS_READ = 4, /* registered for this */
    RPI_IO_WANTS_WRITE = 8,
    RPI_IO_READABLE = 16, /* no EAGAIN since the last report */
    RPI_IO_FULL = 32,     /* a write said EAGAIN, no report since */
    RPI_IO_ALWAYS = 64    /* the system cannot wait for it: a regular file */
};

/** Beside RP_READABLE and RP_WRITABLE in rpi_readiness_event: a hang-up or an error, which come
 * unasked. */
#define RPI_HANGUP 4U

typedef enum rpi_readiness_mode {
    RPI_READINESS_EDGES,
    RPI_READINESS_ONCE
} rpi_readiness_mode;

/** Registers the io, or changes what it is registered for (RP_READABLE, RP_WRITABLE); what is ready
 * already is reported by the next wait. Sets REGISTERED, ONCE and WANTS_ accordingly, or ALWAYS and
 * nothing else. 0 or an error. */
typedef int
rpi_readiness_arm_fn(rpi_backend *backend, rpi_io *io, uint32_t events, rpi_readiness_mode mode);

/** rpi_backend_api.submit */
int rpi_readiness_submit(rpi_backend *backend, rpi_op *op, rpi_readiness_arm_fn *arm);

/** rpi_backend_api.cancel: at once. */
void rpi_readiness_cancel(rpi_backend *backend, rpi_op *op);

/** The system reports `io` ready for `events`. */
void rpi_readiness_event(rpi_backend *backend,
                         rpi_io *io,
                         uint32_t events,
                         rpi_readiness_arm_fn *arm);

#endif
