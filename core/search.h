/* Searching for literals: several at once in a text that comes in chunks, in time linear in its
 * bytes however they are cut. Finds the occurrence that begins first, of those the first in the
 * list, as soon as no byte to come can change that. Knows nothing of processes or patterns; used by
 * matcher.c.
 *
 *     rpi_search_make ... rpi_search_begin ▸ rpi_search_feed, again and again ... rpi_search_free
 *
 * An automaton (Aho and Corasick's) holds what the last bytes may be the beginning of; where that
 * is nothing, a filter looks for the next place where a literal may begin, many bytes a step. */
#ifndef RPI_CORE_SEARCH_H
#define RPI_CORE_SEARCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/alloc.h"

enum {
    RPI_SEARCH_BYTES_MAX = 1 << 18, /* of all literals of one search */
    RPI_SEARCH_NONE = UINT16_MAX    /* no index; so all are below */
};

typedef struct rpi_literal {
    const char *text; /* borrowed for the call */
    size_t size;      /* not 0 */
    uint16_t index;   /* what it is called in results; the lower of two wins at one place */
} rpi_literal;

typedef struct rpi_search rpi_search;

/** One way through one text. */
typedef struct rpi_search_run {
    uint64_t at;    /* offset in the text of the next byte to look at */
    uint32_t node;  /* of the automaton */
    uint16_t index; /* of the best occurrence so far; RPI_SEARCH_NONE */
    bool decided;   /* no byte to come can bring a better one */
    uint64_t start; /* of the best occurrence */
    uint64_t end;
} rpi_search_run;

/** `caseless`: ASCII letters stand for both cases. 0, -ENOMEM, or RP_EPATTERN (too many bytes). */
int rpi_search_make(const rp_allocator *allocator,
                    const rpi_literal *literals,
                    size_t count,
                    bool caseless,
                    rpi_search **ret_search);

/** NULL is allowed. */
void rpi_search_free(rpi_search *search);

/** A run over the text from `at` on. */
void rpi_search_begin(rpi_search_run *run, uint64_t at);

/** The next bytes, from run->at on. Stops early when it is decided. */
void rpi_search_feed(const rpi_search *search, rpi_search_run *run, const char *bytes, size_t size);

/** What has begun before this offset is not followed any further. */
void rpi_search_forget(const rpi_search *search, rpi_search_run *run, uint64_t offset);

/** Another way to use a run: goes on until a literal ends, any of them, each time. How many of the
 * bytes were looked at; fewer than `size`, or run->at a place where one ends. */
size_t
rpi_search_step(const rpi_search *search, rpi_search_run *run, const char *bytes, size_t size);

/** The literals that end where rpi_search_step has stopped, longest first: `hit` is 0 to begin, and
 * the last result to go on; 0 = no more. */
uint32_t rpi_search_hit(const rpi_search *search,
                        const rpi_search_run *run,
                        uint32_t hit,
                        uint64_t *ret_start,
                        uint16_t *ret_index);

/** Where the earliest occurrence begins that bytes to come may complete, and the lowest index that
 * it may have: run->at where none has begun. */
uint64_t rpi_search_begun(const rpi_search *search, const rpi_search_run *run, uint16_t *ret_index);

#endif
