/* Trying out what this system allows without being harmed by it: a function runs in a disposable
 * child, which a seccomp filter may kill in the host's place. The child is invisible to the host:
 * no SIGCHLD, no status that a wait for any child would collect. Used by the probes of the spawner
 * and of the reactor, once a process each. */
#ifndef RPI_BASE_DISPOSABLE_H
#define RPI_BASE_DISPOSABLE_H

#include <stdbool.h>

/** Runs in the disposable child: async-signal-safe, marked RPI_CHILD_CODE, no errno. Its memory may
 * be the host's own or a copy: nothing but the result (0 or more) tells the host anything. */
typedef int rpi_disposable_fn(void *argument);

typedef enum rpi_disposable_memory {
    RPI_DISPOSABLE_SHARED, /* shares the host's memory where that is safe: cost does not grow with
                              it */
    RPI_DISPOSABLE_COPY    /* a copy, as after fork: for functions that need the C library */
} rpi_disposable_memory;

/** Runs fn(argument) and waits. What it returned; -ECHILD: it died (a filter killed it); another
 * -errno: there was no child. */
int rpi_disposable_run(rpi_disposable_fn *fn, void *argument, rpi_disposable_memory memory);

/** Whether the program runs under valgrind, which ends it at an unusual clone. Asked by a client
 * request: a few instructions that do nothing elsewhere. */
bool rpi_on_valgrind(void);

#endif
