/* GLib as an engine: g_spawn_async_with_pipes by its fast path (posix_spawn, for which
 * LEAVE_DESCRIPTORS_OPEN is needed), both pipes watched, a child watch for the status; the next
 * child is spawned from the last one's end. One thread.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <glib-unix.h>
#include <glib.h>

#include "bench/engine.h"

typedef struct kid kid;
typedef struct engine {
    const rpi_engine_job *job;
    rpi_engine_result *result;
    GMainLoop *loop;
    kid *kids; /* at_once of them, then the sleepers */
    size_t started, done, bytes;
    uint64_t deadline_ns;
    char buffer[65536];
} engine;
struct kid {
    engine *engine; /* borrowed */
    int fds[2];
    int open;
};

static int start_kid(engine *e, kid *k);

static void part_ended(kid *k)
{
    engine *e = k->engine;

    if (--k->open > 0) {
        return;
    }
    e->done++;
    if (e->result->outcome != RPI_FAILED && e->started < e->job->total &&
        rp_now_ns() < e->deadline_ns) {
        (void)start_kid(e, k);
    } else if (e->done == e->started) {
        g_main_loop_quit(e->loop);
    }
}

static gboolean on_readable(gint fd, GIOCondition condition, gpointer user)
{
    kid *k = user;
    ssize_t n = read(fd, k->engine->buffer, sizeof k->engine->buffer);

    (void)condition;
    if (n > 0) {
        k->engine->bytes += (size_t)n;
        return G_SOURCE_CONTINUE;
    }
    (void)close(fd);
    part_ended(k);
    return G_SOURCE_REMOVE;
}

static void on_exit_status(GPid pid, gint status, gpointer user)
{
    kid *k = user;

    g_spawn_close_pid(pid);
    if (status != 0) {
        (void)rpi_engine_fail(k->engine->result, "a child ended with wait status %d", status);
    }
    part_ended(k);
}

static int spawn(engine *e, kid *k, const char *const *argv, bool sleeps)
{
    GSpawnFlags flags =
        G_SPAWN_DO_NOT_REAP_CHILD | G_SPAWN_CLOEXEC_PIPES | G_SPAWN_LEAVE_DESCRIPTORS_OPEN;
    GError *error = NULL;
    GPid pid;

    if (sleeps) {
        flags |= G_SPAWN_STDERR_TO_DEV_NULL;
    }
    k->engine = e;
    if (!g_spawn_async_with_pipes(NULL, (gchar **)(uintptr_t)argv, NULL, flags, NULL, NULL, &pid,
                                  NULL, &k->fds[0], sleeps ? NULL : &k->fds[1], &error)) {
        (void)rpi_engine_fail(e->result, "g_spawn_async_with_pipes: %s", error->message);
        g_error_free(error);
        return -1;
    }
    k->open = sleeps ? 2 : 3;
    (void)g_child_watch_add(pid, on_exit_status, k);
    (void)g_unix_fd_add(k->fds[0], G_IO_IN | G_IO_HUP, on_readable, k);
    if (!sleeps) {
        (void)g_unix_fd_add(k->fds[1], G_IO_IN | G_IO_HUP, on_readable, k);
    }
    return 0;
}

static int start_kid(engine *e, kid *k)
{
    if (spawn(e, k, e->job->argv, false) < 0) {
        g_main_loop_quit(e->loop);
        return -1;
    }
    e->started++;
    return 0;
}

static int run_children(engine *e)
{
    for (size_t i = 0; i < e->job->sleepers; i++) {
        if (spawn(e, &e->kids[e->job->at_once + i], e->job->sleeper_argv, true) < 0) {
            return -1;
        }
    }
    rpi_meter_start(&e->result->meter);
    e->deadline_ns = rp_now_ns() + e->job->time_max_ns;
    for (size_t i = 0; i < e->job->at_once && e->started < e->job->total; i++) {
        if (rp_now_ns() > e->deadline_ns) {
            break;
        }
        if (start_kid(e, &e->kids[i]) < 0) {
            return -1;
        }
    }
    g_main_loop_run(e->loop);
    rpi_meter_stop(&e->result->meter);
    e->result->done = e->done;
    return e->result->outcome == RPI_FAILED ? -1 : 0;
}

int rpi_engine_glib(const rpi_engine_job *job, rpi_engine_result *ret_result)
{
    static engine
        e; /* sources point here to the end of the worker process where sleepers are alive */
    int r;

    e.job = job;
    e.result = ret_result;
    e.kids = calloc(job->at_once + job->sleepers, sizeof *e.kids);
    if (e.kids == NULL) {
        return rpi_engine_fail(ret_result, "out of memory");
    }
    e.loop = g_main_loop_new(NULL, FALSE);
    r = run_children(&e);
    g_main_loop_unref(e.loop);
    return r;
}
