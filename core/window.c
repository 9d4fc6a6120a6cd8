/* See window.h. Bytes are copied once into memory; what is held slides to its front only when the
 * end is reached and at least half is free, so a byte is moved once more on average. */
#include "core/window.h"

#include <errno.h>
#include <string.h>

#include "base/assert.h"

enum {
    CAPACITY_MIN = 1024,
    MARK_BYTES_MAX = 1 << 16 /* a piece is not stretched beyond this */
};

void rpi_window_init(rpi_window *window,
                     const rp_allocator *allocator,
                     rp_text kind,
                     uint8_t streams,
                     const uint64_t begun[2])
{
    *window = (rpi_window){.allocator = allocator, .kind = kind, .streams = streams};
    rpi_list_init(&window->node);
    for (int i = 0; i < 2; i++) {
        window->begun[i] = begun[i];
        window->fed[i] = begun[i];
        rpi_scan_init(&window->scans[i], NULL, 0);
    }
}

void rpi_window_fini(rpi_window *window)
{
    rpi_list_remove(&window->node);
    rpi_free(window->allocator, window->memory, window->capacity);
    rpi_free(window->allocator, window->marks, window->mark_capacity * sizeof *window->marks);
    window->memory = NULL;
    window->marks = NULL;
}

/* Whether where a byte came from follows from its offset alone. */
static bool is_plain(const rpi_window *window)
{
    return window->kind == RP_TEXT_RAW && window->streams != 3;
}

static int reserve_bytes(rpi_window *window, size_t size)
{
    size_t needed = window->count + size;
    size_t wanted;
    char *memory;

    if (window->first + needed <= window->capacity) {
        return 0;
    }
    if (needed <= window->capacity / 2) {
        memmove(window->memory, window->memory + window->first, window->count);
        window->first = 0;
        return 0;
    }
    if (needed > SIZE_MAX / 2) {
        return -ENOMEM;
    }
    wanted = 2 * needed < CAPACITY_MIN ? CAPACITY_MIN : 2 * needed;
    memory = rpi_alloc(window->allocator, wanted);
    if (memory == NULL) {
        return -ENOMEM;
    }
    if (window->count > 0) {
        memcpy(memory, window->memory + window->first, window->count);
    }
    rpi_free(window->allocator, window->memory, window->capacity);
    window->memory = memory;
    window->capacity = wanted;
    window->first = 0;
    return 0;
}

static int reserve_mark(rpi_window *window)
{
    size_t capacity = window->mark_capacity == 0 ? 8 : 2 * window->mark_capacity;
    rpi_window_mark *marks;

    if (is_plain(window) || window->mark_count < window->mark_capacity) {
        return 0;
    }
    marks = rpi_resize(window->allocator, window->marks,
                       window->mark_capacity * sizeof *window->marks, capacity * sizeof *marks);
    if (marks == NULL) {
        return -ENOMEM;
    }
    window->marks = marks;
    window->mark_capacity = capacity;
    return 0;
}

/* What is about to be added is noted: as a piece of its own, or as more of the last one. */
static rpi_window_mark *mark(rpi_window *window, unsigned int stream)
{
    rpi_window_mark *next = window->marks + window->mark_count;

    if (window->mark_count > 0) {
        rpi_window_mark *last = next - 1;

        if (last->stream == stream && last->end == window->fed[stream] &&
            last->end - last->start < MARK_BYTES_MAX) {
            return last;
        }
    }
    window->mark_count++;
    *next = (rpi_window_mark){.text_start = rpi_window_end(window),
                              .start = window->fed[stream],
                              .stream = (uint8_t)stream,
                              .scan = window->scans[stream]};
    return next;
}

int rpi_window_add(rpi_window *window, unsigned int stream, rp_view bytes)
{
    int r = reserve_bytes(window, bytes.size);
    rpi_window_mark *piece;
    char *to;

    r = r < 0 ? r : reserve_mark(window);
    if (r < 0) {
        return r;
    }
    piece = is_plain(window) ? NULL : mark(window, stream);
    to = window->memory + window->first + window->count;
    if (window->kind == RP_TEXT_STRIPPED) {
        window->count += rpi_scan_strip(&window->scans[stream], bytes, to);
    } else {
        memcpy(to, bytes.data, bytes.size);
        window->count += bytes.size;
    }
    window->fed[stream] += bytes.size;
    if (piece != NULL) {
        piece->end = window->fed[stream];
        piece->text_end = rpi_window_end(window);
    }
    return 0;
}

void rpi_window_skip(rpi_window *window, unsigned int stream, uint64_t end)
{
    if (is_plain(window)) { /* offsets go on as if what is missing had been before the beginning */
        window->begun[stream] += end - window->fed[stream];
    }
    window->fed[stream] = end;
}

void rpi_window_let_go(rpi_window *window, uint64_t offset)
{
    size_t gone = 0;

    if (offset <= window->offset) {
        return;
    }
    RP_ASSERT(offset <= rpi_window_end(window));
    window->first += (size_t)(offset - window->offset);
    window->count -= (size_t)(offset - window->offset);
    window->offset = offset;
    while (gone < window->mark_count && window->marks[gone].text_end < offset) {
        gone++;
    }
    if (gone > window->mark_count / 2) {
        for (size_t i = 0; i < gone; i++) {
            window->begun[window->marks[i].stream] = window->marks[i].end;
        }
        window->mark_count -= gone;
        memmove(window->marks, window->marks + gone, window->mark_count * sizeof *window->marks);
    }
}

rp_view rpi_window_view(const rpi_window *window, uint64_t start, uint64_t end)
{
    RP_ASSERT(start >= window->offset && end >= start && end <= rpi_window_end(window));
    if (window->memory == NULL) {
        return (rp_view){"", 0};
    }
    return (rp_view){window->memory + window->first + (size_t)(start - window->offset),
                     (size_t)(end - start)};
}

/* How far in its stream a piece reaches that gives `size` bytes of text less than all it has. */
static uint64_t
find_in_piece(const rpi_window_mark *piece, uint64_t size, rpi_window_source *source, void *user)
{
    rpi_scan scan = piece->scan;
    uint64_t at = piece->start;

    while (size > 0 && at < piece->end) {
        rp_view bytes = source(user, piece->stream, at);

        if (bytes.size == 0) {
            return piece->end; /* gone: nobody can read it again either */
        }
        for (size_t i = 0; i < bytes.size && size > 0 && at < piece->end; i++, at++) {
            char ignored;

            size -= rpi_scan_strip(&scan, (rp_view){bytes.data + i, 1}, &ignored);
        }
    }
    return at;
}

void rpi_window_place(const rpi_window *window,
                      uint64_t offset,
                      rpi_window_source *source,
                      void *user,
                      uint64_t ret_ends[2])
{
    ret_ends[0] = window->begun[0];
    ret_ends[1] = window->begun[1];
    if (is_plain(window)) {
        ret_ends[window->streams == 1 ? 0 : 1] += offset;
        return;
    }
    for (size_t i = 0; i < window->mark_count; i++) {
        const rpi_window_mark *piece = &window->marks[i];

        if (offset <= piece->text_start) {
            break;
        }
        if (offset > piece->text_end ||
            (offset == piece->text_end && window->kind == RP_TEXT_RAW)) {
            ret_ends[piece->stream] = piece->end;
        } else if (window->kind == RP_TEXT_RAW) {
            ret_ends[piece->stream] = piece->end - (piece->text_end - offset);
        } else {
            ret_ends[piece->stream] =
                find_in_piece(piece, offset - piece->text_start, source, user);
        }
    }
}
