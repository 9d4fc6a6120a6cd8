/* Tests rp_describe_waits and rp_describe_ends: what threads wait in, and who has the other ends of
 * pipes. rp_describe is tested with trees, in test_family.c. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "rp/explain.h"
#include "tests/support/check.h"
#include "tests/support/fault.h"
#include "tests/support/stage.h"

enum {
    ENDS_MAX = 64
};

typedef struct seen {
    rp_end ends[ENDS_MAX];
    int64_t others[ENDS_MAX]; /* their processes; 0 = nobody */
    int count;
    int stop_at;
    char wanted[64];
} seen;

static rp_identity self_identity(void)
{
    rp_identity self;

    cr_assert_eq(rp_identify(getpid(), &self), 0);
    return self;
}

static bool note_end(const rp_end *end, void *user)
{
    seen *all = user;

    cr_assert_not(end->hidden);
    if (strcmp(end->name, all->wanted) != 0) {
        return true;
    }
    cr_assert_lt(all->count, ENDS_MAX);
    all->ends[all->count] = *end;
    all->others[all->count] = end->other != NULL ? end->other->id.pid : 0;
    all->count++;
    return all->count != all->stop_at;
}

/* The name that the system gives to a descriptor. */
static void name_of(int fd, char name[64])
{
    char path[64];
    ssize_t size;

    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    size = readlink(path, name, 63);
    cr_assert_gt(size, 0);
    name[size] = '\0';
}

Test(ends, of_one_pipe_know_each_other, .timeout = 60)
{
    rp_identity self = self_identity();
    seen all = {.count = 0};
    int pipes[2];

    cr_assert_eq(pipe(pipes), 0);
    name_of(pipes[0], all.wanted);
    cr_assert_geq(rp_describe_ends(&self, 1, note_end, &all), 2);
    cr_assert_eq(all.count, 2);
    cr_assert_eq(all.ends[0].fd, pipes[0]);
    cr_assert(all.ends[0].reads && !all.ends[0].writes);
    cr_assert_eq(all.others[0], getpid(), "it is its own other end");
    cr_assert_eq(all.ends[0].other_fd, pipes[1]);
    cr_assert_eq(all.ends[1].fd, pipes[1]);
    cr_assert_eq(all.ends[1].other_fd, pipes[0]);
    close(pipes[0]);
    all.count = 0;
    cr_assert_geq(rp_describe_ends(&self, 1, note_end, &all), 1);
    cr_assert_eq(all.count, 1);
    cr_assert_eq(all.others[0], 0, "nobody has it");
    close(pipes[1]);
}

Test(ends, of_several_processes_are_told_by_index, .timeout = 60)
{
    rp_identity both[2] = {self_identity(), self_identity()};
    seen all = {.count = 0};
    int pipes[2];

    cr_assert_eq(pipe(pipes), 0);
    name_of(pipes[0], all.wanted);
    cr_assert_geq(rp_describe_ends(both, 2, note_end, &all), 4);
    cr_assert_eq(all.count, 4);
    cr_assert_eq(all.ends[1].process, 0);
    cr_assert_eq(all.ends[2].process, 1);
    all = (seen){.stop_at = 1};
    name_of(pipes[0], all.wanted);
    (void)rp_describe_ends(both, 2, note_end, &all);
    cr_assert_eq(all.count, 1, "false ends it");
    both[0].start_time_ms -= UINT64_C(3600000); /* a later process with its number */
    both[0].unique = 0;
    all = (seen){.count = 0};
    name_of(pipes[0], all.wanted);
    (void)rp_describe_ends(both, 2, note_end, &all);
    cr_assert_eq(all.count, 2, "who is gone has none");
    cr_assert_eq(all.ends[0].process, 1);
    close(pipes[0]);
    close(pipes[1]);
}

Test(ends, of_a_terminal_are_its_master_and_it, .timeout = 60)
{
    rp_identity self = self_identity();
    seen all = {.count = 0};
    int master = posix_openpt(O_RDWR | O_NOCTTY);
    int slave;

    cr_assert_geq(master, 0);
    cr_assert_eq(grantpt(master), 0);
    cr_assert_eq(unlockpt(master), 0);
    slave = open(ptsname(master), O_RDWR | O_NOCTTY);
    cr_assert_geq(slave, 0);
    name_of(slave, all.wanted);
    cr_assert_geq(rp_describe_ends(&self, 1, note_end, &all), 2);
    cr_assert_eq(all.count, 2);
    cr_assert(all.ends[0].is_terminal && all.ends[0].is_master);
    cr_assert_eq(all.ends[0].other_fd, slave);
    cr_assert(all.ends[1].is_terminal && !all.ends[1].is_master);
    cr_assert_eq(all.ends[1].other_fd, master);
    close(slave);
    close(master);
}

Test(ends, refuse_what_is_nothing, .timeout = 60)
{
    rp_identity self = self_identity();

    cr_assert_eq(rp_describe_ends(NULL, 1, note_end, NULL), RP_EINVAL);
    cr_assert_eq(rp_describe_ends(&self, 0, note_end, NULL), RP_EINVAL);
    cr_assert_eq(rp_describe_ends(&self, 1, NULL, NULL), RP_EINVAL);
}

Test(ends, are_whole_or_an_error, .timeout = 60)
{
    static const char *const entries[] = {"open", "getdents64"};
    const rp_identity self = self_identity();
    int pipes[2];

    cr_assert_eq(pipe(pipes), 0);
    for (size_t i = 0; i < sizeof entries / sizeof entries[0]; i++) {
        for (unsigned int n = 1, fired = 1; fired != 0 && n < 200; n++) {
            const int before = stage_count().descriptors;
            seen all = {.count = 0};
            int r;

            name_of(pipes[0], all.wanted);
            rpi_fault_os_start();
            rpi_fault_os_fail(entries[i], n, EMFILE);
            r = rp_describe_ends(&self, 1, note_end, &all);
            fired = rpi_fault_os_fired() ? 1 : 0;
            rpi_fault_os_stop();
            cr_assert(r == -EMFILE || (r > 0 && all.count == 2), "%s, %u: %d", entries[i], n, r);
            cr_assert_eq(stage_count().descriptors, before, "%s, %u", entries[i], n);
        }
    }
    close(pipes[0]);
    close(pipes[1]);
}

/* ---- waits ------------------------------------------------------------------------------- */

typedef struct waits {
    int count;
    bool reads; /* a thread waits in a read of the wanted descriptor */
    bool hidden;
    int wanted;
} waits;

static bool note_wait(const rp_wait_info *wait, void *user)
{
    waits *all = user;

    if (all->count == 0) {
        cr_assert_eq(wait->thread, getpid(), "the first thread is told first");
    }
    cr_assert_not_null(wait->name);
    cr_assert_not_null(wait->place);
    all->count++;
    all->hidden = all->hidden || wait->hidden;
    if (strcmp(wait->call, "read") == 0 && wait->fd == all->wanted) {
        cr_assert_eq(strncmp(wait->opened, "pipe:[", 6), 0);
        /* Read a moment before the call: it may still have been running then. */
        all->reads = strcmp(wait->state, "sleeping") == 0;
    }
    return true;
}

static void *read_one(void *argument)
{
    const int *fd = argument;
    char byte;

    cr_assert_eq(read(*fd, &byte, 1), 1);
    return NULL;
}

Test(waits, name_the_call_and_its_descriptor, .timeout = 60)
{
    const rp_identity self = self_identity();
    waits all = {.count = 0};
    pthread_t thread;
    int pipes[2];

    cr_assert_eq(pipe(pipes), 0);
    cr_assert_eq(pthread_create(&thread, NULL, read_one, &pipes[0]), 0);
    while (!all.reads && !all.hidden) { /* until it has come there */
        all = (waits){.wanted = pipes[0]};
        cr_assert_geq(rp_describe_waits(&self, note_wait, &all), 2);
        cr_assert_geq(all.count, 2);
    }
    cr_assert_eq(write(pipes[1], "x", 1), 1);
    cr_assert_eq(pthread_join(thread, NULL), 0);
    close(pipes[0]);
    close(pipes[1]);
}

Test(waits, refuse_what_is_nothing, .timeout = 60)
{
    rp_identity self = self_identity();

    cr_assert_eq(rp_describe_waits(NULL, note_wait, NULL), RP_EINVAL);
    cr_assert_eq(rp_describe_waits(&(rp_identity){.pid = 0}, note_wait, NULL), RP_EINVAL);
    cr_assert_eq(rp_describe_waits(&self, NULL, NULL), RP_EINVAL);
    self.start_time_ms -= UINT64_C(3600000);
    self.unique = 0;
    cr_assert_eq(rp_describe_waits(&self, note_wait, NULL), RP_ESRCH);
}
