/* Fuzzes the line splitter (core/lines.h): however a text is cut into reads, and however long its
 * lines are, the lines must be those that a look at the whole text finds. The first bytes of the
 * input choose the rules and the cuts, the rest is the text. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/ring.h"
#include "core/lines.h"

#define RING_SIZE 4096
#define HEAD_SIZE 4

/* The text, and how far its lines were already compared. */
typedef struct expected {
    const char *text;
    size_t size;
    size_t at;
    size_t line_max;
    rp_line_end end;
    size_t told; /* bytes of the present line that came in pieces */
} expected;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The present line: its bytes, and where the next one begins. True when it has an end. */
static bool whole_line(const expected *lines, size_t *ret_size, size_t *ret_next)
{
    const char *text = lines->text + lines->at;
    size_t left = lines->size - lines->at;
    size_t i = 0;

    while (i < left && text[i] != (lines->end == RP_LINE_NUL ? '\0' : '\n') &&
           !(lines->end == RP_LINE_CR_OR_LF && text[i] == '\r')) {
        i++;
    }
    *ret_size = i;
    *ret_next = lines->at + i + (i < left ? 1 : 0);
    if (i == left) {
        return false;
    }
    if (lines->end == RP_LINE_LF && i > 0 && text[i - 1] == '\r') {
        *ret_size = i - 1;
    }
    if (text[i] == '\r' && i + 1 < left && text[i + 1] == '\n') {
        *ret_next += 1;
    }
    return true;
}

/* One piece or line that the splitter found. */
static void compare(expected *lines, rpi_line_found found, rp_view text)
{
    size_t size = 0;
    size_t next = 0;
    bool has_end = whole_line(lines, &size, &next);

    RP_ASSERT(text.size <= lines->line_max);
    RP_ASSERT(text.size <= size - lines->told);
    RP_ASSERT(text.size == 0 ||
              memcmp(text.data, lines->text + lines->at + lines->told, text.size) == 0);
    lines->told += text.size;
    if (found == RPI_LINE_PARTIAL) {
        RP_ASSERT(text.size == lines->line_max);
        return;
    }
    RP_ASSERT(lines->told == size);
    RP_ASSERT(found == (has_end ? RPI_LINE_WHOLE : RPI_LINE_UNENDED));
    lines->told = 0;
    lines->at = next;
}

static void take_all(rpi_lines *splitter, rpi_ring *ring, bool ended, expected *lines)
{
    for (;;) {
        rpi_line_span span = {0};
        rpi_line_found found = rpi_lines_find(splitter, ring, ended, &span);

        if (found == RPI_LINE_NONE) {
            return;
        }
        compare(lines, found, span.text);
        rpi_lines_take(splitter, ring, found, &span);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const size_t line_maxima[] = {1,    2, 7, 100, RING_SIZE - 1, RING_SIZE, RING_SIZE + 1,
                                         20000};
    rpi_ring_pool *pool = NULL;
    rpi_ring ring = {0};
    rpi_lines splitter;

    if (size < HEAD_SIZE) {
        return 0;
    }
    expected lines = {.text = (const char *)data + HEAD_SIZE,
                      .size = size - HEAD_SIZE,
                      .line_max = line_maxima[data[0] % 8],
                      .end = (rp_line_end)(data[1] % 3)};
    const rpi_line_rules rules = {.line_max = lines.line_max, .end = lines.end};
    size_t put = 0;
    uint32_t random = (uint32_t)data[2] + 256 * (uint32_t)data[3]; /* the cuts follow from it */

    rpi_lines_init(&splitter, rpi_alloc_default(), &rules);
    RP_ASSERT(rpi_ring_pool_open(rpi_alloc_default(), RING_SIZE, &pool) == 0);
    RP_ASSERT(rpi_ring_open(pool, 0, &ring) == 0);
    while (put < lines.size) {
        char *memory = NULL;
        uint32_t room = rpi_ring_reserve(&ring, &memory);

        random = random * 1664525 + 1013904223;
        size_t cut = 1 + (random >> 16) % (data[2] % 2 == 0 ? 8 : 2 * RING_SIZE);
        cut = cut < room ? cut : room;
        cut = cut < lines.size - put ? cut : lines.size - put;
        RP_ASSERT(cut > 0); /* a splitter that keeps the ring full would stand still */
        memcpy(memory, lines.text + put, cut);
        rpi_ring_commit(&ring, (uint32_t)cut);
        put += cut;
        take_all(&splitter, &ring, false, &lines);
    }
    take_all(&splitter, &ring, true, &lines);
    RP_ASSERT(lines.at == lines.size && lines.told == 0);
    RP_ASSERT(ring.count == 0 && rpi_lines_held(&splitter) == 0);

    rpi_lines_fini(&splitter);
    rpi_ring_close(pool, &ring);
    rpi_ring_pool_close(pool);
    return 0;
}
