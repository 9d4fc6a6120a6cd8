/* Processes: see process.h for the states. This file walks them: the launch that comes back, the
 * exit, the ends of the streams, done, the caller's close. */
#include "rp/process.h"

#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/os.h"
#include "base/status.h"
#include "core/command.h"
#include "core/exit.h"
#include "core/loop.h"
#include "core/process.h"
#include "core/terminal.h"

static void on_exit_op(rpi_op *op);

static void uncount(rp_process *process)
{
    if (process->counted) {
        process->counted = false;
        process->loop->reactor.left--;
    }
}

/* ---- the launch comes back ---------------------------------------------------- */

/* Reads the end of the child, and from the moment on in which its number may be given to another,
 * the track writes it down no more. */
static int reap(rp_process *process, bool consume, rp_exit *exit)
{
    int r;

    rpi_group_reaping(process);
    if (process->track_row == NULL) {
        return rpi_reap(process->loop, process->pidfd, consume, exit);
    }
    rpi_track_set_ending(process->track_row, true);
    r = rpi_reap(process->loop, process->pidfd, consume, exit);
    if (r == RP_EAGAIN) {
        rpi_track_set_ending(process->track_row, false);
    } else {
        rpi_track_unregister(process->track_row);
        process->track_row = NULL;
    }
    return r;
}

/* A child whose exit cannot be watched is of no use to anybody: ends it here and now. */
static int abandon_child(rp_process *process, int error)
{
    rp_exit ignored;

    rpi_stop_kill_now(process);
    while (rpi_reap(process->loop, process->pidfd, true, &ignored) == RP_EAGAIN) {
        rpi_os_wait_for_exit(process->pidfd); /* SIGKILL is on its way */
    }
    process->reaped = true;
    return error;
}

static void take_child(rp_process *process, rpi_launch *launch)
{
    rp_loop *loop = process->loop;

    process->pid = launch->pid;
    process->pidfd = launch->pidfd;
    launch->pidfd = -1;
    process->job = launch->job;
    launch->job = -1;
    process->state = RPI_PROCESS_RUNNING;
    loop->spawned++;
    loop->descriptors++;
    process->active_at_ns = launch->started_ns;
}

static void open_pipes(rp_process *process, rpi_launch *launch)
{
    if (process->terminal != NULL) {
        rpi_terminal_open(process, launch);
    }
    for (int i = 0; i < 2; i++) {
        rpi_stream_open(&process->streams[i], launch->pipes[i + 1]);
        launch->pipes[i + 1] = -1;
    }
    if (process->writer != NULL) {
        rpi_writer_open(process->writer, launch->pipes[RP_STDIN]);
        launch->pipes[RP_STDIN] = -1;
    }
}

/* Stopped or closed while it was being launched: the child goes at once, and nobody hears that it
 * ran. The launch is kept, as it is not over before the child has ended. */
static void recall(rp_process *process)
{
    rpi_stop_kill_now(process);
    process->pid = 0;
    process->exit.started_ns = 0;
    process->state = RPI_PROCESS_LAUNCHING;
}

/* The child was closed by the caller; what it has left is spared, too, where it is let go. */
static void go_on_closed(rp_process *process)
{
    if (process->settings->on_close != RP_ON_CLOSE_DETACH) {
        rpi_stop_kill_now(process);
    }
    for (int i = 0; i < 2; i++) {
        rpi_stream_abandon(&process->streams[i]);
    }
    if (process->writer != NULL) {
        rpi_writer_abandon(process->writer);
    }
}

static void child_runs(rp_process *process, rpi_launch *launch)
{
    int r;

    take_child(process, launch);
    rpi_io_init(&process->exit_io, process->pidfd);
    rpi_op_init(&process->exit_op, RPI_OP_EXIT, &process->exit_io, on_exit_op);
    process->exit_op.size = (uint32_t)process->pid;
    r = rpi_op_start(rpi_process_reactor(process), &process->exit_op);
    if (r < 0) {
        rpi_process_fail(process, abandon_child(process, r), "watch");
        return;
    }
    rpi_admission_succeeded(process->loop);
    if (process->kill_when_started || (process->closed && !process->detached)) {
        recall(process);
        return;
    }
    if (process->track_row != NULL) {
        rpi_track_register(process->track_row, process->pid, process->pidfd,
                           process->exit.launched_ns);
    }
    if (!process->closed) {
        open_pipes(process, launch);
    }
    process->launch = NULL;
    rpi_launch_free(launch); /* with the pipes of a child that was let go */
    if (process->closed) {
        uncount(process);
        if (process->foreground != NULL) {
            rpi_foreground_end(process);
        }
        go_on_closed(process);
        return;
    }
    if (process->foreground != NULL) {
        rpi_foreground_began(process);
    }
    if (process->group != NULL) {
        rpi_group_started(process);
    }
    if (process->handlers.started != NULL) {
        process->handlers.started(process, process->user);
    }
    if (!process->closed) {
        rpi_stop_arm(process);
    }
}

void rpi_process_launched(rpi_launch *launch, void *user)
{
    rp_process *process = launch->user;
    rp_loop *loop = process->loop;

    (void)user;
    loop->launching--;
    process->exit.launched_ns = launch->launched_ns;
    process->exit.started_ns = launch->error == 0 ? launch->started_ns : 0;
    if (launch->error == 0) {
        child_runs(process, launch);
        return;
    }
    if (process->kill_when_started) {
        rpi_process_fail(process, RP_ECANCELED, NULL);
    } else if (process->closed || !rpi_admission_retry(process, launch->error)) {
        rpi_process_fail(process, launch->error, launch->phase);
    }
}

/* Nobody has a claim on the child any more: tells the end, and lets others go. */
static void process_done(rp_process *process)
{
    rp_loop *loop = process->loop;

    process->state = RPI_PROCESS_DONE;
    process->exit.done_ns = rpi_reactor_clock_ns(&loop->reactor);
    if (process->group != NULL) {
        rpi_group_ended(process);
    }
    rpi_timer_off(&loop->reactor, &process->timer);
    if (process->live && !process->lost_child) {
        process->live = false;
        loop->live--;
    }
    rpi_admission_wake(loop);
    uncount(process);
    if (process->pull != NULL) {
        rpi_pull_ready(process);
    }
    if (process->handlers.done != NULL) {
        process->handlers.done(process, &process->exit, process->user);
    }
    if (process->closes_itself && !process->closed) {
        rp_process_close(process);
    }
    rpi_process_advance_later(process);
}

void rpi_process_fail(rp_process *process, int error, const char *phase)
{
    const int system_error = process->launch != NULL ? process->launch->system_error : 0;

    rpi_launch_free(process->launch);
    process->launch = NULL;
    rpi_exit_from_failure(&process->exit, error, phase);
    if (system_error != 0) {
        process->exit.system_error = system_error;
    }
    if (process->writer != NULL) {
        rpi_writer_fail(process->writer, RP_EPIPE);
    }
    for (int i = 0; i < 2; i++) { /* nothing was piped, nothing has an end to tell */
        rpi_stream_abandon(&process->streams[i]);
    }
    process->state = RPI_PROCESS_EXITED;
    process->reaped = true;
    process->pid = 0;
    rpi_process_close_pidfd(process);
    if (process->group != NULL) {
        rpi_group_failed(process);
    }
    rpi_observers_exited(process);
    rpi_process_advance_later(process);
}

/* ---- the exit ------------------------------------------------------------------ */

/* One question for both streams: does anybody still hold their other ends? */
static void ask_hung_up(rp_process *process, bool ret_hung_up[2])
{
    int fds[2];
    bool hung_up[2] = {false, false};
    size_t count = 0;

    ret_hung_up[0] = false;
    ret_hung_up[1] = false;
    for (int i = 0; i < 2; i++) {
        if (process->streams[i].state == RPI_STREAM_OPEN) {
            fds[count++] = (int)process->streams[i].io.handle;
        }
    }
    if (count == 0) {
        return;
    }
    process->loop->kernel_calls++;
    rpi_os_are_hung_up(fds, count, hung_up);
    for (int i = 1; i >= 0; i--) {
        if (process->streams[i].state == RPI_STREAM_OPEN) {
            ret_hung_up[i] = hung_up[--count];
        }
    }
}

static void drain(rp_process *process)
{
    bool hung_up[2] = {false, false};

    if (process->closed) {
        for (int i = 0; i < 2; i++) {
            rpi_stream_abandon(&process->streams[i]);
        }
        return;
    }
    if (process->terminal != NULL) {
        rpi_terminal_let_go(process);
        hung_up[0] = !process->by_hand; /* what was let go is closing: its end is near */
    } else {
        ask_hung_up(process, hung_up);
    }
    for (int i = 0; i < 2; i++) {
        rpi_stream_after_exit(&process->streams[i], hung_up[i]);
    }
}

/* Whether status and reaping can be had in one call: nothing stands between them. */
static bool ends_at_once(const rp_process *process)
{
    if (process->state == RPI_PROCESS_LAUNCHING) { /* recalled */
        return true;
    }
    if (!rpi_stream_is_over(&process->streams[0]) || !rpi_stream_is_over(&process->streams[1])) {
        return false;
    }
    /* After a kill nothing stronger can be sent to its group; without a stop and a callback nobody
     * can want to. */
    return process->step == RPI_STEP_KILL ||
           (process->step == RPI_STEP_NONE && process->handlers.exited == NULL);
}

/* The end of a child whose done was told before: only its body is left. */
static void on_late_exit(rp_process *process)
{
    rp_loop *loop = process->loop;
    rp_exit ignored;

    (void)reap(process, true, &ignored);
    process->reaped = true;
    process->lost_child = false;
    process->live = false;
    loop->live--;
    rpi_admission_wake(loop);
    rpi_process_advance_later(process);
}

static void on_exit_op(rpi_op *op)
{
    rp_process *process = RPI_CONTAINER(op, rp_process, exit_op);
    rp_loop *loop = process->loop;
    bool at_once = ends_at_once(process);
    int r;

    if (op->result == -ECANCELED) { /* the loop closes and waits no longer */
        rpi_launch_free(process->launch);
        process->launch = NULL;
        process->state = RPI_PROCESS_DONE;
        process->lost_child = false;
        rpi_process_advance_later(process);
        return;
    }
    if (process->lost_child) {
        on_late_exit(process);
        return;
    }
    r = reap(process, at_once, &process->exit);
    if (r == RP_EAGAIN && rpi_op_start(&loop->reactor, op) == 0) {
        return; /* woken for nothing */
    }
    if (r < 0) { /* whatever it was: a success would be a lie */
        rpi_exit_from_loss(&process->exit);
    }
    loop->exited++;
    process->reaped = (at_once && r == 0) || r == RP_ELOST || r == RPI_REAPED_BEFORE;
    if (process->state == RPI_PROCESS_LAUNCHING) {
        rpi_process_fail(process, RP_ECANCELED, NULL);
        return;
    }
    process->exit.exited_ns = rpi_reactor_clock_ns(&loop->reactor);
    process->state = RPI_PROCESS_EXITED;
    if (process->group != NULL) {
        rpi_group_exited(process);
    }
    if (process->writer != NULL) {
        rpi_writer_fail(process->writer, RP_EPIPE);
    }
    if (process->pull != NULL) {
        uncount(process);
        rpi_pull_ready(process);
    }
    rpi_observers_exited(process);
    if (process->handlers.exited != NULL) {
        process->handlers.exited(process, &process->exit, process->user);
    }
    drain(process);
    rpi_stop_arm(process);
    rpi_process_advance(process);
}

/* ---- the end -------------------------------------------------------------------- */

static bool report_ends(rp_process *process)
{
    bool all = true;

    for (int i = 0; i < 2; i++) {
        rpi_stream *stream = &process->streams[i];

        if (process->pull == NULL && rpi_stream_is_drained(stream)) {
            stream->state = RPI_STREAM_REPORTED;
            if (process->handlers.eos != NULL) {
                process->handlers.eos(process, rpi_stream_name(stream), process->user);
            }
        }
        if (process->pull == NULL && stream->state == RPI_STREAM_ENDED) {
            all = false;
        }
        all = all && rpi_stream_is_over(stream);
    }
    return all;
}

static void process_finish(rp_process *process)
{
    for (int i = 0; i < 2; i++) {
        if (process->streams[i].held) {
            process->exit.holders = 1;
        }
    }
    if (!process->reaped && !process->lost_child) {
        rp_exit known; /* already; a thief in between must not make it unknown again */

        (void)reap(process, true, &known);
        process->reaped = true;
    }
    if (rpi_stop_awaits_tree(process)) {
        return;
    }
    process_done(process);
}

void rpi_process_advance(rp_process *process)
{
    if (process->state == RPI_PROCESS_DONE || process->state < RPI_PROCESS_RUNNING) {
        return;
    }
    if (!report_ends(process) || process->state != RPI_PROCESS_EXITED) {
        return;
    }
    if (process->writer != NULL && !rpi_writer_is_idle(process->writer)) {
        return;
    }
    if (rpi_observers_hold_done(process)) {
        return;
    }
    if (process->launch == NULL) {
        process_finish(process);
    }
}

void rpi_process_give_up(rp_process *process, uint32_t survivors)
{
    process->exit.survivors = survivors;
    if (process->state == RPI_PROCESS_RUNNING) { /* not even the leader went */
        rpi_exit_from_loss(&process->exit);
        process->lost_child = true;
        process->state = RPI_PROCESS_EXITED;
        rpi_observers_exited(process);
        if (process->writer != NULL) {
            rpi_writer_fail(process->writer, RP_EPIPE);
        }
    }
    for (int i = 0; i < 2; i++) {
        rpi_stream_settle(&process->streams[i]);
    }
    process->step = RPI_STEP_GIVEN_UP;
    rpi_process_advance_later(process);
}

/* ---- close and free ---------------------------------------------------------------- */

static bool is_quiet(const rp_process *process)
{
    if (process->lost_child || !rpi_op_is_idle(&process->exit_op)) {
        return false;
    }
    for (int i = 0; i < 2; i++) {
        if (!rpi_op_is_idle(&process->streams[i].op)) {
            return false;
        }
    }
    return process->writer == NULL || rpi_writer_is_idle(process->writer);
}

void rpi_process_advance_later(rp_process *process)
{
    rpi_task_start(rpi_process_reactor(process), &process->task);
}

void rpi_process_task(rpi_task *task)
{
    rp_process *process = RPI_CONTAINER(task, rp_process, task);

    if (process->state == RPI_PROCESS_DONE) {
        if (process->tree != NULL && rpi_tree_close(process->tree)) {
            process->tree = NULL;
        }
        if (process->closed && process->tree == NULL && is_quiet(process)) {
            rpi_process_free(process);
        }
        return;
    }
    for (int i = 0; i < 2; i++) {
        rpi_stream *stream = &process->streams[i];

        if (process->closed) {
            rpi_stream_release_ring(stream);           /* the child may live on for long, let go */
        } else if (stream->state != RPI_STREAM_NONE) { /* a pause may have ended */
            rpi_stream_deliver(stream);
            rpi_stream_arm(stream);
        }
    }
    rpi_process_advance(process);
}

static void close_before_start(rp_process *process)
{
    rp_loop *loop = process->loop;

    if (process->state == RPI_PROCESS_QUEUED) {
        rpi_admission_remove(process);
    } else if (rpi_spawner_take_back(loop->spawner, process->launch)) {
        loop->launching--;
    } else {
        return; /* it comes back soon, or is recalled already */
    }
    rpi_process_fail(process, RP_ECANCELED, NULL);
}

void rp_process_close(rp_process *process)
{
    rp_loop *loop;

    if (process == NULL || rpi_loop_enter(process->loop) < 0 || process->closed) {
        return;
    }
    loop = process->loop;
    rpi_observers_closed(process);
    process->closed = true;
    process->handlers = (rpi_handlers){0};
    process->detached =
        process->settings->on_close == RP_ON_CLOSE_DETACH && process->state < RPI_PROCESS_EXITED;
    if (process->gone != NULL) {
        *process->gone = true;
    }
    if (process->pull != NULL) {
        rpi_pull_fini(process);
    }
    rpi_timer_off(&loop->reactor, &process->timer);
    rpi_list_remove(&process->node);
    rpi_list_append(&loop->closed, &process->node);
    if (process->state < RPI_PROCESS_RUNNING) {
        if (!process
                 ->detached) { /* a detached one is still to be launched, and counts until then */
            close_before_start(process);
        }
    } else if (process->state != RPI_PROCESS_DONE || process->lost_child) {
        go_on_closed(process);
    }
    if (process->detached && process->state == RPI_PROCESS_RUNNING) {
        uncount(process);
    } else if (!process->counted && process->state != RPI_PROCESS_DONE) {
        process->counted =
            true; /* pull mode let go of it at the exit: until it is reaped it is left again */
        loop->reactor.left++;
    }
    rpi_process_advance_later(process);
}

void rpi_process_free_forked(rp_process *process)
{
    if (process->state == RPI_PROCESS_QUEUED || process->pidfd != -1) { /* or recalled */
        rpi_launch_free(process->launch);
    }
    process->launch = NULL; /* with the spawner, which frees what it can find */
    if (process->track_row != NULL) {
        rpi_track_row_free_forked(process->track_row);
        process->track_row = NULL;
    }
    if (process->tree != NULL) {
        rpi_tree_free_forked(process->tree);
        process->tree = NULL;
    }
    for (int i = 0; i < 2; i++) {
        process->streams[i].op.state = RPI_OP_IDLE;
        rpi_list_init(&process->streams[i].op.node); /* its neighbours may be freed */
        rpi_stream_abandon(&process->streams[i]);
    }
    if (process->writer != NULL) {
        rpi_writer_forget_op(process->writer);
    }
    rpi_process_free(process);
}
