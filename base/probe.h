/* What the running system lets us do, found out by trying, once a process, without harm to the
 * host. rp_has asks, and the loop before it opens an io_uring. */
#ifndef RPI_BASE_PROBE_H
#define RPI_BASE_PROBE_H

/** Whether an io_uring of the kind that the backend needs can be made and entered: 0, or -errno of
 * what refused it (-ENOSYS, -EPERM, -EINVAL for a kernel too old). Remembered. Only a filter that
 * ends the process for trying (SIGSYS) needs a disposable child; see the .c file. [any thread] */
int rpi_probe_uring(void);

#endif
