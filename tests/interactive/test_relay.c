/* The relay, by a caller at a terminal: what is typed reaches the child and nobody else, what the
 * child writes is seen, the size is followed, and on every way out the terminal is as it was. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "base/console.h"
#include "core/process.h"
#include "rp/rp.h"
#include "tests/support/caller.h"
#include "tests/support/check.h"
#include "tests/support/fault.h"
#include "tests/support/noise.h"

#define CHILD(...) ((const char *const[]){RP_TEST_CHILD, __VA_ARGS__, NULL})

enum {
    STILL_RELAYS = 12345 /* no status */
};

/* What is typed, as an observer beside the relay sees it. */
typedef struct watcher {
    rpi_observer observer;
    unsigned int writes, submits;
    size_t bytes;
} watcher;

/* In the caller: a loop, one child on a PTY, a relay. */
typedef struct scene {
    rp_loop *loop;
    rp_process *process;
    rp_relay *relay;
    rp_exit exit;
    unsigned int done, ended;
    int status;
    watcher watcher;
} scene;

static rp_backend backend = RP_BACKEND_AUTO;

static void on_done(rp_process *process, const rp_exit *exit, void *user)
{
    scene *self = user;
    struct termios modes;

    (void)process;
    self->done++;
    self->exit = *exit;
    CHECK(tcgetattr(0, &modes) == 0 && (modes.c_lflag & ICANON) != 0);
    CHECK(self->relay == NULL || self->ended == 1);
}

static void on_ended(rp_process *process, int status, void *user)
{
    scene *self = user;

    CHECK(process == self->process);
    self->ended++;
    self->status = status;
}

static void watch_input(rpi_observer *observer, const rpi_input *input)
{
    watcher *self = RPI_CONTAINER(observer, watcher, observer);

    self->writes++;
    self->bytes += input->size;
    self->submits += input->submit;
}

static void watch_drop(rpi_observer *observer)
{
    (void)observer;
}

static const rpi_observer_api watcher_api = {.input = watch_input, .drop = watch_drop};
static const rp_handlers handlers = {.done = on_done};

static void open_bounded_scene(scene *self, const char *const *argv, size_t write_max)
{
    rp_loop_options options = RP_LOOP_OPTIONS_INIT;
    rp_command command = RP_COMMAND_INIT;

    *self = (scene){.status = STILL_RELAYS};
    options.backend = backend;
    CHECK(rp_loop_open(&options, &self->loop) == 0);
    command.argv = argv;
    command.transport = RP_PTY;
    command.write_max = write_max;
    CHECK(rp_spawn(self->loop, &command, &handlers, self, &self->process) == 0);
    rpi_observer_add(self->process, &self->watcher.observer, &watcher_api, false);
}

static void open_scene(scene *self, const char *const *argv)
{
    open_bounded_scene(self, argv, 0);
}

static void relay(scene *self, const rp_relay_options *options)
{
    struct termios modes;

    CHECK(rp_relay_start(self->process, options, on_ended, self, &self->relay) == 0);
    CHECK(tcgetattr(0, &modes) == 0 && (modes.c_lflag & (ICANON | ECHO)) == 0);
    caller_say("relays");
}

static void run(scene *self)
{
    CHECK(rp_loop_run(self->loop) == 0);
}

static void close_scene(scene *self)
{
    struct termios modes;

    rp_process_close(self->process);
    CHECK(rp_loop_close(self->loop) == 0);
    CHECK(tcgetattr(0, &modes) == 0 && (modes.c_lflag & ICANON) != 0);
    CHECK(rpi_console_claim());
    rpi_console_release();
}

/* ---- what it does ---- */

static void play_typing(void *argument)
{
    scene self;

    backend = *(const rp_backend *)argument;
    open_scene(&self, CHILD("size", "announce", "28", "window\n", "tty-line", "size", "tty-line",
                            "exit", "6"));
    relay(&self, NULL);
    run(&self);
    CHECK(self.done == 1 && self.exit.code == 6);
    CHECK(self.ended == 1 && self.status == RP_EOS);
    CHECK(self.watcher.submits == 2);
    CHECK(self.watcher.bytes == strlen("first\rsecond\r"));
    close_scene(&self);
}

static void check_typing(rp_backend which)
{
    caller at;

    caller_start(&at, CALLER_FOREGROUND, play_typing, &which);
    caller_expect(&at, "24 80\r\n");
    caller_resize(&at, 33, 99);
    caller_expect(&at, "window");
    caller_type(&at, "first\r");
    caller_expect(&at, "[first]\r\n");
    caller_expect(&at, "33 99\r\n");
    caller_type(&at, "second\r");
    caller_expect(&at, "[second]\r\n");
    caller_end(&at);
}

Test(relay, carries_keys_output_and_size_by_epoll, .timeout = 120)
{
    check_typing(RP_BACKEND_EPOLL);
}

Test(relay, carries_keys_output_and_size_by_uring, .timeout = 120)
{
    if (!rp_has("uring")) {
        cr_skip_test("no io_uring here");
    }
    check_typing(RP_BACKEND_URING);
}

Test(relay, carries_keys_output_and_size_by_kqueue, .timeout = 120)
{
    if (!rp_has("kqueue")) {
        cr_skip_test("no kqueue here");
    }
    check_typing(RP_BACKEND_KQUEUE);
}

enum {
    PASTE_SIZE = 200000
};

static void play_paste(void *argument)
{
    scene self;

    (void)argument;
    open_scene(&self, CHILD("raw", "echo", "ready", "digest-of", "200000"));
    relay(&self, NULL);
    run(&self);
    CHECK(self.done == 1 && self.exit.code == 0);
    CHECK(self.watcher.bytes == PASTE_SIZE);
    /* Each write took what was there: more than a read of a terminal gives. */
    CHECK(self.watcher.writes < PASTE_SIZE / 4095);
    close_scene(&self);
}

Test(relay, carries_a_paste_whole, .timeout = 120)
{
    noise bytes = noise_begin(17);
    noise_sum sum = {0};
    char *paste = malloc(PASTE_SIZE);
    char expected[64];
    caller at;

    cr_assert_not_null(paste);
    noise_fill(&bytes, paste, PASTE_SIZE);
    noise_sum_add(&sum, paste, PASTE_SIZE);
    caller_start(&at, CALLER_FOREGROUND, play_paste, NULL);
    caller_expect(&at, "ready");
    caller_type_bytes(&at, paste, PASTE_SIZE);
    (void)snprintf(expected, sizeof expected, "%llu %llu", (unsigned long long)sum.size,
                   (unsigned long long)sum.value);
    caller_expect(&at, expected);
    caller_end(&at);
    free(paste);
}

static void play_detach(void *argument)
{
    rp_relay_options options = RP_RELAY_OPTIONS_INIT;
    scene self;

    (void)argument;
    options.detach_key = "\x10\x11";
    open_scene(&self, CHILD("tty-line", "tty-line", "exit", "2"));
    relay(&self, &options);
    while (self.ended == 0) {
        CHECK(rp_loop_run_once(self.loop, RP_FOREVER) >= 0);
    }
    CHECK(self.status == 0);
    CHECK(rp_process_is_running(self.process));
    rp_relay_close(self.relay);
    self.relay = NULL;
    caller_say("detached");
    CHECK(rp_write(self.process, (rp_view){"rest\n", 5}, NULL, NULL) == 0);
    run(&self);
    CHECK(self.exit.code == 2);
    close_scene(&self);
}

/* The caller's own write takes all of write_max after the relay began to listen. */
static void play_full_queue(void *argument)
{
    static char bytes[200000];
    struct pollfd input = {.fd = 0, .events = POLLIN};
    scene self;

    (void)argument;
    open_bounded_scene(&self, CHILD("raw", "echo", "ready", "pause"), 1);
    relay(&self, NULL);
    while (self.process->exit.out_bytes == 0) {
        CHECK(rp_loop_run_once(self.loop, RP_FOREVER) >= 0);
    }
    CHECK(rp_write(self.process, (rp_view){bytes, sizeof bytes}, NULL, NULL) == 0);
    caller_say("full");
    CHECK(poll(&input, 1, -1) == 1);
    for (int i = 0; i < 10; i++) {
        CHECK(rp_loop_run_once(self.loop, 0) >= 0);
    }
    CHECK(self.ended == 0 && rp_process_unwritten(self.process) > 0);
    CHECK(poll(&input, 1, 0) == 1); /* not taken before there is room */
    close_scene(&self);
}

Test(relay, waits_with_what_is_typed_while_the_queue_is_full, .timeout = 120)
{
    caller at;

    caller_start(&at, CALLER_FOREGROUND, play_full_queue, NULL);
    caller_await(&at, "full");
    caller_type(&at, "abc");
    caller_end(&at);
}

Test(relay, ends_by_its_key_and_the_child_goes_on, .timeout = 120)
{
    caller at;

    caller_start(&at, CALLER_FOREGROUND, play_detach, NULL);
    caller_await(&at, "relays");
    caller_type(&at, "a\x10");
    caller_type(&at, "b\r");
    caller_expect(&at, "[a\x10"
                       "b]");
    caller_type(&at, "\x10");
    caller_type(&at, "\x11");
    caller_await(&at, "detached");
    cr_assert(caller_has_echo(&at));
    caller_end(&at);
}

static volatile sig_atomic_t interrupts;

static void count_interrupt(int signal)
{
    (void)signal;
    interrupts = interrupts + 1;
}

static void play_interrupt(void *argument)
{
    const bool keeps = *(const bool *)argument;
    struct sigaction action = {.sa_handler = count_interrupt};
    rp_relay_options options = RP_RELAY_OPTIONS_INIT;
    scene self;

    CHECK(sigaction(SIGINT, &action, NULL) == 0);
    options.keep_interrupt = keeps;
    open_scene(&self, CHILD("announce", "2", "child interrupted\n", "echo", "ready", "tty-line",
                            "exit", "0"));
    relay(&self, &options);
    run(&self);
    CHECK(self.exit.kind == RP_EXITED && self.exit.code == 0);
    CHECK(interrupts == (keeps ? 1 : 0));
    CHECK(self.watcher.bytes == (keeps ? strlen("line\r") : strlen("\x03line\r")));
    close_scene(&self);
}

Test(relay, sends_ctrl_c_to_the_child, .timeout = 120)
{
    bool keeps = false;
    caller at;

    caller_start(&at, CALLER_FOREGROUND, play_interrupt, &keeps);
    caller_expect(&at, "ready");
    caller_type(&at, "\x03");
    caller_expect(&at, "child interrupted");
    caller_type(&at, "line\r");
    caller_expect(&at, "[line]");
    caller_end(&at);
}

Test(relay, leaves_ctrl_c_to_a_caller_that_keeps_it, .timeout = 120)
{
    bool keeps = true;
    caller at;

    caller_start(&at, CALLER_FOREGROUND, play_interrupt, &keeps);
    caller_expect(&at, "ready");
    caller_type(&at, "\x03");
    caller_type(&at, "line\r");
    caller_expect(&at, "[line]");
    cr_assert_null(strstr(at.seen, "child interrupted"));
    caller_end(&at);
}

/* ---- output ---- */

static void count_data(rp_process *process, rp_stream stream, rp_view bytes, void *user)
{
    scene *self = user;

    (void)process;
    (void)stream;
    self->watcher.bytes += bytes.size;
}

static void play_quiet(void *argument)
{
    const rp_handlers with_data = {.data = count_data, .done = on_done};
    rp_relay_options options = RP_RELAY_OPTIONS_INIT;
    rp_command command = RP_COMMAND_INIT;
    scene self;

    (void)argument;
    open_scene(&self, CHILD("pause"));
    rp_process_close(self.process);
    command.argv = CHILD("echo", "unseen");
    command.transport = RP_PTY;
    options.no_output = true;
    CHECK(rp_spawn(self.loop, &command, &with_data, &self, &self.process) == 0);
    relay(&self, &options);
    run(&self);
    CHECK(self.done == 1 && self.watcher.bytes == strlen("unseen\r\n"));
    CHECK(self.ended == 1 && self.status == RP_EOS);
    close_scene(&self);
}

Test(relay, shows_nothing_where_the_caller_does, .timeout = 120)
{
    caller at;

    caller_start(&at, CALLER_FOREGROUND, play_quiet, NULL);
    caller_await(&at, "end 0");
    cr_assert_null(strstr(at.seen, "unseen"));
    caller_end(&at);
}

/* Standard output is a pipe that nobody reads at first. */
static void play_slow(void *argument)
{
    enum {
        SIZE = 1000000
    };
    noise_sum sum = {0};
    noise bytes = noise_begin(9);
    static char piece[65536];
    static char expected[SIZE];
    unsigned int quiet = 0;
    size_t got = 0;
    scene self;
    int ends[2];

    (void)argument;
    CHECK(pipe(ends) == 0 && dup2(ends[1], 1) == 1 && close(ends[1]) == 0);
    CHECK(fcntl(ends[0], F_SETFL, O_NONBLOCK) == 0);
    open_scene(&self, CHILD("raw", "flood", "1", "1000000", "9"));
    relay(&self, NULL);
    while (quiet < 3) { /* until nothing moves any more: the child waits, the loop does not */
        const int r = rp_loop_run_once(self.loop, 300 * RP_MILLISECOND);
        const uint64_t seen = self.process->exit.out_bytes;

        CHECK(r >= 0);
        CHECK(rp_loop_run_once(self.loop, 300 * RP_MILLISECOND) >= 0);
        quiet = seen == self.process->exit.out_bytes && seen > 0 ? quiet + 1 : 0;
    }
    CHECK(rp_process_is_running(self.process));
    CHECK(self.process->exit.out_bytes < 256 * 1024);
    while (got < SIZE) {
        const ssize_t n = read(ends[0], piece, sizeof piece);

        CHECK(n != 0);
        if (n > 0) {
            noise_sum_add(&sum, piece, (size_t)n);
            got += (size_t)n;
        } else {
            CHECK(rp_loop_run_once(self.loop, RP_SECOND) >= 0);
        }
    }
    noise_fill(&bytes, expected, SIZE);
    run(&self);
    CHECK(self.done == 1 && self.status == RP_EOS);
    CHECK((fcntl(1, F_GETFL) & O_NONBLOCK) == 0); // never touched
    {
        noise_sum wanted = {0};

        noise_sum_add(&wanted, expected, SIZE);
        CHECK(wanted.value == sum.value && wanted.size == sum.size);
    }
    (void)close(ends[0]);
    close_scene(&self);
}

Test(relay, slows_the_child_and_not_the_loop_where_output_is_slow, .timeout = 120)
{
    caller at;

    caller_start(&at, CALLER_FOREGROUND, play_slow, NULL);
    caller_end(&at);
}

static void play_broken_output(void *argument)
{
    scene self;
    int ends[2];

    (void)argument;
    CHECK(pipe(ends) == 0 && dup2(ends[1], 1) == 1 && close(ends[1]) == 0);
    (void)close(ends[0]);
    open_scene(&self, CHILD("echo", "x", "tty-line"));
    relay(&self, NULL);
    while (self.ended == 0) {
        CHECK(rp_loop_run_once(self.loop, RP_FOREVER) >= 0);
    }
    CHECK(self.status == RP_EPIPE); // and no SIGPIPE
    CHECK(rp_process_is_running(self.process));
    close_scene(&self);
}

Test(relay, tells_that_its_output_is_gone, .timeout = 120)
{
    caller at;

    caller_start(&at, CALLER_FOREGROUND, play_broken_output, NULL);
    caller_end(&at);
}

static void play_output_to_file(void *argument)
{
    char name[] = "/tmp/rp-relay-XXXXXX";
    char text[64] = "";
    const int fd = mkstemp(name);
    scene self;

    (void)argument;
    CHECK(fd >= 0 && unlink(name) == 0 && dup2(fd, 1) == 1);
    open_scene(&self, CHILD("echo", "kept"));
    relay(&self, NULL);
    run(&self);
    CHECK(pread(fd, text, sizeof text - 1, 0) == 6 && strcmp(text, "kept\r\n") == 0);
    (void)close(fd);
    close_scene(&self);
}

Test(relay, writes_to_a_file, .timeout = 120)
{
    caller at;

    caller_start(&at, CALLER_FOREGROUND, play_output_to_file, NULL);
    caller_end(&at);
}

/* ---- ways out ---- */

typedef enum way_out {
    BY_RELAY,
    BY_PROCESS,
    BY_LOOP,
    BY_KILL
} way_out;

static void play_way_out(void *argument)
{
    const way_out way = *(const way_out *)argument;
    scene self;
    struct termios modes;

    open_scene(&self, CHILD("raw", "echo", "ready", "tty-line"));
    relay(&self, NULL);
    while (self.process->exit.out_bytes == 0) {
        CHECK(rp_loop_run_once(self.loop, RP_FOREVER) >= 0);
    }
    if (way == BY_RELAY) {
        rp_relay_close(self.relay);
        self.relay = NULL;
    } else if (way == BY_PROCESS) {
        rp_process_close(self.process);
        self.process = NULL;
        rp_relay_close(self.relay); // the handle lives until its close
    } else if (way == BY_KILL) {
        CHECK(rp_kill(self.process) == 0);
        run(&self);
        CHECK(self.ended == 1 && self.status == RP_EOS);
    } else {
        CHECK(rp_loop_close(self.loop) == 0);
    }
    CHECK(tcgetattr(0, &modes) == 0 && (modes.c_lflag & (ICANON | ECHO)) == (ICANON | ECHO));
    if (way == BY_RELAY) { /* another one may follow */
        relay(&self, NULL);
    }
    if (way != BY_LOOP) {
        CHECK(self.ended == (way == BY_KILL ? 1 : 0));
        close_scene(&self);
    }
}

Test(relay, puts_the_terminal_back_on_every_way_out, .timeout = 120)
{
    for (way_out way = BY_RELAY; way <= BY_KILL; way++) {
        caller at;

        caller_start(&at, CALLER_FOREGROUND, play_way_out, &way);
        caller_end(&at);
    }
}

static void play_for_ever(void *argument)
{
    scene self;

    (void)argument;
    open_scene(&self, CHILD("raw", "echo", "ready", "tty-line", "tty-line"));
    relay(&self, NULL);
    run(&self);
}

Test(relay, of_a_caller_that_is_killed_leaves_the_terminal_as_it_was, .timeout = 120)
{
    caller at;

    caller_start(&at, CALLER_FOREGROUND, play_for_ever, NULL);
    caller_expect(&at, "ready");
    cr_assert_not(caller_has_echo(&at));
    cr_assert_eq(kill(at.pid, SIGKILL), 0);
    caller_end_killed(&at, SIGKILL);
}

Test(relay, of_a_caller_that_was_stopped_goes_on_in_raw_mode, .timeout = 120)
{
    caller at;

    caller_start(&at, CALLER_FOREGROUND, play_for_ever, NULL);
    caller_expect(&at, "ready");
    cr_assert_eq(kill(at.pid, SIGSTOP), 0);
    caller_set_lines(&at, true); // as a shell does when its job is stopped
    cr_assert_eq(kill(at.pid, SIGCONT), 0);
    caller_await_lines(&at, false);
    caller_type(&at, "after\n");
    caller_expect(&at, "[after]");
    cr_assert_eq(kill(at.pid, SIGKILL), 0);
    caller_end_killed(&at, SIGKILL);
}

static void play_hang_up(void *argument)
{
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    scene self;

    (void)argument;
    CHECK(sigaction(SIGHUP, &ignore, NULL) == 0);
    open_scene(&self, CHILD("echo", "ready", "tty-line"));
    relay(&self, NULL);
    while (self.ended == 0) {
        CHECK(rp_loop_run_once(self.loop, RP_FOREVER) >= 0);
    }
    CHECK(self.status == RP_EOS);
    CHECK(rp_process_is_running(self.process));
    rp_process_close(self.process);
    CHECK(rp_loop_close(self.loop) == 0);
    caller_say("over");
}

Test(relay, ends_when_the_window_is_closed, .timeout = 120)
{
    caller at;

    caller_start(&at, CALLER_FOREGROUND, play_hang_up, NULL);
    caller_expect(&at, "ready");
    caller_hang_up(&at);
    caller_await(&at, "over");
    caller_end(&at);
}

/* A forked child of the caller's gives its copies back, and leaves relay and terminal alone. */
static void play_fork(void *argument)
{
    struct termios modes;
    scene self;
    int status;
    pid_t pid;

    (void)argument;
    open_scene(&self, CHILD("echo", "ready", "tty-line", "exit", "8"));
    relay(&self, NULL);
    while (self.process->exit.out_bytes == 0) {
        CHECK(rp_loop_run_once(self.loop, RP_FOREVER) >= 0);
    }
    pid = fork();
    if (pid == 0) {
        rp_relay_close(self.relay);
        (void)rp_loop_close(self.loop);
        _exit(0);
    }
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    CHECK(tcgetattr(0, &modes) == 0 && (modes.c_lflag & ICANON) == 0);
    caller_say("forked");
    run(&self);
    CHECK(self.exit.code == 8 && self.status == RP_EOS);
    close_scene(&self);
}

Test(relay, is_left_alone_by_a_forked_child, .timeout = 120)
{
    caller at;

    caller_start(&at, CALLER_FOREGROUND, play_fork, NULL);
    caller_await(&at, "forked");
    caller_type(&at, "still\r");
    caller_expect(&at, "[still]");
    caller_end(&at);
}

/* ---- what is refused ---- */

static void play_refusals(void *argument)
{
    rp_relay_options options = RP_RELAY_OPTIONS_INIT;
    rp_command command = RP_COMMAND_INIT;
    rp_process *piped;
    rp_relay *unset = (rp_relay *)&unset;
    scene self;
    int null;
    int terminal;

    (void)argument;
    open_scene(&self, CHILD("tty-line"));
    command.argv = CHILD("exit", "0");
    CHECK(rp_spawn(self.loop, &command, &handlers, &self, &piped) == 0);
    CHECK(rp_relay_start(piped, NULL, NULL, NULL, &unset) == RP_EINVAL);
    CHECK(strstr(rp_error_detail(), "RP_PTY") != NULL);
    rp_process_close(piped);
    options.detach_key = "";
    CHECK(rp_relay_start(self.process, &options, NULL, NULL, &unset) == RP_EINVAL);
    CHECK(strstr(rp_error_detail(), "detach_key") != NULL);
    options.detach_key = NULL;
    options.size = 0;
    CHECK(rp_relay_start(self.process, &options, NULL, NULL, &unset) == RP_EINVAL);
    terminal = dup(0);
    null = open("/dev/null", O_RDWR);
    CHECK(terminal >= 0 && null >= 0 && dup2(null, 0) == 0 && close(null) == 0);
    CHECK(rp_relay_start(self.process, NULL, NULL, NULL, &unset) == RP_EINVAL);
    CHECK(strstr(rp_error_detail(), "terminal") != NULL);
    CHECK(dup2(terminal, 0) == 0 && close(terminal) == 0);
    CHECK(unset == (rp_relay *)&unset);
    relay(&self, NULL);
    CHECK(rp_relay_start(self.process, NULL, NULL, NULL, &unset) == RP_EBUSY);
    command.transport = RP_CONSOLE_FOREGROUND;
    CHECK(rp_spawn(self.loop, &command, &handlers, &self, &piped) == RP_EBUSY);
    rp_relay_close(self.relay);
    self.relay = NULL;
    CHECK(rp_kill(self.process) == 0);
    run(&self);
    CHECK(rp_relay_start(self.process, NULL, NULL, NULL, &unset) == RP_EPIPE);
    close_scene(&self);
}

Test(relay, is_refused_where_it_cannot_be, .timeout = 120)
{
    caller at;

    caller_start(&at, CALLER_FOREGROUND, play_refusals, NULL);
    caller_end(&at);
}

static void play_background(void *argument)
{
    scene self;

    (void)argument;
    open_scene(&self, CHILD("tty-line"));
    CHECK(rp_relay_start(self.process, NULL, NULL, NULL, NULL) == RP_EBUSY);
    CHECK(strstr(rp_error_detail(), "background") != NULL);
    close_scene(&self);
}

Test(relay, is_refused_to_a_caller_in_the_background, .timeout = 120)
{
    caller at;

    caller_start(&at, CALLER_BACKGROUND, play_background, NULL);
    caller_end(&at);
}

/* ---- faults ---- */

static void play_fault(rpi_fault_memory *memory)
{
    rp_loop_options options = RP_LOOP_OPTIONS_INIT;
    rp_command command = RP_COMMAND_INIT;
    struct termios modes;
    scene self = {.status = STILL_RELAYS};
    int r;

    options.backend = RP_BACKEND_AUTO;
    options.spawn_threads = RP_SPAWN_INLINE;
    options.allocator = &memory->allocator;
    command.argv = CHILD("echo", "output", "exit", "5");
    command.transport = RP_PTY;
    if (rp_loop_open(&options, &self.loop) == 0) {
        r = rp_spawn(self.loop, &command, NULL, NULL, &self.process);
        if (r == 0 && rp_relay_start(self.process, NULL, on_ended, &self, &self.relay) < 0) {
            self.relay = NULL;
        }
        while (r == 0 && rp_process_exit(self.process) == NULL) {
            (void)rp_loop_run_once(self.loop, RP_SECOND); // its fault comes once
        }
        rp_relay_close(self.relay);
        (void)rp_loop_close(self.loop);
    }
    CHECK(memory->live_blocks == 0);
    CHECK(rpi_console_claim()); // it was given back
    rpi_console_release();
    if (!(tcgetattr(0, &modes) == 0 && (modes.c_lflag & ICANON) != 0)) {
        CHECK(rpi_fault_os_fired()); // only where that very call has failed
        modes.c_lflag |= (tcflag_t)(ICANON | ECHO | ISIG);
        CHECK(tcsetattr(0, TCSANOW, &modes) == 0);
    }
}

static void play_faults(void *argument)
{
    static const char *const entries[] = {"open",   "ioctl",   "socketpair", "mmap",      "clone",
                                          "waitid", "sendmsg", "fcntl",      "epoll_ctl", "poll"};
    rpi_fault_memory memory;

    (void)argument;
    memory.fired = true;
    rpi_fault_os_start();
    for (unsigned int n = 1; memory.fired; n++) {
        rpi_fault_memory_init(&memory, n);
        play_fault(&memory);
    }
    rpi_fault_os_stop();
    for (size_t i = 0; i < sizeof entries / sizeof entries[0]; i++) {
        bool fired = true;

        for (unsigned int n = 1; fired; n++) {
            rpi_fault_memory_init(&memory, 0);
            rpi_fault_os_start();
            rpi_fault_os_fail(entries[i], n, EIO);
            play_fault(&memory);
            fired = rpi_fault_os_fired();
            rpi_fault_os_stop();
        }
    }
}

Test(relay, survives_whatever_fails, .timeout = 120)
{
    caller at;

    caller_start(&at, CALLER_FOREGROUND, play_faults, NULL);
    caller_end(&at);
}
