/* Which way of making children works here, found out once a process: by doing it, in a disposable
 * child (base/disposable.h), as a filter may kill whoever tries. The child of the trial does what
 * matters and may be refused: it unshares its table by close_range.
 *
 * The order is that of cost: clone3 and clone with a shared table, the same with a copied one where
 * close_range is refused, posix_spawn (architectures without trampolines), fork. Under valgrind,
 * which ends a program at the first unusual clone, no trial is made: fork. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clone.h"
#include "base/disposable.h"
#include "base/raw_linux.h"
#include "core/spawn_linux.h"

#define TRIAL_STACK_SIZE ((size_t)16 * 1024)
#define NO_SUCH_PROGRAM "/dev/null/program" /* ENOTDIR in any system that has a /dev/null */

#define CLEAR_SIGHAND UINT64_C(0x100000000)
#define TRIAL_FLAGS ((uint64_t)CLONE_VM | CLONE_VFORK | CLONE_PIDFD)

typedef struct trial {
    bool by_clone3;
    bool shares_table;
    volatile bool ran; /* written by the trial's child, in memory that it shares */
    char *stack;
} trial;

/* ---- in the disposable child and its children ---- */

RPI_CHILD_CODE static int trial_main(void *argument)
{
    trial *own = argument;

    own->ran = !own->shares_table || rpi_raw_close_range(3, UINT_MAX, RPI_CLOSE_RANGE_UNSHARE) == 0;
    return 0;
}

RPI_CHILD_CODE static int try_clone(void *argument)
{
    trial *own = argument;
    const uint64_t flags = TRIAL_FLAGS | (own->shares_table ? (uint64_t)CLONE_FILES : 0);
    int pidfd = -1;
    long pid = 0;

    own->ran = false;
    if (own->by_clone3) {
        rpi_clone_args args;
        unsigned i;

        for (i = 0; i < sizeof args / sizeof(uint64_t); i++) {
            ((volatile uint64_t *)&args)[i] = 0; // volatile: no call to memset
        }
        args.flags = flags | CLEAR_SIGHAND;
        args.pidfd = (uintptr_t)&pidfd;
        args.stack = (uintptr_t)own->stack;
        args.stack_size = TRIAL_STACK_SIZE;
        pid = rpi_clone3(&args, sizeof args, trial_main, own);
    } else {
        pid = rpi_clone(flags, own->stack + TRIAL_STACK_SIZE, &pidfd, trial_main, own);
    }
    if (pid > 0) {
        (void)rpi_raw(SYS_wait4, pid, 0, __WALL, 0, 0); // at worst init reaps it
    }
    return pid > 0 && pidfd >= 0 && own->ran;
}

RPI_CHILD_CODE static int try_close_range(void *argument)
{
    (void)argument; // nothing is needed
    return rpi_raw_close_range(UINT_MAX, UINT_MAX, 0) == 0;
}

/* Runs in a copy of the process: the C library may be used, as after fork. */
static int try_posix_spawn(void *argument)
{
    char *const arguments[] = {NULL, NULL};
    posix_spawn_file_actions_t actions;
    pid_t pid = 0;
    int r = 0;

    (void)argument; // nothing is needed
#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 34)
    if (posix_spawn_file_actions_init(&actions) != 0 ||
        posix_spawn_file_actions_addclosefrom_np(&actions, 3) != 0) {
        return 0;
    }
    // It must tell that there is no such program: emulators and filters make it say success.
    r = posix_spawn(&pid, NO_SUCH_PROGRAM, &actions, NULL, arguments, arguments);
    (void)posix_spawn_file_actions_destroy(&actions); // cannot fail
#else
    (void)pid, (void)actions, (void)arguments; // without closefrom it cannot keep the contract
    r = ENOSYS;
#endif
    if (r != ENOTDIR && r != ENOENT) {
        return 0;
    }
    return rpi_raw(SYS_pidfd_open, getpid(), 0, 0, 0, 0) >= 0;
}

/* Whether a forked child can be held: by a pidfd from clone, or by pidfd_open. */
RPI_CHILD_CODE static int return_main(void *argument)
{
    (void)argument; // nothing is needed
    return 0;
}

RPI_CHILD_CODE static int try_fork_with_pidfd(void *argument)
{
    trial *own = argument;
    int pidfd = -1;
    const long pid = rpi_clone(CLONE_PIDFD | CLONE_VFORK, own->stack + TRIAL_STACK_SIZE, &pidfd,
                               return_main, NULL);

    if (pid > 0) {
        (void)rpi_raw(SYS_wait4, pid, 0, __WALL, 0, 0); // at worst init reaps it
    }
    return pid > 0 && pidfd >= 0;
}

RPI_CHILD_CODE static int try_pidfd_open(void *argument)
{
    (void)argument; // nothing is needed
    return rpi_raw(SYS_pidfd_open, rpi_raw(SYS_getpid, 0, 0, 0, 0, 0), 0, 0, 0, 0) >= 0;
}

/* ---- in the host ---- */

/* clone3 or clone, with a shared or a copied table; UNKNOWN: neither. */
static rpi_spawn_method find_clone(trial *own, bool shares_table)
{
    own->shares_table = shares_table;
    own->by_clone3 = true;
    if (rpi_disposable_run(try_clone, own, RPI_DISPOSABLE_SHARED) == 1) {
        return RPI_SPAWN_CLONE3;
    }
    own->by_clone3 = false;
    if (rpi_disposable_run(try_clone, own, RPI_DISPOSABLE_SHARED) == 1) {
        return RPI_SPAWN_CLONE;
    }
    return RPI_SPAWN_UNKNOWN;
}

static rpi_spawn_method find_fallback(trial *own)
{
    if (rpi_disposable_run(try_posix_spawn, NULL, RPI_DISPOSABLE_COPY) == 1) {
        return RPI_SPAWN_POSIX_SPAWN;
    }
    if (rpi_disposable_run(try_fork_with_pidfd, own, RPI_DISPOSABLE_COPY) == 1 ||
        rpi_disposable_run(try_pidfd_open, NULL, RPI_DISPOSABLE_COPY) == 1) {
        return RPI_SPAWN_FORK;
    }
    return RPI_SPAWN_UNKNOWN;
}

static rpi_spawn_ability probe(void)
{
    rpi_maker maker = {.method = RPI_SPAWN_UNKNOWN}; // for its stack
    rpi_spawn_ability ability = {RPI_SPAWN_FORK, true};
    trial own = {false, false, false, NULL};
    char *top = NULL;

    if (rpi_on_valgrind()) {
        return ability;
    }
    top = rpi_maker_stack(&maker);
    if (top == NULL) {
        return ability;
    }
    own.stack = top - TRIAL_STACK_SIZE;
    ability.method = find_clone(&own, true);
    if (ability.method == RPI_SPAWN_UNKNOWN) {
        ability.has_close_range =
            rpi_disposable_run(try_close_range, NULL, RPI_DISPOSABLE_SHARED) == 1;
        if (!ability.has_close_range) {
            ability.method = find_clone(&own, false);
        }
    }
    if (ability.method == RPI_SPAWN_UNKNOWN) {
        ability.method = find_fallback(&own);
    }
    rpi_maker_fini(&maker);
    return ability;
}

rpi_spawn_ability rpi_spawn_probe(void)
{
    // 0: not known yet; else the method + 1, and 16 for close_range. Two threads that find out at
    // the same time find the same.
    static atomic_int known;
    const int had = atomic_load_explicit(&known, memory_order_relaxed);
    rpi_spawn_ability ability;

    if (had != 0) {
        ability.method = (rpi_spawn_method)((had & 15) - 1);
        ability.has_close_range = (had & 16) != 0;
        return ability;
    }
    ability = probe();
    atomic_store_explicit(&known, ((int)ability.method + 1) | (ability.has_close_range ? 16 : 0),
                          memory_order_relaxed);
    return ability;
}
