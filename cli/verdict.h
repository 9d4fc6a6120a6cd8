/* What the end of the command means: the exit code, and what is said of it. No state of its own: it
 * judges what the library and the dialog have told. Called by supervisor.c. */
#ifndef RPI_CLI_VERDICT_H
#define RPI_CLI_VERDICT_H

#include <stdbool.h>

#include <rp/rp.h>

#include "cli/dialog.h"
#include "cli/options.h"

typedef struct rpi_cli_end {
    const rpi_cli_options *options;
    const rpi_cli_dialog *dialog;
    const rp_exit *exit;
    bool has_leaks; /* and they are a failure */
    int signal;     /* the last that came to the supervisor; 0 = none */
} rpi_cli_end;

/** Whether a timeout set out to stop the command. */
bool rpi_cli_is_timed_out(const rp_exit *exit);

/** The code that the program ends with. */
int rpi_cli_end_code(const rpi_cli_end *end);

/** Says what is not plain from the code alone: nothing, or one text or more. */
void rpi_cli_end_tell(const rpi_cli_end *end,
                      void (*say)(const char *text, void *user),
                      void *user);

#endif
