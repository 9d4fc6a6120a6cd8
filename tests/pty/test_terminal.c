/* A child on a pseudo-terminal: what it finds, and how its terminal is asked and resized. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/pty/rig.h"

BACKEND_TEST(terminal, is_all_three_streams_and_the_controlling_one)
{
    stage on;
    actor self = {0};
    rp_command command = on_terminal(CHILD("tty", "size", "fds"));

    stage_open(&on, *backend, NULL);
    actor_play(&on, &self, &command, ACTOR_DATA);
    actor_check_code(&self, 0);
    cr_assert_str_eq(actor_data(&self, RP_STDOUT), "1 1 1 foreground\r\n24 80\r\n0 1 2 \r\n");
    cr_assert_eq(self.eos[0], 1);
    cr_assert_eq(self.eos[1], 0);
    cr_assert_eq(self.exit.holders, 0);
    cr_assert_eq(self.exit.out_bytes, strlen(actor_data(&self, RP_STDOUT)));
    actor_free(&self);
    stage_close(&on);
}

BACKEND_TEST(terminal, has_its_session_for_itself)
{
    stage on;
    actor self = {0};
    rp_command command = on_terminal(CHILD("ids", "wait", "0"));
    char expected[64];
    rp_pty_mode mode = {.size = sizeof mode};
    int64_t pid;

    stage_open(&on, *backend, NULL);
    actor_spawn(&on, &self, &command, ACTOR_DATA);
    await(&on, &self, "session");
    pid = rp_process_pid(self.process);
    (void)snprintf(expected, sizeof expected, "group %lld\r\nsession %lld\r\n", (long long)pid,
                   (long long)pid);
    await(&on, &self, expected);
    cr_assert_eq(rp_pty_get_mode(self.process, &mode), 0);
    cr_assert_eq(mode.foreground_pgid, pid);
    cr_assert_eq(stage_stats(&on).ptys, 1);
    type(&self, "\n");
    stage_run_until(&on, &self.counts[ACTOR_DONE], 1);
    actor_check_code(&self, 0);
    cr_assert_eq(stage_stats(&on).ptys, 0);
    cr_assert_eq(stage_stats(&on).descriptors, 0);
    actor_free(&self);
    stage_close(&on);
}

BACKEND_TEST(terminal, has_the_size_that_was_asked_for_before_the_program_begins)
{
    stage on;
    actor self = {0};
    actor later = {0};
    rp_command command = on_terminal(CHILD("size"));

    stage_open(&on, *backend, NULL);
    command.pty_rows = 50;
    command.pty_cols = 132;
    actor_play(&on, &self, &command, ACTOR_DATA);
    cr_assert_str_eq(actor_data(&self, RP_STDOUT), "50 132\r\n");
    actor_free(&self);
    actor_spawn(&on, &later, &command, ACTOR_DATA); // still queued: recorded
    cr_assert_eq(rp_pty_resize(later.process, 7, 9), 0);
    stage_run_until(&on, &later.counts[ACTOR_DONE], 1);
    cr_assert_str_eq(actor_data(&later, RP_STDOUT), "7 9\r\n");
    actor_free(&later);
    stage_close(&on);
}

BACKEND_TEST(terminal, tells_its_foreground_of_a_new_size)
{
    stage on;
    actor self = {0};
    char winch[8];
    rp_command command =
        on_terminal(CHILD("announce", winch, "resized\n", "echo", "ready", "wait", "0", "size"));
    rp_pty_mode mode = {.size = sizeof mode};

    (void)snprintf(winch, sizeof winch, "%d", SIGWINCH);
    stage_open(&on, *backend, NULL);
    actor_spawn(&on, &self, &command, ACTOR_DATA);
    await(&on, &self, "ready");
    cr_assert_eq(rp_pty_resize(self.process, 0, 80), RP_EINVAL);
    cr_assert_eq(rp_pty_resize(self.process, 24, 0), RP_EINVAL);
    cr_assert_eq(rp_pty_resize(self.process, 33, 99), 0);
    await(&on, &self, "resized");
    cr_assert_eq(rp_pty_get_mode(self.process, &mode), 0);
    cr_assert_eq(mode.rows, 33);
    cr_assert_eq(mode.cols, 99);
    type(&self, "\n");
    await(&on, &self, "33 99");
    stage_run_until(&on, &self.counts[ACTOR_DONE], 1);
    actor_check_code(&self, 0);
    actor_free(&self);
    stage_close(&on);
}

BACKEND_TEST(terminal, tells_its_modes)
{
    stage on;
    actor self = {0};
    rp_command command = on_terminal(CHILD("echo", "a", "read", "1", "silent", "echo", "b", "read",
                                           "1", "raw", "echo", "c", "read", "1"));
    rp_pty_mode mode = {.size = sizeof mode};

    stage_open(&on, *backend, NULL);
    actor_spawn(&on, &self, &command, ACTOR_DATA);
    cr_assert_eq(rp_pty_get_mode(self.process, &mode), RP_EAGAIN);
    await(&on, &self, "a\r\n");
    cr_assert_eq(rp_pty_get_mode(self.process, &mode), 0);
    cr_assert(mode.echo && mode.canonical);
    type(&self, "\n");
    await(&on, &self, "b\r\n");
    cr_assert_eq(rp_pty_get_mode(self.process, &mode), 0);
    cr_assert(!mode.echo && mode.canonical);
    type(&self, "\n");
    await(&on, &self, "c\n");
    cr_assert_eq(rp_pty_get_mode(self.process, &mode), 0);
    cr_assert(!mode.echo && !mode.canonical);
    mode.size = 0;
    cr_assert_eq(rp_pty_get_mode(self.process, &mode), RP_EINVAL);
    self.stays = true;
    type(&self, "x");
    stage_run_until(&on, &self.counts[ACTOR_DONE], 1);
    mode.size = sizeof mode;
    cr_assert_eq(rp_pty_get_mode(self.process, &mode), RP_ESRCH);
    cr_assert_eq(rp_pty_resize(self.process, 1, 1), RP_ESRCH);
    actor_close(&self);
    actor_free(&self);
    stage_close(&on);
}

BACKEND_TEST(terminal, is_none_of_a_child_on_pipes)
{
    stage on;
    actor self = {0};
    rp_command command = stage_command(CHILD("tty"));
    rp_pty_mode mode = {.size = sizeof mode};

    stage_open(&on, *backend, NULL);
    actor_spawn(&on, &self, &command, ACTOR_DATA);
    cr_assert_eq(rp_pty_get_mode(self.process, &mode), RP_EINVAL);
    cr_assert_eq(rp_pty_resize(self.process, 24, 80), RP_EINVAL);
    stage_run_until(&on, &self.counts[ACTOR_DONE], 1);
    cr_assert_neq(strstr(actor_data(&self, RP_STDOUT), "0 0 0"), NULL);
    actor_free(&self);
    stage_close(&on);
}

/* A child that closes its terminal everywhere and opens it again: for a moment nobody of its side
 * holds it. */
BACKEND_TEST(terminal, may_be_closed_and_opened_again_by_the_child)
{
    stage on;
    actor self = {0};
    rp_command command =
        on_terminal(CHILD("echo", "before", "reopen", "echo", "after", "reopen", "echo", "last"));

    stage_open(&on, *backend, NULL);
    actor_play(&on, &self, &command, ACTOR_DATA);
    actor_check_code(&self, 0);
    cr_assert_str_eq(actor_data(&self, RP_STDOUT), "before\r\nafter\r\nlast\r\n");
    actor_free(&self);
    stage_close(&on);
}

/* What looks like a hang-up while the leader lives is none: the stream goes on. */
BACKEND_TEST(terminal, goes_on_after_an_error_that_passes)
{
    stage on;
    actor self = {0};
    lifeline line = lifeline_open();
    rp_fd fd = {.parent = line.read, .child = 3};
    rp_command command = on_terminal(CHILD("echo", "one", "wait", "3", "echo", "two", "wait", "3"));

    command.fds = &fd;
    command.fd_count = 1;
    stage_open(&on, *backend, NULL);
    actor_spawn(&on, &self, &command, ACTOR_DATA);
    await(&on, &self, "one");
    rpi_fault_os_start();
    rpi_fault_os_fail("read", 1, EIO);
    lifeline_tell(&line);
    await(&on, &self, "two");
    cr_assert(rpi_fault_os_fired());
    rpi_fault_os_stop();
    lifeline_tell(&line);
    stage_run_until(&on, &self.counts[ACTOR_DONE], 1);
    actor_check_code(&self, 0);
    cr_assert_str_eq(actor_data(&self, RP_STDOUT), "one\r\ntwo\r\n");
    actor_free(&self);
    stage_close(&on);
    lifeline_close(&line);
}

BACKEND_TEST(terminal, belongs_to_the_program_that_runs_as_somebody_else)
{
    stage on;
    actor self = {0};
    rp_posix posix = {.size = sizeof posix, .set_ids = true, .uid = 65534, .gid = 65534};
    rp_command command = on_terminal(CHILD("tty", "reopen", "echo", "again"));

    if (geteuid() != 0) {
        cr_skip("needs root");
    }
    stage_need_for_nobody(RP_TEST_CHILD);
    command.posix = &posix;
    stage_open(&on, *backend, NULL);
    actor_play(&on, &self, &command, ACTOR_DATA);
    actor_check_code(&self, 0);
    cr_assert_str_eq(actor_data(&self, RP_STDOUT), "1 1 1 foreground\r\nagain\r\n");
    actor_free(&self);
    stage_close(&on);
}

BACKEND_TEST(terminal, is_pulled_in_pieces_or_in_lines)
{
    stage on;
    rp_process *process;
    rp_command command = on_terminal(CHILD("echo", "one", "echo", "two", "exit", "3"));
    rp_event event;
    rp_line line;
    actor_text text = {0};
    int r;

    stage_open(&on, *backend, NULL);
    cr_assert_eq(rp_spawn(on.loop, &command, NULL, NULL, &process), 0);
    while ((r = rp_next(process, RP_FOREVER, &event)) == 1 && event.kind == RP_EVENT_DATA) {
        cr_assert_eq(event.stream, RP_STDOUT);
        cr_assert_gt(event.time_ns, 0);
        actor_text_add(&text, event.bytes.data, event.bytes.size);
    }
    cr_assert_eq(r, 1);
    cr_assert_str_eq(text.bytes, "one\r\ntwo\r\n");
    cr_assert_eq(event.kind, RP_EVENT_EOS);
    cr_assert_eq(event.stream, RP_STDOUT);
    cr_assert_eq(rp_next(process, RP_FOREVER, &event), 1);
    cr_assert_eq(event.kind, RP_EVENT_EXIT);
    cr_assert_eq(event.exit->code, 3);
    cr_assert_eq(rp_next(process, RP_FOREVER, &event), 0);
    rp_process_close(process);
    free(text.bytes);

    cr_assert_eq(rp_spawn(on.loop, &command, NULL, NULL, &process), 0);
    cr_assert_eq(rp_next_line(process, RP_STDOUT, RP_FOREVER, &line), 1);
    cr_assert_eq(line.text.size, 3);
    cr_assert_eq(memcmp(line.text.data, "one", 3), 0);
    cr_assert_eq(rp_next(process, RP_FOREVER, &event), 1);
    cr_assert_eq(event.kind, RP_EVENT_DATA);
    cr_assert_eq(memcmp(event.bytes.data, "two\r\n", event.bytes.size), 0);
    rp_process_close(process);
    stage_close(&on);
}

BACKEND_TEST(terminal, output_is_captured_and_run_to_its_end)
{
    rp_command command = on_terminal(CHILD("write", "1", "a\\nb\\r\\nc"));
    rp_result result;

    (void)backend;
    cr_assert_eq(rp_run(&command, &result), 0);
    cr_assert_eq(result.exit.code, 0);
    cr_assert_str_eq(result.out.data, "a\r\nb\r\r\nc");
    cr_assert_eq(result.err.size, 0);
    rp_result_free(&result);
}

BACKEND_TEST(terminal, hangs_up_when_the_output_is_closed)
{
    stage on;
    actor self = {0};
    rp_command command = on_terminal(CHILD("echo", "ready", "pause"));

    stage_open(&on, *backend, NULL);
    actor_spawn(&on, &self, &command, ACTOR_DATA);
    await(&on, &self, "ready");
    cr_assert_eq(rp_close_output(self.process, RP_STDOUT), 0);
    stage_run_until(&on, &self.counts[ACTOR_DONE], 1);
    cr_assert_eq(self.exit.kind, RP_SIGNALED);
    cr_assert_eq(self.exit.signal, SIGHUP);
    cr_assert_eq(stage_stats(&on).ptys, 0);
    actor_free(&self);
    stage_close(&on);
}

BACKEND_TEST(terminal, of_a_quiet_child_holds_no_memory)
{
    stage on;
    actor self = {0};
    rp_command command = on_terminal(CHILD("echo", "ready", "wait", "0"));

    stage_open(&on, *backend, NULL);
    actor_spawn(&on, &self, &command, ACTOR_DATA);
    await(&on, &self, "ready");
    stage_run_until_blocked(&on, rp_process_pid(self.process));
    cr_assert_eq(stage_stats(&on).memory_bytes, 0);
    actor_close(&self);
    actor_free(&self);
    stage_close(&on);
}

/* ---- however children are made ------------------------------------------------------ */

static void check_one(rp_backend backend)
{
    stage on;
    actor self = {0};
    rp_command command = on_terminal(CHILD("tty", "fds", "raw", "fill", "1", "30000"));

    stage_open(&on, backend, NULL);
    actor_play(&on, &self, &command, ACTOR_DATA);
    actor_check_code(&self, 0);
    cr_assert_eq(strncmp(actor_data(&self, RP_STDOUT), "1 1 1 foreground\r\n0 1 2 \r\n", 26), 0,
                 "%.40s", actor_data(&self, RP_STDOUT));
    cr_assert_eq(self.data[0].size, 26 + 30000);
    cr_assert_eq(self.exit.holders, 0);
    actor_free(&self);
    stage_close(&on);
}

BACKEND_TEST(terminal, is_there_however_children_are_made)
{
    static const char *const methods[] = {"clone3", "clone", "posix_spawn", "fork"};

    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        cr_assert_eq(setenv("RP_SPAWN", methods[i], 1), 0);
        check_one(*backend);
    }
}

/* Where all low descriptors are taken, the child is made in a table of its own; where those of
 * later are, its ends go into slots. */
BACKEND_TEST(terminal, is_there_in_a_host_full_of_descriptors)
{
    enum {
        COUNT = 500
    };
    int fds[COUNT];
    struct rlimit limit = {.rlim_cur = 4096, .rlim_max = 4096};
    stage on;
    actor self = {0};
    rp_command command = on_terminal(CHILD("tty", "fds"));

    (void)setrlimit(RLIMIT_NOFILE, &limit);
    for (int i = 0; i < COUNT; i++) {
        fds[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
        cr_assert_geq(fds[i], 0);
    }
    check_one(*backend);
    for (int i = 0; i < COUNT; i++) {
        (void)close(fds[i]);
    }
    stage_open(&on, *backend, NULL);
    for (int i = 0; i < COUNT; i++) {
        fds[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
        cr_assert_geq(fds[i], 0);
    }
    actor_play(&on, &self, &command, ACTOR_DATA);
    actor_check_code(&self, 0);
    cr_assert_str_eq(actor_data(&self, RP_STDOUT), "1 1 1 foreground\r\n0 1 2 \r\n");
    actor_free(&self);
    for (int i = 0; i < COUNT; i++) {
        (void)close(fds[i]);
    }
    stage_close(&on);
}

BACKEND_TEST(terminal, is_read_where_the_host_has_closed_its_streams)
{
    stage on;
    actor self = {0};
    rp_command command = on_terminal(CHILD("tty", "fds"));
    int kept = fcntl(2, F_DUPFD_CLOEXEC, 100);

    for (int fd = 0; fd < 3; fd++) {
        (void)close(fd);
    }
    stage_open(&on, *backend, NULL);
    actor_play(&on, &self, &command, ACTOR_DATA);
    actor_check_code(&self, 0);
    stage_close(&on);
    for (int fd = 0; fd < 3; fd++) {
        cr_assert_eq(dup2(kept, fd), fd);
    }
    cr_assert_str_eq(actor_data(&self, RP_STDOUT), "1 1 1 foreground\r\n0 1 2 \r\n");
    actor_free(&self);
    (void)close(kept);
}

/* ---- memory ---------------------------------------------------------------------------- */

/* One ring for all of them: they take turns. */
BACKEND_TEST(terminal, output_comes_through_little_memory)
{
    enum {
        COUNT = 12
    };
    stage on;
    actor selves[COUNT] = {0};
    rp_loop_options options = RP_LOOP_OPTIONS_INIT;
    rp_command command = on_terminal(CHILD("raw", "flood", "1", "50000", "3"));

    options.memory_max = 1;
    stage_open(&on, *backend, &options);
    for (int i = 0; i < COUNT; i++) {
        actor_spawn(&on, &selves[i], &command, ACTOR_DATA | ACTOR_LINES);
    }
    for (int i = 0; i < COUNT; i++) {
        stage_run_until(&on, &selves[i].counts[ACTOR_DONE], 1);
        actor_check_code(&selves[i], 0);
        cr_assert_eq(selves[i].data[0].size, 50000);
        actor_free(&selves[i]);
    }
    stage_close(&on);
}

/* Without double mapping a ring that somebody looks into must not move. */
BACKEND_TEST(terminal, is_pulled_through_a_linear_ring)
{
    stage on;
    rp_process *process;
    rp_command command = on_terminal(CHILD("raw", "flood", "1", "50000", "9"));
    char *expected = noise_text(50000, 9);
    actor_text text = {0};
    rp_event event;
    int r;

    rpi_fault_os_start();
    rpi_fault_os_fail("memfd_create", RPI_FAULT_EVERY, ENOSYS);
    command.ring_size = 8192;
    stage_open(&on, *backend, NULL);
    cr_assert_eq(rp_spawn(on.loop, &command, NULL, NULL, &process), 0);
    while ((r = rp_next(process, RP_FOREVER, &event)) == 1 && event.kind == RP_EVENT_DATA) {
        actor_text_add(&text, event.bytes.data, event.bytes.size);
        (void)rp_loop_run_once(on.loop, 0); // while the view is out
        cr_assert_eq(memcmp(text.bytes, expected, text.size), 0);
        cr_assert_eq(
            memcmp(event.bytes.data, text.bytes + text.size - event.bytes.size, event.bytes.size),
            0, "the view has moved");
    }
    rpi_fault_os_stop();
    cr_assert_eq(r, 1);
    cr_assert_eq(text.size, 50000);
    rp_process_close(process);
    free(text.bytes);
    free(expected);
    stage_close(&on);
}

/* ---- forks ------------------------------------------------------------------------------ */

/* A host that forks while a terminal is open: the copy frees what is its own and touches nothing of
 * the child's. */
BACKEND_TEST(terminal, survives_a_fork_of_the_host)
{
    stage on;
    actor self = {0};
    rp_command command = on_terminal(CHILD("echo", "ready", "read", "2", "echo", "bye"));
    rp_pty_mode mode = {.size = sizeof mode};
    int status = 0;
    pid_t copy;

    stage_open(&on, *backend, NULL);
    actor_spawn(&on, &self, &command, ACTOR_DATA);
    await(&on, &self, "ready");
    type(&self, "a");
    copy = fork();
    if (copy == 0) {
        bool refused = rp_pty_resize(self.process, 1, 1) == RP_EPERM &&
                       rp_pty_get_mode(self.process, &mode) == RP_EPERM &&
                       rp_write(self.process, (rp_view){"x", 1}, NULL, NULL) == RP_EPERM;

        _exit(rp_loop_close(on.loop) == 0 && refused ? 0 : 1);
    }
    cr_assert_eq(waitpid(copy, &status, 0), copy);
    cr_assert_eq(status, 0);
    type(&self, "\n");
    stage_run_until(&on, &self.counts[ACTOR_DONE], 1);
    actor_check_code(&self, 0);
    cr_assert_not_null(strstr(actor_data(&self, RP_STDOUT), "bye"));
    actor_free(&self);
    stage_close(&on);
}
