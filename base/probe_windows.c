/* What Windows lets us do, for rp_has: there is no io_uring to be tried. */
#include <errno.h>

#include "base/probe.h"

int rpi_probe_uring(void)
{
    return -ENOSYS;
}
