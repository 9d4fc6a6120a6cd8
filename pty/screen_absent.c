/* Screens of a build without a terminal emulator: there are none. See screen.h. */
#include "base/status.h"
#include "pty/screen.h"

bool rpi_screen_is_available(void)
{
    return false;
}

int rpi_screen_open(const rp_allocator *allocator,
                    uint16_t rows,
                    uint16_t cols,
                    rpi_screen **ret_screen)
{
    (void)allocator;
    (void)rows;
    (void)cols;
    (void)ret_screen;
    return rpi_detail(RP_EUNSUPPORTED, "screen: this build has no terminal emulator");
}

void rpi_screen_close(rpi_screen *screen)
{
    (void)screen;
}

/* There is none that could be asked. */
int rpi_screen_feed(rpi_screen *screen, rp_view bytes)
{
    (void)screen;
    (void)bytes;
    return RP_EUNSUPPORTED;
}

int rpi_screen_resize(rpi_screen *screen, uint16_t rows, uint16_t cols)
{
    (void)screen;
    (void)rows;
    (void)cols;
    return RP_EUNSUPPORTED;
}

int rpi_screen_get(rpi_screen *screen, rpi_screen_look *ret_look)
{
    (void)screen;
    (void)ret_look;
    return RP_EUNSUPPORTED;
}

bool rpi_screen_is_touched(const rpi_screen *screen)
{
    (void)screen;
    return false;
}
