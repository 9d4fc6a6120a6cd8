/* The io_uring backend: every operation is an entry of the submission queue, and its completion is
 * read from the completion queue. One system call a turn hands over all that was started and waits
 * (queue_linux.h). The reactor calls it.
 *
 * An entry's user_data is its operation; the few that belong to none have small numbers. A cancel
 * is an entry too; the submission queue is first in first out, so a cancel can never meet a later
 * start of the same operation. READ and WRITE wait inside the kernel also on O_NONBLOCK
 * descriptors; where a driver answers EAGAIN all the same (PTYs on older kernels), the operation
 * goes on as a poll and is made again after it.
 *
 * The wake is an eventfd with a read armed on it.
 *
 * For another loop that sleeps in our place (rp_loop_fd) there is more to do. Under DEFER_TASKRUN
 * the ring's own descriptor never becomes readable; an eventfd that is registered with the ring
 * does. It says that the kernel has work for us, not that a completion is there: the turn enters
 * the kernel, it does not peek. And the kernel drops that signal when the completion itself comes
 * out of a write to an eventfd (it does not nest them; measured on 6.18: the second one is lost for
 * good, and as only the first piece of work signals, all that follows with it). So once another
 * loop sleeps for us, no operation stands in the ring that might hang on an eventfd: wakes and the
 * caller's own descriptors (POLL) go through an epoll backend of our own, the outer one. The
 * registered eventfd is one of its descriptors, and the outer epoll's is the descriptor that the
 * other loop gets; a turn that may sleep sleeps in the outer one, too. */
#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/clock.h"
#include "base/os.h"
#include "base/status.h"
#include "reactor/backend.h"
#include "reactor/reactor.h"
#include "reactor/uring/queue_linux.h"
#include "reactor/write.h"

/* So many enters collect 20 completions each before one collects all. */
#define ROUNDS_SMALL 16

/* Enters in a row that bring nothing, after which the ring's hint of more is not believed. */
#define EMPTY_MAX 2

/* Linux 6.18: no SIGPIPE for this write; the number is older headers' lack. */
#define WRITE_NO_SIGNAL 0x100

enum { /* user_data of entries without an operation; no operation lies at such an address */
    TAG_CANCEL = 0,
    TAG_WAKE = 1
};

enum {                    /* rpi_op.backend_flags */
    FLAG_POLLING = 1,     /* a poll stands in the kernel for the READ or WRITE that follows it */
    FLAG_CANCEL_OWED = 2, /* there was no room for the cancel's entry */
    FLAG_NO_SIGNAL = 4,   /* written with WRITE_NO_SIGNAL */
    FLAG_OUTER = 8,       /* a POLL that stands in the outer epoll */
    FLAG_MOVING = 16      /* a POLL that is cancelled in the ring to go there */
};

typedef struct rpi_uring {
    rpi_backend base;
    rpi_queue queue;
    int wake_fd;
    int event_fd;                 /* registered with the ring; -1 until rp_loop_fd is asked for */
    _Atomic(rpi_backend *) outer; /* owned; NULL until then; read by wakes of any thread */
    uint64_t wake_count;          /* the kernel writes here */
    uint32_t cancels_owed;
    bool wake_armed;
    bool writes_without_ring; /* the kernel knows no WRITE_NO_SIGNAL */
} rpi_uring;

static rpi_uring *uring_of(rpi_backend *backend)
{
    return (rpi_uring *)backend;
}

/* EEXIST is the kernel's word for "another thread is the issuer". */
static int translate(int error)
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
        op->backend_flags |= FLAG_NO_SIGNAL;
    }
    entry->user_data = (uintptr_t)op;
    return 0;
}

static int queue_waiting(rpi_uring *self, rpi_op *op)
{
    int r = queue_poll(self, op);

    if (r == 0) {
        op->backend_flags |= FLAG_POLLING;
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
        op->backend_flags = FLAG_OUTER;
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

static int submit_operation(rpi_backend *backend, rpi_op *op)
{
    return translate(start_operation(uring_of(backend), op));
}

static bool queue_cancel(rpi_uring *self, uint64_t user_data)
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
    entry->user_data = TAG_CANCEL;
    return true;
}

static void request_cancel(rpi_uring *self, rpi_op *op)
{
    if (!queue_cancel(self, (uintptr_t)op)) {
        op->backend_flags |= FLAG_CANCEL_OWED;
        self->cancels_owed++;
    }
}

static void cancel_operation(rpi_backend *backend, rpi_op *op)
{
    rpi_uring *self = uring_of(backend);

    if ((op->backend_flags & FLAG_OUTER) != 0) {
        rpi_backend_epoll.cancel(self->outer, op);
    } else if ((op->backend_flags & FLAG_MOVING) == 0) { // else it is cancelled already
        request_cancel(self, op);
    }
}

static void pay_cancels(rpi_uring *self)
{
    rpi_list *operations = &self->base.reactor->operations;
    rpi_list *node;

    for (node = operations->next; node != operations && self->cancels_owed > 0; node = node->next) {
        rpi_op *op = RPI_CONTAINER(node, rpi_op, node);

        if ((op->backend_flags & FLAG_CANCEL_OWED) == 0) {
            continue;
        }
        if (!queue_cancel(self, (uintptr_t)op)) {
            return;
        }
        op->backend_flags &= (uint8_t)~FLAG_CANCEL_OWED;
        self->cancels_owed--;
    }
}

static void forget_io(rpi_backend *backend, rpi_io *io)
{
    rpi_backend *outer = uring_of(backend)->outer;

    if (outer != NULL) { // the ring itself holds no descriptor beyond its operations
        rpi_backend_epoll.forget(outer, io);
    }
}

/* ---- completions ---- */

static void finish(rpi_uring *self, rpi_op *op, int32_t result)
{
    if ((op->backend_flags & FLAG_CANCEL_OWED) != 0) {
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

    op->backend_flags &= (uint8_t) ~(FLAG_POLLING | FLAG_NO_SIGNAL);
    if (op->cancelled) {
        finish(self, op, RP_ECANCELED); // nothing was transferred
        return;
    }
    r = ready ? start_operation(self, op) : queue_waiting(self, op);
    if (r < 0) {
        finish(self, op, translate(r));
    }
}

static void complete_transfer(rpi_uring *self, rpi_op *op, int32_t result)
{
    if ((op->backend_flags & FLAG_POLLING) != 0) {
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
    if ((op->backend_flags & FLAG_NO_SIGNAL) != 0 && (result == -EOPNOTSUPP || result == -EINVAL)) {
        // The flag is unknown (or the descriptor cannot be written to: then the write says so).
        self->writes_without_ring = true;
        go_on(self, op, true);
        return;
    }
    finish(self, op, result);
}

static void complete_poll(rpi_uring *self, rpi_op *op, int32_t result)
{
    int r;

    if (result == RP_ECANCELED && (op->backend_flags & FLAG_MOVING) != 0 && !op->cancelled) {
        op->backend_flags = 0;
        r = start_outer(self->outer, op);
        if (r < 0) {
            finish(self, op, r);
        }
        return;
    }
    finish(self, op, result < 0 ? result : events_of(op, result));
}

static void complete_entry(rpi_uring *self, const struct io_uring_cqe *completion)
{
    rpi_op *op = (rpi_op *)(uintptr_t)completion->user_data;
    int32_t result = completion->res;

    if (completion->user_data == TAG_CANCEL) {
        return; // refused: the operation has ended or is ending, and tells itself
    }
    if (completion->user_data == TAG_WAKE) {
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
        finish(self, op, result < 0 ? result : RP_READABLE);
        break;
    case RPI_OP_EXIT:
        finish(self, op, result < 0 ? result : 0);
        break;
    }
}

/* Reads all completions that are there; their number. */
static unsigned reap(rpi_uring *self)
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

/* ---- waiting ---- */

static void arm_wake(rpi_uring *self)
{
    struct io_uring_sqe *entry;
    int r = 0;

    if (self->wake_armed || self->outer != NULL) {
        return;
    }
    entry = rpi_queue_next(&self->queue, &r);
    if (entry != NULL) { // else the next turn does it: this one hands over and does not sleep
        io_uring_prep_read(entry, self->wake_fd, &self->wake_count, sizeof self->wake_count,
                           UINT64_MAX);
        entry->user_data = TAG_WAKE;
        self->wake_armed = true;
    }
}

static int prepare(rpi_uring *self)
{
    int r = rpi_queue_enable(&self->queue);

    if (r < 0) {
        return translate(r);
    }
    arm_wake(self);
    if (self->cancels_owed > 0) {
        pay_cancels(self);
    }
    return 0;
}

/* What one enter did not collect: it takes 20 pieces of work (measured on 6.18), and the ring says
 * whether there are more. To ask for all at once takes a timeout of zero, a timer whose cost (21 us
 * in a virtual machine) is that of many enters (0.3 us each): it is worth it in a storm only.
 *
 * The ring's word is a hint: the kernel adds the work first and sets the flag after it, so that an
 * enter in between leaves a flag that nothing clears until other work comes. An enter that brings
 * nothing is therefore the end (two, as work may bring no completion). */
static void collect_rest(rpi_uring *self)
{
    unsigned rounds = 0;
    unsigned empty = 0;

    while (empty < EMPTY_MAX && rpi_queue_has_more(&self->queue)) {
        unsigned asked = rounds++ < ROUNDS_SMALL ? 0 : self->queue.ring.cq.ring_entries;
        int r = rpi_queue_enter(&self->queue, asked, 0);

        empty = reap(self) == 0 ? empty + 1 : 0;
        if (r < 0 && r != -ETIME) {
            break; // it comes again in the next turn
        }
    }
}

/* The number handed over hides why a wait ended (timeout or signal): the clock tells. */
static int why_nothing(uint64_t begin_ns, uint64_t timeout_ns)
{
    if (timeout_ns != RP_FOREVER && rpi_clock_now_ns() >= rpi_clock_after(begin_ns, timeout_ns)) {
        return 0;
    }
    return -EINTR;
}

static int sleep_in_kernel(rpi_uring *self, uint64_t timeout_ns)
{
    uint64_t begin_ns = 0;
    unsigned waiting = rpi_queue_waiting(&self->queue);
    int r;

    if (waiting > 0 && timeout_ns != RP_FOREVER) {
        begin_ns = rpi_clock_now_ns();
    }
    r = rpi_queue_enter(&self->queue, 1, timeout_ns);
    if (reap(self) > 0) {
        collect_rest(self);
        return 0;
    }
    if (r == -ETIME || r == -EBUSY || r == -EAGAIN || (r >= 0 && (unsigned)r < waiting)) {
        return 0; // over, or short of memory for a moment: not all was handed over
    }
    return r >= 0 ? why_nothing(begin_ns, timeout_ns) : translate(r);
}

/* Hands over and takes what is there. It enters the kernel in any case, which is how a loop that is
 * run by another thread is found out. */
static int collect(rpi_uring *self)
{
    int r = rpi_queue_enter(&self->queue, 0, 0);

    (void)reap(self);
    collect_rest(self);
    return r == -EBUSY || r == -EAGAIN || r >= 0 ? 0 : translate(r);
}

/* Another loop sleeps for us, or this turn does instead. The outer wait takes wakes and the ring's
 * signals, so it comes right before the look at what they stand for, and before a sleep nothing may
 * be taken from it: what that wait has taken, it would sleep over. */
static int wait_outside(rpi_uring *self, rpi_backend *outer, uint64_t timeout_ns)
{
    const rpi_reactor *reactor = self->base.reactor;
    uint32_t pending = reactor->pending;
    int r = 0;

    if (timeout_ns > 0) {
        r = collect(self);
        if (reactor->pending != pending) {
            timeout_ns = 0; // something has completed
        }
    }
    if (r == 0) {
        r = rpi_backend_epoll.wait(outer, timeout_ns);
    }
    if (r == 0) {
        r = collect(self);
    }
    self->base.kernel_calls += outer->kernel_calls;
    outer->kernel_calls = 0;
    return r;
}

static int wait_events(rpi_backend *backend, uint64_t timeout_ns)
{
    rpi_uring *self = uring_of(backend);
    int r = prepare(self);

    if (r < 0) {
        return r;
    }
    if (self->outer != NULL) {
        return wait_outside(self, self->outer, timeout_ns);
    }
    if (timeout_ns == 0 || reap(self) > 0 || !self->wake_armed) {
        return collect(self);
    }
    return sleep_in_kernel(self, timeout_ns);
}

static int flush_entries(rpi_backend *backend)
{
    rpi_uring *self = uring_of(backend);
    int r;

    r = prepare(self);
    if (r == 0) {
        r = translate(rpi_queue_flush(&self->queue));
    }
    if (r < 0) {
        return r;
    }
    if (!rpi_queue_has_completion(&self->queue) && rpi_queue_has_more(&self->queue)) {
        (void)rpi_queue_enter(&self->queue, 0, 0); // a hint (see collect_rest): now it is known
    }
    return rpi_queue_has_completion(&self->queue) ? 1 : 0;
}

static void wake_up(rpi_backend *backend)
{
    static const uint64_t one = 1;
    rpi_uring *self = uring_of(backend);
    rpi_backend *outer = self->outer;
    int saved = errno; // also in signal handlers

    if (outer != NULL) {
        rpi_backend_epoll.wake(outer);
    } else {
        (void)rpi_os.write(self->wake_fd, &one,
                           sizeof one); // fails only when it is readable already
    }
    errno = saved;
}

/* ---- for another loop ---- */

static int open_outer(rpi_uring *self)
{
    rpi_backend *outer = NULL;
    int r;

    self->base.kernel_calls += 2;
    r = rpi_backend_descriptor(rpi_os.eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (r < 0) {
        return r;
    }
    self->event_fd = r;
    r = rpi_backend_epoll.open(self->base.reactor, &outer);
    if (r < 0) {
        goto fail;
    }
    r = rpi_epoll_listen(outer, self->event_fd);
    if (r < 0) {
        goto fail;
    }
    r = rpi_os.io_uring_register(self->queue.ring.ring_fd, IORING_REGISTER_EVENTFD, &self->event_fd,
                                 1);
    if (r < 0) {
        goto fail;
    }
    atomic_store(&self->outer, outer);
    return 0;

fail:
    if (outer != NULL) {
        rpi_backend_epoll.close(outer);
    }
    (void)rpi_os.close(self->event_fd); // nobody has rung it
    self->event_fd = -1;
    return translate(r);
}

/* What may hang on an eventfd leaves the ring, before anybody sleeps. */
static void move_outside(rpi_uring *self)
{
    rpi_list *operations = &self->base.reactor->operations;
    rpi_list *node;

    if (self->wake_armed) {
        (void)queue_cancel(self, TAG_WAKE); // without room it stays, and is not written to any more
    }
    for (node = operations->next; node != operations; node = node->next) {
        rpi_op *op = RPI_CONTAINER(node, rpi_op, node);

        if (op->kind == RPI_OP_POLL && !op->cancelled) {
            request_cancel(self, op);
            op->backend_flags |= FLAG_MOVING;
        }
    }
}

static intptr_t outer_fd(rpi_backend *backend)
{
    rpi_uring *self = uring_of(backend);
    int r;

    if (self->outer == NULL) {
        r = open_outer(self);
        if (r < 0) {
            return r;
        }
        move_outside(self);
        rpi_backend_epoll.wake(self->outer); // for what was submitted before, which has not rung
    }
    return rpi_backend_epoll.fd(self->outer);
}

/* ---- opening and closing ---- */

/* The read of the wake is the last thing in flight. Uncancelled it would outlive the ring while a
 * forked child holds that. */
static void end_wake(rpi_uring *self)
{
    int r = 0;

    if (!self->wake_armed || !queue_cancel(self, TAG_WAKE)) {
        return;
    }
    while (self->wake_armed && (r >= 0 || r == -EINTR)) {
        r = rpi_queue_enter(&self->queue, 1, RP_FOREVER);
        (void)reap(self);
    }
}

static void close_backend(rpi_backend *backend)
{
    rpi_uring *self = uring_of(backend);
    const rp_allocator *allocator = backend->reactor->allocator;

    if (!backend->reactor->forked) {
        end_wake(self);
    }
    rpi_queue_close(&self->queue);
    if (self->outer != NULL) {
        rpi_backend_epoll.close(self->outer);
    }
    // Nothing was written to them that a close could lose.
    if (self->event_fd >= 0) {
        (void)rpi_os.close(self->event_fd);
    }
    if (self->wake_fd >= 0) {
        (void)rpi_os.close(self->wake_fd);
    }
    rpi_free(allocator, self, sizeof *self);
}

static int open_backend(rpi_reactor *reactor, rpi_backend **ret_backend)
{
    rpi_uring *self = rpi_alloc_zero(reactor->allocator, sizeof *self);
    int r;

    if (self == NULL) {
        return RP_ENOMEM;
    }
    self->base.api = &rpi_backend_uring;
    self->base.reactor = reactor;
    self->event_fd = -1;
    self->wake_fd = -1;
    r = rpi_queue_open(&self->queue, &self->base.kernel_calls);
    if (r < 0) {
        goto fail;
    }
    r = rpi_backend_descriptor(rpi_os.eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (r < 0) {
        goto fail;
    }
    self->wake_fd = r;
    *ret_backend = &self->base;
    return 0;

fail:
    close_backend(&self->base);
    return r;
}

void rpi_uring_write_without_ring(rpi_backend *backend)
{
    uring_of(backend)->writes_without_ring = true;
}

const rpi_backend_api rpi_backend_uring = {
    .name = "uring",
    .id = RP_BACKEND_URING,
    .open = open_backend,
    .close = close_backend,
    .submit = submit_operation,
    .cancel = cancel_operation,
    .forget = forget_io,
    .flush = flush_entries,
    .wait = wait_events,
    .wake = wake_up,
    .fd = outer_fd,
};
