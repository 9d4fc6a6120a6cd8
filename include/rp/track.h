/* running-process: tracking. Children that live are rows of a database on disk, so that what a bad
 * run left can be found and ended later: by rp_track_cleanup, or running-process-cleanup(1).
 *
 * A track is opened once and given to loops (rp_loop_options.track). Each child is registered when
 * it has started and unregistered at its exit, by a thread of the track's own that collects what
 * comes within some milliseconds: a child that ends as fast is never written. Nothing here can make
 * a launch fail or wait: where the database is locked, rows wait for it; where it cannot be written
 * (damaged, read only, no room), they wait or are left out, the loop's log is told once a reason,
 * and rp_loop_stats.track_lost counts. What waits is bounded (65,536 rows); beyond that rows are
 * left out, too.
 *
 * The file is the one of running-process 4.3.0, and may be used by both at once; a file of the
 * first versions is turned into today's form when it is opened. Needs a build with SQLite:
 * rp_has("track").
 *
 * All functions here are [any thread]. In a forked child they give RP_EPERM and touch nothing. */
#ifndef RP_TRACK_H
#define RP_TRACK_H

#include "rp/base.h"
#include "rp/contain.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Makes ready to track in the file `path`. NULL: RUNNING_PROCESS_PID_DB in the environment, else
 * running-process/tracked-pids.sqlite3 below XDG_STATE_HOME, else ~/.local/state, else
 * /tmp/running-process-state. Missing folders are made, for the user alone; the file is made with
 * the first row. A folder below /tmp must be the user's own. 0; RP_EUNSUPPORTED: built without
 * SQLite; RP_EINVAL: an empty path; -EISDIR, -ENOTDIR, -EACCES, -EROFS, ...: there can be no file
 * there; RP_ENOMEM; RP_EAGAIN: no thread. Whether it is a database shows only later. Close it with
 * rp_track_close, after the loops that use it. */
RP_API int rp_track_open(const char *path, rp_track **ret_track);

/** Where it is. Yours until the close; never NULL. */
RP_API const char *rp_track_path(const rp_track *track);

/** Tells of each row, the oldest registration first; waits up to 5 s for what is still to be
 * written. Of rp_process_info: id (its start as registered), command, cwd, kind ("subprocess",
 * "pty"), originator and parent_pid as registered; name and state as they are now, where the
 * process still lives, else state is "gone", or "reused": another process has the number. The
 * count; RP_EBUSY: another program has it locked for longer; -EBADMSG: damaged, or no database;
 * other errors of the system. */
RP_API int rp_track_list(rp_track *track, rp_each_fn *row, void *user);

/** Kills the tree (rp_tree_kill) of every row that is proved to be the same process as when it was
 * registered, also children of programs that still run, and tells of it when all of it is gone. A
 * row whose process is gone, or whose number has another, is only dropped. Rows with survivors
 * stay. Proof is the boot, the start and the kernel's own id; of a row of another version, which
 * has none, a start within 2 s of the registered one and before the registration (first versions:
 * within 1 s). Waits 3 s at most for each. The number killed; errors as rp_track_list. */
RP_API int rp_track_cleanup(rp_track *track, rp_each_fn *killed, void *user);

/** Writes what waits, for 2 s at most, ends the thread and frees. Children that still live stay in
 * the database. NULL is allowed. */
RP_API void rp_track_close(rp_track *track);

#ifdef __cplusplus
}
#endif
#endif
