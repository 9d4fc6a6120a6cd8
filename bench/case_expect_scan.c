/* expect_scan: a stream that says nothing of what is waited for, searched to its end: one pattern
 * or a hundred, literals or expressions, written in chunks of one byte to 64 KiB. `reader` is the
 * library with a data handler and no expect: what reading alone costs.
 */
#include <stdio.h>
#include <string.h>

#include "bench/expect_scan.h"

enum {
    RATE,
    CPU,
    MEMORY,
    METRICS,
    TOOL_SHARE = 16 /* the peers get a part of the bytes */
};

static const rpi_metric metrics[METRICS] = {
    [RATE] = {"rate", "MB/s", true},
    [CPU] = {"cpu", "s/GiB", false},
    [MEMORY] = {"memory", "MiB", false},
};

/* ---- ours ---- */

typedef struct ours {
    size_t bytes;
    uint64_t memory_bytes; /* at the end of the expect, which has its window still */
    int status;            /* of the expect; 1 = not yet */
} ours;

static void on_data(rp_process *process, rp_stream stream, rp_view bytes, void *user)
{
    ours *o = user;

    (void)process;
    (void)stream;
    o->bytes += bytes.size;
}

static void on_match(rp_process *process, const rp_match *match, void *user)
{
    ours *o = user;

    (void)process;
    o->status = match->status;
    o->memory_bytes = rpi_status_bytes("RssAnon");
}

static int expect_patterns(const rpi_scan_job *job, rp_process *process, ours *o)
{
    rp_pattern patterns[RPI_SCAN_PATTERN_MAX];
    rp_expect_options options = RP_EXPECT_OPTIONS_INIT;

    for (size_t i = 0; i < job->count; i++) {
        patterns[i] =
            (rp_pattern){.kind = job->regex ? RP_REGEX : RP_LITERAL, .text = job->patterns[i]};
    }
    options.patterns = patterns;
    options.pattern_count = job->count;
    options.stream = RP_STDOUT;
    return rp_expect_start(process, &options, on_match, o, NULL);
}

static int run_child(rpi_scan_job *job, rp_loop *loop, ours *o)
{
    const char *const argv[] = {job->program, job->bytes, job->chunk, NULL};
    const rp_handlers handlers = {.data = on_data};
    rp_command command = RP_COMMAND_INIT;
    rp_process *process = NULL;
    int r;

    command.argv = argv;
    rpi_meter_start(&job->meter);
    r = rp_spawn(loop, &command, &handlers, o, &process);
    if (r == 0 && job->count > 0) {
        r = expect_patterns(job, process, o);
    }
    r = r < 0 ? r : rp_loop_run(loop);
    rpi_meter_stop(&job->meter);
    rp_process_close(process);
    return r;
}

static int scan_ours(rpi_scan_job *job)
{
    rp_loop_options options = RP_LOOP_OPTIONS_INIT;
    uint64_t before = rpi_status_bytes("RssAnon");
    ours o = {.bytes = 0, .status = job->count > 0 ? 1 : RP_EOS};
    rp_loop *loop = NULL;
    int r;

    options.backend = job->backend;
    r = rp_loop_open(&options, &loop);
    if (r < 0) {
        rpi_skip(job->sample, "rp_loop_open: %s: %s", rp_error_name(r), rp_error_detail());
        return -1;
    }
    r = run_child(job, loop, &o);
    if (job->count > 0) {
        job->sample->values[MEMORY] = (double)(o.memory_bytes - before) / (double)(1 << 20);
    }
    (void)rp_loop_close(loop);
    if (r < 0 || o.status != RP_EOS || o.bytes != job->total) {
        rpi_fail(job->sample, "%s: %zu bytes of %zu, expect: %s", rp_error_name(r), o.bytes,
                 job->total, rp_error_name(o.status));
        return -1;
    }
    return 0;
}

/* ---- the case ---- */

static void make_patterns(rpi_scan_job *job)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz";

    for (size_t i = 0; i < job->count; i++) {
        (void)snprintf(job->patterns[i], sizeof job->patterns[i],
                       job->regex ? "%c%c mark[e-r]+ %zu>" : "%c%c marker %zu>", letters[i % 26],
                       letters[(i * 7) % 26], i);
    }
    if (job->count == 1) {
        (void)snprintf(job->patterns[0], sizeof job->patterns[0], "%s",
                       job->regex ? "[Pp]assword( for \\w+)?: " : "password: ");
    }
}

static void run(const rpi_job *job, rpi_sample *sample, int (*scan)(rpi_scan_job *), size_t share)
{
    static const size_t full[] = {(size_t)1 << 30, (size_t)1 << 30, (size_t)1 << 28,
                                  (size_t)1 << 22};
    size_t step = job->size >= 65536 ? 0 : job->size >= 1024 ? 1 : job->size >= 16 ? 2 : 3;
    rpi_scan_job scanned = {.regex = job->group >= 2, .backend = job->subject->backend};
    double gibibytes;

    scanned.sample = sample;
    scanned.total = rpi_scaled(job, full[step], 65536) / share;
    scanned.count = scan == NULL ? 0 : job->group % 2 == 0 ? 1 : RPI_SCAN_PATTERN_MAX;
    make_patterns(&scanned);
    if (scanned.regex && !rp_has("regex")) {
        rpi_skip(sample, "built without regular expressions");
        return;
    }
    if (rpi_program_path("rp-bench-talker", scanned.program, sizeof scanned.program) < 0) {
        rpi_fail(sample, "rp-bench-talker is not beside this program");
        return;
    }
    (void)snprintf(scanned.bytes, sizeof scanned.bytes, "%zu", scanned.total);
    (void)snprintf(scanned.chunk, sizeof scanned.chunk, "%zu", job->size);
    rpi_meter_init(&scanned.meter);
    if ((scan == NULL ? scan_ours : scan)(&scanned) < 0) {
        return;
    }
    gibibytes = (double)scanned.total / (double)(1U << 30);
    sample->values[RATE] = (double)scanned.total / 1e6 / ((double)scanned.meter.wall_ns / 1e9);
    if (share == 1) {
        sample->values[CPU] = (scanned.meter.user_ns + scanned.meter.system_ns) / 1e9 / gibibytes;
    }
    rpi_meter_fini(&scanned.meter);
}

static void run_ours(const rpi_job *job, rpi_sample *sample)
{
    run(job, sample, scan_ours, 1);
}

static void run_reader(const rpi_job *job, rpi_sample *sample)
{
    run(job, sample, NULL, 1);
}

static void run_tcl(const rpi_job *job, rpi_sample *sample)
{
    run(job, sample, rpi_scan_tcl, TOOL_SHARE);
}

static void run_pexpect(const rpi_job *job, rpi_sample *sample)
{
    run(job, sample, rpi_scan_pexpect, TOOL_SHARE);
}

static const rpi_subject subjects[] = {
    {.name = "ours_uring", .run = run_ours, .backend = RP_BACKEND_URING},
    {.name = "ours_epoll", .run = run_ours, .backend = RP_BACKEND_EPOLL},
    {.name = "reader", .run = run_reader},
    {.name = "tcl_expect", .run = run_tcl},
    {.name = "pexpect", .run = run_pexpect},
};
static const char *const groups[] = {"literal", "100_literals", "regex", "100_regexes"};
static const size_t sizes[] = {1, 64, 1024, 65536};

const rpi_case rpi_case_expect_scan = {
    .name = "expect_scan",
    .question = "searching a stream without a match, written in chunks",
    .budget = ">= 1 GB/s literal, >= 300 MB/s regex, memory constant; 3 x Tcl expect, 20 x pexpect",
    .size_name = "bytes a write",
    .metrics = metrics,
    .metric_count = METRICS,
    .groups = groups,
    .group_count = 4,
    .sizes = sizes,
    .size_count = sizeof sizes / sizeof sizes[0],
    .reference_size = SIZE_MAX,
    .log_plot = true,
    .subjects = subjects,
    .subject_count = sizeof subjects / sizeof subjects[0],
    .baseline = "tcl_expect",
};
