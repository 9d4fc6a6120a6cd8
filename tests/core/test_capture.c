/* Tests captures (core/capture.h): the first or the last bytes of a stream, compared with the plain
 * text after every piece, within budgets and without memory. */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "core/capture.h"
#include "tests/support/check.h"
#include "tests/support/fault.h"
#include "tests/support/seed.h"

static char text[200000];

static void make_text(void)
{
    for (size_t i = 0; i < sizeof text; i++) {
        text[i] = (char)('!' + rand() % 90);
    }
}

/* Compares with what should be kept of the first `fed` bytes. */
static void check_kept(const rpi_capture *capture, size_t fed)
{
    size_t kept = fed < capture->max ? fed : capture->max;
    size_t from = capture->keep == RP_KEEP_TAIL ? fed - kept : 0;
    rp_view view = rpi_capture_view(capture);

    cr_assert_eq(view.size, kept);
    cr_assert_eq(memcmp(view.data, text + from, kept), 0);
    cr_assert_eq(view.data[kept], '\0');
    cr_assert_eq(capture->truncated, kept < fed);
    cr_assert_eq(capture->offset, kept == 0 ? capture->offset : from);
}

static void feed_all(size_t max, rp_keep keep, size_t total, size_t piece_max)
{
    rpi_fault_memory memory;
    rpi_budget budget = {0, 0};
    rpi_capture capture;

    rpi_fault_memory_init(&memory, 0);
    rpi_capture_init(&capture, max, keep);
    for (size_t at = 0; at < total;) {
        size_t piece = 1 + (size_t)rand() % piece_max;

        piece = piece < total - at ? piece : total - at;
        rpi_capture_add(&capture, &memory.allocator, &budget, (rp_view){text + at, piece});
        at += piece;
        check_kept(&capture, at);
        cr_assert_eq(budget.used, memory.live_bytes);
    }
    rpi_capture_fini(&capture, &memory.allocator, &budget);
    cr_assert_eq(budget.used, 0);
    cr_assert_eq(memory.live_blocks, 0);
}

Test(capture, keeps_the_head_the_tail_or_all, .timeout = 120)
{
    static const size_t maxima[] = {1, 2, 511, 512, 513, 4096, 100000, RP_UNLIMITED};

    rpi_seed_random();
    make_text();
    for (size_t i = 0; i < sizeof maxima / sizeof *maxima; i++) {
        for (int keep = RP_KEEP_HEAD; keep <= RP_KEEP_TAIL; keep++) {
            size_t total = 1 + (size_t)rand() % sizeof text;

            feed_all(maxima[i], (rp_keep)keep, total, 9000);
            feed_all(maxima[i], (rp_keep)keep, total < 3000 ? total : 3000, 5);
        }
    }
}

Test(capture, of_a_tail_moves_each_byte_once_on_average, .timeout = 60)
{
    rpi_fault_memory memory;
    rpi_budget budget = {0, 0};
    rpi_capture capture;

    rpi_fault_memory_init(&memory, 0);
    rpi_capture_init(&capture, 1000, RP_KEEP_TAIL);
    for (size_t at = 0; at < sizeof text; at++) {
        rpi_capture_add(&capture, &memory.allocator, &budget, (rp_view){text + at, 1});
    }
    cr_assert_leq(capture.capacity, 2 * capture.max + 1);
    cr_assert_leq(memory.requests, 8u); // doubled, never per byte
    rpi_capture_fini(&capture, &memory.allocator, &budget);
}

/* Whether the kept bytes are a piece of the text that ends (tail) or begins (head) where it must.
 */
static void check_piece(const rpi_capture *capture, size_t fed)
{
    rp_view view = rpi_capture_view(capture);

    cr_assert_leq(view.size, capture->max);
    if (view.size == 0) {
        return;
    }
    if (capture->keep == RP_KEEP_TAIL) {
        cr_assert_eq(memcmp(view.data, text + fed - view.size, view.size), 0);
        cr_assert_eq(capture->offset, fed - view.size);
    } else {
        cr_assert_eq(memcmp(view.data, text, view.size), 0);
        cr_assert_eq(capture->offset, 0);
    }
    cr_assert_eq(view.data[view.size], '\0');
    cr_assert(capture->truncated || view.size == fed);
}

Test(capture, is_cut_where_the_budget_ends, .timeout = 120)
{
    rpi_seed_random();
    make_text();
    for (int round = 0; round < 400; round++) {
        rpi_fault_memory memory;
        rpi_budget budget = {.used = (size_t)rand() % 3000, .max = 1 + (size_t)rand() % 9000};
        const size_t others = budget.used;
        rpi_capture capture;
        size_t fed = 0;

        rpi_fault_memory_init(&memory, 0);
        rpi_capture_init(&capture, rand() % 2 == 0 ? RP_UNLIMITED : 1 + (size_t)rand() % 9000,
                         round % 2 == 0 ? RP_KEEP_HEAD : RP_KEEP_TAIL);
        for (int i = 0; i < 30; i++) {
            size_t piece = 1 + (size_t)rand() % 2000;

            rpi_capture_add(&capture, &memory.allocator, &budget, (rp_view){text + fed, piece});
            fed += piece;
            check_piece(&capture, fed);
            cr_assert(budget.used == others || budget.used <= budget.max);
        }
        rpi_capture_fini(&capture, &memory.allocator, &budget);
        cr_assert_eq(budget.used, others);
    }
}

Test(capture, is_cut_where_memory_ends, .timeout = 120)
{
    rpi_seed_random();
    make_text();
    for (unsigned int n = 1; n < 12; n++) {
        for (int keep = RP_KEEP_HEAD; keep <= RP_KEEP_TAIL; keep++) {
            rpi_fault_memory memory;
            rpi_budget budget = {0, 0};
            rpi_capture capture;
            size_t fed = 0;

            rpi_fault_memory_init(&memory, n);
            rpi_capture_init(&capture, 20000, (rp_keep)keep);
            for (int i = 0; i < 40; i++) {
                size_t piece = 1 + (size_t)rand() % 2000;

                rpi_capture_add(&capture, &memory.allocator, &budget, (rp_view){text + fed, piece});
                fed += piece;
                check_piece(&capture, fed);
            }
            rpi_capture_fini(&capture, &memory.allocator, &budget);
            cr_assert_eq(memory.live_blocks, 0);
        }
    }
}

Test(capture, goes_on_after_a_discard, .timeout = 60)
{
    rpi_seed_random();
    make_text();
    for (int keep = RP_KEEP_HEAD; keep <= RP_KEEP_TAIL; keep++) {
        rpi_budget budget = {0, 0};
        rpi_capture capture;
        rp_view view;

        rpi_capture_init(&capture, 100, (rp_keep)keep);
        rpi_capture_add(&capture, rpi_alloc_default(), &budget, (rp_view){text, 250});
        cr_assert(capture.truncated);
        cr_assert_eq(rpi_capture_discard(&capture, rpi_alloc_default(), &budget), 100);
        cr_assert_eq(rpi_capture_view(&capture).size, 0);
        rpi_capture_add(&capture, rpi_alloc_default(), &budget, (rp_view){text + 250, 60});
        view = rpi_capture_view(&capture);
        cr_assert_eq(view.size, 60);
        cr_assert_eq(memcmp(view.data, text + 250, 60), 0);
        cr_assert_eq(capture.offset, 250);
        cr_assert_not(capture.truncated);
        rpi_capture_fini(&capture, rpi_alloc_default(), &budget);
    }
}

Test(capture, hands_its_memory_over, .timeout = 60)
{
    rpi_seed_random();
    make_text();
    for (int keep = RP_KEEP_HEAD; keep <= RP_KEEP_TAIL; keep++) {
        rpi_fault_memory memory;
        rpi_budget budget = {0, 0};
        rpi_capture capture;
        rp_view bytes;
        size_t capacity;
        char *taken;

        rpi_fault_memory_init(&memory, 0);
        rpi_capture_init(&capture, 1000, (rp_keep)keep);
        for (size_t at = 0; at < 5000; at += 125) {
            rpi_capture_add(&capture, &memory.allocator, &budget, (rp_view){text + at, 125});
        }
        taken = rpi_capture_take(&capture, &budget, &bytes, &capacity);
        cr_assert_eq(budget.used, 0);
        cr_assert_eq(bytes.data, taken);
        cr_assert_eq(bytes.size, 1000);
        cr_assert_eq(memcmp(taken, keep == RP_KEEP_TAIL ? text + 4000 : text, 1000), 0);
        cr_assert_eq(taken[1000], '\0');
        rpi_free(&memory.allocator, taken, capacity);
        cr_assert_eq(memory.live_blocks, 0);
        cr_assert_null(rpi_capture_take(&capture, &budget, &bytes, &capacity));
        cr_assert_str_eq(bytes.data, "");
    }
}
