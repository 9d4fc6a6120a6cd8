/* The contract of the turn: timers, tasks, asyncs, posts, and what a turn promises; built against
 * every backend: see rig.h. With the fake, time is exact; with a real system nothing is asserted of
 * it but that nothing comes early. */
#include <string.h>

#include "base/status.h"
#include "tests/reactor/contract.h"
#include "tests/support/check.h"
#include "tests/support/fault.h"

TestSuite(turn, .timeout = 60);

static rp_loop *loop_of(test_rig *rig)
{
    return (rp_loop *)(void *)&rig->reactor;
}

/* ---- embedded timers ---- */

typedef struct test_alarm {
    rpi_timer timer;
    test_rig *rig;
    int calls;
    int *order; /* counts all alarms */
    int at;     /* its place in the order */
    uint64_t due_ns;
    struct test_alarm *stops;
    struct test_alarm *delays;
    int again; /* how often it sets itself to now */
} test_alarm;

static void on_alarm(rpi_timer *timer)
{
    test_alarm *self = RPI_CONTAINER(timer, test_alarm, timer);

    cr_assert_geq(rpi_reactor_clock_ns(&self->rig->reactor), self->due_ns);
    cr_assert_geq(self->rig->reactor.now_ns, self->due_ns);
    self->calls++;
    self->at = ++*self->order;
    if (self->stops != NULL) {
        rpi_timer_off(&self->rig->reactor, &self->stops->timer);
    }
    if (self->delays != NULL) {
        self->delays->due_ns = self->rig->reactor.now_ns + 2 * RP_MILLISECOND;
        rpi_timer_set(&self->rig->reactor, &self->delays->timer, self->delays->due_ns);
    }
    if (self->again > 0) {
        self->again--;
        rpi_timer_set(&self->rig->reactor, timer, self->rig->reactor.now_ns);
    }
}

static void alarm_open(test_alarm *self, test_rig *rig, int *order, uint64_t at_ns)
{
    memset(self, 0, sizeof *self);
    self->rig = rig;
    self->order = order;
    self->due_ns = at_ns;
    cr_assert_eq(rpi_timer_init(&rig->reactor, &self->timer, on_alarm), 0);
    rpi_timer_set(&rig->reactor, &self->timer, at_ns);
}

Test(turn, fires_timers_in_order_of_time_then_of_arming)
{
    static const unsigned AFTER_MS[] = {5, 3, 3, 8, 1, 3, 2};
    static const int PLACES[] = {6, 3, 4, 7, 1, 5, 2};
    enum {
        COUNT = sizeof AFTER_MS / sizeof AFTER_MS[0]
    };
    test_rig rig;
    test_alarm alarms[COUNT];
    int order = 0;
    uint64_t begin_ns;
    int i;

    rig_open(&rig, NULL);
    begin_ns = rpi_reactor_clock_ns(&rig.reactor);
    for (i = 0; i < COUNT; i++) {
        alarm_open(&alarms[i], &rig, &order, begin_ns + AFTER_MS[i] * RP_MILLISECOND);
    }
    UNTIL(&rig, order == COUNT);
    for (i = 0; i < COUNT; i++) {
        cr_expect_eq(alarms[i].at, PLACES[i]);
        cr_expect_eq(alarms[i].calls, 1);
        rpi_timer_fini(&rig.reactor, &alarms[i].timer);
    }
    cr_assert_eq(rpi_reactor_timeout_ns(&rig.reactor), RP_FOREVER);
    rig_close(&rig);
}

Test(turn, leaves_a_timer_that_is_set_to_now_for_the_next_turn)
{
    test_rig rig;
    test_alarm alarm;
    int order = 0;
    int i;

    rig_open(&rig, NULL);
    alarm_open(&alarm, &rig, &order, rpi_reactor_clock_ns(&rig.reactor));
    alarm.again = 3;
    for (i = 1; i <= 4; i++) {
        cr_assert_eq(rpi_reactor_turn(&rig.reactor, RP_FOREVER), 1);
        cr_assert_eq(alarm.calls, i);
    }
    rpi_timer_fini(&rig.reactor, &alarm.timer);
    rig_close(&rig);
}

Test(turn, lets_a_timer_stop_or_delay_one_that_is_due_in_the_same_turn)
{
    test_rig rig;
    test_alarm alarms[3];
    int order = 0;
    uint64_t at_ns;
    int i;

    rig_open(&rig, NULL);
    at_ns = rpi_reactor_clock_ns(&rig.reactor);
    for (i = 0; i < 3; i++) {
        alarm_open(&alarms[i], &rig, &order, at_ns);
    }
    alarms[0].stops = &alarms[1];
    alarms[0].delays = &alarms[2];
    cr_assert_eq(rpi_reactor_turn(&rig.reactor, RP_FOREVER), 1);
    UNTIL(&rig, alarms[2].calls == 1); // on_alarm asserts that it is not early
    cr_assert_eq(alarms[1].calls, 0);
    for (i = 0; i < 3; i++) {
        rpi_timer_fini(&rig.reactor, &alarms[i].timer);
    }
    rig_close(&rig);
}

Test(turn, tells_how_long_it_may_sleep)
{
    test_rig rig;
    test_alarm alarm;
    int order = 0;
    uint64_t span_ns;

    rig_open(&rig, NULL);
    cr_assert_eq(rpi_reactor_timeout_ns(&rig.reactor), RP_FOREVER);
    alarm_open(&alarm, &rig, &order, rpi_reactor_clock_ns(&rig.reactor) + 3600 * RP_SECOND);
    span_ns = rpi_reactor_timeout_ns(&rig.reactor);
    cr_assert_leq(span_ns, 3600 * RP_SECOND);
    cr_assert_gt(span_ns, 3000 * RP_SECOND);
    rpi_timer_set(&rig.reactor, &alarm.timer, alarm.due_ns = 1);
    cr_assert_eq(rpi_reactor_timeout_ns(&rig.reactor), 0);
    rpi_timer_off(&rig.reactor, &alarm.timer);
    cr_assert_eq(rpi_reactor_timeout_ns(&rig.reactor), RP_FOREVER);
    rpi_timer_fini(&rig.reactor, &alarm.timer);
    rig_close(&rig);
}

Test(turn, waits_no_longer_and_no_shorter_than_asked)
{
    test_rig rig;
    uint64_t begin_ns;

    rig_open(&rig, NULL);
    begin_ns = rpi_reactor_clock_ns(&rig.reactor);
    cr_assert_eq(rpi_reactor_turn(&rig.reactor, 3 * RP_MILLISECOND), 0);
    cr_assert_geq(rpi_reactor_clock_ns(&rig.reactor) - begin_ns, 3 * RP_MILLISECOND);
    cr_assert_eq(rpi_reactor_turn(&rig.reactor, 0), 0);
    cr_assert_eq(rig.reactor.callbacks, 0);
    rig_close(&rig);
}

/* ---- public timers ---- */

typedef struct test_clockwork {
    rp_timer *timer;
    int calls;
    int close_at;
    int set_at;
    uint64_t set_delay_ns;
    uint64_t set_repeat_ns;
} test_clockwork;

static void on_clockwork(rp_timer *timer, void *user)
{
    test_clockwork *self = user;

    self->calls++;
    if (self->calls == self->set_at) {
        rp_timer_set(timer, self->set_delay_ns, self->set_repeat_ns);
    }
    if (self->calls == self->close_at) {
        rp_timer_close(timer);
    }
}

Test(turn, repeats_public_timers_until_they_are_closed_by_their_own_callback)
{
    test_rig rig;
    test_clockwork work = {.close_at = 4};

    rig_open(&rig, NULL);
    cr_assert_eq(rp_timer_start(loop_of(&rig), 0, RP_MILLISECOND, on_clockwork, &work, &work.timer),
                 0);
    cr_assert_eq(rig.reactor.left, 1);
    UNTIL(&rig, work.calls == 4);
    cr_assert_eq(rig.reactor.left, 0);
    cr_assert_eq(rpi_reactor_turn(&rig.reactor, 3 * RP_MILLISECOND), 0);
    cr_assert_eq(work.calls, 4);
    rig_close(&rig);
}

Test(turn, keeps_a_fired_single_shot_for_another_setting)
{
    test_rig rig;
    test_clockwork work = {.calls = 0};

    rig_open(&rig, NULL);
    cr_assert_eq(rp_timer_start(loop_of(&rig), 1, 0, on_clockwork, &work, &work.timer), 0);
    UNTIL(&rig, work.calls == 1);
    cr_assert_eq(rig.reactor.left, 0);
    rp_timer_set(work.timer, RP_MILLISECOND, 0);
    cr_assert_eq(rig.reactor.left, 1);
    rp_timer_set(work.timer, RP_MILLISECOND, 0);
    cr_assert_eq(rig.reactor.left, 1);
    UNTIL(&rig, work.calls == 2);
    rp_timer_set(work.timer, 1, 0);
    rp_timer_set(work.timer, RP_FOREVER, 0);
    cr_assert_eq(rig.reactor.left, 0);
    cr_assert_eq(rpi_reactor_turn(&rig.reactor, RP_MILLISECOND), 0);
    rp_timer_close(work.timer);
    rp_timer_close(NULL);
    rig_close(&rig);
}

Test(turn, lets_a_public_timer_set_itself_anew_from_its_callback)
{
    test_rig rig;
    test_clockwork once = {.set_at = 1, .set_delay_ns = RP_MILLISECOND};
    test_clockwork stopped = {.set_at = 2, .set_delay_ns = RP_FOREVER};

    rig_open(&rig, NULL);
    cr_assert_eq(rp_timer_start(loop_of(&rig), 0, 0, on_clockwork, &once, &once.timer), 0);
    cr_assert_eq(rp_timer_start(loop_of(&rig), 0, 1, on_clockwork, &stopped, &stopped.timer), 0);
    UNTIL(&rig, once.calls == 2 && stopped.calls == 2);
    cr_assert_eq(rig.reactor.left, 0);
    cr_assert_eq(rpi_reactor_turn(&rig.reactor, RP_MILLISECOND), 0);
    rig_close(&rig); // closes both
}

Test(turn, frees_an_anonymous_single_shot_by_itself)
{
    rpi_fault_memory memory;
    test_rig rig;
    test_clockwork work = {.calls = 0};
    size_t blocks;

    rpi_fault_memory_init(&memory, 0);
    rig_open(&rig, &memory.allocator);
    blocks = memory.live_blocks;
    cr_assert_eq(rp_timer_start(loop_of(&rig), 0, 0, on_clockwork, &work, NULL), 0);
    UNTIL(&rig, work.calls == 1);
    cr_assert_leq(memory.live_blocks, blocks + 1); // the heap's array stays
    rig_close(&rig);
    cr_assert_eq(memory.live_blocks, 0);
}

Test(turn, does_not_pile_up_late_repeats)
{
    test_rig rig;
    test_clockwork work = {.calls = 0};
    uint64_t begin_ns;
    uint64_t now_ns;
    test_alarm alarm;
    int order = 0;

    rig_open(&rig, NULL);
    begin_ns = rpi_reactor_clock_ns(&rig.reactor);
    cr_assert_eq(rp_timer_start(loop_of(&rig), RP_MILLISECOND, RP_MILLISECOND, on_clockwork, &work,
                                &work.timer),
                 0);
    do { // five periods pass without a turn of the loop
        rig_pass(&rig, RP_MILLISECOND);
        now_ns = rpi_reactor_clock_ns(&rig.reactor);
    } while (now_ns < begin_ns + 5 * RP_MILLISECOND);
    cr_assert_eq(rpi_reactor_turn(&rig.reactor, 0), 1);
    cr_assert_eq(work.calls, 1);
    if (rig.reactor.clock != NULL) { // time stands still meanwhile: the next is a period away
        cr_assert_eq(rpi_reactor_timeout_ns(&rig.reactor), RP_MILLISECOND);
    }
    rp_timer_close(work.timer);
    // Nothing is left of it.
    alarm_open(&alarm, &rig, &order, RP_FOREVER);
    cr_assert_eq(rpi_reactor_timeout_ns(&rig.reactor), RP_FOREVER);
    rpi_timer_fini(&rig.reactor, &alarm.timer);
    rig_close(&rig);
}

Test(turn, refuses_a_timer_without_a_callback)
{
    test_rig rig;
    rp_timer *timer = NULL;

    rig_open(&rig, NULL);
    cr_assert_eq(rp_timer_start(loop_of(&rig), 0, 0, NULL, NULL, &timer), RP_EINVAL);
    cr_assert_null(timer);
    cr_assert_eq(rig.reactor.left, 0);
    rig_close(&rig);
}

/* ---- tasks, asyncs, posts ---- */

typedef struct test_chore {
    rpi_task task;
    test_rig *rig;
    int calls;
    int again;
} test_chore;

static void on_chore(rpi_task *task)
{
    test_chore *self = RPI_CONTAINER(task, test_chore, task);

    self->calls++;
    if (self->again > 0) {
        self->again--;
        rpi_task_start(&self->rig->reactor, task);
    }
}

Test(turn, runs_a_task_once_however_often_asked_for)
{
    test_rig rig;
    test_chore chore = {.rig = &rig};

    rig_open(&rig, NULL);
    rpi_task_init(&chore.task, on_chore);
    rpi_task_start(&rig.reactor, &chore.task);
    rpi_task_start(&rig.reactor, &chore.task);
    cr_assert_eq(rpi_reactor_timeout_ns(&rig.reactor), 0);
    cr_assert_eq(rpi_reactor_turn(&rig.reactor, RP_FOREVER), 1);
    cr_assert_eq(chore.calls, 1);
    cr_assert_eq(rpi_reactor_turn(&rig.reactor, 0), 0);
    rpi_task_start(&rig.reactor, &chore.task);
    rpi_task_cancel(&chore.task);
    cr_assert_eq(rpi_reactor_turn(&rig.reactor, 0), 0);
    cr_assert_eq(chore.calls, 1);
    // One that asks for itself waits for the next turn.
    chore.again = 2;
    rpi_task_start(&rig.reactor, &chore.task);
    cr_assert_eq(rpi_reactor_turn(&rig.reactor, RP_FOREVER), 1);
    cr_assert_eq(rpi_reactor_turn(&rig.reactor, RP_FOREVER), 1);
    cr_assert_eq(rpi_reactor_turn(&rig.reactor, RP_FOREVER), 1);
    cr_assert_eq(chore.calls, 4);
    rig_close(&rig);
}

typedef struct test_bell {
    rpi_async async;
    int calls;
    struct test_bell *ends;
} test_bell;

static void on_bell(rpi_async *async)
{
    test_bell *self = RPI_CONTAINER(async, test_bell, async);

    self->calls++;
    if (self->ends != NULL) {
        rpi_async_fini(&self->ends->async);
    }
}

Test(turn, calls_an_async_once_however_often_sent)
{
    test_rig rig;
    test_bell bells[3] = {{.calls = 0}};
    int i;

    rig_open(&rig, NULL);
    for (i = 0; i < 3; i++) {
        rpi_async_init(&rig.reactor, &bells[i].async, on_bell);
    }
    rpi_async_send(&bells[1].async);
    rpi_async_send(&bells[1].async);
    cr_assert(rpi_reactor_has_posts(&rig.reactor));
    cr_assert_eq(rpi_reactor_turn(&rig.reactor, RP_FOREVER), 1);
    cr_assert_not(rpi_reactor_has_posts(&rig.reactor));
    cr_assert_eq(bells[1].calls, 1);
    cr_assert_eq(bells[0].calls + bells[2].calls, 0);
    cr_assert_eq(rpi_reactor_turn(&rig.reactor, 0), 0);
    // One may end another that was sent, too.
    bells[0].ends = &bells[2];
    rpi_async_send(&bells[2].async);
    rpi_async_send(&bells[0].async);
    bells[2].ends = &bells[0];
    cr_assert_eq(rpi_reactor_turn(&rig.reactor, RP_FOREVER), 1);
    cr_assert_eq(bells[0].calls + bells[2].calls, 1);
    rpi_async_fini(&bells[0].async);
    rpi_async_fini(&bells[1].async);
    rpi_async_fini(&bells[2].async);
    rig_close(&rig);
}

typedef struct test_diary {
    test_rig *rig;
    int entries[16];
    int count;
    int again;
    int answer;
} test_diary;

static void write_entry(rp_loop *loop, void *user)
{
    test_diary *self = user;

    self->entries[self->count] = self->count;
    self->count++;
    if (self->again > 0) {
        self->again--;
        self->answer = rp_loop_post(loop, write_entry, user);
    }
}

Test(turn, runs_posts_in_order_and_those_made_meanwhile_in_the_next)
{
    test_rig rig;
    test_diary diary = {.rig = &rig, .again = 1};

    rig_open(&rig, NULL);
    cr_assert_eq(rp_loop_post(loop_of(&rig), NULL, NULL), RP_EINVAL);
    cr_assert_eq(rp_loop_post(loop_of(&rig), write_entry, &diary), 0);
    cr_assert_eq(rp_loop_post(loop_of(&rig), write_entry, &diary), 0);
    cr_assert_eq(rpi_reactor_timeout_ns(&rig.reactor), 0);
    cr_assert_eq(rpi_reactor_turn(&rig.reactor, RP_FOREVER), 2);
    cr_assert_eq(diary.answer, 0);
    cr_assert_eq(rpi_reactor_turn(&rig.reactor, RP_FOREVER), 1);
    cr_assert_eq(rpi_reactor_turn(&rig.reactor, 0), 0);
    cr_assert_eq(diary.count, 3);
    rig_close(&rig);
}

Test(turn, runs_waiting_posts_at_the_end_and_takes_no_new_ones)
{
    test_rig rig;
    test_diary diary = {.rig = &rig, .again = 1};

    rig_open(&rig, NULL);
    cr_assert_eq(rp_loop_post(loop_of(&rig), write_entry, &diary), 0);
    cr_assert_eq(rp_loop_post(loop_of(&rig), write_entry, &diary), 0);
    rpi_reactor_fini(&rig.reactor);
    cr_assert_eq(diary.count, 2);
    cr_assert_eq(diary.answer, RP_ECANCELED);
    rig_forget(&rig);
}

/* ---- what a turn refuses and promises ---- */

typedef struct test_nest {
    rpi_op op;
    rpi_task task;
    rpi_async async;
    rpi_timer timer;
    test_rig *rig;
    char byte;
    int refused;
} test_nest;

static void try_turn(test_nest *self)
{
    self->refused += rpi_reactor_turn(&self->rig->reactor, 0) == RP_EDEADLK;
}

static void nest_in_done(rpi_op *op)
{
    try_turn(RPI_CONTAINER(op, test_nest, op));
}

static void nest_in_task(rpi_task *task)
{
    try_turn(RPI_CONTAINER(task, test_nest, task));
}

static void nest_in_async(rpi_async *async)
{
    try_turn(RPI_CONTAINER(async, test_nest, async));
}

static void nest_in_timer(rpi_timer *timer)
{
    try_turn(RPI_CONTAINER(timer, test_nest, timer));
}

static void nest_in_post(rp_loop *loop, void *user)
{
    (void)loop;
    try_turn(user);
}

Test(turn, refuses_to_run_inside_a_callback)
{
    test_rig rig;
    rig_end end;
    test_nest nest = {.rig = &rig};

    rig_open(&rig, NULL);
    rig_source_open(&rig, &end);
    rig_feed(&rig, &end, "x", 1);
    rpi_op_init(&nest.op, RPI_OP_READ, &end.io, nest_in_done);
    nest.op.data = &nest.byte;
    nest.op.size = 1;
    cr_assert_eq(rpi_op_start(&rig.reactor, &nest.op), 0);
    rpi_task_init(&nest.task, nest_in_task);
    rpi_task_start(&rig.reactor, &nest.task);
    rpi_async_init(&rig.reactor, &nest.async, nest_in_async);
    rpi_async_send(&nest.async);
    cr_assert_eq(rpi_timer_init(&rig.reactor, &nest.timer, nest_in_timer), 0);
    rpi_timer_set(&rig.reactor, &nest.timer, 1);
    cr_assert_eq(rp_loop_post(loop_of(&rig), nest_in_post, &nest), 0);
    UNTIL(&rig, nest.refused == 5);
    rpi_timer_fini(&rig.reactor, &nest.timer);
    rpi_async_fini(&nest.async);
    rig_end_close(&rig, &end);
    rig_close(&rig);
}

Test(turn, does_not_sleep_when_a_stop_was_asked)
{
    test_rig rig;

    rig_open(&rig, NULL);
    atomic_store(&rig.reactor.stop, true);
    rpi_reactor_wake(&rig.reactor);
    cr_assert_eq(rpi_reactor_timeout_ns(&rig.reactor), 0);
    cr_assert_eq(rpi_reactor_turn(&rig.reactor, RP_FOREVER), 0);
    rig_close(&rig);
}

Test(turn, leaves_nothing_behind)
{
    rpi_fault_memory memory;
    test_rig rig;
    test_clockwork work = {.calls = 0};
    test_diary diary = {.rig = &rig};

    rpi_fault_memory_init(&memory, 0);
    rig_open(&rig, &memory.allocator);
    cr_assert_eq(rp_timer_start(loop_of(&rig), RP_SECOND, 0, on_clockwork, &work, &work.timer), 0);
    cr_assert_eq(rp_timer_start(loop_of(&rig), RP_FOREVER, 0, on_clockwork, &work, NULL), 0);
    cr_assert_eq(rp_loop_post(loop_of(&rig), write_entry, &diary), 0);
    rig_close(&rig);
    cr_assert_eq(memory.live_blocks, 0);
    cr_assert_eq(work.calls, 0);
    cr_assert_eq(diary.count, 1);
}

Test(turn, survives_every_failed_allocation)
{
    unsigned n;

    for (n = 1;; n++) {
        rpi_fault_memory memory;
        test_rig rig;
        rp_timer *timer = NULL;
        test_clockwork work = {.calls = 0};
        test_diary diary = {.rig = &rig};
        unsigned opened;
        int failed = 0;

        rpi_fault_memory_init(&memory, 0);
        rig_open(&rig, &memory.allocator);
        opened = memory.requests;
        memory.fail_at = opened + n;
        failed += rp_timer_start(loop_of(&rig), 0, 0, on_clockwork, &work, &timer) == RP_ENOMEM;
        failed += rp_loop_post(loop_of(&rig), write_entry, &diary) == RP_ENOMEM;
        cr_assert_eq(failed, memory.fired ? 1 : 0);
        while (rpi_reactor_turn(&rig.reactor, 0) > 0) {
        }
        cr_assert_eq(work.calls + diary.count, 2 - failed);
        rig_close(&rig);
        cr_assert_eq(memory.live_blocks, 0);
        if (!memory.fired) {
            break;
        }
    }
    cr_assert_geq(n, 3);
}
