/* The descriptors that the supervisor writes to: standard output, standard error, and where the
 * events of --json go. Each has a writer (cli/writer.h); those that lead to one place share one, so
 * that their order is kept. A descriptor that fails is broken from then on: what is put there is
 * dropped. Called by supervisor.c. */
#ifndef RPI_CLI_OUTLETS_H
#define RPI_CLI_OUTLETS_H

#include <stdbool.h>
#include <stddef.h>

#include "cli/writer.h"

typedef enum rpi_cli_outlet_index {
    RPI_CLI_OUT = 0,
    RPI_CLI_ERR,
    RPI_CLI_JSON,
    RPI_CLI_OUTLET_COUNT
} rpi_cli_outlet_index;

typedef struct rpi_cli_outlet {
    rpi_cli_channel channel;
    rpi_cli_writer *writer; /* NULL = not in use */
    bool owns_writer;       /* else an earlier one does: both lead to one place */
    bool broken;            /* nothing goes there any more */
    bool paused;            /* the command's stream waits; not RPI_CLI_JSON */
    const char *name;
} rpi_cli_outlet;

typedef struct rpi_cli_outlets {
    rpi_cli_outlet all[RPI_CLI_OUTLET_COUNT];
} rpi_cli_outlets;

/** Zeroed before. `json_fd`: negative = without. 0, or an error of rpi_cli_writer_open: what is
 * open is to be closed all the same. */
int rpi_cli_outlets_open(rpi_cli_outlets *outlets, int json_fd, int wake_fd);

/** Copies the bytes: 0, or -ENOMEM: nothing was taken. Nothing where it is not open. */
int rpi_cli_outlet_put(rpi_cli_outlet *outlet, const void *bytes, size_t size);

/** More is queued than should be; something is not written yet. A broken one is neither. */
bool rpi_cli_outlet_is_full(rpi_cli_outlet *outlet);
bool rpi_cli_outlet_is_busy(rpi_cli_outlet *outlet);

/** The error that ended it, or 0; once it is broken: 0. */
int rpi_cli_outlet_error(const rpi_cli_outlet *outlet);

/** Whether nothing is left to be written. */
bool rpi_cli_outlets_are_written(rpi_cli_outlets *outlets);

/** Waits until all is written, however long it takes. */
void rpi_cli_outlets_close(rpi_cli_outlets *outlets);

#endif
