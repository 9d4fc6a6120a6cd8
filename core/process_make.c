/* Making and freeing a process: rp_spawn checks the command, builds the launch, lays the process
 * and what its options need into one block of memory, and queues it. What happens then is
 * process.c's. */
#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "base/os.h"
#include "base/status.h"
#include "core/command.h"
#include "core/loop.h"
#include "core/process.h"
#include "core/terminal.h"

/* What stands behind a process in its block of memory. */
typedef struct block_layout {
    size_t size;
    size_t settings, lines, captures, writer, pull, chunks, terminal; /* offsets; 0 = not there */
} block_layout;

static size_t carve(block_layout *layout, size_t size)
{
    size_t place = layout->size;

    layout->size += (size + 15) & ~(size_t)15;
    return place;
}

/* What a process is made of. */
typedef struct ingredients {
    const rp_command *command;
    rpi_launch *launch;   /* owned */
    rpi_limiter *limiter; /* owned; NULL */
    rpi_handlers handlers;
    bool pull;
} ingredients;

static block_layout plan(const ingredients *from)
{
    const rp_command *command = from->command;
    block_layout layout = {.size = 0};
    rpi_settings settings;

    (void)carve(&layout, sizeof(rp_process));
    rpi_settings_from(command, &settings);
    // Padding that differs only makes a copy that was not needed.
    // NOLINTNEXTLINE(bugprone-suspicious-memory-comparison,cert-exp42-c,cert-flp37-c)
    if (memcmp(&settings, &rpi_settings_default, sizeof settings) != 0) {
        layout.settings = carve(&layout, sizeof settings);
    }
    if (from->pull || from->handlers.line != NULL) {
        layout.lines = carve(&layout, 2 * sizeof(rpi_lines));
    }
    if (command->capture_max > 0) {
        layout.captures = carve(&layout, 2 * sizeof(rpi_capture));
        if (command->capture_order) {
            layout.chunks = carve(&layout, rpi_chunks_size());
        }
    }
    if (from->launch->ends[RP_STDIN].kind == RPI_END_PIPE || from->launch->terminal) {
        layout.writer = carve(&layout, rpi_writer_size());
    }
    if (from->launch->terminal) {
        layout.terminal = carve(&layout, rpi_terminal_size());
    }
    if (from->pull) {
        layout.pull = carve(&layout, rpi_pull_size());
    }
    return layout;
}

static void *behind(rp_process *process, size_t place)
{
    return place == 0 ? NULL : (char *)process + place;
}

/* Whether we read that output: a pseudo-terminal's two are one. */
static bool is_ours(const rpi_launch *launch, int index)
{
    return launch->ends[index + 1].kind == RPI_END_PIPE || (launch->terminal && index == 0);
}

static void
place_streams(rp_process *process, const rp_command *command, const block_layout *layout)
{
    rpi_lines *lines = behind(process, layout->lines);
    rpi_capture *captures = behind(process, layout->captures);

    for (int i = 0; i < 2; i++) {
        rpi_stream *stream = &process->streams[i];

        stream->index = (uint8_t)i;
        rpi_op_init(&stream->op, RPI_OP_READ, &stream->io, NULL);
        if (!is_ours(process->launch, i)) {
            continue;
        }
        stream->ours = true;
        stream->lines = lines == NULL ? NULL : lines + i;
        if (stream->lines != NULL) {
            rpi_lines_init(stream->lines, &process->loop->allocator, &process->settings->lines);
        }
        stream->capture = captures == NULL ? NULL : captures + i;
        if (stream->capture != NULL) {
            rpi_capture_init(stream->capture, command->capture_max, command->capture_keep);
        }
    }
}

static void place_parts(rp_process *process, const rp_command *command, const block_layout *layout)
{
    rpi_settings *settings = behind(process, layout->settings);

    process->settings = &rpi_settings_default;
    if (settings != NULL) {
        rpi_settings_from(command, settings);
        process->settings = settings;
    }
    place_streams(process, command, layout);
    process->terminal = behind(process, layout->terminal);
    if (process->terminal != NULL) {
        rpi_terminal_init(process->terminal);
        process->by_hand = rpi_terminal_is_file();
    }
    process->writer = behind(process, layout->writer);
    if (process->writer != NULL) {
        rpi_writer_init(process, process->writer);
    }
    process->chunks = behind(process, layout->chunks);
    if (process->chunks != NULL) {
        rpi_chunks_init(process->chunks);
    }
    process->pull = behind(process, layout->pull);
    if (process->pull != NULL) {
        rpi_pull_init(process, process->pull);
    }
}

/* Takes launch and limiter over, also on failure. */
static int process_make(rp_loop *loop, const ingredients *from, rp_process **ret_process)
{
    block_layout layout = plan(from);
    rpi_launch *launch = from->launch;
    rp_process *process = rpi_alloc_zero(&loop->allocator, layout.size);
    int r = -ENOMEM;

    if (process == NULL) {
        goto fail;
    }
    process->loop = loop;
    r = rpi_timer_init(&loop->reactor, &process->timer, rpi_stop_timer);
    if (r < 0) {
        goto fail;
    }
    process->block_size = layout.size;
    process->launch = launch;
    process->handlers = from->handlers;
    process->own_group = launch->own_group || launch->new_session;
    process->own_session = launch->new_session;
    process->pidfd = -1;
    process->job = -1;
    process->step_at_ns = RP_FOREVER;
    process->exit.queued_ns = launch->queued_ns;
    launch->order = loop->order_next++;
    rpi_list_init(&process->node);
    rpi_list_init(&process->observers);
    rpi_list_init(&launch->node);
    rpi_task_init(&process->task, rpi_process_task);
    launch->user = process;
    place_parts(process, from->command, &layout);
    if (from->limiter != NULL) {
        rpi_limiter_attach(from->limiter, process);
    }
    *ret_process = process;
    return 0;

fail:
    rpi_free(&loop->allocator, process, layout.size);
    rpi_launch_free(launch);
    rpi_limiter_free(from->limiter);
    return r;
}

void rpi_process_close_pidfd(rp_process *process)
{
    rp_loop *loop = process->loop;

    if (process->pidfd != -1) {
        rpi_io_forget(&loop->reactor, &process->exit_io);
        if (process->pidfd >= 0) {
            rpi_loop_close_fd(loop, process->pidfd);
        }
        loop->descriptors--;
        process->pidfd = -1;
    }
}

void rpi_process_free(rp_process *process)
{
    rp_loop *loop = process->loop;

    RP_ASSERT(process->launch == NULL);
    rpi_observers_drop(process);
    if (process->group != NULL) {
        rpi_group_leave(process);
    }
    if (process->own_session) {
        rpi_sessions_forget(process);
    }
    if (process->track_row != NULL) {
        rpi_track_let_go(process->track_row);
    }
    rpi_list_remove(&process->node);
    rpi_task_cancel(&process->task);
    rpi_timer_fini(&loop->reactor, &process->timer);
    if (process->writer != NULL) {
        rpi_writer_fini(process->writer);
    }
    rpi_free(&loop->allocator, process->own_ladder, sizeof *process->own_ladder);
    if (process->pull != NULL) {
        rpi_pull_fini(process);
    }
    if (process->chunks != NULL) {
        rpi_chunks_fini(process);
    }
    for (int i = 0; i < 2; i++) {
        rpi_stream_fini(&process->streams[i]);
    }
    if (process->terminal != NULL) {
        rpi_terminal_fini(process);
    }
    rpi_process_close_pidfd(process);
    if (process->job >= 0) {
        rpi_os_close(process->job);
    }
    rpi_free(&loop->allocator, process, process->block_size);
    rpi_admission_wake(loop);
}

/* ---- rp_spawn --------------------------------------------------------------- */

static void read_handlers(const rp_handlers *handlers, rpi_handlers *ret_handlers)
{
    *ret_handlers = (rpi_handlers){0};
    if (handlers != NULL) {
        ret_handlers->started = handlers->started;
        ret_handlers->data = handlers->data;
        ret_handlers->line = handlers->line;
        ret_handlers->eos = handlers->eos;
        ret_handlers->exited = handlers->exited;
        ret_handlers->done = handlers->done;
        ret_handlers->stopped = handlers->stopped;
        ret_handlers->timed_out = handlers->timed_out;
    }
}

static int add_input(rp_process *process, rp_view input)
{
    int r = 0;

    if (process->writer == NULL || input.data == NULL) {
        return 0;
    }
    if (input.size > 0) {
        r = rpi_writer_add(process->writer, input, NULL, NULL);
    }
    rpi_writer_end(process->writer);
    return r;
}

/* Reads and checks the command, and prepares what it needs. On an error there is nothing of it. */
static int prepare(rp_loop *loop, const rp_command *command, rp_command *full, ingredients *from)
{
    int r = rpi_command_read(command, full);

    if (r == 0 && full->group != NULL) {
        r = rpi_group_check(full->group, loop);
        full->originator = full->originator != NULL ? full->originator : full->group->originator;
    }
    r = r < 0 ? r : rpi_command_check(full);
    r = r < 0 ? r : rpi_launch_build(&loop->allocator, full, &from->launch);
    if (r < 0) {
        return r;
    }
    r = rpi_limiter_make(loop, full, &from->limiter);
    if (r < 0) {
        rpi_launch_free(from->launch);
    }
    return r;
}

int rp_spawn(rp_loop *loop,
             const rp_command *command,
             const rp_handlers *handlers,
             void *user,
             rp_process **ret_process)
{
    rp_command full;
    ingredients from = {.command = &full, .pull = handlers == NULL && ret_process != NULL};
    rp_process *process;
    int r = rpi_loop_enter(loop);

    if (r < 0) {
        return r;
    }
    if (loop->closing) {
        return rpi_detail(RP_ECANCELED, "the loop is being closed");
    }
    r = prepare(loop, command, &full, &from);
    if (r < 0) {
        return r;
    }
    read_handlers(handlers, &from.handlers);
    r = process_make(loop, &from, &process);
    if (r < 0) {
        return r;
    }
    r = add_input(process, full.input);
    if (r == 0 && full.transport == RP_CONSOLE_FOREGROUND) {
        r = rpi_foreground_open(process);
    }
    if (r == 0 && full.screen) {
        r = rpi_process_screen_open(process, process->launch->pty_rows, process->launch->pty_cols);
    }
    if (r < 0) {
        rpi_launch_free(process->launch);
        process->launch = NULL;
        rpi_process_free(process);
        return r;
    }
    if (full.group != NULL) {
        rpi_group_join(full.group, process);
    }
    if (loop->track != NULL) {
        process->track_row = rpi_track_row_make(loop->track, &full);
    }
    process->user = user;
    process->closes_itself = ret_process == NULL;
    process->counted = true;
    loop->reactor.left++;
    rpi_list_append(&loop->processes, &process->node);
    rpi_admission_add(process);
    rpi_stop_arm(process); /* a deadline counts while queued too */
    if (ret_process != NULL) {
        *ret_process = process;
    }
    return 0;
}
