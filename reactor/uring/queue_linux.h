/* The two queues that are shared with the kernel, submissions and completions, and the one call
 * that hands over and waits. It knows nothing of operations: uring_linux.c fills entries and reads
 * completions. */
#ifndef RPI_REACTOR_URING_QUEUE_H
#define RPI_REACTOR_URING_QUEUE_H

#include <liburing.h>
#include <stdbool.h>
#include <stdint.h>

/* What liburing before 2.3 does not name; the numbers are the kernel's. */
#ifndef IORING_SETUP_SUBMIT_ALL
#define IORING_SETUP_SUBMIT_ALL (1U << 7)
#endif
#ifndef IORING_SETUP_TASKRUN_FLAG
#define IORING_SETUP_TASKRUN_FLAG (1U << 9)
#endif
#ifndef IORING_SQ_TASKRUN
#define IORING_SQ_TASKRUN (1U << 2)
#endif
#ifndef IORING_SETUP_SINGLE_ISSUER
#define IORING_SETUP_SINGLE_ISSUER (1U << 12)
#endif
#ifndef IORING_SETUP_DEFER_TASKRUN
#define IORING_SETUP_DEFER_TASKRUN (1U << 13)
#endif
#ifndef IOSQE_CQE_SKIP_SUCCESS
#define IOSQE_CQE_SKIP_SUCCESS (1U << 6)
#endif

typedef struct rpi_queue {
    struct io_uring ring;   /* the mapping; sq.sqe_tail is ours, not yet the kernel's */
    bool enabled;           /* the loop's thread has become its issuer */
    uint64_t *kernel_calls; /* borrowed: counts */
} rpi_queue;

/** Opens a ring that is not enabled yet. 0; RP_EUNSUPPORTED with a detail: the kernel lacks what is
 * needed (Linux 6.1), or somebody forbids it; -ENOMEM: not even a small one; -EMFILE, -ENFILE. */
int rpi_queue_open(rpi_queue *queue, uint64_t *kernel_calls);

/** Nothing is in flight (but in a forked child, where the parent's goes on). */
void rpi_queue_close(rpi_queue *queue);

/** Makes the calling thread the issuer, at its first call. 0 or an error. */
int rpi_queue_enable(rpi_queue *queue);

/** The next entry, all zero, or NULL with *ret_error when the queue is full and could not be handed
 * over. What is filled in before the next enter or flush is submitted by that. */
struct io_uring_sqe *rpi_queue_next(rpi_queue *queue, int *ret_error);

/** Entries not handed over yet. */
unsigned rpi_queue_waiting(const rpi_queue *queue);

/** Hands over what waits, does not wait. 0 or an error. */
int rpi_queue_flush(rpi_queue *queue);

/** Hands over what waits, then waits until there are `wait_count` completions or `timeout_ns` is
 * over (RP_FOREVER: no bound; with 0 and 0 it only collects). The number handed over, which hides
 * why a wait ended; or -ETIME, -EINTR, another error. */
int rpi_queue_enter(rpi_queue *queue, unsigned wait_count, uint64_t timeout_ns);

/** Whether a completion can be read without entering the kernel. */
bool rpi_queue_has_completion(const rpi_queue *queue);

/** Whether the kernel keeps completions, or work that makes some, for the next enter. */
bool rpi_queue_has_more(const rpi_queue *queue);

#endif
