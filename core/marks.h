/* Marks: where in a stream each read ended, with its number in the process's one order and its
 * time, for as long as bytes of it are unread. They let pulled lines of two streams come in the
 * order in which they were read. At most MARKS_MAX are kept a stream; beyond that, and where there
 * is no memory, the last mark is stretched: order becomes coarser, no byte is lost. */
#ifndef RPI_CORE_MARKS_H
#define RPI_CORE_MARKS_H

#include <stdint.h>

#include "base/alloc.h"

typedef struct rpi_mark {
    uint64_t end; /* offset in the stream, behind the last byte of the read */
    uint64_t seq;
    uint64_t time_ns;
} rpi_mark;

typedef struct rpi_marks {
    rpi_mark *marks;
    uint32_t first; /* of those in use */
    uint32_t count;
    uint32_t capacity;
    rpi_mark last; /* the newest one, also when there was no memory for it */
} rpi_marks;

void rpi_marks_fini(rpi_marks *marks, const rp_allocator *allocator);

/** A read ended at this offset. */
void rpi_marks_add(rpi_marks *marks, const rp_allocator *allocator, const rpi_mark *mark);

/** The mark of the read that brought the byte before `offset`. Marks wholly before `consumed` are
 * let go. */
rpi_mark rpi_marks_find(rpi_marks *marks, uint64_t offset, uint64_t consumed);

#endif
