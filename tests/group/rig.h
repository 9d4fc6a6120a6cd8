/* The rig of the groups' tests: a child that makes many processes, tied to the test by a pipe that
 * all of them hold, so that the test sees that each is there, and that nobody is left. */
#ifndef RPI_TESTS_GROUP_RIG_H
#define RPI_TESTS_GROUP_RIG_H

#include "tests/support/stage.h"

/** A tree in the making: descriptor 4 of each process is the line. */
typedef struct grove {
    actor actor;
    lifeline line;
    rp_fd fd;
    rp_command command;
} grove;

/** Spawns `argv` in the group. */
void grove_plant(stage *on, grove *self, rp_group *group, const char *const *argv);

/** Runs the loop until so many have told that they are there. */
void grove_await(stage *on, grove *self, unsigned int count);

/** That nobody of it is left; or rather waits until then. */
void grove_check_gone(grove *self);

/** Whether anybody still holds the line. */
bool grove_is_alive(const grove *self);

/** Who holds the line, but for the test itself, in ascending order: how many, at most `max`. */
size_t grove_list(const grove *self, int64_t *pids, size_t max);

/** What `emptied` was told; `count` of its calls is in `calls`. */
typedef struct verdict {
    unsigned int calls;
    size_t survivors;
    int64_t pids[64]; /* of the first survivors */
} verdict;

void verdict_note(rp_group *group, const rp_survivor *survivors, size_t count, void *user);

#endif
