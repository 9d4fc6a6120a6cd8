/* Public watches: a POLL operation on a descriptor of the caller's, started again after each report
 * for as long as the watch lives. A watch that is closed while its operation is under way is freed
 * when that has completed; it reports nothing any more. */
#include <errno.h>

#include "base/assert.h"
#include "base/os.h"
#include "base/status.h"
#include "reactor/parts.h"
#include "reactor/reactor.h"

struct rp_watch {
    rpi_handle handle;
    rpi_io io;
    rpi_op op;
    rpi_task retry; /* the start failed for want of something: again in the next turn */
    void (*ready)(rp_watch *, uint32_t events, void *);
    void *user;
    bool reporting;
    bool closed; /* to be freed when the operation is idle and the callback has returned */
};

static void free_watch(rp_watch *watch)
{
    rpi_task_cancel(&watch->retry);
    rpi_free(watch->handle.reactor->allocator, watch, sizeof *watch);
}

static void close_handle(rpi_handle *handle)
{
    rp_watch_close(RPI_CONTAINER(handle, rp_watch, handle));
}

static void drop_handle(rpi_handle *handle)
{
    rp_watch *watch = RPI_CONTAINER(handle, rp_watch, handle);

    rpi_io_forget(handle->reactor, &watch->io);
    free_watch(watch);
}

/* Whether a failed start may succeed later. What else there is (EBADF, ENOENT) says that the
 * descriptor was closed behind our back: then there is nothing to be told any more. */
static bool is_shortage(int error)
{
    return error == -ENOMEM || error == -EAGAIN || error == -EBUSY || error == -ENOSPC ||
           error == -EMFILE || error == -ENFILE;
}

static void start_again(rp_watch *watch)
{
    rpi_reactor *reactor = watch->handle.reactor;

    if (is_shortage(rpi_op_start(reactor, &watch->op))) {
        rpi_task_start(reactor, &watch->retry);
    }
}

static void retry(rpi_task *task)
{
    start_again(RPI_CONTAINER(task, rp_watch, retry));
}

static void done(rpi_op *op)
{
    rp_watch *watch = RPI_CONTAINER(op, rp_watch, op);
    // An error counts as ready, so that the caller meets it in his own call.
    uint32_t events = op->result < 0 ? op->size : (uint32_t)op->result;

    if (!watch->closed) {
        watch->reporting = true;
        rpi_detail_clear();
        watch->ready(watch, events, watch->user);
        watch->reporting = false;
    }
    if (watch->closed) {
        free_watch(watch);
    } else if (op->result != -EBADF) { // as above: reported once, not for ever
        start_again(watch);
    }
}

static int check(const rpi_reactor *reactor, intptr_t fd, uint32_t events, bool has_ready)
{
    if (rpi_reactor_is_forked(reactor)) {
        return RP_EPERM;
    }
    if (!has_ready) {
        return rpi_detail(RP_EINVAL, "ready is NULL");
    }
    if (events == 0 || (events & ~(uint32_t)(RP_READABLE | RP_WRITABLE)) != 0) {
        return rpi_detail(RP_EINVAL, "events are RP_READABLE, RP_WRITABLE or both");
    }
    if (fd < 0 || fd > INT32_MAX) {
        return rpi_detail(RP_EINVAL, "fd is no descriptor");
    }
    return rpi_os_check_descriptor(fd);
}

int rp_watch_start(rp_loop *loop,
                   intptr_t fd,
                   uint32_t events,
                   void (*ready)(rp_watch *, uint32_t events, void *),
                   void *user,
                   rp_watch **ret_watch)
{
    rpi_reactor *reactor = rpi_reactor_of(loop);
    rp_watch *watch;
    int r;

    rpi_detail_clear();
    r = check(reactor, fd, events, ready != NULL);
    if (r < 0) {
        return r;
    }
    watch = rpi_alloc_zero(reactor->allocator, sizeof *watch);
    if (watch == NULL) {
        return RP_ENOMEM;
    }
    watch->handle.reactor = reactor;
    watch->handle.close = close_handle;
    watch->handle.drop = drop_handle;
    watch->ready = ready;
    watch->user = user;
    rpi_task_init(&watch->retry, retry);
    rpi_io_init(&watch->io, fd);
    rpi_op_init(&watch->op, RPI_OP_POLL, &watch->io, done);
    watch->op.size = events;
    r = rpi_op_start(reactor, &watch->op);
    if (r < 0) {
        free_watch(watch);
        return r;
    }
    rpi_list_append(&reactor->handles, &watch->handle.node);
    reactor->left++;
    if (ret_watch != NULL) {
        *ret_watch = watch;
    }
    return 0;
}

void rp_watch_close(rp_watch *watch)
{
    rpi_reactor *reactor;

    if (watch == NULL) {
        return;
    }
    reactor = watch->handle.reactor;
    if (rpi_reactor_is_forked(reactor)) {
        return; // left to the loop's close
    }
    RP_ASSERT(!watch->closed);
    watch->closed = true;
    reactor->left--;
    rpi_list_remove(&watch->handle.node);
    rpi_op_cancel(reactor, &watch->op);
    if (watch->op.state != RPI_OP_PENDING) {
        rpi_io_forget(reactor, &watch->io); // the caller may close the descriptor next
    }
    if (rpi_op_is_idle(&watch->op) && !watch->reporting) {
        free_watch(watch);
    }
}
