/* Text helpers: appending within a bound, and the repair of UTF-8 against the vectors of the
 * Unicode Standard and against what is true of every input. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "rp/base.h"
#include "tests/support/check.h"
#include "tests/support/seed.h"

#define R "\xEF\xBF\xBD" /* U+FFFD */

Test(text, appends_what_fits_and_counts_all)
{
    char buffer[8] = "zzzzzzz";
    size_t length = 0;

    rpi_text_append(buffer, sizeof buffer, &length, "abc");
    cr_assert_str_eq(buffer, "abc");
    rpi_text_append(buffer, sizeof buffer, &length, "");
    rpi_text_append(buffer, sizeof buffer, &length, "defghij");
    cr_assert_str_eq(buffer, "abcdefg");
    cr_assert_eq(length, 10);
    rpi_text_append(buffer, sizeof buffer, &length, "klm");
    cr_assert_str_eq(buffer, "abcdefg");
    cr_assert_eq(length, 13);
    length = 0;
    rpi_text_append(NULL, 0, &length, "abc");
    cr_assert_eq(length, 3);
    length = 0;
    rpi_text_append(buffer, 1, &length, "abc");
    cr_assert_str_eq(buffer, "");
}

/* An input may contain NULs, so its size stands beside it; so may the result. */
typedef struct vector {
    const char *bytes;
    size_t size;
    const char *text;
    size_t text_size;
} vector;

#define VECTOR(bytes, text)                                                                        \
    {                                                                                              \
        bytes, sizeof(bytes) - 1, text, sizeof(text) - 1                                           \
    }

static const vector vectors[] = {
    VECTOR("", ""),
    VECTOR("plain", "plain"),
    VECTOR("a\0b", "a\0b"),
    VECTOR("\x7F", "\x7F"),
    VECTOR("\xC2\x80", "\xC2\x80"), // the bounds of each length
    VECTOR("\xDF\xBF", "\xDF\xBF"),
    VECTOR("\xE0\xA0\x80", "\xE0\xA0\x80"),
    VECTOR("\xED\x9F\xBF", "\xED\x9F\xBF"),
    VECTOR("\xEE\x80\x80", "\xEE\x80\x80"),
    VECTOR("\xEF\xBF\xBF", "\xEF\xBF\xBF"),
    VECTOR("\xF0\x90\x80\x80", "\xF0\x90\x80\x80"),
    VECTOR("\xF4\x8F\xBF\xBF", "\xF4\x8F\xBF\xBF"),
    VECTOR("\x80", R), // continuations alone
    VECTOR("\x80\xBF", R R),
    VECTOR("\xC0\x80", R R), // what begins nothing
    VECTOR("\xC1\xBF", R R),
    VECTOR("\xF5\x80\x80\x80", R R R R),
    VECTOR("\xFE\xFF", R R),
    // Unicode Standard, chapter 3, tables 3-8 to 3-11.
    VECTOR("\xC0\xAF\xE0\x80\xBF\xF0\x81\x82\x41", R R R R R R R R "A"),
    VECTOR("\xED\xA0\x80\xED\xBF\xBF\xED\xAF\x41", R R R R R R R R "A"),
    VECTOR("\xF4\x91\x92\x93\xFF\x41\x80\xBF\x42", R R R R R "A" R R "B"),
    VECTOR("\xE1\x80\xE2\xF0\x91\x92\xF1\xBF\x41", R R R R "A"),
    // Sequences that the end cuts.
    VECTOR("\xC2", R),
    VECTOR("\xE2\x82", R),
    VECTOR("\xF0\x9F\x92", R),
    VECTOR("a\xF0\x9F\x92", "a" R),
    VECTOR("\xF0\x9F\x92\xA9", "\xF0\x9F\x92\xA9"),
    VECTOR("\xE2\x82\xE2\x82\xAC", R "\xE2\x82\xAC"),
    VECTOR("\xF0\x9F\xC3\xA9", R "\xC3\xA9"),
};

Test(utf8, replaces_each_maximal_subpart)
{
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        const rp_view bytes = {vectors[i].bytes, vectors[i].size};
        char text[64];

        cr_assert_eq(rp_utf8_repair(bytes, NULL, 0), vectors[i].text_size, "vector %zu", i);
        cr_assert_eq(rp_utf8_repair(bytes, text, sizeof text), vectors[i].text_size);
        cr_assert_eq(memcmp(text, vectors[i].text, vectors[i].text_size + 1), 0, "vector %zu", i);
    }
}

Test(utf8, takes_an_empty_view)
{
    char text[4] = "abc";

    cr_assert_eq(rp_utf8_repair((rp_view){NULL, 0}, text, sizeof text), 0);
    cr_assert_str_eq(text, "");
}

Test(utf8, cuts_between_characters_and_terminates)
{
    const rp_view bytes = {"a\xE2\x82\xAC\xFF"
                           "b",
                           6};
    const char *whole = "a\xE2\x82\xAC" R "b";
    const size_t kept[] = {0, 0, 1, 1, 1, 4, 4, 4, 7, 8, 8}; // by text_size

    for (size_t size = 0; size < sizeof kept / sizeof kept[0]; size++) {
        char text[16];

        memset(text, 'z', sizeof text);
        cr_assert_eq(rp_utf8_repair(bytes, text, size), 8);
        cr_assert_eq(memcmp(text, whole, kept[size]), 0);
        cr_assert_eq(text[kept[size]], size > 0 ? '\0' : 'z', "size %zu", size);
        cr_assert_eq(text[size], 'z', "nothing beyond");
    }
}

/* Whether all of a text is well formed: written from the ranges of code points, not from the table.
 */
static bool is_well_formed(const char *text, size_t size)
{
    const uint8_t *bytes = (const uint8_t *)text;

    for (size_t i = 0; i < size;) {
        const size_t length = bytes[i] < 0x80   ? 1
                              : bytes[i] < 0xC0 ? 0
                              : bytes[i] < 0xE0 ? 2
                              : bytes[i] < 0xF0 ? 3
                              : bytes[i] < 0xF8 ? 4
                                                : 0;
        const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
        uint32_t point = length == 1 ? bytes[i] : bytes[i] & (0x7FU >> length);

        if (length == 0 || i + length > size) {
            return false;
        }
        for (size_t k = 1; k < length; k++) {
            if ((bytes[i + k] & 0xC0U) != 0x80) {
                return false;
            }
            point = point << 6 | (bytes[i + k] & 0x3FU);
        }
        if (point < least[length] || point > 0x10FFFF || (point >= 0xD800 && point < 0xE000)) {
            return false;
        }
        i += length;
    }
    return true;
}

Test(utf8, makes_any_bytes_well_formed_and_leaves_the_well_formed_alone, .timeout = 60)
{
    static const uint8_t hard[] = {0x00, 0x41, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC2,
                                   0xDF, 0xE0, 0xE1, 0xED, 0xEF, 0xF0, 0xF1, 0xF4, 0xF5, 0xFF};

    rpi_seed_random();
    for (int round = 0; round < 100000; round++) {
        char bytes[24];
        char once[sizeof bytes * 3 + 1];
        char twice[sizeof once];
        const size_t size = (size_t)rand() % sizeof bytes;
        size_t needed;

        for (size_t i = 0; i < size; i++) {
            bytes[i] = (char)hard[(size_t)rand() % sizeof hard];
        }
        needed = rp_utf8_repair((rp_view){bytes, size}, once, sizeof once);
        cr_assert_lt(needed, sizeof once);
        cr_assert(is_well_formed(once, needed));
        if (is_well_formed(bytes, size)) {
            cr_assert_eq(needed, size);
            cr_assert_eq(memcmp(once, bytes, size), 0);
        }
        cr_assert_eq(rp_utf8_repair((rp_view){once, needed}, twice, sizeof twice), needed);
        cr_assert_eq(memcmp(once, twice, needed), 0);
    }
}
