/* What a process can be asked, and the pause and the closing of its streams: the small public
 * functions that change no state of its life. */
#include <string.h>

#include "base/status.h"
#include "core/loop.h"
#include "core/process.h"

rp_loop *rp_process_loop(const rp_process *process)
{
    return process->loop;
}

void *rp_process_user(const rp_process *process)
{
    return process->user;
}

void rp_process_set_user(rp_process *process, void *user)
{
    process->user = user;
}

int64_t rp_process_pid(const rp_process *process)
{
    return process->pid;
}

intptr_t rp_process_handle(const rp_process *process)
{
    return process->pidfd < 0 ? -1 : process->pidfd;
}

bool rp_process_is_running(const rp_process *process)
{
    return process->state < RPI_PROCESS_EXITED;
}

const rp_exit *rp_process_exit(const rp_process *process)
{
    return process->state < RPI_PROCESS_EXITED ? NULL : &process->exit;
}

/* The piped stream of that name, or NULL. */
static const rpi_stream *stream_of(const rp_process *process, rp_stream stream)
{
    if (stream != RP_STDOUT && stream != RP_STDERR) {
        return NULL;
    }
    return &process->streams[stream - 1];
}

rp_view rp_process_captured(const rp_process *process, rp_stream stream, bool *ret_truncated)
{
    const rpi_stream *found = stream_of(process, stream);

    if (found == NULL || found->capture == NULL) {
        if (ret_truncated != NULL) {
            *ret_truncated = false;
        }
        return (rp_view){"", 0};
    }
    if (ret_truncated != NULL) {
        *ret_truncated = found->capture->truncated;
    }
    return rpi_capture_view(found->capture);
}

size_t rp_process_discard_captured(rp_process *process, rp_stream stream)
{
    rp_loop *loop = process->loop;
    size_t freed = 0;

    for (unsigned int i = 0; i < 2; i++) {
        rpi_capture *capture = process->streams[i].capture;

        if (capture != NULL && ((unsigned int)stream & (i + 1)) != 0) {
            freed += rpi_capture_discard(capture, &loop->allocator, &loop->budget);
        }
    }
    return freed;
}

size_t rp_process_available(const rp_process *process, rp_stream stream)
{
    size_t available = 0;

    for (unsigned int i = 0; i < 2; i++) {
        const rpi_stream *found = &process->streams[i];

        if (((unsigned int)stream & (i + 1)) != 0) {
            available += found->ring.count;
            available += found->lines != NULL ? rpi_lines_held(found->lines) : 0;
        }
    }
    return available;
}

/* ---- pause ------------------------------------------------------------------------ */

static int set_paused(rp_process *process, rp_stream stream, bool paused)
{
    int r = rpi_loop_enter(process->loop);

    if (r < 0) {
        return r;
    }
    if (stream < RP_STDOUT || stream > RP_BOTH) {
        return rpi_detail(RP_EINVAL, "stream %d cannot be paused", (int)stream);
    }
    if (process->pull != NULL) {
        return rpi_detail(RP_EINVAL, "in pull mode not to pull is the pause");
    }
    for (unsigned int i = 0; i < 2; i++) {
        if (((unsigned int)stream & (i + 1)) != 0) {
            process->streams[i].paused = paused;
        }
    }
    if (!paused) {
        process->active_at_ns = rpi_reactor_clock_ns(rpi_process_reactor(process));
        process->heard_at_ns = process->active_at_ns;
        rpi_process_advance_later(process);
    }
    return 0;
}

int rp_pause(rp_process *process, rp_stream stream)
{
    return set_paused(process, stream, true);
}

int rp_resume(rp_process *process, rp_stream stream)
{
    return set_paused(process, stream, false);
}

int rp_close_output(rp_process *process, rp_stream stream)
{
    int r = rpi_loop_enter(process->loop);

    if (r < 0) {
        return r;
    }
    if (stream < RP_STDOUT || stream > RP_BOTH) {
        return rpi_detail(RP_EINVAL, "stream %d is no output", (int)stream);
    }
    if (process->state < RPI_PROCESS_RUNNING) {
        return rpi_detail(RP_EAGAIN, "the child has not started");
    }
    for (unsigned int i = 0; i < 2; i++) {
        if (((unsigned int)stream & (i + 1)) != 0) {
            rpi_stream_shut(&process->streams[i]);
        }
    }
    return 0;
}
