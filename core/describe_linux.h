/* Describing a process that need not be ours: rp_process_info filled from /proc, and its
 * originator. One describer serves a whole look through the system: its memory grows to the largest
 * command and environment met, so nothing is allocated per process. */
#ifndef RPI_CORE_DESCRIBE_LINUX_H
#define RPI_CORE_DESCRIBE_LINUX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/identity.h"
#include "rp/contain.h"

typedef struct rpi_describer {
    int folder; /* /proc; owned */
    rpi_scratch environment;
    rpi_scratch command;
    char name[RPI_PROC_NAME_SIZE];
    char cwd[4096];
} rpi_describer;

/** 0, -ENOMEM, -EMFILE, .... Of the default allocator: it serves functions that have no loop. */
int rpi_describer_open(rpi_describer **ret_describer);
void rpi_describer_close(rpi_describer *describer);

/** What its environment said when its program began: the value of the originator, whole, in memory
 * of the describer until the next call; "" where there is none, or it is not for us. 0 or -ENOMEM.
 */
int rpi_describe_originator(rpi_describer *describer, int64_t pid, const char **ret_value);

/** The launcher that an originator names: what is behind its last colon. 0: it does not say. */
int64_t rpi_originator_pid(const char *value);

/** Fills all but depth, streams, kind: 0; RP_ESRCH: the number has nobody, or another than `of` by
 * now; -ENOMEM; other errors of the system. The texts live until the describer is used next. */
int rpi_describe(rpi_describer *describer, const rpi_identity *of, rp_process_info *ret_info);

/** Whether the process `pid` lives, and did not begin after `start_ticks`. */
bool rpi_lived_at(int64_t pid, uint64_t start_ticks);

#endif
