/* Errors: every errno of the system and every error of the library has a name, a text and a number,
 * each its own; the detail belongs to its thread. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/status.h"
#include "rp/base.h"
#include "tests/support/check.h"

enum {
    ERRNO_COUNT = 4096
};

static void name_of(int error, char *name, size_t size)
{
    (void)snprintf(name, size, "RP_%s", strerrorname_np(error));
}

Test(status, knows_every_errno_of_the_system)
{
    unsigned known = 0;

    for (int error = 1; error < ERRNO_COUNT; error++) {
        char expected[64];

        if (strerrorname_np(error) == NULL) {
            cr_assert_str_eq(rp_error_name(-error), "RP_UNKNOWN", "%d", error);
            cr_assert_str_eq(rp_strerror(-error), "unknown error");
            continue;
        }
        name_of(error, expected, sizeof expected);
        cr_assert_str_eq(rp_error_name(-error), expected);
        cr_assert_str_eq(rp_error_name(error), expected, "system_error has the other sign");
        cr_assert_eq(rp_error_number(expected), -error);
        cr_assert_gt(strlen(rp_strerror(-error)), 3);
        cr_assert_str_neq(rp_strerror(-error), "unknown error");
        known++;
    }
    cr_assert_eq(known, rpi_system_error_count);
}

Test(status, lists_each_error_once)
{
    for (size_t i = 0; i < rpi_system_error_count; i++) {
        for (size_t j = 0; j < i; j++) {
            cr_assert_neq(rpi_system_errors[i].error, rpi_system_errors[j].error);
            cr_assert_str_neq(rpi_system_errors[i].name, rpi_system_errors[j].name);
            cr_assert_str_neq(rpi_system_errors[i].text, rpi_system_errors[j].text);
        }
    }
}

Test(status, knows_the_errors_of_the_library)
{
    const struct {
        int error;
        const char *name;
    } own[] = {
        {RP_EOS, "RP_EOS"},         {RP_EUNSUPPORTED, "RP_EUNSUPPORTED"},
        {RP_ELOST, "RP_ELOST"},     {RP_EPATTERN, "RP_EPATTERN"},
        {RP_EPERM, "RP_EPERM"},     {RP_EAGAIN, "RP_EAGAIN"},
        {RP_EDEADLK, "RP_EDEADLK"}, {RP_ECANCELED, "RP_ECANCELED"},
    };

    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++) {
        cr_assert_str_eq(rp_error_name(own[i].error), own[i].name);
        cr_assert_eq(rp_error_number(own[i].name), own[i].error);
        cr_assert_str_neq(rp_strerror(own[i].error), "unknown error");
    }
    cr_assert_eq(RP_EOS, -4096, "the numbers are part of the interface");
    cr_assert_eq(RP_EPATTERN, -4099);
}

Test(status, answers_what_is_no_error)
{
    cr_assert_str_eq(rp_error_name(0), "RP_OK");
    cr_assert_str_eq(rp_strerror(0), "success");
    cr_assert_eq(rp_error_number("RP_OK"), 0);
    cr_assert_eq(rp_error_number("RP_NONSENSE"), 0);
    cr_assert_eq(rp_error_number("ENOENT"), 0);
    cr_assert_eq(rp_error_number(""), 0);
    cr_assert_eq(rp_error_number(NULL), 0);
    cr_assert_str_eq(rp_error_name(-4100), "RP_UNKNOWN");
    cr_assert_str_eq(rp_error_name(4096), "RP_UNKNOWN", "the library's own have one sign only");
    cr_assert_str_eq(rp_error_name(INT32_MIN), "RP_UNKNOWN");
    cr_assert_str_eq(rp_error_name(INT32_MAX), "RP_UNKNOWN");
}

Test(status, keeps_a_detail_until_it_is_cleared)
{
    cr_assert_str_eq(rp_error_detail(), "");
    cr_assert_eq(rpi_detail(RP_EINVAL, "offset %d: %s", 6, "missing parenthesis"), RP_EINVAL);
    cr_assert_str_eq(rp_error_detail(), "offset 6: missing parenthesis");
    rpi_detail_clear();
    cr_assert_str_eq(rp_error_detail(), "");
    rpi_detail_set("ready");
    cr_assert_str_eq(rp_error_detail(), "ready");
    rpi_detail_set(rp_error_detail() + 2); // out of itself
    cr_assert_str_eq(rp_error_detail(), "ady");
    rpi_detail_set(NULL);
    cr_assert_str_eq(rp_error_detail(), "");
}

Test(status, cuts_a_long_detail)
{
    char text[1000];

    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    (void)rpi_detail(RP_EINVAL, "%s", text);
    cr_assert_eq(strlen(rp_error_detail()), 255);
    rpi_detail_set("");
    rpi_detail_set(text);
    cr_assert_eq(strlen(rp_error_detail()), 255);
}

static void *other_thread(void *argument)
{
    const bool was_empty = rp_error_detail()[0] == '\0';

    (void)rpi_detail(RP_EINVAL, "of the other thread");
    return was_empty ? argument : NULL;
}

Test(status, keeps_a_detail_for_each_thread)
{
    pthread_t thread;
    void *was_empty = NULL;

    (void)rpi_detail(RP_EINVAL, "of the first thread");
    cr_assert_eq(pthread_create(&thread, NULL, other_thread, &was_empty), 0);
    cr_assert_eq(pthread_join(thread, &was_empty), 0);
    cr_assert_not_null(was_empty);
    cr_assert_str_eq(rp_error_detail(), "of the first thread");
}
