/* The epoll backend: used where io_uring is refused, or asked for. It waits in one epoll and leaves
 * making completions out of readiness to the adapter (readiness.h). The wake is an eventfd in the
 * same epoll; the epoll's own descriptor is what another loop waits on. The reactor calls it. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/os.h"
#include "base/status.h"
#include "reactor/backend.h"
#include "reactor/reactor.h"
#include "reactor/readiness.h"

/* Taken from the kernel at a time; a wait goes on until it gets fewer. */
#define EVENT_MAX 256

typedef struct rpi_epoll {
    rpi_backend base;
    int epoll;
    int wake; /* eventfd, never read: each write to it is an edge; its event carries no io */
    struct epoll_event events[EVENT_MAX];
} rpi_epoll;

static rpi_epoll *epoll_of(rpi_backend *backend)
{
    return (rpi_epoll *)backend;
}

static int control(rpi_epoll *self, int operation, int fd, struct epoll_event *event)
{
    self->base.kernel_calls++;
    return rpi_os.epoll_ctl(self->epoll, operation, fd, event) < 0 ? -errno : 0;
}

static int registered_fd(const rpi_io *io)
{
    return io->backend_handle >= 0 ? io->backend_handle : (int)io->handle;
}

/* The descriptor is in this epoll already, for another io: a duplicate counts as another one. */
static int add_duplicate(rpi_epoll *self, rpi_io *io, struct epoll_event *event)
{
    int r;

    self->base.kernel_calls++;
    io->backend_handle = rpi_os.fcntl((int)io->handle, F_DUPFD_CLOEXEC, 3);
    if (io->backend_handle < 0) {
        io->backend_handle = -1;
        return -errno;
    }
    r = control(self, EPOLL_CTL_ADD, io->backend_handle, event);
    if (r < 0) {
        (void)rpi_os.close(io->backend_handle); // ours, and nothing was written to it
        io->backend_handle = -1;
    }
    return r;
}

static int arm(rpi_backend *backend, rpi_io *io, uint32_t wanted, rpi_readiness_mode mode)
{
    rpi_epoll *self = epoll_of(backend);
    struct epoll_event event = {.data.ptr = io};
    uint32_t flags = RPI_IO_REGISTERED;
    int r;

    event.events = mode == RPI_READINESS_ONCE ? EPOLLONESHOT : EPOLLET;
    flags |= mode == RPI_READINESS_ONCE ? RPI_IO_ONCE : 0U;
    if ((wanted & RP_READABLE) != 0) {
        event.events |= EPOLLIN;
        flags |= RPI_IO_WANTS_READ;
    }
    if ((wanted & RP_WRITABLE) != 0) {
        event.events |= EPOLLOUT;
        flags |= RPI_IO_WANTS_WRITE;
    }
    if ((io->backend_flags & RPI_IO_REGISTERED) != 0) {
        r = control(self, EPOLL_CTL_MOD, registered_fd(io), &event);
    } else {
        r = control(self, EPOLL_CTL_ADD, (int)io->handle, &event);
        if (r == -EEXIST) {
            r = add_duplicate(self, io, &event);
        } else if (r == -EPERM) { // no poll in its driver: a regular file
            io->backend_flags |= RPI_IO_ALWAYS;
            return 0;
        }
    }
    if (r == 0) {
        io->backend_flags &= ~(uint32_t)(RPI_IO_ONCE | RPI_IO_WANTS_READ | RPI_IO_WANTS_WRITE);
        io->backend_flags |= flags;
    }
    return r;
}

static int submit_operation(rpi_backend *backend, rpi_op *op)
{
    return rpi_readiness_submit(backend, op, arm);
}

static void forget_io(rpi_backend *backend, rpi_io *io)
{
    rpi_epoll *self = epoll_of(backend);
    struct epoll_event unused = {0}; // kernels before 2.6.9 wanted one

    // A forked child shares the epoll with its parent: these are the parent's.
    if (!rpi_reactor_is_forked(backend->reactor)) {
        RP_ASSERT(io->reader == NULL && io->writer == NULL);
        if ((io->backend_flags & RPI_IO_REGISTERED) != 0) {
            (void)control(self, EPOLL_CTL_DEL, registered_fd(io), &unused); // or it is gone: closed
        }
    }
    if (io->backend_handle >= 0) {
        self->base.kernel_calls++;
        (void)rpi_os.close(io->backend_handle); // ours, and nothing was written to it
    }
}

/* ---- waiting ---- */

static void take_event(rpi_epoll *self, const struct epoll_event *event)
{
    uint32_t ready = 0;

    if (event->data.ptr == NULL) {
        return; // the wake: being woken was all
    }
    ready |= (event->events & (EPOLLIN | EPOLLPRI)) != 0 ? RP_READABLE : 0U;
    ready |= (event->events & EPOLLOUT) != 0 ? RP_WRITABLE : 0U;
    ready |= (event->events & (EPOLLHUP | EPOLLERR)) != 0 ? RPI_HANGUP : 0U;
    rpi_readiness_event(&self->base, event->data.ptr, ready, arm);
}

static int wait_once(rpi_epoll *self, uint64_t timeout_ns)
{
    struct timespec timeout = {
        .tv_sec = (time_t)(timeout_ns / RP_SECOND),
        .tv_nsec = (long)(timeout_ns % RP_SECOND),
    };
    int count;
    int i;

    self->base.kernel_calls++;
    count = rpi_os.epoll_wait(self->epoll, self->events, EVENT_MAX,
                              timeout_ns == RP_FOREVER ? NULL : &timeout);
    if (count < 0) {
        return -errno;
    }
    for (i = 0; i < count; i++) {
        take_event(self, &self->events[i]);
    }
    return count;
}

static int wait_events(rpi_backend *backend, uint64_t timeout_ns)
{
    rpi_epoll *self = epoll_of(backend);
    int count = wait_once(self, timeout_ns);

    if (count < 0) {
        return count;
    }
    // Everything in the kernel's list: exits must not overtake the data behind them, and another
    // loop may look at our descriptor for edges. Each is reported once, so this ends.
    while (count == EVENT_MAX) {
        count = wait_once(self, 0);
    }
    return 0;
}

static void wake_up(rpi_backend *backend)
{
    static const uint64_t one = 1;
    int saved = errno; // also in signal handlers

    // Fails only when the counter is full, after 2^64 wakes.
    (void)rpi_os.write(epoll_of(backend)->wake, &one, sizeof one);
    errno = saved;
}

static int flush_nothing(rpi_backend *backend)
{
    (void)backend; // each registration is made at once
    return 0;
}

static intptr_t own_fd(rpi_backend *backend)
{
    return epoll_of(backend)->epoll;
}

/* ---- opening and closing ---- */

static void close_backend(rpi_backend *backend)
{
    rpi_epoll *self = epoll_of(backend);
    const rp_allocator *allocator = backend->reactor->allocator;

    // Nothing was written to them that a close could lose.
    if (self->wake >= 0) {
        (void)rpi_os.close(self->wake);
    }
    if (self->epoll >= 0) {
        (void)rpi_os.close(self->epoll);
    }
    rpi_free(allocator, self, sizeof *self);
}

int rpi_epoll_listen(rpi_backend *epoll, int fd)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLET}; // and no io

    return control(epoll_of(epoll), EPOLL_CTL_ADD, fd, &event);
}

static int open_descriptors(rpi_epoll *self)
{
    int r;

    r = rpi_backend_descriptor(rpi_os.epoll_create1(EPOLL_CLOEXEC));
    if (r < 0) {
        return r;
    }
    self->epoll = r;
    r = rpi_backend_descriptor(rpi_os.eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (r < 0) {
        return r;
    }
    self->wake = r;
    return rpi_epoll_listen(&self->base, self->wake);
}

static int open_backend(rpi_reactor *reactor, rpi_backend **ret_backend)
{
    rpi_epoll *self = rpi_alloc_zero(reactor->allocator, sizeof *self);
    int r;

    if (self == NULL) {
        return RP_ENOMEM;
    }
    self->base.api = &rpi_backend_epoll;
    self->base.reactor = reactor;
    self->epoll = -1;
    self->wake = -1;
    r = open_descriptors(self);
    if (r < 0) {
        close_backend(&self->base);
        return r;
    }
    *ret_backend = &self->base;
    return 0;
}

const rpi_backend_api rpi_backend_epoll = {
    .name = "epoll",
    .id = RP_BACKEND_EPOLL,
    .open = open_backend,
    .close = close_backend,
    .submit = submit_operation,
    .cancel = rpi_readiness_cancel,
    .forget = forget_io,
    .flush = flush_nothing,
    .wait = wait_events,
    .wake = wake_up,
    .fd = own_fd,
};
