/* Tracking where the library was built without SQLite: there is none, and that is said. */
#include "base/status.h"
#include "core/track_store.h"

static int refuse(void)
{
    return rpi_detail(RP_EUNSUPPORTED, "the library was built without SQLite");
}

bool rpi_track_store_is_built_in(void)
{
    return false;
}

int rpi_track_store_open(const char *path, int wait_ms, bool create, rpi_track_store **ret_store)
{
    (void)path;
    (void)wait_ms;
    (void)create;
    (void)ret_store;
    return refuse();
}

void rpi_track_store_close(rpi_track_store *store)
{
    (void)store; // there is none
}

int rpi_track_store_begin(rpi_track_store *store)
{
    (void)store;
    return refuse();
}

int rpi_track_store_commit(rpi_track_store *store)
{
    (void)store;
    return refuse();
}

void rpi_track_store_rollback(rpi_track_store *store)
{
    (void)store; // nothing was begun
}

int rpi_track_store_put(rpi_track_store *store, const rpi_track_record *record)
{
    (void)store;
    (void)record;
    return refuse();
}

int rpi_track_store_remove(rpi_track_store *store, int64_t pid, uint64_t created_at_ms)
{
    (void)store;
    (void)pid;
    (void)created_at_ms;
    return refuse();
}

int rpi_track_store_tidy(rpi_track_store *store)
{
    (void)store;
    return refuse();
}

int rpi_track_store_each(rpi_track_store *store, rpi_track_record_fn *each, void *user)
{
    (void)store;
    (void)each;
    (void)user;
    return refuse();
}
