/* Tests what comes out of a child: lines, captures, back-pressure, pauses, and the memory budget.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/check.h"
#include "tests/support/noise.h"
#include "tests/support/stage.h"

/* ---- lines ---------------------------------------------------------------------------- */

static void check_lines(rp_backend backend, rp_command *command, const char *expected)
{
    actor child = {0};
    stage on;

    stage_open(&on, backend, NULL);
    actor_play(&on, &child, command, ACTOR_LINES);
    actor_check_code(&child, 0);
    cr_assert_str_eq(actor_lines(&child, RP_STDOUT), expected);
    actor_free(&child);
    stage_close(&on);
}

BACKEND_TEST(streams, keep_blank_lines_bare_returns_and_the_unended_rest)
{
    rp_command command = stage_command(CHILD("write", "1", "\\n\\na\\rb\\r\\n\\r\\nc"));

    check_lines(*backend, &command, "[][][a\rb][][c$");
    command.line_end = RP_LINE_CR_OR_LF;
    check_lines(*backend, &command, "[][][a][b][][c$");
    command = stage_command(CHILD("write", "1", "a\\0b\\nc\\0"));
    command.line_end = RP_LINE_NUL;
    check_lines(*backend, &command, "[a][b\nc]");
}

/* Feeds a child that copies, piece by piece: each piece is read here before the next is written. */
typedef struct dialogue {
    const char *const *pieces;
    unsigned int next;
} dialogue;

static void say_next(actor *self, actor_event event, rp_stream stream)
{
    dialogue *talk = self->context;
    const char *piece = talk->pieces[talk->next];

    (void)stream;
    if (event != ACTOR_STARTED && event != ACTOR_GOT_DATA) {
        return;
    }
    if (piece == NULL) {
        cr_assert_eq(rp_close_stdin(self->process), 0);
        return;
    }
    talk->next++;
    cr_assert_eq(rp_write(self->process, (rp_view){piece, strlen(piece)}, NULL, NULL), 0);
}

BACKEND_TEST(streams, find_line_ends_across_reads)
{
    static const char *const pieces[] = {"a\r", "\nb", "\r", "\n", "\n", "c\r", "d\n", "e\r", NULL};
    dialogue talk = {pieces, 0};
    rp_command command = stage_command(CHILD("cat"));
    actor child = {.hook = say_next, .context = &talk};
    stage on;

    command.in.kind = RP_STDIO_PIPE;
    stage_open(&on, *backend, NULL);
    actor_play(&on, &child, &command, ACTOR_DATA | ACTOR_LINES);
    actor_check_code(&child, 0);
    cr_assert_str_eq(actor_lines(&child, RP_STDOUT), "[a][b][][c\rd][e\r$");
    cr_assert_eq(child.counts[ACTOR_GOT_DATA], 8);
    actor_free(&child);
    talk.next = 0;
    child.hook = say_next;
    child.context = &talk;
    command.line_end = RP_LINE_CR_OR_LF;
    actor_play(&on, &child, &command, ACTOR_DATA | ACTOR_LINES);
    cr_assert_str_eq(actor_lines(&child, RP_STDOUT), "[a][b][][c][d][e]");
    actor_free(&child);
    stage_close(&on);
}

BACKEND_TEST(streams, cut_lines_that_are_too_long_into_pieces)
{
    rp_command command = stage_command(CHILD("write", "1", "abcd\\nabcdefghi\\nab"));

    command.line_max = 4;
    check_lines(*backend, &command, "[abcd][abcd~[efgh~[i][ab$");
}

BACKEND_TEST(streams, deliver_a_line_whole_that_outgrows_the_ring)
{
    static const size_t size = 300000;
    rp_loop_options options = {.ring_size = 4096};
    rp_command command =
        stage_command(CHILD("fill", "1", "300000", "write", "1", "\\nend", "fill", "2", "299999"));
    actor child = {0};
    stage on;

    stage_open(&on, *backend, &options);
    actor_play(&on, &child, &command, ACTOR_LINES);
    actor_check_code(&child, 0);
    cr_assert_eq(child.lines[0].size, size + 2 + 5); // "[...]" "[end$"
    cr_assert_str_eq(child.lines[0].bytes + size, "x][end$");
    cr_assert_eq(child.lines[1].size, size - 1 + 2);
    cr_assert_eq(child.partials, 0);
    actor_free(&child);
    command.line_max = 100000;
    actor_play(&on, &child, &command, ACTOR_LINES);
    cr_assert_eq(child.partials, 4); // 2 + 2: the third hundred thousand is no piece
    actor_free(&child);
    stage_close(&on);
}

/* ---- captures --------------------------------------------------------------------------- */

typedef struct kept {
    size_t size;
    bool truncated;
    noise_sum sum;
} kept;

static kept ask_capture(const rp_process *process, rp_stream stream)
{
    kept found = {0};
    rp_view view = rp_process_captured(process, stream, &found.truncated);

    found.size = view.size;
    noise_sum_add(&found.sum, view.data, view.size);
    cr_assert_eq(view.data[view.size], '\0');
    return found;
}

static void play_captured(stage *on, actor *child, const rp_command *command)
{
    child->stays = true;
    actor_play(on, child, command, 0);
    actor_check_code(child, 0);
}

BACKEND_TEST(streams, are_captured_whole)
{
    rp_command command = stage_command(CHILD("flood-both", "700000", "5"));
    actor child = {0};
    kept found;
    stage on;

    command.capture_max = RP_UNLIMITED;
    stage_open(&on, *backend, NULL);
    play_captured(&on, &child, &command);
    for (rp_stream stream = RP_STDOUT; stream <= RP_STDERR; stream++) {
        found = ask_capture(child.process, stream);
        cr_assert_eq(found.size, 700000);
        cr_assert_not(found.truncated);
        cr_assert_eq(found.sum.value, noise_sum_of(4 + (uint64_t)stream, 700000).value);
    }
    cr_assert_eq(rp_process_captured(child.process, RP_STDIN, NULL).size, 0);
    cr_assert_geq(stage_stats(&on).memory_bytes, 1400000);
    cr_assert_eq(rp_process_discard_captured(child.process, RP_BOTH), 1400000);
    cr_assert_eq(rp_process_captured(child.process, RP_STDOUT, NULL).size, 0);
    cr_assert_eq(stage_stats(&on).memory_bytes, 0);
    actor_close(&child);
    stage_close(&on);
}

BACKEND_TEST(streams, keep_their_head_or_their_tail)
{
    rp_command command = stage_command(CHILD("lines", "1", "20000", "write", "2", "abc"));
    bool truncated = false;
    actor child = {0};
    rp_view view;
    stage on;

    command.capture_max = 11;
    stage_open(&on, *backend, NULL);
    play_captured(&on, &child, &command);
    view = rp_process_captured(child.process, RP_STDOUT, &truncated);
    cr_assert_eq(view.size, 11);
    cr_assert_str_eq(view.data, "line 0\nline");
    cr_assert(truncated);
    view = rp_process_captured(child.process, RP_STDERR, &truncated);
    cr_assert_str_eq(view.data, "abc");
    cr_assert_not(truncated);
    actor_close(&child);
    command.capture_keep = RP_KEEP_TAIL;
    play_captured(&on, (child = (actor){0}, &child), &command);
    view = rp_process_captured(child.process, RP_STDOUT, &truncated);
    cr_assert_str_eq(view.data, "line 19999\n");
    cr_assert(truncated);
    actor_close(&child);
    stage_close(&on);
}

BACKEND_TEST(streams, remember_the_order_of_what_is_captured)
{
    rp_command command = stage_command(CHILD("flood-both", "300000", "8"));
    noise_sum sums[2] = {{0, 0}, {0, 0}};
    uint64_t seq = 0;
    uint64_t time_ns = 0;
    actor child = {0};
    rp_chunk chunk;
    size_t index;
    stage on;
    int r;

    command.capture_max = RP_UNLIMITED;
    command.capture_order = true;
    stage_open(&on, *backend, NULL);
    play_captured(&on, &child, &command);
    for (index = 0; (r = rp_process_captured_chunk(child.process, index, &chunk)) == 1; index++) {
        cr_assert_gt(chunk.seq, seq);
        cr_assert_geq(chunk.time_ns, time_ns);
        seq = chunk.seq;
        time_ns = chunk.time_ns;
        noise_sum_add(&sums[chunk.stream - 1], chunk.bytes.data, chunk.bytes.size);
    }
    cr_assert_eq(r, 0);
    cr_assert_gt(index, 2);
    for (uint64_t i = 0; i < 2; i++) {
        cr_assert_eq(sums[i].size, 300000);
        cr_assert_eq(sums[i].value, noise_sum_of(8 + i, 300000).value);
    }
    actor_close(&child);
    command.capture_order = false;
    play_captured(&on, (child = (actor){0}, &child), &command);
    cr_assert_eq(rp_process_captured_chunk(child.process, 0, &chunk), RP_EINVAL);
    cr_assert_neq(rp_error_detail()[0], '\0');
    actor_close(&child);
    stage_close(&on);
}

/* Discards in the middle of a stream, and looks at the chunks that are left. */
static void discard_at_second(actor *self, actor_event event, rp_stream stream)
{
    (void)stream;
    if (event == ACTOR_GOT_DATA && self->counts[ACTOR_GOT_DATA] == 1) {
        cr_assert_eq(rp_process_discard_captured(self->process, RP_STDOUT), 3);
        cr_assert_eq(rp_close_stdin(self->process), 0);
    }
}

BACKEND_TEST(streams, go_on_being_captured_after_a_discard)
{
    rp_command command =
        stage_command(CHILD("write", "1", "abc", "wait", "0", "write", "1", "defg"));
    actor child = {.hook = discard_at_second};
    rp_chunk chunk;
    stage on;

    command.in.kind = RP_STDIO_PIPE;
    command.capture_max = 3;
    command.capture_order = true;
    stage_open(&on, *backend, NULL);
    child.stays = true;
    actor_play(&on, &child, &command, ACTOR_DATA);
    cr_assert_str_eq(rp_process_captured(child.process, RP_STDOUT, NULL).data, "def");
    cr_assert_eq(rp_process_captured_chunk(child.process, 0, &chunk), 1);
    cr_assert_eq(chunk.bytes.size, 0);
    cr_assert_eq(rp_process_captured_chunk(child.process, 1, &chunk), 1);
    cr_assert_eq(chunk.bytes.size, 3);
    cr_assert_eq(memcmp(chunk.bytes.data, "def", 3), 0);
    actor_close(&child);
    actor_free(&child);
    stage_close(&on);
}

/* ---- back-pressure ------------------------------------------------------------------------- */

BACKEND_TEST(streams, of_a_paused_child_hold_it_up_and_lose_nothing)
{
    lifeline done = lifeline_open();
    rp_fd fd = lifeline_hand(done.write, 3);
    rp_command command = stage_command(
        CHILD("flood", "1", "1000000", "77", "write", lifeline_number(done.write, 3), "x"));
    noise_sum sum = {0, 0};
    actor child = {0};
    stage on;

    command.fds = &fd;
    command.fd_count = 1;
    stage_open(&on, *backend, NULL);
    actor_spawn(&on, &child, &command, ACTOR_DATA);
    cr_assert_eq(rp_pause(child.process, RP_BOTH), 0);
    stage_run_until(&on, &child.counts[ACTOR_STARTED], 1);
    stage_run_until_blocked(&on, rp_process_pid(child.process));
    cr_assert(lifeline_is_silent(&done), "it was not held up");
    cr_assert_eq(child.counts[ACTOR_GOT_DATA], 0);
    cr_assert_leq(stage_stats(&on).bytes_read, 64u * 1024);
    cr_assert_eq(rp_process_available(child.process, RP_BOTH), stage_stats(&on).bytes_read);
    cr_assert_eq(rp_resume(child.process, RP_BOTH), 0);
    stage_run_until(&on, &child.counts[ACTOR_DONE], 1);
    actor_check_code(&child, 0);
    lifeline_await_byte(&done);
    noise_sum_add(&sum, child.data[0].bytes, child.data[0].size);
    cr_assert_eq(sum.value, noise_sum_of(77, 1000000).value);
    actor_free(&child);
    lifeline_close(&done);
    on.before.descriptors -= 2;
    stage_close(&on);
}

/* Pauses in each callback of one stream and lets a timer resume, so that nothing else can. */
typedef struct pausing {
    unsigned int pauses;
    bool paused;
} pausing;

static void resume_later(rp_timer *timer, void *user)
{
    actor *self = user;

    (void)timer;
    if (self->process != NULL) {
        ((pausing *)self->context)->paused = false;
        cr_assert_eq(rp_resume(self->process, RP_STDOUT), 0);
    }
}

static void pause_in_callback(actor *self, actor_event event, rp_stream stream)
{
    pausing *state = self->context;

    if ((event != ACTOR_GOT_DATA && event != ACTOR_GOT_LINE) || stream != RP_STDOUT) {
        cr_assert(event != ACTOR_EOS || stream != RP_STDOUT || !state->paused);
        cr_assert(event != ACTOR_DONE || !state->paused);
        return;
    }
    cr_assert_not(state->paused, "called while paused");
    state->paused = true;
    state->pauses++;
    cr_assert_eq(rp_pause(self->process, RP_STDOUT), 0);
    cr_assert_eq(rp_timer_start(rp_process_loop(self->process), 0, 0, resume_later, self, NULL), 0);
}

BACKEND_TEST(streams, paused_inside_a_callback_are_silent_at_once)
{
    rp_command command = stage_command(CHILD("lines", "1", "50", "lines", "2", "50", "exit", "3"));
    pausing state = {0, false};
    actor child = {.hook = pause_in_callback, .context = &state};
    stage on;

    stage_open(&on, *backend, NULL);
    actor_play(&on, &child, &command, ACTOR_DATA | ACTOR_LINES);
    actor_check_code(&child, 3);
    cr_assert_geq(state.pauses, 51, "once a line, and for data");
    cr_assert_str_eq(child.lines[0].bytes + child.lines[0].size - 18, "[line 48][line 49]");
    cr_assert_eq(child.data[0].size, 10 * 7 + 40 * 8);
    actor_free(&child);
    stage_run(&on);
    stage_close(&on);
}

static void pause_at_first(actor *self, actor_event event, rp_stream stream)
{
    (void)stream;
    if (event == ACTOR_GOT_DATA && self->counts[ACTOR_GOT_DATA] == 1) {
        cr_assert_eq(rp_pause(self->process, RP_BOTH), 0);
        cr_assert_eq(rp_close_stdin(self->process), 0);
    }
}

BACKEND_TEST(streams, paused_after_the_exit_hold_done_back)
{
    rp_command command =
        stage_command(CHILD("fill", "1", "100", "wait", "0", "fill", "1", "49900", "exit", "4"));
    actor child = {.hook = pause_at_first};
    stage on;

    command.in.kind = RP_STDIO_PIPE;
    stage_open(&on, *backend, NULL);
    actor_spawn(&on, &child, &command, ACTOR_DATA);
    stage_run_until(&on, &child.counts[ACTOR_EXITED], 1);
    for (int i = 0; i < 20; i++) {
        cr_assert_geq(rp_loop_run_once(on.loop, 0), 0);
    }
    cr_assert_eq(child.counts[ACTOR_DONE], 0);
    cr_assert_eq(child.eos[0] + child.eos[1], 0);
    cr_assert_eq(rp_resume(child.process, RP_STDERR), 0);
    cr_assert_eq(rp_resume(child.process, RP_STDOUT), 0);
    cr_assert_eq(child.counts[ACTOR_DONE], 0, "not out of the call");
    stage_run_until(&on, &child.counts[ACTOR_DONE], 1);
    cr_assert_eq(child.data[0].size, 50000);
    actor_check_code(&child, 4);
    actor_free(&child);
    stage_close(&on);
}

BACKEND_TEST(streams, refuse_a_pause_of_what_is_no_output)
{
    rp_command command = stage_command(CHILD("exit", "0"));
    rp_process *pulled;
    actor child = {0};
    stage on;

    stage_open(&on, *backend, NULL);
    actor_spawn(&on, &child, &command, 0);
    cr_assert_eq(rp_pause(child.process, RP_STDIN), RP_EINVAL);
    cr_assert_eq(rp_resume(child.process, (rp_stream)7), RP_EINVAL);
    cr_assert_eq(rp_spawn(on.loop, &command, NULL, NULL, &pulled), 0);
    cr_assert_eq(rp_pause(pulled, RP_STDOUT), RP_EINVAL);
    stage_run(&on);
    rp_process_close(pulled);
    actor_free(&child);
    stage_close(&on);
}

BACKEND_TEST(streams, closed_by_us_break_the_childs_pipe)
{
    rp_command command =
        stage_command(CHILD("write", "1", "first", "wait", "0", "flood-forever", "1"));
    actor child = {0};
    stage on;

    command.in.kind = RP_STDIO_PIPE;
    stage_open(&on, *backend, NULL);
    actor_spawn(&on, &child, &command, ACTOR_DATA);
    cr_assert_eq(rp_close_output(child.process, RP_STDOUT), RP_EAGAIN);
    stage_run_until(&on, &child.counts[ACTOR_GOT_DATA], 1);
    cr_assert_eq(rp_close_output(child.process, RP_STDIN), RP_EINVAL);
    cr_assert_eq(rp_close_output(child.process, RP_STDOUT), 0);
    cr_assert_eq(child.eos[0], 0, "not out of the call");
    stage_run_until(&on, &child.eos[0], 1);
    cr_assert_eq(rp_close_output(child.process, RP_STDOUT), 0);
    cr_assert_eq(rp_close_stdin(child.process), 0);
    stage_run_until(&on, &child.counts[ACTOR_DONE], 1);
    actor_check_code(&child, stage_code_of(13)); /* SIGPIPE */
    cr_assert_str_eq(actor_data(&child, RP_STDOUT), "first");
    actor_free(&child);
    stage_close(&on);
}

/* ---- the memory budget ------------------------------------------------------------------------
 */

enum {
    STREAM_COUNT = 40,
    BUDGET = 64 * 1024,
    RING = 8192
};

static size_t most_memory;

static void watch_memory(actor *self, actor_event event, rp_stream stream)
{
    rp_loop_stats stats = {.size = sizeof stats};

    (void)event;
    (void)stream;
    cr_assert_eq(rp_loop_get_stats(rp_process_loop(self->process), &stats), 0);
    most_memory = stats.memory_bytes > most_memory ? stats.memory_bytes : most_memory;
}

BACKEND_TEST(streams, of_many_children_share_a_memory_budget)
{
    static actor children[STREAM_COUNT];
    rp_loop_options options = {.memory_max = BUDGET, .ring_size = RING};
    stage on;

    stage_open(&on, *backend, &options);
    for (unsigned int i = 0; i < STREAM_COUNT; i++) {
        rp_command command = stage_command(CHILD("flood-both", "100000", "9"));

        children[i].hook = watch_memory;
        actor_spawn(&on, &children[i], &command, ACTOR_DATA);
    }
    stage_run(&on);
    for (unsigned int i = 0; i < STREAM_COUNT; i++) {
        actor_check_code(&children[i], 0);
        for (uint64_t s = 0; s < 2; s++) {
            noise_sum sum = {0, 0};

            noise_sum_add(&sum, children[i].data[s].bytes, children[i].data[s].size);
            cr_assert_eq(sum.size, 100000);
            cr_assert_eq(sum.value, noise_sum_of(9 + s, 100000).value);
        }
        actor_free(&children[i]);
    }
    cr_assert_gt(most_memory, 0);
    cr_assert_leq(most_memory, BUDGET);
    cr_assert_eq(stage_stats(&on).memory_bytes, 0);
    stage_close(&on);
}

BACKEND_TEST(streams, quiet_ones_hold_no_memory_of_the_budget)
{
    rp_loop_options options = {.memory_max = BUDGET, .ring_size = RING};
    rp_command command = stage_command(CHILD("write", "1", "a\\n", "wait", "0"));
    actor child = {0};
    stage on;

    command.in.kind = RP_STDIO_PIPE;
    stage_open(&on, *backend, &options);
    actor_spawn(&on, &child, &command, ACTOR_LINES);
    stage_run_until(&on, &child.counts[ACTOR_GOT_LINE], 1);
    cr_assert_eq(stage_stats(&on).memory_bytes, 0);
    cr_assert_eq(rp_close_stdin(child.process), 0);
    stage_run(&on);
    actor_check_code(&child, 0);
    actor_free(&child);
    stage_close(&on);
}

BACKEND_TEST(streams, captures_are_cut_by_the_budget_and_the_child_goes_on)
{
    rp_loop_options options = {.memory_max = BUDGET, .ring_size = RING};
    rp_command command = stage_command(CHILD("flood", "1", "1000000", "3", "exit", "5"));
    bool truncated = false;
    actor child = {.stays = true};
    rp_view view;
    stage on;

    command.capture_max = RP_UNLIMITED;
    stage_open(&on, *backend, &options);
    actor_play(&on, &child, &command, ACTOR_DATA);
    actor_check_code(&child, 5);
    cr_assert_eq(child.data[0].size, 1000000);
    view = rp_process_captured(child.process, RP_STDOUT, &truncated);
    cr_assert(truncated);
    cr_assert_geq(view.size, RING);
    cr_assert_leq(view.size, BUDGET);
    cr_assert_eq(memcmp(view.data, child.data[0].bytes, view.size), 0);
    cr_assert_leq(stage_stats(&on).memory_bytes, BUDGET);
    actor_close(&child);
    actor_free(&child);
    stage_close(&on);
}

/* A line that outgrew its ring leaves that ring empty, and so for others; its rest must still come.
 */
BACKEND_TEST(streams, with_long_lines_and_little_memory_still_end)
{
    static actor children[8];
    rp_loop_options options = {.memory_max = 4096, .ring_size = 4096};
    stage on;

    stage_open(&on, *backend, &options);
    for (unsigned int i = 0; i < 8; i++) {
        rp_command command = stage_command(CHILD("fill", "1", "50000", "fill", "2", "4096"));

        actor_spawn(&on, &children[i], &command, ACTOR_LINES);
    }
    stage_run(&on);
    for (unsigned int i = 0; i < 8; i++) {
        actor_check_code(&children[i], 0);
        cr_assert_eq(children[i].lines[0].size, 50002);
        cr_assert_eq(children[i].lines[1].size, 4098);
        actor_free(&children[i]);
    }
    stage_close(&on);
}
