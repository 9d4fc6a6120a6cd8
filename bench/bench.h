/* The benchmark harness: what a case is, and what it is handed.
 *
 * A case asks one question ("what does a child's whole life cost"). It names its subjects (the
 * library on each backend, and its peers), its points (groups x sizes) and its metrics. The harness
 * runs every sample in a worker process of its own, round after round, all subjects of a point in
 * turn, so that what disturbs the machine disturbs everybody; then it compares within each round.
 * Nothing here judges: no time is asserted. A case file fills in one rpi_case; main.c lists them.
 */
#ifndef RPI_BENCH_BENCH_H
#define RPI_BENCH_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "rp/rp.h"

enum {
    RPI_METRIC_MAX = 8,
    RPI_SIZE_MAX = 16,
    RPI_GROUP_MAX = 4,
    RPI_SUBJECT_MAX = 12,
    RPI_ROUND_MAX = 100,
    RPI_NOTE_SIZE = 240,
    RPI_PATH_SIZE = 4096
};

typedef struct rpi_options {
    unsigned rounds;
    double scale;          /* work per sample, 1 = the full measure */
    unsigned threads;      /* spawner threads of the library; 0 = as it chooses */
    unsigned bare_threads; /* threads of the bare loops; 0 = as many as the library has, found out
                              by a probe */
    size_t total;          /* children or bytes of a sample; 0 = as the case has it */
    size_t sizes[RPI_SIZE_MAX];
    size_t size_count;             /* 0 = the case's own sizes */
    const char *subjects, *groups; /* comma lists; NULL = all */
    const char *json_path, *plot_directory;
    uint64_t sample_max_ns; /* a worker that takes longer is killed */
    bool no_warm_up;
    bool verbose;
} rpi_options;

typedef enum rpi_outcome {
    RPI_FAILED = -1,
    RPI_MEASURED = 0,
    RPI_SKIPPED = 1
} rpi_outcome;

/* What a worker reports, as bytes over a pipe. NAN in a value: not known. */
typedef struct rpi_sample {
    rpi_outcome outcome;
    double values[RPI_METRIC_MAX];
    char note[RPI_NOTE_SIZE]; /* why it was skipped or failed */
} rpi_sample;

typedef struct rpi_subject rpi_subject;

/* What a worker is asked to do. */
typedef struct rpi_job {
    const rpi_options *options;
    const rpi_subject *subject;
    size_t group; /* index into the case's groups */
    size_t size;
} rpi_job;

typedef struct rpi_engine_job rpi_engine_job;
typedef struct rpi_engine_result rpi_engine_result;
typedef int rpi_engine_fn(const rpi_engine_job *job, rpi_engine_result *ret_result);

struct rpi_subject {
    const char *name;
    void (*run)(const rpi_job *job, rpi_sample *ret_sample);
    rpi_engine_fn *engine; /* of the cases that spawn through engine.h */
    rp_backend backend;    /* of the library's rows in the other cases */
};

typedef struct rpi_metric {
    const char *name, *unit;
    bool more_is_better;
} rpi_metric;

typedef struct rpi_case {
    const char *name;
    const char *question;
    const char *budget;
    const char *size_name; /* "at once": what a size counts */
    const rpi_metric *metrics;
    size_t metric_count; /* the first is the one that is compared */
    const char *const *groups;
    size_t group_count;
    const size_t *sizes;
    size_t size_count;
    size_t reference_size; /* growth is told against this size; SIZE_MAX = not told */
    bool scale_sizes;      /* --scale shortens the sizes too */
    bool log_plot;
    const rpi_subject *subjects; /* the first is ours */
    size_t subject_count;
    const char *baseline; /* name of a subject; NULL = no comparison */
} rpi_case;

/* All samples of a case that was run. */
typedef struct rpi_run {
    const rpi_case *subject_case;
    size_t sizes[RPI_SIZE_MAX];
    size_t size_count;
    unsigned rounds;
    rpi_sample *samples; /* [group][size][subject][round] */
} rpi_run;

/* ---- harness.c ---- */

int rpi_run_open(const rpi_case *subject_case, const rpi_options *options, rpi_run *ret_run);
void rpi_run_fini(rpi_run *run);
rpi_sample *
rpi_run_sample(const rpi_run *run, size_t group, size_t size, size_t subject, unsigned round);
int rpi_run_all(rpi_run *run,
                const rpi_options *options); /* the number of samples that failed, or negative */
bool rpi_list_has(const char *list, const char *name); /* NULL has everything */
void rpi_sample_init(rpi_sample *sample);
void rpi_skip(rpi_sample *sample, const char *format, ...) __attribute__((format(printf, 2, 3)));
void rpi_fail(rpi_sample *sample, const char *format, ...) __attribute__((format(printf, 2, 3)));
size_t rpi_scaled(const rpi_job *job, size_t full, size_t least); /* --total, or full x --scale */

/* ---- worker_linux.c ---- */

typedef struct rpi_worker {
    const char *case_name, *subject;
    size_t group, size;
    const rpi_options *options;
} rpi_worker;
void rpi_worker_prepare(void);     /* the harness, once: what is left of workers comes to it */
bool rpi_worker_interrupted(void); /* SIGINT or SIGTERM came: run no more */
void rpi_worker_run(const rpi_worker *worker, rpi_sample *ret_sample);
void rpi_worker_report(int fd, const rpi_sample *sample);

/* ---- stats.c ---- */

typedef struct rpi_spread {
    size_t count; /* 0: the rest is NAN */
    double median, min, max;
} rpi_spread;
rpi_spread rpi_spread_of(double *values, size_t count); /* sorts, leaves NAN out */
rpi_spread
rpi_spread_values(const rpi_run *run, size_t group, size_t size, size_t subject, size_t metric);
/* How many times as good as the other subject, round by round; more is better whatever the metric.
 */
rpi_spread
rpi_spread_ratio(const rpi_run *run, size_t group, size_t size, size_t subject, size_t other);
/* The primary metric against the same subject's at the reference size, round by round. */
rpi_spread rpi_spread_growth(const rpi_run *run, size_t group, size_t size, size_t subject);
size_t rpi_baseline_index(const rpi_case *subject_case); /* SIZE_MAX = none */

/* ---- report.c, json.c, plot.c ---- */

void rpi_report_table(const rpi_run *run, FILE *file);
int rpi_report_json(const rpi_run *runs,
                    size_t run_count,
                    const rpi_options *options,
                    const char *path);
int rpi_report_plots(const rpi_run *run, const char *directory);

/* ---- limits_linux.c ---- */

void rpi_limits_raise(void);
uint64_t rpi_memory_available(void);          /* bytes */
uint64_t rpi_status_bytes(const char *field); /* "RssAnon" of this process, bytes */
/* False, and the sample skipped with the reason, where so many children or descriptors cannot be
 * had. */
bool rpi_limits_allow(size_t children, size_t descriptors, rpi_sample *sample);
int rpi_program_path(const char *name,
                     char *path,
                     size_t path_size); /* beside this program; negative errno */
unsigned rpi_thread_count(void); /* of this process, the kernel's io_uring workers left out */
void rpi_machine_text(char *text, size_t text_size);

/* ---- the cases ---- */

extern const rpi_case rpi_case_lifecycle, rpi_case_lifecycle_heap, rpi_case_live, rpi_case_stall,
    rpi_case_fan_in, rpi_case_pty_throughput, rpi_case_pty_round_trip, rpi_case_expect_scan,
    rpi_case_exit_storm, rpi_case_quiet, rpi_case_idle_many, rpi_case_syscalls, rpi_case_threads,
    rpi_case_tracking, rpi_case_group_kill;
const rpi_case *rpi_case_find(const char *name); /* NULL = none of that name */

#endif
