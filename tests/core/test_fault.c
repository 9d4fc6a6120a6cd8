/* Fault loops over a child's whole life: the n-th allocation fails, and the n-th call of every
 * entry of the table of system calls, for n = 1, 2, ... until nothing fails any more. Whatever
 * failed, somebody is told of it, done comes once, nothing is left behind, and the loop works
 * afterwards. */
#define _GNU_SOURCE
#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>

#include "tests/support/check.h"
#include "tests/support/noise.h"
#include "tests/support/stage.h"

enum {
    SIZE = 100000, /* bytes of each stream; more than a ring and a pipe hold */
    SEED = 41,
    ERROR_MAX = 20
};

/* What one life came to. */
typedef struct life {
    stage on;
    int open_error;
    int spawn_error;
    unsigned int run_errors; /* of the backend, each gone on after */
    unsigned int logged;     /* errors that only the log could tell */
    unsigned int refused;    /* calls that returned an error */
    const char *what;        /* fails, the n-th time */
    unsigned int n;
    actor child;
} life;

static void count_errors(int level, const char *text, void *user)
{
    life *self = user;

    (void)text;
    self->logged += level == 0;
}

/* As stage_open, but for a loop that may not open. */
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

/* Runs to done, through errors of the backend: the fault comes once. */
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

/* After the faults: another child has a life without any. */
static void check_usable(life *self)
{
    rp_command command = stage_command(CHILD("echo", "fine", "exit", "9"));
    actor child = {0};

    actor_play(&self->on, &child, &command, ACTOR_LINES);
    actor_check_code(&child, 9);
    cr_assert_str_eq(actor_lines(&child, RP_STDOUT), "[fine]");
    actor_free(&child);
}

static void close_loop(life *self, const char *what, unsigned int n)
{
    if (self->open_error == 0) {
        int unended = rp_loop_close(self->on.loop);

        cr_assert_eq(unended, 0, "%s, %u: %d not seen to end", what, n, unended);
    }
    cr_assert_eq(self->on.memory.live_blocks, 0, "%s, %u: %zu blocks left", what, n,
                 (size_t)self->on.memory.live_blocks);
    stage_check(&self->on.before);
    actor_free(&self->child);
}

static bool is_whole(const actor *child, rp_stream stream, uint64_t seed)
{
    const actor_text *text = &child->data[stream - 1];
    noise_sum sum = {0, 0};

    noise_sum_add(&sum, text->bytes != NULL ? text->bytes : "", text->size);
    return sum.size == SIZE && sum.value == noise_sum_of(seed, SIZE).value;
}

/* A child that says it has ended well has delivered everything, or somebody was told. */
static void check_honest(const life *self, const char *what, unsigned int n)
{
    const rp_exit *exit = &self->child.exit;

    if (self->open_error < 0 || self->spawn_error < 0 || exit->kind != RP_EXITED ||
        exit->code != 0 || self->logged > 0) {
        return;
    }
    cr_assert(is_whole(&self->child, RP_STDOUT, SEED), "%s, %u: output is lost", what, n);
    cr_assert(is_whole(&self->child, RP_STDERR, SEED + 1), "%s, %u: output is lost", what, n);
    cr_assert_eq(exit->in_bytes, 5, "%s, %u: input is lost", what, n);
}

static const char *const *whole_life(void)
{
    static const char *const argv[] = {RP_TEST_CHILD, "read", "5", "flood-both",
                                       "100000",      "41",   NULL};

    return argv;
}

static rp_command make_command(void)
{
    rp_command command = stage_command(whole_life());

    command.in.kind = RP_STDIO_PIPE;
    command.capture_max = 1000;
    command.capture_order = true;
    command.timeout_ns = 900 * RP_SECOND;
    command.write_max = 1 << 20;
    return command;
}

/* A life from rp_loop_open on, up to done. */
static void live(life *self)
{
    rp_command command = make_command();

    if (self->open_error < 0) {
        return;
    }
    self->spawn_error =
        actor_try_spawn(&self->on, &self->child, &command, ACTOR_DATA | ACTOR_LINES);
    if (self->spawn_error < 0) {
        return;
    }
    self->refused += rp_write(self->child.process, (rp_view){"01234", 5}, NULL, NULL) < 0;
    self->refused += rp_close_stdin(self->child.process) < 0;
    run_on(self);
}

/* ---- memory ------------------------------------------------------------------------------------
 */

static void lose_each_allocation(rp_backend backend, uint32_t spawn_threads)
{
    bool fired = true;

    for (unsigned int n = 1; fired; n++) {
        life all = {.what = "allocation", .n = n};

        open_loop(&all, backend, spawn_threads, n);
        live(&all);
        fired = all.on.memory.fired;
        all.on.memory.fail_at = 0;
        if (all.open_error < 0) {
            cr_assert_eq(all.open_error, RP_ENOMEM, "allocation %u", n);
        } else if (all.spawn_error < 0) {
            cr_assert_eq(all.spawn_error, RP_ENOMEM, "allocation %u", n);
        } else if (all.refused == 0) {
            check_honest(&all, "allocation", n);
        }
        if (all.open_error == 0) {
            check_usable(&all);
        }
        cr_assert(fired || (all.refused == 0 && all.child.exit.code == 0));
        close_loop(&all, "allocation", n);
    }
}

BACKEND_TEST(fault, of_each_allocation_is_survived)
{
    lose_each_allocation(*backend, RP_SPAWN_INLINE);
    lose_each_allocation(*backend, 2);
}

/* An allocator that has nothing to do with malloc: it only ever takes the next piece. */
static void *take_piece(void *old, size_t old_size, size_t new_size, void *user)
{
    static _Alignas(16) char arena[1 << 20];
    static size_t used;
    size_t *requests = user;
    char *piece = arena + used;

    if (new_size == 0) {
        return NULL;
    }
    ++*requests;
    used += (new_size + 15) & ~(size_t)15;
    cr_assert_leq(used, sizeof arena);
    if (old_size > 0) {
        memcpy(piece, old, old_size < new_size ? old_size : new_size);
    }
    return piece;
}

static size_t heap_in_use(void)
{
    return mallinfo2().uordblks;
}

/* A life that is looked at in the middle: nothing was taken from the heap since the loop opened. */
static void check_heap(actor *self, actor_event event, rp_stream stream)
{
    (void)stream;
    if (event == ACTOR_STARTED || event == ACTOR_EXITED) {
        const size_t texts = self->data[0].capacity + self->data[1].capacity;

        cr_assert_leq(heap_in_use(), *(size_t *)self->context + texts + 256,
                      "the library took from malloc");
    }
}

BACKEND_TEST(fault, free_all_memory_comes_from_the_given_allocator)
{
    size_t requests = 0;
    const rp_allocator allocator = {take_piece, &requests};
    rp_loop_options options = RP_LOOP_OPTIONS_INIT;
    rp_command command = make_command();
    actor child = {.hook = check_heap};
    stage on = {.loop = NULL};
    size_t before;

    options.backend = *backend;
    options.spawn_threads = RP_SPAWN_INLINE;
    cr_assert_eq(rp_loop_open(&options, &on.loop), 0); // what is found out once a program
    cr_assert_eq(rp_loop_close(on.loop), 0);
    options.allocator = &allocator;
    command.capture_max = 20000;
    before = heap_in_use();
    child.context = &before;
    cr_assert_eq(rp_loop_open(&options, &on.loop), 0);
    actor_spawn(&on, &child, &command, ACTOR_DATA);
    cr_assert_eq(rp_write(child.process, (rp_view){"01234", 5}, NULL, NULL), 0);
    stage_run_until(&on, &child.counts[ACTOR_DONE], 1);
    actor_check_code(&child, 0);
    cr_assert_gt(requests, 8);
    actor_free(&child);
    cr_assert_eq(rp_loop_close(on.loop), 0);
    cr_assert_leq(heap_in_use(), before);
}

/* Pull mode has memory of its own: lines that outgrow the ring, marks. */
BACKEND_TEST(fault, of_each_allocation_is_survived_in_pull_mode)
{
    bool fired = true;

    for (unsigned int n = 1; fired; n++) {
        rp_command command = stage_command(CHILD("lines", "1", "300", "fill", "1", "200000"));
        rp_process *process = NULL;
        size_t total = 0;
        life all = {0};
        rp_line line;
        int r = 0;

        open_loop(&all, *backend, RP_SPAWN_INLINE, n);
        if (all.open_error == 0 && rp_spawn(all.on.loop, &command, NULL, NULL, &process) == 0) {
            while ((r = rp_next_line(process, RP_BOTH, RP_FOREVER, &line)) == 1) {
                total += line.text.size + (line.partial || line.unended ? 0 : 1);
            }
            cr_assert_eq(r, 0, "allocation %u: %s", n, rp_error_name(r));
            cr_assert_eq(rp_wait(process, RP_FOREVER), 0);
            cr_assert(rp_process_exit(process)->kind == RP_SPAWN_FAILED ||
                          total == 10 * 7 + 90 * 8 + 200 * 9 + 200000,
                      "allocation %u: %zu bytes", n, total);
            rp_process_close(process);
        }
        fired = all.on.memory.fired;
        close_loop(&all, "allocation", n);
    }
}

/* ---- system calls
 * -------------------------------------------------------------------------------- */

typedef struct fault {
    const char *entry;
    int errors[3]; /* plausible ones, 0 = no more */
} fault;

/* Not here: close and munmap, whose failure leaves the thing behind, and write, by which threads
 * wake the loop: the system has no reason to refuse those. */
static const fault faults[] = {
    {"open", {EMFILE, EACCES}},
    {"read", {EINTR}},
    {"pipe2", {EMFILE, ENFILE}},
    {"fcntl", {EMFILE, EINVAL}},
    {"dup3", {EMFILE, EINTR}},
    {"ioctl", {ENOTTY}},
    {"fstat", {EIO}},
    {"stat", {EACCES}},
    {"poll", {EINTR, ENOMEM}},
    {"eventfd", {EMFILE, ENOMEM}},
    {"epoll_create1", {EMFILE, ENOMEM}},
    {"epoll_ctl", {ENOMEM, ENOSPC}},
    {"epoll_wait", {EINTR}},
    {"io_uring_setup", {ENOMEM, EPERM, ENOSYS}},
    {"io_uring_enter", {EINTR, EAGAIN, EBUSY}},
    {"io_uring_register", {ENOMEM, EINVAL}},
    {"mmap", {ENOMEM}},
    {"madvise", {EINVAL}},
    {"memfd_create", {EMFILE, ENOSYS}},
    {"ftruncate", {ENOMEM}},
    {"fallocate", {EOPNOTSUPP}},
    {"clone3", {EAGAIN, ENOMEM, EPERM}},
    {"clone", {EAGAIN, EPERM}},
    {"fork", {EAGAIN}},
    {"pidfd_open", {EMFILE, ENOSYS}},
    {"waitid", {EINTR, EINVAL}},
    {"getrlimit", {EPERM}},
    {"setpriority", {EPERM}},
    {"close_range", {ENOSYS, EPERM}},
    {"thread_start", {EAGAIN}},
};

/* One life in which the n-th call of an entry fails with an error; whether there was such a call.
 */
static bool
fail_call(rp_backend backend, uint32_t threads, const char *entry, int error, unsigned int n)
{
    life all = {.what = entry, .n = n};
    bool fired;

    rpi_fault_os_start();
    rpi_fault_os_fail(entry, n, error);
    open_loop(&all, backend, threads, 0);
    live(&all);
    fired = rpi_fault_os_fired();
    rpi_fault_os_stop();
    if (all.open_error == 0 && all.spawn_error == 0) {
        cr_assert_eq(all.child.counts[ACTOR_DONE], 1);
        cr_assert(fired || all.child.exit.code == 0);
        check_honest(&all, entry, n);
    }
    if (all.open_error == 0) {
        check_usable(&all);
    }
    close_loop(&all, entry, n);
    return fired;
}

BACKEND_TEST(fault, of_each_system_call_is_survived)
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

BACKEND_TEST(fault, of_system_calls_in_spawner_threads_is_survived)
{
    static const char *const entries[] = {"pipe2", "fcntl", "clone3", "thread_start", "open"};

    for (size_t i = 0; i < sizeof entries / sizeof *entries; i++) {
        for (unsigned int n = 1; n <= 12; n++) {
            (void)fail_call(*backend, 2, entries[i], EMFILE, n);
        }
    }
}

/* ---- in a stop
 * -------------------------------------------------------------------------------------- */

/* A tree that must be killed while one call fails; whether there was such a call. */
static bool fail_stop(rp_backend backend, const char *entry, int error, unsigned int n)
{
    rp_stop_options ladder = {.size = sizeof ladder,
                              .no_interrupt = true,
                              .terminate_ns = RP_MILLISECOND,
                              .kill_ns = 300 * RP_MILLISECOND};
    rp_command command =
        stage_command(CHILD("ignore", "15", "fork", "pause", "end", "echo", "r", "pause"));
    lifeline gone = lifeline_open();
    rp_fd fd = {.parent = gone.write, .child = 4};
    life all = {.what = entry, .n = n};
    bool fired;

    command.fds = &fd;
    command.fd_count = 1;
    open_loop(&all, backend, RP_SPAWN_INLINE, 0);
    cr_assert_eq(all.open_error, 0);
    all.child.stays = true;
    actor_spawn(&all.on, &all.child, &command, ACTOR_LINES);
    stage_run_until(&all.on, &all.child.counts[ACTOR_GOT_LINE], 1);
    rpi_fault_os_start();
    rpi_fault_os_fail(entry, n, error);
    (void)rp_stop(all.child.process, &ladder); // may be refused: the ladder goes on
    run_on(&all);
    fired = rpi_fault_os_fired();
    rpi_fault_os_stop();
    cr_assert(fired || all.child.exit.survivors == 0);
    cr_assert_eq(all.child.exit.reason, RP_STOP_KILL);
    if (all.child.exit.survivors == 0) {
        lifeline_await_end(&gone); // then nobody is left
    }
    actor_close(&all.child);
    check_usable(&all);
    if (all.child.exit.survivors > 0) {
        (void)rp_loop_run_once(all.on.loop, 0);
        lifeline_await_end(&gone); // the close has killed what a refused kill had left
    }
    all.on.before.descriptors -= 2;
    close_loop(&all, entry, n);
    return fired;
}

BACKEND_TEST(fault, of_each_system_call_of_a_stop_is_survived)
{
    static const struct {
        const char *entry;
        int error;
    } calls[] = {{"kill", EPERM},        {"pidfd_send_signal", EPERM},
                 {"pidfd_open", EMFILE}, {"waitid", EINTR},
                 {"poll", EINTR},        {"read", EINTR},
                 {"epoll_ctl", ENOMEM},  {"open", EMFILE},
                 {"ioctl", ENOTTY}};

    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        // A look through /proc makes some of these calls for every process of the machine: the
        // first few will do.
        for (unsigned int n = 1; n < 7; n++) {
            if (!fail_stop(*backend, calls[i].entry, calls[i].error, n)) {
                break;
            }
        }
    }
}
