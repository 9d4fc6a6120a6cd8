/* See foreground.h. The rules of taking back: what the child's group has, or a group that is gone,
 * is ours again; what a program of the child has taken (a shell's job), too; what the caller's own
 * shell has taken, because we are in its background now, stays with it, and then the settings are
 * its business as well. */
#include "core/foreground.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "base/console.h"
#include "base/os.h"
#include "base/proc_linux.h"
#include "base/status.h"
#include "core/loop.h"
#include "core/process.h"

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

#define LOOK_NS (100 * RP_MILLISECOND)

struct rpi_foreground {
    rpi_observer observer;
    rp_process *process; /* borrowed */
    int terminal;        /* owned; -1: it is over */
    bool began;          /* the program ran */
    bool stopped;        /* it is stopped, and we have the terminal */
    bool has_modes;
    bool has_stopped_modes;
    rpi_console_modes modes;         /* to restore */
    rpi_console_modes stopped_modes; /* the child's, while it is stopped */
    rpi_console_guard guard;
    rpi_timer timer;
};

static void look(rpi_timer *timer);
static const rpi_observer_api api;

/* ---- begin and end ---- */

int rpi_foreground_open(rp_process *process)
{
    rp_loop *loop = process->loop;
    rpi_foreground *foreground = rpi_alloc_zero(&loop->allocator, sizeof *foreground);
    int r = foreground == NULL ? RP_ENOMEM : 0;

    if (r == 0 && !rpi_console_claim()) {
        r = rpi_detail(RP_EBUSY, "transport: the terminal is another foreground child's or a "
                                 "relay's");
    }
    if (r < 0) {
        rpi_free(&loop->allocator, foreground, sizeof *foreground);
        return r;
    }
    foreground->process = process;
    foreground->terminal = rpi_console_open();
    r = foreground->terminal;
    if (r == -ENXIO || r == -ENOENT || r == -ENOTTY) {
        r = rpi_detail(RP_EINVAL, "transport: RP_CONSOLE_FOREGROUND without a terminal to hand "
                                  "over");
    }
    if (r >= 0) {
        loop->descriptors++;
        r = rpi_timer_init(&loop->reactor, &foreground->timer, look);
    }
    if (r < 0) {
        if (foreground->terminal >= 0) {
            rpi_loop_close_fd(loop, foreground->terminal);
            loop->descriptors--;
        }
        rpi_console_release();
        rpi_free(&loop->allocator, foreground, sizeof *foreground);
        return r;
    }
    process->foreground = foreground;
    rpi_observer_add(process, &foreground->observer, &api, true);
    return 0;
}

void rpi_foreground_prepare(rp_process *process)
{
    rpi_foreground *foreground = process->foreground;
    rpi_console_state state = {.group = rpi_console_own_group(),
                               .outer_group = rpi_console_outer_group()};
    int r = rpi_console_get_modes(foreground->terminal, &foreground->modes);

    foreground->has_modes = r == 0;
    rpi_console_guard_close(&foreground->guard); /* of a launch that the system refused */
    if (r == 0) {
        state.modes = foreground->modes;
        r = rpi_console_guard_open(&foreground->guard, foreground->terminal, &state);
    }
    if (r < 0) {
        rpi_loop_log(process->loop, 1,
                     "nobody will restore the terminal if this process crashes: %s",
                     rp_error_name(r));
    }
}

static void arm(rpi_foreground *foreground)
{
    rpi_reactor *reactor = rpi_process_reactor(foreground->process);

    rpi_timer_set(reactor, &foreground->timer, rpi_reactor_clock_ns(reactor) + LOOK_NS);
}

void rpi_foreground_began(rp_process *process)
{
    process->foreground->began = true;
    rpi_console_guard_tell(&process->foreground->guard, process->pid);
    arm(process->foreground);
}

/* Whether this group is the caller's shell or another job of it: then we are in its background. */
static bool is_outer(int64_t group)
{
    rpi_proc_stat leader;
    rpi_proc_stat own;

    if (group == rpi_console_outer_group()) {
        return true;
    }
    return rpi_proc_stat_read(group, &leader) == 0 && rpi_proc_stat_read(rpi_os_pid(), &own) == 0 &&
           leader.parent == own.parent;
}

/* Whether the group that has the terminal now has it by way of our child. */
static bool is_childs(const rpi_foreground *foreground, int64_t group)
{
    if (!rpi_console_group_exists(group)) {
        return true; // nobody's, any more
    }
    return foreground->began && (group == foreground->process->pid || !is_outer(group));
}

/* The terminal is the caller's again, as it was. */
static void take_back(rpi_foreground *foreground)
{
    const int64_t own = rpi_console_own_group();
    const int64_t group = rpi_console_get_group(foreground->terminal);

    if (group < 0 || (group != own && !is_childs(foreground, group))) {
        return; // hung up; or not ours to take
    }
    if (group != own && rpi_console_set_group(foreground->terminal, own) < 0) {
        return; // as above: it has changed hands since
    }
    if (foreground->began && foreground->has_modes) {
        // Refused: it hung up, and nobody is there to see.
        (void)rpi_console_set_modes(foreground->terminal, &foreground->modes);
    }
}

static void forget(rpi_foreground *foreground)
{
    rp_loop *loop = foreground->process->loop;

    rpi_timer_off(&loop->reactor, &foreground->timer);
    rpi_loop_close_fd(loop, foreground->terminal);
    loop->descriptors--;
    foreground->terminal = -1;
    rpi_console_release();
}

void rpi_foreground_end(rp_process *process)
{
    rpi_foreground *foreground = process->foreground;

    if (foreground->terminal < 0) {
        return;
    }
    if (!foreground->stopped) { // else it is taken back already
        take_back(foreground);
    }
    rpi_console_guard_close(&foreground->guard);
    forget(foreground);
}

static void release_memory(rp_process *process)
{
    rp_loop *loop = process->loop;

    rpi_timer_fini(&loop->reactor, &process->foreground->timer);
    rpi_free(&loop->allocator, process->foreground, sizeof *process->foreground);
    process->foreground = NULL;
}

static rpi_foreground *foreground_of(rpi_observer *observer)
{
    return RPI_CONTAINER(observer, rpi_foreground, observer);
}

/* Also of a launch that failed: its child may have had the terminal before. */
static void on_exited(rpi_observer *observer)
{
    rpi_foreground_end(foreground_of(observer)->process);
}

static void on_closed(rpi_observer *observer)
{
    rp_process *process = foreground_of(observer)->process;

    if (process->state != RPI_PROCESS_LAUNCHING) { // may take it yet: when its launch comes back
        rpi_foreground_end(process);
    }
}

/* In a forked child terminal and guard are the parent's. */
static void drop(rpi_observer *observer)
{
    rpi_foreground *foreground = foreground_of(observer);
    rp_process *process = foreground->process;

    if (foreground->terminal >= 0 && rpi_reactor_is_forked(rpi_process_reactor(process))) {
        rpi_console_guard_forget(&foreground->guard);
        forget(foreground);
    }
    rpi_foreground_end(process);
    release_memory(process);
}

static const rpi_observer_api api = {.exited = on_exited, .closed = on_closed, .drop = drop};

/* ---- stopped and continued ---- */

void rpi_foreground_continue(rp_process *process)
{
    rpi_foreground *foreground = process->foreground;
    const int fd = foreground->terminal;

    if (fd < 0 || !foreground->stopped) {
        return;
    }
    foreground->stopped = false;
    if (rpi_console_get_group(fd) != rpi_console_own_group()) {
        return; // in the background there is none to give
    }
    if (foreground->has_stopped_modes) {
        (void)rpi_console_set_modes(fd, &foreground->stopped_modes); // else as it is: usable
    }
    (void)rpi_console_set_group(fd, process->pid); // refused: it is gone, which its exit tells
}

static void on_stop(rpi_foreground *foreground, int signal)
{
    rp_process *process = foreground->process;

    foreground->has_stopped_modes =
        rpi_console_get_modes(foreground->terminal, &foreground->stopped_modes) == 0;
    take_back(foreground);
    foreground->stopped = true;
    if (process->handlers.stopped != NULL) {
        process->handlers.stopped(process, signal, process->user);
    }
}

/* Somebody else has continued it: it may have been stopped again for want of the terminal. */
static void on_continued(rpi_foreground *foreground)
{
    if (foreground->stopped) {
        rpi_foreground_continue(foreground->process);
        (void)rp_signal(foreground->process, SIGCONT, RP_SCOPE_TREE); // gone: its exit tells
    }
}

/* Takes the news of a stop or a continuation, if there is any. */
static void look(rpi_timer *timer)
{
    rpi_foreground *foreground = RPI_CONTAINER(timer, rpi_foreground, timer);
    rp_process *process = foreground->process;
    siginfo_t info;

    memset(&info, 0, sizeof info);
    process->loop->kernel_calls++;
    if (rpi_os.waitid(P_PIDFD, process->pidfd, &info, WSTOPPED | WCONTINUED | WNOHANG, NULL) == 0 &&
        info.si_pid != 0) {
        if (info.si_code == CLD_CONTINUED) {
            on_continued(foreground);
        } else if (!foreground->stopped) {
            on_stop(foreground, info.si_status);
        }
    }
    if (foreground->terminal >= 0) { // not closed meanwhile, in the callback
        arm(foreground);
    }
}
