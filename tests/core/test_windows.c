/* Children on Windows: what differs there from the other systems, and what an emulator lacks, with
 * fakes in the table of system calls. */
#include <windows.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/os_windows.h"
#include "core/arguments_windows.h"
#include "tests/support/check.h"
#include "tests/support/noise.h"
#include "tests/support/stage.h"

TestSuite(windows, .timeout = 120);

/* Plays one child and gives what it wrote to stdout, to be freed. */
static char *output_of(const rp_command *command, int code)
{
    stage self;
    actor child = {0};
    char *text;

    stage_open(&self, RP_BACKEND_IOCP, NULL);
    actor_play(&self, &child, command, ACTOR_DATA);
    actor_check_code(&child, code);
    text = _strdup(actor_data(&child, RP_STDOUT));
    actor_free(&child);
    stage_close(&self);
    return text;
}

static void check_output(const rp_command *command, const char *expected)
{
    char *text = output_of(command, 0);

    cr_assert_str_eq(text, expected);
    free(text);
}

/* ---- arguments ---------------------------------------------------------------------- */

Test(windows, arguments_arrive_as_they_were_given)
{
    static const char *const argv[] = {RP_TEST_CHILD,
                                       "arguments",
                                       "plain",
                                       "two words",
                                       "",
                                       "tab\there",
                                       "quo\"te",
                                       "back\\slash",
                                       "end\\",
                                       "end two\\\\",
                                       "\\\"mixed\\\\\" ",
                                       "\xc3\xa4\xe2\x82\xac\xf0\x9f\x8e\x89",
                                       NULL};
    rp_command command = stage_command(argv);

    check_output(&command,
                 "plain\ntwo words\n\ntab\there\nquo\"te\nback\\slash\nend\\\nend two\\\\\n"
                 "\\\"mixed\\\\\" \n\xc3\xa4\xe2\x82\xac\xf0\x9f\x8e\x89\n");
}

Test(windows, verbatim_arguments_are_not_quoted)
{
    static const char *const argv[] = {RP_TEST_CHILD, "arguments", "\"a b\"", "c d", NULL};
    rp_windows windows = RP_INIT(rp_windows);
    rp_command command = stage_command(argv);

    windows.verbatim = true;
    command.windows = &windows;
    check_output(&command, "a b\nc\nd\n");
}

static void check_line(char *const *argv, const char *program, rpi_quoting quoting, int expected)
{
    wchar_t *line = NULL;

    cr_assert_eq(rpi_command_line_make(argv, program, quoting, &line), expected, "%s", argv[1]);
    free(line);
}

Test(windows, arguments_of_batch_files_are_refused_where_no_quoting_is_safe)
{
    static const char *const unsafe[] = {"\"", "a\"&calc", "%PATH%", "a\nb", "a\rb"};
    static const char *const safe[] = {"a b", "&", "a|b", "^", "(x)", "!x!", "x\\"};
    char *argv[] = {NULL, NULL, NULL};

    argv[0] = _strdup("x.bat");
    for (size_t i = 0; i < sizeof unsafe / sizeof *unsafe; i++) {
        argv[1] = _strdup(unsafe[i]);
        check_line(argv, "x.bat", RPI_QUOTE_BATCH, -EINVAL);
    }
    for (size_t i = 0; i < sizeof safe / sizeof *safe; i++) {
        argv[1] = _strdup(safe[i]);
        check_line(argv, "x.bat", RPI_QUOTE_BATCH, 0);
    }
    cr_assert(rpi_is_batch_file("C:\\a\\X.BaT"));
    cr_assert(rpi_is_batch_file("x.cmd. ."));
    cr_assert(!rpi_is_batch_file("x.exe"));
    cr_assert(!rpi_is_batch_file("bat"));
}

Test(windows, a_command_line_that_is_too_long_is_refused)
{
    char *argv[] = {NULL, NULL, NULL};

    argv[0] = _strdup("x");
    argv[1] = malloc(RPI_COMMAND_LINE_MAX + 1);
    memset(argv[1], 'a', RPI_COMMAND_LINE_MAX);
    argv[1][RPI_COMMAND_LINE_MAX] = '\0';
    check_line(argv, "x", RPI_QUOTE_RUNTIME, -E2BIG);
    argv[1][RPI_COMMAND_LINE_MAX - 3] = '\0'; // x, a blank, and the NUL
    check_line(argv, "x", RPI_QUOTE_RUNTIME, 0);
}

Test(windows, a_shell_runs_its_line)
{
    rp_command command = RP_COMMAND_INIT;
    char *text;

    command.shell = "echo \"a b\"& exit 5";
    text = output_of(&command, 5);
    cr_assert(strstr(text, "\"a b\"") != NULL, "%s", text);
    free(text);
}

Test(windows, a_batch_file_gets_its_arguments)
{
    const char *const argv[] = {"rp-test-batch.bat", "one two", "a&b", NULL};
    rp_command command = stage_command(argv);
    FILE *file = fopen("rp-test-batch.bat", "wb");
    char *text;

    cr_assert_not_null(file);
    (void)fputs("@echo off\r\necho [%~1] [%~2]\r\nexit /b 7\r\n", file);
    (void)fclose(file);
    command.program = ".\\rp-test-batch.bat";
    text = output_of(&command, 7);
    (void)remove("rp-test-batch.bat");
    cr_assert(strncmp(text, "[one two] [a", 12) == 0, "%s", text);
    free(text);
}

/* ---- environment and folder -------------------------------------------------------------- */

Test(windows, a_child_has_the_environment_that_it_was_given)
{
    static const char *const env[] = {"Zoe=\xc3\xa9t\xc3\xa9", "alpha=1", "EMPTY=", NULL};
    rp_command command =
        stage_command(CHILD("env", "ZOE", "env", "ALPHA", "env", "EMPTY", "env", "RP_OTHER"));

    (void)SetEnvironmentVariableW(L"RP_OTHER", L"inherited");
    (void)SetEnvironmentVariableW(L"ALPHA", L"is overridden whatever its case");
    command.env = env;
    check_output(&command, "\xc3\xa9t\xc3\xa9\n1\n\ninherited\n");
}

Test(windows, blocks_of_environments_are_sorted_and_ended_twice)
{
    char *env[] = {NULL, NULL, NULL, NULL, NULL};
    wchar_t *block = NULL;
    static const wchar_t expected[] = L"=C:=C:\\x\0A=1\0b=2\0C=3\0";

    env[0] = _strdup("C=3");
    env[1] = _strdup("b=2");
    env[2] = _strdup("=C:=C:\\x");
    env[3] = _strdup("A=1");
    cr_assert_eq(rpi_environment_block_make(env, &block), 0);
    cr_assert_eq(memcmp(block, expected, sizeof expected), 0);
    free(block);
    env[0] = NULL;
    cr_assert_eq(rpi_environment_block_make(env, &block), 0);
    cr_assert(block[0] == L'\0' && block[1] == L'\0');
    free(block);
    env[0] = _strdup("A=\xff");
    cr_assert_eq(rpi_environment_block_make(env, &block), -EINVAL);
}

Test(windows, a_child_begins_in_its_folder)
{
    rp_command command = stage_command(CHILD("cwd"));

    command.cwd = "C:\\windows";
    check_output(&command, "C:\\windows\n");
}

Test(windows, a_priority_is_a_class)
{
    static const struct {
        int nice;
        const char *told;
    } cases[] = {{0, "20\n"}, {5, "4000\n"}, {15, "40\n"}, {-5, "8000\n"}, {-15, "80\n"}};

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        rp_command command = stage_command(CHILD("nice"));

        command.nice = cases[i].nice;
        check_output(&command, cases[i].told);
    }
}

/* ---- handles -------------------------------------------------------------------------------- */

Test(windows, a_handle_of_the_list_keeps_its_value_and_no_other_is_inherited)
{
    lifeline given = lifeline_open();
    lifeline kept = lifeline_open(); // inheritable, too
    char number[16];
    char other[16];
    rp_fd fd = {.parent = given.write, .child = 0};
    rp_command command = RP_COMMAND_INIT;
    const char *argv[] = {RP_TEST_CHILD, "write", number, "x", "write", other, "y", NULL};
    char *text;

    (void)snprintf(number, sizeof number, "%d", given.write);
    (void)snprintf(other, sizeof other, "%d", kept.write);
    command.argv = argv;
    command.fds = &fd;
    command.fd_count = 1;
    text = output_of(&command, 99); // the child cannot write to the other one
    free(text);
    lifeline_await_byte(&given);
    cr_assert(lifeline_is_silent(&kept));
    lifeline_close(&given);
    lifeline_close(&kept);
}

Test(windows, files_are_written_and_appended_to)
{
    rp_command command = stage_command(CHILD("echo", "one"));
    stage self;
    char bytes[32] = "";
    FILE *file;

    stage_open(&self, RP_BACKEND_IOCP, NULL);
    for (int i = 0; i < 3; i++) {
        actor child = {0};

        command.out =
            (rp_stdio){.kind = RP_STDIO_FILE, .path = "rp-test-file.txt", .append = i == 2};
        actor_play(&self, &child, &command, 0);
        actor_check_code(&child, 0);
        actor_free(&child);
    }
    stage_close(&self);
    file = fopen("rp-test-file.txt", "rb");
    cr_assert_not_null(file);
    (void)fread(bytes, 1, sizeof bytes - 1, file);
    (void)fclose(file);
    (void)remove("rp-test-file.txt");
    cr_assert_str_eq(bytes, "one\none\n");
}

/* ---- ends -------------------------------------------------------------------------------------
 */

static rp_exit end_of(const char *const *argv)
{
    rp_command command = stage_command(argv);
    stage self;
    actor child = {0};
    rp_exit exit;

    stage_open(&self, RP_BACKEND_IOCP, NULL);
    actor_play(&self, &child, &command, 0);
    exit = child.exit;
    actor_free(&child);
    stage_close(&self);
    return exit;
}

Test(windows, exit_codes_have_all_their_bits)
{
    cr_assert_eq(end_of(CHILD("exit", "259")).code, 259);
    cr_assert_eq(end_of(CHILD("exit", "0xFFFFFFFF")).code, -1);
    cr_assert_eq((uint32_t)end_of(CHILD("abort")).code, 0xC0000005U);
    cr_assert(end_of(CHILD("exit", "0xC000013A")).interrupted);
    cr_assert(end_of(CHILD("exit", "0xC0000017")).possible_oom);
}

Test(windows, failures_to_start_say_what_is_missing)
{
    rp_exit end = end_of((const char *const[]){"no-such-program", NULL});

    cr_assert_eq(end.kind, RP_SPAWN_FAILED);
    cr_assert_eq(end.error, RP_ENOENT);
    cr_assert_eq(end.code, 127);
    cr_assert_eq(end.system_error, ERROR_FILE_NOT_FOUND);
    end = end_of((const char *const[]){"C:\\windows", NULL});
    cr_assert_eq(end.kind, RP_SPAWN_FAILED);
    cr_assert_eq(end.code, end.error == RP_ENOENT ? 127 : 126);
}

/* ---- trees --------------------------------------------------------------------------------------
 */

static void kill_when_told(actor *self, actor_event event, rp_stream stream)
{
    (void)stream;
    if (event == ACTOR_GOT_DATA) {
        cr_assert_eq(rp_kill(self->process), 0);
    }
}

Test(windows, a_kill_ends_the_tree_and_is_verified)
{
    lifeline line = lifeline_open();
    char number[16];
    rp_fd fd = {.parent = line.write, .child = 0};
    const char *argv[] = {RP_TEST_CHILD, "tree", "2", "3", number, "echo", "here", "pause", NULL};
    rp_command command = stage_command(argv);
    stage self;
    actor child = {.hook = kill_when_told};

    stage_open(&self, RP_BACKEND_IOCP, NULL);
    (void)snprintf(number, sizeof number, "%d", line.write);
    command.fds = &fd;
    command.fd_count = 1;
    actor_play(&self, &child, &command, ACTOR_DATA);
    cr_assert_eq(child.exit.code, 128 + 9);
    cr_assert_eq(child.exit.reason, RP_STOP_KILL);
    cr_assert_eq(child.exit.survivors, 0);
    lifeline_await_end(&line); // nobody of the tree holds it any more
    actor_free(&child);
    stage_close(&self);
}

Test(windows, a_grandchild_that_holds_the_output_does_not_hold_the_end)
{
    lifeline line = lifeline_open();
    char number[16];
    rp_fd fd = {.parent = line.read, .child = 0};
    const char *argv[] = {RP_TEST_CHILD, "fork", "wait", number, "end", "echo", "done", NULL};
    rp_command command = stage_command(argv);
    stage self;
    actor child = {0};

    stage_open(&self, RP_BACKEND_IOCP, NULL);
    (void)snprintf(number, sizeof number, "%d", line.read);
    command.fds = &fd;
    command.fd_count = 1;
    actor_play(&self, &child, &command, ACTOR_DATA);
    actor_check_code(&child, 0);
    cr_assert_str_eq(actor_data(&child, RP_STDOUT), "done\n");
    cr_assert_geq(child.exit.holders, 1);
    lifeline_close(&line); // the grandchild goes
    actor_free(&child);
    stage_close(&self);
}

static unsigned int emptied_calls;
static size_t emptied_count;

static void on_emptied(rp_group *group, const rp_survivor *survivors, size_t count, void *user)
{
    (void)group;
    (void)survivors;
    (void)user;
    emptied_calls++;
    emptied_count = count;
}

Test(windows, a_group_is_killed_whole)
{
    lifeline line = lifeline_open();
    char number[16];
    rp_fd fd = {.parent = line.write, .child = 0};
    const char *argv[] = {RP_TEST_CHILD, "tree", "2", "2", number, NULL};
    rp_command command = stage_command(argv);
    stage self;
    rp_group *group = NULL;
    actor child = {0};

    stage_open(&self, RP_BACKEND_IOCP, NULL);
    (void)snprintf(number, sizeof number, "%d", line.write);
    cr_assert_eq(rp_group_open(self.loop, NULL, &group), 0);
    cr_assert_eq(rp_group_grade(group), RP_GRADE_KERNEL);
    command.fds = &fd;
    command.fd_count = 1;
    command.group = group;
    actor_play(&self, &child, &command, ACTOR_DATA); // the leader is gone, its tree is not
    lifeline_await_byte(&line);
    cr_assert_eq(rp_group_kill(group, 5 * RP_SECOND, on_emptied, NULL), 0);
    stage_run_until(&self, &emptied_calls, 1);
    cr_assert_eq(emptied_count, 0);
    lifeline_await_end(&line);
    cr_assert_eq(rp_group_close(group), 0);
    actor_free(&child);
    stage_close(&self);
}

Test(windows, the_group_of_a_host_that_is_killed_dies_with_it)
{
    lifeline line = lifeline_open();
    wchar_t program[MAX_PATH];
    wchar_t text[2 * MAX_PATH];
    STARTUPINFOW startup = {.cb = sizeof startup};
    PROCESS_INFORMATION host;

    (void)GetModuleFileNameW(NULL, program, MAX_PATH);
    (void)swprintf(text, 2 * MAX_PATH, L"\"%ls\" --case windows_host/waits_with_a_tree", program);
    (void)swprintf(program, MAX_PATH, L"%d", line.write);
    cr_assert(SetEnvironmentVariableW(L"RP_TEST_HOST_LINE", program));
    cr_assert(CreateProcessW(NULL, text, NULL, NULL, TRUE, 0, NULL, NULL, &startup, &host));
    for (int i = 0; i < 6; i++) { // two, with two each
        lifeline_await_byte(&line);
    }
    cr_assert(TerminateProcess(host.hProcess, 1));
    lifeline_await_end(&line);
    (void)CloseHandle(host.hThread);
    (void)CloseHandle(host.hProcess);
}

/* The host of the test above. */
Test(windows_host, waits_with_a_tree)
{
    const char *number = getenv("RP_TEST_HOST_LINE");
    rp_fd fd = {.parent = 0, .child = 0};
    const char *argv[] = {RP_TEST_CHILD, "tree", "2", "2", number, "pause", NULL};
    rp_command command = stage_command(argv);
    rp_loop *loop = NULL;
    rp_group *group = NULL;

    if (number == NULL) {
        cr_skip_test("it is a part of another test");
    }
    fd.parent = strtol(number, NULL, 10);
    command.fds = &fd;
    command.fd_count = 1;
    cr_assert_eq(rp_loop_open(NULL, &loop), 0);
    cr_assert_eq(rp_group_open(loop, NULL, &group), 0);
    command.group = group;
    cr_assert_eq(rp_spawn(loop, &command, NULL, NULL, NULL), 0);
    (void)rp_loop_run(loop); // until it is killed
}

/* ---- processes that are not ours ----------------------------------------------------------------
 */

typedef struct seen {
    unsigned int count;
    uint32_t deepest;
    char command[512];
    char originator[64];
    int64_t parent;
    bool parent_alive;
} seen;

static bool see(const rp_process_info *info, void *user)
{
    seen *all = user;

    all->count++;
    all->deepest = info->depth > all->deepest ? info->depth : all->deepest;
    all->parent = info->parent_pid;
    all->parent_alive = info->parent_alive;
    (void)snprintf(all->command, sizeof all->command, "%s", info->command);
    (void)snprintf(all->originator, sizeof all->originator, "%s", info->originator);
    return true;
}

static void look_at_tree(actor *self, actor_event event, rp_stream stream)
{
    rp_identity id;
    seen found = {0};
    seen tree = {0};
    seen one = {0};

    (void)stream;
    if (event != ACTOR_GOT_DATA || self->context == NULL) {
        return;
    }
    for (int i = 0; i < 6; i++) {
        lifeline_await_byte(self->context);
    }
    self->context = NULL;
    cr_assert_eq(rp_process_identity(self->process, &id), 0);
    cr_assert_eq(rp_describe(&id, see, &one), 1);
    cr_assert(strstr(one.command, "tree") != NULL, "%s", one.command);
    cr_assert_eq(rp_tree_each(&id, see, &tree), 7);
    cr_assert_eq(tree.deepest, 2);
    cr_assert_eq(rp_find_by_originator("rp-test", see, &found), 7);
    cr_assert(strncmp(found.originator, "rp-test:", 8) == 0);
    cr_assert_eq(found.parent, (int64_t)GetCurrentProcessId());
    cr_assert(found.parent_alive);
    cr_assert_eq(rp_find_by_originator("rp-other", see, &found), 0);
    id.unique++;
    cr_assert_eq(rp_tree_each(&id, see, &tree), RP_ESRCH, "another process");
    id.unique--;
    cr_assert_eq(rp_tree_kill(&(rp_identity){.pid = id.pid}, 0), RP_EINVAL);
    cr_assert_eq(rp_tree_kill(&id, 10 * RP_SECOND), 0);
    cr_assert_eq(rp_tree_kill(&id, 0), 0, "it was gone before");
}

Test(windows, a_tree_is_found_by_its_originator_and_killed_by_its_root)
{
    lifeline line = lifeline_open();
    char number[16];
    rp_fd fd = {.parent = line.write, .child = 0};
    const char *argv[] = {RP_TEST_CHILD, "tree", "2", "2", number, "echo", "here", "pause", NULL};
    rp_command command = stage_command(argv);
    actor child = {.hook = look_at_tree, .context = &line};
    stage self;

    (void)snprintf(number, sizeof number, "%d", line.write);
    command.fds = &fd;
    command.fd_count = 1;
    command.originator = "rp-test";
    stage_open(&self, RP_BACKEND_IOCP, NULL);
    actor_play(&self, &child, &command, ACTOR_DATA);
    cr_assert_eq(child.exit.code, 128 + 9);
    lifeline_await_end(&line);
    actor_free(&child);
    self.before.descriptors -= 2; /* the line */
    stage_close(&self);
}

/* ---- interrupts, by a fake: Wine knows no CTRL_BREAK
 * ----------------------------------------------- */

static DWORD break_event;
static DWORD break_group;

static BOOL WINAPI take_break(DWORD event, DWORD group)
{
    break_event = event;
    break_group = group;
    return TRUE;
}

static BOOL WINAPI refuse_break(DWORD event, DWORD group)
{
    (void)event;
    (void)group;
    SetLastError(ERROR_INVALID_HANDLE);
    return FALSE;
}

static void interrupt_when_told(actor *self, actor_event event, rp_stream stream)
{
    (void)stream;
    if (event == ACTOR_GOT_DATA && self->context == NULL) {
        self->context = self;
        cr_assert_eq(rp_interrupt(self->process), 0);
        cr_assert_eq(break_group, (DWORD)rp_process_pid(self->process));
        cr_assert_eq(rp_kill(self->process), 0);
    }
}

Test(windows, an_interrupt_is_a_break_to_the_childs_group)
{
    rp_command command = stage_command(CHILD("echo", "here", "pause"));
    stage self;
    actor child = {.hook = interrupt_when_told};
    BOOL(WINAPI * real)(DWORD, DWORD) = rpi_os.GenerateConsoleCtrlEvent;

    stage_open(&self, RP_BACKEND_IOCP, NULL);
    rpi_os.GenerateConsoleCtrlEvent = take_break;
    actor_play(&self, &child, &command, ACTOR_DATA);
    rpi_os.GenerateConsoleCtrlEvent = real;
    cr_assert_eq(break_event, CTRL_BREAK_EVENT);
    cr_assert_eq(child.exit.interrupts, 1);
    actor_free(&child);
    stage_close(&self);
}

static void stop_when_told(actor *self, actor_event event, rp_stream stream)
{
    (void)stream;
    if (event == ACTOR_GOT_DATA && self->context == NULL) {
        self->context = self;
        (void)rp_stop(self->process, NULL);
    }
}

Test(windows, a_stop_does_not_wait_for_an_interrupt_that_cannot_be_sent)
{
    rp_command command = stage_command(CHILD("echo", "here", "pause"));
    rp_stop_options options = RP_INIT(rp_stop_options);
    stage self;
    actor child = {.hook = stop_when_told};

    stage_open(&self, RP_BACKEND_IOCP, NULL);
    options.grace_ns = 100 * RP_SECOND; // longer than this test may take
    command.stop = &options;
    rpi_os.GenerateConsoleCtrlEvent = refuse_break;
    actor_play(&self, &child, &command, ACTOR_DATA);
    rpi_os.GenerateConsoleCtrlEvent = GenerateConsoleCtrlEvent;
    cr_assert_eq(child.exit.code, 128 + 9);
    actor_free(&child);
    stage_close(&self);
}

/* ---- what fails half-way
 * ------------------------------------------------------------------------------- */

static BOOL WINAPI refuse_job(HANDLE job, HANDLE process)
{
    (void)job;
    (void)process;
    SetLastError(ERROR_ACCESS_DENIED);
    return FALSE;
}

Test(windows, a_child_that_cannot_be_put_into_its_job_never_runs)
{
    rp_command command = stage_command(CHILD("echo", "never"));
    stage self;
    actor child = {0};

    stage_open(&self, RP_BACKEND_IOCP, NULL);
    rpi_os.AssignProcessToJobObject = refuse_job;
    actor_play(&self, &child, &command, ACTOR_DATA);
    rpi_os.AssignProcessToJobObject = AssignProcessToJobObject;
    cr_assert_eq(child.exit.kind, RP_SPAWN_FAILED);
    cr_assert_eq(child.exit.error, RP_EACCES);
    cr_assert_str_eq(child.exit.phase, "job");
    cr_assert_str_eq(actor_data(&child, RP_STDOUT), "");
    actor_free(&child);
    stage_close(&self);
}

/* ---- many
 * ------------------------------------------------------------------------------------------------
 */

#define MANY 1000
#define MANY_BYTES 20000

typedef struct many {
    noise_sum sums[MANY];
    unsigned int done;
} many;

static void many_data(rp_process *process, rp_stream stream, rp_view bytes, void *user)
{
    noise_sum *sum = user;

    (void)process;
    (void)stream;
    noise_sum_add(sum, bytes.data, bytes.size);
}

static unsigned int many_done_count;

static void many_done(rp_process *process, const rp_exit *exit, void *user)
{
    (void)user;
    cr_assert_eq(exit->code, 0, "code %d, error %s in %s", exit->code, rp_error_name(exit->error),
                 exit->phase != NULL ? exit->phase : "no phase");
    many_done_count++;
    rp_process_close(process);
}

Test(windows, of_a_thousand_children_no_byte_is_lost, .timeout = 300)
{
    static many all;
    rp_loop_options options = RP_LOOP_OPTIONS_INIT;
    rp_handlers handlers = {.data = many_data, .done = many_done};
    stage self;

    options.process_max = 64;
    stage_open(&self, RP_BACKEND_IOCP, &options);
    for (int i = 0; i < MANY; i++) {
        char size[16];
        char seed[16];
        const char *argv[] = {RP_TEST_CHILD, "flood", "1", size, seed, NULL};
        rp_command command = stage_command(argv);
        rp_process *process = NULL;

        (void)snprintf(size, sizeof size, "%d", MANY_BYTES);
        (void)snprintf(seed, sizeof seed, "%d", i);
        cr_assert_eq(rp_spawn(self.loop, &command, &handlers, &all.sums[i], &process), 0);
    }
    stage_run(&self);
    cr_assert_eq(many_done_count, MANY);
    for (int i = 0; i < MANY; i++) {
        const noise_sum expected = noise_sum_of((uint64_t)i, MANY_BYTES);

        cr_assert_eq(all.sums[i].size, expected.size, "child %d", i);
        cr_assert_eq(all.sums[i].value, expected.value, "child %d", i);
    }
    stage_close(&self);
}
