/* See family_linux.h. Members stand in an array, in the order found, with a table from numbers to
 * them. Called by kill_tree_linux.c, and for rp_tree_each, which stands here. */
#include "core/family_linux.h"

#include <errno.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/clock.h"
#include "base/os.h"
#include "base/scan_linux.h"
#include "base/status.h"

enum {
    MEMBERS_FIRST = 64,
    LOOKS_MAX = 16,     /* of rp_tree_each, after which what still grows is told as it is */
    CALM_LOOKS_MAX = 32 /* that find nobody, while others of the system come and go */
};
#define NONE UINT32_MAX

/* ---- the table ------------------------------------------------------------------------- */

/* Where a number stands, or would. */
static size_t place_of(const rpi_family *family, int64_t pid)
{
    size_t place = ((uint64_t)pid * UINT64_C(0x9E3779B97F4A7C15) >> 20) % family->place_count;

    while (family->places[place] != 0 && family->members[family->places[place] - 1].id.pid != pid) {
        place = (place + 1) % family->place_count;
    }
    return place;
}

static rpi_kin *find(const rpi_family *family, int64_t pid)
{
    const uint32_t index = family->places[place_of(family, pid)];

    return index == 0 ? NULL : &family->members[index - 1];
}

static int make_room(rpi_family *family)
{
    const rp_allocator *allocator = rpi_alloc_default();
    const size_t capacity = family->capacity == 0 ? MEMBERS_FIRST : 2 * family->capacity;
    const size_t place_count = 2 * capacity;
    rpi_kin *members = NULL;
    uint32_t *places = NULL;

    if (family->count < family->capacity) {
        return 0;
    }
    places = rpi_alloc_zero(allocator, place_count * sizeof *places);
    if (places == NULL) {
        return -ENOMEM;
    }
    members = rpi_resize(allocator, family->members, family->capacity * sizeof *members,
                         capacity * sizeof *members);
    if (members == NULL) {
        rpi_free(allocator, places, place_count * sizeof *places);
        return -ENOMEM;
    }
    rpi_free(allocator, family->places, family->place_count * sizeof *places);
    family->members = members;
    family->capacity = capacity;
    family->places = places;
    family->place_count = place_count;
    for (size_t i = 0; i < family->count; i++) {
        family->places[place_of(family, family->members[i].id.pid)] = (uint32_t)i + 1;
    }
    return 0;
}

/* A new member, or a new one with the number of one that is gone. */
static int add(rpi_family *family, const rpi_kin *member)
{
    rpi_kin *old = family->place_count == 0 ? NULL : find(family, member->id.pid);
    int r;

    if (old != NULL) {
        *old = *member;
        return 0;
    }
    r = make_room(family);
    if (r < 0) {
        return r;
    }
    RP_ASSERT(family->members != NULL);
    family->members[family->count] = *member;
    family->count++;
    family->places[place_of(family, member->id.pid)] = (uint32_t)family->count;
    return 0;
}

/* ---- open and close ---------------------------------------------------------------------- */

int rpi_family_open(const rpi_identity *root, rpi_family **ret_family)
{
    rpi_family *family = rpi_alloc(rpi_alloc_default(), sizeof *family);
    const rpi_kin member = {.id = *root, .seen_ticks = rpi_ticks_now()};
    int r;

    if (family == NULL) {
        return -ENOMEM;
    }
    *family = (rpi_family){.self = rpi_os_pid(), .root_ticks = root->start_ticks};
    family->includes_self = root->pid == family->self;
    r = rpi_describer_open(&family->describer);
    r = r < 0 ? r : add(family, &member);
    if (r < 0) {
        rpi_family_close(family);
        return r;
    }
    *ret_family = family;
    return 0;
}

void rpi_family_close(rpi_family *family)
{
    const rp_allocator *allocator = rpi_alloc_default();

    if (family->describer != NULL) {
        rpi_describer_close(family->describer);
    }
    rpi_free(allocator, family->members, family->capacity * sizeof *family->members);
    rpi_free(allocator, family->places, family->place_count * sizeof *family->places);
    rpi_free(allocator, family, sizeof *family);
}

/* ---- looking --------------------------------------------------------------------------- */

/* Notes that a member was seen as `stat` tells; false: its number is another's by now. */
static bool see(const rpi_family *family, rpi_kin *member, const rpi_proc_stat *stat)
{
    if (!rpi_identity_fits(&member->id, stat)) {
        return false;
    }
    member->parent = stat->parent;
    member->look = family->look;
    member->seen_ticks = rpi_ticks_now();
    member->is_gone = !rpi_proc_is_alive(stat);
    return true;
}

/* The member that has this number now, or NULL. */
static rpi_kin *find_present(const rpi_family *family, int64_t pid)
{
    rpi_kin *member = pid > 0 ? find(family, pid) : NULL;
    rpi_proc_stat stat;

    if (member == NULL || member->look == family->look) {
        return member;
    }
    return rpi_proc_stat_read(pid, &stat) == 0 && see(family, member, &stat) ? member : NULL;
}

/* Whether a group or session is led by a member: one that is there, or one that is gone and led it
 * at a moment when this process, which was there already, may have been in it. As long as anybody
 * is in a group, its number is given to nobody else. */
static bool is_led_by_member(const rpi_family *family, int64_t leader, const rpi_proc_stat *stat)
{
    const rpi_kin *member = leader > 0 ? find(family, leader) : NULL;
    rpi_proc_stat other;

    if (member == NULL) {
        return false;
    }
    if (find_present(family, leader) != NULL) {
        return true;
    }
    return rpi_proc_stat_read(leader, &other) == RP_ESRCH &&
           stat->start_ticks <= member->seen_ticks;
}

/* Whether a member launched it, as its environment says. 1, 0 or -ENOMEM. */
static int is_launched_by_member(const rpi_family *family, int64_t pid, const rpi_proc_stat *stat)
{
    const char *value = NULL;
    const rpi_kin *launcher;
    int64_t launcher_pid;
    int r = rpi_describe_originator(family->describer, pid, &value);

    if (r < 0) {
        return r;
    }
    launcher_pid = rpi_originator_pid(value);
    launcher = launcher_pid > 0 ? find_present(family, launcher_pid) : NULL;
    return launcher != NULL && launcher->id.start_ticks <= stat->start_ticks;
}

static int is_kin(const rpi_family *family, int64_t pid, const rpi_proc_stat *stat)
{
    if (stat->start_ticks < family->root_ticks) {
        return 0; /* before its root there was no family */
    }
    if (find_present(family, stat->parent) != NULL || is_led_by_member(family, stat->group, stat) ||
        is_led_by_member(family, stat->session, stat)) {
        return 1;
    }
    return is_launched_by_member(family, pid, stat);
}

/* Looks at one process: 1: a new member; 0; or -ENOMEM. */
static int look_at(rpi_family *family, int64_t pid)
{
    rpi_kin *known = find(family, pid);
    rpi_kin member = {.id.pid = pid};
    rpi_proc_stat stat;
    int r;

    r = rpi_proc_stat_read(pid, &stat);
    if (r < 0) {
        family->is_settled = family->is_settled && r != RP_ESRCH;
        return 0;
    }
    if (known != NULL) {
        const bool was_gone = known->is_gone;

        if (see(family, known, &stat)) {
            family->is_settled = family->is_settled && (was_gone || !known->is_gone);
            return 0;
        }
    }
    r = is_kin(family, pid, &stat);
    if (r <= 0) {
        return r;
    }
    if (pid == family->self) {
        family->includes_self = true;
        if (family->spares_self) {
            return 0;
        }
    }
    member.id.start_ticks = stat.start_ticks;
    (void)see(family, &member, &stat);
    r = add(family, &member);
    if (r < 0) {
        return r;
    }
    if (family->on_new != NULL) {
        family->on_new(family, find(family, pid));
    }
    return 1;
}

int rpi_family_look(rpi_family *family)
{
    rpi_scan scan;
    int64_t pid;
    int count = 0;
    int r = rpi_scan_open(&scan);

    if (r < 0) {
        return r;
    }
    family->look++;
    family->is_settled = true;
    while ((r = rpi_scan_next(&scan, &pid)) > 0) {
        r = look_at(family, pid);
        if (r < 0) {
            break;
        }
        count += r;
    }
    rpi_scan_close(&scan);
    return r < 0 ? r : count;
}

int rpi_family_look_all(rpi_family *family, int looks_max, uint64_t until_ns)
{
    int calm = 0;

    for (int i = 0; i < looks_max; i++) {
        int r;

        if (i > 0 && rpi_clock_now_ns() >= until_ns) {
            break;
        }
        r = rpi_family_look(family);
        if (r < 0) {
            return r;
        }
        calm = r > 0 ? 0 : calm + 1;
        if (r == 0 && (family->is_settled || calm == CALM_LOOKS_MAX)) {
            return 0;
        }
    }
    return 1;
}

size_t rpi_family_count_alive(rpi_family *family)
{
    size_t alive = 0;

    for (size_t i = 0; i < family->count; i++) {
        rpi_kin *member = &family->members[i];
        rpi_proc_stat stat;
        int r = member->is_gone ? RP_ESRCH : rpi_proc_stat_read(member->id.pid, &stat);

        if (r == RP_ESRCH || (r == 0 && !see(family, member, &stat))) {
            member->is_gone = true;
        }
        alive += !member->is_gone;
    }
    return alive;
}

/* ---- order ------------------------------------------------------------------------------- */

static void link_children(rpi_family *family)
{
    rpi_kin *members = family->members;

    RP_ASSERT(members != NULL);
    for (size_t i = 0; i < family->count; i++) {
        members[i].first_child = NONE;
        members[i].next_sibling = NONE;
        members[i].is_placed = false;
    }
    for (size_t i = family->count; i > 1; i--) { /* backwards: each goes in front */
        rpi_kin *member = &members[i - 1];
        rpi_kin *parent = find(family, member->parent);

        if (parent == NULL || parent == member) {
            parent = &members[0];
        }
        member->next_sibling = parent->first_child;
        parent->first_child = (uint32_t)i - 1;
    }
}

/* Takes the first child that has no place yet out of its parent's list; NONE. */
static uint32_t take_child(rpi_family *family, rpi_kin *parent)
{
    uint32_t child = parent->first_child;

    while (child != NONE && family->members[child].is_placed) {
        child = family->members[child].next_sibling;
    }
    if (child != NONE) {
        parent->first_child = family->members[child].next_sibling;
        family->members[child].depth = parent->depth + 1;
    } else {
        parent->first_child = NONE;
    }
    return child;
}

/* Writes `first` and all below it behind the `count` that are written: the new count. */
static size_t place_below(rpi_family *family, uint32_t *order, size_t count, uint32_t first)
{
    rpi_kin *members = family->members;
    uint32_t index = first;

    members[first].above = NONE;
    while (index != NONE) {
        uint32_t child;

        if (!members[index].is_placed) {
            members[index].is_placed = true;
            order[count++] = index;
        }
        child = take_child(family, &members[index]);
        if (child != NONE) {
            members[child].above = index;
        }
        index = child != NONE ? child : members[index].above;
    }
    return count;
}

uint32_t *rpi_family_order(rpi_family *family)
{
    uint32_t *order = rpi_alloc(rpi_alloc_default(), family->count * sizeof *order);
    size_t count = 0;

    if (order == NULL) {
        return NULL;
    }
    link_children(family);
    family->members[0].depth = 0;
    count = place_below(family, order, count, 0);
    for (uint32_t i = 1; i < family->count; i++) {
        /* Of parents that were seen at different moments: a circle, which nothing leads into. */
        if (!family->members[i].is_placed) {
            family->members[i].depth = 1;
            count = place_below(family, order, count, i);
        }
    }
    return order;
}

/* ---- rp_tree_each -------------------------------------------------------------------------- */

static int tell_all(rpi_family *family, rp_each_fn *each, void *user)
{
    uint32_t *order = rpi_family_order(family);
    int count = 0;
    int r = order != NULL ? 0 : -ENOMEM;

    for (size_t i = 0; r == 0 && i < family->count; i++) {
        const rpi_kin *member = &family->members[order[i]];
        rpi_identity now;
        rp_process_info info;

        r = rpi_identity_of(member->id.pid, &now);
        if (r == 0 && now.start_ticks != member->id.start_ticks) {
            r = RP_ESRCH;
        }
        r = r < 0 ? r : rpi_describe(family->describer, &now, &info);
        if (r == 0) {
            info.depth = member->depth;
            count++;
            if (!each(&info, user)) {
                break;
            }
        }
        r = r == -ENOMEM ? r : 0; /* it has ended meanwhile, or cannot be read */
    }
    rpi_free(rpi_alloc_default(), order, family->count * sizeof *order);
    return r < 0 ? r : count;
}

int rp_tree_each(const rp_identity *root, rp_each_fn *each, void *user)
{
    rpi_identity found;
    rpi_family *family = NULL;
    int r;

    rpi_detail_clear();
    if (root == NULL || root->pid <= 0) {
        return rpi_detail(RP_EINVAL, "root: no process number");
    }
    if (each == NULL) {
        return rpi_detail(RP_EINVAL, "no function to tell");
    }
    r = rpi_identity_find(root, &found);
    r = r < 0 ? r : rpi_family_open(&found, &family);
    if (r < 0) {
        return r;
    }
    r = rpi_family_look_all(family, LOOKS_MAX, RP_FOREVER);
    r = r < 0 ? r : tell_all(family, each, user);
    rpi_family_close(family);
    return r;
}
