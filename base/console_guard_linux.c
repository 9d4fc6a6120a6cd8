/* The guard of a terminal: see console.h. Made by clone with exit signal 0 and memory of its own,
 * so that a core dump or the out-of-memory killer of the host does not take it along. It reads
 * numbers: the group that the terminal is handed to, or "all is well"; or the end of its line,
 * which comes when the last descriptor of the host is closed, before the host's parent hears of its
 * end: a shell that waits for it finds the terminal restored in most cases, and where the shell was
 * faster, the guard sees that and touches nothing.
 *
 * The price is one copy of the host's page tables, and of the pages that the host writes while the
 * guard lives: for somebody who sits at a terminal, that is nothing. */
#define _GNU_SOURCE
#include <asm/termbits.h>
#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/console.h"
#include "base/os.h"
#include "base/raw_linux.h"

#ifdef TCSETS2
#define SET_MODES TCSETS2
#else
#define SET_MODES TCSETS
#endif

#define STACK_SIZE ((size_t)32 * 1024)

#define ALL_IS_WELL INT64_C(-1)

typedef struct guard_plan {
    rpi_console_state state;
    int terminal;
    int line;            // its end of the socket pair
    int64_t child_group; // 0: not told
} guard_plan;

RPI_CHILD_CODE static bool group_exists(long group)
{
    return group > 1 && rpi_raw(SYS_kill, -group, 0, 0, 0, 0) != -ESRCH;
}

/* Closes all but two. A kernel without close_range keeps what it has: the guard holds it for as
 * long as it lives. */
RPI_CHILD_CODE static void close_others(int a, int b)
{
    const unsigned low = (unsigned)(a < b ? a : b);
    const unsigned high = (unsigned)(a < b ? b : a);

    if (low > 0) {
        (void)rpi_raw_close_range(0, low - 1, 0); // see above
    }
    if (high > low + 1) {
        (void)rpi_raw_close_range(low + 1, high - 1, 0);
    }
    (void)rpi_raw_close_range(high + 1, UINT_MAX, 0);
}

RPI_CHILD_CODE static void put_back(const guard_plan *plan)
{
    const rpi_console_state *state = &plan->state;
    int group = 0; // of a terminal that is not the session's

    if (state->group != 0 &&
        rpi_raw(SYS_ioctl, plan->terminal, TIOCGPGRP, (long)(uintptr_t)&group, 0, 0) < 0) {
        // Hung up, or the session ended before we came to it: a pseudo-terminal lives on, and may
        // be looked at by whoever holds its master.
        (void)rpi_raw(SYS_ioctl, plan->terminal, SET_MODES, (long)(uintptr_t)&state->modes, 0, 0);
        return;
    }
    if (group != state->group && group_exists(group) &&
        (plan->child_group != 0 ? group != plan->child_group : group == state->outer_group)) {
        return; // somebody has it already
    }
    if (group != state->group) {
        group = (int)state->group;
        if (!group_exists(group)) {
            group = (int)rpi_raw(SYS_getpgid, rpi_raw(SYS_getsid, 0, 0, 0, 0, 0), 0, 0, 0, 0);
        }
        // refused: the session is gone, and with it the terminal
        (void)rpi_raw(SYS_ioctl, plan->terminal, TIOCSPGRP, (long)(uintptr_t)&group, 0, 0);
    }
    (void)rpi_raw(SYS_ioctl, plan->terminal, SET_MODES, (long)(uintptr_t)&state->modes, 0, 0);
}

RPI_CHILD_CODE static int guard_main(void *argument)
{
    guard_plan *plan = argument; // in a copy of the host's memory
    int64_t word = 0;
    long r = 0;

    (void)rpi_raw_set_mask(~UINT64_C(0));
    // A signal to the host's group is not for it.
    (void)rpi_raw(SYS_setpgid, 0, 0, 0, 0, 0);
    close_others(plan->terminal, plan->line);
    do {
        r = rpi_raw(SYS_read, plan->line, (long)(uintptr_t)&word, sizeof word, 0, 0);
        plan->child_group = r > 0 ? word : plan->child_group;
    } while ((r > 0 && word != ALL_IS_WELL) || r == -EINTR);
    if (r == 0) {
        put_back(plan);
    }
    return 0;
}

/* The child's number or -errno. */
static int make(guard_plan *plan, char *stack)
{
    const uint64_t mask = rpi_raw_set_mask(~UINT64_C(0)); // no handler of the host runs in it
    int pid = rpi_os.clone(0, stack + STACK_SIZE, NULL, guard_main, plan);

    if (pid == -ENOSYS || pid == -EINVAL || pid == -EPERM) {
        pid = rpi_os.fork(); // valgrind, architectures without a trampoline
        if (pid == 0) {
            rpi_raw_exit(guard_main(plan));
        }
        pid = pid < 0 ? -errno : pid;
    }
    (void)rpi_raw_set_mask(mask);
    return pid;
}

int rpi_console_guard_open(rpi_console_guard *guard, int fd, const rpi_console_state *state)
{
    guard_plan plan = {*state, fd, -1, 0};
    char *stack;
    int ends[2];
    int pid;

    *guard = (rpi_console_guard){0, -1};
    if (rpi_os.socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0) {
        return -errno;
    }
    ends[0] = rpi_os_lift(ends[0]);
    ends[1] = rpi_os_lift(ends[1]);
    stack =
        rpi_os.mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    pid = -ENOMEM;
    if (stack != MAP_FAILED) {
        plan.line = ends[0];
        pid = ends[0] < 0 || ends[1] < 0 ? -EMFILE : make(&plan, stack);
        (void)rpi_os.munmap(stack, STACK_SIZE); // the child has a copy
    }
    if (ends[0] >= 0) {
        (void)rpi_os.close(ends[0]); // the child's
    }
    if (pid <= 0) {
        if (ends[1] >= 0) {
            (void)rpi_os.close(ends[1]); // nobody reads it
        }
        return pid;
    }
    *guard = (rpi_console_guard){pid, ends[1]};
    return 0;
}

static void send_word(const rpi_console_guard *guard, int64_t word)
{
    struct iovec text = {&word, sizeof word};
    const struct msghdr message = {.msg_iov = &text, .msg_iovlen = 1};

    // It has room. Not sent (the guard was killed), nothing is restored that is not by us.
    (void)rpi_os.sendmsg(guard->line, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

void rpi_console_guard_tell(rpi_console_guard *guard, int64_t child_group)
{
    if (guard->pid != 0) {
        send_word(guard, child_group);
    }
}

void rpi_console_guard_close(rpi_console_guard *guard)
{
    if (guard->pid == 0) {
        return;
    }
    send_word(guard, ALL_IS_WELL);
    (void)rpi_os.close(guard->line);
    // By its number, as it is not reaped yet; ECHILD: the host waits for clones too.
    while (rpi_os.waitid(P_PID, guard->pid, NULL, WEXITED | __WALL, NULL) < 0 && errno == EINTR) {
    }
    *guard = (rpi_console_guard){0, -1};
}

void rpi_console_guard_forget(rpi_console_guard *guard)
{
    if (guard->pid != 0) {
        (void)rpi_os.close(guard->line); // a forked child's copy
        *guard = (rpi_console_guard){0, -1};
    }
}
