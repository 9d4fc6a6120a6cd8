/* Fault loops over the life of a child on a terminal: the n-th allocation fails, and the n-th call
 * of each entry of the table of system calls, for n = 1, 2, ... until nothing fails any more.
 * Whatever failed, somebody is told of it, done comes once, no terminal and nothing else is left
 * behind, and the loop works afterwards. */
#include <errno.h>
#include <string.h>

#include "tests/pty/rig.h"
#include "tests/support/noise.h"

enum {
    SIZE = 100000,
    SEED = 41,
    ERROR_MAX = 20
};

typedef struct life {
    stage on;
    int open_error;
    int spawn_error;
    unsigned int run_errors;
    unsigned int logged; /* what only the log could tell */
    unsigned int refused;
    unsigned int unwritten;
    const char *what;
    unsigned int n;
    actor child;
} life;

static void count_errors(int level, const char *text, void *user)
{
    life *self = user;

    (void)text;
    self->logged += level == 0;
}

static void open_loop(life *self, rp_backend backend, uint32_t spawn_threads, unsigned int fail_at)
{
    rp_loop_options options = RP_LOOP_OPTIONS_INIT;

    self->on.before = stage_count();
    rpi_fault_memory_init(&self->on.memory, fail_at);
    options.backend = backend;
    options.spawn_threads = spawn_threads;
    options.allocator = &self->on.memory.allocator;
    options.log = count_errors;
    options.log_user = self;
    self->open_error = rp_loop_open(&options, &self->on.loop);
}

static void on_written(rp_process *process, int status, void *user)
{
    life *self = user;

    if (status < 0) { // the child would wait for ever
        self->unwritten++;
        (void)rp_kill(process);
    }
}

/* The child has said that it is ready: types what it waits for. Where that is refused it would wait
 * for ever. */
static void answer(actor *child, actor_event event, rp_stream stream)
{
    life *self = child->context;

    (void)stream;
    if (event == ACTOR_GOT_DATA && child->counts[ACTOR_GOT_DATA] == 1 &&
        rp_write(child->process, (rp_view){"01234", 5}, on_written, self) < 0) {
        self->refused++;
        (void)rp_kill(child->process);
    }
}

static void run_on(life *self)
{
    const uint64_t until_ns = rp_now_ns() + 60 * RP_SECOND;

    while (self->child.counts[ACTOR_DONE] == 0) {
        int r = rp_loop_run_once(self->on.loop, 10 * RP_SECOND);

        self->run_errors += r < 0;
        cr_assert_lt(self->run_errors, ERROR_MAX, "the loop does not get over it: %s",
                     rp_error_name(r));
        cr_assert_lt(rp_now_ns(), until_ns, "%s, %u: done does not come", self->what, self->n);
    }
}

static void live(life *self)
{
    rp_command command =
        on_terminal(CHILD("raw", "write", "1", "r", "read", "5", "flood", "1", "100000", "41"));

    command.capture_max = 1000;
    if (self->open_error < 0) {
        return;
    }
    self->child.hook = answer;
    self->child.context = self;
    self->spawn_error = actor_try_spawn(&self->on, &self->child, &command, ACTOR_DATA);
    if (self->spawn_error == 0) {
        run_on(self);
    }
}

static void check_usable(life *self)
{
    rp_command command = on_terminal(CHILD("echo", "fine", "exit", "9"));
    actor child = {0};

    actor_play(&self->on, &child, &command, ACTOR_LINES);
    actor_check_code(&child, 9);
    cr_assert_str_eq(actor_lines(&child, RP_STDOUT), "[fine]");
    actor_free(&child);
}

static void close_loop(life *self)
{
    if (self->open_error == 0) {
        cr_assert_eq(stage_stats(&self->on).ptys, 0, "%s, %u", self->what, self->n);
        cr_assert_eq(rp_loop_close(self->on.loop), 0, "%s, %u", self->what, self->n);
    }
    cr_assert_eq(self->on.memory.live_blocks, 0, "%s, %u", self->what, self->n);
    stage_check(&self->on.before);
    actor_free(&self->child);
}

/* A child that says it has ended well has delivered everything, or somebody was told. */
static void check_honest(const life *self)
{
    const actor *child = &self->child;
    noise_sum sum = {0, 0};

    if (self->open_error < 0 || self->spawn_error < 0 || child->exit.kind != RP_EXITED ||
        child->exit.code != 0 || self->logged > 0) {
        return;
    }
    cr_assert_eq(child->data[0].size, SIZE + 1, "%s, %u: output is lost", self->what, self->n);
    noise_sum_add(&sum, child->data[0].bytes + 1, SIZE);
    cr_assert_eq(sum.value, noise_sum_of(SEED, SIZE).value);
    cr_assert_eq(child->exit.in_bytes, 5);
    cr_assert_eq(self->unwritten, 0);
}

static void lose_each_allocation(rp_backend backend, uint32_t spawn_threads)
{
    bool fired = true;

    for (unsigned int n = 1; fired; n++) {
        life all = {.what = "allocation", .n = n};

        open_loop(&all, backend, spawn_threads, n);
        live(&all);
        fired = all.on.memory.fired;
        all.on.memory.fail_at = 0;
        check_honest(&all);
        if (all.open_error == 0) {
            check_usable(&all);
        }
        cr_assert(fired || (all.refused == 0 && all.child.exit.code == 0));
        close_loop(&all);
    }
}

BACKEND_TEST(pty_fault, of_each_allocation_is_survived)
{
    lose_each_allocation(*backend, RP_SPAWN_INLINE);
    lose_each_allocation(*backend, 2);
}

typedef struct fault {
    const char *entry;
    int errors[3]; /* plausible ones, 0 = no more */
} fault;

/* What a life on a terminal asks of the system beyond one on pipes. */
static const fault faults[] = {
    {"open", {EMFILE, ENOSPC, ENXIO}},
    {"ioctl", {EIO, ENOMEM, EMFILE}},
    {"fcntl", {EMFILE, EINVAL}},
    {"read", {EINTR, ENOMEM}}, // EIO is no fault: after the exit it is the end
    {"write", {EINTR, EAGAIN, EIO}},
    {"dup3", {EMFILE}},
    {"epoll_ctl", {ENOMEM}},
    {"io_uring_enter", {EAGAIN}},
    {"mmap", {ENOMEM}},
    {"clone3", {EAGAIN}},
    {"waitid", {EINTR}},
};

/* Whether there was such a call. A write by which threads wake the loop is not failed: with spawner
 * threads. */
static bool
fail_call(rp_backend backend, uint32_t threads, const char *entry, int error, unsigned int n)
{
    life all = {.what = entry, .n = n};
    bool fired;

    open_loop(&all, backend, threads, 0);
    cr_assert_eq(all.open_error, 0);
    rpi_fault_os_start();
    rpi_fault_os_fail(entry, n, error);
    live(&all);
    fired = rpi_fault_os_fired();
    rpi_fault_os_stop();
    cr_assert_eq(all.spawn_error, 0);
    cr_assert_eq(all.child.counts[ACTOR_DONE], 1);
    cr_assert(fired || all.child.exit.code == 0);
    check_honest(&all);
    check_usable(&all);
    close_loop(&all);
    return fired;
}

BACKEND_TEST(pty_fault, of_each_system_call_is_survived)
{
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        for (int e = 0; e < 3 && faults[i].errors[e] != 0; e++) {
            unsigned int n = 1;

            while (fail_call(*backend, RP_SPAWN_INLINE, faults[i].entry, faults[i].errors[e], n)) {
                cr_assert_lt(++n, 300, "%s", faults[i].entry);
            }
        }
    }
}

BACKEND_TEST(pty_fault, of_system_calls_in_spawner_threads_is_survived)
{
    static const char *const entries[] = {"open", "ioctl", "fcntl", "clone3"};

    for (size_t i = 0; i < sizeof entries / sizeof *entries; i++) {
        for (unsigned int n = 1; n <= 12; n++) {
            (void)fail_call(*backend, 2, entries[i], EMFILE, n);
        }
    }
}

/* No terminal is left for a while: the launch waits for its turn. */
BACKEND_TEST(pty_fault, no_terminal_left_makes_a_launch_wait)
{
    static const int errors[] = {ENOSPC, ENXIO, EMFILE};
    stage on;
    actor first = {0};
    actor second = {0};
    rp_command command = on_terminal(CHILD("echo", "ready", "read", "1"));
    rp_loop_options options = RP_LOOP_OPTIONS_INIT;

    options.spawn_threads = RP_SPAWN_INLINE; // the table is this thread's alone
    stage_open(&on, *backend, &options);
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
        actor_spawn(&on, &first, &command, ACTOR_DATA);
        await(&on, &first, "ready");
        rpi_fault_os_start();
        rpi_fault_os_fail("open", 1, errors[i]);
        actor_spawn(&on, &second, &command, ACTOR_DATA);
        while (!rpi_fault_os_fired()) {
            cr_assert_geq(rp_loop_run_once(on.loop, RP_SECOND), 0);
        }
        rpi_fault_os_stop();
        type(&first, "\n");
        stage_run_until(&on, &first.counts[ACTOR_DONE], 1);
        await(&on, &second, "ready");
        type(&second, "\n");
        stage_run_until(&on, &second.counts[ACTOR_DONE], 1);
        actor_check_code(&second, 0);
        actor_free(&first);
        actor_free(&second);
    }
    stage_close(&on);
}

/* And where nothing could free one, it is told. */
BACKEND_TEST(pty_fault, no_terminal_at_all_is_told)
{
    stage on;
    actor self = {0};
    rp_command command = on_terminal(CHILD("echo", "ready"));

    stage_open(&on, *backend, NULL);
    rpi_fault_os_start();
    rpi_fault_os_fail("open", RPI_FAULT_EVERY, ENOENT);
    actor_play(&on, &self, &command, ACTOR_DATA);
    rpi_fault_os_stop();
    cr_assert_eq(self.exit.kind, RP_SPAWN_FAILED);
    cr_assert_eq(self.exit.error, RP_ENOENT);
    cr_assert_eq(self.exit.code, 126);
    cr_assert_str_eq(self.exit.phase, "terminal");
    actor_free(&self);
    stage_close(&on);
}
