/* See rig.h. */
#define _GNU_SOURCE
#include "tests/spawn/rig.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"

extern char **environ;

const char rig_report[] = RP_TEST_REPORT;
const char rig_tiny[] = RP_TEST_TINY;

/* Where an isolated body failed; in memory that it shares with the test. */
static char *failure;

static void init(rig_launch *rig, const char *program, const char *first, va_list arguments)
{
    rpi_launch *launch = &rig->launch;
    const char *argument = first;
    size_t count = 0;
    int i;

    memset(rig, 0, sizeof *rig);
    rig->argv[count++] = (char *)(uintptr_t)program;
    for (; argument != NULL; argument = va_arg(arguments, const char *)) {
        RIG_CHECK(count < sizeof rig->argv / sizeof rig->argv[0] - 1);
        rig->argv[count++] = (char *)(uintptr_t)argument;
    }
    rig->programs[0] = program;
    rpi_list_init(&launch->node);
    launch->allocator = rpi_alloc_default();
    launch->argv = rig->argv;
    launch->env = environ;
    launch->programs = rig->programs;
    launch->fds = rig->fds;
    launch->fd_max = 2;
    launch->own_group = true;
    launch->pidfd = -1;
    launch->queued_ns = rpi_clock_now_ns();
    launch->ends[1].kind = RPI_END_PIPE;
    launch->ends[2].kind = RPI_END_PIPE;
    for (i = 0; i < 3; i++) {
        launch->ends[i].fd = -1;
        launch->pipes[i] = -1;
    }
    launch->slave = -1;
}

void rig_init(rig_launch *rig, const char *mode, ...)
{
    va_list arguments;

    va_start(arguments, mode);
    init(rig, rig_report, mode, arguments);
    va_end(arguments);
}

void rig_init_program(rig_launch *rig, const char *program, ...)
{
    va_list arguments;
    const char *first;

    va_start(arguments, program);
    first = va_arg(arguments, const char *);
    init(rig, program, first, arguments);
    va_end(arguments);
}

static void read_outputs(rpi_launch *launch, rig_end *end)
{
    struct pollfd polls[2];
    int i;

    while (launch->pipes[1] >= 0 || launch->pipes[2] >= 0) {
        for (i = 0; i < 2; i++) {
            polls[i] = (struct pollfd){launch->pipes[i + 1], POLLIN, 0};
        }
        if (poll(polls, 2, -1) < 0) {
            RIG_CHECK(errno == EINTR);
            continue;
        }
        for (i = 1; i < 3; i++) {
            ssize_t size;

            if (polls[i - 1].revents == 0) {
                continue;
            }
            RIG_CHECK(end->sizes[i] < RIG_OUTPUT_MAX);
            size = read(launch->pipes[i], end->text[i] + end->sizes[i],
                        RIG_OUTPUT_MAX - end->sizes[i]);
            if (size > 0) {
                end->sizes[i] += (size_t)size;
            } else if (size == 0) {
                close(launch->pipes[i]);
                launch->pipes[i] = -1;
            } else {
                RIG_CHECK(errno == EAGAIN || errno == EINTR);
            }
        }
    }
}

int rig_wait(int pid)
{
    int status = 0;

    while (waitpid(pid, &status, __WALL) < 0) {
        if (errno != EINTR) {
            return 1000;
        }
    }
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

void rig_finish(rig_launch *rig, rig_end *ret_end)
{
    rpi_launch *launch = &rig->launch;

    ret_end->status = 1000;
    memset(ret_end->sizes, 0, sizeof ret_end->sizes);
    errno = -launch->error;
    RIG_CHECK(launch->error == 0);
    RIG_CHECK(launch->pid > 0);
    RIG_CHECK(launch->phase == NULL);
    if (launch->pipes[0] >= 0) {
        close(launch->pipes[0]);
        launch->pipes[0] = -1;
    }
    read_outputs(launch, ret_end);
    ret_end->text[1][ret_end->sizes[1]] = '\0';
    ret_end->text[2][ret_end->sizes[2]] = '\0';
    ret_end->status = rig_wait((int)launch->pid);
    if (launch->pidfd >= 0) {
        close(launch->pidfd);
        launch->pidfd = -1;
    }
}

void rig_run(rpi_spawn_method method, rig_launch *rig, rig_end *ret_end)
{
    rpi_spawn_site *site = NULL;

    RIG_CHECK(rpi_spawn_site_open(rpi_alloc_default(), method, 1, &site) == 0);
    rpi_spawn_carry_out(site, 0, &rig->launch);
    if (rig->launch.error == 0) {
        rig_finish(rig, ret_end);
    }
    rpi_spawn_site_close(site);
}

const char *rig_value(const char *text, const char *name)
{
    static char value[512];
    const size_t length = strlen(name);
    const char *line = text;

    while (line != NULL && *line != '\0') {
        const char *end = strchr(line, '\n');

        if (strncmp(line, name, length) == 0 && line[length] == ' ') {
            const size_t size =
                (size_t)((end == NULL ? strchr(line, '\0') : end) - line) - length - 1;

            RIG_CHECK(size < sizeof value);
            memcpy(value, line + length + 1, size);
            value[size] = '\0';
            return value;
        }
        line = end == NULL ? NULL : end + 1;
    }
    return NULL;
}

_Noreturn void rig_check_failed(const char *condition, const char *file, int line)
{
    if (failure != NULL) {
        snprintf(failure, 4096, "%s:%d: %s (errno %d)", file, line, condition, errno);
        _exit(1);
    }
    fprintf(stderr, "%s:%d: %s (errno %d)\n", file, line, condition, errno);
    abort(); // Criterion tells that as a crash
}

void rig_isolated(void (*body)(void))
{
    pid_t pid;
    int status;

    failure = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    cr_assert_neq(failure, MAP_FAILED);
    pid = fork();
    cr_assert_geq(pid, 0);
    if (pid == 0) {
        body();
        _exit(0);
    }
    status = rig_wait(pid);
    cr_assert_eq(status, 0, "status %d: %s", status, failure);
    munmap(failure, 4096);
    failure = NULL;
}

int rig_count_fds(void)
{
    struct rlimit limit;
    int count = 0;
    int fd;

    RIG_CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0); // a directory would need a descriptor itself
    for (fd = 0; fd < (int)limit.rlim_max && fd < 65536; fd++) {
        count += fcntl(fd, F_GETFD) >= 0;
    }
    return count;
}

void rig_handle(int number, void (*handler)(int))
{
    const struct sigaction action = {.sa_handler = handler};

    RIG_CHECK(sigaction(number, &action, NULL) == 0);
}

int rig_tagged(long size)
{
    const int fd = memfd_create("tagged", MFD_CLOEXEC);

    RIG_CHECK(fd >= 0);
    RIG_CHECK(ftruncate(fd, size) == 0);
    return fd;
}

struct criterion_test_params rig_methods(void)
{
    static rpi_spawn_method methods[] = {RPI_SPAWN_CLONE3, RPI_SPAWN_CLONE, RPI_SPAWN_POSIX_SPAWN,
                                         RPI_SPAWN_FORK};

    return cr_make_param_array(rpi_spawn_method, methods, sizeof methods / sizeof methods[0]);
}

const char *rig_method_name(rpi_spawn_method method)
{
    switch (method) {
    case RPI_SPAWN_CLONE3:
        return "clone3";
    case RPI_SPAWN_CLONE:
        return "clone";
    case RPI_SPAWN_POSIX_SPAWN:
        return "posix_spawn";
    case RPI_SPAWN_FORK:
        return "fork";
    case RPI_SPAWN_UNKNOWN:
    case RPI_SPAWN_CREATE_PROCESS:
        break;
    }
    return "unknown";
}
