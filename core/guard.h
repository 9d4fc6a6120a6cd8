/* The loop's guard: the program running-process-guard (guard/), which ends the groups of this loop
 * when the host dies without closing them. Started when the first group needs it; told of groups
 * and, where only looking finds their members, of children that run. What the socket does not take
 * at once is kept and sent when it does, so that nothing here waits for the guard.
 *
 * A guard that ends is noticed, and its groups have none from then on, which their grade says; the
 * next group that is opened starts another one, for all of them. Called by group.c. */
#ifndef RPI_CORE_GUARD_H
#define RPI_CORE_GUARD_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"
#include "reactor/op.h"
#include "rp/base.h"

typedef struct rpi_guard {
    int pidfd; /* owned; -1: there is none */
    int line;  /* owned: our end of the socket; -1 */
    rpi_io exit_io, line_io;
    rpi_op exit_op, line_op;
    char *text; /* owned: what was not sent yet */
    size_t size, capacity;
    bool has_complained; /* that there is none */
} rpi_guard;

void rpi_guard_init(rp_loop *loop);

/** Starts it, where it does not run: 1: it was started; 0: it runs already; or why it cannot, with
 * a line in the log the first time. */
int rpi_guard_start(rp_loop *loop);

bool rpi_guard_runs(const rp_loop *loop);

/** Tells it a line of base/guard.h, printf-like, without the newline. Nothing happens when it does
 * not run. */
void rpi_guard_tell(rp_loop *loop, const char *format, ...) RPI_PRINTF(2, 3);

/** All groups are closed, the loop is not in a turn: lets it go and sees it end. */
void rpi_guard_close(rp_loop *loop);

/** In a forked child: it is the parent's. */
void rpi_guard_close_forked(rp_loop *loop);

#endif
