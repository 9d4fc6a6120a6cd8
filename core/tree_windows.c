/* What a leader left of its tree: who is still in its job. The job tells how many and who; members
 * are held by handles, so that their ends are heard of, and each that is opened by its number is
 * asked whether it is of the job indeed. Called by stop.c, signal.c and process.c. */
#include <errno.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/os_windows.h"
#include "base/signals.h"
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
    int handle;     /* owned; -1 = free */
} tree_member;

struct rpi_tree {
    rp_process *process; /* borrowed */
    uint32_t seen;       /* alive at the last look */
    uint32_t pending;    /* members whose exit is awaited */
    bool closing;
    tree_member members[MEMBERS_MAX];
};

/* How many live in the job: -1: it cannot be asked. */
static int64_t count_active(const rp_process *process)
{
    JOBOBJECT_BASIC_ACCOUNTING_INFORMATION accounting;

    process->loop->kernel_calls++;
    if (!rpi_os.QueryInformationJobObject(rpi_os_handle(process->job),
                                          JobObjectBasicAccountingInformation, &accounting,
                                          sizeof accounting, NULL)) {
        return -1;
    }
    return accounting.ActiveProcesses;
}

bool rpi_tree_exists(rp_process *process)
{
    return count_active(process) != 0;
}

static void let_go(tree_member *member)
{
    rp_loop *loop = member->tree->process->loop;

    rpi_io_forget(&loop->reactor, &member->io);
    rpi_loop_close_fd(loop, member->handle);
    member->handle = -1;
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

static void hold(rpi_tree *tree, DWORD pid)
{
    rp_loop *loop = tree->process->loop;
    tree_member *member = &tree->members[tree->pending];
    const HANDLE handle =
        rpi_os.OpenProcess(SYNCHRONIZE | PROCESS_QUERY_LIMITED_INFORMATION, FALSE, pid);
    BOOL is_member = FALSE;

    RP_ASSERT(member->handle < 0);
    if (handle == NULL) {
        return; /* gone, or not to be opened: the next look decides */
    }
    member->handle = rpi_os_fd(handle);
    rpi_io_init(&member->io, member->handle);
    rpi_op_init(&member->op, RPI_OP_EXIT, &member->io, on_member_exit);
    if (!rpi_os.IsProcessInJob(handle, rpi_os_handle(tree->process->job), &is_member) ||
        !is_member || rpi_op_start(&loop->reactor, &member->op) < 0) {
        let_go(member);
        return;
    }
    tree->pending++;
}

/* Counts the members and holds as many as there is room for. All earlier ones have ended. */
static int look(rpi_tree *tree)
{
    const size_t size = sizeof(JOBOBJECT_BASIC_PROCESS_ID_LIST) + MEMBERS_MAX * sizeof(ULONG_PTR);
    const int64_t active = count_active(tree->process);
    JOBOBJECT_BASIC_PROCESS_ID_LIST *list;

    RP_ASSERT(tree->pending == 0);
    tree->seen = active > 0 ? (uint32_t)active : 0;
    if (active <= 0) {
        return active < 0 ? -EIO : 0;
    }
    list = calloc(1, size);
    if (list == NULL) {
        return -ENOMEM;
    }
    if (!rpi_os.QueryInformationJobObject(rpi_os_handle(tree->process->job),
                                          JobObjectBasicProcessIdList, list, (DWORD)size, NULL) &&
        GetLastError() != ERROR_MORE_DATA) {
        const int r = rpi_os_last_error();

        free(list);
        return r;
    }
    for (DWORD i = 0; i < list->NumberOfProcessIdsInList && tree->pending < MEMBERS_MAX; i++) {
        hold(tree, (DWORD)list->ProcessIdList[i]);
    }
    free(list);
    return 0;
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
        tree->members[i].handle = -1;
    }
    r = look(tree);
    if (r < 0 || tree->seen == 0) {
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
    if (look(tree) == 0 && tree->seen == 0) {
        return true;
    }
    if (tree->process->step == RPI_STEP_KILL) { /* who was started when it was sent */
        rpi_tree_signal(tree, SIGKILL);
    }
    return false;
}

uint32_t rpi_tree_count(const rpi_tree *tree)
{
    return tree->seen;
}

int rpi_tree_signal_group(rp_process *process, int64_t group, int signal)
{
    (void)process;
    (void)group;
    (void)signal;
    return RP_ESRCH; /* a job has no groups within it */
}

void rpi_tree_signal(rpi_tree *tree, int signal)
{
    (void)rpi_send_group(tree->process, signal); /* refused: the next step may be allowed */
}

void rpi_tree_free_forked(rpi_tree *tree)
{
    rpi_free(&tree->process->loop->allocator, tree, sizeof *tree); /* this system does not fork */
}

bool rpi_tree_close(rpi_tree *tree)
{
    rp_loop *loop = tree->process->loop;

    tree->closing = true;
    for (int i = 0; i < MEMBERS_MAX; i++) {
        if (tree->members[i].handle >= 0) {
            rpi_op_cancel(&loop->reactor, &tree->members[i].op);
        }
    }
    if (tree->pending > 0) {
        return false;
    }
    rpi_free(&loop->allocator, tree, sizeof *tree);
    return true;
}
