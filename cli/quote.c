/* See quote.h. */
#include "cli/quote.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <rp/rp.h>

void rpi_cli_add_text(rpi_cli_buffer *to, const char *text)
{
    rpi_cli_buffer_add(to, text, strlen(text));
}

void rpi_cli_add_printable(rpi_cli_buffer *to, const char *text)
{
    for (; *text != '\0'; text++) {
        const unsigned char byte = (unsigned char)*text;
        const char shown = (char)(byte < 0x20 || byte == 0x7f ? '?' : byte);

        rpi_cli_buffer_add(to, &shown, 1);
    }
}

/* The character at `at`, of valid UTF-8, and its size in bytes. */
static uint32_t character_at(const unsigned char *at, size_t *ret_size)
{
    if (at[0] < 0x80) {
        *ret_size = 1;
        return at[0];
    }
    if (at[0] < 0xe0) {
        *ret_size = 2;
        return ((at[0] & 0x1fU) << 6) | (at[1] & 0x3fU);
    }
    if (at[0] < 0xf0) {
        *ret_size = 3;
        return ((at[0] & 0x0fU) << 12) | ((at[1] & 0x3fU) << 6) | (at[2] & 0x3fU);
    }
    *ret_size = 4;
    return ((at[0] & 0x07U) << 18) | ((at[1] & 0x3fU) << 12) | ((at[2] & 0x3fU) << 6) |
           (at[3] & 0x3fU);
}

/* Controls; marks that separate lines, turn the direction of writing, or have no width. */
static bool is_unprintable(uint32_t character)
{
    return character < 0x20 || (character >= 0x7f && character < 0xa0) || character == 0xad ||
           (character >= 0x200b && character <= 0x200f) ||
           (character >= 0x2028 && character <= 0x202e) ||
           (character >= 0x2060 && character <= 0x206f) || character == 0xfeff;
}

static void add_escape(rpi_cli_buffer *to, uint32_t character)
{
    char text[16];

    switch (character) {
    case '\n':
        rpi_cli_add_text(to, "\\n");
        return;
    case '\r':
        rpi_cli_add_text(to, "\\r");
        return;
    case '\t':
        rpi_cli_add_text(to, "\\t");
        return;
    default:
        (void)snprintf(text, sizeof text, character < 0x100 ? "\\x%02x" : "\\u%04x",
                       (unsigned int)character);
        rpi_cli_add_text(to, text);
        return;
    }
}

static void add_characters(rpi_cli_buffer *to, const char *text, char quote)
{
    size_t size = 1;

    for (const char *at = text; *at != '\0'; at += size) {
        const uint32_t character = character_at((const unsigned char *)at, &size);

        if (*at == quote || *at == '\\') {
            rpi_cli_add_text(to, "\\");
        }
        if (is_unprintable(character)) {
            add_escape(to, character);
        } else {
            rpi_cli_buffer_add(to, at, size);
        }
    }
}

/* `quote`: NUL = none. */
static void add_repaired(rpi_cli_buffer *to, const char *text, char quote)
{
    const rp_view bytes = {.data = text, .size = strlen(text)};
    rpi_cli_buffer repaired = {0};
    char *room = rpi_cli_buffer_reserve(&repaired, bytes.size * 3 + 1);

    if (room == NULL) {
        to->failed = true;
        return;
    }
    (void)rp_utf8_repair(bytes, room, bytes.size * 3 + 1);
    add_characters(to, room, quote);
    rpi_cli_buffer_fini(&repaired);
}

void rpi_cli_add_escaped(rpi_cli_buffer *to, const char *text)
{
    add_repaired(to, text, '\0');
}

void rpi_cli_add_quoted(rpi_cli_buffer *to, const char *text)
{
    const char quote = strchr(text, '\'') != NULL && strchr(text, '"') == NULL ? '"' : '\'';

    rpi_cli_buffer_add(to, &quote, 1);
    add_repaired(to, text, quote);
    rpi_cli_buffer_add(to, &quote, 1);
}
