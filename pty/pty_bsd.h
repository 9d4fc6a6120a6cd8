/* Pseudo-terminals of FreeBSD and macOS, as their spawner needs them: the master alone. */
#ifndef RPI_PTY_PTY_BSD_H
#define RPI_PTY_PTY_BSD_H

#include <stddef.h>
#include <stdint.h>

/** A new pseudo-terminal of that size, of which only the master is open, and its slave's path. 0 or
 * -errno. */
int rpi_pty_open_master(uint16_t rows, uint16_t cols, int *ret_master, char *ret_path, size_t size);

#endif
