/* Reading the master of a pseudo-terminal. It is never read by an operation: a read of a terminal
 * may go to a thread of the kernel's, and cannot be taken back without a loss. Instead the stream
 * waits until there is something (RPI_OP_READABLE) and then reads by itself, without waiting, once
 * a turn; a read gives 4,095 bytes at most. A ring is taken only then, so that a quiet
 * terminal holds none.
 *
 * When the leader has gone, what it wrote may still be on its way through the terminal, and no
 * count of the system's includes that; but a read fetches it. So the drain reads until nothing is
 * there, or nobody holds the terminal any more, or so much has come since the exit that the
 * leader's last byte must be among it: others may write for ever. While the leader lives we hold
 * the slave too (core/terminal.c), so that EIO means nothing worse than that the host took it from
 * us; then the stream asks again now and then.
 *
 * Called by stream.c only. */
#include "core/stream.h"

#include <errno.h>

#include "base/clock.h"
#include "base/os.h"
#include "core/loop.h"
#include "core/terminal.h"

enum {
    READ_MAX = 4095,       /* bytes that a terminal hands over at once. One read a turn: its driver
                              brings the next ones while others are read, and reading on disturbs it
                              (64 terminals came at less than half of the rate) */
    DRAIN_MAX = 32 * 1024, /* bytes after the exit: half as much again as was ever seen in flight */
    TRIES_MAX = 100        /* reads that a signal handler interrupts in a row */
};

/* Why the reading stopped. */
typedef enum reading {
    READING_EMPTY,   /* nothing is there now */
    READING_ENOUGH,  /* there may be more: the ring is full, or the share taken */
    READING_HUNG_UP, /* nobody holds the slave, and nothing is left */
    READING_FAILED,
    READING_LATER /* there is no memory, or it must not be moved: nothing was read */
} reading;

static reading why(int error)
{
    if (error == -EAGAIN) {
        return READING_EMPTY;
    }
    return error == 0 || error == -EIO ? READING_HUNG_UP : READING_FAILED;
}

/* One read: bytes, or 0 or -errno at an end. */
static int32_t read_once(rpi_stream *stream, char *memory, uint32_t size)
{
    rp_loop *loop = rpi_stream_process(stream)->loop;
    int32_t n;
    int tries = 0;

    do {
        loop->kernel_calls++;
        n = rpi_os_read_now((int)stream->io.handle, memory, size);
    } while (n == -EINTR && ++tries < TRIES_MAX);
    return n == -EINTR ? -EAGAIN : n;
}

/* Takes what is there into the ring: by one read, as the next would mostly find nothing and is as
 * dear; in the drain by as many as it takes to know that nothing is. The last read's result is in
 * *ret_last. */
static reading fill(rpi_stream *stream, uint32_t *ret_size, int32_t *ret_last)
{
    const bool drains = stream->state == RPI_STREAM_EXACT;
    uint32_t share = drains ? stream->left : READ_MAX;
    uint32_t room;
    uint32_t size = 0;
    int32_t n = 1;
    char *memory;

    *ret_size = 0;
    if (!rpi_ring_is_open(&stream->ring) && !rpi_stream_take_ring(stream)) {
        rpi_stream_wait_for_memory(stream);
        return READING_LATER;
    }
    if (!stream->ring.mirrored && rpi_pull_holds(stream)) {
        return READING_LATER; /* reserving would move the bytes that a pulled view shows */
    }
    room = rpi_ring_reserve(&stream->ring, &memory);
    if (room == 0) {
        return READING_ENOUGH;
    }
    room = room < share ? room : share;
    do {
        n = read_once(stream, memory + size, room - size);
        size += n > 0 ? (uint32_t)n : 0;
    } while (drains && n > 0 && size < room);
    rpi_ring_commit(&stream->ring, size);
    *ret_size = size;
    *ret_last = n;
    return n > 0 ? READING_ENOUGH : why(n);
}

/* Reads, and goes to the state that follows. Whether bytes came. */
static bool read_now(rpi_stream *stream)
{
    rp_process *process = rpi_stream_process(stream);
    uint32_t size;
    int32_t last = 0;
    reading outcome = fill(stream, &size, &last);
    bool drains = stream->state == RPI_STREAM_EXACT;

    if (size > 0) {
        rpi_stream_take_in(stream, size);
        stream->left -= drains ? size : 0;
    }
    switch (outcome) {
    case READING_LATER:
        break;
    case READING_EMPTY:
        stream->was_empty = true;
        if (drains) {
            stream->held = true;
            rpi_stream_end(stream);
        }
        break;
    case READING_ENOUGH:
        if (drains && stream->left == 0) {
            stream->held = true;
            rpi_stream_end(stream);
        }
        break;
    case READING_HUNG_UP:
        stream->held = false;
        if (process->state == RPI_PROCESS_RUNNING) {
            rpi_terminal_try_again(process);
        } else {
            rpi_stream_end(stream);
        }
        break;
    case READING_FAILED:
        rpi_stream_note_loss(stream, last);
        stream->held = true;
        rpi_stream_end(stream);
        break;
    }
    return size > 0;
}

void rpi_stream_terminal_arm(rpi_stream *stream)
{
    rp_process *process = rpi_stream_process(stream);
    const rpi_ring *ring = &stream->ring;

    if (rpi_ring_is_open(ring) &&
        (rpi_ring_free(ring) == 0 || (!ring->mirrored && rpi_pull_holds(stream)))) {
        return;
    }
    if (stream->state == RPI_STREAM_EXACT) { /* nothing to wait for */
        if (read_now(stream) || stream->state == RPI_STREAM_ENDED) {
            rpi_process_advance_later(process);
        }
        return;
    }
    if (rpi_terminal_again_at(process) != RP_FOREVER) {
        return; /* hung up: waiting would be over at once, time and again */
    }
    stream->op.size = stream->was_empty ? RPI_WAS_EMPTY : RPI_MAY_HAVE_MORE;
    rpi_stream_start_op(stream, RPI_OP_READABLE);
}

bool rpi_stream_terminal_read(rpi_stream *stream)
{
    int32_t result = stream->op.result;

    if (stream->shut) {
        rpi_stream_end(stream);
        return false;
    }
    if (result < 0 && result != -ECANCELED && result != -EAGAIN && result != -EINTR) {
        rpi_stream_note_loss(stream, result);
        stream->held = true;
        rpi_stream_end(stream);
        return false;
    }
    if (stream->state == RPI_STREAM_SETTLING) {
        stream->state = RPI_STREAM_EXACT;
        stream->left = DRAIN_MAX;
    }
    return !stream->paused && !stream->stalled && read_now(stream);
}

void rpi_stream_terminal_drain(rpi_stream *stream)
{
    stream->state = RPI_STREAM_EXACT;
    stream->left = DRAIN_MAX;
    rpi_stream_arm(stream);
}
