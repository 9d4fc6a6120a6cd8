/* What the supervisor does beside passing output through: the rules of --expect, the quiet that
 * ends a command (--idle-exit), and what is typed to a command with a terminal of its own (--pty):
 * by a person, relayed, or from a file or pipe. Called by supervisor.c. */
#ifndef RPI_CLI_DIALOG_H
#define RPI_CLI_DIALOG_H

#include <stdbool.h>

#include <rp/rp.h>

#include "cli/events.h"
#include "cli/expects.h"
#include "cli/input.h"
#include "cli/options.h"

typedef struct rpi_cli_dialog {
    const rpi_cli_options *options; /* borrowed */
    rpi_cli_events *events;         /* borrowed */
    rp_process *process;
    void (*say)(const char *text, void *user); /* one line on standard error */
    void *user;
    bool has_terminal; /* standard input is one */
    bool failed;       /* something was lost by nobody's wish, and it is said */
    bool idled;        /* it was quiet for as long as --idle-exit says */
    rpi_cli_expects expects;
    rpi_cli_input input;
} rpi_cli_dialog;

/** `say`, `user` and has_terminal are set afterwards. */
void rpi_cli_dialog_init(rpi_cli_dialog *dialog,
                         const rpi_cli_options *options,
                         rpi_cli_events *events);

/** Before the loop runs: 0, or what failed, and it is said. */
int rpi_cli_dialog_start(rpi_cli_dialog *dialog, rp_process *process);

/** The command is over. */
void rpi_cli_dialog_close(rpi_cli_dialog *dialog);

/** Whether standard input of the command is what --expect writes, and nothing else. */
bool rpi_cli_dialog_owns_stdin(const rpi_cli_dialog *dialog);

/** Whether a rule of --expect still waits although it had its chance, and its pattern. */
bool rpi_cli_dialog_is_unmet(const rpi_cli_dialog *dialog, const rp_exit *exit);
const char *rpi_cli_dialog_missing(const rpi_cli_dialog *dialog);

/** How timeouts and quiet stop a command. */
void rpi_cli_dialog_set_stop(const rpi_cli_options *options, rp_stop_options *stop);

#endif
