/* Runs the one command from its launch to its end and says with what code the program is to end. */
#ifndef RPI_CLI_SUPERVISOR_H
#define RPI_CLI_SUPERVISOR_H

#include <stdbool.h>
#include <stdint.h>

#include "cli/options.h"

/** The codes of our own; others are the command's, or 128 and a signal. */
enum {
    RPI_CLI_LEAKED = 123, /* the command succeeded and left processes behind */
    RPI_CLI_TIMED_OUT = 124,
    RPI_CLI_FAILED = 125,
    RPI_CLI_NOT_EXECUTABLE = 126,
    RPI_CLI_NOT_FOUND = 127,
    RPI_CLI_SIGNAL_BASE = 128
};

typedef struct rpi_cli_setup {
    int64_t own_pid;
    int json_fd;         /* with options.json: open for writing */
    bool has_terminal;   /* standard input is one */
    uint16_t rows, cols; /* of the terminal among our descriptors; 0 = there is none */
    int wake_read_fd;    /* of rpi_cli_signals_open */
    int wake_write_fd;
} rpi_cli_setup;

/** Returns the exit code; what went wrong has been told on standard error. Descriptors 0 to 2 must
 * be open. */
int rpi_cli_supervise(const rpi_cli_options *options, const rpi_cli_setup *setup);

#endif
