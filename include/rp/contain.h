/* running-process: processes that need not be ours: who they are, what came of whom, how to end a
 * whole tree and be sure; who holds a child's pipes; what earlier runs left.
 *
 * A process is named by its identity (rp_identity, rp/process.h), never by its number alone, which
 * is another's as soon as it has ended: nothing here ever signals a later process with the number
 * of an earlier one. Where the system cannot hold a process (no pidfds: Linux before 5.3, a filter)
 * what would have to signal one gives RP_EUNSUPPORTED.
 *
 * The tree of a process is: the process; its descendants; who is in a process group or a session
 * that one of them leads; and who carries an originator (RUNNING_PROCESS_ORIGINATOR=TOOL:PID) that
 * names one of them as the launcher. So also those are found whose parents have ended, unless they
 * have broken every tie.
 *
 * Conventions: rp/base.h. The functions marked [any thread] block while they look through the
 * processes of the system (about 10 us a process), and run no loop. */
#ifndef RP_CONTAIN_H
#define RP_CONTAIN_H

#include "rp/base.h"
#include "rp/process.h"

#ifdef __cplusplus
extern "C" {
#endif

/** A process that need not be ours. Texts are never NULL, "" where they are not known (another
 * user's process tells its name only), and live until the callback returns. */
typedef struct rp_process_info {
    rp_identity id;
    int64_t parent_pid;  /* of rp_find_by_originator: the launcher that the originator names; 0 =
                            none */
    bool parent_alive;   /* and not a later process with its number */
    uint32_t depth;      /* in its tree: 0 = its root */
    uint32_t streams;    /* of a holder: 1 << RP_STDOUT, 1 << RP_STDERR; else 0 */
    const char *name;    /* what the system calls it; at most 15 bytes of the program's name */
    const char *command; /* its arguments, joined by spaces; without any, its name */
    const char *cwd;
    const char *kind;       /* "" unless its function says so */
    const char *originator; /* "TOOL:PID" */
    const char *state;      /* "running", "sleeping", "disk-sleep", "stopped", "tracing-stop",
                               "zombie", "dead", "idle", "unknown" */
    uint64_t reserved[4];
} rp_process_info;

typedef rp_process_info rp_orphan, rp_survivor, rp_tracked;

/** Called for one process after the other; false ends. Functions that take one return how often it
 * was called, or an error. It may call everything. */
typedef bool rp_each_fn(const rp_process_info *info, void *user);

/** Who holds the piped outputs of a child now, the child itself too: whoever could still write to
 * them. For one that is done: who kept it from coming to its end of file (rp_exit.holders). Of a
 * terminal: who has it open. Other users' processes cannot be looked into without privileges and
 * are not seen. The count; RP_EAGAIN: before started; RP_ENOMEM; other errors of the system. Blocks
 * while it looks through the descriptors of all processes (about 50 us a process). */
RP_API int rp_process_holders(const rp_process *process, rp_each_fn *holder, void *user);

/** [any thread] Processes whose originator (RUNNING_PROCESS_ORIGINATOR, as it was when their
 * program began) is "tool:...:PID": parent_pid is that PID, parent_alive whether its process still
 * lives: it must not have begun after the one found. What is behind the last colon must be a number
 * of 32 bits, else the process is not found; "A" also finds the originator "A:B:12". Zombies and
 * processes of other users are not seen. The count; RP_EINVAL: `tool` is NULL or empty; RP_ENOMEM;
 * other errors of the system. */
RP_API int rp_find_by_originator(const char *tool, rp_each_fn *found, void *user);

/** [any thread] The tree of `root` (see above), parents before their children, each followed by its
 * own. The root's depth is 0; a member whose parent is not in the tree has depth 1. The count;
 * RP_ESRCH: the root is gone; RP_EINVAL: no number, or see rp_tree_kill; RP_ENOMEM; other errors of
 * the system. */
RP_API int rp_tree_each(const rp_identity *root, rp_each_fn *each, void *user);

/** [any thread] Kills the tree of `root` (see above) and looks again until nobody is left: all are
 * stopped (SIGSTOP) first, so that nobody forks meanwhile or reacts, then killed, the deepest
 * first. Waits for `timeout_ns` nanoseconds at most for them to go (0 = kills, looks once). A
 * zombie counts as gone. The survivors: 0 = verified gone, or was before; RP_EINVAL: no more than a
 * number is given (start_time_ms and unique are 0), the caller is in that tree itself, or its start
 * does not fit because the clock was set or the boot is another; RP_EUNSUPPORTED; RP_ENOMEM; other
 * errors of the system: it is not known whether anybody is left. */
RP_API int rp_tree_kill(const rp_identity *root, uint64_t timeout_ns);

#ifdef __cplusplus
}
#endif
#endif
