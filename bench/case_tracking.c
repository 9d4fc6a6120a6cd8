/* tracking: what it costs to write children down on disk while they run: the lifecycle with and
 * without a track, and with one whose database another program has locked. `tiny` children end
 * before they are written; `lasting` ones live for 50 ms, so each is a row, written and deleted.
 * The file lies in the temporary folder.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/engine.h"

enum {
    TRACKING_CHILD,
    TRACKING_CPU,
    TRACKING_METRICS,
    LOCK_START = 0x40000000, /* the bytes that SQLite locks against everybody */
    LOCK_SIZE = 512
};

static const rpi_metric tracking_metrics[TRACKING_METRICS] = {
    [TRACKING_CHILD] = {"child", "us", false},
    [TRACKING_CPU] = {"cpu", "us/child", false},
};

typedef struct place {
    char folder[64];
    char path[96];
    pid_t locker; /* 0: nobody has it locked */
} place;

static bool open_place(place *at, rpi_sample *sample)
{
    const char *base = getenv("TMPDIR");

    (void)snprintf(at->folder, sizeof at->folder, "%.32s/rp-bench-XXXXXX",
                   base != NULL ? base : "/tmp");
    if (mkdtemp(at->folder) == NULL) {
        rpi_fail(sample, "mkdtemp: %s", strerror(errno));
        return false;
    }
    (void)snprintf(at->path, sizeof at->path, "%s/tracked.sqlite3", at->folder);
    at->locker = 0;
    return true;
}

static void close_place(const place *at)
{
    static const char *const ends[] = {"", "-wal", "-shm", "-journal"};
    char file[128];

    if (at->locker > 0) {
        (void)kill(at->locker, SIGKILL);
        (void)waitpid(at->locker, NULL, 0);
    }
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        (void)snprintf(file, sizeof file, "%s%s", at->path, ends[i]);
        (void)unlink(file); /* some are not there */
    }
    (void)rmdir(at->folder);
}

/* Another program has the file for itself. */
static bool lock_place(place *at, rpi_sample *sample)
{
    int ready[2];
    char byte = 0;

    if (pipe(ready) < 0) {
        rpi_fail(sample, "pipe: %s", strerror(errno));
        return false;
    }
    at->locker = fork();
    if (at->locker == 0) {
        struct flock lock = {
            .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = LOCK_START, .l_len = LOCK_SIZE};
        int fd = open(at->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

        if (fd < 0 || fcntl(fd, F_SETLK, &lock) < 0 || write(ready[1], "r", 1) != 1) {
            _exit(1);
        }
        (void)alarm(120);
        for (;;) {
            (void)pause();
        }
    }
    (void)close(ready[1]);
    if (at->locker < 0 || read(ready[0], &byte, 1) != 1) {
        rpi_fail(sample, "the database could not be locked");
    }
    (void)close(ready[0]);
    return sample->outcome == RPI_MEASURED;
}

static void measure(const rpi_job *job, rp_track *track, rpi_sample *sample)
{
    static const char *const lasting[] = {"/bin/sleep", "0.05", NULL};
    rpi_engine_result result;
    char tiny[RPI_PATH_SIZE];
    char sleeper[RPI_PATH_SIZE];
    const char *tiny_argv[] = {tiny, NULL};
    const char *sleeper_argv[] = {sleeper, NULL};
    rpi_engine_job engine_job = {.at_once = job->size,
                                 .total = rpi_scaled(job, 8 * job->size + 4000, job->size),
                                 .time_max_ns = 8 * RP_SECOND,
                                 .threads = job->options->threads,
                                 .track = track,
                                 .sleeper_argv = sleeper_argv};

    if (!rpi_engine_programs(sample, tiny, sleeper)) {
        return;
    }
    engine_job.argv = job->group == 0 ? tiny_argv : lasting;
    if (rpi_engine_run(job, &engine_job, sample, &result)) {
        sample->values[TRACKING_CHILD] = (double)result.meter.wall_ns / 1e3 / (double)result.done;
        sample->values[TRACKING_CPU] =
            (result.meter.user_ns + result.meter.system_ns) / 1e3 / (double)result.done;
    }
}

static void run_tracked(const rpi_job *job, rpi_sample *sample, bool locked)
{
    rp_track *track = NULL;
    place at;
    int r;

    if (!rp_has("track")) {
        rpi_skip(sample, "built without SQLite");
        return;
    }
    if (!open_place(&at, sample)) {
        return;
    }
    if (!locked || lock_place(&at, sample)) {
        r = rp_track_open(at.path, &track);
        if (r < 0) {
            rpi_fail(sample, "rp_track_open: %s", rp_error_name(r));
        } else {
            measure(job, track, sample);
            rp_track_close(track);
        }
    }
    close_place(&at);
}

static void run_track(const rpi_job *job, rpi_sample *sample)
{
    run_tracked(job, sample, false);
}

static void run_locked(const rpi_job *job, rpi_sample *sample)
{
    run_tracked(job, sample, true);
}

static void run_plain(const rpi_job *job, rpi_sample *sample)
{
    measure(job, NULL, sample);
}

static const rpi_subject tracking_subjects[] = {
    {.name = "tracked_uring", .run = run_track, .engine = rpi_engine_uring},
    {.name = "tracked_epoll", .run = run_track, .engine = rpi_engine_epoll},
    {.name = "locked_uring", .run = run_locked, .engine = rpi_engine_uring},
    {.name = "untracked_epoll", .run = run_plain, .engine = rpi_engine_epoll},
    {.name = "untracked_uring", .run = run_plain, .engine = rpi_engine_uring},
};
static const char *const tracking_groups[] = {"tiny", "lasting"};
static const size_t tracking_sizes[] = {16, 64, 500};

const rpi_case rpi_case_tracking = {
    .name = "tracking",
    .question = "a child's whole life with every child written down in a database, and with a "
                "database that another program has locked",
    .budget = ">= 0.95 x untracked",
    .size_name = "at once",
    .metrics = tracking_metrics,
    .metric_count = TRACKING_METRICS,
    .groups = tracking_groups,
    .group_count = 2,
    .sizes = tracking_sizes,
    .size_count = sizeof tracking_sizes / sizeof tracking_sizes[0],
    .reference_size = SIZE_MAX,
    .scale_sizes = true,
    .subjects = tracking_subjects,
    .subject_count = sizeof tracking_subjects / sizeof tracking_subjects[0],
    .baseline = "untracked_uring",
};
