/* See record.h. */
#include "cli/record.h"

#include <stdio.h>
#include <string.h>

#include "cli/files.h"
#include "cli/json.h"

void rpi_cli_record_init(rpi_cli_record *record)
{
    *record = (rpi_cli_record){
        .origin_ns = rp_now_ns(),
        .origin_wall_us = rpi_cli_wall_us(),
    };
}

static rpi_cli_stream_record *stream_of(rpi_cli_record *record, rp_stream stream)
{
    return &record->streams[stream == RP_STDERR ? 1 : 0];
}

void rpi_cli_record_data(rpi_cli_record *record, rp_stream stream, size_t size, uint64_t now_ns)
{
    rpi_cli_stream_record *of = stream_of(record, stream);

    of->bytes += size;
    of->chunks++;
    of->last_ns = now_ns;
}

void rpi_cli_record_eos(rpi_cli_record *record, rp_stream stream)
{
    stream_of(record, stream)->closed = true;
}

static int64_t wall_us(const rpi_cli_record *record, uint64_t point_ns)
{
    return record->origin_wall_us + ((int64_t)point_ns - (int64_t)record->origin_ns) / 1000;
}

void rpi_cli_record_stem(
    const rpi_cli_record *record, int64_t pid, const char *reason, char *text, size_t text_size)
{
    char stamp[RPI_CLI_UTC_SIZE];

    rpi_cli_utc_stamp(wall_us(record, rp_now_ns()), stamp);
    (void)snprintf(text, text_size, "%s-pid%lld-%s", stamp, (long long)pid, reason);
}

// ---- the file ----------------------------------------------------------------

static void
add_time(rpi_cli_json *json, const char *key, const rpi_cli_record *record, uint64_t point_ns)
{
    char text[RPI_CLI_UTC_SIZE];

    if (point_ns == 0) {
        rpi_cli_json_null(json, key);
        return;
    }
    rpi_cli_utc_iso(wall_us(record, point_ns), text);
    rpi_cli_json_string(json, key, text);
}

static void add_seconds(rpi_cli_json *json, const char *key, uint64_t span_ns)
{
    if (span_ns == 0) {
        rpi_cli_json_null(json, key); /* none */
    } else {
        rpi_cli_json_seconds(json, key, span_ns);
    }
}

/* A tail may begin in the middle of a character. */
static rp_view without_half(rp_view tail)
{
    size_t cut = 0;

    while (cut < 3 && cut < tail.size && ((unsigned char)tail.data[cut] & 0xc0) == 0x80) {
        cut++;
    }
    return (rp_view){.data = tail.data + cut, .size = tail.size - cut};
}

static void add_stream(rpi_cli_json *json,
                       const char *key,
                       const rpi_cli_record *record,
                       const rp_process *process,
                       rp_stream stream)
{
    const rpi_cli_stream_record *of = &record->streams[stream == RP_STDERR ? 1 : 0];
    bool is_cut = false;
    rp_view tail = rp_process_captured(process, stream, &is_cut);

    tail = is_cut ? without_half(tail) : tail;
    rpi_cli_json_object_begin(json, key);
    rpi_cli_json_uint(json, "chunk_count", of->chunks);
    rpi_cli_json_bool(json, "closed", of->closed);
    add_time(json, "last_chunk_utc", record, of->last_ns);
    rpi_cli_json_text(json, "tail_text", tail);
    rpi_cli_json_bool(json, "tail_truncated", is_cut);
    rpi_cli_json_uint(json, "total_bytes", of->bytes);
    rpi_cli_json_object_end(json);
}

static void add_code(rpi_cli_json *json, const rp_exit *exit)
{
    if (exit == NULL || exit->kind == RP_LOST) {
        rpi_cli_json_null(json, "returncode"); /* it runs, or nobody knows */
    } else {
        rpi_cli_json_int(json, "returncode", exit->code);
    }
}

static void add_output(rpi_cli_json *json,
                       const rpi_cli_record *record,
                       const rp_process *process,
                       bool is_timeout)
{
    const uint64_t out_ns = record->streams[0].last_ns;
    const uint64_t err_ns = record->streams[1].last_ns;
    const uint64_t last_ns = out_ns > err_ns ? out_ns : err_ns;
    const uint64_t since_ns = last_ns != 0 ? last_ns : record->started_ns;
    const uint64_t now_ns = rp_now_ns();

    rpi_cli_json_object_begin(json, "child_output");
    rpi_cli_json_seconds(json, "idle_for_seconds", now_ns > since_ns ? now_ns - since_ns : 0);
    add_time(json, "last_output_utc", record, last_ns);
    add_code(json, rp_process_exit(process));
    add_time(json, "started_utc", record, record->started_ns);
    add_stream(json, "stderr", record, process, RP_STDERR);
    add_stream(json, "stdout", record, process, RP_STDOUT);
    rpi_cli_json_uint(json, "tail_limit_bytes", RPI_CLI_TAIL_SIZE);
    rpi_cli_json_bool(json, "timed_out", is_timeout);
    rpi_cli_json_object_end(json);
}

/* What --timeout and its kin said: what is over, where one is. */
static uint64_t limit_ns(const rpi_cli_options *options, rp_stop_reason reason)
{
    if (reason == RP_STOP_QUIET || (reason != RP_STOP_TIMEOUT && options->idle_timeout_ns != 0)) {
        return options->idle_timeout_ns;
    }
    return options->wall_timeout_ns;
}

bool rpi_cli_record_compose(const rpi_cli_record *record,
                            const rpi_cli_options *options,
                            const rp_process *process,
                            rp_stop_reason reason,
                            rpi_cli_buffer *ret_text)
{
    const bool is_timeout = reason == RP_STOP_TIMEOUT || reason == RP_STOP_QUIET;
    rpi_cli_json json = {.has_item = false};
    bool is_whole;

    rpi_cli_json_begin_bare(&json);
    add_output(&json, record, process, is_timeout);
    rpi_cli_json_strings(&json, "command", options->command);
    rpi_cli_json_int(&json, "pid", rp_process_pid(process));
    rpi_cli_json_string(&json, "reason", is_timeout ? "timeout" : "abnormal-exit");
    add_code(&json, rp_process_exit(process));
    add_seconds(&json, "timeout_seconds", limit_ns(options, reason));
    add_time(&json, "timestamp_utc", record, rp_now_ns());
    is_whole = rpi_cli_json_end(&json);
    if (is_whole) {
        rpi_cli_json_indent(&json, ret_text);
        is_whole = !ret_text->failed;
    }
    rpi_cli_json_fini(&json);
    return is_whole;
}
