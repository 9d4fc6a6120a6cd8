/* Median and spread, ratios and growth. Comparisons are made inside one round, where both samples
 * saw the same machine, and only then summed up: a neighbour's build that slows one round slows
 * both sides of its ratio. The reports call it.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench/bench.h"

static int compare_doubles(const void *a, const void *b)
{
    double left = *(const double *)a;
    double right = *(const double *)b;

    return (left > right) - (left < right);
}

rpi_spread rpi_spread_of(double *values, size_t count)
{
    rpi_spread spread = {0, (double)NAN, (double)NAN, (double)NAN};
    size_t kept = 0;

    for (size_t i = 0; i < count; i++) {
        if (!isnan(values[i])) {
            values[kept++] = values[i];
        }
    }
    if (kept == 0) {
        return spread;
    }
    qsort(values, kept, sizeof values[0], compare_doubles);
    spread.count = kept;
    spread.min = values[0];
    spread.max = values[kept - 1];
    spread.median =
        kept % 2 == 1 ? values[kept / 2] : (values[kept / 2 - 1] + values[kept / 2]) / 2.0;
    return spread;
}

static double value_of(const rpi_sample *sample, size_t metric)
{
    return sample->outcome == RPI_MEASURED ? sample->values[metric] : (double)NAN;
}

rpi_spread
rpi_spread_values(const rpi_run *run, size_t group, size_t size, size_t subject, size_t metric)
{
    double values[RPI_ROUND_MAX];

    for (unsigned round = 0; round < run->rounds; round++) {
        values[round] = value_of(rpi_run_sample(run, group, size, subject, round), metric);
    }
    return rpi_spread_of(values, run->rounds);
}

rpi_spread
rpi_spread_ratio(const rpi_run *run, size_t group, size_t size, size_t subject, size_t other)
{
    double values[RPI_ROUND_MAX];

    for (unsigned round = 0; round < run->rounds; round++) {
        double mine = value_of(rpi_run_sample(run, group, size, subject, round), 0);
        double theirs = value_of(rpi_run_sample(run, group, size, other, round), 0);

        values[round] =
            run->subject_case->metrics[0].more_is_better ? mine / theirs : theirs / mine;
    }
    return rpi_spread_of(values, run->rounds);
}

rpi_spread rpi_spread_growth(const rpi_run *run, size_t group, size_t size, size_t subject)
{
    double values[RPI_ROUND_MAX];
    size_t reference = run->size_count;

    for (size_t i = 0; i < run->size_count; i++) {
        if (run->sizes[i] == run->subject_case->reference_size) {
            reference = i;
        }
    }
    for (unsigned round = 0; round < run->rounds; round++) {
        values[round] = (double)NAN;
        if (reference < run->size_count) {
            values[round] = value_of(rpi_run_sample(run, group, size, subject, round), 0) /
                            value_of(rpi_run_sample(run, group, reference, subject, round), 0);
        }
    }
    return rpi_spread_of(values, run->rounds);
}

size_t rpi_baseline_index(const rpi_case *subject_case)
{
    for (size_t i = 0; i < subject_case->subject_count; i++) {
        if (subject_case->baseline != NULL &&
            strcmp(subject_case->subjects[i].name, subject_case->baseline) == 0) {
            return i;
        }
    }
    return SIZE_MAX;
}
