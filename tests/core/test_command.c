/* Everything that a command must not be is refused in the call, with the field's name in the
 * detail; and what it may be is not. */
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/status.h"
#include "core/command.h"
#include "tests/support/check.h"

static const char *const true_argv[] = {"true", NULL};

static rp_command make_command(void)
{
    rp_command command = RP_COMMAND_INIT;

    command.argv = true_argv;
    return command;
}

/** That a command is refused with `error` and a detail that begins with `field`. */
static void refused(const rp_command *command, int error, const char *field)
{
    rpi_detail_clear();
    cr_assert_eq(rpi_command_check(command), error, "%s: %s", field, rp_error_detail());
    cr_assert_eq(strncmp(rp_error_detail(), field, strlen(field)), 0,
                 "'%s' does not begin with '%s'", rp_error_detail(), field);
}

static void accepted(const rp_command *command)
{
    rpi_detail_clear();
    cr_assert_eq(rpi_command_check(command), 0, "%s", rp_error_detail());
}

/* ---- reading ------------------------------------------------------------------- */

typedef struct future_command {
    rp_command command;
    uint64_t news[4];
} future_command;

Test(options, of_an_older_program_are_completed_with_zeroes)
{
    rp_command command;
    rp_command full;

    memset(&command, 0xA5, sizeof command); // beyond its size lies something else
    command.size = offsetof(rp_command, program);
    command.argv = true_argv;
    command.shell = NULL;
    cr_assert_eq(rpi_command_read(&command, &full), 0);
    cr_assert_eq(full.argv, true_argv);
    cr_assert_null(full.program);
    cr_assert_null(full.windows);
    cr_assert_eq(full.size, sizeof full);
    accepted(&full);
}

Test(options, from_the_future_are_taken_when_what_is_new_is_not_used)
{
    future_command future = {{0}, {0}};
    rp_command full;

    future.command = make_command();
    future.command.size = sizeof future;
    cr_assert_eq(rpi_command_read(&future.command, &full), 0);
    cr_assert_eq(full.size, sizeof full);
    accepted(&full);
    future.news[3] = 1;
    memset(&full, 0x5A, sizeof full);
    cr_assert_eq(rpi_command_read(&future.command, &full), RP_E2BIG);
    cr_assert_eq(full.size, (size_t)0x5A5A5A5A5A5A5A5A, "untouched on failure");
    cr_assert_eq(strncmp(rp_error_detail(), "size: ", 6), 0);
}

Test(options, without_a_size_are_refused)
{
    rp_command command = make_command();
    rp_command full;

    command.size = 0;
    cr_assert_eq(rpi_command_read(&command, &full), RP_EINVAL);
    command.size = sizeof(size_t) - 1;
    cr_assert_eq(rpi_command_read(&command, &full), RP_EINVAL);
    cr_assert_eq(rpi_command_read(NULL, &full), RP_EINVAL);
    command.size = SIZE_MAX; // not set: nothing behind it is read
    cr_assert_eq(rpi_command_read(&command, &full), RP_E2BIG);
    command.size = sizeof(size_t);
    cr_assert_eq(rpi_command_read(&command, &full), 0);
    cr_assert_null(full.argv);
}

/* ---- the program ----------------------------------------------------------------- */

Test(command, needs_exactly_one_of_argv_and_shell)
{
    static const char *const empty[] = {NULL};
    static const char *const no_name[] = {"", "a", NULL};
    rp_command command = make_command();

    accepted(&command);
    command.shell = "true";
    refused(&command, RP_EINVAL, "argv: both");
    command.argv = NULL;
    accepted(&command);
    command.shell = ""; // an empty line is one
    accepted(&command);
    command.shell = NULL;
    refused(&command, RP_EINVAL, "argv: neither");
    command.argv = empty;
    refused(&command, RP_EINVAL, "argv: empty");
    command.program = "/bin/true";
    refused(&command, RP_EINVAL, "argv: empty");
    command.program = NULL;
    command.argv = no_name;
    refused(&command, RP_EINVAL, "argv: an empty program name");
    command.program = "/bin/true"; // then argv[0] is the child's affair
    accepted(&command);
    command.program = "";
    refused(&command, RP_EINVAL, "program");
    command.argv = NULL;
    command.shell = "true";
    command.program = "/bin/dash";
    refused(&command, RP_EINVAL, "program");
}

Test(command, looks_at_its_directory)
{
    rp_command command = make_command();

    command.cwd = "/";
    accepted(&command);
    command.cwd = "/nowhere/at/all";
    refused(&command, RP_ENOENT, "cwd: /nowhere/at/all: no such");
    command.cwd = "";
    refused(&command, RP_ENOENT, "cwd");
    command.cwd = "/proc/self/exe";
    refused(&command, -ENOTDIR, "cwd");
}

Test(command, refuses_variables_without_a_name)
{
    static const char *const good[] = {"A=1", "B=", "C", "D=x=y", " =1", NULL};
    static const char *const empty[] = {"A=1", "", NULL};
    static const char *const nameless[] = {"=1", NULL};
    rp_command command = make_command();

    command.env = good;
    accepted(&command);
    command.env = empty;
    refused(&command, RP_EINVAL, "env: entry 1");
    command.env = nameless;
    refused(&command, RP_EINVAL, "env: entry 0");
}

Test(command, refuses_originators_that_could_not_be_read_back)
{
    static const char *const bad[] = {"", "a=b", "a:b", ":", "a\nb", "\x7f", "a\x1b"};
    rp_command command = make_command();

    command.originator = "my tool-1.2 \xc3\xa4";
    accepted(&command);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        command.originator = bad[i];
        refused(&command, RP_EINVAL, "originator");
    }
}

/* ---- streams ------------------------------------------------------------------------ */

Test(command, refuses_streams_that_contradict_themselves)
{
    const struct {
        rp_stdio stdio;
        int in, out, err; // the result for each stream
    } cases[] = {
        {{.kind = RP_STDIO_PIPE}, 0, 0, 0},
        {{.kind = RP_STDIO_NULL}, 0, 0, 0},
        {{.kind = RP_STDIO_INHERIT}, 0, 0, 0},
        {{.kind = RP_STDIO_FD, .fd = 0}, 0, 0, 0},
        {{.kind = RP_STDIO_FD, .fd = 9999}, 0, 0, 0}, // whether it is open is seen when duplicated
        {{.kind = RP_STDIO_FD, .fd = -1}, RP_EINVAL, RP_EINVAL, RP_EINVAL},
        {{.kind = RP_STDIO_FD, .fd = INTPTR_MAX}, RP_EINVAL, RP_EINVAL, RP_EINVAL},
        {{.kind = RP_STDIO_FD, .path = "x"}, RP_EINVAL, RP_EINVAL, RP_EINVAL},
        {{.kind = RP_STDIO_FILE, .path = "x"}, 0, 0, 0},
        {{.kind = RP_STDIO_FILE, .path = "x", .append = true}, RP_EINVAL, 0, 0},
        {{.kind = RP_STDIO_FILE, .path = "x", .fd = 1}, RP_EINVAL, RP_EINVAL, RP_EINVAL},
        {{.kind = RP_STDIO_FILE, .path = ""}, RP_EINVAL, RP_EINVAL, RP_EINVAL},
        {{.kind = RP_STDIO_FILE}, RP_EINVAL, RP_EINVAL, RP_EINVAL},
        {{.kind = RP_STDIO_MERGE}, RP_EINVAL, RP_EINVAL, 0},
        {{.kind = RP_STDIO_DEFAULT, .fd = 5}, RP_EINVAL, RP_EINVAL, RP_EINVAL},
        {{.kind = RP_STDIO_PIPE, .path = "x"}, RP_EINVAL, RP_EINVAL, RP_EINVAL},
        {{.kind = RP_STDIO_NULL, .append = true}, RP_EINVAL, RP_EINVAL, RP_EINVAL},
        {{.kind = RP_STDIO_PIPE, .reserved = {0, 1}}, RP_E2BIG, RP_E2BIG, RP_E2BIG},
        {{.kind = (rp_stdio_kind)7}, RP_EINVAL, RP_EINVAL, RP_EINVAL},
        {{.kind = (rp_stdio_kind)-1}, RP_EINVAL, RP_EINVAL, RP_EINVAL},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const int expected[] = {cases[i].in, cases[i].out, cases[i].err};
        static const char *const names[] = {"in:", "out:", "err:"};

        for (int stream = 0; stream < 3; stream++) {
            rp_command command = make_command();

            *(stream == 0   ? &command.in
              : stream == 1 ? &command.out
                            : &command.err) = cases[i].stdio;
            if (expected[stream] == 0) {
                accepted(&command);
            } else {
                refused(&command, expected[stream], names[stream]);
            }
        }
    }
}

Test(command, takes_input_for_a_pipe_only)
{
    rp_command command = make_command();

    command.input = (rp_view){"abc", 3};
    accepted(&command);
    command.in.kind = RP_STDIO_PIPE;
    accepted(&command);
    command.in.kind = RP_STDIO_NULL;
    refused(&command, RP_EINVAL, "input");
    command.in.kind = RP_STDIO_INHERIT;
    refused(&command, RP_EINVAL, "input");
    command.in = (rp_stdio){.kind = RP_STDIO_FILE, .path = "x"};
    refused(&command, RP_EINVAL, "input");
    command.in = (rp_stdio){.kind = RP_STDIO_DEFAULT};
    command.input = (rp_view){NULL, 3};
    refused(&command, RP_EINVAL, "input");
    command.input = (rp_view){"", 0}; // an input without a byte: stdin ends at once
    accepted(&command);
    cr_assert_eq(rpi_command_stdio_kind(&command, RP_STDIN), RP_STDIO_PIPE);
}

Test(command, chooses_streams_by_transport)
{
    const struct {
        rp_transport transport;
        rp_stdio_kind in, out;
    } cases[] = {
        {RP_PIPES, RP_STDIO_NULL, RP_STDIO_PIPE},
        {RP_CONSOLE_SHARED, RP_STDIO_INHERIT, RP_STDIO_INHERIT},
        {RP_CONSOLE_ISOLATED, RP_STDIO_NULL, RP_STDIO_INHERIT},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        rp_command command = make_command();

        command.transport = cases[i].transport;
        accepted(&command);
        cr_assert_eq(rpi_command_stdio_kind(&command, RP_STDIN), cases[i].in);
        cr_assert_eq(rpi_command_stdio_kind(&command, RP_STDOUT), cases[i].out);
        cr_assert_eq(rpi_command_stdio_kind(&command, RP_STDERR), cases[i].out);
        command.err.kind = RP_STDIO_MERGE;
        command.in.kind = RP_STDIO_INHERIT;
        cr_assert_eq(rpi_command_stdio_kind(&command, RP_STDERR), RP_STDIO_MERGE);
        cr_assert_eq(rpi_command_stdio_kind(&command, RP_STDIN), RP_STDIO_INHERIT);
        command.in.kind = RP_STDIO_DEFAULT;
        command.input = (rp_view){"a", 1};
        cr_assert_eq(rpi_command_stdio_kind(&command, RP_STDIN), RP_STDIO_PIPE);
    }
}

Test(command, refuses_descriptors_out_of_range_or_given_twice)
{
    rp_fd fds[3] = {{0, 3}, {1, 65535}, {2, 10}};
    rp_command command = make_command();

    command.fds = fds;
    accepted(&command); // a count of 0: none
    command.fd_count = 3;
    accepted(&command);
    fds[2].child = 3;
    refused(&command, RP_EINVAL, "fds: 3 is given twice");
    fds[2].child = 65535;
    refused(&command, RP_EINVAL, "fds: 65535 is given twice");
    fds[2].child = 65536;
    refused(&command, RP_EINVAL, "fds: entry 2");
    fds[2].child = 2;
    refused(&command, RP_EINVAL, "fds: entry 2");
    fds[2].child = -5;
    refused(&command, RP_EINVAL, "fds: entry 2");
    fds[2] = (rp_fd){-1, 10};
    refused(&command, RP_EINVAL, "fds: entry 2");
    fds[2] = (rp_fd){INTPTR_MAX, 10};
    refused(&command, RP_EINVAL, "fds: entry 2");
    command.fds = NULL;
    refused(&command, RP_EINVAL, "fds: a count");
}

/* ---- the rest --------------------------------------------------------------------------- */

Test(command, says_what_is_not_built_in)
{
    rp_command command = make_command();
    rp_windows windows = RP_INIT(rp_windows);

    command.transport = (rp_transport)5;
    refused(&command, RP_EINVAL, "transport");
    command.transport = (rp_transport)-1;
    refused(&command, RP_EINVAL, "transport");
    command = make_command();
    command.transport = RP_PTY;
    command.screen = true;
    if (!rp_has("screen")) {
        refused(&command, RP_EUNSUPPORTED, "screen");
    }
    command = make_command();
    command.windows = &windows;
    refused(&command, RP_EUNSUPPORTED, "windows");
    command = make_command();
    command.pty_rows = 24;
    refused(&command, RP_EINVAL, "pty_rows");
}

Test(command, is_on_a_terminal_with_all_of_its_streams_or_with_none)
{
    rp_command command = make_command();

    command.transport = RP_PTY;
    accepted(&command);
    command.in.kind = RP_STDIO_PIPE;
    refused(&command, RP_EINVAL, "in: ");
    command.in.kind = RP_STDIO_DEFAULT;
    command.out.kind = RP_STDIO_NULL;
    refused(&command, RP_EINVAL, "out: ");
    command.out.kind = RP_STDIO_DEFAULT;
    command.err.kind = RP_STDIO_MERGE;
    refused(&command, RP_EINVAL, "err: ");
    command.err.kind = RP_STDIO_DEFAULT;
    command.pty_rows = 24;
    refused(&command, RP_EINVAL, "pty_rows, pty_cols");
    command.pty_cols = 80;
    accepted(&command);
    command.pty_rows = 0;
    refused(&command, RP_EINVAL, "pty_rows, pty_cols");
    command = make_command();
    command.screen = true;
    refused(&command, RP_EINVAL, "screen");
}

Test(command, refuses_numbers_out_of_their_range)
{
    rp_command command = make_command();

    command.nice = -20;
    accepted(&command);
    command.nice = 19;
    accepted(&command);
    command.nice = -21;
    refused(&command, RP_EINVAL, "nice");
    command.nice = 20;
    refused(&command, RP_EINVAL, "nice");
    command = make_command();
    command.capture_keep = RP_KEEP_TAIL;
    accepted(&command);
    command.capture_keep = (rp_keep)2;
    refused(&command, RP_EINVAL, "capture_keep");
    command = make_command();
    command.line_end = RP_LINE_NUL;
    accepted(&command);
    command.line_end = (rp_line_end)3;
    refused(&command, RP_EINVAL, "line_end");
    command = make_command();
    command.on_close = RP_ON_CLOSE_DETACH;
    accepted(&command);
    command.on_close = (rp_on_close)-1;
    refused(&command, RP_EINVAL, "on_close");
    command = make_command();
    command.drain = (rp_drain)3;
    refused(&command, RP_EINVAL, "drain");
    command.drain = RP_DRAIN_GRACE;
    accepted(&command);
    command.drain_grace_ns = 5;
    accepted(&command);
    command.drain = RP_DRAIN_TO_EOF;
    refused(&command, RP_EINVAL, "drain_grace_ns");
    command = make_command();
    command.ring_size = (size_t)1 << 30;
    accepted(&command);
    command.ring_size++;
    refused(&command, RP_EINVAL, "ring_size");
    command = make_command();
    command.capture_max = RP_UNLIMITED;
    command.line_max = SIZE_MAX;
    command.write_max = SIZE_MAX;
    command.timeout_ns = RP_FOREVER;
    accepted(&command);
}

Test(command, reads_nested_structs_by_the_same_rule)
{
    rp_command command = make_command();
    rp_limits limits = RP_INIT(rp_limits);
    rp_stop_options stop = RP_INIT(rp_stop_options);
    rp_posix posix = RP_INIT(rp_posix);
    struct {
        rp_limits limits;
        uint64_t news;
    } future = {RP_INIT(rp_limits), 1};

    command.limits = &limits;
    command.stop = &stop;
    command.posix = &posix;
    accepted(&command);
    limits.size = 0;
    refused(&command, RP_EINVAL, "limits: size: not set");
    limits.size = sizeof limits;
    stop.size = 0;
    refused(&command, RP_EINVAL, "stop: size");
    stop.size = sizeof stop;
    posix.size = 0;
    refused(&command, RP_EINVAL, "posix: size");
    posix.size = sizeof posix;
    future.limits.size = sizeof future;
    command.limits = &future.limits;
    refused(&command, RP_E2BIG, "limits: size");
}

Test(command, checks_how_it_is_to_be_stopped)
{
    rp_command command = make_command();
    rp_stop_options stop = RP_INIT(rp_stop_options);

    command.stop = &stop;
    stop.terminate_signal = SIGHUP;
    accepted(&command);
    stop.terminate_signal = 64;
    accepted(&command);
    stop.terminate_signal = 65;
    refused(&command, RP_EINVAL, "stop: terminate_signal");
    stop.terminate_signal = -1;
    refused(&command, RP_EINVAL, "stop: terminate_signal");
}

Test(command, refuses_posix_settings_that_would_be_ignored)
{
    const uint32_t groups[] = {1, 2};
    rp_command command = make_command();
    rp_posix posix = RP_INIT(rp_posix);

    command.posix = &posix;
    posix.new_session = true;
    accepted(&command);
    command.transport = RP_CONSOLE_SHARED;
    refused(&command, RP_EINVAL, "posix: new_session");
    command.transport = RP_PIPES;
    posix.umask = 022;
    refused(&command, RP_EINVAL, "posix: umask without");
    posix.set_umask = true;
    accepted(&command);
    posix.umask = 01000;
    refused(&command, RP_EINVAL, "posix: umask: more");
    posix.umask = 0;
    posix.uid = 5;
    refused(&command, RP_EINVAL, "posix: uid");
    posix.set_ids = true;
    posix.groups = groups;
    posix.group_count = 2;
    accepted(&command);
    posix.group_count = 65537;
    refused(&command, RP_EINVAL, "posix: more groups");
    posix.group_count = 1;
    posix.groups = NULL;
    refused(&command, RP_EINVAL, "posix: group_count");
}
