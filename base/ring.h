/* The byte ring of a stream, and the pool that rings come from.
 *
 * A ring's pages are mapped twice in a row (double mapping), so that any span of it, up to its
 * whole size, is one contiguous view: nothing is copied to be handed out, not even across the wrap.
 * Where double mapping is refused (no memfd, map count nearly used up) the ring is linear: reserve
 * moves the unread rest to its front first.
 *
 *     reserve -> (the kernel fills) -> commit -> peek -> consume
 *
 * Between reserve and the end of the operation that fills the memory neither reserve nor close may
 * be called (the kernel writes there); peek, consume and commit may, as they never move bytes. A
 * ring that becomes empty starts over at its first byte, unless memory is reserved, so that short
 * streams keep using the same warm page.
 *
 * The pool hands out the ring that came back last, first. It maps rings a few at a time (one memfd
 * a pool, one entry of the process's map a ring, through neighbours that the kernel merges), marks
 * them MADV_DONTFORK (a host that forks must not share them), and gives the pages of rings beyond a
 * small warm reserve back to the system, so that a ring without data holds none. Rings of one pool
 * have one size, a power of two of at least a page; other sizes than the pool's own are mapped one
 * by one. One thread only, as the loop. */
#ifndef RPI_BASE_RING_H
#define RPI_BASE_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/alloc.h"

#define RPI_RING_SIZE_MAX ((size_t)1 << 30) /* 1 GiB */

typedef struct rpi_ring_pool rpi_ring_pool;

/** Where a ring's memory came from, and so where it goes. */
typedef enum rpi_ring_origin {
    RPI_RING_POOLED = 0, /* a slot of the pool */
    RPI_RING_MAPPED      /* a mapping of its own */
} rpi_ring_origin;

/** All zero is a closed ring. Read it through the functions. */
typedef struct rpi_ring {
    char *memory;     /* NULL: closed; size bytes, mapped twice when mirrored */
    uint32_t size;    /* bytes, a power of two */
    uint32_t head;    /* index of the first unread byte, < size */
    uint32_t count;   /* unread bytes, <= size */
    uint32_t touched; /* bytes from the start that may hold pages */
    uint32_t slot;    /* of the pool, where pooled */
    uint8_t origin;   /* rpi_ring_origin */
    bool mirrored;
    bool reserved; /* memory is out for filling */
} rpi_ring;

/** `ring_size` in bytes, 0 = 64 KiB: rounded up to a power of two, at least a page. Nothing is
 * mapped yet. 0, -ENOMEM, or -EINVAL above RPI_RING_SIZE_MAX. */
int rpi_ring_pool_open(const rp_allocator *allocator, size_t ring_size, rpi_ring_pool **ret_pool);

/** All rings are closed before. NULL is allowed. */
void rpi_ring_pool_close(rpi_ring_pool *pool);

/** In a forked child, before closing rings and pool there: their mappings did not come along
 * (MADV_DONTFORK), and their addresses may be somebody else's by now, so nothing is unmapped. Rings
 * that are open must not be read or written. */
void rpi_ring_pool_forked(rpi_ring_pool *pool);

/** Bytes of rings now open, by their sizes. */
size_t rpi_ring_pool_used_bytes(const rpi_ring_pool *pool);

/** The size of the pool's own rings, bytes. */
size_t rpi_ring_pool_ring_size(const rpi_ring_pool *pool);

/** Opens a closed ring of `size` bytes (0 = the pool's), rounded up like the pool's: 0, -ENOMEM, or
 * -EINVAL above RPI_RING_SIZE_MAX. */
int rpi_ring_open(rpi_ring_pool *pool, size_t size, rpi_ring *ring);

/** Gives the memory back to the pool; nothing happens for a closed ring. Not while reserved. */
void rpi_ring_close(rpi_ring_pool *pool, rpi_ring *ring);

static inline bool rpi_ring_is_open(const rpi_ring *ring)
{
    return ring->memory != NULL;
}

static inline uint32_t rpi_ring_free(const rpi_ring *ring)
{
    return ring->size - ring->count;
}

/** The whole free space as one piece, for one fill: its bytes (0 = full: nothing is reserved then).
 */
uint32_t rpi_ring_reserve(rpi_ring *ring, char **ret_memory);

/** Ends the reservation: `size` bytes came (0 for none). */
void rpi_ring_commit(rpi_ring *ring, uint32_t size);

/** All unread bytes (`count`) as one piece; valid until they are consumed, the next reserve of a
 * linear ring, or close. */
static inline const char *rpi_ring_peek(const rpi_ring *ring)
{
    return ring->memory + ring->head;
}

/** Lets the first `size` (<= count) unread bytes go. Their memory stays as it is until the next
 * reserve. */
void rpi_ring_consume(rpi_ring *ring, uint32_t size);

#endif
