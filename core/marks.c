/* Marks of reads: see marks.h. A ring of entries in the order of their offsets, searched from the
 * front, where pulling is. */
#include "core/marks.h"

#include "base/assert.h"

enum {
    MARKS_MIN = 8,
    MARKS_MAX = 1024
};

static rpi_mark *mark_at(rpi_marks *marks, uint32_t index)
{
    return &marks->marks[(marks->first + index) % marks->capacity];
}

void rpi_marks_fini(rpi_marks *marks, const rp_allocator *allocator)
{
    rpi_free(allocator, marks->marks, marks->capacity * sizeof *marks->marks);
    *marks = (rpi_marks){0};
}

static void grow(rpi_marks *marks, const rp_allocator *allocator)
{
    uint32_t capacity = marks->capacity == 0 ? MARKS_MIN : 2 * marks->capacity;
    rpi_mark *grown;

    if (capacity > MARKS_MAX) {
        return;
    }
    grown = rpi_alloc(allocator, capacity * sizeof *grown);
    if (grown == NULL) {
        return;
    }
    for (uint32_t i = 0; i < marks->count; i++) {
        grown[i] = *mark_at(marks, i);
    }
    rpi_free(allocator, marks->marks, marks->capacity * sizeof *marks->marks);
    marks->marks = grown;
    marks->first = 0;
    marks->capacity = capacity;
}

void rpi_marks_add(rpi_marks *marks, const rp_allocator *allocator, const rpi_mark *mark)
{
    RP_ASSERT(mark->end > marks->last.end);
    marks->last = *mark;
    if (marks->count == marks->capacity) {
        grow(marks, allocator);
    }
    if (marks->count < marks->capacity) {
        marks->count++;
        *mark_at(marks, marks->count - 1) = *mark;
    } else if (marks->count > 0) {
        mark_at(marks, marks->count - 1)->end = mark->end;
    }
}

rpi_mark rpi_marks_find(rpi_marks *marks, uint64_t offset, uint64_t consumed)
{
    while (marks->count > 0 && mark_at(marks, 0)->end <= consumed &&
           mark_at(marks, 0)->end < offset) {
        marks->first = (marks->first + 1) % marks->capacity;
        marks->count--;
    }
    for (uint32_t i = 0; i < marks->count; i++) {
        if (mark_at(marks, i)->end >= offset) {
            return *mark_at(marks, i);
        }
    }
    return marks->last;
}
