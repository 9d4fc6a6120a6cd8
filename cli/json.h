/* Composes JSON: the events of --json, one object a line, each with "event" and "at_ns" first, and
 * other objects with lists of objects in them. Text is always valid UTF-8, whatever bytes it came
 * from. Used by events.c and cleanup_tracked.c. */
#ifndef RPI_CLI_JSON_H
#define RPI_CLI_JSON_H

#include <stdbool.h>
#include <stdint.h>

#include <rp/rp.h>

#include "cli/buffer.h"

typedef struct rpi_cli_json {
    rpi_cli_buffer text;    /* the line so far; its `failed` is the whole line's */
    rpi_cli_buffer scratch; /* repaired text on its way to being escaped */
    bool has_item;          /* in the list under way */
} rpi_cli_json;

void rpi_cli_json_begin(rpi_cli_json *json, const char *event, uint64_t at_ns);
void rpi_cli_json_text(rpi_cli_json *json, const char *key, rp_view text);
void rpi_cli_json_string(rpi_cli_json *json, const char *key, const char *string); /* NULL: null */
void rpi_cli_json_strings(rpi_cli_json *json, const char *key, const char *const *strings);
void rpi_cli_json_int(rpi_cli_json *json, const char *key, int64_t number);
void rpi_cli_json_uint(rpi_cli_json *json, const char *key, uint64_t number);
void rpi_cli_json_bool(rpi_cli_json *json, const char *key, bool value);
void rpi_cli_json_null(rpi_cli_json *json, const char *key);

/** Another object than an event, without a member yet. */
void rpi_cli_json_begin_bare(rpi_cli_json *json);

/** An object within the object. */
void rpi_cli_json_object_begin(rpi_cli_json *json, const char *key);
void rpi_cli_json_object_end(rpi_cli_json *json);

/** A span as seconds with a fraction. */
void rpi_cli_json_seconds(rpi_cli_json *json, const char *key, uint64_t span_ns);

/** Another object than an event; its first member is a string. */
void rpi_cli_json_begin_object(rpi_cli_json *json, const char *key, const char *string);

/** A list of objects: list_begin, then item_begin with the first member of each and item_end, then
 * list_end. Not in an item. */
void rpi_cli_json_list_begin(rpi_cli_json *json, const char *key);
void rpi_cli_json_item_begin(rpi_cli_json *json, const char *key, int64_t number);
void rpi_cli_json_item_end(rpi_cli_json *json);
void rpi_cli_json_list_end(rpi_cli_json *json);

/** Ends the line. false: memory ran out on the way, the text is unusable. */
bool rpi_cli_json_end(rpi_cli_json *json);

/** Adds the text of an ended line to `to`, by two blanks a level deeper, as people read it. */
void rpi_cli_json_indent(const rpi_cli_json *json, rpi_cli_buffer *to);

void rpi_cli_json_fini(rpi_cli_json *json);

#endif
