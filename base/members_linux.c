/* See members.h. A look reads the stat file of every process, and the environment of those that
 * might be new members; then it goes through what it has until nobody is added any more. */
#include "base/members.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/os.h"
#include "base/proc_linux.h"
#include "base/scan_linux.h"

enum {
    KNOWN_FIRST = 32,
    SEEN_FIRST = 512,
    STOP_LOOKS_MAX = 64, /* after which the rest is killed as it comes */
    CALM_LOOKS_MAX = 32, /* that are not sure, while others of the system come and go */
    AWAITED_MAX = 64,
    SLICE_MS = 20 /* the longest wait: `until_ns` may have come nearer */
};

void rpi_members_init(rpi_members *members, const rp_allocator *allocator, const char *mark)
{
    *members = (rpi_members){.allocator = allocator, .environment.allocator = allocator};
    if (mark != NULL) {
        (void)snprintf(members->mark, sizeof members->mark, "%s", mark); /* one of ours: it fits */
    }
}

void rpi_members_fini(rpi_members *members)
{
    const rp_allocator *allocator = members->allocator;

    rpi_free(allocator, members->known, members->known_capacity * sizeof *members->known);
    rpi_free(allocator, members->seen, members->seen_capacity * sizeof *members->seen);
    rpi_scratch_free(&members->environment);
    *members = (rpi_members){.allocator = allocator, .environment.allocator = allocator};
}

/* ---- who was seen before ------------------------------------------------------------- */

static int by_pid(const void *a, const void *b)
{
    const rpi_known *left = a;
    const rpi_known *right = b;

    return (left->pid > right->pid) - (left->pid < right->pid);
}

static void sort_known(rpi_members *members)
{
    if (!members->is_sorted && members->known_count > 1) {
        qsort(members->known, members->known_count, sizeof *members->known, by_pid);
    }
    members->is_sorted = true;
}

/* The place of the first with this number, or where it would be. */
static size_t place_of(const rpi_members *members, int64_t pid)
{
    size_t low = 0;
    size_t high = members->known_count;

    while (low < high) {
        const size_t middle = low + (high - low) / 2;

        if (members->known[middle].pid < pid) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static rpi_known *find_known(const rpi_members *members, int64_t pid, uint64_t start_ticks)
{
    for (size_t at = place_of(members, pid);
         at < members->known_count && members->known[at].pid == pid; at++) {
        if (members->known[at].start_ticks == start_ticks) {
            return &members->known[at];
        }
    }
    return NULL;
}

/* Behind the others, without sorting. */
static int append_known(rpi_members *members, const rpi_known *known)
{
    size_t capacity = members->known_capacity;

    if (members->known_count == capacity) {
        rpi_known *grown = NULL;

        capacity = capacity == 0 ? KNOWN_FIRST : 2 * capacity;
        grown = rpi_resize(members->allocator, members->known,
                           members->known_capacity * sizeof *grown, capacity * sizeof *grown);
        if (grown == NULL) {
            return -ENOMEM;
        }
        members->known = grown;
        members->known_capacity = capacity;
    }
    members->known[members->known_count++] = *known;
    return 0;
}

int rpi_members_add(rpi_members *members, int64_t pid, uint64_t start_ticks, uint64_t seen_ticks)
{
    const rpi_known known = {
        .pid = pid, .start_ticks = start_ticks, .seen_ticks = seen_ticks, .is_stopped = false};

    members->is_sorted = false;
    return append_known(members, &known);
}

void rpi_members_remove(rpi_members *members, int64_t pid, uint64_t start_ticks)
{
    rpi_known *known;

    sort_known(members);
    known = find_known(members, pid, start_ticks);
    if (known != NULL) {
        *known = members->known[--members->known_count];
        members->is_sorted = false;
    }
}

/* ---- looking ----------------------------------------------------------------------------- */

/* Whether `mark` stands in the list of marks. */
static bool has_mark(const char *list, const char *mark)
{
    const size_t length = strlen(mark);

    for (;;) {
        const char *end = strchr(list, ',');

        if (strncmp(list, mark, length) == 0 && (list[length] == ',' || list[length] == '\0')) {
            return true;
        }
        if (end == NULL) {
            return false;
        }
        list = end + 1;
    }
}

/* Whether its environment says that it is a member: 1, 0, or we had no means to look. */
static int is_marked(rpi_members *members, int proc, int64_t pid)
{
    const char *list = NULL;
    size_t size = 0;
    int r = 0;

    if (members->mark[0] == '\0' || members->only_groups) {
        return 0;
    }
    r = rpi_proc_whole_read(proc, pid, "environ", &members->environment, &size);
    if (r < 0) {
        return r;
    }
    list = rpi_proc_environment_find(members->environment.text, size, RPI_GROUP_NAME);
    return list != NULL && has_mark(list, members->mark);
}

static int append_seen(rpi_members *members, const rpi_seen *seen)
{
    size_t capacity = members->seen_capacity;

    if (members->seen_count == capacity) {
        rpi_seen *grown = NULL;

        capacity = capacity == 0 ? SEEN_FIRST : 2 * capacity;
        grown = rpi_resize(members->allocator, members->seen,
                           members->seen_capacity * sizeof *grown, capacity * sizeof *grown);
        if (grown == NULL) {
            return -ENOMEM;
        }
        members->seen = grown;
        members->seen_capacity = capacity;
    }
    members->seen[members->seen_count++] = *seen;
    return 0;
}

static bool is_shortage(int error)
{
    return error == -ENOMEM || error == -EMFILE || error == -ENFILE;
}

/* A process of the system: is it a member by itself? `proc`: /proc, open. */
static int note(rpi_members *members, int proc, int64_t pid)
{
    rpi_proc_stat stat;
    rpi_seen seen;
    int r = rpi_proc_stat_read(pid, &stat);

    if (r < 0) {
        if (is_shortage(r)) {
            return r; /* ours, not the process's: nothing is known of it */
        }
        members->is_settled = members->is_settled && (r == RP_EACCES || r == RP_EPERM);
        return 0; /* gone meanwhile, or hidden from us */
    }
    seen = (rpi_seen){.pid = pid,
                      .parent = stat.parent,
                      .group = stat.group,
                      .session = stat.session,
                      .start_ticks = stat.start_ticks,
                      .is_alive = rpi_proc_is_alive(&stat)};
    seen.is_member = find_known(members, pid, seen.start_ticks) != NULL;
    if (!seen.is_member && seen.start_ticks >= members->since_ticks && pid != rpi_os_pid()) {
        r = is_marked(members, proc, pid);
        if (r < 0) {
            return r;
        }
        seen.is_member = r > 0;
    }
    return append_seen(members, &seen);
}

static int by_seen_pid(const void *a, const void *b)
{
    const rpi_seen *left = a;
    const rpi_seen *right = b;

    return (left->pid > right->pid) - (left->pid < right->pid);
}

static int read_all(rpi_members *members)
{
    rpi_scan scan;
    int64_t pid = 0;
    int r = rpi_scan_open(&scan);

    if (r < 0) {
        return r;
    }
    members->seen_count = 0;
    members->is_settled = true;
    while ((r = rpi_scan_next(&scan, &pid)) > 0) {
        r = note(members, scan.folder, pid);
        if (r < 0) {
            break;
        }
    }
    rpi_scan_close(&scan);
    if (r == 0 && members->seen_count > 1) {
        qsort(members->seen, members->seen_count, sizeof *members->seen, by_seen_pid);
    }
    return r;
}

static rpi_seen *find_seen(const rpi_members *members, int64_t pid)
{
    const rpi_seen wanted = {.pid = pid};

    return members->seen_count == 0 ? NULL
                                    : bsearch(&wanted, members->seen, members->seen_count,
                                              sizeof *members->seen, by_seen_pid);
}

/* Whether a member leads the group or session with this number: one that is there, or one that is
 * gone and was there after this process began. While anybody is in a group, nobody gets its
 * number. */
static bool is_led_by_member(const rpi_members *members, int64_t leader, uint64_t start_ticks)
{
    const rpi_seen *seen = find_seen(members, leader);

    if (leader <= 0 || seen != NULL) {
        return seen != NULL && seen->is_member;
    }
    for (size_t at = place_of(members, leader);
         at < members->known_count && members->known[at].pid == leader; at++) {
        if (start_ticks <= members->known[at].seen_ticks) {
            return true;
        }
    }
    return false;
}

static bool belongs(const rpi_members *members, const rpi_seen *seen)
{
    const rpi_seen *parent = NULL;

    if (seen->start_ticks < members->since_ticks || seen->pid == rpi_os_pid()) {
        return false;
    }
    if (is_led_by_member(members, seen->group, seen->start_ticks)) {
        return true;
    }
    if (members->only_groups) {
        return false;
    }
    parent = find_seen(members, seen->parent);
    return (parent != NULL && parent->is_member) ||
           is_led_by_member(members, seen->session, seen->start_ticks);
}

/* While a member is in the group or session with this number it is still that of its leader, also
 * when that one is long gone: whoever has joined since is found, too. */
static void pin(rpi_members *members, int64_t leader, uint64_t start_ticks, uint64_t now_ticks)
{
    if (leader <= 0 || find_seen(members, leader) != NULL) {
        return;
    }
    for (size_t at = place_of(members, leader);
         at < members->known_count && members->known[at].pid == leader; at++) {
        rpi_known *known = &members->known[at];

        if (start_ticks <= known->seen_ticks && known->seen_ticks < now_ticks) {
            known->seen_ticks = now_ticks;
        }
    }
}

static void pin_all(rpi_members *members, uint64_t now_ticks)
{
    for (size_t i = 0; i < members->seen_count; i++) {
        const rpi_seen *seen = &members->seen[i];

        if (seen->is_member) {
            pin(members, seen->group, seen->start_ticks, now_ticks);
            pin(members, seen->session, seen->start_ticks, now_ticks);
        }
    }
}

/* Those who belong to others that do. `now_ticks`: before the first was looked at. */
static void spread(rpi_members *members, uint64_t now_ticks)
{
    bool again = true;

    while (again) {
        again = false;
        pin_all(members, now_ticks);
        for (size_t i = 0; i < members->seen_count; i++) {
            rpi_seen *seen = &members->seen[i];

            if (!seen->is_member && belongs(members, seen)) {
                seen->is_member = true;
                again = true;
            }
        }
    }
}

/* Remembers who was found. How many members are alive, or -ENOMEM. */
static int learn(rpi_members *members, uint64_t now_ticks)
{
    const size_t before = members->known_count;
    size_t count = before;
    int alive = 0;

    for (size_t i = 0; i < members->seen_count; i++) {
        const rpi_seen *seen = &members->seen[i];
        rpi_known *known = NULL;
        int r = 0;

        if (!seen->is_member) {
            continue;
        }
        alive += seen->is_alive;
        members->known_count = before; /* the new ones are not sorted in yet */
        known = find_known(members, seen->pid, seen->start_ticks);
        members->known_count = count;
        if (known != NULL) {
            known->seen_ticks = now_ticks;
            members->is_settled = members->is_settled && (seen->is_alive || known->is_dead);
            known->is_dead = !seen->is_alive;
            continue;
        }
        members->is_settled = false;
        r = append_known(members, &(rpi_known){.pid = seen->pid,
                                               .start_ticks = seen->start_ticks,
                                               .seen_ticks = now_ticks,
                                               .is_dead = !seen->is_alive});
        if (r < 0) {
            return r;
        }
        count++;
    }
    members->is_sorted = count == before;
    sort_known(members);
    return alive;
}

int rpi_members_look(rpi_members *members)
{
    const uint64_t now_ticks = rpi_ticks_now();
    int r;

    sort_known(members);
    r = read_all(members);
    if (r < 0) {
        return r;
    }
    spread(members, now_ticks);
    return learn(members, now_ticks);
}

int rpi_members_settle(rpi_members *members)
{
    int alive = rpi_members_look(members);

    for (int looks = 1; alive >= 0 && !members->is_settled && looks < CALM_LOOKS_MAX; looks++) {
        alive = rpi_members_look(members);
    }
    return alive;
}

/* ---- ending ------------------------------------------------------------------------------ */

/* A pidfd of exactly this process, or -1: it is gone. */
static int hold(const rpi_seen *seen)
{
    const int pidfd = rpi_os.pidfd_open((pid_t)seen->pid, 0);
    uint64_t start_ticks = 0;

    if (pidfd >= 0 &&
        (rpi_proc_start_read(seen->pid, &start_ticks) < 0 || start_ticks != seen->start_ticks)) {
        (void)rpi_os.close(pidfd); /* it only holds */
        return -1;
    }
    return pidfd;
}

static void send_to(const rpi_seen *seen, int signal)
{
    const int pidfd = hold(seen);

    if (pidfd >= 0) {
        (void)rpi_os.pidfd_send_signal(pidfd, signal, 0); /* refused: it is looked for again */
        (void)rpi_os.close(pidfd);
    }
}

/* Stops those who were not stopped before: how many. */
static int stop_new(rpi_members *members)
{
    int count = 0;

    for (size_t i = 0; i < members->seen_count; i++) {
        const rpi_seen *seen = &members->seen[i];
        rpi_known *known = NULL;

        if (!seen->is_member || !seen->is_alive) {
            continue;
        }
        known = find_known(members, seen->pid, seen->start_ticks);
        if (known != NULL && !known->is_stopped) {
            known->is_stopped = true;
            send_to(seen, SIGSTOP);
            count++;
        }
    }
    return count;
}

static void kill_all(const rpi_members *members)
{
    for (size_t i = members->seen_count; i > 0; i--) {
        const rpi_seen *seen = &members->seen[i - 1];

        if (seen->is_member && seen->is_alive) {
            send_to(seen, SIGKILL);
        }
    }
}

static uint64_t left_ns(const _Atomic uint64_t *until_ns)
{
    const uint64_t at_ns = atomic_load(until_ns);
    const uint64_t now_ns = rpi_clock_now_ns();

    return at_ns > now_ns ? at_ns - now_ns : 0;
}

static int milliseconds_left(const _Atomic uint64_t *until_ns)
{
    const uint64_t rest_ns = left_ns(until_ns);

    return rest_ns > SLICE_MS * RP_MILLISECOND ? SLICE_MS : (int)(rest_ns / RP_MILLISECOND) + 1;
}

static size_t hold_alive(const rpi_members *members, struct pollfd entries[AWAITED_MAX])
{
    size_t count = 0;

    for (size_t i = 0; i < members->seen_count && count < AWAITED_MAX; i++) {
        const rpi_seen *seen = &members->seen[i];

        if (seen->is_member && seen->is_alive) {
            entries[count] = (struct pollfd){.fd = hold(seen), .events = POLLIN};
            count += entries[count].fd >= 0;
        }
    }
    return count;
}

/* Waits until those who were alive are gone (some of them, where they are many), or for a short
 * time. */
static void await_some(const rpi_members *members, const _Atomic uint64_t *until_ns)
{
    struct pollfd entries[AWAITED_MAX];
    const size_t count = hold_alive(members, entries);
    size_t left = count;

    while (left > 0 && left_ns(until_ns) > 0) {
        const int r = rpi_os.poll(entries, count, milliseconds_left(until_ns));

        for (size_t i = 0; r > 0 && i < count; i++) {
            if (entries[i].fd >= 0 && entries[i].revents != 0) {
                (void)rpi_os.close(entries[i].fd); /* it only holds */
                entries[i].fd = -1;                /* which poll passes over */
                left--;
            }
        }
        if (r <= 0) {
            break; /* others may have come meanwhile */
        }
    }
    for (size_t i = 0; i < count; i++) {
        if (entries[i].fd >= 0) {
            (void)rpi_os.close(entries[i].fd);
        }
    }
    if (count == 0) { /* none can be held */
        (void)rpi_os.poll(NULL, 0, 1);
    }
}

int rpi_members_end(rpi_members *members, const _Atomic uint64_t *until_ns)
{
    int alive = rpi_members_look(members);

    for (int looks = 1; alive > 0 && stop_new(members) > 0 && looks < STOP_LOOKS_MAX; looks++) {
        alive = rpi_members_look(members);
    }
    for (int calm = 0;
         alive > 0 || (alive == 0 && !members->is_settled && calm < CALM_LOOKS_MAX);) {
        const bool is_late = left_ns(until_ns) == 0;

        kill_all(members);
        if (alive > 0 && !is_late) {
            await_some(members, until_ns);
        }
        calm = alive > 0 ? 0 : calm + 1;
        alive = rpi_members_look(members);
        if (alive > 0 && is_late) {
            break;
        }
    }
    return alive;
}
