/* Children by clone3 and clone: they share the host's memory, so that nothing is copied but a few
 * descriptors, and the call returns when the program runs (or the child has given up). Called by
 * spawn_linux.c in the loop's and the spawners' threads, and by the private-table thread.
 *
 * With clone3 the kernel clears the handlers in the child, so that no signal can run one of the
 * host's there. With clone the child does it itself, and until then every signal is blocked, by the
 * kernel's own call: the C library leaves two of its own open. They are open again right after, as
 * a host's setgid() waits for every thread to handle one.
 *
 * The child shares the host's descriptor table too, to take out of it by close_range what it needs.
 * Where close_range is refused it gets a copy, which costs what the table is long. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/os.h"
#include "base/raw_linux.h"
#include "core/spawn_linux.h"

#define STACK_SIZE ((size_t)64 * 1024)
#define GUARD_SIZE ((size_t)64 * 1024) /* a page of any size */

#define CLEAR_SIGHAND UINT64_C(0x100000000) /* CLONE_CLEAR_SIGHAND, Linux 5.5 */
#define INTO_CGROUP UINT64_C(0x200000000)   /* CLONE_INTO_CGROUP, Linux 5.7 */
#define CLONE_FLAGS ((uint64_t)CLONE_VM | CLONE_VFORK | CLONE_PIDFD)

char *rpi_maker_stack(rpi_maker *maker)
{
    char *block = NULL;

    if (maker->stack == NULL) {
        const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;

        block = rpi_os.mmap(NULL, GUARD_SIZE + STACK_SIZE, PROT_NONE, flags, -1, 0);
        if (block == MAP_FAILED) {
            return NULL;
        }
        if (rpi_os.mmap(block + GUARD_SIZE, STACK_SIZE, PROT_READ | PROT_WRITE, flags | MAP_FIXED,
                        -1, 0) == MAP_FAILED) {
            (void)rpi_os.munmap(block, GUARD_SIZE + STACK_SIZE); // cannot fail: it is our mapping
            return NULL;
        }
        maker->stack = block;
    }
    return maker->stack + GUARD_SIZE + STACK_SIZE;
}

void rpi_maker_fini(rpi_maker *maker)
{
    if (maker->stack != NULL) {
        (void)rpi_os.munmap(maker->stack,
                            GUARD_SIZE + STACK_SIZE); // cannot fail: it is our mapping
        maker->stack = NULL;
    }
}

void rpi_reap_failed(int64_t pid, int pidfd)
{
    siginfo_t ignored; // the kernel needs none, valgrind does
    int r = -1;

    if (pidfd >= 0) {
        do {
            r = rpi_os.waitid(P_PIDFD, pidfd, &ignored, WEXITED | __WALL, NULL);
        } while (r < 0 && errno == EINTR);
        if (r < 0 && errno != EINVAL) {
            r = 0; // ECHILD: the host ignores SIGCHLD, or was faster
        }
        (void)rpi_os.close(pidfd); // its result says nothing about a pidfd
    }
    while (r < 0) { // no pidfd, or a kernel (before 5.4) that does not wait by one
        r = rpi_os.waitid(P_PID, (int)pid, &ignored, WEXITED | __WALL, NULL);
        if (r < 0 && errno != EINTR) {
            break;
        }
    }
}

/* A child that changes its ids makes the memory that it shares undumpable, the host's: no core, no
 * debugger, its /proc files root's. That is put right after the child has its own memory; one such
 * launch at a time in a process, as a second one would take the first one's effect for the host's
 * choice. The lock is the owner's pid, so that a forked child does not wait for a thread that it
 * does not have. */
static _Atomic(pid_t) ids_lock;

static int ids_begin(void)
{
    const pid_t self = getpid();
    pid_t owner = 0;

    while (!atomic_compare_exchange_weak(&ids_lock, &owner, self)) {
        if (owner == self) {
            (void)sched_yield(); // another thread is between clone and exec
            owner = 0;
        }
    }
    return prctl(PR_GET_DUMPABLE, 0, 0, 0, 0);
}

static void ids_end(int dumpable)
{
    if (dumpable == 1 && prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != 1) {
        (void)prctl(PR_SET_DUMPABLE, 1, 0, 0, 0); // cannot fail with this value
    }
    atomic_store(&ids_lock, 0);
}

/* By clone3, born in its cgroup: what clone3 says, or -errno where the cgroup cannot be opened. */
static int make_inside(rpi_child_plan *plan, const rpi_clone_args *args)
{
    rpi_clone_args full = *args;
    const int folder = rpi_os.open(plan->launch->cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    int pid;

    if (folder < 0) {
        return -errno;
    }
    full.flags |= INTO_CGROUP;
    full.cgroup = (uint64_t)folder;
    plan->enters_cgroup = false;
    pid = rpi_os.clone3(&full, sizeof full, rpi_child_main, plan);
    (void)rpi_os.close(folder); // it only named the folder
    return pid;
}

/* The child's number or -errno. */
static int make(rpi_maker *maker, rpi_child_plan *plan, int *ret_pidfd)
{
    char *top = rpi_maker_stack(maker);
    const uint64_t flags = CLONE_FLAGS | (plan->shares_table ? (uint64_t)CLONE_FILES : 0);
    rpi_clone_args args = {.flags = flags | CLEAR_SIGHAND, .exit_signal = SIGCHLD};

    if (top == NULL) {
        return -ENOMEM;
    }
    if (maker->method == RPI_SPAWN_CLONE) {
        return rpi_os.clone(flags | SIGCHLD, top, ret_pidfd, rpi_child_main, plan);
    }
    args.pidfd = (uintptr_t)ret_pidfd;
    args.stack = (uintptr_t)(top - STACK_SIZE);
    args.stack_size = STACK_SIZE;
    if (plan->launch->cgroup != NULL && !plan->launch->enters_cgroup) {
        const int pid = make_inside(plan, &args);

        if (pid >= 0 || pid == -EAGAIN || pid == -ENOMEM) {
            return pid;
        }
        plan->enters_cgroup = true; // an older kernel: by itself, which says why it cannot
    }
    return rpi_os.clone3(&args, sizeof args, rpi_child_main, plan);
}

void rpi_make_by_clone(rpi_maker *maker, rpi_child_plan *plan, rpi_made *ret_made)
{
    const bool clears = maker->method == RPI_SPAWN_CLONE3;
    const bool blocks = !clears || !maker->signals_blocked;
    const bool ids = plan->launch->set_ids;
    rpi_made made = {0, -1, 0, RPI_PHASE_NONE};
    const int dumpable = ids ? ids_begin() : 0;
    const uint64_t mask = blocks ? rpi_raw_set_mask(~UINT64_C(0)) : 0;
    int pid = 0;

    plan->shares_table = maker->has_close_range;
    plan->resets_all = !clears;
    pid = make(maker, plan, &made.pidfd);
    if (blocks) {
        (void)rpi_raw_set_mask(mask);
    }
    if (ids) {
        ids_end(dumpable);
    }
    if (pid < 0) {
        made = (rpi_made){0, -1, pid, RPI_PHASE_CLONE};
    } else if (plan->error < 0) {
        rpi_reap_failed(pid, made.pidfd);
        made = (rpi_made){0, -1, plan->error, plan->phase};
    } else {
        made.pid = pid;
    }
    *ret_made = made;
}

void rpi_make_child(rpi_maker *maker, rpi_child_plan *plan, rpi_made *ret_made)
{
    plan->has_close_range = maker->has_close_range;
    switch (maker->method) {
    case RPI_SPAWN_CLONE3:
    case RPI_SPAWN_CLONE:
        rpi_make_by_clone(maker, plan, ret_made);
        break;
    case RPI_SPAWN_POSIX_SPAWN:
        rpi_make_by_posix_spawn(maker, plan, ret_made);
        break;
    case RPI_SPAWN_FORK:
        rpi_make_by_fork(maker, plan, ret_made);
        break;
    case RPI_SPAWN_UNKNOWN:
    case RPI_SPAWN_CREATE_PROCESS:
        *ret_made = (rpi_made){0, -1, RP_EUNSUPPORTED, RPI_PHASE_CLONE};
        break;
    }
}
