/* running-process --why: why a process does not go on. Called by main_posix.c. */
#ifndef RPI_CLI_WHY_H
#define RPI_CLI_WHY_H

#include <stdint.h>

#include "cli/buffer.h"

/** Composes the text about the process and its tree: 0; or an error (RP_ESRCH: there is no such
 * process), and `text` is not to be shown. */
int rpi_cli_why(int64_t pid, rpi_cli_buffer *text);

#endif
