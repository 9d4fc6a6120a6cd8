/* Signals around a launch: no handler of the host runs in a child, no signal of the host is held up
 * by us, and a host that ignores SIGCHLD keeps its children's pidfds. */
#define _GNU_SOURCE
#include <errno.h>
#include <grp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/os.h"
#include "core/spawn_linux.h"
#include "tests/spawn/rig.h"

#define STORM_CHILDREN 3000

static rig_launch rig;
static rig_end end;

/* ---- a storm ---- */

/* Shared with every process forked from the test, and by clone with the children anyway. */
static struct storm {
    atomic_int host;
    atomic_long in_host;
    atomic_long elsewhere;
} * storm;

static void count_signal(int signal)
{
    (void)signal; // one kind only
    atomic_fetch_add(getpid() == atomic_load(&storm->host) ? &storm->in_host : &storm->elsewhere,
                     1);
}

/* Signals the whole group until it is killed. */
static pid_t start_storm(void)
{
    const pid_t pid = fork();

    RIG_CHECK(pid >= 0);
    while (pid == 0) {
        const struct timespec pause = {0, 20000};

        (void)kill(0, SIGUSR1);
        (void)nanosleep(&pause, NULL);
        if (getppid() == 1) {
            _exit(0);
        }
    }
    return pid;
}

static void spawn_in_storm(rpi_spawn_method method)
{
    struct sigaction action = {.sa_handler = count_signal};
    rpi_spawn_site *site = NULL;
    pid_t stormer;
    int i;

    RIG_CHECK(setpgid(0, 0) == 0);
    atomic_store(&storm->host, getpid());
    RIG_CHECK(rpi_spawn_site_open(rpi_alloc_default(), method, 1, &site) == 0);
    action.sa_handler = SIG_IGN; // for the stormer
    RIG_CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
    stormer = start_storm();
    action.sa_handler = count_signal;
    RIG_CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
    for (i = 0; i < STORM_CHILDREN; i++) {
        rig_init_program(&rig, rig_tiny, NULL);
        rig.launch.own_group = false; // stays where the storm is
        rpi_spawn_carry_out(site, 0, &rig.launch);
        rig_finish(&rig, &end);
        RIG_CHECK(end.status == 0 || end.status == -SIGUSR1);
    }
    RIG_CHECK(kill(stormer, SIGKILL) == 0);
    (void)rig_wait(stormer);
    rpi_spawn_site_close(site);
    RIG_CHECK(atomic_load(&storm->in_host) > 0);
    RIG_CHECK(atomic_load(&storm->elsewhere) == 0);
}

static rpi_spawn_method storm_method;

static void run_storm(void)
{
    spawn_in_storm(storm_method);
}

METHOD_TEST(signals, that_storm_the_group_run_no_handler_of_ours_in_a_child)
{
    storm = mmap(NULL, sizeof *storm, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    cr_assert_neq(storm, MAP_FAILED);
    storm_method = *method;
    rig_isolated(run_storm);
}

/* ---- ignored while launches wait ---- */

Test(signals, ignored_between_two_launches_are_seen)
{
    rpi_spawn_site *site = NULL;

    cr_assert_eq(rpi_spawn_site_open(rpi_alloc_default(), RPI_SPAWN_CLONE3, 1, &site), 0);
    rig_init(&rig, "status", NULL);
    rpi_spawn_carry_out(site, 0, &rig.launch);
    rig_finish(&rig, &end);
    cr_assert_str_eq(rig_value(end.text[1], "ignored"), "0");
    rig_handle(SIGUSR2, SIG_IGN); // the answer for the first must not serve the second
    rig_init(&rig, "status", NULL);
    rpi_spawn_carry_out(site, 0, &rig.launch);
    rig_finish(&rig, &end);
    cr_assert_str_eq(rig_value(end.text[1], "ignored"), "0");
    rpi_spawn_site_close(site);
}

/* ---- SIGCHLD ---- */

METHOD_TEST(signals, of_children_may_be_ignored_by_the_host)
{
    rpi_spawn_site *site = NULL;
    int i;

    rig_handle(SIGCHLD, SIG_IGN);
    cr_assert_eq(rpi_spawn_site_open(rpi_alloc_default(), *method, 1, &site), 0);
    for (i = 0; i < 200; i++) {
        rig_init_program(&rig, i % 4 == 0 ? "/no/such/program" : rig_tiny, NULL);
        rpi_spawn_carry_out(site, 0, &rig.launch);
        if (i % 4 == 0) {
            cr_assert_eq(rig.launch.error, -ENOENT);
            continue;
        }
        cr_assert_eq(rig.launch.error, 0);
        {
            struct pollfd wait = {rig.launch.pidfd, POLLIN, 0};

            cr_assert_geq(rig.launch.pidfd, 0);
            cr_assert_eq(poll(&wait, 1, 10000), 1);
        }
        rig_finish(&rig, &end);
        cr_assert_eq(end.status, 1000); // nobody has its status: but for the pidfd it is lost
    }
    rpi_spawn_site_close(site);
}

METHOD_TEST(signals, of_children_that_never_ran_leave_nothing_to_wait_for)
{
    rig_init_program(&rig, "/no/such/program", NULL);
    rig_run(*method, &rig, &end);
    cr_assert_eq(rig.launch.error, -ENOENT);
    cr_assert_eq(waitpid(-1, NULL, __WALL), -1);
    cr_assert_eq(errno, ECHILD);
}

Test(signals, of_the_probe_do_not_reach_the_host)
{
    sigset_t set;
    sigset_t pending;

    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    cr_assert_eq(sigprocmask(SIG_BLOCK, &set, NULL), 0);
    cr_assert_neq(rpi_spawn_probe().method, RPI_SPAWN_UNKNOWN);
    cr_assert_eq(sigpending(&pending), 0);
    cr_assert_eq(sigismember(&pending, SIGCHLD), 0);
    cr_assert_eq(waitpid(-1, NULL, __WALL), -1);
    cr_assert_eq(errno, ECHILD);
}

/* ---- the host's setgid() ---- */

static atomic_bool idler_ready;
static atomic_bool idler_leave;

static void *idle(void *argument)
{
    (void)argument; // a thread as the spawner's: it has our mask and waits
    atomic_store(&idler_ready, true);
    while (!atomic_load(&idler_leave)) {
        const struct timespec pause = {0, 1000000};

        (void)nanosleep(&pause, NULL);
    }
    return NULL;
}

static void *change_group(void *argument)
{
    (void)argument; // to the same one: it is the way through all threads that matters
    RIG_CHECK(setgid(getgid()) == 0);
    return NULL;
}

Test(signals, of_the_c_library_get_through_to_our_threads, .timeout = 30)
{
    pthread_t idler;
    pthread_t changer;

    cr_assert_eq(rpi_spawn_thread_start(idle, NULL, &idler), 0);
    while (!atomic_load(&idler_ready)) {
        sched_yield();
    }
    cr_assert_eq(pthread_create(&changer, NULL, change_group, NULL), 0);
    cr_assert_eq(pthread_join(changer, NULL), 0); // hangs where a thread blocks signal 33
    atomic_store(&idler_leave, true);
    cr_assert_eq(pthread_join(idler, NULL), 0);
}

static atomic_bool spawning;

static void *spawn_on(void *argument)
{
    rpi_spawn_site *site = argument;

    while (atomic_load(&spawning)) {
        static rig_launch own;
        static rig_end own_end;

        rig_init_program(&own, rig_tiny, NULL);
        rpi_spawn_carry_out(site, 0, &own.launch);
        rig_finish(&own, &own_end);
    }
    return NULL;
}

METHOD_TEST(signals, of_the_c_library_get_through_while_children_are_made)
{
    rpi_spawn_site *site = NULL;
    pthread_t spawner;
    int i;

    cr_assert_eq(rpi_spawn_site_open(rpi_alloc_default(), *method, 1, &site), 0);
    atomic_store(&spawning, true);
    cr_assert_eq(rpi_spawn_thread_start(spawn_on, site, &spawner), 0);
    for (i = 0; i < 200; i++) {
        cr_assert_eq(setgid(getgid()), 0);
    }
    atomic_store(&spawning, false);
    cr_assert_eq(pthread_join(spawner, NULL), 0);
    rpi_spawn_site_close(site);
}

/* ---- what shared memory must not bring along ---- */

METHOD_TEST(signals, and_ids_of_a_child_leave_the_host_dumpable)
{
    const int before = prctl(PR_GET_DUMPABLE, 0, 0, 0, 0);

    if (getuid() != 0) {
        cr_skip("only root may change ids");
    }
    cr_assert_eq(before, 1);
    rig_init_program(&rig, "/bin/true", NULL);
    rig.launch.set_ids = true;
    rig.launch.uid = 65534;
    rig.launch.gid = 65534;
    rig_run(*method, &rig, &end);
    cr_assert_eq(end.status, 0);
    cr_assert_eq(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0), before);
}
