/* Finding what a tool has launched, in this run or an earlier one, by the originator that its
 * children and theirs carry in their environment. One look through /proc; of a process that carries
 * none, only its environment is read. */
#include <errno.h>
#include <string.h>

#include "base/status.h"
#include "core/describe_linux.h"
#include "core/scan_linux.h"

typedef struct search {
    rpi_describer *describer;
    const char *tool;
    size_t tool_size;
    rp_each_fn *found;
    void *user;
    int count;
    bool ended; /* by the callback */
} search;

static bool is_of_tool(const search *of, const char *value)
{
    return strncmp(value, of->tool, of->tool_size) == 0 && value[of->tool_size] == ':' &&
           rpi_originator_pid(value) != 0;
}

/* Tells of a process that carries the originator. */
static int tell(search *of, int64_t pid)
{
    rp_process_info info;
    rpi_identity identity;
    int r = rpi_identity_of(pid, &identity);

    r = r < 0 ? r : rpi_describe(of->describer, &identity, &info);
    if (r == -ENOMEM) {
        return r;
    }
    if (r < 0 || !is_of_tool(of, info.originator)) {
        return 0; /* it ended meanwhile, or became another program */
    }
    info.parent_pid = rpi_originator_pid(info.originator);
    info.parent_alive = rpi_lived_at(info.parent_pid, identity.start_ticks);
    of->count++;
    of->ended = !of->found(&info, of->user);
    return 0;
}

static int look(search *of)
{
    rpi_scan scan;
    int64_t pid;
    int r = rpi_scan_open(&scan);

    if (r < 0) {
        return r;
    }
    while (!of->ended && (r = rpi_scan_next(&scan, &pid)) > 0) {
        const char *value = NULL;

        r = rpi_describe_originator(of->describer, pid, &value);
        if (r == 0 && is_of_tool(of, value)) {
            r = tell(of, pid);
        }
        if (r < 0) {
            break;
        }
    }
    rpi_scan_close(&scan);
    return r < 0 ? r : of->count;
}

int rp_find_by_originator(const char *tool, rp_each_fn *found, void *user)
{
    search of = {.tool = tool, .found = found, .user = user};
    int r;

    rpi_detail_clear();
    if (tool == NULL || tool[0] == '\0') {
        return rpi_detail(RP_EINVAL, "tool: an empty name");
    }
    if (found == NULL) {
        return rpi_detail(RP_EINVAL, "no function to tell");
    }
    of.tool_size = strlen(tool);
    r = rpi_describer_open(&of.describer);
    if (r < 0) {
        return r;
    }
    r = look(&of);
    rpi_describer_close(of.describer);
    return r;
}
