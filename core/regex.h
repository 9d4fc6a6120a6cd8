/* Regular expressions over a text that comes in chunks: one pattern, one attempt at a time.
 * matcher.c decides what to attempt when. The syntax and the engine are PCRE2's, and regex_pcre2.c
 * is the only file that knows it; where the library is built without, regex_absent.c refuses.
 *
 * An attempt looks for the first match that begins at or after `from`. While the text may go on it
 * is found only where no byte to come can change it; where bytes to come decide, the attempt says
 * where that undecided match begins. What cannot be done so is refused when the pattern is made:
 * (*COMMIT), (*NOTEMPTY_ATSTART) and \G ask where the attempt began, \X looks back without end,
 * newlines of two bytes depend on where an attempt begins, and \C splits characters. */
#ifndef RPI_CORE_REGEX_H
#define RPI_CORE_REGEX_H

#include <stdbool.h>
#include <stddef.h>

#include "base/alloc.h"
#include "rp/expect.h"

enum {
    RPI_REGEX_TEXT_MAX = 1 << 16, /* bytes of a pattern */
    RPI_REGEX_GROUPS_MAX = 1000,  /* with group 0 */
    RPI_REGEX_PREFIX_MAX = 64
};

typedef struct rpi_regex rpi_regex;

typedef enum rpi_regex_found {
    RPI_REGEX_NO = 0, /* no match begins in what is there */
    RPI_REGEX_BEGUN,  /* one may begin: bytes to come decide */
    RPI_REGEX_YES
} rpi_regex_found;

typedef struct rpi_regex_try {
    const char *data; /* where the text begins, or at least rpi_regex_context bytes before `from` */
    size_t size;
    size_t from; /* no match that begins before this is looked for */
    bool ended;  /* nothing will follow */
} rpi_regex_try;

/** Whether the library was built with regular expressions. */
bool rpi_regex_is_built_in(void);

/** Also a literal that is caseless and UTF-8. 0; RP_EPATTERN, -ENOMEM, or RP_EUNSUPPORTED, with a
 * detail. */
int rpi_regex_make(const rp_allocator *allocator, const rp_pattern *pattern, rpi_regex **ret_regex);

/** NULL is allowed. */
void rpi_regex_free(rpi_regex *regex);

/** Bytes in front of the place where an attempt begins that it may look at. */
size_t rpi_regex_context(const rpi_regex *regex);

/** Writes the bytes that all its matches begin with to ret_prefix, which has room for
 * RPI_REGEX_PREFIX_MAX: how many they are, 0 where that is not plain to see. */
size_t rpi_regex_prefix(const rp_pattern *pattern, size_t text_size, char *ret_prefix);

/** With group 0. */
size_t rpi_regex_group_count(const rpi_regex *regex);

/** An rpi_regex_found, and where the match begins, or may begin; for NO: where the next may. Or
 * RP_EPATTERN: it ran into a limit; -ENOMEM; both with a detail. */
int rpi_regex_attempt(rpi_regex *regex, const rpi_regex_try *attempt, size_t *ret_start);

/** After YES: where a group begins and ends in data; false: it took no part. */
bool rpi_regex_group(const rpi_regex *regex, size_t group, size_t *ret_start, size_t *ret_end);

#endif
