/* The writer: what a child gets on its stdin. Bytes are copied into a queue and written in order by
 * one operation at a time, so that nobody ever blocks, whatever the size and whatever the child
 * does. Each request reports once, out of the loop: when the system has all of it, or when it will
 * never have. Called by process.c and the public functions at the end. */
#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "base/status.h"
#include "core/loop.h"
#include "core/process.h"
#include "core/terminal.h"
#include "core/writer.h"

/* One system call takes at most this much, so that sizes fit its result. */
enum {
    WRITE_MAX = 1 << 20
};

static void on_write(rpi_op *op);
static void on_report(rpi_task *task);
static void go_on(rpi_writer *writer);

size_t rpi_writer_size(void)
{
    return sizeof(rpi_writer);
}

static rpi_reactor *reactor_of(const rpi_writer *writer)
{
    return &writer->process->loop->reactor;
}

void rpi_writer_init(rp_process *process, rpi_writer *writer)
{
    writer->process = process;
    rpi_list_init(&writer->queue);
    rpi_list_init(&writer->finished);
    rpi_task_init(&writer->task, on_report);
    rpi_io_init(&writer->io, -1);
    rpi_op_init(&writer->op, RPI_OP_WRITE, &writer->io, on_write);
}

void rpi_writer_open(rpi_writer *writer, int fd)
{
    writer->io.handle = fd;
    writer->open = true;
    writer->process->loop->descriptors++;
    if (writer->silent) {
        rpi_writer_abandon(writer);
    } else if (writer->status != 0) {
        rpi_writer_fail(writer, writer->status);
    } else {
        go_on(writer);
    }
}

static void close_descriptor(rpi_writer *writer)
{
    rp_loop *loop = writer->process->loop;

    if (writer->open && rpi_op_is_idle(&writer->op)) {
        writer->open = false;
        rpi_io_forget(&loop->reactor, &writer->io);
        rpi_loop_close_fd(loop, (int)writer->io.handle);
        loop->descriptors--;
        if (writer->process->terminal != NULL) {
            rpi_terminal_closed(writer->process);
        }
    }
}

bool rpi_writer_is_open(const rpi_writer *writer)
{
    return writer->open;
}

int rpi_writer_fd(const rpi_writer *writer)
{
    return writer->open ? (int)writer->io.handle : -1;
}

void rpi_writer_close(rpi_writer *writer)
{
    close_descriptor(writer);
    writer->status = RP_EPIPE;
}

static void request_free(rpi_writer *writer, rpi_write_request *done)
{
    rpi_free(&writer->process->loop->allocator, done, sizeof *done + done->size);
}

void rpi_writer_finish(rpi_writer *writer, rpi_write_request *first, int status)
{
    rpi_list_remove(&first->node);
    writer->unwritten -= first->size - first->sent;
    if (first->written == NULL || writer->silent) {
        request_free(writer, first);
        return;
    }
    first->status = status;
    rpi_list_append(&writer->finished, &first->node);
    rpi_task_start(reactor_of(writer), &writer->task);
}

void rpi_writer_fail(rpi_writer *writer, int status)
{
    if (writer->status == 0) {
        writer->status = status;
    }
    if (!rpi_op_is_idle(&writer->op)) { /* its memory is with the kernel until on_write */
        rpi_op_cancel(reactor_of(writer), &writer->op);
        return;
    }
    while (!rpi_list_is_empty(&writer->queue)) {
        rpi_writer_finish(writer, rpi_writer_first(writer), writer->status);
    }
    close_descriptor(writer);
}

void rpi_writer_abandon(rpi_writer *writer)
{
    rpi_list *node;

    writer->silent = true;
    rpi_task_cancel(&writer->task);
    while ((node = rpi_list_take_first(&writer->finished)) != NULL) {
        request_free(writer, RPI_CONTAINER(node, rpi_write_request, node));
    }
    rpi_writer_fail(writer, RP_EPIPE);
}

/* Starts the next write, or the close that was asked for. */
static void go_on(rpi_writer *writer)
{
    rpi_write_request *first;
    size_t left;
    int r;

    if (!writer->open || !rpi_op_is_idle(&writer->op) || writer->status != 0) {
        return;
    }
    if (writer->process->by_hand) {
        rpi_writer_terminal_go_on(writer);
        return;
    }
    while (!rpi_list_is_empty(&writer->queue) && rpi_writer_first(writer)->size == 0) {
        rpi_writer_finish(writer, rpi_writer_first(writer),
                          0); /* nothing to write, and nothing before it */
    }
    if (rpi_list_is_empty(&writer->queue)) {
        if (writer->ending) {
            rpi_writer_close(writer);
        }
        return;
    }
    first = rpi_writer_first(writer);
    left = first->size - first->sent;
    writer->op.data = first->bytes + first->sent;
    writer->op.size = left < WRITE_MAX ? (uint32_t)left : WRITE_MAX;
    r = rpi_op_start(reactor_of(writer), &writer->op);
    if (r < 0) {
        rpi_writer_fail(writer, r);
    }
}

void rpi_writer_sent(rpi_writer *writer, size_t size)
{
    rpi_write_request *first = rpi_writer_first(writer);

    first->sent += size;
    writer->unwritten -= size;
    writer->process->exit.in_bytes += size;
    if (first->sent == first->size) {
        rpi_writer_finish(writer, first, 0);
    }
}

static void on_write(rpi_op *op)
{
    rpi_writer *writer = RPI_CONTAINER(op, rpi_writer, op);

    if (op->result < 0) {
        if (op->result != -EAGAIN && op->result != -EINTR && op->result != -ECANCELED) {
            rpi_writer_fail(writer, op->result == -EPIPE ? RP_EPIPE : op->result);
        }
    } else if (op->kind == RPI_OP_WRITE) { /* else a terminal that takes bytes again */
        rpi_writer_sent(writer, (size_t)op->result);
    }
    if (writer->status != 0) {
        rpi_writer_fail(writer, writer->status);
        rpi_process_advance(writer->process);
        return;
    }
    go_on(writer);
}

static void on_report(rpi_task *task)
{
    rpi_writer *writer = RPI_CONTAINER(task, rpi_writer, task);
    rp_process *process = writer->process;
    rpi_list *last = writer->finished.previous;
    rpi_list *node = NULL;

    /* Up to the one that is the last now: what a callback finishes belongs to the next turn. Each
     * is taken out before its callback, which may close the process and so empty the list. */
    while (node != last && (node = rpi_list_take_first(&writer->finished)) != NULL) {
        rpi_write_request *done = RPI_CONTAINER(node, rpi_write_request, node);
        rpi_write_request copy = *done;

        request_free(writer, done);
        copy.written(process, copy.status, copy.user);
    }
    rpi_process_advance(process);
}

int rpi_writer_add(rpi_writer *writer,
                   rp_view bytes,
                   void (*written)(rp_process *, int, void *),
                   void *user)
{
    rpi_write_request *new;

    if (bytes.size > SIZE_MAX - sizeof *new) {
        return -ENOMEM;
    }
    new = rpi_alloc(&writer->process->loop->allocator, sizeof *new + bytes.size);
    if (new == NULL) {
        return -ENOMEM;
    }
    *new = (rpi_write_request){.written = written, .user = user, .size = bytes.size};
    if (bytes.size > 0) {
        memcpy(new->bytes, bytes.data, bytes.size);
    }
    writer->unwritten += bytes.size;
    rpi_list_append(&writer->queue, &new->node);
    go_on(writer);
    return 0;
}

void rpi_writer_end(rpi_writer *writer)
{
    writer->ending = true;
    go_on(writer);
}

void rpi_writer_forget_op(rpi_writer *writer)
{
    writer->op.state = RPI_OP_IDLE;
}

bool rpi_writer_is_idle(const rpi_writer *writer)
{
    return rpi_op_is_idle(&writer->op) && rpi_list_is_empty(&writer->queue) &&
           rpi_list_is_empty(&writer->finished);
}

void rpi_writer_fini(rpi_writer *writer)
{
    rpi_writer_abandon(writer);
    RP_ASSERT(rpi_writer_is_idle(writer));
    RP_ASSERT(!writer->open);
}

/* ---- the public functions ------------------------------------------------------ */

static int
add(rp_process *process, rp_view bytes, void (*written)(rp_process *, int, void *), void *user)
{
    rpi_writer *writer = process->writer;
    size_t max = process->settings->write_max;
    int r = rpi_loop_enter(process->loop);

    if (r < 0) {
        return r;
    }
    if (bytes.size > 0 && bytes.data == NULL) {
        return rpi_detail(RP_EINVAL, "bytes without data");
    }
    if (writer == NULL) {
        return rpi_detail(RP_EINVAL, "stdin of this child is not a pipe (rp_command.in)");
    }
    if (writer->ending || writer->status != 0 || process->state >= RPI_PROCESS_EXITED) {
        return rpi_detail(RP_EPIPE, "stdin of this child is closed");
    }
    if (max != 0 && writer->unwritten > 0 &&
        (writer->unwritten >= max || bytes.size > max - writer->unwritten)) {
        return rpi_detail(RP_EAGAIN, "%zu bytes wait already (write_max)", writer->unwritten);
    }
    return rpi_writer_add(writer, bytes, written, user);
}

static void tell_observers(rp_process *process, rp_view bytes, bool submit)
{
    rpi_input input = {.size = bytes.size, .submit = submit};

    process->had_submit = process->had_submit || submit;
    if (rpi_list_is_empty(&process->observers) && process->had_newline) {
        return; /* nothing of it would be news */
    }
    input.newline = bytes.size > 0 && (memchr(bytes.data, '\n', bytes.size) != NULL ||
                                       memchr(bytes.data, '\r', bytes.size) != NULL);
    process->had_newline = process->had_newline || input.newline;
    rpi_observers_input(process, &input);
}

int rpi_process_write(rp_process *process,
                      rp_view bytes,
                      bool submit,
                      void (*written)(rp_process *, int, void *),
                      void *user)
{
    int r = add(process, bytes, written, user);

    if (r == 0) {
        tell_observers(process, bytes, submit);
    }
    return r;
}

int rp_write(rp_process *process,
             rp_view bytes,
             void (*written)(rp_process *, int, void *),
             void *user)
{
    return rpi_process_write(process, bytes, false, written, user);
}

int rp_submit(rp_process *process, rp_view bytes)
{
    return rpi_process_write(process, bytes, true, NULL, NULL);
}

int rp_close_stdin(rp_process *process)
{
    int r = rpi_loop_enter(process->loop);

    if (r < 0) {
        return r;
    }
    if (process->writer == NULL) {
        return rpi_detail(RP_EINVAL, "stdin of this child is not a pipe (rp_command.in)");
    }
    if (process->terminal != NULL && process->state < RPI_PROCESS_EXITED) {
        r = rpi_writer_terminal_can_end(process->writer);
        if (r < 0) {
            return r;
        }
    }
    rpi_writer_end(process->writer); /* twice, or after the child's end: closed is closed */
    return 0;
}

size_t rp_process_unwritten(const rp_process *process)
{
    return process->writer == NULL ? 0 : process->writer->unwritten;
}
