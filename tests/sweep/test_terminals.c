/* Lives with faults of children on terminals: one that is typed to and floods, one that is watched:
 * by expects, for a quiet time, through its screen. */
#define _GNU_SOURCE
#include <string.h>

#include "tests/pty/rig.h"
#include "tests/support/noise.h"
#include "tests/sweep/life.h"

enum {
    SIZE = 100000,
    SEED = 41
};

/* ---- typing and reading ---------------------------------------------------------------------- */

static void on_written(rp_process *process, int status, void *user)
{
    life *self = user;

    if (life_note(self, status) < 0) { // the child would wait for ever
        (void)rp_kill(process);
    }
}

/* The child has said that it is ready: types what it waits for. Where that is refused it would wait
 * for ever. */
static void answer(actor *child, actor_event event, rp_stream stream)
{
    life *self = child->context;

    (void)stream;
    if (event == ACTOR_GOT_DATA && child->counts[ACTOR_GOT_DATA] == 1 &&
        life_note(self, rp_write(child->process, (rp_view){"01234", 5}, on_written, self)) < 0) {
        (void)rp_kill(child->process);
    }
}

static void live_typing(life *self)
{
    rp_command command =
        on_terminal(CHILD("raw", "write", "1", "r", "read", "5", "flood", "1", "100000", "41"));

    command.capture_max = 1000;
    self->child.hook = answer;
    self->child.context = self;
    if (life_spawn(self, &command, ACTOR_DATA)) {
        life_run_until(self, &self->child.counts[ACTOR_DONE], 1);
    }
}

/* A child that says it has ended well has delivered everything, or somebody was told. */
static void end_typing(life *self)
{
    const actor *child = &self->child;
    noise_sum sum = {0, 0};

    LIFE_CHECK(self, self->fired || child->exit.code == 0);
    if (self->spawn_error < 0 || child->exit.kind != RP_EXITED || child->exit.code != 0 ||
        self->logged > 0) {
        return;
    }
    LIFE_CHECK(self, child->data[0].size == SIZE + 1);
    noise_sum_add(&sum, child->data[0].bytes + 1, SIZE);
    LIFE_CHECK(self, sum.value == noise_sum_of(SEED, SIZE).value);
    LIFE_CHECK(self, child->exit.in_bytes == 5 && self->refused == 0);
}

/* ---- watching ----------------------------------------------------------------------------------
 */

static struct {
    unsigned int asked;   /* the expect has reported */
    unsigned int idle;    /* so often was it quiet */
    unsigned int ended;   /* the watch has told the end */
    bool watched;         /* there is such a watch */
    unsigned int answers; /* of the expect for the answer */
} seen;

static void on_idle(rp_process *process, const rp_idle_result *result, void *user)
{
    life *self = user;

    seen.idle += result->reason == RP_IDLE_IS_IDLE;
    seen.ended += result->reason != RP_IDLE_IS_IDLE;
    if (result->reason == RP_IDLE_IS_IDLE && seen.idle == 1 &&
        life_note(self, rp_write(process, (rp_view){"01234", 5}, on_written, self)) < 0) {
        (void)rp_kill(process);
    }
}

static void on_answer(rp_process *process, const rp_match *match, void *user)
{
    (void)process;
    seen.answers++;
    (void)life_note(user, match->status);
}

static int expect_answer(life *self, rp_process *process)
{
    static const rp_pattern pattern = {.text = "got it"};
    rp_expect_options options = RP_EXPECT_OPTIONS_INIT;

    options.patterns = &pattern;
    options.pattern_count = 1;
    options.text = RP_TEXT_STRIPPED;
    return life_note(self, rp_expect_start(process, &options, on_answer, self, NULL));
}

/* It asks: watches for it to be quiet then, and types. */
static void on_question(rp_process *process, const rp_match *match, void *user)
{
    rp_idle_options options = RP_IDLE_OPTIONS_INIT;
    life *self = user;

    seen.asked++;
    options.timeout_ns = RP_MILLISECOND;
    options.stability_ns = RP_MILLISECOND;
    if (life_note(self, match->status) < 0 || expect_answer(self, process) < 0 ||
        life_note(self, rp_idle_start(process, &options, on_idle, self, NULL)) < 0) {
        (void)rp_kill(process);
    } else {
        seen.watched = true;
    }
}

static void live_watched(life *self)
{
    static const rp_pattern pattern = {.text = "well? "};
    rp_command command = on_terminal(
        CHILD("raw", "write", "1", "\033[1mwell? ", "read", "5", "write", "1", "got \033[1mit\\n"));
    rp_expect_options options = RP_EXPECT_OPTIONS_INIT;

    memset(&seen, 0, sizeof seen);
    command.screen = rp_has("screen");
    options.patterns = &pattern;
    options.pattern_count = 1;
    options.text = RP_TEXT_STRIPPED;
    if (!life_spawn(self, &command, ACTOR_DATA)) {
        return;
    }
    if (life_note(self, rp_expect_start(self->child.process, &options, on_question, self, NULL)) <
        0) {
        (void)rp_kill(self->child.process);
        seen.asked++;
    }
    life_run_until(self, &self->child.counts[ACTOR_DONE], 1);
}

static void end_watched(life *self)
{
    LIFE_CHECK(self, self->fired || (self->child.exit.code == 0 && seen.answers == 1));
    if (self->spawn_error == 0) {
        LIFE_CHECK(self, seen.asked == 1);
        LIFE_CHECK(self, seen.ended == (seen.watched ? 1 : 0));
        LIFE_CHECK(self, seen.answers == 1 || self->refused > 0);
    }
}

static const life_scenario scenarios[] = {
    {.name = "typing", .types = true, .live = live_typing, .end = end_typing},
    {.name = "watched", .types = true, .live = live_watched, .end = end_watched},
};

LIFE_TESTS(sweep_terminals, scenarios)
