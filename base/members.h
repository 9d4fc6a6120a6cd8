/* Members: who belongs to a group of processes, found by looking through all processes of the
 * system, and ended without anybody escaping by forking. A process is a member when it is one of
 * the leaders that were named; when the group's mark stands in its environment; when its parent is
 * a member; or when a member leads its process group or its session. Whoever was seen once stays a
 * member, also when its parent has ended meanwhile.
 *
 * The end: all are stopped (SIGSTOP), and looked for again until nobody new is found, so that
 * nobody can fork or react any more; then all are killed; then it is looked again until nobody is
 * left. The system lists its processes first and is asked about each afterwards: who is listed,
 * forks and ends before he is asked has hidden a child. So a look says that nobody is left only
 * when nobody in it, as far as he may be a member, has ended since the look before. Signals go to
 * pidfds of processes whose start was asked for after they were opened, so that none reaches a
 * stranger.
 *
 * Used by core/ in threads of its own, and by the guard program. One thread at a time. */
#ifndef RPI_BASE_MEMBERS_H
#define RPI_BASE_MEMBERS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/alloc.h"
#include "base/proc_linux.h"

/** The variable that holds the marks of all groups that a process is in, outermost first, with a
 * comma between them. */
#define RPI_GROUP_NAME "RUNNING_PROCESS_GROUP"

enum {
    RPI_GROUP_MARK_SIZE = 64
};

/** Somebody who is or was a member. */
typedef struct rpi_known {
    int64_t pid;
    uint64_t start_ticks; /* since the boot */
    uint64_t seen_ticks;  /* when it was last there */
    bool is_stopped;      /* SIGSTOP was sent, or refused */
    bool is_dead;         /* when it was last seen: a zombie */
} rpi_known;

/** A process as the last look saw it. */
typedef struct rpi_seen {
    int64_t pid, parent, group, session;
    uint64_t start_ticks;
    bool is_alive; /* no zombie */
    bool is_member;
} rpi_seen;

typedef struct rpi_members {
    const rp_allocator *allocator; /* borrowed; any thread */
    char mark[RPI_GROUP_MARK_SIZE];
    uint64_t since_ticks; /* nobody who is older is a member */
    bool only_groups;     /* only the leaders and who is in the process groups that they led */
    bool is_sorted;       /* `known` is, by number */
    bool is_settled;      /* in the last look nobody ended who may have forked just before */
    rpi_known *known;     /* owned */
    size_t known_count, known_capacity;
    rpi_seen *seen; /* owned; by number */
    size_t seen_count, seen_capacity;
    rpi_scratch environment; /* the last that was read */
} rpi_members;

/** Empty. `mark` may be NULL: it is told by its leaders only. */
void rpi_members_init(rpi_members *members, const rp_allocator *allocator, const char *mark);
void rpi_members_fini(rpi_members *members);

/** A leader, which was there at `seen_ticks` at the latest: 0 or -ENOMEM. */
int rpi_members_add(rpi_members *members, int64_t pid, uint64_t start_ticks, uint64_t seen_ticks);

/** It was a leader, and is none any more: it is gone, and so is who was in its group. */
void rpi_members_remove(rpi_members *members, int64_t pid, uint64_t start_ticks);

/** Looks once: how many members are alive, or -errno: the processes cannot be looked through. They
 * stand in `seen`. */
int rpi_members_look(rpi_members *members);

/** Looks until a look says for sure that it has missed nobody, a bounded number of times where
 * others of the system come and go. As rpi_members_look. */
int rpi_members_settle(rpi_members *members);

/** Ends all members, as told above, at the latest at `*until_ns` of the monotonic clock, which
 * another thread may bring nearer. How many are alive after the last look, or -errno as above. */
int rpi_members_end(rpi_members *members, const _Atomic uint64_t *until_ns);

#endif
