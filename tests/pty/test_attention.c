/* Attention on real programs: each is run until the watch has found what it should, however long
 * that takes. */
#define _GNU_SOURCE
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "tests/pty/rig.h"
#include "tests/support/check.h"

enum {
    REASONS = RP_ATTENTION_BY_EXIT + 1
};

typedef struct watched {
    stage on;
    actor child;
    rp_attention *attention;
    rp_attention_info last;
    unsigned int found[REASONS]; /* reports by reason */
    unsigned int count;
    bool closes_process;
    bool closes_watch;
} watched;

static void on_changed(rp_process *process, const rp_attention_info *info, void *user)
{
    watched *self = user;

    cr_assert_eq(process, self->child.process);
    cr_assert_eq(self->child.counts[ACTOR_DONE], 0, "after done");
    cr_assert_eq(self->found[RP_ATTENTION_BY_EXIT], 0, "DONE is the last");
    cr_assert(info->state != self->last.state || info->reason != self->last.reason ||
              self->count == 0);
    cr_assert_neq(info->reason, RP_ATTENTION_BY_START);
    cr_assert(info->confidence > 0 && info->confidence <= 1);
    self->last = *info;
    self->found[info->reason]++;
    self->count++;
    if (self->closes_watch) {
        rp_attention_close(self->attention);
        self->attention = NULL;
    }
    if (self->closes_process) {
        actor_close(&self->child);
    }
    cr_assert_eq(info->reason, self->last.reason, "a view that did not stay");
}

static const rp_attention_options fast = {
    .size = sizeof fast, .quiet_ns = 50 * RP_MILLISECOND, .sample_ns = 100 * RP_MILLISECOND};

static void open_watched(watched *self, rp_backend backend, const rp_command *command)
{
    int r;

    *self = (watched){.count = 0};
    stage_open(&self->on, backend, NULL);
    actor_spawn(&self->on, &self->child, command, ACTOR_DATA);
    r = rp_attention_start(self->child.process, &fast, on_changed, self, &self->attention);
    cr_assert_eq(r, 0, "%s", rp_error_detail());
}

static void close_watched(watched *self)
{
    if (self->child.process != NULL) {
        actor_close(&self->child);
    }
    rp_attention_close(self->attention);
    stage_close(&self->on);
    actor_free(&self->child);
}

/* Runs until it was found for this reason, once more than before. */
static void await_reason(watched *self, rp_attention_reason reason)
{
    if (self->last.reason != reason || self->count == 0) {
        stage_run_until(&self->on, &self->found[reason], self->found[reason] + 1);
    }
}

static rp_command shell(const char *script)
{
    static const char *argv[5];

    if (access("/bin/bash", X_OK) != 0) {
        cr_skip("bash is not installed");
    }
    argv[0] = "/bin/bash";
    argv[1] = script == NULL ? "--norc" : "-c";
    argv[2] = script == NULL ? "--noprofile" : script;
    argv[3] = NULL;
    return on_terminal(argv);
}

/* ---- waiting for input ---- */

BACKEND_TEST(attention, finds_a_shell_at_its_prompt_and_what_it_runs)
{
    rp_command command = shell(NULL);
    watched self;

    open_watched(&self, *backend, &command);
    await_reason(&self, RP_ATTENTION_BY_READING);
    cr_assert_eq(self.last.state, RP_ATTENTION_WAITING_INPUT);
    cr_assert_gt(self.last.confidence, 0.9);
    cr_assert_eq(self.last.pid, rp_process_pid(self.child.process));
    type(&self.child, "sleep 1000\n");
    await_reason(&self, RP_ATTENTION_BY_SILENCE);
    cr_assert_eq(self.last.state, RP_ATTENTION_QUIET);
    cr_assert_eq(rp_interrupt(self.child.process), 0);
    await_reason(&self, RP_ATTENTION_BY_READING);
    type(&self.child, "while :; do :; done\n");
    await_reason(&self, RP_ATTENTION_BY_PROCESSOR);
    cr_assert_eq(self.last.state, RP_ATTENTION_BUSY);
    cr_assert_gt(self.last.cpu_percent, 5.0);
    cr_assert_eq(rp_interrupt(self.child.process), 0);
    await_reason(&self, RP_ATTENTION_BY_READING);
    type(&self.child, "cat | cat\n"); // who reads is not the one whom the shell waits for
    await_reason(&self, RP_ATTENTION_BY_OUTPUT);
    await_reason(&self, RP_ATTENTION_BY_READING);
    cr_assert_neq(self.last.pid, rp_process_pid(self.child.process));
    type(&self.child, "\x04");
    await_reason(&self, RP_ATTENTION_BY_READING);
    type(&self.child, "exit 0\n");
    await_reason(&self, RP_ATTENTION_BY_EXIT);
    cr_assert_eq(self.last.state, RP_ATTENTION_DONE);
    stage_run_until(&self.on, &self.child.counts[ACTOR_DONE], 1);
    close_watched(&self);
}

BACKEND_TEST(attention, finds_a_password_asked_for)
{
    rp_command command = shell("read -s -p 'Password: ' x");
    watched self;

    open_watched(&self, *backend, &command);
    await_reason(&self, RP_ATTENTION_BY_PASSWORD);
    cr_assert_eq(self.last.state, RP_ATTENTION_WAITING_INPUT);
    type(&self.child, "secret\n");
    await_reason(&self, RP_ATTENTION_BY_EXIT);
    close_watched(&self);
}

BACKEND_TEST(attention, finds_who_reads_a_pipe)
{
    rp_command command = stage_command(CHILD("echo", "ready", "cat"));
    watched self;

    command.in.kind = RP_STDIO_PIPE;
    open_watched(&self, *backend, &command);
    await_reason(&self, RP_ATTENTION_BY_READING);
    cr_assert_eq(self.last.state, RP_ATTENTION_WAITING_INPUT);
    cr_assert_eq(rp_close_stdin(self.child.process), 0);
    await_reason(&self, RP_ATTENTION_BY_EXIT);
    close_watched(&self);
}

static void check_program(rp_backend backend, const char *const *argv, const char *quit)
{
    rp_command command = on_terminal(argv);
    watched self;

    if (access(argv[0], X_OK) != 0) {
        cr_skip("%s is not installed", argv[0]);
    }
    command.env = (const char *const[]){"TERM=xterm", "LESS=", NULL};
    open_watched(&self, backend, &command);
    await_reason(&self, RP_ATTENTION_BY_READING);
    cr_assert_eq(self.last.state, RP_ATTENTION_WAITING_INPUT);
    type(&self.child, quit);
    stage_run_until(&self.on, &self.found[RP_ATTENTION_BY_EXIT], 1);
    close_watched(&self);
}

BACKEND_TEST(attention, finds_a_pager_waiting)
{
    check_program(*backend, (const char *const[]){"/usr/bin/less", "/etc/passwd", NULL}, "q");
}

BACKEND_TEST(attention, finds_an_editor_waiting)
{
    check_program(*backend,
                  (const char *const[]){"/usr/bin/vim", "-u", "NONE", "-i", "NONE", "-n", NULL},
                  "\x1b:q!\r");
}

BACKEND_TEST(attention, finds_a_program_with_threads_and_an_event_loop_waiting)
{
    check_program(*backend,
                  (const char *const[]){"/usr/bin/node", "-e",
                                        "process.stdin.on('data', () => process.exit(0))", NULL},
                  "x\n");
}

/* ---- other states ---- */

BACKEND_TEST(attention, finds_who_sleeps_quiet_and_who_burns_busy)
{
    rp_command command =
        on_terminal(CHILD("echo", "a", "read", "1", "fork", "burn", "600000", "end", "pause"));
    watched self;

    open_watched(&self, *backend, &command);
    await_reason(&self, RP_ATTENTION_BY_READING);
    type(&self.child, "\n");
    await_reason(&self, RP_ATTENTION_BY_PROCESSOR); // a child of its own
    cr_assert_eq(self.last.state, RP_ATTENTION_BUSY);
    close_watched(&self);

    command = on_terminal(CHILD("echo", "a", "pause"));
    open_watched(&self, *backend, &command);
    await_reason(&self, RP_ATTENTION_BY_SILENCE);
    cr_assert_eq(self.last.state, RP_ATTENTION_QUIET);
    close_watched(&self);
}

BACKEND_TEST(attention, hears_what_a_child_tells_its_terminal)
{
    static const struct {
        const char *text;
        rp_attention_reason reason;
    } cases[] = {{"\x1b]9;4;1;30\x07", RP_ATTENTION_BY_PROGRESS},
                 {"\x1b]133;C\x07", RP_ATTENTION_BY_COMMAND},
                 {"\x1b]133;A\x07$ ", RP_ATTENTION_BY_PROMPT},
                 {"finished\x07", RP_ATTENTION_BY_BELL},
                 {"\x1b]777;notify;a;b\x1b\\", RP_ATTENTION_BY_BELL},
                 {"\x1b]9;4;1\x07\x1b]9;4;0\x07", RP_ATTENTION_BY_SILENCE}};

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        rp_command command = on_terminal(CHILD("write", "1", cases[i].text, "pause"));
        watched self;

        open_watched(&self, *backend, &command);
        await_reason(&self, cases[i].reason);
        close_watched(&self);
    }
}

BACKEND_TEST(attention, takes_titles_for_output)
{
    rp_command command =
        on_terminal(CHILD("silent", "read", "1", "write", "1", "\x1b]2;working\x07", "pause"));
    watched self;
    unsigned int outputs;

    open_watched(&self, *backend, &command);
    await_reason(&self, RP_ATTENTION_BY_PASSWORD); // it does not echo
    outputs = self.found[RP_ATTENTION_BY_OUTPUT];
    type(&self.child, "\n");
    stage_run_until(&self.on, &self.found[RP_ATTENTION_BY_OUTPUT], outputs + 1);
    await_reason(&self, RP_ATTENTION_BY_SILENCE);
    close_watched(&self);
}

BACKEND_TEST(attention, knows_a_child_that_waits_for_us)
{
    rp_command command = stage_command(CHILD("fill", "1", "10000000"));
    watched self;

    open_watched(&self, *backend, &command);
    cr_assert_eq(rp_pause(self.child.process, RP_STDOUT), 0);
    await_reason(&self, RP_ATTENTION_BY_US);
    cr_assert_eq(self.last.state, RP_ATTENTION_BUSY);
    cr_assert_eq(rp_resume(self.child.process, RP_STDOUT), 0);
    await_reason(&self, RP_ATTENTION_BY_EXIT);
    close_watched(&self);
}

BACKEND_TEST(attention, tells_of_a_launch_that_failed)
{
    rp_command command = stage_command((const char *const[]){"/nowhere/at/all", NULL});
    watched self;

    open_watched(&self, *backend, &command);
    stage_run(&self.on);
    cr_assert_eq(self.count, 1);
    cr_assert_eq(self.last.state, RP_ATTENTION_DONE);
    close_watched(&self);
}

/* ---- handles ---- */

BACKEND_TEST(attention, may_close_anything_in_its_callback)
{
    rp_command command = on_terminal(CHILD("echo", "a", "pause"));

    for (int bits = 1; bits < 4; bits++) {
        watched self;

        open_watched(&self, *backend, &command);
        self.closes_watch = (bits & 1) != 0;
        self.closes_process = (bits & 2) != 0;
        stage_run_until(&self.on, &self.count, 1);
        for (int i = 0; i < 20; i++) {
            cr_assert_geq(rp_loop_run_once(self.on.loop, 0), 0);
        }
        cr_assert_eq(self.count, 1);
        close_watched(&self);
    }
}

BACKEND_TEST(attention, needs_no_handle_and_is_closed_with_the_loop)
{
    rp_command command = on_terminal(CHILD("echo", "a"));
    watched self = {.count = 0};

    stage_open(&self.on, *backend, NULL);
    actor_spawn(&self.on, &self.child, &command, ACTOR_DATA);
    cr_assert_eq(rp_attention_start(self.child.process, NULL, on_changed, &self, NULL), 0);
    stage_run(&self.on);
    cr_assert_eq(self.last.state, RP_ATTENTION_DONE);
    actor_free(&self.child);

    memset(self.found, 0, sizeof self.found);
    command = on_terminal(CHILD("pause"));
    self.child = (actor){0};
    actor_spawn(&self.on, &self.child, &command, ACTOR_DATA);
    cr_assert_eq(rp_attention_start(self.child.process, NULL, on_changed, &self, NULL), 0);
    cr_assert_eq(rp_attention_start(self.child.process, NULL, on_changed, &self, &self.attention),
                 0);
    stage_close(&self.on); // finds what is left behind
}

BACKEND_TEST(attention, refuses_options_that_say_nothing)
{
    rp_command command = on_terminal(CHILD("pause"));
    rp_attention_options options = fast;
    rp_attention_info info = {.size = sizeof info};
    rp_attention *none = NULL;
    watched self;

    open_watched(&self, *backend, &command);
    cr_assert_eq(rp_attention_start(self.child.process, NULL, NULL, NULL, &none), RP_EINVAL);
    options.size = 0;
    cr_assert_eq(rp_attention_start(self.child.process, &options, on_changed, &self, &none),
                 RP_EINVAL);
    options = fast;
    options.cpu_percent_max = NAN;
    cr_assert_eq(rp_attention_start(self.child.process, &options, on_changed, &self, &none),
                 RP_EINVAL);
    options = fast;
    options.sample_ns = RP_FOREVER;
    cr_assert_eq(rp_attention_start(self.child.process, &options, on_changed, &self, &none),
                 RP_EINVAL);
    cr_assert_null(none);
    cr_assert_eq(rp_attention_get(self.attention, &info), 0);
    cr_assert_eq(info.state, RP_ATTENTION_BUSY);
    cr_assert_eq(info.reason, RP_ATTENTION_BY_START);
    info.size = 0;
    cr_assert_eq(rp_attention_get(self.attention, &info), RP_EINVAL);
    rp_attention_close(NULL);
    close_watched(&self);
}

BACKEND_TEST(attention, survives_a_lack_of_memory)
{
    for (unsigned int n = 1;; n++) {
        rp_command command = stage_command(CHILD("pause"));
        actor child = {0};
        rp_attention *attention = NULL;
        bool fired;
        stage on;
        int r;

        stage_open(&on, *backend, NULL);
        actor_spawn(&on, &child, &command, 0);
        on.memory.fail_at = on.memory.requests + n;
        r = rp_attention_start(child.process, NULL, on_changed, NULL, &attention);
        fired = on.memory.fired;
        on.memory.fail_at = 0;
        cr_assert_eq(r, fired ? RP_ENOMEM : 0);
        rp_attention_close(attention);
        actor_close(&child);
        stage_close(&on);
        if (!fired) {
            cr_assert_gt(n, 1);
            return;
        }
    }
}
