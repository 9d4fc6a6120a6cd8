/* Many terminals at once: half of what the system lets be, all open, all read, all closed. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "tests/pty/rig.h"

enum {
    COUNT = 4000,
    PER_CHILD = 4, /* descriptors */
    SPARE = 200    /* terminals and descriptors of others */
};

typedef struct many {
    rp_loop *loop;
    unsigned int count;
    unsigned int ready;
    unsigned int done;
    rp_process *processes[COUNT];
} many;

static void on_data(rp_process *process, rp_stream stream, rp_view bytes, void *user)
{
    many *self = user;

    (void)process;
    (void)stream;
    cr_assert_eq(bytes.size, 8);
    self->ready++;
    if (self->ready == self->count) {
        rp_loop_stop(self->loop);
    }
}

static void on_done(rp_process *process, const rp_exit *exit, void *user)
{
    many *self = user;

    (void)process;
    cr_assert_eq(exit->kind, RP_SIGNALED, "kind %d, code %d, %s in %s", (int)exit->kind, exit->code,
                 rp_error_name(exit->error), exit->phase != NULL ? exit->phase : "no phase");
    cr_assert_eq(exit->survivors, 0);
    self->done++;
}

static unsigned int number_in(const char *path, unsigned int otherwise)
{
    FILE *file = fopen(path, "r");
    unsigned int number = otherwise;

    if (file != NULL) {
        if (fscanf(file, "%u", &number) != 1) {
            number = otherwise;
        }
        (void)fclose(file);
    }
    return number;
}

/* How many the limits permit: half, as another run of the tests may be under way. */
static unsigned int count_possible(void)
{
    unsigned int terminals = number_in("/proc/sys/kernel/pty/max", 4096);
    unsigned int used = number_in("/proc/sys/kernel/pty/nr", 0);
    struct rlimit limit;
    rlim_t count = terminals > used + SPARE ? (terminals - used - SPARE) / 2 : 0;

    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = limit.rlim_max;
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    if (limit.rlim_cur < SPARE + PER_CHILD * count) {
        count = (limit.rlim_cur - SPARE) / PER_CHILD;
    }
    return (unsigned int)(count < COUNT ? count : COUNT);
}

BACKEND_TEST(many_terminals, are_open_at_once_and_all_end)
{
    static const char *const argv[] = {RP_TEST_NOISE_CHILD, "8", "0", "0", "0", "w", "raw", NULL};
    static const rp_handlers handlers = {.data = on_data, .done = on_done};
    static many all;
    rp_command command = on_terminal(argv);
    stage on;

    all = (many){.count = count_possible()};
    stage_open(&on, *backend, NULL);
    all.loop = on.loop;
    for (unsigned int i = 0; i < all.count; i++) {
        cr_assert_eq(rp_spawn(on.loop, &command, &handlers, &all, &all.processes[i]), 0);
    }
    cr_assert_eq(rp_loop_run(on.loop), 1);
    cr_assert_eq(all.done, 0);
    cr_assert_eq(stage_stats(&on).ptys, all.count);
    cr_assert_eq(stage_stats(&on).memory_bytes, 0);
    for (unsigned int i = 0; i < all.count; i++) {
        cr_assert_eq(rp_kill(all.processes[i]), 0);
    }
    cr_assert_eq(rp_loop_run(on.loop), 0);
    cr_assert_eq(all.done, all.count);
    cr_assert_eq(stage_stats(&on).ptys, 0);
    printf("%u terminals\n", all.count);
    for (unsigned int i = 0; i < all.count; i++) {
        rp_process_close(all.processes[i]);
    }
    stage_close(&on);
}
