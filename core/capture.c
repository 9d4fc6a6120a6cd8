/* Captures: see capture.h. Called by stream.c for every chunk that is read. The tail is kept
 * without moving bytes each time: memory is twice the maximum, and the kept bytes are moved to its
 * front only when its end is reached, so a byte is moved once at most on average. */
#include "core/capture.h"

#include <string.h>

#include "base/assert.h"

enum {
    CAPACITY_MIN = 512
};

void rpi_capture_init(rpi_capture *capture, size_t max, rp_keep keep)
{
    *capture = (rpi_capture){.max = max, .keep = keep};
}

static void set_capacity(rpi_capture *capture, rpi_budget *budget, char *memory, size_t capacity)
{
    budget->used += capacity;
    budget->used -= capture->capacity;
    capture->memory = memory;
    capture->capacity = capacity;
}

void rpi_capture_fini(rpi_capture *capture, const rp_allocator *allocator, rpi_budget *budget)
{
    rpi_free(allocator, capture->memory, capture->capacity);
    set_capacity(capture, budget, NULL, 0);
    capture->start = 0;
    capture->count = 0;
}

/* The most memory this capture may ever want, with the NUL. */
static size_t capacity_max(const rpi_capture *capture)
{
    if (capture->max > SIZE_MAX / 2 - 1) {
        return SIZE_MAX;
    }
    return capture->keep == RP_KEEP_TAIL ? 2 * capture->max + 1 : capture->max + 1;
}

static bool budget_allows(const rpi_capture *capture, const rpi_budget *budget, size_t capacity)
{
    size_t others = budget->used - capture->capacity;

    return budget->max == 0 || (capacity <= budget->max && others <= budget->max - capacity);
}

/* Makes room for `size` more bytes behind the kept ones, and the NUL. Doubles where it may, else
 * takes exactly what is needed. */
static bool
grow(rpi_capture *capture, const rp_allocator *allocator, rpi_budget *budget, size_t size)
{
    size_t needed = capture->start + capture->count + size + 1;
    size_t wanted = capture->capacity < CAPACITY_MIN ? CAPACITY_MIN : capture->capacity;
    char *memory;

    if (needed < size) {
        return false;
    }
    if (needed <= capture->capacity) {
        return true;
    }
    while (wanted < needed) {
        wanted = wanted > SIZE_MAX / 2 ? needed : 2 * wanted;
    }
    if (wanted > capacity_max(capture)) {
        wanted = capacity_max(capture);
    }
    if (wanted < needed) {
        return false;
    }
    if (!budget_allows(capture, budget, wanted)) {
        wanted = needed;
        if (!budget_allows(capture, budget, wanted)) {
            return false;
        }
    }
    memory = rpi_resize(allocator, capture->memory, capture->capacity, wanted);
    if (memory == NULL) {
        return false;
    }
    set_capacity(capture, budget, memory, wanted);
    return true;
}

/* Forgets the first `size` kept bytes. */
static void drop_front(rpi_capture *capture, size_t size)
{
    capture->start += size;
    capture->count -= size;
    capture->offset += size;
    capture->truncated = true;
}

static void append(rpi_capture *capture, const char *data, size_t size)
{
    memcpy(capture->memory + capture->start + capture->count, data, size);
    capture->count += size;
    capture->memory[capture->start + capture->count] = '\0';
}

static void
add_head(rpi_capture *capture, const rp_allocator *allocator, rpi_budget *budget, rp_view bytes)
{
    size_t room = capture->max - capture->count;
    size_t size = bytes.size < room ? bytes.size : room;

    if (capture->truncated) {
        return; /* a hole in the middle would pass for the child's own output */
    }
    if (size > 0 && !grow(capture, allocator, budget, size)) {
        size_t free_bytes =
            capture->capacity > capture->count ? capture->capacity - capture->count - 1 : 0;

        size = free_bytes < size ? free_bytes : size;
    }
    if (size > 0) {
        append(capture, bytes.data, size);
    }
    capture->truncated = size < bytes.size;
}

static void
add_tail(rpi_capture *capture, const rp_allocator *allocator, rpi_budget *budget, rp_view bytes)
{
    size_t max = capture->max;

    if (bytes.size > max) { /* only its end can stay */
        size_t skipped = bytes.size - max;

        drop_front(capture, capture->count);
        capture->offset += skipped;
        bytes.data += skipped;
        bytes.size = max;
    }
    if (capture->count > max - bytes.size) {
        drop_front(capture, capture->count - (max - bytes.size));
    }
    if (bytes.size == 0) {
        return;
    }
    if (capture->start > 0 &&
        capture->start + capture->count + bytes.size + 1 > capacity_max(capture)) {
        memmove(capture->memory, capture->memory + capture->start, capture->count);
        capture->start = 0;
    }
    if (!grow(capture, allocator, budget, bytes.size)) {
        size_t usable = capture->capacity == 0 ? 0 : capture->capacity - 1;

        if (bytes.size > usable) { /* no memory for all of it: as much of the end as fits */
            drop_front(capture, capture->count);
            capture->offset += bytes.size - usable;
            bytes.data += bytes.size - usable;
            bytes.size = usable;
        } else if (capture->count > usable - bytes.size) {
            drop_front(capture, capture->count - (usable - bytes.size));
        }
        if (capture->count > 0) {
            memmove(capture->memory, capture->memory + capture->start, capture->count);
        }
        capture->start = 0;
    }
    if (bytes.size > 0) {
        append(capture, bytes.data, bytes.size);
    }
}

void rpi_capture_add(rpi_capture *capture,
                     const rp_allocator *allocator,
                     rpi_budget *budget,
                     rp_view bytes)
{
    capture->seen += bytes.size;
    if (capture->keep == RP_KEEP_TAIL) {
        add_tail(capture, allocator, budget, bytes);
    } else {
        add_head(capture, allocator, budget, bytes);
    }
    RP_ASSERT(capture->count <= capture->max);
}

rp_view rpi_capture_view(const rpi_capture *capture)
{
    if (capture->count == 0) {
        return (rp_view){"", 0};
    }
    return (rp_view){capture->memory + capture->start, capture->count};
}

size_t rpi_capture_discard(rpi_capture *capture, const rp_allocator *allocator, rpi_budget *budget)
{
    size_t freed = capture->count;

    rpi_capture_fini(capture, allocator, budget);
    capture->offset = capture->seen;
    capture->truncated = false; /* of what is kept from now on nothing is missing */
    return freed;
}

char *
rpi_capture_take(rpi_capture *capture, rpi_budget *budget, rp_view *ret_bytes, size_t *ret_capacity)
{
    char *memory = capture->memory;

    if (memory != NULL && capture->start > 0) {
        memmove(memory, memory + capture->start, capture->count + 1);
        capture->start = 0;
    }
    *ret_bytes = rpi_capture_view(capture);
    *ret_capacity = capture->capacity;
    set_capacity(capture, budget, NULL, 0);
    capture->count = 0;
    return memory;
}
