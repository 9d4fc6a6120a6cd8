/* See input.h. Standard input is read when poll says so, and may be anything: what is there is read
 * without waiting, unless somebody else reads the same pipe. Called by supervisor.c. */
#include "cli/input.h"

#include <errno.h>
#include <unistd.h>

static void on_readable(rp_watch *watch, uint32_t events, void *user);

static int listen_again(rpi_cli_input *input)
{
    return rp_watch_start(input->loop, STDIN_FILENO, RP_READABLE, on_readable, input,
                          &input->watch);
}

int rpi_cli_input_start(rpi_cli_input *input)
{
    return listen_again(input);
}

static void stop_listening(rpi_cli_input *input)
{
    rp_watch_close(input->watch);
    input->watch = NULL;
}

/* A terminal in raw mode has no end of file, and then there is none to tell. */
static void tell_end(rpi_cli_input *input)
{
    if (input->ended && !input->holds_end && input->process != NULL) {
        (void)rp_close_stdin(input->process);
    }
}

void rpi_cli_input_release_end(rpi_cli_input *input)
{
    input->holds_end = false;
    tell_end(input);
}

static void end(rpi_cli_input *input, int error)
{
    if (input->watch != NULL) {
        stop_listening(input);
    }
    input->ended = true;
    if (error < 0) {
        input->failed(error, input->user);
    }
    tell_end(input);
}

static void on_written(rp_process *process, int status, void *user)
{
    rpi_cli_input *input = user;
    int r = 0;

    (void)process;
    if (input->process == NULL) {
        return;
    }
    if (status == RP_EMSGSIZE) {
        input->failed(status, input->user);
    }
    if (status == 0 || status == RP_EMSGSIZE) { /* else the command has ended */
        r = listen_again(input);
        if (r < 0) {
            end(input, r);
        }
    }
}

static void on_readable(rp_watch *watch, uint32_t events, void *user)
{
    rpi_cli_input *input = user;
    const ssize_t n = read(STDIN_FILENO, input->bytes, sizeof input->bytes);
    int r;

    (void)watch;
    (void)events;
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (n <= 0) {
        end(input, n == 0 || errno == EBADF ? 0 : -errno); /* EBADF: we were started without */
        return;
    }
    stop_listening(input);
    r = rp_write(input->process, (rp_view){input->bytes, (size_t)n}, on_written, input);
    if (r < 0 && r != RP_EPIPE) {
        end(input, r);
    }
}

void rpi_cli_input_close(rpi_cli_input *input)
{
    if (input->watch != NULL) {
        stop_listening(input);
    }
    input->process = NULL;
}
