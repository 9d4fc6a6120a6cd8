/* Signals to a child: to its leader, its tree, the foreground of its terminal.
 *
 * A number is signalled only while the leader is unreaped (process.c reaps it at the end), so that
 * no stranger is ever hit; later the members that are left are reached through pidfds of their own
 * (tree_linux.c). The tree of a child that leads a session is all of that: its own group at once,
 * the other groups, which jobs of a shell are, by the end of the turn (sessions_linux.c). Called by
 * stop.c and the public function at the end. */
#include <errno.h>

#include "base/assert.h"
#include "base/os.h"
#include "base/signals.h"
#include "base/status.h"
#include "core/foreground.h"
#include "core/loop.h"
#include "core/process.h"
#include "core/terminal.h"
#include "pty/pty.h"

static int send_to_leader(rp_process *process, int signal)
{
    const int r = rpi_send_leader(process, signal);

    return r == RP_ESRCH ? 0 : r; /* gone already: what was wanted */
}

int rpi_signal_tree(rp_process *process, int signal)
{
    int r;

    if (process->tree == NULL && process->looks > 0) { /* now it must be known who the rest is */
        (void)rpi_tree_open(process, &process->tree);  /* failed: the end of the stop tells */
    }
    if (process->tree != NULL) {
        rpi_tree_signal(process->tree, signal);
        return 0;
    }
    if (process->reaped) {
        return 0;
    }
    RP_ASSERT(process->pid > 0); /* 0 would be the caller's own group */
    process->loop->kernel_calls++;
    if (!process->own_group) {
        return send_to_leader(process, signal);
    }
    if (process->own_session && signal != 0) {
        rpi_sessions_signal(process, signal);
    }
    r = rpi_send_group(process, signal);
    return r == RP_ESRCH ? send_to_leader(process, signal) : r;
}

void rpi_stop_kill_now(rp_process *process)
{
    if (process->looks > 0 && process->tree == NULL && process->step == RPI_STEP_KILL) {
        return; /* everybody has it */
    }
    /* Refused by the system (another user's): then its exit is awaited as it comes. */
    (void)rpi_signal_tree(process, SIGKILL);
}

/* ---- the foreground of a terminal --------------------------------------------------- */

/* A signal that no key sends, or a kernel that does not do so: the group is the leader's own, whose
 * number cannot be another's, or its members are looked for. */
static int send_to_foreground(rp_process *process, int master, int signal)
{
    int64_t group = rpi_pty_foreground(master);

    if (group <= 0) {
        return group < 0 ? (int)group : RP_ESRCH;
    }
    if (signal == 0) {
        return 0;
    }
    if (group == process->pid && !process->reaped) {
        return rpi_send_group(process, signal);
    }
    return rpi_tree_signal_group(process, group, signal);
}

static int signal_foreground(rp_process *process, int signal)
{
    int master = rpi_terminal_master(process);
    int r = RP_EUNSUPPORTED;

    if (master < 0) {
        return RP_ESRCH;
    }
    process->loop->kernel_calls += 2;
    if (signal != 0) {
        r = rpi_pty_signal_foreground(master, signal);
    }
    return r == RP_EUNSUPPORTED ? send_to_foreground(process, master, signal) : r;
}

int rpi_signal_interrupt(rp_process *process)
{
    int master = rpi_terminal_master(process);
    int r;

    if (master < 0 || process->reaped) {
        return rpi_signal_tree(process, SIGINT);
    }
    r = signal_foreground(process, SIGINT);
    if (r == RP_ESRCH) {
        /* Nobody has the terminal, but somebody may read it. Full: he does not, and so he could
         * not see the key either. */
        r = rpi_os_write_now(master, "\x03", 1);
        r = r == -EAGAIN || r > 0 ? 0 : r;
    }
    return r;
}

/* ---- the public function ------------------------------------------------------------ */

static int check(const rp_process *process, int signal, rp_scope scope)
{
    const int r = rpi_send_check();

    if (r < 0) {
        return r;
    }
    if (signal < 0 || signal > 64) {
        return rpi_detail(RP_EINVAL, "signal %d is none", signal);
    }
    if (scope != RP_SCOPE_TREE && scope != RP_SCOPE_LEADER && scope != RP_SCOPE_FOREGROUND) {
        return rpi_detail(RP_EINVAL, "scope %d is none", (int)scope);
    }
    if (scope == RP_SCOPE_FOREGROUND && process->terminal == NULL) {
        return rpi_detail(RP_EUNSUPPORTED, "only a child on a pseudo-terminal has a foreground");
    }
    if (process->state < RPI_PROCESS_RUNNING) {
        return rpi_detail(RP_EAGAIN, "the child has not started");
    }
    return 0;
}

int rp_signal(rp_process *process, int signal, rp_scope scope)
{
    int r = rpi_loop_enter(process->loop);

    r = r < 0 ? r : check(process, signal, scope);
    if (r < 0) {
        return r;
    }
    if (process->reaped && process->tree == NULL && process->looks == 0) {
        return RP_ESRCH;
    }
    if (signal == SIGCONT && process->foreground != NULL) {
        rpi_foreground_continue(process);
    }
    if (scope == RP_SCOPE_TREE) {
        return rpi_signal_tree(process, signal);
    }
    if (scope == RP_SCOPE_FOREGROUND) {
        return signal_foreground(process, signal);
    }
    return process->reaped ? RP_ESRCH : rpi_send_leader(process, signal);
}
