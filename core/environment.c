/* See environment.h. A change is looked for by its name among the entries written so far: a walk,
 * as commands change few variables, and the first letter rules most entries out. */
#include "core/environment.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/os.h"
#include "core/group.h"

enum {
    PID_DIGITS_MAX = 21
};

/** Where entries are written. */
typedef struct writer {
    char **entries;
    size_t count;
    char *text;  // the next free byte
    size_t room; // bytes left
} writer;

/** The length of an entry's name; all of it where there is no '='. */
static size_t name_length(const char *entry)
{
    const char *end = strchr(entry, '=');

    return end != NULL ? (size_t)(end - entry) : strlen(entry);
}

static bool has_name(const char *entry, const char *name, size_t length)
{
    return rpi_os_same_variable(entry, name, length) &&
           (entry[length] == '=' || entry[length] == '\0');
}

static size_t originator_size(const rp_command *command)
{
    return sizeof RPI_ORIGINATOR_NAME "=:" + strlen(command->originator) + PID_DIGITS_MAX;
}

/** The marks of the groups that the caller itself is in, with a comma behind, or "". */
static const char *outer_marks(void)
{
    char *const *entry = rpi_os_environment();

    for (; entry != NULL && *entry != NULL; entry++) {
        if (has_name(*entry, RPI_GROUP_NAME, sizeof RPI_GROUP_NAME - 1)) {
            return *entry + name_length(*entry);
        }
    }
    return "";
}

static size_t mark_size(const rp_command *command)
{
    return sizeof RPI_GROUP_NAME "=," + strlen(outer_marks()) + strlen(command->group->mark);
}

rpi_environment_need rpi_environment_measure(const rp_command *command)
{
    rpi_environment_need need = {0, 0};
    char *const *inherited = command->env_clear ? NULL : rpi_os_environment();

    for (; inherited != NULL && *inherited != NULL; inherited++) {
        need.entry_count++;
        need.text_size += strlen(*inherited) + 1;
    }
    for (size_t i = 0; command->env != NULL && command->env[i] != NULL; i++) {
        need.entry_count++;
        need.text_size += strlen(command->env[i]) + 1;
    }
    if (command->originator != NULL) {
        need.entry_count++;
        need.text_size += originator_size(command);
    }
    if (command->group != NULL) {
        need.entry_count++;
        need.text_size += mark_size(command);
    }
    return need;
}

/** Copies an entry's text: the copy, or NULL where there is no room. */
static char *copy(writer *to, const char *entry)
{
    const size_t size = strlen(entry) + 1;
    char *text = to->text;

    if (size > to->room) {
        return NULL;
    }
    memcpy(text, entry, size);
    to->text += size;
    to->room -= size;
    return text;
}

/** The index of the entry with this name, or `count`. */
static size_t find_entry(const writer *to, const char *name, size_t length)
{
    size_t i = 0;

    while (i < to->count && !has_name(to->entries[i], name, length)) {
        i++;
    }
    return i;
}

static void remove_entry(writer *to, size_t index)
{
    to->count--;
    memmove(to->entries + index, to->entries + index + 1, (to->count - index) * sizeof(char *));
}

/** Applies one "NAME=value" or bare "NAME": 0 or RP_EAGAIN. */
static int apply(writer *to, const char *change, size_t entry_max)
{
    const size_t length = name_length(change);
    size_t index = find_entry(to, change, length);
    char *text;

    if (change[length] == '\0') {
        while (index < to->count) { // a caller's environment may have it twice
            remove_entry(to, index);
            index = find_entry(to, change, length);
        }
        return 0;
    }
    text = copy(to, change);
    if (text == NULL || (index == to->count && to->count == entry_max)) {
        return RP_EAGAIN;
    }
    if (index == to->count) {
        to->count++;
    }
    to->entries[index] = text;
    return 0;
}

/** The caller's entries as they are, but for the originator, which tells of how the caller came to
 * be and not of this child: 0 or RP_EAGAIN. */
static int inherit(writer *to, size_t entry_max)
{
    for (char *const *entry = rpi_os_environment(); entry != NULL && *entry != NULL; entry++) {
        char *text = NULL;

        if (has_name(*entry, RPI_ORIGINATOR_NAME, sizeof RPI_ORIGINATOR_NAME - 1)) {
            continue;
        }
        text = copy(to, *entry);
        if (text == NULL || to->count == entry_max) {
            return RP_EAGAIN;
        }
        to->entries[to->count++] = text;
    }
    return 0;
}

static int add_originator(writer *to, const rp_command *command, size_t entry_max)
{
    size_t index = find_entry(to, RPI_ORIGINATOR_NAME, sizeof RPI_ORIGINATOR_NAME - 1);
    const size_t size = originator_size(command);
    int length;

    if (size > to->room || (index == to->count && to->count == entry_max)) {
        return RP_EAGAIN;
    }
    length = snprintf(to->text, to->room, RPI_ORIGINATOR_NAME "=%s:%" PRId64, command->originator,
                      rpi_os_pid());
    if (length < 0 || (size_t)length >= to->room) {
        return RP_EAGAIN;
    }
    if (index == to->count) {
        to->count++;
    }
    to->entries[index] = to->text;
    to->text += length + 1;
    to->room -= (size_t)length + 1;
    return 0;
}

/** The mark of the command's group, behind those of the groups around it. */
static int add_mark(writer *to, const rp_command *command, size_t entry_max)
{
    const char *outer = outer_marks(); /* with its '=' */
    char text[RPI_GROUP_MARKS_SIZE];
    const int length =
        snprintf(text, sizeof text, RPI_GROUP_NAME "=%s%s%s", outer[0] != '\0' ? outer + 1 : "",
                 outer[0] != '\0' && outer[1] != '\0' ? "," : "", command->group->mark);

    if (length < 0 || (size_t)length >= sizeof text) { /* so deep, or no marks: only its own */
        (void)snprintf(text, sizeof text, RPI_GROUP_NAME "=%s", command->group->mark);
    }
    return apply(to, text, entry_max);
}

int rpi_environment_fill(const rp_command *command,
                         rpi_environment_need need,
                         char **entries,
                         char *text)
{
    writer to = {entries, 0, text, need.text_size};
    int r = command->env_clear ? 0 : inherit(&to, need.entry_count);

    for (size_t i = 0; r == 0 && command->env != NULL && command->env[i] != NULL; i++) {
        r = apply(&to, command->env[i], need.entry_count);
    }
    if (r == 0 && command->originator != NULL) {
        r = add_originator(&to, command, need.entry_count);
    }
    if (r == 0 && command->group != NULL) {
        r = add_mark(&to, command, need.entry_count);
    }
    if (r == 0) {
        entries[to.count] = NULL;
    }
    return r;
}

const char *rpi_environment_find(const rp_command *command, const char *name)
{
    const size_t length = strlen(name);
    const char *const *changes = command->env;
    char *const *inherited = command->env_clear ? NULL : rpi_os_environment();
    const char *found = NULL;

    for (; inherited != NULL && *inherited != NULL; inherited++) {
        if (has_name(*inherited, name, length)) {
            found = *inherited;
            break;
        }
    }
    for (; changes != NULL && *changes != NULL; changes++) {
        if (has_name(*changes, name, length)) {
            found = *changes; // the last one counts
        }
    }
    return found != NULL && found[length] == '=' ? found + length + 1 : NULL;
}
