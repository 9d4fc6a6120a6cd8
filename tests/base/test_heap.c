/* The timer heap: always the earliest first, equal times in the order put in, against a model that
 * looks through everything; arming cannot fail once a place is reserved. */
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/heap.h"
#include "tests/support/check.h"
#include "tests/support/fault.h"
#include "tests/support/seed.h"

enum {
    NODES = 300
};

/** What the model knows of a node. */
typedef struct entry {
    rpi_heap_node node;
    uint64_t at_ns;
    uint64_t order;
    bool is_in;
} entry;

static entry *find_first(entry *entries)
{
    entry *first = NULL;

    for (int i = 0; i < NODES; i++) {
        if (entries[i].is_in &&
            (first == NULL || entries[i].at_ns < first->at_ns ||
             (entries[i].at_ns == first->at_ns && entries[i].order < first->order))) {
            first = &entries[i];
        }
    }
    return first;
}

static void check_first(const rpi_heap *heap, entry *entries)
{
    entry *expected = find_first(entries);

    cr_assert_eq(rpi_heap_first(heap), expected == NULL ? NULL : &expected->node);
}

static rpi_heap make_heap(const rp_allocator *allocator, int places)
{
    rpi_heap heap;

    rpi_heap_init(&heap, allocator);
    for (int i = 0; i < places; i++) {
        cr_assert_eq(rpi_heap_reserve(&heap), 0);
    }
    return heap;
}

Test(heap, agrees_with_a_model, .timeout = 60)
{
    static entry entries[NODES];
    rpi_heap heap = make_heap(rpi_alloc_default(), NODES);
    uint64_t order = 0;
    size_t count = 0;

    rpi_seed_random();
    for (int i = 0; i < 30000; i++) {
        entry *chosen = &entries[rand() % NODES];

        if (rand() % 3 == 0) {
            count -= chosen->is_in ? 1 : 0;
            rpi_heap_remove(&heap, &chosen->node);
            chosen->is_in = false;
        } else {
            count += chosen->is_in ? 0 : 1;
            chosen->at_ns = rand() % 10 == 0 ? UINT64_MAX : (uint64_t)(rand() % 50);
            chosen->order = order++;
            chosen->is_in = true;
            rpi_heap_put(&heap, &chosen->node, chosen->at_ns);
        }
        cr_assert_eq(rpi_heap_contains(&chosen->node), chosen->is_in);
        cr_assert_eq(heap.count, count);
        check_first(&heap, entries);
    }
    while (rpi_heap_first(&heap) != NULL) {
        entry *expected = find_first(entries);

        check_first(&heap, entries);
        rpi_heap_remove(&heap, rpi_heap_first(&heap));
        expected->is_in = false;
    }
    cr_assert_null(find_first(entries));
    rpi_heap_fini(&heap);
}

Test(heap, fires_equal_times_in_the_order_they_were_put_in)
{
    rpi_heap_node nodes[100] = {{0}};
    rpi_heap heap = make_heap(rpi_alloc_default(), 100);

    for (int i = 0; i < 100; i++) {
        rpi_heap_put(&heap, &nodes[i], 7);
    }
    rpi_heap_put(&heap, &nodes[0], 7); // put again: behind the others now
    for (int i = 1; i <= 100; i++) {
        cr_assert_eq(rpi_heap_first(&heap), &nodes[i % 100]);
        rpi_heap_remove(&heap, &nodes[i % 100]);
    }
    rpi_heap_fini(&heap);
}

Test(heap, removing_what_is_not_in_does_nothing)
{
    rpi_heap_node node = {0};
    rpi_heap heap = make_heap(rpi_alloc_default(), 1);

    rpi_heap_remove(&heap, &node);
    cr_assert_null(rpi_heap_first(&heap));
    rpi_heap_put(&heap, &node, 1);
    rpi_heap_remove(&heap, &node);
    rpi_heap_remove(&heap, &node);
    cr_assert_not(rpi_heap_contains(&node));
    rpi_heap_fini(&heap);
}

Test(heap, arms_without_memory_once_a_place_is_reserved)
{
    rpi_heap_node nodes[64] = {{0}};
    rpi_fault_memory memory;
    rpi_heap heap;
    unsigned requests;

    rpi_fault_memory_init(&memory, 0);
    heap = make_heap(&memory.allocator, 64);
    requests = memory.requests;
    for (uint64_t i = 0; i < 64; i++) {
        rpi_heap_put(&heap, &nodes[i], 64 - i);
    }
    cr_assert_eq(memory.requests, requests);
    cr_assert_eq(rpi_heap_first(&heap), &nodes[63]);
    for (int i = 0; i < 64; i++) {
        rpi_heap_remove(&heap, &nodes[i]);
        rpi_heap_unreserve(&heap);
    }
    rpi_heap_fini(&heap);
    cr_assert_eq(memory.live_blocks, 0);
}

Test(heap, a_place_that_cannot_be_reserved_changes_nothing)
{
    for (unsigned n = 1;; n++) {
        rpi_fault_memory memory;
        rpi_heap heap;
        size_t reserved = 0;
        int failures = 0;

        rpi_fault_memory_init(&memory, n);
        rpi_heap_init(&heap, &memory.allocator);
        for (int i = 0; i < 200; i++) {
            const int r = rpi_heap_reserve(&heap);

            cr_assert(r == 0 || r == RP_ENOMEM);
            reserved += r == 0 ? 1 : 0;
            failures += r == 0 ? 0 : 1;
            cr_assert_eq(heap.reserved, reserved);
        }
        rpi_heap_fini(&heap);
        cr_assert_eq(memory.live_blocks, 0);
        cr_assert_eq(failures, memory.fired ? 1 : 0);
        if (!memory.fired) {
            break;
        }
    }
}

Test(heap, more_timers_than_places_is_an_assertion, .signal = SIGABRT)
{
    rpi_heap_node nodes[2] = {{0}};
    rpi_heap heap = make_heap(rpi_alloc_default(), 1);

    rpi_heap_put(&heap, &nodes[0], 1);
    rpi_heap_put(&heap, &nodes[1], 1);
}
