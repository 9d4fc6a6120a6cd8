/* A thin test runner for systems without Criterion, with the same macros, as far as our tests use
 * them (see check.h). Each case runs in a process of its own. A program that is linked with
 * runner.c and runner_<system>.c takes
 *
 *     PROGRAM [--list] [NAME...]
 *
 * where a NAME is suite/name, or a pattern of it ("suite/" and a star); without one, all cases run.
 * Each case of a parameterized test has a name of its own, suite/name#0, #1, ...; suite/name means
 * all of them. One line tells of each case; what is skipped is told with its reason. The last line
 * is always
 *
 *     N passed, N failed
 *
 * and the exit code is 0 when something passed or was skipped and nothing failed, else 1; 2 means
 * that the arguments were not understood. */
#ifndef RPI_TESTS_RUNNER_H
#define RPI_TESTS_RUNNER_H

// As for a header of the system: its macros take a message that may be left out.
#pragma GCC system_header

#include <math.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/** The parameters of a parameterized test: `length` of them, each `size` bytes. */
struct criterion_test_params {
    size_t size;
    void *params;
    size_t length;
};

typedef struct runner_settings {
    void (*init)(void); // before and after each case, in its process
    void (*fini)(void);
    double timeout; // seconds; 0 = RUNNER_SECONDS_MAX
    int signal;     // that the case has to end by; 0 = none
    int exit_code;  // that the case has to end with, by calling exit(); 0 = it returns
    bool disabled;
    const char *description;
} runner_settings;

#define RUNNER_SECONDS_MAX 600.0

typedef struct runner_suite runner_suite;
struct runner_suite {
    const char *name;
    runner_settings settings;
    runner_suite *next;
};

typedef struct runner_test runner_test;
struct runner_test {
    const char *suite;
    const char *name;
    void (*run)(void *parameter);
    struct criterion_test_params (*parameters)(void); // NULL = not parameterized
    runner_settings settings;
    runner_test *next;
};

void runner_add_suite(runner_suite *suite);
void runner_add_test(runner_test *test);

#define RUNNER_PRINTF(text_, first_) __attribute__((format(printf, text_, first_)))

/** Tells of a check that failed; the case goes on. */
void runner_tell(const char *file, int line, const char *check, const char *format, ...)
    RUNNER_PRINTF(4, 5);
/** Ends the case: failed. */
_Noreturn void runner_fail(void);
/** Ends the case: skipped. */
_Noreturn void runner_skip(const char *format, ...) RUNNER_PRINTF(1, 2);
void runner_log(const char *format, ...) RUNNER_PRINTF(1, 2);

// ---- tests ----

#define TestSuite(suite_, ...)                                                                     \
    static runner_suite runner_suite_##suite_ = {#suite_, {__VA_ARGS__}, NULL};                    \
    __attribute__((constructor)) static void runner_enter_##suite_(void)                           \
    {                                                                                              \
        runner_add_suite(&runner_suite_##suite_);                                                  \
    }                                                                                              \
    struct runner_takes_semicolon

#define RUNNER_ENTER(suite_, name_, run_, parameters_, ...)                                        \
    static runner_test runner_test_##suite_##_##name_ = {#suite_,     #name_,        run_,         \
                                                         parameters_, {__VA_ARGS__}, NULL};        \
    __attribute__((constructor)) static void runner_enter_##suite_##_##name_(void)                 \
    {                                                                                              \
        runner_add_test(&runner_test_##suite_##_##name_);                                          \
    }

#define Test(suite_, name_, ...)                                                                   \
    static void runner_body_##suite_##_##name_(void);                                              \
    static void runner_run_##suite_##_##name_(void *parameter)                                     \
    {                                                                                              \
        (void)parameter;                                                                           \
        runner_body_##suite_##_##name_();                                                          \
    }                                                                                              \
    RUNNER_ENTER(suite_, name_, runner_run_##suite_##_##name_, NULL, __VA_ARGS__)                  \
    static void runner_body_##suite_##_##name_(void)

#define ParameterizedTestParameters(suite_, name_)                                                 \
    static struct criterion_test_params runner_parameters_##suite_##_##name_(void)

#define ParameterizedTest(parameter_, suite_, name_, ...)                                          \
    static void runner_body_##suite_##_##name_(parameter_);                                        \
    static void runner_run_##suite_##_##name_(void *parameter)                                     \
    {                                                                                              \
        runner_body_##suite_##_##name_(parameter);                                                 \
    }                                                                                              \
    RUNNER_ENTER(suite_, name_, runner_run_##suite_##_##name_,                                     \
                 runner_parameters_##suite_##_##name_, __VA_ARGS__)                                \
    static void runner_body_##suite_##_##name_(parameter_)

#define cr_make_param_array(type_, array_, length_)                                                \
    ((struct criterion_test_params){sizeof(type_), (void *)(array_), (length_)})

// ---- assertions: cr_assert_... ends the case, cr_expect_... goes on ----

#define RUNNER_CHECK(condition_, text_, ...)                                                       \
    do {                                                                                           \
        if (!(condition_)) {                                                                       \
            runner_tell(__FILE__, __LINE__, text_, "" __VA_ARGS__);                                \
            runner_fail();                                                                         \
        }                                                                                          \
    } while (0)

#define cr_assert(c_, ...) RUNNER_CHECK(c_, #c_, __VA_ARGS__)
#define cr_assert_not(c_, ...) RUNNER_CHECK(!(c_), "not " #c_, __VA_ARGS__)
#define cr_assert_eq(a_, b_, ...) RUNNER_CHECK((a_) == (b_), #a_ " == " #b_, __VA_ARGS__)
#define cr_assert_neq(a_, b_, ...) RUNNER_CHECK((a_) != (b_), #a_ " != " #b_, __VA_ARGS__)
#define cr_assert_lt(a_, b_, ...) RUNNER_CHECK((a_) < (b_), #a_ " < " #b_, __VA_ARGS__)
#define cr_assert_leq(a_, b_, ...) RUNNER_CHECK((a_) <= (b_), #a_ " <= " #b_, __VA_ARGS__)
#define cr_assert_gt(a_, b_, ...) RUNNER_CHECK((a_) > (b_), #a_ " > " #b_, __VA_ARGS__)
#define cr_assert_geq(a_, b_, ...) RUNNER_CHECK((a_) >= (b_), #a_ " >= " #b_, __VA_ARGS__)
#define cr_assert_null(a_, ...) RUNNER_CHECK((a_) == NULL, #a_ " is NULL", __VA_ARGS__)
#define cr_assert_not_null(a_, ...) RUNNER_CHECK((a_) != NULL, #a_ " is not NULL", __VA_ARGS__)
#define cr_assert_str_eq(a_, b_, ...)                                                              \
    RUNNER_CHECK(runner_same_text(a_, b_, true), #a_ " is " #b_, __VA_ARGS__)
#define cr_assert_str_neq(a_, b_, ...)                                                             \
    RUNNER_CHECK(!runner_same_text(a_, b_, false), #a_ " is not " #b_, __VA_ARGS__)
#define cr_assert_float_eq(a_, b_, off_, ...)                                                      \
    RUNNER_CHECK(fabs((double)(a_) - (double)(b_)) <= (double)(off_), #a_ " is about " #b_,        \
                 __VA_ARGS__)
#define cr_assert_fail(...)                                                                        \
    do {                                                                                           \
        runner_tell(__FILE__, __LINE__, "reached", "" __VA_ARGS__);                                \
        runner_fail();                                                                             \
    } while (0)
#define cr_expect_eq(a_, b_, ...)                                                                  \
    do {                                                                                           \
        if (!((a_) == (b_))) {                                                                     \
            runner_tell(__FILE__, __LINE__, #a_ " == " #b_, "" __VA_ARGS__);                       \
        }                                                                                          \
    } while (0)

#define cr_skip(...) runner_skip("" __VA_ARGS__)
#define cr_skip_test(...) runner_skip("" __VA_ARGS__)
#define cr_log_info(...) runner_log("" __VA_ARGS__)

/** Whether two texts are the same; where they should be and are not, shows them. */
bool runner_same_text(const char *actual, const char *expected, bool should_be);

// ---- between runner.c and the system's part ----

enum { // how a case's process says what became of it: its exit codes
    RUNNER_PASSED = 90,
    RUNNER_FAILED = 91,
    RUNNER_SKIPPED = 92
};

typedef struct runner_case {
    const runner_test *test;
    const runner_suite *suite; // NULL = not declared
    void *parameter;           // NULL = not parameterized
    char name[200];            // suite/name or suite/name#index
} runner_case;

typedef struct runner_end {
    enum {
        RUNNER_EXITED,  // with `number` as its exit code
        RUNNER_CRASHED, // by signal `number`
        RUNNER_HUNG,    // was killed after its time
        RUNNER_ABSENT   // could not be started: error `number`
    } how;
    int number;
    char reason[200]; // why it was skipped
} runner_end;

/** Runs a case, in the process that is for it, and ends that. */
_Noreturn void runner_run_case(const runner_case *one);

/** The system's: keeps the reason of a skip for the parent, and ends the process at once. */
void runner_keep_reason(const char *reason);
_Noreturn void runner_leave(int exit_code);

/** The system's: carries a case out in a process of its own, killed after so many seconds.
 * `program` is argv[0]: where a process cannot be copied, it is started again with `--case NAME`.
 */
void runner_carry_out(const char *program, const runner_case *one, double seconds, runner_end *ret);

/** What main does. */
int runner_main(int argc, char **argv);

/** Seconds since some moment. */
double runner_now(void);

#endif
