/* exit_storm's libuv row: uv_spawn without pipes, the exit callbacks counted. */
#include <signal.h>
#include <stdlib.h>

#include "bench/exit_storm.h"
#include "bench/uv_child.h"

typedef struct counter {
    rpi_storm *storm;
    size_t exited;
} counter;

static void on_exit_status(uv_process_t *process, int64_t status, int signal)
{
    const rpi_uv_child *child = process->data;
    counter *c = child->owner;

    (void)status;
    if (signal != SIGKILL) {
        rpi_fail(c->storm->sample, "a child ended with signal %d", signal);
    }
    if (++c->exited == c->storm->count) {
        rpi_meter_stop(&c->storm->meter);
    }
    uv_close((uv_handle_t *)process, NULL);
}

static bool start_all(counter *c, uv_loop_t *loop, rpi_uv_child *children)
{
    const rpi_uv_spawn what = {.argv = c->storm->argv, .exited = on_exit_status};

    for (size_t i = 0; i < c->storm->count; i++) {
        int r;

        children[i].owner = c;
        r = rpi_uv_spawn_child(loop, &what, &children[i]);
        if (r < 0) {
            rpi_fail(c->storm->sample, "uv_spawn: %s", uv_strerror(r));
            return false;
        }
        c->storm->pids[i] = children[i].process.pid;
    }
    return true;
}

void rpi_storm_uv(rpi_storm *storm)
{
    static counter
        c; /* static: where a start fails, handles stay in use to the end of the worker process */
    static uv_loop_t loop;
    rpi_uv_child *children = calloc(storm->count, sizeof *children);

    c.storm = storm;
    if (children == NULL || uv_loop_init(&loop) < 0) {
        free(children);
        rpi_fail(storm->sample, "out of memory");
        return;
    }
    if (!start_all(&c, &loop, children)) {
        return;
    }
    rpi_storm_kill(storm);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    (void)uv_loop_close(&loop);
    free(children);
}
