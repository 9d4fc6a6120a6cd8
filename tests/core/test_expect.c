/* Tests expects on real children, on each backend: what is found and where, in what order it is
 * told, actions, and every way in which an expect ends. What the patterns themselves do is
 * test_matcher.c's; pull mode, windows and waiting are test_expect_wait.c's. */
#define _GNU_SOURCE
#include <string.h>

#include "tests/support/check.h"
#include "tests/support/expecting.h"

/* ---- matches --------------------------------------------------------------------------- */

BACKEND_TEST(expect, sees_a_prompt_without_a_newline)
{
    const rp_pattern pattern = LITERAL("login: ");
    rp_expect_options options = options_of(&pattern, 1);
    notes all = {.count = 0};
    actor child = {0};
    stage on;

    stage_open(&on, *backend, NULL);
    spawn(&on, &child, CHILD("write", "1", "host\\nlogin: ", "read", "1", "exit", "3"));
    (void)expect(child.process, &options, &all);
    stage_run_until(&on, &all.count, 1);
    cr_assert_str_eq(all.text, "0@5(host\n|login: ) ");
    cr_assert_eq(child.counts[ACTOR_DONE], 0, "the child waits for an answer");
    type(child.process, "x");
    stage_run(&on);
    actor_check_code(&child, 3);
    actor_free(&child);
    stage_close(&on);
}

BACKEND_TEST(expect, finds_the_earliest_match_of_several_patterns)
{
    const rp_pattern patterns[] = {LITERAL("zeta"), REGEX("b(et)a"), LITERAL("beta"),
                                   REGEX("alpha|gamma")};
    rp_expect_options options = options_of(patterns, 4);
    notes all = {.count = 0};
    actor child = {0};
    stage on;

    stage_open(&on, *backend, NULL);
    options.stream = RP_STDOUT;
    spawn(&on, &child, CHILD("write", "1", "a beta zeta gamma."));
    all.next = &options;
    (void)expect(child.process, &options, &all);
    stage_run(&on);
    cr_assert_str_eq(all.text, "1@2(a |beta) 0@1( |zeta) ");
    actor_free(&child);
    stage_close(&on);
}

BACKEND_TEST(expect, tells_groups)
{
    const rp_pattern pattern = REGEX("(\\d+)-(x)?(\\w+)");
    rp_expect_options options = options_of(&pattern, 1);
    rp_process *process;
    rp_match match;
    stage on;

    stage_open(&on, *backend, NULL);
    const rp_command command = stage_command(CHILD("write", "1", "id 12-abc;"));
    process = pull(&on, &command);
    cr_assert_eq(rp_expect_wait(process, &options, &match), 0);
    cr_assert_eq(match.group_count, 4);
    cr_assert_eq(match.groups[0].data, match.matched.data);
    cr_assert_eq(strncmp(match.groups[1].data, "12", match.groups[1].size), 0);
    cr_assert_null(match.groups[2].data);
    cr_assert_eq(strncmp(match.groups[3].data, "abc", match.groups[3].size), 0);
    rp_process_close(process);
    stage_close(&on);
}

BACKEND_TEST(expect, searches_both_streams_as_one_text)
{
    const rp_pattern pattern = REGEX("out.*?err|err.*?out");
    rp_expect_options options = options_of(&pattern, 1);
    notes all = {.count = 0};
    actor child = {0};
    stage on;

    stage_open(&on, *backend, NULL);
    spawn(&on, &child, CHILD("write", "1", "out", "read", "1", "write", "2", "err", "read", "1"));
    (void)expect(child.process, &options, &all);
    stage_run_until(&on, &child.counts[ACTOR_STARTED], 1);
    stage_run_until_blocked(&on, rp_process_pid(child.process));
    type(child.process, "x");
    stage_run_until(&on, &all.count, 1);
    cr_assert_str_eq(all.text, "0@0(|outerr) ");
    type(child.process, "x");
    stage_run(&on);
    actor_free(&child);
    stage_close(&on);
}

BACKEND_TEST(expect, of_one_stream_does_not_see_the_other)
{
    const rp_pattern pattern = LITERAL("here");
    rp_expect_options of_out = options_of(&pattern, 1);
    rp_expect_options of_err = of_out;
    notes out = {.count = 0};
    notes err = {.count = 0};
    actor child = {0};
    stage on;

    stage_open(&on, *backend, NULL);
    of_out.stream = RP_STDOUT;
    of_err.stream = RP_STDERR;
    spawn(&on, &child, CHILD("write", "1", "not", "write", "2", "here"));
    (void)expect(child.process, &of_out, &out);
    (void)expect(child.process, &of_err, &err);
    stage_run(&on);
    cr_assert_str_eq(out.text, "RP_EOS(not) ");
    cr_assert_str_eq(err.text, "0@0(|here) ");
    actor_free(&child);
    stage_close(&on);
}

/* ---- where a text begins ----------------------------------------------------------------- */

BACKEND_TEST(expect, takes_the_text_up_to_the_end_of_a_match)
{
    const rp_pattern pattern = LITERAL("again");
    rp_expect_options options = options_of(&pattern, 1);
    notes all = {.count = 0};
    actor child = {0};
    stage on;

    stage_open(&on, *backend, NULL);
    spawn(&on, &child, CHILD("write", "1", "again and again", "read", "1"));
    all.next = &options;
    (void)expect(child.process, &options, &all);
    stage_run_until(&on, &all.count, 2);
    (void)expect(child.process, &options, &all);
    type(child.process, "x");
    stage_run(&on);
    cr_assert_str_eq(all.text, "0@0(|again) 0@5( and |again) RP_EOS() ");
    actor_free(&child);
    stage_close(&on);
}

BACKEND_TEST(expect, begins_where_it_was_told_to)
{
    const rp_pattern pattern = LITERAL("x");
    static const char *const expected[] = {"0@3( b |x) ", "RP_EOS() ", "0@0(|x) "};

    for (int from = RP_FROM_LAST_MATCH; from <= RP_FROM_START; from++) {
        rp_command command = stage_command(CHILD("write", "1", "x b x", "read", "1"));
        rp_expect_options options = options_of(&pattern, 1);
        notes all = {.count = 0};
        actor child = {0};
        stage on;

        stage_open(&on, *backend, NULL);
        command.in.kind = RP_STDIO_PIPE;
        command.capture_max = 1000;
        actor_spawn(&on, &child, &command, 0);
        (void)expect(child.process, &options, &all);
        stage_run_until(&on, &all.count, 1);
        stage_run_until_blocked(&on, rp_process_pid(child.process));
        all.size = 0;
        options.from = (rp_from)from;
        (void)expect(child.process, &options, &all);
        type(child.process, "x");
        stage_run(&on);
        cr_assert_str_eq(all.text, expected[from], "from %d", from);
        actor_free(&child);
        stage_close(&on);
    }
}

BACKEND_TEST(expect, finds_in_a_capture_what_came_before_it)
{
    const rp_pattern patterns[] = {LITERAL("0\n1\n0"), LITERAL("tail")};
    rp_command command = stage_command(CHILD("order", "20", "write", "1", "tail"));
    rp_expect_options options = options_of(patterns, 2);
    notes all = {.count = 0};
    actor child = {.stays = true};
    stage on;

    stage_open(&on, *backend, NULL);
    command.capture_max = RP_UNLIMITED;
    actor_play(&on, &child, &command, 0);
    options.patterns = &patterns[1];
    options.pattern_count = 1;
    options.stream = RP_STDOUT;
    (void)expect(child.process, &options, &all);
    stage_run_until(&on, &all.count, 1);
    cr_assert_str_eq(all.text, "0@25(0\n2\n4\n6\n8\n10\n12\n14\n16\n18\n|tail) ", "%s", all.text);
    actor_close(&child);
    actor_free(&child);
    stage_close(&on);
}

BACKEND_TEST(expect, searches_a_capture_of_both_streams_in_the_order_read)
{
    const rp_pattern pattern = LITERAL("onetwothree");
    rp_command command = stage_command(CHILD("write", "1", "one", "read", "1", "write", "2", "two",
                                             "read", "1", "write", "1", "three"));
    rp_expect_options options = options_of(&pattern, 1);
    notes all = {.count = 0};
    actor child = {.stays = true};
    stage on;

    stage_open(&on, *backend, NULL);
    command.in.kind = RP_STDIO_PIPE;
    command.capture_max = 100;
    command.capture_order = true;
    actor_spawn(&on, &child, &command, 0);
    stage_run_until(&on, &child.counts[ACTOR_STARTED], 1);
    for (int i = 0; i < 2; i++) {
        stage_run_until_blocked(&on, rp_process_pid(child.process));
        type(child.process, "x");
    }
    stage_run(&on);
    (void)expect(child.process, &options, &all);
    stage_run_until(&on, &all.count, 1);
    cr_assert_str_eq(all.text, "0@0(|onetwothree) ");
    actor_close(&child);
    actor_free(&child);
    stage_close(&on);
}

BACKEND_TEST(expect, searches_all_of_a_capture_that_is_larger_than_its_window)
{
    const rp_pattern patterns[] = {LITERAL("needle"), LITERAL("end")};
    rp_command command =
        stage_command(CHILD("write", "1", "needle", "fill", "1", "300000", "write", "1", "end"));
    rp_expect_options options = options_of(&patterns[0], 1);
    rp_expect_options last = options_of(&patterns[1], 1);
    notes all = {.count = 0};
    actor child = {.stays = true};
    stage on;

    stage_open(&on, *backend, NULL);
    command.capture_max = RP_UNLIMITED;
    actor_play(&on, &child, &command, 0);
    options.from = RP_FROM_START;
    options.window_max = 1000;
    last.window_max = 10;
    all.next = &last;
    (void)expect(child.process, &options, &all);
    stage_run_until(&on, &all.count, 2);
    cr_assert_str_eq(all.text, "0@0(|needle) 0@300000(xxxxxxxxxx|end) ");
    actor_close(&child);
    actor_free(&child);
    stage_close(&on);
}

BACKEND_TEST(expect, sees_text_without_escape_sequences)
{
    const rp_pattern pattern = REGEX("^good (\\w+)$");
    rp_expect_options options = options_of(&pattern, 1);
    rp_process *process;
    rp_match match;
    rp_view rest;
    stage on;

    stage_open(&on, *backend, NULL);
    const rp_command command =
        stage_command(CHILD("write", "1", "\x1b[1mgo\x1b[0mod \x1b]0;title\x07night\x1b[K\\nmore"));
    process = pull(&on, &command);
    options.text = RP_TEXT_STRIPPED;
    options.stream = RP_STDOUT;
    ((rp_pattern *)(uintptr_t)options.patterns)->flags = RP_MULTILINE;
    cr_assert_eq(rp_expect_wait(process, &options, &match), 0);
    cr_assert_eq(match.matched.size, 10);
    cr_assert_eq(memcmp(match.matched.data, "good night", 10), 0);
    cr_assert_eq(rp_next_data(process, RP_STDOUT, RP_FOREVER, &rest), 1);
    cr_assert_eq(rest.size, 8);
    cr_assert_eq(memcmp(rest.data, "\x1b[K\nmore", 8), 0, "what follows the match is unread");
    rp_process_close(process);
    stage_close(&on);
}

/* ---- several at once ------------------------------------------------------------------------ */

BACKEND_TEST(expect, gives_each_of_several_its_own_place)
{
    const rp_pattern patterns[] = {LITERAL("a"), LITERAL("c"), REGEX("b.*d")};
    rp_expect_options options[3];
    notes all[3] = {{.count = 0}, {.count = 0}, {.count = 0}};
    actor child = {0};
    stage on;

    stage_open(&on, *backend, NULL);
    spawn(&on, &child, CHILD("write", "1", "ab", "write", "1", "cd\\n", "read", "1"));
    for (int i = 0; i < 3; i++) {
        options[i] = options_of(&patterns[i], 1);
        (void)expect(child.process, &options[i], &all[i]);
    }
    for (int i = 0; i < 3; i++) {
        stage_run_until(&on, &all[i].count, 1);
    }
    cr_assert_str_eq(all[0].text, "0@0(|a) ");
    cr_assert_str_eq(all[1].text, "0@2(ab|c) ");
    cr_assert_str_eq(all[2].text, "0@1(a|bcd) ");
    type(child.process, "x");
    stage_run(&on);
    actor_free(&child);
    stage_close(&on);
}

/* ---- ends ---------------------------------------------------------------------------------------
 */

BACKEND_TEST(expect, ends_with_the_stream_after_a_last_look)
{
    const rp_pattern patterns[] = {REGEX("last$"), LITERAL("never")};
    rp_expect_options options = options_of(patterns, 2);
    notes all = {.count = 0};
    actor child = {0};
    stage on;

    stage_open(&on, *backend, NULL);
    spawn(&on, &child, CHILD("write", "1", "the last"));
    all.next = &options;
    (void)expect(child.process, &options, &all);
    stage_run(&on);
    cr_assert_str_eq(all.text, "0@4(the |last) RP_EOS() ");
    actor_free(&child);
    stage_close(&on);
}

BACKEND_TEST(expect, ends_with_a_launch_that_failed)
{
    static const char *const missing[] = {"/nowhere/at-all", NULL};
    const rp_pattern pattern = LITERAL("x");
    rp_expect_options options = options_of(&pattern, 1);
    rp_command command = stage_command(missing);
    notes all = {.count = 0};
    actor child = {0};
    stage on;

    stage_open(&on, *backend, NULL);
    actor_spawn(&on, &child, &command, 0);
    (void)expect(child.process, &options, &all);
    stage_run(&on);
    cr_assert_str_eq(all.text, "RP_EOS() ");
    cr_assert_eq(child.counts[ACTOR_DONE], 1);
    actor_free(&child);
    stage_close(&on);
}

BACKEND_TEST(expect, ends_when_its_time_is_over)
{
    const rp_pattern pattern = LITERAL("never");
    rp_expect_options options = options_of(&pattern, 1);
    notes all = {.count = 0};
    actor child = {0};
    stage on;

    stage_open(&on, *backend, NULL);
    options.timeout_ns = 20 * RP_MILLISECOND;
    spawn(&on, &child, CHILD("read", "1"));
    all.next = &options;
    (void)expect(child.process, &options, &all);
    stage_run_until(&on, &all.count, 2);
    cr_assert_str_eq(all.text, "RP_ETIMEDOUT() RP_ETIMEDOUT() ");
    type(child.process, "x");
    stage_run(&on);
    actor_free(&child);
    stage_close(&on);
}

BACKEND_TEST(expect, goes_on_with_the_same_text_after_its_time_was_over)
{
    const rp_pattern patterns[] = {LITERAL("never"), LITERAL("prompt> ")};
    rp_expect_options first = options_of(&patterns[0], 1);
    rp_expect_options second = options_of(&patterns[1], 1);
    notes all = {.count = 0};
    actor child = {0};
    stage on;

    stage_open(&on, *backend, NULL);
    spawn(&on, &child, CHILD("write", "1", "prompt> ", "read", "1"));
    all.next = &second;
    rp_expect *started = expect(child.process, &first, &all);
    stage_run_until(&on, &child.counts[ACTOR_STARTED], 1);
    stage_run_until_blocked(&on, rp_process_pid(child.process));
    rp_expect_cancel(started);
    rp_expect_cancel(started);
    stage_run_until(&on, &all.count, 2);
    cr_assert_str_eq(all.text, "RP_ECANCELED(prompt> ) 0@0(|prompt> ) ");
    type(child.process, "x");
    stage_run(&on);
    actor_free(&child);
    stage_close(&on);
}

/* Cancels another expect, which may have been decided in the same turn. */
typedef struct rival {
    rp_expect *other;
    notes *all;
} rival;

static void cancel_other(rp_process *process, const rp_match *match, void *user)
{
    rival *self = user;

    (void)process;
    rp_expect_cancel(self->other);
    note_match(self->all, match);
    self->all->count++;
}

BACKEND_TEST(expect, tells_a_match_that_was_before_its_cancel)
{
    const rp_pattern patterns[] = {LITERAL("one"), LITERAL("two")};
    rp_expect_options first = options_of(&patterns[0], 1);
    rp_expect_options second = options_of(&patterns[1], 1);
    notes all = {.count = 0};
    rival first_one = {.all = &all};
    actor child = {0};
    stage on;

    stage_open(&on, *backend, NULL);
    spawn(&on, &child, CHILD("write", "1", "one two", "read", "1"));
    cr_assert_eq(rp_expect_start(child.process, &first, cancel_other, &first_one, NULL), 0);
    first_one.other = expect(child.process, &second, &all);
    stage_run_until(&on, &all.count, 2);
    cr_assert_str_eq(all.text, "0@0(|one) 0@4(one |two) ");
    type(child.process, "x");
    stage_run(&on);
    actor_free(&child);
    stage_close(&on);
}

BACKEND_TEST(expect, is_silent_once_its_process_is_closed)
{
    const rp_pattern patterns[] = {LITERAL("one"), LITERAL("two")};
    rp_expect_options first = options_of(&patterns[0], 1);
    rp_expect_options second = options_of(&patterns[1], 1);
    notes all = {.count = 0};
    notes none = {.count = 0};
    rp_command command = stage_command(CHILD("write", "1", "one two", "pause"));
    rp_handlers handlers = {.started = NULL};
    rp_process *process = NULL;
    stage on;

    stage_open(&on, *backend, NULL);
    cr_assert_eq(rp_spawn(on.loop, &command, &handlers, NULL, &process), 0);
    all.closes = process;
    (void)expect(process, &first, &all);
    (void)expect(process, &second, &none);
    stage_run(&on);
    cr_assert_str_eq(all.text, "0@0(|one) ", "the views outlive the close");
    cr_assert_eq(none.count, 0);
    stage_close(&on);
}

BACKEND_TEST(expect, reports_a_pattern_that_runs_into_the_limit)
{
    const rp_pattern pattern = REGEX("(x+)+$");
    rp_expect_options options = options_of(&pattern, 1);
    rp_process *process;
    rp_match match;
    stage on;

    stage_open(&on, *backend, NULL);
    const rp_command command =
        stage_command(CHILD("fill", "1", "40000", "write", "1", "y", "pause"));
    process = pull(&on, &command);
    cr_assert_eq(rp_expect_wait(process, &options, &match), RP_EPATTERN);
    cr_assert_str_eq(rp_error_detail(), "match limit exceeded");
    cr_assert_eq(match.tail.size, 4096);
    rp_process_close(process);
    stage_close(&on);
}

/* ---- actions --------------------------------------------------------------------------------- */

BACKEND_TEST(expect, writes_and_goes_on_as_often_as_it_is_asked)
{
    const rp_pattern patterns[] = {LITERAL("y/n? "), LITERAL("done"), REGEX("x*?q")};
    const rp_action actions[] = {
        {.kind = RP_ACT_WRITE, .again = true, .bytes = {"y", 1}}, {.kind = RP_ACT_NONE}, {0}};
    rp_expect_options options = options_of(patterns, 3);
    notes all = {.count = 0};
    actor child = {0};
    stage on;

    stage_open(&on, *backend, NULL);
    options.actions = actions;
    spawn(&on, &child,
          CHILD("write", "1", "a y/n? ", "read", "1", "write", "1", "b y/n? ", "read", "1", "write",
                "1", "c y/n? d y/n? ", "read", "2", "write", "2", "done", "exit", "4"));
    (void)expect(child.process, &options, &all);
    stage_run(&on);
    cr_assert_str_eq(all.text, "1@28(|done) ");
    actor_check_code(&child, 4);
    actor_free(&child);
    stage_close(&on);
}

BACKEND_TEST(expect, acts_before_it_reports)
{
    static const rp_action_kind kinds[] = {RP_ACT_INTERRUPT, RP_ACT_TERMINATE, RP_ACT_KILL};
    static const int signals[] = {2, 15, 9};
    const rp_pattern pattern = LITERAL("go");

    if (stage_lacks_interrupts() != NULL) {
        cr_skip_test("%s", stage_lacks_interrupts());
    }
    for (int i = 0; i < 3; i++) {
        const rp_action action = {.kind = kinds[i]};
        rp_expect_options options = options_of(&pattern, 1);
        notes all = {.count = 0};
        actor child = {0};
        stage on;

        stage_open(&on, *backend, NULL);
        options.actions = &action;
        spawn(&on, &child, CHILD("write", "1", "go", "pause"));
        (void)expect(child.process, &options, &all);
        stage_run(&on);
        cr_assert_str_eq(all.text, "0@0(|go) ");
        cr_assert_eq(child.exit.signal, signals[i]);
        actor_free(&child);
        stage_close(&on);
    }
}

BACKEND_TEST(expect, tells_an_action_that_failed)
{
    const rp_pattern pattern = LITERAL("go");
    const rp_action action = {.kind = RP_ACT_WRITE, .again = true, .bytes = {"x", 1}};
    rp_expect_options options = options_of(&pattern, 1);
    notes all = {.count = 0};
    actor child = {0};
    stage on;

    stage_open(&on, *backend, NULL);
    options.actions = &action;
    spawn(&on, &child, CHILD("write", "1", "go"));
    cr_assert_eq(rp_close_stdin(child.process), 0);
    (void)expect(child.process, &options, &all);
    stage_run(&on);
    cr_assert_str_eq(all.text, "RP_EPIPE(go) ");
    actor_free(&child);
    stage_close(&on);
}

BACKEND_TEST(expect, goes_on_behind_an_empty_match)
{
    const rp_pattern pattern = REGEX("x*");
    const rp_action action = {.again = true};
    rp_expect_options options = options_of(&pattern, 1);
    notes all = {.count = 0};
    actor child = {0};
    stage on;

    stage_open(&on, *backend, NULL);
    options.actions = &action;
    spawn(&on, &child, CHILD("write", "1", "abcxd"));
    (void)expect(child.process, &options, &all);
    stage_run(&on);
    cr_assert_eq(all.count, 1);
    cr_assert_eq(strncmp(all.text, "RP_EOS(", 7), 0);
    actor_free(&child);
    stage_close(&on);
}
