/* Fuzzes screens (pty/screen.h): whatever a child writes to its terminal, and however its size
 * changes meanwhile, nothing is written where it should not be, the text is whole rows of valid
 * size, and the cursor is on the screen. The first bytes choose the size, a byte of 0xff in the
 * output another one. */
#include <stdint.h>
#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "pty/screen.h"

#define HEAD_SIZE 2

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(rpi_screen *screen)
{
    rpi_screen_look look;
    size_t rows = 0;

    RP_ASSERT(rpi_screen_get(screen, &look) == 0);
    for (size_t i = 0; i < look.text.size; i++) {
        rows += look.text.data[i] == '\n' ? 1 : 0;
    }
    RP_ASSERT(rows == look.rows);
    RP_ASSERT(look.cursor_row < look.rows && look.cursor_col <= look.cols);
    RP_ASSERT(look.title.size <= RPI_SCREEN_TITLE_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    rpi_screen *screen = NULL;
    size_t at = HEAD_SIZE;

    if (size < HEAD_SIZE) {
        return 0;
    }
    RP_ASSERT(rpi_screen_open(rpi_alloc_default(), (uint16_t)(1 + data[0] % 50),
                              (uint16_t)(1 + data[1] % 150), &screen) == 0);
    while (at < size) {
        const uint8_t *next = memchr(data + at, 0xff, size - at);
        size_t piece = next != NULL ? (size_t)(next - data) - at : size - at;

        RP_ASSERT(rpi_screen_feed(screen, (rp_view){(const char *)data + at, piece}) == 0);
        check(screen);
        at += piece + 1;
        if (at + 1 < size) {
            RP_ASSERT(rpi_screen_resize(screen, (uint16_t)(1 + data[at] % 50),
                                        (uint16_t)(1 + data[at + 1] % 150)) == 0);
            check(screen);
        }
    }
    rpi_screen_close(screen);
    return 0;
}
