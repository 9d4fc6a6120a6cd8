/* Tests pull mode: events in the order read, waiting and its ends, and the processes of a loop in
 * turn. */
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>

#include "tests/support/check.h"
#include "tests/support/noise.h"
#include "tests/support/stage.h"

#define SOON_NS (20 * RP_MILLISECOND)

static rp_process *pull(stage *on, const rp_command *command)
{
    rp_process *process = NULL;
    int r = rp_spawn(on->loop, command, NULL, NULL, &process);

    cr_assert_eq(r, 0, "rp_spawn: %s", rp_error_name(r));
    return process;
}

/* What was pulled: "1(text) ", "exit7 "; and the ends, which come when they come. */
typedef struct notes {
    actor_text text;
    unsigned int eos[3];
} notes;

/* Writes an event down. */
static void note(notes *self, const rp_event *event)
{
    actor_text *all = &self->text;
    char text[32];

    switch (event->kind) {
    case RP_EVENT_LINE:
        cr_assert_eq(self->eos[event->stream], 0, "a line after the end");
        (void)snprintf(text, sizeof text, "%d(", (int)event->stream);
        actor_text_add(all, text, strlen(text));
        actor_text_add(all, event->line.text.data, event->line.text.size);
        actor_text_add(all, event->line.partial ? "~ " : event->line.unended ? "$ " : ") ", 2);
        cr_assert_eq(event->line.seq, event->seq);
        break;
    case RP_EVENT_EOS:
        self->eos[event->stream]++;
        break;
    case RP_EVENT_EXIT:
        (void)snprintf(text, sizeof text, "exit%d ", event->exit->code);
        actor_text_add(all, text, strlen(text));
        break;
    case RP_EVENT_DATA:
        cr_assert_fail("data of a child on pipes");
    }
}

/* Pulls all events of a process, which end with the exit, once. */
static void pull_all(rp_process *process, notes *all)
{
    uint64_t seq = 0;
    rp_event event;
    int r;

    while ((r = rp_next(process, RP_FOREVER, &event)) == 1) {
        cr_assert_gt(event.seq, seq);
        seq = event.seq;
        note(all, &event);
        cr_assert(event.kind != RP_EVENT_EXIT || event.exit == rp_process_exit(process));
    }
    cr_assert_eq(r, 0, "%s", rp_error_name(r));
    cr_assert_eq(event.kind, RP_EVENT_EXIT);
    cr_assert_leq(all->eos[1], 1);
    cr_assert_leq(all->eos[2], 1);
    cr_assert_eq(rp_next(process, RP_FOREVER, &event), 0, "the end stays");
}

static void check_events(rp_backend backend,
                         const rp_command *command,
                         unsigned int eos_count,
                         const char *expected)
{
    notes all = {{NULL, 0, 0}, {0, 0, 0}};
    rp_process *process;
    stage on;

    stage_open(&on, backend, NULL);
    process = pull(&on, command);
    pull_all(process, &all);
    cr_assert_str_eq(all.text.bytes, expected);
    cr_assert_eq(all.eos[1] + all.eos[2], eos_count);
    free(all.text.bytes);
    rp_process_close(process);
    stage_close(&on);
}

/* ---- the order of events (behaviour of stream iteration) --------------------------------- */

BACKEND_TEST(pull, of_a_silent_child_gives_two_ends_and_the_exit)
{
    rp_command command = stage_command(CHILD("exit", "3"));

    check_events(*backend, &command, 2, "exit3 ");
    command.out.kind = RP_STDIO_NULL;
    check_events(*backend, &command, 1, "exit3 ");
    command.err.kind = RP_STDIO_NULL;
    check_events(*backend, &command, 0, "exit3 ");
}

BACKEND_TEST(pull, gives_lines_then_ends_then_the_exit)
{
    rp_command command = stage_command(CHILD("write", "1", "a\\n\\r\\nb", "exit", "1"));

    check_events(*backend, &command, 2, "1(a) 1() 1(b$ exit1 ");
}

BACKEND_TEST(pull, of_a_failed_launch_gives_the_exit_alone)
{
    static const char *const missing[] = {"/nowhere/at-all", NULL};
    rp_command command = stage_command(missing);

    check_events(*backend, &command, 0, "exit127 ");
}

/* The exit is known long before its lines are pulled: they come first all the same. */
BACKEND_TEST(pull, gives_the_exit_last_however_early_it_was)
{
    rp_command command = stage_command(CHILD("lines", "1", "3", "exit", "2"));
    notes all = {{NULL, 0, 0}, {0, 0, 0}};
    rp_process *process;
    stage on;

    stage_open(&on, *backend, NULL);
    process = pull(&on, &command);
    stage_run(&on); // returns when the exit is known
    cr_assert_not(rp_process_is_running(process));
    cr_assert_eq(rp_process_exit(process)->code, 2);
    cr_assert_eq(rp_process_available(process, RP_STDOUT), 21);
    pull_all(process, &all);
    cr_assert_str_eq(all.text.bytes, "1(line 0) 1(line 1) 1(line 2) exit2 ");
    free(all.text.bytes);
    rp_process_close(process);
    stage_close(&on);
}

/* Both streams in turn, each line written only when the one before was pulled. */
BACKEND_TEST(pull, gives_lines_of_both_streams_in_the_order_read)
{
    rp_command command = stage_command(CHILD(
        "write", "1", "a\\n", "read", "1", "write", "2", "b\\n", "read", "1", "write", "1",
        "c\\nd\\n", "read", "1", "write", "2", "e\\n", "close", "1", "read", "1", "exit", "9"));
    notes all = {{NULL, 0, 0}, {0, 0, 0}};
    rp_process *process;
    rp_event event;
    stage on;

    command.in.kind = RP_STDIO_PIPE;
    stage_open(&on, *backend, NULL);
    process = pull(&on, &command);
    while (rp_next(process, RP_FOREVER, &event) == 1) {
        note(&all, &event);
        if (event.kind == RP_EVENT_LINE && event.line.text.data[0] != 'c') {
            cr_assert_eq(rp_write(process, (rp_view){"x", 1}, NULL, NULL), 0);
        }
    }
    cr_assert_str_eq(all.text.bytes, "1(a) 2(b) 1(c) 1(d) 2(e) exit9 ");
    cr_assert_eq(all.eos[1] + all.eos[2], 2);
    free(all.text.bytes);
    rp_process_close(process);
    stage_close(&on);
}

/* What was read while nobody pulled keeps its order: the marks of the reads tell it. */
BACKEND_TEST(pull, keeps_the_order_of_what_was_read_before)
{
    rp_command command =
        stage_command(CHILD("write", "2", "a\\n", "read", "1", "write", "1", "b\\n", "read", "1",
                            "write", "2", "c\\n", "read", "1", "write", "1", "d\\n"));
    notes all = {{NULL, 0, 0}, {0, 0, 0}};
    rp_process *process;
    size_t seen = 0;
    stage on;

    command.in.kind = RP_STDIO_PIPE;
    stage_open(&on, *backend, NULL);
    process = pull(&on, &command);
    while (seen < 8) {
        cr_assert_geq(rp_loop_run_once(on.loop, 10 * RP_SECOND), 0);
        if (rp_process_available(process, RP_BOTH) > seen) {
            seen = rp_process_available(process, RP_BOTH);
            (void)rp_write(process, (rp_view){"x", 1}, NULL, NULL); // the last one finds it gone
        }
    }
    pull_all(process, &all);
    cr_assert_str_eq(all.text.bytes, "2(a) 1(b) 2(c) 1(d) exit0 ");
    free(all.text.bytes);
    rp_process_close(process);
    stage_close(&on);
}

/* ---- waiting -------------------------------------------------------------------------------- */

BACKEND_TEST(pull, times_out_and_goes_on)
{
    rp_command command = stage_command(CHILD("read", "1", "write", "1", "a\\n", "read", "1"));
    rp_process *process;
    rp_event event = {.seq = 77};
    rp_line line;
    rp_view bytes;
    uint64_t before_ns;
    stage on;

    command.in.kind = RP_STDIO_PIPE;
    stage_open(&on, *backend, NULL);
    process = pull(&on, &command);
    cr_assert_eq(rp_next(process, 0, &event), RP_ETIMEDOUT);
    before_ns = rp_now_ns();
    cr_assert_eq(rp_next(process, SOON_NS, &event), RP_ETIMEDOUT);
    cr_assert_geq(rp_now_ns() - before_ns, SOON_NS);
    cr_assert_eq(event.seq, 77, "outputs are written on success only");
    cr_assert_eq(rp_next_line(process, RP_BOTH, 0, &line), RP_ETIMEDOUT);
    cr_assert_eq(rp_next_line(process, RP_STDERR, 0, &line), RP_ETIMEDOUT);
    cr_assert_eq(rp_next_data(process, RP_STDOUT, 0, &bytes), RP_ETIMEDOUT);
    cr_assert_eq(rp_wait(process, 0) == 0, false);
    rp_process_close(process);

    process = pull(&on, &command);
    cr_assert_eq(rp_write(process, (rp_view){"x", 1}, NULL, NULL), 0);
    cr_assert_eq(rp_next(process, RP_FOREVER, &event), 1);
    cr_assert_eq(event.line.text.size, 1);
    cr_assert_eq(rp_next(process, 0, &event), RP_ETIMEDOUT);
    cr_assert_eq(rp_close_stdin(process), 0);
    cr_assert_eq(rp_wait(process, RP_FOREVER), 0);
    cr_assert_eq(rp_wait(process, 0), 0);
    cr_assert_eq(rp_process_exit(process)->code, 3);
    rp_process_close(process);
    stage_close(&on);
}

BACKEND_TEST(pull, refuses_what_it_cannot)
{
    static const rp_handlers none = {.done = NULL};
    rp_command command = stage_command(CHILD("exit", "0"));
    rp_process *pulled;
    rp_process *handled;
    rp_event event;
    rp_line line;
    rp_view bytes;
    stage on;

    stage_open(&on, *backend, NULL);
    command.err.kind = RP_STDIO_NULL;
    pulled = pull(&on, &command);
    cr_assert_eq(rp_spawn(on.loop, &command, &none, NULL, &handled), 0);
    cr_assert_eq(rp_next(handled, 0, &event), RP_EINVAL);
    cr_assert_neq(rp_error_detail()[0], '\0');
    cr_assert_eq(rp_next_line(pulled, RP_STDIN, 0, &line), RP_EINVAL);
    cr_assert_eq(rp_next_line(pulled, RP_STDERR, 0, &line), RP_EINVAL);
    cr_assert_eq(rp_next_line(pulled, (rp_stream)8, 0, &line), RP_EINVAL);
    cr_assert_eq(rp_next_data(pulled, RP_BOTH, 0, &bytes), RP_EINVAL);
    cr_assert_eq(rp_wait(handled, RP_FOREVER), 0);
    cr_assert_eq(rp_wait(pulled, RP_FOREVER), 0);
    cr_assert_eq(rp_next(pulled, 0, &event), RP_EINVAL, "rp_wait dropped it");
    rp_process_close(pulled);
    rp_process_close(handled);
    stage_close(&on);
}

/* ---- one stream --------------------------------------------------------------------------------
 */

BACKEND_TEST(pull, gives_the_lines_of_one_stream_to_its_end)
{
    rp_command command = stage_command(CHILD("lines", "1", "2000", "lines", "2", "3"));
    rp_process *process;
    char expected[32];
    rp_line line;
    rp_event event;
    stage on;

    stage_open(&on, *backend, NULL);
    process = pull(&on, &command);
    for (int i = 0; i < 2000; i++) {
        cr_assert_eq(rp_next_line(process, RP_STDOUT, RP_FOREVER, &line), 1);
        (void)snprintf(expected, sizeof expected, "line %d", i);
        cr_assert_eq(line.text.size, strlen(expected));
        cr_assert_eq(memcmp(line.text.data, expected, line.text.size), 0);
    }
    cr_assert_eq(rp_next_line(process, RP_STDOUT, RP_FOREVER, &line), 0);
    cr_assert_eq(rp_next_line(process, RP_STDOUT, RP_FOREVER, &line), 0);
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(rp_next_line(process, RP_BOTH, RP_FOREVER, &line), 1);
    }
    cr_assert_eq(rp_next_line(process, RP_BOTH, RP_FOREVER, &line), 0);
    cr_assert_eq(rp_next(process, RP_FOREVER, &event), 1);
    while (event.kind != RP_EVENT_EXIT) {
        cr_assert_eq(event.kind, RP_EVENT_EOS);
        cr_assert_eq(rp_next(process, RP_FOREVER, &event), 1);
    }
    rp_process_close(process);
    stage_close(&on);
}

BACKEND_TEST(pull, gives_all_bytes_of_one_stream)
{
    rp_command command = stage_command(CHILD("flood", "1", "1000000", "31"));
    noise_sum sum = {0, 0};
    rp_process *process;
    rp_view bytes;
    stage on;
    int r;

    stage_open(&on, *backend, NULL);
    process = pull(&on, &command);
    while ((r = rp_next_data(process, RP_STDOUT, RP_FOREVER, &bytes)) == 1) {
        cr_assert_gt(bytes.size, 0);
        noise_sum_add(&sum, bytes.data, bytes.size);
    }
    cr_assert_eq(r, 0);
    cr_assert_eq(sum.size, 1000000);
    cr_assert_eq(sum.value, noise_sum_of(31, 1000000).value);
    cr_assert_eq(rp_next_data(process, RP_STDERR, RP_FOREVER, &bytes), 0);
    rp_process_close(process);
    stage_close(&on);
}

/* Lines and data of one stream may be mixed: each byte comes once. */
BACKEND_TEST(pull, mixes_lines_and_data)
{
    rp_loop_options options = {.ring_size = 4096};
    rp_command command = stage_command(CHILD("lines", "1", "5000", "fill", "1", "30000"));
    size_t total = 0;
    rp_process *process;
    rp_line line;
    rp_view bytes;
    stage on;
    int r = 1;

    stage_open(&on, *backend, &options);
    process = pull(&on, &command);
    for (int i = 0; r == 1; i++) {
        if (i % 3 == 0) {
            r = rp_next_data(process, RP_STDOUT, RP_FOREVER, &bytes);
            total += r == 1 ? bytes.size : 0;
        } else {
            r = rp_next_line(process, RP_STDOUT, RP_FOREVER, &line);
            total += r == 1 ? line.text.size + (line.unended || line.partial ? 0 : 1) : 0;
        }
    }
    cr_assert_eq(r, 0);
    cr_assert_eq(total, 10 * 7 + 90 * 8 + 900 * 9 + 4000 * 10 + 30000);
    rp_process_close(process);
    stage_close(&on);
}

BACKEND_TEST(pull, of_one_stream_says_when_the_other_is_in_the_way)
{
    rp_command command = stage_command(CHILD("fill", "2", "1000000", "write", "1", "a\\n"));
    rp_process *process;
    rp_line line;
    rp_view bytes;
    size_t total = 0;
    stage on;
    int r;

    stage_open(&on, *backend, NULL);
    process = pull(&on, &command);
    cr_assert_eq(rp_next_line(process, RP_STDOUT, RP_FOREVER, &line), RP_ENOBUFS);
    cr_assert_neq(rp_error_detail()[0], '\0');
    while ((r = rp_next_line(process, RP_STDOUT, RP_FOREVER, &line)) == RP_ENOBUFS) {
        cr_assert_eq(rp_next_data(process, RP_STDERR, RP_FOREVER, &bytes), 1);
        total += bytes.size;
    }
    cr_assert_eq(r, 1);
    cr_assert_eq(line.text.size, 1);
    while (rp_next_data(process, RP_STDERR, RP_FOREVER, &bytes) == 1) {
        total += bytes.size;
    }
    cr_assert_eq(total, 1000000);
    rp_process_close(process);
    stage_close(&on);
}

/* Nothing is in the way of what has come already. */
BACKEND_TEST(pull, of_one_stream_gives_what_has_come_although_the_other_is_full)
{
    rp_command command = stage_command(CHILD("write", "1", "a\\n", "fill", "2", "1000000"));
    rp_process *process;
    rp_line line;
    stage on;

    stage_open(&on, *backend, NULL);
    process = pull(&on, &command);
    while (rp_process_pid(process) == 0) {
        cr_assert_geq(rp_loop_run_once(on.loop, 10 * RP_SECOND), 0);
    }
    stage_run_until_blocked(&on, rp_process_pid(process));
    cr_assert_eq(rp_next_line(process, RP_STDOUT, 0, &line), 1);
    cr_assert_eq(rp_next_line(process, RP_STDOUT, 0, &line), RP_ENOBUFS);
    rp_process_close(process);
    stage_close(&on);
}

BACKEND_TEST(pull, nobody_asks_holds_the_child_up)
{
    lifeline done = lifeline_open();
    rp_fd fd = {.parent = done.write, .child = 3};
    rp_command command = stage_command(CHILD("fill", "1", "1000000", "write", "3", "x"));
    rp_process *process;
    rp_view bytes;
    size_t total = 0;
    stage on;

    command.fds = &fd;
    command.fd_count = 1;
    stage_open(&on, *backend, NULL);
    process = pull(&on, &command);
    while (rp_process_pid(process) == 0) {
        cr_assert_geq(rp_loop_run_once(on.loop, 10 * RP_SECOND), 0);
    }
    stage_run_until_blocked(&on, rp_process_pid(process));
    cr_assert(lifeline_is_silent(&done));
    cr_assert_eq(rp_process_available(process, RP_STDOUT), 64 * 1024);
    while (rp_next_data(process, RP_STDOUT, RP_FOREVER, &bytes) == 1) {
        total += bytes.size;
    }
    cr_assert_eq(total, 1000000);
    rp_process_close(process);
    lifeline_close(&done);
    on.before.descriptors -= 2;
    stage_close(&on);
}

/* A view lives until the next pulling call on its process, whatever else the loop does meanwhile.
 */
BACKEND_TEST(pull, views_stay_while_others_are_pulled)
{
    rp_loop_options options = {.ring_size = 4096};
    rp_command command = stage_command(CHILD("lines", "1", "3000"));
    rp_process *first;
    rp_process *second;
    rp_line held;
    rp_line line;
    char expected[32];
    stage on;

    stage_open(&on, *backend, &options);
    first = pull(&on, &command);
    second = pull(&on, &command);
    for (int i = 0; i < 3000; i++) {
        cr_assert_eq(rp_next_line(first, RP_STDOUT, RP_FOREVER, &held), 1);
        (void)snprintf(expected, sizeof expected, "line %d", i);
        cr_assert_eq(rp_next_line(second, RP_STDOUT, RP_FOREVER, &line), 1);
        cr_assert_geq(rp_loop_run_once(on.loop, 0), 0);
        cr_assert_eq(held.text.size, strlen(expected));
        cr_assert_eq(memcmp(held.text.data, expected, held.text.size), 0);
    }
    cr_assert_eq(rp_next_line(first, RP_STDOUT, RP_FOREVER, &held), 0);
    rp_process_close(first);
    rp_process_close(second);
    stage_close(&on);
}

BACKEND_TEST(pull, works_in_rings_that_are_not_mirrored_and_under_a_budget)
{
    static const size_t budgets[] = {0, 8192};

    for (int i = 0; i < 2; i++) {
        rp_loop_options options = {.ring_size = 4096, .memory_max = budgets[i]};
        rp_command command = stage_command(CHILD("lines", "1", "5000", "fill", "1", "9000"));
        notes all = {{NULL, 0, 0}, {0, 0, 0}};
        rp_process *process;
        stage on;

        rpi_fault_os_start();
        rpi_fault_os_fail("memfd_create", RPI_FAULT_EVERY, ENOSYS);
        stage_open(&on, *backend, &options);
        process = pull(&on, &command);
        pull_all(process, &all);
        cr_assert_eq(all.text.size, (10 * 6 + 90 * 7 + 900 * 8 + 4000 * 9) + 5000 * 4 + 9000 + 4 +
                                        strlen("exit0 "));
        free(all.text.bytes);
        rp_process_close(process);
        stage_close(&on);
        rpi_fault_os_stop();
    }
}

/* ---- all of a loop -----------------------------------------------------------------------------
 */

BACKEND_TEST(pull, of_all_serves_each_in_turn)
{
    enum {
        COUNT = 6
    };
    rp_command command = stage_command(CHILD("lines", "1", "500", "wait", "0"));
    rp_process *processes[COUNT];
    unsigned int lines[COUNT] = {0};
    unsigned int exits = 0;
    rp_process *process;
    rp_event event;
    stage on;
    int r;

    command.in.kind = RP_STDIO_PIPE;
    stage_open(&on, *backend, NULL);
    for (int i = 0; i < COUNT; i++) {
        processes[i] = pull(&on, &command);
    }
    for (int i = 0; i < COUNT; i++) { // everything is there before the first is pulled
        while (rp_process_available(processes[i], RP_STDOUT) < 10 * 7 + 90 * 8 + 400 * 9) {
            cr_assert_geq(rp_loop_run_once(on.loop, 10 * RP_SECOND), 0);
        }
    }
    for (int i = 0; i < 500 * COUNT; i++) {
        cr_assert_eq(rp_next_any(on.loop, RP_FOREVER, &process, &event), 1);
        cr_assert_eq(event.kind, RP_EVENT_LINE);
        for (int k = 0; k < COUNT; k++) {
            lines[k] += process == processes[k];
            cr_assert_leq(lines[k], (unsigned int)i / COUNT + 1, "one is served more than others");
        }
    }
    cr_assert_eq(rp_next_any(on.loop, 0, &process, &event), RP_ETIMEDOUT);
    for (int i = 0; i < COUNT; i++) {
        cr_assert_eq(rp_close_stdin(processes[i]), 0);
    }
    while ((r = rp_next_any(on.loop, RP_FOREVER, &process, &event)) == 1) {
        exits += event.kind == RP_EVENT_EXIT;
    }
    cr_assert_eq(r, 0);
    cr_assert_eq(exits, COUNT);
    for (int i = 0; i < COUNT; i++) {
        rp_process_close(processes[i]);
    }
    cr_assert_eq(rp_next_any(on.loop, RP_FOREVER, &process, &event), 0);
    stage_close(&on);
}

BACKEND_TEST(pull, of_all_sees_those_that_come_meanwhile_and_not_those_that_go)
{
    rp_command command = stage_command(CHILD("echo", "a"));
    unsigned int exits = 0;
    rp_process *process;
    rp_event event;
    stage on;
    int r;

    stage_open(&on, *backend, NULL);
    (void)pull(&on, &command);
    rp_process_close(pull(&on, &command));
    while ((r = rp_next_any(on.loop, RP_FOREVER, &process, &event)) == 1) {
        if (event.kind == RP_EVENT_EXIT) {
            rp_process_close(process);
            if (++exits < 5) {
                (void)pull(&on, &command);
            }
        }
    }
    cr_assert_eq(r, 0);
    cr_assert_eq(exits, 5);
    stage_close(&on);
}

/* ---- ends of waiting
 * ----------------------------------------------------------------------------- */

static void close_it(rp_timer *timer, void *user)
{
    (void)timer;
    rp_process_close(user);
}

static void stop_it(rp_timer *timer, void *user)
{
    (void)timer;
    rp_loop_stop(user);
}

typedef int wait_fn(rp_process *process);

static int wait_next(rp_process *process)
{
    rp_event event;

    return rp_next(process, RP_FOREVER, &event);
}

static int wait_line(rp_process *process)
{
    rp_line line;

    return rp_next_line(process, RP_STDOUT, RP_FOREVER, &line);
}

static int wait_data(rp_process *process)
{
    rp_view bytes;

    return rp_next_data(process, RP_STDERR, RP_FOREVER, &bytes);
}

static int wait_any(rp_process *process)
{
    rp_process *other;
    rp_event event;

    return rp_next_any(rp_process_loop(process), RP_FOREVER, &other, &event);
}

static int wait_done(rp_process *process)
{
    return rp_wait(process, RP_FOREVER);
}

static wait_fn *const waits[] = {wait_next, wait_line, wait_data, wait_done, wait_any};

BACKEND_TEST(pull, is_cancelled_by_a_close_and_by_a_stop)
{
    rp_command command = stage_command(CHILD("pause"));
    rp_process *process;
    stage on;

    stage_open(&on, *backend, NULL);
    for (size_t i = 0; i < sizeof waits / sizeof *waits; i++) {
        process = pull(&on, &command);
        cr_assert_eq(rp_timer_start(on.loop, SOON_NS, 0, stop_it, on.loop, NULL), 0);
        cr_assert_eq(waits[i](process), RP_ECANCELED);
        rp_loop_stop(on.loop); // the next one, too
        cr_assert_eq(waits[i](process), RP_ECANCELED);
        cr_assert_eq(rp_timer_start(on.loop, SOON_NS, 0, close_it, process, NULL), 0);
        // Nothing is left for rp_next_any then, which is no cancel.
        cr_assert_eq(waits[i](process), waits[i] == wait_any ? 0 : RP_ECANCELED);
    }
    stage_run(&on);
    stage_close(&on);
}

static void wait_inside(rp_timer *timer, void *user)
{
    rp_process *process = user;
    rp_result result;
    rp_command command = stage_command(CHILD("exit", "0"));

    (void)timer;
    for (size_t i = 0; i < sizeof waits / sizeof *waits; i++) {
        cr_assert_eq(waits[i](process), RP_EDEADLK);
    }
    cr_assert_eq(rp_loop_run(rp_process_loop(process)), RP_EDEADLK);
    cr_assert_eq(rp_loop_run_once(rp_process_loop(process), 0), RP_EDEADLK);
    cr_assert_eq(rp_loop_close(rp_process_loop(process)), RP_EDEADLK);
    cr_assert_eq(rp_run_on(rp_process_loop(process), &command, &result), RP_EDEADLK);
    rp_process_close(process);
}

BACKEND_TEST(pull, inside_a_callback_is_refused)
{
    rp_command command = stage_command(CHILD("pause"));
    stage on;

    stage_open(&on, *backend, NULL);
    cr_assert_eq(rp_timer_start(on.loop, 0, 0, wait_inside, pull(&on, &command), NULL), 0);
    stage_run(&on);
    stage_close(&on);
}

BACKEND_TEST(pull, by_a_wait_drops_output_that_a_capture_keeps)
{
    rp_command command = stage_command(CHILD("flood-both", "500000", "2", "exit", "6"));
    rp_process *process;
    rp_line line;
    stage on;

    command.capture_max = RP_UNLIMITED;
    stage_open(&on, *backend, NULL);
    process = pull(&on, &command);
    cr_assert_eq(rp_next_line(process, RP_STDOUT, RP_FOREVER, &line), 1);
    cr_assert_eq(rp_wait(process, RP_FOREVER), 0);
    cr_assert_eq(rp_process_exit(process)->code, 6);
    cr_assert_eq(rp_process_captured(process, RP_STDOUT, NULL).size, 500000);
    cr_assert_eq(rp_process_captured(process, RP_STDERR, NULL).size, 500000);
    cr_assert_eq(rp_next_line(process, RP_STDOUT, 0, &line), RP_EINVAL);
    rp_process_close(process);
    stage_close(&on);
}
