/* Many children with random sizes of output on both streams, random ends and random kills, checked
 * byte for byte: nothing lost, nothing doubled, nothing out of order, done exactly once and last,
 * and afterwards descriptors, memory and children as before. On both backends. RP_STRESS_CHILDREN
 * says how many (CI runs a shortened form), RP_STRESS_SEED repeats a run. */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

#include "rp/rp.h"
#include "tests/stress/noise.h"
#include "tests/support/check.h"

enum {
    CHILDREN_DEFAULT = 2000,
    AT_ONCE = 200,
    SIZE_MAX_LOG2 = 20,
    ARGUMENT_SIZE = 24
};

struct child {
    struct run *run;
    uint64_t size[2];
    uint64_t offset[2];
    uint64_t seen[2];
    uint64_t kill_at; /* bytes of both streams after which it is killed; UINT64_MAX = not */
    bool eos[2];
    bool started, exited, done, killed;
    char end[ARGUMENT_SIZE];
};

struct run {
    rp_loop *loop;
    unsigned char *noise; /* NOISE_PERIOD + the largest size */
    struct child *children;
    size_t count;
    size_t launched;
    size_t done;
    size_t kills;
    uint64_t bytes;
    uint64_t random;
};

static uint64_t next_random(struct run *run)
{
    return noise_word(run->random++ ^ UINT64_C(0x5851f42d4c957f2d));
}

/* ---- what must be as before ---- */

static size_t open_descriptors(void)
{
    DIR *folder = opendir("/proc/self/fd");
    size_t count = 0;

    cr_assert_not_null(folder);
    while (readdir(folder) != NULL) {
        count++;
    }
    closedir(folder);
    return count;
}

static size_t live_bytes;

static void *count_resize(void *old, size_t old_size, size_t new_size, void *user)
{
    (void)user;
    __atomic_fetch_add(&live_bytes, new_size - old_size, __ATOMIC_RELAXED);
    if (new_size == 0) {
        free(old);
        return NULL;
    }
    return realloc(old, new_size);
}

/* ---- one child ---- */

/* Sizes from 0 to 1 MiB, evenly spread over their magnitudes. */
static uint64_t random_size(struct run *run)
{
    uint64_t top = UINT64_C(1) << (next_random(run) % (SIZE_MAX_LOG2 + 1));

    return next_random(run) % 5 == 0 ? 0 : next_random(run) % (top + 1);
}

static void draw_child(struct run *run, struct child *child)
{
    uint64_t how = next_random(run) % 8;

    child->run = run;
    child->kill_at = UINT64_MAX;
    for (int i = 0; i < 2; i++) {
        child->size[i] = random_size(run);
        child->offset[i] = next_random(run) % (NOISE_PERIOD / 8) * 8;
    }
    if (how == 0) { /* ends only by being killed, at a random byte */
        child->kill_at = next_random(run) % (child->size[0] + child->size[1] + 1);
        (void)snprintf(child->end, sizeof child->end, "w");
    } else if (how == 1) {
        (void)snprintf(child->end, sizeof child->end, "s%d", SIGKILL);
    } else {
        (void)snprintf(child->end, sizeof child->end, "e%d", (int)(next_random(run) % 90));
    }
}

/* By rp_stop, which gives the kill as long as it takes: on a machine that is loaded enough a killed
 * child was seen to sit in the kernel for more than the 2 s of rp_kill, releasing its memory. */
static void maybe_kill(struct child *child, rp_process *process)
{
    static const rp_stop_options patient = {.size = sizeof patient,
                                            .no_interrupt = true,
                                            .terminate_signal = SIGKILL,
                                            .terminate_ns = 600 * RP_SECOND};

    if (!child->killed && child->seen[0] + child->seen[1] >= child->kill_at) {
        child->killed = true;
        child->run->kills++;
        cr_assert_eq(rp_stop(process, &patient), 0);
    }
}

static void on_started(rp_process *process, void *user)
{
    struct child *child = user;

    cr_assert(!child->started);
    child->started = true;
    maybe_kill(child, process);
}

static void on_data(rp_process *process, rp_stream stream, rp_view bytes, void *user)
{
    struct child *child = user;
    int i = stream == RP_STDOUT ? 0 : 1;
    const unsigned char *expected = child->run->noise + child->offset[i] + child->seen[i];

    cr_assert(child->started && !child->eos[i] && !child->done);
    cr_assert_gt(bytes.size, 0);
    cr_assert_leq(child->seen[i] + bytes.size, child->size[i], "more bytes than were written");
    cr_assert_eq(memcmp(expected, bytes.data, bytes.size), 0, "other bytes than were written");
    child->seen[i] += bytes.size;
    child->run->bytes += bytes.size;
    maybe_kill(child, process);
}

static void on_eos(rp_process *process, rp_stream stream, void *user)
{
    struct child *child = user;
    int i = stream == RP_STDOUT ? 0 : 1;

    (void)process;
    cr_assert(child->started && !child->eos[i] && !child->done);
    child->eos[i] = true;
}

static void on_exited(rp_process *process, const rp_exit *exit, void *user)
{
    struct child *child = user;

    (void)process;
    (void)exit;
    cr_assert(child->started && !child->exited && !child->done);
    child->exited = true;
}

static void check_end(const struct child *child, const rp_exit *exit)
{
    if (child->killed) {
        cr_assert(exit->kind == RP_SIGNALED && exit->signal == SIGKILL);
        cr_assert_eq(exit->survivors, 0);
        return;
    }
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(child->seen[i], child->size[i], "bytes are missing: %llu of %llu",
                     (unsigned long long)child->seen[i], (unsigned long long)child->size[i]);
    }
    if (child->end[0] == 's') {
        cr_assert(exit->kind == RP_SIGNALED && exit->code == -SIGKILL);
    } else {
        cr_assert(exit->kind == RP_EXITED && exit->code == strtol(child->end + 1, NULL, 10),
                  "code %d, not %s", exit->code, child->end);
    }
    cr_assert_eq(exit->reason, RP_STOP_NONE);
}

static void launch_next(struct run *run);

static void on_done(rp_process *process, const rp_exit *exit, void *user)
{
    struct child *child = user;

    (void)process;
    cr_assert(child->started && child->exited && child->eos[0] && child->eos[1] && !child->done);
    cr_assert_eq(exit->out_bytes, child->seen[0]);
    cr_assert_eq(exit->err_bytes, child->seen[1]);
    check_end(child, exit);
    child->done = true;
    child->run->done++;
    launch_next(child->run);
}

static void launch_next(struct run *run)
{
    static const rp_handlers handlers = {.started = on_started,
                                         .data = on_data,
                                         .eos = on_eos,
                                         .exited = on_exited,
                                         .done = on_done};
    rp_command command = RP_COMMAND_INIT;
    struct child *child;
    char arguments[4][ARGUMENT_SIZE];
    const char *argv[] = {RP_TEST_NOISE_CHILD, arguments[0], arguments[1], arguments[2],
                          arguments[3],        NULL,         NULL};

    if (run->launched == run->count) {
        return;
    }
    child = &run->children[run->launched++];
    draw_child(run, child);
    for (int i = 0; i < 2; i++) {
        (void)snprintf(arguments[2 * i], ARGUMENT_SIZE, "%llu", (unsigned long long)child->size[i]);
        (void)snprintf(arguments[2 * i + 1], ARGUMENT_SIZE, "%llu",
                       (unsigned long long)child->offset[i]);
    }
    argv[5] = child->end;
    command.argv = argv;
    cr_assert_eq(rp_spawn(run->loop, &command, &handlers, child, NULL), 0, "%s", rp_error_detail());
}

/* ---- all of them ---- */

static size_t number_from(const char *name, size_t otherwise)
{
    const char *text = getenv(name);

    return text == NULL ? otherwise : strtoull(text, NULL, 10);
}

static void open_loop(struct run *run, rp_backend backend)
{
    static const rp_allocator allocator = {.resize = count_resize};
    rp_loop_options options = RP_LOOP_OPTIONS_INIT;
    static const char *const NAMES[] = {"auto", "uring", "epoll", "kqueue", "iocp"};
    const char *only = getenv("RP_BACKEND");
    int r;

    if (only != NULL && strcmp(only, NAMES[backend]) != 0) {
        cr_skip("RP_BACKEND names another backend");
    }
    options.backend = backend;
    options.allocator = &allocator;
    r = rp_loop_open(&options, &run->loop);
    if (r == RP_EUNSUPPORTED) {
        cr_skip("this system has no such backend");
    }
    cr_assert_eq(r, 0, "%s", rp_error_name(r));
}

static void run_children(rp_backend backend)
{
    struct rlimit limit = {.rlim_cur = 4096, .rlim_max = 4096};
    struct run run = {.count = number_from("RP_STRESS_CHILDREN", CHILDREN_DEFAULT)};
    size_t descriptors;

    (void)setrlimit(RLIMIT_NOFILE, &limit);
    descriptors = open_descriptors();
    run.random = number_from("RP_STRESS_SEED", (size_t)time(NULL));
    printf("seed %llu\n", (unsigned long long)run.random);
    run.noise = malloc(NOISE_PERIOD + (1 << SIZE_MAX_LOG2));
    run.children = calloc(run.count, sizeof *run.children);
    cr_assert(run.noise != NULL && run.children != NULL);
    noise_fill(run.noise, NOISE_PERIOD + (1 << SIZE_MAX_LOG2), 0);
    open_loop(&run, backend);
    for (int i = 0; i < AT_ONCE; i++) {
        launch_next(&run);
    }
    cr_assert_eq(rp_loop_run(run.loop), 0);
    cr_assert_eq(run.done, run.count, "%zu of %zu are done", run.done, run.count);
    cr_assert_eq(rp_loop_close(run.loop), 0);
    printf("%zu children, %zu killed, %llu bytes\n", run.done, run.kills,
           (unsigned long long)run.bytes);
    cr_assert_eq(open_descriptors(), descriptors, "descriptors are left open");
    cr_assert_eq(live_bytes, 0, "%zu bytes are left", live_bytes);
    cr_assert(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD, "a child is left");
    free(run.children);
    free(run.noise);
}

Test(random_children, lose_no_byte_and_no_end_on_uring, .timeout = 3600)
{
    run_children(RP_BACKEND_URING);
}

Test(random_children, lose_no_byte_and_no_end_on_epoll, .timeout = 3600)
{
    run_children(RP_BACKEND_EPOLL);
}

Test(random_children, lose_no_byte_and_no_end_on_kqueue, .timeout = 3600)
{
    run_children(RP_BACKEND_KQUEUE);
}
