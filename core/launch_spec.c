/* What a transport means for the terminal: rp_launch_spec, a table. Nothing is launched or looked
 * at; the spawn path keeps to it (core/launch.c, core/foreground_linux.c), and the tests hold it
 * there.
 */
#include <string.h>

#include "base/status.h"
#include "rp/interactive.h"

static const rp_launch specs[] = {
    [RP_PIPES] = {.ctrl_c_owner = RP_OWNER_PARENT},
    [RP_PTY] = {.uses_pty = true, .restores_terminal = true, .ctrl_c_owner = RP_OWNER_CHILD},
    [RP_CONSOLE_SHARED] = {.ctrl_c_owner = RP_OWNER_SHARED},
    [RP_CONSOLE_ISOLATED] = {.restores_terminal = true, .ctrl_c_owner = RP_OWNER_PARENT},
    [RP_CONSOLE_FOREGROUND] = {.restores_terminal = true, .ctrl_c_owner = RP_OWNER_CHILD},
};

int rp_launch_spec(rp_transport transport, rp_launch *ret_launch)
{
    const int last = sizeof specs / sizeof specs[0] - 1;
    rp_launch spec;
    size_t size;

    rpi_detail_clear();
    if ((int)transport < 0 || (int)transport > last) {
        return rpi_detail(RP_EINVAL, "transport: no such one: %d", (int)transport);
    }
    if (ret_launch == NULL || ret_launch->size < sizeof size) {
        return rpi_detail(RP_EINVAL, "launch: no struct, or its size is not set");
    }
    size = ret_launch->size;
    spec = specs[transport];
    spec.size = size;
    memcpy(ret_launch, &spec, size < sizeof spec ? size : sizeof spec);
    return 0;
}
