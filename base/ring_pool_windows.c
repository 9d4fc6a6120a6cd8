/* The pool of rings for Windows: where the memory of base/ring.h comes from.
 *
 * A mirrored ring is a section of its own, mapped twice into address space that was reserved as two
 * placeholders side by side, so that nothing can come between reserving and mapping (Windows 10
 * 1803 has the calls). Where that is refused, or a ring is smaller than the system's granularity
 * of mappings (64 KiB), it is plain memory and the ring linear.
 *
 * A ring's memory is kept for the next stream when it comes back, up to WARM_SIZE_MAX in all; what
 * is beyond is given back to the system. */
#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "base/os_windows.h"
#include "base/ring.h"

#ifndef MEM_RESERVE_PLACEHOLDER
#define MEM_RESERVE_PLACEHOLDER 0x00040000
#define MEM_REPLACE_PLACEHOLDER 0x00004000
#endif
#ifndef MEM_PRESERVE_PLACEHOLDER
#define MEM_PRESERVE_PLACEHOLDER 0x00000002
#endif

enum {
    WARM_SIZE_MAX = 4 << 20, // bytes that unused rings may hold
    RING_SIZE_DEFAULT = 64 << 10,
};

typedef struct spare {
    char *memory;
    bool mirrored;
} spare;

struct rpi_ring_pool {
    const rp_allocator *allocator; // borrowed
    uint32_t ring_size;
    uint32_t page_size;
    uint32_t granularity;
    bool mirror_refused;
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

/* ---- mapping ----------------------------------------------------------------- */

/** Maps the section into both halves of the space, which are placeholders: whether it could. */
static bool map_twice(HANDLE section, char *memory, uint32_t size)
{
    if (rpi_os.MapViewOfFile3(section, NULL, memory, 0, size, MEM_REPLACE_PLACEHOLDER,
                              PAGE_READWRITE, NULL, 0) == NULL) {
        return false;
    }
    if (rpi_os.MapViewOfFile3(section, NULL, memory + size, 0, size, MEM_REPLACE_PLACEHOLDER,
                              PAGE_READWRITE, NULL, 0) == NULL) {
        (void)rpi_os.UnmapViewOfFile(memory); // mapped just now
        return false;
    }
    return true;
}

/** A mirrored ring's memory, or NULL. */
static char *map_mirrored(rpi_ring_pool *pool, uint32_t size)
{
    HANDLE section = NULL;
    char *memory = NULL;
    bool mapped = false;

    if (pool->mirror_refused || size % pool->granularity != 0) {
        return NULL;
    }
    if (rpi_os.VirtualAlloc2 == NULL || rpi_os.MapViewOfFile3 == NULL) {
        pool->mirror_refused = true;
        return NULL;
    }
    memory = rpi_os.VirtualAlloc2(NULL, NULL, 2 * (size_t)size,
                                  MEM_RESERVE | MEM_RESERVE_PLACEHOLDER, PAGE_NOACCESS, NULL, 0);
    if (memory == NULL) {
        pool->mirror_refused = GetLastError() != ERROR_NOT_ENOUGH_MEMORY;
        return NULL;
    }
    section = rpi_os.CreateFileMappingW(INVALID_HANDLE_VALUE, NULL, PAGE_READWRITE, 0, size, NULL);
    if (!rpi_os.VirtualFree(memory, size, MEM_RELEASE | MEM_PRESERVE_PLACEHOLDER)) {
        pool->mirror_refused = true;
        (void)rpi_os.VirtualFree(memory, 0, MEM_RELEASE); // still one piece
    } else {
        mapped = section != NULL && map_twice(section, memory, size);
        if (!mapped) {
            (void)rpi_os.VirtualFree(memory, 0, MEM_RELEASE); // two pieces, both ours
            (void)rpi_os.VirtualFree(memory + size, 0, MEM_RELEASE);
        }
    }
    if (section != NULL) {
        (void)rpi_os.CloseHandle(section); // the mappings keep what is in it
    }
    return mapped ? memory : NULL;
}

static char *map_linear(uint32_t size)
{
    return rpi_os.VirtualAlloc(NULL, size, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
}

static void unmap(char *memory, uint32_t size, bool mirrored)
{
    if (mirrored) {
        (void)rpi_os.UnmapViewOfFile(memory); // our own mappings
        (void)rpi_os.UnmapViewOfFile(memory + size);
    } else {
        (void)rpi_os.VirtualFree(memory, 0, MEM_RELEASE); // our own memory
    }
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
        memory = map_mirrored(pool, rounded);
        if (memory == NULL) {
            mirrored = false;
            memory = map_linear(rounded);
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
    RP_ASSERT(!ring->reserved);
    RP_ASSERT(pool->open_count > 0);
    pool->open_count--;
    pool->used_bytes -= ring->size;
    if (ring->origin == RPI_RING_POOLED && pool->spare_count < pool->spare_max) {
        pool->spares[pool->spare_count++] = (spare){ring->memory, ring->mirrored};
    } else {
        unmap(ring->memory, ring->size, ring->mirrored);
    }
    *ring = (rpi_ring){.memory = NULL};
}

/* ---- the pool ------------------------------------------------------------------ */

int rpi_ring_pool_open(const rp_allocator *allocator, size_t ring_size, rpi_ring_pool **ret_pool)
{
    rpi_ring_pool *pool = rpi_alloc(allocator, sizeof *pool);
    SYSTEM_INFO system;

    if (pool == NULL) {
        return -ENOMEM;
    }
    rpi_os_resolve();
    GetSystemInfo(&system);
    *pool = (rpi_ring_pool){
        .allocator = allocator,
        .page_size = system.dwPageSize,
        .granularity = system.dwAllocationGranularity,
    };
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
    for (uint32_t i = 0; i < pool->spare_count; i++) {
        unmap(pool->spares[i].memory, pool->ring_size, pool->spares[i].mirrored);
    }
    rpi_free(pool->allocator, pool->spares, pool->spare_max * sizeof(spare));
    rpi_free(pool->allocator, pool, sizeof *pool);
}

void rpi_ring_pool_forked(rpi_ring_pool *pool)
{
    (void)pool; // this system does not fork
}

size_t rpi_ring_pool_used_bytes(const rpi_ring_pool *pool)
{
    return pool->used_bytes;
}

size_t rpi_ring_pool_ring_size(const rpi_ring_pool *pool)
{
    return pool->ring_size;
}
