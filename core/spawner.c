/* The spawner: a queue, the threads that work on it, and the way back into the loop. What a thread
 * does with a launch is the operating system's side (core/spawn.h).
 *
 * Threads are started when a launch finds none idle, up to the limit, and stay as long as the loop:
 * a short-lived thread would cost more than the child. A finished launch goes onto a list, and a
 * bell (rpi_async) is rung; the loop empties the whole list by one ring. Without threads the
 * launches are carried out in the loop's thread, one a turn, so that a long queue does not starve
 * the rest.
 *
 * The mutex guards queue, finished list and the counts; a launch's results are written by its
 * thread alone and read by the loop after it came through the list. */
#include "core/spawner.h"

#include <pthread.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "core/spawn.h"

#define THREAD_MAX 64 /* more never helped; keeps a mistaken option from starting thousands */

typedef struct worker {
    rpi_spawner *spawner; /* borrowed */
    uint32_t lane;
    pthread_t thread;
} worker;

struct rpi_spawner {
    rpi_spawner_options options;
    rpi_spawn_site *site;
    rpi_async bell;
    rpi_task task;       /* without threads: one launch a turn */
    uint32_t busy;       /* of the loop's thread: handed over and not given back */
    uint32_t thread_max; /* 0 = none */
    pthread_mutex_t mutex;
    pthread_cond_t wanted;
    rpi_list queue; /* all under the mutex from here */
    rpi_list finished;
    uint32_t idle; /* threads that wait */
    uint32_t queued;
    bool closing;
    uint32_t thread_count; /* started; the loop's thread alone writes it */
    worker workers[];
};

static rpi_launch *launch_of(rpi_list *node)
{
    return RPI_CONTAINER(node, rpi_launch, node);
}

static void lock(rpi_spawner *spawner)
{
    (void)pthread_mutex_lock(&spawner->mutex); // cannot fail: a plain mutex
}

static void unlock(rpi_spawner *spawner)
{
    (void)pthread_mutex_unlock(&spawner->mutex); // cannot fail: it is ours
}

/* ---- a thread ---- */

/* The next launch, waited for; NULL: the spawner closes. Under the mutex. */
static rpi_launch *next_launch(rpi_spawner *spawner)
{
    rpi_launch *launch = NULL;

    while (rpi_list_is_empty(&spawner->queue) && !spawner->closing) {
        spawner->idle++;
        (void)pthread_cond_wait(&spawner->wanted, &spawner->mutex); // cannot fail
        spawner->idle--;
    }
    if (rpi_list_is_empty(&spawner->queue)) {
        return NULL;
    }
    launch = launch_of(rpi_list_take_first(&spawner->queue));
    spawner->queued--;
    return launch;
}

static void *worker_main(void *argument)
{
    const worker *self = argument;
    rpi_spawner *spawner = self->spawner;
    rpi_launch *launch = NULL;
    bool rings = false;

    lock(spawner);
    while ((launch = next_launch(spawner)) != NULL) {
        unlock(spawner);
        rpi_spawn_carry_out(spawner->site, self->lane, launch);
        lock(spawner);
        rings = rpi_list_is_empty(&spawner->finished); // else it rings already
        rpi_list_append(&spawner->finished, &launch->node);
        if (rings) { // without the lock: the loop that it wakes takes it first
            unlock(spawner);
            rpi_async_send(&spawner->bell);
            lock(spawner);
        }
    }
    unlock(spawner);
    return NULL;
}

/* One more thread. Without any the loop's own must do. */
static void start_worker(rpi_spawner *spawner)
{
    worker *fresh = &spawner->workers[spawner->thread_count];

    fresh->spawner = spawner;
    fresh->lane = spawner->thread_count + 1;
    if (rpi_spawn_thread_start(worker_main, fresh, &fresh->thread) == 0) {
        spawner->thread_count++;
    }
}

/* ---- the loop's side ---- */

static void give_back(rpi_spawner *spawner, rpi_launch *launch)
{
    RP_ASSERT(spawner->busy > 0);
    spawner->busy--;
    spawner->options.launched(launch, spawner->options.user);
}

/* Gives back what the threads have finished. */
static void deliver(rpi_spawner *spawner)
{
    rpi_list finished;
    rpi_list *node = NULL;

    rpi_list_init(&finished);
    lock(spawner);
    rpi_list_move_all(&finished, &spawner->finished);
    unlock(spawner);
    while ((node = rpi_list_take_first(&finished)) != NULL) {
        give_back(spawner, launch_of(node));
    }
}

static void bell_rang(rpi_async *async)
{
    deliver(RPI_CONTAINER(async, rpi_spawner, bell));
}

/* Without threads: carries the first of the queue out. */
static void run_one(rpi_task *task)
{
    rpi_spawner *spawner = RPI_CONTAINER(task, rpi_spawner, task);
    rpi_list *node = NULL;
    bool more = false;

    lock(spawner); // a thread may have come to be since
    node = rpi_list_take_first(&spawner->queue);
    if (node != NULL) {
        spawner->queued--;
    }
    more = spawner->queued > 0;
    unlock(spawner);
    if (node == NULL) {
        return;
    }
    rpi_spawn_carry_out(spawner->site, 0, launch_of(node));
    if (more) {
        rpi_task_start(spawner->options.reactor, &spawner->task);
    }
    give_back(spawner, launch_of(node));
}

/* How many threads serve a program best: measured with children that do nothing, where the most is
 * asked of the spawner. */
static uint32_t choose_thread_max(uint32_t wanted)
{
    uint32_t count = wanted;

    if (wanted == RP_SPAWN_INLINE) {
        return 0;
    }
    if (wanted == 0) {
        count = 2 * rpi_spawn_processors();
        return count > 8 ? 8 : count;
    }
    return count > THREAD_MAX ? THREAD_MAX : count;
}

static size_t size_of(const rpi_spawner *spawner)
{
    return sizeof *spawner + spawner->thread_max * sizeof(worker);
}

int rpi_spawner_open(const rpi_spawner_options *options, rpi_spawner **ret_spawner)
{
    const uint32_t thread_max = choose_thread_max(options->threads);
    rpi_spawner *spawner =
        rpi_alloc_zero(options->allocator, sizeof *spawner + thread_max * sizeof(worker));
    int r = -ENOMEM;

    if (spawner == NULL) {
        return r;
    }
    spawner->options = *options;
    spawner->thread_max = thread_max;
    rpi_list_init(&spawner->queue);
    rpi_list_init(&spawner->finished);
    r = -pthread_mutex_init(&spawner->mutex, NULL);
    if (r < 0) {
        goto no_mutex;
    }
    r = -pthread_cond_init(&spawner->wanted, NULL);
    if (r < 0) {
        goto no_cond;
    }
    r = rpi_spawn_site_open(options->allocator, options->method, thread_max + 1, &spawner->site);
    if (r < 0) {
        goto no_site;
    }
    rpi_async_init(options->reactor, &spawner->bell, bell_rang);
    rpi_task_init(&spawner->task, run_one);
    *ret_spawner = spawner;
    return 0;

no_site:
    (void)pthread_cond_destroy(&spawner->wanted); // cannot fail: nobody waits
no_cond:
    (void)pthread_mutex_destroy(&spawner->mutex); // cannot fail: nobody holds it
no_mutex:
    rpi_free(options->allocator, spawner, size_of(spawner));
    return r;
}

/* In a forked child: the threads are not here, and one of them may hold the mutex for ever.
 * Launches that they were carrying out cannot be found any more. */
static void close_forked(rpi_spawner *spawner)
{
    rpi_list *node = NULL;

    if (pthread_mutex_trylock(&spawner->mutex) == 0) {
        rpi_list_move_all(&spawner->queue, &spawner->finished);
        while ((node = rpi_list_take_first(&spawner->queue)) != NULL) {
            rpi_launch_free(launch_of(node));
        }
        unlock(spawner);
    }
    rpi_task_cancel(&spawner->task);
    rpi_async_fini(&spawner->bell);
    rpi_spawn_site_close_forked(spawner->site);
    rpi_free(spawner->options.allocator, spawner, size_of(spawner));
}

void rpi_spawner_close(rpi_spawner *spawner)
{
    rpi_list dropped;
    rpi_list *node = NULL;
    uint32_t i;

    if (spawner == NULL) {
        return;
    }
    if (rpi_reactor_is_forked(spawner->options.reactor)) {
        close_forked(spawner);
        return;
    }
    rpi_list_init(&dropped);
    lock(spawner);
    spawner->closing = true;
    rpi_list_move_all(&dropped, &spawner->queue);
    spawner->queued = 0;
    (void)pthread_cond_broadcast(&spawner->wanted); // cannot fail
    unlock(spawner);
    rpi_task_cancel(&spawner->task);
    while ((node = rpi_list_take_first(&dropped)) != NULL) {
        launch_of(node)->error = RP_ECANCELED;
        give_back(spawner, launch_of(node));
    }
    for (i = 0; i < spawner->thread_count; i++) {
        (void)pthread_join(spawner->workers[i].thread, NULL); // cannot fail: it was started
    }
    deliver(spawner);
    RP_ASSERT(spawner->busy == 0);
    rpi_async_fini(&spawner->bell);
    rpi_spawn_site_close(spawner->site);
    (void)pthread_cond_destroy(&spawner->wanted); // cannot fail: nobody waits
    (void)pthread_mutex_destroy(&spawner->mutex); // cannot fail: nobody holds it
    rpi_free(spawner->options.allocator, spawner, size_of(spawner));
}

void rpi_spawner_submit(rpi_spawner *spawner, rpi_launch *launch)
{
    bool wakes = false;
    bool crowded = false;

    RP_ASSERT(!spawner->closing);
    spawner->busy++;
    launch->launched_ns = 0; // says that nobody has begun it; rpi_spawner_take_back looks
    lock(spawner);
    rpi_list_append(&spawner->queue, &launch->node);
    spawner->queued++;
    wakes = spawner->idle > 0;
    crowded = spawner->queued > spawner->idle;
    unlock(spawner);
    if (wakes) {
        (void)pthread_cond_signal(&spawner->wanted); // cannot fail
    }
    if (crowded && spawner->thread_count < spawner->thread_max) {
        start_worker(spawner);
    }
    if (spawner->thread_count == 0) {
        rpi_task_start(spawner->options.reactor, &spawner->task);
    }
}

bool rpi_spawner_take_back(rpi_spawner *spawner, rpi_launch *launch)
{
    bool taken = false;

    lock(spawner);
    // Neither in a thread's hands (in no list) nor finished (begun), nor being given back by close.
    if (!spawner->closing && !rpi_list_is_empty(&launch->node) && launch->launched_ns == 0) {
        rpi_list_remove(&launch->node);
        spawner->queued--;
        taken = true;
    }
    unlock(spawner);
    if (taken) {
        spawner->busy--;
    }
    return taken;
}

void rpi_spawner_run(rpi_spawner *spawner, rpi_launch *launch)
{
    rpi_spawn_carry_out(spawner->site, 0, launch);
}

uint32_t rpi_spawner_busy(const rpi_spawner *spawner)
{
    return spawner->busy;
}

rpi_spawn_method rpi_spawner_method(const rpi_spawner *spawner)
{
    return rpi_spawn_site_method(spawner->site);
}
