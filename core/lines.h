/* Splitting a stream into lines, incrementally: whatever way the bytes were cut into reads, the
 * lines are the same. The splitter owns no bytes: it looks at the unread bytes of a ring, as one
 * view, and says how far the next line goes. Only a line that outgrows the ring is moved into a
 * buffer of the splitter's own, which is bounded by line_max.
 *
 * A line longer than line_max comes in pieces of exactly line_max bytes marked partial, the last
 * one (which may be empty) not. */
#ifndef RPI_CORE_LINES_H
#define RPI_CORE_LINES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/alloc.h"
#include "base/ring.h"
#include "rp/process.h"

typedef struct rpi_line_rules {
    size_t line_max; /* bytes, not 0 */
    rp_line_end end;
} rpi_line_rules;

typedef struct rpi_lines {
    const rp_allocator *allocator; /* borrowed, as are the rules */
    const rpi_line_rules *rules;
    char *memory; /* the beginning of a line that outgrew the ring */
    size_t count;
    size_t capacity;
    uint32_t scanned; /* unread bytes of the ring that are known to hold no line end */
    bool skip_feed; /* RP_LINE_CR_OR_LF: the line ended with "\r", a "\n" that follows belongs to it
                     */
} rpi_lines;

typedef enum rpi_line_found {
    RPI_LINE_NONE = 0, /* more bytes are needed */
    RPI_LINE_WHOLE,
    RPI_LINE_PARTIAL, /* longer than line_max: a piece */
    RPI_LINE_UNENDED  /* the last one, without an end */
} rpi_line_found;

/** One found line: its text, and how many bytes of the ring go with it. The view is into the ring
 * or the splitter's memory, until rpi_lines_take. */
typedef struct rpi_line_span {
    rp_view text;
    uint32_t ring_bytes; /* to consume from the ring, line end included */
} rpi_line_span;

void rpi_lines_init(rpi_lines *lines, const rp_allocator *allocator, const rpi_line_rules *rules);
void rpi_lines_fini(rpi_lines *lines);

/** Forgets a begun line. */
void rpi_lines_clear(rpi_lines *lines);

/** Looks for the next line in the unread bytes of `ring`. `ended`: nothing will follow them.
 * Finding takes no byte of the text away; it may move the beginning of a line that fills the ring
 * into the splitter's own memory, so that the ring has room again. Where there is no memory for
 * that, the line comes in shorter pieces: nothing is lost. */
rpi_line_found
rpi_lines_find(rpi_lines *lines, rpi_ring *ring, bool ended, rpi_line_span *ret_span);

/** Lets the found line go: consumes it from the ring and the splitter's memory. */
void rpi_lines_take(rpi_lines *lines,
                    rpi_ring *ring,
                    rpi_line_found found,
                    const rpi_line_span *span);

/** Drops the next `size` bytes, of which memory and ring hold so many, whatever lines they are of.
 */
void rpi_lines_skip(rpi_lines *lines, rpi_ring *ring, size_t size);

/** Bytes of a begun line that are in the splitter's memory, not in the ring. */
static inline size_t rpi_lines_held(const rpi_lines *lines)
{
    return lines->count;
}

#endif
