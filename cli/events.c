/* Composes the events of --json and hands each line to its writer. Times are nanoseconds since the
 * first event, which alone tells the wall clock: no reader has to know our clock, and no number
 * leaves the 53 bits that JavaScript keeps. Called by supervisor.c out of the library's callbacks.
 */
#include "cli/events.h"
#include "cli/files.h"

#include "cli/signals.h"

enum {
    FORMAT_VERSION = 1
};

static void emit(rpi_cli_events *events)
{
    int r = RP_ENOMEM;

    if (rpi_cli_json_end(&events->json)) {
        const rpi_cli_buffer *text = &events->json.text;

        r = rpi_cli_writer_put(events->writer, events->channel, text->data, text->size);
    }
    if (r < 0) {
        events->error = r;
    }
}

/* A point of the library's clock as at_ns counts. */
static uint64_t since_origin_ns(const rpi_cli_events *events, uint64_t point_ns)
{
    return point_ns > events->origin_ns ? point_ns - events->origin_ns : 0;
}

static void begin(rpi_cli_events *events, const char *event, uint64_t point_ns)
{
    rpi_cli_json_begin(&events->json, event, since_origin_ns(events, point_ns));
}

static void add_point(rpi_cli_events *events, const char *key, uint64_t point_ns)
{
    if (point_ns == 0) {
        rpi_cli_json_null(&events->json, key); /* it never came to that */
    } else {
        rpi_cli_json_uint(&events->json, key, since_origin_ns(events, point_ns));
    }
}

static void add_span(rpi_cli_events *events, const char *key, uint64_t span_ns)
{
    if (span_ns == 0 || span_ns == RP_FOREVER) {
        rpi_cli_json_null(&events->json, key); /* none */
    } else {
        rpi_cli_json_uint(&events->json, key, span_ns);
    }
}

static void add_signal(rpi_cli_events *events, const char *name_key, const char *key, int signal)
{
    char text[32];

    if (signal == 0) {
        rpi_cli_json_null(&events->json, name_key);
        rpi_cli_json_null(&events->json, key);
        return;
    }
    rpi_cli_json_string(&events->json, name_key, rpi_cli_signal_name(signal, text, sizeof text));
    rpi_cli_json_int(&events->json, key, signal);
}

static const char *stream_name(rp_stream stream)
{
    return stream == RP_STDERR ? "stderr" : "stdout";
}

static const char *kind_name(rp_exit_kind kind)
{
    switch (kind) {
    case RP_EXITED:
        return "exited";
    case RP_SIGNALED:
        return "signaled";
    case RP_SPAWN_FAILED:
        return "spawn_failed";
    case RP_LOST:
        return "lost";
    }
    return "unknown"; /* of a library newer than this program */
}

static const char *reason_name(rp_stop_reason reason)
{
    switch (reason) {
    case RP_STOP_NONE:
        return NULL;
    case RP_STOP_INTERRUPT:
        return "interrupt";
    case RP_STOP_TERMINATE:
        return "terminate";
    case RP_STOP_KILL:
        return "kill";
    case RP_STOP_TIMEOUT:
        return "wall_timeout";
    case RP_STOP_QUIET:
        return "idle_timeout";
    case RP_STOP_LIMIT:
        return "limit";
    case RP_STOP_CLOSE:
        return "close";
    }
    return "unknown";
}

void rpi_cli_events_init(rpi_cli_events *events, rpi_cli_writer *writer, rpi_cli_channel *channel)
{
    *events = (rpi_cli_events){.writer = writer, .channel = channel, .origin_ns = rp_now_ns()};
    if (writer == NULL) {
        return;
    }
    begin(events, "schema", events->origin_ns);
    rpi_cli_json_int(&events->json, "version", FORMAT_VERSION);
    rpi_cli_json_string(&events->json, "program", "running-process");
    rpi_cli_json_string(&events->json, "program_version", rp_version());
    rpi_cli_json_int(&events->json, "time_ms", rpi_cli_wall_us() / 1000);
    emit(events);
}

void rpi_cli_events_fini(rpi_cli_events *events)
{
    rpi_cli_json_fini(&events->json);
}

void rpi_cli_events_start(rpi_cli_events *events, const rpi_cli_options *options, int64_t pid)
{
    if (events->writer == NULL) {
        return;
    }
    begin(events, "start", rp_now_ns());
    rpi_cli_json_int(&events->json, "pid", pid);
    rpi_cli_json_strings(&events->json, "command", options->command);
    rpi_cli_json_string(&events->json, "cwd", options->cwd);
    add_span(events, "idle_timeout_ns", options->idle_timeout_ns);
    add_span(events, "wall_timeout_ns", options->wall_timeout_ns);
    add_span(events, "idle_exit_ns", options->idle_exit_ns);
    add_span(events, "kill_after_ns", options->kill_after_ns);
    rpi_cli_json_bool(&events->json, "pty", options->pty);
    emit(events);
}

void rpi_cli_events_output(rpi_cli_events *events, rp_stream stream, const rp_line *line)
{
    if (events->writer == NULL) {
        return;
    }
    begin(events, "output", line->time_ns);
    rpi_cli_json_string(&events->json, "stream", stream_name(stream));
    rpi_cli_json_uint(&events->json, "seq", line->seq);
    rpi_cli_json_uint(&events->json, "bytes", line->text.size);
    rpi_cli_json_text(&events->json, "text", line->text);
    rpi_cli_json_bool(&events->json, "partial", line->partial);
    rpi_cli_json_bool(&events->json, "unended", line->unended);
    emit(events);
}

void rpi_cli_events_eos(rpi_cli_events *events, rp_stream stream)
{
    if (events->writer == NULL) {
        return;
    }
    begin(events, "eos", rp_now_ns());
    rpi_cli_json_string(&events->json, "stream", stream_name(stream));
    emit(events);
}

void rpi_cli_events_signal(rpi_cli_events *events, int signal, rpi_cli_relay relay)
{
    static const char *const names[] = {"sent", "terminal", "kill"};

    if (events->writer == NULL) {
        return;
    }
    begin(events, "signal", rp_now_ns());
    add_signal(events, "signal", "number", signal);
    rpi_cli_json_string(&events->json, "relay", names[relay]);
    emit(events);
}

void rpi_cli_events_expect(rpi_cli_events *events, const rpi_cli_rule *rule, const rp_match *match)
{
    if (events->writer == NULL) {
        return;
    }
    begin(events, "expect", rp_now_ns());
    rpi_cli_json_string(&events->json, "pattern", rule->pattern);
    rpi_cli_json_text(&events->json, "matched", match->matched);
    rpi_cli_json_uint(&events->json, "offset", match->offset);
    rpi_cli_json_string(&events->json, "action", rule->action_name);
    emit(events);
}

void rpi_cli_events_idle(rpi_cli_events *events, uint64_t idle_ns)
{
    if (events->writer == NULL) {
        return;
    }
    begin(events, "idle", rp_now_ns());
    rpi_cli_json_uint(&events->json, "idle_ns", idle_ns);
    emit(events);
}

void rpi_cli_events_timeout(rpi_cli_events *events, rp_stop_reason reason, uint64_t limit_ns)
{
    if (events->writer == NULL) {
        return;
    }
    begin(events, "timeout", rp_now_ns());
    rpi_cli_json_string(&events->json, "kind", reason == RP_STOP_QUIET ? "idle" : "wall");
    rpi_cli_json_uint(&events->json, "limit_ns", limit_ns);
    emit(events);
}

void rpi_cli_events_stop(rpi_cli_events *events, rp_stop_reason step, int signal)
{
    if (events->writer == NULL) {
        return;
    }
    begin(events, "stop", rp_now_ns());
    rpi_cli_json_string(&events->json, "step", reason_name(step));
    add_signal(events, "signal", "number", signal);
    emit(events);
}

static void add_status(rpi_cli_events *events, const rp_exit *exit)
{
    rpi_cli_json_string(&events->json, "kind", kind_name(exit->kind));
    rpi_cli_json_int(&events->json, "code", exit->code);
    add_signal(events, "signal", "signal_number", exit->signal);
}

void rpi_cli_events_exited(rpi_cli_events *events, const rp_exit *exit)
{
    if (events->writer == NULL) {
        return;
    }
    begin(events, "exited", exit->exited_ns);
    add_status(events, exit);
    emit(events);
}

void rpi_cli_events_diagnostics(rpi_cli_events *events, const char *reason, const char *path)
{
    if (events->writer == NULL) {
        return;
    }
    begin(events, "diagnostics", rp_now_ns());
    rpi_cli_json_string(&events->json, "reason", reason);
    rpi_cli_json_string(&events->json, "path", path);
    emit(events);
}

static bool holds(const rpi_cli_leak *leak, rp_stream stream)
{
    return (leak->streams & (UINT32_C(1) << stream)) != 0;
}

void rpi_cli_events_leaks(rpi_cli_events *events, const rpi_cli_leaks *leaks)
{
    rpi_cli_json *json = &events->json;

    if (events->writer == NULL) {
        return;
    }
    begin(events, "leaks", rp_now_ns());
    rpi_cli_json_uint(json, "count", leaks->count);
    rpi_cli_json_list_begin(json, "processes");
    for (size_t i = 0; i < leaks->count; i++) {
        const rpi_cli_leak *leak = rpi_cli_leaks_at(leaks, i);

        rpi_cli_json_item_begin(json, "pid", leak->id.pid);
        rpi_cli_json_uint(json, "start_time_ms", leak->id.start_time_ms);
        rpi_cli_json_bool(json, "descendant", leak->is_marked);
        rpi_cli_json_int(json, "parent_pid", leak->parent_pid);
        rpi_cli_json_bool(json, "parent_alive", leak->parent_alive);
        rpi_cli_json_string(json, "name", leak->name);
        rpi_cli_json_string(json, "command", leak->command);
        rpi_cli_json_bool(json, "holds_stdout", holds(leak, RP_STDOUT));
        rpi_cli_json_bool(json, "holds_stderr", holds(leak, RP_STDERR));
        rpi_cli_json_item_end(json);
    }
    rpi_cli_json_list_end(json);
    emit(events);
}

void rpi_cli_events_leaks_killed(rpi_cli_events *events,
                                 const rpi_cli_leaks *leaks,
                                 const rp_survivor *survivors,
                                 size_t count)
{
    rpi_cli_json *json = &events->json;

    if (events->writer == NULL) {
        return;
    }
    begin(events, "leaks_killed", rp_now_ns());
    rpi_cli_json_list_begin(json, "survivors");
    for (size_t i = 0; i < count; i++) {
        rpi_cli_json_item_begin(json, "pid", survivors[i].id.pid);
        rpi_cli_json_string(json, "name", survivors[i].name);
        rpi_cli_json_string(json, "command", survivors[i].command);
        rpi_cli_json_string(json, "state", survivors[i].state);
        rpi_cli_json_item_end(json);
    }
    rpi_cli_json_list_end(json);
    rpi_cli_json_list_begin(json, "spared");
    for (size_t i = 0; i < leaks->count; i++) {
        const rpi_cli_leak *leak = rpi_cli_leaks_at(leaks, i);

        if (leak->is_spared) {
            rpi_cli_json_item_begin(json, "pid", leak->id.pid);
            rpi_cli_json_string(json, "name", leak->name);
            rpi_cli_json_item_end(json);
        }
    }
    rpi_cli_json_list_end(json);
    emit(events);
}

static void add_end(rpi_cli_events *events, const rp_exit *exit)
{
    rpi_cli_json *json = &events->json;
    char summary[256];

    add_status(events, exit);
    rpi_cli_json_string(json, "error", exit->error == 0 ? NULL : rp_error_name(exit->error));
    rpi_cli_json_int(json, "system_error", exit->system_error);
    rpi_cli_json_string(json, "phase", exit->phase);
    rpi_cli_json_string(json, "reason", reason_name(exit->reason));
    rpi_cli_json_string(json, "step", reason_name(exit->step));
    rpi_cli_json_uint(json, "interrupts", exit->interrupts);
    rpi_cli_json_bool(json, "abnormal", exit->abnormal);
    rpi_cli_json_bool(json, "interrupted", exit->interrupted);
    rpi_cli_json_bool(json, "core_dumped", exit->core_dumped);
    rpi_cli_json_bool(json, "possible_oom", exit->possible_oom);
    rpi_cli_json_bool(json, "oom_killed", exit->oom_killed);
    rpi_cli_json_uint(json, "holders", exit->holders);
    rpi_cli_json_uint(json, "survivors", exit->survivors);
    (void)rp_exit_summary(exit, summary, sizeof summary);
    rpi_cli_json_string(json, "summary", summary);
}

static void add_cost(rpi_cli_events *events, const rp_exit *exit)
{
    rpi_cli_json *json = &events->json;

    add_point(events, "queued_at_ns", exit->queued_ns);
    add_point(events, "launched_at_ns", exit->launched_ns);
    add_point(events, "started_at_ns", exit->started_ns);
    add_point(events, "first_output_at_ns", exit->first_output_ns);
    add_point(events, "exited_at_ns", exit->exited_ns);
    add_point(events, "done_at_ns", exit->done_ns);
    rpi_cli_json_uint(json, "user_ns", exit->user_ns);
    rpi_cli_json_uint(json, "system_ns", exit->system_ns);
    rpi_cli_json_uint(json, "max_rss_bytes", exit->max_rss_bytes);
    rpi_cli_json_uint(json, "minor_faults", exit->minor_faults);
    rpi_cli_json_uint(json, "major_faults", exit->major_faults);
    rpi_cli_json_uint(json, "voluntary_switches", exit->voluntary_switches);
    rpi_cli_json_uint(json, "involuntary_switches", exit->involuntary_switches);
    rpi_cli_json_uint(json, "in_bytes", exit->in_bytes);
    rpi_cli_json_uint(json, "out_bytes", exit->out_bytes);
    rpi_cli_json_uint(json, "err_bytes", exit->err_bytes);
}

void rpi_cli_events_exit(rpi_cli_events *events, const rp_exit *exit, int exit_code)
{
    if (events->writer == NULL) {
        return;
    }
    begin(events, "exit", rp_now_ns());
    rpi_cli_json_int(&events->json, "exit_code", exit_code);
    add_end(events, exit);
    add_cost(events, exit);
    emit(events);
}
