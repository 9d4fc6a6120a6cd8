/* The terminal of a process (see terminal.h), and the public functions about it: size and modes.
 *
 * The slave is kept open for as long as the leader lives, so that a child which closes its
 * terminal, or hands it on and opens it again, does not make it hang up: an end of file is then
 * what it says. It is closed right before the drain. */
#include "core/terminal.h"

#include <string.h>

#include "base/status.h"
#include "core/loop.h"
#include "core/process.h"
#include "pty/pty.h"
#include "rp/terminal.h"

#define AGAIN_NS (20 * RP_MILLISECOND)

struct rpi_terminal {
    uint64_t again_at_ns; /* RP_FOREVER, or when a terminal that hung up is read again */
    int slave;            /* owned; -1 */
    uint16_t rows, cols;  /* asked for while a spawner was at work; 0: not */
    bool counted;         /* in loop->ptys */
};

bool rpi_terminal_is_file(void)
{
    return true;
}

size_t rpi_terminal_size(void)
{
    return sizeof(rpi_terminal);
}

void rpi_terminal_init(rpi_terminal *terminal)
{
    terminal->slave = -1;
    terminal->again_at_ns = RP_FOREVER;
}

int rpi_terminal_master(const rp_process *process)
{
    const rpi_stream *stream = &process->streams[0];

    return process->terminal == NULL || rpi_stream_is_over(stream) ? -1 : (int)stream->io.handle;
}

void rpi_terminal_open(rp_process *process, rpi_launch *launch)
{
    rpi_terminal *terminal = process->terminal;

    terminal->slave = launch->slave;
    launch->slave = -1;
    terminal->counted = true;
    process->loop->ptys++;
    process->loop->descriptors++;
    if (terminal->rows != 0) {
        /* Refused: only by a host that closed the descriptor, which the stream finds out. */
        (void)rpi_pty_set_size(launch->pipes[RP_STDOUT], terminal->rows, terminal->cols);
    }
}

void rpi_terminal_let_go(rp_process *process)
{
    rpi_terminal *terminal = process->terminal;

    if (terminal->slave >= 0) {
        rpi_loop_close_fd(process->loop, terminal->slave);
        process->loop->descriptors--;
        terminal->slave = -1;
    }
    terminal->again_at_ns = RP_FOREVER; /* what was put off is done now, or never */
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
    if (process->state == RPI_PROCESS_RUNNING) {
        /* A terminal is closed as a whole: the child must not wait for who does not read. */
        rpi_writer_fail(process->writer, RP_EPIPE);
    }
    rpi_terminal_closed(process);
}

void rpi_terminal_try_again(rp_process *process)
{
    process->terminal->again_at_ns = rpi_reactor_clock_ns(rpi_process_reactor(process)) + AGAIN_NS;
    rpi_stop_arm(process);
}

uint64_t rpi_terminal_again_at(const rp_process *process)
{
    return process->terminal == NULL ? RP_FOREVER : process->terminal->again_at_ns;
}

void rpi_terminal_again(rp_process *process)
{
    process->terminal->again_at_ns = RP_FOREVER;
    rpi_stream_arm(&process->streams[0]);
}

void rpi_terminal_fini(rp_process *process)
{
    rpi_terminal_let_go(process);
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

static int running_master(const rp_process *process)
{
    int master = rpi_terminal_master(process);

    return master < 0 ? rpi_detail(RP_ESRCH, "the terminal of this child is closed") : master;
}

static int set_size(rp_process *process, uint16_t rows, uint16_t cols)
{
    int r;

    switch ((rpi_process_state)process->state) {
    case RPI_PROCESS_QUEUED:
        process->launch->pty_rows = rows; /* nobody else looks at it yet */
        process->launch->pty_cols = cols;
        return 0;
    case RPI_PROCESS_LAUNCHING:
        process->terminal->rows = rows;
        process->terminal->cols = cols;
        return 0;
    case RPI_PROCESS_RUNNING:
    case RPI_PROCESS_EXITED:
    case RPI_PROCESS_DONE:
        break;
    }
    r = running_master(process);
    return r < 0 ? r : rpi_pty_set_size(r, rows, cols);
}

int rp_pty_resize(rp_process *process, uint16_t rows, uint16_t cols)
{
    int r = terminal_enter(process);

    if (r < 0) {
        return r;
    }
    if (rows == 0 || cols == 0) {
        return rpi_detail(RP_EINVAL, "%s is zero", rows == 0 ? "rows" : "cols");
    }
    if (process->screen != NULL && (uint32_t)rows * cols > RPI_SCREEN_CELLS_MAX) {
        return rpi_detail(RP_EINVAL, "rows, cols: %u by %u are too many for a screen", rows, cols);
    }
    r = set_size(process, rows, cols);
    return r < 0 ? r : rpi_process_screen_resize(process, rows, cols);
}

static int ask_mode(int master, rp_pty_mode *mode)
{
    rpi_pty_modes modes;
    int64_t group = rpi_pty_foreground(master);
    int r = group < 0 ? (int)group : rpi_pty_get_modes(master, &modes);

    r = r < 0 ? r : rpi_pty_get_size(master, &mode->rows, &mode->cols);
    if (r == 0) {
        mode->echo = modes.echo;
        mode->canonical = modes.canonical;
        mode->foreground_pgid = group;
    }
    return r;
}

int rp_pty_get_mode(rp_process *process, rp_pty_mode *ret_mode)
{
    rp_pty_mode mode = {0};
    size_t size;
    int r = terminal_enter(process);

    if (r < 0) {
        return r;
    }
    size = ret_mode->size;
    if (size < sizeof size) {
        return rpi_detail(RP_EINVAL, "the mode has no size");
    }
    if (process->state < RPI_PROCESS_RUNNING) {
        return rpi_detail(RP_EAGAIN, "the child has not started");
    }
    r = running_master(process);
    r = r < 0 ? r : ask_mode(r, &mode);
    if (r == 0) {
        mode.size = size;
        memcpy(ret_mode, &mode, size < sizeof mode ? size : sizeof mode);
    }
    return r;
}
