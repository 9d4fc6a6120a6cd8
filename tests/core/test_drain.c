/* Tests the end of a life: EXITED, DRAINED and EOF, with grandchildren that hold the pipes or write
 * on. That nothing waits for them is a matter of order here, not of time: they end when the test
 * lets go of their lifeline, after done has come. */
#include <string.h>
#include <sys/wait.h>

#include "tests/support/check.h"
#include "tests/support/noise.h"
#include "tests/support/stage.h"

/* A child with a lifeline on descriptor 3 (to wait for) and one on 4 (that tells that all are
 * gone). */
typedef struct tied {
    lifeline hold;
    lifeline gone;
    rp_fd fds[2];
    rp_command command;
} tied;

static void tie(tied *self, const char *const *argv)
{
    self->hold = lifeline_open();
    self->gone = lifeline_open();
    self->fds[0] = (rp_fd){.parent = self->hold.read, .child = 3};
    self->fds[1] = (rp_fd){.parent = self->gone.write, .child = 4};
    self->command = stage_command(argv);
    self->command.fds = self->fds;
    self->command.fd_count = 2;
}

static void untie(tied *self)
{
    lifeline_close(&self->hold);
    lifeline_await_end(&self->gone);
}

BACKEND_TEST(drain, does_not_wait_for_a_grandchild_that_holds_the_pipes)
{
    actor child = {0};
    tied held;
    stage on;

    stage_open(&on, *backend, NULL);
    tie(&held, CHILD("write", "1", "last", "fork", "wait", "3", "end", "exit", "6"));
    actor_play(&on, &child, &held.command, ACTOR_LINES);
    actor_check_code(&child, 6);
    cr_assert_geq(child.exit.holders, 1);
    cr_assert_str_eq(actor_lines(&child, RP_STDOUT), "[last$");
    cr_assert_eq(child.eos[0] + child.eos[1], 2);
    untie(&held);
    actor_free(&child);
    stage_close(&on);
}

BACKEND_TEST(drain, knows_no_holder_where_all_have_let_go)
{
    actor child = {0};
    tied held;
    stage on;

    stage_open(&on, *backend, NULL);
    tie(&held, CHILD("write", "1", "last", "fork", "close", "1", "close", "2", "write", "4", "x",
                     "wait", "3", "end", "wait", "0"));
    held.command.in.kind = RP_STDIO_PIPE;
    actor_spawn(&on, &child, &held.command, ACTOR_LINES);
    stage_run_until(&on, &child.counts[ACTOR_STARTED], 1);
    lifeline_await_byte(&held.gone);
    cr_assert_eq(rp_close_stdin(child.process), 0);
    stage_run_until(&on, &child.counts[ACTOR_DONE], 1);
    actor_check_code(&child, 0);
    cr_assert_eq(child.exit.holders, 0);
    untie(&held);
    actor_free(&child);
    stage_close(&on);
}

BACKEND_TEST(drain, takes_all_that_the_leader_wrote_whatever_a_grandchild_goes_on_writing)
{
    for (int round = 0; round < 10; round++) {
        noise_sum sum = {0, 0};
        actor child = {0};
        tied held;
        stage on;

        stage_open(&on, *backend, NULL);
        tie(&held, CHILD("flood", "1", "60000", "21", "fork", "flood-forever", "1", "end"));
        actor_play(&on, &child, &held.command, ACTOR_DATA);
        actor_check_code(&child, 0);
        cr_assert_geq(child.data[0].size, 60000);
        noise_sum_add(&sum, child.data[0].bytes, 60000);
        cr_assert_eq(sum.value, noise_sum_of(21, 60000).value);
        untie(&held); // the flooder dies of its broken pipe
        actor_free(&child);
        stage_close(&on);
    }
}

BACKEND_TEST(drain, to_eof_waits_for_every_holder)
{
    actor child = {0};
    tied held;
    stage on;

    stage_open(&on, *backend, NULL);
    tie(&held, CHILD("write", "1", "first", "fork", "wait", "3", "write", "1", "second", "end"));
    held.command.drain = RP_DRAIN_TO_EOF;
    actor_spawn(&on, &child, &held.command, ACTOR_DATA);
    stage_run_until(&on, &child.counts[ACTOR_EXITED], 1);
    for (int i = 0; i < 20; i++) {
        cr_assert_geq(rp_loop_run_once(on.loop, 0), 0);
    }
    cr_assert_eq(child.counts[ACTOR_DONE], 0);
    lifeline_tell(&held.hold);
    stage_run_until(&on, &child.counts[ACTOR_DONE], 1);
    cr_assert_str_eq(actor_data(&child, RP_STDOUT), "firstsecond");
    cr_assert_eq(child.exit.holders, 0);
    actor_check_code(&child, 0);
    untie(&held);
    actor_free(&child);
    stage_close(&on);
}

BACKEND_TEST(drain, with_a_grace_takes_what_comes_in_it)
{
    actor child = {0};
    tied held;
    stage on;

    stage_open(&on, *backend, NULL);
    tie(&held, CHILD("write", "1", "first", "fork", "wait", "3", "write", "1", "second", "end"));
    held.command.drain = RP_DRAIN_GRACE;
    held.command.drain_grace_ns = 100 * RP_SECOND;
    actor_spawn(&on, &child, &held.command, ACTOR_DATA);
    stage_run_until(&on, &child.counts[ACTOR_EXITED], 1);
    lifeline_tell(&held.hold);
    stage_run_until(&on, &child.counts[ACTOR_DONE], 1);
    cr_assert_str_eq(actor_data(&child, RP_STDOUT), "firstsecond");
    cr_assert_eq(child.exit.holders, 0);
    untie(&held);
    actor_free(&child);

    tie(&held, CHILD("write", "1", "only", "fork", "wait", "3", "end"));
    held.command.drain = RP_DRAIN_GRACE;
    held.command.drain_grace_ns = 1 * RP_MILLISECOND;
    actor_play(&on, &child, &held.command, ACTOR_LINES);
    cr_assert_str_eq(actor_lines(&child, RP_STDOUT), "[only$");
    cr_assert_geq(child.exit.holders, 1);
    cr_assert_geq(child.exit.done_ns - child.exit.exited_ns, 1 * RP_MILLISECOND);
    actor_check_code(&child, 0);
    untie(&held);
    actor_free(&child);
    stage_close(&on);
}

/* A paused stream keeps its drain: what was in the pipe at the exit comes after the pause. */
BACKEND_TEST(drain, of_a_paused_stream_is_exact_too)
{
    actor child = {0};
    tied held;
    stage on;

    stage_open(&on, *backend, NULL);
    tie(&held, CHILD("flood", "1", "30000", "4", "fork", "wait", "3", "write", "1", "late", "end"));
    actor_spawn(&on, &child, &held.command, ACTOR_DATA);
    cr_assert_eq(rp_pause(child.process, RP_STDOUT), 0);
    stage_run_until(&on, &child.counts[ACTOR_EXITED], 1);
    cr_assert_eq(rp_loop_run_once(on.loop, 0) < 0, 0);
    lifeline_tell(&held.hold);
    cr_assert_eq(rp_resume(child.process, RP_STDOUT), 0);
    stage_run_until(&on, &child.counts[ACTOR_DONE], 1);
    cr_assert_geq(child.data[0].size, 30000);
    untie(&held);
    actor_free(&child);
    stage_close(&on);
}

/* Little rings and long lines: the drain goes on when the consumer has made room. */
BACKEND_TEST(drain, goes_on_through_a_ring_smaller_than_the_rest)
{
    rp_loop_options options = {.ring_size = 4096};
    actor child = {0};
    tied held;
    stage on;

    stage_open(&on, *backend, &options);
    tie(&held, CHILD("fill", "1", "60000", "write", "1", "\\nrest", "fork", "wait", "3", "end"));
    actor_play(&on, &child, &held.command, ACTOR_LINES);
    actor_check_code(&child, 0);
    cr_assert_eq(child.lines[0].size, 60002 + 6);
    cr_assert_str_eq(child.lines[0].bytes + 60000, "x][rest$");
    cr_assert_geq(child.exit.holders, 1);
    untie(&held);
    actor_free(&child);
    stage_close(&on);
}

/* Under a budget a stream that waits for memory, holding the beginning of a long line, still ends.
 */
BACKEND_TEST(drain, ends_a_begun_line_that_waits_for_memory)
{
    rp_loop_options options = {.memory_max = 4096, .ring_size = 4096};
    actor children[6] = {{0}};
    tied held[6];
    stage on;

    stage_open(&on, *backend, &options);
    for (int i = 0; i < 6; i++) {
        tie(&held[i], CHILD("fill", "1", "4096", "fill", "2", "5000", "fork", "wait", "3", "end"));
        actor_spawn(&on, &children[i], &held[i].command, ACTOR_LINES);
    }
    for (int i = 0; i < 6; i++) {
        stage_run_until(&on, &children[i].counts[ACTOR_DONE], 1);
        cr_assert_eq(children[i].lines[0].size, 4098);
        cr_assert_eq(children[i].lines[1].size, 5002);
        actor_check_code(&children[i], 0);
        actor_free(&children[i]);
    }
    for (int i = 0; i < 6; i++) {
        untie(&held[i]);
    }
    stage_close(&on);
}
