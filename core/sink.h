/* The caller's standard output, written to by a loop that must not wait for it: what the system
 * does not take at once is kept, and goes when it is writable again. The relay's (core/relay.c).
 * Standard output may be a terminal, a pipe, a file; its open file is never changed. */
#ifndef RPI_CORE_SINK_H
#define RPI_CORE_SINK_H

#include <stdbool.h>
#include <stddef.h>

#include "base/console.h"
#include "core/loop.h"
#include "reactor/reactor.h"

typedef struct rpi_sink rpi_sink;
/** All that was kept is written (0), or nothing can be written any more (negative). Out of the
 * loop. Also when, closed, its operation has come back: then with -ECANCELED. */
typedef void rpi_sink_fn(rpi_sink *sink, int status);

struct rpi_sink {
    rp_loop *loop; /* borrowed */
    rpi_sink_fn *done;
    rpi_console_output kind;
    rpi_io io;
    rpi_op op;
    char *kept; /* owned */
    size_t kept_size, kept_from, kept_room;
    bool open;    /* io's handle is ours to close */
    bool closing; /* nothing is written any more */
};

/** 0 or -errno. */
int rpi_sink_open(rpi_sink *sink, rp_loop *loop, rpi_sink_fn *done);

/** Writes: 0: all of it; 1: some is kept, and `done` will come; negative: it cannot be written. */
int rpi_sink_put(rpi_sink *sink, const char *bytes, size_t size);

/** Drops what is kept. The descriptor is closed now, or when the operation has come back: while
 * rpi_sink_is_pending, the memory of the sink must stay. */
void rpi_sink_close(rpi_sink *sink);
bool rpi_sink_is_pending(const rpi_sink *sink);

/** In a forked child: the operation is the parent's. */
void rpi_sink_close_forked(rpi_sink *sink);

#endif
