/* The rule of idle detection (core/idle_rule.h) on a clock of the test's: what counts as activity,
 * when the clock starts, how long quiet is long enough, and what each answer of decide does. */
#include "core/idle_rule.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "base/status.h"
#include "tests/support/check.h"

/* A point in time of the test's clock, in seconds. */
#define AT(seconds) ((uint64_t)((100.0 + (seconds)) * 1e9))
#define SPAN(seconds) ((uint64_t)((seconds)*1e9))

static rp_idle_options read_options(const rp_idle_options *given)
{
    rp_idle_options full;

    cr_assert_eq(rpi_idle_options_read(given, &full), 0, "%s", rp_error_detail());
    return full;
}

static rpi_idle_rule begin(const rp_idle_options *given, bool armed)
{
    const rp_idle_options full = read_options(given);
    rpi_idle_rule rule;

    rpi_idle_rule_init(&rule, &full, AT(0), armed);
    return rule;
}

static void type(rpi_idle_rule *rule, size_t size, uint64_t now_ns)
{
    const rpi_input input = {.size = size};

    (void)rpi_idle_rule_input(rule, &input, now_ns);
}

/* ---- options ---- */

Test(idle_rule, takes_the_documented_defaults)
{
    const rp_idle_options full = read_options(NULL);

    cr_assert_eq(full.timeout_ns, 10 * RP_SECOND);
    cr_assert_eq(full.stability_ns, 750 * RP_MILLISECOND);
    cr_assert_eq(full.sample_ns, 250 * RP_MILLISECOND);
    cr_assert_float_eq(full.cpu_percent_max, 2.0, 0);
    cr_assert_eq(full.disk_bytes_max, 4096);
    cr_assert_eq(full.network_bytes_max, 4096);
}

static void check_refused(const rp_idle_options *options, int error, const char *field)
{
    rp_idle_options full;

    rpi_detail_clear();
    cr_assert_eq(rpi_idle_options_read(options, &full), error);
    cr_assert_not_null(strstr(rp_error_detail(), field), "\"%s\" does not name %s",
                       rp_error_detail(), field);
}

Test(idle_rule, refuses_options_that_say_nothing)
{
    rp_idle_options options = {0};
    struct {
        rp_idle_options options;
        char more;
    } future = {.options = {.size = sizeof future}, .more = 1};

    check_refused(&options, RP_EINVAL, "size");
    check_refused(&future.options, RP_E2BIG, "");
    options = (rp_idle_options){.size = sizeof options, .metrics = true, .cpu_percent_max = NAN};
    check_refused(&options, RP_EINVAL, "cpu_percent_max");
    options.cpu_percent_max = -1;
    check_refused(&options, RP_EINVAL, "cpu_percent_max");
    options.cpu_percent_max = INFINITY;
    check_refused(&options, RP_EINVAL, "cpu_percent_max");
    options = (rp_idle_options){.size = sizeof options, .start_on = (rp_idle_start_on)3};
    check_refused(&options, RP_EINVAL, "start_on");
    options = (rp_idle_options){.size = sizeof options, .cpu_percent_max = 5};
    check_refused(&options, RP_EINVAL, "cpu_percent_max");
    options = (rp_idle_options){.size = sizeof options, .disk_bytes_max = 5};
    check_refused(&options, RP_EINVAL, "disk_bytes_max");
    options = (rp_idle_options){.size = sizeof options, .network_bytes_max = 5};
    check_refused(&options, RP_EINVAL, "network_bytes_max");
}

/* ---- by events ---- */

Test(idle_rule, reports_a_quiet_time_once_it_is_long_enough_and_only_once)
{
    rpi_idle_rule rule = begin(NULL, true);

    cr_assert_not(rpi_idle_rule_samples(&rule));
    cr_assert_eq(rpi_idle_rule_due_ns(&rule, true), AT(10));
    cr_assert_not(rpi_idle_rule_look(&rule, AT(10) - 1, true));
    cr_assert(rpi_idle_rule_look(&rule, AT(10), true));
    cr_assert_eq(rpi_idle_rule_idle_ns(&rule, AT(10)), SPAN(10));
    cr_assert_eq(rpi_idle_rule_due_ns(&rule, true), RP_FOREVER);
    cr_assert_not(rpi_idle_rule_look(&rule, AT(1000), true));
}

Test(idle_rule, begins_another_quiet_time_with_the_next_activity)
{
    rpi_idle_rule rule = begin(NULL, true);

    cr_assert(rpi_idle_rule_look(&rule, AT(10), true));
    cr_assert(rpi_idle_rule_output(&rule, 1, 0, AT(12)), "the timer has to be set");
    cr_assert_not(rpi_idle_rule_output(&rule, 1, 0, AT(13)), "once is enough");
    cr_assert_eq(rpi_idle_rule_due_ns(&rule, true), AT(23));
    cr_assert(rpi_idle_rule_look(&rule, AT(23), true));
}

Test(idle_rule, waits_for_the_longer_of_timeout_and_stability)
{
    rp_idle_options options = {
        .size = sizeof options, .timeout_ns = SPAN(1), .stability_ns = SPAN(3)};
    rpi_idle_rule rule = begin(&options, true);

    cr_assert_eq(rpi_idle_rule_due_ns(&rule, true), AT(3));
    options.timeout_ns = RP_FOREVER;
    rule = begin(&options, true);
    cr_assert_eq(rpi_idle_rule_due_ns(&rule, true), RP_FOREVER);
}

/* What counts: output, churn, input, under each of the three switches. */
Test(idle_rule, counts_what_is_not_ignored)
{
    for (unsigned int bits = 0; bits < 8; bits++) {
        const rp_idle_options options = {.size = sizeof options,
                                         .ignore_input = (bits & 1) != 0,
                                         .ignore_output = (bits & 2) != 0,
                                         .ignore_churn = (bits & 4) != 0};
        rpi_idle_rule rule = begin(&options, true);

        cr_assert_eq(rpi_idle_rule_wants_churn(&rule), options.ignore_churn);
        type(&rule, 1, AT(1));
        cr_assert_eq(rule.active_at_ns, options.ignore_input ? AT(0) : AT(1));
        type(&rule, 0, AT(2));
        cr_assert_lt(rule.active_at_ns, AT(2), "nothing is no input");
        (void)rpi_idle_rule_output(&rule, 5, 5, AT(3));
        cr_assert_eq(rule.active_at_ns == AT(3), !options.ignore_output && !options.ignore_churn);
        (void)rpi_idle_rule_output(&rule, 5, 4, AT(4));
        cr_assert_eq(rule.active_at_ns == AT(4), !options.ignore_output);
    }
}

Test(idle_rule, never_moves_the_clock_back)
{
    rpi_idle_rule rule = begin(NULL, true);

    type(&rule, 1, AT(5));
    (void)rpi_idle_rule_output(&rule, 1, 0, AT(4)); // read at the beginning of the same turn
    cr_assert_eq(rule.active_at_ns, AT(5));
    cr_assert_eq(rpi_idle_rule_idle_ns(&rule, AT(4)), 0);
}

Test(idle_rule, reports_nothing_while_it_is_off_and_anew_when_it_is_on)
{
    rpi_idle_rule rule = begin(NULL, true);

    cr_assert_eq(rpi_idle_rule_due_ns(&rule, false), RP_FOREVER);
    cr_assert_not(rpi_idle_rule_look(&rule, AT(100), false));
    rpi_idle_rule_restart(&rule, AT(100), true);
    cr_assert_not(rpi_idle_rule_look(&rule, AT(110) - 1, true));
    cr_assert(rpi_idle_rule_look(&rule, AT(110), true));
    rpi_idle_rule_restart(&rule, AT(111), true);
    cr_assert(rpi_idle_rule_look(&rule, AT(121), true));
}

Test(idle_rule, does_not_take_a_child_that_is_kept_waiting_for_idle_or_active)
{
    rpi_idle_rule rule = begin(NULL, true);

    rpi_idle_rule_restart(&rule, AT(8), false);
    cr_assert_eq(rpi_idle_rule_due_ns(&rule, true), AT(18));
    cr_assert(rpi_idle_rule_look(&rule, AT(18), true));
    rpi_idle_rule_restart(&rule, AT(20), false);
    cr_assert_eq(rpi_idle_rule_due_ns(&rule, true), RP_FOREVER, "reported is reported");
}

/* ---- triggers ---- */

static void check_trigger(rp_idle_start_on start_on, const rpi_input *other, const rpi_input *right)
{
    const rp_idle_options options = {.size = sizeof options, .start_on = start_on};
    rpi_idle_rule rule = begin(&options, false);

    cr_assert_not(rpi_idle_rule_output(&rule, 1, 0, AT(1)));
    cr_assert_not(rpi_idle_rule_input(&rule, other, AT(2)));
    cr_assert_eq(rpi_idle_rule_due_ns(&rule, true), RP_FOREVER);
    cr_assert_not(rpi_idle_rule_look(&rule, AT(1000), true));
    cr_assert_eq(rpi_idle_rule_idle_ns(&rule, AT(1000)), 0);
    cr_assert(rpi_idle_rule_input(&rule, right, AT(1000)));
    cr_assert_eq(rpi_idle_rule_due_ns(&rule, true), AT(1010));
    cr_assert(rpi_idle_rule_look(&rule, AT(1010), true));

    // The next quiet time begins with the next trigger, not with any activity.
    cr_assert_not(rpi_idle_rule_output(&rule, 1, 0, AT(1011)));
    cr_assert_not(rpi_idle_rule_input(&rule, other, AT(1012)));
    cr_assert_not(rpi_idle_rule_look(&rule, AT(2000), true));
    cr_assert(rpi_idle_rule_input(&rule, right, AT(2000)));
    cr_assert(rpi_idle_rule_look(&rule, AT(2010), true));
}

Test(idle_rule, measures_nothing_before_its_trigger)
{
    static const rpi_input plain = {.size = 1};
    static const rpi_input newline = {.size = 2, .newline = true};
    static const rpi_input submit = {.size = 3, .submit = true};

    check_trigger(RP_IDLE_START_NEWLINE, &plain, &newline);
    check_trigger(RP_IDLE_START_NEWLINE, &submit, &newline);
    check_trigger(RP_IDLE_START_SUBMIT, &plain, &submit);
    check_trigger(RP_IDLE_START_SUBMIT, &newline, &submit);
}

Test(idle_rule, counts_a_trigger_of_before_the_call)
{
    const rp_idle_options options = {.size = sizeof options, .start_on = RP_IDLE_START_SUBMIT};
    rpi_idle_rule rule = begin(&options, true);

    cr_assert_eq(rpi_idle_rule_due_ns(&rule, true), AT(10));
}

/* ---- by samples ---- */

static rp_idle_decision answer;
static rp_idle_info asked;
static unsigned int asked_count;

static rp_idle_decision decide(const rp_idle_info *info, void *user)
{
    cr_assert_eq(user, &answer);
    asked = *info;
    asked_count++;
    return answer;
}

/* Timeout 2 s, stability 1 s, a sample every half second. */
static rp_idle_options sampled(void)
{
    answer = RP_IDLE_DEFAULT;
    asked_count = 0;
    return (rp_idle_options){.size = sizeof(rp_idle_options),
                             .timeout_ns = SPAN(2),
                             .stability_ns = SPAN(1),
                             .sample_ns = SPAN(0.5),
                             .decide = decide,
                             .decide_user = &answer};
}

static int take(rpi_idle_rule *rule, double seconds)
{
    const rpi_idle_sample sample = {.now_ns = AT(seconds), .alive = true, .enabled = true};

    return rpi_idle_rule_sample(rule, &sample);
}

Test(idle_rule, hands_decide_what_changed_since_the_last_sample)
{
    const rp_idle_options options = sampled();
    rpi_idle_rule rule = begin(&options, true);
    const rpi_idle_sample sample = {
        .now_ns = AT(1.5), .cpu_percent = 12.5, .disk_bytes = 77, .alive = true, .enabled = true};

    cr_assert(rpi_idle_rule_wants_churn(&rule));
    cr_assert_eq(rpi_idle_rule_due_ns(&rule, false), AT(0.5), "off, too, as REACHED counts then");
    type(&rule, 3, AT(0.1));
    (void)rpi_idle_rule_output(&rule, 10, 4, AT(0.2));
    (void)rpi_idle_rule_output(&rule, 5, 0, AT(0.3));
    cr_assert_eq(take(&rule, 0.5), 0);
    cr_assert_eq(asked.delta_ns, SPAN(0.5));
    cr_assert_eq(asked.idle_ns, SPAN(0.5));
    cr_assert_eq(asked.stable_ns, 0);
    cr_assert_eq(asked.samples, 1);
    cr_assert_eq(asked.input_bytes, 3);
    cr_assert_eq(asked.output_bytes, 11);
    cr_assert_eq(asked.churn_bytes, 4);
    cr_assert_eq(asked.network_bytes, 0);
    cr_assert(asked.alive);

    // A late sample covers the longer time: nothing is lost.
    cr_assert_eq(rpi_idle_rule_due_ns(&rule, true), AT(1));
    cr_assert_eq(rpi_idle_rule_sample(&rule, &sample), 0);
    cr_assert_eq(asked.delta_ns, SPAN(1));
    cr_assert_eq(asked.idle_ns, SPAN(1), "from the active sample on");
    cr_assert_eq(asked.samples, 2);
    cr_assert_eq(asked.input_bytes + asked.output_bytes + asked.churn_bytes, 0);
    cr_assert_float_eq(asked.cpu_percent, 12.5, 0);
    cr_assert_eq(asked.disk_bytes, 77);
}

Test(idle_rule, needs_quiet_samples_for_the_whole_stability_window)
{
    const rp_idle_options options = sampled();
    rpi_idle_rule rule = begin(&options, true);

    // The first quiet sample comes late: stable from then on only.
    cr_assert_eq(take(&rule, 1.9), 0);
    cr_assert_eq(take(&rule, 2.4), 0);
    cr_assert_eq(asked.stable_ns, SPAN(0.5));
    cr_assert_eq(take(&rule, 2.8), 0);
    cr_assert_eq(take(&rule, 2.9), 1);
    cr_assert_eq(rpi_idle_rule_idle_ns(&rule, AT(2.9)), SPAN(2.9));
    cr_assert_eq(take(&rule, 3.4), 0, "once");
    cr_assert_eq(asked.stable_ns, SPAN(1.5));
}

Test(idle_rule, starts_the_window_anew_with_an_active_sample)
{
    const rp_idle_options options = sampled();
    rpi_idle_rule rule = begin(&options, true);

    cr_assert_eq(take(&rule, 0.5), 0);
    cr_assert_eq(take(&rule, 1.5), 0);
    (void)rpi_idle_rule_output(&rule, 1, 0, AT(1.6));
    cr_assert_eq(take(&rule, 2), 0);
    cr_assert_eq(rule.active_at_ns, AT(2));
    cr_assert_eq(take(&rule, 2.5), 0);
    cr_assert_eq(asked.stable_ns, 0);
    cr_assert_eq(take(&rule, 3.9), 0);
    cr_assert_eq(take(&rule, 4), 1);
}

Test(idle_rule, lets_decide_say_that_it_is_active)
{
    const rp_idle_options options = sampled();
    rpi_idle_rule rule = begin(&options, true);

    answer = RP_IDLE_ACTIVE;
    for (double at = 0.5; at < 10; at += 0.5) {
        cr_assert_eq(take(&rule, at), 0);
    }
    cr_assert_eq(rule.active_at_ns, AT(9.5));
    answer = RP_IDLE_DEFAULT;
    cr_assert_eq(take(&rule, 10.5), 0);
    cr_assert_eq(take(&rule, 11.5), 1);
}

Test(idle_rule, lets_decide_say_that_it_began_to_be_idle_a_sample_ago)
{
    const rp_idle_options options = sampled();
    rpi_idle_rule rule = begin(&options, true);

    (void)rpi_idle_rule_output(&rule, 1, 0, AT(0.1));
    answer = RP_IDLE_BEGIN; // although there was output
    cr_assert_eq(take(&rule, 0.5), 0);
    cr_assert_eq(rule.active_at_ns, AT(0));
    (void)rpi_idle_rule_output(&rule, 1, 0, AT(0.6));
    cr_assert_eq(take(&rule, 1), 0);
    cr_assert_eq(rule.active_at_ns, AT(0), "only the first time");
    answer = RP_IDLE_DEFAULT;
    cr_assert_eq(take(&rule, 1.99), 0);
    cr_assert_eq(take(&rule, 2), 1, "no stability window is needed");
}

Test(idle_rule, forgets_a_beginning_with_the_next_activity)
{
    const rp_idle_options options = sampled();
    rpi_idle_rule rule = begin(&options, true);

    answer = RP_IDLE_BEGIN;
    cr_assert_eq(take(&rule, 0.5), 0);
    answer = RP_IDLE_ACTIVE;
    cr_assert_eq(take(&rule, 1), 0);
    answer = RP_IDLE_BEGIN;
    cr_assert_eq(take(&rule, 1.5), 0);
    cr_assert_eq(rule.active_at_ns, AT(1), "backdated again");
    cr_assert_eq(take(&rule, 2.5), 0);
    cr_assert_eq(take(&rule, 3), 1);
    cr_assert_eq(take(&rule, 5.5), 0, "once a quiet time");
}

Test(idle_rule, lets_decide_say_that_idle_is_reached_even_when_it_is_off)
{
    const rp_idle_options options = sampled();
    rpi_idle_rule rule = begin(&options, true);
    const rpi_idle_sample off = {.now_ns = AT(0.5), .alive = true};
    const rpi_idle_sample later = {.now_ns = AT(1), .alive = true};

    answer = RP_IDLE_REACHED;
    cr_assert_eq(rpi_idle_rule_sample(&rule, &off), 1);
    cr_assert_eq(rpi_idle_rule_sample(&rule, &later), 0, "once");
    answer = RP_IDLE_ACTIVE;
    cr_assert_eq(take(&rule, 1.5), 0);
    answer = RP_IDLE_REACHED;
    cr_assert_eq(take(&rule, 2), 1, "after new activity again");
}

Test(idle_rule, does_not_report_by_its_own_rule_while_it_is_off)
{
    const rp_idle_options options = sampled();
    rpi_idle_rule rule = begin(&options, true);

    for (double at = 0.5; at < 20; at += 0.5) {
        const rpi_idle_sample off = {.now_ns = AT(at), .alive = true};

        answer = at < 10 ? RP_IDLE_DEFAULT : RP_IDLE_BEGIN;
        cr_assert_eq(rpi_idle_rule_sample(&rule, &off), 0);
    }
    cr_assert_eq(asked_count, 39);
}

Test(idle_rule, tells_of_an_answer_that_is_none)
{
    const rp_idle_options options = sampled();
    rpi_idle_rule rule = begin(&options, true);

    answer = (rp_idle_decision)4;
    cr_assert_eq(take(&rule, 0.5), RP_EINVAL);
    cr_assert_not_null(strstr(rp_error_detail(), "decide: answered 4"));
    cr_assert_eq(take(&rule, 1.5), RP_EINVAL);
    cr_assert_eq(take(&rule, 2), 1, "taken for DEFAULT");
}

Test(idle_rule, holds_quiet_samples_against_nobody_who_is_kept_waiting)
{
    const rp_idle_options options = sampled();
    rpi_idle_rule rule = begin(&options, true);

    for (double at = 0.5; at < 10; at += 0.5) {
        const rpi_idle_sample kept = {
            .now_ns = AT(at), .alive = true, .kept_waiting = true, .enabled = true};

        answer = at < 5 ? RP_IDLE_DEFAULT : RP_IDLE_BEGIN;
        cr_assert_eq(rpi_idle_rule_sample(&rule, &kept), 0);
    }
    answer = RP_IDLE_DEFAULT;
    cr_assert_eq(take(&rule, 10), 0);
    cr_assert_eq(take(&rule, 11), 0);
    cr_assert_eq(take(&rule, 11.5), 1);
}

Test(idle_rule, takes_no_sample_before_its_trigger_nor_after_its_report)
{
    rp_idle_options options = sampled();
    static const rpi_input submit = {.size = 1, .submit = true};

    options.start_on = RP_IDLE_START_SUBMIT;
    rpi_idle_rule rule = begin(&options, false);
    cr_assert_eq(rpi_idle_rule_due_ns(&rule, true), RP_FOREVER);
    cr_assert(rpi_idle_rule_input(&rule, &submit, AT(50)));
    cr_assert_eq(rpi_idle_rule_due_ns(&rule, true), AT(50.5));
    answer = RP_IDLE_REACHED;
    cr_assert_eq(take(&rule, 50.5), 1);
    cr_assert_eq(asked.delta_ns, SPAN(0.5));
    cr_assert_eq(asked.samples, 1);
    cr_assert_eq(asked.input_bytes, 0, "the trigger itself is before the clock");
    cr_assert_eq(rpi_idle_rule_due_ns(&rule, true), RP_FOREVER);
}

/* ---- metrics ---- */

Test(idle_rule, counts_only_more_than_each_limit_as_activity)
{
    static const struct {
        double cpu_percent;
        uint64_t disk_bytes;
        bool active;
    } cases[] = {{0, 0, false},   {2.0, 0, false},    {2.0001, 0, true}, {0, 4096, false},
                 {0, 4097, true}, {1.9, 4096, false}, {300, 99999, true}};

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const rp_idle_options options = {.size = sizeof options, .metrics = true};
        rpi_idle_rule rule = begin(&options, true);
        const rpi_idle_sample sample = {.now_ns = AT(5),
                                        .cpu_percent = cases[i].cpu_percent,
                                        .disk_bytes = cases[i].disk_bytes,
                                        .enabled = true};

        cr_assert(rpi_idle_rule_samples(&rule));
        cr_assert_not(rpi_idle_rule_wants_churn(&rule));
        cr_assert_eq(rpi_idle_rule_sample(&rule, &sample), 0);
        cr_assert_eq(rule.active_at_ns == AT(5), cases[i].active, "case %zu", i);
    }
}

Test(idle_rule, does_not_count_metrics_that_were_not_asked_for)
{
    const rp_idle_options options = sampled();
    rpi_idle_rule rule = begin(&options, true);
    const rpi_idle_sample sample = {
        .now_ns = AT(5), .cpu_percent = 50, .disk_bytes = 99999, .enabled = true};

    cr_assert_eq(rpi_idle_rule_sample(&rule, &sample), 0);
    cr_assert_eq(rule.active_at_ns, AT(0));
}
