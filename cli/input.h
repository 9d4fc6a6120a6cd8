/* Standard input for a command that has a terminal of its own (--pty): read when there is
 * something, typed there, one piece at a time, so that a command that does not read holds it up.
 * Its end becomes the terminal's end-of-file key. */
#ifndef RPI_CLI_INPUT_H
#define RPI_CLI_INPUT_H

#include <stdbool.h>

#include <rp/rp.h>

/** Some input is not typed: a line too long for the terminal (RP_EMSGSIZE), or it cannot be read.
 */
typedef void rpi_cli_input_fn(int error, void *user);

typedef struct rpi_cli_input {
    rp_loop *loop;
    rp_process *process; /* NULL: closed */
    rp_watch *watch;     /* NULL: something is being typed, or it has ended */
    rpi_cli_input_fn *failed;
    void *user;
    bool holds_end; /* the end is not told yet */
    bool ended;
    char bytes[16 * 1024];
} rpi_cli_input;

/** Begins: loop, process, failed, user and holds_end are set before. 0, or an error of
 * rp_watch_start. */
int rpi_cli_input_start(rpi_cli_input *input);

/** The end may be told: now, if it has come. */
void rpi_cli_input_release_end(rpi_cli_input *input);

/** Reads no more. Twice is as once, and so is without a start. */
void rpi_cli_input_close(rpi_cli_input *input);

#endif
