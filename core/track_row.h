/* A row of a track while it is in memory: what a launch says of itself, and where the row is on its
 * way into the database and out again. Shared by track_posix.c, which moves rows, and track_row.c,
 * which makes them. */
#ifndef RPI_CORE_TRACK_ROW_H
#define RPI_CORE_TRACK_ROW_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "core/track.h"

typedef enum rpi_track_row_state {
    RPI_ROW_NEW,       /* the process's; not registered yet */
    RPI_ROW_WAITING,   /* in the queue, to be written */
    RPI_ROW_WRITING,   /* with the thread */
    RPI_ROW_WRITTEN,   /* in the database; in no list */
    RPI_ROW_UNWRITTEN, /* left out; in no list */
    RPI_ROW_ENDING     /* in the queue or with the thread, to be deleted */
} rpi_track_row_state;

struct rpi_track_row {
    rpi_list node;
    rp_track *track; /* borrowed */
    size_t size;     /* bytes of this struct and its texts behind it */
    rpi_track_row_state state;
    bool has_ended;     /* came while it was being written; */
    bool is_let_go;     /* likewise */
    bool is_absent;     /* the thread's: it is gone, */
    bool is_put_off;    /* or about to be */
    atomic_bool ending; /* its number may be given to another from now on */
    rpi_track_record record;
};

/** Kind, command, folder and originator of a command that was checked, as valid UTF-8; NULL: no
 * memory. */
rpi_track_row *rpi_track_row_of(const rp_command *command);

void rpi_track_row_free(rpi_track_row *row);

#endif
