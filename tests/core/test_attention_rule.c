/* The judgement of attention (core/attention_rule.h): what each kind of evidence comes to, and
 * which outweighs which. */
#include "core/attention_rule.h"

#include <string.h>

#include "tests/support/check.h"

#define NOW (1000 * RP_SECOND)
#define QUIET (RP_SECOND / 2)

/* A child that has long been silent and was looked at, by whom nothing is known to be done. */
static rpi_attention_evidence silent(void)
{
    return (rpi_attention_evidence){.now_ns = NOW,
                                    .quiet_ns = QUIET,
                                    .output_at_ns = NOW - 100 * RP_SECOND,
                                    .started = true,
                                    .looked = true,
                                    .cursor_visible = true,
                                    .processor_known = true,
                                    .cpu_percent_max = 5};
}

static rpi_attention_verdict
check(const rpi_attention_evidence *evidence, rp_attention_state state, rp_attention_reason reason)
{
    rpi_attention_verdict verdict = rpi_attention_judge(evidence);

    cr_assert_eq(verdict.state, state, "%s, %s", rp_attention_state_name(verdict.state),
                 rp_attention_reason_text(verdict.reason));
    cr_assert_eq(verdict.reason, reason, "%s", rp_attention_reason_text(verdict.reason));
    cr_assert(verdict.confidence > 0 && verdict.confidence <= 1);
    cr_assert(!verdict.is_open || verdict.settled_ns == RP_FOREVER);
    return verdict;
}

Test(attention_rule, takes_silence_for_quiet)
{
    rpi_attention_evidence evidence = silent();
    rpi_attention_verdict sure = check(&evidence, RP_ATTENTION_QUIET, RP_ATTENTION_BY_SILENCE);

    cr_assert(sure.is_open, "who is silent may begin to read without a sound");
    evidence.reading = RPI_READING_UNKNOWN;
    cr_assert_lt(check(&evidence, RP_ATTENTION_QUIET, RP_ATTENTION_BY_SILENCE).confidence,
                 sure.confidence);
}

Test(attention_rule, knows_the_end_and_the_beginning)
{
    rpi_attention_evidence evidence = silent();

    evidence.ended = true;
    evidence.output_at_ns = NOW;
    evidence.reading = RPI_READING_SURELY;
    cr_assert_float_eq(check(&evidence, RP_ATTENTION_DONE, RP_ATTENTION_BY_EXIT).confidence, 1, 0);
    evidence = silent();
    evidence.started = false;
    cr_assert(check(&evidence, RP_ATTENTION_BUSY, RP_ATTENTION_BY_START).is_open);
    evidence = silent();
    evidence.looked = false;
    evidence.output_at_ns = 0;
    cr_assert(check(&evidence, RP_ATTENTION_BUSY, RP_ATTENTION_BY_START).is_open);
    evidence.output_at_ns = NOW - QUIET;
    cr_assert(check(&evidence, RP_ATTENTION_BUSY, RP_ATTENTION_BY_OUTPUT).is_open);
}

Test(attention_rule, takes_what_has_just_happened_for_busy_and_knows_how_long)
{
    rpi_attention_evidence evidence = silent();
    rpi_attention_verdict verdict;

    evidence.reading = RPI_READING_SURELY;
    evidence.output_at_ns = NOW - QUIET + 1;
    verdict = check(&evidence, RP_ATTENTION_BUSY, RP_ATTENTION_BY_OUTPUT);
    cr_assert_eq(verdict.settled_ns, NOW + 1);
    cr_assert_not(verdict.is_open);
    evidence.input_at_ns = NOW - 1;
    verdict = check(&evidence, RP_ATTENTION_BUSY, RP_ATTENTION_BY_INPUT);
    cr_assert_eq(verdict.settled_ns, NOW - 1 + QUIET);
    evidence.output_at_ns = NOW;
    check(&evidence, RP_ATTENTION_BUSY, RP_ATTENTION_BY_OUTPUT);
    evidence.quiet_ns = RP_FOREVER; // always fresh
    cr_assert_eq(check(&evidence, RP_ATTENTION_BUSY, RP_ATTENTION_BY_OUTPUT).settled_ns,
                 RP_FOREVER);
}

Test(attention_rule, knows_who_waits_for_us)
{
    rpi_attention_evidence evidence = silent();

    evidence.kept_waiting = true;
    evidence.reading = RPI_READING_SURELY;
    check(&evidence, RP_ATTENTION_BUSY, RP_ATTENTION_BY_US);
}

Test(attention_rule, is_sure_of_who_reads_and_does_nothing_else)
{
    rpi_attention_evidence evidence = silent();
    rpi_attention_verdict plain;

    evidence.reading = RPI_READING_SURELY;
    plain = check(&evidence, RP_ATTENTION_WAITING_INPUT, RP_ATTENTION_BY_READING);
    cr_assert_not(plain.is_open, "only input can end that");
    cr_assert_gt(plain.confidence, 0.9);
    evidence.progress = RPI_PROGRESS_NORMAL; // left over
    evidence.mark = 'C';
    check(&evidence, RP_ATTENTION_WAITING_INPUT, RP_ATTENTION_BY_READING);
    evidence.mark = 'B';
    cr_assert_gt(check(&evidence, RP_ATTENTION_WAITING_INPUT, RP_ATTENTION_BY_PROMPT).confidence,
                 plain.confidence);
    evidence.hides_typing = true;
    check(&evidence, RP_ATTENTION_WAITING_INPUT, RP_ATTENTION_BY_PASSWORD);
    evidence = silent();
    evidence.reading = RPI_READING_SURELY;
    evidence.cpu_percent = 100; // somebody in its background
    cr_assert_lt(check(&evidence, RP_ATTENTION_WAITING_INPUT, RP_ATTENTION_BY_READING).confidence,
                 plain.confidence);
}

Test(attention_rule, is_less_sure_of_who_waits_for_several_things)
{
    rpi_attention_evidence evidence = silent();
    rpi_attention_verdict shown;

    evidence.reading = RPI_READING_MAYBE;
    shown = check(&evidence, RP_ATTENTION_WAITING_INPUT, RP_ATTENTION_BY_READING);
    cr_assert(shown.is_open);
    cr_assert_lt(shown.confidence, 0.9);
    evidence.cursor_visible = false;
    cr_assert_lt(check(&evidence, RP_ATTENTION_WAITING_INPUT, RP_ATTENTION_BY_READING).confidence,
                 shown.confidence);
    evidence.cpu_percent = 50;
    check(&evidence, RP_ATTENTION_BUSY, RP_ATTENTION_BY_PROCESSOR);
    evidence.cpu_percent = 0;
    evidence.processor_known = false;
    check(&evidence, RP_ATTENTION_BUSY, RP_ATTENTION_BY_OUTPUT);
}

Test(attention_rule, believes_what_the_child_tells_of_itself)
{
    static const struct {
        rpi_progress progress;
        rp_attention_state state;
        rp_attention_reason reason;
    } cases[] = {{RPI_PROGRESS_NONE, RP_ATTENTION_QUIET, RP_ATTENTION_BY_SILENCE},
                 {RPI_PROGRESS_NORMAL, RP_ATTENTION_BUSY, RP_ATTENTION_BY_PROGRESS},
                 {RPI_PROGRESS_ERROR, RP_ATTENTION_QUIET, RP_ATTENTION_BY_SILENCE},
                 {RPI_PROGRESS_UNKNOWN, RP_ATTENTION_BUSY, RP_ATTENTION_BY_PROGRESS},
                 {RPI_PROGRESS_PAUSED, RP_ATTENTION_QUIET, RP_ATTENTION_BY_SILENCE}};
    rpi_attention_evidence evidence = silent();

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        evidence.progress = cases[i].progress;
        check(&evidence, cases[i].state, cases[i].reason);
    }
    evidence = silent();
    evidence.mark = 'C';
    check(&evidence, RP_ATTENTION_BUSY, RP_ATTENTION_BY_COMMAND);
    evidence.reading = RPI_READING_MAYBE; // the command itself asks
    check(&evidence, RP_ATTENTION_WAITING_INPUT, RP_ATTENTION_BY_READING);
    evidence.mark = 'A'; // through a connection: nothing is to be seen here
    evidence.reading = RPI_READING_UNKNOWN;
    check(&evidence, RP_ATTENTION_WAITING_INPUT, RP_ATTENTION_BY_PROMPT);
    evidence.mark = 'D';
    check(&evidence, RP_ATTENTION_QUIET, RP_ATTENTION_BY_SILENCE);
}

Test(attention_rule, takes_a_bell_for_a_call_until_somebody_has_come)
{
    rpi_attention_evidence evidence = silent();

    evidence.bell_at_ns = NOW - 50 * RP_SECOND;
    check(&evidence, RP_ATTENTION_WAITING_INPUT, RP_ATTENTION_BY_BELL);
    evidence.input_at_ns = NOW - 40 * RP_SECOND;
    check(&evidence, RP_ATTENTION_QUIET, RP_ATTENTION_BY_SILENCE);
}

Test(attention_rule, guesses_a_password_where_nothing_can_be_seen)
{
    rpi_attention_evidence evidence = silent();

    evidence.hides_typing = true;
    check(&evidence, RP_ATTENTION_QUIET, RP_ATTENTION_BY_SILENCE); // known not to read
    evidence.reading = RPI_READING_UNKNOWN;
    check(&evidence, RP_ATTENTION_WAITING_INPUT, RP_ATTENTION_BY_PASSWORD);
}

Test(attention_rule, has_a_name_for_everything)
{
    for (int i = 0; i <= RP_ATTENTION_DONE; i++) {
        cr_assert_str_neq(rp_attention_state_name((rp_attention_state)i), "unknown");
    }
    for (int i = 0; i <= RP_ATTENTION_BY_EXIT; i++) {
        cr_assert_str_neq(rp_attention_reason_text((rp_attention_reason)i), "unknown");
    }
    cr_assert_str_eq(rp_attention_state_name((rp_attention_state)99), "unknown");
    cr_assert_str_eq(rp_attention_reason_text((rp_attention_reason)-1), "unknown");
}
