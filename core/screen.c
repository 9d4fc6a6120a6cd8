/* Screens of processes: see screen.h; and the public functions about them. */
#include "core/screen.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/status.h"
#include "core/loop.h"
#include "core/observer.h"
#include "core/process.h"
#include "rp/terminal.h"

struct rpi_process_screen {
    rpi_observer observer;
    rp_process *process; /* borrowed */
    rpi_screen *screen;
    uint64_t fed_at_ns;
    uint64_t changed_at_ns; /* fed_at_ns of the look that last found another text */
    uint64_t generation;    /* of that look */
    bool is_lost;           /* told to the log */
};

static rpi_process_screen *screen_of(rpi_observer *observer)
{
    return RPI_CONTAINER(observer, rpi_process_screen, observer);
}

static void on_output(rpi_observer *observer, rpi_stream *stream, rp_view bytes)
{
    rpi_process_screen *self = screen_of(observer);
    rp_loop *loop = self->process->loop;
    int r = rpi_screen_feed(self->screen, bytes);

    (void)stream;
    self->fed_at_ns = loop->reactor.now_ns;
    if (r < 0 && !self->is_lost) {
        self->is_lost = true;
        rpi_loop_log(loop, 0, "the screen of child %lld is lost: %s", (long long)self->process->pid,
                     rp_error_name(r));
    }
}

static void on_drop(rpi_observer *observer)
{
    rpi_process_screen *self = screen_of(observer);
    rp_process *process = self->process;

    process->screen = NULL;
    rpi_screen_close(self->screen);
    rpi_free(&process->loop->allocator, self, sizeof *self);
}

static const rpi_observer_api screen_api = {.output = on_output, .drop = on_drop};

int rpi_process_screen_open(rp_process *process, uint16_t rows, uint16_t cols)
{
    const rp_allocator *allocator = &process->loop->allocator;
    rpi_process_screen *self = rpi_alloc_zero(allocator, sizeof *self);
    int r;

    if (self == NULL) {
        return -ENOMEM;
    }
    r = rpi_screen_open(allocator, rows, cols, &self->screen);
    if (r < 0) {
        rpi_free(allocator, self, sizeof *self);
        return r;
    }
    self->process = process;
    self->fed_at_ns = rpi_reactor_clock_ns(rpi_process_reactor(process));
    process->screen = self;
    rpi_observer_add(process, &self->observer, &screen_api, true);
    return 0;
}

int rpi_process_screen_resize(rp_process *process, uint16_t rows, uint16_t cols)
{
    rpi_process_screen *self = process->screen;

    if (self == NULL) {
        return 0;
    }
    self->fed_at_ns = rpi_reactor_clock_ns(rpi_process_reactor(process));
    return rpi_screen_resize(self->screen, rows, cols);
}

int rpi_process_screen_get(rp_process *process, rpi_screen_look *ret_look)
{
    rpi_process_screen *self = process->screen;
    int r;

    if (self == NULL) {
        return rpi_detail(RP_EINVAL, "this child has no screen (rp_command.screen)");
    }
    r = rpi_screen_get(self->screen, ret_look);
    if (r < 0) {
        return rpi_detail(r, "the screen of this child is lost");
    }
    if (ret_look->generation != self->generation) {
        self->generation = ret_look->generation;
        self->changed_at_ns = self->fed_at_ns;
    }
    return 0;
}

int rpi_process_screen_text(rp_process *process, rp_view *ret_text, uint64_t *ret_generation)
{
    rpi_screen_look look = {.generation = 0};
    int r = rpi_process_screen_get(process, &look);

    if (r == 0) {
        *ret_text = look.text;
        *ret_generation = look.generation;
    }
    return r;
}

int rpi_process_screen_changed_at(rp_process *process, uint64_t *ret_changed_at_ns)
{
    rpi_screen_look look;
    int r = rpi_process_screen_get(process, &look);

    if (r == 0) {
        *ret_changed_at_ns = process->screen->changed_at_ns;
    }
    return r;
}

/* ---- the public functions --------------------------------------------------------- */

/* What a caller's struct may hold of it. */
static void hand_out(const rpi_screen_look *look, rp_screen *ret_screen)
{
    const size_t size = ret_screen->size;
    const rp_screen full = {.size = size,
                            .text = look->text,
                            .title = look->title,
                            .rows = look->rows,
                            .cols = look->cols,
                            .cursor_row = look->cursor_row,
                            .cursor_col = look->cursor_col,
                            .cursor_visible = look->cursor_visible,
                            .alternate = look->alternate};

    memcpy(ret_screen, &full, size < sizeof full ? size : sizeof full);
}

static int enter(rp_process *process, const rp_screen *screen)
{
    int r = rpi_loop_enter(process->loop);

    if (r < 0) {
        return r;
    }
    return screen->size < sizeof screen->size ? rpi_detail(RP_EINVAL, "the screen has no size") : 0;
}

int rp_pty_screen(rp_process *process, rp_screen *ret_screen)
{
    rpi_screen_look look;
    int r = enter(process, ret_screen);

    r = r < 0 ? r : rpi_process_screen_get(process, &look);
    if (r == 0) {
        hand_out(&look, ret_screen);
    }
    return r;
}

/* Whether nothing is to be waited for any more: it has stood still since `from_ns`, or nothing more
 * can come. */
static int
is_settled(rp_process *process, uint64_t from_ns, uint64_t span_ns, uint64_t *ret_until_ns)
{
    uint64_t changed_at_ns = 0;
    int r = rpi_process_screen_changed_at(process, &changed_at_ns);

    if (r < 0) {
        return r;
    }
    from_ns = process->heard_at_ns > from_ns ? process->heard_at_ns : from_ns;
    from_ns = process->exit.started_ns > from_ns ? process->exit.started_ns : from_ns;
    changed_at_ns = from_ns > changed_at_ns ? from_ns : changed_at_ns;
    *ret_until_ns = rpi_clock_after(changed_at_ns, span_ns);
    if (process->state >= RPI_PROCESS_EXITED && rpi_stream_is_over(&process->streams[0])) {
        return 1;
    }
    if (process->state < RPI_PROCESS_RUNNING || !rpi_process_listens(process)) {
        *ret_until_ns = RP_FOREVER;
        return 0;
    }
    return rpi_reactor_clock_ns(rpi_process_reactor(process)) >= *ret_until_ns ? 1 : 0;
}

/* Whether the child waits for somebody to pull. */
static bool is_stuck(const rp_process *process)
{
    const rpi_stream *stream = &process->streams[0];

    return process->pull != NULL && !rpi_stream_is_over(stream) &&
           rpi_ring_is_open(&stream->ring) && rpi_ring_free(&stream->ring) == 0;
}

static int
wait_until_settled(rp_process *process, uint64_t span_ns, uint64_t end_ns, const bool *gone)
{
    const uint64_t from_ns = rpi_reactor_clock_ns(rpi_process_reactor(process));

    for (;;) {
        uint64_t until_ns = RP_FOREVER;
        int r = is_settled(process, from_ns, span_ns, &until_ns);

        if (r != 0) {
            return r < 0 ? r : 0;
        }
        if (is_stuck(process)) {
            return rpi_detail(RP_ENOBUFS, "a ring is full: the child waits until it is pulled");
        }
        r = rpi_loop_wait_turn(process->loop, until_ns < end_ns ? until_ns : end_ns);
        if (*gone) {
            return rpi_detail(RP_ECANCELED, "the process was closed meanwhile");
        }
        if (r == RP_ETIMEDOUT && rpi_reactor_clock_ns(rpi_process_reactor(process)) < end_ns) {
            continue;
        }
        if (r < 0) {
            return r;
        }
    }
}

int rp_pty_wait_settled(rp_process *process,
                        uint64_t span_ns,
                        uint64_t timeout_ns,
                        rp_screen *ret_screen)
{
    rpi_screen_look look;
    bool gone = false;
    int r = enter(process, ret_screen);

    r = r < 0 ? r : rpi_process_screen_get(process, &look);
    if (r < 0) {
        return r;
    }
    if (process->loop->reactor.running) {
        return rpi_detail(RP_EDEADLK, "called from inside a callback of this loop");
    }
    process->gone = &gone;
    r = wait_until_settled(
        process, span_ns,
        rpi_clock_after(rpi_reactor_clock_ns(rpi_process_reactor(process)), timeout_ns), &gone);
    if (gone) {
        return r;
    }
    process->gone = NULL;
    if ((r == 0 || r == RP_ETIMEDOUT) && rpi_process_screen_get(process, &look) == 0) {
        hand_out(&look, ret_screen);
    }
    return r;
}
