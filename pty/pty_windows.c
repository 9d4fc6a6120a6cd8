/* Pseudo-terminals as a pair of descriptors, which Windows has not. What it has, pseudo-consoles,
 * is pipes and a handle of their own. */
#include "pty/pty.h"
#include "rp/base.h"

int rpi_pty_open(uint16_t rows, uint16_t cols, rpi_pty_pair *ret_pair)
{
    (void)rows;
    (void)cols;
    (void)ret_pair;
    return RP_EUNSUPPORTED;
}

bool rpi_pty_is_available(void)
{
    return false;
}

int rpi_pty_set_size(int master, uint16_t rows, uint16_t cols)
{
    (void)master;
    (void)rows;
    (void)cols;
    return RP_EUNSUPPORTED;
}

int rpi_pty_get_size(int master, uint16_t *ret_rows, uint16_t *ret_cols)
{
    (void)master;
    (void)ret_rows;
    (void)ret_cols;
    return RP_EUNSUPPORTED;
}

int rpi_pty_get_modes(int master, rpi_pty_modes *ret_modes)
{
    (void)master;
    (void)ret_modes;
    return RP_EUNSUPPORTED;
}

int64_t rpi_pty_foreground(int master)
{
    (void)master;
    return RP_EUNSUPPORTED;
}

int rpi_pty_device(int master, uint64_t *ret_device)
{
    (void)master;
    (void)ret_device;
    return RP_EUNSUPPORTED;
}

int rpi_pty_signal_foreground(int master, int signal)
{
    (void)master;
    (void)signal;
    return RP_EUNSUPPORTED;
}
