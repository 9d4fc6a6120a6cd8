/* Tests what goes into a child: input, the write queue and its bound, and the ends of stdin. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/check.h"
#include "tests/support/noise.h"
#include "tests/support/stage.h"

enum {
    BIG = 3 << 20 /* bytes; far more than any pipe takes */
};

static char *make_noise(size_t size, uint64_t seed)
{
    char *bytes = malloc(size);
    noise from = noise_begin(seed);

    cr_assert_not_null(bytes);
    noise_fill(&from, bytes, size);
    return bytes;
}

static void check_digest(const actor *child, uint64_t seed, size_t size)
{
    char expected[64];
    noise_sum sum = noise_sum_of(seed, size);

    (void)snprintf(expected, sizeof expected, "%llu %llu\n", (unsigned long long)sum.size,
                   (unsigned long long)sum.value);
    cr_assert_str_eq(actor_data(child, RP_STDOUT), expected);
}

BACKEND_TEST(input, larger_than_the_pipe_arrives_whole_and_ends)
{
    char *bytes = make_noise(BIG, 1);
    rp_command command = stage_command(CHILD("digest"));
    actor child = {0};
    stage on;

    command.input = (rp_view){bytes, BIG};
    stage_open(&on, *backend, NULL);
    actor_spawn(&on, &child, &command, ACTOR_DATA);
    memset(bytes, 0, BIG); // it was copied
    cr_assert_eq(rp_process_unwritten(child.process), BIG);
    cr_assert_eq(rp_write(child.process, (rp_view){"x", 1}, NULL, NULL), RP_EPIPE);
    stage_run(&on);
    actor_check_code(&child, 0);
    check_digest(&child, 1, BIG);
    cr_assert_eq(child.exit.in_bytes, BIG);
    actor_free(&child);
    free(bytes);
    stage_close(&on);
}

BACKEND_TEST(input, of_no_bytes_is_an_end_at_once)
{
    rp_command command = stage_command(CHILD("digest"));
    actor child = {0};
    stage on;

    command.input = (rp_view){"", 0};
    stage_open(&on, *backend, NULL);
    actor_play(&on, &child, &command, ACTOR_DATA);
    cr_assert_str_eq(actor_data(&child, RP_STDOUT), "0 0\n");
    actor_free(&child);
    stage_close(&on);
}

/* ---- the queue --------------------------------------------------------------------------- */

/* What the written callbacks told, in order. */
typedef struct receipts {
    int numbers[64];
    int statuses[64];
    unsigned int count;
    const actor *of;
} receipts;

typedef struct receipt {
    receipts *all;
    int number;
} receipt;

static void on_written(rp_process *process, int status, void *user)
{
    receipt *self = user;
    receipts *all = self->all;

    cr_assert_eq(process, all->of->process);
    cr_assert_eq(all->of->counts[ACTOR_DONE], 0, "a write reports before done");
    cr_assert_lt(all->count, 64);
    all->numbers[all->count] = self->number;
    all->statuses[all->count] = status;
    all->count++;
}

BACKEND_TEST(input, is_written_in_order_and_each_part_reported_once)
{
    char *bytes = make_noise(BIG, 2);
    rp_command command = stage_command(CHILD("digest"));
    actor child = {0};
    receipts all = {.of = &child};
    receipt parts[33];
    size_t at = 0;
    stage on;

    command.in.kind = RP_STDIO_PIPE;
    stage_open(&on, *backend, NULL);
    actor_spawn(&on, &child, &command, ACTOR_DATA);
    for (int i = 0; i < 33; i++) {
        size_t size = i == 32 ? BIG - at : (size_t)i * 5000; // the first has none

        parts[i] = (receipt){&all, i};
        cr_assert_eq(rp_write(child.process, (rp_view){bytes + at, size}, on_written, &parts[i]),
                     0);
        at += size;
    }
    cr_assert_eq(all.count, 0, "not out of the call");
    cr_assert_eq(rp_process_unwritten(child.process), BIG);
    cr_assert_eq(rp_close_stdin(child.process), 0);
    cr_assert_eq(rp_close_stdin(child.process), 0);
    cr_assert_eq(rp_write(child.process, (rp_view){"x", 1}, NULL, NULL), RP_EPIPE);
    stage_run(&on);
    actor_check_code(&child, 0);
    check_digest(&child, 2, BIG);
    cr_assert_eq(all.count, 33);
    for (int i = 0; i < 33; i++) {
        cr_assert_eq(all.numbers[i], i);
        cr_assert_eq(all.statuses[i], 0);
    }
    actor_free(&child);
    free(bytes);
    stage_close(&on);
}

BACKEND_TEST(input, that_nobody_reads_ends_with_the_child)
{
    char *bytes = make_noise(BIG, 3);
    rp_command command = stage_command(CHILD("read", "1000", "exit", "5"));
    actor child = {0};
    receipts all = {.of = &child};
    receipt parts[3] = {{&all, 0}, {&all, 1}, {&all, 2}};
    stage on;

    command.in.kind = RP_STDIO_PIPE;
    stage_open(&on, *backend, NULL);
    actor_spawn(&on, &child, &command, ACTOR_DATA);
    cr_assert_eq(rp_write(child.process, (rp_view){bytes, 1000}, on_written, &parts[0]), 0);
    cr_assert_eq(rp_write(child.process, (rp_view){bytes, BIG}, on_written, &parts[1]), 0);
    cr_assert_eq(rp_write(child.process, (rp_view){bytes, 1}, on_written, &parts[2]), 0);
    stage_run(&on);
    actor_check_code(&child, 5);
    cr_assert_eq(all.count, 3);
    cr_assert_eq(all.statuses[0], 0);
    cr_assert_eq(all.statuses[1], RP_EPIPE);
    cr_assert_eq(all.statuses[2], RP_EPIPE);
    actor_free(&child);
    free(bytes);
    stage_close(&on);
}

/* A child that never reads and does not end by itself: nothing blocks, and the timeout ends it. */
BACKEND_TEST(input, that_is_never_read_does_not_keep_a_timeout_from_ending_the_child)
{
    char *bytes = make_noise(BIG, 4);
    rp_command command = stage_command(CHILD("pause"));
    actor child = {0};
    stage on;

    command.input = (rp_view){bytes, BIG};
    command.timeout_ns = 50 * RP_MILLISECOND;
    stage_open(&on, *backend, NULL);
    actor_play(&on, &child, &command, ACTOR_DATA);
    cr_assert_eq(child.exit.reason, RP_STOP_TIMEOUT);
    cr_assert_eq(child.exit.code, stage_code_of(15)); /* SIGTERM */
    cr_assert_gt(child.exit.in_bytes, 0);
    cr_assert_lt(child.exit.in_bytes, BIG);
    actor_free(&child);
    free(bytes);
    stage_close(&on);
}

BACKEND_TEST(input, meets_a_closed_stdin_with_an_error_and_no_signal)
{
    lifeline hold = lifeline_open();
    rp_command command =
        stage_command(CHILD("close", "0", "echo", "closed", "wait", lifeline_number(hold.read, 3)));
    rp_fd fd = lifeline_hand(hold.read, 3);
    actor child = {0};
    receipts all = {.of = &child};
    receipt part = {&all, 0};
    stage on;

    command.in.kind = RP_STDIO_PIPE;
    command.fds = &fd;
    command.fd_count = 1;
    stage_open(&on, *backend, NULL);
    actor_spawn(&on, &child, &command, ACTOR_LINES);
    stage_run_until(&on, &child.counts[ACTOR_GOT_LINE], 1);
    cr_assert_eq(rp_write(child.process, (rp_view){"x", 1}, on_written, &part), 0);
    stage_run_until(&on, &all.count, 1);
    cr_assert_eq(all.statuses[0], RP_EPIPE);
    cr_assert_eq(rp_write(child.process, (rp_view){"x", 1}, NULL, NULL), RP_EPIPE);
    cr_assert_eq(rp_process_unwritten(child.process), 0);
    lifeline_tell(&hold);
    stage_run_until(&on, &child.counts[ACTOR_DONE], 1);
    actor_check_code(&child, 0);
    actor_free(&child);
    lifeline_close(&hold);
    on.before.descriptors -= 2;
    stage_close(&on);
}

BACKEND_TEST(input, is_refused_beyond_write_max_unless_the_queue_is_empty)
{
    char *bytes = make_noise(BIG, 6);
    lifeline hold = lifeline_open();
    rp_command command = stage_command(CHILD("wait", lifeline_number(hold.read, 3), "digest"));
    rp_fd fd = lifeline_hand(hold.read, 3);
    actor child = {0};
    receipts all = {.of = &child};
    receipt part = {&all, 0};
    stage on;

    command.in.kind = RP_STDIO_PIPE;
    command.fds = &fd;
    command.fd_count = 1;
    command.write_max = 1000;
    stage_open(&on, *backend, NULL);
    actor_spawn(&on, &child, &command, ACTOR_DATA);
    cr_assert_eq(rp_write(child.process, (rp_view){bytes, BIG - 600}, on_written, &part), 0);
    cr_assert_eq(rp_write(child.process, (rp_view){bytes, 1}, NULL, NULL), RP_EAGAIN);
    cr_assert_neq(rp_error_detail()[0], '\0');
    stage_run_until(&on, &child.counts[ACTOR_STARTED], 1);
    lifeline_tell(&hold);
    stage_run_until(&on, &all.count, 1);
    cr_assert_eq(rp_write(child.process, (rp_view){bytes + BIG - 600, 600}, NULL, NULL), 0);
    cr_assert_eq(rp_submit(child.process, (rp_view){"", 0}), 0);
    cr_assert_eq(rp_close_stdin(child.process), 0);
    stage_run(&on);
    check_digest(&child, 6, BIG);
    actor_free(&child);
    free(bytes);
    lifeline_close(&hold);
    on.before.descriptors -= 2;
    stage_close(&on);
}

/* ---- odd moments ----------------------------------------------------------------------------- */

typedef struct endless {
    rp_process *process;
    unsigned int count;
    unsigned int turns;
} endless;

/* Writes nothing again and again: each must wait for a turn of its own. */
static void write_nothing(rp_process *process, int status, void *user)
{
    endless *self = user;

    cr_assert_eq(status, 0);
    if (++self->count < 1000) {
        cr_assert_eq(rp_write(process, (rp_view){"", 0}, write_nothing, self), 0);
    }
}

BACKEND_TEST(input, asked_for_again_in_its_own_report_lets_the_turn_end)
{
    rp_command command = stage_command(CHILD("digest"));
    actor child = {0};
    endless again = {0};
    stage on;

    command.in.kind = RP_STDIO_PIPE;
    stage_open(&on, *backend, NULL);
    actor_spawn(&on, &child, &command, ACTOR_DATA);
    stage_run_until(&on, &child.counts[ACTOR_STARTED], 1);
    cr_assert_eq(rp_write(child.process, (rp_view){"", 0}, write_nothing, &again), 0);
    while (again.count < 1000) {
        unsigned int before = again.count;

        cr_assert_gt(rp_loop_run_once(on.loop, RP_SECOND), 0);
        cr_assert_leq(again.count - before, 1, "a turn that never ends");
    }
    cr_assert_eq(rp_close_stdin(child.process), 0);
    stage_run(&on);
    cr_assert_str_eq(actor_data(&child, RP_STDOUT), "0 0\n");
    actor_free(&child);
    stage_close(&on);
}

static void close_in_report(rp_process *process, int status, void *user)
{
    actor *child = user;

    cr_assert_eq(process, child->process);
    cr_assert_eq(status, 0);
    actor_close(child);
}

static void never(rp_process *process, int status, void *user)
{
    (void)process;
    (void)user;
    cr_assert_fail("reported %d after the close", status);
}

BACKEND_TEST(input, of_a_process_closed_in_a_report_is_dropped)
{
    rp_command command = stage_command(CHILD("pause"));
    actor child = {0};
    stage on;

    command.in.kind = RP_STDIO_PIPE;
    stage_open(&on, *backend, NULL);
    actor_spawn(&on, &child, &command, ACTOR_DATA);
    stage_run_until(&on, &child.counts[ACTOR_STARTED], 1);
    cr_assert_eq(rp_write(child.process, (rp_view){"", 0}, close_in_report, &child), 0);
    cr_assert_eq(rp_write(child.process, (rp_view){"", 0}, never, NULL), 0);
    cr_assert_eq(rp_write(child.process, (rp_view){"x", 1}, never, NULL), 0);
    stage_run(&on);
    cr_assert_null(child.process);
    stage_close(&on);
}

BACKEND_TEST(input, to_a_child_without_a_pipe_or_after_its_end_is_refused)
{
    rp_command command = stage_command(CHILD("exit", "0"));
    actor child = {.stays = true};
    stage on;

    stage_open(&on, *backend, NULL);
    actor_spawn(&on, &child, &command, 0);
    cr_assert_eq(rp_write(child.process, (rp_view){"x", 1}, NULL, NULL), RP_EINVAL);
    cr_assert_eq(rp_close_stdin(child.process), RP_EINVAL);
    cr_assert_eq(rp_process_unwritten(child.process), 0);
    stage_run(&on);
    actor_close(&child);
    command.in.kind = RP_STDIO_PIPE;
    child = (actor){.stays = true};
    actor_spawn(&on, &child, &command, 0);
    cr_assert_eq(rp_write(child.process, (rp_view){NULL, 1}, NULL, NULL), RP_EINVAL);
    stage_run(&on);
    cr_assert_eq(rp_write(child.process, (rp_view){"x", 1}, NULL, NULL), RP_EPIPE);
    cr_assert_eq(rp_close_stdin(child.process), 0);
    actor_close(&child);
    stage_close(&on);
}

/* A launch that fails reports what was queued for it, before done. */
BACKEND_TEST(input, of_a_failed_launch_is_reported_as_lost)
{
    static const char *const missing[] = {"/nowhere/at-all", NULL};
    rp_command command = stage_command(missing);
    actor child = {0};
    receipts all = {.of = &child};
    receipt part = {&all, 0};
    stage on;

    command.in.kind = RP_STDIO_PIPE;
    stage_open(&on, *backend, NULL);
    actor_spawn(&on, &child, &command, 0);
    cr_assert_eq(rp_write(child.process, (rp_view){"x", 1}, on_written, &part), 0);
    stage_run(&on);
    cr_assert_eq(child.counts[ACTOR_DONE], 1);
    cr_assert_eq(all.count, 1);
    cr_assert_eq(all.statuses[0], RP_EPIPE);
    stage_close(&on);
}
