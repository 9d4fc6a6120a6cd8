/* A write(2) that raises no SIGPIPE: used by the backends that write themselves. */
#ifndef RPI_REACTOR_WRITE_H
#define RPI_REACTOR_WRITE_H

#include <stddef.h>
#include <sys/types.h>

/** The system calls that it takes, as a rule. */
#define RPI_WRITE_QUIET_CALLS 3

/** As write(2), with -errno for errors (-EPIPE when nobody reads any more). Nothing of the process
 * is changed, and a SIGPIPE that was pending in this thread stays so. */
ssize_t rpi_write_quiet(int fd, const void *memory, size_t size);

#endif
