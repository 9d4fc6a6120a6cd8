/* The bare loop: what a programmer writes by hand when nothing but speed counts, and the measure of
 * the library's overhead. T threads; each keeps its share of the children going over an epoll of
 * its own: two pipes, start, read both to their end, wait. Three ways to start a child: vfork and
 * exec (the baseline), posix_spawn, and "flat", clone with the descriptor table shared until the
 * child unshares it, which is the best that is known when many descriptors are open.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/engine.h"

extern char **environ;

enum {
    READ_SIZE = 65536,
    EVENT_MAX = 256,
    STACK_SIZE = 65536,
    THREAD_MAX = 64,
    HIGH_FD = 64
};

typedef struct kid {
    pid_t pid; /* 0 = none */
    int fds[2];
    int open;
} kid;

/* What a child is started with: its ends of the pipes and where to report. */
typedef struct launch {
    const char *const *argv;
    int null_fd;
    int fds[2];
    int error; /* errno of a failed exec, through the shared memory; 0 = none */
} launch;

typedef int launch_fn(launch *what, char *stack, pid_t *ret_pid); /* 0 or an errno */

typedef struct worker {
    const rpi_engine_job *job;
    launch_fn *start;
    pthread_t thread;
    pthread_barrier_t *ready; /* borrowed */
    size_t total, at_once, sleepers;
    size_t started, done, bytes;
    kid *kids;
    char *stack, *buffer;
    uint64_t deadline_ns;
    int epoll_fd, null_fd;
    int error;     /* an errno, or -1: a child failed; 0 = none */
    bool moves_up; /* keep our ends above the children's */
} worker;

/* In the child, in memory shared with the parent: system calls only. The child of vfork, too. */
static void become_child(launch *what)
{
    (void)setpgid(0, 0); /* cannot fail for a new child */
    if (dup2(what->null_fd, STDIN_FILENO) < 0 || dup2(what->fds[0], STDOUT_FILENO) < 0 ||
        dup2(what->fds[1], STDERR_FILENO) < 0) {
        what->error = errno;
        _exit(127);
    }
    (void)execve(what->argv[0], (char *const *)(uintptr_t)what->argv, environ);
    what->error = errno;
    _exit(127);
}

static int launch_vfork(launch *what, char *stack, pid_t *ret_pid)
{
    pid_t pid;

    (void)stack;
    pid = vfork(); // NOLINT(clang-analyzer-security.insecureAPI.vfork): it is what is measured
    if (pid == 0) {
        become_child(what); // NOLINT(clang-analyzer-unix.Vfork): system calls only, and no return
    }
    if (pid < 0) {
        return errno;
    }
    *ret_pid = pid;
    return what->error;
}

static int flat_child(void *user)
{
    launch *what = user;
    int last = what->fds[0] > what->fds[1] ? what->fds[0] : what->fds[1];

    if (last < what->null_fd) {
        last = what->null_fd;
    }
    if (syscall(SYS_close_range, (unsigned)last + 1, ~0U, CLOSE_RANGE_UNSHARE) < 0) {
        what->error = errno;
        _exit(127);
    }
    become_child(what);
    return 127;
}

static int launch_flat(launch *what, char *stack, pid_t *ret_pid)
{
    pid_t pid =
        clone(flat_child, stack + STACK_SIZE, CLONE_VM | CLONE_VFORK | CLONE_FILES | SIGCHLD, what);

    if (pid < 0) {
        return errno;
    }
    *ret_pid = pid;
    return what->error;
}

static int launch_posix_spawn(launch *what, char *stack, pid_t *ret_pid)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int r;

    (void)stack;
    (void)posix_spawn_file_actions_init(
        &actions); /* these only note things down; posix_spawn tells */
    (void)posix_spawn_file_actions_adddup2(&actions, what->null_fd, STDIN_FILENO);
    (void)posix_spawn_file_actions_adddup2(&actions, what->fds[0], STDOUT_FILENO);
    (void)posix_spawn_file_actions_adddup2(&actions, what->fds[1], STDERR_FILENO);
    (void)posix_spawnattr_init(&attributes);
    (void)posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
    r = posix_spawn(ret_pid, what->argv[0], &actions, &attributes,
                    (char *const *)(uintptr_t)what->argv, environ);
    (void)posix_spawnattr_destroy(&attributes);
    (void)posix_spawn_file_actions_destroy(&actions);
    return r;
}

/* Our end of a pipe to a number of HIGH_FD or more: the child then copies low numbers only. */
static int move_up(int fd)
{
    int high = fcntl(fd, F_DUPFD_CLOEXEC, HIGH_FD);

    if (high < 0) {
        return fd;
    }
    (void)close(fd);
    return high;
}

static int open_pipe(worker *w, int *ret_ours, int *ret_theirs)
{
    int fds[2];

    if (pipe2(fds, O_CLOEXEC) < 0) {
        return errno;
    }
    *ret_ours = w->moves_up ? move_up(fds[0]) : fds[0];
    *ret_theirs = fds[1];
    return 0;
}

static int watch(worker *w, kid *k, int which)
{
    struct epoll_event event = {.events = EPOLLIN};

    event.data.u64 = (uint64_t)(k - w->kids) * 2 + (uint64_t)which;
    return epoll_ctl(w->epoll_fd, EPOLL_CTL_ADD, k->fds[which], &event) < 0 ? errno : 0;
}

static int start_kid(worker *w, kid *k)
{
    launch what = {.argv = w->job->argv, .null_fd = w->null_fd, .fds = {-1, -1}};
    int r = open_pipe(w, &k->fds[0], &what.fds[0]);

    if (r == 0) {
        r = open_pipe(w, &k->fds[1], &what.fds[1]);
    }
    if (r == 0) {
        r = w->start(&what, w->stack, &k->pid);
    }
    for (int i = 0; i < 2; i++) {
        if (what.fds[i] >= 0) {
            (void)close(what.fds[i]);
        }
    }
    if (r == 0) {
        k->open = 2;
        w->started++;
        r = watch(w, k, 0);
    }
    return r == 0 ? watch(w, k, 1) : r;
}

static int start_sleeper(worker *w)
{
    launch what = {.argv = w->job->sleeper_argv, .null_fd = w->null_fd};
    int ours;
    int r = open_pipe(w, &ours, &what.fds[0]); /* `ours` stays open, for the process's life */
    pid_t pid;

    if (r != 0) {
        return r;
    }
    what.fds[1] = what.fds[0];
    r = w->start(&what, w->stack, &pid);
    (void)close(what.fds[0]);
    return r;
}

static void wait_kid(worker *w, kid *k)
{
    int status = 0;
    pid_t waited;

    do {
        waited = waitpid(k->pid, &status, 0);
    } while (waited < 0 && errno == EINTR);
    if (waited != k->pid || status != 0) {
        w->error = -1;
    }
    k->pid = 0;
    w->done++;
}

static void take_event(worker *w, uint64_t data)
{
    kid *k = &w->kids[data / 2];
    int fd = k->fds[data % 2];
    ssize_t n = read(fd, w->buffer, READ_SIZE);

    if (n > 0) {
        w->bytes += (size_t)n;
        return;
    }
    if (n < 0) {
        w->error = errno;
        return;
    }
    /* By name: a child that another thread is starting may still hold the pipe, and close alone
     * would keep it watched. */
    (void)epoll_ctl(w->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
    (void)close(fd);
    if (--k->open > 0) {
        return;
    }
    wait_kid(w, k);
    if (w->error == 0 && w->started < w->total && rp_now_ns() < w->deadline_ns) {
        w->error = start_kid(w, k);
    }
}

static void run_children(worker *w)
{
    struct epoll_event events[EVENT_MAX];

    w->deadline_ns = rp_now_ns() + w->job->time_max_ns;
    for (size_t i = 0; i < w->at_once && w->started < w->total && w->error == 0; i++) {
        w->error = start_kid(w, &w->kids[i]);
    }
    while (w->error == 0 && w->done < w->started) {
        int n = epoll_wait(w->epoll_fd, events, EVENT_MAX, -1);

        for (int i = 0; i < n && w->error == 0; i++) {
            take_event(w, events[i].data.u64);
        }
    }
}

static void *run_worker(void *user)
{
    worker *w = user;

    for (size_t i = 0; i < w->sleepers && w->error == 0; i++) {
        w->error = start_sleeper(w);
    }
    (void)pthread_barrier_wait(w->ready);
    (void)pthread_barrier_wait(w->ready); /* the meter runs now */
    if (w->error == 0) {
        run_children(w);
    }
    return NULL;
}

static size_t share(size_t whole, size_t parts, size_t index)
{
    return whole / parts + (index < whole % parts ? 1 : 0);
}

static int worker_init(worker *w)
{
    w->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    w->null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    w->kids = calloc(w->at_once, sizeof *w->kids);
    w->stack = malloc(STACK_SIZE);
    w->buffer = malloc(READ_SIZE);
    if (w->epoll_fd < 0 || w->null_fd < 0) {
        return errno;
    }
    return w->kids == NULL || w->stack == NULL || w->buffer == NULL ? ENOMEM : 0;
}

static void worker_fini(worker *w)
{
    free(w->kids);
    free(w->stack);
    free(w->buffer);
    (void)close(w->epoll_fd);
    (void)close(w->null_fd);
}

static int
run_threads(worker *workers, size_t count, pthread_barrier_t *ready, rpi_engine_result *result)
{
    size_t running = 0;

    for (; running < count; running++) {
        if (pthread_create(&workers[running].thread, NULL, run_worker, &workers[running]) != 0) {
            /* Those that run wait at the barrier until this worker process ends, which is next. */
            return rpi_engine_fail(result, "pthread_create failed");
        }
    }
    (void)pthread_barrier_wait(ready);
    rpi_meter_start(&result->meter);
    (void)pthread_barrier_wait(ready);
    for (size_t i = 0; i < count; i++) {
        (void)pthread_join(workers[i].thread, NULL);
    }
    rpi_meter_stop(&result->meter);
    return 0;
}

static size_t thread_count(const rpi_engine_job *job)
{
    size_t count = job->bare_threads < 1 ? 1 : job->bare_threads;

    count = count > job->at_once ? job->at_once : count;
    return count > THREAD_MAX ? THREAD_MAX : count;
}

static int sum_up(const worker *workers, size_t count, rpi_engine_result *result)
{
    int r = 0;

    for (size_t i = 0; i < count; i++) {
        result->done += workers[i].done;
        if (workers[i].error != 0) {
            r = rpi_engine_fail(result, "a child failed: %s",
                                workers[i].error < 0 ? "bad exit status"
                                                     : strerror(workers[i].error));
        }
    }
    return r;
}

static int run_bare(const rpi_engine_job *job, rpi_engine_result *ret_result, launch_fn *start)
{
    worker workers[THREAD_MAX];
    pthread_barrier_t ready;
    size_t count = thread_count(job);
    size_t made = 0;
    int r = 0;

    (void)pthread_barrier_init(&ready, NULL, (unsigned)count + 1);
    for (; made < count && r == 0; made++) {
        workers[made] = (worker){.job = job,
                                 .start = start,
                                 .ready = &ready,
                                 .total = share(job->total, count, made),
                                 .at_once = share(job->at_once, count, made),
                                 .sleepers = share(job->sleepers, count, made),
                                 .moves_up = start == launch_flat};
        r = worker_init(&workers[made]);
    }
    if (r != 0) {
        r = rpi_engine_fail(ret_result, "setting up: %s", strerror(r));
    } else {
        r = run_threads(workers, count, &ready, ret_result);
        r = r == 0 ? sum_up(workers, count, ret_result) : r;
    }
    for (size_t i = 0; i < made; i++) {
        worker_fini(&workers[i]);
    }
    return r;
}

int rpi_engine_bare(const rpi_engine_job *job, rpi_engine_result *ret_result)
{
    return run_bare(job, ret_result, launch_vfork);
}

int rpi_engine_bare_flat(const rpi_engine_job *job, rpi_engine_result *ret_result)
{
    return run_bare(job, ret_result, launch_flat);
}

int rpi_engine_posix_spawn(const rpi_engine_job *job, rpi_engine_result *ret_result)
{
    return run_bare(job, ret_result, launch_posix_spawn);
}
