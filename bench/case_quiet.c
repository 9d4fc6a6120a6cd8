/* quiet: ten thousand children that say nothing. What one costs in memory: heap (the allocator's
 * own count, mallinfo2, and ours through the rp_allocator hook), resident anonymous memory,
 * resident shared memory (the rings: a quiet child must touch none). And how often the loop's
 * thread wakes while nothing happens.
 */
#include <malloc.h>
#include <math.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "bench/quiet.h"

enum {
    QUIET_HOOK,
    QUIET_HEAP,
    QUIET_ANONYMOUS,
    QUIET_SHARED,
    QUIET_WAKEUPS,
    QUIET_SWITCHES,
    QUIET_METRICS
};

static const rpi_metric quiet_metrics[QUIET_METRICS] = {
    [QUIET_HOOK] = {"allocated", "B/child", false}, [QUIET_HEAP] = {"malloc", "B/child", false},
    [QUIET_ANONYMOUS] = {"rss", "B/child", false},  [QUIET_SHARED] = {"shared", "B/child", false},
    [QUIET_WAKEUPS] = {"wakeups", "/s", false},     [QUIET_SWITCHES] = {"switches", "/s", false},
};

rpi_memory rpi_quiet_memory(void)
{
    struct mallinfo2 info = mallinfo2();
    rpi_memory memory;

    memory.heap = (double)(info.uordblks + info.hblkhd);
    memory.anonymous = (double)rpi_status_bytes("RssAnon");
    memory.shared = (double)rpi_status_bytes("RssShmem");
    return memory;
}

double rpi_quiet_switches(void)
{
    struct rusage usage;

    (void)getrusage(RUSAGE_THREAD, &usage);
    return (double)usage.ru_nvcsw;
}

/* ---- ours ---- */

/* Counts what the library holds through its allocator. Spawner threads may allocate too: atomic. */
static void *count_resize(void *old, size_t old_size, size_t new_size, void *user)
{
    size_t *held = user;
    void *memory = NULL;

    if (new_size > 0) {
        memory = realloc(old, new_size);
        if (memory == NULL) {
            return NULL;
        }
    } else {
        free(old);
    }
    (void)__atomic_add_fetch(held, new_size - (old == NULL ? 0 : old_size), __ATOMIC_RELAXED);
    return memory;
}

typedef struct ours {
    rpi_quiet *quiet;
    rp_loop *loop;
    size_t started, held;
    double hook_bytes;
} ours;

static void on_started(rp_process *process, void *user)
{
    ours *o = user;

    (void)process;
    if (++o->started == o->quiet->count) {
        rp_loop_stop(o->loop);
    }
}

static void on_data(rp_process *process, rp_stream stream, rp_view bytes, void *user)
{
    ours *o = user;

    (void)process;
    (void)stream;
    rpi_fail(o->quiet->sample, "%zu bytes from a quiet child", bytes.size);
}

static void on_done(rp_process *process, const rp_exit *exit, void *user)
{
    ours *o = user;

    (void)process;
    rpi_fail(o->quiet->sample, "a quiet child ended: kind %d, error %s", (int)exit->kind,
             rp_error_name(exit->error));
    rp_loop_stop(o->loop);
}

static int start_all(ours *o)
{
    const rp_handlers handlers = {.started = on_started, .data = on_data, .done = on_done};
    rp_command command = RP_COMMAND_INIT;

    command.argv = o->quiet->argv;
    if (!o->quiet->captured) {
        command.out.kind = RP_STDIO_NULL;
        command.err.kind = RP_STDIO_NULL;
    }
    for (size_t i = 0; i < o->quiet->count; i++) {
        int r = rp_spawn(o->loop, &command, &handlers, o, NULL);

        if (r < 0) {
            return r;
        }
    }
    return rp_loop_run(o->loop);
}

static int watch_quiet(ours *o)
{
    rp_loop_stats before = {.size = sizeof before};
    rp_loop_stats after = {.size = sizeof after};
    double switches = rpi_quiet_switches();
    double seconds = (double)o->quiet->watch_ns / 1e9;
    uint64_t end_ns = rp_now_ns() + o->quiet->watch_ns;
    int r = rp_loop_get_stats(o->loop, &before);

    while (r >= 0 && rp_now_ns() < end_ns) {
        r = rp_loop_run_once(o->loop,
                             end_ns - rp_now_ns()); /* one wake-up is this time-out's own */
    }
    if (r >= 0) {
        r = rp_loop_get_stats(o->loop, &after);
    }
    o->quiet->wakeups = ((double)(after.wakeups - before.wakeups) - 1.0) / seconds;
    o->quiet->wakeups = o->quiet->wakeups < 0.0 ? 0.0 : o->quiet->wakeups;
    o->quiet->switches = (rpi_quiet_switches() - switches - 1.0) / seconds;
    return r;
}

static void quiet_ours(ours *o)
{
    rpi_quiet *quiet = o->quiet;
    const rp_allocator allocator = {.resize = count_resize, .user = &o->held};
    rp_loop_options options = RP_LOOP_OPTIONS_INIT;
    size_t held;
    int r;

    options.backend = quiet->backend;
    options.allocator = &allocator;
    r = rp_loop_open(&options, &o->loop);
    if (r < 0) {
        rpi_skip(quiet->sample, "rp_loop_open: %s: %s", rp_error_name(r), rp_error_detail());
        return;
    }
    quiet->before = rpi_quiet_memory();
    held = o->held;
    r = start_all(o);
    quiet->after = rpi_quiet_memory();
    o->hook_bytes = (double)o->held - (double)held;
    if (r >= 0 && o->started == quiet->count) {
        r = watch_quiet(o);
    }
    if (quiet->sample->outcome == RPI_MEASURED && (r < 0 || o->started != quiet->count)) {
        rpi_fail(quiet->sample, "%s: %zu of %zu started", rp_error_name(r), o->started,
                 quiet->count);
    }
    quiet->count = o->started;
    (void)rp_loop_close(o->loop);
    if (quiet->sample->outcome == RPI_MEASURED && o->held != 0) {
        rpi_fail(quiet->sample, "%zu bytes were not given back by rp_loop_close", o->held);
    }
}

/* ---- the case ---- */

static bool prepare(const rpi_job *job, rpi_quiet *quiet, char *program)
{
    quiet->count = job->size;
    quiet->captured = job->group == 0;
    quiet->backend = job->subject->backend;
    quiet->watch_ns = job->options->scale < 1.0 ? RP_SECOND : 5 * RP_SECOND;
    if (rpi_program_path("rp-bench-sleeper", program, RPI_PATH_SIZE) < 0) {
        rpi_fail(quiet->sample, "rp-bench-sleeper is not beside this program");
        return false;
    }
    return rpi_limits_allow(job->size, job->size * (quiet->captured ? 3 : 1), quiet->sample);
}

static void store(const rpi_quiet *quiet, rpi_sample *sample)
{
    double count = (double)quiet->count;

    sample->values[QUIET_HEAP] = (quiet->after.heap - quiet->before.heap) / count;
    sample->values[QUIET_ANONYMOUS] = (quiet->after.anonymous - quiet->before.anonymous) / count;
    sample->values[QUIET_SHARED] = (quiet->after.shared - quiet->before.shared) / count;
    sample->values[QUIET_WAKEUPS] = quiet->wakeups;
    sample->values[QUIET_SWITCHES] = quiet->switches < 0.0 ? 0.0 : quiet->switches;
}

static void run_ours(const rpi_job *job, rpi_sample *sample)
{
    char program[RPI_PATH_SIZE];
    const char *argv[] = {program, NULL};
    rpi_quiet quiet = {.argv = argv, .sample = sample};
    ours o = {.quiet = &quiet};

    if (!prepare(job, &quiet, program)) {
        return;
    }
    quiet_ours(&o);
    if (sample->outcome == RPI_MEASURED) {
        store(&quiet, sample);
        sample->values[QUIET_HOOK] = o.hook_bytes / (double)quiet.count;
    }
}

static void run_uv(const rpi_job *job, rpi_sample *sample)
{
    char program[RPI_PATH_SIZE];
    const char *argv[] = {program, NULL};
    rpi_quiet quiet = {.argv = argv, .sample = sample, .wakeups = (double)NAN};

    if (!prepare(job, &quiet, program)) {
        return;
    }
    rpi_quiet_uv(&quiet);
    if (sample->outcome == RPI_MEASURED) {
        store(&quiet, sample);
        sample->values[QUIET_HOOK] =
            sample->values[QUIET_HEAP]; /* no hook of its own is needed: malloc is all it uses */
    }
}

static const rpi_subject quiet_subjects[] = {
    {.name = "ours_uring", .run = run_ours, .backend = RP_BACKEND_URING},
    {.name = "ours_epoll", .run = run_ours, .backend = RP_BACKEND_EPOLL},
    {.name = "libuv", .run = run_uv},
};
static const char *const quiet_groups[] = {"captured", "no_output"};
static const size_t quiet_sizes[] = {6000, 10000};

const rpi_case rpi_case_quiet = {
    .name = "quiet",
    .question = "children that say nothing: memory each, and wake-ups of the loop's thread",
    .budget = "allocated <= 1 KiB, shared 0 (no ring page touched), 0 wake-ups a second",
    .size_name = "children",
    .metrics = quiet_metrics,
    .metric_count = QUIET_METRICS,
    .groups = quiet_groups,
    .group_count = 2,
    .sizes = quiet_sizes,
    .size_count = sizeof quiet_sizes / sizeof quiet_sizes[0],
    .reference_size = SIZE_MAX,
    .scale_sizes = true,
    .subjects = quiet_subjects,
    .subject_count = sizeof quiet_subjects / sizeof quiet_subjects[0],
    .baseline = NULL,
};
