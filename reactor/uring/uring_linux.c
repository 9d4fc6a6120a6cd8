/* The io_uring backend: every operation is an entry of the submission queue, and its completion is
 * read from the completion queue. One system call a turn hands over all that was started and waits
 * (queue_linux.h). The reactor calls it.
 *
 * Operations are in operations_linux.c, the ring itself in queue_linux.c; here it waits, is woken,
 * opens and closes. The wake is an eventfd with a read armed on it.
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
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/clock.h"
#include "base/os.h"
#include "base/status.h"
#include "reactor/uring/uring_linux.h"

/* So many enters collect 20 completions each before one collects all. */
#define ROUNDS_SMALL 16

/* Enters in a row that bring nothing, after which the ring's hint of more is not believed. */
#define EMPTY_MAX 2

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
        entry->user_data = RPI_URING_TAG_WAKE;
        self->wake_armed = true;
    }
}

static int prepare(rpi_uring *self)
{
    int r = rpi_queue_enable(&self->queue);

    if (r < 0) {
        return rpi_uring_translate(r);
    }
    arm_wake(self);
    if (self->cancels_owed > 0) {
        rpi_uring_pay_cancels(self);
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

        empty = rpi_uring_reap(self) == 0 ? empty + 1 : 0;
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
    if (rpi_uring_reap(self) > 0) {
        collect_rest(self);
        return 0;
    }
    if (r == -ETIME || r == -EBUSY || r == -EAGAIN || (r >= 0 && (unsigned)r < waiting)) {
        return 0; // over, or short of memory for a moment: not all was handed over
    }
    return r >= 0 ? why_nothing(begin_ns, timeout_ns) : rpi_uring_translate(r);
}

/* Hands over and takes what is there. It enters the kernel in any case, which is how a loop that is
 * run by another thread is found out. */
static int collect(rpi_uring *self)
{
    int r = rpi_queue_enter(&self->queue, 0, 0);

    (void)rpi_uring_reap(self);
    collect_rest(self);
    return r == -EBUSY || r == -EAGAIN || r >= 0 ? 0 : rpi_uring_translate(r);
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
    rpi_uring *self = rpi_uring_of(backend);
    int r = prepare(self);

    if (r < 0) {
        return r;
    }
    if (self->outer != NULL) {
        return wait_outside(self, self->outer, timeout_ns);
    }
    if (timeout_ns == 0 || rpi_uring_reap(self) > 0 || !self->wake_armed) {
        return collect(self);
    }
    return sleep_in_kernel(self, timeout_ns);
}

static int flush_entries(rpi_backend *backend)
{
    rpi_uring *self = rpi_uring_of(backend);
    int r;

    r = prepare(self);
    if (r == 0) {
        r = rpi_uring_translate(rpi_queue_flush(&self->queue));
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
    rpi_uring *self = rpi_uring_of(backend);
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

static void forget_io(rpi_backend *backend, rpi_io *io)
{
    rpi_backend *outer = rpi_uring_of(backend)->outer;

    if (outer != NULL) { // the ring itself holds no descriptor beyond its operations
        rpi_backend_epoll.forget(outer, io);
    }
}

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
    return rpi_uring_translate(r);
}

/* What may hang on an eventfd leaves the ring, before anybody sleeps. */
static void move_outside(rpi_uring *self)
{
    rpi_list *operations = &self->base.reactor->operations;
    rpi_list *node;

    if (self->wake_armed) {
        (void)rpi_uring_queue_cancel(
            self, RPI_URING_TAG_WAKE); // without room it stays, and is not written to any more
    }
    for (node = operations->next; node != operations; node = node->next) {
        rpi_op *op = RPI_CONTAINER(node, rpi_op, node);

        if (op->kind == RPI_OP_POLL && !op->cancelled) {
            rpi_uring_request_cancel(self, op);
            op->backend_flags |= RPI_URING_MOVING;
        }
    }
}

static intptr_t outer_fd(rpi_backend *backend)
{
    rpi_uring *self = rpi_uring_of(backend);
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

    if (!self->wake_armed || !rpi_uring_queue_cancel(self, RPI_URING_TAG_WAKE)) {
        return;
    }
    while (self->wake_armed && (r >= 0 || r == -EINTR)) {
        r = rpi_queue_enter(&self->queue, 1, RP_FOREVER);
        (void)rpi_uring_reap(self);
    }
}

static void close_backend(rpi_backend *backend)
{
    rpi_uring *self = rpi_uring_of(backend);
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
    rpi_uring_of(backend)->writes_without_ring = true;
}

const rpi_backend_api rpi_backend_uring = {
    .name = "uring",
    .id = RP_BACKEND_URING,
    .open = open_backend,
    .close = close_backend,
    .submit = rpi_uring_submit,
    .cancel = rpi_uring_cancel,
    .forget = forget_io,
    .flush = flush_entries,
    .wait = wait_events,
    .wake = wake_up,
    .fd = outer_fd,
};
