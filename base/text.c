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

/** False: the byte, which is not ASCII, begins nothing. */
static bool read_lead(uint8_t byte, lead *ret_lead)
{
    lead result = {0, 0x80, 0xBF};

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

size_t rpi_utf8_next(const uint8_t *bytes, size_t size, bool *ret_valid)
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

/** Where repaired text goes, as far as there is room. */
typedef struct output {
    char *text;
    size_t room;    // bytes, without the NUL
    size_t written; // bytes
    size_t needed;  // bytes of the whole
} output;

/** Adds characters of one byte each: any number of them may fit. */
static void add_plain(output *to, const uint8_t *bytes, size_t size)
{
    const size_t left = to->room - to->written;
    const size_t fitting = size < left ? size : left;

    if (fitting > 0) {
        memcpy(to->text + to->written, bytes, fitting);
        to->written += fitting;
    }
    to->needed += size;
    if (fitting < size) {
        to->room = to->written;
    }
}

/** Adds one character: all of it, or once one did not fit, nothing any more. */
static void add_character(output *to, const uint8_t *bytes, size_t size)
{
    if (size <= to->room - to->written) {
        memcpy(to->text + to->written, bytes, size);
        to->written += size;
    } else {
        to->room = to->written;
    }
    to->needed += size;
}

size_t rp_utf8_repair(rp_view bytes, char *text, size_t text_size)
{
    static const uint8_t replacement[] = {0xEF, 0xBF, 0xBD}; // U+FFFD
    const uint8_t *rest = (const uint8_t *)bytes.data;
    size_t left = bytes.size;
    output to = {text, text_size > 0 ? text_size - 1 : 0, 0, 0};

    while (left > 0) {
        size_t used = 0;
        bool is_valid;

        while (used < left && rest[used] < 0x80) {
            used++;
        }
        if (used > 0) {
            add_plain(&to, rest, used);
        } else {
            used = rpi_utf8_next(rest, left, &is_valid);
            add_character(&to, is_valid ? rest : replacement, is_valid ? used : sizeof replacement);
        }
        rest += used;
        left -= used;
    }
    if (text_size > 0) {
        text[to.written] = '\0';
    }
    return to.needed;
}
