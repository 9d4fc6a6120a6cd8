/* The child's environment: the caller's, or none, with the command's changes. Made by the launch's
 * build, into memory of its own, since the caller's may change as soon as rp_spawn has returned.
 *
 * The order stays the caller's; what the command overrides keeps its place, what is new comes
 * behind. RUNNING_PROCESS_ORIGINATOR is never passed on from the caller's, where it may name a
 * launcher that is long gone: a command with an originator sets it, over everything; one without
 * has it only where its own changes say so. */
#ifndef RPI_CORE_ENVIRONMENT_H
#define RPI_CORE_ENVIRONMENT_H

#include <stddef.h>

#include "rp/command.h"

#define RPI_ORIGINATOR_NAME "RUNNING_PROCESS_ORIGINATOR"

enum {
    RPI_GROUP_MARKS_SIZE = 4096 /* the variable with the marks of groups, at most */
};

/** The memory that an environment needs at most. */
typedef struct rpi_environment_need {
    size_t entry_count; /* without the NULL at the end */
    size_t text_size;   /* bytes of all entries, with their NULs */
} rpi_environment_need;

/** Looks through the caller's environment and the command. */
rpi_environment_need rpi_environment_measure(const rp_command *command);

/** Writes the entries and a NULL to `entries` (need.entry_count + 1 pointers), their texts to
 * `text` (need.text_size bytes). 0, or RP_EAGAIN: another thread made the caller's environment grow
 * meanwhile, which it must not. */
int rpi_environment_fill(const rp_command *command,
                         rpi_environment_need need,
                         char **entries,
                         char *text);

/** The value that a variable will have in the child, or NULL. Borrowed from the caller's memory,
 * for as long as he does not change it. */
const char *rpi_environment_find(const rp_command *command, const char *name);

#endif
