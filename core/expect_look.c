/* See expect.h: looking and deciding. Bytes come from where the process keeps them (the rings in
 * pull mode, a capture), as long as a new window has to catch up, and then from the reads
 * themselves. The order in one read: the window takes the bytes, each of its expects looks, what
 * none needs is let go. Whoever found something, or has to end, is decided then, and reported by
 * the task in expects.c. */
#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/status.h"
#include "core/expect.h"
#include "core/loop.h"
#include "core/process.h"

enum {
    SLICE = 1 << 16,      /* bytes that a window takes at a time */
    AGAIN_NS_PER_BYTE = 4 /* how long what was put off waits, by its size */
};

#define STUCK_NS (2 * RP_MILLISECOND)

static rp_expect *expect_of(rpi_list *node)
{
    return RPI_CONTAINER(node, rp_expect, node);
}

static rpi_window *window_of(rpi_list *node)
{
    return RPI_CONTAINER(node, rpi_window, node);
}

static uint64_t total_of(const rp_process *process, unsigned int stream)
{
    return stream == 0 ? process->exit.out_bytes : process->exit.err_bytes;
}

/* ---- deciding --------------------------------------------------------------------- */

void rpi_expect_set_timer(rp_expect *expect)
{
    uint64_t at_ns = expect->timeout_at_ns;

    at_ns = expect->look_at_ns < at_ns ? expect->look_at_ns : at_ns;
    at_ns = expect->stuck_at_ns < at_ns ? expect->stuck_at_ns : at_ns;
    rpi_timer_set(rpi_process_reactor(expect->owner->process), &expect->timer, at_ns);
}

static void decide(rp_expect *expect, int status)
{
    rp_process *process = expect->owner->process;

    expect->decided = true;
    expect->status = status;
    expect->detail[0] = '\0';
    if (status == RP_EPATTERN || status == RP_ENOBUFS) {
        (void)strncpy(expect->detail, rp_error_detail(), sizeof expect->detail - 1);
    }
    rpi_timer_off(rpi_process_reactor(process), &expect->timer);
    rpi_task_start(rpi_process_reactor(process), &expect->owner->task);
}

/* Lets the matcher look at what is new in the window. */
void rpi_expect_look(rp_expect *expect, bool at_once)
{
    const rpi_window *window = expect->window;
    rp_view held = rpi_window_view(window, window->offset, rpi_window_end(window));
    rpi_matcher_text text = {.data = held.data,
                             .size = held.size,
                             .offset = window->offset,
                             .ended = window->ended,
                             .at_once = at_once};
    uint64_t look_at_ns = expect->look_at_ns;
    int r;

    if (expect->decided) {
        return;
    }
    r = rpi_matcher_search(expect->matcher, &text);
    expect->look_at_ns = RP_FOREVER;
    if (r < 0) {
        decide(expect, r);
    } else if (r == RPI_MATCHER_YES) {
        decide(expect, 0);
    } else if (window->ended) {
        decide(expect, RP_EOS);
    } else if (r == RPI_MATCHER_LATER) {
        uint64_t span_ns = AGAIN_NS_PER_BYTE * rpi_matcher_put_off(expect->matcher);
        uint64_t now_ns = rpi_process_reactor(expect->owner->process)->now_ns;

        expect->look_at_ns = /* not ever later while more comes */
            look_at_ns != RP_FOREVER ? look_at_ns : rpi_clock_after(now_ns, span_ns);
        rpi_expect_set_timer(expect);
    } else if (look_at_ns != RP_FOREVER) {
        rpi_expect_set_timer(expect);
    }
}

void rpi_expect_look_once(rp_expect *expect)
{
    const rpi_window *window = expect->window;
    rp_view held = rpi_window_view(window, window->offset, rpi_window_end(window));
    rpi_matcher_text text = {
        .data = held.data, .size = held.size, .offset = window->offset, .ended = true};
    int r = rpi_matcher_search(expect->matcher, &text);

    if (r < 0) {
        decide(expect, r);
    } else if (r == RPI_MATCHER_YES) {
        decide(expect, 0);
    }
}

void rpi_expect_end(rp_expect *expect, int status)
{
    if (expect->look_at_ns != RP_FOREVER) {
        rpi_expect_look(expect, true);
    }
    if (!expect->decided) {
        decide(expect, status);
    }
}

/* ---- windows ------------------------------------------------------------------------- */

bool rpi_window_is_over(const rp_process *process, const rpi_window *window)
{
    if (process->state < RPI_PROCESS_RUNNING) {
        return false;
    }
    for (unsigned int i = 0; i < 2; i++) {
        if ((window->streams & (1U << i)) != 0 && !rpi_stream_is_over(&process->streams[i])) {
            return false;
        }
    }
    return true;
}

/* Whether a window has all bytes that were read; the last `but` ones of one stream do not count. */
bool rpi_window_is_current(const rp_process *process,
                           const rpi_window *window,
                           unsigned int stream,
                           size_t but)
{
    for (unsigned int i = 0; i < 2; i++) {
        uint64_t end = total_of(process, i) - (i == stream ? but : 0);

        if ((window->streams & (1U << i)) != 0 && window->fed[i] < end) {
            return false;
        }
    }
    return true;
}

/* What an expect does not search any more goes. */
static void move_floor(rp_expect *expect)
{
    uint64_t end = rpi_window_end(expect->window);
    uint64_t cut = end > expect->window_max ? end - expect->window_max : 0;
    uint64_t found;

    if (expect->decided || cut <= expect->floor) {
        return;
    }
    if (expect->look_at_ns != RP_FOREVER) {
        rpi_expect_look(expect, true);
    }
    found = rpi_matcher_found_at(expect->matcher);
    if (expect->decided) {
        return;
    }
    if (found < cut) { /* what might still come before it is too far back, too */
        rpi_matcher_forget(expect->matcher, found + 1);
        rpi_expect_look(expect, true);
        RP_ASSERT(expect->decided);
    } else {
        expect->floor = cut;
        rpi_matcher_forget(expect->matcher, cut);
    }
}

/* The first byte that an expect of a list needs of a window. */
static uint64_t needed_by(rpi_list *list, const rpi_window *window)
{
    uint64_t needed = UINT64_MAX;

    for (rpi_list *place = list->next; place != list; place = place->next) {
        rp_expect *expect = expect_of(place);
        uint64_t context = rpi_matcher_context(expect->matcher);
        uint64_t from;

        if (expect->window != window) {
            continue;
        }
        move_floor(expect);
        from = expect->floor > context ? expect->floor - context : 0;
        needed = from < needed ? from : needed;
    }
    return needed;
}

/* Lets go what no expect on this window needs. */
void rpi_expects_trim(rpi_expects *expects, rpi_window *window)
{
    uint64_t for_armed;
    uint64_t for_due;
    uint64_t needed;

    if (window->kind == RP_TEXT_SCREEN) {
        return;
    }
    for_armed = needed_by(&expects->armed, window);
    for_due = needed_by(&expects->due, window);
    needed = for_armed < for_due ? for_armed : for_due;
    rpi_window_let_go(window, needed == UINT64_MAX ? window->taken : needed);
}

/* All expects on a window look at what is new. */
void rpi_expects_look_all(rpi_expects *expects, rpi_window *window, bool at_once)
{
    for (rpi_list *place = expects->armed.next; place != &expects->armed; place = place->next) {
        if (expect_of(place)->window == window) {
            rpi_expect_look(expect_of(place), at_once);
        }
    }
}

static void decide_all(rpi_expects *expects, rpi_window *window, int status)
{
    for (rpi_list *place = expects->armed.next; place != &expects->armed; place = place->next) {
        rp_expect *expect = expect_of(place);

        if (expect->window == window && !expect->decided) {
            decide(expect, status);
        }
    }
}

/* A window takes bytes, and its expects look. False: no memory, they have ended. */
bool rpi_expects_take_in(rpi_expects *expects,
                         rpi_window *window,
                         unsigned int stream,
                         rp_view bytes)
{
    while (bytes.size > 0) {
        rp_view slice = {bytes.data, bytes.size < SLICE ? bytes.size : SLICE};

        if (rpi_window_add(window, stream, slice) < 0) {
            decide_all(expects, window, RP_ENOMEM);
            return false;
        }
        rpi_expects_look_all(expects, window, false);
        rpi_expects_trim(expects, window);
        bytes.data += slice.size;
        bytes.size -= slice.size;
    }
    return true;
}

/* ---- catching up ---------------------------------------------------------------------- */

/* Bytes of a stream from an offset on, from where they are kept; empty where they are not. */
rp_view rpi_expects_kept_at(void *user, unsigned int stream, uint64_t at)
{
    rp_process *process = user;
    rpi_stream *of = &process->streams[stream];

    if (at >= total_of(process, stream)) {
        return (rp_view){"", 0};
    }
    if (process->pull != NULL && at >= rpi_pull_unread_at(of)) {
        return rpi_pull_peek(of, at);
    }
    if (of->capture != NULL && at >= of->capture->offset) {
        rp_view kept = rpi_capture_view(of->capture);

        if (at - of->capture->offset < kept.size) {
            kept.data += at - of->capture->offset;
            kept.size -= (size_t)(at - of->capture->offset);
            return kept;
        }
    }
    return (rp_view){"", 0};
}

/* The stream whose next byte was read first, and where its read ended, as far as that is known. */
static unsigned int next_stream(rp_process *process, const rpi_window *window, uint64_t *ret_end)
{
    bool lags[2];
    rpi_chunk_place piece;

    for (unsigned int i = 0; i < 2; i++) {
        lags[i] = (window->streams & (1U << i)) != 0 && window->fed[i] < total_of(process, i);
    }
    *ret_end = UINT64_MAX;
    if (!lags[0] || !lags[1]) {
        return lags[0] ? 0 : 1;
    }
    for (size_t i = 0; rpi_chunks_place(process, i, &piece); i++) {
        if (piece.end > window->fed[piece.stream]) {
            *ret_end = piece.end;
            return piece.stream;
        }
    }
    if (process->pull != NULL) {
        rpi_mark first = rpi_pull_mark(&process->streams[0], window->fed[0]);
        rpi_mark second = rpi_pull_mark(&process->streams[1], window->fed[1]);
        unsigned int which = second.seq < first.seq ? 1 : 0;

        *ret_end = which == 0 ? first.end : second.end;
        return which;
    }
    return 0;
}

/* A hole in what is kept: no match goes across it. */
static void jump(rp_process *process, rp_expect *expect, unsigned int stream)
{
    const rpi_stream *of = &process->streams[stream];
    rpi_window *window = expect->window;
    uint64_t end = total_of(process, stream);

    if (of->capture != NULL && of->capture->count > 0 &&
        of->capture->offset > window->fed[stream]) {
        end = of->capture->offset; /* its beginning is missing */
    }
    rpi_window_skip(window, stream, end);
    expect->origin = rpi_window_end(window);
    expect->floor = expect->origin;
    rpi_matcher_begin(expect->matcher, expect->origin);
}

/* Shows an expect that has its window to itself all that is kept, until it is decided. */
void rpi_expect_catch_up(rp_expect *expect)
{
    rpi_expects *expects = expect->owner;
    rp_process *process = expects->process;
    rpi_window *window = expect->window;

    while (!expect->decided && !rpi_window_is_current(process, window, 0, 0)) {
        uint64_t end;
        unsigned int stream = next_stream(process, window, &end);
        rp_view bytes = rpi_expects_kept_at(process, stream, window->fed[stream]);

        if (bytes.size == 0) {
            jump(process, expect, stream);
            continue;
        }
        if (bytes.size > end - window->fed[stream]) {
            bytes.size = (size_t)(end - window->fed[stream]);
        }
        bytes.size = bytes.size < SLICE ? bytes.size : SLICE;
        if (!rpi_expects_take_in(expects, window, stream, bytes)) {
            return;
        }
    }
    if (!expect->decided) {
        window->ended = rpi_window_is_over(process, window);
        rpi_expect_look(expect, window->ended);
    }
}

/* ---- pull mode: full rings ---------------------------------------------------------------- */

/* Whether a full ring keeps the child from writing what is expected. */
static bool is_stuck(const rp_process *process)
{
    for (int i = 0; i < 2 && process->pull != NULL; i++) {
        const rpi_stream *stream = &process->streams[i];

        if (!rpi_stream_is_over(stream) && rpi_ring_is_open(&stream->ring) &&
            rpi_ring_free(&stream->ring) == 0) {
            return true;
        }
    }
    return false;
}

/* Full rings are looked at once more after what the child had written at that time was read. */
void rpi_expect_watch_rings(rp_expect *expect)
{
    rp_process *process = expect->owner->process;

    if (!expect->decided && expect->stuck_at_ns == RP_FOREVER && is_stuck(process)) {
        expect->stuck_at_ns = rpi_clock_after(rpi_process_reactor(process)->now_ns, STUCK_NS);
        expect->stuck_bytes = total_of(process, 0) + total_of(process, 1);
        rpi_expect_set_timer(expect);
    }
}

static void end_stuck(rp_expect *expect)
{
    rp_process *process = expect->owner->process;
    uint64_t bytes = total_of(process, 0) + total_of(process, 1);

    expect->stuck_at_ns = RP_FOREVER;
    if (bytes != expect->stuck_bytes) {
        rpi_expect_watch_rings(expect);
    } else if (is_stuck(process)) {
        (void)rpi_detail(RP_ENOBUFS, "nothing in it matches, and a ring is full: pull it");
        rpi_expect_end(expect, RP_ENOBUFS);
    }
}

static void on_timer(rpi_timer *timer)
{
    rp_expect *expect = RPI_CONTAINER(timer, rp_expect, timer);
    uint64_t now_ns = rpi_process_reactor(expect->owner->process)->now_ns;

    if (now_ns >= expect->look_at_ns) {
        rpi_expect_look(expect, true);
        rpi_expects_trim(expect->owner, expect->window);
    }
    if (!expect->decided && now_ns >= expect->timeout_at_ns) {
        rpi_expect_end(expect, RP_ETIMEDOUT);
    }
    if (!expect->decided && now_ns >= expect->stuck_at_ns) {
        end_stuck(expect);
    }
    if (!expect->decided) {
        rpi_expect_set_timer(expect);
    }
}

/* ---- arming ---------------------------------------------------------------------------------- */

/* Where in a stream an expect is to begin. */
static uint64_t begin_at(const rpi_expects *expects, unsigned int stream, rp_from from)
{
    rp_process *process = expects->process;
    rpi_stream *of = &process->streams[stream];
    uint64_t at = total_of(process, stream);

    if (from == RP_FROM_NOW || !of->ours) {
        return at;
    }
    if (of->capture != NULL && (from == RP_FROM_START || process->pull == NULL)) {
        uint64_t taken = from == RP_FROM_START ? 0 : expects->taken[stream];

        return taken > of->capture->offset ? taken : of->capture->offset;
    }
    return process->pull != NULL ? rpi_pull_unread_at(of) : at;
}

/* Whether an expect may search a window that is there, and from where on. */
static bool
fits(const rpi_expects *expects, const rpi_window *window, rp_from from, uint64_t *ret_begun)
{
    const rp_process *process = expects->process;

    if (!rpi_window_is_current(process, window, 0, 0)) {
        return false;
    }
    if (from == RP_FROM_NOW) {
        *ret_begun = rpi_window_end(window);
        return true;
    }
    if (process->pull != NULL || process->streams[0].capture != NULL ||
        process->streams[1].capture != NULL) {
        return false; /* what is kept has it all, this one may not */
    }
    *ret_begun =
        from == RP_FROM_START || window->taken < window->offset ? window->offset : window->taken;
    return true;
}

static rpi_window *find_window(rpi_expects *expects,
                               const rp_expect_options *options,
                               uint8_t streams,
                               uint64_t *ret_begun)
{
    for (rpi_list *place = expects->windows.next; place != &expects->windows; place = place->next) {
        rpi_window *window = window_of(place);

        if (window->streams == streams && window->kind == options->text &&
            fits(expects, window, options->from, ret_begun)) {
            return window;
        }
    }
    return NULL;
}

static rpi_window *
make_window(rpi_expects *expects, const rp_expect_options *options, uint8_t streams)
{
    const rp_allocator *allocator = &expects->process->loop->allocator;
    rpi_window *window = rpi_alloc(allocator, sizeof *window);
    uint64_t begun[2];

    if (window == NULL) {
        return NULL;
    }
    for (unsigned int i = 0; i < 2; i++) {
        begun[i] = begin_at(expects, i, options->from);
    }
    rpi_window_init(window, allocator, options->text, streams, begun);
    rpi_list_append(&expects->windows, &window->node);
    return window;
}

/* The streams of an expect, as a window has them; 0: none of them is ours. */
static uint8_t streams_of(const rp_process *process, rp_stream stream)
{
    unsigned int asked = stream == RP_STDIN ? (unsigned int)RP_BOTH : (unsigned int)stream;
    unsigned int streams = 0;

    for (unsigned int i = 0; i < 2; i++) {
        streams |= process->streams[i].ours ? asked & (1U << i) : 0;
    }
    return (uint8_t)streams;
}

/* Gives an expect the window that it is to search. */
static int choose_window(rpi_expects *expects, rp_expect *expect, const rp_expect_options *options)
{
    uint8_t streams = streams_of(expects->process, options->stream);
    uint64_t begun = 0;

    if (streams == 0) {
        return rpi_detail(RP_EINVAL, "stream: this output of the child is not ours to read");
    }
    if (options->text == RP_TEXT_SCREEN) {
        return rpi_expects_arm_on_screen(expects, expect, options->from);
    }
    expect->window = find_window(expects, options, streams, &begun);
    if (expect->window == NULL) {
        expect->window = make_window(expects, options, streams);
    }
    expect->begun = begun;
    return expect->window == NULL ? -ENOMEM : 0;
}

int rpi_expects_arm(rpi_expects *expects, rp_expect *expect, const rp_expect_options *options)
{
    rpi_reactor *reactor = rpi_process_reactor(expects->process);
    int r = rpi_timer_init(reactor, &expect->timer, on_timer);

    if (r < 0) {
        return r;
    }
    r = choose_window(expects, expect, options);
    if (r < 0) {
        rpi_timer_fini(reactor, &expect->timer);
        return r;
    }
    expect->window->users++;
    expect->owner = expects;
    expect->origin = expect->begun;
    expect->floor = expect->begun;
    expect->look_at_ns = RP_FOREVER;
    expect->stuck_at_ns = RP_FOREVER;
    rpi_matcher_begin(expect->matcher, expect->begun);
    rpi_list_append(&expects->armed, &expect->node);
    reactor->left++;
    rpi_expect_set_timer(expect);
    if (expect->window->kind != RP_TEXT_SCREEN) {
        rpi_expect_catch_up(expect);
    }
    rpi_expect_watch_rings(expect);
    return 0;
}
