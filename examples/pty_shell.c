/* Pty shell: a shell, or whatever else, on a terminal of its own inside yours.
 *
 *     pty_shell [COMMAND [ARGUMENT...]]
 *
 * Keys go there as they are typed, Ctrl-C too; its size follows your window; Ctrl-] leaves it. Your
 * terminal is as before whatever happens. Exit status: the command's own; 128 + n when signal n
 * ended it; 125 when the library refuses. */
#include <stdio.h>
#include <stdlib.h>

#include "rp/rp.h"

enum {
    FAILED = 125
};

typedef struct session {
    rp_process *process;
    int status;
} session;

static void on_done(rp_process *process, const rp_exit *exit, void *user)
{
    session *self = user;

    (void)process;
    if (exit->kind == RP_SPAWN_FAILED) {
        fprintf(stderr, "pty_shell: %s\n", rp_strerror(exit->error));
    }
    self->status = exit->kind == RP_SIGNALED ? 128 + exit->signal : exit->code;
}

/* The terminal is ours again. */
static void on_relay_ended(rp_process *process, int status, void *user)
{
    session *self = user;

    if (status == RP_EOS) {
        return; /* the shell has ended, or the window was closed: `done` says the rest */
    }
    if (status < 0) {
        fprintf(stderr, "pty_shell: %s\n", rp_strerror(status));
    } else {
        printf("\nleft\n");
        self->status = 0;
    }
    self->process = NULL;
    rp_process_close(process); /* hangs up */
}

static void run(rp_loop *loop, const char *const *argv, session *self)
{
    const rp_handlers handlers = {.done = on_done};
    rp_relay_options relay = RP_RELAY_OPTIONS_INIT;
    rp_command command = RP_COMMAND_INIT;
    int r;

    command.argv = argv;
    command.transport = RP_PTY;
    relay.detach_key = "\x1d"; /* Ctrl-] */
    r = rp_spawn(loop, &command, &handlers, self, &self->process);
    if (r < 0) {
        fprintf(stderr, "pty_shell: %s: %s\n", rp_strerror(r), rp_error_detail());
        return;
    }
    /* Without a place for the handle the relay ends with its process. */
    r = rp_relay_start(self->process, &relay, on_relay_ended, self, NULL);
    r = r < 0 ? r : rp_loop_run(loop);
    if (r < 0) {
        fprintf(stderr, "pty_shell: %s: %s\n", rp_strerror(r), rp_error_detail());
        self->status = FAILED;
    }
    rp_process_close(self->process);
}

int main(int argc, char **argv)
{
    const char *shell = getenv("SHELL");
    const char *const own[] = {shell != NULL ? shell : "/bin/sh", NULL};
    session self = {NULL, FAILED};
    rp_loop *loop;
    int r = rp_loop_open(NULL, &loop);

    if (r < 0) {
        fprintf(stderr, "pty_shell: %s\n", rp_strerror(r));
        return FAILED;
    }
    run(loop, argc > 1 ? (const char *const *)(argv + 1) : own, &self);
    (void)rp_loop_close(loop);
    return self.status;
}
