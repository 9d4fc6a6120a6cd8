/* A writer takes bytes for descriptors that may block and writes them on a thread of its own, in
 * the order they were put. The loop's thread never waits: it asks whether the writer is full, and
 * stops reading its child until the writer has news. */
#ifndef RPI_CLI_WRITER_H
#define RPI_CLI_WRITER_H

#include <stdbool.h>
#include <stddef.h>

typedef struct rpi_cli_writer rpi_cli_writer;

/** A descriptor to write to: borrowed, never closed, its flags left as they are. Owned by the
 * caller, outlives the writer. */
typedef struct rpi_cli_channel {
    int fd;
    int error; /* under the writer's lock: 0, or the negative error that ended it; what is put after
                  that is dropped */
} rpi_cli_channel;

/** `wake_fd`: told (rpi_cli_signals_tell) when a channel failed, and once after each answer "full"
 * or "busy" that no longer holds. 0, -ENOMEM, -EAGAIN (no thread). */
int rpi_cli_writer_open(int wake_fd, rpi_cli_writer **ret_writer);

/** Whether both descriptors lead to one file, pipe or terminal: then one writer must serve both, or
 * their order is lost. */
bool rpi_cli_writer_is_same(int fd, int other_fd);

/** writer_<system>.c: writes all of it, waiting as long as it takes: 0, or the negative error that
 * ended it. */
int rpi_cli_writer_write(int fd, const char *bytes, size_t size);

/** Copies the bytes. 0; -ENOMEM: nothing was taken. */
int rpi_cli_writer_put(rpi_cli_writer *writer,
                       rpi_cli_channel *channel,
                       const void *bytes,
                       size_t size);

/** More is queued than should be. */
bool rpi_cli_writer_is_full(rpi_cli_writer *writer);

/** Something is not written yet. */
bool rpi_cli_writer_is_busy(rpi_cli_writer *writer);

/** 0, or the error that ended the channel. */
int rpi_cli_writer_error(rpi_cli_writer *writer, const rpi_cli_channel *channel);

/** Writes what is left, ends the thread, frees: waits as long as a descriptor blocks. NULL is
 * allowed. */
void rpi_cli_writer_close(rpi_cli_writer *writer);

#endif
