/* The spawner on a real loop: queue, threads, the way back, taking back, closing; and what its
 * parts do when a call of the system or an allocation fails. A thread is held up, where a test
 * needs that, by a launch whose standard input is a FIFO that nobody has opened for writing yet. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/os.h"
#include "core/spawner.h"
#include "reactor/reactor.h"
#include "tests/spawn/rig.h"
#include "tests/support/check.h"
#include "tests/support/fault.h"

#define LAUNCH_MAX 300

static rpi_reactor reactor;
static rpi_spawner *spawner;
static rig_launch launches[LAUNCH_MAX];
static rig_end end;

/* What came back, in its order. */
static rpi_launch *back[LAUNCH_MAX];
static size_t back_count;
static atomic_size_t cancelled_count;

static void launched(rpi_launch *launch, void *user)
{
    cr_assert_eq(user, &reactor);
    cr_assert_lt(back_count, LAUNCH_MAX);
    back[back_count++] = launch;
    if (launch->error == RP_ECANCELED) {
        atomic_fetch_add(&cancelled_count, 1);
    }
}

static void open_spawner(uint32_t threads)
{
    rpi_reactor_options reactor_options = {.allocator = rpi_alloc_default()};
    rpi_spawner_options options = {.allocator = rpi_alloc_default(),
                                   .reactor = &reactor,
                                   .threads = threads,
                                   .launched = launched,
                                   .user = &reactor};

    cr_assert_eq(rpi_reactor_init(&reactor, &reactor_options), 0);
    cr_assert_eq(rpi_spawner_open(&options, &spawner), 0);
}

static void close_spawner(void)
{
    rpi_spawner_close(spawner);
    rpi_reactor_fini(&reactor);
}

static void run_until(size_t count)
{
    while (back_count < count) {
        cr_assert_geq(rpi_reactor_turn(&reactor, 20 * RP_SECOND), 0);
    }
}

static void submit(size_t index, const char *mode, const char *argument)
{
    rig_init(&launches[index], mode, argument, NULL);
    rpi_spawner_submit(spawner, &launches[index].launch);
}

static rig_launch *rig_of(rpi_launch *launch)
{
    return RPI_CONTAINER(launch, rig_launch, launch);
}

/* ---- the FIFO ---- */

static char directory[] = "/tmp/rp-spawner-XXXXXX";
static char fifo[64];

static void make_fifo(void)
{
    cr_assert_not_null(mkdtemp(directory));
    snprintf(fifo, sizeof fifo, "%s/fifo", directory);
    cr_assert_eq(mkfifo(fifo, 0600), 0);
}

static void remove_fifo(void)
{
    cr_assert_eq(unlink(fifo), 0);
    cr_assert_eq(rmdir(directory), 0);
}

static void submit_held(size_t index)
{
    rig_init(&launches[index], "cat", NULL);
    launches[index].launch.ends[0] =
        (rpi_launch_end){.kind = RPI_END_FILE, .fd = -1, .open_flags = O_RDONLY, .path = fifo};
    rpi_spawner_submit(spawner, &launches[index].launch);
}

/* Waits until the thread has begun the held launch: only its open is left then. */
static void wait_begun(size_t index)
{
    while (rpi_spawner_take_back(spawner, &launches[index].launch)) {
        rpi_spawner_submit(spawner, &launches[index].launch); // not yet
        sched_yield();
    }
}

static void let_go(void)
{
    const int fd = open(fifo, O_WRONLY | O_CLOEXEC); // waits for the reader

    cr_assert_geq(fd, 0);
    close(fd);
}

/* ---- there and back ---- */

static void carry_many(uint32_t threads, size_t count)
{
    const int before = rig_count_fds();
    size_t i;

    open_spawner(threads);
    for (i = 0; i < count; i++) {
        if (i % 10 == 9) {
            rig_init_program(&launches[i], "/no/such/program", NULL);
            rpi_spawner_submit(spawner, &launches[i].launch);
        } else {
            submit(i, "both", NULL);
        }
    }
    cr_assert_eq(rpi_spawner_busy(spawner), count);
    cr_assert_eq(back_count, 0); // never out of the submitting call
    run_until(count);
    cr_assert_eq(rpi_spawner_busy(spawner), 0);
    for (i = 0; i < count; i++) {
        rig_launch *rig = rig_of(back[i]);

        if ((rig - launches) % 10 == 9) {
            cr_assert_eq(rig->launch.error, -ENOENT);
        } else {
            rig_finish(rig, &end);
            cr_assert_str_eq(end.text[1], "out");
        }
        rig->launch.pid = -1;
    }
    for (i = 0; i < count; i++) {
        cr_assert_eq(launches[i].launch.pid, -1); // each came, once
    }
    close_spawner();
    cr_assert_eq(back_count, count);
    cr_assert_eq(rig_count_fds(), before);
    cr_assert_eq(rig_wait(-1), 1000);
}

Test(spawner, brings_every_launch_back_once_by_one_thread, .timeout = 60)
{
    carry_many(1, LAUNCH_MAX);
}

Test(spawner, brings_every_launch_back_once_by_eight_threads, .timeout = 60)
{
    carry_many(8, LAUNCH_MAX);
}

Test(spawner, brings_every_launch_back_once_by_as_many_threads_as_it_likes, .timeout = 60)
{
    carry_many(0, LAUNCH_MAX);
}

Test(spawner, brings_every_launch_back_once_without_threads, .timeout = 60)
{
    carry_many(RP_SPAWN_INLINE, 50);
}

Test(spawner, carries_one_launch_a_turn_out_without_threads, .timeout = 60)
{
    size_t i;

    open_spawner(RP_SPAWN_INLINE);
    for (i = 0; i < 5; i++) {
        submit(i, "exit", "0");
    }
    for (i = 0; i < 5; i++) {
        cr_assert_eq(back_count, i);
        cr_assert_gt(rpi_reactor_turn(&reactor, RP_SECOND), 0);
        cr_assert_eq(back[i], &launches[i].launch); // first in, first out
        rig_finish(rig_of(back[i]), &end);
    }
    close_spawner();
}

Test(spawner, runs_a_lone_launch_in_the_calling_thread)
{
    open_spawner(0);
    rig_init(&launches[0], "exit", "7", NULL);
    rpi_spawner_run(spawner, &launches[0].launch);
    rig_finish(&launches[0], &end);
    cr_assert_eq(end.status, 7);
    cr_assert_eq(back_count, 0);
    cr_assert_eq(rpi_spawner_busy(spawner), 0);
    close_spawner();
}

Test(spawner, works_in_the_loop_where_no_thread_can_be_started, .timeout = 60)
{
    open_spawner(4);
    rpi_fault_os_start();
    rpi_fault_os_fail("thread_start", RPI_FAULT_EVERY, EAGAIN);
    submit(0, "exit", "1");
    submit(1, "exit", "2");
    run_until(2);
    rpi_fault_os_stop();
    rig_finish(&launches[0], &end);
    cr_assert_eq(end.status, 1);
    rig_finish(&launches[1], &end);
    cr_assert_eq(end.status, 2);
    close_spawner();
}

/* setgid() of the C library waits until every thread has handled a signal of its own. */
Test(spawner, lets_the_host_change_its_ids_while_its_threads_idle, .timeout = 30)
{
    size_t i;

    open_spawner(4);
    for (i = 0; i < 20; i++) {
        submit(i, "exit", "0");
    }
    run_until(20);
    cr_assert_eq(setgid(getgid()), 0);
    for (i = 0; i < 20; i++) {
        rig_finish(&launches[i], &end);
    }
    close_spawner();
}

/* ---- taking back, closing ---- */

Test(spawner, takes_back_what_no_thread_has_begun, .timeout = 60)
{
    make_fifo();
    open_spawner(1);
    submit_held(0);
    wait_begun(0);
    submit(1, "exit", "1");
    submit(2, "exit", "2");
    cr_assert_not(rpi_spawner_take_back(spawner, &launches[0].launch)); // begun
    cr_assert(rpi_spawner_take_back(spawner, &launches[1].launch));
    cr_assert_not(rpi_spawner_take_back(spawner, &launches[1].launch)); // it is ours already
    cr_assert_eq(rpi_spawner_busy(spawner), 2);
    let_go();
    run_until(2);
    cr_assert_eq(back[0], &launches[0].launch);
    cr_assert_eq(back[1], &launches[2].launch);
    cr_assert_not(rpi_spawner_take_back(spawner, back[0])); // back
    rig_finish(&launches[0], &end);
    rig_finish(&launches[2], &end);
    cr_assert_eq(launches[1].launch.launched_ns, 0);
    close_spawner();
    cr_assert_eq(back_count, 2);
    remove_fifo();
}

/* Lets the held launch go when the queued ones have been given back. */
static void *let_go_after_cancels(void *argument)
{
    (void)argument; // the count says it
    while (atomic_load(&cancelled_count) < 2) {
        sched_yield();
    }
    let_go();
    return NULL;
}

Test(spawner, gives_the_queue_back_at_its_close_and_waits_for_the_rest, .timeout = 60)
{
    pthread_t helper;

    make_fifo();
    open_spawner(1);
    submit_held(0);
    wait_begun(0);
    submit(1, "exit", "1");
    submit(2, "exit", "2");
    cr_assert_eq(pthread_create(&helper, NULL, let_go_after_cancels, NULL), 0);
    close_spawner();
    cr_assert_eq(pthread_join(helper, NULL), 0);
    cr_assert_eq(back_count, 3);
    cr_assert_eq(back[0], &launches[1].launch);
    cr_assert_eq(back[1], &launches[2].launch);
    cr_assert_eq(back[2], &launches[0].launch);
    cr_assert_eq(launches[1].launch.error, RP_ECANCELED);
    rig_finish(&launches[0], &end);
    cr_assert_eq(end.status, 0);
    remove_fifo();
}

Test(spawner, in_a_forked_child_is_freed_without_its_threads, .timeout = 60)
{
    pid_t pid;

    make_fifo();
    open_spawner(1);
    submit_held(0);
    wait_begun(0);
    pid = fork();
    cr_assert_geq(pid, 0);
    if (pid == 0) {
        rpi_spawner_close(spawner); // would wait for ever for a thread that is not there
        rpi_reactor_fini_forked(&reactor);
        _exit(0);
    }
    cr_assert_eq(rig_wait(pid), 0);
    let_go();
    run_until(1);
    rig_finish(&launches[0], &end);
    close_spawner();
    remove_fifo();
}

/* ---- choices ---- */

Test(spawner, takes_its_method_from_the_environment)
{
    rpi_spawn_site *site = NULL;

    cr_assert_eq(setenv("RP_SPAWN", "posix_spawn", 1), 0);
    open_spawner(0);
    cr_assert_eq(rpi_spawner_method(spawner), RPI_SPAWN_POSIX_SPAWN);
    close_spawner();
    cr_assert_eq(setenv("RP_SPAWN", "magic", 1), 0);
    cr_assert_eq(rpi_spawn_site_open(rpi_alloc_default(), RPI_SPAWN_UNKNOWN, 1, &site), -EINVAL);
    cr_assert_null(site);
    cr_assert_eq(setenv("RP_SPAWN", "", 1), 0);
    open_spawner(0);
    cr_assert_neq(rpi_spawner_method(spawner), RPI_SPAWN_UNKNOWN);
    close_spawner();
}

/* ---- failing calls ---- */

Test(spawner, site_fails_cleanly_for_want_of_memory)
{
    rpi_spawn_site *site = NULL;
    unsigned n;

    for (n = 1;; n++) {
        rpi_fault_memory memory;
        const int before = rig_count_fds();
        int r;

        rpi_fault_memory_init(&memory, n);
        r = rpi_spawn_site_open(&memory.allocator, RPI_SPAWN_CLONE3, 3, &site);
        if (r == 0) {
            rpi_spawn_site_close(site);
        }
        cr_assert_eq(rig_count_fds(), before);
        cr_assert_eq(atomic_load(&memory.live_blocks), 0);
        if (!atomic_load(&memory.fired)) {
            break;
        }
        cr_assert_eq(r, -ENOMEM);
    }
    cr_assert_gt(n, 1);
}

/* Calls whose failure a launch must survive. Those that only give back, wait or look at what is
 * ours (close, waitid, read, fstat) are left out: with sound arguments they do not fail. */
static const char *const entries[] = {"open",      "pipe2",       "socketpair",  "sendmsg",
                                      "recvmsg",   "fcntl",       "dup3",        "mmap",
                                      "clone3",    "clone",       "fork",        "pidfd_open",
                                      "getrlimit", "close_range", "thread_start"};

typedef void attempt_fn(rpi_spawn_method method, const char *entry, int error);

static void open_once(rpi_spawn_method method, const char *entry, int error)
{
    rpi_spawn_site *site = NULL;
    const int r = rpi_spawn_site_open(rpi_alloc_default(), method, 3, &site);

    (void)entry; // each may fail: then there is no site
    cr_assert(r == 0 || r == -error, "%d", r);
    rpi_spawn_site_close(site);
}

/* No memory for a stack is no memory, whatever mmap says; and when one side of a table of its own
 * cannot speak, the other hears no more than the end. */
static bool is_expected(int got, const char *entry, int error)
{
    return strcmp(entry, "mmap") == 0 ? got == -ENOMEM
           : strcmp(entry, "sendmsg") == 0 || strcmp(entry, "recvmsg") == 0
               ? got == -error || got == -EPIPE
               : got == -error;
}

static void launch_once(rpi_spawn_method method, const char *entry, int error)
{
    rpi_spawn_site *site = NULL;

    if (rpi_spawn_site_open(rpi_alloc_default(), method, 1, &site) < 0) {
        return; // open_once looks at that
    }
    rig_init(&launches[0], "both", NULL);
    launches[0].launch.ends[0].kind = RPI_END_PIPE;
    rpi_spawn_carry_out(site, 0, &launches[0].launch);
    if (launches[0].launch.error == 0) {
        rig_finish(&launches[0], &end);
        cr_assert_eq(end.status, 0, "%s", entry);
        cr_assert_str_eq(end.text[1], "out");
    } else {
        cr_assert(is_expected(launches[0].launch.error, entry, error), "%s: %d", entry,
                  launches[0].launch.error);
        cr_assert_not_null(launches[0].launch.phase);
        cr_assert_eq(launches[0].launch.pidfd, -1);
    }
    rpi_spawn_site_close(site);
}

static void fail_each(attempt_fn *attempt, rpi_spawn_method method, int error)
{
    size_t i;
    unsigned n;

    for (i = 0; i < sizeof entries / sizeof entries[0]; i++) {
        bool fired = true;

        for (n = 1; fired; n++) {
            const int before = rig_count_fds();

            rpi_fault_os_start();
            rpi_fault_os_fail(entries[i], n, error);
            attempt(method, entries[i], error);
            fired = rpi_fault_os_fired();
            rpi_fault_os_stop();
            cr_assert_eq(rig_count_fds(), before, "%s, call %u", entries[i], n);
            cr_assert_eq(rig_wait(-1), 1000, "%s, call %u", entries[i], n);
        }
    }
}

METHOD_TEST(spawner, sites_leave_nothing_behind_when_a_call_fails)
{
    fail_each(open_once, *method, EMFILE);
    fail_each(open_once, *method, ENOMEM);
}

METHOD_TEST(spawner, launches_leave_nothing_behind_when_a_call_fails)
{
    fail_each(launch_once, *method, EMFILE);
    fail_each(launch_once, *method, EAGAIN);
    fail_each(launch_once, *method, ENOMEM);
}

/* The same where the child is made through a table of its own. */
Test(spawner, launches_of_a_late_loop_leave_nothing_behind_when_a_call_fails, .timeout = 120)
{
    int i;

    for (i = 0; i < 600; i++) {
        cr_assert_geq(dup(0), 3);
    }
    fail_each(launch_once, RPI_SPAWN_CLONE3, EMFILE);
}
