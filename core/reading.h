/* Whether a process sits and reads its terminal, or the pipe that is its stdin: seen from outside,
 * by the system call that it sleeps in. A guess: who waits for several things at once may be about
 * any of them, and a call that is not known here is not understood. Called by attention.c. */
#ifndef RPI_CORE_READING_H
#define RPI_CORE_READING_H

#include <stdbool.h>
#include <stdint.h>

typedef enum rpi_reading {
    RPI_READING_NOT = 0,
    RPI_READING_UNKNOWN, /* the system does not tell us of this process */
    RPI_READING_MAYBE,   /* among other things, or for a while only */
    RPI_READING_SURELY   /* that and nothing else, however long it takes */
} rpi_reading;

/** What would be read. */
typedef struct rpi_reading_target {
    bool is_terminal;
    uint64_t device; /* of the terminal's slave (st_rdev) */
    uint64_t inode;  /* of the pipe */
} rpi_reading_target;

/** The strongest that any of its threads gives. */
rpi_reading rpi_reading_ask(int64_t pid, const rpi_reading_target *target);

#endif
