/* The readable table of a case. For each point a row a subject: the primary metric with its spread,
 * how many times as good as the baseline, how many times as good ours is, growth against the
 * reference size, then the medians of the other metrics.
 */
#include <math.h>
#include <string.h>

#include "bench/bench.h"

enum {
    NUMBER_SIZE = 24,
    SPREAD_SIZE = 80
};

static const char *number_text(double number, char *text)
{
    double size = fabs(number);
    int decimals = size < 10.0 ? 2 : (size < 100.0 ? 1 : 0);

    if (isnan(number)) {
        (void)snprintf(text, NUMBER_SIZE, "-");
    } else {
        (void)snprintf(text, NUMBER_SIZE, "%.*f", decimals, number);
    }
    return text;
}

static const char *spread_text(rpi_spread spread, char *text)
{
    char numbers[3][NUMBER_SIZE];

    if (spread.count == 0) {
        (void)snprintf(text, SPREAD_SIZE, "-");
        return text;
    }
    (void)snprintf(text, SPREAD_SIZE, "%s [%s .. %s]", number_text(spread.median, numbers[0]),
                   number_text(spread.min, numbers[1]), number_text(spread.max, numbers[2]));
    return text;
}

static bool has_growth(const rpi_run *run)
{
    for (size_t i = 0; i < run->size_count; i++) {
        if (run->sizes[i] == run->subject_case->reference_size) {
            return run->size_count > 1;
        }
    }
    return false;
}

static void print_head(const rpi_run *run, FILE *file)
{
    const rpi_case *c = run->subject_case;
    char title[SPREAD_SIZE];

    (void)snprintf(title, sizeof title, "%s, %s", c->metrics[0].name, c->metrics[0].unit);
    (void)fprintf(file, "  %-13s %-28s", "", title);
    if (c->baseline != NULL) {
        (void)snprintf(title, sizeof title, "x %s", c->baseline);
        (void)fprintf(file, " %-22s %-10s", title, "ours x");
    }
    if (has_growth(run)) {
        (void)snprintf(title, sizeof title, "growth/%zu", c->reference_size);
        (void)fprintf(file, " %-11s", title);
    }
    for (size_t i = 1; i < c->metric_count; i++) {
        (void)snprintf(title, sizeof title, "%s %s", c->metrics[i].name, c->metrics[i].unit);
        (void)fprintf(file, " %16s", title);
    }
    (void)fputc('\n', file);
}

typedef struct place {
    size_t group, size;
} place;

static void print_row(const rpi_run *run, place at, size_t subject, FILE *file)
{
    const rpi_case *c = run->subject_case;
    const rpi_sample *first = rpi_run_sample(run, at.group, at.size, subject, 0);
    size_t baseline = rpi_baseline_index(c);
    char text[SPREAD_SIZE];
    rpi_spread primary = rpi_spread_values(run, at.group, at.size, subject, 0);

    (void)fprintf(file, "  %-13s ", c->subjects[subject].name);
    if (primary.count == 0) {
        (void)fprintf(file, "%s%s\n",
                      first->outcome == RPI_FAILED ? "FAILED: " : "not run: ", first->note);
        return;
    }
    (void)fprintf(file, "%-28s", spread_text(primary, text));
    if (baseline != SIZE_MAX) {
        (void)fprintf(
            file, " %-22s",
            spread_text(rpi_spread_ratio(run, at.group, at.size, subject, baseline), text));
        (void)fprintf(
            file, " %-10s",
            number_text(rpi_spread_ratio(run, at.group, at.size, 0, subject).median, text));
    }
    if (has_growth(run)) {
        (void)fprintf(file, " %-11s",
                      number_text(rpi_spread_growth(run, at.group, at.size, subject).median, text));
    }
    for (size_t i = 1; i < c->metric_count; i++) {
        double median = rpi_spread_values(run, at.group, at.size, subject, i).median;

        (void)fprintf(file, " %16s", number_text(median, text));
    }
    if (primary.count < run->rounds) {
        (void)fprintf(file, "  (%zu of %u rounds)", primary.count, run->rounds);
    }
    (void)fputc('\n', file);
}

static bool was_asked_for(const rpi_run *run, place at, size_t subject)
{
    const rpi_sample *first = rpi_run_sample(run, at.group, at.size, subject, 0);

    return first->outcome != RPI_SKIPPED || strcmp(first->note, "not asked for") != 0;
}

static void print_point(const rpi_run *run, place at, FILE *file)
{
    const rpi_case *c = run->subject_case;
    bool any = false;

    for (size_t subject = 0; subject < c->subject_count; subject++) {
        if (!was_asked_for(run, at, subject)) {
            continue;
        }
        if (!any) {
            (void)fprintf(file, "\n %s, %zu %s\n", c->groups[at.group], run->sizes[at.size],
                          c->size_name);
            print_head(run, file);
            any = true;
        }
        print_row(run, at, subject, file);
    }
}

void rpi_report_table(const rpi_run *run, FILE *file)
{
    const rpi_case *c = run->subject_case;

    (void)fprintf(file, "\n%s: %s\nbudget: %s\n", c->name, c->question, c->budget);
    for (size_t group = 0; group < c->group_count; group++) {
        for (size_t size = 0; size < run->size_count; size++) {
            print_point(run, (place){group, size}, file);
        }
    }
    (void)fflush(file);
}
