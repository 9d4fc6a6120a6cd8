/* Whole programs as engines: xargs -P and GNU parallel, which run the same command the same number
 * of times, started as their users start them, one argument line a child on standard input. Neither
 * hands the outputs on the way the others do (xargs lets the children share its own), so their rows
 * say what the shell's way costs, start-up included. Processor time is not told: theirs and the
 * children's cannot be kept apart.
 */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/engine.h"

extern char **environ;

/* A file in memory with one line a child. */
static int open_input(size_t lines)
{
    int fd = memfd_create("lines", MFD_CLOEXEC);
    FILE *file;

    if (fd < 0) {
        return -errno;
    }
    file = fdopen(dup(fd), "w");
    if (file == NULL) {
        (void)close(fd);
        return -ENOMEM;
    }
    for (size_t i = 0; i < lines; i++) {
        (void)fprintf(file, "%zu\n", i);
    }
    if (fclose(file) != 0 || lseek(fd, 0, SEEK_SET) < 0) {
        (void)close(fd);
        return -EIO;
    }
    return fd;
}

static int start(char *const *argv, int input_fd, pid_t *ret_pid)
{
    posix_spawn_file_actions_t actions;
    int r;

    (void)posix_spawn_file_actions_init(&actions);
    (void)posix_spawn_file_actions_adddup2(&actions, input_fd, STDIN_FILENO);
    (void)posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    r = posix_spawnp(ret_pid, argv[0], &actions, NULL, argv, environ);
    (void)posix_spawn_file_actions_destroy(&actions);
    return r;
}

static int run_tool(const rpi_engine_job *job, rpi_engine_result *ret_result, char *const *argv)
{
    int input_fd = open_input(job->total);
    int status = 0;
    pid_t pid;
    int r;

    if (input_fd < 0) {
        return rpi_engine_fail(ret_result, "memfd_create: %s", strerror(-input_fd));
    }
    rpi_meter_start(&ret_result->meter);
    r = start(argv, input_fd, &pid);
    (void)close(input_fd);
    if (r == ENOENT) {
        return rpi_engine_skip(ret_result, "%s is not installed", argv[0]);
    }
    if (r != 0) {
        return rpi_engine_fail(ret_result, "%s: %s", argv[0], strerror(r));
    }
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    rpi_meter_stop(&ret_result->meter);
    ret_result->meter.user_ns = (double)NAN;
    ret_result->meter.system_ns = (double)NAN;
    if (status != 0) {
        return rpi_engine_fail(ret_result, "%s ended with wait status %d", argv[0], status);
    }
    ret_result->done = job->total;
    return 0;
}

int rpi_engine_xargs(const rpi_engine_job *job, rpi_engine_result *ret_result)
{
    char at_once[32];
    char program[RPI_PATH_SIZE];
    char names[4][8] = {"xargs", "-n", "1", "-P"};
    char *argv[] = {names[0], names[1], names[2], names[3], at_once, program, NULL};

    (void)snprintf(at_once, sizeof at_once, "%zu", job->at_once);
    (void)snprintf(program, sizeof program, "%s", job->argv[0]);
    return run_tool(job, ret_result, argv);
}

/* Some milliseconds a child: few of them are enough. */
int rpi_engine_parallel(const rpi_engine_job *job, rpi_engine_result *ret_result)
{
    enum {
        AT_ONCE_MAX = 64,
        TOTAL_MAX = 200
    };
    rpi_engine_job fewer = *job;
    char at_once[32];
    char program[RPI_PATH_SIZE];
    char names[3][16] = {"parallel", "--will-cite", "-j"};
    char *argv[] = {names[0], names[1], names[2], at_once, program, NULL};

    if (job->at_once > AT_ONCE_MAX) {
        return rpi_engine_skip(ret_result, "run up to %d at once only", AT_ONCE_MAX);
    }
    fewer.total = job->total > TOTAL_MAX ? TOTAL_MAX : job->total;
    (void)snprintf(at_once, sizeof at_once, "%zu", job->at_once);
    (void)snprintf(program, sizeof program, "%s", job->argv[0]);
    return run_tool(&fewer, ret_result, argv);
}
