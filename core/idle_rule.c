/* See idle_rule.h. Pure: times and counts in, decisions out; the one call out is the caller's
 * decide. */
#include "core/idle_rule.h"

#include <float.h>

#include "base/clock.h"
#include "base/status.h"
#include "core/command.h"

#define TIMEOUT_DEFAULT_NS (10 * RP_SECOND)
#define STABILITY_DEFAULT_NS (750 * RP_MILLISECOND)
#define SAMPLE_DEFAULT_NS (250 * RP_MILLISECOND)
#define CPU_PERCENT_DEFAULT 2.0
#define BYTES_DEFAULT 4096

/* ---- options ---------------------------------------------------------------------- */

static int check(const rp_idle_options *options)
{
    if (!(options->cpu_percent_max >= 0 && options->cpu_percent_max <= DBL_MAX)) { /* nor a NaN */
        return rpi_detail(RP_EINVAL, "cpu_percent_max: no percentage");
    }
    if (options->start_on < RP_IDLE_START_NOW || options->start_on > RP_IDLE_START_SUBMIT) {
        return rpi_detail(RP_EINVAL, "start_on: there is no %d", (int)options->start_on);
    }
    if (options->metrics) {
        return 0;
    }
    if (options->cpu_percent_max > 0) {
        return rpi_detail(RP_EINVAL, "cpu_percent_max: only with metrics");
    }
    if (options->disk_bytes_max > 0) {
        return rpi_detail(RP_EINVAL, "disk_bytes_max: only with metrics");
    }
    if (options->network_bytes_max > 0) {
        return rpi_detail(RP_EINVAL, "network_bytes_max: only with metrics");
    }
    return 0;
}

static void or_default(uint64_t *number, uint64_t value)
{
    if (*number == 0) {
        *number = value;
    }
}

int rpi_idle_options_read(const rp_idle_options *options, rp_idle_options *ret_options)
{
    rp_idle_options full = RP_IDLE_OPTIONS_INIT;
    int r = options == NULL ? 0 : rpi_options_read(options, sizeof full, &full);

    r = r < 0 ? r : check(&full);
    if (r < 0) {
        return r;
    }
    or_default(&full.timeout_ns, TIMEOUT_DEFAULT_NS);
    or_default(&full.stability_ns, STABILITY_DEFAULT_NS);
    or_default(&full.sample_ns, SAMPLE_DEFAULT_NS);
    or_default(&full.disk_bytes_max, BYTES_DEFAULT);
    or_default(&full.network_bytes_max, BYTES_DEFAULT);
    if (!(full.cpu_percent_max > 0)) {
        full.cpu_percent_max = CPU_PERCENT_DEFAULT;
    }
    *ret_options = full;
    return 0;
}

/* ---- the clock ---------------------------------------------------------------------- */

bool rpi_idle_rule_samples(const rpi_idle_rule *rule)
{
    return rule->options.decide != NULL || rule->options.metrics;
}

bool rpi_idle_rule_wants_churn(const rpi_idle_rule *rule)
{
    return rule->options.ignore_churn || rule->options.decide != NULL;
}

/* From here on it is measured. */
static void start_clock(rpi_idle_rule *rule, uint64_t now_ns)
{
    rule->active_at_ns = now_ns;
    rule->stable_at_ns = 0;
    rule->sampled_at_ns = now_ns;
    rule->samples = 0;
    rule->input_bytes = 0;
    rule->output_bytes = 0;
    rule->churn_bytes = 0;
    rule->armed = true;
    rule->begun = false;
    rule->reported = false;
}

void rpi_idle_rule_init(rpi_idle_rule *rule,
                        const rp_idle_options *options,
                        uint64_t now_ns,
                        bool armed)
{
    *rule = (rpi_idle_rule){.options = *options};
    start_clock(rule, now_ns);
    rule->armed = armed;
}

void rpi_idle_rule_restart(rpi_idle_rule *rule, uint64_t now_ns, bool again)
{
    if (now_ns >= rule->active_at_ns) {
        rule->active_at_ns = now_ns;
        rule->stable_at_ns = 0;
        rule->begun = false;
    }
    rule->reported = rule->reported && !again;
}

/* Something counts as activity. True: the present quiet time was reported, so that another begins
 * with this. */
static bool be_active(rpi_idle_rule *rule, uint64_t now_ns)
{
    bool was_reported = rule->reported;

    rpi_idle_rule_restart(rule, now_ns, true);
    return was_reported;
}

uint64_t rpi_idle_rule_idle_ns(const rpi_idle_rule *rule, uint64_t now_ns)
{
    return rule->armed && now_ns > rule->active_at_ns ? now_ns - rule->active_at_ns : 0;
}

/* ---- bytes ---------------------------------------------------------------------------- */

static bool output_counts(const rp_idle_options *options, uint64_t output, uint64_t churn)
{
    return !options->ignore_output && (output > 0 || (!options->ignore_churn && churn > 0));
}

bool rpi_idle_rule_output(rpi_idle_rule *rule, size_t size, size_t churn, uint64_t now_ns)
{
    if (!rule->armed) {
        return false;
    }
    rule->output_bytes += size - churn;
    rule->churn_bytes += churn;
    if (rpi_idle_rule_samples(rule) || !output_counts(&rule->options, size - churn, churn)) {
        return false;
    }
    return be_active(rule, now_ns);
}

static bool is_trigger(const rpi_idle_rule *rule, const rpi_input *input)
{
    switch (rule->options.start_on) {
    case RP_IDLE_START_NEWLINE:
        return input->newline;
    case RP_IDLE_START_SUBMIT:
        return input->submit;
    case RP_IDLE_START_NOW:
        break;
    }
    return false;
}

bool rpi_idle_rule_input(rpi_idle_rule *rule, const rpi_input *input, uint64_t now_ns)
{
    if (!rule->armed) {
        if (is_trigger(rule, input)) {
            start_clock(rule, now_ns);
        }
        return rule->armed;
    }
    rule->input_bytes += input->size;
    if (rpi_idle_rule_samples(rule) || rule->options.ignore_input || input->size == 0) {
        return false;
    }
    return be_active(rule, now_ns);
}

/* ---- decisions ------------------------------------------------------------------------- */

uint64_t rpi_idle_rule_due_ns(const rpi_idle_rule *rule, bool enabled)
{
    const rp_idle_options *options = &rule->options;

    if (!rule->armed) {
        return RP_FOREVER;
    }
    if (rpi_idle_rule_samples(rule)) {
        return rpi_clock_after(rule->sampled_at_ns, options->sample_ns);
    }
    if (rule->reported || !enabled) {
        return RP_FOREVER;
    }
    return rpi_clock_after(rule->active_at_ns, options->timeout_ns > options->stability_ns
                                                   ? options->timeout_ns
                                                   : options->stability_ns);
}

/* This quiet time is reported; with a trigger nothing is measured before the next one. */
static bool report(rpi_idle_rule *rule)
{
    if (rule->reported) {
        return false;
    }
    rule->reported = true;
    rule->armed = rule->options.start_on == RP_IDLE_START_NOW;
    return true;
}

bool rpi_idle_rule_look(rpi_idle_rule *rule, uint64_t now_ns, bool enabled)
{
    return enabled && now_ns >= rpi_idle_rule_due_ns(rule, enabled) && report(rule);
}

static rp_idle_info make_info(const rpi_idle_rule *rule, const rpi_idle_sample *sample)
{
    const uint64_t now_ns = sample->now_ns;

    return (rp_idle_info){.delta_ns = now_ns - rule->sampled_at_ns,
                          .idle_ns = rpi_idle_rule_idle_ns(rule, now_ns),
                          .stable_ns = rule->stable_at_ns == 0 ? 0 : now_ns - rule->stable_at_ns,
                          .samples = rule->samples + 1,
                          .input_bytes = rule->input_bytes,
                          .output_bytes = rule->output_bytes,
                          .churn_bytes = rule->churn_bytes,
                          .cpu_percent = sample->cpu_percent,
                          .disk_bytes = sample->disk_bytes,
                          .alive = sample->alive};
}

static bool is_activity(const rp_idle_options *options, const rp_idle_info *info)
{
    if ((!options->ignore_input && info->input_bytes > 0) ||
        output_counts(options, info->output_bytes, info->churn_bytes)) {
        return true;
    }
    return options->metrics && (info->cpu_percent > options->cpu_percent_max ||
                                info->disk_bytes > options->disk_bytes_max ||
                                info->network_bytes > options->network_bytes_max);
}

/* Whether the quiet time is long enough, with this quiet sample at its end. */
static bool is_long_enough(const rpi_idle_rule *rule, uint64_t now_ns)
{
    if (now_ns - rule->active_at_ns < rule->options.timeout_ns) {
        return false;
    }
    return rule->begun || now_ns - rule->stable_at_ns >= rule->options.stability_ns;
}

static int judge(rpi_idle_rule *rule, const rpi_idle_sample *sample, const rp_idle_info *info)
{
    const uint64_t now_ns = sample->now_ns;

    if (sample->kept_waiting) {
        rpi_idle_rule_restart(rule, now_ns, false);
        return 0;
    }
    if (is_activity(&rule->options, info)) {
        (void)be_active(rule, now_ns); /* the timer is set after every sample */
        return 0;
    }
    if (rule->stable_at_ns == 0) {
        rule->stable_at_ns = now_ns;
    }
    return sample->enabled && is_long_enough(rule, now_ns) && report(rule) ? 1 : 0;
}

static int begin(rpi_idle_rule *rule, const rpi_idle_sample *sample, const rp_idle_info *info)
{
    const uint64_t now_ns = sample->now_ns;

    if (sample->kept_waiting) {
        rpi_idle_rule_restart(rule, now_ns, false);
        return 0;
    }
    if (!rule->begun) {
        rule->begun = true;
        rule->active_at_ns = now_ns - info->delta_ns;
    }
    return sample->enabled && is_long_enough(rule, now_ns) && report(rule) ? 1 : 0;
}

int rpi_idle_rule_sample(rpi_idle_rule *rule, const rpi_idle_sample *sample)
{
    const rp_idle_info info = make_info(rule, sample);
    rp_idle_decision decision = RP_IDLE_DEFAULT;
    int r;

    rule->sampled_at_ns = sample->now_ns;
    rule->samples++;
    rule->input_bytes = 0;
    rule->output_bytes = 0;
    rule->churn_bytes = 0;
    if (rule->options.decide != NULL) {
        decision = rule->options.decide(&info, rule->options.decide_user);
    }
    switch (decision) {
    case RP_IDLE_ACTIVE:
        (void)be_active(rule, sample->now_ns); /* as in judge */
        return 0;
    case RP_IDLE_BEGIN:
        return begin(rule, sample, &info);
    case RP_IDLE_REACHED:
        return report(rule) ? 1 : 0;
    case RP_IDLE_DEFAULT:
        return judge(rule, sample, &info);
    }
    r = judge(rule, sample, &info);
    return r == 1 ? 1 : rpi_detail(RP_EINVAL, "decide: answered %d", (int)decision);
}
