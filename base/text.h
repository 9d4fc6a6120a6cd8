/* Small text helpers without state, for everything that writes text as snprintf does: cut to the
 * caller's size, always terminated, counting what the whole would need. Repair of UTF-8
 * (rp_utf8_repair) is in the same .c file. */
#ifndef RPI_BASE_TEXT_H
#define RPI_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Appends what fits of `text` to `buffer`, of which *length bytes would be written so far: always
 * terminated when size > 0; *length then counts `text` too. `buffer` may be NULL when size is 0. */
void rpi_text_append(char *buffer, size_t size, size_t *length, const char *text);

/** The bytes, 1 or more, of the next character, which is not ASCII, or of the maximal subpart that
 * stands where one should be. `size` is 1 or more. */
size_t rpi_utf8_next(const uint8_t *bytes, size_t size, bool *ret_valid);

#endif
