/* stall: how long the loop keeps an event waiting while it starts children as fast as it can, a
 * thousand in its queue. Two probes: a timerfd that ticks every 500 us, watched by each loop as a
 * descriptor of the user's, how late it is seen; and a loop that spins, where a turn of length g
 * makes an event that comes at random wait up to g. `floor` is a thread that does nothing else,
 * beside bare threads that launch as fast: what the machine's scheduler costs anybody.
 */
#include <errno.h>
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "bench/engine.h"
#include "bench/stall.h"

enum {
    STALL_P99,
    STALL_MAX,
    STALL_MEDIAN,
    STALL_QUEUE,
    STALL_COUNT,
    STALL_METRICS,
    WAIT_MAX = 1 << 22
};

static const rpi_metric stall_metrics[STALL_METRICS] = {
    [STALL_P99] = {"p99", "us", false},    [STALL_MAX] = {"max", "us", false},
    [STALL_MEDIAN] = {"p50", "us", false}, [STALL_QUEUE] = {"call", "us/spawn", false},
    [STALL_COUNT] = {"seen", "", true},
};

/* ---- the probe ---- */

static void add_wait(rpi_stall *stall, uint64_t wait_ns)
{
    if (stall->wait_count < WAIT_MAX) {
        stall->waits[stall->wait_count++] = wait_ns;
    }
}

void rpi_stall_begin(rpi_stall *stall)
{
    const long tick_ns = RPI_STALL_TICK_US * 1000L;
    struct itimerspec period = {.it_interval = {0, tick_ns}, .it_value = {0, tick_ns}};

    stall->begin_ns = rp_now_ns();
    stall->last_ns = stall->begin_ns;
    (void)timerfd_settime(stall->timer_fd, 0, &period, NULL); /* valid arguments: cannot fail */
}

void rpi_stall_on_turn(rpi_stall *stall)
{
    uint64_t now_ns = rp_now_ns();

    add_wait(stall, now_ns - stall->last_ns);
    stall->last_ns = now_ns;
}

void rpi_stall_on_tick(rpi_stall *stall)
{
    const uint64_t tick_ns = (uint64_t)RPI_STALL_TICK_US * 1000;
    uint64_t expired = 0;
    uint64_t now_ns;

    if (read(stall->timer_fd, &expired, sizeof expired) != (ssize_t)sizeof expired) {
        return; /* EAGAIN: a wake-up for nothing */
    }
    now_ns = rp_now_ns();
    for (; expired > 0; expired--) { /* each missed tick has waited too */
        uint64_t due_ns = stall->begin_ns + ++stall->tick_count * tick_ns;

        add_wait(stall, now_ns > due_ns ? now_ns - due_ns : 0);
    }
}

static int compare_waits(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a;
    uint64_t right = *(const uint64_t *)b;

    return (left > right) - (left < right);
}

/* What part of all time an event would have had to wait longer than `wait_ns`, from the lengths of
 * turns. */
static double part_longer(const rpi_stall *stall, double wait_ns)
{
    double longer = 0.0;
    double all = 0.0;

    for (size_t i = 0; i < stall->wait_count; i++) {
        double turn = (double)stall->waits[i];

        all += turn;
        longer += turn > wait_ns ? turn - wait_ns : 0.0;
    }
    return longer / all;
}

static double wait_at(const rpi_stall *stall, double part)
{
    double low = 0.0;
    double high = (double)stall->waits[stall->wait_count - 1];

    if (!stall->spins) {
        size_t rank = (size_t)ceil(part * (double)stall->wait_count);

        return (double)stall->waits[rank > 0 ? rank - 1 : 0];
    }
    for (int i = 0; i < 40; i++) {
        double middle = (low + high) / 2.0;

        if (part_longer(stall, middle) > 1.0 - part) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return high;
}

static void store(rpi_stall *stall, rpi_sample *sample)
{
    if (stall->wait_count == 0) {
        rpi_fail(sample, "the probe saw nothing");
        return;
    }
    qsort(stall->waits, stall->wait_count, sizeof stall->waits[0], compare_waits);
    sample->values[STALL_P99] = wait_at(stall, 0.99) / 1e3;
    sample->values[STALL_MEDIAN] = wait_at(stall, 0.5) / 1e3;
    sample->values[STALL_MAX] = (double)stall->waits[stall->wait_count - 1] / 1e3;
    sample->values[STALL_QUEUE] = stall->queue_ns / 1e3 / (double)stall->at_once;
    sample->values[STALL_COUNT] = (double)stall->wait_count;
}

/* ---- ours ---- */

typedef struct ours {
    rpi_stall *stall;
    rp_loop *loop;
    rp_command command;
    rp_handlers handlers;
    size_t started, done;
    bool finished;
} ours;

static void start_next(ours *o)
{
    int r = rp_spawn(o->loop, &o->command, &o->handlers, o, NULL);

    if (r < 0) {
        rpi_fail(o->stall->sample, "rp_spawn: %s: %s", rp_error_name(r), rp_error_detail());
        o->finished = true;
    }
    o->started++;
}

static void on_data(rp_process *process, rp_stream stream, rp_view bytes, void *user)
{
    (void)process;
    (void)stream;
    (void)bytes;
    (void)user;
}

static void on_done(rp_process *process, const rp_exit *exit, void *user)
{
    ours *o = user;

    (void)process;
    if (exit->kind != RP_EXITED || exit->code != 0) {
        rpi_fail(o->stall->sample, "a child ended: kind %d, code %d, error %s", (int)exit->kind,
                 exit->code, rp_error_name(exit->error));
        o->finished = true;
    }
    o->done++;
    if (o->started < o->stall->total) {
        start_next(o);
    }
    o->finished = o->finished || o->done == o->started;
    if (o->finished) {
        rp_loop_stop(o->loop);
    }
}

static void on_ready(rp_watch *watch, uint32_t events, void *user)
{
    ours *o = user;

    (void)watch;
    (void)events;
    rpi_stall_on_tick(o->stall);
}

static int run_loop(ours *o)
{
    rp_watch *watch;
    int r;

    if (o->stall->spins) {
        do {
            r = rp_loop_run_once(o->loop, 0);
            rpi_stall_on_turn(o->stall);
        } while (r >= 0 && !o->finished);
        return r;
    }
    r = rp_watch_start(o->loop, o->stall->timer_fd, RP_READABLE, on_ready, o, &watch);
    if (r < 0) {
        return r;
    }
    r = o->finished ? 0 : rp_loop_run(o->loop);
    rp_watch_close(watch);
    return r;
}

static void stall_ours(rpi_stall *stall)
{
    ours o = {
        .stall = stall, .command = RP_COMMAND_INIT, .handlers = {.data = on_data, .done = on_done}};
    rp_loop_options options = RP_LOOP_OPTIONS_INIT;
    uint64_t start_ns;
    int r;

    options.backend = stall->backend;
    options.spawn_threads = stall->threads;
    o.command.argv = stall->argv;
    r = rp_loop_open(&options, &o.loop);
    if (r < 0) {
        rpi_skip(stall->sample, "rp_loop_open: %s: %s", rp_error_name(r), rp_error_detail());
        return;
    }
    start_ns = rp_now_ns();
    for (size_t i = 0; i < stall->at_once && !o.finished; i++) {
        start_next(&o);
    }
    stall->queue_ns = (double)(rp_now_ns() - start_ns);
    rpi_stall_begin(stall);
    r = run_loop(&o);
    if (r < 0 && stall->sample->outcome == RPI_MEASURED) {
        rpi_fail(stall->sample, "the loop: %s: %s", rp_error_name(r), rp_error_detail());
    }
    (void)rp_loop_close(o.loop); /* children that are left belong to a sample that failed */
}

/* ---- the floor ---- */

typedef struct floor_launches {
    rpi_engine_job job;
    rpi_engine_result result;
    bool finished; /* atomic */
} floor_launches;

static void *launch(void *user)
{
    floor_launches *f = user;

    (void)rpi_engine_bare_flat(&f->job, &f->result);
    __atomic_store_n(&f->finished, true, __ATOMIC_RELEASE);
    return NULL;
}

static void stall_floor(rpi_stall *stall)
{
    static floor_launches f;
    pthread_t thread;

    f.job = (rpi_engine_job){.argv = stall->argv,
                             .at_once = stall->at_once < 64 ? stall->at_once : 64,
                             .total = stall->total,
                             .bare_threads = stall->bare_threads,
                             .time_max_ns = 60 * RP_SECOND};
    if (pthread_create(&thread, NULL, launch, &f) != 0) {
        rpi_fail(stall->sample, "pthread_create failed");
        return;
    }
    rpi_stall_begin(stall);
    while (!__atomic_load_n(&f.finished, __ATOMIC_ACQUIRE)) {
        struct pollfd item = {.fd = stall->timer_fd, .events = POLLIN};

        if (stall->spins) {
            (void)poll(NULL, 0, 0); /* a turn enters the kernel */
            rpi_stall_on_turn(stall);
        } else if (poll(&item, 1, 100) > 0) {
            rpi_stall_on_tick(stall);
        }
    }
    (void)pthread_join(thread, NULL);
    stall->queue_ns = (double)NAN;
    if (f.result.outcome == RPI_FAILED) {
        rpi_fail(stall->sample, "%.200s", f.result.note);
    }
}

/* ---- the case ---- */

static void
run_stall(const rpi_job *job, rpi_sample *sample, size_t at_once, void (*subject)(rpi_stall *))
{
    char tiny[RPI_PATH_SIZE];
    char sleeper[RPI_PATH_SIZE];
    const char *argv[] = {tiny, NULL};
    rpi_stall stall = {.argv = argv,
                       .at_once = at_once,
                       .spins = job->group == 1,
                       .backend = job->subject->backend,
                       .threads = job->options->threads,
                       .bare_threads = job->options->bare_threads,
                       .sample = sample};

    stall.total = rpi_scaled(job, 10000, at_once);
    if (!rpi_engine_programs(sample, tiny, sleeper) ||
        !rpi_limits_allow(at_once, at_once * 3, sample)) {
        return;
    }
    stall.waits = malloc(WAIT_MAX * sizeof *stall.waits);
    stall.timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (stall.waits == NULL || stall.timer_fd < 0) {
        rpi_fail(sample, "out of memory or descriptors");
        free(stall.waits);
        return;
    }
    memset(stall.waits, 0,
           WAIT_MAX * sizeof *stall.waits); /* no page fault of the probe's own later on */
    subject(&stall);
    if (sample->outcome == RPI_MEASURED) {
        store(&stall, sample);
    }
    (void)close(stall.timer_fd);
    free(stall.waits);
}

static void run_ours(const rpi_job *job, rpi_sample *sample)
{
    run_stall(job, sample, job->size, stall_ours);
}

static void run_floor(const rpi_job *job, rpi_sample *sample)
{
    run_stall(job, sample, job->size, stall_floor);
}

/* As a program would that has a thousand commands to run: all at once. */
static void run_uv(const rpi_job *job, rpi_sample *sample)
{
    run_stall(job, sample, job->size, rpi_stall_uv);
}

/* As kindly as it can be done: 16 at a time, so that a turn never starts many. */
static void run_uv_16(const rpi_job *job, rpi_sample *sample)
{
    run_stall(job, sample, job->size < 16 ? job->size : 16, rpi_stall_uv);
}

static const rpi_subject stall_subjects[] = {
    {.name = "ours_uring", .run = run_ours, .backend = RP_BACKEND_URING},
    {.name = "ours_epoll", .run = run_ours, .backend = RP_BACKEND_EPOLL},
    {.name = "floor", .run = run_floor},
    {.name = "libuv", .run = run_uv},
    {.name = "libuv_16", .run = run_uv_16},
};
static const char *const stall_groups[] = {"ticks", "turns"};
static const size_t stall_sizes[] = {1000};

const rpi_case rpi_case_stall = {
    .name = "stall",
    .question = "how long an event waits for the loop while launches are queued (call: what one "
                "launch call takes)",
    .budget = "p99 < 200 us",
    .size_name = "queued",
    .metrics = stall_metrics,
    .metric_count = STALL_METRICS,
    .groups = stall_groups,
    .group_count = 2,
    .sizes = stall_sizes,
    .size_count = 1,
    .reference_size = SIZE_MAX,
    .scale_sizes = true,
    .subjects = stall_subjects,
    .subject_count = sizeof stall_subjects / sizeof stall_subjects[0],
    .baseline = "floor",
};
