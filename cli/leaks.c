/* See leaks.h. Three looks: by the mark, by who holds the pipes (only where the end of the command
 * has shown that somebody does), and one at each process found, for its parent. A process that ends
 * between them is left out, as it is no leak any more. */
#include "cli/leaks.h"
#include "cli/files.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/quote.h"

enum {
    COMMAND_SIZE_MAX = 4096 /* bytes */
};

#define PREFIX "[running-process] "

static rpi_cli_leak *list_of(const rpi_cli_leaks *leaks)
{
    return (rpi_cli_leak *)(void *)leaks->list.data; /* as malloc aligns it */
}

const rpi_cli_leak *rpi_cli_leaks_at(const rpi_cli_leaks *leaks, size_t index)
{
    return &list_of(leaks)[index];
}

void rpi_cli_leaks_init(rpi_cli_leaks *leaks, int64_t own_pid)
{
    *leaks = (rpi_cli_leaks){0};
    (void)snprintf(leaks->mark, sizeof leaks->mark, "RUNNING_PROCESS_LEAK_%" PRId64 "_%" PRId64,
                   own_pid, rpi_cli_wall_us());
}

static void drop(rpi_cli_leak *leak)
{
    free(leak->name);
    free(leak->command);
}

void rpi_cli_leaks_fini(rpi_cli_leaks *leaks)
{
    for (size_t i = 0; i < leaks->count; i++) {
        drop(&list_of(leaks)[i]);
    }
    rpi_cli_buffer_fini(&leaks->list);
    leaks->count = 0;
}

// ---- looking -----------------------------------------------------------------

static bool is_same(const rp_identity *a, const rp_identity *b)
{
    return a->pid == b->pid && a->unique == b->unique &&
           (a->unique != 0 || a->start_time_ms == b->start_time_ms);
}

static rpi_cli_leak *find_leak(const rpi_cli_leaks *leaks, const rp_identity *id)
{
    for (size_t i = 0; i < leaks->count; i++) {
        if (is_same(&list_of(leaks)[i].id, id)) {
            return &list_of(leaks)[i];
        }
    }
    return NULL;
}

static bool add(rpi_cli_leaks *leaks, const rp_identity *id, bool is_marked)
{
    const rpi_cli_leak leak = {.id = *id, .is_marked = is_marked};

    rpi_cli_buffer_add(&leaks->list, &leak, sizeof leak);
    leaks->count += leaks->list.failed ? 0 : 1;
    return !leaks->list.failed;
}

static bool on_marked(const rp_process_info *info, void *user)
{
    return add(user, &info->id, true);
}

static bool on_holder(const rp_process_info *info, void *user)
{
    rpi_cli_leaks *leaks = user;
    rpi_cli_leak *known = find_leak(leaks, &info->id);

    if (known == NULL && add(leaks, &info->id, false)) {
        known = find_leak(leaks, &info->id);
    }
    if (known != NULL) {
        known->streams |= info->streams;
    }
    return known != NULL;
}

static char *copy_of(const char *text, size_t size_max)
{
    size_t size = strlen(text);
    char *copy;

    size = size < size_max ? size : size_max;
    copy = malloc(size + 1);
    if (copy != NULL) {
        memcpy(copy, text, size);
        copy[size] = '\0';
    }
    return copy;
}

static bool on_described(const rp_process_info *info, void *user)
{
    rpi_cli_leak *leak = user;

    if (strcmp(info->state, "zombie") != 0 && strcmp(info->state, "dead") != 0) {
        leak->parent_pid = info->parent_pid;
        leak->parent_alive = info->parent_alive;
        leak->name = copy_of(info->name, COMMAND_SIZE_MAX);
        leak->command = copy_of(info->command, COMMAND_SIZE_MAX);
    }
    return false;
}

/* Keeps those that are still there. */
static int describe_all(rpi_cli_leaks *leaks)
{
    rpi_cli_leak *list = list_of(leaks);
    const size_t found = leaks->count;
    int result = 0;

    leaks->count = 0;
    for (size_t i = 0; i < found; i++) {
        const int r = rp_describe(&list[i].id, on_described, &list[i]);

        if (r > 0 && list[i].name != NULL && list[i].command != NULL) {
            list[leaks->count++] = list[i];
            continue;
        }
        drop(&list[i]);
        result = r == RP_ENOMEM ? r : result;
    }
    return result;
}

static int compare(const void *a, const void *b)
{
    const rpi_cli_leak *left = a;
    const rpi_cli_leak *right = b;

    if (left->is_marked != right->is_marked) {
        return left->is_marked ? -1 : 1;
    }
    return (left->id.pid > right->id.pid) - (left->id.pid < right->id.pid);
}

int rpi_cli_leaks_find(rpi_cli_leaks *leaks, const rp_process *process)
{
    const rp_exit *exit = rp_process_exit(process);
    int result = rp_find_by_originator(leaks->mark, on_marked, leaks);
    int r;

    if (exit != NULL && exit->holders > 0) { /* it cannot be done where nobody does */
        r = rp_process_holders(process, on_holder, leaks);
        result = result < 0 ? result : r;
    }
    r = leaks->list.failed ? RP_ENOMEM : 0;
    result = result < 0 ? result : r;
    r = describe_all(leaks);
    result = result < 0 ? result : r;
    if (leaks->count > 1) {
        qsort(list_of(leaks), leaks->count, sizeof *list_of(leaks), compare);
    }
    leaks->marked_count = 0;
    while (leaks->marked_count < leaks->count && list_of(leaks)[leaks->marked_count].is_marked) {
        leaks->marked_count++;
    }
    return result < 0 ? result : 0;
}

// ---- telling -----------------------------------------------------------------

static void add_number(rpi_cli_buffer *text, const char *format, int64_t number)
{
    char digits[32];

    (void)snprintf(digits, sizeof digits, "%" PRId64, number);
    rpi_cli_add_text(text, format);
    rpi_cli_add_text(text, digits);
}

static void add_leak(rpi_cli_buffer *text, const rpi_cli_leak *leak)
{
    const bool holds_out = (leak->streams & (UINT32_C(1) << RP_STDOUT)) != 0;
    const bool holds_err = (leak->streams & (UINT32_C(1) << RP_STDERR)) != 0;

    add_number(text, "  pid=", leak->id.pid);
    rpi_cli_add_text(text, " name=");
    rpi_cli_add_quoted(text, leak->name);
    add_number(text, " parent_pid=", leak->parent_pid);
    rpi_cli_add_text(text, leak->parent_alive ? " parent_alive=True" : " parent_alive=False");
    rpi_cli_add_text(text, " command=");
    rpi_cli_add_quoted(text, leak->command);
    if (holds_out || holds_err) {
        rpi_cli_add_text(text, " holds=");
        rpi_cli_add_text(text, holds_out ? "stdout" : "stderr");
        rpi_cli_add_text(text, holds_out && holds_err ? ",stderr" : "");
    }
    rpi_cli_add_text(text, "\n");
}

static void
add_part(const rpi_cli_leaks *leaks, size_t from, size_t to, const char *what, rpi_cli_buffer *text)
{
    if (from == to) {
        return;
    }
    add_number(text, PREFIX "detected ", (int64_t)(to - from));
    rpi_cli_add_text(text, what);
    for (size_t i = from; i < to; i++) {
        add_leak(text, rpi_cli_leaks_at(leaks, i));
    }
}

void rpi_cli_leaks_report(const rpi_cli_leaks *leaks, rpi_cli_buffer *text)
{
    add_part(leaks, 0, leaks->marked_count, " leaked descendant process(es):\n", text);
    add_part(leaks, leaks->marked_count, leaks->count,
             " other process(es) that hold the output of the command:\n", text);
}

static bool lives(const rp_process_info *info, void *user)
{
    bool *ret_lives = user;

    *ret_lives = strcmp(info->state, "zombie") != 0 && strcmp(info->state, "dead") != 0;
    return false;
}

static bool is_among(const rp_identity *id, const rp_survivor *survivors, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (is_same(id, &survivors[i].id)) {
            return true;
        }
    }
    return false;
}

size_t rpi_cli_leaks_check(rpi_cli_leaks *leaks, const rp_survivor *survivors, size_t count)
{
    size_t spared = 0;

    for (size_t i = 0; i < leaks->count; i++) {
        rpi_cli_leak *leak = &list_of(leaks)[i];
        bool is_alive = false;

        (void)rp_describe(&leak->id, lives, &is_alive); /* else it is gone */
        leak->is_spared = is_alive && !is_among(&leak->id, survivors, count);
        spared += leak->is_spared ? 1 : 0;
    }
    return spared;
}

/* A line of the report of the kill, under a head that comes once. */
static void add_left(rpi_cli_buffer *text, int64_t pid, const char *name, const char *why)
{
    if (text->size == 0) {
        rpi_cli_add_text(text, PREFIX "not all that was left of the command is gone:\n");
    }
    add_number(text, "  pid=", pid);
    rpi_cli_add_text(text, " name=");
    rpi_cli_add_quoted(text, name);
    rpi_cli_add_text(text, why);
}

void rpi_cli_leaks_report_kill(const rpi_cli_leaks *leaks,
                               const rp_survivor *survivors,
                               size_t count,
                               rpi_cli_buffer *text)
{
    for (size_t i = 0; i < count; i++) {
        add_left(text, survivors[i].id.pid, survivors[i].name, " could not be killed, state=");
        rpi_cli_add_text(text, survivors[i].state);
        rpi_cli_add_text(text, "\n");
    }
    for (size_t i = 0; i < leaks->count; i++) {
        const rpi_cli_leak *leak = rpi_cli_leaks_at(leaks, i);

        if (leak->is_spared) {
            add_left(text, leak->id.pid, leak->name,
                     " was not killed: nothing says that the command started it\n");
        }
    }
    if (text->size == 0 && !text->failed) {
        rpi_cli_add_text(text, PREFIX "killed what was left of the command\n");
    }
}
