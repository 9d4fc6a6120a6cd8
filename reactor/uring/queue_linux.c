/* The ring itself: see queue_linux.h. Calls go through the table of base/os.h; liburing is used for
 * the mapping and for its inline helpers only, so that older ones will do.
 *
 * The ring is opened disabled and enabled by the thread that first runs the loop, which the kernel
 * then takes for its only issuer (SINGLE_ISSUER): a loop may be opened by one thread and run by
 * another. Completions are worked off only when that thread enters the kernel (DEFER_TASKRUN): it
 * is never interrupted for them, and neither is a host's own system call. Kernels without these
 * (before 6.1) are refused: epoll serves them better. Never SQPOLL: an idle loop costs nothing. */
#include "reactor/uring/queue_linux.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/os.h"
#include "base/probe.h"
#include "base/status.h"
#include "reactor/backend.h"
#include "rp/loop.h"

/* Entries of the two queues, and what is tried when there is too little lockable memory for them
 * (RLIMIT_MEMLOCK counts for unprivileged users). More completions than fit wait in the kernel. */
static const struct sizes {
    unsigned submissions, completions;
} SIZES[] = {{256, 4096}, {64, 512}, {16, 64}};
#define SIZES_COUNT (sizeof SIZES / sizeof SIZES[0])

#define SETUP_FLAGS                                                                                \
    (IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_R_DISABLED |           \
     IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CQSIZE)

#define FEATURES_NEEDED (IORING_FEAT_SINGLE_MMAP | IORING_FEAT_NODROP | IORING_FEAT_EXT_ARG)

static const unsigned char OPCODES_NEEDED[] = {IORING_OP_READ, IORING_OP_WRITE, IORING_OP_POLL_ADD,
                                               IORING_OP_ASYNC_CANCEL};

static int refused(int error)
{
    return rpi_detail(RP_EUNSUPPORTED, "io_uring is refused here: %s", rp_error_name(error));
}

static bool has_opcodes(rpi_queue *queue, int fd)
{
    _Alignas(struct io_uring_probe) unsigned char
        memory[sizeof(struct io_uring_probe) + IORING_OP_LAST * sizeof(struct io_uring_probe_op)];
    struct io_uring_probe *probe = (struct io_uring_probe *)(void *)memory;
    size_t i;

    memset(memory, 0, sizeof memory); // the kernel asks for it
    ++*queue->kernel_calls;
    if (rpi_os.io_uring_register(fd, IORING_REGISTER_PROBE, probe, IORING_OP_LAST) < 0) {
        return false;
    }
    for (i = 0; i < sizeof OPCODES_NEEDED; i++) {
        if (!io_uring_opcode_supported(probe, OPCODES_NEEDED[i])) {
            return false;
        }
    }
    return true;
}

/* A ring that is still disabled answers an enter with EBADFD: whoever answers otherwise does not
 * let us enter. (A filter may allow the set-up and refuse this.) */
static int try_enter(rpi_queue *queue, int fd)
{
    int r;

    ++*queue->kernel_calls;
    r = rpi_os.io_uring_enter(fd, 0, 0, 0, NULL, 0);
    return r == -EBADFD || r >= 0 ? 0 : r;
}

static int set_up(rpi_queue *queue, struct io_uring_params *params)
{
    int r = -ENOMEM;
    size_t i;

    for (i = 0; i < SIZES_COUNT && r == -ENOMEM; i++) {
        memset(params, 0, sizeof *params);
        params->flags = SETUP_FLAGS;
        params->cq_entries = SIZES[i].completions;
        ++*queue->kernel_calls;
        r = rpi_os.io_uring_setup(SIZES[i].submissions, params);
    }
    if (r >= 0) {
        return rpi_backend_descriptor(r);
    }
    return r == -ENOMEM || r == -EMFILE || r == -ENFILE ? r : refused(r);
}

int rpi_queue_open(rpi_queue *queue, uint64_t *kernel_calls)
{
    struct io_uring_params params;
    unsigned i;
    int fd;
    int r;

    memset(queue, 0, sizeof *queue);
    queue->ring.ring_fd = -1;
    queue->kernel_calls = kernel_calls;
    r = rpi_probe_uring();
    if (r < 0) {
        return refused(r);
    }
    fd = set_up(queue, &params);
    if (fd < 0) {
        return fd;
    }
    r = try_enter(queue, fd);
    if (r < 0) {
        r = refused(r);
        goto fail;
    }
    if ((params.features & FEATURES_NEEDED) != FEATURES_NEEDED || !has_opcodes(queue, fd)) {
        r = rpi_detail(RP_EUNSUPPORTED, "io_uring lacks what is needed here");
        goto fail;
    }
    r = io_uring_queue_mmap(fd, &params, &queue->ring);
    if (r < 0) {
        goto fail;
    }
    // Entries are handed over in their order, for ever.
    for (i = 0; i < queue->ring.sq.ring_entries; i++) {
        queue->ring.sq.array[i] = i;
    }
    return 0;

fail:
    (void)rpi_os.close(fd); // nothing was submitted
    queue->ring.ring_fd = -1;
    return r;
}

/* The kernel maps whole pages; a sanitizer forgets only those that it is told of. */
static size_t whole_pages(size_t size)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);

    return (size + page - 1) / page * page;
}

/* What io_uring_queue_mmap mapped. The library's own way out would unmap it by calls that nobody
 * sees: a sanitizer then takes the next owner of the addresses for a race. */
static void unmap(const struct io_uring *ring)
{
    const struct io_uring_sq *sq = &ring->sq;
    const struct io_uring_cq *cq = &ring->cq;

    // Cannot fail: they are our mappings.
    (void)rpi_os.munmap(sq->sqes, whole_pages(sq->ring_entries * sizeof(struct io_uring_sqe)));
    (void)rpi_os.munmap(sq->ring_ptr, whole_pages(sq->ring_sz));
    if (cq->ring_ptr != NULL && cq->ring_ptr != sq->ring_ptr) {
        (void)rpi_os.munmap(cq->ring_ptr, whole_pages(cq->ring_sz));
    }
}

void rpi_queue_close(rpi_queue *queue)
{
    if (queue->ring.ring_fd >= 0) {
        unmap(&queue->ring);
        (void)rpi_os.close(queue->ring.ring_fd); // nothing was written to it
        queue->ring.ring_fd = -1;
    }
}

int rpi_queue_enable(rpi_queue *queue)
{
    int r;

    if (queue->enabled) {
        return 0;
    }
    ++*queue->kernel_calls;
    r = rpi_os.io_uring_register(queue->ring.ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
    queue->enabled = r >= 0;
    return r < 0 ? r : 0;
}

unsigned rpi_queue_waiting(const rpi_queue *queue)
{
    return queue->ring.sq.sqe_tail - io_uring_smp_load_acquire(queue->ring.sq.khead);
}

static int
enter(rpi_queue *queue, unsigned wait_count, unsigned flags, const void *argument, size_t size)
{
    unsigned waiting = rpi_queue_waiting(queue);

    io_uring_smp_store_release(queue->ring.sq.ktail, queue->ring.sq.sqe_tail);
    ++*queue->kernel_calls;
    return rpi_os.io_uring_enter(queue->ring.ring_fd, waiting, wait_count, flags, argument, size);
}

int rpi_queue_flush(rpi_queue *queue)
{
    int r;

    if (rpi_queue_waiting(queue) == 0) {
        return 0;
    }
    r = rpi_queue_enable(queue);
    if (r == 0) {
        r = enter(queue, 0, 0, NULL, 0);
    }
    return r < 0 ? r : 0;
}

int rpi_queue_enter(rpi_queue *queue, unsigned wait_count, uint64_t timeout_ns)
{
    struct __kernel_timespec timeout;
    struct io_uring_getevents_arg argument;

    if (timeout_ns == RP_FOREVER || wait_count == 0) {
        return enter(queue, wait_count, IORING_ENTER_GETEVENTS, NULL, 0);
    }
    timeout.tv_sec = (int64_t)(timeout_ns / RP_SECOND);
    timeout.tv_nsec = (int64_t)(timeout_ns % RP_SECOND);
    memset(&argument, 0, sizeof argument);
    argument.ts = (uint64_t)(uintptr_t)&timeout;
    return enter(queue, wait_count, IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG, &argument,
                 sizeof argument);
}

struct io_uring_sqe *rpi_queue_next(rpi_queue *queue, int *ret_error)
{
    struct io_uring_sq *sq = &queue->ring.sq;
    struct io_uring_sqe *entry;
    int r = -EAGAIN;

    if (rpi_queue_waiting(queue) >= sq->ring_entries) {
        r = rpi_queue_flush(queue);
        if (r < 0 || rpi_queue_waiting(queue) >= sq->ring_entries) {
            *ret_error = r < 0 ? r : -EAGAIN;
            return NULL;
        }
    }
    entry = &sq->sqes[sq->sqe_tail & sq->ring_mask];
    sq->sqe_tail++;
    memset(entry, 0, sizeof *entry);
    return entry;
}

bool rpi_queue_has_completion(const rpi_queue *queue)
{
    return *queue->ring.cq.khead != io_uring_smp_load_acquire(queue->ring.cq.ktail);
}

bool rpi_queue_has_more(const rpi_queue *queue)
{
    unsigned flags = io_uring_smp_load_acquire(queue->ring.sq.kflags);

    return (flags & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) != 0;
}
