/* Windows does not fork, so no page tells of it: the process's own number never changes. */
#include <stddef.h>

#include "reactor/parts.h"

const unsigned char *rpi_fork_mark_open(void)
{
    return NULL;
}

void rpi_fork_mark_close(const unsigned char *mark)
{
    (void)mark; // there is none
}
