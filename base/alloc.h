/* Memory: every allocation of the library goes through one of these. A loop carries the one that
 * its options name (or malloc's); what is made before a loop exists uses rpi_alloc_default(). Sizes
 * are given back at the release, so that an embedder's allocator needs no headers. */
#ifndef RPI_BASE_ALLOC_H
#define RPI_BASE_ALLOC_H

#include <stddef.h>

#include "rp/base.h"

/** malloc, realloc and free of the C library. */
const rp_allocator *rpi_alloc_default(void);

/** Uninitialised memory, or NULL. `size` is greater than 0. */
void *rpi_alloc(const rp_allocator *allocator, size_t size);

/** The same, all zero. */
void *rpi_alloc_zero(const rp_allocator *allocator, size_t size);

/** Grows or shrinks; on NULL the old block stays. `old` may be NULL with `old_size` 0. */
void *rpi_resize(const rp_allocator *allocator, void *old, size_t old_size, size_t new_size);

/** Gives back what rpi_alloc gave; NULL is allowed. */
void rpi_free(const rp_allocator *allocator, void *memory, size_t size);

#endif
