/* A growing array of bytes: doubled when full, so that adding costs the same however long it gets.
 * Called by writer_posix.c and json.c. */
#include "cli/buffer.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum {
    ROOM_MIN = 4096 /* bytes */
};

char *rpi_cli_buffer_reserve(rpi_cli_buffer *buffer, size_t size)
{
    size_t room = buffer->room == 0 ? ROOM_MIN : buffer->room;
    char *data;

    if (size > SIZE_MAX / 4 - buffer->size) {
        buffer->failed = true;
        return NULL;
    }
    while (room < buffer->size + size) {
        room *= 2;
    }
    if (room != buffer->room) {
        data = realloc(buffer->data, room);
        if (data == NULL) {
            buffer->failed = true;
            return NULL;
        }
        buffer->data = data;
        buffer->room = room;
    }
    return buffer->data + buffer->size;
}

void rpi_cli_buffer_add(rpi_cli_buffer *buffer, const void *bytes, size_t size)
{
    char *end = rpi_cli_buffer_reserve(buffer, size);

    if (end != NULL && size > 0) {
        memcpy(end, bytes, size);
        buffer->size += size;
    }
}

void rpi_cli_buffer_clear(rpi_cli_buffer *buffer)
{
    buffer->size = 0;
    buffer->failed = false;
}

void rpi_cli_buffer_fini(rpi_cli_buffer *buffer)
{
    free(buffer->data);
    *buffer = (rpi_cli_buffer){0};
}
