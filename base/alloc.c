/* Memory through an embedder's allocator, or malloc's. The four functions translate the one
 * `resize` of rp_allocator into what the rest of the library asks for; every room calls them. */
#include "base/alloc.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

static void *default_resize(void *old, size_t old_size, size_t new_size, void *user)
{
    (void)old_size; // malloc knows
    (void)user;
    if (new_size == 0) {
        free(old);
        return NULL;
    }
    return realloc(old, new_size);
}

static const rp_allocator default_allocator = {default_resize, NULL};

const rp_allocator *rpi_alloc_default(void)
{
    return &default_allocator;
}

void *rpi_alloc(const rp_allocator *allocator, size_t size)
{
    RP_ASSERT(size > 0);
    return allocator->resize(NULL, 0, size, allocator->user);
}

void *rpi_alloc_zero(const rp_allocator *allocator, size_t size)
{
    void *memory = rpi_alloc(allocator, size);

    if (memory != NULL) {
        memset(memory, 0, size);
    }
    return memory;
}

void *rpi_resize(const rp_allocator *allocator, void *old, size_t old_size, size_t new_size)
{
    RP_ASSERT(new_size > 0);
    RP_ASSERT((old == NULL) == (old_size == 0));
    return allocator->resize(old, old_size, new_size, allocator->user);
}

void rpi_free(const rp_allocator *allocator, void *memory, size_t size)
{
    if (memory != NULL) {
        (void)allocator->resize(memory, size, 0, allocator->user); // a release has no result
    }
}

void rp_free(void *memory)
{
    free(memory); // what is handed to callers for rp_free comes from the default allocator
}
