/* Tests the queue in front of the spawner: process_max, its order, and launches that the system has
 * no room for. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tests/support/check.h"
#include "tests/support/stage.h"

enum {
    COUNT = 60
};

/* What the actors of a test share: the order in which they started, and how many ran at once. */
typedef struct roll {
    actor *started[COUNT];
    unsigned int started_count;
    unsigned int running;
    unsigned int running_max;
    unsigned int ended;
} roll;

static void note(actor *self, actor_event event, rp_stream stream)
{
    roll *all = self->context;

    (void)stream;
    if (event == ACTOR_STARTED) {
        all->started[all->started_count++] = self;
        all->running++;
        all->running_max = all->running > all->running_max ? all->running : all->running_max;
    } else if (event == ACTOR_DONE) {
        all->running -= self->exit.kind == RP_SPAWN_FAILED ? 0 : 1;
        all->ended++;
    }
}

/* Runs COUNT children, four at a time. */
static void run_four(rp_backend backend, uint32_t spawn_threads, roll *all)
{
    static actor children[COUNT];
    rp_loop_options options = {.process_max = 4, .spawn_threads = spawn_threads};
    rp_command command = stage_command(CHILD("echo", "x"));
    stage on;

    memset(children, 0, sizeof children);
    stage_open(&on, backend, &options);
    for (int i = 0; i < COUNT; i++) {
        children[i].hook = note;
        children[i].context = all;
        actor_spawn(&on, &children[i], &command, ACTOR_LINES);
    }
    cr_assert_eq(stage_stats(&on).queued, COUNT);
    stage_run(&on);
    cr_assert_eq(all->started_count, COUNT);
    cr_assert_leq(all->running_max, 4);
    for (int i = 0; i < COUNT; i++) {
        actor_check_code(&children[i], 0);
        // Several threads may overtake each other; one does not.
        cr_assert(spawn_threads != RP_SPAWN_INLINE || all->started[i] == &children[i]);
        actor_free(&children[i]);
    }
    cr_assert_eq(stage_stats(&on).queued, 0);
    stage_close(&on);
}

BACKEND_TEST(admission, lets_so_many_live_at_once_first_in_first_out)
{
    roll by_threads = {0};
    roll by_turns = {0};

    run_four(*backend, 0, &by_threads);
    run_four(*backend, RP_SPAWN_INLINE, &by_turns);
}

BACKEND_TEST(admission, lets_one_live_in_exact_order)
{
    static actor children[COUNT];
    rp_loop_options options = {.process_max = 1};
    rp_command command = stage_command(CHILD("exit", "0"));
    roll all = {0};
    stage on;

    stage_open(&on, *backend, &options);
    for (int i = 0; i < COUNT; i++) {
        children[i].hook = note;
        children[i].context = &all;
        actor_spawn(&on, &children[i], &command, 0);
    }
    stage_run(&on);
    cr_assert_eq(all.running_max, 1);
    for (int i = 0; i < COUNT; i++) {
        cr_assert_eq(all.started[i], &children[i]);
    }
    stage_close(&on);
}

/* A child's done starts the next one: the queue is filled from inside callbacks. */
static void spawn_another(actor *self, actor_event event, rp_stream stream)
{
    roll *all = self->context;

    note(self, event, stream);
    if (event == ACTOR_DONE && all->ended < 20) {
        static const rp_handlers silent = {.done = NULL};
        rp_command command = stage_command(CHILD("exit", "0"));

        cr_assert_eq(rp_spawn(rp_process_loop(self->process), &command, &silent, NULL, NULL), 0);
        all->ended++;
    }
}

BACKEND_TEST(admission, takes_launches_from_inside_callbacks)
{
    rp_loop_options options = {.process_max = 1};
    rp_command command = stage_command(CHILD("exit", "0"));
    roll all = {0};
    actor first = {.hook = spawn_another, .context = &all};
    stage on;

    stage_open(&on, *backend, &options);
    actor_spawn(&on, &first, &command, 0);
    stage_run(&on);
    cr_assert_eq(stage_stats(&on).exited, 2);
    stage_close(&on);
}

/* ---- no room ------------------------------------------------------------------------------- */

/* The soft limit of descriptors, such that `room` more may be opened. */
static void limit_descriptors(int room)
{
    struct rlimit limit;
    int probe = fcntl(2, F_DUPFD_CLOEXEC, 3); // the lowest free one; those below are all taken
    int highest = 0;

    cr_assert_geq(probe, 0);
    (void)close(probe);
    for (int fd = 0; fd < 4096; fd++) {
        highest = fcntl(fd, F_GETFD) >= 0 ? fd : highest;
    }
    for (int fd = probe; fd < highest; fd++) { // no gaps: they would be room too
        if (fcntl(fd, F_GETFD) < 0) {
            cr_assert_eq(fcntl(2, F_DUPFD_CLOEXEC, fd), fd);
        }
    }
    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = (rlim_t)(highest + 1 + room);
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

static void run_with_room(rp_backend backend, int room, rp_loop_options *options)
{
    static actor children[COUNT];
    rp_command command = stage_command(CHILD("lines", "1", "100", "lines", "2", "10"));
    roll all = {0};
    stage on;

    memset(children, 0, sizeof children);
    stage_open(&on, backend, options);
    limit_descriptors(room);
    for (int i = 0; i < COUNT; i++) {
        children[i].hook = note;
        children[i].context = &all;
        actor_spawn(&on, &children[i], &command, ACTOR_LINES);
    }
    stage_run(&on);
    for (int i = 0; i < COUNT; i++) {
        actor_check_code(&children[i], 0);
        cr_assert_eq(children[i].lines[0].size, 10 * 8 + 90 * 9);
        actor_free(&children[i]);
    }
    cr_assert_eq(all.started_count, COUNT);
    cr_assert_lt(all.running_max, COUNT);
    cr_assert_eq(rp_loop_close(on.loop), 0);
    cr_assert_eq(on.memory.live_blocks, 0);
}

BACKEND_TEST(admission, waits_where_there_are_few_descriptors)
{
    rp_loop_options options = {.spawn_threads = 3};

    run_with_room(*backend, 40, &options);
}

BACKEND_TEST(admission, waits_where_there_is_room_for_one_child_at_a_time)
{
    rp_loop_options options = {.spawn_threads = RP_SPAWN_INLINE};

    run_with_room(*backend, 9, &options);
}

BACKEND_TEST(admission, tells_of_too_few_descriptors_where_nothing_could_free_any)
{
    rp_command command = stage_command(CHILD("exit", "0"));
    actor children[3] = {{0}};
    stage on;

    stage_open(&on, *backend, NULL);
    limit_descriptors(2);
    for (int i = 0; i < 3; i++) {
        actor_spawn(&on, &children[i], &command, 0);
    }
    stage_run(&on);
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(children[i].counts[ACTOR_DONE], 1);
        cr_assert_eq(children[i].exit.kind, RP_SPAWN_FAILED);
        cr_assert_eq(children[i].exit.error, RP_EMFILE);
        cr_assert_not_null(children[i].exit.phase);
    }
    cr_assert_eq(rp_loop_close(on.loop), 0);
}

/* A child that stays alive, so that no launch is ever the last hope. */
static void start_anchor(stage *on, actor *anchor)
{
    rp_command command = stage_command(CHILD("pause"));

    actor_spawn(on, anchor, &command, 0);
    stage_run_until(on, &anchor->counts[ACTOR_STARTED], 1);
}

/* Starts COUNT children with a refusal at every other turn of the first half. */
static void run_refused(stage *on, const char *entry, int error)
{
    static actor children[COUNT];
    rp_command command = stage_command(CHILD("echo", "x"));
    roll all = {0};

    memset(children, 0, sizeof children);
    rpi_fault_os_start();
    for (int k = 0; k < COUNT; k++) {
        children[k].hook = note;
        children[k].context = &all;
        actor_spawn(on, &children[k], &command, ACTOR_LINES);
    }
    for (unsigned int turn = 0; all.ended < COUNT; turn++) {
        if (turn % 2 == 0 && all.ended < COUNT / 2) {
            rpi_fault_os_fail(entry, 1, error);
        }
        cr_assert_geq(rp_loop_run_once(on->loop, 30 * RP_SECOND), 0);
    }
    cr_assert(rpi_fault_os_fired());
    rpi_fault_os_stop();
    for (int k = 0; k < COUNT; k++) {
        actor_check_code(&children[k], 0);
        cr_assert_str_eq(actor_lines(&children[k], RP_STDOUT), "[x]");
        actor_free(&children[k]);
    }
}

BACKEND_TEST(admission, tries_again_whatever_passing_error_there_was)
{
    static const struct {
        const char *entry;
        int error;
    } refusals[] = {{"pipe2", EMFILE}, {"pipe2", ENFILE}, {"clone3", EAGAIN}, {"clone3", ENOMEM}};

    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        actor anchor = {0};
        stage on;

        stage_open(&on, *backend, NULL);
        start_anchor(&on, &anchor);
        run_refused(&on, refusals[i].entry, refusals[i].error);
        cr_assert_eq(rp_kill(anchor.process), 0);
        stage_run(&on);
        stage_close(&on);
    }
}

/* Room may be made by others than children of ours, none of which need ever end. */
BACKEND_TEST(admission, tries_again_although_no_child_ends)
{
    rp_command command = stage_command(CHILD("exit", "5"));
    actor anchor = {0};
    actor child = {0};
    stage on;

    stage_open(&on, *backend, NULL);
    start_anchor(&on, &anchor);
    rpi_fault_os_start();
    rpi_fault_os_fail("pipe2", 1, EMFILE);
    actor_play(&on, &child, &command, 0);
    cr_assert(rpi_fault_os_fired());
    rpi_fault_os_stop();
    actor_check_code(&child, 5);
    cr_assert_eq(anchor.counts[ACTOR_DONE], 0);
    cr_assert_eq(rp_kill(anchor.process), 0);
    stage_run(&on);
    stage_close(&on);
}
