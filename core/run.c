/* Running a command to its end: a process with both streams captured, and turns of the loop until
 * it is done. rp_run does that in a loop of its own, without spawner threads: there is nothing that
 * a thread could do meanwhile. */
#include <string.h>

#include "base/alloc.h"
#include "base/status.h"
#include "core/command.h"
#include "core/loop.h"
#include "core/process.h"
#include "rp/iterate.h"

static void on_done(rp_process *process, const rp_exit *exit, void *user)
{
    bool *done = user;

    (void)process;
    (void)exit;
    *done = true;
}

/* The captured bytes in memory of the default allocator, which rp_result_free gives back. */
static int take_output(rp_process *process, int index, rp_view *ret_bytes, bool *ret_truncated)
{
    const rp_allocator *allocator = &process->loop->allocator;
    rpi_capture *capture = process->streams[index].capture;
    rp_view bytes = {"", 0};
    size_t capacity;
    char *memory;
    char *copy;

    if (capture == NULL) { /* not a pipe */
        *ret_bytes = bytes;
        *ret_truncated = false;
        return 0;
    }
    *ret_truncated = capture->truncated;
    memory = rpi_capture_take(capture, &process->loop->budget, &bytes, &capacity);
    if (bytes.size == 0 || allocator->resize == rpi_alloc_default()->resize) {
        if (bytes.size == 0) {
            rpi_free(allocator, memory, capacity);
        }
        *ret_bytes = bytes;
        return 0;
    }
    copy = rpi_alloc(rpi_alloc_default(), bytes.size + 1);
    if (copy != NULL) {
        memcpy(copy, bytes.data, bytes.size);
        copy[bytes.size] = '\0';
        *ret_bytes = (rp_view){copy, bytes.size};
    }
    rpi_free(allocator, memory, capacity);
    return copy == NULL ? RP_ENOMEM : 0;
}

static int take_result(rp_process *process, rp_result *ret_result)
{
    rp_result result = {.exit = process->exit};
    int r = take_output(process, 0, &result.out, &result.out_truncated);

    r = r < 0 ? r : take_output(process, 1, &result.err, &result.err_truncated);
    if (r < 0) {
        rp_result_free(&result);
        return r;
    }
    *ret_result = result;
    return 0;
}

static int wait_until_done(rp_process *process, const bool *done)
{
    rp_loop *loop = process->loop;
    bool gone = false;
    int r = 0;

    process->gone = &gone;
    while (r >= 0 && !*done && !gone) {
        r = rpi_loop_wait_turn(loop, RP_FOREVER);
    }
    if (gone) {
        return rpi_detail(RP_ECANCELED, "the process was closed meanwhile");
    }
    process->gone = NULL;
    if (r < 0 && !*done) {
        rp_process_close(process);
        return r;
    }
    return 0;
}

int rp_run_on(rp_loop *loop, const rp_command *command, rp_result *ret_result)
{
    static const rp_handlers handlers = {.done = on_done};
    rp_command full;
    rp_process *process;
    bool done = false;
    int r = rpi_loop_enter(loop);

    if (r == 0 && loop->reactor.running) {
        return rpi_detail(RP_EDEADLK, "called from inside a callback of this loop");
    }
    r = r < 0 ? r : rpi_command_read(command, &full);
    if (r < 0) {
        return r;
    }
    if (full.capture_max == 0) {
        full.capture_max = RP_UNLIMITED;
    }
    if (full.on_close == RP_ON_CLOSE_DETACH) {
        full.on_close = RP_ON_CLOSE_KILL; /* it is closed running only on an error */
    }
    r = rp_spawn(loop, &full, &handlers, &done, &process);
    r = r < 0 ? r : wait_until_done(process, &done);
    if (r < 0) {
        return r;
    }
    r = take_result(process, ret_result);
    rp_process_close(process);
    return r;
}

int rp_run(const rp_command *command, rp_result *ret_result)
{
    rp_loop_options options = RP_LOOP_OPTIONS_INIT;
    rp_loop *loop;
    int r;

    options.spawn_threads = RP_SPAWN_INLINE;
    r = rp_loop_open(&options, &loop);
    if (r < 0) {
        return r;
    }
    r = rp_run_on(loop, command, ret_result);
    if (r < 0) { /* closing clears the detail of what went wrong */
        char detail[256];

        (void)strncpy(detail, rp_error_detail(), sizeof detail - 1);
        detail[sizeof detail - 1] = '\0';
        (void)rp_loop_close(
            loop); /* the tree was killed: what did not end is not ours to report here */
        rpi_detail_set(detail);
        return r;
    }
    (void)rp_loop_close(loop);
    return 0;
}

static void free_view(rp_view *view)
{
    if (view->size > 0) { /* an empty one is a constant */
        rp_free((void *)(uintptr_t)view->data);
    }
    *view = (rp_view){NULL, 0};
}

void rp_result_free(rp_result *result)
{
    if (result != NULL) {
        free_view(&result->out);
        free_view(&result->err);
        *result = (rp_result){0};
    }
}
