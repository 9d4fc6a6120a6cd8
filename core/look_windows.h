/* Looking at processes that need not be ours, on Windows: who there is (Toolhelp), since when, and
 * what is in the memory of one that tells of its start (its parameters, found through its PEB).
 * For contain_windows.c. Memory is malloc's: these serve functions that have no loop. */
#ifndef RPI_CORE_LOOK_WINDOWS_H
#define RPI_CORE_LOOK_WINDOWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/os_windows.h"
#include "rp/contain.h"

enum {
    RPI_LOOK_NAME_SIZE = 64
};

/** One process, as a look saw it. */
typedef struct rpi_looked {
    int64_t pid;
    int64_t parent;   /* whoever had that number when it began */
    uint64_t created; /* since 1601, in 100 ns; 0: it may not be asked */
    size_t depth;     /* of the tree it was found in */
    char name[RPI_LOOK_NAME_SIZE];
} rpi_looked;

typedef struct rpi_look {
    rpi_looked *list; /* owned */
    size_t count;
} rpi_look;

/** All processes there are now. 0 or an error. */
int rpi_look_take(rpi_look *ret_look);
void rpi_look_fini(rpi_look *look);

/** The one with this number in the look; NULL. */
const rpi_looked *rpi_look_find(const rpi_look *look, int64_t pid);

/** When a process was created; 0: not known. */
uint64_t rpi_look_created(HANDLE process);

/** What a process told of itself when it began; texts are owned. */
typedef struct rpi_parameters {
    char *command;
    char *cwd;
    char *originator; /* the value of RUNNING_PROCESS_ORIGINATOR; NULL: it has none */
} rpi_parameters;

/** Reads them: 0; an error: it may not be looked into, or is gone. `originator_only`: no more than
 * that. */
int rpi_parameters_read(int64_t pid, bool originator_only, rpi_parameters *ret_parameters);
void rpi_parameters_fini(rpi_parameters *parameters);

#endif
