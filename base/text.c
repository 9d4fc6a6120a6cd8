/* Text helpers: appending within a bound, and the repair of UTF-8. The repair reads one well-formed
 * sequence, or one maximal subpart of an ill-formed one, at a time, by the table of well-formed
 * byte sequences of the Unicode Standard (chapter 3, table 3-7). */
#include "base/text.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "rp/base.h"

void rpi_text_append(char *buffer, size_t size, size_t *length, const char *text)
{
    const size_t text_length = strlen(text);

    if (*length < size) {
        const size_t room = size - *length - 1;
        const size_t fitting = text_length < room ? text_length : room;

        memcpy(buffer + *length, text, fitting);
        buffer[*length + fitting] = '\0';
    }
    *length += text_length;
}

/** What the first byte of a sequence says: how many bytes follow, and between what bounds the first
 * of them lies; the others are 80..BF. */
typedef struct lead {
    uint8_t following;
    uint8_t low;
    uint8_t high;
} lead;

/** False: the byte begins nothing. */
static bool read_lead(uint8_t byte, lead *ret_lead)
{
    lead result = {0, 0x80, 0xBF};

    if (byte < 0x80) {
        *ret_lead = result;
        return true;
    }
    if (byte < 0xC2 || byte > 0xF4) {
        return false;
    }
    if (byte < 0xE0) {
        result.following = 1;
    } else if (byte < 0xF0) {
        result.following = 2;
        result.low = byte == 0xE0 ? 0xA0 : 0x80;  // else overlong
        result.high = byte == 0xED ? 0x9F : 0xBF; // else a surrogate
    } else {
        result.following = 3;
        result.low = byte == 0xF0 ? 0x90 : 0x80;  // else overlong
        result.high = byte == 0xF4 ? 0x8F : 0xBF; // else beyond U+10FFFF
    }
    *ret_lead = result;
    return true;
}

/** The bytes of the next character, or of the maximal subpart that is to be replaced: 1 or more. */
static size_t next_part(const uint8_t *bytes, size_t size, bool *ret_valid)
{
    lead first;
    size_t used = 1;

    *ret_valid = false;
    if (!read_lead(bytes[0], &first)) {
        return 1;
    }
    while (used <= first.following) {
        if (used == size || bytes[used] < first.low || bytes[used] > first.high) {
            return used;
        }
        first.low = 0x80;
        first.high = 0xBF;
        used++;
    }
    *ret_valid = true;
    return used;
}

size_t rp_utf8_repair(rp_view bytes, char *text, size_t text_size)
{
    static const char replacement[] = "\xEF\xBF\xBD"; // U+FFFD
    const uint8_t *rest = (const uint8_t *)bytes.data;
    size_t rest_size = bytes.size;
    size_t needed = 0;
    size_t written = 0;
    bool is_full = text_size == 0;

    while (rest_size > 0) {
        bool is_valid;
        const size_t used = next_part(rest, rest_size, &is_valid);
        const size_t size = is_valid ? used : sizeof replacement - 1;

        // Once something did not fit, nothing shorter may follow it.
        is_full = is_full || size >= text_size - written;
        if (!is_full) {
            memcpy(text + written, is_valid ? (const char *)rest : replacement, size);
            written += size;
        }
        needed += size;
        rest += used;
        rest_size -= used;
    }
    if (text_size > 0) {
        text[written] = '\0';
    }
    return needed;
}
