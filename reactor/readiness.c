/* The readiness-to-completion adapter: see readiness.h. Called by the epoll backend. */
#include "reactor/readiness.h"

#include <errno.h>
#include <fcntl.h>

#include "base/assert.h"
#include "base/os.h"
#include "reactor/reactor.h"
#include "reactor/write.h"

/* A read or write that a signal handler interrupts is made again; so often at most, that handlers
 * without a pause cannot keep us here. */
#define RETRY_MAX 100

#define NOT_READY INT32_MIN

/* Lengths fit an int32_t result. */
static uint32_t length_of(const rpi_op *op)
{
    return op->size < INT32_MAX ? op->size : INT32_MAX;
}

/* The result of a read or write made now, or NOT_READY. */
static int32_t perform(rpi_backend *backend, const rpi_op *op)
{
    int fd = (int)op->io->handle;
    ssize_t n = -EINTR;
    int tries;

    for (tries = 0; n == -EINTR && tries < RETRY_MAX; tries++) {
        if (op->kind == RPI_OP_READ) {
            backend->kernel_calls++;
            n = rpi_os.read(fd, op->data, length_of(op));
            n = n < 0 ? -errno : n;
        } else {
            backend->kernel_calls += RPI_WRITE_QUIET_CALLS;
            n = rpi_write_quiet(fd, op->data, length_of(op));
        }
    }
    return n == -EAGAIN || n == -EWOULDBLOCK ? NOT_READY : (int32_t)n;
}

static bool perform_read(rpi_backend *backend, rpi_op *op)
{
    int32_t n = perform(backend, op);

    if (n == NOT_READY) {
        op->io->backend_flags &= ~(uint32_t)RPI_IO_READABLE;
        return false;
    }
    // Until EAGAIN: a short read says nothing about what is left.
    op->io->backend_flags |= RPI_IO_READABLE;
    rpi_reactor_complete(backend->reactor, op, n);
    return true;
}

static bool perform_write(rpi_backend *backend, rpi_op *op)
{
    int32_t n = perform(backend, op);

    if (n == NOT_READY) {
        op->io->backend_flags |= RPI_IO_FULL;
        return false;
    }
    op->io->backend_flags &= ~(uint32_t)RPI_IO_FULL;
    rpi_reactor_complete(backend->reactor, op, n);
    return true;
}

/* Registers the io for what these two (either may be NULL) wait for. Edges that it is registered
 * for stay so: to ask for them again would cost a call and bring nothing. */
static int arm_for(rpi_backend *backend,
                   rpi_io *io,
                   const rpi_op *reader,
                   const rpi_op *writer,
                   rpi_readiness_arm_fn *arm)
{
    rpi_readiness_mode mode = RPI_READINESS_EDGES;
    uint32_t flags = io->backend_flags;
    uint32_t events = writer != NULL ? RP_WRITABLE : 0;
    uint32_t known = 0;

    if ((flags & RPI_IO_ALWAYS) != 0) {
        return 0;
    }
    if (reader != NULL && reader->kind == RPI_OP_POLL) {
        mode = RPI_READINESS_ONCE;
        events |= reader->size;
    } else if (reader != NULL) {
        events |= RP_READABLE;
    }
    if (mode == RPI_READINESS_EDGES &&
        (flags & (RPI_IO_REGISTERED | RPI_IO_ONCE)) == RPI_IO_REGISTERED) {
        known |= (flags & RPI_IO_WANTS_READ) != 0 ? RP_READABLE : 0U;
        known |= (flags & RPI_IO_WANTS_WRITE) != 0 ? RP_WRITABLE : 0U;
    }
    if ((known & events) == events && mode == RPI_READINESS_EDGES) {
        return 0;
    }
    return arm(backend, io, known | events, mode);
}

static bool waits(const rpi_io *io)
{
    int flags = rpi_os.fcntl((int)io->handle, F_GETFL, 0);

    return flags < 0 || (flags & O_NONBLOCK) != 0; // a closed one is told by the registration
}

static int submit_read(rpi_backend *backend, rpi_op *op, rpi_readiness_arm_fn *arm)
{
    rpi_io *io = op->io;
    int r;

    if ((io->backend_flags & RPI_IO_READABLE) != 0 && perform_read(backend, op)) {
        return 0;
    }
    r = arm_for(backend, io, op, io->writer, arm);
    if (r < 0) {
        return r;
    }
    if ((io->backend_flags & RPI_IO_ALWAYS) != 0 && perform_read(backend, op)) {
        return 0;
    }
    RPI_CHECK(waits(io));
    io->reader = op;
    return 0;
}

static int submit_write(rpi_backend *backend, rpi_op *op, rpi_readiness_arm_fn *arm)
{
    rpi_io *io = op->io;
    int r;

    if ((io->backend_flags & RPI_IO_FULL) == 0 && perform_write(backend, op)) {
        return 0;
    }
    r = arm_for(backend, io, io->reader, op, arm);
    if (r < 0) {
        return r;
    }
    io->writer = op;
    return 0;
}

static int submit_poll(rpi_backend *backend, rpi_op *op, rpi_readiness_arm_fn *arm)
{
    int r = arm_for(backend, op->io, op, op->io->writer, arm);

    if (r < 0) {
        return r;
    }
    if ((op->io->backend_flags & RPI_IO_ALWAYS) != 0) {
        rpi_reactor_complete(backend->reactor, op, (int32_t)op->size);
        return 0;
    }
    op->io->reader = op;
    return 0;
}

static int submit_readable(rpi_backend *backend, rpi_op *op, rpi_readiness_arm_fn *arm)
{
    rpi_io *io = op->io;
    int r;

    if (op->size == RPI_WAS_EMPTY) {
        io->backend_flags &= ~(uint32_t)RPI_IO_READABLE;
    }
    r = arm_for(backend, io, op, io->writer, arm);
    if (r < 0) {
        return r;
    }
    if ((io->backend_flags & (RPI_IO_READABLE | RPI_IO_ALWAYS)) != 0) {
        rpi_reactor_complete(backend->reactor, op, RP_READABLE);
        return 0;
    }
    io->reader = op;
    return 0;
}

static int submit_exit(rpi_backend *backend, rpi_op *op, rpi_readiness_arm_fn *arm)
{
    int r;

    if ((op->io->backend_flags & RPI_IO_READABLE) != 0) {
        rpi_reactor_complete(backend->reactor, op, 0);
        return 0;
    }
    r = arm_for(backend, op->io, op, NULL, arm);
    if (r < 0) {
        return r;
    }
    op->io->reader = op;
    return 0;
}

int rpi_readiness_submit(rpi_backend *backend, rpi_op *op, rpi_readiness_arm_fn *arm)
{
    RP_ASSERT(op->kind == RPI_OP_WRITE ? op->io->writer == NULL : op->io->reader == NULL);
    switch ((rpi_op_kind)op->kind) {
    case RPI_OP_READ:
        return submit_read(backend, op, arm);
    case RPI_OP_WRITE:
        return submit_write(backend, op, arm);
    case RPI_OP_POLL:
        return submit_poll(backend, op, arm);
    case RPI_OP_READABLE:
        return submit_readable(backend, op, arm);
    case RPI_OP_EXIT:
        return submit_exit(backend, op, arm);
    }
    return RP_EINVAL;
}

/* Takes a pending operation from its io and ends it. */
static void finish(rpi_backend *backend, rpi_op *op, int32_t result)
{
    rpi_op **place = op->kind == RPI_OP_WRITE ? &op->io->writer : &op->io->reader;

    RP_ASSERT(*place == op);
    *place = NULL;
    rpi_reactor_complete(backend->reactor, op, result);
}

void rpi_readiness_cancel(rpi_backend *backend, rpi_op *op)
{
    finish(backend, op, RP_ECANCELED);
}

static void event_for_reader(rpi_backend *backend, rpi_io *io, uint32_t events)
{
    rpi_op *op = io->reader;
    uint32_t ready;

    switch ((rpi_op_kind)op->kind) {
    case RPI_OP_READ:
        if ((events & RP_READABLE) != 0 && perform_read(backend, op)) {
            io->reader = NULL;
        }
        break;
    case RPI_OP_EXIT:
        finish(backend, op, 0);
        break;
    case RPI_OP_READABLE:
        if ((events & RP_READABLE) != 0) {
            finish(backend, op, RP_READABLE);
        }
        break;
    case RPI_OP_POLL:
        ready = (events & RPI_HANGUP) != 0 ? op->size : events & op->size;
        if (ready != 0) {
            finish(backend, op, (int32_t)ready);
        }
        break;
    case RPI_OP_WRITE:
        RP_ASSERT(op->kind != RPI_OP_WRITE);
    }
}

/* A registration for one report is spent: what still waits is registered anew, or told why not. */
static void arm_again(rpi_backend *backend, rpi_io *io, rpi_readiness_arm_fn *arm)
{
    int r = 0;

    if (io->reader != NULL || io->writer != NULL) {
        r = arm_for(backend, io, io->reader, io->writer, arm);
    }
    if (r < 0 && io->reader != NULL) {
        finish(backend, io->reader, r);
    }
    if (r < 0 && io->writer != NULL) {
        finish(backend, io->writer, r);
    }
}

void rpi_readiness_event(rpi_backend *backend,
                         rpi_io *io,
                         uint32_t events,
                         rpi_readiness_arm_fn *arm)
{
    if ((events & RPI_HANGUP) != 0) {
        events |= RP_READABLE | RP_WRITABLE;
    }
    if ((events & RP_READABLE) != 0) {
        io->backend_flags |= RPI_IO_READABLE;
    }
    if ((events & RP_WRITABLE) != 0) {
        io->backend_flags &= ~(uint32_t)RPI_IO_FULL;
    }
    if (io->reader != NULL) {
        event_for_reader(backend, io, events);
    }
    if (io->writer != NULL && (events & RP_WRITABLE) != 0 && perform_write(backend, io->writer)) {
        io->writer = NULL;
    }
    if ((io->backend_flags & RPI_IO_ONCE) != 0) {
        arm_again(backend, io, arm);
    }
}
