/* Small text helpers without state: what UTF-8 repair and summaries need. */
#ifndef RPI_BASE_TEXT_H
#define RPI_BASE_TEXT_H

#include <stddef.h>

/** Appends what fits of `text` to `buffer` at `*length` like snprintf does: always terminated when
 * size > 0; `*length` counts what would have been written. */
void rpi_text_append(char *buffer, size_t size, size_t *length, const char *text);

#endif
