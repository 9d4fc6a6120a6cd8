/* What stands for a process of the contract test: nothing but its number. See rig.h. */
#include "tests/reactor/rig.h"

intptr_t rig_process_handle(int64_t pid)
{
    (void)pid; // the operation has it
    return -1;
}
