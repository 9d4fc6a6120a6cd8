/* rp_describe_ends: both ends of a pipe have one name, its inode; a terminal is named by its
 * number, which its master tells too (fdinfo). So what the processes asked about have open is
 * listed first, and sorted; then one look goes through the descriptors of the system and keeps
 * those with a name of that list; and who is the other end of whom is found by the access that each
 * has. Of the default allocator: it serves a function without a loop. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/os.h"
#include "base/scan_linux.h"
#include "base/status.h"
#include "core/describe_linux.h"
#include "rp/explain.h"

enum {
    NAME_SIZE = 64,
    FDINFO_SIZE = 1024,
    FIRST_COUNT = 64
};

typedef enum thing_kind {
    THING_NONE = 0, /* all that a process has, which is not for us */
    THING_PIPE,
    THING_TERMINAL
} thing_kind;

/* A descriptor of somebody. */
typedef struct thing {
    thing_kind kind;
    bool is_master, reads, writes;
    uint64_t number; /* a pipe's inode, a terminal's number */
    int64_t pid, fd;
    size_t process; /* of those asked about: the index */
} thing;

typedef struct things {
    thing *list; /* owned */
    size_t count, capacity;
} things;

typedef struct search {
    things ours;   /* by process and descriptor */
    things wanted; /* the same by name */
    things found;  /* by name, process and descriptor */
    rpi_describer *describer;
    rp_end_fn *each;
    void *user;
    int count;
    bool ended; /* by the callback */
} search;

static int add(things *to, const thing *one)
{
    if (to->count == to->capacity) {
        const size_t capacity = to->capacity == 0 ? FIRST_COUNT : 2 * to->capacity;
        thing *list = rpi_resize(rpi_alloc_default(), to->list, to->capacity * sizeof *list,
                                 capacity * sizeof *list);

        if (list == NULL) {
            return -ENOMEM;
        }
        to->list = list;
        to->capacity = capacity;
    }
    to->list[to->count++] = *one;
    return 0;
}

static void things_free(things *all)
{
    rpi_free(rpi_alloc_default(), all->list, all->capacity * sizeof *all->list);
}

static int compare_numbers(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

static int by_name(const void *left, const void *right)
{
    const thing *a = left;
    const thing *b = right;

    return a->kind != b->kind ? (int)a->kind - (int)b->kind : compare_numbers(a->number, b->number);
}

static int by_name_and_owner(const void *left, const void *right)
{
    const thing *a = left;
    const thing *b = right;
    int r = by_name(a, b);

    r = r != 0 ? r : compare_numbers((uint64_t)a->pid, (uint64_t)b->pid);
    return r != 0 ? r : compare_numbers((uint64_t)a->fd, (uint64_t)b->fd);
}

static int by_process(const void *left, const void *right)
{
    const thing *a = left;
    const thing *b = right;

    return a->process != b->process ? compare_numbers(a->process, b->process)
                                    : compare_numbers((uint64_t)a->fd, (uint64_t)b->fd);
}

static void sort(things *all, int (*compare)(const void *, const void *))
{
    if (all->count > 1) {
        qsort(all->list, all->count, sizeof *all->list, compare);
    }
}

/* ---- one descriptor ------------------------------------------------------------------------ */

/* The number behind a word in the descriptor's fdinfo; false: there is none. */
static bool find_number(const char *info, const char *word, int base, uint64_t *ret_number)
{
    const char *at = strstr(info, word);

    if (at == NULL) {
        return false;
    }
    *ret_number = strtoull(at + strlen(word), NULL, base);
    return true;
}

/* What the system refuses because of us, and not because of the process that is looked at: then
 * nothing true can be told. */
static bool is_our_trouble(int r)
{
    return r == -EMFILE || r == -ENFILE || r == -ENOMEM;
}

/* The access, and of a master which terminal is its: 1; 0: it is gone, or not for us; or -errno. */
static int complete(thing *one)
{
    char path[64];
    char info[FDINFO_SIZE];
    uint64_t flags;
    int r;

    (void)snprintf(path, sizeof path, "/proc/%lld/fdinfo/%lld", (long long)one->pid,
                   (long long)one->fd);
    r = rpi_proc_file_read(path, info, sizeof info);
    if (r < 0 || !find_number(info, "flags:", 8, &flags)) {
        return is_our_trouble(r) ? r : 0;
    }
    one->reads = (flags & 3) != 1; /* O_WRONLY */
    one->writes = (flags & 3) != 0;
    return !one->is_master || find_number(info, "tty-index:", 10, &one->number) ? 1 : 0;
}

/* What the name of a descriptor says that it is. */
static thing_kind kind_of(const char *name, bool *ret_is_master, uint64_t *ret_number)
{
    *ret_is_master = strcmp(name, "/dev/ptmx") == 0 || strcmp(name, "/dev/pts/ptmx") == 0;
    if (*ret_is_master) {
        return THING_TERMINAL;
    }
    if (strncmp(name, "pipe:[", 6) == 0) {
        *ret_number = strtoull(name + 6, NULL, 10);
        return THING_PIPE;
    }
    if (strncmp(name, "/dev/pts/", 9) == 0 && name[9] >= '0' && name[9] <= '9') {
        *ret_number = strtoull(name + 9, NULL, 10);
        return THING_TERMINAL;
    }
    return THING_NONE;
}

/* Reads what a descriptor is: false: nothing that is told of, or gone. */
static bool read_thing(int64_t pid, int64_t fd, thing *ret_thing)
{
    char path[64];
    char name[NAME_SIZE];
    ssize_t size;

    (void)snprintf(path, sizeof path, "/proc/%lld/fd/%lld", (long long)pid, (long long)fd);
    size = rpi_os.readlink(path, name, sizeof name - 1);
    if (size <= 0) {
        return false;
    }
    name[size] = '\0';
    *ret_thing = (thing){.pid = pid, .fd = fd};
    ret_thing->kind = kind_of(name, &ret_thing->is_master, &ret_thing->number);
    return ret_thing->kind != THING_NONE;
}

/* ---- looking ------------------------------------------------------------------------------- */

static bool is_wanted(const search *what, const thing *one)
{
    return what->wanted.count > 0 && bsearch(one, what->wanted.list, what->wanted.count,
                                             sizeof *what->wanted.list, by_name) != NULL;
}

/* Opens what a process has: 1; 0: it has ended; RP_EACCES: it is not for us; or -errno. */
static int open_process(rpi_scan *scan, int64_t pid)
{
    const int r = rpi_scan_open_descriptors(scan, pid);

    if (r < 0 && r != RP_EACCES && !is_our_trouble(r)) {
        return 0;
    }
    return r < 0 ? r : 1;
}

/* Lists one descriptor of a process that is asked about. 0 or -errno. */
static int list_one(search *what, int64_t pid, int64_t fd, size_t index)
{
    thing one;
    int r = read_thing(pid, fd, &one) ? complete(&one) : 0;

    if (r <= 0) {
        return r;
    }
    one.process = index;
    r = add(&what->ours, &one);
    return r < 0 ? r : add(&what->wanted, &one);
}

/* All that it has. */
static int list_process(search *what, int64_t pid, size_t index)
{
    rpi_scan scan;
    int64_t fd;
    int r = open_process(&scan, pid);

    if (r == RP_EACCES) {
        return add(&what->ours, &(thing){.kind = THING_NONE, .process = index});
    }
    if (r <= 0) {
        return r;
    }
    while ((r = rpi_scan_next(&scan, &fd)) > 0) {
        r = list_one(what, pid, fd, index);
        if (r < 0) {
            break;
        }
    }
    rpi_scan_close(&scan);
    return is_our_trouble(r) ? r : 0;
}

/* Keeps a descriptor of anybody's if it is wanted. Of a master that shows only when it was looked
 * at more closely. 0 or -errno. */
static int keep_one(search *what, int64_t pid, int64_t fd)
{
    thing one;
    int r;

    if (!read_thing(pid, fd, &one) || (!one.is_master && !is_wanted(what, &one))) {
        return 0;
    }
    r = complete(&one);
    if (r > 0) {
        r = is_wanted(what, &one) ? add(&what->found, &one) : 0;
    }
    return r;
}

static int look_at(search *what, int64_t pid)
{
    rpi_scan scan;
    int64_t fd;
    int r = open_process(&scan, pid);

    if (r <= 0) {
        return r == RP_EACCES ? 0 : r;
    }
    while ((r = rpi_scan_next(&scan, &fd)) > 0) {
        r = keep_one(what, pid, fd);
        if (r < 0) {
            break;
        }
    }
    rpi_scan_close(&scan);
    return is_our_trouble(r) ? r : 0;
}

static int look(search *what)
{
    rpi_scan scan;
    int64_t pid;
    int r = rpi_scan_open(&scan);

    if (r < 0) {
        return r;
    }
    while ((r = rpi_scan_next(&scan, &pid)) > 0) {
        r = look_at(what, pid);
        if (r < 0) {
            break;
        }
    }
    rpi_scan_close(&scan);
    return r;
}

/* ---- telling ------------------------------------------------------------------------------- */

static bool is_other_end(const thing *ours, const thing *other)
{
    if (ours->pid == other->pid && ours->fd == other->fd) {
        return false;
    }
    if (ours->kind == THING_TERMINAL) {
        return ours->is_master != other->is_master;
    }
    return (ours->reads && other->writes) || (ours->writes && other->reads);
}

static void name_of(const thing *one, char ret_name[NAME_SIZE])
{
    ret_name[0] = '\0';
    if (one->kind != THING_NONE) {
        (void)snprintf(ret_name, NAME_SIZE,
                       one->kind == THING_PIPE ? "pipe:[%llu]" : "/dev/pts/%llu",
                       (unsigned long long)one->number);
    }
}

/* Tells of one, with somebody at its other end or nobody: 1; 0: that one has ended; -ENOMEM. */
static int tell(search *what, const thing *ours, const thing *other)
{
    char name[NAME_SIZE];
    rpi_identity identity;
    rp_process_info info;
    rp_end end = {.process = ours->process,
                  .hidden = ours->kind == THING_NONE,
                  .fd = ours->fd,
                  .name = name,
                  .reads = ours->reads,
                  .writes = ours->writes,
                  .is_terminal = ours->kind == THING_TERMINAL,
                  .is_master = ours->is_master};

    if (other != NULL) {
        int r = rpi_identity_of(other->pid, &identity);

        r = r < 0 ? r : rpi_describe(what->describer, &identity, &info);
        if (r < 0) {
            return r == -ENOMEM ? r : 0;
        }
        end.other = &info;
        end.other_fd = other->fd;
    }
    name_of(ours, name);
    what->count++;
    what->ended = !what->each(&end, what->user);
    return 1;
}

/* The first of those found with this name. */
static size_t first_of(const things *found, const thing *name)
{
    size_t low = 0;
    size_t high = found->count;

    while (low < high) {
        const size_t middle = low + (high - low) / 2;

        if (by_name(&found->list[middle], name) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static int tell_of(search *what, const thing *ours)
{
    const things *found = &what->found;
    int told = 0;

    for (size_t i = first_of(found, ours); i < found->count && !what->ended; i++) {
        int r = 0;

        if (by_name(&found->list[i], ours) != 0) {
            break;
        }
        if (is_other_end(ours, &found->list[i])) {
            r = tell(what, ours, &found->list[i]);
        }
        if (r < 0) {
            return r;
        }
        told += r;
    }
    return told > 0 || what->ended ? 0 : tell(what, ours, NULL);
}

static int run(search *what, const rp_identity *processes, size_t count)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < count; i++) {
        rpi_identity found;

        r = rpi_identity_find(&processes[i], &found);
        if (r == 0) {
            r = list_process(what, found.pid, i);
        }
        r = is_our_trouble(r) ? r : 0; /* else it is gone */
    }
    if (r < 0 || what->ours.count == 0) {
        return r;
    }
    sort(&what->ours, by_process);
    sort(&what->wanted, by_name);
    r = look(what);
    r = r < 0 ? r : rpi_describer_open(&what->describer);
    if (r < 0) {
        return r;
    }
    sort(&what->found, by_name_and_owner);
    for (size_t i = 0; r >= 0 && i < what->ours.count && !what->ended; i++) {
        r = tell_of(what, &what->ours.list[i]);
    }
    rpi_describer_close(what->describer);
    return r < 0 ? r : what->count;
}

int rp_describe_ends(const rp_identity *processes, size_t count, rp_end_fn *each, void *user)
{
    search what = {.each = each, .user = user};
    int r;

    rpi_detail_clear();
    if (processes == NULL || count == 0) {
        return rpi_detail(RP_EINVAL, "processes: there are none");
    }
    if (each == NULL) {
        return rpi_detail(RP_EINVAL, "no function to tell");
    }
    r = run(&what, processes, count);
    things_free(&what.ours);
    things_free(&what.wanted);
    things_free(&what.found);
    return r;
}
