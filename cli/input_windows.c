/* See input.h. Typing on a pseudo-console from standard input is not built for Windows. */
#include "cli/input.h"

int rpi_cli_input_start(rpi_cli_input *input)
{
    (void)input;
    return RP_EUNSUPPORTED;
}

void rpi_cli_input_release_end(rpi_cli_input *input)
{
    input->holds_end = false;
}

void rpi_cli_input_close(rpi_cli_input *input)
{
    input->process = NULL;
}
