/* Everything measured, as JSON: machine, options, and for each point and subject every sample and
 * what the table tells of them. Numbers that are not known are null.
 */
#include <math.h>

#include "bench/bench.h"

static void put_text(const char *text, FILE *file)
{
    (void)fputc('"', file);
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;

        if (c == '"' || c == '\\') {
            (void)fprintf(file, "\\%c", c);
        } else if (c < 0x20) {
            (void)fprintf(file, "\\u%04x", c);
        } else {
            (void)fputc(c, file);
        }
    }
    (void)fputc('"', file);
}

static void put_number(double number, FILE *file)
{
    if (isfinite(number)) {
        (void)fprintf(file, "%.9g", number);
    } else {
        (void)fputs("null", file);
    }
}

static void put_spread(const char *name, rpi_spread spread, FILE *file)
{
    (void)fprintf(file, "\"%s\": {\"median\": ", name);
    put_number(spread.median, file);
    (void)fputs(", \"min\": ", file);
    put_number(spread.min, file);
    (void)fputs(", \"max\": ", file);
    put_number(spread.max, file);
    (void)fputc('}', file);
}

typedef struct place {
    size_t group, size;
} place;

static void put_samples(const rpi_run *run, place at, size_t subject, FILE *file)
{
    const rpi_case *c = run->subject_case;

    for (size_t metric = 0; metric < c->metric_count; metric++) {
        (void)fprintf(file, ", \"%s\": [", c->metrics[metric].name);
        for (unsigned round = 0; round < run->rounds; round++) {
            const rpi_sample *sample = rpi_run_sample(run, at.group, at.size, subject, round);

            (void)fputs(round > 0 ? ", " : "", file);
            put_number(sample->outcome == RPI_MEASURED ? sample->values[metric] : (double)NAN,
                       file);
        }
        (void)fputc(']', file);
    }
}

static void put_subject(const rpi_run *run, place at, size_t subject, FILE *file)
{
    static const char *const outcomes[] = {"failed", "measured", "skipped"};
    const rpi_case *c = run->subject_case;
    const rpi_sample *first = rpi_run_sample(run, at.group, at.size, subject, 0);
    size_t baseline = rpi_baseline_index(c);

    (void)fprintf(
        file,
        "{\"group\": \"%s\", \"size\": %zu, \"subject\": \"%s\", \"outcome\": \"%s\", \"note\": ",
        c->groups[at.group], run->sizes[at.size], c->subjects[subject].name,
        outcomes[first->outcome + 1]);
    put_text(first->note, file);
    put_samples(run, at, subject, file);
    (void)fputs(", ", file);
    put_spread("primary", rpi_spread_values(run, at.group, at.size, subject, 0), file);
    if (baseline != SIZE_MAX) {
        (void)fputs(", ", file);
        put_spread("times_baseline", rpi_spread_ratio(run, at.group, at.size, subject, baseline),
                   file);
    }
    (void)fputs(", ", file);
    put_spread("ours_times", rpi_spread_ratio(run, at.group, at.size, 0, subject), file);
    (void)fputs(", ", file);
    put_spread("growth", rpi_spread_growth(run, at.group, at.size, subject), file);
    (void)fputc('}', file);
}

static void put_case(const rpi_run *run, FILE *file)
{
    const rpi_case *c = run->subject_case;
    const char *separator = "";

    (void)fprintf(file, "  {\"name\": \"%s\", \"question\": ", c->name);
    put_text(c->question, file);
    (void)fputs(", \"budget\": ", file);
    put_text(c->budget, file);
    (void)fputs(", \"size_is\": ", file);
    put_text(c->size_name, file);
    (void)fprintf(file, ", \"primary\": \"%s\", \"units\": {", c->metrics[0].name);
    for (size_t i = 0; i < c->metric_count; i++) {
        (void)fprintf(file, "%s\"%s\": \"%s\"", i > 0 ? ", " : "", c->metrics[i].name,
                      c->metrics[i].unit);
    }
    (void)fputs("}, \"rows\": [", file);
    for (size_t group = 0; group < c->group_count; group++) {
        for (size_t size = 0; size < run->size_count; size++) {
            for (size_t subject = 0; subject < c->subject_count; subject++) {
                (void)fprintf(file, "%s\n   ", separator);
                put_subject(run, (place){group, size}, subject, file);
                separator = ",";
            }
        }
    }
    (void)fputs("]}", file);
}

int rpi_report_json(const rpi_run *runs,
                    size_t run_count,
                    const rpi_options *options,
                    const char *path)
{
    FILE *file = fopen(path, "w");
    char machine[160];

    if (file == NULL) {
        (void)fprintf(stderr, "rp-bench: cannot write %s\n", path);
        return RP_EIO;
    }
    rpi_machine_text(machine, sizeof machine);
    (void)fprintf(file,
                  "{\"program\": \"rp-bench\", \"library\": \"%s\", \"machine\": ", rp_version());
    put_text(machine, file);
    (void)fprintf(
        file,
        ", \"rounds\": %u, \"scale\": %.9g, \"threads\": %u, \"bare_threads\": %u, \"cases\": [\n",
        options->rounds, options->scale, options->threads, options->bare_threads);
    for (size_t i = 0; i < run_count; i++) {
        put_case(&runs[i], file);
        (void)fputs(i + 1 < run_count ? ",\n" : "\n", file);
    }
    (void)fputs("]}\n", file);
    if (fclose(file) != 0) {
        (void)fprintf(stderr, "rp-bench: cannot write %s\n", path);
        return RP_EIO;
    }
    return 0;
}
