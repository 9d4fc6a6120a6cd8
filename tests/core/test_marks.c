/* Tests the marks of reads (core/marks.h) against a plain list of them. */
#include <stdlib.h>

#include "core/marks.h"
#include "tests/support/check.h"
#include "tests/support/fault.h"
#include "tests/support/seed.h"

enum {
    READ_MAX = 5000
};

static rpi_mark reads[READ_MAX];

/* The read that brought the byte before `offset`. */
static rpi_mark expected(uint64_t offset, size_t count)
{
    size_t i = 0;

    while (i + 1 < count && reads[i].end < offset) {
        i++;
    }
    return reads[i];
}

static void add(rpi_marks *marks, const rp_allocator *allocator, size_t index)
{
    reads[index].end = (index == 0 ? 0 : reads[index - 1].end) + 1 + (uint64_t)(rand() % 100);
    reads[index].seq = 2 * index + 1;
    reads[index].time_ns = 1000 * index;
    rpi_marks_add(marks, allocator, &reads[index]);
}

Test(marks, tell_the_read_of_every_unread_byte, .timeout = 60)
{
    rpi_fault_memory memory;
    rpi_marks marks = {0};
    uint64_t consumed = 0;

    rpi_seed_random();
    rpi_fault_memory_init(&memory, 0);
    for (size_t count = 1; count <= READ_MAX; count++) {
        add(&marks, &memory.allocator, count - 1);
        for (int i = 0; i < 3 && consumed < reads[count - 1].end; i++) {
            uint64_t span = reads[count - 1].end - consumed;
            uint64_t offset = consumed + 1 + (uint64_t)rand() % span;
            rpi_mark found = rpi_marks_find(&marks, offset, consumed);

            cr_assert_eq(found.seq, expected(offset, count).seq);
            cr_assert_eq(found.time_ns, expected(offset, count).time_ns);
            consumed = rand() % 2 == 0 ? offset : consumed;
        }
        if (marks.count > 500) {
            consumed = reads[count - 1].end;
        }
    }
    rpi_marks_fini(&marks, &memory.allocator);
    cr_assert_eq(memory.live_blocks, 0);
}

Test(marks, become_coarser_when_there_are_too_many, .timeout = 60)
{
    rpi_fault_memory memory;
    rpi_marks marks = {0};
    uint64_t before = 0;

    rpi_seed_random();
    rpi_fault_memory_init(&memory, 0);
    for (size_t i = 0; i < READ_MAX; i++) {
        add(&marks, &memory.allocator, i);
    }
    cr_assert_lt(memory.live_bytes, 64u * 1024);
    for (uint64_t offset = 1; offset <= reads[READ_MAX - 1].end; offset += 50) {
        rpi_mark found = rpi_marks_find(&marks, offset, offset - 1);

        cr_assert_geq(found.seq, before); // the order of one stream is never turned round
        cr_assert_leq(found.seq, expected(offset, READ_MAX).seq);
        before = found.seq;
    }
    rpi_marks_fini(&marks, &memory.allocator);
    cr_assert_eq(memory.live_blocks, 0);
}

Test(marks, without_memory_know_the_newest_read, .timeout = 60)
{
    for (unsigned int n = 1; n < 6; n++) {
        rpi_fault_memory memory;
        rpi_marks marks = {0};

        rpi_fault_memory_init(&memory, n);
        for (size_t i = 0; i < 200; i++) {
            add(&marks, &memory.allocator, i);
        }
        for (uint64_t offset = 1; offset <= reads[199].end; offset++) {
            cr_assert_gt(rpi_marks_find(&marks, offset, offset - 1).seq, 0);
        }
        rpi_marks_fini(&marks, &memory.allocator);
        cr_assert_eq(memory.live_blocks, 0);
    }
}
