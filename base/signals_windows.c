/* The names of signals, for base/signals.h: Windows has none, and no child ends by one. What the C
 * runtime calls so stays inside of a process. */
#include <stddef.h>

#include "base/signals.h"

const char *rpi_signal_name(int signal)
{
    (void)signal; // none has a name here
    return NULL;
}
