/* See life.h. A plan is one fault: an entry, an error, and the how-manieth time. The table of
 * system calls is wrapped before a loop is opened and put back after its close, as threads use it;
 * in between only the plan changes. */
#define _GNU_SOURCE
#include "tests/sweep/life.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    ERRORS_MAX = 6,
    RUN_ERRORS_MAX = 20,
    SETTINGS_MAX = 32,
    DENSE = 6,           /* so many calls are all tried, of those behind only some */
    CALLS_MAX = 300,     /* more are not made, but for looks through /proc */
    LOOK_CALLS_MAX = 64, /* of those, where not all are tried */
    THREAD_CALLS_MAX = 12
};

typedef struct fault {
    const char *entry;
    int errors[ERRORS_MAX]; /* 0 = no more */
    bool in_threads;        /* also tried with spawner threads */
} fault;

/* Not here are lies, which no caller can see through: EIO of a read, with which a terminal ends;
 * EAGAIN of a read while bytes are there, after which a kernel that tells changes (epoll's edges)
 * would have nothing more to tell; ECHILD and ESRCH of a process that is there. Nor munmap and
 * rmdir, whose failure leaves the thing behind by its nature. */
static const fault faults[] = {
    {"open", {EMFILE, ENFILE, EACCES, ENOMEM, EINTR}, true},
    {"openat", {EMFILE, EACCES}, false},
    {"mkdir", {ENOSPC, EACCES}, false},
    {"readlink", {EACCES, ENOMEM}, false},
    {"close", {EINTR, EIO}, false},
    {"read", {EINTR, ENOMEM, RPI_FAULT_SHORT}, true},
    {"pread", {EINTR, EIO, RPI_FAULT_SHORT}, false},
    {"write", {EINTR, EAGAIN, EIO, EPIPE, RPI_FAULT_SHORT}, false},
    {"pipe2", {EMFILE, ENFILE, ENOMEM}, true},
    {"socketpair", {EMFILE, ENOMEM}, false},
    {"sendmsg", {EINTR, EAGAIN, ENOMEM, EPIPE}, false},
    {"recvmsg", {EINTR, ENOMEM}, false},
    {"fcntl", {EMFILE, EINVAL, EPERM}, true},
    {"dup3", {EMFILE, EINTR}, true},
    {"ioctl", {ENOTTY, EIO, ENOMEM, EMFILE, EINTR}, true},
    {"fstat", {EIO, ENOMEM}, false},
    {"stat", {EACCES, ENOMEM}, false},
    {"getxattr", {ENODATA, EACCES}, false},
    {"inotify_init1", {EMFILE, ENOMEM}, false},
    {"inotify_add_watch", {ENOSPC, ENOMEM}, false},
    {"poll", {EINTR, ENOMEM}, true},
    {"mmap", {ENOMEM, EAGAIN}, true},
    {"madvise", {EINVAL, ENOMEM}, false},
    {"ftruncate", {ENOMEM, ENOSPC}, false},
    {"fork", {EAGAIN, ENOMEM}, false},
    {"kill", {EPERM, ESRCH}, false},
    {"waitid", {EINTR, EINVAL}, false},
    {"setpriority", {EPERM}, false},
    {"getrlimit", {EPERM}, false},
    {"setrlimit", {EPERM}, false},
    {"thread_start", {EAGAIN}, true},
    {"kqueue", {EMFILE, ENOMEM}, false},
    {"kevent", {EINTR, ENOMEM}, false},
    {"getdents64", {ENOMEM, EIO}, false},
    {"eventfd", {EMFILE, ENFILE, ENOMEM}, false},
    {"epoll_create1", {EMFILE, ENFILE, ENOMEM}, false},
    {"epoll_ctl", {ENOMEM, ENOSPC}, false},
    {"epoll_wait", {EINTR}, false},
    {"io_uring_setup", {ENOMEM, EMFILE, EPERM, ENOSYS}, false},
    {"io_uring_enter", {EINTR, EAGAIN, EBUSY, ENOMEM}, false},
    {"io_uring_register", {ENOMEM, EINVAL, EPERM}, false},
    {"memfd_create", {EMFILE, EPERM, ENOSYS}, false},
    {"fallocate", {EOPNOTSUPP, ENOSPC}, false},
    {"clone3", {EAGAIN, ENOMEM, EPERM, ENOSYS}, true},
    {"clone", {EAGAIN, EPERM}, true},
    {"pidfd_open", {EMFILE, ENFILE, ENOMEM, ENOSYS, EPERM}, false},
    {"pidfd_send_signal", {EPERM, EAGAIN, ENOSYS}, false},
    {"close_range", {ENOSYS, EPERM}, false},
};

/* What one life is to be like. */
typedef struct plan {
    rp_backend backend;
    uint32_t spawn_threads;
    const char *entry; /* "allocation"; NULL = no fault */
    int error;
    unsigned int n;
} plan;

static const char allocation[] = "allocation";

/* ---- for scenarios --------------------------------------------------------------------------- */

const char *life_name(const life *self)
{
    static char text[160];

    if (self->entry == NULL) {
        (void)snprintf(text, sizeof text, "%s without a fault", self->of->name);
    } else {
        (void)snprintf(text, sizeof text, "%s, %s %u: %s", self->of->name, self->entry, self->n,
                       self->error == RPI_FAULT_SHORT ? "one byte" : strerror(self->error));
    }
    return text;
}

bool life_is_silent(const life *self)
{
    return self->open_error == 0 && self->spawn_error == 0 && self->run_errors == 0 &&
           self->logged == 0 && self->refused == 0;
}

int life_note(life *self, int result)
{
    self->refused += result < 0;
    return result;
}

void life_run_until(life *self, const unsigned int *count, unsigned int wanted)
{
    const uint64_t until_ns = rp_now_ns() + 60 * RP_SECOND;

    while (*count < wanted) {
        const int r = rp_loop_run_once(self->on.loop, 10 * RP_SECOND);

        self->run_errors += r < 0;
        cr_assert_lt(self->run_errors, RUN_ERRORS_MAX, "%s: the loop does not get over it: %s",
                     life_name(self), rp_error_name(r));
        cr_assert_lt(rp_now_ns(), until_ns, "%s: %u of %u came", life_name(self), *count, wanted);
    }
}

bool life_spawn(life *self, const rp_command *command, unsigned int listens)
{
    self->spawn_error = actor_try_spawn(&self->on, &self->child, command, listens);
    return self->spawn_error == 0;
}

void life_tie(life *self, rp_command *command)
{
    self->line = lifeline_open();
    self->fd = (rp_fd){.parent = self->line.write, .child = 4};
    command->fds = &self->fd;
    command->fd_count = 1;
}

bool life_await_tree(life *self, unsigned int count)
{
    lifeline_close_write(&self->line); // the launch has a duplicate
    while (self->child.process != NULL && self->child.counts[ACTOR_STARTED] == 0 &&
           self->child.counts[ACTOR_DONE] == 0) {
        const unsigned int before = self->run_errors;

        self->run_errors += rp_loop_run_once(self->on.loop, 10 * RP_SECOND) < 0;
        cr_assert_lt(before, RUN_ERRORS_MAX, "%s", life_name(self));
    }
    for (unsigned int i = 0; i < count; i++) {
        char byte;
        ssize_t size;

        do {
            size = read(self->line.read, &byte, 1);
        } while (size < 0 && errno == EINTR);
        if (size <= 0) {
            return false;
        }
    }
    return true;
}

/* ---- one life ----------------------------------------------------------------------------------
 */

static void count_errors(int level, const char *text, void *user)
{
    life *self = user;

    (void)text;
    self->logged += level == 0;
}

static void open_loop(life *self, const plan *with)
{
    rp_loop_options options = RP_LOOP_OPTIONS_INIT;

    options.backend = with->backend;
    options.spawn_threads = with->spawn_threads;
    options.allocator = &self->on.memory.allocator;
    options.log = count_errors;
    options.log_user = self;
    if (self->of->choose != NULL) {
        self->of->choose(self, &options);
    }
    self->open_error = rp_loop_open(&options, &self->on.loop);
}

static void arm(life *self, const plan *with)
{
    if (with->entry == allocation) {
        self->on.memory.fail_at = atomic_load(&self->on.memory.requests) + with->n;
    } else if (with->entry != NULL) {
        rpi_fault_os_fail(with->entry, with->n, with->error);
    }
}

static void disarm(life *self, const plan *with)
{
    self->on.memory.fail_at = 0;
    if (with->entry != allocation && with->entry != NULL) {
        rpi_fault_os_fail(with->entry, 1, 0);
    }
    self->fired = atomic_load(&self->on.memory.fired) || rpi_fault_os_fired();
}

/* After the faults: another child has a life without any. */
static void check_usable(life *self)
{
    rp_command command = stage_command(CHILD("echo", "fine", "exit", "9"));
    actor child = {0};

    actor_play(&self->on, &child, &command, ACTOR_LINES);
    LIFE_CHECK(self, child.exit.code == 9);
    LIFE_CHECK(self, strcmp(actor_lines(&child, RP_STDOUT), "[fine]") == 0);
    actor_free(&child);
}

static void close_loop(life *self)
{
    int unended;

    if (self->open_error == 0) {
        LIFE_CHECK(self, stage_stats(&self->on).ptys == 0);
        unended = rp_loop_close(self->on.loop);
        cr_assert_eq(unended, 0, "%s: %d not seen to end", life_name(self), unended);
    }
    rpi_fault_os_stop();
    cr_assert_eq(self->on.memory.live_blocks, 0, "%s: %zu blocks left", life_name(self),
                 (size_t)self->on.memory.live_blocks);
}

/* What stage_check looks for too, told with the life. */
static void check_given_back(const life *self)
{
    const stage_holdings now = stage_count();
    siginfo_t info = {.si_pid = 0};

    cr_assert_eq(now.descriptors, self->on.before.descriptors, "%s: %d descriptors, before %d",
                 life_name(self), now.descriptors, self->on.before.descriptors);
    cr_assert_neq(waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT | __WALL), 0,
                  "%s: a child is left: %d", life_name(self), (int)info.si_pid);
    stage_check(&self->on.before);
}

/* What the driver itself asks of every life. */
static void judge(life *self)
{
    LIFE_CHECK(self, self->fired || life_is_silent(self));
}

static bool play(const life_scenario *of, const plan *with)
{
    life self = {.of = of, .entry = with->entry, .error = with->error, .n = with->n};
    bool fired;

    self.on.before = stage_count();
    rpi_fault_memory_init(&self.on.memory, 0);
    rpi_fault_os_start();
    if (of->opens) {
        arm(&self, with);
        open_loop(&self, with);
    } else {
        open_loop(&self, with);
        cr_assert_eq(self.open_error, 0, "%s", rp_error_name(self.open_error));
        if (of->begin != NULL) {
            of->begin(&self);
        }
        arm(&self, with);
    }
    if (self.open_error == 0) {
        of->live(&self);
    }
    disarm(&self, with);
    judge(&self);
    if (self.open_error == 0) {
        of->end(&self);
        if (self.child.process != NULL || self.child.counts[ACTOR_STARTED] > 0) {
            LIFE_CHECK(&self, self.child.counts[ACTOR_DONE] == 1);
        }
        if (self.child.process != NULL) {
            actor_close(&self.child);
        }
        check_usable(&self);
    }
    close_loop(&self);
    check_given_back(&self);
    fired = self.fired;
    actor_free(&self.child);
    return fired;
}

/* ---- all of them ----------------------------------------------------------------------------- */

static bool is_full(void)
{
    const char *sweep = getenv("RP_SWEEP");

    return sweep != NULL && strcmp(sweep, "full") == 0;
}

static unsigned int next_of(const life_scenario *of, unsigned int n)
{
    if (is_full()) {
        return n + 1;
    }
    if (of->looks) {
        return 2 * n;
    }
    return n < DENSE ? n + 1 : n + 1 + n / 2;
}

static unsigned int max_of(const life_scenario *of, const plan *with)
{
    if (with->spawn_threads != RP_SPAWN_INLINE && with->entry != allocation) {
        return THREAD_CALLS_MAX;
    }
    return of->looks && !is_full() ? LOOK_CALLS_MAX : CALLS_MAX;
}

/* Lets the n-th time fail for n = 1, 2, ... until nothing fails. The faults. */
static unsigned int play_each(const life_scenario *of, plan with)
{
    const unsigned int max = max_of(of, &with);
    unsigned int count = 0;

    for (with.n = 1; play(of, &with); with.n = next_of(of, with.n)) {
        count++;
        if (with.n > max) {
            cr_assert(of->looks || max == THREAD_CALLS_MAX, "%s: %s is called on and on", of->name,
                      with.entry);
            break;
        }
    }
    return count;
}

static unsigned int play_calls(const life_scenario *of, const plan *like, const fault *from)
{
    const char *only = getenv("RP_SWEEP_ENTRY");
    unsigned int count = 0;

    if (!rpi_fault_os_has(from->entry) || (of->rings && strcmp(from->entry, "write") == 0) ||
        (of->closes && strcmp(from->entry, "fstat") == 0) ||
        (only != NULL && strcmp(only, from->entry) != 0)) {
        return 0;
    }
    for (int i = 0; i < ERRORS_MAX && from->errors[i] != 0; i++) {
        plan with = *like;

        if ((from->errors[i] == EAGAIN && !of->types && strcmp(from->entry, "write") == 0) ||
            (from->errors[i] == EINVAL && of->rings && strcmp(from->entry, "waitid") == 0)) {
            continue; // the latter: helpers are waited for by their number, which is always valid
        }
        with.entry = from->entry;
        with.error = from->errors[i];
        count += play_each(of, with);
    }
    return count;
}

struct criterion_test_params life_settings(size_t count)
{
    static life_setting all[SETTINGS_MAX];
    size_t made = 0;

    for (size_t i = 0; i < count; i++) {
        all[made++] = (life_setting){i, RP_BACKEND_EPOLL};
        if (rp_has("uring")) {
            all[made++] = (life_setting){i, RP_BACKEND_URING};
        }
    }
    return cr_make_param_array(life_setting, all, made);
}

void life_sweep(const life_scenario *scenarios, const life_setting *with)
{
    static const uint32_t threads[] = {RP_SPAWN_INLINE, 2};
    const life_scenario *of = &scenarios[with->index];
    unsigned int allocations = 0;
    unsigned int calls = 0;

    if (getenv("RP_SWEEP_NAME") != NULL && strcmp(getenv("RP_SWEEP_NAME"), of->name) != 0) {
        cr_skip("RP_SWEEP_NAME is another");
    }
    if (of->is_long && !is_full() && getenv("RP_SWEEP_NAME") == NULL) {
        cr_skip("takes minutes: RP_SWEEP=full");
    }
    if (of->is_possible != NULL && !of->is_possible()) {
        cr_skip("this system or build does not have it");
    }
    if (of->setup != NULL) {
        of->setup();
    }
    for (size_t i = 0; i < (of->looks && !is_full() ? 1 : sizeof threads / sizeof *threads); i++) {
        plan like = {.backend = with->backend, .spawn_threads = threads[i]};

        cr_assert_not(play(of, &like), "a fault without a plan");
        like.entry = allocation;
        like.error = ENOMEM;
        allocations += getenv("RP_SWEEP_ENTRY") == NULL ? play_each(of, like) : 0;
        for (size_t k = 0; k < sizeof faults / sizeof *faults; k++) {
            if (threads[i] == RP_SPAWN_INLINE || faults[k].in_threads) {
                calls += play_calls(of, &like, &faults[k]);
            }
        }
    }
    if (of->teardown != NULL) {
        of->teardown();
    }
    cr_assert(allocations + calls > 50 || getenv("RP_SWEEP_ENTRY") != NULL, "hardly a fault");
    (void)printf("%s on %s: %u failed allocations, %u failed calls\n", of->name,
                 with->backend == RP_BACKEND_URING ? "uring" : "epoll", allocations, calls);
    (void)fflush(stdout);
}
