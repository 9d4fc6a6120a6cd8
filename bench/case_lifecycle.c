/* lifecycle: what a child's whole life costs, by how many are going at once: launch, both outputs
 * captured, exit status. Against the bare loop, which is as much as the system can do by vfork;
 * posix_spawn; the flat launch by hand; libuv; GLib; and the programs that people use for it. Also
 * here, because they only move one knob of it: lifecycle_heap (the caller has touched so much
 * memory) and live (so many other children are alive).
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "bench/engine.h"

enum {
    LIFE_CHILD,
    LIFE_USER,
    LIFE_SYSTEM,
    LIFE_METRICS
};

static const rpi_metric life_metrics[LIFE_METRICS] = {
    [LIFE_CHILD] = {"child", "us", false},
    [LIFE_USER] = {"user", "us/child", false},
    [LIFE_SYSTEM] = {"system", "us/child", false},
};

static const uint64_t time_max_ns = 8 * RP_SECOND;

static void store(const rpi_engine_result *result, rpi_sample *sample)
{
    double done = (double)result->done;

    sample->values[LIFE_CHILD] = (double)result->meter.wall_ns / 1e3 / done;
    sample->values[LIFE_USER] = result->meter.user_ns / 1e3 / done;
    sample->values[LIFE_SYSTEM] = result->meter.system_ns / 1e3 / done;
}

static void run_engine(const rpi_job *job, rpi_engine_job engine_job, rpi_sample *sample)
{
    rpi_engine_result result;
    char tiny[RPI_PATH_SIZE];
    char sleeper[RPI_PATH_SIZE];
    const char *tiny_argv[] = {tiny, NULL};
    const char *sleeper_argv[] = {sleeper, NULL};

    if (!rpi_engine_programs(sample, tiny, sleeper)) {
        return;
    }
    if (engine_job.argv == NULL) {
        engine_job.argv = tiny_argv;
    }
    engine_job.sleeper_argv = sleeper_argv;
    engine_job.time_max_ns = time_max_ns;
    engine_job.threads = job->options->threads;
    engine_job.bare_threads = job->options->bare_threads;
    if (rpi_engine_run(job, &engine_job, sample, &result)) {
        store(&result, sample);
    }
}

/* ---- lifecycle ---- */

static void run_lifecycle(const rpi_job *job, rpi_sample *sample)
{
    static const char *const true_argv[] = {"/bin/true", NULL};
    bool is_tiny = job->group == 0;
    size_t full = job->size == 1 ? 1000 : (is_tiny ? 4000 : 2000);
    size_t least =
        full > 2 * job->size ? job->size : 2 * job->size; /* so that it is not all beginning */
    rpi_engine_job engine_job = {.argv = is_tiny ? NULL : true_argv, .at_once = job->size};

    if (job->options->scale < 1.0) {
        least = job->size;
    }
    engine_job.total = rpi_scaled(job, full, least);
    run_engine(job, engine_job, sample);
}

static const rpi_subject lifecycle_subjects[] = {
    {.name = "ours_uring", .run = run_lifecycle, .engine = rpi_engine_uring},
    {.name = "ours_epoll", .run = run_lifecycle, .engine = rpi_engine_epoll},
    {.name = "bare", .run = run_lifecycle, .engine = rpi_engine_bare},
    {.name = "bare_flat", .run = run_lifecycle, .engine = rpi_engine_bare_flat},
    {.name = "posix_spawn", .run = run_lifecycle, .engine = rpi_engine_posix_spawn},
    {.name = "libuv", .run = run_lifecycle, .engine = rpi_engine_uv},
    {.name = "glib", .run = run_lifecycle, .engine = rpi_engine_glib},
    {.name = "xargs", .run = run_lifecycle, .engine = rpi_engine_xargs},
    {.name = "parallel", .run = run_lifecycle, .engine = rpi_engine_parallel},
};
static const char *const lifecycle_groups[] = {"tiny", "true"};
static const size_t lifecycle_sizes[] = {1, 16, 64, 500, 2000, 4000};

const rpi_case rpi_case_lifecycle = {
    .name = "lifecycle",
    .question = "a child's whole life: launch, both outputs captured, exit; tiny = a static "
                "program, true = /bin/true",
    .budget = ">= 0.95 x bare; growth <= 1.25 from 16 to 4,000 at once; >= 5 x libuv at 64 and "
              "more (tiny)",
    .size_name = "at once",
    .metrics = life_metrics,
    .metric_count = LIFE_METRICS,
    .groups = lifecycle_groups,
    .group_count = 2,
    .sizes = lifecycle_sizes,
    .size_count = sizeof lifecycle_sizes / sizeof lifecycle_sizes[0],
    .reference_size = 16,
    .log_plot = true,
    .subjects = lifecycle_subjects,
    .subject_count = sizeof lifecycle_subjects / sizeof lifecycle_subjects[0],
    .baseline = "bare",
};

/* ---- lifecycle_heap ---- */

/* Touched page by page, as small pages: what a program that has grown over time holds. */
static bool hold_memory(size_t mebibytes, rpi_sample *sample)
{
    size_t size = mebibytes << 20;
    void *memory;

    if (mebibytes == 0) {
        return true;
    }
    if (rpi_memory_available() < size + ((uint64_t)1 << 30)) {
        rpi_skip(sample, "needs %zu MiB and 1 GiB to spare, available are %llu MiB", mebibytes,
                 (unsigned long long)(rpi_memory_available() >> 20));
        return false;
    }
    memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        rpi_skip(sample, "mmap of %zu MiB was refused", mebibytes);
        return false;
    }
    (void)madvise(memory, size, MADV_NOHUGEPAGE);
    memset(memory, 1, size); /* and kept until the worker ends */
    return true;
}

static void run_heap(const rpi_job *job, rpi_sample *sample)
{
    rpi_engine_job engine_job = {.at_once = 64, .total = rpi_scaled(job, 2000, 64)};

    if (hold_memory(job->size, sample)) {
        run_engine(job, engine_job, sample);
    }
}

static const rpi_subject heap_subjects[] = {
    {.name = "ours_uring", .run = run_heap, .engine = rpi_engine_uring},
    {.name = "ours_epoll", .run = run_heap, .engine = rpi_engine_epoll},
    {.name = "bare", .run = run_heap, .engine = rpi_engine_bare},
    {.name = "posix_spawn", .run = run_heap, .engine = rpi_engine_posix_spawn},
    {.name = "libuv", .run = run_heap, .engine = rpi_engine_uv},
    {.name = "glib", .run = run_heap, .engine = rpi_engine_glib},
};
static const char *const tiny_group[] = {"tiny"};
static const size_t heap_sizes[] = {0, 1024, 4096};

const rpi_case rpi_case_lifecycle_heap = {
    .name = "lifecycle_heap",
    .question = "the same, 64 at once, when the caller has touched so much memory",
    .budget = "growth <= 1.25 from 0 to 4 GiB",
    .size_name = "MiB touched",
    .metrics = life_metrics,
    .metric_count = LIFE_METRICS,
    .groups = tiny_group,
    .group_count = 1,
    .sizes = heap_sizes,
    .size_count = sizeof heap_sizes / sizeof heap_sizes[0],
    .reference_size = 0,
    .subjects = heap_subjects,
    .subject_count = sizeof heap_subjects / sizeof heap_subjects[0],
    .baseline = "bare",
};

/* ---- live ---- */

static void run_live(const rpi_job *job, rpi_sample *sample)
{
    rpi_engine_job engine_job = {
        .at_once = 16, .total = rpi_scaled(job, 1000, 16), .sleepers = job->size};

    run_engine(job, engine_job, sample);
}

static const rpi_subject live_subjects[] = {
    {.name = "ours_uring", .run = run_live, .engine = rpi_engine_uring},
    {.name = "ours_epoll", .run = run_live, .engine = rpi_engine_epoll},
    {.name = "bare", .run = run_live, .engine = rpi_engine_bare},
    {.name = "bare_flat", .run = run_live, .engine = rpi_engine_bare_flat},
    {.name = "posix_spawn", .run = run_live, .engine = rpi_engine_posix_spawn},
    {.name = "libuv", .run = run_live, .engine = rpi_engine_uv},
    {.name = "glib", .run = run_live, .engine = rpi_engine_glib},
};
static const size_t live_sizes[] = {0, 1000, 4000, 8000};

const rpi_case rpi_case_live = {
    .name = "live",
    .question =
        "the same, 16 at once, while so many other children sleep, each with one pipe to us",
    .budget = "flat",
    .size_name = "alive",
    .metrics = life_metrics,
    .metric_count = LIFE_METRICS,
    .groups = tiny_group,
    .group_count = 1,
    .sizes = live_sizes,
    .size_count = sizeof live_sizes / sizeof live_sizes[0],
    .reference_size = 0,
    .scale_sizes = true,
    .subjects = live_subjects,
    .subject_count = sizeof live_subjects / sizeof live_subjects[0],
    .baseline = "bare",
};
