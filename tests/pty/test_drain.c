/* The end of a child on a terminal: every byte that it wrote comes, whatever others do. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/pty/rig.h"

enum {
    ROUNDS = 60
};

static const unsigned int sizes[] = {1, 4095, 4096, 20000, 60000, 200000};

static void check_noise(const actor *self, size_t size, uint64_t seed)
{
    char *expected = noise_text(size, seed);

    cr_assert_eq(self->data[0].size, size, "%zu of %zu bytes", self->data[0].size, size);
    cr_assert(size == 0 || memcmp(self->data[0].bytes, expected, size) == 0);
    free(expected);
}

BACKEND_TEST(drain, delivers_all_that_was_written_before_the_exit)
{
    stage on;

    stage_open(&on, *backend, NULL);
    for (unsigned int round = 0; round < ROUNDS; round++) {
        actor self = {0};
        unsigned int size = sizes[round % (sizeof sizes / sizeof sizes[0])];
        char bytes[16];
        char seed[16];
        rp_command command = on_terminal(CHILD("raw", "flood", "1", bytes, seed, "exit", "4"));

        (void)snprintf(bytes, sizeof bytes, "%u", size);
        (void)snprintf(seed, sizeof seed, "%u", round + 1);
        actor_play(&on, &self, &command, ACTOR_DATA);
        actor_check_code(&self, 4);
        cr_assert_eq(self.exit.holders, 0);
        check_noise(&self, size, round + 1);
        actor_free(&self);
    }
    stage_close(&on);
}

BACKEND_TEST(drain, delivers_it_through_the_smallest_ring)
{
    stage on;
    actor self = {0};
    rp_command command = on_terminal(CHILD("raw", "flood", "1", "60000", "5"));

    stage_open(&on, *backend, NULL);
    command.ring_size = 1;
    actor_play(&on, &self, &command, ACTOR_DATA);
    check_noise(&self, 60000, 5);
    actor_free(&self);
    stage_close(&on);
}

/* The leader ends while somebody else holds the terminal, and says nothing. */
BACKEND_TEST(drain, waits_for_nobody_who_holds_the_terminal)
{
    stage on;
    actor self = {0};
    lifeline line = lifeline_open();
    rp_fd fd = {.parent = line.read, .child = 3};
    char hangup[8];
    rp_command command = on_terminal(
        CHILD("raw", "ignore", hangup, "fork", "wait", "3", "end", "flood", "1", "9000", "3"));

    (void)snprintf(hangup, sizeof hangup, "%d", 1);
    command.fds = &fd;
    command.fd_count = 1;
    stage_open(&on, *backend, NULL);
    actor_play(&on, &self, &command, ACTOR_DATA);
    actor_check_code(&self, 0);
    cr_assert_eq(self.exit.holders, 1);
    check_noise(&self, 9000, 3);
    actor_free(&self);
    stage_close(&on);
    lifeline_close(&line);
}

/* The same, and it goes on writing without a pause: what comes is bounded, and the leader's bytes
 * are all among it. */
BACKEND_TEST(drain, is_not_held_open_by_who_goes_on_writing)
{
    stage on;

    stage_open(&on, *backend, NULL);
    for (unsigned int round = 0; round < 20; round++) {
        actor self = {0};
        char hangup[8];
        rp_command command = on_terminal(CHILD("raw", "ignore", hangup, "fork", "flood-forever",
                                               "1", "end", "write", "1", "LEADER"));

        (void)snprintf(hangup, sizeof hangup, "%d", 1);
        actor_play(&on, &self, &command, ACTOR_DATA);
        actor_check_code(&self, 0);
        cr_assert_eq(self.exit.holders, 1);
        cr_assert_not_null(strstr(actor_data(&self, RP_STDOUT), "LEADER"));
        actor_free(&self);
    }
    stage_close(&on);
}

static void pause_at_first(actor *self, actor_event event, rp_stream stream)
{
    (void)stream;
    if (event == ACTOR_GOT_DATA && self->counts[ACTOR_GOT_DATA] == 1) {
        cr_assert_eq(rp_pause(self->process, RP_STDOUT), 0);
    }
}

BACKEND_TEST(drain, keeps_its_place_while_it_is_paused)
{
    stage on;
    actor self = {0};
    rp_command command = on_terminal(CHILD("raw", "write", "1", "x", "fill", "1", "5000"));

    stage_open(&on, *backend, NULL);
    self.hook = pause_at_first;
    actor_spawn(&on, &self, &command, ACTOR_DATA);
    stage_run_until(&on, &self.counts[ACTOR_EXITED], 1);
    while (rp_loop_run_once(on.loop, 0) > 0) { // until nothing is left to do
    }
    cr_assert_eq(self.counts[ACTOR_DONE], 0);
    cr_assert_eq(self.counts[ACTOR_GOT_DATA], 1);
    cr_assert_eq(rp_resume(self.process, RP_STDOUT), 0);
    stage_run_until(&on, &self.counts[ACTOR_DONE], 1);
    cr_assert_eq(self.data[0].size, 5001);
    actor_free(&self);
    stage_close(&on);
}

BACKEND_TEST(drain, to_the_end_of_file_waits_for_every_holder)
{
    stage on;
    actor self = {0};
    lifeline line = lifeline_open();
    rp_fd fd = {.parent = line.read, .child = 3};
    char hangup[8];
    rp_command command = on_terminal(
        CHILD("ignore", hangup, "fork", "wait", "3", "echo", "late", "end", "echo", "early"));

    (void)snprintf(hangup, sizeof hangup, "%d", 1);
    command.fds = &fd;
    command.fd_count = 1;
    command.drain = RP_DRAIN_TO_EOF;
    stage_open(&on, *backend, NULL);
    actor_spawn(&on, &self, &command, ACTOR_DATA);
    stage_run_until(&on, &self.counts[ACTOR_EXITED], 1);
    while (rp_loop_run_once(on.loop, 0) > 0) { // until nothing is left to do
    }
    cr_assert_eq(self.counts[ACTOR_DONE], 0);
    lifeline_tell(&line);
    stage_run_until(&on, &self.counts[ACTOR_DONE], 1);
    cr_assert_str_eq(actor_data(&self, RP_STDOUT), "early\r\nlate\r\n");
    cr_assert_eq(self.exit.holders, 0);
    actor_free(&self);
    stage_close(&on);
    lifeline_close(&line);
}

BACKEND_TEST(drain, with_grace_ends_when_that_is_over)
{
    stage on;
    actor self = {0};
    lifeline line = lifeline_open();
    rp_fd fd = {.parent = line.read, .child = 3};
    char hangup[8];
    rp_command command =
        on_terminal(CHILD("ignore", hangup, "fork", "wait", "3", "end", "echo", "all"));

    (void)snprintf(hangup, sizeof hangup, "%d", 1);
    command.fds = &fd;
    command.fd_count = 1;
    command.drain = RP_DRAIN_GRACE;
    command.drain_grace_ns = RP_MILLISECOND;
    stage_open(&on, *backend, NULL);
    actor_play(&on, &self, &command, ACTOR_DATA);
    actor_check_code(&self, 0);
    cr_assert_str_eq(actor_data(&self, RP_STDOUT), "all\r\n");
    cr_assert_eq(self.exit.holders, 1);
    actor_free(&self);
    stage_close(&on);
    lifeline_close(&line);
}

/* In pull mode nobody takes anything until long after the exit. */
BACKEND_TEST(drain, waits_for_who_pulls)
{
    stage on;
    rp_process *process;
    rp_command command = on_terminal(CHILD("raw", "flood", "1", "9000", "11"));
    rp_view bytes;
    actor_text text = {0};
    char *expected = noise_text(9000, 11);

    stage_open(&on, *backend, NULL);
    command.ring_size = 1; // a page: what is left waits in the terminal
    cr_assert_eq(rp_spawn(on.loop, &command, NULL, NULL, &process), 0);
    while (rp_process_is_running(process)) {
        cr_assert_geq(rp_loop_run_once(on.loop, 60 * RP_SECOND), 0);
    }
    while (rp_next_data(process, RP_STDOUT, RP_FOREVER, &bytes) == 1) {
        actor_text_add(&text, bytes.data, bytes.size);
    }
    cr_assert_eq(text.size, 9000);
    cr_assert_eq(memcmp(text.bytes, expected, 9000), 0);
    cr_assert_eq(rp_wait(process, RP_FOREVER), 0);
    rp_process_close(process);
    free(text.bytes);
    free(expected);
    stage_close(&on);
}
