/* The pool of rings for Linux: where the memory of base/ring.h comes from.
 *
 * One memfd holds the bytes of all mirrored rings of the pool, ring i at offset i * size. Address
 * space is reserved in regions, and rings are mapped into a region a few at a time, in this order:
 *
 *     | ring 0 | ring 0 again | ring 1 | ring 1 again | ring 2 | ...
 *     offset 0        0           size       size       2 size
 *
 * "ring 0 again" and "ring 1" are neighbours in memory and in the file, so they are mapped by one
 * call and the kernel keeps one map entry for both: n rings cost n + 1 entries (vm.max_map_count is
 * 65,530).
 *
 * A slot is a ring's memory; it stays until the pool is closed. Slots that are not in use are in
 * one of two stacks: warm ones hold pages that the last user touched, up to WARM_SIZE_MAX in all;
 * cold ones hold none, their pages were given back by punching a hole into the file.
 *
 * Where mirroring is refused (no memfd, a limit on file sizes, a nearly full map) a slot is a
 * private mapping and the ring linear: its neighbours are of the same kind, so it adds no entry. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/os.h"
#include "base/ring.h"

#ifndef MFD_NOEXEC_SEAL /* Linux 6.3 */
#define MFD_NOEXEC_SEAL 0x0008U
#endif

enum {
    WARM_SIZE_MAX = 4 << 20, // bytes that unused rings may hold
    REGION_SIZE = 32 << 20,  // bytes of address space reserved at once, at least one ring's
    REGION_SLOTS_MAX = 4096, // for small rings
    STEP_SLOTS = 16,         // rings mapped at once, so that no turn of the loop waits long
    STEP_SIZE_MAX = 4 << 20, // and for large rings fewer
    NO_SLOT = INT32_MAX,     // end of a stack
    NO_PAGE = -1,            // slot.page of a linear slot
    RING_SIZE_DEFAULT = 64 << 10,
};

typedef struct slot {
    char *memory;
    uint32_t next;    // in the stack that it is in
    uint32_t touched; // bytes that may hold pages
    int32_t page;     // place in the file, in ring sizes; NO_PAGE: a private mapping, linear
} slot;

typedef struct region {
    char *memory;
    size_t size; // bytes of address space
} region;

struct rpi_ring_pool {
    const rp_allocator *allocator; // borrowed
    uint32_t ring_size;
    uint32_t page_size;
    int file; // memfd; -1 = not made yet
    bool mirror_refused;
    bool is_forked;

    slot *slots;
    uint32_t slot_count;
    uint32_t slot_capacity;
    uint32_t warm; // tops of the stacks
    uint32_t cold;
    size_t warm_size; // bytes that warm slots may hold

    region *regions;
    size_t region_count;
    size_t region_capacity;
    uint32_t region_slots; // of the last region: how many fit
    uint32_t region_used;  // and how many are mapped
    int32_t page_count;    // of the file, in ring sizes: mapped so far

    uint32_t open_count;
    size_t used_bytes;
};

/* ---- sizes ----------------------------------------------------------------- */

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

static size_t round_to_pages(const rpi_ring_pool *pool, uint32_t size)
{
    const size_t mask = (size_t)pool->page_size - 1;

    return ((size_t)size + mask) & ~mask;
}

/* ---- mapping ---------------------------------------------------------------- */

static bool is_failed(const void *memory)
{
    return memory == MAP_FAILED;
}

/** Address space without memory, or NULL. */
static char *reserve_addresses(size_t size)
{
    void *memory =
        rpi_os.mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    return is_failed(memory) ? NULL : memory;
}

static bool map_file(char *address, size_t size, int file, off_t offset)
{
    return !is_failed(
        rpi_os.mmap(address, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file, offset));
}

/** A private mapping, or NULL. */
static char *map_private(size_t size)
{
    void *memory =
        rpi_os.mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (is_failed(memory)) {
        return NULL;
    }
    // Saves a forked host the copying; a private mapping is right without it, so a refusal is
    // nothing.
    (void)rpi_os.madvise(memory, size, MADV_DONTFORK);
    return memory;
}

/** False: the map is full and the piece lies in the middle of an entry; its addresses stay taken.
 */
static bool unmap(void *memory, size_t size)
{
    return rpi_os.munmap(memory, size) == 0;
}

/** A new memfd above descriptor 2, or -errno. */
static int make_file(void)
{
    int file = rpi_os.memfd_create("rp-rings", MFD_CLOEXEC | MFD_NOEXEC_SEAL);

    if (file < 0 && errno == EINVAL) {
        file = rpi_os.memfd_create("rp-rings", MFD_CLOEXEC);
    }
    return file < 0 ? -errno : rpi_os_lift(file);
}

/** Makes the file `size` bytes long, all of them holes: 0 or -errno. */
static int grow_file(int file, off_t size)
{
    struct rlimit limit;

    // Growing beyond RLIMIT_FSIZE would send the host a SIGXFSZ: look first.
    if (rpi_os.getrlimit(RLIMIT_FSIZE, &limit) < 0) {
        return -errno;
    }
    if (limit.rlim_cur != RLIM_INFINITY && (rlim_t)size > limit.rlim_cur) {
        return -EFBIG;
    }
    return rpi_os.ftruncate(file, size) < 0 ? -errno : 0;
}

/** Maps `count` rings of `size` bytes, in the file from `offset` on, each twice in a row at
 * `memory`, where addresses are reserved. 0 or -errno; then some of them may be mapped. */
static int map_mirrored(char *memory, uint32_t size, uint32_t count, int file, off_t offset)
{
    const size_t step = 2 * (size_t)size;
    const size_t total = step * count;

    if (!map_file(memory, size, file, offset)) {
        return -errno;
    }
    // A ring's second copy and the next ring's first are one stretch of the file.
    for (uint32_t i = 0; i + 1 < count; i++) {
        if (!map_file(memory + size + step * i, step, file, offset + (off_t)size * i)) {
            return -errno;
        }
    }
    if (!map_file(memory + total - size, size, file, offset + (off_t)size * (count - 1))) {
        return -errno;
    }
    // Without it a forked host would share the rings: then rather none.
    return rpi_os.madvise(memory, total, MADV_DONTFORK) < 0 ? -errno : 0;
}

/** An error that will come again: mirroring is not tried any more. */
static bool is_lasting(int error)
{
    return error != -ENOMEM && error != -EMFILE && error != -ENFILE && error != -EAGAIN;
}

/* ---- slots ------------------------------------------------------------------ */

/** Makes room for `more` slots: 0 or -ENOMEM. */
static int grow_slots(rpi_ring_pool *pool, uint32_t more)
{
    uint32_t capacity = pool->slot_capacity;
    slot *slots;

    if (pool->slot_count + more <= capacity) {
        return 0;
    }
    while (capacity < pool->slot_count + more) {
        capacity = capacity == 0 ? 2 * STEP_SLOTS : capacity * 2;
    }
    slots = rpi_resize(pool->allocator, pool->slots, pool->slot_capacity * sizeof(slot),
                       capacity * sizeof(slot));
    if (slots == NULL) {
        return -ENOMEM;
    }
    pool->slots = slots;
    pool->slot_capacity = capacity;
    return 0;
}

static void push(rpi_ring_pool *pool, uint32_t *stack, uint32_t index)
{
    pool->slots[index].next = *stack;
    *stack = index;
}

/** The slot on top of a stack, or NO_SLOT. */
static uint32_t pop(rpi_ring_pool *pool, uint32_t *stack)
{
    const uint32_t index = *stack;

    if (index != NO_SLOT) {
        *stack = pool->slots[index].next;
    }
    return index;
}

/** Adds a new, untouched slot to the cold stack; room was made. */
static void add_slot(rpi_ring_pool *pool, char *memory, int32_t page)
{
    const uint32_t index = pool->slot_count++;

    pool->slots[index] = (slot){.memory = memory, .page = page};
    push(pool, &pool->cold, index);
}

/** Reserves address space for more rings and makes the file as long: 0 or -errno. */
static int add_region(rpi_ring_pool *pool)
{
    const size_t ring_space = 2 * (size_t)pool->ring_size;
    uint32_t slots = (uint32_t)(REGION_SIZE / ring_space);
    region added;
    int r;

    slots = slots < 1 ? 1 : slots > REGION_SLOTS_MAX ? REGION_SLOTS_MAX : slots;
    if (pool->region_count == pool->region_capacity) {
        const size_t capacity = pool->region_capacity == 0 ? 8 : pool->region_capacity * 2;
        region *regions =
            rpi_resize(pool->allocator, pool->regions, pool->region_capacity * sizeof(region),
                       capacity * sizeof(region));

        if (regions == NULL) {
            return -ENOMEM;
        }
        pool->regions = regions;
        pool->region_capacity = capacity;
    }
    if (pool->file < 0) {
        r = make_file();
        if (r < 0) {
            return r;
        }
        pool->file = r;
    }
    r = grow_file(pool->file, (off_t)pool->ring_size * (pool->page_count + (off_t)slots));
    if (r < 0) {
        return r;
    }
    added.size = ring_space * slots;
    added.memory = reserve_addresses(added.size);
    if (added.memory == NULL) {
        return -errno;
    }
    if (rpi_os.madvise(added.memory, added.size, MADV_DONTFORK) < 0) {
        r = -errno;
        (void)unmap(added.memory, added.size); // whole: cannot fail
        return r;
    }
    pool->regions[pool->region_count++] = added;
    pool->region_slots = slots;
    pool->region_used = 0;
    return 0;
}

/** Gives up the last region from `memory` on, where half of a step may be mapped: the next try
 * begins with a region of its own. */
static void drop_rest(rpi_ring_pool *pool, char *memory)
{
    region *last = &pool->regions[pool->region_count - 1];
    const size_t kept = (size_t)(memory - last->memory);

    if (unmap(memory, last->size - kept)) {
        last->size = kept;
    }
    if (last->size == 0) {
        pool->region_count--;
    }
    pool->region_slots = pool->region_used;
}

/** Maps the next few mirrored rings of the last region: 0 or -errno. */
static int map_step(rpi_ring_pool *pool)
{
    const size_t ring_space = 2 * (size_t)pool->ring_size;
    char *memory = pool->regions[pool->region_count - 1].memory + ring_space * pool->region_used;
    uint32_t count = pool->region_slots - pool->region_used;
    uint32_t count_max = STEP_SIZE_MAX / pool->ring_size;
    int r;

    count_max = count_max < 1 ? 1 : count_max > STEP_SLOTS ? STEP_SLOTS : count_max;
    count = count < count_max ? count : count_max;
    r = grow_slots(pool, count);
    if (r < 0) {
        return r;
    }
    r = map_mirrored(memory, pool->ring_size, count, pool->file,
                     (off_t)pool->ring_size * pool->page_count);
    if (r < 0) {
        drop_rest(pool, memory);
        return r;
    }
    for (uint32_t i = count; i-- > 0;) { // the first one ends on top of the stack
        add_slot(pool, memory + ring_space * i, pool->page_count + (int32_t)i);
    }
    pool->region_used += count;
    pool->page_count += (int32_t)count;
    return 0;
}

/** Adds mirrored slots, or where they are refused one linear slot: 0 or -ENOMEM. */
static int add_slots(rpi_ring_pool *pool)
{
    char *memory;
    int r = 0;

    if (!pool->mirror_refused) {
        if (pool->region_used == pool->region_slots) {
            r = add_region(pool);
        }
        if (r == 0) {
            r = map_step(pool);
        }
        if (r == 0) {
            return 0;
        }
        pool->mirror_refused = is_lasting(r);
    }
    if (grow_slots(pool, 1) < 0) {
        return -ENOMEM;
    }
    memory = map_private(pool->ring_size);
    if (memory == NULL) {
        return -ENOMEM;
    }
    add_slot(pool, memory, NO_PAGE);
    return 0;
}

/** Gives the pages of a slot back to the system; where that is refused it keeps them. */
static void release_pages(rpi_ring_pool *pool, slot *released)
{
    int result;

    if (released->page == NO_PAGE) {
        result = rpi_os.madvise(released->memory, pool->ring_size, MADV_DONTNEED);
    } else {
        result = rpi_os.fallocate(pool->file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                                  (off_t)pool->ring_size * released->page, (off_t)pool->ring_size);
    }
    if (result == 0) {
        released->touched = 0;
    }
}

/* ---- rings ------------------------------------------------------------------ */

static int open_pooled(rpi_ring_pool *pool, rpi_ring *ring)
{
    uint32_t index = pop(pool, &pool->warm);
    const slot *taken;

    if (index != NO_SLOT) {
        pool->warm_size -= round_to_pages(pool, pool->slots[index].touched);
    } else {
        if (pool->cold == NO_SLOT && add_slots(pool) < 0) {
            return -ENOMEM;
        }
        index = pop(pool, &pool->cold);
    }
    taken = &pool->slots[index];
    *ring = (rpi_ring){
        .memory = taken->memory,
        .size = pool->ring_size,
        .touched = taken->touched,
        .slot = index,
        .origin = RPI_RING_POOLED,
        .mirrored = taken->page != NO_PAGE,
    };
    return 0;
}

/** One mirrored ring with a file of its own, which the mappings keep: its memory, or NULL. */
static char *map_single(rpi_ring_pool *pool, uint32_t size)
{
    char *memory = NULL;
    int r;
    int file;

    if (pool->mirror_refused) {
        return NULL;
    }
    file = make_file();
    r = file < 0 ? file : grow_file(file, (off_t)size);
    if (r == 0) {
        memory = reserve_addresses(2 * (size_t)size);
        r = memory == NULL ? -errno : map_mirrored(memory, size, 1, file, 0);
        if (r < 0 && memory != NULL) {
            (void)unmap(memory, 2 * (size_t)size); // whole: cannot fail
            memory = NULL;
        }
    }
    if (file >= 0) {
        (void)rpi_os.close(file); // the mappings keep what is in it
    }
    pool->mirror_refused = r < 0 && is_lasting(r);
    return memory;
}

static int open_single(rpi_ring_pool *pool, uint32_t size, rpi_ring *ring)
{
    char *memory = map_single(pool, size);
    const bool is_mirrored = memory != NULL;

    if (memory == NULL) {
        memory = map_private(size);
    }
    if (memory == NULL) {
        return -ENOMEM;
    }
    *ring = (rpi_ring){
        .memory = memory, .size = size, .origin = RPI_RING_MAPPED, .mirrored = is_mirrored};
    return 0;
}

int rpi_ring_open(rpi_ring_pool *pool, size_t size, rpi_ring *ring)
{
    const uint32_t rounded = size == 0 ? pool->ring_size : round_size(pool, size);
    int r;

    RP_ASSERT(!rpi_ring_is_open(ring));
    RP_ASSERT(!pool->is_forked);
    if (rounded == 0) {
        return -EINVAL;
    }
    r = rounded == pool->ring_size ? open_pooled(pool, ring) : open_single(pool, rounded, ring);
    if (r == 0) {
        pool->open_count++;
        pool->used_bytes += rounded;
    }
    return r;
}

/** Takes a slot back: its pages stay while the warm reserve has room for them. */
static void close_pooled(rpi_ring_pool *pool, const rpi_ring *ring)
{
    slot *freed = &pool->slots[ring->slot];
    const size_t held = round_to_pages(pool, ring->touched);

    freed->touched = ring->touched;
    if (held > 0 && pool->warm_size + held <= WARM_SIZE_MAX) {
        pool->warm_size += held;
        push(pool, &pool->warm, ring->slot);
        return;
    }
    if (held > 0) {
        release_pages(pool, freed);
    }
    push(pool, &pool->cold, ring->slot);
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
    switch ((rpi_ring_origin)ring->origin) {
    case RPI_RING_POOLED:
        if (!pool->is_forked) {
            close_pooled(pool, ring);
        }
        break;
    case RPI_RING_MAPPED:
        if (!pool->is_forked) {
            (void)unmap(ring->memory, (size_t)ring->size * (ring->mirrored ? 2 : 1));
        }
        break;
    }
    *ring = (rpi_ring){.memory = NULL};
}

/* ---- the pool --------------------------------------------------------------- */

int rpi_ring_pool_open(const rp_allocator *allocator, size_t ring_size, rpi_ring_pool **ret_pool)
{
    rpi_ring_pool *pool = rpi_alloc(allocator, sizeof *pool);

    if (pool == NULL) {
        return -ENOMEM;
    }
    *pool = (rpi_ring_pool){
        .allocator = allocator,
        .page_size = (uint32_t)sysconf(_SC_PAGESIZE),
        .file = -1,
        .warm = NO_SLOT,
        .cold = NO_SLOT,
    };
    pool->ring_size = round_size(pool, ring_size == 0 ? RING_SIZE_DEFAULT : ring_size);
    if (pool->ring_size == 0) {
        rpi_free(allocator, pool, sizeof *pool);
        return -EINVAL;
    }
    *ret_pool = pool;
    return 0;
}

/** Gives all mappings back. What the system refuses to unmap cannot be helped. */
static void unmap_all(rpi_ring_pool *pool)
{
    for (uint32_t i = 0; i < pool->slot_count; i++) {
        if (pool->slots[i].page == NO_PAGE) {
            (void)unmap(pool->slots[i].memory, pool->ring_size);
        }
    }
    for (size_t i = 0; i < pool->region_count; i++) {
        (void)unmap(pool->regions[i].memory, pool->regions[i].size);
    }
}

void rpi_ring_pool_close(rpi_ring_pool *pool)
{
    const rp_allocator *allocator;

    if (pool == NULL) {
        return;
    }
    RP_ASSERT(pool->open_count == 0);
    if (!pool->is_forked) {
        unmap_all(pool);
    }
    if (pool->file >= 0) {
        (void)rpi_os.close(pool->file); // memory only, nothing to lose
    }
    allocator = pool->allocator;
    rpi_free(allocator, pool->slots, pool->slot_capacity * sizeof(slot));
    rpi_free(allocator, pool->regions, pool->region_capacity * sizeof(region));
    rpi_free(allocator, pool, sizeof *pool);
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
