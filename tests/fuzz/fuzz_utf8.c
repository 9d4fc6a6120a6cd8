/* Fuzzes rp_utf8_repair: whatever the bytes, the text is valid UTF-8 and has the size that was
 * said; valid text comes out as it went in; a shorter buffer gets the beginning of the same text,
 * cut between characters. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "rp/base.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The bytes of the character that begins here, by table 3-7 of the Unicode Standard; 0 = not one.
 */
static size_t character_size(const unsigned char *text, size_t size)
{
    static const struct {
        unsigned char first_min, first_max, second_min, second_max;
        size_t size;
    } rows[] = {
        {0x00, 0x7f, 0, 0, 1},       {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
        {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
        {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (text[0] < rows[i].first_min || text[0] > rows[i].first_max) {
            continue;
        }
        if (rows[i].size > size) {
            return 0;
        }
        if (rows[i].size > 1 && (text[1] < rows[i].second_min || text[1] > rows[i].second_max)) {
            return 0;
        }
        for (size_t j = 2; j < rows[i].size; j++) {
            if (text[j] < 0x80 || text[j] > 0xbf) {
                return 0;
            }
        }
        return rows[i].size;
    }
    return 0;
}

/* The bytes of whole characters at the beginning. */
static size_t valid_size(const char *text, size_t size)
{
    size_t at = 0;

    while (at < size) {
        size_t step = character_size((const unsigned char *)text + at, size - at);

        if (step == 0) {
            break;
        }
        at += step;
    }
    return at;
}

static void check_short(rp_view bytes, const char *whole, size_t whole_size, size_t size)
{
    char *text = malloc(size);

    RP_ASSERT(text != NULL);
    RP_ASSERT(rp_utf8_repair(bytes, text, size) == whole_size);

    /* As long as it can be: the next character would not have fitted. */
    size_t length = whole_size < size - 1 ? whole_size : size - 1;
    while (valid_size(whole, length) != length) {
        length--;
    }
    RP_ASSERT(text[length] == '\0' && memcmp(text, whole, length) == 0);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    rp_view bytes = {(const char *)data, size};
    size_t needed = rp_utf8_repair(bytes, NULL, 0);
    char *text = malloc(needed + 1);

    RP_ASSERT(text != NULL && needed <= 3 * size);
    RP_ASSERT(rp_utf8_repair(bytes, text, needed + 1) == needed && text[needed] == '\0');
    RP_ASSERT(valid_size(text, needed) == needed);
    if (size > 0 && valid_size(bytes.data, size) == size) {
        RP_ASSERT(needed == size && memcmp(text, data, size) == 0);
    }
    for (size_t room = 1; room <= needed && room <= 16; room++) {
        check_short(bytes, text, needed, room);
    }
    if (needed > 16) {
        check_short(bytes, text, needed, needed);
    }
    free(text);
    return 0;
}
