/* What rp_process_holders needs to know of a stream's other end once ours is closed. */
#ifndef RPI_CORE_HOLDERS_H
#define RPI_CORE_HOLDERS_H

#include <stdint.h>

typedef struct rp_process rp_process;

/** The name by which the system knows the other end of `fd`, a stream of `process`: a pipe's inode,
 * a terminal's number and 1. 0: it has none. */
uint64_t rpi_holders_name(const rp_process *process, int fd);

#endif
