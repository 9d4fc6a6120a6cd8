/* What test_runner.py judges the thin runner by: cases that pass, fail, crash, hang, skip, and ask
 * for things. Built with the runner on every system, also where Criterion is there. */
#include "tests/support/runner.h"

static int stage;

static void set_up(void)
{
    stage = 1;
}

static void look_afterwards(void)
{
    printf("fini after stage %d\n", stage);
}

TestSuite(staged, .init = set_up, .fini = look_afterwards, .timeout = 60);

Test(staged, init_comes_first)
{
    cr_assert_eq(stage, 1);
    stage = 2;
}

Test(plain, passes)
{
    const int one = 1;

    cr_assert(one);
    cr_assert_not(one - 1, "with a message");
    cr_assert_eq(one, 1, "and %d argument", 1);
    cr_assert_neq(one, 2);
    cr_assert_lt(one, 2);
    cr_assert_leq(one, 1);
    cr_assert_gt(one, 0);
    cr_assert_geq(one, 1);
    cr_assert_not_null(&one);
    cr_assert_null(NULL);
    cr_assert_str_eq("text", "text");
    cr_assert_str_neq("text", "other");
    cr_assert_float_eq(0.5, 0.6, 0.2);
    cr_expect_eq(one, 1);
}

Test(plain, each_process_begins_anew)
{
    cr_assert_eq(stage, 0);
}

Test(plain, fails)
{
    cr_assert_eq(stage, 7, "stage is %d", stage);
    printf("not reached\n");
}

Test(plain, fails_and_goes_on)
{
    cr_expect_eq(stage, 7);
    printf("goes on\n");
}

Test(plain, fails_on_text)
{
    cr_assert_str_eq("some", "other");
}

Test(plain, is_said_to_fail)
{
    cr_assert_fail("on purpose");
}

Test(plain, crashes)
{
    abort();
}

Test(plain, has_to_crash, .signal = SIGABRT)
{
    abort();
}

Test(plain, does_not_crash_as_it_has_to, .signal = SIGABRT)
{
    cr_assert_eq(stage, 0);
}

Test(plain, leaves, .exit_code = 7)
{
    exit(7);
}

Test(plain, leaves_too_early)
{
    exit(0);
}

Test(plain, hangs, .timeout = 1)
{
    for (volatile int forever = 1; forever;) {
    }
}

Test(plain, skips)
{
    cr_skip_test("there is no %s here", "moon");
}

Test(plain, is_disabled, .disabled = true)
{
    cr_assert_fail("it ran");
}

static int numbers[] = {2, 3, 4};

ParameterizedTestParameters(many, are_even)
{
    return cr_make_param_array(int, numbers, sizeof numbers / sizeof numbers[0]);
}

ParameterizedTest(int *number, many, are_even, .timeout = 60)
{
    cr_log_info("number %d", *number);
    cr_assert_eq(*number % 2, 0);
}
