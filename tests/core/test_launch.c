/* Building launches: everything is copied, descriptors are duplicated, the program is looked for
 * where the child's PATH says, and every failure leaves nothing behind. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/status.h"
#include "core/command.h"
#include "core/launch.h"
#include "tests/support/check.h"
#include "tests/support/fault.h"

static rpi_fault_memory memory;

static rp_command make_command(const char *const *argv)
{
    rp_command command = RP_COMMAND_INIT;

    command.argv = argv;
    return command;
}

static rpi_launch *build(const rp_command *command)
{
    rpi_launch *launch = NULL;

    rpi_fault_memory_init(&memory, 0);
    cr_assert_eq(rpi_command_check(command), 0, "%s", rp_error_detail());
    cr_assert_eq(rpi_launch_build(&memory.allocator, command, &launch), 0, "%s", rp_error_detail());
    cr_assert_eq(memory.live_blocks, 1, "one block");
    cr_assert_eq(memory.live_bytes, launch->block_size);
    return launch;
}

static void release(rpi_launch *launch)
{
    rpi_launch_free(launch);
    cr_assert_eq(memory.live_blocks, 0);
}

/** Compares a NULL-terminated list with what is expected, joined by '|'. */
static void check_list(const char *const *list, const char *expected)
{
    char joined[1024] = "";

    for (; *list != NULL; list++) {
        strncat(joined, *list, sizeof joined - strlen(joined) - 2);
        strncat(joined, "|", 2);
    }
    cr_assert_str_eq(joined, expected);
}

static int count_descriptors(void)
{
    int count = 0;

    for (int fd = 0; fd < 256; fd++) {
        count += fcntl(fd, F_GETFD) >= 0 ? 1 : 0;
    }
    return count;
}

Test(launch, has_defaults)
{
    static const char *const argv[] = {"prog", "a", "", "b c", NULL};
    const rp_command command = make_command(argv);
    rpi_launch *launch = build(&command);

    check_list((const char *const *)launch->argv, "prog|a||b c|");
    cr_assert_null(launch->cwd);
    cr_assert_eq(launch->ends[0].kind, RPI_END_NULL);
    cr_assert_eq(launch->ends[1].kind, RPI_END_PIPE);
    cr_assert_eq(launch->ends[2].kind, RPI_END_PIPE);
    cr_assert_eq(launch->fd_max, 2);
    cr_assert(launch->own_group);
    cr_assert_not(launch->new_session || launch->no_core || launch->set_umask || launch->set_ids);
    cr_assert_eq(launch->nice, 0);
    cr_assert_eq(launch->open_files, 0);
    cr_assert_gt(launch->queued_ns, 0);
    cr_assert_eq(launch->pid, 0);
    cr_assert_eq(launch->pidfd, -1);
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(launch->pipes[i], -1);
        cr_assert_eq(launch->ends[i].fd, -1);
    }
    cr_assert_eq(launch->error, 0);
    cr_assert_null(launch->phase);
    release(launch);
    rpi_launch_free(NULL);
}

Test(launch, keeps_nothing_of_the_callers_memory)
{
    char name[] = "prog";
    char argument[] = "argument";
    char cwd[] = "/tmp";
    char path[] = "file";
    char variable[] = "RP_TEST_VARIABLE=1";
    uint32_t groups[] = {5, 6};
    const char *argv[] = {name, argument, NULL};
    const char *env[] = {variable, NULL};
    rp_posix posix = RP_INIT(rp_posix);
    rp_command command = make_command(argv);
    rpi_launch *launch;

    command.cwd = cwd;
    command.env = env;
    command.env_clear = true;
    command.out = (rp_stdio){.kind = RP_STDIO_FILE, .path = path, .append = true};
    posix.set_ids = true;
    posix.uid = 3;
    posix.gid = 4;
    posix.groups = groups;
    posix.group_count = 2;
    posix.set_umask = true;
    posix.umask = 027;
    posix.no_core = true;
    posix.new_session = true;
    command.posix = &posix;
    launch = build(&command);
    memset(name, 'x', sizeof name - 1);
    memset(argument, 'x', sizeof argument - 1);
    memset(cwd, 'x', sizeof cwd - 1);
    memset(path, 'x', sizeof path - 1);
    memset(variable, 'x', sizeof variable - 1);
    memset(groups, 'x', sizeof groups);
    memset(&posix, 'x', sizeof posix);
    memset(argv, 0, sizeof argv);
    memset(env, 0, sizeof env);
    check_list((const char *const *)launch->argv, "prog|argument|");
    check_list((const char *const *)launch->env, "RP_TEST_VARIABLE=1|");
    cr_assert_str_eq(launch->cwd, "/tmp");
    cr_assert_eq(launch->ends[1].kind, RPI_END_FILE);
    cr_assert_str_eq(launch->ends[1].path, "file");
    cr_assert_eq(launch->ends[1].open_flags, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC);
    cr_assert_eq(launch->group_count, 2);
    cr_assert_eq(launch->groups[0], 5);
    cr_assert_eq(launch->groups[1], 6);
    cr_assert(launch->set_ids && launch->set_umask && launch->no_core && launch->new_session);
    cr_assert_eq(launch->uid, 3);
    cr_assert_eq(launch->gid, 4);
    cr_assert_eq(launch->umask, 027);
    release(launch);
}

Test(launch, of_a_line_is_the_shells)
{
    rp_command command = make_command(NULL);
    rpi_launch *launch;

    command.shell = "echo $HOME | cat";
    launch = build(&command);
    check_list((const char *const *)launch->argv, "/bin/sh|-c|echo $HOME | cat|");
    check_list(launch->programs, "/bin/sh|");
    release(launch);
    command.shell = "";
    launch = build(&command);
    check_list((const char *const *)launch->argv, "/bin/sh|-c||");
    release(launch);
}

/** That a program is looked for in these places, with such a PATH (NULL: none) in the child. */
static void check_programs(const char *path, const char *program, const char *expected)
{
    const char *const argv[] = {"name", NULL};
    const char *env[] = {path, NULL};
    rp_command command = make_command(argv);
    rpi_launch *launch;

    command.env_clear = true;
    command.env = path != NULL ? env : NULL;
    command.program = program;
    launch = build(&command);
    check_list(launch->programs, expected);
    release(launch);
}

Test(launch, looks_for_the_program_on_the_childs_path)
{
    check_programs("PATH=/a:/b", NULL, "/a/name|/b/name|");
    check_programs("PATH=/a", "other", "/a/other|");
    check_programs("PATH=:/a::b:", NULL, "./name|/a/name|./name|b/name|./name|");
    check_programs("PATH=", NULL, "./name|");
    check_programs("PATH=/a/", NULL, "/a//name|");
    check_programs(NULL, NULL, "/bin/name|/usr/bin/name|");
    check_programs("PATH=/a", "./here", "./here|");
    check_programs("PATH=/a", "/abs/olute", "/abs/olute|");
    check_programs("PATH=/a", "sub/dir", "sub/dir|");
}

Test(launch, takes_the_callers_path_only_where_the_child_has_it)
{
    static const char *const argv[] = {"name", NULL};
    static const char *const removal[] = {"PATH", NULL};
    rp_command command = make_command(argv);
    rpi_launch *launch;

    cr_assert_eq(setenv("PATH", "/callers", 1), 0);
    launch = build(&command);
    check_list(launch->programs, "/callers/name|");
    release(launch);
    command.env = removal;
    launch = build(&command);
    check_list(launch->programs, "/bin/name|/usr/bin/name|");
    release(launch);
}

Test(launch, duplicates_descriptors_in_the_call)
{
    static const char *const argv[] = {"prog", NULL};
    const int descriptors = count_descriptors();
    int ends[2];
    rp_fd fds[2];
    rp_command command = make_command(argv);
    rpi_launch *launch;
    char byte = 'x';

    cr_assert_eq(pipe2(ends, O_CLOEXEC), 0);
    fds[0] = (rp_fd){ends[0], 7};
    fds[1] = (rp_fd){ends[0], 3}; // the same one twice is allowed
    command.fds = fds;
    command.fd_count = 2;
    command.out = (rp_stdio){.kind = RP_STDIO_FD, .fd = ends[1]};
    command.err.kind = RP_STDIO_MERGE;
    launch = build(&command);
    cr_assert_eq(close(ends[0]), 0);
    cr_assert_eq(close(ends[1]), 0);
    cr_assert_eq(launch->fd_max, 7);
    cr_assert_eq(launch->fd_count, 2);
    cr_assert_eq(launch->fds[0].child, 7);
    cr_assert_eq(launch->fds[1].child, 3);
    cr_assert_eq(launch->ends[1].kind, RPI_END_FD);
    cr_assert_eq(launch->ends[2].kind, RPI_END_MERGE);
    cr_assert_eq(fcntl(launch->ends[1].fd, F_GETFD), FD_CLOEXEC);
    cr_assert_eq(fcntl(launch->fds[0].fd, F_GETFD), FD_CLOEXEC);
    cr_assert_eq(write(launch->ends[1].fd, &byte, 1), 1);
    cr_assert_eq(read(launch->fds[0].fd, &byte, 1), 1);
    release(launch);
    cr_assert_eq(count_descriptors(), descriptors);
}

Test(launch, refuses_descriptors_that_are_not_open)
{
    static const char *const argv[] = {"prog", NULL};
    const int descriptors = count_descriptors();
    const rp_fd fds[] = {{0, 3}, {200, 4}};
    rp_command command = make_command(argv);
    rpi_launch *launch = NULL;

    rpi_fault_memory_init(&memory, 0);
    command.fds = fds;
    command.fd_count = 2;
    cr_assert_eq(rpi_launch_build(&memory.allocator, &command, &launch), -EBADF);
    cr_assert_eq(strncmp(rp_error_detail(), "fds: descriptor 200", 19), 0);
    command.fd_count = 0;
    command.in = (rp_stdio){.kind = RP_STDIO_FD, .fd = 201};
    cr_assert_eq(rpi_launch_build(&memory.allocator, &command, &launch), -EBADF);
    cr_assert_eq(strncmp(rp_error_detail(), "in: descriptor 201", 18), 0);
    cr_assert_null(launch);
    cr_assert_eq(memory.live_blocks, 0);
    cr_assert_eq(count_descriptors(), descriptors);
}

Test(launch, leaves_nothing_behind_when_memory_or_descriptors_run_out)
{
    static const char *const argv[] = {"prog", NULL};
    const int descriptors = count_descriptors();
    const rp_fd fds[] = {{0, 3}, {1, 4}, {2, 5}};
    rp_command command = make_command(argv);
    rpi_launch *launch = NULL;

    command.fds = fds;
    command.fd_count = 3;
    command.in = (rp_stdio){.kind = RP_STDIO_FD, .fd = 0};
    rpi_fault_memory_init(&memory, 1);
    cr_assert_eq(rpi_launch_build(&memory.allocator, &command, &launch), RP_ENOMEM);
    cr_assert(memory.fired);
    rpi_fault_os_start();
    for (unsigned n = 1; n <= 5; n++) {
        rpi_fault_memory_init(&memory, 0);
        rpi_fault_os_fail("fcntl", n, EMFILE);
        cr_assert_eq(rpi_launch_build(&memory.allocator, &command, &launch), n < 5 ? RP_EMFILE : 0);
        if (n == 5) {
            rpi_launch_free(launch);
        }
        cr_assert_eq(memory.live_blocks, 0);
        rpi_fault_os_fail("fcntl", 1, 0);
        cr_assert_eq(count_descriptors(), descriptors);
    }
}

Test(launch, follows_the_transport)
{
    static const char *const argv[] = {"prog", NULL};
    rp_command command = make_command(argv);
    rp_limits limits = RP_INIT(rp_limits);
    rpi_launch *launch;

    limits.open_files = 77;
    command.limits = &limits;
    command.nice = 5;
    command.transport = RP_CONSOLE_SHARED;
    launch = build(&command);
    cr_assert_not(launch->own_group);
    cr_assert_eq(launch->ends[0].kind, RPI_END_INHERIT);
    cr_assert_eq(launch->ends[1].kind, RPI_END_INHERIT);
    cr_assert_eq(launch->open_files, 77);
    cr_assert_eq(launch->nice, 5);
    release(launch);
    command.transport = RP_CONSOLE_ISOLATED;
    launch = build(&command);
    cr_assert(launch->own_group);
    cr_assert_eq(launch->ends[0].kind, RPI_END_NULL);
    cr_assert_eq(launch->ends[2].kind, RPI_END_INHERIT);
    release(launch);
    command.in = (rp_stdio){.kind = RP_STDIO_FILE, .path = "x"};
    launch = build(&command);
    cr_assert_eq(launch->ends[0].open_flags, O_RDONLY | O_CLOEXEC);
    release(launch);
}

Test(launch, takes_what_is_large)
{
    enum {
        COUNT = 20000
    };
    static const char *argv[COUNT + 1];
    static const char *env[COUNT / 10 + 1];
    static char names[COUNT / 10][32];
    rp_command command;
    rpi_launch *launch;

    for (int i = 0; i < COUNT; i++) {
        argv[i] = "argument";
    }
    for (int i = 0; i < COUNT / 10; i++) {
        (void)snprintf(names[i], sizeof names[i], "V%d=%d", i, i);
        env[i] = names[i];
    }
    command = make_command(argv);
    command.env = env;
    command.env_clear = true;
    launch = build(&command);
    cr_assert_str_eq(launch->argv[COUNT - 1], "argument");
    cr_assert_null(launch->argv[COUNT]);
    cr_assert_str_eq(launch->env[COUNT / 10 - 1], "V1999=1999");
    cr_assert_null(launch->env[COUNT / 10]);
    release(launch);
}
