/* Hello: one child, its lines as they come, and how it ended.
 *
 *     hello                         runs `echo hello, world`
 *     hello COMMAND [ARGUMENT...]   runs that
 *
 * The whole of the callback style: open a loop, spawn with handlers, run the loop until nothing is
 * left, close it. Exit status: the command's own; 128 + n when signal n ended it; 125 when the
 * library refuses. */
#include <stdio.h>
#include <stdlib.h>

#include "rp/rp.h"

enum {
    FAILED = 125
};

/* The text of a line is borrowed: it is ours until we return, and no NUL follows it. */
static void on_line(rp_process *process, rp_stream stream, const rp_line *line, void *user)
{
    (void)process;
    (void)user;
    printf("%s: %.*s\n", stream == RP_STDOUT ? "out" : "err", (int)line->text.size,
           line->text.data);
}

/* Comes once and last, whatever happened: also for a command that could not be started. */
static void on_done(rp_process *process, const rp_exit *exit, void *user)
{
    int *status = user;
    char summary[256];

    (void)process;
    (void)rp_exit_summary(exit, summary, sizeof summary);
    printf("%s\n", summary);
    if (exit->kind == RP_SIGNALED) {
        *status = 128 + exit->signal;
    } else if (exit->kind != RP_LOST) { /* lost: how it ended is known to nobody */
        *status = exit->code;
    }
}

/* The status to exit with, or a negative error. */
static int run(rp_loop *loop, const char *const *argv)
{
    const rp_handlers handlers = {.line = on_line, .done = on_done};
    rp_command command = RP_COMMAND_INIT;
    int status = FAILED;
    int r;

    command.argv = argv;
    /* Without a place for the handle the process closes itself after `done`. */
    r = rp_spawn(loop, &command, &handlers, &status, NULL);
    if (r < 0) {
        return r;
    }
    r = rp_loop_run(loop);
    return r < 0 ? r : status;
}

int main(int argc, char **argv)
{
    static const char *const greeting[] = {"echo", "hello, world", NULL};
    rp_loop *loop;
    int r = rp_loop_open(NULL, &loop);

    if (r < 0) {
        fprintf(stderr, "hello: %s\n", rp_strerror(r));
        return FAILED;
    }
    r = run(loop, argc > 1 ? (const char *const *)(argv + 1) : greeting);
    if (r < 0) {
        fprintf(stderr, "hello: %s: %s\n", rp_strerror(r), rp_error_detail());
        r = FAILED;
    }
    (void)rp_loop_close(loop);
    return r;
}
