/* See attention_rule.h. The order of the questions is the order of their weight: what is certain,
 * what has just happened, what the child itself says, what can be seen from outside, and last what
 * silence means. */
#include "core/attention_rule.h"

#include "base/clock.h"

static rpi_attention_verdict
settled(rp_attention_state state, rp_attention_reason reason, double confidence)
{
    return (rpi_attention_verdict){
        .state = state, .reason = reason, .confidence = confidence, .settled_ns = RP_FOREVER};
}

/* A verdict that a look, or another one later, may change without anything being heard. */
static rpi_attention_verdict
open_to(rp_attention_state state, rp_attention_reason reason, double confidence)
{
    rpi_attention_verdict verdict = settled(state, reason, confidence);

    verdict.is_open = true;
    return verdict;
}

/* Busy for as long as what happened then is fresh. */
static rpi_attention_verdict
busy_since(const rpi_attention_evidence *of, uint64_t at_ns, rp_attention_reason reason)
{
    rpi_attention_verdict verdict = settled(RP_ATTENTION_BUSY, reason, 0.9);

    verdict.settled_ns = rpi_clock_after(at_ns, of->quiet_ns);
    return verdict;
}

static bool is_fresh(const rpi_attention_evidence *of, uint64_t at_ns)
{
    return at_ns != 0 && of->now_ns < rpi_clock_after(at_ns, of->quiet_ns);
}

static bool is_at_prompt(const rpi_attention_evidence *of)
{
    return of->mark == 'A' || of->mark == 'B';
}

static bool is_processor_busy(const rpi_attention_evidence *of)
{
    return of->processor_known && of->cpu_percent > of->cpu_percent_max;
}

/* Somebody reads, and nothing else: nobody but who types can end that. */
static rpi_attention_verdict reads(const rpi_attention_evidence *of)
{
    double confidence = is_at_prompt(of) ? 0.99 : 0.95;

    if (of->hides_typing) {
        return settled(RP_ATTENTION_WAITING_INPUT, RP_ATTENTION_BY_PASSWORD, 0.97);
    }
    return settled(RP_ATTENTION_WAITING_INPUT,
                   is_at_prompt(of) ? RP_ATTENTION_BY_PROMPT : RP_ATTENTION_BY_READING,
                   is_processor_busy(of) ? 0.8 : confidence);
}

/* Silent, and a terminal that does not show what is typed into a line: most often a password, also
 * where who asks for it cannot be looked at. */
static bool asks_for_password(const rpi_attention_evidence *of)
{
    return of->hides_typing && of->reading != RPI_READING_NOT;
}

/* What is left when nothing is certain. */
static rpi_attention_verdict weigh(const rpi_attention_evidence *of)
{
    if (is_processor_busy(of)) {
        return open_to(RP_ATTENTION_BUSY, RP_ATTENTION_BY_PROCESSOR, 0.85);
    }
    if (asks_for_password(of)) {
        return open_to(RP_ATTENTION_WAITING_INPUT, RP_ATTENTION_BY_PASSWORD, 0.85);
    }
    if (is_at_prompt(of)) {
        return open_to(RP_ATTENTION_WAITING_INPUT, RP_ATTENTION_BY_PROMPT, 0.9);
    }
    if (of->mark == 'C' && of->reading != RPI_READING_MAYBE) {
        return open_to(RP_ATTENTION_BUSY, RP_ATTENTION_BY_COMMAND, 0.6);
    }
    if (!of->processor_known) { /* two looks are needed for that */
        return open_to(RP_ATTENTION_BUSY, RP_ATTENTION_BY_OUTPUT, 0.5);
    }
    if (of->reading == RPI_READING_MAYBE) {
        return open_to(RP_ATTENTION_WAITING_INPUT, RP_ATTENTION_BY_READING,
                       of->cursor_visible ? 0.75 : 0.6);
    }
    if (of->bell_at_ns != 0 && of->bell_at_ns >= of->input_at_ns) {
        return open_to(RP_ATTENTION_WAITING_INPUT, RP_ATTENTION_BY_BELL, 0.5);
    }
    return open_to(RP_ATTENTION_QUIET, RP_ATTENTION_BY_SILENCE,
                   of->reading == RPI_READING_UNKNOWN ? 0.4 : 0.7);
}

rpi_attention_verdict rpi_attention_judge(const rpi_attention_evidence *of)
{
    if (of->ended) {
        return settled(RP_ATTENTION_DONE, RP_ATTENTION_BY_EXIT, 1);
    }
    if (!of->started) {
        return open_to(RP_ATTENTION_BUSY, RP_ATTENTION_BY_START, 0.5);
    }
    if (of->kept_waiting) {
        return open_to(RP_ATTENTION_BUSY, RP_ATTENTION_BY_US, 0.9);
    }
    if (is_fresh(of, of->output_at_ns) && of->output_at_ns >= of->input_at_ns) {
        return busy_since(of, of->output_at_ns, RP_ATTENTION_BY_OUTPUT);
    }
    if (is_fresh(of, of->input_at_ns)) {
        return busy_since(of, of->input_at_ns, RP_ATTENTION_BY_INPUT);
    }
    if (of->looked && of->reading == RPI_READING_SURELY) {
        return reads(of);
    }
    if (of->progress == RPI_PROGRESS_NORMAL || of->progress == RPI_PROGRESS_UNKNOWN) {
        return open_to(RP_ATTENTION_BUSY, RP_ATTENTION_BY_PROGRESS, 0.9);
    }
    if (!of->looked) {
        return open_to(RP_ATTENTION_BUSY,
                       of->output_at_ns == 0 && of->input_at_ns == 0 ? RP_ATTENTION_BY_START
                                                                     : RP_ATTENTION_BY_OUTPUT,
                       0.5);
    }
    return weigh(of);
}
