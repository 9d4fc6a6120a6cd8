/* Expecting in tests: short ways to write patterns and to start expects, and notes of what they
 * report. */
#ifndef RPI_TESTS_SUPPORT_EXPECTING_H
#define RPI_TESTS_SUPPORT_EXPECTING_H

#include "tests/support/stage.h"

#define LITERAL(string)                                                                            \
    {                                                                                              \
        .text = (string)                                                                           \
    }
#define REGEX(string)                                                                              \
    {                                                                                              \
        .kind = RP_REGEX, .text = (string)                                                         \
    }

/* What expects reported: "PATTERN@OFFSET(before|matched) ", or
 * "STATUS(tail) ". */
typedef struct notes {
    char text[4096];
    size_t size;
    unsigned int count;
    const rp_expect_options *next; /* started inside the next report */
    rp_process *closes;            /* closed inside the next report */
} notes;

/** Writes one report down. */
void note_match(notes *self, const rp_match *match);

/** An rp_expect_fn whose user is notes. */
void on_match(rp_process *process, const rp_match *match, void *user);

rp_expect_options options_of(const rp_pattern *patterns, size_t count);

/** Starts an expect that reports to notes; it must start. */
rp_expect *expect(rp_process *process, const rp_expect_options *options, notes *self);

/** A child with handlers that count its events; its stdin is a pipe. */
void spawn(stage *on, actor *child, const char *const *argv);

/** A child in pull mode. */
rp_process *pull(stage *on, const rp_command *command);

/** Writes to its stdin. */
void type(rp_process *process, const char *text);

#endif
