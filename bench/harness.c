/* Runs one case: warm-up, then rounds; in a round every point, and at a point every subject in
 * turn, each round beginning with another one. Each sample is a worker process (worker_linux.c).
 * main.c calls it, the reports read what it collected.
 */
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "bench/bench.h"

static size_t index_of(const rpi_run *run, size_t group, size_t size, size_t subject)
{
    return ((group * run->size_count + size) * run->subject_case->subject_count + subject) *
           run->rounds;
}

rpi_sample *
rpi_run_sample(const rpi_run *run, size_t group, size_t size, size_t subject, unsigned round)
{
    return &run->samples[index_of(run, group, size, subject) + round];
}

bool rpi_list_has(const char *list, const char *name)
{
    size_t name_size = strlen(name);

    if (list == NULL) {
        return true;
    }
    while (*list != '\0') {
        size_t item_size = strcspn(list, ",");

        if (item_size == name_size && memcmp(list, name, name_size) == 0) {
            return true;
        }
        list += item_size;
        list += *list == ',' ? 1 : 0;
    }
    return false;
}

void rpi_sample_init(rpi_sample *sample)
{
    memset(sample, 0, sizeof *sample);
    for (size_t i = 0; i < RPI_METRIC_MAX; i++) {
        sample->values[i] = (double)NAN;
    }
}

void rpi_skip(rpi_sample *sample, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    sample->outcome = RPI_SKIPPED;
    (void)vsnprintf(sample->note, sizeof sample->note, format, arguments);
    va_end(arguments);
}

void rpi_fail(rpi_sample *sample, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    sample->outcome = RPI_FAILED;
    (void)vsnprintf(sample->note, sizeof sample->note, format, arguments);
    va_end(arguments);
}

size_t rpi_scaled(const rpi_job *job, size_t full, size_t least)
{
    double scaled = (double)full * job->options->scale;
    size_t total = job->options->total != 0 ? job->options->total : (size_t)scaled;

    return total > least ? total : least;
}

static void choose_sizes(rpi_run *run, const rpi_options *options)
{
    const rpi_case *c = run->subject_case;

    if (options->size_count != 0) {
        run->size_count = options->size_count;
        memcpy(run->sizes, options->sizes, options->size_count * sizeof run->sizes[0]);
        return;
    }
    run->size_count = c->size_count;
    for (size_t i = 0; i < c->size_count; i++) {
        double scaled = (double)c->sizes[i] * (c->scale_sizes ? options->scale : 1.0);

        run->sizes[i] = c->sizes[i] != 0 && scaled < 1.0 ? 1 : (size_t)scaled;
    }
}

int rpi_run_open(const rpi_case *subject_case, const rpi_options *options, rpi_run *ret_run)
{
    rpi_run run = {.subject_case = subject_case, .rounds = options->rounds};
    size_t count;

    choose_sizes(&run, options);
    count = subject_case->group_count * run.size_count * subject_case->subject_count * run.rounds;
    if (count == 0) {
        return RP_EINVAL;
    }
    run.samples = calloc(count, sizeof *run.samples);
    if (run.samples == NULL) {
        return RP_ENOMEM;
    }
    for (size_t i = 0; i < count; i++) {
        rpi_sample_init(&run.samples[i]);
        rpi_skip(&run.samples[i], "not asked for");
    }
    *ret_run = run;
    return 0;
}

void rpi_run_fini(rpi_run *run)
{
    free(run->samples);
    run->samples = NULL;
}

static void tell_progress(const rpi_run *run,
                          const rpi_worker *worker,
                          unsigned round,
                          const rpi_sample *sample)
{
    const rpi_case *c = run->subject_case;

    (void)fprintf(stderr, "%s %s %zu, round %u of %u, %s: ", c->name, c->groups[worker->group],
                  worker->size, round + 1, run->rounds, worker->subject);
    if (sample->outcome == RPI_MEASURED) {
        (void)fprintf(stderr, "%.4g %s\n", sample->values[0], c->metrics[0].unit);
    } else {
        (void)fprintf(stderr, "%s\n", sample->note);
    }
}

typedef struct point_place {
    size_t group, size; /* indices */
} point_place;

/* What was skipped once is skipped for good: the reason does not go away between rounds. */
static bool is_worth_running(const rpi_run *run, point_place place, size_t subject, unsigned round)
{
    const rpi_sample *first = rpi_run_sample(run, place.group, place.size, subject, 0);

    return round == 0 || first->outcome != RPI_SKIPPED;
}

static int run_point(rpi_run *run, const rpi_options *options, point_place place, unsigned round)
{
    const rpi_case *c = run->subject_case;
    int failed = 0;

    for (size_t i = 0; i < c->subject_count; i++) {
        size_t subject = (i + round) % c->subject_count;
        rpi_sample *sample = rpi_run_sample(run, place.group, place.size, subject, round);
        rpi_worker worker = {.case_name = c->name,
                             .subject = c->subjects[subject].name,
                             .group = place.group,
                             .size = run->sizes[place.size],
                             .options = options};

        if (!rpi_list_has(options->subjects, worker.subject) || rpi_worker_interrupted()) {
            continue;
        }
        if (!is_worth_running(run, place, subject, round)) {
            *sample = *rpi_run_sample(run, place.group, place.size, subject, 0);
            continue;
        }
        rpi_worker_run(&worker, sample);
        failed += sample->outcome == RPI_FAILED ? 1 : 0;
        if (options->verbose || sample->outcome == RPI_FAILED) {
            tell_progress(run, &worker, round, sample);
        }
    }
    return failed;
}

/* A quarter of the work, thrown away: page cache, the kernel's slab caches, the processor's clock.
 */
static void warm_up(rpi_run *run, const rpi_options *options)
{
    rpi_options quarter = *options;
    const rpi_case *c = run->subject_case;

    quarter.scale = options->scale / 4.0;
    for (size_t group = 0; group < c->group_count; group++) {
        for (size_t subject = 0; subject < c->subject_count; subject++) {
            rpi_sample thrown_away;
            rpi_worker worker = {.case_name = c->name,
                                 .subject = c->subjects[subject].name,
                                 .group = group,
                                 .size = run->sizes[0],
                                 .options = &quarter};

            if (!rpi_worker_interrupted() && rpi_list_has(options->subjects, worker.subject) &&
                rpi_list_has(options->groups, c->groups[group])) {
                rpi_worker_run(&worker, &thrown_away);
            }
        }
    }
}

int rpi_run_all(rpi_run *run, const rpi_options *options)
{
    const rpi_case *c = run->subject_case;
    int failed = 0;

    if (!options->no_warm_up) {
        warm_up(run, options);
    }
    for (unsigned round = 0; round < run->rounds; round++) {
        for (size_t group = 0; group < c->group_count; group++) {
            if (!rpi_list_has(options->groups, c->groups[group])) {
                continue;
            }
            for (size_t size = 0; size < run->size_count; size++) {
                failed += run_point(run, options, (point_place){group, size}, round);
            }
        }
    }
    return failed;
}
