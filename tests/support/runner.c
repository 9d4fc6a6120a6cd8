/* The thin runner's common part: collects the tests, picks those that were asked for, has each
 * carried out by the system's part (runner_<system>.c) and judges how it ended. See runner.h. */
#include "tests/support/runner.h"

#include <stdarg.h>

static runner_suite *suites;
static runner_test *tests;
static runner_test **tests_end = &tests;
static bool has_failed; // in the process of a case

typedef struct tally {
    unsigned passed;
    unsigned failed;
    unsigned skipped;
} tally;

typedef struct request {
    const char *program;
    char **patterns; // NULL-terminated
    bool list;
    const char *exact; // --case: run this one here, in this process
} request;

void runner_add_suite(runner_suite *suite)
{
    suite->next = suites;
    suites = suite;
}

void runner_add_test(runner_test *test)
{
    *tests_end = test;
    tests_end = &test->next;
}

/* ---- in the process of a case ---- */

void runner_tell(const char *file, int line, const char *check, const char *format, ...)
{
    va_list arguments;

    has_failed = true;
    (void)printf("%s:%d: failed: %s", file, line, check);
    if (*format != '\0') {
        (void)printf(": ");
        va_start(arguments, format);
        (void)vprintf(format, arguments);
        va_end(arguments);
    }
    (void)printf("\n");
    (void)fflush(stdout);
}

_Noreturn void runner_fail(void)
{
    runner_leave(RUNNER_FAILED);
}

_Noreturn void runner_skip(const char *format, ...)
{
    char reason[200];
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(reason, sizeof reason, format, arguments);
    va_end(arguments);
    runner_keep_reason(*reason != '\0' ? reason : "no reason given");
    runner_leave(RUNNER_SKIPPED);
}

void runner_log(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    (void)vprintf(format, arguments);
    va_end(arguments);
    (void)printf("\n");
    (void)fflush(stdout);
}

bool runner_same_text(const char *actual, const char *expected, bool should_be)
{
    const bool is_same =
        actual == NULL || expected == NULL ? actual == expected : strcmp(actual, expected) == 0;

    if (!is_same && should_be) {
        (void)printf("    is \"%s\"\n    not \"%s\"\n", actual == NULL ? "(NULL)" : actual,
                     expected == NULL ? "(NULL)" : expected);
    }
    return is_same;
}

_Noreturn void runner_run_case(const runner_case *one)
{
    const runner_settings *own = &one->test->settings;
    const runner_settings *shared = one->suite != NULL ? &one->suite->settings : own;
    void (*init)(void) = own->init != NULL ? own->init : shared->init;
    void (*fini)(void) = own->fini != NULL ? own->fini : shared->fini;

    if (init != NULL) {
        init();
    }
    one->test->run(one->parameter);
    if (fini != NULL) {
        fini();
    }
    (void)fflush(stdout);
    // Not at once: what runs at exit, a sanitizer's look for leaks above all, has its say.
    exit(has_failed ? RUNNER_FAILED : RUNNER_PASSED);
}

/* ---- picking cases ---- */

/** Whether a name is like a pattern; a star stands for any characters. */
static bool is_like(const char *name, const char *pattern)
{
    const char *star = NULL;
    const char *resume = NULL;

    while (*name != '\0') {
        if (*pattern == '*') {
            star = pattern++;
            resume = name;
        } else if (*pattern == *name) {
            pattern++;
            name++;
        } else if (star != NULL) {
            pattern = star + 1;
            name = ++resume;
        } else {
            return false;
        }
    }
    while (*pattern == '*') {
        pattern++;
    }
    return *pattern == '\0';
}

static bool is_wanted(const runner_case *one, char **patterns)
{
    char whole[sizeof one->name];

    if (*patterns == NULL) {
        return true;
    }
    (void)snprintf(whole, sizeof whole, "%s/%s", one->test->suite, one->test->name);
    for (; *patterns != NULL; patterns++) {
        if (is_like(one->name, *patterns) || is_like(whole, *patterns)) {
            return true;
        }
    }
    return false;
}

static const runner_suite *find_suite(const char *name)
{
    for (const runner_suite *suite = suites; suite != NULL; suite = suite->next) {
        if (strcmp(suite->name, name) == 0) {
            return suite;
        }
    }
    return NULL;
}

/** Calls `visit` for each case. */
static void
for_each_case(void (*visit)(const runner_case *one, const request *asked, tally *counts),
              const request *asked,
              tally *counts)
{
    for (const runner_test *test = tests; test != NULL; test = test->next) {
        struct criterion_test_params parameters = {0, NULL, 1};
        runner_case one = {.test = test, .suite = find_suite(test->suite)};

        if (test->parameters != NULL) {
            parameters = test->parameters();
        }
        for (size_t i = 0; i < parameters.length; i++) {
            (void)snprintf(one.name, sizeof one.name, "%s/%s", test->suite, test->name);
            if (test->parameters != NULL) {
                (void)snprintf(one.name + strlen(one.name), sizeof one.name - strlen(one.name),
                               "#%zu", i);
                one.parameter = (char *)parameters.params + i * parameters.size;
            }
            visit(&one, asked, counts);
        }
    }
}

/* ---- running ---- */

/** Prints how a case ended and counts it. */
static void judge(const runner_case *one, const runner_end *end, double seconds, tally *counts)
{
    const runner_settings *own = &one->test->settings;
    const char *verdict = "FAILED";
    char why[300] = "";

    if (end->how == RUNNER_EXITED && end->number == RUNNER_SKIPPED) {
        verdict = "skipped";
        (void)snprintf(why, sizeof why, ": %s", end->reason);
        counts->skipped++;
    } else if (end->how == RUNNER_EXITED && own->signal == 0 &&
               end->number == (own->exit_code != 0 ? own->exit_code : RUNNER_PASSED)) {
        verdict = "passed";
        counts->passed++;
    } else if (end->how == RUNNER_CRASHED && own->signal != 0 && end->number == own->signal) {
        verdict = "passed";
        counts->passed++;
    } else {
        counts->failed++;
        if (end->how == RUNNER_CRASHED) {
            (void)snprintf(why, sizeof why, ": crashed by signal %d", end->number);
        } else if (end->how == RUNNER_HUNG) {
            (void)snprintf(why, sizeof why, ": hung, killed after its time");
        } else if (end->how == RUNNER_ABSENT) {
            (void)snprintf(why, sizeof why, ": could not be started: error %d", end->number);
        } else if (own->signal != 0) {
            (void)snprintf(why, sizeof why, ": did not end by signal %d", own->signal);
        } else if (end->number != RUNNER_FAILED) {
            (void)snprintf(why, sizeof why, ": ended with exit code %d", end->number);
        }
    }
    (void)printf("%s %s (%.3f s)%s\n", verdict, one->name, seconds, why);
    (void)fflush(stdout);
}

static void run_one(const runner_case *one, const request *asked, tally *counts)
{
    const runner_settings *own = &one->test->settings;
    double seconds = own->timeout;
    double begun = runner_now();
    runner_end end = {0};

    if (!is_wanted(one, asked->patterns)) {
        return;
    }
    if (own->disabled || (one->suite != NULL && one->suite->settings.disabled)) {
        (void)printf("skipped %s: disabled\n", one->name);
        counts->skipped++;
        return;
    }
    if (seconds <= 0 && one->suite != NULL) {
        seconds = one->suite->settings.timeout;
    }
    runner_carry_out(asked->program, one, seconds > 0 ? seconds : RUNNER_SECONDS_MAX, &end);
    judge(one, &end, runner_now() - begun, counts);
}

static void list_one(const runner_case *one, const request *asked, tally *counts)
{
    (void)counts;
    if (is_wanted(one, asked->patterns)) {
        (void)printf("%s\n", one->name);
    }
}

static void run_exact(const runner_case *one, const request *asked, tally *counts)
{
    (void)counts;
    if (strcmp(one->name, asked->exact) == 0) {
        runner_run_case(one);
    }
}

int runner_main(int argc, char **argv)
{
    request asked = {.program = argv[0], .patterns = argv + (argc > 0 ? 1 : 0)};
    tally counts = {0};

    if (argc == 3 && strcmp(argv[1], "--case") == 0) {
        asked.exact = argv[2];
        for_each_case(run_exact, &asked, &counts);
        (void)fprintf(stderr, "no case %s\n", argv[2]);
        return 2;
    }
    if (argc > 1 && strcmp(argv[1], "--list") == 0) {
        asked.list = true;
        asked.patterns++;
    }
    if (*asked.patterns != NULL && **asked.patterns == '-') {
        (void)fprintf(stderr, "usage: %s [--list] [SUITE/NAME...]\n", argv[0]);
        return 2;
    }
    for_each_case(asked.list ? list_one : run_one, &asked, &counts);
    if (asked.list) {
        return 0;
    }
    if (counts.skipped > 0) {
        (void)printf("%u skipped\n", counts.skipped);
    }
    (void)printf("%u passed, %u failed\n", counts.passed, counts.failed);
    return counts.failed == 0 && counts.passed + counts.skipped > 0 ? 0 : 1;
}
