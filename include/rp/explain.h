/* running-process: asking about one process that need not be ours, by its identity (rp_identity,
 * rp/process.h): who it is now.
 *
 * Conventions: rp/base.h. What is another user's, or a process that may not be looked into, tells
 * its name, parent and state only. */
#ifndef RP_EXPLAIN_H
#define RP_EXPLAIN_H

#include "rp/base.h"
#include "rp/contain.h"
#include "rp/process.h"

#ifdef __cplusplus
extern "C" {
#endif

/** [any thread] Tells of one process, once: parent_pid is its parent, depth and streams are 0. 1;
 * RP_ESRCH: it is gone; RP_EINVAL: no number, nobody to tell, or its start does not fit (see
 * rp_tree_kill); RP_ENOMEM; other errors of the system. */
RP_API int rp_describe(const rp_identity *process, rp_each_fn *told, void *user);

#ifdef __cplusplus
}
#endif
#endif
