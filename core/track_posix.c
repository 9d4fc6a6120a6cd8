/* See track.h. Registrations and ends go into one queue; the track's thread sleeps until something
 * is there, collects for some milliseconds, and writes all of it in one transaction. A child that
 * has ended by then is taken out of the queue again and costs nothing more.
 *
 * What a row must not become is the name of a stranger. Where pidfds have no identity of their own
 * (Linux before 6.9), the start of the child is read by the thread, and counts only where the loop
 * had not begun to reap the child by then (`ending`).
 *
 * Threads: the loops' (register, unregister, let go), the track's own, and any that lists or
 * closes. What is not said to be somebody's is under the lock. */
#include "core/track.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/clock.h"
#include "base/os.h"
#include "base/status.h"
#include "core/identity.h"
#include "core/spawn.h"
#include "core/track_row.h"

enum {
    QUEUE_MAX = 65536,
    BATCH_MAX = 4096,   /* rows in a transaction */
    LOCK_WAIT_MS = 100, /* of a transaction for other programs; then it is tried again */
    TOLD_MAX = 8,       /* reasons that the log is told, once each */
    TROUBLE_SIZE = 400
};

#define COLLECT_NS (10 * RP_MILLISECOND)
#define AGAIN_FIRST_NS (20 * RP_MILLISECOND)
#define AGAIN_MAX_NS (500 * RP_MILLISECOND)
#define REOPEN_NS RP_SECOND       /* after a failure that lasts */
#define LOCKED_NS (2 * RP_SECOND) /* that is worth telling */
#define CLOSE_NS (2 * RP_SECOND)

struct rp_track {
    char *path; /* owned */
    int64_t owner_pid;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t work; /* the thread waits for it */
    pthread_cond_t idle; /* a batch is done */
    rpi_list queue;      /* rpi_track_row.node */
    size_t queue_count;
    rpi_list links; /* rpi_track_link.node */
    bool sleeps;    /* the thread, until something is there */
    bool is_busy;   /* it has rows */
    bool hurry;     /* somebody waits for it */
    bool closing;
    uint64_t lost;
    char trouble[TROUBLE_SIZE];
    uint32_t troubles; /* so many so far; `trouble` is the last */
    int told[TOLD_MAX];
    int told_count;
    /* The thread's. */
    rpi_track_store *store; /* NULL: not open */
    char boot[RPI_BOOT_SIZE];
    int last_error;
    uint64_t failing_since_ns; /* 0: it is well */
    uint64_t reopen_at_ns;
};

static void lock(rp_track *track)
{
    RP_ASSERT(pthread_mutex_lock(&track->mutex) == 0);
}

static void unlock(rp_track *track)
{
    RP_ASSERT(pthread_mutex_unlock(&track->mutex) == 0);
}

/* Waits for the condition until the point on the monotonic clock. */
static void wait_until(rp_track *track, pthread_cond_t *condition, uint64_t until_ns)
{
    const struct timespec until = {.tv_sec = (time_t)(until_ns / RP_SECOND),
                                   .tv_nsec = (long)(until_ns % RP_SECOND)};
    int result = pthread_cond_timedwait(condition, &track->mutex, &until);

    RP_ASSERT(result == 0 || result == ETIMEDOUT);
}

/* ---- trouble --------------------------------------------------------------------------------- */

static bool is_told(const rp_track *track, int error)
{
    for (int i = 0; i < track->told_count; i++) {
        if (track->told[i] == error) {
            return true;
        }
    }
    return track->told_count == TOLD_MAX;
}

/* Tells the logs of all loops, once for each error. */
static void tell(rp_track *track, int error, const char *text)
{
    if (is_told(track, error)) {
        return;
    }
    track->told[track->told_count++] = error;
    (void)snprintf(track->trouble, sizeof track->trouble, "tracking in %s: %s", track->path, text);
    track->troubles++;
    for (rpi_list *node = track->links.next; node != &track->links; node = node->next) {
        rpi_async_send(&RPI_CONTAINER(node, rpi_track_link, node)->async);
    }
}

bool rpi_track_take_trouble(rp_track *track, uint32_t *seen, char *text, size_t text_size)
{
    bool is_new;

    lock(track);
    is_new = *seen != track->troubles;
    *seen = track->troubles;
    (void)snprintf(text, text_size, "%s", track->trouble);
    unlock(track);
    return is_new;
}

uint64_t rpi_track_lost(rp_track *track)
{
    uint64_t lost;

    lock(track);
    lost = track->lost;
    unlock(track);
    return lost;
}

static void lose(rp_track *track, rpi_track_row *row)
{
    row->state = RPI_ROW_UNWRITTEN;
    track->lost++;
}

/* ---- rows ------------------------------------------------------------------------------------ */

rpi_track_row *rpi_track_row_make(rp_track *track, const rp_command *command)
{
    rpi_track_row *row = rpi_track_row_of(command);

    if (row == NULL) {
        lock(track);
        track->lost++;
        tell(track, -ENOMEM, "children are left out: no memory");
        unlock(track);
        return NULL;
    }
    row->track = track;
    return row;
}

/* Puts a row into the queue, whatever its length. */
static void enqueue(rp_track *track, rpi_track_row *row, rpi_track_row_state state)
{
    row->state = state;
    rpi_list_append(&track->queue, &row->node);
    track->queue_count++;
    if (track->sleeps) {
        track->sleeps = false;
        RP_ASSERT(pthread_cond_signal(&track->work) == 0);
    }
}

void rpi_track_register(rpi_track_row *row, int64_t pid, int pidfd, uint64_t launched_ns)
{
    rp_track *track = row->track;
    const uint64_t wall_ms = rpi_clock_wall_time_ms();

    row->record.id = (rpi_identity){.pid = pid, .unique = rpi_identity_unique(pidfd)};
    row->record.registered_at = (double)wall_ms / 1000.0;
    row->record.created_at_ms = wall_ms - (rpi_clock_now_ns() - launched_ns) / RP_MILLISECOND;
    lock(track);
    if (track->queue_count < QUEUE_MAX) {
        enqueue(track, row, RPI_ROW_WAITING);
    } else {
        lose(track, row);
        tell(track, -ENOBUFS, "children are left out: too many wait to be written");
    }
    unlock(track);
}

void rpi_track_set_ending(rpi_track_row *row, bool ending)
{
    atomic_store(&row->ending, ending);
}

static void take_out(rp_track *track, rpi_track_row *row)
{
    rpi_list_remove(&row->node);
    track->queue_count--;
}

void rpi_track_unregister(rpi_track_row *row)
{
    rp_track *track = row->track;

    lock(track);
    switch (row->state) {
    case RPI_ROW_WAITING:
        take_out(track, row);
        rpi_track_row_free(row);
        break;
    case RPI_ROW_WRITING:
        row->has_ended = true;
        break;
    case RPI_ROW_WRITTEN:
        enqueue(track, row, RPI_ROW_ENDING);
        break;
    case RPI_ROW_NEW:
    case RPI_ROW_UNWRITTEN:
    case RPI_ROW_ENDING:
        rpi_track_row_free(row);
        break;
    }
    unlock(track);
}

void rpi_track_let_go(rpi_track_row *row)
{
    rp_track *track = row->track;

    lock(track);
    if (row->state == RPI_ROW_WAITING || row->state == RPI_ROW_WRITING) {
        row->is_let_go = true;
    } else {
        rpi_track_row_free(row);
    }
    unlock(track);
}

void rpi_track_row_free_forked(rpi_track_row *row)
{
    rpi_track_row_free(row);
}

/* ---- the thread ---------------------------------------------------------------------------------
 */

/* Whether a failure may be over the next time. */
static bool may_pass(int error)
{
    return error == -EBUSY || error == -ENOSPC || error == -ENOMEM || error == -EIO ||
           error == -EMFILE || error == -ENFILE;
}

static int open_store(rp_track *track)
{
    int r;

    if (track->store != NULL) {
        return 0;
    }
    if (rpi_clock_now_ns() < track->reopen_at_ns) {
        return track->last_error;
    }
    r = rpi_track_path_make_file(track->path);
    return r < 0 ? r : rpi_track_store_open(track->path, LOCK_WAIT_MS, true, &track->store);
}

/* Who the child is: by the kernel's own id of it, if there is one; else by its start, which is read
 * now, and to read it costs as much as all else here. It may be gone already, or about to be. */
static int identify(rpi_track_row *row)
{
    rpi_proc_stat stat;
    int r = 0;

    row->is_absent = false;
    row->is_put_off = false;
    if (row->record.id.unique == 0 && row->record.id.start_ticks == 0) {
        r = rpi_proc_stat_read(row->record.id.pid, &stat);
        if (r == 0) {
            row->record.id.start_ticks = stat.start_ticks;
            row->record.created_at_ms = rpi_identity_wall_ms(stat.start_ticks);
        }
    }
    if (atomic_load(&row->ending)) {
        row->is_put_off = true;
        row->record.id.start_ticks = 0;
        return 0;
    }
    row->is_absent = r == RP_ESRCH;
    return row->is_absent ? 0 : r;
}

static int write_row(rp_track *track, rpi_track_row *row)
{
    int r;

    if (row->state == RPI_ROW_ENDING) {
        return rpi_track_store_remove(track->store, row->record.id.pid, row->record.created_at_ms);
    }
    r = identify(row);
    if (r < 0 || row->is_absent || row->is_put_off) {
        return r;
    }
    row->record.boot = track->boot;
    return rpi_track_store_put(track->store, &row->record);
}

/* Only the thread changes the state of rows that it has. */
static int write_batch(rp_track *track, const rpi_list *batch)
{
    int r = open_store(track);

    r = r < 0 ? r : rpi_track_store_begin(track->store);
    if (r < 0) {
        return r;
    }
    for (rpi_list *node = batch->next; r == 0 && node != batch; node = node->next) {
        r = write_row(track, RPI_CONTAINER(node, rpi_track_row, node));
    }
    if (r == 0) {
        return rpi_track_store_commit(track->store);
    }
    rpi_track_store_rollback(track->store);
    return r;
}

/* Moves rows out of the queue; those that may be cancelled while they are there are not any more.
 */
static void take_batch(rp_track *track, rpi_list *batch)
{
    rpi_list *node;

    rpi_list_init(batch);
    for (int i = 0; i < BATCH_MAX && (node = rpi_list_take_first(&track->queue)) != NULL; i++) {
        rpi_track_row *row = RPI_CONTAINER(node, rpi_track_row, node);

        track->queue_count--;
        if (row->state == RPI_ROW_WAITING) {
            row->state = RPI_ROW_WRITING;
        }
        rpi_list_append(batch, node);
    }
}

/* A row of a batch that was committed. */
static void settle_written(rp_track *track, rpi_track_row *row)
{
    const bool is_over = row->has_ended || row->is_let_go; /* the process does not name it now */
    const bool is_in = !row->is_absent && !row->is_put_off;

    if (row->state == RPI_ROW_WRITING && row->has_ended && is_in) {
        enqueue(track, row, RPI_ROW_ENDING);
    } else if (row->state == RPI_ROW_ENDING || is_over) {
        rpi_track_row_free(row);
    } else if (row->is_put_off) {
        enqueue(track, row, RPI_ROW_WAITING); /* its end is about to come, or was none */
    } else {
        row->state = is_in ? RPI_ROW_WRITTEN : RPI_ROW_UNWRITTEN; /* it is gone: not lost */
    }
}

/* A row of a batch that will not be written. */
static void settle_lost(rp_track *track, rpi_track_row *row)
{
    if (row->state == RPI_ROW_ENDING || row->has_ended) {
        rpi_track_row_free(row);
        return;
    }
    lose(track, row);
    if (row->is_let_go) {
        rpi_track_row_free(row);
    }
}

/* A row of a batch that is to be tried again: at its old place. */
static void settle_again(rp_track *track, rpi_track_row *row)
{
    if (row->state == RPI_ROW_WRITING && row->has_ended) {
        rpi_track_row_free(row);
        return;
    }
    if (row->state == RPI_ROW_WRITING) {
        row->state = RPI_ROW_WAITING;
    }
    rpi_list_prepend(&track->queue, &row->node);
    track->queue_count++;
}

static void settle(rp_track *track, rpi_list *batch, int error)
{
    while (!rpi_list_is_empty(batch)) {
        /* From the end, where they are put back in front. */
        rpi_list *node = error < 0 ? batch->previous : batch->next;
        rpi_track_row *row = RPI_CONTAINER(node, rpi_track_row, node);

        rpi_list_remove(node);
        if (error == 0) {
            settle_written(track, row);
        } else if (may_pass(error)) {
            settle_again(track, row);
        } else {
            settle_lost(track, row);
        }
    }
}

/* Notes how it went; a failure is told once it is worth it. */
static void note_result(rp_track *track, int error, const char *detail)
{
    const uint64_t now_ns = rpi_clock_now_ns();
    char text[256];

    track->last_error = error;
    if (error == 0) {
        track->failing_since_ns = 0;
        return;
    }
    if (track->failing_since_ns == 0) {
        track->failing_since_ns = now_ns;
    }
    if (error == -EBUSY && now_ns - track->failing_since_ns < LOCKED_NS) {
        return;
    }
    (void)snprintf(text, sizeof text, "%s (%s); children are launched all the same",
                   rp_strerror(error), detail[0] != '\0' ? detail : rp_error_name(error));
    tell(track, error, text);
    if (!may_pass(error) && now_ns >= track->reopen_at_ns) {
        track->reopen_at_ns = now_ns + REOPEN_NS;
    }
}

/* Sleeps until there is something to write, then collects for a moment. False: it is to end. */
static bool await_work(rp_track *track)
{
    uint64_t until_ns;

    while (track->queue_count == 0 && !track->closing) {
        track->sleeps = true;
        RP_ASSERT(pthread_cond_wait(&track->work, &track->mutex) == 0);
    }
    track->sleeps = false;
    until_ns = rpi_clock_now_ns() + COLLECT_NS;
    while (!track->hurry && !track->closing && rpi_clock_now_ns() < until_ns) {
        wait_until(track, &track->work, until_ns);
    }
    return track->queue_count > 0 || !track->closing;
}

static void pause_after_failure(rp_track *track, uint64_t span_ns)
{
    const uint64_t until_ns = rpi_clock_now_ns() + span_ns;

    while (!track->hurry && !track->closing && rpi_clock_now_ns() < until_ns) {
        wait_until(track, &track->work, until_ns);
    }
    if (track->closing || track->hurry) { /* both ask often */
        wait_until(track, &track->work, rpi_clock_now_ns() + AGAIN_FIRST_NS);
    }
}

/* One transaction. */
static int work_once(rp_track *track)
{
    rpi_list batch;
    char detail[160];
    int r;

    take_batch(track, &batch);
    track->is_busy = true;
    track->hurry = false;
    unlock(track);
    rpi_detail_clear();
    r = rpi_list_is_empty(&batch) ? 0 : write_batch(track, &batch);
    (void)snprintf(detail, sizeof detail, "%s", rp_error_detail());
    if (r < 0 && r != -EBUSY && track->store != NULL) {
        rpi_track_store_close(track->store);
        track->store = NULL;
    }
    lock(track);
    settle(track, &batch, r);
    note_result(track, r, detail);
    track->is_busy = false;
    RP_ASSERT(pthread_cond_broadcast(&track->idle) == 0);
    return r;
}

static void *track_main(void *argument)
{
    rp_track *track = argument;
    uint64_t again_ns = AGAIN_FIRST_NS;
    uint64_t give_up_at_ns = RP_FOREVER;

    lock(track);
    while (await_work(track)) {
        if (track->closing && give_up_at_ns == RP_FOREVER) {
            give_up_at_ns = rpi_clock_now_ns() + CLOSE_NS;
        }
        if (work_once(track) == 0) {
            again_ns = AGAIN_FIRST_NS;
            continue;
        }
        if (rpi_clock_now_ns() >= give_up_at_ns) {
            break;
        }
        pause_after_failure(track, again_ns);
        again_ns = again_ns < AGAIN_MAX_NS ? 2 * again_ns : AGAIN_MAX_NS;
    }
    unlock(track);
    if (track->store != NULL) {
        rpi_track_store_close(track->store);
        track->store = NULL;
    }
    return NULL;
}

/* ---- loops ------------------------------------------------------------------------------------
 */

void rpi_track_link_loop(rp_track *track, rpi_track_link *link)
{
    lock(track);
    rpi_list_append(&track->links, &link->node);
    if (track->troubles > 0) {
        rpi_async_send(&link->async);
    }
    unlock(track);
}

void rpi_track_unlink_loop(rp_track *track, rpi_track_link *link)
{
    lock(track);
    rpi_list_remove(&link->node);
    unlock(track);
}

/* ---- open, flush, close ------------------------------------------------------------------------
 */

int rpi_track_enter(const rp_track *track)
{
    rpi_detail_clear();
    if (track->owner_pid != rpi_os_pid()) {
        return rpi_detail(RP_EPERM, "this process was forked from the one that opened the track");
    }
    return 0;
}

void rpi_track_flush(rp_track *track, uint64_t timeout_ns)
{
    const uint64_t until_ns = rpi_clock_after(rpi_clock_now_ns(), timeout_ns);

    lock(track);
    while (track->queue_count > 0 || track->is_busy) {
        const uint64_t now_ns = rpi_clock_now_ns();

        if (now_ns >= until_ns) {
            break;
        }
        track->hurry = true;
        RP_ASSERT(pthread_cond_signal(&track->work) == 0);
        wait_until(track, &track->idle,
                   now_ns + AGAIN_FIRST_NS < until_ns ? now_ns + AGAIN_FIRST_NS : until_ns);
    }
    unlock(track);
}

/* The lock and both conditions, which go by the monotonic clock: 0 or -errno. */
static int init_locks(rp_track *track)
{
    pthread_condattr_t attributes;
    int error = pthread_mutex_init(&track->mutex, NULL);

    if (error != 0) {
        return -error;
    }
    error = pthread_condattr_init(&attributes);
    if (error == 0) {
        (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC); /* one that there is */
        error = pthread_cond_init(&track->work, &attributes);
        if (error == 0) {
            error = pthread_cond_init(&track->idle, &attributes);
            if (error != 0) {
                (void)pthread_cond_destroy(&track->work);
            }
        }
        (void)pthread_condattr_destroy(&attributes);
    }
    if (error != 0) {
        (void)pthread_mutex_destroy(&track->mutex);
    }
    return -error;
}

static void fini_locks(rp_track *track)
{
    (void)pthread_cond_destroy(&track->idle);
    (void)pthread_cond_destroy(&track->work);
    (void)pthread_mutex_destroy(&track->mutex);
}

static void track_free(rp_track *track)
{
    if (track->path != NULL) {
        rpi_free(rpi_alloc_default(), track->path, strlen(track->path) + 1);
    }
    rpi_free(rpi_alloc_default(), track, sizeof *track);
}

int rp_track_open(const char *path, rp_track **ret_track)
{
    rp_track *track = NULL;
    int r;

    rpi_detail_clear();
    if (!rpi_track_store_is_built_in()) {
        return rpi_detail(RP_EUNSUPPORTED, "the library was built without SQLite");
    }
    track = rpi_alloc_zero(rpi_alloc_default(), sizeof *track);
    if (track == NULL) {
        return RP_ENOMEM;
    }
    track->owner_pid = rpi_os_pid();
    rpi_identity_boot(track->boot);
    rpi_list_init(&track->queue);
    rpi_list_init(&track->links);
    r = rpi_track_path_find(path, &track->path);
    r = r < 0 ? r : rpi_track_path_prepare(track->path);
    r = r < 0 ? r : init_locks(track);
    if (r < 0) {
        track_free(track);
        return r;
    }
    r = rpi_spawn_thread_start(track_main, track, &track->thread);
    if (r < 0) {
        fini_locks(track);
        track_free(track);
        return r;
    }
    *ret_track = track;
    return 0;
}

const char *rp_track_path(const rp_track *track)
{
    return track->path;
}

void rp_track_close(rp_track *track)
{
    rpi_list *node;

    rpi_detail_clear();
    if (track == NULL) {
        return;
    }
    if (rpi_track_enter(track) < 0) {
        track_free(track); /* its rows, its thread, its lock and its database are the parent's */
        return;
    }
    lock(track);
    track->closing = true;
    RP_ASSERT(pthread_cond_signal(&track->work) == 0);
    unlock(track);
    RP_ASSERT(pthread_join(track->thread, NULL) == 0);
    RP_ASSERT(rpi_list_is_empty(&track->links));
    while ((node = rpi_list_take_first(&track->queue)) != NULL) { /* could not be written in time */
        rpi_track_row_free(RPI_CONTAINER(node, rpi_track_row, node));
    }
    fini_locks(track);
    track_free(track);
}
