/* A child of libuv, as all cases with a libuv row start one. The owner reads and closes the pipes
 * that it asked for. */
#ifndef RPI_BENCH_UV_CHILD_H
#define RPI_BENCH_UV_CHILD_H

#include <stdbool.h>

#include <uv.h>

typedef struct rpi_uv_child {
    uv_process_t process;
    uv_pipe_t out, err;
    void *owner; /* borrowed */
    int open;    /* handles that the owner still has to see closed */
} rpi_uv_child;

typedef struct rpi_uv_spawn {
    const char *const *argv;
    bool has_in;
    int in_fd; /* inherited as standard input, where has_in */
    bool pipes_out, pipes_err;
    uv_exit_cb exited;
} rpi_uv_spawn;

/* All handles' data is the child. 0, or a libuv error. */
int rpi_uv_spawn_child(uv_loop_t *loop, const rpi_uv_spawn *what, rpi_uv_child *child);

#endif
