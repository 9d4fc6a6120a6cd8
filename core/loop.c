/* The public loop: a reactor, and what all its children share. Running is the reactor's work; this
 * file opens, asks, waits on behalf of blocking functions, and closes in the right order:
 * processes, their ends, the spawner, the reactor, the memory. */
#include "core/loop.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/os.h"
#include "base/status.h"
#include "core/command.h"
#include "core/process.h"

enum {
    RING_SIZE_DEFAULT = 64 * 1024
};
#define RING_SIZE_MAX ((size_t)1 << 30)
#define CLOSE_WAIT_NS (5 * RP_SECOND)

int rpi_loop_enter(rp_loop *loop)
{
    rpi_detail_clear();
    if (rpi_reactor_is_forked(&loop->reactor)) {
        return rpi_detail(RP_EPERM, "this process was forked from the one that opened the loop");
    }
    return 0;
}

void rpi_loop_log(rp_loop *loop, int level, const char *format, ...)
{
    char text[256];
    va_list arguments;

    if (loop->log == NULL) {
        return;
    }
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    loop->log(level, text, loop->log_user);
}

void rpi_loop_close_fd(rp_loop *loop, int fd)
{
    loop->kernel_calls++;
    rpi_os_close(fd);
}

/* ---- opening --------------------------------------------------------------------- */

static int read_options(const rp_loop_options *options, rp_loop_options *ret_options)
{
    int r;

    if (options == NULL) {
        *ret_options = (rp_loop_options)RP_LOOP_OPTIONS_INIT;
        return 0;
    }
    r = rpi_options_read(options, sizeof *ret_options, ret_options);
    if (r < 0) {
        return r;
    }
    if (ret_options->ring_size > RING_SIZE_MAX) {
        return rpi_detail(RP_EINVAL, "ring_size is above 1 GiB");
    }
    if (ret_options->track != NULL) {
        r = rpi_track_enter(ret_options->track);
        if (r < 0) {
            return r;
        }
    }
    if (ret_options->allocator != NULL && ret_options->allocator->resize == NULL) {
        return rpi_detail(RP_EINVAL, "allocator has no resize");
    }
    return 0;
}

static void retry_memory(rpi_timer *timer)
{
    rpi_streams_serve_waiting(RPI_CONTAINER(timer, rp_loop, memory_timer));
}

static void loop_init(rp_loop *loop, const rp_loop_options *options, const rp_allocator *allocator)
{
    loop->allocator = *allocator;
    loop->ring_size = options->ring_size != 0 ? options->ring_size : RING_SIZE_DEFAULT;
    loop->memory_max = options->memory_max;
    loop->budget.max = options->memory_max;
    loop->process_max = options->process_max;
    loop->stay = options->stay;
    loop->log = options->log;
    loop->log_user = options->log_user;
    loop->track = options->track;
    rpi_list_init(&loop->track_link.node);
    rpi_list_init(&loop->processes);
    rpi_list_init(&loop->closed);
    rpi_list_init(&loop->queue);
    rpi_list_init(&loop->memory_waiting);
    rpi_list_init(&loop->pull_ready);
    rpi_task_init(&loop->admission, rpi_admission_run);
    atomic_init(&loop->idle_switches.first, NULL);
    rpi_sessions_init(loop);
}

static void tell_trouble(rpi_async *async)
{
    rp_loop *loop = RPI_CONTAINER(async, rp_loop, track_link.async);
    char text[256];

    if (rpi_track_take_trouble(loop->track, &loop->track_troubles, text, sizeof text)) {
        rpi_loop_log(loop, 1, "%s", text);
    }
}

static int open_parts(rp_loop *loop, const rp_loop_options *options)
{
    rpi_spawner_options spawner = {.allocator = &loop->allocator,
                                   .reactor = &loop->reactor,
                                   .threads = options->spawn_threads,
                                   .launched = rpi_process_launched,
                                   .user = loop};
    int r = rpi_timer_init(&loop->reactor, &loop->memory_timer, retry_memory);

    if (r < 0) {
        return r;
    }
    r = rpi_timer_init(&loop->reactor, &loop->refused_timer, rpi_admission_again);
    if (r < 0) {
        goto fail_timer;
    }
    r = rpi_ring_pool_open(&loop->allocator, loop->ring_size, &loop->rings);
    if (r < 0) {
        goto fail_rings;
    }
    r = rpi_spawner_open(&spawner, &loop->spawner);
    if (r < 0) {
        goto fail_spawner;
    }
    rpi_async_init(&loop->reactor, &loop->idle_switches.async, rpi_idle_switches_run);
    rpi_groups_init(loop);
    rpi_limits_init(loop);
    if (loop->track != NULL) {
        rpi_async_init(&loop->reactor, &loop->track_link.async, tell_trouble);
        rpi_track_link_loop(loop->track, &loop->track_link);
    }
    return 0;

fail_spawner:
    rpi_ring_pool_close(loop->rings);
fail_rings:
    rpi_timer_fini(&loop->reactor, &loop->refused_timer);
fail_timer:
    rpi_timer_fini(&loop->reactor, &loop->memory_timer);
    return r;
}

int rp_loop_open(const rp_loop_options *options, rp_loop **ret_loop)
{
    rp_loop_options full;
    rpi_reactor_options reactor = {0};
    const rp_allocator *allocator;
    rp_loop *loop;
    int r;

    rpi_detail_clear();
    r = read_options(options, &full);
    if (r < 0) {
        return r;
    }
    allocator = full.allocator != NULL ? full.allocator : rpi_alloc_default();
    loop = rpi_alloc_zero(allocator, sizeof *loop);
    if (loop == NULL) {
        return RP_ENOMEM;
    }
    loop_init(loop, &full, allocator);
    reactor.allocator = &loop->allocator;
    reactor.backend = full.backend;
    reactor.return_on_signal = full.return_on_signal;
    r = rpi_reactor_init(&loop->reactor, &reactor);
    if (r < 0) {
        goto fail;
    }
    r = open_parts(loop, &full);
    if (r < 0) {
        rpi_reactor_fini(&loop->reactor);
        goto fail;
    }
    *ret_loop = loop;
    return 0;

fail:
    rpi_free(allocator, loop, sizeof *loop);
    return r;
}

/* ---- running ------------------------------------------------------------------------ */

/* Whether rp_loop_stop was called since the last look. */
static bool take_stop(rp_loop *loop)
{
    return atomic_exchange(&loop->reactor.stop, false);
}

int rp_loop_run(rp_loop *loop)
{
    int r = rpi_loop_enter(loop);

    if (r == 0 && loop->reactor.running) {
        return rpi_detail(RP_EDEADLK, "called from inside a callback of this loop");
    }
    while (r >= 0) {
        if (take_stop(loop)) {
            return 1;
        }
        if (!loop->stay && loop->reactor.left == 0 && !rpi_reactor_has_posts(&loop->reactor)) {
            return 0;
        }
        r = rpi_reactor_turn(&loop->reactor, RP_FOREVER);
    }
    return r;
}

int rp_loop_run_once(rp_loop *loop, uint64_t timeout_ns)
{
    int r = rpi_loop_enter(loop);

    if (r < 0) {
        return r;
    }
    if (!loop->reactor.running && take_stop(loop)) {
        return 0;
    }
    r = rpi_reactor_turn(&loop->reactor, timeout_ns);
    if (r >= 0) {
        (void)take_stop(loop); /* it ended this turn */
    }
    return r;
}

int rpi_loop_wait_turn(rp_loop *loop, uint64_t until_ns)
{
    uint64_t now_ns = rpi_reactor_clock_ns(&loop->reactor);
    int r;

    if (!loop->reactor.running && take_stop(loop)) {
        return rpi_detail(RP_ECANCELED, "rp_loop_stop was called");
    }
    r = rpi_reactor_turn(&loop->reactor, until_ns == RP_FOREVER ? RP_FOREVER
                                         : until_ns > now_ns    ? until_ns - now_ns
                                                                : 0);
    if (r < 0) {
        return r;
    }
    if (take_stop(loop)) {
        return rpi_detail(RP_ECANCELED, "rp_loop_stop was called");
    }
    return rpi_reactor_clock_ns(&loop->reactor) >= until_ns ? RP_ETIMEDOUT : 1;
}

void rp_loop_stop(rp_loop *loop)
{
    atomic_store(&loop->reactor.stop, true);
    rpi_reactor_wake(&loop->reactor);
}

intptr_t rp_loop_fd(rp_loop *loop)
{
    int r = rpi_loop_enter(loop);

    return r < 0 ? r : rpi_reactor_fd(&loop->reactor);
}

uint64_t rp_loop_timeout_ns(rp_loop *loop)
{
    if (rpi_loop_enter(loop) < 0) {
        return RP_FOREVER;
    }
    return rpi_reactor_timeout_ns(&loop->reactor);
}

uint64_t rp_loop_now_ns(rp_loop *loop)
{
    return loop->reactor.now_ns;
}

rp_backend rp_loop_backend(rp_loop *loop)
{
    return loop->reactor.backend->api->id;
}

/* ---- asking -------------------------------------------------------------------------- */

int rp_loop_processes(rp_loop *loop, bool (*each)(rp_process *, void *), void *user)
{
    rpi_list *node = loop->processes.next;
    int count = 0;
    int r = rpi_loop_enter(loop);

    if (r < 0) {
        return r;
    }
    while (node != &loop->processes) {
        rpi_list *next = node->next; /* `each` may close its own */

        count++;
        if (each != NULL && !each(RPI_CONTAINER(node, rp_process, node), user)) {
            break;
        }
        node = next;
    }
    return count;
}

int rp_loop_get_stats(rp_loop *loop, rp_loop_stats *ret_stats)
{
    rp_loop_stats stats = {0};
    size_t size;
    int r = rpi_loop_enter(loop);

    if (r < 0) {
        return r;
    }
    size = ret_stats->size;
    if (size < sizeof size) {
        return rpi_detail(RP_EINVAL, "stats have no size");
    }
    stats.size = size;
    stats.spawned = loop->spawned;
    stats.exited = loop->exited;
    stats.bytes_read = loop->bytes_read;
    stats.reads = loop->reads;
    stats.wakeups = loop->reactor.wakeups;
    stats.kernel_calls = loop->reactor.backend->kernel_calls + loop->kernel_calls;
    stats.live = loop->live - loop->launching;
    stats.queued = loop->queued + loop->launching;
    stats.descriptors = loop->descriptors;
    stats.ptys = loop->ptys;
    stats.memory_bytes = loop->budget.used;
    stats.track_lost = loop->track != NULL ? rpi_track_lost(loop->track) : 0;
    memcpy(ret_stats, &stats, size < sizeof stats ? size : sizeof stats);
    return 0;
}

/* ---- closing -------------------------------------------------------------------------- */

static void close_processes(rp_loop *loop)
{
    while (!rpi_list_is_empty(&loop->processes)) {
        rp_process_close(RPI_CONTAINER(loop->processes.next, rp_process, node));
    }
}

/* Children that we still wait for: closed, not let go, not seen to end. */
static int count_unended(rp_loop *loop)
{
    int count = 0;

    for (rpi_list *node = loop->closed.next; node != &loop->closed; node = node->next) {
        rp_process *process = RPI_CONTAINER(node, rp_process, node);

        if (process->detached && process->state >= RPI_PROCESS_RUNNING) {
            continue;
        }
        if (process->state < RPI_PROCESS_EXITED || process->lost_child) {
            count++;
        }
    }
    return count;
}

static void wait_for_ends(rp_loop *loop)
{
    uint64_t until_ns = rpi_clock_after(rpi_reactor_clock_ns(&loop->reactor), CLOSE_WAIT_NS);

    while (count_unended(loop) > 0 || rpi_groups_are_busy(loop)) {
        uint64_t now_ns = rpi_reactor_clock_ns(&loop->reactor);
        int r;

        if (now_ns >= until_ns) {
            break;
        }
        (void)take_stop(loop); /* it must not keep the turn from waiting */
        r = rpi_reactor_turn(&loop->reactor, until_ns - now_ns);
        if (r < 0 && r != RP_EINTR) {
            break;
        }
    }
}

/* Launches of children to be let go that found no room: they are not tried any more. */
static void cancel_queued(rp_loop *loop)
{
    while (!rpi_list_is_empty(&loop->queue)) {
        rp_process *process = RPI_CONTAINER(loop->queue.next, rpi_launch, node)->user;

        rpi_admission_remove(process);
        rpi_process_fail(process, RP_ECANCELED, NULL);
    }
}

/* What is left was not seen to end or was let go: its operations are taken back, then it is freed.
 */
static void drop_processes(rp_loop *loop)
{
    for (int turns = 0; !rpi_list_is_empty(&loop->closed) && turns < 1000; turns++) {
        for (rpi_list *node = loop->closed.next; node != &loop->closed; node = node->next) {
            rp_process *process = RPI_CONTAINER(node, rp_process, node);

            rpi_op_cancel(&loop->reactor, &process->exit_op);
            rpi_process_advance_later(process);
        }
        if (rpi_reactor_turn(&loop->reactor, 10 * RP_MILLISECOND) < 0) {
            break;
        }
    }
}

static void loop_free(rp_loop *loop)
{
    rp_allocator allocator = loop->allocator;

    rpi_free(&allocator, loop, sizeof *loop);
}

/* The processes, threads and operations are the parent's: only memory and descriptors are given
 * back. */
static void loop_free_forked(rp_loop *loop)
{
    rpi_list *node;

    rpi_ring_pool_forked(loop->rings);
    rpi_list_move_all(&loop->processes, &loop->closed);
    rpi_list_init(&loop->memory_waiting);
    while ((node = rpi_list_take_first(&loop->processes)) != NULL) {
        rpi_process_free_forked(RPI_CONTAINER(node, rp_process, node));
    }
    rpi_groups_fini_forked(loop);
    rpi_limits_fini_forked(loop);
    rpi_sessions_fini(loop);
    rpi_spawner_close(loop->spawner);
    rpi_timer_fini(&loop->reactor, &loop->refused_timer);
    rpi_timer_fini(&loop->reactor, &loop->memory_timer);
    rpi_reactor_fini_forked(&loop->reactor);
    rpi_ring_pool_close(loop->rings);
    loop_free(loop);
}

int rp_loop_close(rp_loop *loop)
{
    int count;

    rpi_detail_clear();
    if (loop == NULL) {
        return 0;
    }
    if (rpi_reactor_is_forked(&loop->reactor)) {
        loop_free_forked(loop);
        return 0;
    }
    if (loop->reactor.running) {
        return rpi_detail(RP_EDEADLK, "called from inside a callback of this loop");
    }
    loop->closing = true;
    loop->reactor.return_on_signal = false;
    rpi_reactor_close_handles(&loop->reactor);
    rpi_groups_close(loop);
    close_processes(loop);
    rpi_sessions_run(loop);
    wait_for_ends(loop);
    cancel_queued(loop);
    count = count_unended(loop);
    rpi_spawner_close(loop->spawner);
    drop_processes(loop);
    rpi_groups_fini(loop);
    rpi_limits_fini(loop);
    if (loop->track != NULL) {
        tell_trouble(&loop->track_link.async);
        rpi_track_unlink_loop(loop->track, &loop->track_link);
        rpi_async_fini(&loop->track_link.async);
    }
    rpi_timer_fini(&loop->reactor, &loop->refused_timer);
    rpi_timer_fini(&loop->reactor, &loop->memory_timer);
    rpi_task_cancel(&loop->admission);
    rpi_sessions_fini(loop);
    rpi_reactor_fini(&loop->reactor);
    rpi_ring_pool_close(loop->rings);
    loop_free(loop);
    return count;
}
