/* What --help and --version print, as text. */
#ifndef RPI_CLI_HELP_H
#define RPI_CLI_HELP_H

#include <stddef.h>

/** The whole of --help: at most 24 lines of 80 columns. Static. */
const char *rpi_cli_help(void);

/** The line of --version with the features of the library in use; its length, as snprintf. */
int rpi_cli_version(char *text, size_t text_size);

#endif
