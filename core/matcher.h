/* A matcher: the patterns of one expect over one text that grows by chunks. It finds what one look
 * at the whole text would find, however the text was cut: the match that begins first, of those
 * that begin at one place the one whose pattern stands first in the list. It says so as soon as no
 * byte to come can change it, and at the text's end at the latest. Literals go through one search
 * (search.h), regular expressions one by one (regex.h). Knows nothing of processes; expect.c owns
 * one an expect and shows it the window (text.h).
 *
 * Work is linear in the bytes. A regular expression that has begun to match has to be tried anew
 * when more comes; where that would go over and over a long stretch it is put off, which search
 * tells (RPI_MATCHER_LATER): the caller asks again when there is time, or more text. */
#ifndef RPI_CORE_MATCHER_H
#define RPI_CORE_MATCHER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/alloc.h"
#include "rp/expect.h"

enum {
    RPI_PATTERNS_MAX = 4096
};

typedef struct rpi_matcher rpi_matcher;

typedef enum rpi_matcher_found {
    RPI_MATCHER_NO = 0,
    RPI_MATCHER_LATER, /* nothing found, but not all was looked at */
    RPI_MATCHER_YES
} rpi_matcher_found;

/** What there is of a text. */
typedef struct rpi_matcher_text {
    const char *data;
    size_t size;
    uint64_t offset; /* of data[0] in the text */
    bool ended;      /* nothing will follow */
    bool at_once;    /* put nothing off */
} rpi_matcher_text;

typedef struct rpi_matcher_span {
    uint64_t start; /* offsets in the text; UINT64_MAX: a group that took no part */
    uint64_t end;
} rpi_matcher_span;

typedef struct rpi_matcher_result {
    size_t pattern;
    size_t group_count;             /* 1 or more */
    const rpi_matcher_span *groups; /* until the next begin or search */
} rpi_matcher_result;

/** Compiles the patterns, of which nothing is kept. 0; RP_EINVAL (no patterns, an empty one, flags
 * or kinds that are none), RP_EPATTERN, RP_EUNSUPPORTED, -ENOMEM; all with a detail that names the
 * pattern. */
int rpi_matcher_make(const rp_allocator *allocator,
                     const rp_pattern *patterns,
                     size_t count,
                     rpi_matcher **ret_matcher);

/** NULL is allowed. */
void rpi_matcher_free(rpi_matcher *matcher);

/** Searches anew: a text that begins at this offset; nothing before it is looked at. */
void rpi_matcher_begin(rpi_matcher *matcher, uint64_t offset);

/** Matches that begin before this offset and are not found yet are given up. */
void rpi_matcher_forget(rpi_matcher *matcher, uint64_t offset);

/** Where the best match begins that is found, and only waits for what may come before it;
 * UINT64_MAX: there is none. */
uint64_t rpi_matcher_found_at(const rpi_matcher *matcher);

/** Looks at what is new. The text holds all from rpi_matcher_begin's (or the last forget's) offset
 * on, and rpi_matcher_context bytes before that where there were so many. An rpi_matcher_found;
 * RP_EPATTERN: a pattern ran into a limit; -ENOMEM; both with a detail. */
int rpi_matcher_search(rpi_matcher *matcher, const rpi_matcher_text *text);

/** After RPI_MATCHER_YES. */
void rpi_matcher_result_of(const rpi_matcher *matcher, rpi_matcher_result *ret_result);

/** Bytes in front of the place where a match begins that the patterns may look at. */
size_t rpi_matcher_context(const rpi_matcher *matcher);

/** The most groups that a result may have. */
size_t rpi_matcher_group_max(const rpi_matcher *matcher);

/** Bytes that would be gone over again by what was put off. */
uint64_t rpi_matcher_put_off(const rpi_matcher *matcher);

#endif
