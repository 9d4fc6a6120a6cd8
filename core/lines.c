/* The line splitter: see lines.h. Called by stream.c for line handlers and by pull.c for rp_next;
 * the search itself is memchr over one view, continued where the last look ended. */
#include "core/lines.h"

#include <string.h>

void rpi_lines_init(rpi_lines *lines, const rp_allocator *allocator, const rpi_line_rules *rules)
{
    *lines = (rpi_lines){.allocator = allocator, .rules = rules};
}

void rpi_lines_fini(rpi_lines *lines)
{
    rpi_free(lines->allocator, lines->memory, lines->capacity);
}

void rpi_lines_clear(rpi_lines *lines)
{
    rpi_lines_fini(lines);
    rpi_lines_init(lines, lines->allocator, lines->rules);
}

/* The first line end in data[from .. size), or size. */
static size_t find_end(const char *data, size_t from, size_t size, rp_line_end end)
{
    const char *feed = memchr(data + from, end == RP_LINE_NUL ? '\0' : '\n', size - from);
    size_t place = feed == NULL ? size : (size_t)(feed - data);

    if (end == RP_LINE_CR_OR_LF) {
        const char *back = memchr(data + from, '\r', place - from);

        if (back != NULL) {
            return (size_t)(back - data);
        }
    }
    return place;
}

/* A "\n" whose "\r" ended the line before it is no line of its own. */
static void skip_feed(rpi_lines *lines, rpi_ring *ring)
{
    if (lines->skip_feed && ring->count > 0) {
        lines->skip_feed = false;
        if (*rpi_ring_peek(ring) == '\n') {
            rpi_ring_consume(ring, 1);
        }
    }
}

/* Whether `size` bytes without an end are a line that is too long. One more than line_max may still
 * be the "\r" of its end. */
static bool is_too_long(const rpi_line_rules *rules, size_t size, char last)
{
    if (size <= rules->line_max) {
        return false;
    }
    return size > rules->line_max + 1 || rules->end != RP_LINE_LF || last != '\r';
}

static size_t strip_return(const rpi_line_rules *rules, const char *data, size_t size)
{
    return rules->end == RP_LINE_LF && size > 0 && data[size - 1] == '\r' ? size - 1 : size;
}

/* Finds in bytes that are all in the ring. */
static rpi_line_found
find_in_ring(rpi_lines *lines, const rpi_ring *ring, bool ended, rpi_line_span *ret_span)
{
    const rpi_line_rules *rules = lines->rules;
    const char *data = rpi_ring_peek(ring);
    size_t size = ring->count;
    size_t place = find_end(data, lines->scanned, size, rules->end);
    size_t text;

    if (size == 0) {
        return RPI_LINE_NONE;
    }
    if (place < size) {
        text = strip_return(rules, data, place);
        if (text <= rules->line_max) {
            *ret_span = (rpi_line_span){{data, text}, (uint32_t)place + 1};
            return RPI_LINE_WHOLE;
        }
    } else if (!is_too_long(rules, size, data[size - 1])) {
        if (ended && size <= rules->line_max) {
            *ret_span = (rpi_line_span){{data, size}, (uint32_t)size};
            return RPI_LINE_UNENDED;
        }
        if (!ended) {
            lines->scanned = (uint32_t)size;
            return RPI_LINE_NONE;
        }
    }
    *ret_span = (rpi_line_span){{data, rules->line_max}, (uint32_t)rules->line_max};
    return RPI_LINE_PARTIAL;
}

/* Makes the splitter's memory hold `needed` bytes. */
static bool ensure(rpi_lines *lines, size_t needed)
{
    size_t wanted = lines->capacity == 0 ? 2 * needed : lines->capacity;
    char *memory;

    if (needed <= lines->capacity) {
        return true;
    }
    while (wanted < needed) {
        wanted *= 2;
    }
    memory = rpi_resize(lines->allocator, lines->memory, lines->capacity, wanted);
    if (memory == NULL) {
        return false;
    }
    lines->memory = memory;
    lines->capacity = wanted;
    return true;
}

/* Moves the ring's first `size` bytes behind those in memory. */
static bool move_in(rpi_lines *lines, rpi_ring *ring, size_t size)
{
    if (!ensure(lines, lines->count + size)) {
        return false;
    }
    if (size > 0) { /* else the ring may be closed */
        memcpy(lines->memory + lines->count, rpi_ring_peek(ring), size);
        lines->count += size;
        rpi_ring_consume(ring, (uint32_t)size);
    }
    lines->scanned = 0;
    return true;
}

/* All that is in memory, as a piece: of a line that is too long, or that there is no memory to put
 * together. */
static rpi_line_found piece_of_memory(const rpi_lines *lines, rpi_line_span *ret_span)
{
    const rpi_line_rules *rules = lines->rules;
    size_t size = lines->count < rules->line_max ? lines->count : rules->line_max;

    *ret_span = (rpi_line_span){{lines->memory, size}, 0};
    return RPI_LINE_PARTIAL;
}

/* Finds a line that began in the splitter's memory; its rest is brought there, so that the text is
 * in one piece. */
static rpi_line_found
find_in_memory(rpi_lines *lines, rpi_ring *ring, bool ended, rpi_line_span *ret_span)
{
    const rpi_line_rules *rules = lines->rules;
    const char *data = rpi_ring_peek(ring);
    size_t size = ring->count;
    size_t place = size == 0 ? 0 : find_end(data, lines->scanned, size, rules->end);
    size_t total = lines->count + place;
    size_t room = lines->count < rules->line_max ? rules->line_max - lines->count : 0;
    size_t text;

    if (place < size &&
        total <= rules->line_max + 1) { /* an end, and the text may be short enough */
        if (!move_in(lines, ring, place)) {
            return piece_of_memory(lines, ret_span);
        }
        text = strip_return(rules, lines->memory, lines->count);
        if (text <= rules->line_max) {
            *ret_span = (rpi_line_span){{lines->memory, text}, 1};
            return RPI_LINE_WHOLE;
        }
        return piece_of_memory(lines, ret_span);
    }
    if (!ended &&
        !is_too_long(rules, total, size > 0 ? data[size - 1] : lines->memory[total - 1])) {
        lines->scanned = (uint32_t)size;
        return RPI_LINE_NONE;
    }
    if (!move_in(lines, ring, place < room ? place : room) || ring->count > 0 ||
        lines->count > rules->line_max) {
        return piece_of_memory(lines, ret_span);
    }
    *ret_span = (rpi_line_span){{lines->memory, lines->count}, 0};
    return ended ? RPI_LINE_UNENDED : RPI_LINE_PARTIAL;
}

/* No line ends in a full ring: its bytes go into memory, or, where there is none, out as a piece.
 */
static rpi_line_found make_room(rpi_lines *lines, rpi_ring *ring, rpi_line_span *ret_span)
{
    if (move_in(lines, ring, ring->count)) {
        return RPI_LINE_NONE;
    }
    if (lines->count > 0) {
        return piece_of_memory(lines, ret_span);
    }
    *ret_span = (rpi_line_span){{rpi_ring_peek(ring), ring->count}, ring->count};
    return RPI_LINE_PARTIAL;
}

rpi_line_found rpi_lines_find(rpi_lines *lines, rpi_ring *ring, bool ended, rpi_line_span *ret_span)
{
    rpi_line_found found;

    if (!rpi_ring_is_open(ring) && lines->count == 0) {
        return RPI_LINE_NONE;
    }
    skip_feed(lines, ring);
    if (lines->count > 0) {
        found = find_in_memory(lines, ring, ended, ret_span);
    } else {
        found = find_in_ring(lines, ring, ended, ret_span);
    }
    if (found == RPI_LINE_NONE && rpi_ring_is_open(ring) && rpi_ring_free(ring) == 0) {
        return make_room(lines, ring, ret_span);
    }
    return found;
}

void rpi_lines_take(rpi_lines *lines,
                    rpi_ring *ring,
                    rpi_line_found found,
                    const rpi_line_span *span)
{
    const rpi_line_rules *rules = lines->rules;
    if (lines->count > 0) {
        size_t left = found == RPI_LINE_PARTIAL ? lines->count - span->text.size : 0;

        memmove(lines->memory, lines->memory + lines->count - left, left);
        lines->count = left;
    }
    if (span->ring_bytes > 0) {
        if (rules->end == RP_LINE_CR_OR_LF && found == RPI_LINE_WHOLE) {
            lines->skip_feed = rpi_ring_peek(ring)[span->ring_bytes - 1] == '\r';
        }
        rpi_ring_consume(ring, span->ring_bytes);
    }
    lines->scanned = 0;
}

void rpi_lines_skip(rpi_lines *lines, rpi_ring *ring, size_t size)
{
    size_t from_memory = size < lines->count ? size : lines->count;

    if (from_memory > 0) {
        lines->count -= from_memory;
        memmove(lines->memory, lines->memory + from_memory, lines->count);
    }
    if (size > from_memory) {
        rpi_ring_consume(ring, (uint32_t)(size - from_memory));
    }
    lines->skip_feed = false;
    lines->scanned = 0;
}
