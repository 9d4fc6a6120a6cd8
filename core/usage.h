/* What a child's whole tree uses: processor time and disk, for idle detection's metrics and for
 * attention. Its tree is who has it as an ancestor, is in its process group or in its session, and
 * whoever descends from those. The system is looked through once for all trees of a loop, and only
 * as often as takes a small share of the time: a look costs what all its processes cost, and blocks
 * for it. */
#ifndef RPI_CORE_USAGE_H
#define RPI_CORE_USAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/alloc.h"
#include "base/list.h"

/** Of one loop: the last look. Zero it; then rpi_usage_open. */
typedef struct rpi_usage_table rpi_usage_table;

/** One tree, and what it had used when it was last asked. Embedded. */
typedef struct rpi_usage {
    rpi_list node; /* the table's */
    int64_t pid;
    uint64_t cpu_ticks; /* by the look that the last answer came from, as are these */
    uint64_t disk_bytes;
    uint64_t looked_at_ns;  /* 0 = none */
    uint64_t new_cpu_ticks; /* by the table's last look */
    uint64_t new_disk_bytes;
    double cpu_percent; /* the last answer */
    bool seen;          /* by a look */
    bool known;         /* by two */
    bool dropped;       /* it had used less than before when asked last */
} rpi_usage;

typedef struct rpi_usage_answer {
    bool known;          /* false: there was no look before that counts could be compared with */
    double cpu_percent;  /* between the last two looks; 100 = one processor */
    uint64_t disk_bytes; /* since the last answer */
} rpi_usage_answer;

/** The tree of `pid`, a child of ours that is not reaped while it is asked for. 0 or -ENOMEM. The
 * table is made with the first and freed with the last. */
int rpi_usage_open(rpi_usage_table **table,
                   const rp_allocator *allocator,
                   rpi_usage *usage,
                   int64_t pid);
void rpi_usage_close(rpi_usage_table **table, rpi_usage *usage);

/** What it uses, as far as it is known: not the first time, and not before a look has seen the
 * tree. 0; -ENOMEM, or what /proc says: nothing is known, and the next answer covers the time since
 * the last good one. */
int rpi_usage_ask(rpi_usage_table *table,
                  rpi_usage *usage,
                  uint64_t now_ns,
                  rpi_usage_answer *ret_answer);

/** Writes the numbers of those who were in this process group at the last look, `max` at most: how
 * many. */
size_t rpi_usage_group(const rpi_usage_table *table, int64_t group, int64_t *ret_pids, size_t max);

#endif
