/* Programs that are open for writing: threads that write an executable and run it at once, side by
 * side. A child of one thread that holds a copy of another's open file makes that one's exec fail
 * with ETXTBSY. Children give such copies back at once, and what is left is tried again. */
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

#include "core/spawn_linux.h"
#include "tests/spawn/rig.h"

#define THREAD_MAX 16
#define RUNS 20000 /* of all threads together */

static char directory[] = "/tmp/rp-busy-XXXXXX";
static char *image; /* the bytes of the tiny program */
static size_t image_size;
static atomic_int left;
static atomic_int busy;
static atomic_int wrong;
static rpi_spawn_method maker_method = RPI_SPAWN_CLONE3;
static rpi_spawn_site *site; /* NULL: by the maker alone, without the retry */

static void load_image(void)
{
    struct stat status;
    const int fd = open(rig_tiny, O_RDONLY | O_CLOEXEC);

    cr_assert_geq(fd, 0);
    cr_assert_eq(fstat(fd, &status), 0);
    image_size = (size_t)status.st_size;
    image = malloc(image_size);
    cr_assert_not_null(image);
    cr_assert_eq(read(fd, image, image_size), (ssize_t)image_size);
    close(fd);
}

static void make_alone(rpi_maker *maker, rig_launch *rig)
{
    rpi_child_plan plan;
    rpi_made made;
    int ends[3];

    // As a launch does: the child needs descriptors that lie among the others' files.
    ends[0] = -1;
    cr_assert_eq(pipe2(&ends[1], O_CLOEXEC), 0);
    cr_assert_eq(rpi_plan_init(&plan, &rig->launch, ends, rpi_alloc_default()), 0);
    rpi_plan_finish(&plan, -1);
    rpi_make_child(maker, &plan, &made);
    rpi_plan_fini(&plan);
    close(ends[1]);
    close(ends[2]);
    rig->launch.error = made.error;
    rig->launch.pid = made.pid;
    rig->launch.pidfd = made.pidfd;
}

static void run_one(uint32_t lane, rpi_maker *maker, const char *path)
{
    rig_launch *rig = malloc(sizeof *rig);
    const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0700);

    cr_assert_not_null(rig);
    cr_assert_geq(fd, 0);
    cr_assert_eq(write(fd, image, image_size), (ssize_t)image_size);
    close(fd);
    rig_init_program(rig, path, NULL);
    if (site == NULL) {
        make_alone(maker, rig);
    } else {
        rpi_spawn_carry_out(site, lane, &rig->launch);
    }
    if (rig->launch.error == 0) {
        atomic_fetch_add(&wrong, rig_wait((int)rig->launch.pid) != 0);
        close(rig->launch.pidfd);
        close(rig->launch.pipes[1]);
        close(rig->launch.pipes[2]);
    } else if (rig->launch.error == -ETXTBSY) {
        atomic_fetch_add(&busy, 1);
    } else {
        atomic_fetch_add(&wrong, 1);
    }
    unlink(path);
    free(rig);
}

static void *write_and_run(void *argument)
{
    const uint32_t lane = (uint32_t)(uintptr_t)argument;
    rpi_maker maker = {.method = maker_method, .has_close_range = true};
    char path[64];

    snprintf(path, sizeof path, "%s/%u", directory, lane);
    while (atomic_fetch_sub(&left, 1) > 0) {
        run_one(lane, &maker, path);
    }
    rpi_maker_fini(&maker);
    return NULL;
}

static void run_threads(int count, int runs)
{
    pthread_t threads[THREAD_MAX];
    int i;

    atomic_store(&left, runs);
    atomic_store(&busy, 0);
    for (i = 0; i < count; i++) {
        cr_assert_eq(pthread_create(&threads[i], NULL, write_and_run, (void *)(uintptr_t)i), 0);
    }
    for (i = 0; i < count; i++) {
        cr_assert_eq(pthread_join(threads[i], NULL), 0);
    }
}

/* How many are busy by fork, of RUNS: its children keep their copies until the exec. */
static int count_by_fork(int thread_count)
{
    const int share = 5;

    maker_method = RPI_SPAWN_FORK;
    run_threads(thread_count, RUNS / share);
    return atomic_load(&busy) * share;
}

/* Where others keep the machine busy, a child may be interrupted before it has given its copies
 * back; then fork's are, too, and more of them. */
static void expect_few(int thread_count)
{
    int few;

    load_image();
    cr_assert_not_null(mkdtemp(directory));
    run_threads(thread_count, RUNS);
    few = atomic_load(&busy);
    if (few > RUNS / 1000) {
        const int by_fork = count_by_fork(thread_count);

        cr_assert_leq(few, by_fork / 2, "%d busy, by fork %d", few, by_fork);
    }
    cr_assert_eq(rmdir(directory), 0);
    free(image);
    cr_assert_eq(atomic_load(&wrong), 0);
}

static void expect_none(int thread_count)
{
    load_image();
    cr_assert_not_null(mkdtemp(directory));
    cr_assert_eq(rpi_spawn_site_open(rpi_alloc_default(), RPI_SPAWN_CLONE3, THREAD_MAX, &site), 0);
    run_threads(thread_count, RUNS);
    rpi_spawn_site_close(site);
    cr_assert_eq(rmdir(directory), 0);
    free(image);
    cr_assert_eq(atomic_load(&wrong), 0);
    cr_assert_eq(atomic_load(&busy), 0);
}

Test(busy, programs_are_few_among_4_threads, .timeout = 120)
{
    expect_few(4);
}

Test(busy, programs_are_few_among_16_threads, .timeout = 120)
{
    expect_few(16);
}

Test(busy, programs_are_none_among_4_threads_with_the_retry, .timeout = 120)
{
    expect_none(4);
}

Test(busy, programs_are_none_among_16_threads_with_the_retry, .timeout = 120)
{
    expect_none(16);
}

METHOD_TEST(busy, program_that_stays_so_is_told)
{
    int fd;

    load_image();
    cr_assert_not_null(mkdtemp(directory));
    cr_assert_eq(chdir(directory), 0);
    fd = open("busy", O_WRONLY | O_CREAT | O_CLOEXEC, 0700);
    cr_assert_eq(write(fd, image, image_size), (ssize_t)image_size);
    {
        static rig_launch rig;
        static rig_end end;

        rig_init_program(&rig, "./busy", NULL);
        rig_run(*method, &rig, &end);
        cr_assert_eq(rig.launch.error, -ETXTBSY);
        cr_assert_str_eq(rig.launch.phase, "exec");
    }
    close(fd);
    cr_assert_eq(unlink("busy"), 0);
    cr_assert_eq(rmdir(directory), 0);
    free(image);
}
