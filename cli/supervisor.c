/* The supervisor: one loop, one process, one pipe that signals and writers write to.
 *
 * Output goes child -> ring -> data callback -> writer -> descriptor. A full writer pauses the
 * child's stream (and a full writer of events both), so a reader that is slow or asleep holds up
 * the child and nothing else: timeouts, signals and the exit go on. After the end the program waits
 * until the writers have written everything; a signal then ends it within a second.
 *
 * Whatever happens ends in attend(), or for output in attend_flow() alone, which look at everything
 * anew: which writer is full, which descriptor failed, whether all is over. There is no state to
 * keep in step. Called by main_posix.c. */
#include "cli/supervisor.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rp/rp.h>

#include "cli/dialog.h"
#include "cli/events.h"
#include "cli/message.h"
#include "cli/signals.h"
#include "cli/writer.h"

enum {
    SIDE_OUT = 0,
    SIDE_ERR,
    SIDE_JSON,
    SIDE_COUNT
};

#define LEAVE_NS RP_SECOND

/* One of the descriptors that we write to. */
struct side {
    rpi_cli_channel channel;
    rpi_cli_writer *writer; /* NULL = the side is not in use */
    bool owns_writer;       /* else an earlier side does: both lead to one place */
    bool broken;            /* nothing goes there any more */
    bool paused;            /* the child's stream waits; not SIDE_JSON */
    const char *name;
};

struct supervisor {
    const rpi_cli_options *options;
    const rpi_cli_setup *setup;
    struct side sides[SIDE_COUNT];
    rpi_cli_events events;
    rp_track *track; /* NULL: the command is not tracked */
    rp_loop *loop;
    rp_process *process;
    rp_watch *watch;
    uint32_t interrupts; /* INTs that came to us */
    int signal;          /* the last that came to us; 0 = none */
    bool done;
    bool leaving;   /* a signal came after the command's end: readers get LEAVE_NS more */
    bool abandoned; /* and that is over */
    bool failed;    /* output was lost by no wish of its reader's */
    rpi_cli_dialog dialog;
    int exit_code;
};

// ---- what is said ------------------------------------------------------------

static void say(struct supervisor *supervisor, const char *format, ...) RPI_CLI_FORMAT(2, 3);

/* Behind what the command wrote to standard error, by the same way. */
static void say(struct supervisor *supervisor, const char *format, ...)
{
    struct side *side = &supervisor->sides[SIDE_ERR];
    char text[1024];
    va_list arguments;
    size_t size;

    va_start(arguments, format);
    size = rpi_cli_message(text, sizeof text, format, arguments);
    va_end(arguments);
    if (side->writer != NULL) {
        /* Without memory it stays unsaid: the exit code tells that something failed. */
        (void)rpi_cli_writer_put(side->writer, &side->channel, text, size);
    }
}

static void say_text(const char *text, void *user)
{
    say(user, "%s", text);
}

static void say_timed_out(struct supervisor *supervisor, const rp_exit *exit)
{
    char span[48];

    if (exit->reason == RP_STOP_QUIET) {
        say(supervisor, "timed out: no output for %s",
            rpi_cli_span(supervisor->options->idle_timeout_ns, span, sizeof span));
    } else {
        say(supervisor, "timed out after %s",
            rpi_cli_span(supervisor->options->wall_timeout_ns, span, sizeof span));
    }
}

static bool is_timed_out(const rp_exit *exit)
{
    return exit->reason == RP_STOP_TIMEOUT || exit->reason == RP_STOP_QUIET;
}

static bool is_phase(const rp_exit *exit, const char *phase)
{
    return exit->phase != NULL && strcmp(exit->phase, phase) == 0;
}

static void say_not_started(struct supervisor *supervisor, const rp_exit *exit)
{
    const rpi_cli_options *options = supervisor->options;
    const char *why = rp_strerror(exit->error);

    if (is_phase(exit, "exec")) {
        say(supervisor, "%s: %s", options->command[0],
            exit->code == RPI_CLI_NOT_FOUND ? "command not found" : why);
    } else if (is_phase(exit, "chdir")) {
        say(supervisor, "--cwd: %s: '%s'", why, options->cwd);
    } else if (is_phase(exit, "nice")) {
        say(supervisor, "--nice: %s: %d", why, options->nice);
    } else {
        say(supervisor, "cannot start %s: %s (%s)", options->command[0], why,
            exit->phase == NULL ? rp_error_name(exit->error) : exit->phase);
    }
}

// ---- flow --------------------------------------------------------------------

static bool is_full(struct side *side)
{
    return side->writer != NULL && !side->broken && rpi_cli_writer_is_full(side->writer);
}

/* The child's stream runs while there is room for what comes of it. */
static void attend_flow(struct supervisor *supervisor, int index)
{
    struct side *side = &supervisor->sides[index];
    rp_stream stream = index == SIDE_OUT ? RP_STDOUT : RP_STDERR;
    bool wait = is_full(side) || is_full(&supervisor->sides[SIDE_JSON]);

    /* What is shown to a person is written before the end is told and the terminal restored. */
    if (supervisor->options->pty && supervisor->setup->has_terminal && !wait) {
        wait = !side->broken && rpi_cli_writer_is_busy(side->writer);
    }

    if (wait == side->paused || supervisor->process == NULL) {
        return;
    }
    side->paused = wait;
    /* It fails where the stream has ended, and then there is nothing to hold up. */
    (void)(wait ? rp_pause(supervisor->process, stream) : rp_resume(supervisor->process, stream));
}

/* The command is to notice as if it had written to our broken descriptor itself. Where its stream
 * has ended, or not begun, there is nothing to close; a beginning is followed by on_data. */
static void close_stream(struct supervisor *supervisor, int index)
{
    if (supervisor->process != NULL) {
        (void)rp_close_output(supervisor->process, index == SIDE_OUT ? RP_STDOUT : RP_STDERR);
    }
}

/* A descriptor of ours takes no more. */
static void give_up(struct supervisor *supervisor, int index, int error)
{
    struct side *side = &supervisor->sides[index];

    side->broken = true;
    if (error != RP_EPIPE) { /* a reader that has seen enough is no failure */
        supervisor->failed = true;
        say(supervisor, "%s: %s", side->name, rp_strerror(error));
    }
    if (index == SIDE_JSON) {
        supervisor->events.writer = NULL;
    } else {
        close_stream(supervisor, index);
    }
}

static void attend_errors(struct supervisor *supervisor)
{
    for (int i = 0; i < SIDE_COUNT; i++) {
        struct side *side = &supervisor->sides[i];
        int error = 0;

        if (side->writer == NULL || side->broken) {
            continue;
        }
        error = rpi_cli_writer_error(side->writer, &side->channel);
        if (error == 0 && i == SIDE_JSON) {
            error = supervisor->events.error;
        }
        if (error < 0) {
            give_up(supervisor, i, error);
        }
    }
}

static bool is_all_written(struct supervisor *supervisor)
{
    for (int i = 0; i < SIDE_COUNT; i++) {
        struct side *side = &supervisor->sides[i];

        if (side->owns_writer && rpi_cli_writer_is_busy(side->writer)) {
            return false;
        }
    }
    return true;
}

static void attend(struct supervisor *supervisor)
{
    /* Asked before the errors are looked at: what fails to be written is then seen by this look or
     * by a later one. */
    bool over = supervisor->done && is_all_written(supervisor);

    attend_errors(supervisor);
    attend_flow(supervisor, SIDE_OUT);
    attend_flow(supervisor, SIDE_ERR);
    if (over) {
        rp_loop_stop(supervisor->loop);
    }
}

// ---- signals -----------------------------------------------------------------

/* Whether the command is in our process group, to read our terminal. */
static bool shares_terminal(const struct supervisor *supervisor)
{
    return supervisor->setup->has_terminal && !supervisor->options->pty &&
           !rpi_cli_dialog_owns_stdin(&supervisor->dialog);
}

/* What a signal of ours makes of the command. Under RP_CONSOLE_SHARED it is in our process group,
 * so what the keyboard sends reaches it without us. */
static rpi_cli_relay relay_signal(struct supervisor *supervisor, const rpi_cli_wake *wake)
{
    rp_process *process = supervisor->process;
    bool interrupt = wake->signal == rpi_cli_signal_number("INT");
    bool quit = wake->signal == rpi_cli_signal_number("QUIT");
    int r;

    supervisor->interrupts += interrupt ? 1 : 0;
    if (interrupt && supervisor->interrupts > 1) {
        r = rp_kill(process);
    } else if (shares_terminal(supervisor) && wake->from_keyboard && (interrupt || quit)) {
        return RPI_CLI_RELAY_TERMINAL;
    } else if (interrupt) {
        r = rp_interrupt(process);
    } else if (wake->signal == rpi_cli_signal_number("TERM") || rp_process_pid(process) == 0) {
        r = rp_terminate(process); /* what is not started yet takes no signal: it is called off */
    } else {
        r = rp_signal(process, wake->signal, RP_SCOPE_TREE);
    }
    if (r < 0 && r != RP_ESRCH) { /* already gone: it had its end */
        char name[32];

        say(supervisor, "cannot pass %s on: %s",
            rpi_cli_signal_name(wake->signal, name, sizeof name), rp_strerror(r));
    }
    return interrupt && supervisor->interrupts > 1 ? RPI_CLI_RELAY_KILL : RPI_CLI_RELAY_SENT;
}

static void on_leave(rp_timer *timer, void *user)
{
    struct supervisor *supervisor = user;

    (void)timer;
    supervisor->abandoned = true;
    rp_loop_stop(supervisor->loop);
}

/* Not at once: what is on its way to a reader that reads still gets there. */
static void leave(struct supervisor *supervisor)
{
    if (supervisor->leaving) {
        return;
    }
    supervisor->leaving = true;
    if (rp_timer_start(supervisor->loop, LEAVE_NS, 0, on_leave, supervisor, NULL) < 0) {
        on_leave(NULL, supervisor);
    }
}

static void take_signal(struct supervisor *supervisor, const rpi_cli_wake *wake)
{
    rpi_cli_relay relay;

    supervisor->signal = wake->signal;
    if (!rp_process_is_running(supervisor->process)) {
        leave(supervisor); /* whoever asks means us now */
        return;
    }
    relay = relay_signal(supervisor, wake);
    rpi_cli_events_signal(&supervisor->events, wake->signal, relay);
}

static void on_wake(rp_watch *watch, uint32_t events, void *user)
{
    struct supervisor *supervisor = user;
    rpi_cli_wake wakes[16];
    size_t count;

    (void)watch;
    (void)events;
    count = rpi_cli_signals_take(supervisor->setup->wake_read_fd, wakes,
                                 sizeof wakes / sizeof wakes[0]);
    for (size_t i = 0; i < count; i++) {
        if (wakes[i].signal != 0) {
            take_signal(supervisor, &wakes[i]);
        }
    }
    attend(supervisor);
}

// ---- the process -------------------------------------------------------------

static void on_started(rp_process *process, void *user)
{
    struct supervisor *supervisor = user;

    rpi_cli_events_start(&supervisor->events, supervisor->options, rp_process_pid(process));
}

static void on_data(rp_process *process, rp_stream stream, rp_view bytes, void *user)
{
    struct supervisor *supervisor = user;
    int index = stream == RP_STDERR ? SIDE_ERR : SIDE_OUT;
    struct side *side = &supervisor->sides[index];
    int r;

    (void)process;
    if (side->broken) { /* read before it was closed, or it broke before the start */
        close_stream(supervisor, index);
        return;
    }
    r = rpi_cli_writer_put(side->writer, &side->channel, bytes.data, bytes.size);
    if (r < 0) {
        give_up(supervisor, index, r);
    }
    attend_flow(supervisor, index);
}

static void on_line(rp_process *process, rp_stream stream, const rp_line *line, void *user)
{
    struct supervisor *supervisor = user;

    (void)process;
    rpi_cli_events_output(&supervisor->events, stream, line);
    attend_flow(supervisor, stream == RP_STDERR ? SIDE_ERR : SIDE_OUT);
}

static void on_eos(rp_process *process, rp_stream stream, void *user)
{
    struct supervisor *supervisor = user;

    (void)process;
    rpi_cli_events_eos(&supervisor->events, stream);
}

/* What stopped it is known now: the library tells of its steps with the exit. */
static void tell_steps(struct supervisor *supervisor, const rp_exit *exit)
{
    const rpi_cli_options *options = supervisor->options;
    rpi_cli_events *events = &supervisor->events;

    if (is_timed_out(exit)) {
        rpi_cli_events_timeout(events, exit->reason,
                               exit->reason == RP_STOP_QUIET ? options->idle_timeout_ns
                                                             : options->wall_timeout_ns);
    } else if (!supervisor->dialog.idled) {
        return;
    }
    rpi_cli_events_stop(events, RP_STOP_TERMINATE, options->stop_signal);
    if (exit->step == RP_STOP_KILL) {
        rpi_cli_events_stop(events, RP_STOP_KILL, rpi_cli_signal_number("KILL"));
    }
}

static void on_exited(rp_process *process, const rp_exit *exit, void *user)
{
    struct supervisor *supervisor = user;

    (void)process;
    tell_steps(supervisor, exit);
    rpi_cli_events_exited(&supervisor->events, exit);
}

static int code_of_failed_start(const struct supervisor *supervisor, const rp_exit *exit)
{
    if (exit->error == RP_ECANCELED && supervisor->signal != 0) {
        return RPI_CLI_SIGNAL_BASE + supervisor->signal;
    }
    return is_phase(exit, "exec") ? exit->code : RPI_CLI_FAILED;
}

static int code_of_exit(const struct supervisor *supervisor, const rp_exit *exit)
{
    if (is_timed_out(exit)) {
        return RPI_CLI_TIMED_OUT;
    }
    if (supervisor->dialog.idled) { /* this was to be its end */
        return rpi_cli_dialog_is_unmet(&supervisor->dialog, exit) ? RPI_CLI_FAILED : 0;
    }
    switch (exit->kind) {
    case RP_EXITED:
        return exit->code == 0 && rpi_cli_dialog_is_unmet(&supervisor->dialog, exit)
                   ? RPI_CLI_FAILED
                   : exit->code;
    case RP_SIGNALED:
        return RPI_CLI_SIGNAL_BASE + exit->signal;
    case RP_SPAWN_FAILED:
        return code_of_failed_start(supervisor, exit);
    case RP_LOST:
        return RPI_CLI_FAILED;
    }
    return RPI_CLI_FAILED;
}

static void say_end(struct supervisor *supervisor, const rp_exit *exit)
{
    if (is_timed_out(exit)) {
        say_timed_out(supervisor, exit);
    } else if (exit->kind == RP_SPAWN_FAILED && exit->error != RP_ECANCELED) {
        say_not_started(supervisor, exit);
    } else if (exit->kind == RP_LOST) {
        say(supervisor, "the command ended, but how is not known: %s", rp_strerror(RP_ELOST));
    }
    if (rpi_cli_dialog_is_unmet(&supervisor->dialog, exit)) {
        say(supervisor, "--expect: it did not come: '%s'",
            rpi_cli_dialog_missing(&supervisor->dialog));
    }
    if (exit->survivors > 0) {
        say(supervisor, "%u processes of the command survived SIGKILL", exit->survivors);
    }
}

static void on_done(rp_process *process, const rp_exit *exit, void *user)
{
    struct supervisor *supervisor = user;

    (void)process;
    supervisor->exit_code = code_of_exit(supervisor, exit);
    supervisor->done = true;
    rpi_cli_dialog_close(&supervisor->dialog);
    say_end(supervisor, exit);
    rpi_cli_events_exit(&supervisor->events, exit, supervisor->exit_code);
    attend(supervisor);
}

// ---- setting up and going ----------------------------------------------------

static int open_side(struct supervisor *supervisor, int index, int fd, const char *name)
{
    struct side *sides = supervisor->sides;
    struct side *side = &sides[index];

    side->name = name;
    side->channel.fd = fd;
    for (int i = 0; i < index; i++) {
        if (sides[i].owns_writer && rpi_cli_writer_is_same(fd, sides[i].channel.fd)) {
            side->writer = sides[i].writer;
            return 0;
        }
    }
    side->owns_writer = true;
    return rpi_cli_writer_open(supervisor->setup->wake_write_fd, &side->writer);
}

static int open_sides(struct supervisor *supervisor)
{
    int r = open_side(supervisor, SIDE_OUT, 1, "standard output");

    if (r == 0) {
        r = open_side(supervisor, SIDE_ERR, 2, "standard error");
    }
    if (r == 0 && supervisor->options->json) {
        r = open_side(supervisor, SIDE_JSON, supervisor->setup->json_fd, "--json");
    }
    return r;
}

/* What the command's streams are. */
static void set_streams(const struct supervisor *supervisor, rp_command *command)
{
    if (supervisor->options->pty) {
        command->transport = RP_PTY;
        command->pty_rows = supervisor->setup->rows;
        command->pty_cols = supervisor->setup->cols;
        return;
    }
    /* A process group of its own is a background job: reading the terminal would stop it. Then it
     * stays in ours. */
    command->transport = shares_terminal(supervisor) ? RP_CONSOLE_SHARED : RP_PIPES;
    command->in.kind =
        rpi_cli_dialog_owns_stdin(&supervisor->dialog) ? RP_STDIO_PIPE : RP_STDIO_INHERIT;
    command->out.kind = RP_STDIO_PIPE;
    command->err.kind = RP_STDIO_PIPE;
}

static int spawn(struct supervisor *supervisor)
{
    const rpi_cli_options *options = supervisor->options;
    rp_stop_options stop = RP_INIT(rp_stop_options);
    rp_command command = RP_COMMAND_INIT;
    rp_handlers handlers = {.started = on_started,
                            .data = on_data,
                            .line = options->json ? on_line : NULL,
                            .eos = on_eos,
                            .exited = on_exited,
                            .done = on_done};

    rpi_cli_dialog_set_stop(options, &stop);
    set_streams(supervisor, &command);
    command.argv = options->command;
    command.cwd = options->cwd;
    command.env = options->env;
    command.nice = options->nice;
    command.timeout_ns = options->wall_timeout_ns;
    command.quiet_timeout_ns = options->idle_timeout_ns;
    command.stop = &stop;
    return rp_spawn(supervisor->loop, &command, &handlers, supervisor, &supervisor->process);
}

/* The library did not even queue the command: a process without a life. */
static void tell_refused(struct supervisor *supervisor, int error)
{
    const char *detail = rp_error_detail();
    rp_exit exit = {.kind = RP_SPAWN_FAILED, .code = RPI_CLI_NOT_EXECUTABLE, .error = error};

    say(supervisor, "cannot start %s: %s", supervisor->options->command[0],
        *detail == '\0' ? rp_strerror(error) : detail);
    rpi_cli_events_exit(&supervisor->events, &exit, RPI_CLI_FAILED);
}

/* What the library says of itself: that the command cannot be tracked, for one. */
static void say_log(int level, const char *text, void *user)
{
    if (level <= 1) {
        say(user, "%s", text);
    }
}

/* So that the command can be found and ended should we be killed. It runs without, too. */
static void open_track(struct supervisor *supervisor)
{
    const char *off = getenv("RUNNING_PROCESS_NO_TRACKING");
    int r;

    if (off != NULL && (strcmp(off, "1") == 0 || strcmp(off, "true") == 0)) {
        return;
    }
    r = rp_track_open(NULL, &supervisor->track);
    if (r < 0 && r != RP_EUNSUPPORTED) {
        const char *detail = rp_error_detail();

        say(supervisor, "the command is not tracked: %s",
            detail[0] != '\0' ? detail : rp_strerror(r));
    }
}

/* Everything between the writers and the end. 0, or what failed. */
static int run(struct supervisor *supervisor)
{
    rp_loop_options loop_options = RP_LOOP_OPTIONS_INIT;
    int r;

    loop_options.spawn_threads = RP_SPAWN_INLINE; /* one child: nothing to overlap */
    open_track(supervisor);
    loop_options.track = supervisor->track;
    loop_options.log = say_log;
    loop_options.log_user = supervisor;
    r = rp_loop_open(&loop_options, &supervisor->loop);
    if (r < 0) {
        say(supervisor, "cannot open a loop: %s", rp_strerror(r));
        return r;
    }
    r = rp_watch_start(supervisor->loop, supervisor->setup->wake_read_fd, RP_READABLE, on_wake,
                       supervisor, &supervisor->watch);
    if (r < 0) {
        say(supervisor, "cannot watch for signals: %s", rp_strerror(r));
        return r;
    }
    r = spawn(supervisor);
    if (r < 0) {
        tell_refused(supervisor, r);
        return r;
    }
    r = rpi_cli_dialog_start(&supervisor->dialog, supervisor->process);
    if (r < 0) {
        return r;
    }
    r = rp_loop_run(supervisor->loop);
    if (r < 0) {
        say(supervisor, "the loop failed: %s", rp_strerror(r));
    }
    return r;
}

/* The loop first, which may have something to say yet; then all that the writers hold is written,
 * however long it takes. */
static void close_all(struct supervisor *supervisor)
{
    /* After a failure it kills the command, and the code says 125 already. */
    (void)rp_loop_close(supervisor->loop);
    for (int i = 0; i < SIDE_COUNT; i++) {
        if (supervisor->sides[i].owns_writer) {
            rpi_cli_writer_close(supervisor->sides[i].writer);
        }
    }
    rpi_cli_events_fini(&supervisor->events);
    rp_track_close(supervisor->track);
}

int rpi_cli_supervise(const rpi_cli_options *options, const rpi_cli_setup *setup)
{
    struct supervisor supervisor = {
        .options = options, .setup = setup, .exit_code = RPI_CLI_FAILED};
    struct side *json = &supervisor.sides[SIDE_JSON];
    int r = open_sides(&supervisor);

    rpi_cli_dialog_init(&supervisor.dialog, options, &supervisor.events);
    supervisor.dialog.say = say_text;
    supervisor.dialog.user = &supervisor;
    supervisor.dialog.has_terminal = setup->has_terminal;
    if (r < 0) {
        rpi_cli_complain("cannot start a writer: %s", rp_strerror(r));
    } else {
        rpi_cli_events_init(&supervisor.events, json->writer, &json->channel);
        r = run(&supervisor);
    }
    if (supervisor.abandoned) {
        _Exit(RPI_CLI_SIGNAL_BASE + supervisor.signal); /* a writer may be stuck for good */
    }
    close_all(&supervisor);
    if (r < 0 || ((supervisor.failed || supervisor.dialog.failed) && supervisor.exit_code == 0)) {
        return RPI_CLI_FAILED;
    }
    return supervisor.exit_code;
}
