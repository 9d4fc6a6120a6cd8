/* What came of a child, in words that last: how it ended, sorted as rp_exit promises. The process
 * calls one of the three when it learns of the end; rp_exit_summary (public) makes a sentence of
 * it. They write the fields that describe the end itself (kind, code, signal, error, system_error,
 * phase, abnormal, interrupted, core_dumped, possible_oom) and leave times, counts and reasons
 * alone. */
#ifndef RPI_CORE_EXIT_H
#define RPI_CORE_EXIT_H

#include "rp/process.h"

/** It ended with this status, as wait tells it. */
void rpi_exit_from_wait(rp_exit *exit, int status);

/** It ended with this code, on a system where that is all there is. */
void rpi_exit_from_code(rp_exit *exit, uint32_t code);

/** It ended, and how is not known: somebody else reaped it. */
void rpi_exit_from_loss(rp_exit *exit);

/** It never ran: a negative error, and the phase that failed (static text or NULL). */
void rpi_exit_from_failure(rp_exit *exit, int error, const char *phase);

#endif
