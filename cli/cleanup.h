/* What the files of running-process-cleanup share. */
#ifndef RPI_CLI_CLEANUP_H
#define RPI_CLI_CLEANUP_H

#include <stdbool.h>

#include "cli/message.h"

enum {
    RPI_CLEANUP_DONE = 0,
    RPI_CLEANUP_FAILED = 1, /* something could not be read, or somebody has survived */
    RPI_CLEANUP_MISUSED = 2
};

typedef struct rpi_cleanup_options {
    bool json;
    bool confirm; /* do it, not only say what would be done */
} rpi_cleanup_options;

/** One line on standard error. */
void rpi_cleanup_complain(const char *format, ...) RPI_CLI_FORMAT(1, 2);

/** The processes in the database of tracking. The exit code. */
int rpi_cleanup_tracked(const rpi_cleanup_options *options);

#endif
