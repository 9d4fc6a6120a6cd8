/* Processes that are not ours (include/rp/contain.h, explain.h) on Windows: not built yet. */
#include "base/status.h"
#include "rp/contain.h"
#include "rp/explain.h"

static int lack(void)
{
    rpi_detail_clear();
    return rpi_detail(RP_EUNSUPPORTED, "processes of others are not looked through on Windows");
}

int rp_find_by_originator(const char *tool, rp_each_fn *found, void *user)
{
    (void)tool;
    (void)found;
    (void)user;
    return lack();
}

int rp_tree_each(const rp_identity *root, rp_each_fn *each, void *user)
{
    (void)root;
    (void)each;
    (void)user;
    return lack();
}

int rp_tree_kill(const rp_identity *root, uint64_t timeout_ns)
{
    (void)root;
    (void)timeout_ns;
    return lack();
}

int rp_describe(const rp_identity *process, rp_each_fn *told, void *user)
{
    (void)process;
    (void)told;
    (void)user;
    return lack();
}

int rp_describe_waits(const rp_identity *process, rp_wait_fn *each, void *user)
{
    (void)process;
    (void)each;
    (void)user;
    return lack();
}

int rp_describe_ends(const rp_identity *processes, size_t count, rp_end_fn *each, void *user)
{
    (void)processes;
    (void)count;
    (void)each;
    (void)user;
    return lack();
}
