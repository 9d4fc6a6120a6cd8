/* What other threads ask of the loop: posts, each called once, and asyncs, bells that are called
 * once however often they were rung. Both set `called_on` and wake the loop (reactor.h tells how no
 * wake is lost); posts lie in a list under a lock that is held for two stores. */
#include <stdlib.h>

#include "base/assert.h"
#include "base/status.h"
#include "reactor/parts.h"
#include "reactor/reactor.h"

typedef struct rpi_post rpi_post;
struct rpi_post {
    rpi_post *next;
    void (*task)(rp_loop *, void *);
    void *user;
};

static void call_on(rpi_reactor *reactor)
{
    atomic_store(&reactor->called_on, true);
    rpi_reactor_wake(reactor);
}

/* ---- asyncs ---- */

void rpi_async_init(rpi_reactor *reactor, rpi_async *async, rpi_async_fn *run)
{
    async->reactor = reactor;
    async->run = run;
    atomic_init(&async->sent, false);
    rpi_list_init(&async->node);
    rpi_list_append(&reactor->asyncs, &async->node);
}

void rpi_async_fini(rpi_async *async)
{
    rpi_list_remove(&async->node);
}

void rpi_async_send(rpi_async *async)
{
    atomic_store(&async->sent, true);
    call_on(async->reactor);
}

static void run_asyncs(rpi_reactor *reactor)
{
    rpi_list batch;
    rpi_list *node;

    rpi_list_init(&batch);
    rpi_list_move_all(&batch, &reactor->asyncs);
    while ((node = rpi_list_take_first(&batch)) != NULL) {
        rpi_async *async = RPI_CONTAINER(node, rpi_async, node);

        rpi_list_append(&reactor->asyncs, node);
        if (atomic_exchange(&async->sent, false)) {
            reactor->callbacks++;
            async->run(async); // may finish it, and others
        }
    }
}

/* ---- posts ---- */

static rpi_post *take_posts(rpi_reactor *reactor)
{
    rpi_post *first;

    (void)pthread_mutex_lock(&reactor->post_mutex); // fails for no valid mutex of this kind
    first = reactor->post_first;
    reactor->post_first = NULL;
    reactor->post_last = &reactor->post_first;
    (void)pthread_mutex_unlock(&reactor->post_mutex);
    return first;
}

static void run_posts(rpi_reactor *reactor)
{
    rpi_post *post = take_posts(reactor);

    while (post != NULL) {
        rpi_post taken = *post;

        rpi_free(reactor->allocator, post, sizeof *post);
        reactor->callbacks++;
        rpi_detail_clear();
        taken.task((rp_loop *)(void *)reactor, taken.user);
        post = taken.next;
    }
}

int rp_loop_post(rp_loop *loop, void (*task)(rp_loop *, void *), void *user)
{
    rpi_reactor *reactor = rpi_reactor_of(loop);
    rpi_post *post;
    bool closed;

    rpi_detail_clear();
    if (rpi_reactor_is_forked(reactor)) {
        return RP_EPERM;
    }
    if (task == NULL) {
        return rpi_detail(RP_EINVAL, "task is NULL");
    }
    post = rpi_alloc(reactor->allocator, sizeof *post);
    if (post == NULL) {
        return RP_ENOMEM;
    }
    *post = (rpi_post){.task = task, .user = user};
    (void)pthread_mutex_lock(&reactor->post_mutex); // as above
    closed = reactor->posts_closed;
    if (!closed) {
        *reactor->post_last = post;
        reactor->post_last = &post->next;
    }
    (void)pthread_mutex_unlock(&reactor->post_mutex);
    if (closed) { // by a post that rp_loop_close runs
        rpi_free(reactor->allocator, post, sizeof *post);
        return rpi_detail(RP_ECANCELED, "the loop is being closed");
    }
    call_on(reactor);
    return 0;
}

/* ---- for the turn ---- */

int rpi_posts_init(rpi_reactor *reactor)
{
    reactor->post_last = &reactor->post_first;
    return -pthread_mutex_init(&reactor->post_mutex, NULL);
}

void rpi_posts_run(rpi_reactor *reactor)
{
    atomic_store(&reactor->called_on, false); // first: what comes from here on sets it again
    run_asyncs(reactor);
    run_posts(reactor);
}

void rpi_posts_close(rpi_reactor *reactor)
{
    (void)pthread_mutex_lock(&reactor->post_mutex); // as above
    reactor->posts_closed = true;
    (void)pthread_mutex_unlock(&reactor->post_mutex);
    run_posts(reactor);
}

void rpi_posts_fini(rpi_reactor *reactor)
{
    rpi_post *post = reactor->post_first; // without the lock: in a forked child nobody opens it

    while (post != NULL) {
        rpi_post *next = post->next;

        rpi_free(reactor->allocator, post, sizeof *post);
        post = next;
    }
    if (!reactor->forked) {
        RP_ASSERT(pthread_mutex_destroy(&reactor->post_mutex) == 0);
    }
}
