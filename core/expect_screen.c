/* See expect.h: expects on what a child's screen shows (RP_TEXT_SCREEN). A screen is not a text
 * that grows: at the end of a turn in which the child wrote something, each expect looks once at
 * the whole of it, if it shows something else than when it looked before. The window holds a copy,
 * so that the views of a match stay whatever is asked of the screen meanwhile. A match takes
 * nothing; the next expect from there waits for the screen to change. */
#include <errno.h>

#include "base/status.h"
#include "core/expect.h"
#include "core/loop.h"
#include "core/process.h"
#include "core/screen.h"

static rp_expect *expect_of(rpi_list *node)
{
    return RPI_CONTAINER(node, rp_expect, node);
}

/* Makes the window show what the screen does: 0 or an error. */
static int refill(rpi_expects *expects, rpi_window *window)
{
    uint64_t generation = 0;
    rp_view text = {"", 0};
    int r = rpi_process_screen_text(expects->process, &text, &generation);

    if (r < 0 || generation == window->generation) {
        return r;
    }
    rpi_window_let_go(window, rpi_window_end(window));
    r = text.size == 0 ? 0 : rpi_window_add(window, 0, text);
    if (r == 0) {
        window->generation = generation;
    }
    return r;
}

static void look(rp_expect *expect)
{
    rpi_window *window = expect->window;
    uint64_t start = window->offset;

    if (expect->decided || (expect->seen == window->generation && !window->ended)) {
        return;
    }
    if (expect->seen != window->generation) {
        expect->seen = window->generation;
        expect->begun = start;
        expect->origin = start;
        expect->floor = start;
        rpi_matcher_begin(expect->matcher, start);
        rpi_expect_look_once(expect);
    }
    if (!expect->decided && window->ended) {
        rpi_expect_end(expect, RP_EOS);
    }
}

void rpi_expects_look_at_screen(rpi_expects *expects)
{
    rpi_window *window = expects->screen;
    int r;

    if (window == NULL || window->users == 0) {
        return;
    }
    r = refill(expects, window);
    for (rpi_list *place = expects->armed.next; place != &expects->armed; place = place->next) {
        rp_expect *expect = expect_of(place);

        if (expect->window == window && r == 0) {
            look(expect);
        } else if (expect->window == window && !expect->decided) {
            rpi_expect_end(expect, r);
        }
    }
}

int rpi_expects_arm_on_screen(rpi_expects *expects, rp_expect *expect, rp_from from)
{
    rp_process *process = expects->process;
    const uint64_t begun[2] = {0, 0};
    uint64_t generation = 0;
    rp_view text;
    int r = rpi_process_screen_text(process, &text, &generation);

    if (r < 0) {
        return r;
    }
    if (expects->screen == NULL) {
        expects->screen = rpi_alloc(&process->loop->allocator, sizeof *expects->screen);
        if (expects->screen == NULL) {
            return -ENOMEM;
        }
        rpi_window_init(expects->screen, &process->loop->allocator, RP_TEXT_SCREEN, 1, begun);
        expects->screen->generation = RPI_NO_SCREEN;
        expects->screen->ended = rpi_window_is_over(process, expects->screen);
        expects->seen = RPI_NO_SCREEN;
    }
    expect->window = expects->screen;
    expect->seen = from == RP_FROM_NOW          ? generation
                   : from == RP_FROM_LAST_MATCH ? expects->seen
                                                : RPI_NO_SCREEN;
    rpi_task_start(rpi_process_reactor(process), &expects->task);
    return 0;
}
