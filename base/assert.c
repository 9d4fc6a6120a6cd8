/* What an assertion does when it fails. The library prints nothing, so the place is left in a
 * variable that a debugger or a core file shows: `print rpi_last_assertion`. */
#include "base/assert.h"

#include <stdlib.h>

struct rpi_assertion {
    const char *condition;
    const char *file;
    int line;
};

/** Only debuggers read it; volatile, so that the compiler stores it before the abort. */
extern volatile struct rpi_assertion rpi_last_assertion;
volatile struct rpi_assertion rpi_last_assertion;

_Noreturn void rpi_assert_failed(const char *condition, const char *file, int line)
{
    rpi_last_assertion.condition = condition;
    rpi_last_assertion.file = file;
    rpi_last_assertion.line = line;
    abort();
}
