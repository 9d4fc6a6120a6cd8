/* Waking a real backend: other threads, signals, and another loop that sleeps for ours. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "tests/reactor/system.h"

TestSuite(wake, .timeout = 120);

/* ---- posts and asyncs of other threads ---- */

enum {
    SENDER_COUNT = 4
};

typedef struct test_sender {
    pthread_t thread;
    rpi_reactor *reactor;
    int number;
    int posts;     /* to be made */
    int next_post; /* seen by the loop: they come in order */
    struct test_sender *all;
} test_sender;

typedef struct test_parcel {
    test_sender *sender;
    int number;
} test_parcel;

static int parcels_seen;

static void on_parcel(rp_loop *loop, void *user)
{
    test_parcel *parcel = user;

    (void)loop;
    cr_assert_eq(parcel->number, parcel->sender->next_post);
    parcel->sender->next_post++;
    parcels_seen++;
    free(parcel);
}

static void *send_parcels(void *user)
{
    test_sender *self = user;
    int i;

    for (i = 0; i < self->posts; i++) {
        test_parcel *parcel = malloc(sizeof *parcel);

        cr_assert_not_null(parcel);
        parcel->sender = self;
        parcel->number = i;
        cr_assert_eq(rp_loop_post(system_loop(self->reactor), on_parcel, parcel), 0);
    }
    return NULL;
}

Test(wake, runs_every_post_of_many_threads_in_their_order)
{
    rpi_reactor reactor;
    test_sender senders[SENDER_COUNT];
    int total = 0;
    int i;

    system_open(&reactor);
    parcels_seen = 0;
    for (i = 0; i < SENDER_COUNT; i++) {
        senders[i] = (test_sender){.reactor = &reactor, .posts = ROUNDS(20000)};
        total += senders[i].posts;
        cr_assert_eq(pthread_create(&senders[i].thread, NULL, send_parcels, &senders[i]), 0);
    }
    while (parcels_seen < total) {
        cr_assert_geq(rpi_reactor_turn(&reactor, RP_FOREVER), 0);
    }
    for (i = 0; i < SENDER_COUNT; i++) {
        cr_assert_eq(pthread_join(senders[i].thread, NULL), 0);
        cr_assert_eq(senders[i].next_post, senders[i].posts);
    }
    cr_assert_eq(rpi_reactor_turn(&reactor, 0), 0);
    rpi_reactor_fini(&reactor);
}

typedef struct test_counter {
    rpi_async async;
    atomic_int sent;
    int seen;
    int calls;
} test_counter;

static void on_counter(rpi_async *async)
{
    test_counter *self = RPI_CONTAINER(async, test_counter, async);

    self->calls++;
    self->seen = atomic_load(&self->sent);
}

static void *count_up(void *user)
{
    test_counter *self = user;
    int i;

    for (i = 0; i < ROUNDS(50000); i++) {
        atomic_fetch_add(&self->sent, 1);
        rpi_async_send(&self->async);
        if (i % 64 == 0) {
            sched_yield(); // so that the loop falls asleep now and then
        }
    }
    return NULL;
}

Test(wake, loses_no_async_when_wakes_are_saved)
{
    rpi_reactor reactor;
    test_counter counter = {.seen = 0};
    pthread_t threads[SENDER_COUNT];
    const int total = SENDER_COUNT * ROUNDS(50000);
    int i;

    system_open(&reactor);
    rpi_async_init(&reactor, &counter.async, on_counter);
    for (i = 0; i < SENDER_COUNT; i++) {
        cr_assert_eq(pthread_create(&threads[i], NULL, count_up, &counter), 0);
    }
    while (counter.seen < total) { // without end where the last one is lost: the timeout tells
        cr_assert_geq(rpi_reactor_turn(&reactor, RP_FOREVER), 0);
    }
    cr_assert_leq(counter.calls, total);
    for (i = 0; i < SENDER_COUNT; i++) {
        cr_assert_eq(pthread_join(threads[i], NULL), 0);
    }
    rpi_async_fini(&counter.async);
    rpi_reactor_fini(&reactor);
}

/* ---- another loop ---- */

typedef struct test_embedding {
    rpi_reactor reactor;
    rpi_async async;
    test_input input;
    int feed;        /* the writing end */
    int bells[3];    /* eventfds that are watched: two from before the embedding */
    atomic_int seen; /* rounds that the loop has seen */
    int rounds;
} test_embedding;

static void on_embedded_async(rpi_async *async)
{
    atomic_fetch_add(&RPI_CONTAINER(async, test_embedding, async)->seen, 1);
}

static void on_embedded_post(rp_loop *loop, void *user)
{
    (void)loop;
    atomic_fetch_add(&((test_embedding *)user)->seen, 1);
}

static void on_embedded_input(rpi_op *op)
{
    test_input *input = RPI_CONTAINER(op, test_input, op);
    test_embedding *self = RPI_CONTAINER(input, test_embedding, input);

    if (op->result == RP_ECANCELED) {
        return; // the end of the test
    }
    cr_assert_eq(op->result, 1);
    input_start(input);
    atomic_fetch_add(&self->seen, 1);
}

static void on_embedded_watch(rp_watch *watch, uint32_t events, void *user)
{
    test_embedding *self = user;
    uint64_t count;
    int i;

    (void)watch;
    cr_assert_eq(events, RP_READABLE);
    for (i = 0; i < 3; i++) {
        if (read(self->bells[i], &count, sizeof count) == sizeof count) {
            atomic_fetch_add(&self->seen, 1);
        }
    }
}

static void provoke_once(test_embedding *self, int kind)
{
    static const uint64_t one = 1;

    switch (kind) {
    case 0:
        cr_assert_eq(write(self->feed, "x", 1), 1);
        break;
    case 1:
        rpi_async_send(&self->async);
        break;
    case 2:
        cr_assert_eq(rp_loop_post(system_loop(&self->reactor), on_embedded_post, self), 0);
        break;
    default:
        cr_assert_eq(write(self->bells[kind - 3], &one, sizeof one), sizeof one);
        break;
    }
}

/* One thing at a time, at a moment that wanders over the other side's falling asleep. */
static void *provoke(void *user)
{
    test_embedding *self = user;
    unsigned random = 1;
    int i;

    for (i = 0; i < self->rounds; i++) {
        unsigned spins;

        random = random * 1664525 + 1013904223;
        for (spins = random >> 22; spins > 0; spins--) {
            atomic_signal_fence(memory_order_seq_cst);
        }
        provoke_once(self, i % 6);
        while (atomic_load(&self->seen) <= i) {
            sched_yield();
        }
    }
    return NULL;
}

static void embedding_open(test_embedding *self)
{
    rp_loop *loop = system_loop(&self->reactor);
    int ends[2];
    int i;

    system_open(&self->reactor);
    self->rounds = ROUNDS(100000);
    pipe_open(ends);
    self->feed = ends[1];
    input_open(&self->input, &self->reactor, ends[0]);
    self->input.op.done = on_embedded_input;
    input_start(&self->input);
    rpi_async_init(&self->reactor, &self->async, on_embedded_async);
    for (i = 0; i < 3; i++) {
        self->bells[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        cr_assert_eq(
            rp_watch_start(loop, self->bells[i], RP_READABLE, on_embedded_watch, self, NULL), 0);
        if (i == 1) {
            cr_assert_eq(rpi_reactor_turn(&self->reactor, 0), 0); // the system knows of it
            cr_assert_geq(rpi_reactor_fd(&self->reactor), 0);
        }
    }
    cr_assert_eq(rpi_reactor_fd(&self->reactor), rpi_reactor_fd(&self->reactor));
}

static void embedding_close(test_embedding *self)
{
    rpi_async_fini(&self->async);
    rpi_reactor_fini(&self->reactor);
    close(self->bells[0]);
    close(self->bells[1]);
    close(self->bells[2]);
    close((int)self->input.io.handle);
    close(self->feed);
}

static void embed(uint32_t how)
{
    static test_embedding self;
    struct epoll_event event = {.events = EPOLLIN | how};
    pthread_t thread;
    int host = epoll_create1(EPOLL_CLOEXEC);

    embedding_open(&self);
    cr_assert_eq(epoll_ctl(host, EPOLL_CTL_ADD, (int)rpi_reactor_fd(&self.reactor), &event), 0);
    cr_assert_eq(pthread_create(&thread, NULL, provoke, &self), 0);
    while (atomic_load(&self.seen) < self.rounds) {
        if (rpi_reactor_timeout_ns(&self.reactor) != 0) {
            int count = epoll_wait(host, &event, 1, 10000);

            cr_assert(count >= 0 || errno == EINTR);
            cr_assert_neq(count, 0, "a wake was lost, of kind %d", atomic_load(&self.seen) % 6);
        }
        cr_assert_geq(rpi_reactor_turn(&self.reactor, 0), 0);
    }
    cr_assert_eq(pthread_join(thread, NULL), 0);
    embedding_close(&self);
    close(host);
}

Test(wake, of_an_embedded_loop_loses_nothing_level_triggered)
{
    embed(0);
}

Test(wake, of_an_embedded_loop_loses_nothing_edge_triggered)
{
    embed(EPOLLET);
}

Test(wake, of_an_embedded_loop_loses_nothing_while_it_sleeps_itself)
{
    static test_embedding self;
    pthread_t thread;

    embedding_open(&self);
    cr_assert_eq(pthread_create(&thread, NULL, provoke, &self), 0);
    while (atomic_load(&self.seen) < self.rounds) {
        uint64_t begin_ns = rpi_reactor_clock_ns(&self.reactor);

        cr_assert_geq(rpi_reactor_turn(&self.reactor, 10 * RP_SECOND), 0);
        cr_assert_lt(rpi_reactor_clock_ns(&self.reactor) - begin_ns, 10 * RP_SECOND);
    }
    cr_assert_eq(pthread_join(thread, NULL), 0);
    embedding_close(&self);
}

Test(wake, of_an_embedded_loop_shows_what_was_ready_before)
{
    rpi_reactor reactor;
    test_input input;
    struct epoll_event event = {.events = EPOLLIN};
    int host = epoll_create1(EPOLL_CLOEXEC);
    int ends[2];

    system_open(&reactor);
    pipe_open(ends);
    input_open(&input, &reactor, ends[0]);
    input_start(&input);
    cr_assert_eq(rpi_reactor_turn(&reactor, 0), 0); // the system knows of it
    cr_assert_eq(write(ends[1], "x", 1), 1);
    cr_assert_eq(epoll_ctl(host, EPOLL_CTL_ADD, (int)rpi_reactor_fd(&reactor), &event), 0);
    while (input.calls == 0) {
        if (rpi_reactor_timeout_ns(&reactor) != 0) {
            cr_assert_eq(epoll_wait(host, &event, 1, 3000), 1);
        }
        cr_assert_geq(rpi_reactor_turn(&reactor, 0), 0);
    }
    rpi_reactor_fini(&reactor);
    close(host);
    close(ends[0]);
    close(ends[1]);
}

/* ---- signals ---- */

static atomic_int signals_seen;
static rpi_reactor *stopped; /* by the handler */

static void on_signal(int number)
{
    (void)number;
    atomic_fetch_add(&signals_seen, 1);
    if (stopped != NULL) {
        atomic_store(&stopped->stop, true);
        rpi_reactor_wake(stopped);
    }
}

static void catch_alarms(long first_us, long period_us)
{
    const struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    const struct itimerval period = {{0, period_us}, {0, first_us}};

    cr_assert_eq(sigaction(SIGALRM, &action, NULL), 0);
    cr_assert_eq(setitimer(ITIMER_REAL, &period, NULL), 0);
}

static void fire_nothing(rp_timer *timer, void *user)
{
    (void)timer;
    ++*(int *)user;
}

Test(wake, by_a_signal_ends_a_wait_where_that_is_asked_for)
{
    rpi_reactor_options options = {.backend = RIG_BACKEND, .return_on_signal = true};
    rpi_reactor reactor;
    test_input inputs[20];
    int ends[2];
    int i;

    cr_assert_eq(rpi_reactor_init(&reactor, &options), 0);
    for (i = 0; i < 20; i++) {
        const int before = atomic_load(&signals_seen);

        pipe_open(ends);
        input_open(&inputs[i], &reactor, ends[0]);
        input_start(&inputs[i]);     // something to hand over in the same call
        catch_alarms(20000, 900000); // the second comes only if the first was in vain
        cr_assert_eq(rpi_reactor_turn(&reactor, i % 2 == 0 ? RP_FOREVER : 60 * RP_SECOND),
                     RP_EINTR);
        cr_assert_eq(atomic_load(&signals_seen), before + 1);
    }
    catch_alarms(0, 0);
    rpi_reactor_fini(&reactor);
}

Test(wake, by_a_signal_is_not_seen_otherwise)
{
    rpi_reactor reactor;
    uint64_t begin_ns;
    int fired = 0;

    system_open(&reactor);
    catch_alarms(1000, 1000);
    begin_ns = rpi_reactor_clock_ns(&reactor);
    cr_assert_eq(
        rp_timer_start(system_loop(&reactor), 30 * RP_MILLISECOND, 0, fire_nothing, &fired, NULL),
        0);
    cr_assert_eq(rpi_reactor_turn(&reactor, RP_FOREVER), 1);
    cr_assert_eq(fired, 1);
    begin_ns = rpi_reactor_clock_ns(&reactor);
    cr_assert_eq(rpi_reactor_turn(&reactor, 30 * RP_MILLISECOND), 0);
    cr_assert_geq(rpi_reactor_clock_ns(&reactor) - begin_ns, 30 * RP_MILLISECOND);
    cr_assert_gt(atomic_load(&signals_seen), 5);
    catch_alarms(0, 0);
    rpi_reactor_fini(&reactor);
}

Test(wake, from_a_signal_handler_stops_a_turn_wherever_it_is)
{
    rpi_reactor reactor;
    int i;

    system_open(&reactor);
    stopped = &reactor;
    catch_alarms(200, 200);
    for (i = 0; i < ROUNDS(2000); i++) {
        cr_assert_eq(rpi_reactor_turn(&reactor, RP_FOREVER), 0);
        cr_assert(atomic_load(&reactor.stop));
        atomic_store(&reactor.stop, false);
    }
    catch_alarms(0, 0);
    stopped = NULL;
    rpi_reactor_fini(&reactor);
}
