/* The two ways to make a child that shares the caller's memory, through trampolines of our own for
 * each architecture: the C library's clone() confuses sanitizers and ends the process under some
 * (see the .c file). Nobody calls these but the system-call table (base/os.h), which is how they
 * can be failed by tests. Where an architecture has no trampoline both return -ENOSYS. */
#ifndef RPI_BASE_CLONE_H
#define RPI_BASE_CLONE_H

#include <stddef.h>
#include <stdint.h>

#include "base/os.h"

/** clone3: the child's number, or -errno. In the child fn(argument) runs on args' stack, and its
 * result is the exit code. */
int rpi_clone3(const rpi_clone_args *args, size_t size, rpi_child_fn *fn, void *argument);

/** clone: the same, with the stack's upper end; *ret_pidfd is written when `flags` has CLONE_PIDFD.
 * The low byte of `flags` is the exit signal. */
int rpi_clone(uint64_t flags, void *stack_top, int *ret_pidfd, rpi_child_fn *fn, void *argument);

#endif
