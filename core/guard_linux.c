/* See guard.h. The guard gets the socket as its standard input and a pidfd of this process as
 * descriptor 3, an empty environment, a session of its own, and the root as its directory. */
#define _GNU_SOURCE
#include "core/guard.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/guard.h"
#include "base/os.h"
#include "core/launch.h"
#include "core/loop.h"
#include "core/spawner.h"

#define END_NS (2 * RP_SECOND) /* until it is killed */

enum {
    TEXT_FIRST = 4096,
    TEXT_LARGEST = 1024 * 1024 /* a guard so far behind does not run */
};

static void on_exit_op(rpi_op *op);
static void on_line_op(rpi_op *op);
static void close_line(rp_loop *loop);

static rpi_guard *guard_of(rp_loop *loop)
{
    return &loop->groups.guard;
}

void rpi_guard_init(rp_loop *loop)
{
    *guard_of(loop) = (rpi_guard){.pidfd = -1, .line = -1};
}

bool rpi_guard_runs(const rp_loop *loop)
{
    return loop->groups.guard.pidfd >= 0 && loop->groups.guard.line >= 0;
}

/* ---- starting ---------------------------------------------------------------------------- */

/* What RUNNING_PROCESS_GUARD names, unless this program has more rights than who started it. */
static const char *find_program(void)
{
    const char *named = secure_getenv("RUNNING_PROCESS_GUARD");

    return named != NULL && named[0] != '\0' ? named : RPI_GUARD_PROGRAM;
}

/* Launches it with its end of the socket, here and now: its number and its pidfd, or -errno. */
static int launch_guard(rp_loop *loop, int end, int host, int *ret_pidfd)
{
    const char *const argv[] = {find_program(), NULL};
    const rp_fd further = {.parent = host, .child = RPI_GUARD_HOST};
    rp_posix posix = RP_INIT(rp_posix);
    rp_command command = RP_COMMAND_INIT;
    rpi_launch *launch = NULL;
    int r;

    posix.new_session = true;
    posix.no_core = true;
    command.argv = argv;
    command.program = argv[0];
    command.cwd = "/";
    command.env_clear = true;
    command.in = (rp_stdio){.kind = RP_STDIO_FD, .fd = end};
    command.out.kind = RP_STDIO_NULL;
    command.err.kind = RP_STDIO_NULL;
    command.fds = host < 0 ? NULL : &further;
    command.fd_count = host < 0 ? 0 : 1;
    command.posix = &posix;
    r = rpi_launch_build(&loop->allocator, &command, &launch);
    if (r < 0) {
        return r;
    }
    rpi_spawner_run(loop->spawner, launch);
    r = launch->error;
    if (r == 0) {
        r = (int)launch->pid;
        *ret_pidfd = launch->pidfd;
        launch->pidfd = -1;
    }
    rpi_launch_free(launch);
    return r;
}

/* Waits for its end, which is there or near. */
static void reap(int pidfd)
{
    while (rpi_os.waitid(P_PIDFD, pidfd, NULL, WEXITED | __WALL, NULL) < 0 && errno == EINTR) {
    }
    (void)rpi_os.close(pidfd); /* it only holds */
}

/* From now on its end is noticed. */
static int watch(rp_loop *loop, int line, int pid, int pidfd)
{
    rpi_guard *guard = guard_of(loop);
    int r;

    rpi_io_init(&guard->exit_io, pidfd);
    rpi_op_init(&guard->exit_op, RPI_OP_EXIT, &guard->exit_io, on_exit_op);
    guard->exit_op.size = (uint32_t)pid;
    rpi_io_init(&guard->line_io, line);
    rpi_op_init(&guard->line_op, RPI_OP_POLL, &guard->line_io, on_line_op);
    r = rpi_op_start(&loop->reactor, &guard->exit_op);
    if (r < 0) {
        (void)rpi_os.pidfd_send_signal(pidfd, SIGKILL, 0); /* it was told nothing */
        reap(pidfd);
        return r;
    }
    guard->pidfd = pidfd;
    guard->line = line;
    guard->size = 0;
    return 0;
}

static int start(rp_loop *loop)
{
    int host = rpi_os.pidfd_open((pid_t)rpi_os_pid(), 0); /* else the socket alone tells */
    int pidfd = -1;
    int ends[2];
    int r = 0;

    if (rpi_os.socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0) {
        r = -errno;
        ends[0] = -1;
        ends[1] = -1;
    } else {
        ends[0] = rpi_os_lift(ends[0]);
        ends[1] = rpi_os_lift(ends[1]);
        host = host < 0 ? host : rpi_os_lift(host);
        r = ends[0] < 0 || ends[1] < 0 ? -EMFILE : launch_guard(loop, ends[1], host, &pidfd);
    }
    if (host >= 0) {
        (void)rpi_os.close(host); /* the guard has it */
    }
    if (ends[1] >= 0) {
        (void)rpi_os.close(ends[1]); /* likewise */
    }
    r = r < 0 ? r : watch(loop, ends[0], r, pidfd);
    if (r < 0 && ends[0] >= 0) {
        (void)rpi_os.close(ends[0]); /* nothing was sent */
    }
    return r;
}

int rpi_guard_start(rp_loop *loop)
{
    rpi_guard *guard = guard_of(loop);
    int r;

    if (guard->pidfd >= 0 || guard->line >= 0) {
        return rpi_guard_runs(loop) ? 0 : RP_EAGAIN; /* it ends at this moment */
    }
    r = start(loop);
    if (r < 0 && !guard->has_complained) {
        guard->has_complained = true;
        rpi_loop_log(loop, 1, "no guard (%s: %s): groups outlive a caller that dies",
                     find_program(), rp_strerror(r));
    }
    return r < 0 ? r : 1;
}

/* ---- telling ----------------------------------------------------------------------------- */

/* It cannot be told any more. The socket stays open until it is gone, as its end would let it kill
 * whom it was told of. */
static void dismiss(rp_loop *loop)
{
    (void)rpi_os.pidfd_send_signal(guard_of(loop)->pidfd, SIGKILL, 0); /* gone: as wanted */
    guard_of(loop)->size = 0;
}

static void flush(rp_loop *loop)
{
    rpi_guard *guard = guard_of(loop);

    while (guard->size > 0) {
        struct iovec text = {guard->text, guard->size};
        const struct msghdr message = {.msg_iov = &text, .msg_iovlen = 1};
        const ssize_t sent = rpi_os.sendmsg(guard->line, &message, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (sent < 0 && errno == EINTR) {
            continue;
        }
        if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            guard->line_op.size = RP_WRITABLE;
            if (rpi_op_is_idle(&guard->line_op) &&
                rpi_op_start(&loop->reactor, &guard->line_op) < 0) {
                dismiss(loop);
            }
            return;
        }
        if (sent < 0) {
            dismiss(loop); /* it is gone, which its exit tells */
            return;
        }
        guard->size -= (size_t)sent;
        memmove(guard->text, guard->text + sent, guard->size);
    }
}

static void on_line_op(rpi_op *op)
{
    rpi_guard *guard = RPI_CONTAINER(op, rpi_guard, line_op);
    rp_loop *loop = RPI_CONTAINER(guard, rp_loop, groups.guard);

    if (guard->pidfd < 0) {
        close_line(loop); /* it has ended meanwhile */
    } else if (op->result != -ECANCELED) {
        flush(loop);
    }
}

/* Room for so many bytes more. */
static bool make_room(rp_loop *loop, size_t size)
{
    rpi_guard *guard = guard_of(loop);
    size_t capacity = guard->capacity == 0 ? TEXT_FIRST : guard->capacity;
    char *text;

    while (capacity < guard->size + size) {
        capacity *= 2;
    }
    if (capacity == guard->capacity) {
        return true;
    }
    if (capacity > TEXT_LARGEST) {
        return false;
    }
    text = rpi_resize(&loop->allocator, guard->text, guard->capacity, capacity);
    if (text == NULL) {
        return false;
    }
    guard->text = text;
    guard->capacity = capacity;
    return true;
}

void rpi_guard_tell(rp_loop *loop, const char *format, ...)
{
    rpi_guard *guard = guard_of(loop);
    char line[RPI_GUARD_TEXT_MAX];
    va_list arguments;
    int length;

    if (!rpi_guard_runs(loop)) {
        return;
    }
    va_start(arguments, format);
    length = vsnprintf(line, sizeof line - 1, format, arguments);
    va_end(arguments);
    if (length < 0 || (size_t)length >= sizeof line - 1 || !make_room(loop, (size_t)length + 1)) {
        dismiss(loop);
        return;
    }
    line[length] = '\n';
    memcpy(guard->text + guard->size, line, (size_t)length + 1);
    guard->size += (size_t)length + 1;
    if (rpi_op_is_idle(&guard->line_op)) {
        flush(loop);
    }
}

/* ---- its end ------------------------------------------------------------------------------ */

static void close_line(rp_loop *loop)
{
    rpi_guard *guard = guard_of(loop);

    if (guard->line >= 0 && rpi_op_is_idle(&guard->line_op)) {
        rpi_io_forget(&loop->reactor, &guard->line_io);
        (void)rpi_os.close(guard->line); /* what it did not get it does not need */
        guard->line = -1;
    }
}

static void on_exit_op(rpi_op *op)
{
    rpi_guard *guard = RPI_CONTAINER(op, rpi_guard, exit_op);
    rp_loop *loop = RPI_CONTAINER(guard, rp_loop, groups.guard);
    const bool was_needed = guard->line >= 0 && !loop->closing;

    if (op->result == -ECANCELED) {
        return;
    }
    rpi_io_forget(&loop->reactor, &guard->exit_io);
    reap(guard->pidfd);
    guard->pidfd = -1;
    guard->size = 0;
    rpi_op_cancel(&loop->reactor, &guard->line_op);
    close_line(loop); /* else with the next guard, or the loop */
    if (was_needed) {
        rpi_groups_lost_guard(loop);
    }
}

/* Turns until what ends an operation has come, or the time is over. */
static void turn_until(rp_loop *loop, const rpi_op *idle, uint64_t span_ns)
{
    const uint64_t until_ns = rpi_clock_after(rpi_clock_now_ns(), span_ns);
    uint64_t now_ns = rpi_clock_now_ns();

    while (!rpi_op_is_idle(idle) && now_ns < until_ns) {
        atomic_store(&loop->reactor.stop, false); /* it must not keep the turn from waiting */
        if (rpi_reactor_turn(&loop->reactor, until_ns - now_ns) < 0) {
            return;
        }
        now_ns = rpi_clock_now_ns();
    }
}

void rpi_guard_close(rp_loop *loop)
{
    rpi_guard *guard = guard_of(loop);

    if (guard->pidfd >= 0 || guard->line >= 0) {
        rpi_op_cancel(&loop->reactor, &guard->line_op);
        turn_until(loop, &guard->line_op, END_NS);
        close_line(loop);
        turn_until(loop, &guard->exit_op, END_NS);
    }
    if (guard->pidfd >= 0) { /* it is stopped, or very slow */
        (void)rpi_os.pidfd_send_signal(guard->pidfd, SIGKILL, 0);
        turn_until(loop, &guard->exit_op, END_NS);
    }
    rpi_free(&loop->allocator, guard->text, guard->capacity);
    guard->text = NULL;
    guard->capacity = 0;
}

void rpi_guard_close_forked(rp_loop *loop)
{
    rpi_guard *guard = guard_of(loop);

    if (guard->pidfd >= 0) {
        (void)rpi_os.close(guard->pidfd); /* copies */
    }
    if (guard->line >= 0) {
        (void)rpi_os.close(guard->line);
    }
    rpi_free(&loop->allocator, guard->text, guard->capacity);
    rpi_guard_init(loop);
}
