/* Between the files of the Linux spawn path (core/spawn*_linux.c, core/slots_linux.c):
 *
 *   spawn_linux.c           a site and its lanes; one launch from its ends to its results
 *   spawn_ends_linux.c      opens what the launch names, moves our own ends up
 *   spawn_plan_linux.c      which descriptor goes where: built by the parent, read by the child
 *   spawn_child_linux.c     what the child does between clone and exec
 *   spawn_clone_linux.c     children by clone3 and clone: shared table, unshared in the child
 *   spawn_fallback_linux.c  children by posix_spawn and fork
 *   spawn_private_linux.c   a thread with a descriptor table of its own, for hosts with many low
 * ones spawn_probe_linux.c     which of these works slots_linux.c           reserved low
 * descriptors */
#ifndef RPI_CORE_SPAWN_LINUX_H
#define RPI_CORE_SPAWN_LINUX_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/launch.h"
#include "core/slots_linux.h"
#include "core/spawn.h"

/** Where a launch failed. */
typedef enum rpi_phase {
    RPI_PHASE_NONE = 0,
    RPI_PHASE_OPEN,
    RPI_PHASE_PIPE,
    RPI_PHASE_TERMINAL,
    RPI_PHASE_CLONE,
    RPI_PHASE_DESCRIPTORS,
    RPI_PHASE_CGROUP,
    RPI_PHASE_SETSID,
    RPI_PHASE_SETPGID,
    RPI_PHASE_RLIMIT,
    RPI_PHASE_NICE,
    RPI_PHASE_IDS,
    RPI_PHASE_CHDIR,
    RPI_PHASE_EXEC,
    RPI_PHASE_COUNT
} rpi_phase;

/* ---- the ends of a launch ---- */

typedef struct rpi_ends {
    int fds[3];    /* of the child, in our table; -1: closed */
    bool owned[3]; /* closed when the child has them */
} rpi_ends;

/** Where our own descriptors are kept, so that the low numbers are the children's. */
typedef struct rpi_room {
    int low;  /* below it they stay, above 2: a few are cheaper there than moved */
    int high; /* the others go there and above */
} rpi_room;

/** Opens files, pipes, a pseudo-terminal; our ends go to launch->pipes. `null_fd` is a /dev/null
 * that was one when it was opened, or -1. 0, or -errno with the phase: then the child's ends are
 * closed again, ours are the caller's to close. */
int rpi_ends_open(
    int null_fd, rpi_room *room, rpi_launch *launch, rpi_ends *ret_ends, rpi_phase *ret_phase);
void rpi_ends_close(rpi_ends *ends);

/** rpi_room.high, by the limit as it is now. */
int rpi_high_look_up(void);

/** Moves a descriptor of ours up, unless it may stay; -1 stays. The new number, or the old one when
 * there is no room above; -errno only where it would have to stay in 0 to 2, and then it is closed.
 */
int rpi_move_up(rpi_room *room, int fd);

/** Moves a descriptor out of 0 to 2, where it lands in a host that has closed those. The new
 * number, or -errno, and then it is closed. */
int rpi_move_out_of_stdio(int fd);

bool rpi_is_null_device(int fd);

/** Closes; -1 is allowed. */
void rpi_close(int fd);

/* ---- the plan of a child ---- */

typedef struct rpi_child_map {
    int source; /* a descriptor of the host; -1: closed in the child */
    int target; /* its number in the child */
    int from;   /* the same as `source` in the table that the child is made in: a slot, say */
    int moved;  /* the child's own: where it moved `from` out of the way */
} rpi_child_map;

/** Room for 0 to 2 and thirteen more without an allocation. */
#define RPI_PLAN_INLINE 16

typedef struct rpi_child_plan {
    const rpi_launch *launch; /* borrowed */
    const rp_allocator *allocator;
    rpi_child_map *maps; /* by target, ascending */
    int *kept;           /* `from` of all, ascending, each once: what the child needs */
    size_t map_count, kept_count;
    rpi_child_map maps_inline[RPI_PLAN_INLINE];
    int kept_inline[RPI_PLAN_INLINE + 1];
    int target_count;       /* the highest target + 1 */
    bool conflicts;         /* some `from` is a target's number and not that target */
    bool shares_table;      /* the child begins in the parent's descriptor table */
    bool resets_all;        /* the kernel did not clear the handlers */
    bool enters_cgroup;     /* it is not born in the one of its launch */
    bool has_close_range;   /* close_range may be tried */
    uint64_t reset_signals; /* ignored ones that must not be, bit n - 1 for signal n */
    int report;         /* a forked child: the socket for its go-ahead and its failure; else -1 */
    volatile int error; /* what the child says: -errno, and where; in the shared memory */
    volatile rpi_phase phase;
} rpi_child_plan;

/** What a forked child writes to `report`. */
typedef struct rpi_child_report {
    int error;
    int phase;
} rpi_child_report;

/** A plan for `launch` with its three ends (-1 = closed). 0 or -ENOMEM. */
int rpi_plan_init(rpi_child_plan *plan,
                  const rpi_launch *launch,
                  const int ends[3],
                  const rp_allocator *allocator);
void rpi_plan_fini(rpi_child_plan *plan);

/** To be called when every `from` is set, with a further descriptor that the child keeps, or -1. */
void rpi_plan_finish(rpi_child_plan *plan, int report);

/** The highest of what the child needs; -1: nothing. */
int rpi_plan_highest(const rpi_child_plan *plan);

/* ---- making a child ---- */

typedef struct rpi_made {
    int64_t pid;
    int pidfd; /* in the table of the thread that made it */
    int error; /* 0 or -errno: there is no child then */
    rpi_phase phase;
} rpi_made;

/** What a thread needs to make children. */
typedef struct rpi_maker {
    rpi_spawn_method method;
    bool has_close_range;
    bool signals_blocked; /* all but the C library's own are blocked in this thread anyway */
    char *stack;          /* of the child; NULL until first used */
} rpi_maker;

/** Makes the planned child with the maker's method. The result is complete: a child that failed is
 * reaped. */
void rpi_make_child(rpi_maker *maker, rpi_child_plan *plan, rpi_made *ret_made);

/** The upper end of the maker's stack, made at the first call with a guard page below; NULL: no
 * memory. */
char *rpi_maker_stack(rpi_maker *maker);
void rpi_maker_fini(rpi_maker *maker);

void rpi_make_by_clone(rpi_maker *maker, rpi_child_plan *plan, rpi_made *ret_made);
void rpi_make_by_posix_spawn(rpi_maker *maker, rpi_child_plan *plan, rpi_made *ret_made);
void rpi_make_by_fork(rpi_maker *maker, rpi_child_plan *plan, rpi_made *ret_made);

/** Waits for a child that failed and closes its pidfd. */
void rpi_reap_failed(int64_t pid, int pidfd);

/** The child's part; the argument is its plan. Returns the exit code of a failure. */
int rpi_child_main(void *argument);

/* ---- what the system lets us do ---- */

typedef struct rpi_spawn_ability {
    rpi_spawn_method method; /* UNKNOWN: none works */
    bool has_close_range;
} rpi_spawn_ability;

/** Found out once a process. */
rpi_spawn_ability rpi_spawn_probe(void);

/* ---- the private table ---- */

typedef struct rpi_private rpi_private;

/** Starts a thread that has a descriptor table of its own. 0 or -errno. */
int rpi_private_open(const rp_allocator *allocator, const rpi_maker *like, rpi_private **ret_twin);
void rpi_private_close(rpi_private *twin);
void rpi_private_close_forked(rpi_private *twin);

/** As rpi_make_child, in that table. -EAGAIN: the descriptors could not be handed over; make the
 * child here. Otherwise 0, and ret_made says what came of it; its pidfd is in the caller's table.
 * *twin is closed and NULL afterwards where the two lost each other. */
int rpi_private_make_child(rpi_private **twin, rpi_child_plan *plan, rpi_made *ret_made);

/** More descriptors than this do not fit into one message (SCM_MAX_FD of the kernel). */
#define RPI_PRIVATE_MAX 253

#endif
