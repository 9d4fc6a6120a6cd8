/* Which library this is. The version comes from the build (RPI_VERSION), which has it from one
 * place; the header's number stands for the same. */
#include "rp/base.h"

const char *rp_version(void)
{
    return RPI_VERSION;
}

uint32_t rp_version_number(void)
{
    return RP_VERSION_NUMBER;
}
