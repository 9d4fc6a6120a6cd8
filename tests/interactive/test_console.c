/* Consoles: who has the caller's terminal and its Ctrl-C, by transport; and the foreground child:
 * handed over before its program runs, taken back and restored at its end, when it is stopped, when
 * it is closed, when its launch fails, and when the caller dies. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "base/console.h"
#include "rp/rp.h"
#include "tests/support/caller.h"
#include "tests/support/check.h"
#include "tests/support/fault.h"

#define CHILD(...) ((const char *const[]){RP_TEST_CHILD, __VA_ARGS__, NULL})

/* What a scenario is played with. */
typedef struct setting {
    rp_backend backend;
    const char *method; /* RP_SPAWN */
    rp_transport transport;
    uint32_t threads;
} setting;

static const setting settings[] = {
    {RP_BACKEND_EPOLL, "clone3", RP_CONSOLE_FOREGROUND, RP_SPAWN_INLINE},
    {RP_BACKEND_EPOLL, "clone", RP_CONSOLE_FOREGROUND, 0},
    {RP_BACKEND_EPOLL, "posix_spawn", RP_CONSOLE_FOREGROUND, 0},
    {RP_BACKEND_EPOLL, "fork", RP_CONSOLE_FOREGROUND, RP_SPAWN_INLINE},
    {RP_BACKEND_URING, "clone3", RP_CONSOLE_FOREGROUND, 0},
    {RP_BACKEND_KQUEUE, "clone3", RP_CONSOLE_FOREGROUND, 0},
};

/* In the caller: a loop, one child, and what came of it. */
typedef struct scene {
    rp_loop *loop;
    rp_process *process;
    rp_exit exit;
    unsigned int started, stopped, done;
    int stop_signal;
    bool continues; /* in stopped, at once */
} scene;

static void on_started(rp_process *process, void *user)
{
    scene *self = user;

    (void)process;
    self->started++;
}

static void on_stopped(rp_process *process, int signal, void *user)
{
    scene *self = user;

    self->stopped++;
    self->stop_signal = signal;
    CHECK(tcgetpgrp(0) == getpgrp());
    if (self->continues) {
        CHECK(rp_signal(process, SIGCONT, RP_SCOPE_TREE) == 0);
        CHECK(tcgetpgrp(0) == (pid_t)rp_process_pid(process));
    }
}

static void on_done(rp_process *process, const rp_exit *exit, void *user)
{
    scene *self = user;

    (void)process;
    self->done++;
    self->exit = *exit;
    CHECK(tcgetpgrp(0) == getpgrp());
}

static const rp_handlers scene_handlers = {
    .started = on_started, .stopped = on_stopped, .done = on_done};

static void open_scene(scene *self, const setting *with)
{
    rp_loop_options options = RP_LOOP_OPTIONS_INIT;

    *self = (scene){0};
    if (with->method != NULL) {
        CHECK(setenv("RP_SPAWN", with->method, 1) == 0);
    }
    options.backend = with->backend;
    options.spawn_threads = with->threads;
    CHECK(rp_loop_open(&options, &self->loop) == 0);
}

static int try_spawn(scene *self, const setting *with, const char *const *argv)
{
    rp_command command = RP_COMMAND_INIT;

    command.argv = argv;
    command.transport = with->transport;
    if (with->transport == RP_CONSOLE_ISOLATED) {
        command.in.kind = RP_STDIO_INHERIT;
    }
    return rp_spawn(self->loop, &command, &scene_handlers, self, &self->process);
}

static void spawn(scene *self, const setting *with, const char *const *argv)
{
    CHECK(try_spawn(self, with, argv) == 0);
}

static void close_scene(scene *self)
{
    rp_process_close(self->process);
    CHECK(rp_loop_close(self->loop) == 0);
    CHECK(tcgetpgrp(0) == getpgrp());
}

static void check_code(const scene *self, int code)
{
    CHECK(self->done == 1);
    CHECK(self->exit.kind == RP_EXITED);
    CHECK(self->exit.code == code);
}

/* Their places, as a parameter of Criterion's must not hold pointers. */
ParameterizedTestParameters(console, foreground_is_handed_over_and_taken_back)
{
    static size_t places[sizeof settings / sizeof settings[0]];
    size_t count = 0;

    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++) {
        if (settings[i].backend == RP_BACKEND_EPOLL ||
            rp_has(settings[i].backend == RP_BACKEND_URING ? "uring" : "kqueue")) {
            places[count++] = i;
        }
    }
    return cr_make_param_array(size_t, places, count);
}

/* ---- the foreground child ---------------------------------------------------------- */

static void play_reader(void *argument)
{
    scene self;

    open_scene(&self, argument);
    spawn(&self, argument, CHILD("console", "tty-line", "raw", "console", "exit", "7"));
    CHECK(rp_loop_run(self.loop) == 0);
    check_code(&self, 7);
    close_scene(&self);
}

ParameterizedTest(size_t *place, console, foreground_is_handed_over_and_taken_back, .timeout = 120)
{
    setting with = settings[*place];
    caller at;

    caller_start(&at, CALLER_FOREGROUND, play_reader, &with);
    caller_expect(&at, "tty foreground echo 24 80");
    cr_assert_neq(caller_foreground(&at), at.pid);
    caller_type(&at, "typed\n");
    caller_expect(&at, "[typed]");
    caller_expect(&at, "tty foreground silent 24 80");
    caller_end(&at);
}

static setting foreground = {RP_BACKEND_AUTO, NULL, RP_CONSOLE_FOREGROUND, RP_SPAWN_INLINE};

static void play_interrupted(void *argument)
{
    scene self;

    open_scene(&self, argument);
    spawn(&self, argument, CHILD("echo", "ready", "pause"));
    CHECK(rp_loop_run(self.loop) == 0);
    CHECK(self.exit.kind == RP_SIGNALED && self.exit.signal == SIGINT);
    CHECK(self.exit.reason == RP_STOP_NONE);
    close_scene(&self);
}

Test(console, foreground_gets_ctrl_c_alone, .timeout = 120)
{
    caller at;

    caller_start(&at, CALLER_FOREGROUND, play_interrupted, &foreground);
    caller_expect(&at, "ready");
    caller_type(&at, "\x03");
    caller_end(&at);
}

static void play_stopped(void *argument)
{
    scene self;

    open_scene(&self, argument);
    self.continues = true;
    spawn(&self, argument, CHILD("tty-line", "console", "tty-line", "console", "exit", "3"));
    CHECK(rp_loop_run(self.loop) == 0);
    CHECK(self.stopped == 1 && self.stop_signal == SIGTSTP);
    check_code(&self, 3);
    close_scene(&self);
}

Test(console, foreground_that_is_stopped_gives_the_terminal_and_gets_it_again, .timeout = 120)
{
    caller at;

    caller_start(&at, CALLER_FOREGROUND, play_stopped, &foreground);
    caller_type(&at, "one\n");
    caller_expect(&at, "[one]");
    caller_expect(&at, "tty foreground");
    caller_type(&at, "\x1a");
    caller_expect(&at, "^Z");
    caller_type(&at, "two\n");
    caller_expect(&at, "[two]");
    caller_expect(&at, "tty foreground");
    caller_end(&at);
}

static void play_stopped_raw(void *argument)
{
    scene self;
    struct termios modes;

    open_scene(&self, argument);
    spawn(&self, argument, CHILD("raw", "kill", "19", "console", "exit", "4"));
    while (self.stopped == 0) {
        CHECK(rp_loop_run_once(self.loop, RP_FOREVER) >= 0);
    }
    CHECK(self.stop_signal == SIGSTOP);
    CHECK(tcgetattr(0, &modes) == 0 && (modes.c_lflag & ECHO) != 0); // the caller's again
    /* Somebody else lets it go on: it gets the terminal, and its own modes with it. */
    CHECK(kill((pid_t)rp_process_pid(self.process), SIGCONT) == 0);
    CHECK(rp_loop_run(self.loop) == 0);
    check_code(&self, 4);
    close_scene(&self);
}

Test(console, foreground_that_others_continue_gets_the_terminal_again, .timeout = 120)
{
    caller at;

    caller_start(&at, CALLER_FOREGROUND, play_stopped_raw, &foreground);
    caller_end(&at);
}

static void play_shell_job(void *argument)
{
    scene self;
    static const char *const argv[] = {
        "/bin/bash", "--norc", "-c",
        "set -m; " RP_TEST_CHILD " raw console wait 0 & fg >/dev/null; echo never", NULL};

    open_scene(&self, argument);
    spawn(&self, argument, argv);
    while (self.started == 0) {
        CHECK(rp_loop_run_once(self.loop, RP_FOREVER) >= 0);
    }
    caller_say("started");
    while (tcgetpgrp(0) == (pid_t)rp_process_pid(self.process)) {
        CHECK(rp_loop_run_once(self.loop, RP_MILLISECOND) >= 0);
    }
    CHECK(tcgetpgrp(0) != getpgrp());
    CHECK(rp_kill(self.process) == 0); // the shell, not the job that has the terminal
    CHECK(rp_loop_run(self.loop) == 0);
    CHECK(self.exit.kind == RP_SIGNALED && self.exit.signal == SIGKILL);
    close_scene(&self);
}

Test(console, foreground_whose_job_has_the_terminal_gives_it_back_all_the_same, .timeout = 120)
{
    caller at;

    if (access("/bin/bash", X_OK) < 0) {
        cr_skip_test("bash is not installed");
    }
    caller_start(&at, CALLER_FOREGROUND, play_shell_job, &foreground);
    caller_end(&at);
}

static void play_missing(void *argument)
{
    static const char *const argv[] = {"/nonexistent/program", NULL};
    scene self;

    open_scene(&self, argument);
    spawn(&self, argument, argv);
    CHECK(rp_loop_run(self.loop) == 0);
    CHECK(self.done == 1 && self.started == 0);
    CHECK(self.exit.kind == RP_SPAWN_FAILED && self.exit.error == RP_ENOENT);
    close_scene(&self);
}

Test(console, foreground_whose_launch_fails_leaves_the_terminal_with_the_caller, .timeout = 120)
{
    caller at;

    caller_start(&at, CALLER_FOREGROUND, play_missing, &foreground);
    caller_end(&at);
}

static void play_closed(void *argument)
{
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    scene self;

    CHECK(sigaction(SIGTTIN, &ignore, NULL) == 0);
    open_scene(&self, argument);
    spawn(&self, argument, CHILD("raw", "console", "pause"));
    while (self.started == 0) {
        CHECK(rp_loop_run_once(self.loop, RP_FOREVER) >= 0);
    }
    caller_say("runs");
    CHECK(read(0, &(char){0}, 1) < 0); // in the background: EIO, as SIGTTIN is ignored
    rp_process_close(self.process);
    CHECK(tcgetpgrp(0) == getpgrp());
    self.process = NULL;
    close_scene(&self);
}

Test(console, foreground_that_is_closed_gives_the_terminal_back_at_once, .timeout = 120)
{
    caller at;

    caller_start(&at, CALLER_FOREGROUND, play_closed, &foreground);
    caller_await(&at, "runs");
    caller_end(&at);
}

static void play_loop_closed(void *argument)
{
    const setting *with = argument;
    scene self;

    open_scene(&self, argument);
    spawn(&self, argument, CHILD("raw", "console", "pause"));
    while (with->threads == RP_SPAWN_INLINE && self.started == 0) {
        CHECK(rp_loop_run_once(self.loop, RP_FOREVER) >= 0);
    }
    if (with->threads != RP_SPAWN_INLINE) {
        CHECK(rp_loop_run_once(self.loop, 0) >= 0); // the launch may be under way
    }
    CHECK(rp_loop_close(self.loop) == 0);
    CHECK(tcgetpgrp(0) == getpgrp());
}

Test(console, foreground_is_over_with_its_loop, .timeout = 120)
{
    setting by_thread = {RP_BACKEND_AUTO, NULL, RP_CONSOLE_FOREGROUND, 1};
    caller at;

    caller_start(&at, CALLER_FOREGROUND, play_loop_closed, &foreground);
    caller_end(&at);
    caller_start(&at, CALLER_FOREGROUND, play_loop_closed, &by_thread);
    caller_end(&at);
}

static void play_killed(void *argument)
{
    scene self;

    open_scene(&self, argument);
    spawn(&self, argument, CHILD("raw", "echo", "ready", "wait", "0"));
    while (self.started == 0) {
        CHECK(rp_loop_run_once(self.loop, RP_FOREVER) >= 0);
    }
    CHECK(rp_loop_run_once(self.loop, RP_FOREVER) >= 0); // for ever: until it is killed
}

Test(console, terminal_of_a_caller_that_is_killed_is_restored, .timeout = 120)
{
    caller at;

    caller_start(&at, CALLER_FOREGROUND, play_killed, &foreground);
    caller_expect(&at, "ready");
    cr_assert_not(caller_has_echo(&at));
    cr_assert_eq(kill(at.pid, SIGKILL), 0);
    caller_end_killed(&at, SIGKILL);
}

static void play_background(void *argument)
{
    scene self;

    open_scene(&self, argument);
    CHECK(tcgetpgrp(0) != getpgrp());
    CHECK(try_spawn(&self, argument, CHILD("console")) == 0);
    while (rp_process_is_running(self.process)) {
        CHECK(rp_loop_run_once(self.loop, RP_FOREVER) >= 0);
    }
    CHECK(rp_process_exit(self.process)->kind == RP_SPAWN_FAILED);
    CHECK(rp_process_exit(self.process)->error == RP_EBUSY);
    CHECK(strcmp(rp_process_exit(self.process)->phase, "terminal") == 0);
    CHECK(tcgetpgrp(0) != getpgrp());
    rp_process_close(self.process);
    CHECK(rp_loop_close(self.loop) == 0);
}

Test(console, foreground_is_refused_to_a_caller_in_the_background, .timeout = 120)
{
    caller at;

    caller_start(&at, CALLER_BACKGROUND, play_background, &foreground);
    caller_end(&at);
}

static void play_without(void *argument)
{
    scene self;

    open_scene(&self, argument);
    CHECK(try_spawn(&self, argument, CHILD("console")) == RP_EINVAL);
    CHECK(strstr(rp_error_detail(), "terminal") != NULL);
    CHECK(rp_loop_close(self.loop) == 0);
}

Test(console, foreground_is_refused_where_there_is_no_terminal, .timeout = 120)
{
    caller at;

    caller_start(&at, CALLER_WITHOUT, play_without, &foreground);
    caller_end(&at);
}

static void play_two(void *argument)
{
    scene self;
    rp_process *first;

    open_scene(&self, argument);
    spawn(&self, argument, CHILD("exit", "1"));
    first = self.process;
    CHECK(try_spawn(&self, argument, CHILD("exit", "2")) == RP_EBUSY);
    CHECK(rp_loop_run(self.loop) == 0);
    check_code(&self, 1);
    rp_process_close(first);
    self.done = 0;
    spawn(&self, argument, CHILD("exit", "2"));
    CHECK(rp_loop_run(self.loop) == 0);
    check_code(&self, 2);
    close_scene(&self);
}

Test(console, foreground_is_for_one_at_a_time, .timeout = 120)
{
    caller at;

    caller_start(&at, CALLER_FOREGROUND, play_two, &foreground);
    caller_end(&at);
}

/* One foreground child in a loop where something fails: whatever it was, the end is told, nothing
 * is left, and no fault that is not the terminal's own takes the terminal away. */
static void play_faulty(rpi_fault_memory *memory, bool may_lose_terminal)
{
    rp_loop_options options = RP_LOOP_OPTIONS_INIT;
    rp_command command = RP_COMMAND_INIT;
    scene self = {0};
    int r;

    options.backend = RP_BACKEND_AUTO;
    options.spawn_threads = RP_SPAWN_INLINE;
    options.allocator = &memory->allocator;
    command.argv = CHILD("exit", "5");
    command.transport = RP_CONSOLE_FOREGROUND;
    r = rp_loop_open(&options, &self.loop);
    if (r == 0) {
        r = rp_spawn(self.loop, &command, NULL, NULL, &self.process);
        while (r == 0 && rp_process_exit(self.process) == NULL) {
            (void)rp_loop_run_once(self.loop, RP_SECOND); // its fault comes once
        }
        if (r == 0) {
            rp_process_close(self.process);
        }
        (void)rp_loop_close(self.loop);
    }
    CHECK(memory->live_blocks == 0);
    CHECK(may_lose_terminal || tcgetpgrp(0) == getpgrp());
    CHECK(tcsetpgrp(0, getpgrp()) == 0); // SIGTTOU is ignored
    CHECK(rpi_console_claim());          // it was given back
    rpi_console_release();
}

static void play_faults(void *argument)
{
    static const char *const entries[] = {"open",   "ioctl",  "socketpair", "mmap",  "clone",
                                          "clone3", "waitid", "sendmsg",    "close", "fcntl"};
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    rpi_fault_memory memory;

    (void)argument;
    CHECK(sigaction(SIGTTOU, &ignore, NULL) == 0);
    memory.fired = true;
    for (unsigned int n = 1; memory.fired; n++) {
        rpi_fault_memory_init(&memory, n);
        play_faulty(&memory, false);
    }
    for (size_t i = 0; i < sizeof entries / sizeof entries[0]; i++) {
        bool fired = true;

        for (unsigned int n = 1; fired; n++) {
            rpi_fault_memory_init(&memory, 0);
            rpi_fault_os_start();
            rpi_fault_os_fail(entries[i], n, EIO);
            play_faulty(&memory, strcmp(entries[i], "ioctl") == 0);
            fired = rpi_fault_os_fired();
            rpi_fault_os_stop();
        }
    }
}

Test(console, foreground_survives_whatever_fails, .timeout = 120)
{
    caller at;

    caller_start(&at, CALLER_FOREGROUND, play_faults, NULL);
    caller_end(&at);
}

/* ---- the others ------------------------------------------------------------------------ */

static volatile sig_atomic_t interrupts;

static void count_interrupt(int signal)
{
    (void)signal;
    interrupts = interrupts + 1;
}

static void play_shared(void *argument)
{
    struct sigaction action = {.sa_handler = count_interrupt};
    scene self;

    CHECK(sigaction(SIGINT, &action, NULL) == 0);
    open_scene(&self, argument);
    spawn(&self, argument, CHILD("console", "pause"));
    while (self.started == 0) {
        CHECK(rp_loop_run_once(self.loop, RP_FOREVER) >= 0);
    }
    CHECK(rp_loop_run(self.loop) == 0);
    CHECK(self.exit.kind == RP_SIGNALED && self.exit.signal == SIGINT);
    CHECK(interrupts == 1);
    close_scene(&self);
}

Test(console, shared_gets_ctrl_c_together_with_the_caller, .timeout = 120)
{
    setting shared = {RP_BACKEND_AUTO, NULL, RP_CONSOLE_SHARED, RP_SPAWN_INLINE};
    caller at;

    caller_start(&at, CALLER_FOREGROUND, play_shared, &shared);
    caller_expect(&at, "tty foreground echo 24 80");
    caller_type(&at, "\x03");
    caller_end(&at);
}

static void play_isolated(void *argument)
{
    struct sigaction action = {.sa_handler = count_interrupt};
    scene self;

    CHECK(sigaction(SIGINT, &action, NULL) == 0);
    open_scene(&self, argument);
    spawn(&self, argument, CHILD("announce", "2", "child interrupted\n", "console", "pause"));
    while (interrupts == 0) {
        CHECK(rp_loop_run_once(self.loop, RP_MILLISECOND) >= 0);
    }
    CHECK(rp_process_is_running(self.process));
    CHECK(rp_kill(self.process) == 0);
    CHECK(rp_loop_run(self.loop) == 0);
    CHECK(self.exit.kind == RP_SIGNALED && self.exit.signal == SIGKILL);
    close_scene(&self);
}

Test(console, isolated_leaves_ctrl_c_to_the_caller, .timeout = 120)
{
    setting isolated = {RP_BACKEND_AUTO, NULL, RP_CONSOLE_ISOLATED, RP_SPAWN_INLINE};
    caller at;

    caller_start(&at, CALLER_FOREGROUND, play_isolated, &isolated);
    caller_expect(&at, "tty background echo 24 80");
    caller_type(&at, "\x03");
    caller_await(&at, "end 0");
    cr_assert_null(strstr(at.seen, "child interrupted"));
    caller_end(&at);
}
