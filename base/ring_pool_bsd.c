/* The pool of rings for FreeBSD and macOS: where the memory of base/ring.h comes from.
 *
 * A mirrored ring is a nameless object of shared memory, mapped twice into address space that was
 * reserved as one piece, so that nothing can come in between. Where that is refused it is plain
 * memory and the ring linear. Mappings are not inherited by forked children.
 *
 * A ring's memory is kept for the next stream when it comes back, up to WARM_SIZE_MAX in all; what
 * is beyond is given back to the system. */
#ifdef __FreeBSD__
#define __BSD_VISIBLE 1
#endif
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#ifdef __APPLE__
#include <mach/vm_inherit.h>
#endif

#include "base/assert.h"
#include "base/os.h"
#include "base/ring.h"

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
    bool mirror_refused;
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

/* ---- mapping ----------------------------------------------------------------- */

/** Shared memory without a name: a descriptor, or -errno. */
static int open_memory(void)
{
    int fd;

#ifdef RPI_OS_FREEBSD
    fd = shm_open(SHM_ANON, O_RDWR | O_CLOEXEC, 0600);
#else
    static atomic_uint next;
    char name[32]; // macOS takes 31 characters

    (void)snprintf(name, sizeof name, "/rp.%lld.%u", (long long)rpi_os_pid(),
                   atomic_fetch_add(&next, 1));
    fd = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
    if (fd >= 0) {
        (void)shm_unlink(name); // it is ours alone from now on
    }
#endif
    return fd < 0 ? -errno : rpi_os_lift(fd);
}

/** Not for forked children: they must not share them. */
static void keep_from_children(char *memory, size_t size)
{
#ifdef INHERIT_NONE
    (void)minherit(memory, size, INHERIT_NONE); // refused: a child has them, and does not look
#else
    (void)minherit(memory, size, VM_INHERIT_NONE);
#endif
}

static char *map_linear(size_t size)
{
    char *memory = rpi_os.mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANON, -1, 0);

    if (memory == MAP_FAILED) {
        return NULL;
    }
    keep_from_children(memory, size);
    return memory;
}

static void unmap(char *memory, uint32_t size, bool mirrored)
{
    (void)rpi_os.munmap(memory, mirrored ? 2 * (size_t)size : size); // our own mapping
}

/** A mirrored ring's memory, or NULL. */
static char *map_mirrored(rpi_ring_pool *pool, uint32_t size)
{
    char *memory;
    bool mapped = false;
    int fd;

    if (pool->mirror_refused) {
        return NULL;
    }
    memory = rpi_os.mmap(NULL, 2 * (size_t)size, PROT_NONE, MAP_PRIVATE | MAP_ANON, -1, 0);
    if (memory == MAP_FAILED) {
        return NULL;
    }
    fd = open_memory();
    if (fd >= 0 && rpi_os.ftruncate(fd, size) == 0) {
        mapped = rpi_os.mmap(memory, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) !=
                     MAP_FAILED &&
                 rpi_os.mmap(memory + size, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
                             fd, 0) != MAP_FAILED;
    }
    // A lack of descriptors passes; what else there is stays.
    pool->mirror_refused = !mapped && fd != -EMFILE && fd != -ENFILE;
    if (fd >= 0) {
        rpi_os_close(fd); // the mappings keep what is in it
    }
    if (!mapped) {
        unmap(memory, size, true);
        return NULL;
    }
    keep_from_children(memory, 2 * (size_t)size);
    return memory;
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
    RP_ASSERT(!ring->reserved || pool->is_forked);
    RP_ASSERT(pool->open_count > 0);
    pool->open_count--;
    pool->used_bytes -= ring->size;
    if (!pool->is_forked) {
        if (ring->origin == RPI_RING_POOLED && pool->spare_count < pool->spare_max) {
            pool->spares[pool->spare_count++] = (spare){ring->memory, ring->mirrored};
        } else {
            unmap(ring->memory, ring->size, ring->mirrored);
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
    *pool = (rpi_ring_pool){.allocator = allocator, .page_size = (uint32_t)getpagesize()};
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

        unmap(last->memory, pool->ring_size, last->mirrored);
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
