/* See track_store.h. SQLite in WAL mode, statements prepared once. The only file that knows SQLite.
 *
 * `tracked_processes` is running-process 4.3.0's, to the letter; programs of that version may have
 * the file open as well. `tracked_identities` is ours: the boot, the start in ticks and the
 * kernel's own id, so that a row names one process and no other however the clock was set since. An
 * older table of the first name (its start is `created_at`, in seconds) is turned into today's
 * when the file is opened, in one transaction. */
#include <errno.h>
#include <sqlite3.h>
#include <string.h>

#include "base/alloc.h"
#include "base/status.h"
#include "core/track_store.h"

enum {
    CHECKPOINT_PAGES = 200 /* of the log: whoever opens the file reads it through */
};

typedef enum statement {
    BEGIN,
    COMMIT,
    ROLLBACK,
    FORGET, /* earlier rows with the number */
    FORGET_IDENTITY,
    TIDY,
    PUT,
    PUT_IDENTITY,
    REMOVE,
    REMOVE_IDENTITY,
    EACH,
    STATEMENT_COUNT
} statement;

static const char *const texts[STATEMENT_COUNT] = {
    [BEGIN] = "BEGIN IMMEDIATE",
    [COMMIT] = "COMMIT",
    [ROLLBACK] = "ROLLBACK",
    [FORGET] = "DELETE FROM tracked_processes WHERE pid = ?1",
    [FORGET_IDENTITY] = "DELETE FROM tracked_identities WHERE pid = ?1",
    [PUT] = "INSERT INTO tracked_processes (pid, created_at_ms, kind, command, cwd, originator,"
            " containment, registered_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    [TIDY] = "DELETE FROM tracked_identities WHERE NOT EXISTS (SELECT 1 FROM tracked_processes p"
             " WHERE p.pid = tracked_identities.pid"
             " AND p.created_at_ms = tracked_identities.created_at_ms)",
    [PUT_IDENTITY] =
        "INSERT OR REPLACE INTO tracked_identities (pid, created_at_ms, boot_id, start_ticks,"
        " unique_id) VALUES (?1, ?2, ?3, ?4, ?5)",
    [REMOVE] = "DELETE FROM tracked_processes WHERE pid = ?1 AND created_at_ms = ?2",
    [REMOVE_IDENTITY] = "DELETE FROM tracked_identities WHERE pid = ?1 AND created_at_ms = ?2",
    [EACH] = "SELECT p.pid, p.created_at_ms, p.kind, p.command, p.cwd, p.originator,"
             " p.containment, p.registered_at, i.boot_id, i.start_ticks, i.unique_id"
             " FROM tracked_processes p LEFT JOIN tracked_identities i"
             " ON i.pid = p.pid AND i.created_at_ms = p.created_at_ms"
             " ORDER BY p.registered_at, p.pid",
};

static const char tables[] =
    "CREATE TABLE IF NOT EXISTS tracked_processes (pid INTEGER NOT NULL,"
    " created_at_ms INTEGER NOT NULL, kind TEXT NOT NULL, command TEXT NOT NULL,"
    " cwd TEXT NOT NULL DEFAULT '', originator TEXT NOT NULL DEFAULT '',"
    " containment TEXT NOT NULL DEFAULT 'contained', registered_at REAL NOT NULL,"
    " PRIMARY KEY (pid, created_at_ms));"
    "CREATE TABLE IF NOT EXISTS tracked_identities (pid INTEGER NOT NULL,"
    " created_at_ms INTEGER NOT NULL, boot_id TEXT NOT NULL, start_ticks INTEGER NOT NULL,"
    " unique_id INTEGER NOT NULL, PRIMARY KEY (pid, created_at_ms)) WITHOUT ROWID;";

/* The first versions' rows say nothing of when they were registered: at their start, then. */
static const char migration[] =
    "ALTER TABLE tracked_processes RENAME TO tracked_processes_old;"
    "CREATE TABLE tracked_processes (pid INTEGER NOT NULL,"
    " created_at_ms INTEGER NOT NULL, kind TEXT NOT NULL, command TEXT NOT NULL,"
    " cwd TEXT NOT NULL DEFAULT '', originator TEXT NOT NULL DEFAULT '',"
    " containment TEXT NOT NULL DEFAULT 'contained', registered_at REAL NOT NULL,"
    " PRIMARY KEY (pid, created_at_ms));"
    "INSERT INTO tracked_processes SELECT pid, CAST(ROUND(created_at * 1000) AS INTEGER),"
    " COALESCE(kind, ''), COALESCE(command, ''), COALESCE(cwd, ''), '', 'contained', created_at"
    " FROM tracked_processes_old;"
    "DROP TABLE tracked_processes_old;";

struct rpi_track_store {
    sqlite3 *database;
    sqlite3_stmt *statements[STATEMENT_COUNT];
};

bool rpi_track_store_is_built_in(void)
{
    return true;
}

/* ---- errors ------------------------------------------------------------------------------ */

static int error_of(int result)
{
    switch (result & 0xff) { /* without the extended part */
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return -EBUSY;
    case SQLITE_FULL:
        return -ENOSPC;
    case SQLITE_NOMEM:
        return -ENOMEM;
    case SQLITE_IOERR:
    case SQLITE_PROTOCOL:
        return -EIO;
    case SQLITE_READONLY:
        return -EROFS;
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_AUTH:
        return -EACCES;
    default: /* CORRUPT, NOTADB, a table of another shape, ... */
        return -EBADMSG;
    }
}

static int fail(const rpi_track_store *store, int result)
{
    const char *text =
        store->database != NULL ? sqlite3_errmsg(store->database) : sqlite3_errstr(result);

    return rpi_detail(error_of(result), "%s", text);
}

/* ---- statements -------------------------------------------------------------------------- */

static int prepare(rpi_track_store *store, statement which, sqlite3_stmt **ret_statement)
{
    int result = SQLITE_OK;

    if (store->statements[which] == NULL) {
        result = sqlite3_prepare_v3(store->database, texts[which], -1, SQLITE_PREPARE_PERSISTENT,
                                    &store->statements[which], NULL);
    }
    *ret_statement = store->statements[which];
    return result == SQLITE_OK ? 0 : fail(store, result);
}

/* Runs a statement that gives no rows, and makes it ready for the next time. */
static int carry_out(const rpi_track_store *store, sqlite3_stmt *prepared)
{
    int result = sqlite3_step(prepared);
    int r = result == SQLITE_DONE ? 0 : fail(store, result);

    (void)sqlite3_reset(prepared); /* tells the same error once more */
    (void)sqlite3_clear_bindings(prepared);
    return r;
}

static int run(rpi_track_store *store, statement which)
{
    sqlite3_stmt *prepared;
    int r = prepare(store, which, &prepared);

    return r < 0 ? r : carry_out(store, prepared);
}

static int run_with(rpi_track_store *store, statement which, int64_t pid, uint64_t created_at_ms)
{
    sqlite3_stmt *prepared;
    int r = prepare(store, which, &prepared);

    if (r < 0) {
        return r;
    }
    (void)sqlite3_bind_int64(prepared, 1, pid); /* fails only where there is no such parameter */
    if (sqlite3_bind_parameter_count(prepared) > 1) {
        (void)sqlite3_bind_int64(prepared, 2, (sqlite3_int64)created_at_ms);
    }
    return carry_out(store, prepared);
}

static int execute(rpi_track_store *store, const char *text)
{
    int result = sqlite3_exec(store->database, text, NULL, NULL, NULL);

    return result == SQLITE_OK ? 0 : fail(store, result);
}

/* ---- open and close ------------------------------------------------------------------------ */

typedef enum shape {
    SHAPE_NONE,  /* no such table */
    SHAPE_TODAY, /* as 4.3.0 has it */
    SHAPE_OLD,
    SHAPE_OTHER
} shape;

static int read_shape(rpi_track_store *store, shape *ret_shape)
{
    static const char text[] = "SELECT name FROM pragma_table_info('tracked_processes')";
    sqlite3_stmt *prepared = NULL;
    bool has_any = false;
    bool has_old = false;
    bool has_new = false;
    int result = sqlite3_prepare_v2(store->database, text, -1, &prepared, NULL);

    if (result == SQLITE_OK) {
        while ((result = sqlite3_step(prepared)) == SQLITE_ROW) {
            const char *name = (const char *)sqlite3_column_text(prepared, 0);

            has_any = true;
            has_old = has_old || (name != NULL && strcmp(name, "created_at") == 0);
            has_new = has_new || (name != NULL && strcmp(name, "created_at_ms") == 0);
        }
    }
    result = result == SQLITE_DONE ? SQLITE_OK : result;
    if (result != SQLITE_OK) {
        int r = fail(store, result);

        (void)sqlite3_finalize(prepared); /* tells the same error */
        return r;
    }
    (void)sqlite3_finalize(prepared);
    *ret_shape = has_new ? SHAPE_TODAY : has_old ? SHAPE_OLD : has_any ? SHAPE_OTHER : SHAPE_NONE;
    return 0;
}

/* Inside a transaction, as another program may be doing the same. */
static int make_tables(rpi_track_store *store)
{
    shape found = SHAPE_NONE;
    int r = read_shape(store, &found);

    if (r == 0 && found == SHAPE_OTHER) {
        r = rpi_detail(-EBADMSG, "the table tracked_processes is of no known shape");
    }
    if (r == 0 && found == SHAPE_OLD) {
        r = execute(store, migration);
    }
    return r < 0 ? r : execute(store, tables);
}

static bool has_tables(rpi_track_store *store)
{
    static const char text[] =
        "SELECT created_at_ms FROM tracked_processes UNION ALL SELECT start_ticks FROM"
        " tracked_identities LIMIT 0";
    sqlite3_stmt *prepared = NULL;
    const bool is_there =
        sqlite3_prepare_v2(store->database, text, -1, &prepared, NULL) == SQLITE_OK;

    (void)sqlite3_finalize(prepared);
    return is_there;
}

static int set_up(rpi_track_store *store, int wait_ms)
{
    int r;

    (void)sqlite3_busy_timeout(store->database, wait_ms); /* cannot fail */
    (void)sqlite3_extended_result_codes(store->database, 1);
    /* A short program is not to wait for the disk when it ends: what it wrote is moved into the
     * file now and then, by whoever finds the log grown, and what is lost with the machine tells of
     * processes that are lost with it. */
    (void)sqlite3_db_config(store->database, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    (void)sqlite3_wal_autocheckpoint(store->database, CHECKPOINT_PAGES);
    if (has_tables(store)) { /* by far the most frequent: nothing has to be locked */
        return execute(store, "PRAGMA synchronous = NORMAL");
    }
    r = execute(store, "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL");
    r = r < 0 ? r : run(store, BEGIN);
    if (r < 0) {
        return r;
    }
    r = make_tables(store);
    if (r < 0) {
        rpi_track_store_rollback(store);
        return r;
    }
    return rpi_track_store_commit(store);
}

int rpi_track_store_open(const char *path, int wait_ms, bool create, rpi_track_store **ret_store)
{
    const int flags =
        SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | (create ? SQLITE_OPEN_CREATE : 0);
    rpi_track_store *store = rpi_alloc_zero(rpi_alloc_default(), sizeof *store);
    int result;
    int r;

    if (store == NULL) {
        return -ENOMEM;
    }
    result = sqlite3_open_v2(path, &store->database, flags, NULL);
    r = result == SQLITE_OK ? set_up(store, wait_ms) : fail(store, result);
    if (r < 0) {
        rpi_track_store_close(store);
        return r;
    }
    *ret_store = store;
    return 0;
}

void rpi_track_store_close(rpi_track_store *store)
{
    for (int i = 0; i < STATEMENT_COUNT; i++) {
        (void)sqlite3_finalize(store->statements[i]); /* tells an error that was told before */
    }
    (void)sqlite3_close(store->database); /* nothing is open on it any more */
    rpi_free(rpi_alloc_default(), store, sizeof *store);
}

/* ---- changes ------------------------------------------------------------------------------- */

int rpi_track_store_begin(rpi_track_store *store)
{
    return run(store, BEGIN);
}

int rpi_track_store_commit(rpi_track_store *store)
{
    int r = run(store, COMMIT);

    if (r < 0) {
        rpi_track_store_rollback(store);
    }
    return r;
}

void rpi_track_store_rollback(rpi_track_store *store)
{
    if (sqlite3_get_autocommit(store->database) == 0) { /* an error may have done it already */
        (void)run(store, ROLLBACK);
    }
}

static void bind_text(sqlite3_stmt *prepared, int index, const char *text)
{
    /* The row outlives the statement's run. What fails here fails the run as well. */
    (void)sqlite3_bind_text(prepared, index, text, -1, SQLITE_STATIC);
}

static int put_process(rpi_track_store *store, const rpi_track_record *record)
{
    sqlite3_stmt *prepared;
    int r = prepare(store, PUT, &prepared);

    if (r < 0) {
        return r;
    }
    (void)sqlite3_bind_int64(prepared, 1, record->id.pid);
    (void)sqlite3_bind_int64(prepared, 2, (sqlite3_int64)record->created_at_ms);
    bind_text(prepared, 3, record->kind);
    bind_text(prepared, 4, record->command);
    bind_text(prepared, 5, record->cwd);
    bind_text(prepared, 6, record->originator);
    bind_text(prepared, 7, record->containment);
    (void)sqlite3_bind_double(prepared, 8, record->registered_at);
    return carry_out(store, prepared);
}

static int put_identity(rpi_track_store *store, const rpi_track_record *record)
{
    sqlite3_stmt *prepared;
    int r = prepare(store, PUT_IDENTITY, &prepared);

    if (r < 0) {
        return r;
    }
    (void)sqlite3_bind_int64(prepared, 1, record->id.pid);
    (void)sqlite3_bind_int64(prepared, 2, (sqlite3_int64)record->created_at_ms);
    bind_text(prepared, 3, record->boot);
    (void)sqlite3_bind_int64(prepared, 4, (sqlite3_int64)record->id.start_ticks);
    (void)sqlite3_bind_int64(prepared, 5, (sqlite3_int64)record->id.unique);
    return carry_out(store, prepared);
}

int rpi_track_store_put(rpi_track_store *store, const rpi_track_record *record)
{
    int r = run_with(store, FORGET, record->id.pid, 0);

    if (r == 0 && sqlite3_changes(store->database) > 0) {
        r = run_with(store, FORGET_IDENTITY, record->id.pid, 0);
    }
    r = r < 0 ? r : put_process(store, record);
    return r < 0 ? r : put_identity(store, record);
}

int rpi_track_store_remove(rpi_track_store *store, int64_t pid, uint64_t created_at_ms)
{
    int r = run_with(store, REMOVE, pid, created_at_ms);

    return r < 0 ? r : run_with(store, REMOVE_IDENTITY, pid, created_at_ms);
}

int rpi_track_store_tidy(rpi_track_store *store)
{
    return run(store, TIDY);
}

/* ---- reading ------------------------------------------------------------------------------- */

static const char *column_text(sqlite3_stmt *prepared, int column)
{
    const char *text = (const char *)sqlite3_column_text(prepared, column);

    return text != NULL ? text : "";
}

static void read_record(sqlite3_stmt *prepared, rpi_track_record *ret_record)
{
    *ret_record = (rpi_track_record){
        .id.pid = sqlite3_column_int64(prepared, 0),
        .created_at_ms = (uint64_t)sqlite3_column_int64(prepared, 1),
        .kind = column_text(prepared, 2),
        .command = column_text(prepared, 3),
        .cwd = column_text(prepared, 4),
        .originator = column_text(prepared, 5),
        .containment = column_text(prepared, 6),
        .registered_at = sqlite3_column_double(prepared, 7),
        .boot = column_text(prepared, 8),
        .id.start_ticks = (uint64_t)sqlite3_column_int64(prepared, 9),
        .id.unique = (uint64_t)sqlite3_column_int64(prepared, 10),
    };
}

int rpi_track_store_each(rpi_track_store *store, rpi_track_record_fn *each, void *user)
{
    sqlite3_stmt *prepared;
    int result = SQLITE_DONE;
    int r = prepare(store, EACH, &prepared);

    if (r < 0) {
        return r;
    }
    while ((result = sqlite3_step(prepared)) == SQLITE_ROW) {
        rpi_track_record record;

        read_record(prepared, &record);
        if (!each(&record, user)) {
            result = SQLITE_DONE;
            break;
        }
    }
    r = result == SQLITE_DONE ? 0 : fail(store, result);
    (void)sqlite3_reset(prepared); /* tells the same error once more */
    return r;
}
