/* Many children on pseudo-terminals that write up to 256 KiB and end at once, at random ends and by
 * random kills, checked byte for byte: nothing lost, nothing doubled, nothing out of order, done
 * exactly once and last, and afterwards terminals, descriptors, memory and children as before. On
 * both backends. RP_STRESS_PTYS says how many (CI runs a shortened form), RP_STRESS_SEED repeats a
 * run. */
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
    SIZE_LIMIT = 256 * 1024,
    ARGUMENT_SIZE = 24
};

struct child {
    struct run *run;
    uint64_t size;
    uint64_t offset;
    uint64_t seen;
    uint64_t kill_at; /* bytes after which it is killed; UINT64_MAX = not */
    bool started, eos, exited, done, killed;
    char end[ARGUMENT_SIZE];
};

struct run {
    rp_loop *loop;
    unsigned char *noise;
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

/* ---- one child ---- */

/* Half of them up to what a terminal holds, half up to the limit. */
static void draw_child(struct run *run, struct child *child)
{
    uint64_t how = next_random(run) % 32;

    child->run = run;
    child->kill_at = UINT64_MAX;
    child->size = next_random(run) % (next_random(run) % 2 == 0 ? UINT64_C(16384) : SIZE_LIMIT + 1);
    child->offset = next_random(run) % (NOISE_PERIOD / 8) * 8;
    if (how == 0) { /* ends only by being killed, at a random byte */
        child->kill_at = next_random(run) % (child->size + 1);
        (void)snprintf(child->end, sizeof child->end, "w");
    } else if (how < 4) {
        (void)snprintf(child->end, sizeof child->end, "s%d", SIGKILL);
    } else {
        (void)snprintf(child->end, sizeof child->end, "e%d", (int)(next_random(run) % 90));
    }
}

static void maybe_kill(struct child *child, rp_process *process)
{
    if (!child->killed && child->seen >= child->kill_at) {
        child->killed = true;
        child->run->kills++;
        cr_assert_eq(rp_kill(process), 0);
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

    cr_assert(child->started && !child->eos && !child->done);
    cr_assert_eq(stream, RP_STDOUT);
    cr_assert_gt(bytes.size, 0);
    cr_assert_leq(child->seen + bytes.size, child->size, "more bytes than were written");
    cr_assert_eq(memcmp(child->run->noise + child->offset + child->seen, bytes.data, bytes.size), 0,
                 "other bytes than were written");
    child->seen += bytes.size;
    child->run->bytes += bytes.size;
    maybe_kill(child, process);
}

static void on_eos(rp_process *process, rp_stream stream, void *user)
{
    struct child *child = user;

    (void)process;
    cr_assert(child->started && !child->eos && !child->done);
    cr_assert_eq(stream, RP_STDOUT);
    child->eos = true;
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
    cr_assert_eq(child->seen, child->size, "bytes are missing: %llu of %llu",
                 (unsigned long long)child->seen, (unsigned long long)child->size);
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
    cr_assert(child->started && child->exited && child->eos && !child->done);
    cr_assert_eq(exit->out_bytes, child->seen);
    cr_assert_eq(exit->err_bytes, 0);
    cr_assert_eq(exit->holders, 0);
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
    char size[ARGUMENT_SIZE];
    char offset[ARGUMENT_SIZE];
    const char *argv[] = {RP_TEST_NOISE_CHILD, size, offset, "0", "0", NULL, "raw", NULL};

    if (run->launched == run->count) {
        return;
    }
    child = &run->children[run->launched++];
    draw_child(run, child);
    (void)snprintf(size, sizeof size, "%llu", (unsigned long long)child->size);
    (void)snprintf(offset, sizeof offset, "%llu", (unsigned long long)child->offset);
    argv[5] = child->end;
    command.argv = argv;
    command.transport = RP_PTY;
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

static void check_loop(rp_loop *loop)
{
    rp_loop_stats stats = {.size = sizeof stats};

    cr_assert_eq(rp_loop_get_stats(loop, &stats), 0);
    cr_assert_eq(stats.ptys, 0);
    cr_assert_eq(stats.descriptors, 0);
}

static void run_children(rp_backend backend)
{
    struct rlimit limit = {.rlim_cur = 4096, .rlim_max = 4096};
    struct run run = {.count = number_from("RP_STRESS_PTYS", CHILDREN_DEFAULT)};
    size_t descriptors;

    (void)setrlimit(RLIMIT_NOFILE, &limit);
    descriptors = open_descriptors();
    run.random = number_from("RP_STRESS_SEED", (size_t)time(NULL));
    printf("seed %llu\n", (unsigned long long)run.random);
    run.noise = malloc(NOISE_PERIOD + SIZE_LIMIT);
    run.children = calloc(run.count, sizeof *run.children);
    cr_assert(run.noise != NULL && run.children != NULL);
    noise_fill(run.noise, NOISE_PERIOD + SIZE_LIMIT, 0);
    open_loop(&run, backend);
    for (int i = 0; i < AT_ONCE; i++) {
        launch_next(&run);
    }
    cr_assert_eq(rp_loop_run(run.loop), 0);
    cr_assert_eq(run.done, run.count, "%zu of %zu are done", run.done, run.count);
    check_loop(run.loop);
    cr_assert_eq(rp_loop_close(run.loop), 0);
    printf("%zu children, %zu killed, %llu bytes\n", run.done, run.kills,
           (unsigned long long)run.bytes);
    cr_assert_eq(open_descriptors(), descriptors, "descriptors are left open");
    cr_assert_eq(live_bytes, 0, "%zu bytes are left", live_bytes);
    cr_assert(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD, "a child is left");
    free(run.children);
    free(run.noise);
}

Test(random_terminals, lose_no_byte_and_no_end_on_uring, .timeout = 3600)
{
    run_children(RP_BACKEND_URING);
}

Test(random_terminals, lose_no_byte_and_no_end_on_epoll, .timeout = 3600)
{
    run_children(RP_BACKEND_EPOLL);
}

Test(random_terminals, lose_no_byte_and_no_end_on_kqueue, .timeout = 3600)
{
    run_children(RP_BACKEND_KQUEUE);
}
