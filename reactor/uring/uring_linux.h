/* What the two files of the io_uring backend share: the backend's struct, and how its operations
 * become entries and completions. uring_linux.c waits, wakes, opens and closes; operations_linux.c
 * submits, cancels and reads completions. */
#ifndef RPI_REACTOR_URING_URING_H
#define RPI_REACTOR_URING_URING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "reactor/backend.h"
#include "reactor/reactor.h"
#include "reactor/uring/queue_linux.h"

enum { /* user_data of entries without an operation; no operation lies at such an address */
    RPI_URING_TAG_CANCEL = 0,
    RPI_URING_TAG_WAKE = 1
};

enum {                     /* rpi_op.backend_flags */
    RPI_URING_POLLING = 1, /* a poll stands in the kernel for the READ or WRITE that follows it */
    RPI_URING_CANCEL_OWED = 2, /* there was no room for the cancel's entry */
    RPI_URING_NO_SIGNAL = 4,   /* written with WRITE_NO_SIGNAL */
    RPI_URING_OUTER = 8,       /* a POLL that stands in the outer epoll */
    RPI_URING_MOVING = 16      /* a POLL that is cancelled in the ring to go there */
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

static inline rpi_uring *rpi_uring_of(rpi_backend *backend)
{
    return (rpi_uring *)backend;
}

/** The error that the reactor tells: the kernel says EEXIST where another thread is the issuer. */
int rpi_uring_translate(int error);

/** rpi_backend_api.submit and .cancel */
int rpi_uring_submit(rpi_backend *backend, rpi_op *op);
void rpi_uring_cancel(rpi_backend *backend, rpi_op *op);

/** Queues the cancel of a pending operation that stands in the ring; without room it is owed. */
void rpi_uring_request_cancel(rpi_uring *self, rpi_op *op);

/** Queues the cancels that are owed, as far as there is room. */
void rpi_uring_pay_cancels(rpi_uring *self);

/** Queues a cancel of what has this user_data; false: there was no room. */
bool rpi_uring_queue_cancel(rpi_uring *self, uint64_t user_data);

/** Reads all completions that are there; their number. */
unsigned rpi_uring_reap(rpi_uring *self);

#endif
