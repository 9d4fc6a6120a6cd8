/* Tests what is due at a time: the wall clock, deadlines, quiet times, and the limit of output. A
 * time that must pass is short, one that must not pass is a quarter of an hour: no test depends on
 * how fast the machine is. */
#define _GNU_SOURCE
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>

#include "tests/support/check.h"
#include "tests/support/stage.h"

#define SOON_NS (30 * RP_MILLISECOND)
#define LATE_NS (900 * RP_SECOND)

BACKEND_TEST(timeouts, of_the_wall_clock_terminate_then_kill)
{
    rp_stop_options ladder = {.size = sizeof ladder, .no_interrupt = true, .terminate_ns = 1};
    rp_command command = stage_command(CHILD("write", "1", "begun", "pause"));
    actor child = {0};
    stage on;

    stage_open(&on, *backend, NULL);
    command.timeout_ns = SOON_NS;
    actor_play(&on, &child, &command, ACTOR_LINES);
    cr_assert_eq(child.exit.reason, RP_STOP_TIMEOUT);
    cr_assert_eq(child.exit.step, RP_STOP_TERMINATE);
    cr_assert_eq(child.exit.code, -15);
    cr_assert_geq(child.exit.exited_ns - child.exit.started_ns, SOON_NS);
    actor_free(&child);

    command.argv = CHILD("ignore", "15", "write", "1", "begun", "pause");
    command.stop = &ladder;
    command.timeout_ns = 5 * SOON_NS;
    actor_play(&on, &child, &command, ACTOR_LINES);
    cr_assert_eq(child.exit.reason, RP_STOP_TIMEOUT);
    cr_assert_eq(child.exit.step, RP_STOP_KILL);
    cr_assert_eq(child.exit.code, -9);
    actor_free(&child);
    stage_close(&on);
}

BACKEND_TEST(timeouts, that_do_not_come_leave_no_trace)
{
    rp_command command = stage_command(CHILD("echo", "x", "exit", "2"));
    actor child = {0};
    stage on;

    stage_open(&on, *backend, NULL);
    command.timeout_ns = LATE_NS;
    command.quiet_timeout_ns = LATE_NS;
    command.deadline_at_ns = rp_now_ns() + LATE_NS;
    actor_play(&on, &child, &command, ACTOR_LINES);
    actor_check_code(&child, 2);
    actor_free(&child);
    stage_close(&on);
}

BACKEND_TEST(timeouts, count_a_drain_that_waits_for_the_end_of_file)
{
    lifeline hold = lifeline_open();
    rp_fd fd = {.parent = hold.read, .child = 3};
    rp_command command = stage_command(CHILD("write", "1", "a", "fork", "wait", "3", "end"));
    actor child = {0};
    stage on;

    stage_open(&on, *backend, NULL);
    command.fds = &fd;
    command.fd_count = 1;
    command.drain = RP_DRAIN_TO_EOF;
    command.timeout_ns = SOON_NS;
    actor_play(&on, &child, &command, ACTOR_LINES);
    cr_assert_eq(child.exit.reason, RP_STOP_TIMEOUT);
    cr_assert_eq(child.exit.code, 0, "its own end stays its end");
    cr_assert_eq(child.exit.survivors, 0);
    cr_assert_str_eq(actor_lines(&child, RP_STDOUT), "[a$");
    actor_free(&child);
    lifeline_close(&hold);
    on.before.descriptors -= 2;
    stage_close(&on);
}

/* ---- timed_out -------------------------------------------------------------------------- */

typedef struct asked {
    bool answer;
    bool closes;
    unsigned int count;
    unsigned int done;
    rp_stop_reason reason;
    rp_exit exit;
    rp_timer *later;
    rp_process *process;
} asked;

static void on_later(rp_timer *timer, void *user)
{
    asked *self = user;

    rp_timer_close(timer);
    cr_assert(rp_process_is_running(self->process), "it is left alone until then");
    cr_assert_eq(rp_kill(self->process), 0);
}

static bool on_timed_out(rp_process *process, rp_stop_reason reason, void *user)
{
    asked *self = user;

    self->count++;
    self->reason = reason;
    cr_assert(rp_process_is_running(process));
    if (self->closes) {
        rp_process_close(process);
    } else if (!self->answer) {
        cr_assert_eq(
            rp_timer_start(rp_process_loop(process), 5 * SOON_NS, 0, on_later, self, &self->later),
            0);
    }
    return self->answer;
}

static void on_asked_done(rp_process *process, const rp_exit *exit, void *user)
{
    asked *self = user;

    (void)process;
    self->done++;
    self->exit = *exit;
}

static asked play_asked(stage *on, rp_command *command, asked self)
{
    const rp_handlers handlers = {.timed_out = on_timed_out, .done = on_asked_done};

    cr_assert_eq(rp_spawn(on->loop, command, &handlers, &self, &self.process), 0);
    cr_assert_eq(rp_loop_run(on->loop), 0);
    if (!self.closes) {
        cr_assert_eq(self.done, 1);
        rp_process_close(self.process);
    }
    return self;
}

BACKEND_TEST(timeouts, ask_the_handler_and_stop_where_it_agrees)
{
    rp_command command = stage_command(CHILD("pause"));
    asked self;
    stage on;

    stage_open(&on, *backend, NULL);
    command.timeout_ns = SOON_NS;
    self = play_asked(&on, &command, (asked){.answer = true});
    cr_assert_eq(self.count, 1);
    cr_assert_eq(self.reason, RP_STOP_TIMEOUT);
    cr_assert_eq(self.exit.reason, RP_STOP_TIMEOUT);
    cr_assert_eq(self.exit.signal, SIGTERM);
    stage_close(&on);
}

BACKEND_TEST(timeouts, leave_the_stop_to_a_handler_that_wants_to_look_first)
{
    rp_command command = stage_command(CHILD("pause"));
    asked self;
    stage on;

    stage_open(&on, *backend, NULL);
    command.quiet_timeout_ns = SOON_NS;
    command.timeout_ns = 2 * SOON_NS; /* passes too, before the stop: it is not told */
    self = play_asked(&on, &command, (asked){.answer = false});
    cr_assert_eq(self.count, 1);
    cr_assert_eq(self.reason, RP_STOP_QUIET);
    cr_assert_eq(self.exit.reason, RP_STOP_QUIET, "what set out first");
    cr_assert_eq(self.exit.step, RP_STOP_KILL);
    cr_assert_eq(self.exit.signal, SIGKILL);
    cr_assert_geq(self.exit.exited_ns - self.exit.started_ns, 6 * SOON_NS);
    stage_close(&on);
}

BACKEND_TEST(timeouts, survive_a_close_out_of_their_handler)
{
    rp_command command = stage_command(CHILD("pause"));
    stage on;

    for (int answer = 0; answer < 2; answer++) {
        asked self;

        stage_open(&on, *backend, NULL);
        command.timeout_ns = SOON_NS;
        self = play_asked(&on, &command, (asked){.answer = answer != 0, .closes = true});
        cr_assert_eq(self.count, 1);
        cr_assert_eq(self.done, 0);
        stage_close(&on);
    }
}

/* ---- deadlines ---------------------------------------------------------------------------- */

BACKEND_TEST(timeouts, by_a_deadline_stop_what_runs_and_cancel_what_waits)
{
    rp_loop_options options = {.process_max = 1};
    rp_command command = stage_command(CHILD("pause"));
    actor first = {0};
    actor second = {0};
    stage on;

    stage_open(&on, *backend, &options);
    actor_spawn(&on, &first, &command, 0);
    stage_run_until(&on, &first.counts[ACTOR_STARTED], 1);
    command.deadline_at_ns = rp_now_ns() + SOON_NS;
    actor_spawn(&on, &second, &command, 0);
    stage_run_until(&on, &second.counts[ACTOR_DONE], 1);
    cr_assert_eq(second.exit.kind, RP_SPAWN_FAILED);
    cr_assert_eq(second.exit.error, RP_ETIMEDOUT);
    cr_assert_eq(first.counts[ACTOR_DONE], 0);
    cr_assert_eq(rp_kill(first.process), 0);
    stage_run(&on);

    first = (actor){0};
    command.deadline_at_ns = rp_now_ns() + 10 * SOON_NS;
    actor_play(&on, &first, &command, 0);
    cr_assert(first.exit.kind == RP_SPAWN_FAILED || first.exit.reason == RP_STOP_TIMEOUT);
    first = (actor){0};
    command.deadline_at_ns = 1; // long ago
    actor_play(&on, &first, &command, 0);
    cr_assert(first.exit.error == RP_ETIMEDOUT || first.exit.reason == RP_STOP_TIMEOUT);
    stage_close(&on);
}

/* ---- quiet times ---------------------------------------------------------------------------- */

BACKEND_TEST(timeouts, of_silence_stop_a_child_that_says_nothing)
{
    rp_command command = stage_command(CHILD("write", "2", "a", "pause"));
    actor child = {0};
    stage on;

    stage_open(&on, *backend, NULL);
    command.quiet_timeout_ns = SOON_NS;
    actor_play(&on, &child, &command, ACTOR_DATA);
    cr_assert_eq(child.exit.reason, RP_STOP_QUIET);
    cr_assert_eq(child.exit.code, -15);
    actor_free(&child);
    stage_close(&on);
}

/* Writes on for four quiet times, each byte an answer to one of ours. */
typedef struct talk {
    unsigned int left;
    rp_timer *timer;
} talk;

static void say(rp_timer *timer, void *user)
{
    actor *child = user;

    (void)timer;
    if (child->process != NULL) {
        (void)rp_write(child->process, (rp_view){"x", 1}, NULL, NULL);
    }
}

BACKEND_TEST(timeouts, of_silence_begin_anew_with_every_byte)
{
    rp_command command = stage_command(CHILD("cat"));
    actor child = {0};
    rp_timer *timer;
    stage on;

    stage_open(&on, *backend, NULL);
    command.in.kind = RP_STDIO_PIPE;
    command.quiet_timeout_ns = 2 * RP_SECOND;
    actor_spawn(&on, &child, &command, ACTOR_DATA);
    cr_assert_eq(rp_timer_start(on.loop, 0, 100 * RP_MILLISECOND, say, &child, &timer), 0);
    while (child.data[0].size < 30) { // three seconds
        cr_assert_eq(child.exit.reason, RP_STOP_NONE);
        cr_assert_geq(rp_loop_run_once(on.loop, 10 * RP_SECOND), 0);
        cr_assert_eq(child.counts[ACTOR_EXITED], 0);
    }
    cr_assert_eq(rp_close_stdin(child.process), 0);
    stage_run_until(&on, &child.counts[ACTOR_DONE], 1);
    rp_timer_close(timer);
    actor_check_code(&child, 0);
    actor_free(&child);
    stage_close(&on);
}

static void resume_both(rp_timer *timer, void *user)
{
    actor *child = user;

    (void)timer;
    cr_assert_eq(child->counts[ACTOR_EXITED], 0, "stopped for a silence of our own making");
    cr_assert_eq(rp_resume(child->process, RP_BOTH), 0);
}

BACKEND_TEST(timeouts, of_silence_do_not_count_while_we_do_not_listen)
{
    rp_command command = stage_command(CHILD("fill", "1", "1000000", "wait", "0"));
    actor child = {0};
    stage on;

    stage_open(&on, *backend, NULL);
    command.in.kind = RP_STDIO_PIPE;
    command.quiet_timeout_ns = SOON_NS;
    command.stop = NULL;
    actor_spawn(&on, &child, &command, ACTOR_DATA);
    cr_assert_eq(rp_pause(child.process, RP_BOTH), 0);
    cr_assert_eq(rp_timer_start(on.loop, 10 * SOON_NS, 0, resume_both, &child, NULL), 0);
    stage_run_until(&on, &child.counts[ACTOR_DONE], 1); // silent behind the million bytes
    cr_assert_eq(child.data[0].size, 1000000);
    cr_assert_eq(child.exit.reason, RP_STOP_QUIET);
    actor_free(&child);
    stage_close(&on);
}

/* ---- a loop that was kept from running
 * ------------------------------------------------------------ */

/* Keeps the loop from running until the child has ended and its time is over. */
static void stall(actor *self, actor_event event, rp_stream stream)
{
    struct pollfd entry = {.fd = (int)rp_process_handle(self->process), .events = POLLIN};
    const uint64_t until_ns = rp_now_ns() + 2 * SOON_NS;
    rp_stop_options ladder = {
        .size = sizeof ladder, .no_interrupt = true, .terminate_ns = LATE_NS, .kill_ns = 1};

    (void)stream;
    if (event != ACTOR_STARTED) {
        return;
    }
    if (self->context != NULL) {
        ladder.terminate_signal = SIGKILL;
        ladder.terminate_ns = 1;
        cr_assert_eq(rp_stop(self->process, &ladder), 0);
    }
    cr_assert_eq(poll(&entry, 1, -1), 1);
    while (rp_now_ns() < until_ns) {
        (void)sched_yield();
    }
}

BACKEND_TEST(timeouts, do_not_take_for_late_what_came_in_time)
{
    rp_command command = stage_command(CHILD("echo", "x", "exit", "3"));
    actor child = {.hook = stall};
    stage on;

    stage_open(&on, *backend, NULL);
    command.timeout_ns = SOON_NS;
    command.quiet_timeout_ns = SOON_NS;
    actor_play(&on, &child, &command, ACTOR_LINES);
    actor_check_code(&child, 3);
    cr_assert_str_eq(actor_lines(&child, RP_STDOUT), "[x]");
    actor_free(&child);

    command = stage_command(CHILD("pause"));
    child = (actor){.hook = stall, .context = &on};
    actor_play(&on, &child, &command, 0);
    cr_assert_eq(child.exit.code, -9);
    cr_assert_eq(child.exit.step, RP_STOP_TERMINATE, "no further step, and nobody given up");
    cr_assert_eq(child.exit.survivors, 0);
    stage_close(&on);
}

/* ---- limits ------------------------------------------------------------------------------------
 */

BACKEND_TEST(timeouts, apart_a_limit_of_output_stops_the_child_by_its_name)
{
    rp_limits limits = {.size = sizeof limits, .output_bytes = 100000};
    rp_command command = stage_command(CHILD("flood-forever", "1"));
    actor child = {0};
    stage on;

    stage_open(&on, *backend, NULL);
    command.limits = &limits;
    actor_play(&on, &child, &command, ACTOR_DATA);
    cr_assert_eq(child.exit.reason, RP_STOP_LIMIT);
    cr_assert_str_eq(child.exit.phase, "output_bytes");
    cr_assert_eq(child.exit.code, -15);
    cr_assert_gt(child.data[0].size, 100000);
    actor_free(&child);
    command.argv = CHILD("fill", "1", "50000", "fill", "2", "50000");
    actor_play(&on, &child, &command, ACTOR_DATA);
    actor_check_code(&child, 0);
    actor_free(&child);
    limits = (rp_limits){.size = sizeof limits, .open_files = 50};
    command.argv = CHILD("limits");
    actor_play(&on, &child, &command, ACTOR_DATA);
    cr_assert_eq(strncmp(actor_data(&child, RP_STDOUT), "nofile 50\n", 10), 0);
    actor_free(&child);
    stage_close(&on);
}
