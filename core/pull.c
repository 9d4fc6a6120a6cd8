/* Pull mode: a process without handlers keeps its bytes in the rings until somebody asks. Each
 * asking function is a try that does not wait, repeated between turns of the loop until it has
 * something, the time is over, or the process is closed. What was handed out last is held, so that
 * its view stays, and let go by the next call on the same process. */
#include "rp/iterate.h"

#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/status.h"
#include "core/loop.h"
#include "core/marks.h"
#include "core/process.h"

struct rpi_pull {
    rp_process *process; /* borrowed */
    rpi_list ready;      /* in the loop's list: something may be pulled */
    rpi_marks marks[2];
    uint64_t reads;            /* numbers the marks */
    rpi_stream *held;          /* whose bytes were handed out last; NULL */
    rpi_line_found held_found; /* NONE: as data */
    rpi_line_span held_span;
    uint64_t skip[2]; /* offsets in the streams: bytes before them are gone, once nothing is held */
    bool told_exit;
    bool dropping; /* rp_wait: nobody will pull any more */
};

/* A try's answers beside errors. */
enum {
    PULLED_END = 0,
    PULLED_ONE = 1,
    PULLED_NOTHING = 2
};

size_t rpi_pull_size(void)
{
    return sizeof(rpi_pull);
}

void rpi_pull_init(rp_process *process, rpi_pull *pull)
{
    pull->process = process;
    rpi_list_init(&pull->ready);
    process->loop->pulling++;
}

static rp_process *process_of(rpi_list *ready)
{
    rpi_pull *pull = RPI_CONTAINER(ready, rpi_pull, ready);

    return pull->process;
}

static void tell_end(rp_process *process)
{
    if (!process->pull->told_exit) {
        process->pull->told_exit = true;
        process->loop->pulling--;
    }
}

void rpi_pull_fini(rp_process *process)
{
    rpi_pull *pull = process->pull;

    tell_end(process);
    rpi_list_remove(&pull->ready);
    for (int i = 0; i < 2; i++) {
        rpi_marks_fini(&pull->marks[i], &process->loop->allocator);
    }
    process->pull = NULL;
}

bool rpi_pull_holds(rpi_stream *stream)
{
    rp_process *process = rpi_stream_process(stream);

    return process->pull != NULL && process->pull->held == stream;
}

static uint64_t total(rpi_stream *stream)
{
    rp_process *process = rpi_stream_process(stream);

    return stream->index == 0 ? process->exit.out_bytes : process->exit.err_bytes;
}

void rpi_pull_note(rpi_stream *stream, uint32_t size)
{
    rp_process *process = rpi_stream_process(stream);
    rpi_mark mark = {.end = total(stream),
                     .seq = ++process->pull->reads,
                     .time_ns = process->loop->reactor.now_ns};

    RP_ASSERT(size > 0);
    rpi_marks_add(&process->pull->marks[stream->index], &process->loop->allocator, &mark);
}

/* ---- holding and letting go -------------------------------------------------------- */

/* Where a stream begins that nobody has taken, held bytes included. */
static uint64_t head_of(rpi_stream *stream)
{
    return total(stream) - stream->ring.count - rpi_lines_held(stream->lines);
}

/* Drops the bytes that were skipped. */
static void skip(rpi_stream *stream)
{
    uint64_t until = rpi_stream_process(stream)->pull->skip[stream->index];
    uint64_t head = head_of(stream);

    if (until > head) {
        rpi_lines_skip(stream->lines, &stream->ring, (size_t)(until - head));
    }
}

void rpi_pull_let_go(rp_process *process)
{
    rpi_pull *pull = process->pull;
    rpi_stream *stream = pull->held;

    if (stream == NULL) {
        return;
    }
    if (rpi_ring_is_open(&stream->ring) && rpi_ring_free(&stream->ring) == 0) {
        process->heard_at_ns = rpi_reactor_clock_ns(rpi_process_reactor(process));
    }
    pull->held = NULL;
    if (pull->held_found != RPI_LINE_NONE || rpi_lines_held(stream->lines) > 0) {
        rpi_lines_take(stream->lines, &stream->ring, pull->held_found, &pull->held_span);
    } else {
        rpi_ring_consume(&stream->ring, pull->held_span.ring_bytes);
        stream->lines->scanned = 0;
    }
    skip(stream);
    rpi_stream_release_ring(stream);
    rpi_stream_arm(stream);
}

/* ---- for expects ------------------------------------------------------------------- */

bool rpi_pull_is_dropping(const rp_process *process)
{
    return process->pull->dropping;
}

uint64_t rpi_pull_unread_at(rpi_stream *stream)
{
    const rpi_pull *pull = rpi_stream_process(stream)->pull;
    uint64_t at = head_of(stream);

    if (pull->held == stream) { /* as rpi_lines_take will */
        size_t lines = rpi_lines_held(stream->lines);
        size_t left = lines > 0 && pull->held_found == RPI_LINE_PARTIAL
                          ? lines - pull->held_span.text.size
                          : 0;

        at += lines - left + pull->held_span.ring_bytes;
    }
    return at > pull->skip[stream->index] ? at : pull->skip[stream->index];
}

rp_view rpi_pull_peek(rpi_stream *stream, uint64_t at)
{
    uint64_t head = head_of(stream);
    size_t lines = rpi_lines_held(stream->lines);

    RP_ASSERT(at >= head && at < total(stream));
    if (at - head < lines) {
        size_t place = (size_t)(at - head);

        return (rp_view){stream->lines->memory + place, lines - place};
    }
    at -= head + lines;
    return (rp_view){rpi_ring_peek(&stream->ring) + at, stream->ring.count - (size_t)at};
}

rpi_mark rpi_pull_mark(rpi_stream *stream, uint64_t at)
{
    rpi_marks *marks = &rpi_stream_process(stream)->pull->marks[stream->index];

    return rpi_marks_find(marks, at + 1, head_of(stream));
}

void rpi_pull_skip(rpi_stream *stream, uint64_t at)
{
    rpi_pull *pull = rpi_stream_process(stream)->pull;

    if (at <= pull->skip[stream->index]) {
        return;
    }
    pull->skip[stream->index] = at;
    if (pull->held == stream) {
        return; /* what was handed out stays until the next pull */
    }
    skip(stream);
    rpi_stream_release_ring(stream);
    rpi_stream_arm(stream);
}

static void drop(rp_process *process)
{
    rpi_pull_let_go(process);
    for (int i = 0; i < 2; i++) {
        rpi_stream *stream = &process->streams[i];

        if (stream->state == RPI_STREAM_NONE) {
            continue;
        }
        rpi_lines_clear(stream->lines);
        if (rpi_ring_is_open(&stream->ring)) {
            rpi_ring_consume(&stream->ring, stream->ring.count);
        }
        rpi_stream_release_ring(stream);
        rpi_stream_arm(stream);
    }
}

void rpi_pull_ready(rp_process *process)
{
    rpi_pull *pull = process->pull;

    if (pull->dropping) {
        drop(process);
    } else if (rpi_list_is_empty(&pull->ready)) {
        rpi_list_append(&process->loop->pull_ready, &pull->ready);
    }
}

static void
hold(rp_process *process, rpi_stream *stream, rpi_line_found found, const rpi_line_span *span)
{
    process->pull->held = stream;
    process->pull->held_found = found;
    process->pull->held_span = *span;
}

/* ---- one try ---------------------------------------------------------------------------- */

typedef struct candidate {
    rpi_line_found found;
    rpi_line_span span;
    rpi_mark mark;
} candidate;

/* The next line of a stream, if it is all there. */
static void find_line(rpi_stream *stream, candidate *ret_candidate)
{
    rp_process *process = rpi_stream_process(stream);
    uint64_t head;

    ret_candidate->found = RPI_LINE_NONE;
    if (stream->state == RPI_STREAM_NONE || stream->paused) {
        return;
    }
    ret_candidate->found = rpi_lines_find(stream->lines, &stream->ring,
                                          stream->state >= RPI_STREAM_ENDED, &ret_candidate->span);
    if (ret_candidate->found == RPI_LINE_NONE) {
        rpi_stream_arm(stream); /* a begun line may just have made room */
        return;
    }
    head = total(stream) - stream->ring.count;
    ret_candidate->mark = rpi_marks_find(&process->pull->marks[stream->index],
                                         head + ret_candidate->span.ring_bytes, head);
}

static bool is_at_end(const rpi_stream *stream)
{
    return stream->state == RPI_STREAM_NONE || stream->state == RPI_STREAM_REPORTED ||
           rpi_stream_is_drained(stream);
}

static void make_line(rp_process *process, rpi_stream *stream, candidate *found, rp_line *ret_line)
{
    *ret_line = (rp_line){.text = found->span.text,
                          .partial = found->found == RPI_LINE_PARTIAL,
                          .unended = found->found == RPI_LINE_UNENDED,
                          .seq = ++process->seq,
                          .time_ns = found->mark.time_ns};
    hold(process, stream, found->found, &found->span);
}

/* The line that was read first, of one stream or (index 2) of both. */
static int
try_line(rp_process *process, unsigned int index, rpi_stream **ret_stream, rp_line *ret_line)
{
    candidate found[2] = {{.found = RPI_LINE_NONE}, {.found = RPI_LINE_NONE}};
    unsigned int which = 0;

    rpi_pull_let_go(process);
    for (unsigned int i = 0; i < 2; i++) {
        if (index == 2 || index == i) {
            find_line(&process->streams[i], &found[i]);
        }
    }
    if (found[0].found == RPI_LINE_NONE ||
        (found[1].found != RPI_LINE_NONE && found[1].mark.seq < found[0].mark.seq)) {
        which = 1;
    }
    if (found[which].found == RPI_LINE_NONE) {
        return PULLED_NOTHING;
    }
    *ret_stream = &process->streams[which];
    make_line(process, *ret_stream, &found[which], ret_line);
    return PULLED_ONE;
}

/* All unread bytes of a stream; NOTHING when there are none. */
static int take_data(rpi_stream *stream, rp_view *ret_bytes)
{
    rpi_line_span span = {{NULL, 0}, 0};

    if (stream->paused) {
        return PULLED_NOTHING;
    }
    if (rpi_lines_held(stream->lines) > 0) {
        span.text = (rp_view){stream->lines->memory, stream->lines->count};
    } else if (rpi_ring_is_open(&stream->ring) && stream->ring.count > 0) {
        span.text = (rp_view){rpi_ring_peek(&stream->ring), stream->ring.count};
        span.ring_bytes = stream->ring.count;
    } else {
        return PULLED_NOTHING;
    }
    *ret_bytes = span.text;
    hold(rpi_stream_process(stream), stream, RPI_LINE_NONE, &span);
    return PULLED_ONE;
}

/* The next piece of a terminal's output. */
static int try_chunk(rp_process *process, rp_event *ret_event)
{
    rpi_stream *stream = &process->streams[0];
    rpi_marks *marks = &process->pull->marks[0];
    uint64_t head;

    rpi_pull_let_go(process);
    if (stream->state == RPI_STREAM_NONE || take_data(stream, &ret_event->bytes) != PULLED_ONE) {
        return PULLED_NOTHING;
    }
    ret_event->kind = RP_EVENT_DATA;
    ret_event->stream = RP_STDOUT;
    ret_event->seq = ++process->seq;
    head = total(stream) - stream->ring.count;
    ret_event->time_ns =
        rpi_marks_find(marks, head + process->pull->held_span.ring_bytes, head).time_ns;
    return PULLED_ONE;
}

static int try_line_event(rp_process *process, rp_event *ret_event)
{
    rpi_stream *stream;
    int r = try_line(process, 2, &stream, &ret_event->line);

    if (r == PULLED_ONE) {
        ret_event->kind = RP_EVENT_LINE;
        ret_event->stream = rpi_stream_name(stream);
        ret_event->seq = ret_event->line.seq;
        ret_event->time_ns = ret_event->line.time_ns;
    }
    return r;
}

static int try_event(rp_process *process, rp_event *ret_event)
{
    rpi_pull *pull = process->pull;
    rpi_stream *stream;
    int r = process->terminal != NULL ? try_chunk(process, ret_event)
                                      : try_line_event(process, ret_event);

    if (r == PULLED_ONE) {
        return r;
    }
    for (int i = 0; i < 2; i++) {
        stream = &process->streams[i];
        if (rpi_stream_is_drained(stream)) {
            stream->state = RPI_STREAM_REPORTED;
            ret_event->kind = RP_EVENT_EOS;
            ret_event->stream = rpi_stream_name(stream);
            ret_event->seq = ++process->seq;
            ret_event->time_ns = process->loop->reactor.now_ns;
            return PULLED_ONE;
        }
    }
    if (process->state != RPI_PROCESS_DONE || !is_at_end(&process->streams[0]) ||
        !is_at_end(&process->streams[1])) {
        return PULLED_NOTHING;
    }
    if (pull->told_exit) {
        return PULLED_END;
    }
    tell_end(process);
    ret_event->kind = RP_EVENT_EXIT;
    ret_event->exit = &process->exit;
    ret_event->seq = ++process->seq;
    ret_event->time_ns = process->exit.exited_ns;
    return PULLED_ONE;
}

/* ---- waiting -------------------------------------------------------------------------------- */

typedef int try_fn(rp_process *process, void *argument);

/* Whether a pulling call may begin. */
static int pull_enter(rp_process *process)
{
    int r = rpi_loop_enter(process->loop);

    if (r < 0) {
        return r;
    }
    if (process->loop->reactor.running) {
        return rpi_detail(RP_EDEADLK, "called from inside a callback of this loop");
    }
    if (process->pull == NULL) {
        return rpi_detail(RP_EINVAL, "this process has handlers: it is not in pull mode");
    }
    if (process->pull->dropping) {
        return rpi_detail(RP_EINVAL, "rp_wait dropped the output of this process");
    }
    return 0;
}

/* Repeats a try between turns until it is not PULLED_NOTHING. */
static int repeat(rp_process *process, uint64_t timeout_ns, try_fn *try, void *argument)
{
    rp_loop *loop = process->loop;
    uint64_t until_ns = rpi_clock_after(rpi_reactor_clock_ns(&loop->reactor), timeout_ns);
    bool gone = false;
    int r = try(process, argument);

    process->gone = &gone;
    while (r == PULLED_NOTHING) {
        int turn = rpi_loop_wait_turn(loop, until_ns);

        if (gone) {
            return rpi_detail(RP_ECANCELED, "the process was closed meanwhile");
        }
        if (turn < 0 && turn != RP_ETIMEDOUT) {
            r = turn;
            break;
        }
        r = try(process, argument);
        if (r == PULLED_NOTHING && turn == RP_ETIMEDOUT) {
            r = RP_ETIMEDOUT;
        }
    }
    process->gone = NULL;
    return r;
}

static int try_next(rp_process *process, void *argument)
{
    return try_event(process, argument);
}

int rp_next(rp_process *process, uint64_t timeout_ns, rp_event *ret_event)
{
    rp_event event = {0};
    int r = pull_enter(process);

    r = r < 0 ? r : repeat(process, timeout_ns, try_next, &event);
    if (r == PULLED_ONE) {
        *ret_event = event;
    }
    return r;
}

/* ---- one stream --------------------------------------------------------------------------------
 */

typedef struct line_request {
    unsigned int index; /* 2 = both */
    rp_line line;
    rp_view bytes;
} line_request;

/* Whether the other stream's full ring keeps the child from writing to this one. */
static bool is_stuck(const rp_process *process, unsigned int index)
{
    const rpi_stream *other = &process->streams[1 - index];

    return !rpi_stream_is_over(other) && rpi_ring_is_open(&other->ring) &&
           rpi_ring_free(&other->ring) == 0 && process->pull->held != other;
}

static int nothing_of(rp_process *process, unsigned int index)
{
    rpi_stream *stream = &process->streams[index];

    if (rpi_stream_is_drained(stream)) {
        stream->state = RPI_STREAM_REPORTED;
    }
    if (is_at_end(stream) && process->state >= RPI_PROCESS_RUNNING) { /* not before it was opened */
        return PULLED_END;
    }
    if (is_stuck(process, index)) {
        return rpi_detail(RP_ENOBUFS, "the ring of the other stream is full: pull that one");
    }
    return PULLED_NOTHING;
}

static int try_next_line(rp_process *process, void *argument)
{
    line_request *request = argument;
    rpi_stream *stream;

    if (try_line(process, request->index, &stream, &request->line) == PULLED_ONE) {
        return PULLED_ONE;
    }
    if (request->index < 2) {
        return nothing_of(process, request->index);
    }
    return is_at_end(&process->streams[0]) && is_at_end(&process->streams[1]) &&
                   process->state >= RPI_PROCESS_RUNNING
               ? PULLED_END
               : PULLED_NOTHING;
}

static int try_next_data(rp_process *process, void *argument)
{
    line_request *request = argument;
    rpi_stream *stream = &process->streams[request->index];

    rpi_pull_let_go(process);
    if (take_data(stream, &request->bytes) == PULLED_ONE) {
        return PULLED_ONE;
    }
    return nothing_of(process, request->index);
}

/* The stream that a call names, as an index; negative: it is none that can be pulled. */
static int stream_index(const rp_process *process, rp_stream stream, bool both_allowed)
{
    unsigned int index;

    if (stream == RP_BOTH && both_allowed) {
        return 2;
    }
    if (stream != RP_STDOUT && stream != RP_STDERR) {
        return rpi_detail(RP_EINVAL, "stream %d cannot be pulled", (int)stream);
    }
    index = (unsigned int)stream - 1;
    if (process->streams[index].lines == NULL) {
        return rpi_detail(RP_EINVAL, "this stream of the child is not a pipe");
    }
    return (int)index;
}

int rp_next_line(rp_process *process, rp_stream stream, uint64_t timeout_ns, rp_line *ret_line)
{
    line_request request = {0};
    int r = pull_enter(process);
    int index = r < 0 ? r : stream_index(process, stream, true);

    if (index < 0) {
        return index;
    }
    request.index = (unsigned int)index;
    r = repeat(process, timeout_ns, try_next_line, &request);
    if (r == PULLED_ONE) {
        *ret_line = request.line;
    }
    return r;
}

int rp_next_data(rp_process *process, rp_stream stream, uint64_t timeout_ns, rp_view *ret_bytes)
{
    line_request request = {0};
    int r = pull_enter(process);
    int index = r < 0 ? r : stream_index(process, stream, false);

    if (index < 0) {
        return index;
    }
    request.index = (unsigned int)index;
    r = repeat(process, timeout_ns, try_next_data, &request);
    if (r == PULLED_ONE) {
        *ret_bytes = request.bytes;
    }
    return r;
}

/* ---- all processes, and the end of one ----------------------------------------------------------
 */

/* One event of whoever has one; each that had nothing leaves the list until something comes. */
static int try_any(rp_loop *loop, rp_process **ret_process, rp_event *ret_event)
{
    rpi_list *node;

    while ((node = rpi_list_take_first(&loop->pull_ready)) != NULL) {
        rp_process *process = process_of(node);

        if (try_event(process, ret_event) == PULLED_ONE) {
            *ret_process = process;
            rpi_list_append(&loop->pull_ready, node); /* it may have more; others come first */
            return PULLED_ONE;
        }
    }
    return loop->pulling == 0 ? PULLED_END : PULLED_NOTHING;
}

int rp_next_any(rp_loop *loop, uint64_t timeout_ns, rp_process **ret_process, rp_event *ret_event)
{
    rp_event event = {0};
    rp_process *process = NULL;
    uint64_t until_ns;
    int r = rpi_loop_enter(loop);

    if (r < 0) {
        return r;
    }
    if (loop->reactor.running) {
        return rpi_detail(RP_EDEADLK, "called from inside a callback of this loop");
    }
    until_ns = rpi_clock_after(rpi_reactor_clock_ns(&loop->reactor), timeout_ns);
    r = try_any(loop, &process, &event);
    while (r == PULLED_NOTHING) {
        int turn = rpi_loop_wait_turn(loop, until_ns);

        if (turn < 0 && turn != RP_ETIMEDOUT) {
            return turn;
        }
        r = try_any(loop, &process, &event);
        if (r == PULLED_NOTHING && turn == RP_ETIMEDOUT) {
            return RP_ETIMEDOUT;
        }
    }
    if (r == PULLED_ONE) {
        *ret_process = process;
        *ret_event = event;
    }
    return r;
}

static int try_done(rp_process *process, void *argument)
{
    (void)argument;
    return process->state == RPI_PROCESS_DONE ? PULLED_END : PULLED_NOTHING;
}

int rp_wait(rp_process *process, uint64_t timeout_ns)
{
    int r = rpi_loop_enter(process->loop);

    if (r < 0) {
        return r;
    }
    if (process->loop->reactor.running) {
        return rpi_detail(RP_EDEADLK, "called from inside a callback of this loop");
    }
    if (process->pull != NULL && !process->pull->dropping) {
        process->pull->dropping = true;
        tell_end(process);
        rpi_list_remove(&process->pull->ready);
        drop(process);
    }
    return repeat(process, timeout_ns, try_done, NULL);
}
