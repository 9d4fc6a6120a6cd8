/* The rule of idle detection, without a process: what counts as activity, when the clock starts,
 * and when a quiet time is long enough. It is told of bytes and samples with their times and keeps
 * the state between them; idle.c brings both and the timer.
 *
 * Two ways to work. By events: bytes move active_at_ns, and idle is who stayed behind it for the
 * longer of timeout_ns and stability_ns. By samples (decide or metrics): bytes are counted, and
 * each sample is quiet or active as a whole; idle is who is active_at_ns + timeout_ns old, and
 * quiet for stability_ns since the first quiet sample. */
#ifndef RPI_CORE_IDLE_RULE_H
#define RPI_CORE_IDLE_RULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/observer.h"
#include "rp/idle.h"

typedef struct rpi_idle_rule {
    rp_idle_options options; /* with the defaults filled in */
    uint64_t active_at_ns;   /* the clock runs from here */
    uint64_t stable_at_ns;   /* the first quiet sample since; 0 = none */
    uint64_t sampled_at_ns;
    uint64_t samples;
    uint64_t input_bytes; /* since the last sample, as are these */
    uint64_t output_bytes;
    uint64_t churn_bytes;
    bool armed;    /* the trigger has come */
    bool begun;    /* decide said BEGIN, and no activity since */
    bool reported; /* this quiet time was */
} rpi_idle_rule;

/** What of a sample does not come through the rule itself. */
typedef struct rpi_idle_sample {
    uint64_t now_ns;
    double cpu_percent;
    uint64_t disk_bytes;
    bool alive;
    bool kept_waiting; /* by us: that is no idleness */
    bool enabled;
} rpi_idle_sample;

/** Reads and checks options of whatever size (NULL: the defaults) and fills the defaults in: 0,
 * RP_EINVAL, RP_E2BIG, with the detail. */
int rpi_idle_options_read(const rp_idle_options *options, rp_idle_options *ret_options);

/** Begins, with options as read. `armed`: there is no trigger, or it has come before. */
void rpi_idle_rule_init(rpi_idle_rule *rule,
                        const rp_idle_options *options,
                        uint64_t now_ns,
                        bool armed);

/** Whether it works by samples. */
bool rpi_idle_rule_samples(const rpi_idle_rule *rule);

/** Whether churn must be told apart. */
bool rpi_idle_rule_wants_churn(const rpi_idle_rule *rule);

/** Bytes were read, `churn` of them control sequences; or the caller wrote. True: what is due has
 * come nearer, so the timer has to be set. */
bool rpi_idle_rule_output(rpi_idle_rule *rule, size_t size, size_t churn, uint64_t now_ns);
bool rpi_idle_rule_input(rpi_idle_rule *rule, const rpi_input *input, uint64_t now_ns);

/** The clock starts anew, at `now_ns` or a point before: it was switched on (`again`: and what was
 * reported may be once more), or we kept the child waiting. Never back. */
void rpi_idle_rule_restart(rpi_idle_rule *rule, uint64_t now_ns, bool again);

/** When to look, or take a sample, next; RP_FOREVER = not before something comes. */
uint64_t rpi_idle_rule_due_ns(const rpi_idle_rule *rule, bool enabled);

/** By events: whether a quiet time is to be reported now. */
bool rpi_idle_rule_look(rpi_idle_rule *rule, uint64_t now_ns, bool enabled);

/** By samples: 1 the same; 0 not; RP_EINVAL: decide gave an answer that is none, which was taken
 * for RP_IDLE_DEFAULT and was not enough for a report. Calls decide. */
int rpi_idle_rule_sample(rpi_idle_rule *rule, const rpi_idle_sample *sample);

/** How long it has been idle. */
uint64_t rpi_idle_rule_idle_ns(const rpi_idle_rule *rule, uint64_t now_ns);

#endif
