/* The memory of one ring, as base/ring_pool.c has it from the system: mapped twice in a row, or
 * plain. Only the pool calls this. */
#ifndef RPI_BASE_RING_MAP_H
#define RPI_BASE_RING_MAP_H

#include <stdbool.h>
#include <stdint.h>

/** The smallest ring, a power of two. */
uint32_t rpi_ring_page_size(void);

/** `size` bytes that can be seen twice, one behind the other; or NULL. *refused is set where that
 * will not be different next time. */
char *rpi_ring_map_mirrored(uint32_t size, bool *refused);

/** Plain memory, or NULL. */
char *rpi_ring_map_linear(uint32_t size);

void rpi_ring_unmap(char *memory, uint32_t size, bool mirrored);

#endif
