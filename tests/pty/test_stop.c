/* Stopping what runs on a terminal: interrupts are for the foreground, terminating and killing for
 * the whole session, shells with jobs in groups of their own among them. */
#define _GNU_SOURCE
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/pty/rig.h"

/* Whoever lives in a session. */
static int count_session(int64_t session)
{
    DIR *folder = opendir("/proc");
    struct dirent *entry;
    int count = 0;

    cr_assert_not_null(folder);
    while ((entry = readdir(folder)) != NULL) {
        char path[64];
        char text[512];
        const char *rest;
        FILE *file;
        long long found = 0;
        char state = 'X';

        (void)snprintf(path, sizeof path, "/proc/%.20s/stat", entry->d_name);
        file = atoll(entry->d_name) > 0 ? fopen(path, "r") : NULL;
        if (file == NULL) {
            continue;
        }
        if (fgets(text, sizeof text, file) != NULL && (rest = strrchr(text, ')')) != NULL &&
            sscanf(rest, ") %c %*d %*d %lld", &state, &found) == 2) {
            count += found == session && state != 'Z' && state != 'X' ? 1 : 0;
        }
        (void)fclose(file);
    }
    (void)closedir(folder);
    return count;
}

static const char *const shell_argv[] = {"bash", "--norc", "--noprofile", "-i", NULL};

static bool has_bash(void)
{
    return access("/bin/bash", X_OK) == 0 || access("/usr/bin/bash", X_OK) == 0;
}

/* An interactive bash that waits for its first command. */
static void open_shell(stage *on, actor *self, const rp_fd *fd)
{
    rp_command command = on_terminal(shell_argv);

    if (!has_bash()) {
        cr_skip("bash is not installed");
    }
    command.env = (const char *const[]){"PS1=ready> ", "TERM=dumb", "HISTFILE", NULL};
    command.fds = fd;
    command.fd_count = fd != NULL ? 1 : 0;
    actor_spawn(on, self, &command, ACTOR_DATA);
    await(on, self, "ready> ");
}

static void start_jobs(stage *on, actor *self)
{
    type(self,
         RP_TEST_CHILD " pause & " RP_TEST_CHILD " ignore 15 echo deaf pause & echo both$((1))\n");
    await(on, self, "both1");
    await(on, self, "deaf\r\n");
    cr_assert_eq(count_session(rp_process_pid(self->process)), 3);
}

BACKEND_TEST(pty_stop, interrupts_the_job_in_the_foreground_and_not_its_shell)
{
    stage on;
    actor self = {0};
    int64_t shell;
    rp_pty_mode mode = {.size = sizeof mode};

    stage_open(&on, *backend, NULL);
    open_shell(&on, &self, NULL);
    shell = rp_process_pid(self.process);
    type(&self, RP_TEST_CHILD " write 1 'in the ' echo job pause\n");
    await(&on, &self, "in the job");
    cr_assert_eq(rp_pty_get_mode(self.process, &mode), 0);
    cr_assert_neq(mode.foreground_pgid, shell);
    cr_assert_eq(rp_process_pid(self.process), shell);
    cr_assert_eq(rp_interrupt(self.process), 0);
    type(&self, "echo after $((100 + $?)); exit 7\n");
    await(&on, &self, "after 230");
    stage_run_until(&on, &self.counts[ACTOR_DONE], 1);
    cr_assert_eq(self.exit.code, 7);
    cr_assert_eq(self.exit.interrupts, 1);
    cr_assert_eq(self.exit.reason, RP_STOP_INTERRUPT);
    actor_free(&self);
    stage_close(&on);
}

BACKEND_TEST(pty_stop, interrupts_a_child_in_raw_mode_too)
{
    stage on;
    actor self = {0};
    rp_command command = on_terminal(CHILD("raw", "echo", "ready", "pause"));

    stage_open(&on, *backend, NULL);
    actor_spawn(&on, &self, &command, ACTOR_DATA);
    await(&on, &self, "ready");
    cr_assert_eq(rp_interrupt(self.process), 0);
    stage_run_until(&on, &self.counts[ACTOR_DONE], 1);
    cr_assert_eq(self.exit.signal, SIGINT);
    cr_assert(self.exit.interrupted);
    actor_free(&self);
    stage_close(&on);
}

BACKEND_TEST(pty_stop, kills_all_jobs_of_a_shell)
{
    stage on;
    actor self = {0};
    int64_t shell;

    stage_open(&on, *backend, NULL);
    open_shell(&on, &self, NULL);
    shell = rp_process_pid(self.process);
    start_jobs(&on, &self);
    cr_assert_eq(rp_kill(self.process), 0);
    stage_run_until(&on, &self.counts[ACTOR_DONE], 1);
    cr_assert_eq(self.exit.signal, SIGKILL);
    cr_assert_eq(self.exit.reason, RP_STOP_KILL);
    cr_assert_eq(self.exit.survivors, 0);
    cr_assert_eq(count_session(shell), 0);
    actor_free(&self);
    stage_close(&on);
}

/* One job ignores the terminate, and so does an interactive bash: the ladder's last step gets both,
 * and waits for them. */
BACKEND_TEST(pty_stop, takes_the_steps_until_the_session_is_empty)
{
    stage on;
    actor self = {0};
    int64_t shell;
    rp_stop_options ladder = {.size = sizeof ladder,
                              .grace_ns = 10 * RP_MILLISECOND,
                              .terminate_ns = 50 * RP_MILLISECOND};

    stage_open(&on, *backend, NULL);
    open_shell(&on, &self, NULL);
    shell = rp_process_pid(self.process);
    start_jobs(&on, &self);
    cr_assert_eq(rp_stop(self.process, &ladder), 0);
    stage_run_until(&on, &self.counts[ACTOR_DONE], 1);
    cr_assert_eq(self.exit.interrupts, 2);
    cr_assert_eq(self.exit.step, RP_STOP_KILL);
    cr_assert_eq(self.exit.survivors, 0);
    cr_assert_eq(count_session(shell), 0);
    actor_free(&self);
    stage_close(&on);
}

/* The leader ends at the terminate, a job in another group does not: it is waited for and killed.
 */
BACKEND_TEST(pty_stop, waits_for_jobs_that_outlive_their_leader)
{
    stage on;
    actor self = {0};
    int64_t leader;
    char hangup[8];
    char terminate[8];
    rp_command command = on_terminal(CHILD("fork", "setpgid", "ignore", hangup, "ignore", terminate,
                                           "echo", "deaf", "pause", "end", "pause"));
    rp_stop_options ladder = {
        .size = sizeof ladder, .no_interrupt = true, .terminate_ns = 20 * RP_MILLISECOND};

    (void)snprintf(hangup, sizeof hangup, "%d", SIGHUP);
    (void)snprintf(terminate, sizeof terminate, "%d", SIGTERM);
    stage_open(&on, *backend, NULL);
    actor_spawn(&on, &self, &command, ACTOR_DATA);
    await(&on, &self, "deaf");
    leader = rp_process_pid(self.process);
    cr_assert_eq(count_session(leader), 2);
    cr_assert_eq(rp_stop(self.process, &ladder), 0);
    stage_run_until(&on, &self.counts[ACTOR_DONE], 1);
    cr_assert_eq(self.exit.signal, SIGTERM);
    cr_assert_eq(self.exit.step, RP_STOP_KILL);
    cr_assert_eq(self.exit.survivors, 0);
    cr_assert_eq(count_session(leader), 0);
    actor_free(&self);
    stage_close(&on);
}

BACKEND_TEST(pty_stop, closes_with_all_jobs)
{
    stage on;
    actor self = {0};
    lifeline line = lifeline_open();
    rp_fd fd = {.parent = line.write, .child = 3};

    stage_open(&on, *backend, NULL);
    open_shell(&on, &self, &fd);
    start_jobs(&on, &self);
    actor_close(&self);
    stage_run(&on);
    actor_free(&self);
    stage_close(&on);
    lifeline_await_end(&line); // the jobs held it
}

BACKEND_TEST(pty_stop, signals_the_foreground_alone)
{
    stage on;
    actor self = {0};
    rp_command pipes = stage_command(CHILD("pause"));

    stage_open(&on, *backend, NULL);
    open_shell(&on, &self, NULL);
    type(&self, RP_TEST_CHILD " announce 10 'it came' write 1 'in the ' echo job pause\n");
    await(&on, &self, "in the job");
    cr_assert_eq(rp_signal(self.process, 0, RP_SCOPE_FOREGROUND), 0);
    cr_assert_eq(rp_signal(self.process, SIGUSR1, RP_SCOPE_FOREGROUND), 0);
    await(&on, &self, "it came");
    cr_assert_eq(rp_signal(self.process, SIGKILL, RP_SCOPE_FOREGROUND), 0);
    type(&self, "echo after $((100 + $?))\n");
    await(&on, &self, "after 237");
    cr_assert_eq(rp_signal(self.process, SIGKILL, RP_SCOPE_FOREGROUND), 0); // the shell itself
    stage_run_until(&on, &self.counts[ACTOR_DONE], 1);
    cr_assert_eq(self.exit.signal, SIGKILL);
    cr_assert_eq(self.exit.reason, RP_STOP_NONE);
    actor_free(&self);
    actor_spawn(&on, &self, &pipes, ACTOR_DATA);
    cr_assert_eq(rp_signal(self.process, SIGINT, RP_SCOPE_FOREGROUND), RP_EUNSUPPORTED);
    actor_close(&self);
    actor_free(&self);
    stage_close(&on);
}

/* Many at once: one look serves them all. */
BACKEND_TEST(pty_stop, kills_many_sessions_at_once)
{
    enum {
        COUNT = 40
    };
    stage on;
    actor selves[COUNT] = {0};
    int64_t leaders[COUNT];
    rp_command command = on_terminal(
        CHILD("fork", "setpgid", "ignore", "1", "echo", "job", "pause", "end", "pause"));

    stage_open(&on, *backend, NULL);
    for (int i = 0; i < COUNT; i++) {
        actor_spawn(&on, &selves[i], &command, ACTOR_DATA);
    }
    for (int i = 0; i < COUNT; i++) {
        await(&on, &selves[i], "job");
        leaders[i] = rp_process_pid(selves[i].process);
    }
    for (int i = 0; i < COUNT; i++) {
        cr_assert_eq(rp_kill(selves[i].process), 0);
    }
    for (int i = 0; i < COUNT; i++) {
        stage_run_until(&on, &selves[i].counts[ACTOR_DONE], 1);
        cr_assert_eq(selves[i].exit.survivors, 0);
        cr_assert_eq(count_session(leaders[i]), 0);
        actor_free(&selves[i]);
    }
    stage_close(&on);
}
