/* What a leader left of its process group, on FreeBSD and macOS: known by the group's number, which
 * the system gives to nobody else while anybody is in it. Processes cannot be held here, so a look
 * is repeated by a timer until the group is empty, and a signal goes to the group as a whole, right
 * after the question whether it is still there. Called by stop.c, signal.c and process.c. */
#include <errno.h>
#include <signal.h>

#include "base/os.h"
#include "core/loop.h"
#include "core/process.h"

#define LOOK_NS (10 * RP_MILLISECOND)

struct rpi_tree {
    rp_process *process; // borrowed
    rpi_timer timer;
};

/** Whether the system knows any process of the group. The leader was reaped, so whoever has its
 * number now is a stranger who got it because nobody was left in the group. */
static bool group_exists(const rp_process *process)
{
    const int64_t group = process->pid;

    process->loop->kernel_calls += 2;
    if (rpi_os.kill((pid_t)-group, 0) < 0 && errno == ESRCH) {
        return false;
    }
    return rpi_os.kill((pid_t)group, 0) < 0 && errno == ESRCH;
}

bool rpi_tree_exists(rp_process *process)
{
    return group_exists(process);
}

static void look(rpi_timer *timer)
{
    rpi_tree *tree = RPI_CONTAINER(timer, rpi_tree, timer);
    rpi_reactor *reactor = &tree->process->loop->reactor;

    rpi_timer_set(reactor, timer, rpi_reactor_clock_ns(reactor) + LOOK_NS);
    rpi_process_advance(tree->process); // may free the tree
}

int rpi_tree_open(rp_process *process, rpi_tree **ret_tree)
{
    rp_loop *loop = process->loop;
    rpi_tree *tree;
    int r;

    *ret_tree = NULL;
    if (!group_exists(process)) {
        return 0;
    }
    tree = rpi_alloc_zero(&loop->allocator, sizeof *tree);
    if (tree == NULL) {
        return -ENOMEM;
    }
    tree->process = process;
    r = rpi_timer_init(&loop->reactor, &tree->timer, look);
    if (r < 0) {
        rpi_free(&loop->allocator, tree, sizeof *tree);
        return r;
    }
    rpi_timer_set(&loop->reactor, &tree->timer, rpi_reactor_clock_ns(&loop->reactor) + LOOK_NS);
    *ret_tree = tree;
    return 0;
}

bool rpi_tree_is_empty(rpi_tree *tree)
{
    if (!group_exists(tree->process)) {
        return true;
    }
    if (tree->process->step == RPI_STEP_KILL) { // who was forked when it was sent
        rpi_tree_signal(tree, SIGKILL);
    }
    return false;
}

uint32_t rpi_tree_count(const rpi_tree *tree)
{
    return group_exists(tree->process) ? 1 : 0; // how many is not known
}

int rpi_tree_signal_group(rp_process *process, int64_t group, int signal)
{
    (void)process;
    return rpi_os.kill((pid_t)-group, signal) < 0 ? -errno : 0;
}

void rpi_tree_signal(rpi_tree *tree, int signal)
{
    if (group_exists(tree->process)) {
        (void)rpi_os.kill((pid_t)-tree->process->pid, signal); // gone meanwhile: as wanted
    }
}

bool rpi_tree_close(rpi_tree *tree)
{
    rp_loop *loop = tree->process->loop;

    rpi_timer_fini(&loop->reactor, &tree->timer);
    rpi_free(&loop->allocator, tree, sizeof *tree);
    return true;
}

void rpi_tree_free_forked(rpi_tree *tree)
{
    (void)rpi_tree_close(tree);
}
