/* The terminal of a process that has one: what it keeps of its pseudo-terminal beside the stream
 * (which owns the master) and the writer (which owns a duplicate of it). Called by process.c,
 * stream*.c, stop.c, writer*.c. */
#ifndef RPI_CORE_TERMINAL_H
#define RPI_CORE_TERMINAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/launch.h"
#include "rp/process.h"

typedef struct rpi_terminal rpi_terminal;

/** Whether terminals are files here, see rp_process.by_hand. */
bool rpi_terminal_is_file(void);

size_t rpi_terminal_size(void); /* bytes of one */
void rpi_terminal_init(rpi_terminal *terminal);

/** The child runs: takes the slave out of its launch. Before stream and writer are opened. */
void rpi_terminal_open(rp_process *process, rpi_launch *launch);

/** Nothing of ours keeps the terminal from hanging up any more: the leader has gone. More than once
 * is as once. */
void rpi_terminal_let_go(rp_process *process);

/** The stream has closed its descriptor of the master. */
void rpi_terminal_stream_ended(rp_process *process);

/** One of the descriptors of the master was closed. */
void rpi_terminal_closed(rp_process *process);

/** A descriptor of the master, borrowed; -1: none is open. */
int rpi_terminal_master(const rp_process *process);

/** The terminal has hung up although the leader lives: it is looked at again in a while. */
void rpi_terminal_try_again(rp_process *process);

/** When that is due; RP_FOREVER. */
uint64_t rpi_terminal_again_at(const rp_process *process);

/** It is due. */
void rpi_terminal_again(rp_process *process);

/** Closes what is open. */
void rpi_terminal_fini(rp_process *process);

#endif
