/* See relay_keys.h. */
#include "core/relay_keys.h"

#include <string.h>

bool rpi_keys_init(rpi_keys *keys, const char *text)
{
    const size_t size = text == NULL ? 0 : strlen(text);
    uint8_t matched = 0;

    memset(keys, 0, sizeof *keys);
    if (text != NULL && (size == 0 || size > RPI_KEYS_MAX)) {
        return false;
    }
    if (size > 0) {
        memcpy(keys->bytes, text, size);
    }
    keys->size = (uint8_t)size;
    for (size_t i = 1; i < size; i++) {
        while (matched > 0 && keys->bytes[i] != keys->bytes[matched]) {
            matched = keys->fall[matched - 1];
        }
        matched = (uint8_t)(matched + (keys->bytes[i] == keys->bytes[matched] ? 1 : 0));
        keys->fall[i] = matched;
    }
    return true;
}

bool rpi_keys_feed(rpi_keys *keys, const char *bytes, size_t size, char *out, size_t *ret_size)
{
    size_t written = 0;

    for (size_t i = 0; i < size; i++) {
        const unsigned char byte = (unsigned char)bytes[i];

        while (keys->matched > 0 && keys->bytes[keys->matched] != byte) {
            const uint8_t left = keys->fall[keys->matched - 1];
            const size_t released = (size_t)(keys->matched - left);

            memcpy(out + written, keys->bytes, released); /* what waited was no key */
            written += released;
            keys->matched = left;
        }
        if (keys->size == 0 || keys->bytes[keys->matched] != byte) {
            out[written++] = (char)byte;
        } else if (++keys->matched == keys->size) {
            keys->matched = 0;
            *ret_size = written;
            return true;
        }
    }
    *ret_size = written;
    return false;
}
