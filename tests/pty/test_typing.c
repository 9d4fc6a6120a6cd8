/* What is typed on a child's terminal: nothing is lost, nothing blocks, a line that is too long is
 * refused, and the end of file is a key. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/pty/rig.h"
#include "tests/support/noise.h"

enum {
    PASTE_SIZE = 1 << 20,
    LINE_LIMIT = 4095
};

typedef struct reports {
    unsigned int count;
    int statuses[4];
} reports;

static void on_written(rp_process *process, int status, void *user)
{
    reports *told = user;

    (void)process;
    cr_assert_lt(told->count, 4);
    told->statuses[told->count++] = status;
}

static void type_bytes(const actor *self, const char *bytes, size_t size, reports *told)
{
    cr_assert_eq(rp_write(self->process, (rp_view){bytes, size}, on_written, told), 0);
}

BACKEND_TEST(typing, is_echoed_and_read)
{
    stage on;
    actor self = {0};
    rp_command command = on_terminal(CHILD("echo", "ready", "cat"));

    stage_open(&on, *backend, NULL);
    actor_spawn(&on, &self, &command, ACTOR_DATA | ACTOR_LINES);
    await(&on, &self, "ready");
    type(&self, "hello\n");
    await(&on, &self, "hello\r\nhello\r\n");
    cr_assert_eq(rp_close_stdin(self.process), 0);
    cr_assert_eq(rp_write(self.process, (rp_view){"x", 1}, NULL, NULL), RP_EPIPE);
    cr_assert_eq(rp_close_stdin(self.process), 0);
    stage_run_until(&on, &self.counts[ACTOR_DONE], 1);
    actor_check_code(&self, 0);
    cr_assert_str_eq(actor_lines(&self, RP_STDOUT), "[ready][hello][hello]");
    cr_assert_eq(self.exit.in_bytes, 6);
    actor_free(&self);
    stage_close(&on);
}

/* All bytes there are, to a child that reads them raw, slower than they come. */
BACKEND_TEST(typing, of_a_mebibyte_in_raw_mode_loses_nothing)
{
    stage on;
    actor self = {0};
    reports told = {0};
    char *paste = noise_text(PASTE_SIZE, 77);
    char expected[64];
    noise_sum sum = noise_sum_of(77, PASTE_SIZE);
    rp_command command = on_terminal(CHILD("raw", "echo", "ready", "digest-of", "1048576"));

    stage_open(&on, *backend, NULL);
    actor_spawn(&on, &self, &command, ACTOR_DATA);
    await(&on, &self, "ready");
    type_bytes(&self, paste, PASTE_SIZE, &told);
    cr_assert_gt(rp_process_unwritten(self.process), 0);
    stage_run_until(&on, &self.counts[ACTOR_DONE], 1);
    actor_check_code(&self, 0);
    (void)snprintf(expected, sizeof expected, "ready\n%llu %llu\n", (unsigned long long)sum.size,
                   (unsigned long long)sum.value);
    cr_assert_str_eq(actor_data(&self, RP_STDOUT), expected);
    cr_assert_eq(told.count, 1);
    cr_assert_eq(told.statuses[0], 0);
    cr_assert_eq(self.exit.in_bytes, PASTE_SIZE);
    actor_free(&self);
    free(paste);
    stage_close(&on);
}

/* Lines of all lengths up to the longest, while lines are edited. */
static char *lines_text(size_t size)
{
    char *text = malloc(size);
    noise random = noise_begin(5);
    size_t at = 0;

    cr_assert_not_null(text);
    while (at < size) {
        size_t length = noise_next(&random) % (LINE_LIMIT + 1);

        for (; length > 0 && at < size - 1; length--) {
            text[at++] = (char)('a' + noise_next(&random) % 26);
        }
        text[at++] = '\n';
    }
    return text;
}

BACKEND_TEST(typing, of_a_mebibyte_in_lines_loses_nothing)
{
    stage on;
    actor self = {0};
    reports told = {0};
    char *paste = lines_text(PASTE_SIZE);
    char expected[64];
    noise_sum sum = {0};
    rp_command command = on_terminal(CHILD("silent", "echo", "ready", "digest"));

    noise_sum_add(&sum, paste, PASTE_SIZE);
    stage_open(&on, *backend, NULL);
    actor_spawn(&on, &self, &command, ACTOR_DATA);
    await(&on, &self, "ready");
    type_bytes(&self, paste, PASTE_SIZE, &told);
    cr_assert_eq(rp_close_stdin(self.process), 0);
    stage_run_until(&on, &self.counts[ACTOR_DONE], 1);
    actor_check_code(&self, 0);
    (void)snprintf(expected, sizeof expected, "ready\r\n%llu %llu\r\n",
                   (unsigned long long)sum.size, (unsigned long long)sum.value);
    cr_assert_str_eq(actor_data(&self, RP_STDOUT), expected);
    cr_assert_eq(told.count, 1);
    cr_assert_eq(told.statuses[0], 0);
    actor_free(&self);
    free(paste);
    stage_close(&on);
}

BACKEND_TEST(typing, refuses_a_line_that_the_terminal_would_cut)
{
    stage on;
    actor self = {0};
    reports told = {0};
    char longest[LINE_LIMIT + 1];
    char longer[LINE_LIMIT + 2];
    char expected[64];
    noise_sum sum = {0};
    rp_command command = on_terminal(CHILD("silent", "echo", "ready", "digest"));

    memset(longest, 'l', LINE_LIMIT);
    longest[LINE_LIMIT] = '\n';
    memset(longer, 'x', LINE_LIMIT + 1);
    longer[LINE_LIMIT + 1] = '\n';
    stage_open(&on, *backend, NULL);
    actor_spawn(&on, &self, &command, ACTOR_DATA);
    await(&on, &self, "ready");
    type_bytes(&self, longer, sizeof longer, &told);
    type_bytes(&self, longest, sizeof longest, &told);
    type_bytes(&self, "begun", 5, &told);
    type_bytes(&self, longest, sizeof longest, &told); // too long after what was begun
    cr_assert_eq(rp_close_stdin(self.process), 0);
    stage_run_until(&on, &self.counts[ACTOR_DONE], 1);
    actor_check_code(&self, 0);
    cr_assert_eq(told.count, 4);
    cr_assert_eq(told.statuses[0], RP_EMSGSIZE);
    cr_assert_eq(told.statuses[1], 0);
    cr_assert_eq(told.statuses[2], 0);
    cr_assert_eq(told.statuses[3], RP_EMSGSIZE);
    noise_sum_add(&sum, longest, sizeof longest);
    noise_sum_add(&sum, "begun", 5);
    (void)snprintf(expected, sizeof expected, "ready\r\n%llu %llu\r\n",
                   (unsigned long long)sum.size, (unsigned long long)sum.value);
    cr_assert_str_eq(actor_data(&self, RP_STDOUT), expected);
    actor_free(&self);
    stage_close(&on);
}

BACKEND_TEST(typing, knows_what_ends_a_line)
{
    stage on;
    actor self = {0};
    reports told = {0};
    char text[3 * LINE_LIMIT];
    rp_command command = on_terminal(CHILD("silent", "echo", "ready", "digest"));

    memset(text, 'a', sizeof text);
    text[LINE_LIMIT] = '\r';       // the return key
    text[2 * LINE_LIMIT] = '\x15'; // ^U lets the line go
    stage_open(&on, *backend, NULL);
    actor_spawn(&on, &self, &command, ACTOR_DATA);
    await(&on, &self, "ready");
    type_bytes(&self, text, sizeof text, &told);
    text[LINE_LIMIT - 1] = '\x16'; // ^V: the return key is a character of the line
    type_bytes(&self, text, sizeof text, &told);
    type_bytes(&self, "\nend\n", 5, &told);
    cr_assert_eq(rp_close_stdin(self.process), 0);
    stage_run_until(&on, &self.counts[ACTOR_DONE], 1);
    actor_check_code(&self, 0);
    cr_assert_eq(told.count, 3);
    cr_assert_eq(told.statuses[0], 0);
    cr_assert_eq(told.statuses[1], RP_EMSGSIZE);
    cr_assert_eq(told.statuses[2], 0);
    // The first line, what was typed after the line that was let go, and the last one.
    cr_assert_not_null(strstr(actor_data(&self, RP_STDOUT), "ready\r\n8195 "), "%s",
                       actor_data(&self, RP_STDOUT));
    actor_free(&self);
    stage_close(&on);
}

BACKEND_TEST(typing, input_comes_with_its_end)
{
    stage on;
    actor self = {0};
    rp_command command = on_terminal(CHILD("digest", "exit", "2"));

    stage_open(&on, *backend, NULL);
    command.input = (rp_view){"some text", 9}; // without a newline: two keys
    actor_play(&on, &self, &command, ACTOR_DATA);
    actor_check_code(&self, 2);
    cr_assert_not_null(strstr(actor_data(&self, RP_STDOUT), "9 "));
    actor_free(&self);
    command.input = (rp_view){"", 0};
    actor_play(&on, &self, &command, ACTOR_DATA);
    actor_check_code(&self, 2);
    cr_assert_not_null(strstr(actor_data(&self, RP_STDOUT), "0 0\r\n"));
    actor_free(&self);
    stage_close(&on);
}

BACKEND_TEST(typing, has_no_end_in_raw_mode)
{
    stage on;
    actor self = {0};
    rp_command command = on_terminal(CHILD("raw", "echo", "ready", "read", "2"));

    stage_open(&on, *backend, NULL);
    actor_spawn(&on, &self, &command, ACTOR_DATA);
    await(&on, &self, "ready");
    cr_assert_eq(rp_close_stdin(self.process), RP_EUNSUPPORTED);
    type(&self, "ab"); // it is open as before
    stage_run_until(&on, &self.counts[ACTOR_DONE], 1);
    actor_check_code(&self, 0);
    actor_free(&self);
    stage_close(&on);
}

BACKEND_TEST(typing, reports_what_never_arrived)
{
    stage on;
    actor self = {0};
    reports told = {0};
    char *paste = noise_text(PASTE_SIZE, 3);
    rp_command command = on_terminal(CHILD("raw", "echo", "ready", "read", "1", "exit", "6"));

    stage_open(&on, *backend, NULL);
    actor_spawn(&on, &self, &command, ACTOR_DATA);
    await(&on, &self, "ready");
    type_bytes(&self, paste, PASTE_SIZE, &told);
    stage_run_until(&on, &self.counts[ACTOR_DONE], 1);
    actor_check_code(&self, 6);
    cr_assert_eq(told.count, 1);
    cr_assert_eq(told.statuses[0], RP_EPIPE);
    actor_free(&self);
    free(paste);
    stage_close(&on);
}

BACKEND_TEST(typing, before_the_start_waits_for_it)
{
    stage on;
    actor self = {0};
    rp_command command = on_terminal(CHILD("digest"));

    stage_open(&on, *backend, NULL);
    actor_spawn(&on, &self, &command, ACTOR_DATA);
    type(&self, "early\n");
    cr_assert_eq(rp_close_stdin(self.process), 0);
    stage_run_until(&on, &self.counts[ACTOR_DONE], 1);
    actor_check_code(&self, 0);
    cr_assert_not_null(strstr(actor_data(&self, RP_STDOUT), "6 "));
    actor_free(&self);
    stage_close(&on);
}

static void close_at_data(actor *self, actor_event event, rp_stream stream)
{
    (void)stream;
    if (event == ACTOR_GOT_DATA && strstr(actor_data(self, RP_STDOUT), "more") != NULL) {
        actor_close(self);
    }
}

/* The close comes in the middle of a paste, out of a callback: the rest is dropped in silence. */
BACKEND_TEST(typing, ends_in_silence_when_the_process_is_closed)
{
    stage on;
    actor self = {0};
    reports told = {0};
    char *paste = noise_text(PASTE_SIZE, 8);
    rp_command command =
        on_terminal(CHILD("raw", "echo", "ready", "read", "1000", "echo", "more", "pause"));

    stage_open(&on, *backend, NULL);
    actor_spawn(&on, &self, &command, ACTOR_DATA);
    await(&on, &self, "ready");
    self.hook = close_at_data;
    type_bytes(&self, paste, PASTE_SIZE, &told);
    stage_run(&on);
    cr_assert_null(self.process);
    cr_assert_eq(told.count, 0);
    cr_assert_eq(stage_stats(&on).ptys, 0);
    actor_free(&self);
    free(paste);
    stage_close(&on);
}

BACKEND_TEST(typing, is_bounded_where_that_was_asked_for)
{
    stage on;
    actor self = {0};
    reports told = {0};
    char *paste = noise_text(PASTE_SIZE, 8);
    rp_command command = on_terminal(CHILD("raw", "echo", "ready", "read", "1", "exit", "3"));

    command.write_max = 100;
    stage_open(&on, *backend, NULL);
    actor_spawn(&on, &self, &command, ACTOR_DATA);
    await(&on, &self, "ready");
    type_bytes(&self, paste, PASTE_SIZE, &told); // an empty queue takes all
    cr_assert_eq(rp_write(self.process, (rp_view){"x", 1}, NULL, NULL), RP_EAGAIN);
    stage_run_until(&on, &self.counts[ACTOR_DONE], 1);
    actor_check_code(&self, 3);
    cr_assert_eq(told.count, 1);
    cr_assert_eq(told.statuses[0], RP_EPIPE);
    actor_free(&self);
    free(paste);
    stage_close(&on);
}
