/* Lives with faults of whole trees: told, found, held and killed from outside; in groups, by looks
 * and by the kernel; children whose rows a track keeps. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "rp/track.h"
#include "tests/sweep/life.h"

#define SOON_NS (400 * RP_MILLISECOND)

/* ---- from outside
 * -------------------------------------------------------------------------------- */

static rp_identity root;
static int members;
static int survivors;

static bool count_one(const rp_process_info *info, void *user)
{
    unsigned int *count = user;

    (void)info;
    ++*count;
    return true;
}

static void begin_tree(life *self)
{
    rp_command command = stage_command(
        CHILD("fork", "setsid", "write", "4", "a", "pause", "end", "write", "4", "b", "pause"));

    life_tie(self, &command);
    command.originator = "SWEEP";
    actor_spawn(&self->on, &self->child, &command, 0);
    LIFE_CHECK(self, life_await_tree(self, 2));
    LIFE_CHECK(self, rp_process_identity(self->child.process, &root) == 0);
}

static void live_telling(life *self)
{
    unsigned int count = 0;

    members = life_note(self, rp_tree_each(&root, count_one, &count));
    LIFE_CHECK(self, members < 0 || count == (unsigned int)members);
    count = 0;
    (void)life_note(self, rp_process_holders(self->child.process, count_one, &count));
    (void)life_note(self, rp_find_by_originator("SWEEP", count_one, &count));
}

/* Who could not be killed is waited for in vain. */
static void live_killing(life *self)
{
    survivors = life_note(self, rp_tree_kill(&root, SOON_NS));
}

static void end_tree(life *self)
{
    LIFE_CHECK(self, rp_tree_kill(&root, 60 * RP_SECOND) == 0);
    lifeline_await_end(&self->line);
    stage_run_until(&self->on, &self->child.counts[ACTOR_DONE], 1);
}

/* A process that cannot be read at that moment may be missed in what is only told. */
static void end_telling(life *self)
{
    LIFE_CHECK(self, self->fired ? members <= 2 : members == 2);
    end_tree(self);
}

static void end_killing(life *self)
{
    LIFE_CHECK(self, survivors == 0 || self->fired);
    if (survivors == 0) { // it says so: then it is so
        lifeline_await_end(&self->line);
        stage_run_until(&self->on, &self->child.counts[ACTOR_DONE], 1);
    } else {
        end_tree(self);
    }
}

/* ---- groups
 * --------------------------------------------------------------------------------------- */

static struct {
    rp_group *group;
    unsigned int told;
    size_t survivors;
    bool came; /* all of the tree were there */
    int killed;
} grouped;

static void on_emptied(rp_group *group, const rp_survivor *left, size_t count, void *user)
{
    (void)group;
    (void)left;
    (void)user;
    grouped.told++;
    grouped.survivors = count;
}

/* The loop has a guard already, which is started once. */
static void begin_group(life *self)
{
    rp_group *first = NULL;

    memset(&grouped, 0, sizeof grouped);
    LIFE_CHECK(self, rp_group_open(self->on.loop, NULL, &first) == 0);
    LIFE_CHECK(self, rp_group_close(first) == 0);
}

static void live_group(life *self)
{
    rp_command command = stage_command(
        CHILD("fork", "setsid", "write", "4", "a", "pause", "end", "write", "4", "b", "pause"));

    if (life_note(self, rp_group_open(self->on.loop, NULL, &grouped.group)) < 0) {
        return;
    }
    if (rp_group_grade(grouped.group) < RP_GRADE_SCAN) {
        (void)life_note(self, RP_EUNSUPPORTED); // the grade tells it: a session of its own escapes
        return;
    }
    life_tie(self, &command);
    command.group = grouped.group;
    if (life_spawn(self, &command, 0)) {
        grouped.came = life_await_tree(self, 2);
    }
    lifeline_close_write(&self->line);
    grouped.killed = life_note(self, rp_group_kill(grouped.group, SOON_NS, on_emptied, NULL));
    if (grouped.killed == 0) {
        life_run_until(self, &grouped.told, 1);
    }
    if (self->spawn_error == 0) {
        life_run_until(self, &self->child.counts[ACTOR_DONE], 1);
    }
}

static void end_group(life *self)
{
    if (grouped.group == NULL) {
        LIFE_CHECK(self, self->fired);
        return;
    }
    if (rp_group_grade(grouped.group) < RP_GRADE_SCAN) {
        LIFE_CHECK(self, self->fired);
        LIFE_CHECK(self, rp_group_close(grouped.group) == 0);
        return;
    }
    LIFE_CHECK(self, grouped.told == (grouped.killed == 0 ? 1 : 0));
    LIFE_CHECK(self, self->fired || (grouped.came && grouped.survivors == 0));
    if (grouped.killed == 0 && grouped.survivors == 0 && self->refused == 0 && self->logged == 0) {
        lifeline_await_end(&self->line);
    }
    LIFE_CHECK(self, rp_group_close(grouped.group) == 0);
    if (self->line.read > 0) {
        stage_run(&self->on);
        lifeline_await_end(&self->line);
    }
}

static void choose_scan(life *self, rp_loop_options *ret)
{
    (void)ret;
    LIFE_CHECK(self, setenv("RP_GRADE", "scan", 1) == 0);
}

static void choose_kernel(life *self, rp_loop_options *ret)
{
    (void)ret;
    LIFE_CHECK(self, setenv("RP_GRADE", "kernel", 1) == 0);
}

static bool has_cgroup(void)
{
    return rp_has("cgroup");
}

/* ---- a track
 * --------------------------------------------------------------------------------------- */

static rp_track *track;
static char folder[64];
static char path[96];
static unsigned int listed;
static int rows;

static bool has_track(void)
{
    return rp_has("track");
}

static void open_track(void)
{
    (void)snprintf(folder, sizeof folder, "/tmp/rp-sweep-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    (void)snprintf(path, sizeof path, "%s/pids.sqlite3", folder);
    cr_assert_eq(rp_track_open(path, &track), 0);
}

static void close_track(void)
{
    static const char *const ends[] = {"", "-wal", "-shm"};

    rp_track_close(track);
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        char file[128];

        (void)snprintf(file, sizeof file, "%s%s", path, ends[i]);
        (void)unlink(file); // they need not be there
    }
    cr_assert_eq(rmdir(folder), 0);
}

static void choose_track(life *self, rp_loop_options *ret)
{
    (void)self;
    ret->track = track;
}

/* The track's thread has its file open before anybody counts. */
static void warm_track(void)
{
    rp_loop_options options = RP_LOOP_OPTIONS_INIT;
    rp_command command = stage_command(CHILD("cat"));
    rp_process *process = NULL;
    rp_loop *loop = NULL;

    open_track();
    options.track = track;
    cr_assert_eq(rp_loop_open(&options, &loop), 0);
    command.in.kind = RP_STDIO_PIPE;
    cr_assert_eq(rp_spawn(loop, &command, NULL, NULL, &process), 0);
    while (rp_process_pid(process) == 0) {
        cr_assert_geq(rp_loop_run_once(loop, RP_SECOND), 0);
    }
    cr_assert_eq(rp_track_list(track, count_one, &listed), 1);
    cr_assert_eq(rp_close_stdin(process), 0);
    cr_assert_eq(rp_wait(process, 60 * RP_SECOND), 0);
    cr_assert_eq(rp_loop_close(loop), 0);
}

static void live_tracked(life *self)
{
    rp_command command = stage_command(CHILD("read", "1"));

    command.in.kind = RP_STDIO_PIPE;
    listed = 0;
    rows = -1;
    if (!life_spawn(self, &command, 0)) {
        return;
    }
    while (self->child.counts[ACTOR_STARTED] + self->child.counts[ACTOR_DONE] == 0) {
        self->run_errors += rp_loop_run_once(self->on.loop, 10 * RP_SECOND) < 0;
        LIFE_CHECK(self, self->run_errors < 20);
    }
    if (self->child.counts[ACTOR_DONE] == 0) {
        rows = life_note(self, rp_track_list(track, count_one, &listed));
        (void)life_note(self, rp_write(self->child.process, (rp_view){"x", 1}, NULL, NULL));
        (void)life_note(self, rp_close_stdin(self->child.process));
    }
    life_run_until(self, &self->child.counts[ACTOR_DONE], 1);
}

static void end_tracked(life *self)
{
    LIFE_CHECK(self, self->fired || (rows == 1 && self->child.exit.code == 0));
    LIFE_CHECK(self, rows < 0 || listed == (unsigned int)rows);
    LIFE_CHECK(self, rp_track_list(track, count_one, &listed) == 0); // no row is left
}

static const life_scenario scenarios[] = {
    {.name = "telling of a tree",
     .looks = true,
     .begin = begin_tree,
     .live = live_telling,
     .end = end_telling},
    {.name = "killing a tree",
     .looks = true,
     .begin = begin_tree,
     .live = live_killing,
     .end = end_killing},
    {.name = "a group, by looks",
     .is_long = true,
     .looks = true,
     .rings = true,
     .choose = choose_scan,
     .begin = begin_group,
     .live = live_group,
     .end = end_group},
    {.name = "a group, by the kernel",
     .looks = true,
     .rings = true,
     .is_possible = has_cgroup,
     .choose = choose_kernel,
     .begin = begin_group,
     .live = live_group,
     .end = end_group},
    {.name = "a track",
     .rings = true,
     .is_possible = has_track,
     .setup = warm_track,
     .teardown = close_track,
     .choose = choose_track,
     .live = live_tracked,
     .end = end_tracked},
};

LIFE_TESTS(sweep_trees, scenarios)
