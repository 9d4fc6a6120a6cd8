/* See aftermath.h. The order: a timeout has its diagnosis, then the command is stopped; when it is
 * done, what its end means is said, a bad end has its file, leaks are looked for, told, and killed.
 */
#include "cli/aftermath.h"

#include <stdio.h>

#include "cli/quote.h"
#include "cli/verdict.h"

#define KILL_LEAKS_NS (2 * RP_SECOND)

static void say_error(rpi_cli_aftermath *aftermath, const char *what, int error)
{
    const char *detail = rp_error_detail();
    char text[512];

    (void)snprintf(text, sizeof text, "%s: %s", what,
                   *detail != '\0' ? detail : rp_strerror(error));
    aftermath->say(text, aftermath->user);
}

/* Whole lines of ours, as they are. */
static void say_lines(rpi_cli_aftermath *aftermath, rpi_cli_buffer *lines)
{
    rpi_cli_outlet *outlet = &aftermath->outlets->all[RPI_CLI_ERR];

    if (lines->failed || rpi_cli_outlet_put(outlet, lines->data, lines->size) < 0) {
        aftermath->failed = true;
        aftermath->say("a report is not whole: there is no memory", aftermath->user);
    }
    rpi_cli_buffer_fini(lines);
}

// ---- leaks -------------------------------------------------------------------

static void report_leaks(rpi_cli_aftermath *aftermath)
{
    rpi_cli_buffer lines = {0};
    const int r = rpi_cli_leaks_find(&aftermath->leaks, aftermath->process);

    if (r < 0) { /* a clean run is not to be claimed */
        aftermath->failed = true;
        say_error(aftermath, "--find-leaks: the look is not whole", r);
    }
    rpi_cli_leaks_report(&aftermath->leaks, &lines);
    if (lines.size > 0 || lines.failed) {
        say_lines(aftermath, &lines);
    }
    rpi_cli_events_leaks(aftermath->events, &aftermath->leaks);
}

static void on_killed(rp_group *group, const rp_survivor *survivors, size_t count, void *user)
{
    rpi_cli_aftermath *aftermath = user;
    rpi_cli_buffer lines = {0};

    (void)group;
    if (rpi_cli_leaks_check(&aftermath->leaks, survivors, count) > 0 || count > 0) {
        aftermath->failed = true;
    }
    if (count > 0 || aftermath->leaks.count > 0) {
        rpi_cli_leaks_report_kill(&aftermath->leaks, survivors, count, &lines);
        say_lines(aftermath, &lines);
    }
    rpi_cli_events_leaks_killed(aftermath->events, &aftermath->leaks, survivors, count);
    aftermath->finished(aftermath->user);
}

/* Whether on_killed goes on. */
static bool kill_leaks(rpi_cli_aftermath *aftermath)
{
    const int r = rp_group_kill(aftermath->group, KILL_LEAKS_NS, on_killed, aftermath);

    if (r < 0) {
        aftermath->failed = true;
        say_error(aftermath, "--kill-leaks: it is not known whether all are gone", r);
    }
    return r == 0;
}

bool rpi_cli_aftermath_has_failing_leaks(const rpi_cli_aftermath *aftermath)
{
    return aftermath->options->leaks == RPI_CLI_LEAKS_FAIL && aftermath->leaks.count > 0;
}

// ---- the end -----------------------------------------------------------------

/* A bad end that nobody asked for. What a timeout has ended was looked at before. */
static bool is_to_be_diagnosed(const rpi_cli_aftermath *aftermath, const rp_exit *exit)
{
    return !aftermath->options->no_dumps && exit->abnormal && exit->kind != RP_SPAWN_FAILED &&
           !rpi_cli_is_timed_out(exit) && !aftermath->dialog->idled;
}

/* The command is over, and nobody looks at it any more. */
static void end(rpi_cli_aftermath *aftermath)
{
    const rp_exit *exit = rp_process_exit(aftermath->process);
    const rpi_cli_end what = {
        .options = aftermath->options, .dialog = aftermath->dialog, .exit = exit};

    rpi_cli_end_tell(&what, aftermath->say, aftermath->user);
    if (is_to_be_diagnosed(aftermath, exit)) {
        rpi_cli_diagnosis_write(&aftermath->diagnosis, aftermath->process);
    }
    if (aftermath->options->leaks != RPI_CLI_LEAKS_IGNORE && exit->kind != RP_SPAWN_FAILED) {
        report_leaks(aftermath);
        if (aftermath->group != NULL && kill_leaks(aftermath)) {
            return;
        }
    }
    aftermath->finished(aftermath->user);
}

void rpi_cli_aftermath_done(rpi_cli_aftermath *aftermath, rp_process *process)
{
    aftermath->process = process;
    if (rpi_cli_diagnosis_is_active(&aftermath->diagnosis)) {
        aftermath->ended = true; /* on_diagnosed goes on */
        rpi_cli_diagnosis_cancel(&aftermath->diagnosis);
    } else {
        end(aftermath);
    }
}

// ---- diagnostics -------------------------------------------------------------

static void on_diagnosed(void *user)
{
    rpi_cli_aftermath *aftermath = user;
    rp_stop_options stop = RP_INIT(rp_stop_options);

    if (aftermath->ended) {
        end(aftermath);
        return;
    }
    rpi_cli_dialog_set_stop(aftermath->options, &stop);
    if (rp_stop(aftermath->process, &stop) < 0) { /* no memory for the steps */
        (void)rp_kill(aftermath->process);
    }
}

bool rpi_cli_aftermath_timed_out(rpi_cli_aftermath *aftermath,
                                 rp_process *process,
                                 rp_stop_reason reason)
{
    aftermath->process = process;
    return aftermath->options->no_dumps ||
           !rpi_cli_diagnosis_begin(&aftermath->diagnosis, process, reason);
}

static void on_written(const char *reason, const char *path, void *user)
{
    rpi_cli_aftermath *aftermath = user;
    rpi_cli_buffer line = {0};

    rpi_cli_add_text(&line, "[running-process] ");
    rpi_cli_add_text(&line, reason);
    rpi_cli_add_text(&line, " diagnostics written to ");
    rpi_cli_add_printable(&line, path);
    rpi_cli_add_text(&line, "\n");
    say_lines(aftermath, &line);
    rpi_cli_events_diagnostics(aftermath->events, reason, path);
}

// ---- setting up --------------------------------------------------------------

void rpi_cli_aftermath_init(rpi_cli_aftermath *aftermath, int64_t own_pid)
{
    rpi_cli_leaks_init(&aftermath->leaks, own_pid);
    rpi_cli_record_init(&aftermath->record);
    aftermath->diagnosis = (rpi_cli_diagnosis){.options = aftermath->options,
                                               .record = &aftermath->record,
                                               .say = aftermath->say,
                                               .say_user = aftermath->user,
                                               .written = on_written,
                                               .finished = on_diagnosed,
                                               .user = aftermath};
}

void rpi_cli_aftermath_fini(rpi_cli_aftermath *aftermath)
{
    rpi_cli_leaks_fini(&aftermath->leaks);
    rpi_cli_diagnosis_fini(&aftermath->diagnosis);
}

/* So that all that the command starts can be ended with it. Only its end asks for that, so no guard
 * has to stand by. */
static int open_group(rpi_cli_aftermath *aftermath, rp_loop *loop)
{
    rp_group_options options = RP_INIT(rp_group_options);

    options.survive_crash = true;
    return rp_group_open(loop, &options, &aftermath->group);
}

int rpi_cli_aftermath_prepare(rpi_cli_aftermath *aftermath, rp_loop *loop, rp_command *command)
{
    const rpi_cli_options *options = aftermath->options;
    int r = 0;

    if (!options->no_dumps) {
        command->capture_max = RPI_CLI_TAIL_SIZE;
        command->capture_keep = RP_KEEP_TAIL;
    }
    if (options->leaks != RPI_CLI_LEAKS_IGNORE) {
        command->originator = aftermath->leaks.mark;
    }
    if (options->kill_leaks) {
        r = open_group(aftermath, loop);
        command->group = aftermath->group;
    }
    return r;
}
