/* The reactor's turn: see reactor.h for its order and its promises. Called by the loop of core/,
 * which runs turns until nothing is left. Timers, posts and watches have files of their own. */
#include "reactor/reactor.h"

#include <limits.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/os.h"
#include "base/status.h"
#include "reactor/parts.h"

/* A turn that finds work does not ask the backend, which saves a system call; so many in a row may
 * do so before the descriptors get their share. */
#define TURNS_UNLOOKED_MAX 3

uint64_t rpi_reactor_clock_ns(const rpi_reactor *reactor)
{
    return reactor->clock != NULL ? reactor->clock(reactor->clock_user) : rpi_clock_now_ns();
}

bool rpi_reactor_is_forked(const rpi_reactor *reactor)
{
    if (reactor->fork_mark != NULL) {
        // volatile: the kernel clears it behind the compiler's back
        return *(const volatile unsigned char *)reactor->fork_mark == 0;
    }
    return rpi_os_pid() != reactor->owner_pid;
}

static void init_fields(rpi_reactor *reactor, const rpi_reactor_options *options)
{
    memset(reactor, 0, sizeof *reactor);
    reactor->allocator = options->allocator != NULL ? options->allocator : rpi_alloc_default();
    reactor->clock = options->clock;
    reactor->clock_user = options->clock_user;
    reactor->return_on_signal = options->return_on_signal;
    rpi_list_init(&reactor->operations);
    rpi_list_init(&reactor->ready);
    rpi_list_init(&reactor->ready_exits);
    rpi_list_init(&reactor->tasks);
    rpi_list_init(&reactor->due);
    rpi_list_init(&reactor->handles);
    rpi_list_init(&reactor->asyncs);
    rpi_heap_init(&reactor->timers, reactor->allocator);
    atomic_init(&reactor->stop, false);
    atomic_init(&reactor->awake, true);
    atomic_init(&reactor->called_on, false);
    reactor->owner_pid = rpi_os_pid();
    reactor->fork_mark = rpi_fork_mark_open();
    reactor->now_ns = rpi_reactor_clock_ns(reactor);
}

int rpi_reactor_init(rpi_reactor *reactor, const rpi_reactor_options *options)
{
    int r;

    init_fields(reactor, options);
    r = rpi_posts_init(reactor);
    if (r < 0) {
        goto fail_mark;
    }
    if (options->backend_api != NULL) {
        r = options->backend_api->open(reactor, &reactor->backend);
    } else {
        r = rpi_backend_choose(reactor, options->backend, &reactor->backend);
    }
    if (r < 0) {
        goto fail_posts;
    }
    return 0;

fail_posts:
    rpi_posts_fini(reactor);
fail_mark:
    rpi_fork_mark_close(reactor->fork_mark);
    rpi_heap_fini(&reactor->timers);
    return r;
}

/* ---- operations ---- */

void rpi_reactor_complete(rpi_reactor *reactor, rpi_op *op, int32_t result)
{
    RP_ASSERT(op->state == RPI_OP_PENDING);
    op->result = result;
    op->state = RPI_OP_READY;
    reactor->pending--;
    rpi_list_remove(&op->node);
    rpi_list_append(op->kind == RPI_OP_EXIT ? &reactor->ready_exits : &reactor->ready, &op->node);
}

static void run_operations(rpi_reactor *reactor, rpi_list *batch)
{
    rpi_list *node;

    while ((node = rpi_list_take_first(batch)) != NULL) {
        rpi_op *op = RPI_CONTAINER(node, rpi_op, node);

        RP_ASSERT(op->state == RPI_OP_READY);
        op->state = RPI_OP_IDLE;
        reactor->callbacks++;
        op->done(op); // may free it
    }
}

static void run_ready(rpi_reactor *reactor)
{
    rpi_list batch;
    rpi_list exits;

    rpi_list_init(&batch);
    rpi_list_init(&exits);
    rpi_list_move_all(&batch, &reactor->ready);
    rpi_list_move_all(&exits, &reactor->ready_exits);
    run_operations(reactor, &batch);
    run_operations(reactor, &exits);
}

/* ---- tasks ---- */

void rpi_task_init(rpi_task *task, rpi_task_fn *run)
{
    rpi_list_init(&task->node);
    task->run = run;
}

void rpi_task_start(rpi_reactor *reactor, rpi_task *task)
{
    if (rpi_list_is_empty(&task->node)) {
        rpi_list_append(&reactor->tasks, &task->node);
    }
}

void rpi_task_cancel(rpi_task *task)
{
    rpi_list_remove(&task->node);
}

static void run_tasks(rpi_reactor *reactor)
{
    rpi_list batch;
    rpi_list *node;

    rpi_list_init(&batch);
    rpi_list_move_all(&batch, &reactor->tasks);
    while ((node = rpi_list_take_first(&batch)) != NULL) {
        rpi_task *task = RPI_CONTAINER(node, rpi_task, node);

        reactor->callbacks++;
        task->run(task); // may free it
    }
}

/* ---- the turn ---- */

static bool has_ready(const rpi_reactor *reactor)
{
    return !rpi_list_is_empty(&reactor->ready) || !rpi_list_is_empty(&reactor->ready_exits) ||
           !rpi_list_is_empty(&reactor->tasks);
}

static bool has_work(rpi_reactor *reactor)
{
    return has_ready(reactor) || atomic_load(&reactor->called_on) ||
           rpi_timers_next_ns(reactor) <= reactor->now_ns;
}

bool rpi_reactor_has_posts(rpi_reactor *reactor)
{
    return atomic_load(&reactor->called_on);
}

/* Waits, and says whether somebody rang meanwhile. What he rang for is looked for after this, so a
 * wake that the wait has taken is not needed again. Another loop may sleep from any moment on: for
 * it we are never awake. */
static int wait_in_backend(rpi_reactor *reactor, uint64_t span_ns, bool *ret_rung)
{
    int r = reactor->backend->api->wait(reactor->backend, span_ns);

    *ret_rung = atomic_exchange(&reactor->awake, !reactor->embedded);
    reactor->unlooked = 0;
    reactor->wakeups += span_ns > 0;
    reactor->now_ns = rpi_reactor_clock_ns(reactor);
    return r;
}

static int look(rpi_reactor *reactor)
{
    bool rung;
    int r = wait_in_backend(reactor, 0, &rung);

    return r == -EINTR ? 0 : r; // nothing was waited for: nothing was interrupted
}

static uint64_t span_until_ns(const rpi_reactor *reactor, uint64_t end_ns)
{
    uint64_t next_ns = rpi_timers_next_ns(reactor);

    if (next_ns < end_ns) {
        end_ns = next_ns;
    }
    if (end_ns == RP_FOREVER) {
        return RP_FOREVER;
    }
    return end_ns > reactor->now_ns ? end_ns - reactor->now_ns : 0;
}

/* Waits for work, at most until `end_ns`, or until somebody rings. Waits that end for nothing (a
 * signal that nobody wants to hear of, a cancel's own completion) are gone on with. */
static int wait_for_work(rpi_reactor *reactor, uint64_t end_ns)
{
    bool rung;
    int r;

    do {
        uint64_t span_ns = span_until_ns(reactor, end_ns);

        if (span_ns > 0) {
            atomic_store(&reactor->awake, false);
            if (atomic_load(&reactor->called_on) || atomic_load(&reactor->stop)) {
                span_ns = 0;
            }
        }
        r = wait_in_backend(reactor, span_ns, &rung);
        if (r == -EINTR && !reactor->return_on_signal) {
            r = 0;
        }
    } while (r == 0 && !rung && !has_work(reactor) && !atomic_load(&reactor->stop) &&
             reactor->now_ns < end_ns);
    return r;
}

static int gather(rpi_reactor *reactor, uint64_t timeout_ns)
{
    reactor->now_ns = rpi_reactor_clock_ns(reactor);
    if (!has_work(reactor)) {
        return wait_for_work(reactor, rpi_clock_after(reactor->now_ns, timeout_ns));
    }
    // A timer that is due is told only after whatever else has happened by now: a loop that was
    // kept from running must not take what came in time for late.
    if (reactor->embedded || reactor->unlooked >= TURNS_UNLOOKED_MAX ||
        rpi_timers_next_ns(reactor) <= reactor->now_ns) {
        return look(reactor);
    }
    reactor->unlooked++;
    return 0;
}

static void run_callbacks(rpi_reactor *reactor)
{
    if (atomic_load(&reactor->called_on)) {
        rpi_posts_run(reactor);
    }
    run_ready(reactor);
    rpi_timers_run(reactor);
    run_tasks(reactor);
}

int rpi_reactor_turn(rpi_reactor *reactor, uint64_t timeout_ns)
{
    uint64_t before = reactor->callbacks;
    int r;

    if (rpi_reactor_is_forked(reactor)) {
        return RP_EPERM;
    }
    if (reactor->running) {
        return RP_EDEADLK;
    }
    reactor->running = true;
    reactor->turns++;
    r = gather(reactor, timeout_ns);
    run_callbacks(reactor); // also after an error: what is known already is told
    reactor->running = false;
    if (r < 0 && reactor->callbacks == before) {
        return r;
    }
    before = reactor->callbacks - before;
    return before < INT_MAX ? (int)before : INT_MAX;
}

uint64_t rpi_reactor_timeout_ns(rpi_reactor *reactor)
{
    if (rpi_reactor_is_forked(reactor)) {
        return RP_FOREVER;
    }
    // An error shows in the turn that follows at once.
    if (reactor->backend->api->flush(reactor->backend) != 0 || has_ready(reactor) ||
        atomic_load(&reactor->called_on) || atomic_load(&reactor->stop)) {
        return 0;
    }
    reactor->now_ns = rpi_reactor_clock_ns(reactor);
    return span_until_ns(reactor, RP_FOREVER);
}

intptr_t rpi_reactor_fd(rpi_reactor *reactor)
{
    intptr_t fd;

    if (rpi_reactor_is_forked(reactor)) {
        return RP_EPERM;
    }
    fd = reactor->backend->api->fd(reactor->backend);
    if (fd >= 0 && !reactor->embedded) {
        reactor->embedded = true;
        // From now on another loop sleeps for us, so that we are never known to be awake.
        atomic_store(&reactor->awake, false);
        if (atomic_load(&reactor->called_on) || atomic_load(&reactor->stop)) {
            rpi_reactor_wake(reactor);
        }
    }
    return fd;
}

void rpi_reactor_wake(rpi_reactor *reactor)
{
    if (!atomic_exchange(&reactor->awake, true)) {
        reactor->backend->api->wake(reactor->backend);
    }
}

/* ---- the end ---- */

void rpi_reactor_close_handles(rpi_reactor *reactor)
{
    rpi_list *node;

    while ((node = rpi_list_take_first(&reactor->handles)) != NULL) {
        rpi_handle *handle = RPI_CONTAINER(node, rpi_handle, node);

        handle->close(handle);
    }
}

static void end_operations(rpi_reactor *reactor)
{
    rpi_list batch;
    rpi_list *node;
    int r = 0;

    rpi_list_init(&batch);
    rpi_list_move_all(&batch, &reactor->operations);
    while ((node = rpi_list_take_first(&batch)) != NULL) {
        rpi_list_append(&reactor->operations, node); // a cancel may complete it at once
        rpi_op_cancel(reactor, RPI_CONTAINER(node, rpi_op, node));
    }
    while (reactor->pending > 0 && (r == 0 || r == -EINTR)) {
        r = reactor->backend->api->wait(reactor->backend, RP_FOREVER);
        run_ready(reactor);
    }
    // A backend that fails cannot be waited for (a loop closed by another thread than it belongs
    // to): closing it ends its operations, their owners are told here.
    while ((node = reactor->operations.next) != &reactor->operations) {
        rpi_reactor_complete(reactor, RPI_CONTAINER(node, rpi_op, node), RP_ECANCELED);
    }
    run_ready(reactor);
}

static void free_rest(rpi_reactor *reactor)
{
    reactor->backend->api->close(reactor->backend);
    reactor->backend = NULL;
    rpi_posts_fini(reactor);
    rpi_heap_fini(&reactor->timers);
    rpi_fork_mark_close(reactor->fork_mark);
    reactor->fork_mark = NULL;
}

void rpi_reactor_fini(rpi_reactor *reactor)
{
    RP_ASSERT(!reactor->running);
    reactor->running = true; // callbacks that still come must not run the loop
    rpi_reactor_close_handles(reactor);
    rpi_posts_close(reactor);
    rpi_reactor_close_handles(reactor); // what posts have made
    reactor->closing = true;
    end_operations(reactor);
    RP_ASSERT(reactor->pending == 0);
    free_rest(reactor);
}

void rpi_reactor_fini_forked(rpi_reactor *reactor)
{
    rpi_list *node;

    reactor->forked = true;
    while ((node = rpi_list_take_first(&reactor->handles)) != NULL) {
        rpi_handle *handle = RPI_CONTAINER(node, rpi_handle, node);

        handle->drop(handle);
    }
    free_rest(reactor);
}
