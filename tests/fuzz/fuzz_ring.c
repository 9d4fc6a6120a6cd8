/* Fuzzes the byte ring (base/ring.h): the input is a program of fills, looks and takes, run on a
 * ring and on the plainest queue there is; after each step both must hold the same bytes. The first
 * byte chooses the double-mapped ring or the linear one; each other byte is one step, its low bits
 * the operation. */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/os.h"
#include "base/ring.h"

#define RING_SIZE 4096
#define FILL_MAX (2 * RING_SIZE)

typedef struct model {
    unsigned char *bytes; /* all that was ever put in */
    size_t put;
    size_t taken;
    size_t capacity;
} model;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int refuse_memfd(const char *name, unsigned int flags)
{
    (void)name;
    (void)flags;
    errno = ENOSYS;
    return -1;
}

static void model_put(model *queue, const char *bytes, size_t size)
{
    if (size == 0) {
        return;
    }
    if (queue->capacity - queue->put < size) {
        queue->capacity = (queue->capacity + size) * 2;
        queue->bytes = realloc(queue->bytes, queue->capacity);
        RP_ASSERT(queue->bytes != NULL);
    }
    memcpy(queue->bytes + queue->put, bytes, size);
    queue->put += size;
}

static void compare(const rpi_ring *ring, const model *queue)
{
    RP_ASSERT(ring->count == queue->put - queue->taken);
    RP_ASSERT(rpi_ring_free(ring) == ring->size - ring->count);
    if (ring->count > 0) {
        RP_ASSERT(memcmp(rpi_ring_peek(ring), queue->bytes + queue->taken, ring->count) == 0);
    }
}

/* Fills a part of what the ring offers, after a take in between, which must not move what is there.
 */
static void fill(rpi_ring *ring, model *queue, uint32_t wanted, uint32_t taken)
{
    static unsigned char next; /* so that each byte differs from its neighbours */
    char *memory = NULL;
    uint32_t room = rpi_ring_reserve(ring, &memory);
    uint32_t size = wanted < room ? wanted : room;
    uint32_t take = taken < ring->count ? taken : ring->count;

    RP_ASSERT(room == rpi_ring_free(ring));
    if (room == 0) {
        return;
    }
    for (uint32_t i = 0; i < size; i++) {
        memory[i] = (char)next++;
    }
    if (take > 0) {
        rpi_ring_consume(ring, take);
        queue->taken += take;
    }
    compare(ring, queue);
    model_put(queue, memory, size);
    rpi_ring_commit(ring, size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    rpi_ring_pool *pool = NULL;
    rpi_ring ring = {0};
    model queue = {0};
    const rpi_os_table saved = rpi_os;
    bool linear = size > 0 && data[0] % 2 == 1;

    if (linear) {
        rpi_os.memfd_create = refuse_memfd;
    }
    RP_ASSERT(rpi_ring_pool_open(rpi_alloc_default(), RING_SIZE, &pool) == 0);
    RP_ASSERT(rpi_ring_open(pool, 0, &ring) == 0);
    RP_ASSERT(ring.mirrored == !linear);
    for (size_t i = 1; i < size; i++) {
        uint32_t argument = (uint32_t)(data[i] >> 2) * (FILL_MAX / 63);
        uint32_t take = argument < ring.count ? argument : ring.count;

        switch (data[i] & 3) {
        case 0:
            fill(&ring, &queue, argument, 0);
            break;
        case 1:
            fill(&ring, &queue, argument, argument / 2);
            break;
        case 2:
            rpi_ring_consume(&ring, take);
            queue.taken += take;
            break;
        default: /* the smallest steps, which the others leave out */
            fill(&ring, &queue, data[i] >> 2, 1);
            break;
        }
        compare(&ring, &queue);
    }
    rpi_ring_close(pool, &ring);
    RP_ASSERT(rpi_ring_pool_used_bytes(pool) == 0);
    rpi_ring_pool_close(pool);
    rpi_os = saved;
    free(queue.bytes);
    return 0;
}
