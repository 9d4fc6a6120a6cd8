/* Between the files that read a child's output: stream.c (pipes, and what all streams share) and
 * stream_terminal.c (the master of a pseudo-terminal). The states stand in core/process.h. */
#ifndef RPI_CORE_STREAM_H
#define RPI_CORE_STREAM_H

#include "core/process.h"

/* ---- stream.c ---- */

/** Takes a ring for the stream; false: there is no memory now. */
bool rpi_stream_take_ring(rpi_stream *stream);

/** Puts the stream into the queue for ring memory: rpi_stream_arm is called when its turn has come.
 * Its operation is idle. */
void rpi_stream_wait_for_memory(rpi_stream *stream);

/** Counts, keeps and stamps what was read: the last `size` unread bytes. */
void rpi_stream_take_in(rpi_stream *stream, uint32_t size);

/** Nothing more is read: closes the descriptor. Its operation is idle. */
void rpi_stream_end(rpi_stream *stream);

/** It ends although more may come, as it cannot be read: tells the log and the capture. */
void rpi_stream_note_loss(rpi_stream *stream, int error);

/** Starts the stream's operation, whose fields are set; where that fails the stream ends. */
void rpi_stream_start_op(rpi_stream *stream, rpi_op_kind kind);

/* ---- stream_terminal.c: instead of what stream.c does for pipes ---- */

/** A read is wanted. */
void rpi_stream_terminal_arm(rpi_stream *stream);

/** The stream's operation has completed, its process is not closed: reads what there is. Whether
 * bytes came. */
bool rpi_stream_terminal_read(rpi_stream *stream);

/** The leader is gone, no operation is pending: the drain begins. */
void rpi_stream_terminal_drain(rpi_stream *stream);

#endif
