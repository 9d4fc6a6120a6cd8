/* The scanner: what of a terminal's output is text and what is control, byte by byte and with its
 * state kept, so that any cutting into chunks gives the same. Pure: it asks nobody for anything and
 * allocates nothing. Two machines, to be used together or apart:
 *
 * rpi_churn counts control churn: bytes that move and paint but say nothing, by the one rule that
 * idle detection is defined with. It is deliberately simpler than a terminal.
 *
 * rpi_scan knows the sequences of ECMA-48 and of today's terminals: it passes the text on without
 * them, and tells of those that say something about the program (title, prompt, progress, ...).
 *
 *   ESC ... final       two bytes, or more with intermediates (0x20-0x2f)
 *   CSI                 to its final byte; controls in it are carried out, so they count as text
 *   OSC                 to BEL or ST; what is longer than the body's memory is cut
 *   DCS, SOS, PM, APC   to ST; their bodies go nowhere
 *   ESC k               the title of screen and tmux, to ST
 *   CAN, SUB            end any of them, and nothing is told; so does ESC, which begins the next
 *   SS2, SS3            the shift is taken out, the character that it shifts is text
 *
 * The 8-bit introducers (0x90-0x9f) count where they are not continuation bytes of UTF-8, which
 * lets a quotation mark in a title be one although it ends with the byte of ST. As such a byte may
 * also be a letter of some older encoding, a string that one opens (and that of ESC k, which not
 * every terminal knows) ends with the line at the latest: no more than that can be swallowed by
 * mistake. U+0080 to U+009F written in UTF-8 are text.
 *
 * Controls of one byte (newline, tab, backspace, bell, the other C1) are text. Called by core/:
 * expect, idle, attention. */
#ifndef RPI_PTY_SCAN_H
#define RPI_PTY_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rp/base.h"

/* ---- control churn ---- */

/** Zero it to begin. */
typedef struct rpi_churn {
    uint8_t state;
} rpi_churn;

/** How many of these bytes are churn: ESC; with a `[` behind it all up to the first of 0x40-0x7e;
 * backspace, carriage return and delete. Everything else shows, newlines and titles too. */
size_t rpi_churn_count(rpi_churn *churn, rp_view bytes);

/* ---- sequences ---- */

typedef enum rpi_scan_kind {
    RPI_SCAN_TITLE = 0, /* text */
    RPI_SCAN_CWD,       /* text: "file://host/path" of OSC 7, or a bare path of OSC 9;9 */
    RPI_SCAN_NOTIFY,    /* text: of OSC 9, or "title;body" of OSC 777 */
    RPI_SCAN_PROGRESS,  /* code: rpi_progress; value: percent */
    RPI_SCAN_MARK,      /* code: of OSC 133, 'A' prompt, 'B' command line, 'C' its output, 'D' its
                           end; value: its exit code, or RPI_SCAN_NO_VALUE */
    RPI_SCAN_BELL,
    RPI_SCAN_ALTERNATE, /* code: 1 on, 0 off */
    RPI_SCAN_CURSOR     /* code: 1 visible, 0 hidden */
} rpi_scan_kind;

typedef enum rpi_progress { /* of OSC 9;4 */
    RPI_PROGRESS_NONE = 0,
    RPI_PROGRESS_NORMAL,
    RPI_PROGRESS_ERROR,
    RPI_PROGRESS_UNKNOWN, /* busy, with no percentage */
    RPI_PROGRESS_PAUSED
} rpi_progress;

#define RPI_SCAN_NO_VALUE INT32_MIN

typedef struct rpi_scan_event {
    rpi_scan_kind kind;
    int32_t code;
    int32_t value;
    rp_view text; /* in the body's memory, until the callback returns; never NULL */
    bool cut;     /* the text was longer */
} rpi_scan_event;

/** Who is told, in the order of the bytes; what is not wanted is NULL. */
typedef struct rpi_scan_sink {
    void (*text)(rp_view text, void *user); /* a part of the bytes that were fed */
    void (*event)(const rpi_scan_event *event, void *user);
    void *user;
} rpi_scan_sink;

typedef struct rpi_scan {
    char *body; /* borrowed: where a string that may be told of is collected */
    size_t body_max;
    size_t body_size;
    uint32_t number;   /* CSI: the present parameter */
    uint8_t state;     /* see scan.c */
    uint8_t more;      /* continuation bytes of UTF-8 that are to come */
    uint8_t modes;     /* CSI ?: those that somebody may want to know of */
    bool is_private;   /* CSI ? */
    bool is_plain;     /* CSI: nothing in it but digits and semicolons so far */
    bool is_soft;      /* CSI ! */
    bool ends_by_line; /* a string that may be none */
    bool is_cut;
} rpi_scan;

/** `body`: memory for the strings that events are made of, borrowed; NULL with 0 where OSC is not
 * wanted. */
void rpi_scan_init(rpi_scan *scan, char *body, size_t body_size);

/** Takes the next bytes and tells of what is in them. */
void rpi_scan_feed(rpi_scan *scan, rp_view bytes, const rpi_scan_sink *sink);

/** Takes the next bytes and writes their text to `ret_text`, which has room for all of them (it may
 * be where they are): its size. */
size_t rpi_scan_strip(rpi_scan *scan, rp_view bytes, char *ret_text);

/** Whether the next byte is neither inside a sequence nor of a character begun before. */
bool rpi_scan_is_at_text(const rpi_scan *scan);

#endif
