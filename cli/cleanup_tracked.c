/* running-process-cleanup tracked: kills what is still in the database of tracking and proved to be
 * what was written down there, or says what would be killed. The lines are those of the script that
 * came with the first versions of running-process. Called by cleanup.c. */
#include "cli/cleanup.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rp/rp.h>

#include "cli/buffer.h"
#include "cli/json.h"

/* What is collected before it is shown: the number comes first. */
typedef struct report {
    const rpi_cleanup_options *options;
    rpi_cli_buffer lines;
    rpi_cli_json json;
    rpi_cli_buffer known; /* rp_identity: who lived before */
    int count;
    int survivors;
} report;

static bool lives(const rp_process_info *info)
{
    return strcmp(info->state, "gone") != 0 && strcmp(info->state, "reused") != 0;
}

static void add_text(report *to, const char *text)
{
    rpi_cli_buffer_add(&to->lines, text, strlen(text));
}

/* As a part of a line: nothing in it ends that. */
static void add_printable(report *to, const char *text)
{
    for (; *text != '\0'; text++) {
        const unsigned char byte = (unsigned char)*text;
        const char shown = (char)(byte < 0x20 || byte == 0x7f ? '?' : byte);

        rpi_cli_buffer_add(&to->lines, &shown, 1);
    }
}

static bool add_row(const rp_process_info *info, void *user)
{
    report *to = user;
    char text[32];

    to->count++;
    if (to->options->json) {
        rpi_cli_json_item_begin(&to->json, "pid", info->id.pid);
        rpi_cli_json_uint(&to->json, "created_at_ms", info->id.start_time_ms);
        rpi_cli_json_string(&to->json, "kind", info->kind);
        rpi_cli_json_string(&to->json, "command", info->command);
        rpi_cli_json_string(&to->json, "cwd", info->cwd);
        rpi_cli_json_string(&to->json, "originator", info->originator);
        rpi_cli_json_item_end(&to->json);
        return true;
    }
    (void)snprintf(text, sizeof text, "pid=%" PRId64 " kind=", info->id.pid);
    add_text(to, text);
    add_printable(to, info->kind);
    add_text(to, " command=");
    add_printable(to, info->command);
    add_text(to, "\n");
    return true;
}

static bool add_living(const rp_process_info *info, void *user)
{
    return !lives(info) || add_row(info, user);
}

static bool remember(const rp_process_info *info, void *user)
{
    report *to = user;

    if (lives(info)) {
        rpi_cli_buffer_add(&to->known, &info->id, sizeof info->id);
    }
    return true;
}

/* Who lived before the clean-up and does so now. */
static bool complain_of_survivor(const rp_process_info *info, void *user)
{
    report *to = user;

    for (size_t at = 0; lives(info) && at + sizeof info->id <= to->known.size;
         at += sizeof info->id) {
        rp_identity known;

        memcpy(&known, to->known.data + at, sizeof known);
        if (known.pid == info->id.pid && known.start_time_ms == info->id.start_time_ms) {
            rpi_cleanup_complain("process %" PRId64 " still lives, or somebody of its tree",
                                 info->id.pid);
            to->survivors++;
        }
    }
    return true;
}

static int collect(rp_track *track, report *to)
{
    int r;

    if (!to->options->confirm) {
        return rp_track_list(track, add_living, to);
    }
    r = rp_track_list(track, remember, to);
    r = r < 0 ? r : rp_track_cleanup(track, add_row, to);
    return r < 0 ? r : rp_track_list(track, complain_of_survivor, to);
}

/* 0, or -1: memory or standard output failed. */
static int show(rp_track *track, report *to)
{
    const char *number = to->options->confirm ? "killed_processes" : "would_kill_processes";

    if (to->options->json) {
        rpi_cli_json_list_end(&to->json);
        rpi_cli_json_int(&to->json, number, to->count);
        if (!rpi_cli_json_end(&to->json)) {
            return -1;
        }
        (void)fwrite(to->json.text.data, 1, to->json.text.size, stdout); /* asked below */
    } else {
        (void)printf("tracked_pid_db=%s\n%s=%d\n", rp_track_path(track), number, to->count);
        if (to->lines.size > 0) {
            (void)fwrite(to->lines.data, 1, to->lines.size, stdout);
        }
    }
    return to->lines.failed || to->known.failed || fflush(stdout) != 0 || ferror(stdout) ? -1 : 0;
}

static int clean(rp_track *track, report *to)
{
    const rpi_cleanup_options *options = to->options;
    int r;

    if (options->json) {
        rpi_cli_json_begin_object(&to->json, "tracked_pid_db", rp_track_path(track));
        rpi_cli_json_bool(&to->json, "confirmed", options->confirm);
        rpi_cli_json_list_begin(&to->json, "processes");
    }
    r = collect(track, to);
    if (r < 0) {
        const char *detail = rp_error_detail();

        rpi_cleanup_complain("%s: %s%s%s", rp_track_path(track), rp_strerror(r),
                             detail[0] != '\0' ? ": " : "", detail);
    }
    if (show(track, to) < 0) {
        rpi_cleanup_complain("the answer cannot be written");
        return RPI_CLEANUP_FAILED;
    }
    return r < 0 || to->survivors > 0 ? RPI_CLEANUP_FAILED : RPI_CLEANUP_DONE;
}

int rpi_cleanup_tracked(const rpi_cleanup_options *options)
{
    report to = {.options = options};
    rp_track *track = NULL;
    int r = rp_track_open(NULL, &track);
    int code;

    if (r < 0) {
        const char *detail = rp_error_detail();

        rpi_cleanup_complain("%s", detail[0] != '\0' ? detail : rp_strerror(r));
        return RPI_CLEANUP_FAILED;
    }
    code = clean(track, &to);
    rp_track_close(track);
    rpi_cli_buffer_fini(&to.lines);
    rpi_cli_buffer_fini(&to.known);
    rpi_cli_json_fini(&to.json);
    return code;
}
