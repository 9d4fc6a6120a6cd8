/* See sink.h. */
#include "core/sink.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

#include "base/alloc.h"
#include "base/os.h"
#include "reactor/write.h"
#include "rp/loop.h"

enum {
    SMALL = 4096, /* what a writable pipe takes without waiting, unless others write, too */
    SHARE_MAX =
        64 * 1024, /* bytes in a row: a shared output is a file for which nobody waits, or slow */
};

static void on_writable(rpi_op *op);

int rpi_sink_open(rpi_sink *sink, rp_loop *loop, rpi_sink_fn *done)
{
    const int fd = rpi_console_open_output(&sink->kind);

    if (fd < 0) {
        return fd;
    }
    sink->loop = loop;
    sink->done = done;
    sink->open = true;
    loop->descriptors++;
    rpi_io_init(&sink->io, fd);
    rpi_op_init(&sink->op, RPI_OP_POLL, &sink->io, on_writable);
    return 0;
}

static void close_descriptor(rpi_sink *sink)
{
    if (sink->open && rpi_op_is_idle(&sink->op)) {
        sink->open = false;
        rpi_io_forget(&sink->loop->reactor, &sink->io);
        rpi_loop_close_fd(sink->loop, (int)sink->io.handle);
        sink->loop->descriptors--;
    }
}

static void drop_kept(rpi_sink *sink)
{
    rpi_free(&sink->loop->allocator, sink->kept, sink->kept_room);
    sink->kept = NULL;
    sink->kept_size = sink->kept_from = sink->kept_room = 0;
}

void rpi_sink_close(rpi_sink *sink)
{
    if (!sink->open) {
        return;
    }
    drop_kept(sink);
    sink->closing = true;
    rpi_op_cancel(&sink->loop->reactor, &sink->op);
    close_descriptor(sink);
}

bool rpi_sink_is_pending(const rpi_sink *sink)
{
    return sink->open && !rpi_op_is_idle(&sink->op);
}

void rpi_sink_close_forked(rpi_sink *sink)
{
    if (sink->open) {
        sink->op.state = RPI_OP_IDLE;
        rpi_list_init(&sink->op.node); /* its neighbours may be freed */
        rpi_sink_close(sink);
    }
}

/* ---- writing ---- */

static bool is_writable(int fd)
{
    struct pollfd entry = {.fd = fd, .events = POLLOUT};

    return rpi_os.poll(&entry, 1, 0) == 1;
}

/* One write that does not wait: bytes or -errno. */
static int64_t write_some(rpi_sink *sink, const char *bytes, size_t size)
{
    const int fd = (int)sink->io.handle;

    sink->loop->kernel_calls++;
    switch (sink->kind) {
    case RPI_CONSOLE_OUTPUT_TERMINAL:
        return rpi_console_write(fd, bytes, size);
    case RPI_CONSOLE_OUTPUT_FREE:
        return rpi_write_quiet(fd, bytes, size);
    case RPI_CONSOLE_OUTPUT_SHARED:
        if (!is_writable(fd)) {
            return -EAGAIN;
        }
        return rpi_write_quiet(fd, bytes, size < SMALL ? size : SMALL);
    }
    return -EINVAL;
}

/* As much as the system takes now, or a share: the bytes written, or an error. */
static int64_t write_share(rpi_sink *sink, const char *bytes, size_t size)
{
    size_t written = 0;

    while (written < size && written < SHARE_MAX) {
        const int64_t n = write_some(sink, bytes + written, size - written);

        if (n == -EAGAIN || n == -EINTR || n == 0) {
            break; /* interrupted: it is asked again as if it was full */
        }
        if (n < 0) {
            return n;
        }
        written += (size_t)n;
    }
    return (int64_t)written;
}

static int keep(rpi_sink *sink, const char *bytes, size_t size)
{
    const size_t used = sink->kept_size - sink->kept_from;

    if (sink->kept_from > 0) {
        memmove(sink->kept, sink->kept + sink->kept_from, used);
        sink->kept_from = 0;
        sink->kept_size = used;
    }
    if (size > sink->kept_room - used) {
        const size_t room = used + size > SHARE_MAX ? used + size : SHARE_MAX;
        char *grown = rpi_resize(&sink->loop->allocator, sink->kept, sink->kept_room, room);

        if (grown == NULL) {
            return -ENOMEM;
        }
        sink->kept = grown;
        sink->kept_room = room;
    }
    memcpy(sink->kept + used, bytes, size);
    sink->kept_size += size;
    return 0;
}

static int wait_until_writable(rpi_sink *sink)
{
    if (!rpi_op_is_idle(&sink->op)) {
        return 0;
    }
    sink->op.size = RP_WRITABLE;
    return rpi_op_start(&sink->loop->reactor, &sink->op);
}

int rpi_sink_put(rpi_sink *sink, const char *bytes, size_t size)
{
    int64_t n = 0;
    int r;

    if (sink->kept_size == sink->kept_from) {
        n = write_share(sink, bytes, size);
        if (n < 0) {
            return (int)n;
        }
    }
    if ((size_t)n == size) {
        return 0;
    }
    r = keep(sink, bytes + n, size - (size_t)n);
    r = r < 0 ? r : wait_until_writable(sink);
    return r < 0 ? r : 1;
}

static void on_writable(rpi_op *op)
{
    rpi_sink *sink = RPI_CONTAINER(op, rpi_sink, op);
    int64_t n = op->result;

    if (sink->closing) {
        close_descriptor(sink);
        sink->done(sink, -ECANCELED);
        return;
    }
    if (n > 0) {
        n = write_share(sink, sink->kept + sink->kept_from, sink->kept_size - sink->kept_from);
    } else if (n == -EAGAIN || n == -EINTR) {
        n = 0;
    }
    if (n >= 0) {
        sink->kept_from += (size_t)n;
        if (sink->kept_from == sink->kept_size) {
            sink->kept_from = sink->kept_size = 0;
            sink->done(sink, 0);
            return;
        }
        n = wait_until_writable(sink);
    }
    if (n < 0) {
        sink->done(sink, (int)n);
    }
}
