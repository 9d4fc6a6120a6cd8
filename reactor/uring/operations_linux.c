/* Operations of the io_uring backend: how they become entries of the submission queue, and what
 * their completions mean. Called by uring_linux.c, and by the reactor through its table.
 *
 * An entry's user_data is its operation; the few that belong to none have small numbers. A cancel
 * is an entry too; the submission queue is first in first out, so a cancel can never meet a later
 * start of the same operation. READ and WRITE wait inside the kernel also on O_NONBLOCK
 * descriptors; where a driver answers EAGAIN all the same (PTYs on older kernels), the operation
 * goes on as a poll and is made again after it. */
#include <errno.h>
#include <poll.h>

#include "base/os.h"
#include "base/status.h"
#include "reactor/uring/uring_linux.h"
#include "reactor/write.h"

/* Linux 6.18: no SIGPIPE for this write; the number is older headers' lack. */
#define WRITE_NO_SIGNAL 0x100

int rpi_uring_translate(int error)
{
    if (error == -EEXIST) {
        return rpi_detail(RP_EPERM,
                          "the loop was first run by another thread, to which it belongs");
    }
    return error;
}

/* ---- submitting ---- */

static uint32_t poll_mask(const rpi_op *op)
{
    uint32_t mask = 0;

    switch ((rpi_op_kind)op->kind) {
    case RPI_OP_READ:
    case RPI_OP_READABLE:
    case RPI_OP_EXIT:
        return POLLIN;
    case RPI_OP_WRITE:
        return POLLOUT;
    case RPI_OP_POLL:
        mask |= (op->size & RP_READABLE) != 0 ? (uint32_t)POLLIN : 0U;
        mask |= (op->size & RP_WRITABLE) != 0 ? (uint32_t)POLLOUT : 0U;
        return mask;
    }
    return 0;
}

static uint32_t length_of(const rpi_op *op)
{
    return op->size < INT32_MAX ? op->size : INT32_MAX;
}

static int queue_poll(rpi_uring *self, rpi_op *op)
{
    int r = 0;
    struct io_uring_sqe *entry = rpi_queue_next(&self->queue, &r);

    if (entry == NULL) {
        return r;
    }
    io_uring_prep_poll_add(entry, (int)op->io->handle, poll_mask(op));
    entry->user_data = (uintptr_t)op;
    return 0;
}

static int queue_transfer(rpi_uring *self, rpi_op *op)
{
    int fd = (int)op->io->handle;
    int r = 0;
    struct io_uring_sqe *entry = rpi_queue_next(&self->queue, &r);

    if (entry == NULL) {
        return r;
    }
    // The offset -1 is the file's own position, and what pipes and terminals want.
    if (op->kind == RPI_OP_READ) {
        io_uring_prep_read(entry, fd, op->data, length_of(op), UINT64_MAX);
    } else {
        io_uring_prep_write(entry, fd, op->data, length_of(op), UINT64_MAX);
        entry->rw_flags = WRITE_NO_SIGNAL;
        op->backend_flags |= RPI_URING_NO_SIGNAL;
    }
    entry->user_data = (uintptr_t)op;
    return 0;
}

static int queue_waiting(rpi_uring *self, rpi_op *op)
{
    int r = queue_poll(self, op);

    if (r == 0) {
        op->backend_flags |= RPI_URING_POLLING;
    }
    return r;
}

/* A kernel before 6.18 raises SIGPIPE for a write through the ring, at a moment of its own choice:
 * there the write is made here, and the ring waits for room only. */
static int write_without_ring(rpi_uring *self, rpi_op *op)
{
    ssize_t n;

    self->base.kernel_calls += RPI_WRITE_QUIET_CALLS;
    n = rpi_write_quiet((int)op->io->handle, op->data, length_of(op));
    if (n == -EAGAIN || n == -EINTR) {
        return queue_waiting(self, op);
    }
    rpi_reactor_complete(self->base.reactor, op, (int32_t)n);
    return 0;
}

static int start_outer(rpi_backend *outer, rpi_op *op)
{
    int r = rpi_backend_epoll.submit(outer, op);

    if (r == 0) {
        op->backend_flags = RPI_URING_OUTER;
    }
    return r;
}

static int start_operation(rpi_uring *self, rpi_op *op)
{
    rpi_backend *outer = atomic_load_explicit(&self->outer, memory_order_relaxed);

    switch ((rpi_op_kind)op->kind) {
    case RPI_OP_READ:
        return queue_transfer(self, op);
    case RPI_OP_WRITE:
        return self->writes_without_ring ? write_without_ring(self, op) : queue_transfer(self, op);
    case RPI_OP_POLL:
        return outer != NULL ? start_outer(outer, op) : queue_poll(self, op);
    case RPI_OP_READABLE:
    case RPI_OP_EXIT:
        return queue_poll(self, op);
    }
    return RP_EINVAL;
}

int rpi_uring_submit(rpi_backend *backend, rpi_op *op)
{
    return rpi_uring_translate(start_operation(rpi_uring_of(backend), op));
}

bool rpi_uring_queue_cancel(rpi_uring *self, uint64_t user_data)
{
    int r = 0;
    struct io_uring_sqe *entry = rpi_queue_next(&self->queue, &r);

    if (entry == NULL) {
        return false;
    }
    entry->opcode = IORING_OP_ASYNC_CANCEL;
    entry->fd = -1;
    entry->addr = user_data;
    entry->flags = IOSQE_CQE_SKIP_SUCCESS; // the operation's own completion tells enough
    entry->user_data = RPI_URING_TAG_CANCEL;
    return true;
}

void rpi_uring_request_cancel(rpi_uring *self, rpi_op *op)
{
    if (!rpi_uring_queue_cancel(self, (uintptr_t)op)) {
        op->backend_flags |= RPI_URING_CANCEL_OWED;
        self->cancels_owed++;
    }
}

void rpi_uring_cancel(rpi_backend *backend, rpi_op *op)
{
    rpi_uring *self = rpi_uring_of(backend);

    if ((op->backend_flags & RPI_URING_OUTER) != 0) {
        rpi_backend_epoll.cancel(self->outer, op);
    } else if ((op->backend_flags & RPI_URING_MOVING) == 0) { // else it is cancelled already
        rpi_uring_request_cancel(self, op);
    }
}

void rpi_uring_pay_cancels(rpi_uring *self)
{
    rpi_list *operations = &self->base.reactor->operations;
    rpi_list *node;

    for (node = operations->next; node != operations && self->cancels_owed > 0; node = node->next) {
        rpi_op *op = RPI_CONTAINER(node, rpi_op, node);

        if ((op->backend_flags & RPI_URING_CANCEL_OWED) == 0) {
            continue;
        }
        if (!rpi_uring_queue_cancel(self, (uintptr_t)op)) {
            return;
        }
        op->backend_flags &= (uint8_t)~RPI_URING_CANCEL_OWED;
        self->cancels_owed--;
    }
}

/* ---- completions ---- */

static void finish(rpi_uring *self, rpi_op *op, int32_t result)
{
    if ((op->backend_flags & RPI_URING_CANCEL_OWED) != 0) {
        self->cancels_owed--;
    }
    rpi_reactor_complete(self->base.reactor, op, result);
}

static int32_t events_of(const rpi_op *op, int32_t result)
{
    uint32_t events = 0;

    if ((result & (POLLHUP | POLLERR)) != 0) {
        return (int32_t)op->size;
    }
    events |= (result & POLLIN) != 0 ? RP_READABLE : 0U;
    events |= (result & POLLOUT) != 0 ? RP_WRITABLE : 0U;
    events &= op->size;
    return (int32_t)(events != 0 ? events : op->size);
}

/* The poll that stood in for a READ or WRITE has ended, or that could not wait by itself. */
static void go_on(rpi_uring *self, rpi_op *op, bool ready)
{
    int r;

    op->backend_flags &= (uint8_t) ~(RPI_URING_POLLING | RPI_URING_NO_SIGNAL);
    if (op->cancelled) {
        finish(self, op, RP_ECANCELED); // nothing was transferred
        return;
    }
    r = ready ? start_operation(self, op) : queue_waiting(self, op);
    if (r < 0) {
        finish(self, op, rpi_uring_translate(r));
    }
}

/* A poll that was woken for nothing is armed anew by the kernel, which fails (EINVAL, seen on 6.18)
 * where a file has two wait queues, as terminals have: each change of their modes is such a wake.
 * So that error is doubted: what is ready now, an error, or 0: the poll was queued again. */
static int32_t doubt(rpi_uring *self, rpi_op *op)
{
    struct pollfd now = {.fd = (int)op->io->handle, .events = (short)poll_mask(op)};
    int r;

    self->base.kernel_calls++;
    r = rpi_os.poll(&now, 1, 0);
    if (r > 0) {
        return (now.revents & POLLNVAL) != 0 ? -EBADF : now.revents;
    }
    r = queue_poll(self, op);
    return r < 0 ? rpi_uring_translate(r) : 0;
}

/* The result of a poll; false: it waits again. */
static bool is_poll_over(rpi_uring *self, rpi_op *op, int32_t *result)
{
    if (*result != -EINVAL) {
        return true;
    }
    *result = op->cancelled ? RP_ECANCELED : doubt(self, op);
    return *result != 0;
}

static void complete_transfer(rpi_uring *self, rpi_op *op, int32_t result)
{
    if ((op->backend_flags & RPI_URING_POLLING) != 0) {
        if (!is_poll_over(self, op, &result)) {
            return;
        }
        if (result < 0) {
            finish(self, op, result);
        } else {
            go_on(self, op, true);
        }
        return;
    }
    if (result == -EAGAIN || result == -EINTR) {
        go_on(self, op, false);
        return;
    }
    if ((op->backend_flags & RPI_URING_NO_SIGNAL) != 0 &&
        (result == -EOPNOTSUPP || result == -EINVAL)) {
        // The flag is unknown (or the descriptor cannot be written to: then the write says so).
        self->writes_without_ring = true;
        go_on(self, op, true);
        return;
    }
    finish(self, op, result);
}

static void complete_poll(rpi_uring *self, rpi_op *op, int32_t result)
{
    bool moves = (op->backend_flags & RPI_URING_MOVING) != 0 && !op->cancelled;
    int r;

    if (moves && (result == RP_ECANCELED || result == -EINVAL)) {
        if ((op->backend_flags & RPI_URING_CANCEL_OWED) != 0) {
            self->cancels_owed--;
        }
        op->backend_flags = 0;
        r = start_outer(self->outer, op);
        if (r < 0) {
            finish(self, op, r);
        }
    } else if (is_poll_over(self, op, &result)) {
        finish(self, op, result < 0 ? result : events_of(op, result));
    }
}

static void complete_entry(rpi_uring *self, const struct io_uring_cqe *completion)
{
    rpi_op *op = (rpi_op *)(uintptr_t)completion->user_data;
    int32_t result = completion->res;

    if (completion->user_data == RPI_URING_TAG_CANCEL) {
        return; // refused: the operation has ended or is ending, and tells itself
    }
    if (completion->user_data == RPI_URING_TAG_WAKE) {
        self->wake_armed = false;
        return;
    }
    switch ((rpi_op_kind)op->kind) {
    case RPI_OP_READ:
    case RPI_OP_WRITE:
        complete_transfer(self, op, result);
        break;
    case RPI_OP_POLL:
        complete_poll(self, op, result);
        break;
    case RPI_OP_READABLE:
        if (is_poll_over(self, op, &result)) {
            finish(self, op, result < 0 ? result : RP_READABLE);
        }
        break;
    case RPI_OP_EXIT:
        finish(self, op, result < 0 ? result : 0);
        break;
    }
}

unsigned rpi_uring_reap(rpi_uring *self)
{
    struct io_uring_cq *cq = &self->queue.ring.cq;
    unsigned head = *cq->khead;
    unsigned tail = io_uring_smp_load_acquire(cq->ktail);
    unsigned count = tail - head;

    for (; head != tail; head++) {
        const struct io_uring_cqe completion = cq->cqes[head & cq->ring_mask];

        // Given back one by one, as completing may hand over entries, which may complete at once.
        io_uring_smp_store_release(cq->khead, head + 1);
        complete_entry(self, &completion);
    }
    return count;
}
