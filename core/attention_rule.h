/* The judgement of attention, without a process: from what is known of a child to a state, the
 * reason that decided, and how much it is worth. Pure; attention.c gathers the evidence. */
#ifndef RPI_CORE_ATTENTION_RULE_H
#define RPI_CORE_ATTENTION_RULE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/reading.h"
#include "pty/scan.h"
#include "rp/idle.h"

/** Times are points; 0 = never. */
typedef struct rpi_attention_evidence {
    uint64_t now_ns;
    uint64_t quiet_ns;
    uint64_t output_at_ns; /* something visible, or a title */
    uint64_t input_at_ns;
    uint64_t bell_at_ns; /* a notification is one, too */
    rpi_progress progress;
    char mark; /* the last of OSC 133: 'A' to 'D'; 0 = none */
    bool ended;
    bool started;
    bool kept_waiting; /* by us */
    bool looked;       /* what follows is of now */
    rpi_reading reading;
    bool hides_typing; /* its terminal edits lines and does not echo */
    bool cursor_visible;
    bool processor_known;
    double cpu_percent;
    double cpu_percent_max;
} rpi_attention_evidence;

typedef struct rpi_attention_verdict {
    rp_attention_state state;
    rp_attention_reason reason;
    double confidence;
    bool is_open;        /* a look would tell more, now or after a while */
    uint64_t settled_ns; /* by time alone it is another one then; RP_FOREVER */
} rpi_attention_verdict;

rpi_attention_verdict rpi_attention_judge(const rpi_attention_evidence *of);

#endif
