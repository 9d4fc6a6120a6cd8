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

typedef struct request {
    rpi_list node;
    void (*written)(rp_process *, int, void *);
    void *user;
    size_t size;
    size_t sent;
    int status;
    char bytes[];
} request;

struct rpi_writer {
    rp_process *process; /* borrowed */
    rpi_io io;
    rpi_op op;
    rpi_list queue;    /* request.node: to be written */
    rpi_list finished; /* request.node: to be reported by the task */
    rpi_task task;
    size_t unwritten; /* bytes in the queue */
    int status;       /* 0, or why nothing can be written any more */
    bool open;        /* io holds a descriptor that we own */
    bool ending;      /* closed after the queue */
    bool silent;      /* the process is closed: nothing is reported */
};

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
    }
}

static void request_free(rpi_writer *writer, request *done)
{
    rpi_free(&writer->process->loop->allocator, done, sizeof *done + done->size);
}

/* The first request of the queue is over: it will be reported, if anybody asked. */
static void request_finish(rpi_writer *writer, request *first, int status)
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

static request *first_of(rpi_writer *writer)
{
    return RPI_CONTAINER(writer->queue.next, request, node);
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
        request_finish(writer, first_of(writer), writer->status);
    }
    close_descriptor(writer);
}

void rpi_writer_abandon(rpi_writer *writer)
{
    rpi_list *node;

    writer->silent = true;
    rpi_task_cancel(&writer->task);
    while ((node = rpi_list_take_first(&writer->finished)) != NULL) {
        request_free(writer, RPI_CONTAINER(node, request, node));
    }
    rpi_writer_fail(writer, RP_EPIPE);
}

/* Starts the next write, or the close that was asked for. */
static void go_on(rpi_writer *writer)
{
    request *first;
    size_t left;
    int r;

    if (!writer->open || !rpi_op_is_idle(&writer->op) || writer->status != 0) {
        return;
    }
    while (!rpi_list_is_empty(&writer->queue) && first_of(writer)->size == 0) {
        request_finish(writer, first_of(writer), 0); /* nothing to write, and nothing before it */
    }
    if (rpi_list_is_empty(&writer->queue)) {
        if (writer->ending) {
            close_descriptor(writer);
            writer->status = RP_EPIPE;
        }
        return;
    }
    first = first_of(writer);
    left = first->size - first->sent;
    writer->op.data = first->bytes + first->sent;
    writer->op.size = left < WRITE_MAX ? (uint32_t)left : WRITE_MAX;
    r = rpi_op_start(reactor_of(writer), &writer->op);
    if (r < 0) {
        rpi_writer_fail(writer, r);
    }
}

static void on_write(rpi_op *op)
{
    rpi_writer *writer = RPI_CONTAINER(op, rpi_writer, op);
    request *first = first_of(writer);

    if (op->result > 0) {
        first->sent += (size_t)op->result;
        writer->unwritten -= (size_t)op->result;
        writer->process->exit.in_bytes += (uint64_t)op->result;
        if (first->sent == first->size) {
            request_finish(writer, first, 0);
        }
    } else if (op->result < 0 && op->result != -EAGAIN && op->result != -EINTR &&
               op->result != -ECANCELED) {
        rpi_writer_fail(writer, op->result == -EPIPE ? RP_EPIPE : op->result);
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
        request *done = RPI_CONTAINER(node, request, node);
        request copy = *done;

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
    request *new;

    if (bytes.size > SIZE_MAX - sizeof *new) {
        return -ENOMEM;
    }
    new = rpi_alloc(&writer->process->loop->allocator, sizeof *new + bytes.size);
    if (new == NULL) {
        return -ENOMEM;
    }
    *new = (request){.written = written, .user = user, .size = bytes.size};
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

    if (rpi_list_is_empty(&process->observers)) {
        return;
    }
    input.newline = bytes.size > 0 && (memchr(bytes.data, '\n', bytes.size) != NULL ||
                                       memchr(bytes.data, '\r', bytes.size) != NULL);
    rpi_observers_input(process, &input);
}

int rp_write(rp_process *process,
             rp_view bytes,
             void (*written)(rp_process *, int, void *),
             void *user)
{
    int r = add(process, bytes, written, user);

    if (r == 0) {
        tell_observers(process, bytes, false);
    }
    return r;
}

int rp_submit(rp_process *process, rp_view bytes)
{
    int r = add(process, bytes, NULL, NULL);

    if (r == 0) {
        tell_observers(process, bytes, true);
    }
    return r;
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
    rpi_writer_end(process->writer); /* twice, or after the child's end: closed is closed */
    return 0;
}

size_t rp_process_unwritten(const rp_process *process)
{
    return process->writer == NULL ? 0 : process->writer->unwritten;
}
