/* What the running system lets us do: FreeBSD and macOS have no io_uring. See probe.h. */
#include <errno.h>

#include "base/probe.h"

int rpi_probe_uring(void)
{
    return -ENOSYS;
}
