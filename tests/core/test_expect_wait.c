/* Tests expects in pull mode and their blocking form, how far windows reach back, what is refused,
 * and failing allocations. */
#define _GNU_SOURCE
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/check.h"
#include "tests/support/expecting.h"

/* ---- pull mode ----------------------------------------------------------------------------------
 */

BACKEND_TEST(expect, leaves_to_pull_what_comes_behind_a_match)
{
    const rp_pattern pattern = LITERAL("login: ");
    rp_expect_options options = options_of(&pattern, 1);
    rp_command command = stage_command(
        CHILD("write", "1", "banner\\nlogin: abc\\ndef\\nlogin: ", "read", "1", "echo", "bye"));
    rp_process *process;
    rp_match match;
    rp_match second;
    rp_line line;
    stage on;

    stage_open(&on, *backend, NULL);
    command.in.kind = RP_STDIO_PIPE;
    process = pull(&on, &command);
    cr_assert_eq(rp_expect_wait(process, &options, &match), 0);
    cr_assert_eq(match.before.size, 7);
    cr_assert_eq(rp_next_line(process, RP_STDOUT, RP_FOREVER, &line), 1);
    cr_assert_eq(line.text.size, 3);
    cr_assert_eq(memcmp(line.text.data, "abc", 3), 0);
    cr_assert_eq(memcmp(match.before.data, "banner\n", 7), 0, "the match's views are still there");
    cr_assert_eq(rp_expect_wait(process, &options, &second), 0);
    cr_assert_eq(second.before.size, 4, "begins behind what was pulled");
    cr_assert_eq(memcmp(second.before.data, "def\n", 4), 0);
    type(process, "x");
    cr_assert_eq(rp_next_line(process, RP_STDOUT, RP_FOREVER, &line), 1);
    cr_assert_eq(memcmp(line.text.data, "bye", 3), 0);
    cr_assert_eq(rp_next_line(process, RP_STDOUT, RP_FOREVER, &line), 0);
    cr_assert_eq(rp_expect_wait(process, &options, &second), RP_EOS);
    rp_process_close(process);
    stage_close(&on);
}

static void on_report(rp_process *process, const rp_match *match, void *user)
{
    (void)process;
    *(int *)user = match->status;
}

BACKEND_TEST(expect, keeps_a_pulled_view_while_a_match_behind_it_is_taken)
{
    const rp_pattern pattern = LITERAL("b");
    rp_expect_options options = options_of(&pattern, 1);
    rp_command command = stage_command(CHILD("write", "1", "line\\nabc\\n", "read", "1"));
    rp_process *process;
    int status = 1;
    rp_line line;
    rp_line rest;
    stage on;

    stage_open(&on, *backend, NULL);
    command.in.kind = RP_STDIO_PIPE;
    process = pull(&on, &command);
    cr_assert_eq(rp_next_line(process, RP_STDOUT, RP_FOREVER, &line), 1);
    cr_assert_eq(rp_expect_start(process, &options, on_report, &status, NULL), 0);
    while (status == 1) {
        cr_assert_geq(rp_loop_run_once(on.loop, RP_FOREVER), 0);
    }
    cr_assert_eq(status, 0);
    cr_assert_eq(memcmp(line.text.data, "line", 4), 0);
    cr_assert_eq(rp_next_line(process, RP_STDOUT, RP_FOREVER, &rest), 1);
    cr_assert_eq(rest.text.size, 1);
    cr_assert_eq(rest.text.data[0], 'c');
    rp_process_close(process);
    stage_close(&on);
}

BACKEND_TEST(expect, leaves_unread_what_no_match_took)
{
    const rp_pattern pattern = LITERAL("never");
    rp_expect_options options = options_of(&pattern, 1);
    rp_command command = stage_command(CHILD("write", "1", "kept\\n", "read", "1"));
    rp_process *process;
    rp_match match;
    rp_line line;
    stage on;

    stage_open(&on, *backend, NULL);
    command.in.kind = RP_STDIO_PIPE;
    process = pull(&on, &command);
    options.timeout_ns = 20 * RP_MILLISECOND;
    cr_assert_eq(rp_expect_wait(process, &options, &match), RP_ETIMEDOUT);
    cr_assert_eq(rp_next_line(process, RP_STDOUT, RP_FOREVER, &line), 1);
    cr_assert_eq(memcmp(line.text.data, "kept", 4), 0);
    rp_process_close(process);
    stage_close(&on);
}

BACKEND_TEST(expect, says_that_a_full_ring_is_in_the_way)
{
    const rp_pattern pattern = LITERAL("prompt");
    rp_expect_options options = options_of(&pattern, 1);
    rp_process *process;
    rp_match match;
    rp_view bytes;
    stage on;

    for (int other = 0; other < 2; other++) {
        const rp_command command =
            stage_command(CHILD("fill", other == 0 ? "1" : "2", "500000", "write", "1", "prompt"));
        int r;

        stage_open(&on, *backend, NULL);
        process = pull(&on, &command);
        options.stream = RP_STDOUT;
        for (;;) {
            r = rp_expect_wait(process, &options, &match);
            if (r != RP_ENOBUFS) {
                break;
            }
            cr_assert_str_neq(rp_error_detail(), "");
            cr_assert_eq(
                rp_next_data(process, other == 0 ? RP_STDOUT : RP_STDERR, RP_FOREVER, &bytes), 1);
        }
        cr_assert_eq(r, 0);
        rp_process_close(process);
        stage_close(&on);
    }
}

/* ---- windows ------------------------------------------------------------ */

BACKEND_TEST(expect, lets_text_go_that_is_older_than_its_window)
{
    const rp_pattern pattern = LITERAL("!");
    rp_expect_options options = options_of(&pattern, 1);
    rp_command command =
        stage_command(CHILD("fill", "1", "200000", "write", "1", "tail!", "read", "1"));
    rp_handlers handlers = {.started = NULL};
    rp_process *process = NULL;
    rp_match match;
    stage on;

    stage_open(&on, *backend, NULL);
    options.window_max = 10;
    command.in.kind = RP_STDIO_PIPE;
    cr_assert_eq(rp_spawn(on.loop, &command, &handlers, NULL, &process), 0);
    cr_assert_eq(rp_expect_wait(process, &options, &match), 0);
    cr_assert_eq(match.offset, 200004);
    cr_assert_eq(match.before.size, 10);
    cr_assert_eq(memcmp(match.before.data + match.before.size - 4, "tail", 4), 0);
    rp_process_close(process);
    stage_close(&on);
}

BACKEND_TEST(expect, reports_a_match_before_its_window_lets_it_go)
{
    const rp_pattern patterns[] = {REGEX("a[^!]*!"), LITERAL("b"), REGEX("xx!")};
    rp_expect_options options = options_of(patterns, 3);
    rp_command command =
        stage_command(CHILD("write", "1", "ab", "fill", "1", "200000", "read", "1"));
    rp_handlers handlers = {.started = NULL};
    rp_process *process = NULL;
    rp_match match;
    stage on;

    stage_open(&on, *backend, NULL);
    options.window_max = 1000;
    command.in.kind = RP_STDIO_PIPE;
    cr_assert_eq(rp_spawn(on.loop, &command, &handlers, NULL, &process), 0);
    cr_assert_eq(rp_expect_wait(process, &options, &match), 0);
    cr_assert_eq(match.pattern, 1);
    cr_assert_eq(match.offset, 1);
    cr_assert_eq(match.before.size, 1);
    rp_process_close(process);
    stage_close(&on);
}

BACKEND_TEST(expect, finds_what_it_put_off_when_nothing_more_comes)
{
    const rp_pattern pattern = {.kind = RP_REGEX, .flags = RP_DOTALL, .text = "a.*?x+z!"};
    rp_expect_options options = options_of(&pattern, 1);
    rp_command command = stage_command(CHILD("write", "1", "a", "fill", "1", "300000", "write", "1",
                                             "z", "write", "1", "!", "read", "1"));
    rp_handlers handlers = {.started = NULL};
    rp_process *process = NULL;
    rp_match match;
    stage on;

    stage_open(&on, *backend, NULL);
    command.in.kind = RP_STDIO_PIPE;
    cr_assert_eq(rp_spawn(on.loop, &command, &handlers, NULL, &process), 0);
    cr_assert_eq(rp_expect_wait(process, &options, &match), 0);
    cr_assert_eq(match.matched.size, 300003);
    rp_process_close(process);
    stage_close(&on);
}

BACKEND_TEST(expect, needs_no_more_memory_for_more_text)
{
    const rp_pattern patterns[] = {LITERAL("never"), REGEX("x+y"), REGEX("(?<=y)y")};
    rp_expect_options options = options_of(patterns, 3);
    rp_command command =
        stage_command(CHILD("fill", "1", "67108864", "write", "1", "end", "read", "1"));
    rp_handlers handlers = {.started = NULL};
    rp_loop_stats stats = {.size = sizeof stats};
    rp_process *process = NULL;
    notes all = {.count = 0};
    size_t most = 0;
    stage on;

    stage_open(&on, *backend, NULL);
    options.window_max = 100000;
    command.in.kind = RP_STDIO_PIPE;
    cr_assert_eq(rp_spawn(on.loop, &command, &handlers, NULL, &process), 0);
    (void)expect(process, &options, &all);
    do {
        cr_assert_geq(rp_loop_run_once(on.loop, RP_FOREVER), 0);
        most = on.memory.live_bytes > most ? on.memory.live_bytes : most;
        cr_assert_eq(rp_loop_get_stats(on.loop, &stats), 0);
    } while (stats.bytes_read < 67108864);
    cr_assert_lt(most, 1 << 20, "%zu bytes", most);
    cr_assert_eq(all.count, 0);
    rp_process_close(process);
    stage_close(&on);
}

/* ---- waiting ------------------------------------------------------------ */

static void wait_inside(rp_process *process, const rp_match *match, void *user)
{
    const rp_pattern pattern = LITERAL("x");
    rp_expect_options options = options_of(&pattern, 1);
    rp_match ignored;

    (void)match;
    *(int *)user = rp_expect_wait(process, &options, &ignored);
}

BACKEND_TEST(expect, cannot_wait_inside_a_callback)
{
    const rp_pattern pattern = LITERAL("go");
    rp_expect_options options = options_of(&pattern, 1);
    actor child = {0};
    int status = 0;
    stage on;

    stage_open(&on, *backend, NULL);
    spawn(&on, &child, CHILD("write", "1", "go"));
    cr_assert_eq(rp_expect_start(child.process, &options, wait_inside, &status, NULL), 0);
    stage_run(&on);
    cr_assert_eq(status, RP_EDEADLK);
    actor_free(&child);
    stage_close(&on);
}

static void close_it(rp_timer *timer, void *user)
{
    rp_process_close(user);
    rp_timer_close(timer);
}

static void stop_loop(rp_timer *timer, void *user)
{
    rp_loop_stop(user);
    rp_timer_close(timer);
}

BACKEND_TEST(expect, ends_its_wait_when_the_process_is_closed_or_the_loop_stopped)
{
    const rp_pattern pattern = LITERAL("never");
    rp_expect_options options = options_of(&pattern, 1);
    const rp_command command = stage_command(CHILD("write", "1", "kept\\n", "pause"));
    rp_process *process;
    rp_match match;
    rp_line line;
    stage on;

    stage_open(&on, *backend, NULL);
    process = pull(&on, &command);
    cr_assert_eq(rp_timer_start(on.loop, RP_MILLISECOND, 0, stop_loop, on.loop, NULL), 0);
    cr_assert_eq(rp_expect_wait(process, &options, &match), RP_ECANCELED);
    cr_assert_eq(rp_next_line(process, RP_STDOUT, RP_FOREVER, &line), 1, "nothing was lost");
    cr_assert_eq(rp_timer_start(on.loop, RP_MILLISECOND, 0, close_it, process, NULL), 0);
    cr_assert_eq(rp_expect_wait(process, &options, &match), RP_ECANCELED);
    cr_assert_eq(match.before.size, 0);
    stage_close(&on);
}

/* ---- a host that forks ------------------------------------------------------------ */

BACKEND_TEST(expect, is_the_parents_where_the_host_forks)
{
    const rp_pattern patterns[] = {LITERAL("first"), REGEX("sec(o)nd")};
    rp_expect_options first = options_of(&patterns[0], 1);
    rp_expect_options second = options_of(&patterns[1], 1);
    rp_command command =
        stage_command(CHILD("write", "1", "first", "read", "1", "echo", "second", "read", "1"));
    notes all = {.count = 0};
    rp_process *process;
    rp_expect *armed;
    rp_match match;
    int status = -1;
    stage on;
    pid_t pid;

    stage_open(&on, *backend, NULL);
    command.in.kind = RP_STDIO_PIPE;
    process = pull(&on, &command);
    cr_assert_eq(rp_expect_wait(process, &first, &match), 0);
    armed = expect(process, &second, &all);
    pid = fork();
    cr_assert_geq(pid, 0);
    if (pid == 0) {
        rp_expect_cancel(armed);
        _exit(rp_expect_start(process, &first, on_match, &all, NULL) != RP_EPERM ||
              rp_expect_wait(process, &first, &match) != RP_EPERM || rp_loop_close(on.loop) != 0 ||
              on.memory.live_blocks != 0 || all.count != 0);
    }
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_assert_eq(status, 0, "%x", (unsigned int)status);
    type(process, "x");
    stage_run_until(&on, &all.count, 1);
    cr_assert_str_eq(all.text, "0@0(|second) ");
    rp_process_close(process);
    stage_close(&on);
}

/* ---- errors ------------------------------------------------------------ */

static void
check_refused(rp_process *process, const rp_expect_options *options, int error, const char *detail)
{
    rp_match match;
    rp_expect *none = NULL;

    cr_assert_eq(rp_expect_start(process, options, on_match, NULL, &none), error, "%s", detail);
    cr_assert_eq(strncmp(rp_error_detail(), detail, strlen(detail)), 0, "\"%s\", not \"%s\"",
                 rp_error_detail(), detail);
    cr_assert_null(none);
    memset(&match, 0x55, sizeof match);
    cr_assert_eq(rp_expect_wait(process, options, &match), error);
    cr_assert_eq(match.status, error);
    cr_assert_eq(match.before.size + match.matched.size + match.tail.size + match.group_count, 0);
}

BACKEND_TEST(expect, refuses_what_cannot_be)
{
    const rp_pattern patterns[] = {LITERAL("x"), REGEX("foo(")};
    const rp_action writes = {.kind = RP_ACT_WRITE, .bytes = {"x", 1}};
    const rp_action unknown = {.kind = (rp_action_kind)77};
    const rp_action superfluous = {.kind = RP_ACT_KILL, .bytes = {"x", 1}};
    const rp_action reserved = {.reserved = {0, 1}};
    rp_command command = stage_command(CHILD("pause"));
    rp_expect_options good = options_of(patterns, 1);
    struct {
        rp_expect_options options;
        uint64_t unknown;
    } newer = {.unknown = 1};
    rp_expect_options options;
    rp_process *process;
    stage on;

    stage_open(&on, *backend, NULL);
    command.err.kind = RP_STDIO_NULL;
    process = pull(&on, &command);
#define CHECK(change, error, detail)                                                               \
    do {                                                                                           \
        options = good;                                                                            \
        change;                                                                                    \
        check_refused(process, &options, error, detail);                                           \
    } while (0)
    CHECK(options.size = 0, RP_EINVAL, "");
    CHECK(options.pattern_count = 0, RP_EINVAL, "patterns: none");
    CHECK(options.patterns = &patterns[1], RP_EPATTERN, "offset 4: missing closing parenthesis");
    CHECK(options.stream = (rp_stream)9, RP_EINVAL, "stream: 9");
    CHECK(options.stream = RP_STDERR, RP_EINVAL, "stream: this output");
    CHECK(options.from = (rp_from)9, RP_EINVAL, "from: 9");
    CHECK(options.text = (rp_text)9, RP_EINVAL, "text: 9");
    CHECK(options.text = RP_TEXT_SCREEN, RP_EINVAL, "this child has no screen");
    CHECK(options.actions = &writes, RP_EINVAL, "actions[0]: stdin");
    CHECK(options.actions = &unknown, RP_EINVAL, "actions[0].kind: 77");
    CHECK(options.actions = &superfluous, RP_EINVAL, "actions[0].bytes");
    CHECK(options.actions = &reserved, RP_E2BIG, "actions[0].reserved");
#undef CHECK
    newer.options = good;
    newer.options.size = sizeof newer;
    check_refused(process, &newer.options, RP_E2BIG, "size: ");
    cr_assert_eq(rp_expect_start(process, &good, NULL, NULL, NULL), RP_EINVAL);
    cr_assert_eq(rp_wait(process, 0), RP_ETIMEDOUT);
    check_refused(process, &good, RP_EINVAL, "rp_wait dropped");
    rp_process_close(process);
    stage_close(&on);
}

static void fail_at(rp_backend backend, unsigned int n, bool *ret_fired)
{
    const rp_pattern patterns[] = {REGEX("b(.)c"), LITERAL("zz"), REGEX("quit\\n")};
    const rp_action actions[] = {{.kind = RP_ACT_WRITE, .again = true, .bytes = {"y", 1}},
                                 {.again = false},
                                 {.again = false}};
    rp_expect_options options = options_of(patterns, 3);
    rp_command command = stage_command(CHILD("write", "1", "abxc", "read", "1", "echo", "quit"));
    rp_process *process;
    rp_match match;
    stage on;
    int r;

    stage_open(&on, backend, NULL);
    options.actions = actions;
    options.text = RP_TEXT_STRIPPED;
    command.in.kind = RP_STDIO_PIPE;
    process = pull(&on, &command);
    on.memory.fail_at = on.memory.requests + n;
    r = rp_expect_wait(process, &options, &match);
    if (r == 0) {
        cr_assert_eq(match.pattern, 2);
    } else {
        cr_assert_eq(r, RP_ENOMEM, "%u: %s", n, rp_error_name(r));
    }
    *ret_fired = on.memory.fired;
    on.memory.fail_at = 0;
    rp_process_close(process);
    stage_close(&on);
}

BACKEND_TEST(expect, survives_every_failing_allocation)
{
    bool fired = true;
    unsigned int n = 0;

    while (fired) {
        fail_at(*backend, ++n, &fired);
    }
    cr_assert_gt(n, 10);
}
