/* A capture: the bytes of one stream that are kept, the first or the last `max` of them, in one
 * piece. Memory grows by doubling within the loop's budget; what cannot be kept is counted as
 * truncated, never an error for the child. */
#ifndef RPI_CORE_CAPTURE_H
#define RPI_CORE_CAPTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/alloc.h"
#include "rp/command.h"

typedef struct rpi_capture {
    char *memory;
    size_t start;    /* of the kept bytes in memory */
    size_t count;    /* kept bytes */
    size_t capacity; /* bytes of memory */
    size_t max;      /* RP_UNLIMITED = all */
    uint64_t offset; /* of the first kept byte in the whole stream */
    uint64_t seen;   /* bytes of the stream so far, kept or not */
    rp_keep keep;
    bool truncated;
} rpi_capture;

/** An account of the loop's bytes: what a capture takes is asked for here. */
typedef struct rpi_budget {
    size_t used;
    size_t max; /* 0 = unlimited */
} rpi_budget;

void rpi_capture_init(rpi_capture *capture, size_t max, rp_keep keep);
void rpi_capture_fini(rpi_capture *capture, const rp_allocator *allocator, rpi_budget *budget);

/** Keeps what may be kept of `bytes`; they are the next ones of the stream. */
void rpi_capture_add(rpi_capture *capture,
                     const rp_allocator *allocator,
                     rpi_budget *budget,
                     rp_view bytes);

/** The kept bytes; a NUL follows them when there are any. */
rp_view rpi_capture_view(const rpi_capture *capture);

/** Lets the kept bytes go, and begins anew with the next byte of the stream: how many they were. */
size_t rpi_capture_discard(rpi_capture *capture, const rp_allocator *allocator, rpi_budget *budget);

/** Hands memory (of capacity bytes) over to the caller and leaves an empty capture. NULL when
 * nothing is kept. */
char *rpi_capture_take(rpi_capture *capture,
                       rpi_budget *budget,
                       rp_view *ret_bytes,
                       size_t *ret_capacity);

#endif
