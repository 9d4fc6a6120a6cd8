/* Attacks on the descriptors of children: what a host may do with its table, and what must reach
 * the child nevertheless, and nothing else. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/os.h"
#include "core/spawn_linux.h"
#include "tests/spawn/rig.h"

#define MAP_TARGETS 5
#define MAP_SOURCES 7
#define MAP_COUNT 32768 /* (MAP_SOURCES + 1) to the power of MAP_TARGETS */

static rig_launch rig;
static rig_end end;

static rpi_spawn_site *open_site(rpi_spawn_method method)
{
    rpi_spawn_site *site = NULL;

    RIG_CHECK(rpi_spawn_site_open(rpi_alloc_default(), method, 1, &site) == 0);
    return site;
}

/* ---- mappings ---- */

/* Source s is a file of 100 + s bytes at number s; target t gets source digit t of `number` - 1. */
static void build_map(rpi_child_plan *plan, long number, char texts[MAP_TARGETS][16])
{
    int t;

    for (t = 0; t < MAP_TARGETS; t++, number /= MAP_SOURCES + 1) {
        const int source = (int)(number % (MAP_SOURCES + 1)) - 1;

        plan->maps[t] = (rpi_child_map){source, t, source, -1};
        snprintf(texts[t], sizeof texts[t], "%d", source < 0 ? -1 : 100 + source);
        rig.argv[2 + t] = texts[t];
    }
}

static void run_mappings(rpi_spawn_method method, long step)
{
    static char texts[MAP_TARGETS][16];
    rpi_maker maker = {.method = method, .has_close_range = true};
    const int none[3] = {-1, -1, -1};
    long number;
    int s;

    // The sources come to their numbers over whatever the test's process has there.
    rig_init(&rig, "map", NULL);
    rig.launch.fd_count = MAP_TARGETS - 3;
    rig.launch.fd_max = MAP_TARGETS - 1;
    for (s = 0; s < MAP_SOURCES; s++) {
        const int file = rig_tagged(100 + s);

        RIG_CHECK(file >= MAP_SOURCES || file == s);
        if (file != s) {
            RIG_CHECK(dup3(file, s, O_CLOEXEC) == s);
            close(file);
        }
    }
    for (number = 0; number < MAP_COUNT; number += step) {
        rpi_child_plan plan;
        rpi_made made;

        RIG_CHECK(rpi_plan_init(&plan, &rig.launch, none, rpi_alloc_default()) == 0);
        build_map(&plan, number, texts);
        rpi_plan_finish(&plan, -1);
        rpi_make_child(&maker, &plan, &made);
        rpi_plan_fini(&plan);
        RIG_CHECK(made.error == 0);
        RIG_CHECK(rig_wait((int)made.pid) == 0);
        close(made.pidfd);
    }
    rpi_maker_fini(&maker);
}

static void run_all_mappings(void)
{
    run_mappings(RPI_SPAWN_CLONE3, 1);
}

Test(descriptors, get_to_their_places_in_all_mappings, .timeout = 300)
{
    rig_isolated(run_all_mappings);
}

/* The same walk through the child's code in a copied table, and through posix_spawn's actions. */
static void run_fallback_mappings(void)
{
    run_mappings(RPI_SPAWN_FORK, 13);
    run_mappings(RPI_SPAWN_POSIX_SPAWN, 13);
}

Test(descriptors, get_to_their_places_in_many_mappings_by_the_fallbacks, .timeout = 300)
{
    rig_isolated(run_fallback_mappings);
}

/* ---- undeclared descriptors ---- */

typedef enum opener_kind {
    OPENS_CLOEXEC,
    OPENS_PLAIN,
    OPENS_THEN_SETS
} opener_kind;

static atomic_bool openers_stop;

static void *open_and_close(void *argument)
{
    const opener_kind kind = *(const opener_kind *)argument;

    while (!atomic_load(&openers_stop)) {
        const int flags = kind == OPENS_CLOEXEC ? O_CLOEXEC : 0;
        const int fd = open("/proc/self/exe", O_RDONLY | flags);

        if (fd >= 0 && kind == OPENS_THEN_SETS) {
            (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
        }
        if (fd >= 0) {
            close(fd);
        }
    }
    return NULL;
}

METHOD_TEST(descriptors, that_threads_open_meanwhile_reach_no_child)
{
    static const opener_kind kinds[] = {OPENS_CLOEXEC, OPENS_PLAIN, OPENS_THEN_SETS};
    rpi_spawn_site *site = open_site(*method);
    const int leaked = open("/proc/self/exe", O_RDONLY); // by a careless host
    pthread_t threads[3];
    int bad = 0;
    int i;

    cr_assert_geq(leaked, 0);
    for (i = 0; i < 3; i++) {
        cr_assert_eq(
            pthread_create(&threads[i], NULL, open_and_close, (void *)(uintptr_t)&kinds[i]), 0);
    }
    for (i = 0; i < 1500; i++) {
        rig_init(&rig, "count", NULL);
        rpi_spawn_carry_out(site, 0, &rig.launch);
        rig_finish(&rig, &end);
        bad += end.status != 3;
    }
    atomic_store(&openers_stop, true);
    for (i = 0; i < 3; i++) {
        pthread_join(threads[i], NULL);
    }
    rpi_spawn_site_close(site);
    cr_assert_eq(bad, 0, "%d of 1500 children had a descriptor that was not declared", bad);
}

METHOD_TEST(descriptors, without_close_on_exec_far_up_reach_no_child)
{
    cr_assert_eq(dup2(0, 900), 900);
    cr_assert_geq(dup(0), 3); // and down here
    rig_init(&rig, "count", NULL);
    rig_run(*method, &rig, &end);
    cr_assert_eq(end.status, 3);
}

/* ---- tables of all sizes ---- */

METHOD_TEST(descriptors, of_a_host_without_standard_streams_are_right)
{
    rpi_spawn_site *site = NULL;
    int which;

    for (which = 1; which < 8; which++) {
        int saved[3];
        int i;

        for (i = 0; i < 3; i++) {
            saved[i] = fcntl(i, F_DUPFD_CLOEXEC, 100);
            if (which & (1 << i)) {
                close(i);
            }
        }
        site = open_site(*method);
        rig_init(&rig, "both", NULL);
        rig.launch.ends[0].kind = RPI_END_PIPE;
        rpi_spawn_carry_out(site, 0, &rig.launch);
        if (rig.launch.error == 0) {
            rig_finish(&rig, &end);
        }
        rpi_spawn_site_close(site);
        for (i = 0; i < 3; i++) {
            cr_assert(!(which & (1 << i)) || fcntl(i, F_GETFD) < 0); // nothing of ours is there
            dup2(saved[i], i);
            close(saved[i]);
        }
        cr_assert_eq(rig.launch.error, 0);
        cr_assert_eq(end.status, 0);
        cr_assert_str_eq(end.text[1], "out");
        cr_assert_str_eq(end.text[2], "err");
    }
}

static void limit_descriptors(rlim_t soft)
{
    struct rlimit limit;

    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = soft > limit.rlim_max ? limit.rlim_max : soft;
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

METHOD_TEST(descriptors, may_be_few)
{
    rpi_spawn_site *site = NULL;
    int i;

    limit_descriptors(64);
    site = open_site(*method);
    for (i = 0; i < 50; i++) {
        rig_init(&rig, "both", NULL);
        rpi_spawn_carry_out(site, 0, &rig.launch);
        cr_assert_eq(rig.launch.error, 0);
        rig_finish(&rig, &end);
        cr_assert_str_eq(end.text[1], "out");
    }
    limit_descriptors(32); // lowered while the site lives, to where its own descriptors went
    rig_init(&rig, "both", NULL);
    rpi_spawn_carry_out(site, 0, &rig.launch);
    cr_assert_eq(rig.launch.error, 0);
    rig_finish(&rig, &end);
    rpi_spawn_site_close(site);
}

METHOD_TEST(descriptors, that_run_out_are_told_and_come_back)
{
    rpi_spawn_site *site = NULL;
    int full[64];
    int count = 0;
    int free_count;

    limit_descriptors(64);
    site = open_site(*method);
    while ((full[count] = dup(0)) >= 0) {
        count++;
    }
    cr_assert_eq(errno, EMFILE);
    for (free_count = 0; free_count < 12; free_count++) {
        const int before = rig_count_fds();

        rig_init(&rig, "both", NULL);
        rpi_spawn_carry_out(site, 0, &rig.launch);
        if (rig.launch.error == 0) {
            rig_finish(&rig, &end);
            cr_assert_str_eq(end.text[2], "err");
        } else {
            cr_assert_eq(rig.launch.error, -EMFILE, "%d in %s", rig.launch.error, rig.launch.phase);
            cr_assert(strcmp(rig.launch.phase, "pipe") == 0 ||
                      strcmp(rig.launch.phase, "clone") == 0);
        }
        cr_assert_eq(rig_count_fds(), before);
        cr_assert_eq(rig_wait(-1), 1000); // no child is left behind
        close(full[--count]);
    }
    cr_assert_eq(rig.launch.error, 0); // with eleven free there is room for all of it
    rpi_spawn_site_close(site);
}

/* ---- slots ---- */

static void fill_low_numbers(int count)
{
    while (count-- > 0) {
        RIG_CHECK(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0) >= 0);
    }
}

static void spawn_in_full_table(rpi_spawn_site *site, const char *mode)
{
    rig_init(&rig, mode, NULL);
    rpi_spawn_carry_out(site, 0, &rig.launch);
    RIG_CHECK(rig.launch.error == 0);
    rig_finish(&rig, &end);
}

Test(descriptors, reserved_early_serve_a_host_that_opens_thousands_later, .timeout = 60)
{
    rpi_spawn_site *site = open_site(RPI_SPAWN_CLONE3);
    int before;

    fill_low_numbers(3000);
    before = rig_count_fds();
    spawn_in_full_table(site, "both");
    cr_assert_str_eq(end.text[1], "out");
    cr_assert_str_eq(end.text[2], "err");
    spawn_in_full_table(site, "count");
    cr_assert_eq(end.status, 3);
    cr_assert_eq(rig_count_fds(), before);
    rpi_spawn_site_close(site);
    cr_assert_lt(rig_count_fds(), before); // the slots are given back
}

static void take_numbers_from_us(void)
{
    rpi_spawn_site *site = open_site(RPI_SPAWN_CLONE3);
    int tagged[64];
    int i;

    // A host that closes what it does not know, and uses the numbers again.
    RIG_CHECK(close_range(3, UINT_MAX, 0) == 0);
    for (i = 0; i < 64; i++) {
        tagged[i] = rig_tagged(1000 + i);
    }
    fill_low_numbers(
        150); // not so many that it takes a table of its own: a thread in a forked process
    for (i = 0; i < 3; i++) {
        spawn_in_full_table(site, "both");
        RIG_CHECK(strcmp(end.text[1], "out") == 0);
        RIG_CHECK(strcmp(end.text[2], "err") == 0);
    }
    rig_init(&rig, "fds", NULL);
    rpi_spawn_carry_out(site, 0, &rig.launch);
    rig_finish(&rig, &end);
    RIG_CHECK(strcmp(rig_value(end.text[1], "0"), "/dev/null") == 0); // not what took its number
    rpi_spawn_site_close(site);
    for (i = 0; i < 64; i++) {
        RIG_CHECK(lseek(tagged[i], 0, SEEK_END) == 1000 + i);
    }
}

Test(descriptors, that_the_host_took_from_us_stay_its_own, .timeout = 60)
{
    rig_isolated(take_numbers_from_us);
}

/* ---- a table of its own ---- */

Test(descriptors, of_a_late_loop_go_through_a_table_of_its_own, .timeout = 60)
{
    const int file = rig_tagged(77);
    rpi_spawn_site *site = NULL;
    int before;
    int i;

    fill_low_numbers(3000);
    before = rig_count_fds();
    site = open_site(RPI_SPAWN_CLONE3);
    for (i = 0; i < 20; i++) {
        spawn_in_full_table(site, "both");
        cr_assert_str_eq(end.text[1], "out");
        cr_assert_str_eq(end.text[2], "err");
    }
    spawn_in_full_table(site, "count");
    cr_assert_eq(end.status, 3);

    rig_init(&rig, "map", "77", "-1", "77", "-1", "-1", "77", NULL); // inherited, closed, further
    cr_assert_eq(dup2(file, 0), 0);
    close(1);
    rig.launch.ends[0].kind = RPI_END_INHERIT;
    rig.launch.ends[1].kind = RPI_END_INHERIT;
    rig.launch.ends[2] = (rpi_launch_end){.kind = RPI_END_FD, .fd = file};
    rig.fds[0] = (rpi_launch_fd){fcntl(file, F_DUPFD_CLOEXEC, 3), 5};
    rig.launch.fd_count = 1;
    rig.launch.fd_max = 5;
    rpi_spawn_carry_out(site, 0, &rig.launch);
    rig_finish(&rig, &end);
    cr_assert_eq(end.status, 0);
    close(rig.fds[0].fd);

    rig_init_program(&rig, "/no/such/program", NULL);
    rpi_spawn_carry_out(site, 0, &rig.launch);
    cr_assert_eq(rig.launch.error, -ENOENT);
    cr_assert_str_eq(rig.launch.phase, "exec");

    rpi_spawn_site_close(site);
    cr_assert_eq(rig_count_fds(), before - 1); // 1 was closed above
    cr_assert_eq(rig_wait(-1), 1000);
}

Test(descriptors, that_run_out_beside_a_table_of_its_own_are_told, .timeout = 60)
{
    rpi_spawn_site *site = NULL;
    int full[3000];
    int count = 0;
    int tries;

    limit_descriptors(1000);
    fill_low_numbers(600);
    site = open_site(RPI_SPAWN_CLONE3);
    spawn_in_full_table(site, "both"); // the thread is there
    while ((full[count] = dup(0)) >= 0) {
        count++;
    }
    for (tries = 0; tries < 9; tries++) {
        rig_init(&rig, "both", NULL);
        rpi_spawn_carry_out(site, 0, &rig.launch);
        if (rig.launch.error == 0) {
            rig_finish(&rig, &end);
        } else {
            cr_assert_eq(rig.launch.error, -EMFILE);
            cr_assert_eq(rig_wait(-1), 1000);
        }
        close(full[--count]);
    }
    cr_assert_eq(rig.launch.error, 0);
    rpi_spawn_site_close(site);
}

/* ---- flat cost ---- */

static int compare(const void *left, const void *right)
{
    const uint64_t a = *(const uint64_t *)left;
    const uint64_t b = *(const uint64_t *)right;

    return (a > b) - (a < b);
}

static uint64_t median_ns(rpi_spawn_site *site)
{
    uint64_t times[301];
    size_t i;

    for (i = 0; i < 301; i++) {
        rig_init_program(&rig, rig_tiny, NULL);
        rpi_spawn_carry_out(site, 0, &rig.launch);
        cr_assert_eq(rig.launch.error, 0);
        times[i] = rig.launch.started_ns - rig.launch.launched_ns;
        rig_finish(&rig, &end);
    }
    qsort(times, 301, sizeof times[0], compare);
    return times[150];
}

/* The machine's speed cancels out: ratios of medians of one run. Generous, as it is shared. */
Test(descriptors, do_not_raise_the_cost_by_being_thousands, .timeout = 300)
{
    rpi_spawn_site *early = NULL;
    rpi_spawn_site *late = NULL;
    uint64_t alone;
    uint64_t slots;
    uint64_t table;

    limit_descriptors(20000);
    early = open_site(RPI_SPAWN_CLONE3);
    alone = median_ns(early);
    fill_low_numbers(19900 - rig_count_fds());
    slots = median_ns(early);
    late = open_site(RPI_SPAWN_CLONE3);
    table = median_ns(late);
    rpi_spawn_site_close(late);
    rpi_spawn_site_close(early);
    fprintf(stderr,
            "spawn: alone %.1f us; beside 19,900 descriptors %.1f us with slots, %.1f us with a "
            "table\n",
            (double)alone / 1e3, (double)slots / 1e3, (double)table / 1e3);
    cr_assert_leq(slots, alone * 3);
    cr_assert_leq(table, alone * 3);
}
