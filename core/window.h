/* A window: the text that expects search, as a sliding piece of what a child has written. It holds
 * the bytes of one stream, or of both in the order read, as they are or without escape sequences,
 * in one linear piece of memory, and remembers where in the streams they came from. Offsets count
 * from the window's own beginning. Expects on the same text share one; expects.c feeds it, lets go
 * what none of them needs, and decides how far it reaches back. */
#ifndef RPI_CORE_WINDOW_H
#define RPI_CORE_WINDOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/alloc.h"
#include "base/list.h"
#include "pty/scan.h"
#include "rp/expect.h"

/** Where a piece of the text came from. */
typedef struct rpi_window_mark {
    uint64_t text_start; /* in the window */
    uint64_t text_end;
    uint64_t start; /* in its stream */
    uint64_t end;
    uint8_t stream; /* index */
    rpi_scan scan;  /* RP_TEXT_STRIPPED: as it was before this piece */
} rpi_window_mark;

typedef struct rpi_window {
    rpi_list node;                 /* its owner's */
    const rp_allocator *allocator; /* borrowed */
    rp_text kind;
    uint8_t streams;     /* 1 << index */
    bool ended;          /* nothing more comes */
    uint32_t users;      /* expects that search it */
    uint64_t generation; /* RP_TEXT_SCREEN: of the screen that it shows */
    char *memory;
    size_t capacity;
    size_t first; /* of the bytes held, in memory */
    size_t count;
    uint64_t offset;   /* of the first byte held */
    uint64_t taken;    /* the last match ended here */
    uint64_t begun[2]; /* where in each stream the window began, or its marks do */
    uint64_t fed[2];   /* and how far it has come */
    rpi_scan scans[2];
    rpi_window_mark *marks;
    size_t mark_count;
    size_t mark_capacity;
} rpi_window;

/** `begun`: where in each stream it begins. */
void rpi_window_init(rpi_window *window,
                     const rp_allocator *allocator,
                     rp_text kind,
                     uint8_t streams,
                     const uint64_t begun[2]);
void rpi_window_fini(rpi_window *window);

/** The next bytes of a stream of this index. 0 or -ENOMEM: then nothing was added. Moves what is
 * held. */
int rpi_window_add(rpi_window *window, unsigned int stream, rp_view bytes);

/** The next bytes of a stream are not to be had: `end` is where they end. */
void rpi_window_skip(rpi_window *window, unsigned int stream, uint64_t end);

/** Bytes before this offset are not needed any more. */
void rpi_window_let_go(rpi_window *window, uint64_t offset);

/** The offset behind the last byte. */
static inline uint64_t rpi_window_end(const rpi_window *window)
{
    return window->offset + window->count;
}

/** Where a place of the text (start to end, which the window holds) is in memory. */
rp_view rpi_window_view(const rpi_window *window, uint64_t start, uint64_t end);

/** How the bytes of a stream are had again that a window came from: those from `at` on, as far as
 * they are in one piece; empty where they are gone. */
typedef rp_view rpi_window_source(void *user, unsigned int stream, uint64_t at);

/** How far in each stream the text before this offset reaches. */
void rpi_window_place(const rpi_window *window,
                      uint64_t offset,
                      rpi_window_source *source,
                      void *user,
                      uint64_t ret_ends[2]);

#endif
