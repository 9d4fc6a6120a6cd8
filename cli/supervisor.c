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

#include "cli/aftermath.h"
#include "cli/dialog.h"
#include "cli/events.h"
#include "cli/message.h"
#include "cli/outlets.h"
#include "cli/signals.h"
#include "cli/verdict.h"

#define LEAVE_NS RP_SECOND

struct supervisor {
    const rpi_cli_options *options;
    const rpi_cli_setup *setup;
    rpi_cli_outlets outlets;
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
    rpi_cli_aftermath aftermath;
    int exit_code;
};

// ---- what is said ------------------------------------------------------------

static void say(struct supervisor *supervisor, const char *format, ...) RPI_CLI_FORMAT(2, 3);

/* Behind what the command wrote to standard error, by the same way. */
static void say(struct supervisor *supervisor, const char *format, ...)
{
    char text[1024];
    va_list arguments;
    size_t size;

    va_start(arguments, format);
    size = rpi_cli_message(text, sizeof text, format, arguments);
    va_end(arguments);
    /* Without memory it stays unsaid: the exit code tells that something failed. */
    (void)rpi_cli_outlet_put(&supervisor->outlets.all[RPI_CLI_ERR], text, size);
}

static void say_text(const char *text, void *user)
{
    say(user, "%s", text);
}

// ---- flow --------------------------------------------------------------------

/* The child's stream runs while there is room for what comes of it. */
static void attend_flow(struct supervisor *supervisor, int index)
{
    rpi_cli_outlet *outlet = &supervisor->outlets.all[index];
    rp_stream stream = index == RPI_CLI_OUT ? RP_STDOUT : RP_STDERR;
    bool wait = rpi_cli_outlet_is_full(outlet) ||
                rpi_cli_outlet_is_full(&supervisor->outlets.all[RPI_CLI_JSON]);

    /* What is shown to a person is written before the end is told and the terminal restored. */
    if (supervisor->options->pty && supervisor->setup->has_terminal && !wait) {
        wait = rpi_cli_outlet_is_busy(outlet);
    }

    if (wait == outlet->paused || supervisor->process == NULL) {
        return;
    }
    outlet->paused = wait;
    /* It fails where the stream has ended, and then there is nothing to hold up. */
    (void)(wait ? rp_pause(supervisor->process, stream) : rp_resume(supervisor->process, stream));
}

/* The command is to notice as if it had written to our broken descriptor itself. Where its stream
 * has ended, or not begun, there is nothing to close; a beginning is followed by on_data. */
static void close_stream(struct supervisor *supervisor, int index)
{
    if (supervisor->process != NULL) {
        (void)rp_close_output(supervisor->process, index == RPI_CLI_OUT ? RP_STDOUT : RP_STDERR);
    }
}

/* A descriptor of ours takes no more. */
static void give_up(struct supervisor *supervisor, int index, int error)
{
    rpi_cli_outlet *outlet = &supervisor->outlets.all[index];

    outlet->broken = true;
    if (error != RP_EPIPE) { /* a reader that has seen enough is no failure */
        supervisor->failed = true;
        say(supervisor, "%s: %s", outlet->name, rp_strerror(error));
    }
    if (index == RPI_CLI_JSON) {
        supervisor->events.writer = NULL;
    } else {
        close_stream(supervisor, index);
    }
}

static void attend_errors(struct supervisor *supervisor)
{
    for (int i = 0; i < RPI_CLI_OUTLET_COUNT; i++) {
        const rpi_cli_outlet *outlet = &supervisor->outlets.all[i];
        int error = rpi_cli_outlet_error(outlet);

        if (error == 0 && i == RPI_CLI_JSON && !outlet->broken) {
            error = supervisor->events.error;
        }
        if (error < 0) {
            give_up(supervisor, i, error);
        }
    }
}

static void attend(struct supervisor *supervisor)
{
    /* Asked before the errors are looked at: what fails to be written is then seen by this look or
     * by a later one. */
    bool over = supervisor->done && rpi_cli_outlets_are_written(&supervisor->outlets);

    attend_errors(supervisor);
    attend_flow(supervisor, RPI_CLI_OUT);
    attend_flow(supervisor, RPI_CLI_ERR);
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

    supervisor->aftermath.record.started_ns = rp_loop_now_ns(supervisor->loop);
    rpi_cli_events_start(&supervisor->events, supervisor->options, rp_process_pid(process));
}

static void on_data(rp_process *process, rp_stream stream, rp_view bytes, void *user)
{
    struct supervisor *supervisor = user;
    int index = stream == RP_STDERR ? RPI_CLI_ERR : RPI_CLI_OUT;
    rpi_cli_outlet *outlet = &supervisor->outlets.all[index];
    int r;

    (void)process;
    rpi_cli_record_data(&supervisor->aftermath.record, stream, bytes.size,
                        rp_loop_now_ns(supervisor->loop));
    if (outlet->broken) { /* read before it was closed, or it broke before the start */
        close_stream(supervisor, index);
        return;
    }
    r = rpi_cli_outlet_put(outlet, bytes.data, bytes.size);
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
    attend_flow(supervisor, stream == RP_STDERR ? RPI_CLI_ERR : RPI_CLI_OUT);
}

static void on_eos(rp_process *process, rp_stream stream, void *user)
{
    struct supervisor *supervisor = user;

    (void)process;
    rpi_cli_record_eos(&supervisor->aftermath.record, stream);
    rpi_cli_events_eos(&supervisor->events, stream);
}

/* What stopped it is known now: the library tells of its steps with the exit. */
static void tell_steps(struct supervisor *supervisor, const rp_exit *exit)
{
    const rpi_cli_options *options = supervisor->options;
    rpi_cli_events *events = &supervisor->events;

    if (rpi_cli_is_timed_out(exit)) {
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

/* Nothing more comes of the command. */
static void finish(void *user)
{
    struct supervisor *supervisor = user;
    const rp_exit *exit = rp_process_exit(supervisor->process);
    const rpi_cli_end end = {.options = supervisor->options,
                             .dialog = &supervisor->dialog,
                             .exit = exit,
                             .has_leaks =
                                 rpi_cli_aftermath_has_failing_leaks(&supervisor->aftermath),
                             .signal = supervisor->signal};

    supervisor->exit_code = rpi_cli_end_code(&end);
    supervisor->done = true;
    rpi_cli_events_exit(&supervisor->events, exit, supervisor->exit_code);
    attend(supervisor);
}

static void on_done(rp_process *process, const rp_exit *exit, void *user)
{
    struct supervisor *supervisor = user;

    (void)exit;
    rpi_cli_dialog_close(&supervisor->dialog);
    rpi_cli_aftermath_done(&supervisor->aftermath, process); /* finish goes on */
}

static bool on_timed_out(rp_process *process, rp_stop_reason reason, void *user)
{
    struct supervisor *supervisor = user;

    return rpi_cli_aftermath_timed_out(&supervisor->aftermath, process, reason);
}

// ---- setting up and going ----------------------------------------------------

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
                            .done = on_done,
                            .timed_out = on_timed_out};
    int r;

    rpi_cli_dialog_set_stop(options, &stop);
    set_streams(supervisor, &command);
    command.argv = options->command;
    command.cwd = options->cwd;
    command.env = options->env;
    command.nice = options->nice;
    command.timeout_ns = options->wall_timeout_ns;
    command.quiet_timeout_ns = options->idle_timeout_ns;
    command.stop = &stop;
    r = rpi_cli_aftermath_prepare(&supervisor->aftermath, supervisor->loop, &command);
    if (r < 0) {
        return r;
    }
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
    rpi_cli_outlets_close(&supervisor->outlets);
    rpi_cli_events_fini(&supervisor->events);
    rpi_cli_aftermath_fini(&supervisor->aftermath);
    rp_track_close(supervisor->track);
}

static void init_aftermath(struct supervisor *supervisor)
{
    supervisor->aftermath = (rpi_cli_aftermath){.options = supervisor->options,
                                                .dialog = &supervisor->dialog,
                                                .events = &supervisor->events,
                                                .outlets = &supervisor->outlets,
                                                .say = say_text,
                                                .finished = finish,
                                                .user = supervisor};
    rpi_cli_aftermath_init(&supervisor->aftermath, supervisor->setup->own_pid);
}

int rpi_cli_supervise(const rpi_cli_options *options, const rpi_cli_setup *setup)
{
    struct supervisor supervisor = {
        .options = options, .setup = setup, .exit_code = RPI_CLI_FAILED};
    rpi_cli_outlet *json = &supervisor.outlets.all[RPI_CLI_JSON];
    int r = rpi_cli_outlets_open(&supervisor.outlets, setup->json_fd, setup->wake_write_fd);

    init_aftermath(&supervisor);
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
    if (r < 0 || ((supervisor.failed || supervisor.aftermath.failed || supervisor.dialog.failed) &&
                  supervisor.exit_code == 0)) {
        return RPI_CLI_FAILED;
    }
    return supervisor.exit_code;
}
