/* A family: the tree of a process that need not be ours, as include/rp/contain.h defines it, found
 * by looking through the processes of the system as often as brings new members. It remembers whom
 * it has seen, so that somebody whose parent ends between two looks is still found by its group or
 * session. Of the default allocator: it serves functions that have no loop. */
#ifndef RPI_CORE_FAMILY_LINUX_H
#define RPI_CORE_FAMILY_LINUX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/describe_linux.h"
#include "core/identity.h"

typedef struct rpi_kin {
    rpi_identity id;
    int64_t parent;                            /* when it was last seen */
    uint64_t seen_ticks;                       /* when that was, since the boot */
    uint32_t look;                             /* the number of that look */
    uint32_t depth;                            /* by rpi_family_order */
    uint32_t first_child, next_sibling, above; /* indexes; while rpi_family_order works */
    bool is_placed;                            /* likewise */
    bool is_gone; /* was not there, or a zombie, when last looked for */
} rpi_kin;

typedef struct rpi_family rpi_family;

/** A new member was found: the place to act on it at once. */
typedef void rpi_kin_fn(rpi_family *family, rpi_kin *member);

struct rpi_family {
    rpi_describer *describer;
    rpi_kin *members; /* owned; [0] is the root */
    size_t count, capacity;
    uint32_t *places; /* owned; index + 1 of the member, by a hash of its number; 0 = free */
    size_t place_count;
    uint64_t root_ticks; /* when the root began */
    uint32_t look;
    int64_t self;
    bool is_settled;    /* in the last look nobody ended who may have forked just before */
    bool spares_self;   /* the calling process is never put among `members` */
    bool includes_self; /* it belongs there */
    rpi_kin_fn *on_new; /* NULL: nothing */
};

/** Only the root, so far: 0 or -ENOMEM. */
int rpi_family_open(const rpi_identity *root, rpi_family **ret_family);
void rpi_family_close(rpi_family *family);

/** Looks once: how many new members were found, or an error of the system. The system lists its
 * processes first and is asked about each afterwards: who is listed, forks and ends before he is
 * asked has hidden a child. So a look that finds nobody counts only if it `is_settled`. */
int rpi_family_look(rpi_family *family);

/** Looks until a look finds nobody new and is settled, at most `looks_max` times, and not again
 * after `until_ns`: 0, 1: it was not to be had; or an error of the system. Where others of the
 * system keep ending, unsettled looks that find nobody are made 32 times at most. */
int rpi_family_look_all(rpi_family *family, int looks_max, uint64_t until_ns);

/** The indexes of all members, parents before children, each followed by its own: an array of
 * `count` to be released with rpi_free, or NULL: no memory. Sets depths. */
uint32_t *rpi_family_order(rpi_family *family);

/** Kills the whole tree of a process and waits (kill_tree_linux.c): the survivors, or an error as
 * of rp_tree_kill. */
int rpi_family_kill(const rpi_identity *root, uint64_t timeout_ns);

/** Asks for each member whether it is gone: how many are not. */
size_t rpi_family_count_alive(rpi_family *family);

#endif
