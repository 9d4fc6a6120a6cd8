/* rp_describe: one process, as rp_tree_each tells of many. */
#include <stddef.h>

#include "base/status.h"
#include "core/describe_linux.h"
#include "rp/explain.h"

int rp_describe(const rp_identity *process, rp_each_fn *told, void *user)
{
    rpi_describer *describer = NULL;
    rpi_identity found;
    rp_process_info info;
    int r;

    rpi_detail_clear();
    if (process == NULL || process->pid <= 0) {
        return rpi_detail(RP_EINVAL, "process: no process number");
    }
    if (told == NULL) {
        return rpi_detail(RP_EINVAL, "no function to tell");
    }
    r = rpi_identity_find(process, &found);
    r = r < 0 ? r : rpi_describer_open(&describer);
    if (r < 0) {
        return r;
    }
    r = rpi_describe(describer, &found, &info);
    if (r == 0) {
        (void)told(&info, user); /* there is nobody else to tell of */
        r = 1;
    }
    rpi_describer_close(describer);
    return r;
}
