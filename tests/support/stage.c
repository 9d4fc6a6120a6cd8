/* See stage.h; what is the system's stands in stage_<system>.c. The handlers of actors hold what
 * rp/process.h promises about the order of callbacks, so that every test of the core looks for it.
 */
#include "tests/support/stage.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>

/* Longer than any test may take: a turn that reaches it has waited for something that never came.
 */
#define PATIENCE_NS (60 * RP_SECOND)

static const struct {
    const char *name;
    rp_backend id;
} KNOWN[] = {{"epoll", RP_BACKEND_EPOLL},
             {"uring", RP_BACKEND_URING},
             {"kqueue", RP_BACKEND_KQUEUE},
             {"iocp", RP_BACKEND_IOCP}};

const char *stage_backend_name(rp_backend backend)
{
    size_t i = 0;

    while (KNOWN[i].id != backend) {
        i++;
        cr_assert_lt(i, sizeof KNOWN / sizeof KNOWN[0]);
    }
    return KNOWN[i].name;
}

size_t stage_backend_list(rp_backend list[STAGE_BACKENDS_MAX])
{
    const char *only = getenv("RP_BACKEND");
    size_t count = 0;

    for (size_t i = 0; i < sizeof KNOWN / sizeof KNOWN[0]; i++) {
        if (rp_has(KNOWN[i].name) && (only == NULL || strcmp(only, KNOWN[i].name) == 0)) {
            list[count++] = KNOWN[i].id;
        }
    }
    return count;
}

rp_backend stage_backend(void)
{
    rp_backend list[STAGE_BACKENDS_MAX];

    cr_assert_gt(stage_backend_list(list), 0);
    return list[0];
}

struct criterion_test_params stage_backends(void)
{
    static rp_backend list[STAGE_BACKENDS_MAX];

    return cr_make_param_array(rp_backend, list, stage_backend_list(list));
}

/* ---- the loop --------------------------------------------------------------------- */

void stage_open(stage *self, rp_backend backend, const rp_loop_options *options)
{
    rp_loop_options full = RP_LOOP_OPTIONS_INIT;
    int r;

    self->before = stage_count();
    rpi_fault_memory_init(&self->memory, 0);
    if (options != NULL) {
        full = *options;
        full.size = sizeof full;
    }
    full.backend = backend;
    full.allocator = &self->memory.allocator;
    r = rp_loop_open(&full, &self->loop);
    cr_assert_eq(r, 0, "rp_loop_open: %s", rp_error_name(r));
    cr_assert_eq(rp_loop_backend(self->loop), backend);
}

void stage_close(stage *self)
{
    int unended = rp_loop_close(self->loop);

    self->loop = NULL;
    cr_assert_eq(unended, 0, "%d children not seen to end", unended);
    cr_assert_eq(self->memory.live_blocks, 0, "%zu blocks left", (size_t)self->memory.live_blocks);
    cr_assert_eq(self->memory.live_bytes, 0);
    stage_check(&self->before);
}

void stage_run(stage *self)
{
    int r = rp_loop_run(self->loop);

    cr_assert_eq(r, 0, "rp_loop_run: %s", rp_error_name(r));
}

void stage_run_until(stage *self, const unsigned int *count, unsigned int wanted)
{
    const uint64_t until_ns = rp_now_ns() + PATIENCE_NS;

    while (*count < wanted) {
        int r = rp_loop_run_once(self->loop, PATIENCE_NS);

        cr_assert_geq(r, 0, "rp_loop_run_once: %s", rp_error_name(r));
        cr_assert_lt(rp_now_ns(), until_ns, "%u of %u came", *count, wanted);
    }
}

void stage_run_until_blocked(stage *self, int64_t pid)
{
    const uint64_t until_ns = rp_now_ns() + PATIENCE_NS;
    int calm = 0;

    while (calm < 200) {
        int r = rp_loop_run_once(self->loop, 0);

        cr_assert_geq(r, 0);
        calm = r == 0 && stage_is_blocked(pid) ? calm + 1 : 0;
        cr_assert_lt(rp_now_ns(), until_ns, "the child does not come to rest");
        (void)sched_yield();
    }
}

rp_loop_stats stage_stats(const stage *self)
{
    rp_loop_stats stats = {.size = sizeof stats};

    cr_assert_eq(rp_loop_get_stats(self->loop, &stats), 0);
    return stats;
}

rp_command stage_command(const char *const *argv)
{
    rp_command command = RP_COMMAND_INIT;

    command.argv = argv;
    return command;
}

/* ---- actors ------------------------------------------------------------------------- */

void actor_text_add(actor_text *text, const char *bytes, size_t size)
{
    if (text->size + size + 1 > text->capacity) {
        text->capacity = 2 * (text->size + size) + 64;
        text->bytes = realloc(text->bytes, text->capacity);
        cr_assert_not_null(text->bytes);
    }
    memcpy(text->bytes + text->size, bytes, size);
    text->size += size;
    text->bytes[text->size] = '\0';
}

/* What holds in every callback. */
static actor *enter(rp_process *process, void *user, actor_event event)
{
    actor *self = user;

    cr_assert_eq(self->process, process);
    cr_assert_eq(self->counts[ACTOR_DONE], 0, "event %d after done", (int)event);
    cr_assert(event == ACTOR_STARTED || event == ACTOR_DONE || self->counts[ACTOR_STARTED] == 1,
              "event %d before started", (int)event);
    self->counts[event]++;
    return self;
}

static void leave(actor *self, actor_event event, rp_stream stream)
{
    if (self->hook != NULL) {
        self->hook(self, event, stream);
    }
}

static size_t index_of(const actor *self, rp_stream stream)
{
    cr_assert(stream == RP_STDOUT || stream == RP_STDERR);
    cr_assert_eq(self->eos[stream - 1], 0, "stream %d goes on after its end", (int)stream);
    return (size_t)stream - 1;
}

static void on_started(rp_process *process, void *user)
{
    actor *self = enter(process, user, ACTOR_STARTED);

    cr_assert_eq(self->counts[ACTOR_STARTED], 1);
    cr_assert_gt(rp_process_pid(process), 0);
    cr_assert_geq(rp_process_handle(process), 0);
    leave(self, ACTOR_STARTED, RP_STDIN);
}

static void on_data(rp_process *process, rp_stream stream, rp_view bytes, void *user)
{
    actor *self = enter(process, user, ACTOR_GOT_DATA);

    cr_assert_gt(bytes.size, 0);
    actor_text_add(&self->data[index_of(self, stream)], bytes.data, bytes.size);
    leave(self, ACTOR_GOT_DATA, stream);
}

static void on_line(rp_process *process, rp_stream stream, const rp_line *line, void *user)
{
    actor *self = enter(process, user, ACTOR_GOT_LINE);
    size_t index = index_of(self, stream);

    cr_assert_gt(line->seq, self->seq);
    self->seq = line->seq;
    cr_assert_gt(line->time_ns, 0);
    cr_assert_not(line->partial && line->unended);
    self->partials += line->partial;
    actor_text_add(&self->lines[index], "[", 1);
    actor_text_add(&self->lines[index], line->text.data, line->text.size);
    actor_text_add(&self->lines[index], line->partial ? "~" : line->unended ? "$" : "]", 1);
    actor_text_add(&self->order, line->text.data, line->text.size);
    actor_text_add(&self->order, "\n", 1);
    leave(self, ACTOR_GOT_LINE, stream);
}

static void on_eos(rp_process *process, rp_stream stream, void *user)
{
    actor *self = enter(process, user, ACTOR_EOS);

    self->eos[index_of(self, stream)]++;
    leave(self, ACTOR_EOS, stream);
}

static void on_exited(rp_process *process, const rp_exit *exit, void *user)
{
    actor *self = enter(process, user, ACTOR_EXITED);

    cr_assert_eq(self->counts[ACTOR_EXITED], 1);
    cr_assert_eq(exit, rp_process_exit(process));
    cr_assert_not(rp_process_is_running(process));
    cr_assert_geq(exit->exited_ns, exit->started_ns);
    leave(self, ACTOR_EXITED, RP_STDIN);
}

static void on_done(rp_process *process, const rp_exit *exit, void *user)
{
    actor *self = enter(process, user, ACTOR_DONE);

    cr_assert_eq(exit, rp_process_exit(process));
    cr_assert_not(rp_process_is_running(process));
    cr_assert_eq(self->counts[ACTOR_STARTED], exit->kind == RP_SPAWN_FAILED ? 0 : 1);
    cr_assert_leq(self->counts[ACTOR_EXITED], self->counts[ACTOR_STARTED]);
    cr_assert_geq(exit->done_ns, exit->exited_ns);
    self->exit = *exit;
    leave(self, ACTOR_DONE, RP_STDIN);
    if (!self->stays && self->process != NULL) {
        actor_close(self);
    }
}

int actor_try_spawn(stage *on, actor *self, const rp_command *command, unsigned int listens)
{
    rp_handlers handlers = {.started = on_started,
                            .data = (listens & ACTOR_DATA) != 0 ? on_data : NULL,
                            .line = (listens & ACTOR_LINES) != 0 ? on_line : NULL,
                            .eos = on_eos,
                            .exited = on_exited,
                            .done = on_done};

    return rp_spawn(on->loop, command, &handlers, self, &self->process);
}

void actor_spawn(stage *on, actor *self, const rp_command *command, unsigned int listens)
{
    int r = actor_try_spawn(on, self, command, listens);

    cr_assert_eq(r, 0, "rp_spawn: %s: %s", rp_error_name(r), rp_error_detail());
    cr_assert_eq(rp_process_loop(self->process), on->loop);
    cr_assert_eq(rp_process_user(self->process), self);
}

void actor_play(stage *on, actor *self, const rp_command *command, unsigned int listens)
{
    actor_spawn(on, self, command, listens);
    stage_run_until(on, &self->counts[ACTOR_DONE], 1);
}

void actor_close(actor *self)
{
    rp_process *process = self->process;

    self->process = NULL; // a callback from now on fails on it
    rp_process_close(process);
}

void actor_free(actor *self)
{
    for (int i = 0; i < 2; i++) {
        free(self->data[i].bytes);
        free(self->lines[i].bytes);
    }
    free(self->order.bytes);
    memset(self, 0, sizeof *self);
}

static const char *text_of(const actor_text *text)
{
    return text->bytes != NULL ? text->bytes : "";
}

const char *actor_data(const actor *self, rp_stream stream)
{
    return text_of(&self->data[stream - 1]);
}

const char *actor_lines(const actor *self, rp_stream stream)
{
    return text_of(&self->lines[stream - 1]);
}

void actor_check_code(const actor *self, int code)
{
    const rp_exit *exit = &self->exit;

    cr_assert_eq(self->counts[ACTOR_DONE], 1);
    cr_assert_eq(exit->code, code, "code %d, kind %d, error %s in %s", exit->code, (int)exit->kind,
                 rp_error_name(exit->error), exit->phase != NULL ? exit->phase : "no phase");
    cr_assert_eq(exit->reason, RP_STOP_NONE);
    cr_assert_eq(exit->step, RP_STOP_NONE);
}
