/* The Windows backend: an I/O completion port.
 *
 * Each pending operation has a request: an OVERLAPPED, which the system writes to until it is done,
 * and so outlives the operation where it must. Requests come from a list of free ones, so that
 * nothing is allocated while the number of pending operations does not grow. rpi_op.backend_word is
 * the request's index.
 *
 * Reads and writes are overlapped, and a pipe is bound to the port by its first operation. What
 * completes at once is told without a packet (FILE_SKIP_COMPLETION_PORT_ON_SUCCESS), where the
 * system can. READABLE is a read of nothing. EXIT and POLL wait for a handle to be signalled: by a
 * wait completion packet, which the port is handed by the kernel itself, else by a registered wait,
 * whose thread posts one.
 *
 * Cancelling asks, and the packet tells: what the request has become by then is its result. */
#include <errno.h>
#include <limits.h>
#include <stdatomic.h>
#include <string.h>

#include "base/assert.h"
#include "base/os_windows.h"
#include "base/status.h"
#include "reactor/backend.h"
#include "reactor/reactor.h"

enum {
    ENTRY_MAX = 128,      /* packets taken at once */
    WRITE_MAX = 64 << 10, /* a longer write is pending until a reader took all of it */
    REQUESTS_FIRST = 16,
    NOT_FREE = -1,
    END_OF_FREE = -2,
};

enum { /* rpi_io.backend_flags */
    IO_BOUND = 1,
    IO_SKIPS = 2, /* no packet for what has completed at once */
};

/* Completion keys. */
enum {
    KEY_IO = 1,
    KEY_WAIT, /* the OVERLAPPED is a request whose handle is signalled */
    KEY_WAKE,
};

typedef struct request {
    OVERLAPPED overlapped; /* first: packets name it */
    rpi_op *op;            /* borrowed; NULL: nobody waits any more */
    HANDLE handle;         /* borrowed */
    HANDLE port;           /* borrowed: for the thread that waits */
    HANDLE wait;           /* of a registered wait; owned */
    HANDLE packet;         /* of a wait completion packet; owned, kept for the next */
    atomic_bool fired;     /* the registered wait has posted, or will at once */
    int32_t next;          /* free: of the next free one; else NOT_FREE */
    uint32_t index;
} request;

typedef struct iocp {
    rpi_backend base;
    HANDLE port;     /* owned */
    request **table; /* owned */
    uint32_t count;  /* of requests made */
    uint32_t capacity;
    int32_t free;     /* the first free one; END_OF_FREE */
    uint32_t pending; /* packets that will still come for requests */
    bool has_packets; /* wait completion packets */
    atomic_bool rung;
} iocp;

static iocp *of(rpi_backend *backend)
{
    return (iocp *)backend;
}

/* ---- requests ------------------------------------------------------------------- */

static int grow_table(iocp *self)
{
    const rp_allocator *allocator = self->base.reactor->allocator;
    const uint32_t capacity = self->capacity == 0 ? REQUESTS_FIRST : self->capacity * 2;
    request **table = rpi_resize(allocator, self->table, self->capacity * sizeof *table,
                                 capacity * sizeof *table);

    if (table == NULL) {
        return -ENOMEM;
    }
    self->table = table;
    self->capacity = capacity;
    return 0;
}

/** A request for an operation, or NULL: no memory. */
static request *take_request(iocp *self, rpi_op *op)
{
    request *taken;

    if (self->free == END_OF_FREE) {
        if (self->count == self->capacity && grow_table(self) < 0) {
            return NULL;
        }
        taken = rpi_alloc_zero(self->base.reactor->allocator, sizeof *taken);
        if (taken == NULL) {
            return NULL;
        }
        taken->index = self->count;
        self->table[self->count++] = taken;
    } else {
        taken = self->table[self->free];
        self->free = taken->next;
    }
    taken->next = NOT_FREE;
    taken->op = op;
    taken->handle = rpi_os_handle(op->io->handle);
    taken->port = self->port;
    memset(&taken->overlapped, 0, sizeof taken->overlapped);
    atomic_store(&taken->fired, false);
    op->backend_word = taken->index;
    return taken;
}

static void free_request(iocp *self, request *freed)
{
    RP_ASSERT(freed->next == NOT_FREE);
    freed->op = NULL;
    freed->next = self->free;
    self->free = (int32_t)freed->index;
}

/* The request is over: its operation completes. */
static void complete(iocp *self, request *over, int32_t result)
{
    rpi_op *op = over->op;

    free_request(self, over);
    rpi_reactor_complete(self->base.reactor, op, result);
}

/* ---- reads and writes -------------------------------------------------------------- */

/* Binds a pipe to the port. A handle can be bound once, so one that was bound before, by us, is
 * right as it is. */
static int bind_io(iocp *self, rpi_io *io)
{
    const HANDLE handle = rpi_os_handle(io->handle);

    if ((io->backend_flags & IO_BOUND) != 0) {
        return 0;
    }
    self->base.kernel_calls += 2;
    if (rpi_os.CreateIoCompletionPort(handle, self->port, KEY_IO, 0) == NULL) {
        const DWORD error = GetLastError();

        if (error != ERROR_INVALID_PARAMETER) {
            return rpi_os_error(error);
        }
    }
    io->backend_flags |= IO_BOUND;
    if (rpi_os.SetFileCompletionNotificationModes(handle, FILE_SKIP_COMPLETION_PORT_ON_SUCCESS)) {
        io->backend_flags |= IO_SKIPS;
    }
    return 0;
}

/* What an error means to an operation. */
static int32_t result_of_error(const rpi_op *op, DWORD error)
{
    const bool reads = op->kind == RPI_OP_READ || op->kind == RPI_OP_READABLE;

    if (reads && (error == ERROR_BROKEN_PIPE || error == ERROR_HANDLE_EOF ||
                  error == ERROR_PIPE_NOT_CONNECTED)) {
        return op->kind == RPI_OP_READABLE ? RP_READABLE : 0;
    }
    return rpi_os_error(error);
}

static int32_t result_of_size(const rpi_op *op, DWORD size)
{
    return op->kind == RPI_OP_READABLE ? RP_READABLE : (int32_t)size;
}

/* Hands the request to the system: TRUE: it is done. */
static BOOL hand_over(request *started)
{
    rpi_op *op = started->op;
    const DWORD size = op->size < INT32_MAX ? op->size : INT32_MAX;
    static char nothing; /* a read of no bytes wants an address */

    memset(&started->overlapped, 0, sizeof started->overlapped);
    if (op->kind == RPI_OP_WRITE) {
        return rpi_os.WriteFile(started->handle, op->data, size < WRITE_MAX ? size : WRITE_MAX,
                                NULL, &started->overlapped);
    }
    if (op->kind == RPI_OP_READABLE) {
        return rpi_os.ReadFile(started->handle, &nothing, 0, NULL, &started->overlapped);
    }
    return rpi_os.ReadFile(started->handle, op->data, size, NULL, &started->overlapped);
}

/* Starts it; 0, also where it has completed at once. */
static void start_io(iocp *self, request *started)
{
    rpi_op *op = started->op;
    BOOL done;
    DWORD error;

    self->base.kernel_calls++;
    done = hand_over(started);
    error = done ? ERROR_SUCCESS : GetLastError();
    if (done && (op->io->backend_flags & IO_SKIPS) != 0) {
        const DWORD size = (DWORD)started->overlapped.InternalHigh;

        if (size == 0 && op->kind == RPI_OP_READ) {
            // Somebody has written nothing, which ends a read but is no end of file. Asked for
            // again by way of a packet, so that whoever does so for ever does not hold us.
            if (rpi_os.PostQueuedCompletionStatus(self->port, 0, KEY_IO, &started->overlapped)) {
                self->pending++;
                return;
            }
        }
        complete(self, started, result_of_size(op, size));
    } else if (done || error == ERROR_IO_PENDING) {
        self->pending++; // a packet will come
    } else {
        complete(self, started, result_of_error(op, error));
    }
}

static int submit_io(iocp *self, rpi_op *op)
{
    request *started;
    int r = bind_io(self, op->io);

    if (r < 0) {
        return r;
    }
    started = take_request(self, op);
    if (started == NULL) {
        return -ENOMEM;
    }
    start_io(self, started);
    return 0;
}

/* A packet came for a read or write. */
static void io_came(iocp *self, request *came)
{
    DWORD size = 0;

    RP_ASSERT(self->pending > 0);
    self->pending--;
    if (!rpi_os.GetOverlappedResult(came->handle, &came->overlapped, &size, FALSE)) {
        const DWORD error = GetLastError();

        if (error != ERROR_OPERATION_ABORTED || size == 0) {
            complete(self, came, result_of_error(came->op, error));
            return;
        }
        // cancelled after a part of it was done: that counts
    }
    if (size == 0 && came->op->kind == RPI_OP_READ) {
        if (came->op->cancelled) {
            complete(self, came, -ECANCELED);
        } else {
            start_io(self, came); // as above
        }
        return;
    }
    complete(self, came, result_of_size(came->op, size));
}

/* ---- waits ---------------------------------------------------------------------------- */

/* In a thread of the system's. */
static void CALLBACK wait_is_over(void *context, BOOLEAN timed_out)
{
    request *over = context;

    (void)timed_out; // there is no time-out
    atomic_store(&over->fired, true);
    // Out of memory in the kernel: nobody else can tell the loop, so it is tried until it goes.
    while (!rpi_os.PostQueuedCompletionStatus(over->port, 0, KEY_WAIT, &over->overlapped)) {
        Sleep(1);
    }
}

static int start_packet(iocp *self, request *started)
{
    NTSTATUS status = 0;

    self->base.kernel_calls++;
    if (started->packet == NULL) {
        status = rpi_os.NtCreateWaitCompletionPacket(&started->packet, GENERIC_ALL, NULL);
        if (status < 0) {
            started->packet = NULL;
            return -ENOMEM;
        }
    }
    status = rpi_os.NtAssociateWaitCompletionPacket(started->packet, self->port, started->handle,
                                                    (PVOID)(ULONG_PTR)KEY_WAIT,
                                                    &started->overlapped, 0, 0, NULL);
    return status < 0 ? -EBADF : 0;
}

static int submit_wait(iocp *self, rpi_op *op)
{
    request *started = take_request(self, op);
    int r = 0;

    if (started == NULL) {
        return -ENOMEM;
    }
    if (self->has_packets) {
        r = start_packet(self, started);
    } else {
        self->base.kernel_calls++;
        if (!rpi_os.RegisterWaitForSingleObject(&started->wait, started->handle, wait_is_over,
                                                started, INFINITE,
                                                WT_EXECUTEINWAITTHREAD | WT_EXECUTEONLYONCE)) {
            started->wait = NULL;
            r = rpi_os_last_error();
        }
    }
    if (r < 0) {
        free_request(self, started);
        return r;
    }
    self->pending++;
    return 0;
}

/* A packet came for a handle that is signalled. */
static void wait_came(iocp *self, request *came)
{
    RP_ASSERT(self->pending > 0);
    self->pending--;
    if (came->wait != NULL) {
        self->base.kernel_calls++;
        // It has fired; its thread may still be on the way back, with nothing of ours in hand
        // once the wait is gone: waited for, as the request is used again.
        (void)rpi_os.UnregisterWaitEx(came->wait, INVALID_HANDLE_VALUE);
        came->wait = NULL;
    }
    complete(self, came, came->op->kind == RPI_OP_EXIT ? 0 : (int32_t)came->op->size);
}

static void cancel_wait(iocp *self, request *cancelled)
{
    bool ended = false;

    self->base.kernel_calls++;
    if (cancelled->wait != NULL) {
        // Waits for the callback where it runs: it is short.
        (void)rpi_os.UnregisterWaitEx(cancelled->wait, INVALID_HANDLE_VALUE);
        cancelled->wait = NULL;
        ended = !atomic_load(&cancelled->fired); // else its packet is in the port
    } else {
        // FALSE: one that is in the port stays there, as a real outcome wins.
        ended = rpi_os.NtCancelWaitCompletionPacket(cancelled->packet, FALSE) == 0;
    }
    if (ended) {
        self->pending--;
        complete(self, cancelled, -ECANCELED);
    }
}

/* ---- the backend ------------------------------------------------------------------------ */

static int iocp_open(rpi_reactor *reactor, rpi_backend **ret_backend)
{
    iocp *self = rpi_alloc_zero(reactor->allocator, sizeof *self);

    if (self == NULL) {
        return -ENOMEM;
    }
    rpi_os_resolve();
    self->base.api = &rpi_backend_iocp;
    self->base.reactor = reactor;
    self->free = END_OF_FREE;
    atomic_init(&self->rung, false);
    self->has_packets = rpi_os.NtCreateWaitCompletionPacket != NULL &&
                        rpi_os.NtAssociateWaitCompletionPacket != NULL &&
                        rpi_os.NtCancelWaitCompletionPacket != NULL;
    self->port = rpi_os.CreateIoCompletionPort(INVALID_HANDLE_VALUE, NULL, 0, 1);
    if (self->port == NULL) {
        const int r = rpi_os_last_error();

        rpi_free(reactor->allocator, self, sizeof *self);
        return r;
    }
    *ret_backend = &self->base;
    return 0;
}

static void iocp_close(rpi_backend *backend)
{
    iocp *self = of(backend);
    const rp_allocator *allocator = backend->reactor->allocator;

    RP_ASSERT(self->pending == 0); // the reactor waited: this port can be waited for by any thread
    (void)rpi_os.CloseHandle(self->port); // ours
    for (uint32_t i = 0; i < self->count; i++) {
        if (self->table[i]->packet != NULL) {
            (void)rpi_os.CloseHandle(self->table[i]->packet); // ours
        }
        rpi_free(allocator, self->table[i], sizeof(request));
    }
    rpi_free(allocator, self->table, self->capacity * sizeof *self->table);
    rpi_free(allocator, self, sizeof *self);
}

static int iocp_submit(rpi_backend *backend, rpi_op *op)
{
    switch ((rpi_op_kind)op->kind) {
    case RPI_OP_READ:
    case RPI_OP_WRITE:
    case RPI_OP_READABLE:
        return submit_io(of(backend), op);
    case RPI_OP_POLL:
    case RPI_OP_EXIT:
        break;
    }
    return submit_wait(of(backend), op);
}

static void iocp_cancel(rpi_backend *backend, rpi_op *op)
{
    iocp *self = of(backend);
    request *cancelled = self->table[op->backend_word];

    RP_ASSERT(cancelled->op == op);
    if (op->kind == RPI_OP_POLL || op->kind == RPI_OP_EXIT) {
        cancel_wait(self, cancelled);
        return;
    }
    backend->kernel_calls++;
    // Not found: it is done already. Either way its packet tells.
    (void)rpi_os.CancelIoEx(cancelled->handle, &cancelled->overlapped);
}

static void iocp_forget(rpi_backend *backend, rpi_io *io)
{
    (void)backend; // the handle is bound for as long as it is open
    (void)io;
}

static int iocp_flush(rpi_backend *backend)
{
    (void)backend; // everything is handed over when it is submitted
    return 0;
}

/* Whole milliseconds, rounded up, so that nothing is woken early. */
static DWORD to_milliseconds(uint64_t timeout_ns)
{
    const uint64_t milliseconds =
        timeout_ns / RP_MILLISECOND + (timeout_ns % RP_MILLISECOND != 0 ? 1 : 0);

    if (timeout_ns == RP_FOREVER) {
        return INFINITE;
    }
    return milliseconds < INT32_MAX ? (DWORD)milliseconds : INT32_MAX;
}

static void take_entry(iocp *self, const OVERLAPPED_ENTRY *entry)
{
    request *came = (request *)(void *)entry->lpOverlapped;

    switch (entry->lpCompletionKey) {
    case KEY_IO:
        io_came(self, came);
        break;
    case KEY_WAIT:
        wait_came(self, came);
        break;
    default:
        atomic_store(&self->rung, false);
        break;
    }
}

static int iocp_wait(rpi_backend *backend, uint64_t timeout_ns)
{
    iocp *self = of(backend);
    OVERLAPPED_ENTRY entries[ENTRY_MAX];
    DWORD span_ms = to_milliseconds(timeout_ns);
    ULONG count = 0;

    do {
        backend->kernel_calls++;
        if (!rpi_os.GetQueuedCompletionStatusEx(self->port, entries, ENTRY_MAX, &count, span_ms,
                                                FALSE)) {
            const DWORD error = GetLastError();

            return error == WAIT_TIMEOUT ? 0 : rpi_os_error(error);
        }
        for (ULONG i = 0; i < count; i++) {
            take_entry(self, &entries[i]);
        }
        span_ms = 0;
    } while (count == ENTRY_MAX);
    return 0;
}

static void iocp_wake(rpi_backend *backend)
{
    iocp *self = of(backend);

    if (!atomic_exchange(&self->rung, true)) {
        // Out of memory in the kernel: a wake that is lost would be a loop that sleeps for ever.
        while (!rpi_os.PostQueuedCompletionStatus(self->port, 0, KEY_WAKE, NULL)) {
            Sleep(1);
        }
    }
}

static intptr_t iocp_fd(rpi_backend *backend)
{
    (void)backend;
    return rpi_detail(RP_EUNSUPPORTED, "a completion port is no handle that can be waited for");
}

const rpi_backend_api rpi_backend_iocp = {
    .name = "iocp",
    .id = RP_BACKEND_IOCP,
    .open = iocp_open,
    .close = iocp_close,
    .submit = iocp_submit,
    .cancel = iocp_cancel,
    .forget = iocp_forget,
    .flush = iocp_flush,
    .wait = iocp_wait,
    .wake = iocp_wake,
    .fd = iocp_fd,
};
