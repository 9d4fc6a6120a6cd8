/* The database of tracking: one file with the table of running-process 4.3.0, so that both work on
 * it side by side, and a second table of our own with what proves that a process is the one in the
 * row. Behind this header stands SQLite (track_store_sqlite.c), or nothing
 * (track_store_absent.c). A store belongs to one thread at a time. Errors: -EBUSY another program
 * has it locked, -ENOSPC, -ENOMEM, -EIO: may be over later; -EBADMSG (damaged, or no database),
 * -EROFS, -EACCES, -ENOENT and others: last. The error detail has SQLite's own words. */
#ifndef RPI_CORE_TRACK_STORE_H
#define RPI_CORE_TRACK_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/identity.h"

typedef struct rpi_track_store rpi_track_store;

/** One row. Its texts are the caller's or, in a callback, the store's. */
typedef struct rpi_track_record {
    rpi_identity id; /* start_ticks, unique: 0 where the row does not tell */
    uint64_t created_at_ms;
    double registered_at; /* seconds since 1970 */
    const char *boot;     /* "": the row does not tell */
    const char *kind, *command, *cwd, *originator, *containment;
} rpi_track_record;

/** false ends. */
typedef bool rpi_track_record_fn(const rpi_track_record *record, void *user);

bool rpi_track_store_is_built_in(void);

/** Opens the file, and makes it where `create` says so and its folder is there; makes the tables
 * where they are missing and turns an older one into today's. Waits for `wait_ms` milliseconds for
 * other programs, then and later. 0; -ENOENT: there is none; RP_EUNSUPPORTED: not built in; ... */
int rpi_track_store_open(const char *path, int wait_ms, bool create, rpi_track_store **ret_store);
void rpi_track_store_close(rpi_track_store *store);

/** Between begin and commit are as many changes as come; what was not committed is as if it had
 * never been (rollback, or an error of commit). */
int rpi_track_store_begin(rpi_track_store *store);
int rpi_track_store_commit(rpi_track_store *store);
void rpi_track_store_rollback(rpi_track_store *store);

/** A row for a living process, in place of all earlier ones with its number. */
int rpi_track_store_put(rpi_track_store *store, const rpi_track_record *record);

/** Deletes the row with this number and start. None is no error. */
int rpi_track_store_remove(rpi_track_store *store, int64_t pid, uint64_t created_at_ms);

/** Deletes what is left of ours of rows that another program has deleted. */
int rpi_track_store_tidy(rpi_track_store *store);

/** All rows, the oldest registration first. */
int rpi_track_store_each(rpi_track_store *store, rpi_track_record_fn *each, void *user);

#endif
