/* Going through the numbered entries of a folder of /proc: its processes, or the descriptors of
 * one. The one way in which this library looks at processes that it did not start. No memory is
 * allocated, and what begins or ends meanwhile may be seen or not. The kernel gives the entries in
 * ascending order, so that a process which is started during the look is seen by it, unless the
 * numbers wrap. */
#ifndef RPI_BASE_SCAN_LINUX_H
#define RPI_BASE_SCAN_LINUX_H

#include <stddef.h>
#include <stdint.h>

enum {
    RPI_SCAN_BUFFER = 8192
};

typedef struct rpi_scan {
    int folder;    /* owned */
    size_t offset; /* of the next entry, */
    size_t size;   /* in so many bytes */
    _Alignas(8) char entries[RPI_SCAN_BUFFER];
} rpi_scan;

/** All processes. 0 or -errno. */
int rpi_scan_open(rpi_scan *scan);

/** The descriptors of a process: 0; RP_ESRCH: it is gone; RP_EACCES: they are not for us; -errno.
 */
int rpi_scan_open_descriptors(rpi_scan *scan, int64_t pid);

/** The threads of a process: errors likewise. */
int rpi_scan_open_threads(rpi_scan *scan, int64_t pid);

/** 1: the next number; 0: there is none; -errno: the look is not whole. */
int rpi_scan_next(rpi_scan *scan, int64_t *ret_number);

void rpi_scan_close(rpi_scan *scan);

#endif
