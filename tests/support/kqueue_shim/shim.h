/* What the files of the kqueue for tests ask of each other. See shim_linux.c. */
#ifndef RPI_TESTS_KQUEUE_SHIM_H
#define RPI_TESTS_KQUEUE_SHIM_H

#include <stdbool.h>
#include <time.h>

struct kevent;

/** kqueue and kevent, as they stand in the table of system calls. */
int rpi_kqueue_shim_open(void);
int rpi_kqueue_shim_kevent(int fd,
                           const struct kevent *changes,
                           int change_count,
                           struct kevent *events,
                           int event_max,
                           const struct timespec *timeout);

/** How many events the kqueue backend takes at a time. */
extern int rpi_kqueue_event_max;

/** Whether this process has the slave of this terminal's master open. */
bool rpi_kqueue_shim_has_slave(int master);

#endif
