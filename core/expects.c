/* See expect.h: the expects of one process as its observer, and their reports. A task tells what
 * was decided: it acts, takes the text up to the end of the match, calls back, and lets go what
 * nobody needs any more. */
#include <errno.h>
#include <string.h>

#include "base/status.h"
#include "core/expect.h"
#include "core/loop.h"
#include "core/process.h"

enum {
    TAIL = 4096 /* rp_match.tail */
};

static const rpi_observer_api api;

static rp_expect *expect_of(rpi_list *node)
{
    return RPI_CONTAINER(node, rp_expect, node);
}

static rpi_window *window_of(rpi_list *node)
{
    return RPI_CONTAINER(node, rpi_window, node);
}

/* ---- taking out ------------------------------------------------------------------- */

static void window_free(rpi_window *window)
{
    const rp_allocator *allocator = window->allocator;

    rpi_window_fini(window);
    rpi_free(allocator, window, sizeof *window);
}

/* Takes an expect out of all but memory. */
static void disarm(rp_expect *expect)
{
    rpi_reactor *reactor = rpi_process_reactor(expect->owner->process);

    rpi_list_remove(&expect->node);
    rpi_timer_off(reactor, &expect->timer);
    if (!expect->owner->closed) {
        reactor->left--;
    }
    expect->window->users--;
}

/* A window that nobody searches stays until more comes: the next expect may want what it holds. */
static void release_window(rpi_expects *expects, rpi_window *window)
{
    if (window->kind == RP_TEXT_SCREEN) {
        return;
    }
    rpi_expects_trim(expects, window);
    if (window->users == 0 && (window->count == 0 || window->ended ||
                               !rpi_window_is_current(expects->process, window, 0, 0))) {
        window_free(window);
    }
}

static void free_memory(rp_expect *expect)
{
    rp_process *process = expect->owner->process;

    rpi_timer_fini(rpi_process_reactor(process), &expect->timer);
    rpi_matcher_free(expect->matcher);
    rpi_free(&process->loop->allocator, expect, expect->block_size);
}

void rpi_expect_free(rp_expect *expect)
{
    rpi_expects *expects = expect->owner;
    rpi_window *window = expect->window;

    disarm(expect);
    free_memory(expect);
    release_window(expects, window);
    rpi_process_advance_later(expects->process);
}

/* ---- reporting ------------------------------------------------------------------------------ */

static rp_view view_of(const rp_expect *expect, const rpi_matcher_span *span)
{
    if (span->start == UINT64_MAX) {
        return (rp_view){NULL, 0};
    }
    return rpi_window_view(expect->window, span->start, span->end);
}

static void fill_match(rp_expect *expect, rp_match *ret_match)
{
    rpi_window *window = expect->window;
    uint64_t end = rpi_window_end(window);
    uint64_t begin = window->kind == RP_TEXT_SCREEN ? window->offset : expect->floor;
    uint64_t tail = end - begin > TAIL ? end - TAIL : begin;
    uint64_t from = expect->floor;
    rpi_matcher_result found;

    *ret_match = (rp_match){.status = expect->status};
    if (expect->status != 0) {
        ret_match->tail = rpi_window_view(window, tail, end);
        return;
    }
    rpi_matcher_result_of(expect->matcher, &found);
    for (size_t i = 0; i < found.group_count; i++) {
        expect->views[i] = view_of(expect, &found.groups[i]);
    }
    ret_match->pattern = found.pattern;
    if (found.groups[0].start - from > expect->window_max) {
        from = found.groups[0].start - expect->window_max;
    }
    ret_match->before = rpi_window_view(window, from, found.groups[0].start);
    ret_match->matched = expect->views[0];
    ret_match->groups = expect->views;
    ret_match->group_count = found.group_count;
    ret_match->offset = found.groups[0].start - expect->begun;
}

/* The text up to the end of a match is taken: for the next expect, and for who pulls. */
static void take(rp_expect *expect, uint64_t end)
{
    rpi_expects *expects = expect->owner;
    rp_process *process = expects->process;
    rpi_window *window = expect->window;
    uint64_t ends[2];

    if (window->kind == RP_TEXT_SCREEN) {
        expects->seen = window->generation;
        return;
    }
    if (end > window->taken) {
        window->taken = end;
    }
    rpi_window_place(window, end, rpi_expects_kept_at, process, ends);
    for (unsigned int i = 0; i < 2; i++) {
        if ((window->streams & (1U << i)) == 0 || ends[i] <= expects->taken[i]) {
            continue;
        }
        expects->taken[i] = ends[i];
        if (process->pull != NULL) {
            rpi_pull_skip(&process->streams[i], ends[i]);
        }
    }
}

static int act(rp_expect *expect, const rp_action *action)
{
    rp_process *process = expect->owner->process;

    switch (action->kind) {
    case RP_ACT_WRITE:
        return rp_write(process, action->bytes, NULL, NULL);
    case RP_ACT_INTERRUPT:
        return rp_interrupt(process);
    case RP_ACT_TERMINATE:
        return rp_terminate(process);
    case RP_ACT_KILL:
        return rp_kill(process);
    case RP_ACT_NONE:
        break;
    }
    return 0;
}

/* Expects on behind a match, of which it took note only. Behind an empty one the next byte is
 * passed over, or it would be found for ever. */
static void go_on(rp_expect *expect, const rpi_matcher_span *match)
{
    expect->decided = false;
    expect->origin = match->end;
    expect->floor = match->end;
    rpi_matcher_begin(expect->matcher, match->end);
    if (match->end == match->start) {
        rpi_matcher_forget(expect->matcher, match->end + 1);
    }
    rpi_expect_set_timer(expect);
    if (expect->window->kind == RP_TEXT_SCREEN) { /* when it has changed */
        if (expect->window->ended) {
            rpi_expect_end(expect, RP_EOS);
        }
        return;
    }
    rpi_expect_look(expect, true);
    if (!expect->decided) {
        rpi_expects_trim(expect->owner, expect->window);
        rpi_expect_catch_up(expect);
    }
}

/* Acts on a match. True: it expects on; false: it is to be reported. */
static bool settle(rp_expect *expect)
{
    rpi_matcher_result found;
    const rp_action *action;
    int r;

    while (expect->decided) {
        if (expect->status != 0) {
            return false;
        }
        rpi_matcher_result_of(expect->matcher, &found);
        take(expect, found.groups[0].end);
        if (expect->actions == NULL) {
            return false;
        }
        action = &expect->actions[found.pattern];
        r = act(expect, action);
        if (r < 0) {
            expect->status = r;
            (void)strncpy(expect->detail, rp_error_detail(), sizeof expect->detail - 1);
            return false;
        }
        if (!action->again) {
            return false;
        }
        go_on(expect, &found.groups[0]);
    }
    return true;
}

static void report(rp_expect *expect)
{
    rpi_expects *expects = expect->owner;
    rp_process *process = expects->process;
    rpi_window *window = expect->window;
    rp_match match;

    fill_match(expect, &match);
    disarm(expect);
    rpi_detail_set(expect->detail[0] != '\0' ? expect->detail : NULL);
    expect->matched(process, &match, expect->user);
    free_memory(expect);
    if (!expects->closed) {
        release_window(expects, window);
        rpi_process_advance_later(process);
    }
}

/* Reports all that is decided now; what the callbacks start and is decided at once belongs to the
 * next turn. */
static void run_task(rpi_task *task)
{
    rpi_expects *expects = RPI_CONTAINER(task, rpi_expects, task);
    rpi_list *node;

    rpi_expects_look_at_screen(expects);
    node = expects->armed.next;
    while (node != &expects->armed) {
        rp_expect *expect = expect_of(node);

        node = node->next;
        if (expect->decided) {
            rpi_list_remove(&expect->node);
            rpi_list_append(&expects->due, &expect->node);
        } else {
            rpi_expect_watch_rings(expect);
        }
    }
    while (!expects->closed && (node = expects->due.next) != &expects->due) {
        rp_expect *expect = expect_of(node);

        rpi_list_remove(node);
        rpi_list_append(&expects->armed, node); /* in a window's eyes it still is */
        if (!settle(expect)) {
            report(expect);
        }
    }
}

/* ---- observing ---------------------------------------------------------------------------------
 */

static void on_output(rpi_observer *observer, rpi_stream *stream, rp_view bytes)
{
    rpi_expects *expects = RPI_CONTAINER(observer, rpi_expects, observer);
    rp_process *process = expects->process;
    rpi_list *node = expects->windows.next;

    while (node != &expects->windows) {
        rpi_window *window = window_of(node);

        node = node->next;
        if ((window->streams & (1U << stream->index)) == 0) {
            continue;
        }
        if (window->users == 0) {
            window_free(window);
        } else if (rpi_window_is_current(process, window, stream->index, bytes.size)) {
            (void)rpi_expects_take_in(expects, window, stream->index, bytes);
        }
    }
    if ((expects->screen != NULL && expects->screen->users > 0) ||
        (process->pull != NULL && rpi_ring_free(&stream->ring) == 0)) {
        rpi_task_start(rpi_process_reactor(process), &expects->task);
    }
}

/* Whether nothing more comes for some windows. */
static void see_ends(rpi_expects *expects)
{
    if (expects->screen != NULL && rpi_window_is_over(expects->process, expects->screen)) {
        expects->screen->ended = true;
        rpi_task_start(rpi_process_reactor(expects->process), &expects->task);
    }
    for (rpi_list *place = expects->windows.next; place != &expects->windows; place = place->next) {
        rpi_window *window = window_of(place);

        if (!window->ended && rpi_window_is_over(expects->process, window) &&
            rpi_window_is_current(expects->process, window, 0, 0)) {
            window->ended = true;
            rpi_expects_look_all(expects, window, true);
        }
    }
}

static void on_ended(rpi_observer *observer, rpi_stream *stream)
{
    (void)stream;
    see_ends(RPI_CONTAINER(observer, rpi_expects, observer));
}

static void on_exited(rpi_observer *observer)
{
    see_ends(RPI_CONTAINER(observer, rpi_expects, observer));
}

static bool on_holds_done(const rpi_observer *observer)
{
    const char *place = (const char *)observer - offsetof(rpi_expects, observer);
    const rpi_expects *expects = (const rpi_expects *)(const void *)place;

    return !rpi_list_is_empty(&expects->armed) || !rpi_list_is_empty(&expects->due);
}

static void quiet(rpi_expects *expects, rpi_list *list)
{
    for (rpi_list *place = list->next; place != list; place = place->next) {
        rpi_reactor *reactor = rpi_process_reactor(expects->process);

        rpi_timer_off(reactor, &expect_of(place)->timer);
        reactor->left--;
    }
}

static void on_closed(rpi_observer *observer)
{
    rpi_expects *expects = RPI_CONTAINER(observer, rpi_expects, observer);

    quiet(expects, &expects->armed);
    quiet(expects, &expects->due);
    rpi_task_cancel(&expects->task);
    expects->closed = true;
}

static void free_list(rpi_list *list)
{
    rpi_list *node;

    while ((node = rpi_list_take_first(list)) != NULL) {
        free_memory(expect_of(node));
    }
}

static void on_drop(rpi_observer *observer)
{
    rpi_expects *expects = RPI_CONTAINER(observer, rpi_expects, observer);
    const rp_allocator *allocator = &expects->process->loop->allocator;

    rpi_task_cancel(&expects->task);
    free_list(&expects->armed);
    free_list(&expects->due);
    while (!rpi_list_is_empty(&expects->windows)) {
        window_free(window_of(expects->windows.next));
    }
    if (expects->screen != NULL) {
        window_free(expects->screen);
    }
    rpi_expects_let_go(expects);
    rpi_free(allocator, expects, sizeof *expects);
}

static const rpi_observer_api api = {.output = on_output,
                                     .ended = on_ended,
                                     .exited = on_exited,
                                     .holds_done = on_holds_done,
                                     .closed = on_closed,
                                     .drop = on_drop};

rpi_expects *rpi_expects_of(rp_process *process)
{
    rpi_expects *expects;

    for (rpi_list *place = process->observers.next; place != &process->observers;
         place = place->next) {
        rpi_observer *observer = RPI_CONTAINER(place, rpi_observer, node);

        if (observer->api == &api) {
            return RPI_CONTAINER(observer, rpi_expects, observer);
        }
    }
    expects = rpi_alloc_zero(&process->loop->allocator, sizeof *expects);
    if (expects == NULL) {
        return NULL;
    }
    expects->process = process;
    rpi_list_init(&expects->windows);
    rpi_list_init(&expects->armed);
    rpi_list_init(&expects->due);
    rpi_task_init(&expects->task, run_task);
    rpi_observer_add(process, &expects->observer, &api, false);
    return expects;
}

void rpi_expects_let_go(rpi_expects *expects)
{
    rpi_free(&expects->process->loop->allocator, expects->kept.memory, expects->kept.size);
    expects->kept = (rpi_expect_kept){NULL, 0};
}
