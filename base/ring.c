/* The ring's bookkeeping: who may write where, what is unread. It is the same for mirrored and
 * linear rings but for one thing: a linear ring has no second mapping behind its end, so reserve
 * moves what is unread to the front. Streams call it, once a read; where the memory comes from is
 * the pool's matter. */
#include "base/ring.h"

#include <string.h>

#include "base/assert.h"

uint32_t rpi_ring_reserve(rpi_ring *ring, char **ret_memory)
{
    RP_ASSERT(rpi_ring_is_open(ring));
    RP_ASSERT(!ring->reserved);
    if (ring->count == ring->size) {
        return 0;
    }
    if (!ring->mirrored && ring->head > 0) {
        memmove(ring->memory, ring->memory + ring->head, ring->count);
        ring->head = 0;
    }
    *ret_memory = ring->memory + ((ring->head + ring->count) & (ring->size - 1));
    ring->reserved = true;
    return ring->size - ring->count;
}

void rpi_ring_commit(rpi_ring *ring, uint32_t size)
{
    uint32_t end;

    RP_ASSERT(ring->reserved);
    RP_ASSERT(size <= ring->size - ring->count);
    end = ((ring->head + ring->count) & (ring->size - 1)) + size;
    if (end > ring->size) {
        end = ring->size;
    }
    if (size > 0 && end > ring->touched) {
        ring->touched = end;
    }
    ring->count += size;
    ring->reserved = false;
    if (ring->count == 0) {
        ring->head = 0;
    }
}

void rpi_ring_consume(rpi_ring *ring, uint32_t size)
{
    RP_ASSERT(size <= ring->count);
    ring->count -= size;
    ring->head = (ring->head + size) & (ring->size - 1);
    if (ring->count == 0 && !ring->reserved) {
        ring->head = 0;
    }
}
