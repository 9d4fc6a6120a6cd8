/* The rules of --expect, 'PATTERN=>ACTION': read from the command line, then carried out in their
 * order, each from where the one before has matched. The reading is pure; the rest stands on
 * rp_expect_start. Called by options.c and supervisor.c. */
#ifndef RPI_CLI_EXPECTS_H
#define RPI_CLI_EXPECTS_H

#include <stdbool.h>
#include <stddef.h>

#include <rp/rp.h>

typedef struct rpi_cli_rule {
    char *text;          /* owned: a copy of the value, which the others point into */
    const char *pattern; /* a regular expression */
    rp_action action;
    const char *action_name; /* "write", "interrupt", "terminate", "kill", "none" */
} rpi_cli_rule;

/** Reads one value: NULL, or what is wrong with it. Then nothing is to be freed. */
const char *rpi_cli_rule_init(rpi_cli_rule *rule, const char *value);
void rpi_cli_rule_fini(rpi_cli_rule *rule);

typedef struct rpi_cli_expects rpi_cli_expects;
/** A rule has matched, or will not: `match->status`, see rp_match. */
typedef void rpi_cli_expects_fn(const rpi_cli_rule *rule, const rp_match *match, void *user);

struct rpi_cli_expects {
    const rpi_cli_rule *rules; /* borrowed */
    size_t count;
    size_t next; /* the rule that is waited for; count: all have matched */
    rpi_cli_expects_fn *matched;
    void *user;
};

/** Checks all rules against the process, and begins with the first. 0, or an error of
 * rp_expect_start, and *ret_bad is the rule that it is about. With no rule nothing happens. */
int rpi_cli_expects_start(rpi_cli_expects *expects,
                          rp_process *process,
                          const rpi_cli_rule **ret_bad);

static inline bool rpi_cli_expects_are_met(const rpi_cli_expects *expects)
{
    return expects->next == expects->count;
}

/** Whether a rule writes to the command. */
bool rpi_cli_expects_write(const rpi_cli_rule *rules, size_t count);

#endif
