/* Idle watches on real children: output, input, ends and closes come as events, the time they are
 * judged by is the test's. It lies far behind the real clock's, which stamps launches. */
#define _GNU_SOURCE
#include <pthread.h>
#include <string.h>

#include "core/loop.h"
#include "tests/support/check.h"
#include "tests/support/stage.h"

/* ---- time ---- */

static uint64_t present_ns;

static uint64_t tell_time(void *user)
{
    (void)user;
    return present_ns;
}

static void open_with_clock(stage *on, rp_backend backend)
{
    stage_open(on, backend, NULL);
    present_ns = rp_now_ns() + 24 * 3600 * RP_SECOND;
    on->loop->reactor.clock = tell_time;
    on->loop->reactor.now_ns = present_ns;
}

/* What is there to be done without time passing. */
static void settle(stage *on)
{
    while (rp_loop_run_once(on->loop, 0) > 0) {
    }
}

static void pass(stage *on, uint64_t span_ns)
{
    present_ns += span_ns;
    settle(on);
}

/* ---- watches ---- */

typedef struct heard {
    rp_idle_result last;
    unsigned int count;
    unsigned int ends;
    actor *child;
    rp_idle *closes; /* in its callback */
    bool kills;      /* closes the process in its callback */
} heard;

static void on_idle(rp_process *process, const rp_idle_result *result, void *user)
{
    heard *self = user;

    cr_assert_eq(self->ends, 0, "the end is the last");
    cr_assert_eq(self->child->counts[ACTOR_DONE], 0, "after done");
    cr_assert_eq(process, self->child->process);
    self->last = *result;
    self->count++;
    self->ends += result->reason != RP_IDLE_IS_IDLE;
    cr_assert_neq(result->reason, RP_IDLE_TIMED_OUT);
    if (self->closes != NULL) {
        rp_idle_close(self->closes);
    }
    if (self->kills) {
        actor_close(self->child);
    }
    cr_assert_eq(self->last.reason, result->reason, "a view that did not stay");
}

/* A child that says what it is told, up and listening, and a watch on it. */
typedef struct scene {
    stage on;
    actor child;
    heard report;
    rp_idle *idle;
} scene;

static void open_scene(scene *self, rp_backend backend, const rp_idle_options *options)
{
    rp_command command = stage_command(CHILD("cat"));

    *self = (scene){.report = {.child = NULL}};
    self->report.child = &self->child;
    open_with_clock(&self->on, backend);
    command.in.kind = RP_STDIO_PIPE;
    actor_spawn(&self->on, &self->child, &command, ACTOR_DATA);
    stage_run_until(&self->on, &self->child.counts[ACTOR_STARTED], 1);
    if (options != NULL) {
        int r = rp_idle_start(self->child.process, options, on_idle, &self->report, &self->idle);

        cr_assert_eq(r, 0, "%s", rp_error_detail());
    }
}

static void say(scene *self, const char *text)
{
    const size_t wanted = self->child.data[0].size + strlen(text);

    cr_assert_eq(rp_write(self->child.process, (rp_view){text, strlen(text)}, NULL, NULL), 0);
    while (self->child.data[0].size < wanted) {
        cr_assert_geq(rp_loop_run_once(self->on.loop, RP_FOREVER), 0);
    }
    settle(&self->on);
}

static void let_it_end(scene *self)
{
    cr_assert_eq(rp_close_stdin(self->child.process), 0);
    stage_run_until(&self->on, &self->child.counts[ACTOR_DONE], 1);
}

static void close_scene(scene *self)
{
    rp_idle_close(self->idle);
    stage_close(&self->on);
    actor_free(&self->child);
}

static const rp_idle_options defaults = RP_IDLE_OPTIONS_INIT;

/* ---- quiet times ---- */

BACKEND_TEST(idle, reports_each_quiet_time_once_and_last_the_exit)
{
    scene self;

    open_scene(&self, *backend, &defaults);
    pass(&self.on, 10 * RP_SECOND - 1);
    cr_assert_eq(self.report.count, 0);
    pass(&self.on, 1);
    cr_assert_eq(self.report.count, 1);
    cr_assert_eq(self.report.last.reason, RP_IDLE_IS_IDLE);
    cr_assert_eq(self.report.last.idle_ns, 10 * RP_SECOND);
    pass(&self.on, 100 * RP_SECOND);
    cr_assert_eq(self.report.count, 1);
    say(&self, "a");
    pass(&self.on, 10 * RP_SECOND);
    cr_assert_eq(self.report.count, 2);
    pass(&self.on, RP_SECOND);
    let_it_end(&self);
    cr_assert_eq(self.report.count, 3);
    cr_assert_eq(self.report.last.reason, RP_IDLE_PROCESS_EXIT);
    cr_assert_eq(self.report.last.idle_ns, 11 * RP_SECOND);
    close_scene(&self);
}

BACKEND_TEST(idle, starts_the_clock_anew_with_every_byte)
{
    scene self;

    open_scene(&self, *backend, &defaults);
    for (int i = 0; i < 10; i++) {
        pass(&self.on, 9 * RP_SECOND);
        say(&self, "x");
    }
    cr_assert_eq(self.report.count, 0);
    pass(&self.on, 10 * RP_SECOND);
    cr_assert_eq(self.report.last.idle_ns, 10 * RP_SECOND);
    let_it_end(&self);
    close_scene(&self);
}

BACKEND_TEST(idle, hears_output_alone_and_input_alone)
{
    const rp_idle_options no_input = {.size = sizeof no_input, .ignore_input = true};
    const rp_idle_options no_output = {.size = sizeof no_output, .ignore_output = true};
    const rp_idle_options neither = {
        .size = sizeof neither, .ignore_input = true, .ignore_output = true};
    const rp_idle_options *const each[] = {&no_input, &no_output, &neither};

    for (int i = 0; i < 3; i++) {
        scene self;

        open_scene(&self, *backend, each[i]);
        pass(&self.on, 9 * RP_SECOND);
        say(&self, "x");
        pass(&self.on, RP_SECOND);
        cr_assert_eq(self.report.count, i == 2);
        pass(&self.on, 9 * RP_SECOND);
        cr_assert_eq(self.report.count, 1);
        let_it_end(&self);
        close_scene(&self);
    }
}

BACKEND_TEST(idle, does_not_take_a_spinner_for_activity_where_churn_is_ignored)
{
    const rp_idle_options options = {
        .size = sizeof options, .ignore_input = true, .ignore_churn = true};
    scene self;

    open_scene(&self, *backend, &options);
    say(&self, "\r\x1b[2");
    pass(&self.on, 5 * RP_SECOND);
    say(&self, "K\x1b"); // the end of one sequence and the beginning of another
    pass(&self.on, 4 * RP_SECOND);
    say(&self, "[1;3");
    pass(&self.on, RP_SECOND);
    cr_assert_eq(self.report.count, 1);
    say(&self, "4H");
    pass(&self.on, 10 * RP_SECOND);
    cr_assert_eq(self.report.count, 1, "nothing was to be seen");
    say(&self, "\x1b[1mx");
    pass(&self.on, 10 * RP_SECOND);
    cr_assert_eq(self.report.count, 2);
    let_it_end(&self);
    close_scene(&self);
}

/* ---- triggers ---- */

BACKEND_TEST(idle, waits_for_its_trigger_each_time)
{
    const rp_idle_options options = {.size = sizeof options, .start_on = RP_IDLE_START_SUBMIT};
    scene self;

    open_scene(&self, *backend, &options);
    say(&self, "line\n");
    pass(&self.on, 100 * RP_SECOND);
    cr_assert_eq(self.report.count, 0);
    for (unsigned int i = 1; i <= 3; i++) {
        cr_assert_eq(rp_submit(self.child.process, (rp_view){"y", 1}), 0);
        say(&self, "z");
        pass(&self.on, 9 * RP_SECOND);
        cr_assert_eq(self.report.count, i - 1);
        pass(&self.on, RP_SECOND);
        cr_assert_eq(self.report.count, i);
        say(&self, "no submit\n");
        pass(&self.on, 100 * RP_SECOND);
        cr_assert_eq(self.report.count, i);
    }
    let_it_end(&self);
    close_scene(&self);
}

BACKEND_TEST(idle, counts_triggers_that_came_before_the_watch)
{
    rp_idle_options options = {.size = sizeof options, .start_on = RP_IDLE_START_NEWLINE};
    scene self;
    heard second = {0};
    rp_idle *idle;

    open_scene(&self, *backend, NULL);
    second.child = &self.child;
    say(&self, "no line yet");
    cr_assert_eq(rp_idle_start(self.child.process, &options, on_idle, &self.report, &self.idle), 0);
    pass(&self.on, 10 * RP_SECOND);
    cr_assert_eq(self.report.count, 0);
    say(&self, "\r");
    cr_assert_eq(rp_idle_start(self.child.process, &options, on_idle, &second, &idle), 0);
    pass(&self.on, 10 * RP_SECOND);
    cr_assert_eq(self.report.count, 1);
    cr_assert_eq(second.count, 1);
    rp_idle_close(idle);
    let_it_end(&self);
    close_scene(&self);
}

BACKEND_TEST(idle, refuses_a_trigger_that_can_never_come)
{
    const rp_idle_options options = {.size = sizeof options, .start_on = RP_IDLE_START_SUBMIT};
    rp_command command = stage_command(CHILD("pause"));
    actor child = {0};
    heard none = {.child = &child};
    rp_idle *idle = NULL;
    stage on;

    stage_open(&on, *backend, NULL);
    actor_spawn(&on, &child, &command, 0);
    cr_assert_eq(rp_idle_start(child.process, &options, on_idle, &none, &idle), RP_EINVAL);
    cr_assert_eq(strncmp(rp_error_detail(), "start_on", 8), 0);
    cr_assert_eq(rp_idle_start(child.process, NULL, NULL, NULL, &idle), RP_EINVAL);
    cr_assert_null(idle);
    actor_close(&child);
    stage_close(&on);
}

/* ---- decide ---- */

typedef struct judgement {
    rp_idle_decision answer;
    rp_idle_info info;
    unsigned int asked;
    actor *closes; /* the process, while it is asked */
    rp_idle *leaves;
} judgement;

static rp_idle_decision decide(const rp_idle_info *info, void *user)
{
    judgement *self = user;

    self->info = *info;
    self->asked++;
    if (self->closes != NULL) {
        actor_close(self->closes);
    }
    if (self->leaves != NULL) {
        rp_idle_close(self->leaves);
        self->leaves = NULL;
    }
    return self->answer;
}

BACKEND_TEST(idle, asks_decide_once_a_sample)
{
    judgement judge = {.answer = RP_IDLE_DEFAULT};
    const rp_idle_options options = {.size = sizeof options,
                                     .timeout_ns = 2 * RP_SECOND,
                                     .decide = decide,
                                     .decide_user = &judge};
    scene self;

    open_scene(&self, *backend, &options);
    say(&self, "a\rb");
    pass(&self.on, 250 * RP_MILLISECOND - 1);
    cr_assert_eq(judge.asked, 0);
    pass(&self.on, 1);
    cr_assert_eq(judge.asked, 1);
    cr_assert_eq(judge.info.input_bytes, 3);
    cr_assert_eq(judge.info.output_bytes, 2);
    cr_assert_eq(judge.info.churn_bytes, 1);
    cr_assert(judge.info.alive);
    pass(&self.on, RP_SECOND); // a slow loop: one sample that covers it all
    cr_assert_eq(judge.asked, 2);
    cr_assert_eq(judge.info.delta_ns, RP_SECOND);
    for (int i = 0; i < 8; i++) {
        cr_assert_eq(self.report.count, i >= 4, "%d", i);
        pass(&self.on, 250 * RP_MILLISECOND);
    }
    cr_assert_eq(self.report.last.idle_ns, 2 * RP_SECOND);
    judge.answer = RP_IDLE_ACTIVE;
    pass(&self.on, 250 * RP_MILLISECOND);
    judge.answer = RP_IDLE_REACHED;
    pass(&self.on, 250 * RP_MILLISECOND);
    cr_assert_eq(self.report.count, 2);
    judge.answer = (rp_idle_decision)77; // told to the log
    pass(&self.on, 250 * RP_MILLISECOND);
    cr_assert_eq(self.report.count, 2);
    let_it_end(&self);
    cr_assert_eq(self.report.ends, 1);
    close_scene(&self);
}

BACKEND_TEST(idle, lets_decide_close_the_process_or_the_watch)
{
    judgement judge = {.answer = RP_IDLE_REACHED};
    const rp_idle_options options = {
        .size = sizeof options, .decide = decide, .decide_user = &judge};
    scene self;

    open_scene(&self, *backend, &options);
    judge.closes = &self.child;
    pass(&self.on, RP_SECOND);
    cr_assert_eq(judge.asked, 1);
    cr_assert_eq(self.report.count, 0);
    close_scene(&self);

    judge.closes = NULL;
    open_scene(&self, *backend, &options);
    judge.leaves = self.idle;
    self.idle = NULL;
    pass(&self.on, RP_SECOND);
    cr_assert_eq(judge.asked, 2);
    pass(&self.on, RP_SECOND);
    cr_assert_eq(judge.asked, 2);
    let_it_end(&self);
    cr_assert_eq(self.report.count, 0);
    close_scene(&self);
}

/* ---- the switch ---- */

static void *switch_on_elsewhere(void *user)
{
    rp_idle_enable(user, true);
    return NULL;
}

static void switch_in_thread(rp_idle *idle)
{
    pthread_t thread;

    cr_assert_eq(pthread_create(&thread, NULL, switch_on_elsewhere, idle), 0);
    cr_assert_eq(pthread_join(thread, NULL), 0);
}

BACKEND_TEST(idle, reports_nothing_while_it_is_switched_off)
{
    scene self;

    open_scene(&self, *backend, &defaults);
    rp_idle_enable(self.idle, false);
    pass(&self.on, 100 * RP_SECOND);
    cr_assert_eq(self.report.count, 0);
    switch_in_thread(self.idle);
    settle(&self.on);
    pass(&self.on, 10 * RP_SECOND - 1);
    cr_assert_eq(self.report.count, 0, "the clock was not restarted");
    switch_in_thread(self.idle); // is on: changes nothing
    pass(&self.on, 1);
    cr_assert_eq(self.report.count, 1);
    cr_assert_eq(self.report.last.idle_ns, 10 * RP_SECOND);

    // Off and on in one turn, at the moment that a quiet time is over.
    present_ns += 5 * RP_SECOND;
    rp_idle_enable(self.idle, false);
    switch_in_thread(self.idle);
    pass(&self.on, 0);
    pass(&self.on, 10 * RP_SECOND);
    cr_assert_eq(self.report.count, 2);
    rp_idle_enable(self.idle, false);
    let_it_end(&self);
    cr_assert_eq(self.report.ends, 1, "the end is told all the same");
    close_scene(&self);
}

BACKEND_TEST(idle, is_closed_right_after_it_was_switched_on)
{
    scene self;

    open_scene(&self, *backend, &defaults);
    rp_idle_enable(self.idle, false);
    switch_in_thread(self.idle);
    rp_idle_close(self.idle);
    self.idle = NULL;
    pass(&self.on, 100 * RP_SECOND);
    cr_assert_eq(self.report.count, 0);
    let_it_end(&self);
    close_scene(&self);
}

/* Switches from two threads while the loop runs: for ThreadSanitizer, and that none is lost. */
static void *switch_about(void *user)
{
    for (int i = 0; i < 2000; i++) {
        rp_idle_enable(user, false);
        rp_idle_enable(user, true);
    }
    return NULL;
}

BACKEND_TEST(idle, hears_every_switch_of_other_threads)
{
    pthread_t threads[2];
    scene self;

    open_scene(&self, *backend, &defaults);
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(pthread_create(&threads[i], NULL, switch_about, self.idle), 0);
    }
    for (int i = 0; i < 200; i++) {
        (void)rp_loop_run_once(self.on.loop, 0);
    }
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(pthread_join(threads[i], NULL), 0);
    }
    settle(&self.on);
    pass(&self.on, 10 * RP_SECOND);
    cr_assert_eq(self.report.count, 1, "it was left on");
    let_it_end(&self);
    close_scene(&self);
}

/* ---- who is kept waiting ---- */

BACKEND_TEST(idle, does_not_take_a_paused_child_for_idle)
{
    scene self;

    open_scene(&self, *backend, &defaults);
    cr_assert_eq(rp_pause(self.child.process, RP_STDOUT), 0);
    settle(&self.on);
    pass(&self.on, 60 * RP_SECOND);
    cr_assert_eq(self.report.count, 0);
    pass(&self.on, 5 * RP_SECOND);
    cr_assert_eq(rp_resume(self.child.process, RP_STDOUT), 0);
    settle(&self.on);
    pass(&self.on, 10 * RP_SECOND - 1);
    cr_assert_eq(self.report.count, 0);
    pass(&self.on, 1);
    cr_assert_eq(self.report.count, 1);
    cr_assert_eq(self.report.last.idle_ns, 10 * RP_SECOND, "since the resume");
    let_it_end(&self);
    close_scene(&self);
}

BACKEND_TEST(idle, waits_for_a_child_that_has_not_started)
{
    rp_loop_options options = {.process_max = 1};
    rp_command command = stage_command(CHILD("pause"));
    actor first = {0};
    actor second = {0};
    heard report = {.child = &second};
    rp_idle *idle;
    stage on;

    stage_open(&on, *backend, &options);
    present_ns = rp_now_ns() + 3600 * RP_SECOND;
    on.loop->reactor.clock = tell_time;
    actor_spawn(&on, &first, &command, 0);
    stage_run_until(&on, &first.counts[ACTOR_STARTED], 1);
    actor_spawn(&on, &second, &command, 0);
    cr_assert_eq(rp_idle_start(second.process, NULL, on_idle, &report, &idle), 0);
    for (int i = 0; i < 20; i++) {
        pass(&on, 10 * RP_SECOND);
    }
    cr_assert_eq(report.count, 0);
    actor_close(&first);
    stage_run_until(&on, &second.counts[ACTOR_STARTED], 1);
    pass(&on, 20 * RP_SECOND);
    cr_assert_eq(report.count, 1);
    actor_close(&second);
    rp_idle_close(idle);
    stage_close(&on);
}

BACKEND_TEST(idle, tells_the_end_of_a_launch_that_failed)
{
    rp_command command = stage_command((const char *const[]){"/nowhere/at/all", NULL});
    actor child = {0};
    heard report = {.child = &child};
    rp_idle *idle;
    stage on;

    stage_open(&on, *backend, NULL);
    actor_spawn(&on, &child, &command, 0);
    cr_assert_eq(rp_idle_start(child.process, NULL, on_idle, &report, &idle), 0);
    stage_run(&on);
    cr_assert_eq(child.exit.kind, RP_SPAWN_FAILED);
    cr_assert_eq(report.count, 1);
    cr_assert_eq(report.last.reason, RP_IDLE_PROCESS_EXIT);
    rp_idle_close(idle);
    stage_close(&on);
}

/* ---- the end ---- */

BACKEND_TEST(idle, tells_an_interrupt_of_the_caller_from_other_ends)
{
    scene self;

    open_scene(&self, *backend, &defaults);
    cr_assert_eq(rp_interrupt(self.child.process), 0);
    stage_run_until(&self.on, &self.child.counts[ACTOR_DONE], 1);
    cr_assert_eq(self.report.count, 1);
    cr_assert_eq(self.report.last.reason, RP_IDLE_INTERRUPTED);
    close_scene(&self);

    open_scene(&self, *backend, &defaults);
    cr_assert_eq(rp_kill(self.child.process), 0);
    stage_run_until(&self.on, &self.child.counts[ACTOR_DONE], 1);
    cr_assert_eq(self.report.last.reason, RP_IDLE_PROCESS_EXIT);
    close_scene(&self);
}

BACKEND_TEST(idle, may_close_anything_in_its_callback)
{
    scene self;

    open_scene(&self, *backend, &defaults); // the watch, at a quiet time
    self.report.closes = self.idle;
    self.idle = NULL;
    pass(&self.on, 10 * RP_SECOND);
    cr_assert_eq(self.report.count, 1);
    let_it_end(&self);
    cr_assert_eq(self.report.count, 1);
    close_scene(&self);

    open_scene(&self, *backend, &defaults); // the watch, at the end
    self.report.closes = self.idle;
    self.idle = NULL;
    let_it_end(&self);
    cr_assert_eq(self.report.ends, 1);
    close_scene(&self);

    open_scene(&self, *backend, &defaults); // the process, and with it the end
    self.report.kills = true;
    pass(&self.on, 10 * RP_SECOND);
    settle(&self.on);
    cr_assert_eq(self.report.count, 1);
    close_scene(&self);

    open_scene(&self, *backend, &defaults); // both
    self.report.kills = true;
    self.report.closes = self.idle;
    self.idle = NULL;
    pass(&self.on, 10 * RP_SECOND);
    close_scene(&self);
}

BACKEND_TEST(idle, needs_no_handle)
{
    scene self;

    open_scene(&self, *backend, NULL);
    cr_assert_eq(rp_idle_start(self.child.process, NULL, on_idle, &self.report, NULL), 0);
    pass(&self.on, 10 * RP_SECOND);
    cr_assert_eq(self.report.count, 1);
    let_it_end(&self);
    cr_assert_eq(self.report.ends, 1);
    close_scene(&self);

    open_scene(&self, *backend, NULL); // it goes with the process
    cr_assert_eq(rp_idle_start(self.child.process, NULL, on_idle, &self.report, NULL), 0);
    actor_close(&self.child);
    stage_run(&self.on);
    close_scene(&self);

    open_scene(&self, *backend, NULL);
    cr_assert_eq(rp_idle_start(self.child.process, NULL, on_idle, &self.report, NULL), 0);
    self.report.kills = true; // before done
    cr_assert_eq(rp_close_stdin(self.child.process), 0);
    stage_run(&self.on);
    cr_assert_eq(self.report.ends, 1);
    close_scene(&self);
}

BACKEND_TEST(idle, is_closed_with_the_loop)
{
    scene self;

    open_scene(&self, *backend, &defaults);
    self.idle = NULL; // lives on: stage_close finds what is left behind
    self.child.process = NULL;
    close_scene(&self);

    open_scene(&self, *backend, &defaults);
    actor_close(&self.child); // silent from here on
    pass(&self.on, 100 * RP_SECOND);
    stage_run(&self.on);
    cr_assert_eq(self.report.count, 0);
    rp_idle_enable(self.idle, false);
    rp_idle_enable(self.idle, true);
    settle(&self.on);
    self.idle = NULL;
    close_scene(&self);
}

static void on_changed(rp_process *process, const rp_attention_info *info, void *user)
{
    (void)process;
    (void)info;
    (void)user;
    cr_assert_fail("of a closed process");
}

static void close_and_watch(rp_process *process, const rp_idle_result *result, void *user)
{
    heard *self = user;
    rp_attention *attention;
    rp_idle *idle;

    (void)result;
    self->count++;
    actor_close(self->child);
    cr_assert_eq(rp_idle_start(process, NULL, on_idle, self, &idle), RP_ECANCELED);
    cr_assert_eq(rp_idle_start(process, NULL, on_idle, self, NULL), RP_ECANCELED);
    cr_assert_eq(rp_attention_start(process, NULL, on_changed, self, &attention), RP_ECANCELED);
    cr_assert_eq(rp_attention_start(process, NULL, on_changed, self, NULL), RP_ECANCELED);
}

BACKEND_TEST(idle, is_refused_of_a_process_that_is_closed)
{
    scene self;

    open_scene(&self, *backend, NULL);
    cr_assert_eq(rp_idle_start(self.child.process, NULL, close_and_watch, &self.report, NULL), 0);
    pass(&self.on, 10 * RP_SECOND);
    cr_assert_eq(self.report.count, 1);
    stage_run(&self.on);
    pass(&self.on, 100 * RP_SECOND); // nothing is left that could fire
    close_scene(&self);
}

BACKEND_TEST(idle, tells_the_end_of_a_process_that_is_done)
{
    scene self;

    open_scene(&self, *backend, NULL);
    self.child.stays = true;
    let_it_end(&self);
    self.child.counts[ACTOR_DONE] = 0; // told, and not again
    cr_assert_eq(rp_idle_start(self.child.process, NULL, on_idle, &self.report, &self.idle), 0);
    stage_run(&self.on);
    cr_assert_eq(self.report.ends, 1);
    actor_close(&self.child);
    close_scene(&self);
}

static void close_watch(rp_process *process, const rp_exit *exit, void *user)
{
    rp_idle **watch = user;

    (void)process;
    (void)exit;
    rp_idle_close(*watch);
    *watch = NULL;
}

static void fail_report(rp_process *process, const rp_idle_result *result, void *user)
{
    (void)process;
    (void)result;
    (void)user;
    cr_assert_fail("reported after its close");
}

/* Between the exit, which it has heard of, and its report. */
BACKEND_TEST(idle, is_closed_before_it_has_told_the_end)
{
    const rp_handlers handlers = {.exited = close_watch};
    rp_command command = stage_command(CHILD("exit", "0"));
    rp_process *process = NULL;
    rp_idle *watch = NULL;
    stage on;

    stage_open(&on, *backend, NULL);
    cr_assert_eq(rp_spawn(on.loop, &command, &handlers, &watch, &process), 0);
    cr_assert_eq(rp_idle_start(process, NULL, fail_report, NULL, &watch), 0);
    stage_run(&on); // it keeps nobody waiting any more
    cr_assert_null(watch);
    rp_process_close(process);
    stage_close(&on);
}

/* ---- waiting ---- */

BACKEND_TEST(idle_wait, returns_at_the_first_quiet_time_or_the_end)
{
    rp_idle_options options = {.size = sizeof options, .timeout_ns = 1, .stability_ns = 1};
    rp_command command = stage_command(CHILD("echo", "x", "read", "1"));
    rp_idle_result result;
    rp_process *process;
    stage on;

    stage_open(&on, *backend, NULL);
    command.in.kind = RP_STDIO_PIPE;
    cr_assert_eq(rp_spawn(on.loop, &command, NULL, NULL, &process), 0);
    cr_assert_eq(rp_idle_wait(process, &options, RP_FOREVER, &result), 0);
    cr_assert_eq(result.reason, RP_IDLE_IS_IDLE);
    cr_assert_gt(result.idle_ns, 0);
    cr_assert_eq(rp_write(process, (rp_view){"y", 1}, NULL, NULL), 0);
    cr_assert_eq(rp_idle_wait(process, NULL, RP_FOREVER, &result), 0);
    cr_assert_eq(result.reason, RP_IDLE_PROCESS_EXIT);
    cr_assert_eq(rp_wait(process, RP_FOREVER), 0);
    cr_assert_eq(rp_idle_wait(process, NULL, RP_FOREVER, &result), 0, "ended long ago");
    cr_assert_eq(result.reason, RP_IDLE_PROCESS_EXIT);
    rp_process_close(process);
    stage_close(&on);
}

BACKEND_TEST(idle_wait, tells_when_its_own_time_is_over)
{
    rp_command command = stage_command(CHILD("pause"));
    rp_idle_result result = {.reason = RP_IDLE_IS_IDLE};
    rp_process *process;
    stage on;

    stage_open(&on, *backend, NULL);
    cr_assert_eq(rp_spawn(on.loop, &command, NULL, NULL, &process), 0);
    cr_assert_eq(rp_idle_wait(process, NULL, 20 * RP_MILLISECOND, &result), RP_ETIMEDOUT);
    cr_assert_eq(result.reason, RP_IDLE_TIMED_OUT);
    cr_assert_eq(rp_idle_wait(process, NULL, 0, &result), RP_ETIMEDOUT);
    cr_assert(rp_process_is_running(process), "nothing is stopped");
    rp_process_close(process);
    stage_close(&on);
}

BACKEND_TEST(idle_wait, does_not_wait_for_a_child_that_waits_for_it)
{
    rp_command command = stage_command(CHILD("fill", "1", "1000000"));
    rp_idle_result result;
    rp_process *process;
    rp_view bytes;
    size_t size = 0;
    stage on;
    int r;

    stage_open(&on, *backend, NULL);
    cr_assert_eq(rp_spawn(on.loop, &command, NULL, NULL, &process), 0);
    while ((r = rp_idle_wait(process, NULL, RP_FOREVER, &result)) == RP_ENOBUFS) {
        cr_assert_eq(rp_next_data(process, RP_STDOUT, RP_FOREVER, &bytes), 1);
        size += bytes.size;
    }
    cr_assert_eq(r, 0, "%s", rp_error_name(r));
    cr_assert_eq(result.reason, RP_IDLE_PROCESS_EXIT);
    cr_assert_gt(size, 500000);
    rp_process_close(process);
    stage_close(&on);
}

static void close_process(rp_loop *loop, void *user)
{
    (void)loop;
    rp_process_close(user);
}

static void stop_loop(rp_loop *loop, void *user)
{
    (void)user;
    rp_loop_stop(loop);
}

static void wait_inside(rp_loop *loop, void *user)
{
    rp_idle_result result;

    (void)loop;
    cr_assert_eq(rp_idle_wait(user, NULL, RP_FOREVER, &result), RP_EDEADLK);
}

BACKEND_TEST(idle_wait, ends_with_whatever_ends_a_wait)
{
    judgement judge = {.answer = (rp_idle_decision)9};
    const rp_idle_options options = {
        .size = sizeof options, .sample_ns = 1, .decide = decide, .decide_user = &judge};
    rp_command command = stage_command(CHILD("pause"));
    rp_idle_result result;
    rp_process *process;
    stage on;

    stage_open(&on, *backend, NULL);
    cr_assert_eq(rp_spawn(on.loop, &command, NULL, NULL, &process), 0);
    cr_assert_eq(rp_loop_post(on.loop, wait_inside, process), 0);
    cr_assert_eq(rp_loop_post(on.loop, stop_loop, NULL), 0);
    cr_assert_eq(rp_idle_wait(process, NULL, RP_FOREVER, &result), RP_ECANCELED);
    cr_assert_eq(rp_idle_wait(process, &options, RP_FOREVER, &result), RP_EINVAL);
    cr_assert_eq(rp_loop_post(on.loop, close_process, process), 0);
    cr_assert_eq(rp_idle_wait(process, NULL, RP_FOREVER, &result), RP_ECANCELED);
    stage_close(&on);
}

/* ---- metrics ---- */

/* Waits until the whole tree has been seen to be busy, then until it has been seen at rest. */
typedef struct metering {
    actor *child;
    bool busy;
    bool rested;
} metering;

static rp_idle_decision watch_meter(const rp_idle_info *info, void *user)
{
    metering *self = user;

    if (info->cpu_percent > 2.0) {
        self->busy = true;
    } else if (self->busy && info->samples > 1) {
        self->rested = true;
        return RP_IDLE_REACHED;
    }
    return RP_IDLE_ACTIVE;
}

BACKEND_TEST(idle, measures_the_processor_time_of_the_whole_tree)
{
    metering meter = {0};
    const rp_idle_options options = {.size = sizeof options,
                                     .metrics = true,
                                     .sample_ns = 50 * RP_MILLISECOND,
                                     .decide = watch_meter,
                                     .decide_user = &meter};
    // The one who burns is a grandchild's child; then everything rests.
    rp_command command =
        stage_command(CHILD("fork", "fork", "burn", "600", "end", "wait", "0", "end", "wait", "0"));
    rp_idle_result result;
    rp_process *process;
    stage on;

    stage_open(&on, *backend, NULL);
    command.in.kind = RP_STDIO_PIPE;
    cr_assert_eq(rp_spawn(on.loop, &command, NULL, NULL, &process), 0);
    cr_assert_eq(rp_idle_wait(process, &options, RP_FOREVER, &result), 0);
    cr_assert_eq(result.reason, RP_IDLE_IS_IDLE);
    cr_assert(meter.busy);
    cr_assert(meter.rested);
    rp_process_close(process);
    stage_close(&on);
}

/* ---- memory ---- */

BACKEND_TEST(idle, survives_a_lack_of_memory)
{
    for (unsigned int n = 1;; n++) {
        rp_command command = stage_command(CHILD("pause"));
        actor child = {0};
        heard report = {.child = &child};
        rp_idle *idle = NULL;
        unsigned int before;
        bool fired;
        stage on;
        int r;

        stage_open(&on, *backend, NULL);
        actor_spawn(&on, &child, &command, 0);
        before = on.memory.requests;
        on.memory.fail_at = before + n;
        r = rp_idle_start(child.process, NULL, on_idle, &report, &idle);
        fired = on.memory.fired;
        on.memory.fail_at = 0;
        cr_assert_eq(r, fired ? RP_ENOMEM : 0);
        rp_idle_close(idle);
        actor_close(&child);
        stage_close(&on);
        if (!fired) {
            cr_assert_gt(n, 1);
            return;
        }
    }
}
