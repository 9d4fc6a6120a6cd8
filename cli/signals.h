/* The signals that reach the supervisor, and their names. Handlers write one byte into a pipe of
 * our own; the loop watches its other end. The same pipe carries the writers' news (cli/writer.h),
 * since both only ever mean "look again". */
#ifndef RPI_CLI_SIGNALS_H
#define RPI_CLI_SIGNALS_H

#include <stdbool.h>
#include <stddef.h>

/** One byte of the pipe. */
typedef struct rpi_cli_wake {
    int signal;         /* 0 = a writer has news */
    bool from_keyboard; /* the terminal sent it, to every process of its foreground group */
} rpi_cli_wake;

/** Installs the handlers (INT, TERM, HUP, QUIT, as far as they are not ignored: nohup and
 * background jobs of plain shells stay as they are), ignores SIGPIPE, unblocks the four, puts
 * SIGCHLD at its default. 0 or a negative error. Once in a program's life: there is no way back. */
int rpi_cli_signals_open(int *ret_read_fd, int *ret_write_fd);

/** Takes what is in the pipe: the number of entries written, at most `count`; 0 = empty. Never
 * waits. */
size_t rpi_cli_signals_take(int read_fd, rpi_cli_wake *wakes, size_t count);

/** A writer has news. [any thread] */
void rpi_cli_signals_tell(int write_fd);

/** Blocks the four in the calling thread, or opens them again: threads born in between never run
 * their handlers. */
void rpi_cli_signals_block(bool block);

/** "TERM", "SIGTERM", "sigterm", "15": the number; 0 = there is none such. */
int rpi_cli_signal_number(const char *text);

/** "SIGTERM"; into `text` ("signal 40") where it has no name. Never NULL. */
const char *rpi_cli_signal_name(int number, char *text, size_t text_size);

#endif
