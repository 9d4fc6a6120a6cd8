/* The pool of rings for systems other than Linux: where the memory of base/ring.h comes from; how
 * it is mapped is told by ring_map.h.
 *
 * A ring's memory is kept for the next stream when it comes back, up to WARM_SIZE_MAX in all; what
 * is beyond is given back to the system. */
#include <errno.h>

#include "base/assert.h"
#include "base/ring.h"
#include "base/ring_map.h"

enum {
    WARM_SIZE_MAX = 4 << 20, // bytes that unused rings may hold
    RING_SIZE_DEFAULT = 64 << 10
};

typedef struct spare {
    char *memory;
    bool mirrored;
} spare;

struct rpi_ring_pool {
    const rp_allocator *allocator; // borrowed
    uint32_t ring_size;
    uint32_t page_size;
    bool mirror_refused; // by the system, for good
    bool is_forked;
    spare *spares; // a stack
    uint32_t spare_count;
    uint32_t spare_max;
    uint32_t open_count;
    size_t used_bytes;
};

/** A power of two of at least a page, or 0 above the maximum. */
static uint32_t round_size(const rpi_ring_pool *pool, size_t size)
{
    uint32_t rounded = pool->page_size;

    if (size > RPI_RING_SIZE_MAX) {
        return 0;
    }
    while (rounded < size) {
        rounded *= 2;
    }
    return rounded;
}

/* ---- rings -------------------------------------------------------------------- */

static bool take_spare(rpi_ring_pool *pool, rpi_ring *ring)
{
    const spare *taken;

    if (pool->spare_count == 0) {
        return false;
    }
    taken = &pool->spares[--pool->spare_count];
    *ring = (rpi_ring){.memory = taken->memory,
                       .size = pool->ring_size,
                       .origin = RPI_RING_POOLED,
                       .mirrored = taken->mirrored};
    return true;
}

int rpi_ring_open(rpi_ring_pool *pool, size_t size, rpi_ring *ring)
{
    const uint32_t rounded = size == 0 ? pool->ring_size : round_size(pool, size);
    bool mirrored = true;
    char *memory;

    RP_ASSERT(!rpi_ring_is_open(ring));
    if (rounded == 0) {
        return -EINVAL;
    }
    if (rounded != pool->ring_size || !take_spare(pool, ring)) {
        memory =
            pool->mirror_refused ? NULL : rpi_ring_map_mirrored(rounded, &pool->mirror_refused);
        if (memory == NULL) {
            mirrored = false;
            memory = rpi_ring_map_linear(rounded);
        }
        if (memory == NULL) {
            return -ENOMEM;
        }
        *ring = (rpi_ring){.memory = memory,
                           .size = rounded,
                           .origin = rounded == pool->ring_size ? RPI_RING_POOLED : RPI_RING_MAPPED,
                           .mirrored = mirrored};
    }
    pool->open_count++;
    pool->used_bytes += rounded;
    return 0;
}

void rpi_ring_close(rpi_ring_pool *pool, rpi_ring *ring)
{
    if (!rpi_ring_is_open(ring)) {
        return;
    }
    RP_ASSERT(!ring->reserved || pool->is_forked);
    RP_ASSERT(pool->open_count > 0);
    pool->open_count--;
    pool->used_bytes -= ring->size;
    if (!pool->is_forked) {
        if (ring->origin == RPI_RING_POOLED && pool->spare_count < pool->spare_max) {
            pool->spares[pool->spare_count++] = (spare){ring->memory, ring->mirrored};
        } else {
            rpi_ring_unmap(ring->memory, ring->size, ring->mirrored);
        }
    }
    *ring = (rpi_ring){.memory = NULL};
}

/* ---- the pool ------------------------------------------------------------------ */

int rpi_ring_pool_open(const rp_allocator *allocator, size_t ring_size, rpi_ring_pool **ret_pool)
{
    rpi_ring_pool *pool = rpi_alloc(allocator, sizeof *pool);

    if (pool == NULL) {
        return -ENOMEM;
    }
    *pool = (rpi_ring_pool){.allocator = allocator, .page_size = rpi_ring_page_size()};
    pool->ring_size = round_size(pool, ring_size == 0 ? RING_SIZE_DEFAULT : ring_size);
    if (pool->ring_size == 0) {
        rpi_free(allocator, pool, sizeof *pool);
        return -EINVAL;
    }
    pool->spare_max = WARM_SIZE_MAX / pool->ring_size;
    pool->spare_max = pool->spare_max > 0 ? pool->spare_max : 1;
    pool->spares = rpi_alloc(allocator, pool->spare_max * sizeof(spare));
    if (pool->spares == NULL) {
        rpi_free(allocator, pool, sizeof *pool);
        return -ENOMEM;
    }
    *ret_pool = pool;
    return 0;
}

void rpi_ring_pool_close(rpi_ring_pool *pool)
{
    if (pool == NULL) {
        return;
    }
    RP_ASSERT(pool->open_count == 0);
    while (pool->spare_count > 0 && !pool->is_forked) {
        const spare *last = &pool->spares[--pool->spare_count];

        rpi_ring_unmap(last->memory, pool->ring_size, last->mirrored);
    }
    rpi_free(pool->allocator, pool->spares, pool->spare_max * sizeof(spare));
    rpi_free(pool->allocator, pool, sizeof *pool);
}

void rpi_ring_pool_forked(rpi_ring_pool *pool)
{
    pool->is_forked = true;
}

size_t rpi_ring_pool_used_bytes(const rpi_ring_pool *pool)
{
    return pool->used_bytes;
}

size_t rpi_ring_pool_ring_size(const rpi_ring_pool *pool)
{
    return pool->ring_size;
}
