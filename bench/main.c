/* rp-bench: runs the benchmark cases and prints a table, and on request JSON and plots. `rp-bench
 * list` names the cases, `rp-bench CASE...` or `rp-bench all` runs them. With --worker it is one
 * sample of one of them (worker_linux.c starts that).
 */
#include <fcntl.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/bench.h"

static const rpi_case *const cases[] = {
    &rpi_case_lifecycle,      &rpi_case_lifecycle_heap, &rpi_case_live,        &rpi_case_stall,
    &rpi_case_fan_in,         &rpi_case_exit_storm,     &rpi_case_quiet,       &rpi_case_syscalls,
    &rpi_case_pty_throughput, &rpi_case_pty_round_trip, &rpi_case_expect_scan, &rpi_case_idle_many,
    &rpi_case_tracking,       &rpi_case_group_kill,
};
enum {
    CASE_COUNT = sizeof cases / sizeof cases[0]
};

typedef struct arguments {
    rpi_options options;
    int worker_fd; /* -1 = this is the harness */
    size_t group;
} arguments;

const rpi_case *rpi_case_find(const char *name)
{
    if (strcmp(name, rpi_case_threads.name) == 0) {
        return &rpi_case_threads; /* not listed: a probe */
    }
    for (size_t i = 0; i < CASE_COUNT; i++) {
        if (strcmp(name, cases[i]->name) == 0) {
            return cases[i];
        }
    }
    return NULL;
}

static void print_help(FILE *file)
{
    (void)fputs(
        "usage: rp-bench [OPTIONS] CASE... | all | list\n"
        "  --rounds N         interleaved rounds (5)\n"
        "  --scale F          work per sample, 1 = the full measure\n"
        "  --sizes A,B,...    instead of the case's sizes (at once, alive, writers, MiB: see "
        "list)\n"
        "  --total N          children of a sample (fan_in: bytes), instead of the case's\n"
        "  --groups A,B       only these groups of points\n"
        "  --subjects A,B     only these rows\n"
        "  --threads N        spawner threads of the library (0 = it chooses) and of the bare "
        "loops\n"
        "  --bare-threads N   threads of the bare loops alone (as many as the library has)\n"
        "  --sample-max SEC   a sample that takes longer is given up (180)\n"
        "  --json FILE        everything measured, as JSON\n"
        "  --plot DIR         SVG plots through gnuplot\n"
        "  --no-warm-up       skip the warm-up\n"
        "  --verbose          tell each sample on standard error\n"
        "No result is judged: the exit status is 1 only where something did not work.\n",
        file);
}

static int list_cases(void)
{
    for (size_t i = 0; i < CASE_COUNT; i++) {
        const rpi_case *c = cases[i];

        (void)printf("%s: %s\n    budget: %s\n    sizes (%s):", c->name, c->question, c->budget,
                     c->size_name);
        for (size_t k = 0; k < c->size_count; k++) {
            (void)printf(" %zu", c->sizes[k]);
        }
        (void)printf("\n    groups:");
        for (size_t k = 0; k < c->group_count; k++) {
            (void)printf(" %s", c->groups[k]);
        }
        (void)printf("\n    rows:");
        for (size_t k = 0; k < c->subject_count; k++) {
            (void)printf(" %s", c->subjects[k].name);
        }
        (void)printf("\n");
    }
    return 0;
}

static bool parse_number(const char *text, size_t *ret_number)
{
    char *end;
    unsigned long number = strtoul(text, &end, 10);

    if (end == text || *end != '\0' || text[0] == '-') {
        return false;
    }
    *ret_number = number;
    return true;
}

static bool parse_sizes(const char *text, rpi_options *options)
{
    char copy[RPI_SIZE_MAX * 24];
    char *rest = copy;
    char *item;

    if ((size_t)snprintf(copy, sizeof copy, "%s", text) >= sizeof copy) {
        return false;
    }
    options->size_count = 0;
    while ((item = strsep(&rest, ",")) != NULL) {
        if (options->size_count == RPI_SIZE_MAX ||
            !parse_number(item, &options->sizes[options->size_count])) {
            return false;
        }
        options->size_count++;
    }
    return true;
}

enum {
    OPTION_ROUNDS = 256,
    OPTION_SCALE,
    OPTION_SIZES,
    OPTION_TOTAL,
    OPTION_GROUPS,
    OPTION_SUBJECTS,
    OPTION_THREADS,
    OPTION_BARE_THREADS,
    OPTION_SAMPLE_MAX,
    OPTION_JSON,
    OPTION_PLOT,
    OPTION_NO_WARM_UP,
    OPTION_VERBOSE,
    OPTION_WORKER,
    OPTION_GROUP_INDEX,
    OPTION_HELP
};

static const struct option long_options[] = {
    {"rounds", required_argument, NULL, OPTION_ROUNDS},
    {"scale", required_argument, NULL, OPTION_SCALE},
    {"sizes", required_argument, NULL, OPTION_SIZES},
    {"total", required_argument, NULL, OPTION_TOTAL},
    {"groups", required_argument, NULL, OPTION_GROUPS},
    {"subjects", required_argument, NULL, OPTION_SUBJECTS},
    {"threads", required_argument, NULL, OPTION_THREADS},
    {"bare-threads", required_argument, NULL, OPTION_BARE_THREADS},
    {"sample-max", required_argument, NULL, OPTION_SAMPLE_MAX},
    {"json", required_argument, NULL, OPTION_JSON},
    {"plot", required_argument, NULL, OPTION_PLOT},
    {"no-warm-up", no_argument, NULL, OPTION_NO_WARM_UP},
    {"verbose", no_argument, NULL, OPTION_VERBOSE},
    {"worker", required_argument, NULL, OPTION_WORKER},
    {"group-index", required_argument, NULL, OPTION_GROUP_INDEX},
    {"help", no_argument, NULL, OPTION_HELP},
    {NULL, 0, NULL, 0},
};

static bool parse_numeric(int option, const char *text, arguments *a)
{
    size_t number;

    if (!parse_number(text, &number)) {
        return false;
    }
    switch (option) {
    case OPTION_ROUNDS:
        a->options.rounds = (unsigned)number;
        return number >= 1 && number <= RPI_ROUND_MAX;
    case OPTION_TOTAL:
        a->options.total = number;
        return true;
    case OPTION_THREADS:
        a->options.threads = (unsigned)number;
        return number <= 64;
    case OPTION_BARE_THREADS:
        a->options.bare_threads = (unsigned)number;
        return number <= 64;
    case OPTION_SAMPLE_MAX:
        a->options.sample_max_ns = number * RP_SECOND;
        return number >= 1 && number <= 3600;
    case OPTION_WORKER:
        a->worker_fd = (int)number;
        return true;
    case OPTION_GROUP_INDEX:
        a->group = number;
        return number < RPI_GROUP_MAX;
    default:
        return false;
    }
}

static bool parse_one(int option, const char *text, arguments *a)
{
    char *end;

    switch (option) {
    case OPTION_SCALE:
        a->options.scale = strtod(text, &end);
        return end != text && *end == '\0' && a->options.scale > 0.0;
    case OPTION_SIZES:
        return parse_sizes(text, &a->options);
    case OPTION_GROUPS:
        a->options.groups = text;
        return true;
    case OPTION_SUBJECTS:
        a->options.subjects = text;
        return true;
    case OPTION_JSON:
        a->options.json_path = text;
        return true;
    case OPTION_PLOT:
        a->options.plot_directory = text;
        return true;
    case OPTION_NO_WARM_UP:
        a->options.no_warm_up = true;
        return true;
    case OPTION_VERBOSE:
        a->options.verbose = true;
        return true;
    case OPTION_HELP:
        print_help(stdout);
        exit(0);
    default:
        return parse_numeric(option, text, a);
    }
}

static bool parse(int argc, char **argv, arguments *a)
{
    int option;

    while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
        if (option == '?') {
            return false;
        }
        if (!parse_one(option, optarg, a)) {
            (void)fprintf(stderr, "rp-bench: not a value for this option: %s\n", optarg);
            return false;
        }
    }
    return optind < argc;
}

/* One sample; the exit status is of no interest, the report says it all. */
static int run_worker(const arguments *a, const char *case_name)
{
    const rpi_case *c = rpi_case_find(case_name);
    rpi_job job = {.options = &a->options, .group = a->group};
    rpi_sample sample;

    (void)fcntl(a->worker_fd, F_SETFD, FD_CLOEXEC); /* no child may hold it */
    rpi_sample_init(&sample);
    job.size = a->options.size_count > 0 ? a->options.sizes[0] : 0;
    rpi_fail(&sample, "no such case, subject or group");
    for (size_t i = 0; c != NULL && a->options.subjects != NULL && i < c->subject_count; i++) {
        if (strcmp(c->subjects[i].name, a->options.subjects) == 0 && a->group < c->group_count) {
            rpi_sample_init(&sample);
            job.subject = &c->subjects[i];
            c->subjects[i].run(&job, &sample);
            break;
        }
    }
    rpi_worker_report(a->worker_fd, &sample);
    return 0;
}

/* How many threads the bare loops get. */
static unsigned probe_threads(const rpi_options *options)
{
    rpi_worker worker = {.case_name = "threads", .subject = "ours", .size = 64, .options = options};
    rpi_sample sample;

    rpi_worker_run(&worker, &sample);
    if (sample.outcome != RPI_MEASURED) {
        (void)fprintf(stderr, "rp-bench: the probe for the number of spawner threads failed: %s\n",
                      sample.note);
        return 1;
    }
    return sample.values[0] < 1.0 ? 1 : (unsigned)sample.values[0];
}

static int run_cases(const rpi_case *const *chosen, size_t count, rpi_options *options)
{
    rpi_run runs[CASE_COUNT];
    size_t run_count = 0;
    int failed = 0;
    char machine[160];

    rpi_limits_raise();
    rpi_worker_prepare();
    if (options->bare_threads == 0) {
        options->bare_threads = options->threads != 0 ? options->threads : probe_threads(options);
    }
    rpi_machine_text(machine, sizeof machine);
    (void)printf("running-process %s; %s\nbare loops: %u threads; %u rounds, interleaved; median "
                 "[min .. max]\n",
                 rp_version(), machine, options->bare_threads, options->rounds);
    for (; run_count < count && !rpi_worker_interrupted(); run_count++) {
        rpi_run *run = &runs[run_count];

        if (rpi_run_open(chosen[run_count], options, run) < 0) {
            (void)fputs("rp-bench: out of memory\n", stderr);
            failed++;
            break;
        }
        failed += rpi_run_all(run, options);
        rpi_report_table(run, stdout);
        if (options->plot_directory != NULL) {
            failed += rpi_report_plots(run, options->plot_directory) < 0 ? 1 : 0;
        }
        if (options->json_path !=
            NULL) { /* after each case: a run that is ended early leaves what it has */
            failed += rpi_report_json(runs, run_count + 1, options, options->json_path) < 0 ? 1 : 0;
        }
    }
    for (size_t i = 0; i < run_count; i++) {
        rpi_run_fini(&runs[i]);
    }
    return failed > 0 ? 1 : 0;
}

static bool choose_cases(char **names, size_t count, const rpi_case **chosen, size_t *ret_count)
{
    size_t chosen_count = 0;

    for (size_t i = 0; i < count && chosen_count < CASE_COUNT; i++) {
        const rpi_case *c = rpi_case_find(names[i]);

        if (strcmp(names[i], "all") == 0) {
            memcpy(chosen, cases, sizeof cases);
            *ret_count = CASE_COUNT;
            return true;
        }
        if (c == NULL) {
            (void)fprintf(stderr, "rp-bench: no case %s; see rp-bench list\n", names[i]);
            return false;
        }
        chosen[chosen_count++] = c;
    }
    *ret_count = chosen_count;
    return chosen_count > 0;
}

int main(int argc, char **argv)
{
    arguments a = {.options = {.rounds = 5, .scale = 1.0, .sample_max_ns = 180 * RP_SECOND},
                   .worker_fd = -1};
    const rpi_case *chosen[CASE_COUNT];
    size_t count;

    if (!parse(argc, argv, &a)) {
        print_help(stderr);
        return 2;
    }
    if (a.worker_fd >= 0) {
        return run_worker(&a, argv[optind]);
    }
    if (strcmp(argv[optind], "list") == 0) {
        return list_cases();
    }
    if (!choose_cases(argv + optind, (size_t)(argc - optind), chosen, &count)) {
        return 2;
    }
    return run_cases(chosen, count, &a.options);
}
