/* Tests that every function checks what it is given: each mistake its error, a detail that names
 * the field, and nothing started, opened or allocated. */
#include <limits.h>
#include <string.h>

#include "tests/support/check.h"
#include "tests/support/stage.h"

typedef struct mistake {
    const char *name; /* how the detail begins */
    int error;
    rp_command command;
} mistake;

#define GOOD .size = sizeof(rp_command), .argv = CHILD("exit", "0")

static stage on;

static void check_mistake(const mistake *wrong)
{
    rp_process *process = NULL;
    rp_result result;
    size_t blocks = on.memory.live_blocks;
    stage_holdings before = stage_count();
    int r = rp_spawn(on.loop, &wrong->command, NULL, NULL, &process);

    cr_assert_eq(r, wrong->error, "%s: %s", wrong->name, rp_error_name(r));
    cr_assert_eq(strncmp(rp_error_detail(), wrong->name, strlen(wrong->name)), 0,
                 "the detail of %s is \"%s\"", wrong->name, rp_error_detail());
    cr_assert_null(process);
    cr_assert_eq(on.memory.live_blocks, blocks, "%s left memory", wrong->name);
    cr_assert_eq(stage_count().descriptors, before.descriptors);
    cr_assert_eq(rp_loop_processes(on.loop, NULL, NULL), 0);
    r = rp_run(&wrong->command, &result);
    cr_assert_eq(r, wrong->error);
    cr_assert_eq(strncmp(rp_error_detail(), wrong->name, strlen(wrong->name)), 0);
}

static void check_mistakes(const mistake *all, size_t count)
{
    stage_open(&on, stage_backend(), NULL);
    for (size_t i = 0; i < count; i++) {
        check_mistake(&all[i]);
    }
    cr_assert_eq(rp_loop_run(on.loop), 0);
    stage_close(&on);
}

Test(badinput, about_the_program_is_refused, .timeout = 60)
{
    static const char *const nothing[] = {NULL};
    static const char *const empty[] = {"", "x", NULL};
    const mistake all[] = {
        {"size", RP_EINVAL, {.argv = CHILD("exit", "0")}},
        {"size", RP_EINVAL, {.size = 7, .argv = CHILD("exit", "0")}},
        {"size", RP_E2BIG, {.size = SIZE_MAX, .argv = CHILD("exit", "0")}},
        {"argv", RP_EINVAL, {.size = sizeof(rp_command)}},
        {"argv", RP_EINVAL, {GOOD, .shell = "true"}},
        {"argv", RP_EINVAL, {.size = sizeof(rp_command), .argv = nothing}},
        {"argv", RP_EINVAL, {.size = sizeof(rp_command), .argv = empty}},
        {"program", RP_EINVAL, {GOOD, .program = ""}},
        {"program", RP_EINVAL, {.size = sizeof(rp_command), .shell = "true", .program = "/bin/sh"}},
        {"cwd", RP_ENOENT, {GOOD, .cwd = "/nowhere/at-all"}},
        {"cwd", -ENOTDIR, {GOOD, .cwd = "/etc/passwd"}},
        {"cwd", RP_ENOENT, {GOOD, .cwd = ""}},
    };

    check_mistakes(all, sizeof all / sizeof *all);
}

Test(badinput, about_the_environment_is_refused, .timeout = 60)
{
    static const char *const no_name[] = {"A=1", "=x", NULL};
    static const char *const empty[] = {"", NULL};
    const mistake all[] = {
        {"env", RP_EINVAL, {GOOD, .env = no_name}},
        {"env", RP_EINVAL, {GOOD, .env = empty}},
        {"originator", RP_EINVAL, {GOOD, .originator = ""}},
        {"originator", RP_EINVAL, {GOOD, .originator = "a=b"}},
        {"originator", RP_EINVAL, {GOOD, .originator = "a:b"}},
        {"originator", RP_EINVAL, {GOOD, .originator = "a\nb"}},
    };

    check_mistakes(all, sizeof all / sizeof *all);
}

Test(badinput, about_streams_is_refused, .timeout = 60)
{
    const mistake all[] = {
        {"out", RP_EINVAL, {GOOD, .out = {.kind = RP_STDIO_MERGE}}},
        {"in", RP_EINVAL, {GOOD, .in = {.kind = RP_STDIO_MERGE}}},
        {"in", RP_EINVAL, {GOOD, .in = {.kind = (rp_stdio_kind)99}}},
        {"err", RP_EINVAL, {GOOD, .err = {.kind = (rp_stdio_kind)-1}}},
        {"out", RP_EINVAL, {GOOD, .out = {.kind = RP_STDIO_FD, .fd = -1}}},
        {"out", -EBADF, {GOOD, .out = {.kind = RP_STDIO_FD, .fd = 999999}}},
        {"out", RP_EINVAL, {GOOD, .out = {.kind = RP_STDIO_FD, .fd = (intptr_t)INT_MAX + 1}}},
        {"out", RP_EINVAL, {GOOD, .out = {.kind = RP_STDIO_FILE}}},
        {"out", RP_EINVAL, {GOOD, .out = {.kind = RP_STDIO_FILE, .path = ""}}},
        {"out", RP_EINVAL, {GOOD, .out = {.kind = RP_STDIO_PIPE, .path = "/tmp/x"}}},
        {"err", RP_EINVAL, {GOOD, .err = {.kind = RP_STDIO_NULL, .fd = 5}}},
        {"in",
         RP_EINVAL,
         {GOOD, .in = {.kind = RP_STDIO_FILE, .path = "/dev/null", .append = true}}},
        {"out", RP_E2BIG, {GOOD, .out = {.reserved = {0, 1}}}},
        {"input", RP_EINVAL, {GOOD, .input = {NULL, 3}}},
        {"input", RP_EINVAL, {GOOD, .input = {"abc", 3}, .in = {.kind = RP_STDIO_NULL}}},
    };

    check_mistakes(all, sizeof all / sizeof *all);
}

Test(badinput, about_descriptors_is_refused, .timeout = 60)
{
    static const rp_fd standard = {.parent = 0, .child = 2};
    static const rp_fd huge = {.parent = 0, .child = 70000};
    static const rp_fd negative = {.parent = -1, .child = 3};
    static const rp_fd closed = {.parent = 999999, .child = 3};
    static const rp_fd twice[] = {{.parent = 0, .child = 3}, {.parent = 1, .child = 3}};
    const mistake all[] = {
        {"fds", RP_EINVAL, {GOOD, .fd_count = 1}},
        {"fds", RP_EINVAL, {GOOD, .fds = &standard, .fd_count = 1}},
        {"fds", RP_EINVAL, {GOOD, .fds = &huge, .fd_count = 1}},
        {"fds", RP_EINVAL, {GOOD, .fds = &negative, .fd_count = 1}},
        {"fds", RP_EINVAL, {GOOD, .fds = twice, .fd_count = 2}},
        {"fds", -EBADF, {GOOD, .fds = &closed, .fd_count = 1}},
    };

    check_mistakes(all, sizeof all / sizeof *all);
}

Test(badinput, about_numbers_and_choices_is_refused, .timeout = 60)
{
    const mistake all[] = {
        {"nice", RP_EINVAL, {GOOD, .nice = 20}},
        {"nice", RP_EINVAL, {GOOD, .nice = -21}},
        {"drain", RP_EINVAL, {GOOD, .drain = (rp_drain)3}},
        {"drain_grace_ns", RP_EINVAL, {GOOD, .drain_grace_ns = 1}},
        {"capture_keep", RP_EINVAL, {GOOD, .capture_keep = (rp_keep)2}},
        {"line_end", RP_EINVAL, {GOOD, .line_end = (rp_line_end)3}},
        {"on_close", RP_EINVAL, {GOOD, .on_close = (rp_on_close)2}},
        {"ring_size", RP_EINVAL, {GOOD, .ring_size = (size_t)2 << 30}},
        {"pty_rows", RP_EINVAL, {GOOD, .pty_rows = 24}},
        {"pty_rows", RP_EINVAL, {GOOD, .transport = RP_PTY, .pty_cols = 80}},
        {"screen", RP_EINVAL, {GOOD, .screen = true}},
        {"screen",
         rp_has("screen") ? RP_EINVAL : RP_EUNSUPPORTED,
         {GOOD, .transport = RP_PTY, .pty_rows = 65535, .pty_cols = 65535, .screen = true}},
        {"err", RP_EINVAL, {GOOD, .transport = RP_PTY, .err = {.kind = RP_STDIO_MERGE}}},
        {"transport", RP_EINVAL, {GOOD, .transport = (rp_transport)99}},
    };

    check_mistakes(all, sizeof all / sizeof *all);
}

Test(badinput, that_this_build_cannot_do_is_unsupported, .timeout = 60)
{
    static const rp_windows windows = {.size = sizeof windows};
    const mistake all[] = {
        {"windows", RP_EUNSUPPORTED, {GOOD, .windows = &windows}},
    };

    check_mistakes(all, sizeof all / sizeof *all);
}

Test(badinput, in_nested_structs_is_refused, .timeout = 60)
{
    static const rp_limits no_size = {.open_files = 5};
    static const rp_stop_options no_stop = {.grace_ns = 5};
    static const rp_stop_options no_signal = {.size = sizeof no_signal, .terminate_signal = 65};
    static const rp_posix no_posix = {.new_session = true};
    static const rp_posix mask = {.size = sizeof mask, .umask = 022};
    static const rp_posix wide = {.size = sizeof wide, .set_umask = true, .umask = 01000};
    static const rp_posix ids = {.size = sizeof ids, .uid = 5};
    static const rp_posix groups = {.size = sizeof groups, .set_ids = true, .group_count = 2};
    static const rp_posix session = {.size = sizeof session, .new_session = true};
    const mistake all[] = {
        {"limits", RP_EINVAL, {GOOD, .limits = &no_size}},
        {"stop", RP_EINVAL, {GOOD, .stop = &no_stop}},
        {"stop", RP_EINVAL, {GOOD, .stop = &no_signal}},
        {"posix", RP_EINVAL, {GOOD, .posix = &no_posix}},
        {"posix", RP_EINVAL, {GOOD, .posix = &mask}},
        {"posix", RP_EINVAL, {GOOD, .posix = &wide}},
        {"posix", RP_EINVAL, {GOOD, .posix = &ids}},
        {"posix", RP_EINVAL, {GOOD, .posix = &groups}},
        {"posix", RP_EINVAL, {GOOD, .posix = &session, .transport = RP_CONSOLE_SHARED}},
    };

    check_mistakes(all, sizeof all / sizeof *all);
}

/* A command of a newer program: its unknown tail may be there, as long as it is zero. */
Test(badinput, from_the_future_is_told_apart_from_what_is_harmless, .timeout = 60)
{
    struct {
        rp_command command;
        uint64_t future[4];
    } newer;
    rp_process *process = NULL;
    actor child = {0};

    memset(&newer, 0, sizeof newer);
    newer.command.size = sizeof newer;
    newer.command.argv = CHILD("exit", "6");
    stage_open(&on, stage_backend(), NULL);
    actor_play(&on, &child, &newer.command, 0);
    actor_check_code(&child, 6);
    newer.future[3] = UINT64_C(1) << 40;
    cr_assert_eq(rp_spawn(on.loop, &newer.command, NULL, NULL, &process), RP_E2BIG);
    cr_assert_null(process);
    newer.command.size = offsetof(rp_command, cwd); // an older program's: what follows is not read
    newer.command.cwd = "/nowhere/at-all";
    child = (actor){0};
    actor_play(&on, &child, &newer.command, 0);
    actor_check_code(&child, 6);
    stage_close(&on);
}

Test(badinput, null_is_no_command, .timeout = 60)
{
    rp_process *process = NULL;
    rp_result result;

    stage_open(&on, stage_backend(), NULL);
    cr_assert_eq(rp_spawn(on.loop, NULL, NULL, NULL, &process), RP_EINVAL);
    cr_assert_eq(rp_run_on(on.loop, NULL, &result), RP_EINVAL);
    cr_assert_eq(rp_run(NULL, &result), RP_EINVAL);
    cr_assert_null(process);
    stage_close(&on);
}

/* A detail lasts until the thread's next call, and only then. */
Test(badinput, leaves_a_detail_until_the_next_call, .timeout = 60)
{
    rp_command command = RP_COMMAND_INIT;
    rp_process *process = NULL;

    stage_open(&on, stage_backend(), NULL);
    cr_assert_eq(rp_spawn(on.loop, &command, NULL, NULL, &process), RP_EINVAL);
    cr_assert_neq(rp_error_detail()[0], '\0');
    cr_assert_eq(rp_loop_processes(on.loop, NULL, NULL), 0);
    cr_assert_eq(rp_error_detail()[0], '\0');
    stage_close(&on);
}
