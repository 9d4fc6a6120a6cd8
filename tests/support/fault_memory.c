/* The allocator of fault.h: each block carries its size in front. It is the same on every system.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/fault.h"

static _Noreturn void give_up(const char *what)
{
    (void)fprintf(stderr, "fault: %s\n", what);
    abort();
}

enum {
    MAGIC = 0x52504D45
};

typedef struct block {
    size_t size;
    size_t magic;
} block; // 16 bytes: what follows is as aligned as malloc's

static block *find_block(void *memory, size_t size)
{
    block *found = memory == NULL ? NULL : (block *)memory - 1;

    if (found == NULL) {
        if (size != 0) {
            give_up("no memory, but a size");
        }
        return NULL;
    }
    if (found->magic != MAGIC) {
        give_up("memory of somebody else, or released twice");
    }
    if (found->size != size) {
        (void)fprintf(stderr, "fault: a block of %zu bytes, said to be %zu\n", found->size, size);
        abort();
    }
    return found;
}

static void release(rpi_fault_memory *memory, block *released)
{
    atomic_fetch_sub(&memory->live_blocks, 1);
    atomic_fetch_sub(&memory->live_bytes, released->size);
    released->magic = 0;
    free(released);
}

static void *fault_resize(void *old, size_t old_size, size_t new_size, void *user)
{
    rpi_fault_memory *memory = user;
    block *old_block = find_block(old, old_size);
    block *new_block;

    if (new_size == 0) {
        if (old_block != NULL) {
            release(memory, old_block);
        }
        return NULL;
    }
    if (atomic_fetch_add(&memory->requests, 1) + 1 == memory->fail_at) {
        atomic_store(&memory->fired, true);
        return NULL;
    }
    // Always a new place, so that whoever keeps the old pointer is found out.
    new_block = malloc(sizeof *new_block + new_size);
    if (new_block == NULL) {
        give_up("the test's own malloc failed");
    }
    new_block->size = new_size;
    new_block->magic = MAGIC;
    memset(new_block + 1, 0xA5, new_size);
    atomic_fetch_add(&memory->live_blocks, 1);
    atomic_fetch_add(&memory->live_bytes, new_size);
    if (old_block != NULL) {
        memcpy(new_block + 1, old, old_size < new_size ? old_size : new_size);
        release(memory, old_block);
    }
    return new_block + 1;
}

void rpi_fault_memory_init(rpi_fault_memory *memory, unsigned fail_at)
{
    memory->allocator = (rp_allocator){fault_resize, memory};
    atomic_init(&memory->live_blocks, 0);
    atomic_init(&memory->live_bytes, 0);
    atomic_init(&memory->requests, 0);
    atomic_init(&memory->fired, false);
    memory->fail_at = fail_at;
}
