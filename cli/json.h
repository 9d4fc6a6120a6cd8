/* Composes the events of --json: one JSON object a line, each with "event" and "at_ns" first. Text
 * is always valid UTF-8, whatever bytes it came from. Used by events.c alone. */
#ifndef RPI_CLI_JSON_H
#define RPI_CLI_JSON_H

#include <stdbool.h>
#include <stdint.h>

#include <rp/rp.h>

#include "cli/buffer.h"

typedef struct rpi_cli_json {
    rpi_cli_buffer text;    /* the line so far; its `failed` is the whole line's */
    rpi_cli_buffer scratch; /* repaired text on its way to being escaped */
} rpi_cli_json;

void rpi_cli_json_begin(rpi_cli_json *json, const char *event, uint64_t at_ns);
void rpi_cli_json_text(rpi_cli_json *json, const char *key, rp_view text);
void rpi_cli_json_string(rpi_cli_json *json, const char *key, const char *string); /* NULL: null */
void rpi_cli_json_strings(rpi_cli_json *json, const char *key, const char *const *strings);
void rpi_cli_json_int(rpi_cli_json *json, const char *key, int64_t number);
void rpi_cli_json_uint(rpi_cli_json *json, const char *key, uint64_t number);
void rpi_cli_json_bool(rpi_cli_json *json, const char *key, bool value);
void rpi_cli_json_null(rpi_cli_json *json, const char *key);

/** Ends the line. false: memory ran out on the way, the text is unusable. */
bool rpi_cli_json_end(rpi_cli_json *json);

void rpi_cli_json_fini(rpi_cli_json *json);

#endif
