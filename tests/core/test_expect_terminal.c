/* Tests expects on pseudo-terminals: prompts and answers with the terminal's echo in between, a
 * shell, and expects on the screen. */
#define _GNU_SOURCE
#include <string.h>
#include <unistd.h>

#include "tests/support/check.h"
#include "tests/support/expecting.h"

static rp_command on_terminal(const char *const *argv, bool screen)
{
    rp_command command = stage_command(argv);

    if (!rp_has("pty")) {
        cr_skip("this system has no pseudo-terminals");
    }
    if (screen && !rp_has("screen")) {
        cr_skip("this build has no screens");
    }
    command.transport = RP_PTY;
    command.screen = screen;
    command.pty_rows = 4;
    command.pty_cols = 20;
    return command;
}

BACKEND_TEST(expect_terminal, answers_a_prompt)
{
    const rp_pattern patterns[] = {LITERAL("name: "), LITERAL("bye")};
    const rp_action actions[] = {{.kind = RP_ACT_WRITE, .again = true, .bytes = {"me\n", 3}},
                                 {.kind = RP_ACT_NONE}};
    rp_command command =
        on_terminal(CHILD("write", "1", "name: ", "read", "3", "echo", "bye"), false);
    rp_expect_options options = options_of(patterns, 2);
    notes all = {.count = 0};
    actor child = {0};
    stage on;

    stage_open(&on, *backend, NULL);
    options.actions = actions;
    actor_spawn(&on, &child, &command, 0);
    (void)expect(child.process, &options, &all);
    stage_run(&on);
    cr_assert_str_eq(all.text, "1@10(me\r\n|bye) ");
    actor_check_code(&child, 0);
    actor_free(&child);
    stage_close(&on);
}

BACKEND_TEST(expect_terminal, talks_with_a_shell)
{
    static const char *const shell[] = {"/bin/bash", "--norc", "--noprofile", "-i", NULL};
    static const char *const env[] = {"PS1=ready> ", "PATH=/usr/bin:/bin", "TERM=dumb", NULL};
    const rp_pattern prompt = LITERAL("ready> ");
    const rp_pattern answer = REGEX("\n(\\d+)\r\n");
    rp_expect_options at_prompt = options_of(&prompt, 1);
    rp_expect_options at_answer = options_of(&answer, 1);
    rp_process *process;
    rp_match match;
    stage on;

    if (access(shell[0], X_OK) != 0) {
        cr_skip("bash is not installed");
    }
    rp_command command = on_terminal(shell, false);

    stage_open(&on, *backend, NULL);
    command.env = env;
    at_prompt.text = RP_TEXT_STRIPPED;
    process = pull(&on, &command);
    cr_assert_eq(rp_expect_wait(process, &at_prompt, &match), 0);
    type(process, "echo $((6 * 7))\n");
    cr_assert_eq(rp_expect_wait(process, &at_answer, &match), 0);
    cr_assert_eq(match.groups[1].size, 2);
    cr_assert_eq(memcmp(match.groups[1].data, "42", 2), 0);
    cr_assert_eq(rp_expect_wait(process, &at_prompt, &match), 0);
    type(process, "exit 5\n");
    cr_assert_eq(rp_expect_wait(process, &at_prompt, &match), RP_EOS);
    cr_assert_eq(rp_wait(process, RP_FOREVER), 0);
    cr_assert_eq(rp_process_exit(process)->code, 5);
    rp_process_close(process);
    stage_close(&on);
}

/* "name" is never written in one piece. */
#define DRAWING "\x1b[2J\x1b[1;3Hme:\x1b[1;1Hna\x1b[3;1Hend"

BACKEND_TEST(expect_terminal, finds_on_the_screen_what_was_never_written_in_one_piece)
{
    const rp_pattern name = REGEX("^(na\\w+):$");
    const rp_pattern end = LITERAL("end");
    const rp_pattern other = LITERAL("other");
    rp_command command = on_terminal(
        CHILD("write", "1", DRAWING, "read", "1", "write", "1", "\x1b[Hother", "read", "1"), true);
    rp_expect_options options = options_of(&name, 1);
    notes all = {.count = 0};
    actor child = {0};
    stage on;

    stage_open(&on, *backend, NULL);
    options.text = RP_TEXT_SCREEN;
    ((rp_pattern *)(uintptr_t)&name)->flags = RP_MULTILINE;
    actor_spawn(&on, &child, &command, 0);
    (void)expect(child.process, &options, &all);
    stage_run_until(&on, &all.count, 1);
    cr_assert_str_eq(all.text, "0@0(|name:) ");

    options.patterns = &end;
    options.from = RP_FROM_START;
    all.size = 0;
    (void)expect(child.process, &options, &all);
    stage_run_until(&on, &all.count, 2);
    cr_assert_str_eq(all.text, "0@7(name:\n\n|end) ", "as it is");

    options.patterns = &other;
    options.from = RP_FROM_LAST_MATCH;
    all.size = 0;
    (void)expect(child.process, &options, &all);
    type(child.process, "\n");
    stage_run_until(&on, &all.count, 3);
    cr_assert_eq(strncmp(all.text, "0@0(|other)", 11), 0, "%s", all.text);
    type(child.process, "\n");
    stage_run(&on);
    actor_free(&child);
    stage_close(&on);
}

BACKEND_TEST(expect_terminal, does_not_find_the_same_picture_twice)
{
    const rp_pattern patterns[] = {LITERAL("same")};
    rp_command command = on_terminal(
        CHILD("write", "1", "same", "read", "1", "write", "1", "\x1b[Hsame", "read", "1"), true);
    rp_expect_options options = options_of(patterns, 1);
    notes all = {.count = 0};
    actor child = {0};
    stage on;

    stage_open(&on, *backend, NULL);
    options.text = RP_TEXT_SCREEN;
    all.next = &options;
    actor_spawn(&on, &child, &command, 0);
    (void)expect(child.process, &options, &all);
    stage_run_until(&on, &all.count, 1);
    stage_run_until_blocked(&on, rp_process_pid(child.process));
    cr_assert_eq(all.count, 1);
    type(child.process, "\x04");
    stage_run(&on);
    cr_assert_eq(strncmp(all.text, "0@0(|same) RP_EOS(same", 22), 0, "%s", all.text);
    actor_free(&child);
    stage_close(&on);
}

BACKEND_TEST(expect_terminal, acts_on_each_new_picture)
{
    const rp_pattern pattern = REGEX("more \\d\\n*\\z");
    const rp_action action = {.kind = RP_ACT_WRITE, .again = true, .bytes = {"\n", 1}};
    rp_command command = on_terminal(CHILD("write", "1", "more 1", "read", "1", "write", "1",
                                           "more 2", "read", "1", "write", "1", "over"),
                                     true);
    rp_expect_options options = options_of(&pattern, 1);
    rp_process *process;
    rp_match match;
    stage on;

    stage_open(&on, *backend, NULL);
    options.text = RP_TEXT_SCREEN;
    options.actions = &action;
    process = pull(&on, &command);
    cr_assert_eq(rp_expect_wait(process, &options, &match), RP_EOS);
    cr_assert(memmem(match.tail.data, match.tail.size, "over", 4) != NULL);
    rp_process_close(process);
    stage_close(&on);
}
