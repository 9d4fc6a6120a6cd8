/* What a leader left of its tree: of its process group, or of the session that it led. Looked for
 * in /proc only while a stop is under way, after the leader was reaped, and of a group only when
 * the kernel says that it still exists. Members are held by pidfds, so that waiting costs nothing
 * and a signal never reaches a later process with the same number: a member is opened first and
 * asked again afterwards. Called by stop.c, signal.c and process.c. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/os.h"
#include "base/proc_linux.h"
#include "base/scan_linux.h"
#include "core/loop.h"
#include "core/process.h"

/* Waited for at once; more are seen at the next look, when these have ended. */
enum {
    MEMBERS_MAX = 64
};

typedef struct tree_member {
    rpi_io io;
    rpi_op op;
    rpi_tree *tree; /* borrowed */
    int pidfd;      /* owned; -1 = free */
} tree_member;

struct rpi_tree {
    rp_process *process; /* borrowed */
    uint32_t seen;       /* alive at the last look, also beyond MEMBERS_MAX */
    uint32_t pending;    /* members whose exit is awaited */
    bool closing;
    tree_member members[MEMBERS_MAX];
};

/* Whose members are looked for: those of the session, those of the group; 0 = of any. */
typedef struct membership {
    int64_t session;
    int64_t group;
} membership;

static membership tree_of(const rp_process *process)
{
    return process->own_session ? (membership){process->pid, 0} : (membership){0, process->pid};
}

static bool is_member(int64_t pid, membership of)
{
    rpi_proc_stat stat;

    return rpi_proc_stat_read(pid, &stat) == 0 && (of.group == 0 || stat.group == of.group) &&
           (of.session == 0 || stat.session == of.session) && rpi_proc_is_alive(&stat);
}

static void on_member_exit(rpi_op *op);

static void let_go(tree_member *member)
{
    rp_loop *loop = member->tree->process->loop;

    rpi_io_forget(&loop->reactor, &member->io);
    rpi_loop_close_fd(loop, member->pidfd);
    member->pidfd = -1;
}

static void on_member_exit(rpi_op *op)
{
    tree_member *ended = RPI_CONTAINER(op, tree_member, op);
    rpi_tree *tree = ended->tree;

    let_go(ended);
    tree->pending--;
    if (tree->closing) {
        rpi_process_advance_later(tree->process);
    } else {
        rpi_process_advance(tree->process);
    }
}

static void hold(rpi_tree *tree, int64_t pid)
{
    rp_loop *loop = tree->process->loop;
    tree_member *member = &tree->members[tree->pending];

    RP_ASSERT(member->pidfd < 0);
    member->pidfd = rpi_os.pidfd_open((pid_t)pid, 0);
    if (member->pidfd < 0) {
        return; /* gone, or no descriptor left: the next look decides */
    }
    rpi_io_init(&member->io, member->pidfd);
    rpi_op_init(&member->op, RPI_OP_EXIT, &member->io, on_member_exit);
    member->op.size = (uint32_t)pid;
    if (!is_member(pid, tree_of(tree->process)) || rpi_op_start(&loop->reactor, &member->op) < 0) {
        let_go(member);
        return;
    }
    tree->pending++;
}

/* Calls `each` for every member. */
static int walk(membership of, void (*each)(int64_t pid, void *context), void *context)
{
    rpi_scan scan;
    int64_t pid;
    int r = rpi_scan_open(&scan);

    if (r < 0) {
        return r;
    }
    while ((r = rpi_scan_next(&scan, &pid)) > 0) {
        if (is_member(pid, of)) {
            each(pid, context);
        }
    }
    rpi_scan_close(&scan);
    return r;
}

static void count_member(int64_t pid, void *context)
{
    rpi_tree *tree = context;

    tree->seen++;
    if (tree->pending < MEMBERS_MAX) {
        hold(tree, pid);
    }
}

/* Counts the members and holds as many as there is room for. All earlier ones have ended. */
static int look(rpi_tree *tree)
{
    RP_ASSERT(tree->pending == 0);
    tree->seen = 0;
    return walk(tree_of(tree->process), count_member, tree);
}

/* Whether the kernel knows any process of the group: the cheap question that nearly always settles
 * it. The leader was reaped, so whoever has its number now is a stranger who got it because nobody
 * was left in the group. */
static bool group_exists(const rp_process *process)
{
    const int64_t group = process->pid;

    process->loop->kernel_calls += 2;
    if (rpi_os.kill((pid_t)-group, 0) < 0 && errno == ESRCH) {
        return false;
    }
    return rpi_os.kill((pid_t)group, 0) < 0 && errno == ESRCH;
}

/* Of a session nothing but a look through all processes tells. */
bool rpi_tree_exists(rp_process *process)
{
    return group_exists(process) ||
           (process->own_session && rpi_sessions_has_members(process) != 0);
}

int rpi_tree_open(rp_process *process, rpi_tree **ret_tree)
{
    rp_loop *loop = process->loop;
    rpi_tree *tree;
    int r;

    *ret_tree = NULL;
    if (!rpi_tree_exists(process)) {
        return 0;
    }
    tree = rpi_alloc_zero(&loop->allocator, sizeof *tree);
    if (tree == NULL) {
        return -ENOMEM;
    }
    tree->process = process;
    for (int i = 0; i < MEMBERS_MAX; i++) {
        tree->members[i].tree = tree;
        tree->members[i].pidfd = -1;
    }
    r = look(tree);
    if (r < 0 || tree->seen == 0) { /* only zombies, which belong to their parents */
        rpi_free(&loop->allocator, tree, sizeof *tree);
        return r;
    }
    *ret_tree = tree;
    return 0;
}

bool rpi_tree_is_empty(rpi_tree *tree)
{
    if (tree->pending > 0) {
        return false;
    }
    if (!rpi_tree_exists(tree->process)) {
        tree->seen = 0;
        return true;
    }
    if (look(tree) == 0 && tree->seen == 0) {
        return true;
    }
    if (tree->process->step == RPI_STEP_KILL) { /* who was forked, or not seen, when it was sent */
        rpi_tree_signal(tree, SIGKILL);
    }
    return false;
}

uint32_t rpi_tree_count(const rpi_tree *tree)
{
    return tree->seen;
}

typedef struct sending {
    membership of;
    int signal;
    int count; /* whom it reached */
} sending;

static void signal_member(int64_t pid, void *context)
{
    sending *what = context;
    int pidfd = rpi_os.pidfd_open((pid_t)pid, 0);

    if (pidfd < 0) {
        return; /* gone meanwhile: as wanted */
    }
    if (is_member(pid, what->of) && rpi_os.pidfd_send_signal(pidfd, what->signal, 0) == 0) {
        what->count++; /* else likewise */
    }
    (void)rpi_os.close(pidfd);
}

int rpi_tree_signal_group(rp_process *process, int64_t group, int signal)
{
    sending what = {.of = {.session = process->pid, .group = group}, .signal = signal};
    int r = walk(what.of, signal_member, &what);

    return r < 0 || what.count > 0 ? r : RP_ESRCH;
}

void rpi_tree_signal(rpi_tree *tree, int signal)
{
    sending what = {.of = tree_of(tree->process), .signal = signal};

    if (walk(what.of, signal_member, &what) == 0) {
        return;
    }
    for (int i = 0; i < MEMBERS_MAX; i++) { /* no descriptor to look with: those that are held */
        if (tree->members[i].pidfd >= 0) {
            (void)rpi_os.pidfd_send_signal(tree->members[i].pidfd, signal, 0);
        }
    }
}

void rpi_tree_free_forked(rpi_tree *tree)
{
    rp_loop *loop = tree->process->loop;

    for (int i = 0; i < MEMBERS_MAX; i++) {
        if (tree->members[i].pidfd >= 0) {
            let_go(&tree->members[i]);
        }
    }
    rpi_free(&loop->allocator, tree, sizeof *tree);
}

bool rpi_tree_close(rpi_tree *tree)
{
    rp_loop *loop = tree->process->loop;

    tree->closing = true;
    for (int i = 0; i < MEMBERS_MAX; i++) {
        if (tree->members[i].pidfd >= 0) {
            rpi_op_cancel(&loop->reactor, &tree->members[i].op);
        }
    }
    if (tree->pending > 0) {
        return false;
    }
    rpi_free(&loop->allocator, tree, sizeof *tree);
    return true;
}
