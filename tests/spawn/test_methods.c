/* The contract of a launch, once with each way of making children: what the child is born with, and
 * how a failure is told. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/spawn/rig.h"

static rig_launch rig;
static rig_end end;

static char directory[] = "/tmp/rp-spawn-XXXXXX";
static char path[PATH_MAX];

/* A path in this test's own directory, made at the first call. */
static const char *in_directory(const char *name)
{
    static bool made;

    if (!made) {
        cr_assert_not_null(mkdtemp(directory));
        made = true;
    }
    snprintf(path, sizeof path, "%s/%s", directory, name);
    return path;
}

static void remove_directory(void)
{
    char command[PATH_MAX + 16];

    snprintf(command, sizeof command, "rm -rf %s", directory);
    cr_assert_eq(rig_wait(-1), 1000); // no child of ours is left
    rig_init_program(&rig, "/bin/sh", "-c", command, NULL);
    rig_run(RPI_SPAWN_FORK, &rig, &end);
    cr_assert_eq(end.status, 0);
}

static void write_file(const char *file, const char *text, mode_t mode)
{
    const int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    cr_assert_geq(fd, 0);
    cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    cr_assert_eq(fchmod(fd, mode), 0);
    close(fd);
}

/* ---- descriptors ---- */

METHOD_TEST(methods, gives_pipes_and_the_null_device_and_nothing_else)
{
    int before;

    rig_init(&rig, "fds", NULL);
    before = rig_count_fds();
    rig_run(*method, &rig, &end);
    cr_assert_eq(rig_count_fds(), before);
    cr_assert_eq(end.status, 0);
    cr_assert_str_eq(rig_value(end.text[1], "0"), "/dev/null");
    cr_assert_not_null(strstr(end.text[1], "1 pipe:"));
    cr_assert_not_null(strstr(end.text[1], "2 pipe:"));
    cr_assert_null(rig_value(end.text[1], "3"), "%s", end.text[1]);
}

METHOD_TEST(methods, keeps_both_outputs_apart)
{
    rig_init(&rig, "both", NULL);
    rig_run(*method, &rig, &end);
    cr_assert_str_eq(end.text[1], "out");
    cr_assert_str_eq(end.text[2], "err");
}

METHOD_TEST(methods, keeps_low_numbers_for_children_but_a_few)
{
    static rig_launch held[4];
    rpi_spawn_site *site = NULL;
    int low = 0;
    int i;
    int j;

    cr_assert_eq(rpi_spawn_site_open(rpi_alloc_default(), *method, 1, &site), 0);
    for (i = 0; i < 4; i++) {
        rig_init(&held[i], "both", NULL);
        held[i].launch.ends[0].kind = RPI_END_PIPE;
        rpi_spawn_carry_out(site, 0, &held[i].launch);
        cr_assert_eq(held[i].launch.error, 0);
        for (j = 0; j < 3; j++) {
            low += held[i].launch.pipes[j] < 64 ? 1 : 0;
        }
        low += held[i].launch.pidfd < 64 ? 1 : 0;
    }
    cr_assert_leq(low, 6);
    for (i = 0; i < 4; i++) {
        rig_finish(&held[i], &end);
    }
    rpi_spawn_site_close(site);
}

METHOD_TEST(methods, gives_our_ends_closed_on_exec_and_nonblocking)
{
    rpi_spawn_site *site = NULL;
    int i;

    cr_assert_eq(rpi_spawn_site_open(rpi_alloc_default(), *method, 1, &site), 0);
    rig_init(&rig, "both", NULL);
    rig.launch.ends[0].kind = RPI_END_PIPE;
    rpi_spawn_carry_out(site, 0, &rig.launch);
    cr_assert_eq(rig.launch.error, 0);
    for (i = 0; i < 3; i++) {
        cr_assert_gt(rig.launch.pipes[i], 2);
        cr_assert_eq(fcntl(rig.launch.pipes[i], F_GETFD), FD_CLOEXEC);
        cr_assert(fcntl(rig.launch.pipes[i], F_GETFL) & O_NONBLOCK);
    }
    cr_assert_gt(rig.launch.pidfd, 2);
    cr_assert_eq(fcntl(rig.launch.pidfd, F_GETFD), FD_CLOEXEC);
    cr_assert_gt(rig.launch.launched_ns, 0);
    cr_assert_geq(rig.launch.started_ns, rig.launch.launched_ns);
    rig_finish(&rig, &end);
    rpi_spawn_site_close(site);
}

METHOD_TEST(methods, gives_the_child_blocking_ends)
{
    rig_init_program(&rig, "/bin/sh", "-c", "for i in 0 1 2; do cat /proc/self/fdinfo/$i; done",
                     NULL);
    rig.launch.ends[0].kind = RPI_END_PIPE;
    rig_run(*method, &rig, &end);
    cr_assert_eq(end.status, 0);
    cr_assert_not_null(strstr(end.text[1], "flags:\t00\n"), "%s", end.text[1]); // O_RDONLY
    cr_assert_not_null(strstr(end.text[1], "flags:\t01\n"), "%s", end.text[1]); // O_WRONLY
}

METHOD_TEST(methods, feeds_standard_input_by_a_pipe)
{
    rpi_spawn_site *site = NULL;

    cr_assert_eq(rpi_spawn_site_open(rpi_alloc_default(), *method, 1, &site), 0);
    rig_init(&rig, "cat", NULL);
    rig.launch.ends[0].kind = RPI_END_PIPE;
    rpi_spawn_carry_out(site, 0, &rig.launch);
    cr_assert_eq(rig.launch.error, 0);
    cr_assert_eq(write(rig.launch.pipes[0], "hello", 5), 5);
    rig_finish(&rig, &end); // closes our end: the child sees the end of it
    cr_assert_str_eq(end.text[1], "hello");
    cr_assert_eq(end.status, 0);
    rpi_spawn_site_close(site);
}

METHOD_TEST(methods, merges_standard_error_into_standard_output)
{
    rig_init(&rig, "both", NULL);
    rig.launch.ends[2].kind = RPI_END_MERGE;
    rig_run(*method, &rig, &end);
    cr_assert_str_eq(end.text[1], "outerr");
    cr_assert_eq(rig.launch.pipes[2], -1);
}

METHOD_TEST(methods, merges_into_an_inherited_standard_output)
{
    const int file = rig_tagged(0);

    cr_assert_eq(dup2(file, 1), 1);
    rig_init(&rig, "both", NULL);
    rig.launch.ends[1].kind = RPI_END_INHERIT;
    rig.launch.ends[2].kind = RPI_END_MERGE;
    rig_run(*method, &rig, &end);
    cr_assert_eq(end.status, 0);
    cr_assert_eq(lseek(file, 0, SEEK_END), 6); // one place for both: the same description
}

METHOD_TEST(methods, passes_a_descriptor_of_the_caller)
{
    const int file = rig_tagged(11);

    rig_init(&rig, "map", "11", "-1", "12", NULL);
    rig.launch.ends[0] = (rpi_launch_end){.kind = RPI_END_FD, .fd = file};
    rig.launch.ends[1].kind = RPI_END_INHERIT;
    rig.launch.ends[2] = (rpi_launch_end){.kind = RPI_END_FD, .fd = rig_tagged(12)};
    close(1);
    rig_run(*method, &rig, &end);
    cr_assert_eq(end.status, 0);
    cr_assert_geq(fcntl(file, F_GETFD), 0); // it stays the launch's
}

METHOD_TEST(methods, inherits_what_is_open_and_leaves_closed_what_is_closed)
{
    rig_init(&rig, "map", "-1", "21", "22", NULL);
    cr_assert_eq(dup2(rig_tagged(21), 1), 1);
    cr_assert_eq(dup2(rig_tagged(22), 2), 2);
    close(0);
    rig.launch.ends[0].kind = RPI_END_INHERIT;
    rig.launch.ends[1].kind = RPI_END_INHERIT;
    rig.launch.ends[2].kind = RPI_END_INHERIT;
    rig_run(*method, &rig, &end);
    cr_assert_eq(end.status, 0);
}

METHOD_TEST(methods, opens_files_for_the_child)
{
    char in[PATH_MAX];
    char out[PATH_MAX];

    snprintf(in, sizeof in, "%s", in_directory("in"));
    write_file(in, "from a file", 0600);
    snprintf(out, sizeof out, "%s", in_directory("out"));
    rig_init(&rig, "cat", NULL);
    rig.launch.ends[0] = (rpi_launch_end){.kind = RPI_END_FILE, .fd = -1, .open_flags = O_RDONLY};
    rig.launch.ends[0].path = in;
    rig.launch.ends[1] = (rpi_launch_end){
        .kind = RPI_END_FILE, .fd = -1, .open_flags = O_WRONLY | O_CREAT | O_TRUNC, .path = out};
    rig_run(*method, &rig, &end);
    cr_assert_eq(end.status, 0);

    rig_init(&rig, "cat", NULL);
    rig.launch.ends[0] =
        (rpi_launch_end){.kind = RPI_END_FILE, .fd = -1, .open_flags = O_RDONLY, .path = out};
    rig_run(*method, &rig, &end);
    cr_assert_str_eq(end.text[1], "from a file");
    remove_directory();
}

METHOD_TEST(methods, passes_further_descriptors_under_their_numbers)
{
    rig_init(&rig, "map", "0", "-1", "-1", "-1", "34", "35", "-1", "37", NULL);
    rig.launch.ends[0] = (rpi_launch_end){.kind = RPI_END_FD, .fd = rig_tagged(0)};
    rig.launch.ends[1].kind = RPI_END_INHERIT;
    rig.launch.ends[2].kind = RPI_END_INHERIT;
    rig.fds[0] = (rpi_launch_fd){rig_tagged(37), 7};
    rig.fds[1] = (rpi_launch_fd){rig_tagged(34), 4};
    rig.fds[2] = (rpi_launch_fd){rig_tagged(35), 5};
    rig.launch.fd_count = 3;
    rig.launch.fd_max = 7;
    close(1);
    close(2);
    rig_run(*method, &rig, &end);
    cr_assert_eq(end.status, 0);
}

METHOD_TEST(methods, passes_hundreds_of_descriptors_in_any_order)
{
    enum {
        COUNT = 200
    };
    int i;

    rig_init(&rig, "count", NULL);
    for (i = 0; i < COUNT; i++) {
        const int number = 3 + (i * 77) % COUNT; // 77 and 200 have no common divisor

        rig.fds[i] = (rpi_launch_fd){fcntl(0, F_DUPFD_CLOEXEC, 3), number};
        cr_assert_geq(rig.fds[i].fd, 0);
    }
    rig.launch.fd_count = COUNT;
    rig.launch.fd_max = 2 + COUNT;
    rig_run(*method, &rig, &end);
    cr_assert_eq(end.status, (3 + COUNT) & 0xff);
}

/* ---- attributes ---- */

METHOD_TEST(methods, gives_arguments_and_environment_and_nothing_else)
{
    char *environment[] = {(char[]){"NAME=a value"}, NULL};

    rig_init(&rig, "arguments", "", "two words", "-x", NULL);
    rig_run(*method, &rig, &end);
    cr_assert_str_eq(strchr(end.text[1], '\n') + 1, "arguments\n\ntwo words\n-x\n");

    rig_init(&rig, "variable", "NAME", NULL);
    rig.launch.env = environment;
    rig_run(*method, &rig, &end);
    cr_assert_str_eq(end.text[1], "a value\n");

    rig_init(&rig, "variable", "PATH", NULL);
    rig.launch.env = environment;
    rig_run(*method, &rig, &end);
    cr_assert_eq(end.status, 1);
}

METHOD_TEST(methods, starts_in_its_directory)
{
    rig_init(&rig, "status", NULL);
    rig.launch.cwd = "/usr/bin";
    rig_run(*method, &rig, &end);
    cr_assert_str_eq(rig_value(end.text[1], "cwd"), "/usr/bin");

    rig_init_program(&rig, "./true", NULL); // seen from there
    rig.launch.cwd = "/usr/bin";
    rig_run(*method, &rig, &end);
    cr_assert_eq(end.status, 0);
}

METHOD_TEST(methods, leads_a_group_or_a_session_or_neither)
{
    char own[16];
    char pid[16];

    snprintf(own, sizeof own, "%d", getpgrp());
    rig_init(&rig, "status", NULL);
    rig_run(*method, &rig, &end);
    snprintf(pid, sizeof pid, "%d", (int)rig.launch.pid);
    cr_assert_str_eq(rig_value(end.text[1], "pid"), pid);
    cr_assert_str_eq(rig_value(end.text[1], "pgid"), pid);
    cr_assert_str_neq(rig_value(end.text[1], "sid"), pid);

    rig_init(&rig, "status", NULL);
    rig.launch.own_group = false;
    rig_run(*method, &rig, &end);
    cr_assert_str_eq(rig_value(end.text[1], "pgid"), own);

    rig_init(&rig, "status", NULL);
    rig.launch.new_session = true;
    rig_run(*method, &rig, &end);
    snprintf(pid, sizeof pid, "%d", (int)rig.launch.pid);
    cr_assert_str_eq(rig_value(end.text[1], "pgid"), pid);
    cr_assert_str_eq(rig_value(end.text[1], "sid"), pid);
}

METHOD_TEST(methods, sets_umask_priority_and_limits_of_the_child_only)
{
    struct rlimit before;
    struct rlimit after;
    const mode_t mask = umask(022);
    const int nice_before = getpriority(PRIO_PROCESS, 0);

    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
    rig_init(&rig, "status", NULL);
    rig.launch.set_umask = true;
    rig.launch.umask = 027;
    rig.launch.nice = 5;
    rig.launch.no_core = true;
    rig.launch.open_files = 33;
    rig_run(*method, &rig, &end);
    cr_assert_eq(end.status, 0);
    cr_assert_str_eq(rig_value(end.text[1], "umask"), "027");
    cr_assert_str_eq(rig_value(end.text[1], "nice"), "5");
    cr_assert_str_eq(rig_value(end.text[1], "core"), "0");
    cr_assert_str_eq(rig_value(end.text[1], "nofile"), "33 33");
    cr_assert_eq(umask(mask), 022);
    cr_assert_eq(getpriority(PRIO_PROCESS, 0), nice_before);
    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &after), 0);
    cr_assert_eq(before.rlim_cur, after.rlim_cur);
}

METHOD_TEST(methods, sets_ids_of_the_child_only)
{
    const uint32_t groups[] = {7, 1001};

    if (getuid() != 0) {
        cr_skip("only root may change ids");
    }
    rig_init(&rig, "status", NULL);
    rig.launch.set_ids = true;
    rig.launch.uid = 65534;
    rig.launch.gid = 65533;
    rig.launch.groups = groups;
    rig.launch.group_count = 2;
    rig.argv[0] = (char[]){"/bin/sh"};
    rig.argv[1] = (char[]){"-c"};
    rig.argv[2] = (char[]){"id -u; id -ru; id -g; id -rg; id -G"};
    rig.programs[0] = "/bin/sh"; // the report may lie where this user cannot go
    rig_run(*method, &rig, &end);
    cr_assert_eq(end.status, 0, "%s", end.text[2]);
    cr_assert_str_eq(end.text[1], "65534\n65534\n65533\n65533\n65533 7 1001\n");
    cr_assert_eq(geteuid(), 0);
    cr_assert_eq(getegid(), 0);

    rig.launch.group_count = 0; // exactly these: none
    rig_run(*method, &rig, &end);
    cr_assert_str_eq(end.text[1], "65534\n65534\n65533\n65533\n65533\n");
}

METHOD_TEST(methods, gives_all_signals_at_their_defaults_and_unblocked)
{
    sigset_t set;

    sigfillset(&set);
    cr_assert_eq(sigprocmask(SIG_SETMASK, &set, NULL), 0);
    rig_handle(SIGPIPE, SIG_IGN);
    rig_handle(SIGUSR1, SIG_IGN);
    rig_handle(SIGRTMIN + 3, SIG_IGN);
    rig_handle(SIGHUP, SIG_IGN);
    rig_init(&rig, "status", NULL);
    rig_run(*method, &rig, &end);
    cr_assert_str_eq(rig_value(end.text[1], "blocked"), "0");
    cr_assert_str_eq(rig_value(end.text[1], "ignored"), "1"); // SIGHUP, as under nohup
    cr_assert_str_eq(rig_value(end.text[1], "caught"), "0");
    cr_assert_eq(sigprocmask(SIG_SETMASK, NULL, &set), 0);
    cr_assert_eq(sigismember(&set, SIGUSR2), 1); // and the host's mask is what it was

    rig_handle(SIGHUP, SIG_DFL);
    rig_init(&rig, "status", NULL);
    rig_run(*method, &rig, &end);
    cr_assert_str_eq(rig_value(end.text[1], "ignored"), "0");
}

/* ---- failures ---- */

static void expect_failure(rpi_spawn_method method, int error, const char *phase)
{
    const int before = rig_count_fds();

    rig_run(method, &rig, &end);
    cr_assert_eq(rig.launch.error, -error, "%s: %s in %s", rig_method_name(method),
                 strerror(-rig.launch.error), rig.launch.phase);
    cr_assert_not_null(rig.launch.phase);
    cr_assert_str_eq(rig.launch.phase, phase);
    cr_assert_eq(rig.launch.pid, 0);
    cr_assert_eq(rig.launch.pidfd, -1);
    cr_assert_eq(rig.launch.pipes[1], -1);
    cr_assert_eq(rig.launch.pipes[2], -1);
    cr_assert_eq(rig.launch.started_ns, 0);
    cr_assert_eq(rig_count_fds(), before);
    cr_assert_eq(rig_wait(-1), 1000); // no child is left
}

METHOD_TEST(methods, tells_what_cannot_be_executed)
{
    rig_init_program(&rig, "/no/such/program", NULL);
    expect_failure(*method, ENOENT, "exec");
    rig_init_program(&rig, "/dev/null/program", NULL);
    expect_failure(*method, ENOTDIR, "exec");
    rig_init_program(&rig, "/", NULL);
    expect_failure(*method, EACCES, "exec");

    write_file(in_directory("plain"), "#!/bin/sh\n", 0600);
    rig_init_program(&rig, path, NULL);
    expect_failure(*method, EACCES, "exec");

    write_file(in_directory("noformat"), "\x01\x02\x03\x04", 0700);
    rig_init_program(&rig, path, NULL);
    expect_failure(*method, ENOEXEC, "exec");

    write_file(in_directory("nointerpreter"), "#!/no/such/interpreter\n", 0700);
    rig_init_program(&rig, path, NULL);
    expect_failure(*method, ENOENT, "exec");
    remove_directory();
}

METHOD_TEST(methods, tries_candidates_in_their_order)
{
    char refused[PATH_MAX];
    char good[PATH_MAX];

    write_file(in_directory("refused"), "#!/bin/sh\n", 0600);
    snprintf(refused, sizeof refused, "%s", path);
    write_file(in_directory("good"), "#!/bin/sh\necho good\n", 0700);
    snprintf(good, sizeof good, "%s", path);

    rig_init_program(&rig, "good", NULL);
    rig.programs[0] = "/no/such/program";
    rig.programs[1] = "/dev/null/program";
    rig.programs[2] = refused;
    rig.programs[3] = good;
    rig.programs[4] = "/bin/false";
    rig_run(*method, &rig, &end);
    cr_assert_str_eq(end.text[1], "good\n");

    rig_init_program(&rig, "gone", NULL);
    rig.programs[0] = refused;
    rig.programs[1] = "/no/such/program"; // what was there and refused says more
    expect_failure(*method, EACCES, "exec");

    rig_init_program(&rig, "gone", NULL);
    rig.programs[0] = "/no/such/program";
    rig.programs[1] = "/nor/this/one";
    expect_failure(*method, ENOENT, "exec");
    remove_directory();
}

METHOD_TEST(methods, tells_a_directory_that_went_away)
{
    rig_init(&rig, "exit", NULL);
    rig.launch.cwd = "/no/such/directory";
    expect_failure(*method, ENOENT, "chdir");
    rig.launch.cwd = rig_report;
    expect_failure(*method, ENOTDIR, "chdir");
}

METHOD_TEST(methods, tells_a_file_that_cannot_be_opened)
{
    rig_init(&rig, "cat", NULL);
    rig.launch.ends[0] = (rpi_launch_end){
        .kind = RPI_END_FILE, .fd = -1, .open_flags = O_RDONLY, .path = "/no/such/file"};
    expect_failure(*method, ENOENT, "open");
    rig_init(&rig, "cat", NULL);
    rig.launch.ends[2] = (rpi_launch_end){
        .kind = RPI_END_FILE, .fd = -1, .open_flags = O_WRONLY | O_CREAT, .path = "/tmp"};
    expect_failure(*method, EISDIR, "open");
}

METHOD_TEST(methods, tells_attributes_that_are_refused)
{
    if (getuid() == 0) {
        cr_assert_eq(setresgid(65533, 65533, 65533), 0);
        cr_assert_eq(setresuid(65534, 65534, 65534), 0);
    }
    rig_init_program(&rig, "/bin/true", NULL);
    rig.launch.set_ids = true;
    expect_failure(*method, EPERM, "ids");
    rig_init_program(&rig, "/bin/true", NULL);
    rig.launch.nice = -5;
    expect_failure(*method, EACCES, "nice");
    rig_init_program(&rig, "/bin/true", NULL);
    rig.launch.open_files = UINT32_MAX;
    expect_failure(*method, EPERM, "rlimit");
}

METHOD_TEST(methods, leaves_nothing_behind_after_many)
{
    rpi_spawn_site *site = NULL;
    int before;
    int i;

    cr_assert_eq(rpi_spawn_site_open(rpi_alloc_default(), *method, 1, &site), 0);
    before = rig_count_fds();
    for (i = 0; i < 200; i++) {
        rig_init(&rig, "exit", "3", NULL);
        if (i % 3 == 0) {
            rig.programs[0] = "/no/such/program";
        }
        rpi_spawn_carry_out(site, 0, &rig.launch);
        if (i % 3 == 0) {
            cr_assert_eq(rig.launch.error, -ENOENT);
        } else {
            rig_finish(&rig, &end);
            cr_assert_eq(end.status, 3);
        }
    }
    cr_assert_eq(rig_count_fds(), before);
    cr_assert_eq(rig_wait(-1), 1000);
    rpi_spawn_site_close(site);
}
