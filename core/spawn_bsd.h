/* What the two halves of the spawner of FreeBSD and macOS share: the parent's side (spawn_bsd.c)
 * plans all that the child does, the child's side (spawn_child_bsd.c) carries it out. */
#ifndef RPI_CORE_SPAWN_BSD_H
#define RPI_CORE_SPAWN_BSD_H

#include <stddef.h>

#include "core/launch.h"

enum {
    RPI_TERMINAL_NAME_SIZE = 64
};

typedef enum rpi_child_phase {
    RPI_PHASE_CHILD_SETSID = 0,
    RPI_PHASE_CHILD_SETPGID,
    RPI_PHASE_CHILD_TERMINAL,
    RPI_PHASE_CHILD_RLIMIT,
    RPI_PHASE_CHILD_NICE,
    RPI_PHASE_CHILD_IDS,
    RPI_PHASE_CHILD_CHDIR,
    RPI_PHASE_CHILD_DESCRIPTORS,
    RPI_PHASE_CHILD_EXEC
} rpi_child_phase;

typedef struct rpi_child_move {
    int from; // above all that the child has; -1: the target is closed
    int to;
} rpi_child_move;

typedef struct rpi_child_plan {
    const rpi_launch *launch;
    const char *terminal; // the slave's path; NULL: none
    rpi_child_move *moves;
    size_t move_count;
    int report; // write end of a close-on-exec pipe: the child's failure
} rpi_child_plan;

/** What the child writes when it fails. */
typedef struct rpi_child_report {
    int error; // errno
    int phase; // rpi_child_phase
} rpi_child_report;

/** Between fork and exec; all signals are blocked. Only calls that are safe in a copy of a process
 * with threads, and in one that shares its memory. */
_Noreturn void rpi_child_run(const rpi_child_plan *plan);

#endif
