/* Timers: the embedded rpi_timer of the other rooms, and on top of it the public rp_timer. Armed
 * timers lie in the reactor's heap; a turn takes those that are due out of it first and then fires
 * them, so that one which is armed again by a callback waits for the next turn. */
#include "base/assert.h"
#include "base/clock.h"
#include "base/status.h"
#include "reactor/parts.h"
#include "reactor/reactor.h"

int rpi_timer_init(rpi_reactor *reactor, rpi_timer *timer, rpi_timer_fn *fire)
{
    *timer = (rpi_timer){.fire = fire};
    rpi_list_init(&timer->due);
    return rpi_heap_reserve(&reactor->timers);
}

void rpi_timer_fini(rpi_reactor *reactor, rpi_timer *timer)
{
    rpi_timer_off(reactor, timer);
    rpi_heap_unreserve(&reactor->timers);
}

void rpi_timer_set(rpi_reactor *reactor, rpi_timer *timer, uint64_t at_ns)
{
    rpi_list_remove(&timer->due);
    if (at_ns == RP_FOREVER) {
        rpi_heap_remove(&reactor->timers, &timer->node);
    } else {
        rpi_heap_put(&reactor->timers, &timer->node, at_ns);
    }
}

void rpi_timer_off(rpi_reactor *reactor, rpi_timer *timer)
{
    rpi_timer_set(reactor, timer, RP_FOREVER);
}

uint64_t rpi_timers_next_ns(const rpi_reactor *reactor)
{
    const rpi_heap_node *first = rpi_heap_first(&reactor->timers);

    return first != NULL ? first->at_ns : RP_FOREVER;
}

void rpi_timers_run(rpi_reactor *reactor)
{
    rpi_heap_node *first;
    rpi_list *due;

    while ((first = rpi_heap_first(&reactor->timers)) != NULL && first->at_ns <= reactor->now_ns) {
        rpi_heap_remove(&reactor->timers, first);
        rpi_list_append(&reactor->due, &RPI_CONTAINER(first, rpi_timer, node)->due);
    }
    while ((due = rpi_list_take_first(&reactor->due)) != NULL) {
        rpi_timer *timer = RPI_CONTAINER(due, rpi_timer, due);

        reactor->callbacks++;
        timer->fire(timer); // may free it
    }
}

/* ---- public timers ---- */

struct rp_timer {
    rpi_handle handle;
    rpi_timer timer;
    uint64_t at_ns; /* the point it was last armed for */
    uint64_t repeat_ns;
    void (*fire)(rp_timer *, void *);
    void *user;
    bool armed;     /* counts in reactor->left */
    bool anonymous; /* the caller has no name for it: it closes itself after a single shot */
    bool firing;
    bool closed; /* while firing: freed when the callback returns */
};

static void arm(rp_timer *timer, uint64_t at_ns)
{
    rpi_reactor *reactor = timer->handle.reactor;
    bool armed = at_ns != RP_FOREVER;

    if (armed && !timer->armed) {
        reactor->left++;
    } else if (!armed && timer->armed) {
        reactor->left--;
    }
    timer->armed = armed;
    timer->at_ns = at_ns;
    rpi_timer_set(reactor, &timer->timer, at_ns);
}

static void free_timer(rp_timer *timer)
{
    rpi_reactor *reactor = timer->handle.reactor;

    rpi_timer_fini(reactor, &timer->timer);
    rpi_free(reactor->allocator, timer, sizeof *timer);
}

static void close_handle(rpi_handle *handle)
{
    rp_timer_close(RPI_CONTAINER(handle, rp_timer, handle));
}

static void drop_handle(rpi_handle *handle)
{
    free_timer(RPI_CONTAINER(handle, rp_timer, handle));
}

/* The next point of the grid after now: what was missed does not pile up. */
static uint64_t next_on_grid_ns(const rp_timer *timer, uint64_t now_ns)
{
    uint64_t missed = (now_ns - timer->at_ns) / timer->repeat_ns;
    uint64_t last_ns = timer->at_ns + missed * timer->repeat_ns;

    return rpi_clock_after(last_ns, timer->repeat_ns);
}

static void fire(rpi_timer *inner)
{
    rp_timer *timer = RPI_CONTAINER(inner, rp_timer, timer);
    bool again = timer->repeat_ns > 0;

    // Armed before the call, so that the callback's own rp_timer_set has the last word.
    arm(timer, again ? next_on_grid_ns(timer, timer->handle.reactor->now_ns) : RP_FOREVER);
    timer->firing = true;
    rpi_detail_clear();
    timer->fire(timer, timer->user);
    timer->firing = false;
    if (timer->closed) {
        free_timer(timer);
    } else if (timer->anonymous && !timer->armed) {
        rp_timer_close(timer);
    }
}

int rp_timer_start(rp_loop *loop,
                   uint64_t delay_ns,
                   uint64_t repeat_ns,
                   void (*callback)(rp_timer *, void *),
                   void *user,
                   rp_timer **ret_timer)
{
    rpi_reactor *reactor = rpi_reactor_of(loop);
    rp_timer *timer;
    int r;

    rpi_detail_clear();
    if (rpi_reactor_is_forked(reactor)) {
        return RP_EPERM;
    }
    if (callback == NULL) {
        return rpi_detail(RP_EINVAL, "fire is NULL");
    }
    timer = rpi_alloc_zero(reactor->allocator, sizeof *timer);
    if (timer == NULL) {
        return RP_ENOMEM;
    }
    r = rpi_timer_init(reactor, &timer->timer, fire);
    if (r < 0) {
        rpi_free(reactor->allocator, timer, sizeof *timer);
        return r;
    }
    timer->handle.reactor = reactor;
    timer->handle.close = close_handle;
    timer->handle.drop = drop_handle;
    timer->fire = callback;
    timer->user = user;
    timer->anonymous = ret_timer == NULL;
    rpi_list_append(&reactor->handles, &timer->handle.node);
    rp_timer_set(timer, delay_ns, repeat_ns);
    if (ret_timer != NULL) {
        *ret_timer = timer;
    }
    return 0;
}

void rp_timer_set(rp_timer *timer, uint64_t delay_ns, uint64_t repeat_ns)
{
    rpi_reactor *reactor = timer->handle.reactor;

    if (rpi_reactor_is_forked(reactor) || timer->closed) {
        return;
    }
    timer->repeat_ns = repeat_ns;
    arm(timer, delay_ns == RP_FOREVER ? RP_FOREVER
                                      : rpi_clock_after(rpi_reactor_clock_ns(reactor), delay_ns));
}

void rp_timer_close(rp_timer *timer)
{
    // In a forked child it is left to the loop's close.
    if (timer == NULL || rpi_reactor_is_forked(timer->handle.reactor)) {
        return;
    }
    RP_ASSERT(!timer->closed);
    arm(timer, RP_FOREVER);
    rpi_list_remove(&timer->handle.node);
    if (timer->firing) {
        timer->closed = true;
    } else {
        free_timer(timer);
    }
}
