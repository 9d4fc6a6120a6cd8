/* The terminal of a process on Windows (see terminal.h): a pseudo-console. Its output and input are
 * pipes like any other for stream.c and writer.c. When the leader has gone it is closed by a thread
 * of its own (pty/pty_windows.c), which writes out what it still holds and then ends the output: so
 * the stream is read to its end of file. An end that does not come is not waited for: after a
 * while what is there is the rest. */
#include <string.h>

#include "base/assert.h"
#include "base/status.h"
#include "core/loop.h"
#include "core/process.h"
#include "core/stream.h"
#include "core/terminal.h"
#include "core/writer.h"
#include "pty/pty.h"
#include "rp/terminal.h"

#define END_NS (5 * RP_SECOND) /* for a console that is closed to end its output */

struct rpi_terminal {
    void *console;       /* owned; NULL: closed */
    uint64_t end_at_ns;  /* when its end is not waited for any more; RP_FOREVER */
    uint16_t rows, cols; /* as they were set last */
    bool counted;        /* in loop->ptys */
};

bool rpi_terminal_is_file(void)
{
    return false;
}

size_t rpi_terminal_size(void)
{
    return sizeof(rpi_terminal);
}

void rpi_terminal_init(rpi_terminal *terminal)
{
    terminal->end_at_ns = RP_FOREVER;
}

int rpi_terminal_master(const rp_process *process)
{
    (void)process;
    return -1; /* there is no such descriptor */
}

void rpi_terminal_open(rp_process *process, rpi_launch *launch)
{
    rpi_terminal *terminal = process->terminal;

    terminal->console = launch->console;
    launch->console = NULL;
    terminal->counted = true;
    process->loop->ptys++;
    if (terminal->rows == 0) {
        terminal->rows = launch->pty_rows;
        terminal->cols = launch->pty_cols;
    } else {
        (void)rpi_pty_console_resize(terminal->console, terminal->rows, terminal->cols);
    }
}

void rpi_terminal_let_go(rp_process *process)
{
    rpi_terminal *terminal = process->terminal;

    if (terminal->console != NULL) {
        rpi_pty_console_close(terminal->console);
        terminal->console = NULL;
        terminal->end_at_ns = rpi_reactor_clock_ns(rpi_process_reactor(process)) + END_NS;
    }
}

void rpi_terminal_closed(rp_process *process)
{
    rpi_terminal *terminal = process->terminal;

    if (terminal->counted && rpi_stream_is_over(&process->streams[0]) &&
        !rpi_writer_is_open(process->writer)) {
        terminal->counted = false;
        process->loop->ptys--;
    }
}

void rpi_terminal_stream_ended(rp_process *process)
{
    rpi_terminal_let_go(process);
    process->terminal->end_at_ns = RP_FOREVER;
    if (process->state == RPI_PROCESS_RUNNING) {
        rpi_writer_fail(process->writer, RP_EPIPE);
    }
    rpi_terminal_closed(process);
}

void rpi_terminal_try_again(rp_process *process)
{
    (void)process; /* a console that ends its output has ended */
}

uint64_t rpi_terminal_again_at(const rp_process *process)
{
    return process->terminal == NULL || process->state != RPI_PROCESS_EXITED
               ? RP_FOREVER
               : process->terminal->end_at_ns;
}

void rpi_terminal_again(rp_process *process)
{
    process->terminal->end_at_ns = RP_FOREVER;
    rpi_loop_log(process->loop, 1, "the console of child %lld does not end its output",
                 (long long)process->pid);
    rpi_stream_settle(&process->streams[0]);
}

void rpi_terminal_fini(rp_process *process)
{
    rpi_terminal_let_go(process);
}

/* ---- what only terminals that are files have: never called, as by_hand is false ---- */

void rpi_stream_terminal_arm(rpi_stream *stream)
{
    (void)stream;
    RP_ASSERT(!rpi_stream_process(stream)->by_hand);
}

bool rpi_stream_terminal_read(rpi_stream *stream)
{
    RP_ASSERT(!rpi_stream_process(stream)->by_hand);
    return false;
}

void rpi_stream_terminal_drain(rpi_stream *stream)
{
    RP_ASSERT(!rpi_stream_process(stream)->by_hand);
}

void rpi_writer_terminal_go_on(rpi_writer *writer)
{
    RP_ASSERT(!writer->process->by_hand);
}

int rpi_writer_terminal_can_end(rpi_writer *writer)
{
    (void)writer;
    return rpi_detail(RP_EUNSUPPORTED,
                      "a console has no end of input: type what the program takes for one");
}

/* ---- the public functions ------------------------------------------------------ */

static int terminal_enter(rp_process *process)
{
    int r = rpi_loop_enter(process->loop);

    if (r == 0 && process->terminal == NULL) {
        return rpi_detail(RP_EINVAL, "this child is not on a pseudo-terminal (RP_PTY)");
    }
    return r;
}

static int set_size(rp_process *process, uint16_t rows, uint16_t cols)
{
    rpi_terminal *terminal = process->terminal;
    int r = 0;

    if (process->state == RPI_PROCESS_QUEUED) {
        process->launch->pty_rows = rows; /* nobody else looks at it yet */
        process->launch->pty_cols = cols;
        return 0;
    }
    if (process->state != RPI_PROCESS_LAUNCHING) {
        if (terminal->console == NULL) {
            return rpi_detail(RP_ESRCH, "the terminal of this child is closed");
        }
        r = rpi_pty_console_resize(terminal->console, rows, cols);
    }
    if (r == 0) {
        terminal->rows = rows;
        terminal->cols = cols;
    }
    return r;
}

int rp_pty_resize(rp_process *process, uint16_t rows, uint16_t cols)
{
    int r = terminal_enter(process);

    if (r < 0) {
        return r;
    }
    if (rows == 0 || cols == 0 || rows > INT16_MAX || cols > INT16_MAX) {
        return rpi_detail(RP_EINVAL, "rows, cols: between 1 and 32,767");
    }
    if (process->screen != NULL && (uint32_t)rows * cols > RPI_SCREEN_CELLS_MAX) {
        return rpi_detail(RP_EINVAL, "rows, cols: %u by %u are too many for a screen", rows, cols);
    }
    r = set_size(process, rows, cols);
    return r < 0 ? r : rpi_process_screen_resize(process, rows, cols);
}

int rp_pty_get_mode(rp_process *process, rp_pty_mode *ret_mode)
{
    int r = terminal_enter(process);

    (void)ret_mode;
    return r < 0 ? r
                 : rpi_detail(RP_EUNSUPPORTED,
                              "what a program has set its console to is not told outside of it");
}
