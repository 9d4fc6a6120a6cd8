/* Streams: one output of a child, from the kernel into its ring and from there to whoever wants it.
 * The only place where a child's bytes are read. A read is armed whenever there is room and nobody
 * paused; a full ring arms none, so that the pipe fills and the child waits. After the leader's
 * exit the drain is exact work (states in process.h): a pending read is taken back, what is in the
 * pipe then is measured, and exactly that is read, whatever a grandchild goes on writing. What
 * differs for the master of a pseudo-terminal stands in stream_terminal.c.
 *
 * Called by the reactor (on_op), and by process.c for pause, exit and close. */
#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "base/os.h"
#include "core/holders.h"
#include "core/loop.h"
#include "core/process.h"
#include "core/stream.h"
#include "core/terminal.h"

/* Rings that may be out before streams share them: about what stays in a processor's cache. */
enum {
    HOT_BYTES = 8 << 20
};

static void on_op(rpi_op *op);

static uint64_t *byte_count(rpi_stream *stream)
{
    rp_exit *exit = &rpi_stream_process(stream)->exit;

    return stream->index == 0 ? &exit->out_bytes : &exit->err_bytes;
}

void rpi_stream_open(rpi_stream *stream, int fd)
{
    rp_process *process = rpi_stream_process(stream);

    if (fd < 0) {
        stream->state = RPI_STREAM_NONE;
        return;
    }
    stream->state = RPI_STREAM_OPEN;
    rpi_io_init(&stream->io, fd);
    rpi_op_init(&stream->op, RPI_OP_READ, &stream->io, on_op);
    process->loop->descriptors++;
    rpi_stream_arm(stream);
}

/* ---- memory ---------------------------------------------------------------- */

/* An idle operation is in no list but this one. */
static bool is_waiting(const rpi_stream *stream)
{
    return rpi_op_is_idle(&stream->op) && !rpi_list_is_empty(&stream->op.node);
}

void rpi_stream_wait_for_memory(rpi_stream *stream)
{
    rpi_list_append(&rpi_stream_process(stream)->loop->memory_waiting, &stream->op.node);
}

static void wait_no_more(rpi_stream *stream)
{
    if (is_waiting(stream)) {
        rpi_list_remove(&stream->op.node);
    }
}

bool rpi_stream_take_ring(rpi_stream *stream)
{
    rp_process *process = rpi_stream_process(stream);
    rp_loop *loop = process->loop;
    size_t size =
        process->settings->ring_size != 0 ? process->settings->ring_size : loop->ring_size;

    if (loop->memory_max != 0 && rpi_ring_pool_used_bytes(loop->rings) > 0 &&
        (loop->budget.used > loop->memory_max || size > loop->memory_max - loop->budget.used)) {
        return false;
    }
    if (rpi_ring_open(loop->rings, process->settings->ring_size, &stream->ring) < 0) {
        /* The system's no: somebody may give memory back that we do not hear of, so ask again. */
        rpi_timer_set(&loop->reactor, &loop->memory_timer,
                      loop->reactor.now_ns + 100 * RP_MILLISECOND);
        return false;
    }
    loop->budget.used += stream->ring.size;
    return true;
}

static void ring_close(rpi_stream *stream)
{
    rp_loop *loop = rpi_stream_process(stream)->loop;

    if (!rpi_ring_is_open(&stream->ring)) {
        return;
    }
    loop->budget.used -= stream->ring.size;
    rpi_ring_close(loop->rings, &stream->ring);
    stream->delivered = 0;
    rpi_streams_serve_waiting(loop);
}

void rpi_streams_serve_waiting(rp_loop *loop)
{
    while (!rpi_list_is_empty(&loop->memory_waiting)) {
        rpi_stream *stream = RPI_CONTAINER(loop->memory_waiting.next, rpi_stream, op.node);

        if (!rpi_stream_take_ring(stream)) {
            return;
        }
        rpi_list_remove(&stream->op.node);
        rpi_stream_process(stream)->heard_at_ns = loop->reactor.now_ns;
        rpi_stream_arm(stream);
    }
}

/* Whether a stream takes a ring only to read at once and gives it back: where memory is bounded,
 * and where so many rings are out that they would push each other out of the processor's caches.
 * Quiet streams hold none then. */
static bool is_crowded(const rp_loop *loop)
{
    return loop->memory_max != 0 || rpi_ring_pool_used_bytes(loop->rings) >= HOT_BYTES;
}

/* Whether this stream needs no ring now. */
static bool can_spare_ring(const rpi_stream *stream, const rp_process *process)
{
    if (stream->ring.count != 0) {
        return false;
    }
    return process->by_hand || is_crowded(process->loop) || stream->state >= RPI_STREAM_ENDED;
}

void rpi_stream_release_ring(rpi_stream *stream)
{
    rp_process *process = rpi_stream_process(stream);

    if (rpi_ring_is_open(&stream->ring) && rpi_op_is_idle(&stream->op) &&
        (process->closed || can_spare_ring(stream, process)) && !rpi_pull_holds(stream)) {
        ring_close(stream);
    }
}

/* ---- reading ---------------------------------------------------------------- */

void rpi_stream_end(rpi_stream *stream)
{
    rp_process *process = rpi_stream_process(stream);

    wait_no_more(stream);
    if (stream->held && !process->closed) { /* somebody may ask who it is */
        stream->left_name = rpi_holders_name(process, (int)stream->io.handle);
    }
    rpi_io_forget(rpi_process_reactor(process), &stream->io);
    rpi_loop_close_fd(process->loop, (int)stream->io.handle);
    process->loop->descriptors--;
    stream->state = RPI_STREAM_ENDED;
    if (process->terminal != NULL) {
        rpi_terminal_stream_ended(process);
    }
    rpi_observers_ended(process, stream);
}

void rpi_stream_note_loss(rpi_stream *stream, int error)
{
    rp_process *process = rpi_stream_process(stream);

    rpi_loop_log(process->loop, 0, "%s of child %lld ends early: it cannot be read (%s)",
                 stream->index == 0 ? "stdout" : "stderr", (long long)process->pid,
                 rp_error_name(error));
    if (stream->capture != NULL) {
        stream->capture->truncated = true;
    }
}

void rpi_stream_start_op(rpi_stream *stream, rpi_op_kind kind)
{
    rp_process *process = rpi_stream_process(stream);
    int r;

    stream->op.kind = (uint8_t)kind;
    r = rpi_op_start(rpi_process_reactor(process), &stream->op);
    if (r < 0) {
        if (kind == RPI_OP_READ) {
            rpi_ring_commit(&stream->ring, 0);
        }
        rpi_stream_note_loss(stream, r);
        stream->held = true;
        rpi_stream_end(stream);
        rpi_process_advance_later(process);
    }
}

/* Whether a read into this stream's ring would be right now. */
static bool wants_read(const rpi_stream *stream)
{
    if (rpi_stream_is_over(stream) || stream->state == RPI_STREAM_SETTLING || stream->paused ||
        stream->stalled || stream->shut) {
        return false;
    }
    return rpi_op_is_idle(&stream->op) && !is_waiting(stream);
}

void rpi_stream_arm(rpi_stream *stream)
{
    rp_process *process = rpi_stream_process(stream);
    char *memory;
    uint32_t size;

    if (!wants_read(stream)) {
        return;
    }
    if (process->by_hand) {
        rpi_stream_terminal_arm(stream);
        return;
    }
    if (!rpi_ring_is_open(&stream->ring)) {
        if (is_crowded(process->loop) && stream->state != RPI_STREAM_EXACT) {
            stream->op.size = stream->was_empty ? RPI_WAS_EMPTY : RPI_MAY_HAVE_MORE;
            rpi_stream_start_op(stream, RPI_OP_READABLE);
            return;
        }
        if (!rpi_stream_take_ring(stream)) {
            rpi_stream_wait_for_memory(stream);
            return;
        }
    }
    if (!stream->ring.mirrored && rpi_pull_holds(stream)) {
        return; /* reserving would move the bytes that a pulled view shows */
    }
    size = rpi_ring_reserve(&stream->ring, &memory);
    if (size == 0) {
        return;
    }
    if (stream->state == RPI_STREAM_EXACT && size > stream->left) {
        size = stream->left;
    }
    stream->op.data = memory;
    stream->op.size = size;
    rpi_stream_start_op(stream, RPI_OP_READ);
}

void rpi_stream_stall(rpi_stream *stream, bool stalled)
{
    rp_process *process = rpi_stream_process(stream);

    if (stream->stalled && !stalled) { /* we kept the child waiting: its silence said nothing */
        process->active_at_ns = rpi_reactor_clock_ns(rpi_process_reactor(process));
    }
    stream->stalled = stalled;
    rpi_stream_arm(stream);
}

/* Counts, keeps and stamps what was read: the last `size` unread bytes. */
void rpi_stream_take_in(rpi_stream *stream, uint32_t size)
{
    rp_process *process = rpi_stream_process(stream);
    rp_loop *loop = process->loop;
    uint64_t max = process->settings->output_bytes_max;
    const char *data = rpi_ring_peek(&stream->ring) + (stream->ring.count - size);

    loop->bytes_read += size;
    loop->reads++;
    *byte_count(stream) += size;
    process->active_at_ns = loop->reactor.now_ns;
    if (process->exit.first_output_ns == 0) {
        process->exit.first_output_ns = loop->reactor.now_ns;
    }
    if (process->chunks != NULL) {
        rpi_chunks_add(process, stream, size);
    }
    if (stream->capture != NULL) {
        rpi_capture_add(stream->capture, &loop->allocator, &loop->budget, (rp_view){data, size});
    }
    if (process->pull != NULL) {
        rpi_pull_note(stream, size);
    }
    rpi_observers_output(process, stream, (rp_view){data, size});
    if (max != 0 && process->exit.out_bytes + process->exit.err_bytes > max && !process->closed) {
        rpi_stop_for(process, RP_STOP_LIMIT, "output_bytes", &process->settings->stop);
    }
}

/* ---- the end ---------------------------------------------------------------- */

static bool is_hung_up(const rpi_stream *stream)
{
    const int fd = (int)stream->io.handle;
    bool hung_up = false;

    rpi_os_are_hung_up(&fd, 1, &hung_up);
    return hung_up;
}

/* No read is pending: what is in the pipe now is all that is still read. */
static void measure(rpi_stream *stream)
{
    rp_loop *loop = rpi_stream_process(stream)->loop;
    int size;

    if (rpi_stream_process(stream)->by_hand) {
        rpi_stream_terminal_drain(stream);
        return;
    }
    loop->kernel_calls += 2;
    size = rpi_os_unread((int)stream->io.handle);
    if (size < 0) {
        rpi_stream_note_loss(stream, size);
        size = 0;
    }
    stream->left = (uint32_t)size;
    stream->state = RPI_STREAM_EXACT;
    if (is_hung_up(stream)) { /* it was a launch of ours that held a copy for a moment */
        stream->held = false;
    }
    if (size == 0) {
        rpi_stream_end(stream);
        rpi_process_advance_later(
            rpi_stream_process(stream)); /* a begun line may be left to deliver */
    } else {
        rpi_stream_arm(stream);
    }
}

void rpi_stream_settle(rpi_stream *stream)
{
    if (rpi_stream_is_over(stream) || stream->state == RPI_STREAM_SETTLING ||
        stream->state == RPI_STREAM_EXACT || stream->shut) {
        return;
    }
    if (rpi_stream_process(stream)->terminal != NULL) {
        rpi_terminal_let_go(rpi_stream_process(stream));
    }
    stream->held = true;
    if (rpi_op_is_idle(&stream->op)) {
        measure(stream);
    } else {
        stream->state = RPI_STREAM_SETTLING;
        rpi_op_cancel(rpi_process_reactor(rpi_stream_process(stream)), &stream->op);
    }
}

void rpi_stream_shut(rpi_stream *stream)
{
    rp_process *process = rpi_stream_process(stream);

    if (rpi_stream_is_over(stream) || stream->shut) {
        return;
    }
    stream->shut = true;
    wait_no_more(stream);
    if (rpi_op_is_idle(&stream->op)) {
        rpi_stream_end(stream);
    } else {
        rpi_op_cancel(rpi_process_reactor(process), &stream->op);
    }
    rpi_process_advance_later(process);
}

void rpi_stream_after_exit(rpi_stream *stream, bool hung_up)
{
    const rpi_settings *settings = rpi_stream_process(stream)->settings;

    if (stream->state != RPI_STREAM_OPEN || stream->shut) {
        return;
    }
    if (hung_up || settings->drain != RP_DRAIN_ON_EXIT) {
        stream->state = RPI_STREAM_TO_EOF;
        rpi_stream_arm(stream);
    } else {
        rpi_stream_settle(stream);
    }
}

void rpi_stream_abandon(rpi_stream *stream)
{
    if (stream->state == RPI_STREAM_NONE) {
        return;
    }
    wait_no_more(stream);
    if (stream->state < RPI_STREAM_ENDED) {
        if (!rpi_op_is_idle(&stream->op)) { /* on_op sees that the process is closed */
            rpi_op_cancel(rpi_process_reactor(rpi_stream_process(stream)), &stream->op);
            return;
        }
        rpi_stream_end(stream);
    }
    stream->state = RPI_STREAM_REPORTED;
}

/* There is something to read, and a ring is taken for it now: what a READ would have completed
 * with. */
static int32_t read_now(rpi_stream *stream)
{
    rp_loop *loop = rpi_stream_process(stream)->loop;
    char *memory;
    uint32_t size;
    int n;

    if (!rpi_stream_take_ring(stream)) {
        rpi_stream_wait_for_memory(stream);
        return -EAGAIN;
    }
    size = rpi_ring_reserve(&stream->ring, &memory);
    do {
        loop->kernel_calls++;
        n = rpi_os_read_now((int)stream->io.handle, memory, size);
    } while (n == -EINTR);
    stream->was_empty = n == -EAGAIN;
    return n;
}

/* What was read: the operation's result, or that of a read made now where it only told that there
 * is something. */
static int32_t result_of(rpi_stream *stream)
{
    int32_t result = stream->op.result;

    if (stream->op.kind == RPI_OP_READABLE && result > 0) {
        if (stream->paused || stream->stalled || stream->shut ||
            stream->state == RPI_STREAM_SETTLING) {
            return -EAGAIN;
        }
        result = read_now(stream);
    }
    if (stream->ring.reserved) {
        rpi_ring_commit(&stream->ring, result > 0 ? (uint32_t)result : 0);
    }
    return result;
}

static bool is_error(int32_t result)
{
    return result < 0 && result != -ECANCELED && result != -EAGAIN && result != -EINTR;
}

/* A read has ended; its bytes were taken in. */
static void go_on(rpi_stream *stream, int32_t result)
{
    bool ended = result == 0 || is_error(result); /* whatever the error is, nothing more comes */

    if (is_error(result)) {
        rpi_stream_note_loss(stream, result);
    }
    if (stream->state == RPI_STREAM_EXACT && result > 0) {
        stream->left -= (uint32_t)result;
        ended = ended || stream->left == 0;
    }
    if (ended) {
        if (result <= 0) {
            stream->held = false;
        }
        rpi_stream_end(stream);
    } else if (stream->state == RPI_STREAM_SETTLING) {
        measure(stream);
    }
}

/* A pipe's operation has ended. Whether bytes came. */
static bool take_result(rpi_stream *stream)
{
    int32_t result = result_of(stream);

    if (result > 0) {
        rpi_stream_take_in(stream, (uint32_t)result);
    }
    if (stream->shut) {
        rpi_stream_end(stream);
    } else {
        go_on(stream, result);
    }
    return result > 0;
}

static void on_op(rpi_op *op)
{
    rpi_stream *stream = RPI_CONTAINER(op, rpi_stream, op);
    rp_process *process = rpi_stream_process(stream);
    bool came;

    if (process->closed) {
        if (stream->ring.reserved) {
            rpi_ring_commit(&stream->ring, 0);
        }
        rpi_stream_abandon(stream);
        rpi_process_advance(process);
        return;
    }
    came = process->by_hand ? rpi_stream_terminal_read(stream) : take_result(stream);
    if (came || stream->state == RPI_STREAM_ENDED) {
        rpi_stream_deliver(stream);
    } else {
        rpi_stream_release_ring(stream);
    }
    rpi_stream_arm(stream);
    stream->was_empty = false; /* true of this moment only */
    if (stream->state >= RPI_STREAM_ENDED) {
        rpi_process_advance(process);
    }
}

/* ---- delivering --------------------------------------------------------------- */

static void consumed(rpi_stream *stream, uint32_t before)
{
    uint32_t size = before - stream->ring.count;

    stream->delivered = stream->delivered > size ? stream->delivered - size : 0;
}

static void deliver_data(rpi_stream *stream)
{
    rp_process *process = rpi_stream_process(stream);
    rp_view view = {rpi_ring_peek(&stream->ring) + stream->delivered,
                    stream->ring.count - stream->delivered};

    stream->delivered = stream->ring.count;
    process->seq++;
    process->handlers.data(process, rpi_stream_name(stream), view, process->user);
}

/* One line; false when there is none. */
static bool deliver_line(rpi_stream *stream)
{
    rp_process *process = rpi_stream_process(stream);
    uint32_t before = stream->ring.count;
    rpi_line_span span;
    rpi_line_found found;
    rp_line line = {0};

    found = rpi_lines_find(stream->lines, &stream->ring, stream->state == RPI_STREAM_ENDED, &span);
    if (found != RPI_LINE_NONE) {
        line.text = span.text;
        line.partial = found == RPI_LINE_PARTIAL;
        line.unended = found == RPI_LINE_UNENDED;
        line.seq = ++process->seq;
        line.time_ns = process->loop->reactor.now_ns;
        process->handlers.line(process, rpi_stream_name(stream), &line, process->user);
        if (process->closed) {
            return false;
        }
        rpi_lines_take(stream->lines, &stream->ring, found, &span);
    }
    consumed(stream, before);
    return found != RPI_LINE_NONE;
}

void rpi_stream_deliver(rpi_stream *stream)
{
    rp_process *process = rpi_stream_process(stream);

    if (process->pull != NULL) {
        rpi_pull_ready(process);
        return;
    }
    while (!stream->paused && !process->closed) {
        if (process->handlers.data != NULL && stream->delivered < stream->ring.count) {
            deliver_data(stream);
        } else if (stream->lines == NULL || !deliver_line(stream)) {
            break;
        }
    }
    if (stream->lines == NULL && !process->closed && rpi_ring_is_open(&stream->ring) &&
        (!stream->paused || process->handlers.data != NULL)) {
        uint32_t size = process->handlers.data != NULL ? stream->delivered : stream->ring.count;

        rpi_ring_consume(&stream->ring, size);
        stream->delivered -= process->handlers.data != NULL ? size : 0;
    }
    rpi_stream_release_ring(stream);
}

bool rpi_stream_is_drained(const rpi_stream *stream)
{
    if (stream->state != RPI_STREAM_ENDED || stream->paused) {
        return false;
    }
    return stream->ring.count == 0 && (stream->lines == NULL || rpi_lines_held(stream->lines) == 0);
}

void rpi_stream_fini(rpi_stream *stream)
{
    rp_process *process = rpi_stream_process(stream);
    rp_loop *loop = process->loop;

    wait_no_more(stream);
    ring_close(stream);
    if (stream->lines != NULL) {
        rpi_lines_fini(stream->lines);
    }
    if (stream->capture != NULL) {
        rpi_capture_fini(stream->capture, &loop->allocator, &loop->budget);
    }
}
