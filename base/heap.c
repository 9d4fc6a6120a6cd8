/* The timer heap: a binary heap in an array, each node knowing its place, so that it can be moved
 * and taken out in O(log n). The reactor holds one; owners of timers reserve their places when they
 * are made, and arming cannot fail afterwards. */
#include "base/heap.h"

#include "base/assert.h"

void rpi_heap_init(rpi_heap *heap, const rp_allocator *allocator)
{
    *heap = (rpi_heap){.allocator = allocator};
}

void rpi_heap_fini(rpi_heap *heap)
{
    rpi_free(heap->allocator, heap->nodes, heap->capacity * sizeof(rpi_heap_node *));
    *heap = (rpi_heap){.allocator = heap->allocator};
}

int rpi_heap_reserve(rpi_heap *heap)
{
    if (heap->reserved == heap->capacity) {
        const size_t size = sizeof(rpi_heap_node *);
        const size_t capacity = heap->capacity == 0 ? 16 : heap->capacity * 2;
        rpi_heap_node **nodes =
            rpi_resize(heap->allocator, heap->nodes, heap->capacity * size, capacity * size);

        if (nodes == NULL) {
            return RP_ENOMEM;
        }
        heap->nodes = nodes;
        heap->capacity = capacity;
    }
    heap->reserved++;
    return 0;
}

void rpi_heap_unreserve(rpi_heap *heap)
{
    RP_ASSERT(heap->reserved > heap->count);
    heap->reserved--;
}

static bool is_before(const rpi_heap_node *left, const rpi_heap_node *right)
{
    if (left->at_ns != right->at_ns) {
        return left->at_ns < right->at_ns;
    }
    return left->order < right->order;
}

static void set_place(rpi_heap *heap, size_t index, rpi_heap_node *node)
{
    heap->nodes[index] = node;
    node->place = index + 1;
}

static void move_up(rpi_heap *heap, size_t index, rpi_heap_node *node)
{
    while (index > 0) {
        const size_t parent = (index - 1) / 2;

        if (!is_before(node, heap->nodes[parent])) {
            break;
        }
        set_place(heap, index, heap->nodes[parent]);
        index = parent;
    }
    set_place(heap, index, node);
}

static void move_down(rpi_heap *heap, size_t index, rpi_heap_node *node)
{
    for (;;) {
        size_t child = 2 * index + 1;

        if (child >= heap->count) {
            break;
        }
        if (child + 1 < heap->count && is_before(heap->nodes[child + 1], heap->nodes[child])) {
            child++;
        }
        if (!is_before(heap->nodes[child], node)) {
            break;
        }
        set_place(heap, index, heap->nodes[child]);
        index = child;
    }
    set_place(heap, index, node);
}

static void settle(rpi_heap *heap, size_t index, rpi_heap_node *node)
{
    if (index > 0 && is_before(node, heap->nodes[(index - 1) / 2])) {
        move_up(heap, index, node);
    } else {
        move_down(heap, index, node);
    }
}

void rpi_heap_put(rpi_heap *heap, rpi_heap_node *node, uint64_t at_ns)
{
    node->at_ns = at_ns;
    node->order = heap->next_order++;
    if (node->place != 0) {
        RP_ASSERT(node->place <= heap->count && heap->nodes[node->place - 1] == node);
        settle(heap, node->place - 1, node);
        return;
    }
    RP_ASSERT(heap->count < heap->reserved);
    move_up(heap, heap->count++, node);
}

void rpi_heap_remove(rpi_heap *heap, rpi_heap_node *node)
{
    rpi_heap_node *last;
    size_t index;

    if (node->place == 0) {
        return;
    }
    index = node->place - 1;
    RP_ASSERT(index < heap->count && heap->nodes[index] == node);
    last = heap->nodes[--heap->count];
    node->place = 0;
    if (last != node) {
        settle(heap, index, last);
    }
}

rpi_heap_node *rpi_heap_first(const rpi_heap *heap)
{
    return heap->count > 0 ? heap->nodes[0] : NULL;
}
