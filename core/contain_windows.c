/* Processes that are not ours (include/rp/contain.h, explain.h) on Windows. A parent is told by its
 * number only, which another may have got since: so a child belongs to a parent that was created
 * before it and no later. There is no way to stop a tree while it is looked for; who is killed
 * starts nobody any more, so looks are repeated until one finds nobody. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/os.h"
#include "base/os_windows.h"
#include "base/signals.h"
#include "base/status.h"
#include "core/look_windows.h"
#include "rp/contain.h"
#include "rp/explain.h"

#define FILETIME_UNIX_EPOCH UINT64_C(116444736000000000) /* from 1601 to 1970, in 100 ns */
#define START_SLACK_MS 2000

enum {
    CODE_KILLED = 128 + SIGKILL,
    LOOK_MS = 2, /* between two looks for who is left */
};

static int lack(void)
{
    rpi_detail_clear();
    return rpi_detail(RP_EUNSUPPORTED, "what a process waits in, and for whom, is not told here");
}

/* ---- who is meant ----------------------------------------------------------------------- */

static uint64_t start_ms(uint64_t created)
{
    return created > FILETIME_UNIX_EPOCH ? (created - FILETIME_UNIX_EPOCH) / 10000 : 0;
}

/* Whether the process in the look is the one that is meant: 0, RP_ESRCH. */
static int find_meant(const rpi_look *look, const rp_identity *meant, const rpi_looked **ret_found)
{
    const rpi_looked *found = rpi_look_find(look, meant->pid);
    uint64_t began_ms;

    if (found == NULL || (meant->unique != 0 && found->created != meant->unique)) {
        return RP_ESRCH;
    }
    began_ms = start_ms(found->created);
    if (meant->unique == 0 && meant->start_time_ms != 0 &&
        (began_ms > meant->start_time_ms + START_SLACK_MS ||
         began_ms + START_SLACK_MS < meant->start_time_ms)) {
        return RP_ESRCH;
    }
    *ret_found = found;
    return 0;
}

static const char *or_empty(const char *text)
{
    return text != NULL ? text : "";
}

/* Tells of one; false ends. */
static bool tell(const rpi_look *look, const rpi_looked *one, rp_each_fn *each, void *user)
{
    const rpi_looked *parent = rpi_look_find(look, one->parent);
    rp_process_info info = {
        .id = {.pid = one->pid, .start_time_ms = start_ms(one->created), .unique = one->created},
        .parent_pid = one->parent,
        .depth = (uint32_t)one->depth,
        .name = one->name,
        .kind = "",
        .state = "running"};
    rpi_parameters parameters;
    bool more;

    info.parent_alive = parent != NULL && parent->created <= one->created;
    (void)rpi_parameters_read(one->pid, false, &parameters); // refused: its name tells
    info.command = parameters.command != NULL ? parameters.command : one->name;
    info.cwd = or_empty(parameters.cwd);
    info.originator = or_empty(parameters.originator);
    more = each(&info, user);
    rpi_parameters_fini(&parameters);
    return more;
}

/* ---- by originator ------------------------------------------------------------------------- */

/* "tool:...:PID": the number, 0: it is none. */
static int64_t launcher_of(const char *value, const char *tool)
{
    const size_t length = strlen(tool);
    const char *colon = strrchr(value, ':');
    char *end = NULL;
    uint64_t pid;

    if (strncmp(value, tool, length) != 0 || value[length] != ':' || colon == NULL ||
        colon[1] < '0' || colon[1] > '9') {
        return 0;
    }
    errno = 0;
    pid = strtoull(colon + 1, &end, 10);
    return errno == 0 && *end == '\0' && pid <= UINT32_MAX ? (int64_t)pid : 0;
}

int rp_find_by_originator(const char *tool, rp_each_fn *found, void *user)
{
    rpi_look look;
    int count = 0;
    bool more = true;
    int r;

    rpi_detail_clear();
    if (tool == NULL || tool[0] == '\0') {
        return rpi_detail(RP_EINVAL, "tool: no name");
    }
    r = rpi_look_take(&look);
    if (r < 0) {
        return r;
    }
    for (size_t i = 0; i < look.count && more; i++) {
        rpi_parameters parameters;
        int64_t launcher = 0;

        if (rpi_parameters_read(look.list[i].pid, true, &parameters) == 0 &&
            parameters.originator != NULL) {
            launcher = launcher_of(parameters.originator, tool);
        }
        rpi_parameters_fini(&parameters);
        if (launcher > 0) {
            look.list[i].parent = launcher;
            count++;
            more = found == NULL || tell(&look, &look.list[i], found, user);
        }
    }
    rpi_look_fini(&look);
    return count;
}

/* ---- trees ------------------------------------------------------------------------------------
 */

/* The indexes of a tree's members in a look, parents before their children, each followed by its
 * own: an array of malloc with *ret_count entries; NULL: no memory. */
static size_t *tree_of(rpi_look *look, const rpi_looked *root, size_t *ret_count)
{
    size_t *order = malloc((look->count + 1) * sizeof *order);
    size_t count = 0;

    if (order == NULL) {
        return NULL;
    }
    order[count++] = (size_t)(root - look->list);
    look->list[order[0]].depth = 0;
    for (size_t at = 0; at < count; at++) {
        const rpi_looked *parent = &look->list[order[at]];

        for (size_t i = 0; i < look->count; i++) {
            rpi_looked *child = &look->list[i];

            if (child->parent == parent->pid && child->pid != parent->pid &&
                child->created >= parent->created && child->created != 0) {
                child->depth = parent->depth + 1;
                memmove(order + at + 2, order + at + 1, (count - at - 1) * sizeof *order);
                order[at + 1] = i; // right behind its parent, and its own behind it in turn
                count++;
            }
        }
    }
    *ret_count = count;
    return order;
}

static int check_root(const rp_identity *root)
{
    rpi_detail_clear();
    return root == NULL || root->pid <= 0 ? rpi_detail(RP_EINVAL, "root: no process number") : 0;
}

int rp_tree_each(const rp_identity *root, rp_each_fn *each, void *user)
{
    const rpi_looked *found = NULL;
    rpi_look look;
    size_t *order = NULL;
    size_t count = 0;
    size_t told = 0;
    bool more = true;
    int r = check_root(root);

    r = r < 0 ? r : rpi_look_take(&look);
    if (r < 0) {
        return r;
    }
    r = find_meant(&look, root, &found);
    if (r == 0) {
        order = tree_of(&look, found, &count);
        r = order != NULL ? 0 : RP_ENOMEM;
    }
    for (; r == 0 && told < count && more; told++) {
        more = each == NULL || tell(&look, &look.list[order[told]], each, user);
    }
    free(order);
    rpi_look_fini(&look);
    return r < 0 ? r : (int)told;
}

/* A tree that is being killed. A handle keeps a member's number from being given to another, so
 * that whoever names it as his parent is of the tree, also when the member has ended. */
typedef struct doomed {
    HANDLE *handles; /* owned; an entry may be NULL: not to be opened */
    rpi_looked *members;
    size_t count, capacity;
} doomed;

static int doom(doomed *tree, const rpi_looked *one)
{
    const DWORD rights = PROCESS_TERMINATE | PROCESS_QUERY_LIMITED_INFORMATION | SYNCHRONIZE;
    HANDLE handle;

    if (tree->count == tree->capacity) {
        const size_t capacity = tree->capacity == 0 ? 64 : tree->capacity * 2;
        HANDLE *handles = realloc(tree->handles, capacity * sizeof *handles);
        rpi_looked *members;

        tree->handles = handles != NULL ? handles : tree->handles;
        members = realloc(tree->members, capacity * sizeof *members);
        tree->members = members != NULL ? members : tree->members;
        if (handles == NULL || members == NULL) {
            return RP_ENOMEM;
        }
        tree->capacity = capacity;
    }
    if (one->pid == rpi_os_pid()) {
        return rpi_detail(RP_EINVAL, "root: the caller is in that tree itself");
    }
    handle = rpi_os.OpenProcess(rights, FALSE, (DWORD)one->pid);
    if (handle != NULL && rpi_look_created(handle) != one->created) {
        (void)rpi_os.CloseHandle(handle); // another by now
        return 0;
    }
    tree->handles[tree->count] = handle;
    tree->members[tree->count++] = *one;
    return 0;
}

static bool is_member(const doomed *tree, const rpi_looked *one)
{
    for (size_t i = 0; i < tree->count; i++) {
        if (tree->members[i].pid == one->pid && tree->members[i].created == one->created) {
            return true;
        }
    }
    return false;
}

static bool is_child(const doomed *tree, const rpi_looked *one)
{
    for (size_t i = 0; i < tree->count; i++) {
        if (tree->members[i].pid == one->parent && tree->members[i].created <= one->created) {
            return true;
        }
    }
    return false;
}

/* Adds who came since the last look: how many, or an error. */
static int doom_children(doomed *tree)
{
    rpi_look look;
    size_t before = tree->count;
    size_t added;
    int r = rpi_look_take(&look);

    if (r < 0) {
        return r;
    }
    do {
        added = tree->count;
        for (size_t i = 0; i < look.count && r == 0; i++) {
            if (is_child(tree, &look.list[i]) && !is_member(tree, &look.list[i])) {
                r = doom(tree, &look.list[i]);
            }
        }
    } while (r == 0 && tree->count > added);
    rpi_look_fini(&look);
    return r < 0 ? r : (int)(tree->count - before);
}

/* Ends all, the last found first: how many live. */
static int kill_all(const doomed *tree)
{
    int alive = 0;

    for (size_t i = tree->count; i-- > 0;) {
        const HANDLE handle = tree->handles[i];

        if (handle == NULL) {
            alive++; // it is not ours to end, nor to wait for
        } else if (rpi_os.WaitForSingleObject(handle, 0) == WAIT_TIMEOUT) {
            alive++;
            (void)rpi_os.TerminateProcess(handle, CODE_KILLED); // refused: it is seen again
        }
    }
    return alive;
}

static int kill_tree(doomed *tree, uint64_t until_ns)
{
    int alive;
    int r;

    do {
        r = doom_children(tree);
        if (r < 0) {
            return r;
        }
        alive = kill_all(tree);
        if (alive > 0 && rpi_clock_now_ns() < until_ns) {
            Sleep(LOOK_MS);
        }
    } while ((alive > 0 || r > 0) && rpi_clock_now_ns() < until_ns);
    return alive;
}

int rp_tree_kill(const rp_identity *root, uint64_t timeout_ns)
{
    const uint64_t until_ns = rpi_clock_after(rpi_clock_now_ns(), timeout_ns);
    const rpi_looked *found = NULL;
    doomed tree = {NULL, NULL, 0, 0};
    rpi_look look;
    int r = check_root(root);

    if (r == 0 && root->start_time_ms == 0 && root->unique == 0) {
        return rpi_detail(RP_EINVAL, "root: a number alone may be another process's by now");
    }
    r = r < 0 ? r : rpi_look_take(&look);
    if (r < 0) {
        return r;
    }
    r = find_meant(&look, root, &found);
    r = r == 0 ? doom(&tree, found) : r == RP_ESRCH ? 0 : r; // gone before: nobody to find
    rpi_look_fini(&look);
    if (r == 0 && tree.count > 0) {
        r = kill_tree(&tree, until_ns);
    }
    for (size_t i = 0; i < tree.count; i++) {
        if (tree.handles[i] != NULL) {
            (void)rpi_os.CloseHandle(tree.handles[i]); // ours
        }
    }
    free(tree.handles);
    free(tree.members);
    return r;
}

int rp_describe(const rp_identity *process, rp_each_fn *told, void *user)
{
    const rpi_looked *found = NULL;
    rpi_look look;
    int r = check_root(process);

    if (r == 0 && told == NULL) {
        return rpi_detail(RP_EINVAL, "told: nobody to tell");
    }
    r = r < 0 ? r : rpi_look_take(&look);
    if (r < 0) {
        return r;
    }
    r = find_meant(&look, process, &found);
    if (r == 0) {
        (void)tell(&look, found, told, user); // there is but one
        r = 1;
    }
    rpi_look_fini(&look);
    return r;
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
