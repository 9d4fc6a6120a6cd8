/* Reserved low descriptors. The cost of a child grows with the highest descriptor that it needs, as
 * its table is copied up to there. In a host with thousands of open descriptors a new pipe gets a
 * high number: its end is then put into a slot for the launch, a number that was reserved when the
 * loop was opened. Between launches a slot holds a placeholder, the read end of a pipe that nobody
 * else has, so that a slot which the host closed and used again is seen and left alone. */
#ifndef RPI_CORE_SLOTS_LINUX_H
#define RPI_CORE_SLOTS_LINUX_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define RPI_SLOT_COUNT 3 /* of a lane: the standard streams */

/** What stands in an unused slot. */
typedef struct rpi_placeholder {
    int fd; /* owned; -1: no slots are used */
    dev_t device;
    ino_t inode;
} rpi_placeholder;

/** The slots of one lane, ascending; -1: given up. */
typedef struct rpi_slots {
    int fds[RPI_SLOT_COUNT];
} rpi_slots;

/** 0 or -errno. */
int rpi_placeholder_open(rpi_placeholder *ret_placeholder);
void rpi_placeholder_close(rpi_placeholder *placeholder);

/** Reserves; the slots may be given up one by one later. 0 or -errno: none is reserved. */
int rpi_slots_open(rpi_slots *ret_slots, const rpi_placeholder *placeholder);
/** Gives back those that are still ours. */
void rpi_slots_close(rpi_slots *slots, const rpi_placeholder *placeholder);

/** The highest slot, or -1 when one was given up. */
int rpi_slots_highest(const rpi_slots *slots);

/** Puts `fd` into slot `index`: the slot's number, or -1: the slot is no longer ours, or the system
 * refuses. */
int rpi_slots_put(rpi_slots *slots, const rpi_placeholder *placeholder, unsigned index, int fd);

/** Puts the placeholder back into slot `index`. */
void rpi_slots_restore(rpi_slots *slots, const rpi_placeholder *placeholder, unsigned index);

#endif
