/* Tests the public loop with children in it: options, running and stopping, statistics, and what a
 * loop needs while nothing happens. Timers, posts and watches have tests beside the reactor. */
#define _GNU_SOURCE
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>

#include "tests/support/check.h"
#include "tests/support/stage.h"

/* No system has both. */
static rp_backend absent_backend(void)
{
    return rp_has("epoll") ? RP_BACKEND_IOCP : RP_BACKEND_EPOLL;
}

Test(loop, refuses_options_that_it_cannot_keep, .timeout = 60)
{
    static const rp_allocator no_resize = {NULL, NULL};
    const struct {
        rp_loop_options options;
        int error;
    } bad[] = {
        {{.size = 0}, RP_EINVAL},
        {{.size = 4}, RP_EINVAL},
        {{.size = sizeof(rp_loop_options), .backend = (rp_backend)77}, RP_EINVAL},
        {{.size = sizeof(rp_loop_options), .backend = absent_backend()}, RP_EUNSUPPORTED},
        {{.size = sizeof(rp_loop_options), .ring_size = (size_t)2 << 30}, RP_EINVAL},
        {{.size = sizeof(rp_loop_options), .allocator = &no_resize}, RP_EINVAL},
    };
    stage_holdings before = stage_count();
    rp_loop *loop = NULL;

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int r = rp_loop_open(&bad[i].options, &loop);

        cr_assert_eq(r, bad[i].error, "options %zu: %s", i, rp_error_name(r));
        cr_assert_null(loop);
        cr_assert_neq(rp_error_detail()[0], '\0', "options %zu", i);
    }
    stage_check(&before);
}

/* A newer program's longer struct is fine as long as what is unknown is zero; an older one's is
 * too. */
Test(loop, takes_options_of_older_and_newer_programs, .timeout = 60)
{
    struct {
        rp_loop_options options;
        char more[32];
    } newer;
    rp_loop *loop = NULL;

    memset(&newer, 0, sizeof newer);
    newer.options.size = sizeof newer;
    cr_assert_eq(rp_loop_open(&newer.options, &loop), 0);
    cr_assert_eq(rp_loop_close(loop), 0);
    newer.more[31] = 1;
    loop = NULL;
    cr_assert_eq(rp_loop_open(&newer.options, &loop), RP_E2BIG);
    cr_assert_null(loop);
    newer.options.size = offsetof(rp_loop_options, ring_size);
    newer.options.ring_size = SIZE_MAX; // beyond its size: not looked at
    cr_assert_eq(rp_loop_open(&newer.options, &loop), 0);
    cr_assert_eq(rp_loop_close(loop), 0);
    cr_assert_eq(rp_loop_open(NULL, &loop), 0);
    cr_assert_eq(rp_loop_close(loop), 0);
    cr_assert_eq(rp_loop_close(NULL), 0);
}

BACKEND_TEST(loop, runs_until_nothing_is_left)
{
    rp_command command = stage_command(CHILD("exit", "0"));
    actor child = {0};
    stage on;

    stage_open(&on, *backend, NULL);
    cr_assert_eq(rp_loop_run(on.loop), 0);
    cr_assert_eq(rp_loop_run_once(on.loop, RP_MILLISECOND), 0, "waits with nothing left, too");
    actor_spawn(&on, &child, &command, 0);
    cr_assert_eq(rp_loop_run(on.loop), 0);
    cr_assert_eq(child.counts[ACTOR_DONE], 1);
    stage_close(&on);
}

static void stop_at_done(actor *self, actor_event event, rp_stream stream)
{
    (void)stream;
    if (event == ACTOR_DONE) {
        rp_loop_stop(rp_process_loop(self->process));
    }
}

BACKEND_TEST(loop, is_stopped_from_a_callback_or_before_it_runs)
{
    rp_loop_options options = {.stay = true};
    rp_command command = stage_command(CHILD("exit", "0"));
    actor child = {.hook = stop_at_done};
    stage on;

    stage_open(&on, *backend, &options);
    actor_spawn(&on, &child, &command, 0);
    cr_assert_eq(rp_loop_run(on.loop), 1);
    cr_assert_eq(child.counts[ACTOR_DONE], 1);
    rp_loop_stop(on.loop);
    rp_loop_stop(on.loop);
    cr_assert_eq(rp_loop_run(on.loop), 1);
    rp_loop_stop(on.loop);
    cr_assert_eq(rp_loop_run_once(on.loop, RP_FOREVER), 0);
    stage_close(&on);
}

static void *stop_from_outside(void *argument)
{
    rp_loop_stop(argument);
    return NULL;
}

BACKEND_TEST(loop, is_stopped_from_another_thread)
{
    rp_loop_options options = {.stay = true};
    pthread_t thread;
    stage on;

    stage_open(&on, *backend, &options);
    for (int i = 0; i < 200; i++) {
        cr_assert_eq(pthread_create(&thread, NULL, stop_from_outside, on.loop), 0);
        cr_assert_eq(rp_loop_run(on.loop), 1);
        cr_assert_eq(pthread_join(thread, NULL), 0);
    }
    stage_close(&on);
}

static void do_nothing(int number)
{
    (void)number;
}

static void interrupt_me(rp_loop *loop, void *user)
{
    pthread_t *me = user;

    (void)loop;
    (void)pthread_kill(*me, SIGUSR1);
}

static void *keep_interrupting(void *argument)
{
    pthread_t *target = argument;
    struct timespec pause = {.tv_nsec = 1000000};

    for (int i = 0; i < 50; i++) {
        (void)nanosleep(&pause, NULL); // so that some fall into the wait
        interrupt_me(NULL, target);
    }
    return NULL;
}

BACKEND_TEST(loop, returns_on_a_signal_where_asked_to)
{
    struct sigaction action = {.sa_handler = do_nothing};
    rp_loop_options options = {.return_on_signal = true};
    rp_command command = stage_command(CHILD("pause"));
    pthread_t me = pthread_self();
    rp_process *process;
    rp_event event;
    pthread_t thread;
    stage on;
    int r;

    cr_assert_eq(sigaction(SIGUSR1, &action, NULL), 0);
    stage_open(&on, *backend, &options);
    cr_assert_eq(rp_spawn(on.loop, &command, NULL, NULL, &process), 0);
    while (rp_process_pid(process) == 0) {
        cr_assert(rp_loop_run_once(on.loop, RP_SECOND) >= 0);
    }
    cr_assert_eq(pthread_create(&thread, NULL, keep_interrupting, &me), 0);
    r = rp_next(process, 30 * RP_SECOND, &event);
    cr_assert_eq(r, RP_EINTR, "%s", rp_error_name(r));
    cr_assert_eq(pthread_join(thread, NULL), 0);
    rp_process_close(process);
    while ((r = rp_loop_run(on.loop)) == RP_EINTR) {
    }
    cr_assert_eq(r, 0);
    stage_close(&on);
}

BACKEND_TEST(loop, goes_on_through_signals_where_not)
{
    struct sigaction action = {.sa_handler = do_nothing};
    rp_command command = stage_command(CHILD("pause"));
    pthread_t me = pthread_self();
    rp_process *process;
    rp_event event;
    pthread_t thread;
    stage on;

    cr_assert_eq(sigaction(SIGUSR1, &action, NULL), 0);
    stage_open(&on, *backend, NULL);
    cr_assert_eq(rp_spawn(on.loop, &command, NULL, NULL, &process), 0);
    cr_assert_eq(pthread_create(&thread, NULL, keep_interrupting, &me), 0);
    cr_assert_eq(rp_next(process, 100 * RP_MILLISECOND, &event), RP_ETIMEDOUT);
    cr_assert_eq(pthread_join(thread, NULL), 0);
    rp_process_close(process);
    stage_run(&on);
    stage_close(&on);
}

/* ---- asking ---------------------------------------------------------------------------------- */

static bool count_two(rp_process *process, void *user)
{
    unsigned int *count = user;

    cr_assert_not_null(process);
    return ++*count < 2;
}

static bool close_it(rp_process *process, void *user)
{
    (void)user;
    rp_process_close(process);
    return true;
}

BACKEND_TEST(loop, shows_its_processes)
{
    rp_command command = stage_command(CHILD("pause"));
    unsigned int count = 0;
    rp_process *process;
    stage on;

    stage_open(&on, *backend, NULL);
    for (int i = 0; i < 5; i++) {
        cr_assert_eq(rp_spawn(on.loop, &command, NULL, NULL, &process), 0);
    }
    cr_assert_eq(rp_loop_processes(on.loop, NULL, NULL), 5);
    cr_assert_eq(rp_loop_processes(on.loop, count_two, &count), 2);
    cr_assert_eq(rp_loop_processes(on.loop, close_it, NULL), 5);
    cr_assert_eq(rp_loop_processes(on.loop, NULL, NULL), 0);
    stage_run(&on);
    stage_close(&on);
}

BACKEND_TEST(loop, counts_what_it_does)
{
    rp_command command = stage_command(CHILD("fill", "1", "100", "fill", "2", "20", "wait", "0"));
    rp_loop_stats shorter = {.size = offsetof(rp_loop_stats, bytes_read), .bytes_read = 77};
    rp_loop_stats none = {.size = 0};
    rp_loop_stats stats;
    actor child = {0};
    stage on;

    command.in.kind = RP_STDIO_PIPE;
    stage_open(&on, *backend, NULL);
    actor_spawn(&on, &child, &command, ACTOR_DATA);
    cr_assert_eq(stage_stats(&on).queued, 1);
    while (child.data[0].size + child.data[1].size < 120) {
        cr_assert_geq(rp_loop_run_once(on.loop, 10 * RP_SECOND), 0);
    }
    stats = stage_stats(&on);
    cr_assert_eq(stats.spawned, 1);
    cr_assert_eq(stats.exited, 0);
    cr_assert_eq(stats.live, 1);
    cr_assert_eq(stats.queued, 0);
    cr_assert_eq(stats.bytes_read, 120);
    cr_assert_geq(stats.reads, 2);
    cr_assert_gt(stats.wakeups, 0);
    cr_assert_gt(stats.kernel_calls, 0);
    cr_assert_eq(stats.descriptors, 4, "a pidfd and three pipes");
    cr_assert_eq(stats.ptys, 0);
    cr_assert_gt(stats.memory_bytes, 0);
    cr_assert_eq(rp_loop_get_stats(on.loop, &none), RP_EINVAL);
    cr_assert_eq(rp_loop_get_stats(on.loop, &shorter), 0);
    cr_assert_eq(shorter.spawned, 1);
    cr_assert_eq(shorter.bytes_read, 77);
    cr_assert_eq(rp_close_stdin(child.process), 0);
    stage_run(&on);
    cr_assert_eq(stage_stats(&on).exited, 1);
    cr_assert_eq(stage_stats(&on).live, 0);
    actor_free(&child);
    stage_close(&on);
}

/* Quiet children wake nobody: not for reads, not for time-outs that are far away. */
BACKEND_TEST(loop, sleeps_while_its_children_are_quiet)
{
    static actor children[100];
    rp_command command = stage_command(CHILD("pause"));
    uint64_t wakeups;
    stage on;

    stage_open(&on, *backend, NULL);
    command.timeout_ns = 1000 * RP_SECOND;
    command.quiet_timeout_ns = 1000 * RP_SECOND;
    for (int i = 0; i < 100; i++) {
        actor_spawn(&on, &children[i], &command, ACTOR_LINES);
    }
    for (int i = 0; i < 100; i++) {
        stage_run_until(&on, &children[i].counts[ACTOR_STARTED], 1);
    }
    while (rp_loop_run_once(on.loop, 0) > 0) {
    }
    wakeups = stage_stats(&on).wakeups;
    cr_assert_eq(rp_loop_run_once(on.loop, 300 * RP_MILLISECOND), 0);
    cr_assert_leq(stage_stats(&on).wakeups - wakeups, 1);
    for (int i = 0; i < 100; i++) {
        actor_close(&children[i]);
    }
    stage_run(&on);
    stage_close(&on);
}

/* ---- inside another loop ----------------------------------------------------------------------
 */

BACKEND_TEST(loop, lives_inside_another_one)
{
    static actor children[30];
    rp_command command = stage_command(CHILD("flood-both", "100000", "5"));
    unsigned int done = 0;
    intptr_t fd;
    stage on;

    stage_open(&on, *backend, NULL);
    fd = rp_loop_fd(on.loop);
    cr_assert_geq(fd, 0);
    cr_assert_eq(rp_loop_fd(on.loop), fd);
    for (int i = 0; i < 30; i++) {
        actor_spawn(&on, &children[i], &command, ACTOR_DATA);
    }
    while (done < 30) {
        uint64_t span_ns = rp_loop_timeout_ns(on.loop);
        struct pollfd entry = {.fd = (int)fd, .events = POLLIN};
        int timeout_ms = span_ns == 0 ? 0 : 30000;

        cr_assert(poll(&entry, 1, timeout_ms) > 0 || span_ns == 0, "a wake was lost");
        cr_assert_geq(rp_loop_run_once(on.loop, 0), 0);
        done = 0;
        for (int i = 0; i < 30; i++) {
            done += children[i].counts[ACTOR_DONE];
        }
    }
    for (int i = 0; i < 30; i++) {
        actor_check_code(&children[i], 0);
        cr_assert_eq(children[i].data[0].size, 100000);
        actor_free(&children[i]);
    }
    stage_close(&on);
}

/* ---- the log
 * ------------------------------------------------------------------------------------- */

static unsigned int logged;

static void count_log(int level, const char *text, void *user)
{
    cr_assert_eq(user, (void *)&logged);
    cr_assert(level >= 0 && level <= 2);
    cr_assert_neq(text[0], '\0');
    logged++;
}

BACKEND_TEST(loop, tells_its_log_when_launches_must_wait)
{
    rp_loop_options options = {.log = count_log, .log_user = &logged};
    rp_command command = stage_command(CHILD("exit", "0"));
    actor children[3] = {{0}};
    stage on;

    logged = 0;
    stage_open(&on, *backend, &options);
    for (int i = 0; i < 3; i++) {
        actor_spawn(&on, &children[i], &command, 0);
    }
    rpi_fault_os_start();
    rpi_fault_os_fail("pipe2", 1, EMFILE);
    stage_run(&on);
    rpi_fault_os_stop();
    cr_assert_geq(logged, 1);
    for (int i = 0; i < 3; i++) {
        actor_check_code(&children[i], 0);
    }
    stage_close(&on);
}
