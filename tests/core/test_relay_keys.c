/* The detach key: found across every cut of what is typed, and nothing else held back for long. */
#include <string.h>

#include "core/relay_keys.h"
#include "tests/support/check.h"

static void init(rpi_keys *keys, const char *text)
{
    cr_assert(rpi_keys_init(keys, text), "%s", text);
}

/* Feeds `typed` in pieces of `step` bytes; what came out. Whether the key was found. */
static bool feed(const char *key, const char *typed, size_t step, char *out)
{
    const size_t size = strlen(typed);
    bool found = false;
    rpi_keys keys;

    init(&keys, key);
    *out = '\0';
    for (size_t at = 0; at < size && !found; at += step) {
        char piece[256 + RPI_KEYS_MAX];
        size_t written = 0;

        found =
            rpi_keys_feed(&keys, typed + at, step < size - at ? step : size - at, piece, &written);
        strncat(out, piece, written);
    }
    return found;
}

static const struct {
    const char *key, *typed, *out;
    bool found;
} rows[] = {
    {"\x1d", "abc\x1d", "abc", true},
    {"\x1d", "abc", "abc", false},
    {"~.", "a~b~.c", "a~b", true},
    {"~.", "a~~.", "a~", true},
    {"~.", "a~", "a", false}, // waits
    {"aab", "aaab", "a", true},
    {"aab", "aaaaac", "aaaaac", false},
    {"abab", "abacabab", "abac", true},
    {"abcabd", "abcabcabd", "abc", true},
    {"abcabd", "abcabcabx", "abcabcabx", false},
    {"aaaa", "aaa", "", false},
    {"aaaa", "aaabaaaa", "aaab", true},
    {NULL, "anything~.", "anything~.", false},
};

Test(relay_keys, are_found_however_the_bytes_are_cut)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        for (size_t step = 1; step <= strlen(rows[i].typed); step++) {
            char out[512];

            cr_assert_eq(feed(rows[i].key, rows[i].typed, step, out), rows[i].found,
                         "row %zu, step %zu", i, step);
            cr_assert_str_eq(out, rows[i].out, "row %zu, step %zu: %s", i, step, out);
        }
    }
}

Test(relay_keys, begin_anew_after_they_were_found)
{
    rpi_keys keys;
    char out[64];
    size_t size = 0;

    init(&keys, "ab");
    cr_assert(rpi_keys_feed(&keys, "xab", 3, out, &size));
    cr_assert_eq(size, 1);
    cr_assert_not(rpi_keys_feed(&keys, "ba", 2, out, &size));
    cr_assert_eq(size, 1);
    cr_assert(rpi_keys_feed(&keys, "b", 1, out, &size));
    cr_assert_eq(size, 0);
}

Test(relay_keys, that_are_empty_or_too_long_are_refused)
{
    rpi_keys keys;
    char text[RPI_KEYS_MAX + 2];

    memset(text, 'k', sizeof text);
    text[RPI_KEYS_MAX + 1] = '\0';
    cr_assert_not(rpi_keys_init(&keys, ""));
    cr_assert_not(rpi_keys_init(&keys, text));
    text[RPI_KEYS_MAX] = '\0';
    cr_assert(rpi_keys_init(&keys, text));
}
