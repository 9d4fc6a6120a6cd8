/* Tests rp_find_by_originator: who is found, what is told of the launcher, and environments that
 * somebody has made on purpose. */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/describe_linux.h"
#include "rp/contain.h"
#include "tests/support/check.h"
#include "tests/support/stage.h"

enum {
    FOUND_MAX = 16,
    NO_SUCH_PID = 4194305 /* above what the system gives */
};

typedef struct found {
    rp_process_info infos[FOUND_MAX];
    char originators[FOUND_MAX][128];
    char commands[FOUND_MAX][256];
    int count;
    int stop_at;
} found;

static bool note(const rp_process_info *info, void *user)
{
    found *all = user;

    cr_assert_lt(all->count, FOUND_MAX);
    all->infos[all->count] = *info;
    (void)snprintf(all->originators[all->count], 128, "%s", info->originator);
    (void)snprintf(all->commands[all->count], 256, "%s", info->command);
    all->count++;
    return all->count != all->stop_at;
}

/* A name that nobody else on this machine has. */
static const char *tool(void)
{
    static char name[64];

    (void)snprintf(name, sizeof name, "rp-test-%d-%" PRIu64, (int)getpid(), rp_now_ns());
    return name;
}

/* Children that wait for the end of the test, each with this entry in its environment. */
typedef struct crowd {
    stage on;
    actor actors[FOUND_MAX];
    lifeline hold;
    lifeline ready;
    int count;
} crowd;

static void crowd_open(crowd *self)
{
    memset(self, 0, sizeof *self);
    stage_open(&self->on, stage_backend(), NULL);
    self->hold = lifeline_open();
    self->ready = lifeline_open();
}

static int64_t crowd_add(crowd *self, rp_command *command)
{
    const rp_fd fds[] = {{.parent = self->ready.write, .child = 4},
                         {.parent = self->hold.read, .child = 3}};
    actor *one = &self->actors[self->count++];

    command->fds = fds;
    command->fd_count = 2;
    actor_spawn(&self->on, one, command, 0);
    stage_run_until(&self->on, &one->counts[ACTOR_STARTED], 1);
    return rp_process_pid(one->process);
}

static int64_t crowd_add_with(crowd *self, const char *entry)
{
    const char *const env[] = {entry, NULL};
    rp_command command = stage_command(CHILD("write", "4", "r", "wait", "3"));
    int64_t pid;

    command.env = env;
    pid = crowd_add(self, &command);
    lifeline_await_byte(&self->ready);
    return pid;
}

static void crowd_close(crowd *self)
{
    lifeline_close(&self->hold);
    lifeline_await_end(&self->ready);
    stage_run(&self->on);
    for (int i = 0; i < self->count; i++) {
        actor_free(&self->actors[i]);
    }
    stage_close(&self->on);
}

static const char *entry_of(const char *name, const char *rest)
{
    static char text[256];

    (void)snprintf(text, sizeof text, "RUNNING_PROCESS_ORIGINATOR=%s%s", name, rest);
    return text;
}

static const char *entry_of_pid(const char *name, const char *between, int64_t pid)
{
    char rest[64];

    (void)snprintf(rest, sizeof rest, "%s%" PRId64, between, pid);
    return entry_of(name, rest);
}

Test(find, finds_what_a_command_with_an_originator_launched, .timeout = 60)
{
    const char *name = tool();
    rp_command command = stage_command(CHILD("fork", "setsid", "write", "4", "a", "wait", "3",
                                             "end", "write", "4", "b", "wait", "3"));
    char value[128];
    found all = {.count = 0};
    crowd them;

    crowd_open(&them);
    command.originator = name;
    (void)crowd_add(&them, &command);
    lifeline_await_byte(&them.ready);
    lifeline_await_byte(&them.ready);
    cr_assert_eq(rp_find_by_originator(name, note, &all), 2);
    (void)snprintf(value, sizeof value, "%s:%d", name, (int)getpid());
    for (int i = 0; i < 2; i++) {
        cr_assert_str_eq(all.originators[i], value);
        cr_assert_eq(all.infos[i].parent_pid, getpid());
        cr_assert(all.infos[i].parent_alive);
        cr_assert_not_null(strstr(all.commands[i], " setsid write 4 a wait 3 end"));
    }
    all = (found){.stop_at = 1};
    cr_assert_eq(rp_find_by_originator(name, note, &all), 1);
    crowd_close(&them);
    cr_assert_eq(rp_find_by_originator(name, note, &all), 0);
}

Test(find, matches_a_prefix_and_splits_at_the_last_colon, .timeout = 60)
{
    const char *name = tool();
    char longer[128];
    found all = {.count = 0};
    crowd them;

    crowd_open(&them);
    (void)crowd_add_with(&them, entry_of_pid(name, ":B:", getpid()));
    (void)crowd_add_with(&them, entry_of_pid(name, "x:", getpid()));
    cr_assert_eq(rp_find_by_originator(name, note, &all), 1);
    cr_assert_eq(all.infos[0].parent_pid, getpid());
    (void)snprintf(longer, sizeof longer, "%s:B", name);
    cr_assert_eq(rp_find_by_originator(longer, note, &all), 1);
    (void)snprintf(longer, sizeof longer, "%s:", name);
    cr_assert_eq(rp_find_by_originator(longer, note, &all), 0);
    crowd_close(&them);
}

Test(find, passes_over_values_that_do_not_name_a_process, .timeout = 60)
{
    static const char *const bad[] = {":",   "",    ":12x",        ":-1",       ": 1",
                                      ":+1", ":1 ", ":4294967296", ":session-1"};
    const char *name = tool();
    found all = {.count = 0};
    crowd them;

    crowd_open(&them);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        (void)crowd_add_with(&them, entry_of(name, bad[i]));
    }
    cr_assert_eq(rp_find_by_originator(name, note, &all), 0);
    (void)crowd_add_with(&them, entry_of_pid(name, ":", 4294967295));
    cr_assert_eq(rp_find_by_originator(name, note, &all), 1);
    cr_assert_eq(all.infos[0].parent_pid, 4294967295);
    cr_assert_not(all.infos[0].parent_alive);
    crowd_close(&them);
}

Test(find, tells_a_dead_launcher_from_a_living_one, .timeout = 60)
{
    const char *name = tool();
    found all = {.count = 0};
    crowd them;

    crowd_open(&them);
    (void)crowd_add_with(&them, entry_of_pid(name, ":", NO_SUCH_PID));
    cr_assert_eq(rp_find_by_originator(name, note, &all), 1);
    cr_assert_eq(all.infos[0].parent_pid, NO_SUCH_PID);
    cr_assert_not(all.infos[0].parent_alive);
    crowd_close(&them);
}

/* The launcher's number now belongs to a process that began later than what it would have launched:
 * the child begins, waits to be told the number, then becomes a program that carries it. */
Test(find, takes_a_later_process_with_the_number_for_another, .timeout = 60)
{
    static const char script[] = "read pid; RUNNING_PROCESS_ORIGINATOR=$0:$pid exec \"$1\" "
                                 "write 4 r wait 3";
    const char *const argv[] = {"/bin/sh", "-c", script, tool(), RP_TEST_CHILD, NULL};
    const char *name = argv[3];
    rp_command command = stage_command(argv);
    found all = {.count = 0};
    char line[32];
    rp_identity early;
    rp_identity late = {.start_time_ms = 0};
    crowd them;
    int64_t pid;

    crowd_open(&them);
    command.in.kind = RP_STDIO_PIPE;
    pid = crowd_add(&them, &command);
    cr_assert_eq(rp_identify(pid, &early), 0);
    while (late.start_time_ms < early.start_time_ms + 50) { /* their clock ticks slowly */
        rp_command other = stage_command(CHILD("wait", "3"));

        if (late.start_time_ms != 0) {
            actor *last = &them.actors[--them.count];

            actor_close(last);
            actor_free(last);
            memset(last, 0, sizeof *last);
        }
        cr_assert_eq(rp_identify(crowd_add(&them, &other), &late), 0);
    }
    (void)snprintf(line, sizeof line, "%" PRId64 "\n", late.pid);
    cr_assert_eq(rp_write(them.actors[0].process, (rp_view){line, strlen(line)}, NULL, NULL), 0);
    while (rp_process_unwritten(them.actors[0].process) > 0) {
        cr_assert_geq(rp_loop_run_once(them.on.loop, RP_SECOND), 0);
    }
    lifeline_await_byte(&them.ready);
    cr_assert_eq(rp_find_by_originator(name, note, &all), 1);
    cr_assert_eq(all.infos[0].id.pid, pid);
    cr_assert_eq(all.infos[0].parent_pid, late.pid);
    cr_assert_not(all.infos[0].parent_alive, "it began later");
    crowd_close(&them);
}

Test(find, reads_environments_without_an_end_and_of_any_size, .timeout = 60)
{
    const char *name = tool();
    char *huge = malloc(120000);
    char text[256];
    const char *const scribbled[] = {"AAAA=11111111111111111111111111111111", NULL};
    const char *env[4] = {"FIRST=1", huge, NULL, NULL};
    found all = {.count = 0};
    rp_command command;
    crowd them;

    crowd_open(&them);
    /* Behind 120,000 bytes of another's. */
    memset(huge, 'x', 119999);
    memcpy(huge, "HUGE=", 5);
    huge[119999] = '\0';
    env[2] = entry_of_pid(name, ":", getpid());
    command = stage_command(CHILD("write", "4", "r", "wait", "3"));
    command.env = env;
    command.env_clear = true;
    (void)crowd_add(&them, &command);
    lifeline_await_byte(&them.ready);
    /* Digits up to the last byte, no NUL: too many for a number; nothing is read beyond them. */
    (void)snprintf(text, sizeof text, "RUNNING_PROCESS_ORIGINATOR=%s:", name);
    command = stage_command(CHILD("scribble", text, "write", "4", "r", "wait", "3"));
    (void)crowd_add(&them, &command);
    lifeline_await_byte(&them.ready);
    command = stage_command(
        CHILD("scribble", "RUNNING_PROCESS_ORIGINATOR", "write", "4", "r", "wait", "3"));
    command.env = scribbled;
    command.env_clear = true;
    (void)crowd_add(&them, &command);
    lifeline_await_byte(&them.ready);
    cr_assert_eq(rp_find_by_originator(name, note, &all), 1);
    cr_assert_eq(all.infos[0].parent_pid, getpid());
    crowd_close(&them);
    free(huge);
}

Test(find, counts_the_first_of_two_entries, .timeout = 60)
{
    const char *name = tool();
    char first[256];
    const char *argv[] = {"/usr/bin/env", "-i", first, RP_TEST_CHILD, "write", "4", "r",
                          "wait",         "3",  NULL};
    rp_command command = stage_command(argv);
    found all = {.count = 0};
    crowd them;

    crowd_open(&them);
    (void)snprintf(first, sizeof first, "NOT_RUNNING_PROCESS_ORIGINATOR=%s:%d", name,
                   (int)getpid());
    (void)crowd_add(&them, &command);
    lifeline_await_byte(&them.ready);
    cr_assert_eq(rp_find_by_originator(name, note, &all), 0, "another variable");
    crowd_close(&them);
}

typedef struct counted {
    int64_t last;
    int count;
} counted;

static bool count_ascending(const rp_process_info *info, void *user)
{
    counted *all = user;

    cr_assert_gt(info->id.pid, all->last, "each once");
    all->last = info->id.pid;
    all->count++;
    return true;
}

/* So many that threads share them. */
Test(find, finds_thousands_each_once, .timeout = 120)
{
    const char *name = tool();
    rp_command command = stage_command(CHILD("tree", "1", "1500", "4", "pause"));
    counted all = {.count = 0};
    rp_identity root;
    crowd them;

    crowd_open(&them);
    command.originator = name;
    cr_assert_eq(rp_identify(crowd_add(&them, &command), &root), 0);
    for (int i = 0; i < 1500; i++) {
        lifeline_await_byte(&them.ready);
    }
    cr_assert_eq(rp_find_by_originator(name, count_ascending, &all), 1501);
    cr_assert_eq(all.count, 1501);
    cr_assert_eq(rp_tree_kill(&root, 60 * RP_SECOND), 0);
    crowd_close(&them);
}

Test(find, refuses_no_name, .timeout = 60)
{
    found all = {.count = 0};

    cr_assert_eq(rp_find_by_originator(NULL, note, &all), RP_EINVAL);
    cr_assert_eq(rp_find_by_originator("", note, &all), RP_EINVAL);
    cr_assert_eq(rp_find_by_originator("x", NULL, NULL), RP_EINVAL);
}

Test(find, reads_originators, .timeout = 60)
{
    cr_assert_eq(rpi_originator_pid("a:1"), 1);
    cr_assert_eq(rpi_originator_pid("a:b:12"), 12);
    cr_assert_eq(rpi_originator_pid("a:007"), 7);
    cr_assert_eq(rpi_originator_pid(":1"), 0, "no tool");
    cr_assert_eq(rpi_originator_pid(""), 0);
    cr_assert_eq(rpi_originator_pid("a"), 0);
    cr_assert_eq(rpi_originator_pid("a:"), 0);
    cr_assert_eq(rpi_originator_pid("a:99999999999999999999999999"), 0);
}

Test(find, tells_of_each_failing_call, .timeout = 120)
{
    static const char *const entries[] = {"open",     "openat",     "read",  "getdents64", "close",
                                          "readlink", "pidfd_open", "fstat", "eventfd"};
    const char *name = tool();
    crowd them;

    crowd_open(&them);
    (void)crowd_add_with(&them, entry_of_pid(name, ":", getpid()));
    for (size_t i = 0; i < sizeof entries / sizeof *entries; i++) {
        for (unsigned int n = 1; n <= 3; n++) {
            const stage_holdings before = stage_count();
            found all = {.count = 0};
            int r;

            rpi_fault_os_start();
            rpi_fault_os_fail(entries[i], n, EMFILE);
            r = rp_find_by_originator(name, note, &all);
            rpi_fault_os_stop();
            cr_assert(r == -EMFILE || (r >= 0 && r <= 1 && r == all.count), "%s, %u: %d",
                      entries[i], n, r);
            cr_assert_eq(stage_count().descriptors, before.descriptors, "%s, %u", entries[i], n);
        }
    }
    crowd_close(&them);
}
