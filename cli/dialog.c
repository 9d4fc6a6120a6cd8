/* See dialog.h. */
#include "cli/dialog.h"

#include <stdarg.h>
#include <stdio.h>

#include "cli/message.h"

static void say(rpi_cli_dialog *dialog, const char *format, ...) RPI_CLI_FORMAT(2, 3);

static void say(rpi_cli_dialog *dialog, const char *format, ...)
{
    char text[768];
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments); /* cut: enough for a person */
    va_end(arguments);
    dialog->say(text, dialog->user);
}

static const char *reason_of(int error)
{
    return *rp_error_detail() == '\0' ? rp_strerror(error) : rp_error_detail();
}

void rpi_cli_dialog_init(rpi_cli_dialog *dialog,
                         const rpi_cli_options *options,
                         rpi_cli_events *events)
{
    *dialog = (rpi_cli_dialog){.options = options, .events = events};
    dialog->expects.rules = options->rules;
    dialog->expects.count = options->rule_count;
}

bool rpi_cli_dialog_owns_stdin(const rpi_cli_dialog *dialog)
{
    const rpi_cli_options *options = dialog->options;

    return !options->pty && rpi_cli_expects_write(options->rules, options->rule_count);
}

bool rpi_cli_dialog_is_unmet(const rpi_cli_dialog *dialog, const rp_exit *exit)
{
    return exit->kind != RP_SPAWN_FAILED && !rpi_cli_expects_are_met(&dialog->expects);
}

const char *rpi_cli_dialog_missing(const rpi_cli_dialog *dialog)
{
    return dialog->expects.rules[dialog->expects.next].pattern;
}

void rpi_cli_dialog_set_stop(const rpi_cli_options *options, rp_stop_options *stop)
{
    stop->no_interrupt = true;
    stop->terminate_signal = options->stop_signal;
    stop->terminate_ns = options->kill_after_ns;
}

void rpi_cli_dialog_close(rpi_cli_dialog *dialog)
{
    rpi_cli_input_close(&dialog->input);
}

static void on_rule(const rpi_cli_rule *rule, const rp_match *match, void *user)
{
    rpi_cli_dialog *dialog = user;

    if (match->status == 0) {
        rpi_cli_events_expect(dialog->events, rule, match);
        if (rpi_cli_expects_are_met(&dialog->expects)) {
            if (rpi_cli_dialog_owns_stdin(dialog)) {
                (void)rp_close_stdin(dialog->process); /* nothing more will be written */
            }
            rpi_cli_input_release_end(&dialog->input);
        }
    } else if (match->status != RP_EOS && match->status != RP_ECANCELED &&
               match->status != RP_EPIPE) { /* EOS, EPIPE: its end tells what is missing */
        dialog->failed = true;
        say(dialog, "--expect: '%s': %s", rule->pattern, reason_of(match->status));
    }
}

static void on_idle(rp_process *process, const rp_idle_result *result, void *user)
{
    rpi_cli_dialog *dialog = user;
    rp_stop_options stop = RP_INIT(rp_stop_options);

    if (result->reason != RP_IDLE_IS_IDLE || dialog->idled) {
        return;
    }
    dialog->idled = true;
    rpi_cli_events_idle(dialog->events, result->idle_ns);
    rpi_cli_dialog_set_stop(dialog->options, &stop);
    if (rp_stop(process, &stop) < 0) { /* no memory for the steps: the last one needs none */
        (void)rp_kill(process);
    }
}

static void on_relay_end(rp_process *process, int status, void *user)
{
    rpi_cli_dialog *dialog = user;

    (void)process;
    if (status < 0 && status != RP_EOS) {
        dialog->failed = true;
        say(dialog, "the terminal: %s", rp_strerror(status));
    }
}

static void on_input_failed(int error, void *user)
{
    rpi_cli_dialog *dialog = user;

    dialog->failed = true;
    say(dialog, "standard input: %s",
        error == RP_EMSGSIZE ? "a line is longer than a terminal takes" : rp_strerror(error));
}

/* What is typed: by a person at our terminal, or from a file or pipe. */
static int start_input(rpi_cli_dialog *dialog)
{
    rp_relay_options relay = RP_RELAY_OPTIONS_INIT;
    rpi_cli_input *input = &dialog->input;
    int r;

    if (dialog->has_terminal) {
        relay.no_output = true; /* the writer has it: it may block where we must not */
        r = rp_relay_start(dialog->process, &relay, on_relay_end, dialog, NULL);
    } else {
        input->loop = rp_process_loop(dialog->process);
        input->process = dialog->process;
        input->failed = on_input_failed;
        input->user = dialog;
        input->holds_end = !rpi_cli_expects_are_met(&dialog->expects);
        r = rpi_cli_input_start(input);
    }
    if (r < 0) {
        say(dialog, "--pty: standard input: %s", reason_of(r));
    }
    return r;
}

int rpi_cli_dialog_start(rpi_cli_dialog *dialog, rp_process *process)
{
    const rpi_cli_options *options = dialog->options;
    const rpi_cli_rule *bad = NULL;
    rp_idle_options idle = RP_IDLE_OPTIONS_INIT;
    int r;

    dialog->process = process;
    dialog->expects.matched = on_rule;
    dialog->expects.user = dialog;
    r = rpi_cli_expects_start(&dialog->expects, process, &bad);
    if (r < 0) {
        say(dialog, "--expect: '%s': %s", bad->pattern, reason_of(r));
        return r;
    }
    if (options->idle_exit_ns != 0) {
        idle.timeout_ns = options->idle_exit_ns;
        idle.stability_ns = 1; /* the one span counts */
        r = rp_idle_start(dialog->process, &idle, on_idle, dialog, NULL);
        if (r < 0) {
            say(dialog, "--idle-exit: %s", rp_strerror(r));
            return r;
        }
    }
    return options->pty ? start_input(dialog) : 0;
}
