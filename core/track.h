/* Tracking inside: what a loop and its processes ask of a track (include/rp/track.h), and what the
 * files of it share:
 *
 *     track_posix.c       the queue and the thread that writes    track_store_*.c  the database
 *     track_row.c         what is known of a launch               track_list.c     list and cleanup
 *     track_path_posix.c  where the file is, and its folder
 *
 * A row is made with its process, registered when the child runs, and let go at its end; from the
 * registration on it is the track's and the process only names it. All memory is of the default
 * allocator, as a track outlives loops. */
#ifndef RPI_CORE_TRACK_H
#define RPI_CORE_TRACK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "core/track_store.h"
#include "reactor/reactor.h"
#include "rp/command.h"
#include "rp/track.h"

typedef struct rpi_track_row rpi_track_row;

/** A loop that uses a track. Embedded in the loop. */
typedef struct rpi_track_link {
    rpi_list node;   /* the track's; under its lock */
    rpi_async async; /* there is something to tell the log */
} rpi_track_link;

/* ---- track_posix.c: of the loop's thread ---- */

/** From now on the loop is told of trouble: `async` is rung, then rpi_track_take_trouble asked. */
void rpi_track_link_loop(rp_track *track, rpi_track_link *link);
void rpi_track_unlink_loop(rp_track *track, rpi_track_link *link);

/** A text that the log has not been told yet, copied; false: none. */
bool rpi_track_take_trouble(rp_track *track, uint32_t *seen, char *text, size_t text_size);

/** A row for a command that was checked; NULL: no memory, which is counted. */
rpi_track_row *rpi_track_row_make(rp_track *track, const rp_command *command);

/** The child runs, made at the point `launched_ns`. `pidfd` may be -1. */
void rpi_track_register(rpi_track_row *row, int64_t pid, int pidfd, uint64_t launched_ns);

/** Before somebody tries to reap the child, and after a try that found it alive: nobody is written
 * down who may have another's number by then. */
void rpi_track_set_ending(rpi_track_row *row, bool ending);

/** The child has ended: the row goes. Also one that was never registered. */
void rpi_track_unregister(rpi_track_row *row);

/** The process is freed while its child may live on: the row stays in the database. Also one that
 * was never registered. */
void rpi_track_let_go(rpi_track_row *row);

/** In a forked child: frees the row, touches nothing else. */
void rpi_track_row_free_forked(rpi_track_row *row);

/** Rows that were left out so far. */
uint64_t rpi_track_lost(rp_track *track);

/* ---- for track_list.c ---- */

/** RP_EPERM in a forked child. Clears the error detail. */
int rpi_track_enter(const rp_track *track);

/** Waits until what was registered and unregistered so far is written, for a while at most. */
void rpi_track_flush(rp_track *track, uint64_t timeout_ns);

/* ---- track_path_posix.c ---- */

/** The path that rp_track_open(path) means, of the default allocator (size: strlen + 1). 0;
 * RP_EINVAL; -ENOMEM. */
int rpi_track_path_find(const char *path, char **ret_path);

/** Makes the folders above the file, and looks whether there can be a file. 0 or -errno. */
int rpi_track_path_prepare(const char *path);

/** Whether there is a file: 1, 0 or -errno. */
int rpi_track_path_exists(const char *path);

/** Makes the file, for the user alone, where there is none: SQLite would make it for everybody. 0
 * or -errno. */
int rpi_track_path_make_file(const char *path);

#endif
