/* Pseudo-consoles, for systems whose terminals are files (pty.h): there are none. */
#include "base/assert.h"
#include "pty/pty.h"
#include "rp/base.h"

int rpi_pty_console_open(uint16_t rows, uint16_t cols, int input, int output, void **ret_console)
{
    (void)rows;
    (void)cols;
    (void)input;
    (void)output;
    (void)ret_console;
    return RP_EUNSUPPORTED;
}

int rpi_pty_console_resize(void *console, uint16_t rows, uint16_t cols)
{
    (void)rows;
    (void)cols;
    RP_ASSERT(console == NULL);
    return RP_EUNSUPPORTED;
}

void rpi_pty_console_close(void *console)
{
    RP_ASSERT(console == NULL); // none was ever opened
}
