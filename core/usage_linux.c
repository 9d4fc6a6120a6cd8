/* See usage.h. A look reads the stat file of every process, sorts them by number, finds out to
 * which tree each belongs (by parent, group and session, remembering the answer on the way), and
 * sums up.
 *
 * Processor time and disk use of a process include those of children it has waited for, so a sum
 * over the living grows steadily when one of them ends: but for the moment between reading its
 * parent and missing it, and for those whom somebody else reaps. So a sum that has become smaller
 * is believed only when it is told twice. */
#include "core/usage.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/proc_linux.h"
#include "base/scan_linux.h"
#include "rp/base.h"

enum {
    ENTRIES_MIN = 256,
    STEPS_MAX = 4096 // up the line of ancestors: no tree is so deep
};

// A look is good for so long, and at least for so many times what it took.
#define LOOK_NS (10 * RP_MILLISECOND)
#define LOOK_COSTS 20

typedef struct entry {
    int64_t pid;
    rpi_proc_stat stat;
    rpi_usage *owner; // NULL: nobody that we ask for
    bool settled;     // owner is known
} entry;

struct rpi_usage_table {
    rp_allocator allocator;
    rpi_list trees; // rpi_usage.node
    entry *entries;
    size_t count;
    size_t capacity;
    uint64_t looked_at_ns; // 0 = never
    uint64_t good_until_ns;
};

int rpi_usage_open(rpi_usage_table **table,
                   const rp_allocator *allocator,
                   rpi_usage *usage,
                   int64_t pid)
{
    if (*table == NULL) {
        *table = rpi_alloc_zero(allocator, sizeof **table);
        if (*table == NULL) {
            return -ENOMEM;
        }
        (*table)->allocator = *allocator;
        rpi_list_init(&(*table)->trees);
    }
    *usage = (rpi_usage){.pid = pid};
    rpi_list_init(&usage->node);
    rpi_list_append(&(*table)->trees, &usage->node); // the next look sees it
    return 0;
}

void rpi_usage_close(rpi_usage_table **table, rpi_usage *usage)
{
    rpi_usage_table *old = *table;

    rpi_list_remove(&usage->node);
    if (rpi_list_is_empty(&old->trees)) {
        rp_allocator allocator = old->allocator;

        rpi_free(&allocator, old->entries, old->capacity * sizeof *old->entries);
        rpi_free(&allocator, old, sizeof *old);
        *table = NULL;
    }
}

/* ---- looking --------------------------------------------------------------------- */

static int add(rpi_usage_table *table, int64_t pid, const rpi_proc_stat *stat)
{
    if (table->count == table->capacity) {
        size_t capacity = table->capacity == 0 ? ENTRIES_MIN : 2 * table->capacity;
        entry *grown = rpi_resize(&table->allocator, table->entries,
                                  table->capacity * sizeof *grown, capacity * sizeof *grown);

        if (grown == NULL) {
            return -ENOMEM;
        }
        table->entries = grown;
        table->capacity = capacity;
    }
    table->entries[table->count++] = (entry){.pid = pid, .stat = *stat};
    return 0;
}

static int by_pid(const void *left, const void *right)
{
    const entry *a = left;
    const entry *b = right;

    return (a->pid > b->pid) - (a->pid < b->pid);
}

static entry *find(rpi_usage_table *table, int64_t pid)
{
    const entry key = {.pid = pid};

    return table->count == 0 ? NULL
                             : bsearch(&key, table->entries, table->count, sizeof key, by_pid);
}

static int read_all(rpi_usage_table *table)
{
    rpi_scan scan;
    int64_t pid;
    int r = rpi_scan_open(&scan);

    if (r < 0) {
        return r;
    }
    table->count = 0;
    while ((r = rpi_scan_next(&scan, &pid)) > 0) {
        rpi_proc_stat stat;

        if (rpi_proc_stat_read(pid, &stat) == 0) {
            r = add(table, pid, &stat);
            if (r < 0) {
                break;
            }
        }
    }
    rpi_scan_close(&scan);
    if (table->count > 0) {
        qsort(table->entries, table->count, sizeof *table->entries, by_pid);
    }
    return r;
}

// The owner of a process's group or session, whose leaders are children of ours or nobody's.
static rpi_usage *owner_by_group(rpi_usage_table *table, const entry *of)
{
    const int64_t leaders[] = {of->stat.group, of->stat.session};

    for (int i = 0; i < 2; i++) {
        const entry *leader = leaders[i] > 0 ? find(table, leaders[i]) : NULL;

        if (leader != NULL && leader->owner != NULL && leader->owner->pid == leader->pid) {
            return leader->owner;
        }
    }
    return NULL;
}

// Goes up until somebody's owner is known, then tells all on the way.
static void settle(rpi_usage_table *table, entry *first)
{
    rpi_usage *owner = NULL;
    entry *last = first;

    for (int steps = 0; last != NULL && steps < STEPS_MAX; steps++) {
        owner = last->settled ? last->owner : owner_by_group(table, last);
        if (last->settled || owner != NULL) {
            break;
        }
        last = find(table, last->stat.parent);
    }
    for (entry *each = first; each != NULL && !each->settled;) {
        each->settled = true;
        each->owner = owner;
        if (each == last) {
            break;
        }
        each = find(table, each->stat.parent);
    }
}

static void sum_up(rpi_usage_table *table)
{
    for (rpi_list *node = table->trees.next; node != &table->trees; node = node->next) {
        rpi_usage *tree = RPI_CONTAINER(node, rpi_usage, node);
        entry *leader = find(table, tree->pid);

        tree->seen = true;
        tree->new_cpu_ticks = 0;
        tree->new_disk_bytes = 0;
        if (leader != NULL) {
            leader->settled = true;
            leader->owner = tree;
        }
    }
    for (size_t i = 0; i < table->count; i++) {
        entry *each = &table->entries[i];

        settle(table, each);
        if (each->owner != NULL) {
            each->owner->new_cpu_ticks += each->stat.cpu_ticks;
            each->owner->new_disk_bytes += rpi_proc_disk_bytes(each->pid);
        }
    }
}

static int look(rpi_usage_table *table, uint64_t now_ns)
{
    uint64_t began_ns;
    uint64_t good_ns;
    int r;

    if (table->looked_at_ns != 0 && now_ns < table->good_until_ns) {
        return 0;
    }
    began_ns = rpi_clock_now_ns();
    r = read_all(table);
    if (r < 0) {
        table->looked_at_ns = 0;
        return r;
    }
    sum_up(table);
    good_ns = LOOK_COSTS * (rpi_clock_now_ns() - began_ns);
    table->looked_at_ns = now_ns;
    table->good_until_ns = now_ns + (good_ns > LOOK_NS ? good_ns : LOOK_NS);
    return 0;
}

/* ---- asking -------------------------------------------------------------------------- */

static uint64_t grown_by(uint64_t old, uint64_t new)
{
    return new > old ? new - old : 0;
}

// Takes the table's last look over, as far as it is believed.
static void take_over(rpi_usage *usage, uint64_t looked_at_ns)
{
    bool dropped =
        usage->new_cpu_ticks < usage->cpu_ticks || usage->new_disk_bytes < usage->disk_bytes;

    if (!dropped || usage->dropped) {
        usage->cpu_ticks = usage->new_cpu_ticks;
        usage->disk_bytes = usage->new_disk_bytes;
        dropped = false;
    }
    usage->dropped = dropped;
    usage->looked_at_ns = looked_at_ns;
}

int rpi_usage_ask(rpi_usage_table *table,
                  rpi_usage *usage,
                  uint64_t now_ns,
                  rpi_usage_answer *ret_answer)
{
    const double tick_ns = (double)RP_SECOND / (double)sysconf(_SC_CLK_TCK);
    int r = look(table, now_ns);

    if (r < 0) {
        return r;
    }
    *ret_answer = (rpi_usage_answer){.known = usage->known, .cpu_percent = usage->cpu_percent};
    if (!usage->seen || usage->looked_at_ns == table->looked_at_ns) {
        return 0; // nothing newer is known
    }
    if (usage->looked_at_ns != 0) {
        uint64_t ticks = grown_by(usage->cpu_ticks, usage->new_cpu_ticks);

        usage->cpu_percent =
            100.0 * (double)ticks * tick_ns / (double)(table->looked_at_ns - usage->looked_at_ns);
        usage->known = true;
        ret_answer->known = true;
        ret_answer->cpu_percent = usage->cpu_percent;
        ret_answer->disk_bytes = grown_by(usage->disk_bytes, usage->new_disk_bytes);
    }
    take_over(usage, table->looked_at_ns);
    return 0;
}

size_t rpi_usage_group(const rpi_usage_table *table, int64_t group, int64_t *ret_pids, size_t max)
{
    size_t count = 0;

    for (size_t i = 0; i < table->count && count < max; i++) {
        if (table->entries[i].stat.group == group) {
            ret_pids[count++] = table->entries[i].pid;
        }
    }
    return count;
}
