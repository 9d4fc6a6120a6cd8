/* The plan of a child: which descriptor of the host goes to which number of the child, sorted so
 * that the child can walk it with one hand. spawn_linux.c builds it, and may put slots in place of
 * high descriptors; the child (spawn_child_linux.c) and posix_spawn's file actions follow it. */
#define _GNU_SOURCE
#include <errno.h>

#include "core/spawn_linux.h"

/* Few and mostly sorted already: insertion. */
static void sort_maps(rpi_child_map *maps, size_t count)
{
    size_t i;

    for (i = 1; i < count; i++) {
        const rpi_child_map map = maps[i];
        size_t at = i;

        for (; at > 0 && maps[at - 1].target > map.target; at--) {
            maps[at] = maps[at - 1];
        }
        maps[at] = map;
    }
}

/* Puts `fd` into the sorted array, if it is not there. */
static void keep(rpi_child_plan *plan, int fd)
{
    size_t at = plan->kept_count;

    for (; at > 0 && plan->kept[at - 1] >= fd; at--) {
        if (plan->kept[at - 1] == fd) {
            return;
        }
    }
    for (size_t i = plan->kept_count; i > at; i--) {
        plan->kept[i] = plan->kept[i - 1];
    }
    plan->kept[at] = fd;
    plan->kept_count++;
}

int rpi_plan_init(rpi_child_plan *plan,
                  const rpi_launch *launch,
                  const int ends[3],
                  const rp_allocator *allocator)
{
    const size_t count = 3 + launch->fd_count;
    size_t i;

    plan->launch = launch;
    plan->allocator = allocator;
    plan->maps = plan->maps_inline;
    plan->kept = plan->kept_inline;
    plan->map_count = count;
    plan->kept_count = 0;
    plan->target_count = launch->fd_max + 1;
    plan->conflicts = false;
    plan->shares_table = false;
    plan->resets_all = false;
    plan->enters_cgroup = launch->cgroup != NULL;
    plan->has_close_range = true;
    plan->reset_signals = 0;
    plan->report = -1;
    plan->error = 0;
    plan->phase = RPI_PHASE_NONE;
    if (count > RPI_PLAN_INLINE) {
        plan->maps = rpi_alloc(allocator, count * sizeof *plan->maps);
        plan->kept = rpi_alloc(allocator, (count + 1) * sizeof *plan->kept);
        if (plan->maps == NULL || plan->kept == NULL) {
            rpi_plan_fini(plan);
            return -ENOMEM;
        }
    }
    for (i = 0; i < 3; i++) {
        plan->maps[i] = (rpi_child_map){ends[i], (int)i, ends[i], -1};
    }
    for (i = 0; i < launch->fd_count; i++) {
        plan->maps[3 + i] =
            (rpi_child_map){launch->fds[i].fd, launch->fds[i].child, launch->fds[i].fd, -1};
    }
    sort_maps(plan->maps, count);
    return 0;
}

void rpi_plan_fini(rpi_child_plan *plan)
{
    const size_t count = plan->map_count;

    if (plan->maps != plan->maps_inline) {
        rpi_free(plan->allocator, plan->maps, count * sizeof *plan->maps);
    }
    if (plan->kept != plan->kept_inline) {
        rpi_free(plan->allocator, plan->kept, (count + 1) * sizeof *plan->kept);
    }
}

void rpi_plan_finish(rpi_child_plan *plan, int report)
{
    size_t i;

    plan->kept_count = 0;
    plan->conflicts = false;
    plan->report = report;
    plan->error = 0;
    plan->phase = RPI_PHASE_NONE;
    for (i = 0; i < plan->map_count; i++) {
        const int from = plan->maps[i].from;

        if (from < 0) {
            continue;
        }
        keep(plan, from);
        if (from < plan->target_count && from != plan->maps[i].target) {
            plan->conflicts = true;
        }
    }
    if (report >= 0) {
        keep(plan, report);
        plan->conflicts = plan->conflicts || report < plan->target_count;
    }
}

int rpi_plan_highest(const rpi_child_plan *plan)
{
    return plan->kept_count == 0 ? -1 : plan->kept[plan->kept_count - 1];
}
