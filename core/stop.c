/* Stopping: the ladder of a stop, and everything that is due at a time
 * (wall clock, deadline, quiet time, drain grace, the next step), kept by one timer a process that
 * is armed for the earliest of them.
 *
 * Whom a signal reaches stands in signal.c. */

#include "base/clock.h"
#include "base/signals.h"
#include "base/status.h"
#include "core/loop.h"
#include "core/process.h"
#include "core/terminal.h"

#define GRACE_DEFAULT_NS RP_SECOND
#define TERMINATE_DEFAULT_NS (2 * RP_SECOND)
#define KILL_DEFAULT_NS (2 * RP_SECOND)

static const rp_stop_options kill_only = {.size = sizeof kill_only, .no_interrupt = true};

static const rp_stop_options *ladder_of(const rp_process *process)
{
    return process->ladder != NULL ? process->ladder : &process->settings->stop;
}

/* ---- steps ------------------------------------------------------------------------ */

static rp_stop_reason reason_of(rpi_step step)
{
    switch (step) {
    case RPI_STEP_NONE:
        return RP_STOP_NONE;
    case RPI_STEP_INTERRUPT:
    case RPI_STEP_INTERRUPT_AGAIN:
        return RP_STOP_INTERRUPT;
    case RPI_STEP_TERMINATE:
        return RP_STOP_TERMINATE;
    case RPI_STEP_KILL:
    case RPI_STEP_GIVEN_UP:
        return RP_STOP_KILL;
    }
    return RP_STOP_NONE;
}

static uint64_t or_default(uint64_t span_ns, uint64_t default_ns)
{
    return span_ns != 0 ? span_ns : default_ns;
}

static uint64_t wait_after(const rp_stop_options *ladder, rpi_step step)
{
    switch (step) {
    case RPI_STEP_INTERRUPT:
    case RPI_STEP_INTERRUPT_AGAIN:
        return or_default(ladder->grace_ns, GRACE_DEFAULT_NS);
    case RPI_STEP_TERMINATE:
        return or_default(ladder->terminate_ns, TERMINATE_DEFAULT_NS);
    case RPI_STEP_KILL:
        return or_default(ladder->kill_ns, KILL_DEFAULT_NS);
    case RPI_STEP_NONE:
    case RPI_STEP_GIVEN_UP:
        break;
    }
    return RP_FOREVER;
}

static rpi_step step_after(const rp_stop_options *ladder, rpi_step step)
{
    switch (step) {
    case RPI_STEP_NONE:
        return ladder->no_interrupt ? RPI_STEP_TERMINATE : RPI_STEP_INTERRUPT;
    case RPI_STEP_INTERRUPT:
        if (!ladder->no_second_interrupt) {
            return RPI_STEP_INTERRUPT_AGAIN;
        }
        return ladder->terminate_ns != 0 ? RPI_STEP_TERMINATE : RPI_STEP_KILL;
    case RPI_STEP_INTERRUPT_AGAIN:
        return ladder->terminate_ns != 0 ? RPI_STEP_TERMINATE : RPI_STEP_KILL;
    case RPI_STEP_TERMINATE:
        return RPI_STEP_KILL;
    case RPI_STEP_KILL:
    case RPI_STEP_GIVEN_UP:
        break;
    }
    return RPI_STEP_GIVEN_UP;
}

static int signal_of(const rp_process *process, rpi_step step)
{
    switch (step) {
    case RPI_STEP_TERMINATE:
        return ladder_of(process)->terminate_signal != 0 ? ladder_of(process)->terminate_signal
                                                         : SIGTERM;
    case RPI_STEP_KILL:
    case RPI_STEP_INTERRUPT:
    case RPI_STEP_INTERRUPT_AGAIN:
    case RPI_STEP_NONE:
    case RPI_STEP_GIVEN_UP:
        break;
    }
    return SIGKILL;
}

static int send(rp_process *process, rpi_step step)
{
    if (step == RPI_STEP_INTERRUPT || step == RPI_STEP_INTERRUPT_AGAIN) {
        return rpi_signal_interrupt(process);
    }
    return rpi_signal_tree(process, signal_of(process, step));
}

/* Sends one step and notes it. A call's own reason follows its steps; what set out first for
 * another reason keeps it. */
static int send_step(rp_process *process, rpi_step step)
{
    rp_exit *exit = &process->exit;
    int r = send(process, step);

    if (exit->reason == RP_STOP_NONE || exit->reason == reason_of((rpi_step)process->step)) {
        exit->reason = reason_of(step);
    }
    process->step = (uint8_t)step;
    exit->step = reason_of(step);
    if (step == RPI_STEP_INTERRUPT || step == RPI_STEP_INTERRUPT_AGAIN) {
        exit->interrupts++;
    }
    return r;
}

static int take_step(rp_process *process, rpi_step step)
{
    int r = send_step(process, step);

    process->laddered = true;
    /* A step that this system cannot take is not waited for. */
    process->step_at_ns =
        rpi_clock_after(rpi_reactor_clock_ns(rpi_process_reactor(process)),
                        r == RP_EUNSUPPORTED ? 0 : wait_after(ladder_of(process), step));
    rpi_stop_arm(process);
    return r;
}

/* Output that nobody has to wait for any more. */
static void settle(rp_process *process)
{
    for (int i = 0; i < 2; i++) {
        rpi_stream_settle(&process->streams[i]);
    }
    rpi_process_advance(process);
}

static void next_step(rp_process *process)
{
    rpi_step next = step_after(ladder_of(process), (rpi_step)process->step);

    if (process->looks > 0 && process->tree == NULL && !rpi_tree_exists(process)) {
        rpi_process_advance(process); /* nobody is left to take it */
        return;
    }
    if (next != RPI_STEP_GIVEN_UP) {
        (void)take_step(process,
                        next); /* refused: the next step may be allowed, the last one gives up */
        return;
    }
    process->step_at_ns = RP_FOREVER;
    if (process->state == RPI_PROCESS_EXITED && process->tree == NULL) {
        settle(process); /* somebody holds its output who cannot be killed; the rest is looked at
                            after that */
        return;
    }
    rpi_process_give_up(process, process->tree != NULL ? rpi_tree_count(process->tree) : 1);
}

/* ---- what sets out to stop -------------------------------------------------------- */

/* A launch that has not begun is cancelled; one that is under way is stopped as soon as it runs:
 * then false. */
static bool cancel_launch(rp_process *process, int error)
{
    rp_loop *loop = process->loop;

    if (process->state == RPI_PROCESS_QUEUED) {
        rpi_admission_remove(process);
    } else if (process->state == RPI_PROCESS_LAUNCHING &&
               rpi_spawner_take_back(loop->spawner, process->launch)) {
        loop->launching--;
    } else {
        return false;
    }
    rpi_process_fail(process, error, NULL);
    return true;
}

void rpi_stop_for(rp_process *process,
                  rp_stop_reason reason,
                  const char *phase,
                  const rp_stop_options *options)
{
    if (process->exit.reason != RP_STOP_NONE && process->laddered) {
        return; /* on its way already */
    }
    if (process->exit.reason == RP_STOP_NONE) {
        process->exit.reason = reason;
        process->exit.phase = phase;
    }
    process->ladder = options;
    (void)take_step(process, step_after(options, RPI_STEP_NONE)); /* refused: the ladder goes on */
}

void rpi_stop_for_limit(rp_process *process, const char *field)
{
    const bool exited = process->state == RPI_PROCESS_EXITED;

    rpi_stop_for(process, RP_STOP_LIMIT, field, &process->settings->stop);
    if (exited) {
        settle(process);
    }
}

/* Makes `ladder` the process's, by a copy where it is not a constant. */
static int adopt(rp_process *process, const rp_stop_options *ladder)
{
    if (ladder != &kill_only) {
        if (process->own_ladder == NULL) {
            process->own_ladder = rpi_alloc(&process->loop->allocator, sizeof *process->own_ladder);
        }
        if (process->own_ladder == NULL) {
            return RP_ENOMEM;
        }
        *process->own_ladder = *ladder;
        ladder = process->own_ladder;
    }
    process->ladder = ladder;
    return 0;
}

/* Begins a ladder, or lets a weaker one be overtaken. */
static int begin(rp_process *process, const rp_stop_options *ladder, rpi_step first)
{
    int r;

    if (process->state == RPI_PROCESS_DONE || process->step >= RPI_STEP_GIVEN_UP) {
        return 0;
    }
    if (cancel_launch(process, RP_ECANCELED)) {
        return 0;
    }
    if (process->laddered && process->step >= first) {
        return 0;
    }
    if (process->state ==
        RPI_PROCESS_LAUNCHING) { /* a spawner thread is starting it at this moment */
        process->kill_when_started = true;
        return 0;
    }
    r = adopt(process, ladder);
    return r < 0 ? r : take_step(process, first);
}

int rp_stop(rp_process *process, const rp_stop_options *options)
{
    rp_stop_options ladder;
    int r = rpi_loop_enter(process->loop);

    r = r < 0 ? r : rpi_stop_options_read(options, &ladder);
    if (r < 0) {
        return r;
    }
    if (ladder.terminate_signal < 0 || ladder.terminate_signal > 64) {
        return rpi_detail(RP_EINVAL, "terminate_signal %d is no signal", ladder.terminate_signal);
    }
    r = ladder.terminate_signal != 0 && ladder.terminate_signal != SIGTERM ? rpi_send_check() : 0;
    if (r < 0) {
        return r;
    }
    return begin(process, &ladder, step_after(&ladder, RPI_STEP_NONE));
}

int rp_kill(rp_process *process)
{
    int r = rpi_loop_enter(process->loop);

    return r < 0 ? r : begin(process, &kill_only, RPI_STEP_KILL);
}

void rpi_stop_with_group(rp_process *process, rp_stop_reason reason)
{
    if (process->exit.reason == RP_STOP_NONE && process->state != RPI_PROCESS_DONE) {
        process->exit.reason = reason;
    }
    (void)begin(process, &kill_only, RPI_STEP_KILL); /* refused: it is looked for again */
}

/* One signal, no ladder. */
static int send_once(rp_process *process, rpi_step step)
{
    int r = rpi_loop_enter(process->loop);

    if (r < 0) {
        return r;
    }
    if (process->state == RPI_PROCESS_DONE || cancel_launch(process, RP_ECANCELED)) {
        return 0;
    }
    if (process->state == RPI_PROCESS_LAUNCHING) { /* as in begin: it will be cancelled */
        process->kill_when_started = true;
        return 0;
    }
    if (process->laddered) { /* a ladder goes on from where it is */
        if (step < process->step) {
            step = (rpi_step)process->step;
        }
        process->exit.interrupts += step <= RPI_STEP_INTERRUPT_AGAIN ? 1 : 0;
        return send(process, step);
    }
    process->ladder = NULL;
    return send_step(process, step);
}

int rp_interrupt(rp_process *process)
{
    return send_once(process, RPI_STEP_INTERRUPT);
}

int rp_terminate(rp_process *process)
{
    return send_once(process, RPI_STEP_TERMINATE);
}

/* ---- the rest of the tree ------------------------------------------------------------ */

/* Most of the time the rest goes with its leader, or right after: it is asked for a few times,
 * which costs nothing, before anybody looks through /proc for who it is. */
enum {
    LOOKS_MAX = 8
};

static bool look_again_soon(rp_process *process)
{
    if (process->tree != NULL || process->looks >= LOOKS_MAX) {
        return false;
    }
    process->active_at_ns =
        rpi_reactor_clock_ns(rpi_process_reactor(process)) + (RP_MILLISECOND << process->looks);
    process->looks++;
    return true;
}

static int open_tree(rp_process *process)
{
    int r = rpi_tree_open(process, &process->tree);

    if (process->tree != NULL && process->step == RPI_STEP_KILL) {
        rpi_tree_signal(process->tree, SIGKILL); /* who came into the group after it was killed */
    }
    return r;
}

bool rpi_stop_awaits_tree(rp_process *process)
{
    int r = 0;

    if (!process->laddered || process->closed || process->pid == 0 || !process->own_group ||
        process->step >= RPI_STEP_GIVEN_UP || process->lost_child) {
        return false;
    }
    if (process->tree == NULL && !rpi_tree_exists(process)) {
        return false;
    }
    if (!look_again_soon(process)) {
        r = process->tree == NULL ? open_tree(process) : 0;
        if (r <
            0) { /* it cannot be looked at: say that there may be somebody, rather than nothing */
            process->exit.survivors = 1;
            return false;
        }
        if (process->tree == NULL || rpi_tree_is_empty(process->tree)) {
            return false;
        }
    }
    if (process->step_at_ns == RP_FOREVER) {
        process->step_at_ns = rpi_clock_after(
            process->loop->reactor.now_ns, wait_after(ladder_of(process), (rpi_step)process->step));
    }
    rpi_stop_arm(process);
    return true;
}

/* ---- time ------------------------------------------------------------------------------ */

bool rpi_process_listens(const rp_process *process)
{
    for (int i = 0; i < 2; i++) {
        const rpi_stream *stream = &process->streams[i];

        if (stream->state == RPI_STREAM_OPEN &&
            (stream->paused || stream->stalled || rpi_op_is_idle(&stream->op))) {
            return false;
        }
    }
    return true;
}

static uint64_t earlier(uint64_t a_ns, uint64_t b_ns)
{
    return a_ns < b_ns ? a_ns : b_ns;
}

/* Whether a time-out could still change anything: after the exit only where others are waited for,
 * else what is left to do is ours. */
static bool can_be_late(const rp_process *process)
{
    return process->state != RPI_PROCESS_EXITED || process->settings->drain != RP_DRAIN_ON_EXIT;
}

static uint64_t wall_at(const rp_process *process)
{
    uint64_t span_ns = process->settings->timeout_ns;

    if (span_ns == 0 || process->exit.started_ns == 0 || !can_be_late(process)) {
        return RP_FOREVER;
    }
    return rpi_clock_after(process->exit.started_ns, span_ns);
}

static uint64_t quiet_at(const rp_process *process)
{
    uint64_t span_ns = process->settings->quiet_timeout_ns;

    if (span_ns == 0 || process->state != RPI_PROCESS_RUNNING) {
        return RP_FOREVER;
    }
    return rpi_clock_after(process->active_at_ns, span_ns);
}

static uint64_t deadline_at(const rp_process *process)
{
    uint64_t at_ns = process->settings->deadline_at_ns;

    return at_ns != 0 && can_be_late(process) ? at_ns : RP_FOREVER;
}

static uint64_t grace_at(const rp_process *process)
{
    if (process->settings->drain != RP_DRAIN_GRACE || process->state != RPI_PROCESS_EXITED) {
        return RP_FOREVER;
    }
    if (process->streams[0].state != RPI_STREAM_TO_EOF &&
        process->streams[1].state != RPI_STREAM_TO_EOF) {
        return RP_FOREVER;
    }
    return rpi_clock_after(process->exit.exited_ns, process->settings->drain_grace_ns);
}

static uint64_t look_at(const rp_process *process)
{
    const bool waits =
        process->state == RPI_PROCESS_EXITED && process->looks > 0 && process->tree == NULL;

    return waits ? process->active_at_ns : RP_FOREVER;
}

/* What has set out to stop is stopped once. */
static bool can_time_out(const rp_process *process)
{
    return !process->laddered && !process->timed_out;
}

void rpi_stop_arm(rp_process *process)
{
    uint64_t at_ns = process->step_at_ns;

    if (process->state == RPI_PROCESS_DONE || process->closed) {
        rpi_timer_off(rpi_process_reactor(process), &process->timer);
        return;
    }
    if (can_time_out(process)) {
        at_ns = earlier(earlier(wall_at(process), quiet_at(process)), deadline_at(process));
    }
    at_ns = earlier(earlier(at_ns, grace_at(process)), look_at(process));
    at_ns = earlier(at_ns, rpi_terminal_again_at(process));
    if (process->state == RPI_PROCESS_LAUNCHING && at_ns <= process->loop->reactor.now_ns) {
        at_ns = RP_FOREVER; /* nothing can be done now; it is armed again when the launch has come
                               back */
    }
    if (at_ns == RP_FOREVER) {
        rpi_timer_off(rpi_process_reactor(process), &process->timer);
    } else {
        rpi_timer_set(rpi_process_reactor(process), &process->timer, at_ns);
    }
}

/* Asks the handler, where there is one: whether the stop is now left to the caller. */
static bool is_held(rp_process *process, rp_stop_reason reason)
{
    if (process->handlers.timed_out == NULL || process->state != RPI_PROCESS_RUNNING) {
        return false;
    }
    process->timed_out = true;
    if (process->exit.reason == RP_STOP_NONE) {
        process->exit.reason = reason;
    }
    return !process->handlers.timed_out(process, reason, process->user) || process->closed;
}

static void time_is_over(rp_process *process, rp_stop_reason reason)
{
    bool exited = process->state == RPI_PROCESS_EXITED;

    if (cancel_launch(process, RP_ETIMEDOUT)) {
        return;
    }
    if (process->state == RPI_PROCESS_LAUNCHING) {
        return; /* started will arm the timer again */
    }
    if (is_held(process, reason)) {
        return;
    }
    rpi_stop_for(process, reason, NULL, &process->settings->stop);
    if (exited) {
        settle(process);
    }
}

void rpi_stop_timer(rpi_timer *timer)
{
    rp_process *process = RPI_CONTAINER(timer, rp_process, timer);
    uint64_t now_ns = process->loop->reactor.now_ns;

    if (process->laddered && now_ns >= process->step_at_ns) {
        next_step(process);
    } else if (can_time_out(process) && now_ns >= earlier(wall_at(process), deadline_at(process))) {
        time_is_over(process, RP_STOP_TIMEOUT);
    } else if (can_time_out(process) && now_ns >= quiet_at(process)) {
        if (rpi_process_listens(process)) {
            time_is_over(process, RP_STOP_QUIET);
        } else {
            process->active_at_ns = now_ns; /* we kept it waiting: its silence says nothing */
        }
    }
    if (now_ns >= rpi_terminal_again_at(process)) {
        rpi_terminal_again(process);
    }
    if (now_ns >= grace_at(process)) {
        settle(process);
    } else if (now_ns >= look_at(process)) {
        rpi_process_advance(process);
    }
    rpi_stop_arm(process);
}
