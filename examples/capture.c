/* Capture: runs a command to its end with some input, and shows all that came of it.
 *
 *     capture INPUT COMMAND [ARGUMENT...]
 *     capture "$(printf 'pear\napple\n')" sort
 *
 * The blocking style: rp_run needs no loop and calls nothing back. Input of any size cannot
 * deadlock, as all three streams are served at once. Exit status: 0 when the command ended with 0,
 * 1 when it did not, 2 for bad usage. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rp/rp.h"

static void show(const char *name, rp_view bytes)
{
    printf("%s, %zu bytes:\n", name, bytes.size);
    (void)fwrite(bytes.data, 1, bytes.size, stdout); /* looked at once, by ferror in main */
    if (bytes.size > 0 && bytes.data[bytes.size - 1] != '\n') {
        printf("\n");
    }
}

static void report(const rp_result *result)
{
    const rp_exit *exit = &result->exit;
    char summary[256];

    (void)rp_exit_summary(exit, summary, sizeof summary);
    show("stdout", result->out);
    show("stderr", result->err);
    printf("%s\n", summary);
    if (exit->kind != RP_SPAWN_FAILED) {
        printf("it took %.3f s, and %.3f s of processor time\n",
               (double)(exit->done_ns - exit->started_ns) / (double)RP_SECOND,
               (double)(exit->user_ns + exit->system_ns) / (double)RP_SECOND);
    }
}

int main(int argc, char **argv)
{
    rp_command command = RP_COMMAND_INIT;
    rp_result result;
    int succeeded;
    int r;

    if (argc < 3) {
        fprintf(stderr, "usage: capture INPUT COMMAND [ARGUMENT...]\n");
        return 2;
    }
    command.argv = (const char *const *)(argv + 2);
    command.input = (rp_view){argv[1], strlen(argv[1])}; /* then its stdin is closed */
    command.timeout_ns = 60 * RP_SECOND;

    r = rp_run(&command, &result);
    if (r < 0) { /* refused; a command that cannot be started is a result */
        fprintf(stderr, "capture: %s: %s\n", rp_strerror(r), rp_error_detail());
        return 1;
    }
    report(&result);
    succeeded = result.exit.code == 0;
    rp_result_free(&result);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fprintf(stderr, "capture: cannot write\n");
        return 1;
    }
    return succeeded ? EXIT_SUCCESS : EXIT_FAILURE;
}
