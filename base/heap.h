/* A binary heap of intrusive timers, ordered by time and, for equal times, by the order in which
 * they were put in. It grows only in rpi_heap_reserve, so that arming a timer whose place was
 * reserved when its owner was made cannot fail. */
#ifndef RPI_BASE_HEAP_H
#define RPI_BASE_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/alloc.h"

typedef struct rpi_heap_node {
    uint64_t at_ns;
    uint64_t order; /* ties are broken by it; set by the heap */
    size_t place;   /* index + 1 in the heap; 0 = not in it */
} rpi_heap_node;

typedef struct rpi_heap {
    const rp_allocator *allocator; /* borrowed */
    rpi_heap_node **nodes;
    size_t count;
    size_t capacity;
    size_t reserved; /* places promised to owners; capacity >= reserved >= count */
    uint64_t next_order;
} rpi_heap;

void rpi_heap_init(rpi_heap *heap, const rp_allocator *allocator);
void rpi_heap_fini(rpi_heap *heap);

/** Promises one more place: 0 or -ENOMEM. */
int rpi_heap_reserve(rpi_heap *heap);

/** Gives one promised place back. */
void rpi_heap_unreserve(rpi_heap *heap);

/** Puts `node`, or moves it when it is in already, to `at_ns`. Cannot fail: the place was reserved.
 */
void rpi_heap_put(rpi_heap *heap, rpi_heap_node *node, uint64_t at_ns);

/** Takes the node out; nothing happens when it is not in. */
void rpi_heap_remove(rpi_heap *heap, rpi_heap_node *node);

/** The earliest node, or NULL. It stays in the heap. */
rpi_heap_node *rpi_heap_first(const rpi_heap *heap);

static inline bool rpi_heap_contains(const rpi_heap_node *node)
{
    return node->place != 0;
}

#endif
