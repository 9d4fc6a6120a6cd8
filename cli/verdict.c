/* See verdict.h. */
#include "cli/verdict.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cli/message.h"
#include "cli/supervisor.h"

/* Where texts go. */
struct teller {
    void (*say)(const char *text, void *user);
    void *user;
};

static void tell(const struct teller *to, const char *format, ...) RPI_CLI_FORMAT(2, 3);

static void tell(const struct teller *to, const char *format, ...)
{
    char text[1024];
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments); /* cut: enough for a person */
    va_end(arguments);
    to->say(text, to->user);
}

bool rpi_cli_is_timed_out(const rp_exit *exit)
{
    return exit->reason == RP_STOP_TIMEOUT || exit->reason == RP_STOP_QUIET;
}

static bool is_phase(const rp_exit *exit, const char *phase)
{
    return exit->phase != NULL && strcmp(exit->phase, phase) == 0;
}

// ---- the code ----------------------------------------------------------------

static int code_of_failed_start(const rpi_cli_end *end)
{
    if (end->exit->error == RP_ECANCELED && end->signal != 0) {
        return RPI_CLI_SIGNAL_BASE + end->signal;
    }
    return is_phase(end->exit, "exec") ? end->exit->code : RPI_CLI_FAILED;
}

static int code_of_command(const rpi_cli_end *end)
{
    const rp_exit *exit = end->exit;
    const bool is_unmet = rpi_cli_dialog_is_unmet(end->dialog, exit);

    if (rpi_cli_is_timed_out(exit)) {
        return RPI_CLI_TIMED_OUT;
    }
    if (end->dialog->idled) { /* this was to be its end */
        return is_unmet ? RPI_CLI_FAILED : 0;
    }
    switch (exit->kind) {
    case RP_EXITED:
        return exit->code == 0 && is_unmet ? RPI_CLI_FAILED : exit->code;
    case RP_SIGNALED:
        return RPI_CLI_SIGNAL_BASE + exit->signal;
    case RP_SPAWN_FAILED:
        return code_of_failed_start(end);
    case RP_LOST:
        return RPI_CLI_FAILED;
    }
    return RPI_CLI_FAILED;
}

int rpi_cli_end_code(const rpi_cli_end *end)
{
    const int code = code_of_command(end);

    return code == 0 && end->has_leaks ? RPI_CLI_LEAKED : code;
}

// ---- what is said ------------------------------------------------------------

static void tell_timed_out(const rpi_cli_end *end, const struct teller *to)
{
    char span[48];

    if (end->exit->reason == RP_STOP_QUIET) {
        tell(to, "timed out: no output for %s",
             rpi_cli_span(end->options->idle_timeout_ns, span, sizeof span));
    } else {
        tell(to, "timed out after %s",
             rpi_cli_span(end->options->wall_timeout_ns, span, sizeof span));
    }
}

static void tell_not_started(const rpi_cli_end *end, const struct teller *to)
{
    const rpi_cli_options *options = end->options;
    const rp_exit *exit = end->exit;
    const char *why = rp_strerror(exit->error);

    if (is_phase(exit, "exec")) {
        tell(to, "%s: %s", options->command[0],
             exit->code == RPI_CLI_NOT_FOUND ? "command not found" : why);
    } else if (is_phase(exit, "chdir")) {
        tell(to, "--cwd: %s: '%s'", why, options->cwd);
    } else if (is_phase(exit, "nice")) {
        tell(to, "--nice: %s: %d", why, options->nice);
    } else {
        tell(to, "cannot start %s: %s (%s)", options->command[0], why,
             exit->phase == NULL ? rp_error_name(exit->error) : exit->phase);
    }
}

void rpi_cli_end_tell(const rpi_cli_end *end, void (*say)(const char *text, void *user), void *user)
{
    const struct teller to = {.say = say, .user = user};
    const rp_exit *exit = end->exit;

    if (rpi_cli_is_timed_out(exit)) {
        tell_timed_out(end, &to);
    } else if (exit->kind == RP_SPAWN_FAILED && exit->error != RP_ECANCELED) {
        tell_not_started(end, &to);
    } else if (exit->kind == RP_LOST) {
        tell(&to, "the command ended, but how is not known: %s", rp_strerror(RP_ELOST));
    }
    if (rpi_cli_dialog_is_unmet(end->dialog, exit)) {
        tell(&to, "--expect: it did not come: '%s'", rpi_cli_dialog_missing(end->dialog));
    }
    if (exit->survivors > 0) {
        tell(&to, "%u processes of the command survived SIGKILL", exit->survivors);
    }
}
