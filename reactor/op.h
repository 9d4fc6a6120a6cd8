/* Operations: the unit of work of the reactor. An operation is embedded in what it serves (a
 * stream's read, a process's exit), never allocated on its own. It is started, and then completes
 * exactly once:
 *
 *   1. rpi_op_start returns < 0 and nothing will happen, or 0 and `done` runs exactly once, out of
 *      the loop, never from inside the call.
 *   2. `done` runs only from the ready queue: backends append to it, the reactor drains it.
 *   3. The operation is idle when `done` is entered: it may be started again, or its owner freed.
 *   4. Cancel is a request: a real outcome wins the race, otherwise the result is -ECANCELED; no
 *      bytes are lost.
 *   5. The kernel reads and writes library memory only; that memory stays until `done`.
 *
 * A `rpi_io` is one descriptor as the reactor knows it: it is embedded too, has at most one reading
 * (READ, POLL, EXIT) and one writing (WRITE) operation pending, and is forgotten (rpi_io_forget)
 * before its descriptor is closed. */
#ifndef RPI_REACTOR_OP_H
#define RPI_REACTOR_OP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"

typedef struct rpi_op rpi_op;
typedef struct rpi_io rpi_io;
typedef struct rpi_reactor rpi_reactor;
typedef void rpi_op_fn(rpi_op *op);

typedef enum rpi_op_kind {
    /** Result: bytes, 0 = end of file, or -errno; a PTY's hang-up is -EIO or 0, as the
     * system says it. The descriptor is O_NONBLOCK, or a file that never waits. */
    RPI_OP_READ,
    /** Result: bytes (maybe fewer than asked), or -errno; never raises SIGPIPE. O_NONBLOCK too. */
    RPI_OP_WRITE,
    /** Waits until the descriptor is ready for `size` (RP_READABLE, RP_WRITABLE). Result: those of
     * them that it is ready for; end of file, hang-up and errors count as both. */
    RPI_OP_POLL,
    /** Waits until a descriptor of ours has something to read, for an owner that reads by itself
     * and takes memory only then. `size`: RPI_MAY_HAVE_MORE, or RPI_WAS_EMPTY when its last read
     * said EAGAIN. Result: RP_READABLE, also at end of file, or -errno. */
    RPI_OP_READABLE,
    /** Completes with 0 once a process has exited. The io's handle is its pidfd where the system
     * has such, `size` is its number. */
    RPI_OP_EXIT
} rpi_op_kind;

enum { /* rpi_op.size of RPI_OP_READABLE */
    RPI_MAY_HAVE_MORE = 1,
    RPI_WAS_EMPTY = 2
};

typedef enum rpi_op_state {
    RPI_OP_IDLE = 0,
    RPI_OP_PENDING, /* in the backend */
    RPI_OP_READY    /* completed, `done` follows */
} rpi_op_state;

struct rpi_op {
    rpi_list node; /* the reactor's: of its pending operations, then of its ready queue */
    rpi_io *io;    /* borrowed while not idle */
    rpi_op_fn *done;
    void *data;     /* READ, WRITE: library memory */
    uint32_t size;  /* READ, WRITE: bytes, at least 1; POLL: events; READABLE, EXIT: see there */
    int32_t result; /* when done is entered */
    uint8_t kind;   /* rpi_op_kind */
    uint8_t state;  /* rpi_op_state */
    bool cancelled; /* a cancel was asked for since the start */
    uint8_t backend_flags; /* 0 at the start */
    uint32_t backend_word; /* 0 at the start */
};

/** One descriptor. */
struct rpi_io {
    intptr_t handle; /* fd; not owned */
    rpi_op *reader;  /* pending: READ, POLL or EXIT; kept by the readiness adapter */
    rpi_op *writer;  /* pending: WRITE */
    uint32_t backend_flags;
    int32_t backend_handle; /* a duplicate that the backend made for itself, or -1 */
};

/** Makes an idle operation on an io. `done` is called with it. */
void rpi_op_init(rpi_op *op, rpi_op_kind kind, rpi_io *io, rpi_op_fn *done);

/** Starts an idle operation; `data` and `size` are set before. 0, or an error of the backend
 * (-ENOMEM, -EBADF, ...), RP_EPERM in a forked child, RP_ECANCELED while the reactor ends: then
 * nothing will happen. */
int rpi_op_start(rpi_reactor *reactor, rpi_op *op);

/** Asks for the end of a pending operation; `done` comes all the same. Nothing happens when it is
 * idle or ready, or in a forked child. */
void rpi_op_cancel(rpi_reactor *reactor, rpi_op *op);

static inline bool rpi_op_is_idle(const rpi_op *op)
{
    return op->state == RPI_OP_IDLE;
}

/** The handle stays the caller's. */
void rpi_io_init(rpi_io *io, intptr_t handle);

/** Called before the descriptor is closed, with no operation pending on it: the backend lets go of
 * it. The io may be used again afterwards, as after rpi_io_init. */
void rpi_io_forget(rpi_reactor *reactor, rpi_io *io);

#endif
