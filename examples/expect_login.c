/* Expect: answers a program that asks for a name and a password, and watches its echo.
 *
 *     expect_login NAME PASSWORD COMMAND [ARGUMENT...]
 *     expect_login ada secret ssh -tt host uptime
 *
 * The blocking style: each step waits for what the program says, on a terminal of its own. Shows
 * what comes after the login. Exit status: the command's own; 1 when the login was refused, or
 * something else came than was expected; 2 for bad usage. */
#include <stdio.h>
#include <string.h>

#include "rp/rp.h"

enum {
    FAILED = 1,
    USAGE = 2
};

#define PATIENCE_NS (30 * RP_SECOND)

/* Waits for the first of `count` patterns: which one it was, or a negative error. */
static int await(rp_process *process, const char *const *texts, size_t count)
{
    rp_pattern patterns[4] = {{RP_LITERAL, 0, NULL, 0, {0}}};
    rp_expect_options options = RP_EXPECT_OPTIONS_INIT;
    rp_match match;
    int r;

    for (size_t i = 0; i < count; i++) {
        patterns[i].kind = RP_REGEX;
        patterns[i].text = texts[i];
    }
    options.patterns = patterns;
    options.pattern_count = count;
    options.text = RP_TEXT_STRIPPED; /* colours are not in the way */
    options.timeout_ns = PATIENCE_NS;
    r = rp_expect_wait(process, &options, &match);
    if (r < 0) {
        fprintf(stderr, "expect_login: %s, and \"%s\" did not come behind: %.*s\n", rp_strerror(r),
                texts[0], (int)match.tail.size, match.tail.data);
        return r;
    }
    return (int)match.pattern;
}

/* Types a line. */
static int answer(rp_process *process, const char *text)
{
    char line[256];
    int size = snprintf(line, sizeof line, "%s\n", text);

    if (size < 0 || (size_t)size >= sizeof line) {
        return RP_EINVAL;
    }
    return rp_submit(process, (rp_view){line, (size_t)size});
}

/* A password goes only where nobody sees it: the program has switched the echo off, right after it
 * asked or a moment before. */
static int await_silence(rp_loop *loop, rp_process *process)
{
    const uint64_t until_ns = rp_now_ns() + PATIENCE_NS;
    rp_pty_mode mode = {.size = sizeof mode, .echo = true};
    int r = 0;

    while (r >= 0 && mode.echo && rp_now_ns() < until_ns) {
        r = rp_loop_run_once(loop, 5 * RP_MILLISECOND);
        r = r < 0 ? r : rp_pty_get_mode(process, &mode);
    }
    return r < 0 ? r : mode.echo ? RP_ETIMEDOUT : 0;
}

static int log_in(rp_loop *loop, rp_process *process, const char *name, const char *password)
{
    /* No `$` at their ends: whether more follows is not known while the program lives. */
    static const char *const asks_name[] = {"(?i)(login|name): "};
    static const char *const asks_password[] = {"(?i)password: "};
    static const char *const outcomes[] = {"(?i)welcome|last login", "(?i)incorrect|denied"};
    int r = await(process, asks_name, 1);

    r = r < 0 ? r : answer(process, name);
    r = r < 0 ? r : await(process, asks_password, 1);
    r = r < 0 ? r : await_silence(loop, process);
    r = r < 0 ? r : answer(process, password);
    return r < 0 ? r : await(process, outcomes, 2);
}

/* What is left of its output, and how it ended. */
static int show_rest(rp_process *process)
{
    rp_event event;
    int r;

    while ((r = rp_next(process, RP_FOREVER, &event)) > 0) {
        if (event.kind == RP_EVENT_DATA) {
            (void)fwrite(event.bytes.data, 1, event.bytes.size, stdout);
        } else if (event.kind == RP_EVENT_EXIT) {
            return event.exit->kind == RP_EXITED ? event.exit->code : FAILED;
        }
    }
    return r;
}

static int run(rp_loop *loop, char **argv)
{
    rp_command command = RP_COMMAND_INIT;
    rp_process *process;
    int r;

    command.argv = (const char *const *)(argv + 3);
    command.transport = RP_PTY;
    r = rp_spawn(loop, &command, NULL, NULL, &process);
    if (r < 0) {
        fprintf(stderr, "expect_login: %s: %s\n", rp_strerror(r), rp_error_detail());
        return FAILED;
    }
    r = log_in(loop, process, argv[1], argv[2]);
    if (r == 1) {
        printf("the login was refused\n");
        r = FAILED;
    } else if (r == 0) {
        r = show_rest(process);
    }
    if (r < 0) {
        fprintf(stderr, "expect_login: %s\n", rp_strerror(r));
    }
    rp_process_close(process);
    return r < 0 ? FAILED : r;
}

int main(int argc, char **argv)
{
    rp_loop *loop;
    int r;

    if (argc < 4) {
        fprintf(stderr, "usage: expect_login NAME PASSWORD COMMAND [ARGUMENT...]\n");
        return USAGE;
    }
    r = rp_loop_open(NULL, &loop);
    if (r < 0) {
        fprintf(stderr, "expect_login: %s\n", rp_strerror(r));
        return FAILED;
    }
    r = run(loop, argv);
    (void)rp_loop_close(loop);
    return r;
}
