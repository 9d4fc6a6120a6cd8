/* Finding what a tool has launched, in this run or an earlier one, by the originator that its
 * children and theirs carry in their environment. One look through /proc; of a process that carries
 * none, only its environment is read. That costs the kernel about 10 us a process, so where there
 * are many, threads share them for the moment of the call. */
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/scan_linux.h"
#include "base/status.h"
#include "core/describe_linux.h"
#include "core/spawn.h"

enum {
    NUMBERS_FIRST = 64,
    SHARE = 64,        /* processes that a thread takes at once */
    SHARES_ALONE = 16, /* before there are threads to help: fewer are done by the time they start */
    HELPERS_MAX = 3    /* beside the calling thread */
};

/* Numbers of processes, in memory of the default allocator. */
typedef struct numbers {
    int64_t *pids;
    size_t count, capacity;
} numbers;

typedef struct search {
    const char *tool;
    size_t tool_size;
    pthread_mutex_t mutex;
    rpi_scan scan; /* under the mutex, as are these */
    bool is_over;
    int error;
    numbers found;
} search;

static int add_number(numbers *to, int64_t pid)
{
    if (to->count == to->capacity) {
        const size_t capacity = to->capacity == 0 ? NUMBERS_FIRST : 2 * to->capacity;
        int64_t *pids = rpi_resize(rpi_alloc_default(), to->pids, to->capacity * sizeof *pids,
                                   capacity * sizeof *pids);

        if (pids == NULL) {
            return -ENOMEM;
        }
        to->pids = pids;
        to->capacity = capacity;
    }
    to->pids[to->count++] = pid;
    return 0;
}

static int by_number(const void *left, const void *right)
{
    const int64_t a = *(const int64_t *)left;
    const int64_t b = *(const int64_t *)right;

    return (a > b) - (a < b);
}

static bool is_of_tool(const search *of, const char *value)
{
    return strncmp(value, of->tool, of->tool_size) == 0 && value[of->tool_size] == ':' &&
           rpi_originator_pid(value) != 0;
}

/* ---- looking ------------------------------------------------------------------------------ */

static void lock(search *of)
{
    RP_ASSERT(pthread_mutex_lock(&of->mutex) == 0);
}

static void unlock(search *of)
{
    RP_ASSERT(pthread_mutex_unlock(&of->mutex) == 0);
}

/* Nothing more is to be looked at: there is nothing, or it went wrong. */
static void stop(search *of, int error)
{
    of->is_over = true;
    of->error = of->error == 0 ? error : of->error;
}

/* The next processes: how many. */
static size_t take_share(search *of, int64_t pids[SHARE])
{
    size_t count = 0;

    lock(of);
    while (!of->is_over && count < SHARE) {
        const int r = rpi_scan_next(&of->scan, &pids[count]);

        if (r <= 0) {
            stop(of, r);
        } else {
            count++;
        }
    }
    unlock(of);
    return count;
}

static void note(search *of, int64_t pid)
{
    int r;

    lock(of);
    r = add_number(&of->found, pid);
    if (r < 0) {
        stop(of, r);
    }
    unlock(of);
}

static void look_at(search *of, rpi_describer *describer, int64_t pid)
{
    const char *value = NULL;
    const int r = rpi_describe_originator(describer, pid, &value);

    if (r < 0) {
        lock(of);
        stop(of, r);
        unlock(of);
    } else if (is_of_tool(of, value)) {
        note(of, pid);
    }
}

/* Takes shares until there are none, or `shares_max` were taken. Whether there may be more. */
static bool look(search *of, rpi_describer *describer, size_t shares_max)
{
    for (size_t shares = 0; shares < shares_max; shares++) {
        int64_t pids[SHARE];
        const size_t count = take_share(of, pids);

        for (size_t i = 0; i < count; i++) {
            look_at(of, describer, pids[i]);
        }
        if (count < SHARE) {
            return false;
        }
    }
    return true;
}

static void *help(void *argument)
{
    search *of = argument;
    rpi_describer *describer = NULL;

    if (rpi_describer_open(&describer) == 0) { /* else the others do it alone */
        (void)look(of, describer, SIZE_MAX);
        rpi_describer_close(describer);
    }
    return NULL;
}

/* All processes, with what help there is. */
static void look_together(search *of, rpi_describer *describer)
{
    pthread_t helpers[HELPERS_MAX];
    size_t wanted = rpi_spawn_processors() - 1;
    size_t count = 0;

    if (!look(of, describer, SHARES_ALONE)) {
        return;
    }
    wanted = wanted < HELPERS_MAX ? wanted : HELPERS_MAX;
    while (count < wanted && rpi_spawn_thread_start(help, of, &helpers[count]) == 0) {
        count++;
    }
    (void)look(of, describer, SIZE_MAX);
    for (size_t i = 0; i < count; i++) {
        RP_ASSERT(pthread_join(helpers[i], NULL) == 0);
    }
}

/* ---- telling ------------------------------------------------------------------------------ */

/* One that carried the originator a moment ago. 1: told; 0: it has ended, or became another
 * program; -ENOMEM. */
static int
describe(const search *of, rpi_describer *describer, int64_t pid, rp_process_info *ret_info)
{
    rpi_identity identity;
    int r = rpi_identity_of(pid, &identity);

    r = r < 0 ? r : rpi_describe(describer, &identity, ret_info);
    if (r < 0 || !is_of_tool(of, ret_info->originator)) {
        return r == -ENOMEM ? r : 0;
    }
    ret_info->parent_pid = rpi_originator_pid(ret_info->originator);
    ret_info->parent_alive = rpi_lived_at(ret_info->parent_pid, identity.start_ticks);
    return 1;
}

static int tell(search *of, rpi_describer *describer, rp_each_fn *found, void *user)
{
    int count = 0;

    if (of->found.count > 1) {
        qsort(of->found.pids, of->found.count, sizeof *of->found.pids, by_number);
    }
    for (size_t i = 0; i < of->found.count; i++) {
        rp_process_info info;
        int r = describe(of, describer, of->found.pids[i], &info);

        if (r < 0) {
            return r;
        }
        count += r;
        if (r > 0 && !found(&info, user)) {
            break;
        }
    }
    return count;
}

static int find(search *of, rp_each_fn *found, void *user)
{
    rpi_describer *describer = NULL;
    int r = rpi_describer_open(&describer);

    if (r < 0) {
        return r;
    }
    r = rpi_scan_open(&of->scan);
    if (r == 0) {
        look_together(of, describer);
        rpi_scan_close(&of->scan);
        r = of->error;
    }
    r = r < 0 ? r : tell(of, describer, found, user);
    rpi_describer_close(describer);
    rpi_free(rpi_alloc_default(), of->found.pids, of->found.capacity * sizeof *of->found.pids);
    return r;
}

int rp_find_by_originator(const char *tool, rp_each_fn *found, void *user)
{
    search of = {.tool = tool};
    int error;
    int r;

    rpi_detail_clear();
    if (tool == NULL || tool[0] == '\0') {
        return rpi_detail(RP_EINVAL, "tool: an empty name");
    }
    if (found == NULL) {
        return rpi_detail(RP_EINVAL, "no function to tell");
    }
    of.tool_size = strlen(tool);
    error = pthread_mutex_init(&of.mutex, NULL);
    if (error != 0) {
        return -error;
    }
    r = find(&of, found, user);
    (void)pthread_mutex_destroy(&of.mutex); /* nobody has it */
    return r;
}
