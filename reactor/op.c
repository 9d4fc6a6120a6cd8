/* Starting and cancelling operations: the checks that hold for every backend. See op.h. */
#include "reactor/op.h"

#include <string.h>

#include "base/assert.h"
#include "reactor/reactor.h"

void rpi_op_init(rpi_op *op, rpi_op_kind kind, rpi_io *io, rpi_op_fn *done)
{
    memset(op, 0, sizeof *op);
    rpi_list_init(&op->node);
    op->io = io;
    op->done = done;
    op->kind = (uint8_t)kind;
}

int rpi_op_start(rpi_reactor *reactor, rpi_op *op)
{
    int r;

    RP_ASSERT(op->state == RPI_OP_IDLE);
    RP_ASSERT(op->size > 0 || op->kind == RPI_OP_EXIT);
    if (rpi_reactor_is_forked(reactor)) {
        return RP_EPERM;
    }
    if (reactor->closing) {
        return RP_ECANCELED;
    }
    op->state = RPI_OP_PENDING;
    op->cancelled = false;
    op->backend_flags = 0;
    op->backend_word = 0;
    reactor->pending++;
    rpi_list_append(&reactor->operations, &op->node);
    r = reactor->backend->api->submit(reactor->backend, op);
    if (r < 0) {
        RP_ASSERT(op->state == RPI_OP_PENDING);
        op->state = RPI_OP_IDLE;
        reactor->pending--;
        rpi_list_remove(&op->node);
    }
    return r;
}

void rpi_op_cancel(rpi_reactor *reactor, rpi_op *op)
{
    if (op->state != RPI_OP_PENDING || op->cancelled || rpi_reactor_is_forked(reactor)) {
        return;
    }
    op->cancelled = true;
    reactor->backend->api->cancel(reactor->backend, op);
}

void rpi_io_init(rpi_io *io, intptr_t handle)
{
    memset(io, 0, sizeof *io);
    io->handle = handle;
    io->backend_handle = -1;
}

void rpi_io_forget(rpi_reactor *reactor, rpi_io *io)
{
    reactor->backend->api->forget(reactor->backend, io);
    rpi_io_init(io, io->handle);
}
