/* The screen of a terminal: what a person would see of a child's output, as rows of text. Fed with
 * the output, asked whenever somebody wants to know; it is drawn as text only then. Which library
 * does the emulation is known to one file (screen_vterm.c); a build without one has
 * screen_absent.c, where opening is RP_EUNSUPPORTED. Called by core/screen.c. */
#ifndef RPI_PTY_SCREEN_H
#define RPI_PTY_SCREEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rp/base.h"

/** Cells, rows times columns, that a screen may have. */
#define RPI_SCREEN_CELLS_MAX (1U << 20)

/** Bytes of a title that are kept. */
#define RPI_SCREEN_TITLE_MAX 1024

typedef struct rpi_screen rpi_screen;

typedef struct rpi_screen_look {
    rp_view text;  /* UTF-8: each row, blanks at its end cut, with "\n" behind it; until the screen
                      is  asked again, or closed */
    rp_view title; /* UTF-8, until it is fed again */
    uint64_t generation; /* grows whenever the text is another one than at the last look */
    uint16_t rows, cols;
    uint16_t cursor_row, cursor_col; /* from 0 */
    bool cursor_visible;
    bool alternate; /* the screen that full-screen programs use */
} rpi_screen_look;

bool rpi_screen_is_available(void);

/** 0; RP_EUNSUPPORTED; RP_EINVAL: a size of 0, or too many cells; -ENOMEM. */
int rpi_screen_open(const rp_allocator *allocator,
                    uint16_t rows,
                    uint16_t cols,
                    rpi_screen **ret_screen);
void rpi_screen_close(rpi_screen *screen); /* NULL is allowed */

/** Takes the next bytes of output. 0; -ENOMEM: the screen is lost, and gives this from now on. */
int rpi_screen_feed(rpi_screen *screen, rp_view bytes);

/** As a terminal's window that is pulled larger or smaller. As open, and feed. */
int rpi_screen_resize(rpi_screen *screen, uint16_t rows, uint16_t cols);

/** What is to be seen now. 0 or -ENOMEM. */
int rpi_screen_get(rpi_screen *screen, rpi_screen_look *ret_look);

/** Whether it may look other than when it was last asked; cheap. */
bool rpi_screen_is_touched(const rpi_screen *screen);

#endif
