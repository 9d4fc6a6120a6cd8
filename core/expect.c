/* Expects, as callers see them: options are checked and copied, patterns compiled, and the rest is
 * expects.c's. The blocking form starts one, runs turns until it has reported, and keeps a copy of
 * what it found for as long as its caller may look at it. */
#include "core/expect.h"

#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/status.h"
#include "core/command.h"
#include "core/loop.h"
#include "core/process.h"

enum {
    WINDOW_DEFAULT = 1 << 20
};

/* ---- options ------------------------------------------------------------------- */

static int check_action(const rp_process *process, const rp_action *action, size_t index)
{
    bool writes = action->kind == RP_ACT_WRITE;

    if (action->kind < RP_ACT_NONE || action->kind > RP_ACT_KILL) {
        return rpi_detail(RP_EINVAL, "actions[%zu].kind: %d is none", index, (int)action->kind);
    }
    if (writes && process->writer == NULL) {
        return rpi_detail(RP_EINVAL, "actions[%zu]: stdin of the child is not ours to write",
                          index);
    }
    if (writes != (action->bytes.size > 0) || (writes && action->bytes.data == NULL)) {
        return rpi_detail(RP_EINVAL, "actions[%zu].bytes: %s", index,
                          writes ? "none" : "only for RP_ACT_WRITE");
    }
    for (size_t i = 0; i < sizeof action->reserved / sizeof *action->reserved; i++) {
        if (action->reserved[i] != 0) {
            return rpi_detail(RP_E2BIG, "actions[%zu].reserved is set", index);
        }
    }
    return 0;
}

static int check(const rp_process *process, const rp_expect_options *options)
{
    int r = 0;

    if (options->stream < RP_STDIN || options->stream > RP_BOTH) {
        return rpi_detail(RP_EINVAL, "stream: %d is none", (int)options->stream);
    }
    if (options->from < RP_FROM_LAST_MATCH || options->from > RP_FROM_START) {
        return rpi_detail(RP_EINVAL, "from: %d is none", (int)options->from);
    }
    if (options->text < RP_TEXT_RAW || options->text > RP_TEXT_SCREEN) {
        return rpi_detail(RP_EINVAL, "text: %d is none", (int)options->text);
    }
    if (process->pull != NULL && rpi_pull_is_dropping(process)) {
        return rpi_detail(RP_EINVAL, "rp_wait dropped the output of this process");
    }
    for (size_t i = 0; options->actions != NULL && i < options->pattern_count && r == 0; i++) {
        r = check_action(process, &options->actions[i], i);
    }
    return r;
}

/* ---- making --------------------------------------------------------------------- */

typedef struct layout {
    size_t size;
    size_t views, actions, bytes; /* offsets */
} layout;

static layout plan(const rp_expect_options *options, const rpi_matcher *matcher)
{
    layout plan = {.views = sizeof(rp_expect)};

    plan.actions = plan.views + rpi_matcher_group_max(matcher) * sizeof(rp_view);
    plan.bytes = plan.actions;
    if (options->actions != NULL) {
        plan.bytes += options->pattern_count * sizeof(rp_action);
    }
    plan.size = plan.bytes;
    for (size_t i = 0; options->actions != NULL && i < options->pattern_count; i++) {
        plan.size += options->actions[i].bytes.size;
    }
    return plan;
}

static void copy_actions(rp_expect *expect, const rp_expect_options *options, const layout *plan)
{
    rp_action *actions = (rp_action *)(void *)((char *)expect + plan->actions);
    char *bytes = (char *)expect + plan->bytes;

    for (size_t i = 0; i < options->pattern_count; i++) {
        actions[i] = options->actions[i];
        if (actions[i].bytes.size > 0) {
            memcpy(bytes, options->actions[i].bytes.data, actions[i].bytes.size);
            actions[i].bytes.data = bytes;
            bytes += actions[i].bytes.size;
        }
    }
    expect->actions = actions;
}

/* Takes the matcher over on success. */
static int make(const rp_process *process,
                const rp_expect_options *options,
                rpi_matcher *matcher,
                rp_expect **ret_expect)
{
    rpi_reactor *reactor = rpi_process_reactor(process);
    layout planned = plan(options, matcher);
    rp_expect *expect = rpi_alloc_zero(&process->loop->allocator, planned.size);

    if (expect == NULL) {
        return -ENOMEM;
    }
    expect->block_size = planned.size;
    expect->matcher = matcher;
    expect->views = (rp_view *)(void *)((char *)expect + planned.views);
    if (options->actions != NULL) {
        copy_actions(expect, options, &planned);
    }
    expect->window_max = options->window_max != 0 ? options->window_max : WINDOW_DEFAULT;
    expect->timeout_at_ns = RP_FOREVER;
    if (options->timeout_ns != 0) {
        expect->timeout_at_ns = rpi_clock_after(rpi_reactor_clock_ns(reactor), options->timeout_ns);
    }
    *ret_expect = expect;
    return 0;
}

/* The start, without what a public function asks first. */
static int start(rp_process *process,
                 const rp_expect_options *options,
                 rp_expect_fn *matched,
                 void *user,
                 rp_expect **ret_expect)
{
    rp_expect_options full;
    rpi_matcher *matcher = NULL;
    rp_expect *expect = NULL;
    rpi_expects *expects;
    int r = rpi_options_read(options, sizeof full, &full);

    r = r < 0 ? r : check(process, &full);
    r = r < 0 ? r
              : rpi_matcher_make(&process->loop->allocator, full.patterns, full.pattern_count,
                                 &matcher);
    if (r < 0) {
        return r;
    }
    r = make(process, &full, matcher, &expect);
    if (r < 0) {
        rpi_matcher_free(matcher);
        return r;
    }
    expect->matched = matched;
    expect->user = user;
    expects = rpi_expects_of(process);
    r = expects == NULL ? -ENOMEM : rpi_expects_arm(expects, expect, &full);
    if (r < 0) {
        rpi_matcher_free(matcher);
        rpi_free(&process->loop->allocator, expect, expect->block_size);
        return r;
    }
    *ret_expect = expect;
    return 0;
}

static int enter(rp_process *process)
{
    int r = rpi_loop_enter(process->loop);

    if (r == 0 && process->closed) {
        return rpi_detail(RP_ECANCELED, "the process is closed");
    }
    return r;
}

int rp_expect_start(rp_process *process,
                    const rp_expect_options *options,
                    rp_expect_fn *matched,
                    void *user,
                    rp_expect **ret_expect)
{
    rp_expect *expect = NULL;
    int r = enter(process);

    if (r == 0 && matched == NULL) {
        return rpi_detail(RP_EINVAL, "matched: NULL");
    }
    r = r < 0 ? r : start(process, options, matched, user, &expect);
    if (r == 0 && ret_expect != NULL) {
        *ret_expect = expect;
    }
    return r;
}

void rp_expect_cancel(rp_expect *expect)
{
    if (expect == NULL || rpi_loop_enter(expect->owner->process->loop) < 0 ||
        expect->owner->closed || expect->decided) {
        return;
    }
    rpi_expect_end(expect, RP_ECANCELED);
}

/* ---- the blocking form ------------------------------------------------------------- */

typedef struct waiter {
    rpi_expects *expects;
    rp_match match; /* its views are in expects->kept */
    char detail[RPI_DETAIL_SIZE];
    bool done;
} waiter;

/* From where to where the views of a match reach: all are in one window. */
static void extend(rp_view view, const char **begin, const char **end)
{
    if (view.data == NULL) {
        return;
    }
    *begin = *begin == NULL || view.data < *begin ? view.data : *begin;
    *end = *end == NULL || view.data + view.size > *end ? view.data + view.size : *end;
}

static rp_view moved(rp_view view, const char *from, char *to)
{
    if (view.data != NULL) {
        view.data = to + (view.data - from);
    }
    return view;
}

/* Copies what a match shows: 0 or -ENOMEM. */
static int keep(rpi_expects *expects, const rp_match *match, rp_match *ret_match)
{
    size_t views_size = match->group_count * sizeof(rp_view);
    const char *begin = NULL;
    const char *end = NULL;
    rpi_expect_kept *kept = &expects->kept;
    rp_view *views;
    char *bytes;

    extend(match->before, &begin, &end);
    extend(match->matched, &begin, &end);
    extend(match->tail, &begin, &end);
    for (size_t i = 0; i < match->group_count; i++) {
        extend(match->groups[i], &begin, &end);
    }
    kept->size = views_size + (size_t)(end - begin) + 1;
    kept->memory = rpi_alloc(&expects->process->loop->allocator, kept->size);
    if (kept->memory == NULL) {
        return -ENOMEM;
    }
    views = (rp_view *)(void *)kept->memory;
    bytes = kept->memory + views_size;
    if (end > begin) {
        memcpy(bytes, begin, (size_t)(end - begin));
    }
    for (size_t i = 0; i < match->group_count; i++) {
        views[i] = moved(match->groups[i], begin, bytes);
    }
    *ret_match = *match;
    ret_match->before = moved(match->before, begin, bytes);
    ret_match->matched = moved(match->matched, begin, bytes);
    ret_match->tail = moved(match->tail, begin, bytes);
    ret_match->groups = match->group_count > 0 ? views : NULL;
    return 0;
}

static void on_waited(rp_process *process, const rp_match *match, void *user)
{
    waiter *self = user;

    (void)process;
    (void)strncpy(self->detail, rp_error_detail(), sizeof self->detail - 1);
    if (keep(self->expects, match, &self->match) < 0) {
        self->match = (rp_match){.status = RP_ENOMEM};
    }
    self->done = true;
}

/* Runs turns until the match is there: its status. Else an error, and the expect is gone. */
static int wait_for(waiter *self, rp_process *process, rp_expect *expect)
{
    rp_loop *loop = process->loop;
    bool gone = false;
    int r = 0;

    process->gone = &gone;
    while (!self->done && !gone) {
        r = rpi_loop_wait_turn(loop, RP_FOREVER);
        if (r < 0 && !self->done && !gone) {
            process->gone = NULL;
            rpi_expect_free(expect);
            return r;
        }
    }
    if (gone) {
        return rpi_detail(RP_ECANCELED, "the process was closed meanwhile");
    }
    process->gone = NULL;
    rpi_detail_set(self->detail[0] != '\0' ? self->detail : NULL);
    return self->match.status;
}

int rp_expect_wait(rp_process *process, const rp_expect_options *options, rp_match *ret_match)
{
    waiter self = {.done = false};
    rp_expect *expect = NULL;
    int r = enter(process);

    *ret_match = (rp_match){.status = r};
    if (r == 0 && process->loop->reactor.running) {
        r = rpi_detail(RP_EDEADLK, "called from inside a callback of this loop");
    }
    if (r == 0) {
        self.expects = rpi_expects_of(process);
        r = self.expects == NULL ? -ENOMEM : 0;
    }
    if (r == 0) {
        rpi_expects_let_go(self.expects);
        if (process->pull != NULL) {
            rpi_pull_let_go(process);
        }
        r = start(process, options, on_waited, &self, &expect);
        r = r < 0 ? r : wait_for(&self, process, expect);
    }
    *ret_match = self.match;
    ret_match->status = r;
    return r;
}
