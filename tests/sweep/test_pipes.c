/* Lives with faults of children on pipes: with handlers, in pull mode, several that wait for their
 * turn, a tree that must be killed, commands that are run to their end, expects. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/noise.h"
#include "tests/sweep/life.h"

enum {
    SIZE = 100000, /* bytes of each stream; more than a ring and a pipe hold */
    SEED = 41
};

/* ---- handlers ----------------------------------------------------------------------------------
 */

static void live_with_handlers(life *self)
{
    rp_command command = stage_command(CHILD("read", "5", "flood-both", "100000", "41"));

    command.in.kind = RP_STDIO_PIPE;
    command.capture_max = 1000;
    command.capture_order = true;
    command.timeout_ns = 900 * RP_SECOND;
    command.write_max = 1 << 20;
    if (life_spawn(self, &command, ACTOR_DATA | ACTOR_LINES)) {
        (void)life_note(self, rp_write(self->child.process, (rp_view){"01234", 5}, NULL, NULL));
        (void)life_note(self, rp_close_stdin(self->child.process));
        life_run_until(self, &self->child.counts[ACTOR_DONE], 1);
    }
}

static bool is_whole(const life *self, rp_stream stream, uint64_t seed)
{
    const actor_text *text = &self->child.data[stream - 1];
    noise_sum sum = {0, 0};

    noise_sum_add(&sum, text->bytes != NULL ? text->bytes : "", text->size);
    return sum.size == SIZE && sum.value == noise_sum_of(seed, SIZE).value;
}

/* A child that says it has ended well has delivered everything, or somebody was told. */
static void end_with_handlers(life *self)
{
    const rp_exit *exit = &self->child.exit;

    LIFE_CHECK(self, self->fired || exit->code == 0);
    if (self->spawn_error == 0 && exit->kind == RP_EXITED && exit->code == 0 && self->logged == 0) {
        LIFE_CHECK(self, is_whole(self, RP_STDOUT, SEED));
        LIFE_CHECK(self, is_whole(self, RP_STDERR, SEED + 1));
        LIFE_CHECK(self, exit->in_bytes == 5 || self->refused > 0);
    }
}

/* ---- pull mode ---------------------------------------------------------------------------------
 */

typedef struct puller {
    rp_process *process;
    size_t total; /* bytes of lines, with their ends */
    int result;   /* of the last call */
} puller;

static puller pulled;

static void live_in_pull_mode(life *self)
{
    rp_command command = stage_command(CHILD("lines", "1", "300", "fill", "1", "200000"));
    unsigned int errors = 0;
    rp_line line;
    int r;

    memset(&pulled, 0, sizeof pulled);
    self->spawn_error = rp_spawn(self->on.loop, &command, NULL, NULL, &pulled.process);
    if (self->spawn_error < 0) {
        return;
    }
    do {
        r = rp_next_line(pulled.process, RP_BOTH, RP_FOREVER, &line);
        if (r == 1) {
            pulled.total += line.text.size + (line.partial || line.unended ? 0 : 1);
        }
        errors += r < 0;
        self->run_errors += r < 0;
        LIFE_CHECK(self, errors < 20);
    } while (r != 0);
    do {
        r = rp_wait(pulled.process, RP_FOREVER);
        errors += r < 0;
        self->run_errors += r < 0;
        LIFE_CHECK(self, errors < 20);
    } while (r < 0);
}

static void end_in_pull_mode(life *self)
{
    const size_t all = 10 * 7 + 90 * 8 + 200 * 9 + 200000;

    if (pulled.process != NULL) {
        const rp_exit *exit = rp_process_exit(pulled.process);

        LIFE_CHECK(self, exit->kind == RP_SPAWN_FAILED || pulled.total == all || self->logged > 0);
        LIFE_CHECK(self, self->fired || exit->code == 0);
        rp_process_close(pulled.process);
    }
}

/* ---- a turn each --------------------------------------------------------------------------------
 */

enum {
    QUEUE = 4
};

static actor queue[QUEUE];

static void choose_one_at_a_time(life *self, rp_loop_options *ret)
{
    (void)self;
    ret->process_max = 1;
}

static void live_one_at_a_time(life *self)
{
    static const char *const argv[] = {RP_TEST_CHILD, "echo", "mine", "exit", "5", NULL};
    const rp_command command = stage_command(argv);

    memset(queue, 0, sizeof queue);
    for (int i = 0; i < QUEUE; i++) {
        (void)life_note(self, actor_try_spawn(&self->on, &queue[i], &command, ACTOR_LINES));
    }
    for (int i = 0; i < QUEUE; i++) {
        if (queue[i].process != NULL || queue[i].counts[ACTOR_DONE] > 0) {
            life_run_until(self, &queue[i].counts[ACTOR_DONE], 1);
        }
    }
}

static void end_one_at_a_time(life *self)
{
    unsigned int failed = 0;

    for (int i = 0; i < QUEUE; i++) {
        const rp_exit *exit = &queue[i].exit;

        if (queue[i].counts[ACTOR_DONE] == 1 && exit->kind == RP_EXITED) {
            LIFE_CHECK(self, exit->code == 5);
            LIFE_CHECK(self, strcmp(actor_lines(&queue[i], RP_STDOUT), "[mine]") == 0 ||
                                 self->logged > 0);
        } else {
            failed++;
        }
        actor_free(&queue[i]);
    }
    LIFE_CHECK(self, failed <= (self->fired ? 1 : 0));
}

/* ---- a stop
 * -------------------------------------------------------------------------------------- */

static void begin_stop(life *self)
{
    rp_command command =
        stage_command(CHILD("ignore", "15", "fork", "pause", "end", "echo", "r", "pause"));

    life_tie(self, &command);
    self->child.stays = true;
    actor_spawn(&self->on, &self->child, &command, ACTOR_LINES);
    lifeline_close_write(&self->line);
    stage_run_until(&self->on, &self->child.counts[ACTOR_GOT_LINE], 1);
}

static void live_stop(life *self)
{
    const rp_stop_options ladder = {.size = sizeof ladder,
                                    .no_interrupt = true,
                                    .terminate_ns = RP_MILLISECOND,
                                    .kill_ns = 300 * RP_MILLISECOND};

    if (life_note(self, rp_stop(self->child.process, &ladder)) == RP_ENOMEM) {
        (void)rp_stop(self->child.process,
                      &ladder); // nothing was begun; a refusal is gone on after
    }
    life_run_until(self, &self->child.counts[ACTOR_DONE], 1);
}

static void end_stop(life *self)
{
    const rp_exit *exit = &self->child.exit;

    LIFE_CHECK(self, self->fired || exit->survivors == 0);
    LIFE_CHECK(self, exit->reason == RP_STOP_KILL);
    if (exit->survivors > 0) {
        actor_close(&self->child); // which kills what a refused kill has left
        (void)rp_loop_run_once(self->on.loop, 0);
    }
    lifeline_await_end(&self->line);
}

/* ---- to the end
 * ---------------------------------------------------------------------------------- */

static rp_result result;
static int ran;
static char input[SIZE];

static rp_command make_filter(void)
{
    static const char *const argv[] = {RP_TEST_CHILD, "write", "2", "warning", "cat", NULL};
    rp_command command = stage_command(argv);
    noise bytes = noise_begin(SEED);

    noise_fill(&bytes, input, sizeof input);
    command.input = (rp_view){input, sizeof input};
    return command;
}

static void live_run_on(life *self)
{
    const rp_command command = make_filter();

    memset(&result, 0, sizeof result);
    ran = life_note(self, rp_run_on(self->on.loop, &command, &result));
}

static void choose_backend(life *self, rp_loop_options *ret)
{
    LIFE_CHECK(self,
               setenv("RP_BACKEND", ret->backend == RP_BACKEND_URING ? "uring" : "epoll", 1) == 0);
}

/* The faults meet a loop of its own. */
static void live_run(life *self)
{
    const rp_command command = make_filter();

    memset(&result, 0, sizeof result);
    ran = life_note(self, rp_run(&command, &result));
}

static void end_run(life *self)
{
    cr_assert(self->fired || ran == 0, "%s: %s", rp_error_name(ran), rp_error_detail());
    if (ran == 0 && result.exit.kind == RP_EXITED && result.exit.code == 0 && self->logged == 0 &&
        !result.out_truncated && !result.err_truncated && result.exit.in_bytes == SIZE) {
        LIFE_CHECK(self, result.out.size == SIZE && memcmp(result.out.data, input, SIZE) == 0);
        LIFE_CHECK(self, result.err.size == 7 && memcmp(result.err.data, "warning", 7) == 0);
    }
    LIFE_CHECK(self, self->fired || result.exit.in_bytes == SIZE);
    LIFE_CHECK(self, self->fired || !result.out_truncated);
    rp_result_free(&result);
}

/* ---- expects
 * ------------------------------------------------------------------------------------- */

#ifdef RP_HAVE_REGEX

static unsigned int told[2];

static void on_answer(rp_process *process, const rp_match *match, void *user)
{
    life *self = user;

    (void)process;
    told[1]++;
    if (life_note(self, match->status) == 0) {
        LIFE_CHECK(self, match->group_count == 2 && match->groups[1].size == 2 &&
                             memcmp(match->groups[1].data, "42", 2) == 0);
    }
}

/* What cannot be answered would be waited for without end. */
static void on_question(rp_process *process, const rp_match *match, void *user)
{
    static const rp_pattern patterns[] = {{.text = "no"},
                                          {.kind = RP_REGEX, .text = "ok ([0-9]+)\n"}};
    rp_expect_options options = RP_EXPECT_OPTIONS_INIT;
    life *self = user;

    told[0]++;
    options.patterns = patterns;
    options.pattern_count = 2;
    options.stream = RP_STDOUT; // it alone may end early
    if (life_note(self, match->status) < 0 ||
        life_note(self, rp_expect_start(process, &options, on_answer, self, NULL)) < 0) {
        (void)rp_kill(process);
    }
}

static void live_expecting(life *self)
{
    static const rp_pattern pattern = {.text = "login: "};
    static const rp_action action = {.kind = RP_ACT_WRITE, .bytes = {"01234", 5}};
    rp_command command =
        stage_command(CHILD("write", "1", "login: ", "read", "5", "write", "1", "ok 42\\n"));
    rp_expect_options options = RP_EXPECT_OPTIONS_INIT;

    memset(told, 0, sizeof told);
    command.in.kind = RP_STDIO_PIPE;
    options.patterns = &pattern;
    options.pattern_count = 1;
    options.stream = RP_STDOUT;
    options.actions = &action;
    if (!life_spawn(self, &command, ACTOR_DATA)) {
        return;
    }
    if (life_note(self, rp_expect_start(self->child.process, &options, on_question, self, NULL)) <
        0) {
        (void)rp_kill(self->child.process);
        told[0]++;
    }
    life_run_until(self, &self->child.counts[ACTOR_DONE], 1);
}

static void end_expecting(life *self)
{
    if (self->spawn_error == 0) {
        LIFE_CHECK(self, told[0] == 1);
        LIFE_CHECK(self, told[1] == 1 || self->refused > 0);
        LIFE_CHECK(self, self->child.exit.code == 0 || self->fired);
    }
}

#endif

static const life_scenario scenarios[] = {
    {.name = "handlers", .opens = true, .live = live_with_handlers, .end = end_with_handlers},
    {.name = "pull mode", .live = live_in_pull_mode, .end = end_in_pull_mode},
    {.name = "one at a time",
     .choose = choose_one_at_a_time,
     .live = live_one_at_a_time,
     .end = end_one_at_a_time},
    {.name = "a stop", .looks = true, .begin = begin_stop, .live = live_stop, .end = end_stop},
    {.name = "rp_run_on", .live = live_run_on, .end = end_run},
    {.name = "rp_run", .closes = true, .choose = choose_backend, .live = live_run, .end = end_run},
#ifdef RP_HAVE_REGEX
    {.name = "expects", .live = live_expecting, .end = end_expecting},
#endif
};

LIFE_TESTS(sweep_pipes, scenarios)
