/* What comes behind the command itself: its diagnostics when it ends badly or hangs, the report of
 * what it leaves behind, and the end of that. Nothing of it waits for the command's processes.
 * Called by supervisor.c. */
#ifndef RPI_CLI_AFTERMATH_H
#define RPI_CLI_AFTERMATH_H

#include <stdbool.h>

#include <rp/rp.h>

#include "cli/diagnosis.h"
#include "cli/dialog.h"
#include "cli/events.h"
#include "cli/leaks.h"
#include "cli/outlets.h"
#include "cli/record.h"

typedef struct rpi_cli_aftermath {
    const rpi_cli_options *options; /* all borrowed, and set before */
    rpi_cli_dialog *dialog;
    rpi_cli_events *events;
    rpi_cli_outlets *outlets;
    void (*say)(const char *text, void *user);
    void (*finished)(void *user); /* of rpi_cli_aftermath_done: once */
    void *user;

    rpi_cli_record record;
    bool failed; /* something was not found out or not ended, and it is said */
    rp_process *process;
    rp_group *group; /* --kill-leaks: whoever the command starts; else NULL */
    rpi_cli_leaks leaks;
    rpi_cli_diagnosis diagnosis;
    bool ended; /* while a diagnosis is under way */
} rpi_cli_aftermath;

void rpi_cli_aftermath_init(rpi_cli_aftermath *aftermath, int64_t own_pid);
void rpi_cli_aftermath_fini(rpi_cli_aftermath *aftermath);

/** Sets what the command needs for it: 0, or an error of rp_group_open. */
int rpi_cli_aftermath_prepare(rpi_cli_aftermath *aftermath, rp_loop *loop, rp_command *command);

/** The command has timed out: whether it is to be stopped now. Else it is looked at first, and
 * stopped from here. */
bool rpi_cli_aftermath_timed_out(rpi_cli_aftermath *aftermath,
                                 rp_process *process,
                                 rp_stop_reason reason);

/** The command is done: `finished` comes when all is told, in this call or later. */
void rpi_cli_aftermath_done(rpi_cli_aftermath *aftermath, rp_process *process);

/** Whether there are leaks, and they are a failure. */
bool rpi_cli_aftermath_has_failing_leaks(const rpi_cli_aftermath *aftermath);

#endif
