/* Idle watches: an observer of the process that tells the rule (idle_rule.h) of bytes and input,
 * one timer that is set for when the rule wants to look, and a task for what is to be told soon.
 * Bytes only move a time: the timer stays where it is and, when it fires early, is set again. It is
 * set by bytes only when they end a quiet time that was reported.
 *
 * A watch lives until its own close, or the loop's, and outlives its process: `process` is NULL
 * then. Inside a callback of its own it is freed when that returns. The switch is an atomic, as
 * other threads turn it; the clock that it restarts is the loop's business, so who switches on puts
 * the watch onto a list and rings. Until that was heard nothing is reported. */
#include "rp/idle.h"

#include <errno.h>
#include <stdatomic.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/status.h"
#include "core/idle_rule.h"
#include "core/loop.h"
#include "core/process.h"
#include "core/usage.h"
#include "pty/scan.h"

typedef enum switch_state {
    SWITCH_OFF = 0,
    SWITCH_ON,
    SWITCH_TURNED /* on, and the clock has still to be restarted */
} switch_state;

struct rp_idle {
    rpi_handle handle;
    rpi_observer observer;
    rp_process *process; /* borrowed; NULL once it is freed */
    rpi_timer timer;
    rpi_task task; /* the end is to be told */
    rpi_idle_rule rule;
    rpi_churn churn[2]; /* of stdout, stderr */
    rpi_usage usage;
    bool measures;       /* usage is open */
    bool ended;          /* the process has, or is closed: the rule is asked no more */
    bool owes_end;       /* it is still to be told */
    bool frees_itself;   /* rp_idle_start without ret_idle */
    bool calling;        /* a callback is under way */
    bool closed;         /* during it */
    bool refuses_answer; /* rp_idle_wait: a wrong answer of decide ends it */
    int error;           /* that */
    void (*idle)(rp_process *, const rp_idle_result *, void *);
    void *user;
    atomic_int on;        /* switch_state */
    atomic_bool switched; /* in the loop's list of those that were */
    rp_idle *next_switched;
};

static rp_loop *loop_of(const rp_idle *idle)
{
    return (rp_loop *)(void *)idle->handle.reactor;
}

static bool is_on(rp_idle *idle)
{
    return atomic_load(&idle->on) == SWITCH_ON;
}

static void arm(rp_idle *idle)
{
    uint64_t due_ns = RP_FOREVER;

    if (!idle->ended) {
        due_ns = rpi_idle_rule_due_ns(&idle->rule, is_on(idle));
    }
    rpi_timer_set(idle->handle.reactor, &idle->timer, due_ns);
}

/* ---- reporting ----------------------------------------------------------------------- */

/* Whether the end is still to be told: so long the loop runs on. */
static void set_owing(rp_idle *idle, bool owes)
{
    rpi_reactor *reactor = idle->handle.reactor;

    if (owes == idle->owes_end) {
        return;
    }
    idle->owes_end = owes;
    if (owes) {
        reactor->left++;
        rpi_task_start(reactor, &idle->task);
    } else {
        reactor->left--;
        rpi_task_cancel(&idle->task);
    }
}

static void free_idle(rp_idle *idle)
{
    rpi_reactor *reactor = idle->handle.reactor;

    set_owing(idle, false);
    rpi_list_remove(&idle->handle.node);
    rpi_list_remove(&idle->observer.node);
    if (idle->measures) {
        rpi_usage_close(&loop_of(idle)->usage, &idle->usage);
    }
    rpi_timer_fini(reactor, &idle->timer);
    rpi_free(reactor->allocator, idle, sizeof *idle);
}

/* Calls the caller; false: the watch is freed. */
static bool tell(rp_idle *idle, rp_idle_reason reason)
{
    const uint64_t now_ns = idle->handle.reactor->now_ns;
    const rp_idle_result result = {.reason = reason,
                                   .idle_ns = rpi_idle_rule_idle_ns(&idle->rule, now_ns)};

    idle->calling = true;
    rpi_detail_clear();
    idle->idle(idle->process, &result, idle->user);
    idle->calling = false;
    if (idle->closed) {
        free_idle(idle);
        return false;
    }
    return true;
}

/* The process has ended. Told by a task, as nobody may be called from where this is heard. */
static void end(rp_idle *idle, bool owes_end)
{
    if (idle->ended) {
        return;
    }
    idle->ended = true;
    set_owing(idle, owes_end);
    rpi_timer_off(idle->handle.reactor, &idle->timer);
    if (idle->measures) {
        idle->measures = false;
        rpi_usage_close(&loop_of(idle)->usage, &idle->usage);
    }
}

static void on_task(rpi_task *task)
{
    rp_idle *idle = RPI_CONTAINER(task, rp_idle, task);
    rp_process *process = idle->process;

    set_owing(idle, false);
    rpi_process_advance_later(process); /* done has waited for this */
    if (!tell(idle, process->exit.interrupts > 0 ? RP_IDLE_INTERRUPTED : RP_IDLE_PROCESS_EXIT)) {
        return;
    }
    if (idle->frees_itself) {
        free_idle(idle);
    }
}

/* ---- looking -------------------------------------------------------------------------- */

/* What the tree uses; opens the count. False: it is not known. */
static bool ask_usage(rp_idle *idle, uint64_t now_ns, rpi_usage_answer *ret_answer)
{
    rp_loop *loop = loop_of(idle);
    int r = 0;

    if (!idle->measures) {
        r = rpi_usage_open(&loop->usage, &loop->allocator, &idle->usage, idle->process->pid);
        idle->measures = r == 0;
    }
    if (r == 0) {
        r = rpi_usage_ask(loop->usage, &idle->usage, now_ns, ret_answer);
    }
    if (r < 0) {
        rpi_loop_log(loop, 1, "an idle watch does not know what child %lld uses (%s)",
                     (long long)idle->process->pid, rp_error_name(r));
    }
    return r == 0 && ret_answer->known;
}

static void measure(rp_idle *idle, rpi_idle_sample *sample)
{
    rpi_usage_answer answer = {.known = false};

    if (!ask_usage(idle, sample->now_ns, &answer)) {
        sample->kept_waiting = true; /* what is not known is no idleness */
        return;
    }
    sample->cpu_percent = answer.cpu_percent;
    sample->disk_bytes = answer.disk_bytes;
}

static int take_sample(rp_idle *idle, bool kept_waiting)
{
    rpi_idle_sample sample = {.now_ns = idle->handle.reactor->now_ns,
                              .alive = true,
                              .kept_waiting = kept_waiting,
                              .enabled = is_on(idle)};
    int r;

    if (idle->rule.options.metrics && idle->process->state == RPI_PROCESS_RUNNING) {
        measure(idle, &sample);
    }
    idle->calling = true;
    rpi_detail_clear();
    r = rpi_idle_rule_sample(&idle->rule, &sample);
    idle->calling = false;
    return r;
}

/* By samples; whether a quiet time is to be reported. False also where the watch is freed. */
static bool sample(rp_idle *idle, bool kept_waiting)
{
    int r = take_sample(idle, kept_waiting);

    if (idle->closed) {
        free_idle(idle);
        return false;
    }
    if (r < 0 && idle->refuses_answer) {
        idle->error = r;
    } else if (r < 0) {
        rpi_loop_log(loop_of(idle), 0, "an idle watch: %s", rp_error_detail());
    }
    arm(idle);
    return r == 1 && !idle->ended;
}

static void on_timer(rpi_timer *timer)
{
    rp_idle *idle = RPI_CONTAINER(timer, rp_idle, timer);
    rp_process *process = idle->process;
    uint64_t now_ns = idle->handle.reactor->now_ns;
    bool kept_waiting = process->state < RPI_PROCESS_RUNNING || !rpi_process_listens(process);
    uint64_t from_ns = process->heard_at_ns;
    bool reached;

    if (kept_waiting) {
        from_ns = now_ns;
    } else if (process->exit.started_ns > from_ns) {
        from_ns = process->exit.started_ns;
    }
    if (from_ns > idle->rule.active_at_ns) {
        rpi_idle_rule_restart(&idle->rule, from_ns, false);
    }
    if (rpi_idle_rule_samples(&idle->rule)) {
        reached = sample(idle, kept_waiting);
    } else {
        reached = rpi_idle_rule_look(&idle->rule, now_ns, is_on(idle));
        arm(idle);
    }
    if (reached) {
        (void)tell(idle, RP_IDLE_IS_IDLE); /* the last that is done with it */
    }
}

/* ---- the switch ------------------------------------------------------------------------ */

void rpi_idle_switches_run(rpi_async *async)
{
    rpi_idle_switches *switches = RPI_CONTAINER(async, rpi_idle_switches, async);
    rp_idle *idle = atomic_exchange(&switches->first, NULL);

    while (idle != NULL) {
        rp_idle *next = idle->next_switched;
        int turned = SWITCH_TURNED;

        atomic_store(&idle->switched, false); /* before the state is read: who turns it from now on
                                                 puts it there again */
        if (atomic_compare_exchange_strong(&idle->on, &turned, SWITCH_ON)) {
            rpi_idle_rule_restart(&idle->rule, rpi_reactor_clock_ns(idle->handle.reactor), true);
            arm(idle);
        }
        idle = next;
    }
}

void rp_idle_enable(rp_idle *idle, bool enabled)
{
    rpi_idle_switches *switches = &loop_of(idle)->idle_switches;
    int off = SWITCH_OFF;

    if (rpi_reactor_is_forked(idle->handle.reactor)) {
        return;
    }
    if (!enabled) {
        atomic_store(&idle->on, SWITCH_OFF); /* the timer finds out */
        return;
    }
    if (!atomic_compare_exchange_strong(&idle->on, &off, SWITCH_TURNED) ||
        atomic_exchange(&idle->switched, true)) {
        return;
    }
    idle->next_switched = atomic_load(&switches->first);
    while (!atomic_compare_exchange_weak(&switches->first, &idle->next_switched, idle)) {
    }
    rpi_async_send(&switches->async);
}

/* ---- being told -------------------------------------------------------------------------- */

static rp_idle *idle_of(rpi_observer *observer)
{
    return RPI_CONTAINER(observer, rp_idle, observer);
}

static void on_output(rpi_observer *observer, rpi_stream *stream, rp_view bytes)
{
    rp_idle *idle = idle_of(observer);
    size_t churn = 0;

    if (rpi_idle_rule_wants_churn(&idle->rule)) {
        churn = rpi_churn_count(&idle->churn[stream->index], bytes);
    }
    if (rpi_idle_rule_output(&idle->rule, bytes.size, churn, idle->handle.reactor->now_ns)) {
        arm(idle);
    }
}

static void on_input(rpi_observer *observer, const rpi_input *input)
{
    rp_idle *idle = idle_of(observer);

    if (rpi_idle_rule_input(&idle->rule, input, rpi_reactor_clock_ns(idle->handle.reactor))) {
        arm(idle);
    }
}

static void on_exited(rpi_observer *observer)
{
    end(idle_of(observer), true);
}

static bool holds_done(const rpi_observer *observer)
{
    const void *idle = (const char *)observer - offsetof(rp_idle, observer);

    return ((const rp_idle *)idle)->owes_end;
}

static void on_closed(rpi_observer *observer)
{
    rp_idle *idle = idle_of(observer);

    end(idle, false);
    set_owing(idle, false);
}

static void on_drop(rpi_observer *observer)
{
    rp_idle *idle = idle_of(observer);

    idle->process = NULL;
    if (idle->frees_itself) {
        free_idle(idle);
    }
}

static const rpi_observer_api idle_api = {.output = on_output,
                                          .input = on_input,
                                          .exited = on_exited,
                                          .holds_done = holds_done,
                                          .closed = on_closed,
                                          .drop = on_drop};

/* ---- start and close ----------------------------------------------------------------------- */

static void close_handle(rpi_handle *handle)
{
    rp_idle_close(RPI_CONTAINER(handle, rp_idle, handle));
}

/* In a forked child: the reactor's heap is freed as a whole. */
static void drop_handle(rpi_handle *handle)
{
    free_idle(RPI_CONTAINER(handle, rp_idle, handle));
}

/* Whether what start_on waits for has come before. */
static bool is_armed(const rp_process *process, rp_idle_start_on start_on)
{
    switch (start_on) {
    case RP_IDLE_START_NEWLINE:
        return process->had_newline;
    case RP_IDLE_START_SUBMIT:
        return process->had_submit;
    case RP_IDLE_START_NOW:
        break;
    }
    return true;
}

static int
check(const rp_process *process, const rp_idle_options *options, rp_idle_options *ret_full)
{
    int r;

    if (process->closed) { /* it would outlive the process unheard */
        return rpi_detail(RP_ECANCELED, "the process is closed");
    }
    r = rpi_idle_options_read(options, ret_full);
    if (r < 0) {
        return r;
    }
    if (ret_full->start_on != RP_IDLE_START_NOW && process->writer == NULL) {
        return rpi_detail(RP_EINVAL, "start_on: nothing can be written to this child");
    }
    return 0;
}

/* A watch that still lacks its callback; NULL: no memory. */
static rp_idle *make(rp_process *process, const rp_idle_options *full)
{
    rp_loop *loop = process->loop;
    rp_idle *idle = rpi_alloc_zero(&loop->allocator, sizeof *idle);

    if (idle == NULL) {
        return NULL;
    }
    if (rpi_timer_init(&loop->reactor, &idle->timer, on_timer) < 0) {
        rpi_free(&loop->allocator, idle, sizeof *idle);
        return NULL;
    }
    idle->handle =
        (rpi_handle){.reactor = &loop->reactor, .close = close_handle, .drop = drop_handle};
    idle->process = process;
    rpi_task_init(&idle->task, on_task);
    rpi_idle_rule_init(&idle->rule, full, rpi_reactor_clock_ns(&loop->reactor),
                       is_armed(process, full->start_on));
    atomic_init(&idle->on, SWITCH_ON);
    atomic_init(&idle->switched, false);
    rpi_list_append(&loop->reactor.handles, &idle->handle.node);
    rpi_list_init(&idle->observer.node);
    rpi_observer_add(process, &idle->observer, &idle_api, false);
    if (process->state >= RPI_PROCESS_EXITED) {
        end(idle, true);
    } else if (full->metrics && process->state == RPI_PROCESS_RUNNING) {
        rpi_usage_answer begin; /* what is used is counted from here on */

        (void)ask_usage(idle, rpi_reactor_clock_ns(&loop->reactor), &begin);
    }
    arm(idle);
    return idle;
}

int rp_idle_start(rp_process *process,
                  const rp_idle_options *options,
                  void (*callback)(rp_process *, const rp_idle_result *, void *),
                  void *user,
                  rp_idle **ret_idle)
{
    rp_idle_options full = RP_IDLE_OPTIONS_INIT;
    rp_idle *idle;
    int r = rpi_loop_enter(process->loop);

    if (r < 0) {
        return r;
    }
    if (callback == NULL) {
        return rpi_detail(RP_EINVAL, "idle: NULL");
    }
    r = check(process, options, &full);
    if (r < 0) {
        return r;
    }
    idle = make(process, &full);
    if (idle == NULL) {
        return RP_ENOMEM;
    }
    idle->idle = callback;
    idle->user = user;
    idle->frees_itself = ret_idle == NULL;
    if (ret_idle != NULL) {
        *ret_idle = idle;
    }
    return 0;
}

void rp_idle_close(rp_idle *idle)
{
    /* In a forked child it is left to the loop's close. */
    if (idle == NULL || rpi_reactor_is_forked(idle->handle.reactor) || idle->closed) {
        return;
    }
    rpi_idle_switches_run(&loop_of(idle)->idle_switches.async); /* it may be in their list */
    if (idle->owes_end) {                                       /* nobody is told any more */
        set_owing(idle, false);
        rpi_process_advance_later(idle->process);
    }
    idle->ended = true;
    rpi_timer_off(idle->handle.reactor, &idle->timer);
    if (idle->calling) {
        idle->closed = true;
        rpi_list_remove(&idle->handle.node);
        rpi_list_remove(&idle->observer.node);
    } else {
        free_idle(idle);
    }
}

/* ---- waiting --------------------------------------------------------------------------------- */

typedef struct waiting {
    rp_idle_result result;
    bool came;
} waiting;

static void take_result(rp_process *process, const rp_idle_result *result, void *user)
{
    waiting *self = user;

    (void)process;
    if (!self->came) {
        self->came = true;
        self->result = *result;
    }
}

/* Whether the child waits for somebody to pull. */
static bool is_stuck(const rp_process *process)
{
    for (int i = 0; i < 2 && process->pull != NULL; i++) {
        const rpi_stream *stream = &process->streams[i];

        if (!rpi_stream_is_over(stream) && rpi_ring_is_open(&stream->ring) &&
            rpi_ring_free(&stream->ring) == 0) {
            return true;
        }
    }
    return false;
}

/* 0: it came; or why not. */
static int wait_for(rp_idle *idle, const waiting *self, uint64_t until_ns, const bool *gone)
{
    rp_process *process = idle->process;

    while (!self->came) {
        int turn;

        if (is_stuck(process)) {
            return rpi_detail(RP_ENOBUFS, "a ring is full: the child waits until it is pulled");
        }
        turn = rpi_loop_wait_turn(process->loop, until_ns);
        if (*gone) {
            return rpi_detail(RP_ECANCELED, "the process was closed meanwhile");
        }
        if (self->came) {
            return 0;
        }
        if (idle->error < 0) {
            return rpi_detail(idle->error, "decide: an answer that is none");
        }
        if (turn < 0) {
            return turn;
        }
    }
    return 0;
}

/* With the watch made: waits, and takes it away. */
static int wait_and_close(rp_idle *idle, uint64_t timeout_ns, rp_idle_result *ret_result)
{
    rpi_reactor *reactor = idle->handle.reactor;
    rp_process *process = idle->process;
    waiting self = {.came = false};
    bool gone = false;
    int r;

    idle->idle = take_result;
    idle->user = &self;
    idle->refuses_answer = true;
    process->gone = &gone;
    r = wait_for(idle, &self, rpi_clock_after(rpi_reactor_clock_ns(reactor), timeout_ns), &gone);
    if (!gone) {
        process->gone = NULL;
    }
    if (r == RP_ETIMEDOUT) {
        self.result = (rp_idle_result){
            .reason = RP_IDLE_TIMED_OUT,
            .idle_ns = rpi_idle_rule_idle_ns(&idle->rule, rpi_reactor_clock_ns(reactor))};
    }
    if (r == 0 || r == RP_ETIMEDOUT) {
        *ret_result = self.result;
    }
    rp_idle_close(idle);
    return r;
}

int rp_idle_wait(rp_process *process,
                 const rp_idle_options *options,
                 uint64_t timeout_ns,
                 rp_idle_result *ret_result)
{
    rp_idle_options full = RP_IDLE_OPTIONS_INIT;
    rp_idle *idle;
    int r = rpi_loop_enter(process->loop);

    if (r < 0) {
        return r;
    }
    if (process->loop->reactor.running) {
        return rpi_detail(RP_EDEADLK, "called from inside a callback of this loop");
    }
    r = check(process, options, &full);
    if (r < 0) {
        return r;
    }
    idle = make(process, &full);
    return idle == NULL ? RP_ENOMEM : wait_and_close(idle, timeout_ns, ret_result);
}
