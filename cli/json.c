/* JSON, as much as the programs need: objects of numbers, booleans, strings, lists of strings, and
 * one list of flat objects.
 * Bytes that are not UTF-8 are repaired first (U+FFFD), then what JSON forbids in a string is
 * escaped. Called by events.c and cleanup_tracked.c. */
#include "cli/json.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void add(rpi_cli_json *json, const char *string)
{
    rpi_cli_buffer_add(&json->text, string, strlen(string));
}

/* The first member of an object has no comma: the brace stands right before it, as nothing else
 * ends with one. */
static void add_key(rpi_cli_json *json, const char *key)
{
    const rpi_cli_buffer *text = &json->text;

    add(json, text->size > 0 && text->data[text->size - 1] == '{' ? "\"" : ",\"");
    add(json, key);
    add(json, "\":");
}

/* The escape of a byte; `text` where it has to be composed; NULL = it stands for itself. */
static const char *escape(unsigned char byte, char text[8])
{
    switch (byte) {
    case '"':
        return "\\\"";
    case '\\':
        return "\\\\";
    case '\n':
        return "\\n";
    case '\r':
        return "\\r";
    case '\t':
        return "\\t";
    default:
        if (byte >= 0x20) {
            return NULL;
        }
        (void)snprintf(text, 8, "\\u%04x", (unsigned int)byte);
        return text;
    }
}

static void add_escaped(rpi_cli_json *json, const char *bytes, size_t size)
{
    size_t plain = 0; /* where the run that needs no escape begins */

    add(json, "\"");
    for (size_t i = 0; i < size; i++) {
        char composed[8];
        const char *escaped = escape((unsigned char)bytes[i], composed);

        if (escaped != NULL) {
            rpi_cli_buffer_add(&json->text, bytes + plain, i - plain);
            add(json, escaped);
            plain = i + 1;
        }
    }
    rpi_cli_buffer_add(&json->text, bytes + plain, size - plain);
    add(json, "\"");
}

static void add_repaired(rpi_cli_json *json, rp_view text)
{
    const size_t room = text.size * 3 + 1; /* a wrong byte becomes the three of U+FFFD */
    char *repaired;

    rpi_cli_buffer_clear(&json->scratch);
    repaired = rpi_cli_buffer_reserve(&json->scratch, room);
    if (repaired == NULL) {
        json->text.failed = true;
        return;
    }
    add_escaped(json, repaired, rp_utf8_repair(text, repaired, room));
}

static rp_view view_of(const char *string)
{
    return (rp_view){.data = string, .size = strlen(string)};
}

void rpi_cli_json_begin(rpi_cli_json *json, const char *event, uint64_t at_ns)
{
    rpi_cli_buffer_clear(&json->text);
    add(json, "{\"event\":\"");
    add(json, event);
    add(json, "\"");
    rpi_cli_json_uint(json, "at_ns", at_ns);
}

void rpi_cli_json_text(rpi_cli_json *json, const char *key, rp_view text)
{
    add_key(json, key);
    add_repaired(json, text);
}

void rpi_cli_json_string(rpi_cli_json *json, const char *key, const char *string)
{
    if (string == NULL) {
        rpi_cli_json_null(json, key);
        return;
    }
    rpi_cli_json_text(json, key, view_of(string));
}

void rpi_cli_json_strings(rpi_cli_json *json, const char *key, const char *const *strings)
{
    add_key(json, key);
    add(json, "[");
    for (size_t i = 0; strings[i] != NULL; i++) {
        if (i > 0) {
            add(json, ",");
        }
        add_repaired(json, view_of(strings[i]));
    }
    add(json, "]");
}

void rpi_cli_json_int(rpi_cli_json *json, const char *key, int64_t number)
{
    char text[24];

    (void)snprintf(text, sizeof text, "%" PRId64, number);
    add_key(json, key);
    add(json, text);
}

void rpi_cli_json_uint(rpi_cli_json *json, const char *key, uint64_t number)
{
    char text[24];

    (void)snprintf(text, sizeof text, "%" PRIu64, number);
    add_key(json, key);
    add(json, text);
}

void rpi_cli_json_bool(rpi_cli_json *json, const char *key, bool value)
{
    add_key(json, key);
    add(json, value ? "true" : "false");
}

void rpi_cli_json_null(rpi_cli_json *json, const char *key)
{
    add_key(json, key);
    add(json, "null");
}

void rpi_cli_json_begin_bare(rpi_cli_json *json)
{
    rpi_cli_buffer_clear(&json->text);
    add(json, "{");
}

void rpi_cli_json_object_begin(rpi_cli_json *json, const char *key)
{
    add_key(json, key);
    add(json, "{");
}

void rpi_cli_json_object_end(rpi_cli_json *json)
{
    add(json, "}");
}

void rpi_cli_json_seconds(rpi_cli_json *json, const char *key, uint64_t span_ns)
{
    const uint64_t micros = span_ns / 1000;
    char text[40];

    (void)snprintf(text, sizeof text, "%" PRIu64 ".%06" PRIu64, micros / 1000000, micros % 1000000);
    add_key(json, key);
    add(json, text);
}

void rpi_cli_json_begin_object(rpi_cli_json *json, const char *key, const char *string)
{
    rpi_cli_buffer_clear(&json->text);
    add(json, "{");
    rpi_cli_json_string(json, key, string);
}

void rpi_cli_json_list_begin(rpi_cli_json *json, const char *key)
{
    add_key(json, key);
    add(json, "[");
    json->has_item = false;
}

void rpi_cli_json_item_begin(rpi_cli_json *json, const char *key, int64_t number)
{
    add(json, json->has_item ? ",{" : "{");
    json->has_item = true;
    rpi_cli_json_int(json, key, number);
}

void rpi_cli_json_item_end(rpi_cli_json *json)
{
    add(json, "}");
}

void rpi_cli_json_list_end(rpi_cli_json *json)
{
    add(json, "]");
}

bool rpi_cli_json_end(rpi_cli_json *json)
{
    add(json, "}\n");
    return !json->text.failed;
}

static void add_line(rpi_cli_buffer *to, unsigned int depth)
{
    rpi_cli_buffer_add(to, "\n", 1);
    for (unsigned int i = 0; i < depth; i++) {
        rpi_cli_buffer_add(to, "  ", 2);
    }
}

/* One byte outside of strings. An empty list or object stays together. */
static unsigned int indent_byte(rpi_cli_buffer *to, const char *at, unsigned int depth)
{
    switch (*at) {
    case '{':
    case '[':
        rpi_cli_buffer_add(to, at, 1);
        if (at[1] != '}' && at[1] != ']') {
            depth++;
            add_line(to, depth);
        }
        return depth;
    case '}':
    case ']':
        if (at[-1] != '{' && at[-1] != '[') {
            depth--;
            add_line(to, depth);
        }
        break;
    case ',':
        rpi_cli_buffer_add(to, at, 1);
        add_line(to, depth);
        return depth;
    case ':':
        rpi_cli_buffer_add(to, ": ", 2);
        return depth;
    default:
        break;
    }
    rpi_cli_buffer_add(to, at, 1);
    return depth;
}

void rpi_cli_json_indent(const rpi_cli_json *json, rpi_cli_buffer *to)
{
    const char *at = json->text.data;
    const char *end = at + json->text.size;
    unsigned int depth = 0;
    bool is_in_string = false;

    for (; at < end; at++) {
        if (is_in_string && *at == '\\') {
            rpi_cli_buffer_add(to, at, 2); /* what is escaped ends nothing */
            at++;
            continue;
        }
        is_in_string = *at == '"' ? !is_in_string : is_in_string;
        if (is_in_string || *at == '"') {
            rpi_cli_buffer_add(to, at, 1);
        } else {
            depth = indent_byte(to, at, depth);
        }
    }
}

void rpi_cli_json_fini(rpi_cli_json *json)
{
    rpi_cli_buffer_fini(&json->text);
    rpi_cli_buffer_fini(&json->scratch);
}
