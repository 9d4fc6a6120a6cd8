/* The kqueue backend, for FreeBSD and macOS: it waits in one kqueue and leaves making completions
 * out of readiness to the adapter (readiness.h). The reactor calls it.
 *
 * Reading and writing are two filters, which the kernel keeps by descriptor and filter: two ios of
 * one descriptor would overwrite each other, so the second registers a duplicate. Whether something
 * is at its end is decided by read() and write(), never by EV_EOF, which comes together with unread
 * data, comes twice, and stays on terminals.
 *
 * An exit is waited for by the process's number (rpi_op.size). NOTE_EXIT may come before the status
 * can be had, and on macOS a process that has begun to exit cannot be registered any more. So an
 * exit is told only when waitid has it, and where it does not have it yet a timer asks again: to
 * wait for it in waitid could take as long as somebody does not read the process's terminal. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/event.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/os.h"
#include "base/status.h"
#include "reactor/backend.h"
#include "reactor/reactor.h"
#include "reactor/readiness.h"

/* Taken from the kernel at a time; a wait goes on until it gets fewer. */
#define EVENT_MAX 256

/* Longer waits are cut: systems have limits of their own, and the reactor waits again. */
#define WAIT_SECONDS_MAX 100000

/* How often it is looked for the status of a process at once, and how soon again after that. */
#define EXIT_LOOKS 3
#define EXIT_RETRY_MS 2

#define CHANGE_MAX 4 /* made at once */

enum {                     /* beside those of readiness.h, in rpi_io.backend_flags */
    IO_PROCESS = 1 << 8,   /* registered as a process; backend_handle is its number */
    IO_REPEATING = 1 << 9, /* its timer is registered */
    IO_BROKEN = 1 << 10    /* registered as a write end that nobody reads: EVFILT_USER */
};

typedef struct rpi_kqueue {
    rpi_backend base;
    int kqueue;
    struct kevent events[EVENT_MAX];
} rpi_kqueue;

int rpi_kqueue_event_max = EVENT_MAX; /* tests take fewer */

static rpi_kqueue *kqueue_of(rpi_backend *backend)
{
    return (rpi_kqueue *)backend;
}

/* ---- changes: each is answered on its own (EV_RECEIPT), and none waits ---- */

typedef struct changes {
    struct kevent list[CHANGE_MAX];
    int count;
} changes;

static void change(changes *asked, uintptr_t ident, int filter, unsigned flags, rpi_io *io)
{
    struct kevent *one = &asked->list[asked->count++];

    RP_ASSERT(asked->count <= CHANGE_MAX);
    memset(one, 0, sizeof *one);
    one->ident = ident;
    one->filter = (short)filter;
    one->flags = (unsigned short)(flags | EV_RECEIPT);
    one->udata = io;
}

/** Makes the changes; the first error of one that adds. What is to be deleted may be gone. */
static int apply(rpi_kqueue *self, changes *asked)
{
    static const struct timespec no_wait = {0, 0};
    struct kevent answers[CHANGE_MAX];
    int r = 0;
    int count;
    int i;

    if (asked->count == 0) {
        return 0;
    }
    self->base.kernel_calls++;
    count = rpi_os.kevent(self->kqueue, asked->list, asked->count, answers, asked->count, &no_wait);
    if (count < 0) {
        return -errno;
    }
    // One answer a change, in their order.
    for (i = 0; i < count && i < asked->count; i++) {
        if (r == 0 && (answers[i].flags & EV_ERROR) != 0 && answers[i].data != 0 &&
            (asked->list[i].flags & EV_DELETE) == 0) {
            r = -(int)answers[i].data;
        }
    }
    return r;
}

/* ---- descriptors ---- */

static int registered_fd(const rpi_io *io)
{
    return io->backend_handle >= 0 ? io->backend_handle : (int)io->handle;
}

/** Whether another io of ours has registered this descriptor for this: then there is something that
 * can be enabled, which it is. */
static bool is_taken(rpi_kqueue *self, int fd, int filter)
{
    static const struct timespec no_wait = {0, 0};
    struct kevent asked;
    struct kevent answer;

    memset(&asked, 0, sizeof asked);
    asked.ident = (uintptr_t)fd;
    asked.filter = (short)filter;
    asked.flags = EV_ENABLE | EV_RECEIPT;
    self->base.kernel_calls++;
    return rpi_os.kevent(self->kqueue, &asked, 1, &answer, 1, &no_wait) == 1 && answer.data == 0;
}

/** The first registration of an io. A file that never waits is found out. A descriptor that another
 * io of ours has already is duplicated; only those that are polled, which are the caller's, can be
 * had twice. */
static int claim(rpi_kqueue *self, rpi_io *io, rpi_readiness_mode mode)
{
    struct stat status;

    self->base.kernel_calls++;
    if (rpi_os.fstat((int)io->handle, &status) < 0) {
        return -errno;
    }
    if (S_ISREG(status.st_mode) || S_ISDIR(status.st_mode)) {
        io->backend_flags |= RPI_IO_ALWAYS; // at its end the filter would wait for it to grow
        return 0;
    }
    if (mode == RPI_READINESS_EDGES || (!is_taken(self, (int)io->handle, EVFILT_READ) &&
                                        !is_taken(self, (int)io->handle, EVFILT_WRITE))) {
        return 0;
    }
    self->base.kernel_calls++;
    io->backend_handle = rpi_os.fcntl((int)io->handle, F_DUPFD_CLOEXEC, 3);
    if (io->backend_handle < 0) {
        io->backend_handle = -1;
        return -errno;
    }
    return 0;
}

/** Nobody reads what is to be written: FreeBSD refuses to register that. It is ready, though, as a
 * write tells at once; so it is told through an event of our own. */
static int tell_broken(rpi_kqueue *self, rpi_io *io)
{
    changes asked = {.count = 0};
    int r;

    change(&asked, (uintptr_t)io, EVFILT_USER, EV_ADD | EV_ONESHOT, io);
    change(&asked, (uintptr_t)io, EVFILT_USER, 0, io);
    asked.list[1].fflags = NOTE_TRIGGER;
    r = apply(self, &asked);
    if (r == 0) {
        io->backend_flags |= IO_BROKEN;
    }
    return r;
}

/** Registers one filter; the flag that says so is set. */
static int add(rpi_kqueue *self, rpi_io *io, bool is_write, rpi_readiness_mode mode)
{
    const unsigned how = mode == RPI_READINESS_ONCE ? EV_ONESHOT : EV_CLEAR;
    changes asked = {.count = 0};
    int fd = registered_fd(io);
    int r;

    change(&asked, (uintptr_t)fd, is_write ? EVFILT_WRITE : EVFILT_READ, EV_ADD | how, io);
    r = apply(self, &asked);
    if (r == -EPIPE && is_write) {
        r = tell_broken(self, io);
    }
    if (r == 0) {
        io->backend_flags |= is_write ? RPI_IO_WANTS_WRITE : RPI_IO_WANTS_READ;
    }
    return r;
}

/** Takes back what is registered: reading, writing or both. */
static void take_back(rpi_kqueue *self, rpi_io *io, uint32_t wants)
{
    changes asked = {.count = 0};
    const int fd = registered_fd(io);

    wants &= io->backend_flags;
    if ((wants & RPI_IO_WANTS_READ) != 0) {
        change(&asked, (uintptr_t)fd, EVFILT_READ, EV_DELETE, NULL);
    }
    if ((wants & RPI_IO_WANTS_WRITE) != 0) {
        change(&asked, (uintptr_t)fd, EVFILT_WRITE, EV_DELETE, NULL);
    }
    if ((wants & RPI_IO_WANTS_WRITE) != 0 && (io->backend_flags & IO_BROKEN) != 0) {
        change(&asked, (uintptr_t)io, EVFILT_USER, EV_DELETE, NULL);
        io->backend_flags &= ~(uint32_t)IO_BROKEN;
    }
    (void)apply(self, &asked); // or they are gone: delivered, or closed
    io->backend_flags &= ~wants;
}

static uint32_t wants_of(uint32_t events)
{
    return ((events & RP_READABLE) != 0 ? (uint32_t)RPI_IO_WANTS_READ : 0U) |
           ((events & RP_WRITABLE) != 0 ? (uint32_t)RPI_IO_WANTS_WRITE : 0U);
}

/* A driver that has no filters (/dev/null): it does not wait. */
static bool has_no_filter(int error)
{
    return error == -ENODEV || error == -EINVAL || error == -EOPNOTSUPP || error == -EPERM;
}

static int arm(rpi_backend *backend, rpi_io *io, uint32_t events, rpi_readiness_mode mode)
{
    rpi_kqueue *self = kqueue_of(backend);
    const uint32_t both = RPI_IO_WANTS_READ | RPI_IO_WANTS_WRITE;
    const uint32_t wanted = wants_of(events);
    const bool was_once = (io->backend_flags & RPI_IO_ONCE) != 0;
    uint32_t missing;
    int r = 0;

    if ((io->backend_flags & RPI_IO_REGISTERED) == 0) {
        r = claim(self, io, mode);
        if (r < 0 || (io->backend_flags & RPI_IO_ALWAYS) != 0) {
            return r;
        }
    }
    // What the kernel has of an event is fixed when it is added: other flags take another one.
    if (was_once != (mode == RPI_READINESS_ONCE)) {
        take_back(self, io, both);
    }
    take_back(self, io, both & ~wanted);
    // One report may have been given already: all that is wanted is asked for again.
    missing = mode == RPI_READINESS_ONCE ? wanted : wanted & ~io->backend_flags;
    io->backend_flags &= ~(uint32_t)RPI_IO_ONCE;
    io->backend_flags |= mode == RPI_READINESS_ONCE ? (uint32_t)RPI_IO_ONCE : 0U;
    if ((missing & RPI_IO_WANTS_READ) != 0) {
        r = add(self, io, false, mode);
    }
    if (r == 0 && (missing & RPI_IO_WANTS_WRITE) != 0) {
        r = add(self, io, true, mode);
    }
    if (r == 0) {
        io->backend_flags |= RPI_IO_REGISTERED;
        return 0;
    }
    if (has_no_filter(r) && (io->backend_flags & RPI_IO_REGISTERED) == 0) {
        take_back(self, io, both);
        io->backend_flags &= ~(uint32_t)RPI_IO_ONCE;
        io->backend_flags |= RPI_IO_ALWAYS;
        return 0;
    }
    return r;
}

/* ---- exits ---- */

typedef enum exit_state {
    EXIT_RUNS, /* or has only begun to exit */
    EXIT_IS_OVER
} exit_state;

/** Whether its status can be had, without taking it. Nobody's child any more, or never ours: then
 * the kernel's word is all there is. */
static exit_state look_at(rpi_kqueue *self, const rpi_op *op)
{
    siginfo_t info;
    int r = 0;
    int looks;

    // Mostly the first look finds it; it may be a moment late.
    for (looks = 0; looks < EXIT_LOOKS; looks++) {
        memset(&info, 0, sizeof info);
        self->base.kernel_calls++;
        r = rpi_os.waitid(P_PID, (int)op->size, &info, WEXITED | WNOHANG | WNOWAIT, NULL);
        if ((r == 0 && info.si_pid != 0) || (r < 0 && errno != EINTR)) {
            return EXIT_IS_OVER;
        }
    }
    return EXIT_RUNS;
}

static int ask_later(rpi_kqueue *self, rpi_io *io)
{
    changes asked = {.count = 0};
    int r;

    change(&asked, (uintptr_t)io, EVFILT_TIMER, EV_ADD | EV_ONESHOT, io);
    asked.list[0].data = EXIT_RETRY_MS; // milliseconds are what all systems take unasked
    r = apply(self, &asked);
    if (r == 0) {
        io->backend_flags |= RPI_IO_REGISTERED | IO_REPEATING;
    }
    return r;
}

/** Registers a process. RP_ESRCH: it has begun to exit, or is gone. */
static int watch_process(rpi_kqueue *self, const rpi_op *op)
{
    changes asked = {.count = 0};
    int r;

    change(&asked, (uintptr_t)op->size, EVFILT_PROC, EV_ADD | EV_ONESHOT, op->io);
    asked.list[0].fflags = NOTE_EXIT;
    r = apply(self, &asked);
    if (r == 0) {
        op->io->backend_flags |= RPI_IO_REGISTERED | IO_PROCESS;
        op->io->backend_handle = (int32_t)op->size; // by which it is taken back
    }
    return r;
}

static void complete_exit(rpi_kqueue *self, rpi_op *op, int result)
{
    op->io->reader = NULL;
    op->io->backend_flags |= result == 0 ? (uint32_t)RPI_IO_READABLE : 0U;
    rpi_reactor_complete(self->base.reactor, op, result);
}

/** It cannot be registered: told, or asked again later. */
static int settle_exit(rpi_kqueue *self, rpi_op *op)
{
    if (look_at(self, op) == EXIT_RUNS) {
        return ask_later(self, op->io);
    }
    complete_exit(self, op, 0);
    return 0;
}

static int submit_exit(rpi_kqueue *self, rpi_op *op)
{
    int r;

    op->io->reader = op;
    if ((op->io->backend_flags & RPI_IO_READABLE) != 0) {
        complete_exit(self, op, 0);
        return 0;
    }
    if ((op->io->backend_flags & RPI_IO_REGISTERED) != 0) {
        return 0; // from before a cancel
    }
    r = watch_process(self, op);
    if (r == -ESRCH) {
        r = settle_exit(self, op);
    }
    if (r < 0) {
        op->io->reader = NULL;
    }
    return r;
}

static void take_exit(rpi_kqueue *self, rpi_io *io, bool is_retry)
{
    rpi_op *op = io->reader;
    int r = -ESRCH;

    // The event was the only one.
    io->backend_flags &= ~(uint32_t)(RPI_IO_REGISTERED | IO_PROCESS | IO_REPEATING);
    io->backend_handle = -1;
    if (op == NULL) {
        return; // cancelled
    }
    if (look_at(self, op) == EXIT_IS_OVER) {
        complete_exit(self, op, 0);
        return;
    }
    // Where it still runs, the event was of another process that had the number before.
    if (!is_retry) {
        r = watch_process(self, op);
    }
    if (r == -ESRCH) {
        r = ask_later(self, io);
    }
    if (r < 0) {
        complete_exit(self, op, r);
    }
}

/* ---- what the reactor calls ---- */

static int submit_operation(rpi_backend *backend, rpi_op *op)
{
    if (op->kind == RPI_OP_EXIT) {
        return submit_exit(kqueue_of(backend), op);
    }
    return rpi_readiness_submit(backend, op, arm);
}

static void forget_io(rpi_backend *backend, rpi_io *io)
{
    rpi_kqueue *self = kqueue_of(backend);
    changes asked = {.count = 0};

    // A forked child has no kqueue: it is not inherited.
    if (!rpi_reactor_is_forked(backend->reactor)) {
        RP_ASSERT(io->reader == NULL && io->writer == NULL);
        take_back(self, io, RPI_IO_WANTS_READ | RPI_IO_WANTS_WRITE);
        if ((io->backend_flags & IO_REPEATING) != 0) {
            change(&asked, (uintptr_t)io, EVFILT_TIMER, EV_DELETE, NULL);
        } else if ((io->backend_flags & IO_PROCESS) != 0) {
            change(&asked, (uintptr_t)io->backend_handle, EVFILT_PROC, EV_DELETE, NULL);
        }
        (void)apply(self, &asked); // or it is gone: delivered
    }
    if (io->backend_handle >= 0 && (io->backend_flags & IO_PROCESS) == 0) {
        self->base.kernel_calls++;
        (void)rpi_os.close(io->backend_handle); // ours, and nothing was written to it
    }
}

/* ---- waiting ---- */

/** What an event says is ready. Each filter has an event of its own, so whoever polls for more than
 * one thing, or meets an end, is told what poll() says of all of them. */
static uint32_t ready_of(rpi_kqueue *self, const struct kevent *event, const rpi_io *io)
{
    struct pollfd asked = {.fd = registered_fd(io), .events = POLLIN | POLLOUT};
    uint32_t ready = event->filter == EVFILT_READ ? RP_READABLE : RP_WRITABLE;

    if (io->reader == NULL || io->reader->kind != RPI_OP_POLL ||
        ((event->flags & EV_EOF) == 0 && io->reader->size == ready)) {
        return ready;
    }
    self->base.kernel_calls++;
    if (rpi_os.poll(&asked, 1, 0) > 0) {
        ready |= (asked.revents & POLLIN) != 0 ? RP_READABLE : 0U;
        ready |= (asked.revents & POLLOUT) != 0 ? RP_WRITABLE : 0U;
        ready |= (asked.revents & (POLLHUP | POLLERR)) != 0 ? RPI_HANGUP : 0U;
    }
    return ready;
}

static void take_event(rpi_kqueue *self, const struct kevent *event)
{
    rpi_io *io = event->udata;

    if (io == NULL) {
        return; // the wake: being woken was all
    }
    switch (event->filter) {
    case EVFILT_PROC:
    case EVFILT_TIMER:
        take_exit(self, io, event->filter == EVFILT_TIMER);
        break;
    case EVFILT_USER:
        io->backend_flags &= ~(uint32_t)IO_BROKEN;
        rpi_readiness_event(&self->base, io, RP_WRITABLE, arm);
        break;
    case EVFILT_READ:
    case EVFILT_WRITE:
        rpi_readiness_event(&self->base, io, ready_of(self, event, io), arm);
        break;
    default:
        break; // none that we asked for
    }
}

static int wait_once(rpi_kqueue *self, uint64_t timeout_ns)
{
    struct timespec timeout = {.tv_sec = WAIT_SECONDS_MAX};
    int count;
    int i;

    if (timeout_ns < WAIT_SECONDS_MAX * RP_SECOND) {
        timeout.tv_sec = (time_t)(timeout_ns / RP_SECOND);
        timeout.tv_nsec = (long)(timeout_ns % RP_SECOND);
    }
    self->base.kernel_calls++;
    count = rpi_os.kevent(self->kqueue, NULL, 0, self->events, rpi_kqueue_event_max,
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
    rpi_kqueue *self = kqueue_of(backend);
    int count = wait_once(self, timeout_ns);

    if (count < 0) {
        return count;
    }
    // Everything in the kernel's list: exits must not overtake the data behind them, and another
    // loop may look at our descriptor for edges. Each is reported once, so this ends.
    while (count == rpi_kqueue_event_max) {
        count = wait_once(self, 0);
    }
    return 0;
}

static int trigger(rpi_kqueue *self, unsigned flags, unsigned fflags)
{
    static const struct timespec no_wait = {0, 0};
    struct kevent bell;

    memset(&bell, 0, sizeof bell);
    bell.filter = EVFILT_USER;
    bell.flags = (unsigned short)flags;
    bell.fflags = fflags;
    return rpi_os.kevent(self->kqueue, &bell, 1, NULL, 0, &no_wait) < 0 ? -errno : 0;
}

static void wake_up(rpi_backend *backend)
{
    int saved = errno; // also in signal handlers

    // The bell is there as long as the backend is: nothing can go wrong.
    (void)trigger(kqueue_of(backend), 0, NOTE_TRIGGER);
    errno = saved;
}

static int flush_nothing(rpi_backend *backend)
{
    (void)backend; // each registration is made at once
    return 0;
}

static intptr_t own_fd(rpi_backend *backend)
{
    return kqueue_of(backend)->kqueue;
}

/* ---- opening and closing ---- */

static void close_backend(rpi_backend *backend)
{
    rpi_kqueue *self = kqueue_of(backend);
    const rp_allocator *allocator = backend->reactor->allocator;

    // In a forked child the number is nobody's, or somebody else's.
    if (self->kqueue >= 0 && !rpi_reactor_is_forked(backend->reactor)) {
        (void)rpi_os.close(self->kqueue); // nothing was written to it
    }
    rpi_free(allocator, self, sizeof *self);
}

/** A kqueue above 2 and close-on-exec. It cannot be duplicated everywhere, so where a host closed
 * its standard descriptors others hold those numbers meanwhile. */
static int open_queue(void)
{
    int low[3];
    int low_count = 0;
    int fd = rpi_os.kqueue();
    int r = fd < 0 ? -errno : fd;

    while (r >= 0 && r <= 2 && low_count < 3) {
        low[low_count++] = r;
        fd = rpi_os.kqueue();
        r = fd < 0 ? -errno : fd;
    }
    while (low_count > 0) {
        (void)rpi_os.close(low[--low_count]); // never used
    }
    if (r >= 0 && rpi_os.fcntl(r, F_SETFD, FD_CLOEXEC) < 0) {
        fd = r;
        r = -errno;
        (void)rpi_os.close(fd); // never used
    }
    return r;
}

static int open_backend(rpi_reactor *reactor, rpi_backend **ret_backend)
{
    rpi_kqueue *self = rpi_alloc_zero(reactor->allocator, sizeof *self);
    int r;

    if (self == NULL) {
        return RP_ENOMEM;
    }
    self->base.api = &rpi_backend_kqueue;
    self->base.reactor = reactor;
    self->kqueue = open_queue();
    r = self->kqueue < 0 ? self->kqueue : trigger(self, EV_ADD | EV_CLEAR, 0);
    if (r < 0) {
        close_backend(&self->base);
        return r;
    }
    *ret_backend = &self->base;
    return 0;
}

const rpi_backend_api rpi_backend_kqueue = {
    .name = "kqueue",
    .id = RP_BACKEND_KQUEUE,
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
