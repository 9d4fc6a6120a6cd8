/* The relay: the caller's terminal for a child on a pseudo-terminal. What is typed goes to the
 * child, as many bytes at a time as are there (a paste in one write); what the child writes goes to
 * standard output; the size is followed. The terminal is in raw mode meanwhile, and is put back on
 * every way out: the relay's close, the child's end, the process's and the loop's close, and by the
 * guard (base/console.h) when this process dies.
 *
 * The terminal is opened anew, so that non-blocking is our own affair. Nothing here changes a
 * signal: that the window has another size, that we were stopped and go on, that the shell has put
 * us into the background is looked for with each input and output, and by a timer that ticks five
 * times a second while there is a relay. In the background nothing is read, and no mode is changed.
 *
 * The output side is an observer: it writes in the read path, which is no callback of the user's,
 * and where standard output is slow it stalls the stream instead of collecting bytes. Reports come
 * out of a task. A relay that is over may live on until its operations have come back. */
#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "base/console.h"
#include "base/os.h"
#include "base/status.h"
#include "core/command.h"
#include "core/loop.h"
#include "core/process.h"
#include "core/relay_keys.h"
#include "core/sink.h"
#include "core/terminal.h"
#include "rp/interactive.h"
#include "rp/terminal.h"

#define TICK_NS (200 * RP_MILLISECOND)

enum {
    INPUT_MAX = 64 * 1024,      /* bytes read and sent at once */
    UNWRITTEN_MAX = 256 * 1024, /* queued for a child that does not read: no more is taken */
    STDIN = 0
};

struct rp_relay {
    rpi_handle handle; /* ends with the loop */
    rpi_observer observer;
    rp_loop *loop;       /* borrowed */
    rp_process *process; /* borrowed; NULL: closed, or the process is gone */
    bool held;           /* by the caller, until its close */
    void (*ended)(rp_process *, int, void *);
    void *user;
    rpi_task task;
    rpi_timer timer;
    int terminal;  /* owned; -1: closed */
    int64_t group; /* ours; 0: the terminal is not the one of our session, and nobody shares it */
    rpi_console_modes saved, raw;
    rpi_console_size size; /* as the child was told */
    rpi_console_guard guard;
    rpi_io io;
    rpi_op op; /* waits for input */
    rpi_keys keys;
    rpi_sink sink;
    bool shows;     /* the child's output, by the sink */
    bool changed;   /* the terminal is in raw mode */
    bool over;      /* the terminal is put back */
    bool told;      /* ended was called, or will not be */
    bool child_ran; /* the child has ended: no more input */
    int status;
    char input[INPUT_MAX];
    char typed[INPUT_MAX + RPI_KEYS_MAX];
};

static void on_input(rpi_op *op);
static void on_task(rpi_task *task);
static void on_tick(rpi_timer *timer);
static void on_sink(rpi_sink *sink, int status);
static void on_written(rp_process *process, int status, void *user);

static rpi_stream *output_of(rp_relay *relay)
{
    return &relay->process->streams[0];
}

/* ---- the end ---- */

static void close_terminal(rp_relay *relay)
{
    if (relay->terminal >= 0 && rpi_op_is_idle(&relay->op)) {
        rpi_io_forget(&relay->loop->reactor, &relay->io);
        rpi_loop_close_fd(relay->loop, relay->terminal);
        relay->loop->descriptors--;
        relay->terminal = -1;
    }
}

/* Frees a relay that nobody holds, as soon as nothing of it is pending. */
static void try_free(rp_relay *relay)
{
    rp_loop *loop = relay->loop;

    if (relay->held || relay->process != NULL || !rpi_op_is_idle(&relay->op) ||
        rpi_sink_is_pending(&relay->sink)) {
        return;
    }
    rpi_task_cancel(&relay->task);
    rpi_timer_fini(&loop->reactor, &relay->timer);
    rpi_free(&loop->allocator, relay, sizeof *relay);
}

/* Whether we are in the background of a shell: then the terminal is not ours to read or change. */
static bool is_background(const rp_relay *relay)
{
    const int64_t group = relay->group == 0 ? 0 : rpi_console_get_group(relay->terminal);

    return group >= 0 && group != relay->group; /* negative: it has hung up, which a read tells */
}

/* Puts the terminal back and lets go of it. The report comes out of the task. */
static void finish(rp_relay *relay, int status)
{
    if (relay->over) {
        return;
    }
    relay->over = true;
    relay->status = status;
    rpi_timer_off(&relay->loop->reactor, &relay->timer);
    if (relay->changed && !is_background(relay)) { /* else it is as the shell wants it */
        // Refused: it hung up, and nobody is there to see.
        (void)rpi_console_set_modes(relay->terminal, &relay->saved);
    }
    rpi_console_guard_close(&relay->guard);
    rpi_op_cancel(&relay->loop->reactor, &relay->op);
    close_terminal(relay);
    rpi_console_release();
    if (relay->shows) {
        rpi_sink_close(&relay->sink);
    }
    if (relay->process != NULL) {
        if (output_of(relay)->stalled) {
            rpi_stream_stall(output_of(relay), false);
        }
        rpi_task_start(&relay->loop->reactor, &relay->task);
    }
}

/* The child has ended, and all of its output is written. Where the caller writes it, see
 * holds_done. */
static void finish_if_done(rp_relay *relay)
{
    const rpi_stream *output = output_of(relay);

    if (relay->child_ran && relay->shows && rpi_stream_is_over(output) && !output->stalled) {
        finish(relay, RP_EOS);
    }
}

/* Tells the end, once; or finishes what could not be finished where it was found out. */
static void on_task(rpi_task *task)
{
    rp_relay *relay = RPI_CONTAINER(task, rp_relay, task);
    rp_process *process = relay->process;

    if (!relay->over) {
        finish(relay, relay->status);
    }
    if (relay->told) {
        return;
    }
    relay->told = true;
    rpi_process_advance_later(process);
    if (relay->ended != NULL) {
        relay->ended(process, relay->status, relay->user); /* may close it */
    }
}

/* From inside the read path: the task does it. */
static void finish_soon(rp_relay *relay, int status)
{
    relay->status = status;
    rpi_task_start(&relay->loop->reactor, &relay->task);
}

/* ---- input ---- */

/* Whether what is typed would be queued: an empty queue takes anything. */
static bool has_room(const rp_process *process)
{
    const size_t max = process->settings->write_max != 0 ? 0 : UNWRITTEN_MAX;

    return rp_process_unwritten(process) <= max;
}

static void listen_for_input(rp_relay *relay)
{
    int r;

    if (relay->over || relay->child_ran || !rpi_op_is_idle(&relay->op)) {
        return;
    }
    if (!has_room(relay->process)) {
        return; /* the tick asks again */
    }
    relay->op.size = RP_READABLE;
    r = rpi_op_start(&relay->loop->reactor, &relay->op);
    if (r < 0) {
        finish(relay, r);
    }
}

static int send_typed(rp_relay *relay, size_t size)
{
    const rp_view bytes = {relay->typed, size};
    const bool submit = size > 0 && (memchr(bytes.data, '\r', size) != NULL ||
                                     memchr(bytes.data, '\n', size) != NULL);

    return size == 0 ? 0 : rpi_process_write(relay->process, bytes, submit, on_written, NULL);
}

/* Reads what is there: the bytes, or an error where there was none; RP_EOS: hung up. */
static int64_t read_input(rp_relay *relay)
{
    size_t size = 0;
    int64_t n = 1;

    while (n > 0 && size < INPUT_MAX) {
        relay->loop->kernel_calls++;
        n = rpi_console_read(relay->terminal, relay->input + size, INPUT_MAX - size);
        size += n > 0 ? (size_t)n : 0;
    }
    if (size > 0) {
        return (int64_t)size;
    }
    return n == 0 ? RP_EOS : n;
}

static void follow_size(rp_relay *relay)
{
    rpi_console_size size;

    if (rpi_console_get_size(relay->terminal, &size) < 0 || size.rows == 0 || size.cols == 0 ||
        (size.rows == relay->size.rows && size.cols == relay->size.cols)) {
        return;
    }
    relay->size = size;
    (void)rp_pty_resize(relay->process, size.rows, size.cols); // the child's terminal is closed
}

static void take_input(rp_relay *relay)
{
    int64_t n;
    size_t size = 0;
    bool detached;
    int r;

    if (is_background(relay) || !has_room(relay->process)) { /* others have written meanwhile */
        return;                                              /* the tick asks again */
    }
    n = read_input(relay);
    if (n == -EAGAIN || n == -EINTR || (n == -EIO && is_background(relay))) {
        listen_for_input(relay);
        return;
    }
    if (n < 0) {
        finish(relay, n == -EIO ? RP_EOS : (int)n);
        return;
    }
    follow_size(relay);
    detached = rpi_keys_feed(&relay->keys, relay->input, (size_t)n, relay->typed, &size);
    r = send_typed(relay, size);
    if (detached) {
        finish(relay, 0);
    } else if (r < 0 && r != RP_EPIPE) { /* RP_EPIPE: it has ended, which is told in a moment */
        finish(relay, r);
    } else {
        listen_for_input(relay);
    }
}

static void on_input(rpi_op *op)
{
    rp_relay *relay = RPI_CONTAINER(op, rp_relay, op);

    if (relay->over) {
        close_terminal(relay);
        try_free(relay);
    } else if (op->result < 0 && op->result != -ECANCELED) {
        finish(relay, op->result);
    } else if (!relay->child_ran) {
        take_input(relay);
    }
}

/* ---- looking after the terminal ---- */

/* Raw mode again, after we were stopped and the shell has put us back. */
static void keep_raw(rp_relay *relay)
{
    rpi_console_modes now;

    if (rpi_console_get_modes(relay->terminal, &now) == 0 &&
        !rpi_console_modes_are_equal(&now, &relay->raw)) {
        (void)rpi_console_set_modes(relay->terminal, &relay->raw); // the next tick tries again
    }
}

static void on_tick(rpi_timer *timer)
{
    rp_relay *relay = RPI_CONTAINER(timer, rp_relay, timer);
    rpi_reactor *reactor = &relay->loop->reactor;

    rpi_timer_set(reactor, timer, rpi_reactor_clock_ns(reactor) + TICK_NS);
    if (!is_background(relay)) {
        keep_raw(relay);
        follow_size(relay);
        listen_for_input(relay);
    }
}

/* ---- output: the observer ---- */

static rp_relay *relay_of(const rpi_observer *observer)
{
    return RPI_CONTAINER((uintptr_t)observer, rp_relay, observer); /* the relay is never const */
}

static void see_output(rpi_observer *observer, rpi_stream *stream, rp_view bytes)
{
    rp_relay *relay = relay_of(observer);
    int r;

    if (relay->over || !relay->shows || stream->index != 0) {
        return;
    }
    r = rpi_sink_put(&relay->sink, bytes.data, bytes.size);
    if (r < 0) {
        finish_soon(relay, r == -EIO ? RP_EOS : r);
    } else if (r > 0) {
        rpi_stream_stall(stream, true);
    }
}

static void on_sink(rpi_sink *sink, int status)
{
    rp_relay *relay = RPI_CONTAINER(sink, rp_relay, sink);

    if (relay->over) {
        try_free(relay);
    } else if (status < 0) {
        finish(relay, status == -EIO ? RP_EOS : status);
    } else {
        rpi_stream_stall(output_of(relay), false);
        finish_if_done(relay);
    }
}

static void see_end(rpi_observer *observer, rpi_stream *stream)
{
    if (!relay_of(observer)->over && stream->index == 0) {
        finish_if_done(relay_of(observer));
    }
}

static void see_exit(rpi_observer *observer)
{
    rp_relay *relay = relay_of(observer);

    if (!relay->over) {
        relay->child_ran = true;
        finish_if_done(relay);
    }
}

/* The task is still to tell the end, or output is still to be written. A stop that was given up
 * waits for nobody. A caller that shows the output itself has had all of it now, and its end: until
 * then the terminal stays as the child's output needs it. */
static bool holds_done(const rpi_observer *observer)
{
    rp_relay *relay = relay_of(observer);

    if (!relay->shows && !relay->over) {
        finish_soon(relay, RP_EOS);
    }
    return !relay->told && relay->process->step < RPI_STEP_GIVEN_UP;
}

static void see_close(rpi_observer *observer)
{
    rp_relay *relay = relay_of(observer);

    relay->told = true;
    finish(relay, RP_ECANCELED);
}

static void drop(rpi_observer *observer)
{
    rp_relay *relay = relay_of(observer);

    relay->process = NULL;
    if (rpi_reactor_is_forked(&relay->loop->reactor)) { /* all of it is the parent's */
        rpi_console_guard_forget(&relay->guard);
        relay->op.state = RPI_OP_IDLE;
        rpi_list_init(&relay->op.node);
        close_terminal(relay);
        rpi_sink_close_forked(&relay->sink);
    } else {
        relay->told = true;
        finish(relay, RP_ECANCELED);
    }
    try_free(relay);
}

static void close_handle(rpi_handle *handle)
{
    rp_relay_close(RPI_CONTAINER(handle, rp_relay, handle));
}

/* In a forked child, after its process was dropped there. */
static void drop_handle(rpi_handle *handle)
{
    rp_relay *relay = RPI_CONTAINER(handle, rp_relay, handle);

    relay->held = false;
    try_free(relay);
}

static const rpi_observer_api relay_api = {
    .output = see_output,
    .ended = see_end,
    .exited = see_exit,
    .holds_done = holds_done,
    .closed = see_close,
    .drop = drop,
};

/* A line longer than the child's terminal takes was refused: it rings, as a terminal does. The
 * relay is looked for, as it may be gone. */
static void on_written(rp_process *process, int status, void *user)
{
    (void)user;
    if (status != RP_EMSGSIZE) {
        return;
    }
    for (rpi_list *place = process->observers.next; place != &process->observers;
         place = place->next) {
        const rpi_observer *observer = RPI_CONTAINER(place, rpi_observer, node);

        if (observer->api == &relay_api && !relay_of(observer)->over) {
            (void)rpi_console_write(relay_of(observer)->terminal, "\a", 1); // lost: no loss
        }
    }
}

/* ---- the public functions ---- */

static int check_process(rp_process *process)
{
    int r = rpi_loop_enter(process->loop);

    if (r < 0) {
        return r;
    }
    if (process->terminal == NULL) {
        return rpi_detail(RP_EINVAL, "this child is not on a pseudo-terminal (RP_PTY)");
    }
    if (process->state >= RPI_PROCESS_EXITED || process->closed) {
        return rpi_detail(RP_EPIPE, "this child has ended");
    }
    return 0;
}

/* Opens the caller's terminal, which must be ours to use now. */
static int open_terminal(rp_relay *relay)
{
    const int fd = rpi_console_open_again(STDIN);
    int64_t group;

    if (fd < 0) {
        return fd == -ENOTTY || fd == -EBADF
                   ? rpi_detail(RP_EINVAL, "standard input is not a terminal")
                   : rpi_detail(fd, "the terminal cannot be opened: %s", rp_strerror(fd));
    }
    relay->terminal = fd;
    relay->loop->descriptors++;
    rpi_io_init(&relay->io, fd);
    group = rpi_console_get_group(fd);
    relay->group = group < 0 ? 0 : rpi_console_own_group();
    if (relay->group != 0 && group != relay->group) {
        return rpi_detail(RP_EBUSY, "this process is in the background of its terminal");
    }
    return rpi_console_get_modes(fd, &relay->saved);
}

/* The guard first: from the moment of raw mode on somebody can put the terminal back. */
static int make_raw(rp_relay *relay, bool keep_interrupt)
{
    rpi_console_state state = {relay->saved, relay->group, rpi_console_outer_group()};
    int r = rpi_console_guard_open(&relay->guard, relay->terminal, &state);

    if (r < 0) {
        rpi_loop_log(relay->loop, 1, "nobody will restore the terminal if this process crashes: %s",
                     rp_error_name(r));
    }
    relay->raw = relay->saved;
    rpi_console_make_raw(&relay->raw, keep_interrupt);
    relay->changed = true;
    r = rpi_console_set_modes(relay->terminal, &relay->raw);
    if (r == 0) { /* as the system has it, so that the tick compares like with like */
        r = rpi_console_get_modes(relay->terminal, &relay->raw);
    }
    return r;
}

static int begin(rp_relay *relay, const rp_relay_options *options)
{
    int r = open_terminal(relay);

    if (r == 0 && relay->shows) {
        r = rpi_sink_open(&relay->sink, relay->loop, on_sink);
        r = r < 0 ? rpi_detail(r, "standard output cannot be written to: %s", rp_strerror(r)) : 0;
    }
    r = r < 0 ? r : make_raw(relay, options->keep_interrupt);
    if (r < 0) {
        return r;
    }
    rpi_op_init(&relay->op, RPI_OP_POLL, &relay->io, on_input);
    rpi_timer_set(&relay->loop->reactor, &relay->timer,
                  rpi_reactor_clock_ns(&relay->loop->reactor) + TICK_NS);
    rpi_observer_add(relay->process, &relay->observer, &relay_api, false);
    follow_size(relay);
    listen_for_input(relay);
    return relay->over ? relay->status : 0;
}

int rp_relay_start(rp_process *process,
                   const rp_relay_options *options,
                   void (*ended)(rp_process *, int, void *),
                   void *user,
                   rp_relay **ret_relay)
{
    rp_relay_options full = RP_INIT(rp_relay_options);
    rp_relay *relay;
    int r = check_process(process);

    if (r == 0 && options != NULL) {
        r = rpi_options_read(options, sizeof full, &full);
    }
    if (r < 0) {
        return r;
    }
    relay = rpi_alloc_zero(&process->loop->allocator, sizeof *relay);
    if (relay == NULL) {
        return RP_ENOMEM;
    }
    relay->loop = process->loop;
    relay->process = process;
    relay->ended = ended;
    relay->user = user;
    relay->terminal = -1;
    relay->shows = !full.no_output;
    relay->handle =
        (rpi_handle){.reactor = &relay->loop->reactor, .close = close_handle, .drop = drop_handle};
    rpi_list_init(&relay->handle.node);
    rpi_list_init(&relay->observer.node);
    rpi_task_init(&relay->task, on_task);
    r = rpi_timer_init(&relay->loop->reactor, &relay->timer, on_tick);
    if (r < 0) {
        rpi_free(&process->loop->allocator, relay, sizeof *relay);
        return r;
    }
    if (!rpi_keys_init(&relay->keys, full.detach_key)) {
        r = rpi_detail(RP_EINVAL, "detach_key: empty, or more than %d bytes", (int)RPI_KEYS_MAX);
    } else if (!rpi_console_claim()) {
        r = rpi_detail(RP_EBUSY, "the terminal is another relay's or a foreground child's");
    } else {
        r = begin(relay, &full);
        if (r < 0 && !relay->over) {
            finish(relay, r);
        }
    }
    if (r < 0) {
        rpi_observer_remove(&relay->observer);
        relay->process = NULL;
        try_free(relay);
        return r;
    }
    if (ret_relay != NULL) {
        relay->held = true;
        rpi_list_append(&relay->loop->reactor.handles, &relay->handle.node);
        *ret_relay = relay;
    }
    return 0;
}

void rp_relay_close(rp_relay *relay)
{
    if (relay == NULL || rpi_loop_enter(relay->loop) < 0) {
        return;
    }
    relay->told = true;
    relay->held = false;
    rpi_list_remove(&relay->handle.node);
    finish(relay, RP_ECANCELED);
    if (relay->process != NULL) {
        rpi_process_advance_later(relay->process);
    }
    rpi_observer_remove(&relay->observer);
    relay->process = NULL;
    try_free(relay);
}
