/* running-process: groups: children that end together, with all that they have started, whatever
 * became of its parents; also when the caller dies. A command names its group (rp_command.group).
 *
 *     rp_group_options options = RP_INIT(rp_group_options);
 *     rp_group_open(loop, &options, &group);
 *     command.group = group;
 *     rp_spawn(loop, &command, &handlers, user, NULL);
 *     ...
 *     rp_group_close(group);
 *
 * When the caller dies without closing its groups, by SIGKILL too, the guard ends them: the program
 * running-process-guard, which a loop starts for its first group and which is told of them all
 * (survive_crash: not of that one). It is found where the library was installed for; the variable
 * RUNNING_PROCESS_GUARD names another file. Where there is none, a line in the loop's log says so,
 * and the grade.
 *
 * How strongly the system holds them is the group's grade: it is chosen when the group is opened,
 * the strongest that works there, and can be asked for. Conventions: rp/base.h. */
#ifndef RP_GROUP_H
#define RP_GROUP_H

#include "rp/base.h"
#include "rp/contain.h"

#ifdef __cplusplus
extern "C" {
#endif

/** How strongly the system holds the members of a group, weakest first.
 *
 * GROUP: the children and who is in the process groups that they lead; setsid and setpgid escape.
 * Who escaped is not killed; where the processes of the system can be looked through (/proc),
 * rp_group_kill tells of them, found as at SCAN. Where not, nothing beyond the groups is known.
 *
 * SCAN: also all descendants: found by their parents, by the sessions that members lead, and by a
 * variable that every member inherits (RUNNING_PROCESS_GROUP). They are stopped while they are
 * looked for, so that a tree that forks without end is caught too. Escapes: who breaks all these
 * ties at once, with an empty environment and its parent gone, between two looks.
 *
 * REAPER: orphans come to a reaper that outlives the caller. Not reached on Linux: only an ancestor
 * of the children could be that, and the library does not make the caller one.
 *
 * KERNEL: a cgroup of its own (Linux, cgroup v2): nothing escapes but who is allowed to move itself
 * into other cgroups, and does. */
typedef enum rp_grade {
    RP_GRADE_GROUP = 1,
    RP_GRADE_SCAN,
    RP_GRADE_REAPER,
    RP_GRADE_KERNEL
} rp_grade;

typedef struct rp_group_options {
    size_t size;
    const char *originator; /* for commands that name none; as rp_command.originator */
    bool survive_crash;     /* true: leave the children, and their cgroup, when the caller dies
                               without closing */
    rp_grade grade_min;     /* not reached: RP_EUNSUPPORTED; 0 = any */
} rp_group_options;
#define RP_GROUP_OPTIONS_INIT RP_INIT(rp_group_options)

/** An empty group. `options` may be NULL. 0; RP_EINVAL, RP_E2BIG; RP_EUNSUPPORTED: grade_min cannot
 * be reached here, the detail says why; RP_ECANCELED: the loop is being closed; RP_ENOMEM,
 * RP_EMFILE. */
RP_API int rp_group_open(rp_loop *loop, const rp_group_options *options, rp_group **ret_group);

/** The grade that is reached. Of a group that is to end with the caller (not survive_crash) at most
 * RP_GRADE_SCAN while there is no guard, however it is held; that may change when the guard ends.
 */
RP_API rp_grade rp_group_grade(const rp_group *group);

/** Whether a guard ends the group when the caller dies. */
RP_API bool rp_group_is_guarded(const rp_group *group);

/** Kills all members and looks again until nobody is left, for `timeout_ns` at most (0: kills,
 * looks once; RP_FOREVER). Commands of the group that have not begun are cancelled. `emptied`, if
 * not NULL, is told once, out of the loop, who was left then: nobody, or those that the system did
 * not let go or us not kill; their texts live until it returns. Where that cannot be found out,
 * for want of memory or descriptors, it is told one without a number, its state "unknown". The
 * group can be used again afterwards; until then a command of it gives RP_EBUSY. 0; RP_EBUSY: a
 * kill is under way; RP_ENOMEM, RP_EAGAIN (no thread): the children have been killed, but nobody
 * looks whether all are gone, and `emptied` will not come. */
RP_API int rp_group_kill(
    rp_group *group,
    uint64_t timeout_ns,
    void (*emptied)(rp_group *group, const rp_survivor *survivors, size_t count, void *user),
    void *user);

/** Kills all members, as rp_group_kill; the loop goes on to look whether they are gone, for 5 s,
 * and logs who is not. A kill under way is told no more. Its processes stay, and their `done` still
 * comes (rp_exit.reason is RP_STOP_CLOSE). NULL is allowed; rp_loop_close closes the rest. 0. */
RP_API int rp_group_close(rp_group *group);

#ifdef __cplusplus
}
#endif
#endif
