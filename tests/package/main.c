/* A program outside the project, built by run.sh against the installed package and against the
 * source tree: it runs one child through the public API and checks its output, so that linking,
 * loading and the headers are all put to use. */
#include <stdio.h>
#include <string.h>

#include "rp/rp.h"

int main(void)
{
    const char *const argv[] = {"echo", "hello from outside", NULL};
    rp_command command = RP_COMMAND_INIT;
    rp_result result;
    int r;

    command.argv = argv;
    r = rp_run(&command, &result);
    if (r < 0) {
        fprintf(stderr, "rp_run: %s\n", rp_strerror(r));
        return 1;
    }
    r = result.exit.code == 0 && strcmp(result.out.data, "hello from outside\n") == 0 ? 0 : 1;
    printf("%s: code %d, %s", rp_version(), result.exit.code, result.out.data);
    rp_result_free(&result);
    return r;
}
