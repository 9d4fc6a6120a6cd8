/* Bytes that grow at their end: what the writer queues and what an event is composed in. Growing
 * can fail; the buffer then keeps what it had and remembers the failure, so that a composer checks
 * once, at its end. */
#ifndef RPI_CLI_BUFFER_H
#define RPI_CLI_BUFFER_H

#include <stdbool.h>
#include <stddef.h>

/** All zero is an empty one. */
typedef struct rpi_cli_buffer {
    char *data;
    size_t size;
    size_t room;
    bool failed; /* memory ran out: something is missing */
} rpi_cli_buffer;

/** Room for `size` more bytes at the end, to be written there by the caller, who then adds to
 * `size`; NULL when memory ran out. */
char *rpi_cli_buffer_reserve(rpi_cli_buffer *buffer, size_t size);

void rpi_cli_buffer_add(rpi_cli_buffer *buffer, const void *bytes, size_t size);

/** Forgets the bytes and the failure, keeps the room. */
void rpi_cli_buffer_clear(rpi_cli_buffer *buffer);

void rpi_cli_buffer_fini(rpi_cli_buffer *buffer);

#endif
