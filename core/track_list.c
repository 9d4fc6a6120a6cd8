/* What a track holds, and the clean-up of what a bad run left: rp_track_list, rp_track_cleanup.
 * Each opens the database for itself, so that both can be called by any thread while the track's
 * own writes. Rows are copied first, then judged one by one: nothing of the database is locked
 * while processes are killed or the user is called. */
#include <errno.h>
#include <string.h>

#include "base/alloc.h"
#include "base/status.h"
#include "core/describe_linux.h"
#include "core/family_linux.h"
#include "core/track.h"

enum {
    LOCK_WAIT_MS = 5000,
    SLACK_MS = 2000,      /* 4.3.0 registers whole seconds */
    SLACK_FIRST_MS = 1000 /* the first versions' starts are off by a part of one */
};

#define FLUSH_NS (5 * RP_SECOND)
#define KILL_NS (3 * RP_SECOND)

/* A row, with its texts behind it. */
typedef struct kept {
    struct kept *next;
    size_t size;
    rpi_track_record record;
} kept;

typedef struct kept_list {
    kept *first;
    kept **last;
    int error;
} kept_list;

typedef enum verdict {
    VERDICT_GONE,
    VERDICT_REUSED, /* another has the number, or it cannot be proved that it is the same */
    VERDICT_SAME
} verdict;

/* ---- copies ------------------------------------------------------------------------------------
 */

static const char *copy_text(char **rest, const char *text)
{
    char *copy = *rest;
    const size_t size = strlen(text) + 1;

    memcpy(copy, text, size);
    *rest += size;
    return copy;
}

static bool keep(const rpi_track_record *record, void *user)
{
    kept_list *all = user;
    const size_t size = sizeof(kept) + strlen(record->boot) + strlen(record->kind) +
                        strlen(record->command) + strlen(record->cwd) + strlen(record->originator) +
                        strlen(record->containment) + 6;
    kept *row = rpi_alloc(rpi_alloc_default(), size);
    char *rest;

    if (row == NULL) {
        all->error = -ENOMEM;
        return false;
    }
    rest = (char *)(row + 1);
    *row = (kept){.size = size, .record = *record};
    row->record.boot = copy_text(&rest, record->boot);
    row->record.kind = copy_text(&rest, record->kind);
    row->record.command = copy_text(&rest, record->command);
    row->record.cwd = copy_text(&rest, record->cwd);
    row->record.originator = copy_text(&rest, record->originator);
    row->record.containment = copy_text(&rest, record->containment);
    *all->last = row;
    all->last = &row->next;
    return true;
}

static void free_all(kept_list *all)
{
    while (all->first != NULL) {
        kept *row = all->first;

        all->first = row->next;
        rpi_free(rpi_alloc_default(), row, row->size);
    }
}

/* Opens the database and copies its rows. 0 and a store; 0 and NULL: there is no file; -errno. */
static int read_rows(rp_track *track, kept_list *all, rpi_track_store **ret_store)
{
    rpi_track_store *store = NULL;
    int r;

    *ret_store = NULL;
    *all = (kept_list){.last = &all->first};
    rpi_track_flush(track, FLUSH_NS);
    r = rpi_track_path_exists(rp_track_path(track));
    if (r <= 0) {
        return r;
    }
    r = rpi_track_store_open(rp_track_path(track), LOCK_WAIT_MS, false, &store);
    if (r < 0) {
        return r;
    }
    r = rpi_track_store_each(store, keep, all);
    r = r < 0 ? r : all->error;
    if (r < 0) {
        rpi_track_store_close(store);
        free_all(all);
        return r;
    }
    *ret_store = store;
    return 0;
}

/* ---- whether it is the same
 * ---------------------------------------------------------------------- */

static uint64_t distance(uint64_t a_ms, uint64_t b_ms)
{
    return a_ms > b_ms ? a_ms - b_ms : b_ms - a_ms;
}

/* By our own row: exact, whatever became of the clock. */
static bool is_same(const rpi_track_record *record, const rpi_identity *now, const char *boot)
{
    if (strcmp(record->boot, boot) != 0) {
        return false;
    }
    if (record->id.start_ticks != 0 && record->id.start_ticks != now->start_ticks) {
        return false;
    }
    if (record->id.unique != 0 && now->unique != 0) {
        return record->id.unique == now->unique;
    }
    return record->id.start_ticks != 0;
}

/* By the clock. Who had the number at the registration lived then: whoever got it afterwards has
 * begun later. A row of the first versions says nothing of its registration but the start. */
static bool is_same_by_clock(const rpi_track_record *record, const rpi_identity *now)
{
    const uint64_t start_ms = rpi_identity_wall_ms(now->start_ticks);
    const double registered_ms = record->registered_at * 1000.0;
    const bool is_first = registered_ms <= (double)record->created_at_ms + 1.0;

    if (is_first) {
        return distance(start_ms, record->created_at_ms) <= SLACK_FIRST_MS;
    }
    return distance(start_ms, record->created_at_ms) <= SLACK_MS &&
           (double)start_ms <= registered_ms;
}

static verdict judge(const rpi_track_record *record, rpi_identity *ret_now, char *ret_state)
{
    char boot[RPI_BOOT_SIZE];
    rpi_proc_stat stat;
    bool same;

    if (rpi_identity_of(record->id.pid, ret_now) < 0 ||
        rpi_proc_stat_read(record->id.pid, &stat) < 0 || !rpi_proc_is_alive(&stat)) {
        return VERDICT_GONE;
    }
    *ret_state = stat.state;
    if (record->boot[0] != '\0') {
        rpi_identity_boot(boot);
        same = is_same(record, ret_now, boot);
    } else {
        same = is_same_by_clock(record, ret_now);
    }
    return same ? VERDICT_SAME : VERDICT_REUSED;
}

/* ---- telling -----------------------------------------------------------------------------------
 */

static rp_process_info info_of(const rpi_track_record *record)
{
    return (rp_process_info){
        .id = {.pid = record->id.pid,
               .start_time_ms = record->created_at_ms,
               .unique = record->id.unique},
        .parent_pid = rpi_originator_pid(record->originator),
        .name = "",
        .command = record->command,
        .cwd = record->cwd,
        .kind = record->kind,
        .originator = record->originator,
        .state = "gone",
    };
}

/* Judges a row and fills what is told of it. `name` is used by the result. */
static verdict look_at(const rpi_track_record *record,
                       rpi_identity *ret_now,
                       char name[RPI_PROC_NAME_SIZE],
                       rp_process_info *ret_info)
{
    char state = '\0';
    const verdict found = judge(record, ret_now, &state);
    rpi_proc_stat stat;

    *ret_info = info_of(record);
    if (found == VERDICT_REUSED) {
        ret_info->state = "reused";
    } else if (found == VERDICT_SAME) {
        ret_info->state = rpi_proc_state_word(state);
        if (rpi_proc_stat_read_named(record->id.pid, &stat, name) == 0) {
            ret_info->name = name;
        }
        ret_info->parent_alive =
            ret_info->parent_pid > 0 && rpi_lived_at(ret_info->parent_pid, ret_now->start_ticks);
    }
    return found;
}

int rp_track_list(rp_track *track, rp_each_fn *row, void *user)
{
    rpi_track_store *store = NULL;
    kept_list all;
    int count = 0;
    int r = rpi_track_enter(track);

    if (r < 0) {
        return r;
    }
    if (row == NULL) {
        return rpi_detail(RP_EINVAL, "no function to tell");
    }
    r = read_rows(track, &all, &store);
    if (r < 0 || store == NULL) {
        return r;
    }
    rpi_track_store_close(store);
    for (const kept *each = all.first; each != NULL; each = each->next) {
        char name[RPI_PROC_NAME_SIZE];
        rpi_identity now;
        rp_process_info info;

        (void)look_at(&each->record, &now, name, &info);
        count++;
        if (!row(&info, user)) {
            break;
        }
    }
    free_all(&all);
    return count;
}

/* ---- clean-up
 * ------------------------------------------------------------------------------------ */

/* 1: killed; 0: its row is to go all the same; RP_EAGAIN: it stays, somebody has survived; errors.
 */
static int clean(const rpi_track_record *record, rp_each_fn *killed, void *user, bool *ret_goes_on)
{
    char name[RPI_PROC_NAME_SIZE];
    rpi_identity now;
    rp_process_info info;
    int r;

    if (look_at(record, &now, name, &info) != VERDICT_SAME) {
        return 0;
    }
    r = rpi_family_kill(&now, KILL_NS);
    if (r != 0) {
        return r > 0 ? RP_EAGAIN : r;
    }
    info.state = "dead";
    if (killed != NULL) {
        *ret_goes_on = killed(&info, user);
    }
    return 1;
}

int rp_track_cleanup(rp_track *track, rp_each_fn *killed, void *user)
{
    rpi_track_store *store = NULL;
    kept_list all;
    bool goes_on = true;
    int count = 0;
    int error = 0;
    int r = rpi_track_enter(track);

    r = r < 0 ? r : read_rows(track, &all, &store);
    if (r < 0 || store == NULL) {
        return r;
    }
    for (const kept *each = all.first; each != NULL && goes_on; each = each->next) {
        r = clean(&each->record, killed, user, &goes_on);
        count += r == 1;
        if (r >= 0) {
            r = rpi_track_store_remove(store, each->record.id.pid, each->record.created_at_ms);
        } else if (r == RP_EAGAIN || r == RP_EINVAL) {
            r = 0; /* survivors; or the caller is in that tree: its row stays */
        }
        error = error == 0 && r < 0 ? r : error; /* the others are cleaned all the same */
    }
    r = rpi_track_store_tidy(store);
    error = error == 0 && r < 0 ? r : error;
    rpi_track_store_close(store);
    free_all(&all);
    return error < 0 ? error : count;
}
