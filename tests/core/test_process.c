/* Tests a child's life through the public functions: the order of callbacks, what it is born with,
 * and what is told of its end. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/check.h"
#include "tests/support/noise.h"
#include "tests/support/stage.h"

/* ---- order ------------------------------------------------------------------------- */

BACKEND_TEST(process, tells_its_life_in_order)
{
    rp_command command =
        stage_command(CHILD("write", "1", "a\\n\\nb", "write", "2", "c\\n", "exit", "7"));
    actor child = {0};
    stage on;

    stage_open(&on, *backend, NULL);
    actor_play(&on, &child, &command, ACTOR_DATA | ACTOR_LINES);
    stage_run(&on);
    actor_check_code(&child, 7);
    cr_assert_eq(child.exit.kind, RP_EXITED);
    cr_assert(child.exit.abnormal);
    cr_assert_str_eq(actor_data(&child, RP_STDOUT), "a\n\nb");
    cr_assert_str_eq(actor_lines(&child, RP_STDOUT), "[a][][b$");
    cr_assert_str_eq(actor_lines(&child, RP_STDERR), "[c]");
    cr_assert_eq(child.eos[0], 1);
    cr_assert_eq(child.eos[1], 1);
    cr_assert_eq(child.counts[ACTOR_EXITED], 1);
    actor_free(&child);
    stage_close(&on);
}

/* Data of a read comes before its lines: what the lines have told, the data had told before. */
static void check_data_first(actor *self, actor_event event, rp_stream stream)
{
    if (event == ACTOR_GOT_LINE) {
        size_t lines = self->lines[stream - 1].size / 3; // "[x]"

        cr_assert_geq(self->data[stream - 1].size, 2 * lines - 1);
    }
    if (event == ACTOR_EOS) {
        cr_assert_str_eq(actor_lines(self, stream), "[x][y][z$");
        cr_assert_str_eq(actor_data(self, stream), "x\ny\nz");
    }
}

BACKEND_TEST(process, gives_data_before_lines_and_all_before_the_end_of_a_stream)
{
    rp_command command = stage_command(CHILD("write", "1", "x\\ny\\nz", "write", "2", "x\\ny\\nz"));
    actor child = {.hook = check_data_first};
    stage on;

    stage_open(&on, *backend, NULL);
    actor_play(&on, &child, &command, ACTOR_DATA | ACTOR_LINES);
    actor_check_code(&child, 0);
    actor_free(&child);
    stage_close(&on);
}

BACKEND_TEST(process, calls_nothing_back_out_of_the_call_that_starts_it)
{
    rp_command command = stage_command(CHILD("echo", "a"));
    actor child = {0};
    stage on;

    stage_open(&on, *backend, NULL);
    actor_spawn(&on, &child, &command, ACTOR_LINES);
    cr_assert_eq(child.counts[ACTOR_STARTED], 0);
    cr_assert(rp_process_is_running(child.process));
    cr_assert_null(rp_process_exit(child.process));
    cr_assert_eq(rp_process_pid(child.process), 0);
    cr_assert_lt(rp_process_handle(child.process), 0);
    cr_assert_eq(rp_loop_processes(on.loop, NULL, NULL), 1);
    stage_run(&on);
    cr_assert_eq(child.counts[ACTOR_DONE], 1);
    cr_assert_eq(rp_loop_processes(on.loop, NULL, NULL), 0);
    actor_free(&child);
    stage_close(&on);
}

/* ---- ends ------------------------------------------------------------------------------ */

typedef struct ending {
    const char *const *argv;
    rp_exit_kind kind;
    int code;
    int signal;
    bool abnormal, interrupted, possible_oom;
} ending;

BACKEND_TEST(process, tells_how_it_ended)
{
    const ending endings[] = {
        {CHILD("exit", "0"), RP_EXITED, 0, 0, false, false, false},
        {CHILD("exit", "255"), RP_EXITED, 255, 0, true, false, false},
        {CHILD("exit", "130"), RP_EXITED, 130, 0, false, true, false},
        {CHILD("kill", "2"), RP_SIGNALED, -2, SIGINT, false, true, false},
        {CHILD("kill", "9"), RP_SIGNALED, -9, SIGKILL, true, false, true},
        {CHILD("kill", "15"), RP_SIGNALED, -15, SIGTERM, true, false, false},
        {CHILD("abort"), RP_SIGNALED, -6, SIGABRT, true, false, false},
        {CHILD("kill", "64"), RP_SIGNALED, -64, 64, true, false, false},
    };
    stage on;

    stage_open(&on, *backend, NULL);
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        rp_command command = stage_command(endings[i].argv);
        actor child = {0};

        actor_play(&on, &child, &command, 0);
        actor_check_code(&child, endings[i].code);
        cr_assert_eq(child.exit.kind, endings[i].kind);
        cr_assert_eq(child.exit.signal, endings[i].signal);
        cr_assert_eq(child.exit.abnormal, endings[i].abnormal, "ending %zu", i);
        cr_assert_eq(child.exit.interrupted, endings[i].interrupted, "ending %zu", i);
        cr_assert_eq(child.exit.possible_oom, endings[i].possible_oom, "ending %zu", i);
        cr_assert_eq(child.exit.error, 0);
        actor_free(&child);
    }
    stage_close(&on);
}

BACKEND_TEST(process, measures_what_it_cost)
{
    rp_command command =
        stage_command(CHILD("read", "5", "write", "1", "123", "write", "2", "4567", "burn", "60"));
    actor child = {0};
    stage on;
    const rp_exit *exit = &child.exit;

    command.input = (rp_view){"hello", 5};
    stage_open(&on, *backend, NULL);
    actor_play(&on, &child, &command, ACTOR_DATA);
    actor_check_code(&child, 0);
    cr_assert_geq(exit->user_ns + exit->system_ns, 40 * RP_MILLISECOND);
    cr_assert_gt(exit->max_rss_bytes, 100u * 1024);
    cr_assert_gt(exit->minor_faults, 0);
    cr_assert_eq(exit->in_bytes, 5);
    cr_assert_eq(exit->out_bytes, 3);
    cr_assert_eq(exit->err_bytes, 4);
    cr_assert_gt(exit->queued_ns, 0);
    cr_assert_geq(exit->launched_ns, exit->queued_ns);
    cr_assert_geq(exit->started_ns, exit->launched_ns);
    cr_assert_geq(exit->first_output_ns, exit->launched_ns);
    cr_assert_geq(exit->exited_ns, exit->started_ns);
    cr_assert_geq(exit->done_ns, exit->exited_ns);
    cr_assert_leq(exit->done_ns, rp_now_ns());
    actor_free(&child);
    stage_close(&on);
}

BACKEND_TEST(process, of_a_failed_launch_tells_done_alone)
{
    static const char *const missing[] = {"/nowhere/at-all", NULL};
    static const char *const folder[] = {"/usr", NULL};
    static const char *const unknown[] = {"rp-no-such-program", NULL};
    const char *const *const argvs[] = {missing, folder, unknown};
    static const int errors[] = {RP_ENOENT, RP_EACCES, RP_ENOENT};
    static const int codes[] = {127, 126, 127};
    stage on;

    stage_open(&on, *backend, NULL);
    for (size_t i = 0; i < sizeof argvs / sizeof *argvs; i++) {
        rp_command command = stage_command(argvs[i]);
        actor child = {.stays = true};

        command.input = (rp_view){"unread", 6};
        actor_play(&on, &child, &command, ACTOR_DATA | ACTOR_LINES);
        actor_check_code(&child, codes[i]);
        cr_assert_eq(child.exit.kind, RP_SPAWN_FAILED);
        cr_assert_eq(child.exit.error, errors[i]);
        cr_assert_eq(child.exit.system_error, -errors[i]);
        cr_assert_str_eq(child.exit.phase, "exec");
        cr_assert_eq(child.exit.started_ns, 0);
        cr_assert_eq(child.eos[0] + child.eos[1] + child.counts[ACTOR_EXITED], 0);
        cr_assert_eq(rp_process_pid(child.process), 0);
        cr_assert_lt(rp_process_handle(child.process), 0);
        actor_close(&child);
        actor_free(&child);
    }
    stage_close(&on);
}

/* ---- standard streams ---------------------------------------------------------------- */

typedef struct scratch {
    char folder[64];
    char path[128];
} scratch;

static scratch scratch_make(void)
{
    scratch made = {.folder = "/tmp/rp-test-XXXXXX"};

    cr_assert_not_null(mkdtemp(made.folder));
    (void)snprintf(made.path, sizeof made.path, "%s/file", made.folder);
    return made;
}

static void scratch_write(const scratch *self, const char *text)
{
    FILE *file = fopen(self->path, "w");

    cr_assert_not_null(file);
    cr_assert_geq(fputs(text, file), 0);
    cr_assert_eq(fclose(file), 0);
}

static void scratch_check(const scratch *self, const char *expected)
{
    char text[256] = "";
    FILE *file = fopen(self->path, "r");

    cr_assert_not_null(file);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    (void)fclose(file);
    cr_assert_str_eq(text, expected);
}

static void scratch_remove(const scratch *self)
{
    (void)unlink(self->path);
    cr_assert_eq(rmdir(self->folder), 0);
}

static void play_quietly(stage *on, const rp_command *command, actor *self)
{
    actor_play(on, self, command, ACTOR_DATA | ACTOR_LINES);
    actor_check_code(self, 0);
}

BACKEND_TEST(process, writes_and_appends_to_files_and_reads_from_them)
{
    scratch file = scratch_make();
    rp_command command = stage_command(CHILD("echo", "one"));
    actor child = {0};
    stage on;

    stage_open(&on, *backend, NULL);
    scratch_write(&file, "older and longer");
    command.out = (rp_stdio){.kind = RP_STDIO_FILE, .path = file.path};
    play_quietly(&on, &command, &child);
    cr_assert_eq(child.eos[0], 0, "a stream that is no pipe has no end to tell");
    cr_assert_eq(child.eos[1], 1);
    scratch_check(&file, "one\n");
    actor_free(&child);

    command.argv = CHILD("write", "2", "two");
    command.out = (rp_stdio){.kind = RP_STDIO_NULL};
    command.err = (rp_stdio){.kind = RP_STDIO_FILE, .path = file.path, .append = true};
    play_quietly(&on, &command, &child);
    scratch_check(&file, "one\ntwo");
    actor_free(&child);

    command = stage_command(CHILD("cat"));
    command.in = (rp_stdio){.kind = RP_STDIO_FILE, .path = file.path};
    play_quietly(&on, &command, &child);
    cr_assert_str_eq(actor_data(&child, RP_STDOUT), "one\ntwo");
    actor_free(&child);
    stage_close(&on);
    scratch_remove(&file);
}

BACKEND_TEST(process, of_a_file_that_cannot_be_opened_says_so)
{
    rp_command command = stage_command(CHILD("echo", "one"));
    actor child = {0};
    stage on;

    command.out = (rp_stdio){.kind = RP_STDIO_FILE, .path = "/nowhere/at-all"};
    stage_open(&on, *backend, NULL);
    actor_play(&on, &child, &command, ACTOR_LINES);
    actor_check_code(&child, 126);
    cr_assert_eq(child.exit.error, RP_ENOENT);
    cr_assert_str_eq(child.exit.phase, "open");
    actor_free(&child);
    stage_close(&on);
}

BACKEND_TEST(process, takes_descriptors_of_the_callers_which_may_be_closed_at_once)
{
    lifeline to = lifeline_open();
    lifeline from = lifeline_open();
    rp_command command = stage_command(CHILD("cat"));
    actor child = {0};
    char text[8] = "";
    stage on;

    stage_open(&on, *backend, NULL);
    on.before = stage_count();
    command.in = (rp_stdio){.kind = RP_STDIO_FD, .fd = to.read};
    command.out = (rp_stdio){.kind = RP_STDIO_FD, .fd = from.write};
    command.err = (rp_stdio){.kind = RP_STDIO_NULL};
    actor_spawn(&on, &child, &command, ACTOR_DATA);
    lifeline_close_read(&to);
    lifeline_close_write(&from);
    cr_assert_eq(write(to.write, "abc", 3), 3);
    lifeline_close_write(&to);
    stage_run_until(&on, &child.counts[ACTOR_DONE], 1);
    actor_check_code(&child, 0);
    cr_assert_eq(child.eos[0] + child.eos[1], 0);
    cr_assert_eq(read(from.read, text, sizeof text), 3);
    cr_assert_str_eq(text, "abc");
    cr_assert_eq(read(from.read, text, sizeof text), 0);
    lifeline_close_read(&from);
    actor_free(&child);
    cr_assert_eq(rp_loop_close(on.loop), 0);
    cr_assert_eq(on.memory.live_blocks, 0);
}

BACKEND_TEST(process, inherits_the_callers_streams)
{
    scratch file = scratch_make();
    int saved = dup(1);
    int target = open(file.path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    rp_command command = stage_command(CHILD("echo", "seen"));
    actor child = {0};
    stage on;

    stage_open(&on, *backend, NULL);
    cr_assert_eq(dup2(target, 1), 1);
    command.out = (rp_stdio){.kind = RP_STDIO_INHERIT};
    play_quietly(&on, &command, &child);
    cr_assert_eq(dup2(saved, 1), 1);
    stage_close(&on);
    (void)close(saved);
    (void)close(target);
    scratch_check(&file, "seen\n");
    scratch_remove(&file);
    actor_free(&child);
}

BACKEND_TEST(process, merges_both_streams_in_the_order_they_were_written)
{
    enum {
        COUNT = 5000
    };
    rp_command command = stage_command(CHILD("order", "5000"));
    char expected[16];
    const char *at;
    actor child = {0};
    stage on;

    command.err = (rp_stdio){.kind = RP_STDIO_MERGE};
    stage_open(&on, *backend, NULL);
    play_quietly(&on, &command, &child);
    at = actor_data(&child, RP_STDOUT);
    for (int i = 0; i < COUNT; i++) {
        int size = snprintf(expected, sizeof expected, "%d\n", i);

        cr_assert_eq(strncmp(at, expected, (size_t)size), 0, "number %d", i);
        at += size;
    }
    cr_assert_eq(*at, '\0');
    cr_assert_eq(child.data[1].size, 0);
    cr_assert_eq(child.eos[1], 0);
    actor_free(&child);
    stage_close(&on);
}

BACKEND_TEST(process, without_a_stdin_reads_its_end_at_once)
{
    rp_command command = stage_command(CHILD("digest"));
    actor child = {0};
    stage on;

    stage_open(&on, *backend, NULL);
    play_quietly(&on, &command, &child);
    cr_assert_str_eq(actor_data(&child, RP_STDOUT), "0 0\n");
    actor_free(&child);
    stage_close(&on);
}

/* ---- what it is born with ------------------------------------------------------------- */

static void check_output(rp_backend backend, rp_command *command, const char *expected)
{
    actor child = {0};
    stage on;

    stage_open(&on, backend, NULL);
    play_quietly(&on, command, &child);
    cr_assert_str_eq(actor_data(&child, RP_STDOUT), expected);
    actor_free(&child);
    stage_close(&on);
}

BACKEND_TEST(process, has_exactly_the_descriptors_it_was_given)
{
    rp_command command = stage_command(CHILD("fds"));
    rp_fd fds[2] = {{.child = 9}, {.child = 5}};
    int leaked = open("/dev/null", O_RDONLY); // without O_CLOEXEC, as careless hosts do

    fds[0].parent = leaked;
    fds[1].parent = leaked;
    command.fds = fds;
    command.fd_count = 2;
    check_output(*backend, &command, "0 1 2 5 9 \n");
    (void)close(leaked);
}

BACKEND_TEST(process, has_the_environment_it_was_given)
{
    static const char *const changes[] = {"RP_A=1", "RP_GONE", "RP_A=2", NULL};
    rp_command command =
        stage_command(CHILD("env", "RP_A", "env", "RP_GONE", "env", "RP_KEPT", "env", "HOME"));

    cr_assert_eq(setenv("RP_GONE", "x", 1), 0);
    cr_assert_eq(setenv("RP_KEPT", "y", 1), 0);
    cr_assert_eq(setenv("HOME", "/z", 1), 0);
    command.env = changes;
    check_output(*backend, &command, "2\n(unset)\ny\n/z\n");
    command.env_clear = true;
    check_output(*backend, &command, "2\n(unset)\n(unset)\n(unset)\n");
}

BACKEND_TEST(process, has_the_directory_the_arguments_and_the_priority_it_was_given)
{
    rp_command command = stage_command(CHILD("cwd", "nice", "argv0"));
    const char *const argv[] = {"another name", "argv0", "arguments", "a b", "", "c", NULL};

    command.cwd = "/usr";
    command.nice = RP_PRIORITY_LOW;
    check_output(*backend, &command, "/usr\n5\n" RP_TEST_CHILD "\n");
    command = stage_command(argv);
    command.program = RP_TEST_CHILD;
    check_output(*backend, &command, "another name\na b\n\nc\n");
    command = (rp_command)RP_COMMAND_INIT;
    command.shell = "echo \"$((6 * 7))\"; exit 0";
    check_output(*backend, &command, "42\n");
    command.shell = "";
    check_output(*backend, &command, "");
}

BACKEND_TEST(process, has_its_signals_at_their_defaults)
{
    struct sigaction ignored = {.sa_handler = SIG_IGN};
    struct sigaction before;
    rp_command command = stage_command(CHILD("signals"));
    unsigned long long blocked;
    unsigned long long left_ignored;
    actor child = {0};
    sigset_t set;
    stage on;

    cr_assert_eq(sigaction(SIGPIPE, &ignored, &before), 0);
    cr_assert_eq(sigaction(SIGUSR2, &ignored, NULL), 0);
    cr_assert_eq(sigemptyset(&set), 0);
    cr_assert_eq(sigaddset(&set, SIGUSR1), 0);
    cr_assert_eq(sigaddset(&set, SIGTERM), 0);
    cr_assert_eq(pthread_sigmask(SIG_BLOCK, &set, NULL), 0);
    stage_open(&on, *backend, NULL);
    play_quietly(&on, &command, &child);
    cr_assert_eq(sscanf(actor_data(&child, RP_STDOUT), "SigBlk %llx\nSigIgn %llx\n", &blocked,
                        &left_ignored),
                 2);
    cr_assert_eq(blocked, 0);
    cr_assert_eq(left_ignored, 0);
    actor_free(&child);
    stage_close(&on);
    cr_assert_eq(sigaction(SIGPIPE, NULL, &before), 0);
    cr_assert_eq(before.sa_handler, SIG_IGN, "the host's own settings stay");
}

typedef struct ids {
    int pid, parent, group, session;
} ids;

static ids ask_ids(rp_backend backend, rp_command *command)
{
    actor child = {.stays = true};
    ids found = {0};
    stage on;

    stage_open(&on, backend, NULL);
    play_quietly(&on, command, &child);
    cr_assert_eq(sscanf(actor_data(&child, RP_STDOUT), "pid %d\nparent %d\ngroup %d\nsession %d\n",
                        &found.pid, &found.parent, &found.group, &found.session),
                 4);
    cr_assert_eq(found.pid, rp_process_pid(child.process));
    cr_assert_eq(found.parent, getpid());
    actor_close(&child);
    actor_free(&child);
    stage_close(&on);
    return found;
}

BACKEND_TEST(process, leads_a_group_a_session_or_stays_in_the_callers)
{
    rp_posix posix = {.size = sizeof posix, .new_session = true};
    rp_command command = stage_command(CHILD("ids"));
    ids found = ask_ids(*backend, &command);

    cr_assert_eq(found.group, found.pid);
    cr_assert_eq(found.session, getsid(0));
    command.posix = &posix;
    found = ask_ids(*backend, &command);
    cr_assert_eq(found.group, found.pid);
    cr_assert_eq(found.session, found.pid);
    command.posix = NULL;
    command.transport = RP_CONSOLE_SHARED;
    command.out.kind = RP_STDIO_PIPE;
    found = ask_ids(*backend, &command);
    cr_assert_eq(found.group, getpgrp());
}

/* ---- asking ---------------------------------------------------------------------------- */

BACKEND_TEST(process, has_an_identity_while_it_runs)
{
    rp_command command = stage_command(CHILD("wait", "0"));
    rp_identity id;
    rp_identity same;
    actor child = {.stays = true};
    stage on;

    command.in.kind = RP_STDIO_PIPE;
    stage_open(&on, *backend, NULL);
    actor_spawn(&on, &child, &command, 0);
    cr_assert_eq(rp_process_identity(child.process, &id), RP_EAGAIN);
    cr_assert_eq(rp_signal(child.process, 0, RP_SCOPE_TREE), RP_EAGAIN);
    stage_run_until(&on, &child.counts[ACTOR_STARTED], 1);
    cr_assert_eq(rp_process_identity(child.process, &id), 0);
    cr_assert_eq(id.pid, rp_process_pid(child.process));
    cr_assert_gt(id.start_time_ms, UINT64_C(1000000000000));
    cr_assert_eq(rp_identify(id.pid, &same), 0);
    cr_assert_eq(same.unique, id.unique);
    cr_assert_eq(rp_signal(child.process, 0, RP_SCOPE_LEADER), 0);
    cr_assert_eq(rp_close_stdin(child.process), 0);
    stage_run_until(&on, &child.counts[ACTOR_DONE], 1);
    cr_assert_eq(rp_process_identity(child.process, &id), RP_ESRCH);
    cr_assert_eq(rp_identify(id.pid, &same), RP_ESRCH);
    cr_assert_eq(rp_identify(0, &same), RP_EINVAL);
    cr_assert_eq(rp_signal(child.process, 0, RP_SCOPE_TREE), RP_ESRCH);
    cr_assert_eq(rp_signal(child.process, 0, RP_SCOPE_LEADER), RP_ESRCH);
    actor_close(&child);
    actor_free(&child);
    stage_close(&on);
}

static unsigned int other_calls;

static void on_other_done(rp_process *process, const rp_exit *exit, void *user)
{
    cr_assert_eq(exit->code, 0);
    cr_assert_eq(user, (void *)&other_calls);
    other_calls++;
    rp_process_close(process);
}

static void set_other_user(rp_process *process, void *user)
{
    (void)user;
    rp_process_set_user(process, &other_calls);
}

BACKEND_TEST(process, gives_the_next_callback_another_user)
{
    static const rp_handlers handlers = {.started = set_other_user, .done = on_other_done};
    rp_command command = stage_command(CHILD("exit", "0"));
    rp_process *process;
    stage on;

    stage_open(&on, *backend, NULL);
    cr_assert_eq(rp_spawn(on.loop, &command, &handlers, NULL, &process), 0);
    stage_run(&on);
    cr_assert_eq(other_calls, 1);
    stage_close(&on);
}

/* ---- hosts that are in the way ------------------------------------------------------------ */

BACKEND_TEST(process, of_a_host_that_ignores_its_children_tells_the_true_status)
{
    struct sigaction ignored = {.sa_handler = SIG_IGN};
    struct sigaction before;
    stage on;

    stage_open(&on, *backend, NULL);
    cr_assert_eq(sigaction(SIGCHLD, &ignored, &before), 0);
    for (int i = 0; i < 50; i++) {
        rp_command command = stage_command(CHILD("echo", "x", "exit", "42"));
        actor child = {0};

        actor_play(&on, &child, &command, ACTOR_LINES);
        cr_assert(child.exit.kind == RP_LOST ? child.exit.code == RP_ELOST : child.exit.code == 42);
        cr_assert_str_eq(actor_lines(&child, RP_STDOUT), "[x]");
        actor_free(&child);
    }
    cr_assert_eq(sigaction(SIGCHLD, &before, NULL), 0);
    stage_close(&on);
}

static void *steal(void *argument)
{
    bool *stop = argument;

    while (!__atomic_load_n(stop, __ATOMIC_ACQUIRE)) {
        if (waitpid(-1, NULL, 0) < 0) { // blocks while there is a child
            (void)sched_yield();
        }
    }
    return NULL;
}

BACKEND_TEST(process, of_a_host_that_waits_for_everything_still_ends)
{
    bool stop = false;
    pthread_t thief;
    stage on;

    stage_open(&on, *backend, NULL);
    cr_assert_eq(pthread_create(&thief, NULL, steal, &stop), 0);
    for (int i = 0; i < 200; i++) {
        rp_command command = stage_command(CHILD("echo", "x", "exit", "42"));
        actor child = {0};

        actor_play(&on, &child, &command, ACTOR_LINES);
        cr_assert(child.exit.kind == RP_LOST ? child.exit.code == RP_ELOST : child.exit.code == 42);
        cr_assert_str_eq(actor_lines(&child, RP_STDOUT), "[x]");
        actor_free(&child);
    }
    __atomic_store_n(&stop, true, __ATOMIC_RELEASE);
    cr_assert_eq(pthread_join(thief, NULL), 0);
    stage_close(&on);
}

/* ---- many ------------------------------------------------------------------------------------ */

enum {
    MANY = 150
};

static void check_sum(const actor_text *text, uint64_t seed, size_t size)
{
    noise_sum expected = noise_sum_of(seed, size);
    noise_sum sum = {0, 0};

    cr_assert_eq(text->size, size);
    noise_sum_add(&sum, text->bytes, text->size);
    cr_assert_eq(sum.value, expected.value);
}

BACKEND_TEST(process, many_at_once_lose_no_byte)
{
    static char sizes[MANY][16], seeds[MANY][16], codes[MANY][16];
    static actor children[MANY];
    stage on;

    stage_open(&on, *backend, NULL);
    for (unsigned int i = 0; i < MANY; i++) {
        rp_command command;

        (void)snprintf(sizes[i], sizeof sizes[i], "%u", 1 + i * 997);
        (void)snprintf(seeds[i], sizeof seeds[i], "%u", 3 * i);
        (void)snprintf(codes[i], sizeof codes[i], "%u", i % 200);
        command = stage_command(CHILD("flood-both", sizes[i], seeds[i], "exit", codes[i]));
        actor_spawn(&on, &children[i], &command, ACTOR_DATA);
    }
    stage_run(&on);
    for (unsigned int i = 0; i < MANY; i++) {
        actor_check_code(&children[i], (int)(i % 200));
        check_sum(&children[i].data[0], 3 * i, 1 + i * 997);
        check_sum(&children[i].data[1], 3 * i + 1, 1 + i * 997);
        actor_free(&children[i]);
    }
    cr_assert_eq(stage_stats(&on).spawned, MANY);
    cr_assert_eq(stage_stats(&on).exited, MANY);
    cr_assert_eq(stage_stats(&on).live, 0);
    cr_assert_eq(stage_stats(&on).descriptors, 0);
    cr_assert_eq(stage_stats(&on).memory_bytes, 0);
    stage_close(&on);
}
