/* What the files of this room ask of each other and nobody else: reactor.c runs the turn and calls
 * the parts that keep timers, posts and watches; the system's files tell of forks. */
#ifndef RPI_REACTOR_PARTS_H
#define RPI_REACTOR_PARTS_H

#include "reactor/reactor.h"

/** When the earliest timer is due; RP_FOREVER = none is armed. */
uint64_t rpi_timers_next_ns(const rpi_reactor *reactor);
/** Fires what is due at now_ns. */
void rpi_timers_run(rpi_reactor *reactor);

int rpi_posts_init(rpi_reactor *reactor);
/** Takes no further posts, and runs those that wait. */
void rpi_posts_close(rpi_reactor *reactor);
/** Frees posts that were not run, and the lock. */
void rpi_posts_fini(rpi_reactor *reactor);
/** Calls asyncs that were sent, then posts. */
void rpi_posts_run(rpi_reactor *reactor);

/** A page that reads other than 0 here and 0 in forked children; NULL where the system has none. */
const unsigned char *rpi_fork_mark_open(void);
void rpi_fork_mark_close(const unsigned char *mark);

#endif
