/* Idle: asks an interactive program something, and takes what it says until it goes quiet as its
 * answer.
 *
 *     idle_agent QUIET_MS QUESTION COMMAND [ARGUMENT...]
 *     idle_agent 500 'print(6 * 7)' python3 -q
 *
 * The program has a terminal, as it would by hand. Once it is quiet the first time it is ready, and
 * gets the question; once it is quiet again it has answered, and is stopped: interrupt, once more,
 * kill. Exit status: 0 when there was an answer; 1 when the program ended before; 2 for bad usage.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rp/rp.h"

enum {
    FAILED = 1,
    USAGE = 2,
    QUIET_MS_MAX = 3600 * 1000
};

typedef struct agent {
    const char *question;
    unsigned int quiet_times;
} agent;

/* A spinner or a redraw is output too, but what it shows is not for us to know: all is printed. */
static void on_data(rp_process *process, rp_stream stream, rp_view bytes, void *user)
{
    const agent *self = user;

    (void)process;
    (void)stream;
    if (self->quiet_times == 1) { /* before that: its greeting */
        (void)fwrite(bytes.data, 1, bytes.size, stdout);
    }
}

static void on_idle(rp_process *process, const rp_idle_result *result, void *user)
{
    agent *self = user;
    int r = 0;

    if (result->reason != RP_IDLE_IS_IDLE) {
        return; /* it has ended, which `done` tells too */
    }
    self->quiet_times++;
    if (self->quiet_times == 1) {
        r = rp_write(process, (rp_view){self->question, strlen(self->question)}, NULL, NULL);
        r = r < 0 ? r : rp_submit(process, (rp_view){"\r", 1});
    } else if (self->quiet_times == 2) {
        r = rp_stop(process, NULL);
    }
    if (r < 0) {
        fprintf(stderr, "idle_agent: %s\n", rp_strerror(r));
        (void)rp_kill(process);
    }
}

static int run(rp_loop *loop, agent *self, uint64_t quiet_ns, char **argv)
{
    const rp_handlers handlers = {.data = on_data};
    rp_idle_options idle = RP_IDLE_OPTIONS_INIT;
    rp_command command = RP_COMMAND_INIT;
    rp_process *process;
    int r;

    command.argv = (const char *const *)argv;
    command.transport = RP_PTY;
    idle.timeout_ns = quiet_ns;
    idle.stability_ns = quiet_ns;
    r = rp_spawn(loop, &command, &handlers, self, &process);
    r = r < 0 ? r : rp_idle_start(process, &idle, on_idle, self, NULL);
    r = r < 0 ? r : rp_loop_run(loop);
    return r;
}

int main(int argc, char **argv)
{
    char *end = NULL;
    const unsigned long quiet_ms = argc > 3 ? strtoul(argv[1], &end, 10) : 0;
    agent self = {0};
    rp_loop *loop;
    int r;

    if (quiet_ms == 0 || quiet_ms > QUIET_MS_MAX || *end != '\0') {
        fprintf(stderr, "usage: idle_agent QUIET_MS QUESTION COMMAND [ARGUMENT...]\n");
        return USAGE;
    }
    self.question = argv[2];
    r = rp_loop_open(NULL, &loop);
    if (r == 0) {
        r = run(loop, &self, quiet_ms * RP_MILLISECOND, argv + 3);
        if (r < 0) {
            fprintf(stderr, "idle_agent: %s: %s\n", rp_strerror(r), rp_error_detail());
        }
        (void)rp_loop_close(loop);
    }
    return r < 0 || self.quiet_times < 2 ? FAILED : 0;
}
