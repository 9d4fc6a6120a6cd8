/* fan_in's readers without a library: epoll and read, by hand, and the program cat. */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/fan_in.h"

extern char **environ;

enum {
    EVENT_MAX = 256
};

typedef struct writer {
    pid_t pid;
    int fd;
} writer;

/* Starts a program with the given standard input and output; an output of -1 is /dev/null. */
static int start(const char *const *argv, int in_fd, int out_fd, pid_t *ret_pid)
{
    posix_spawn_file_actions_t actions;
    int r;

    (void)posix_spawn_file_actions_init(&actions);
    (void)posix_spawn_file_actions_adddup2(&actions, in_fd, STDIN_FILENO);
    if (out_fd >= 0) {
        (void)posix_spawn_file_actions_adddup2(&actions, out_fd, STDOUT_FILENO);
    } else {
        (void)posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    }
    (void)posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    r = posix_spawnp(ret_pid, argv[0], &actions, NULL, (char *const *)(uintptr_t)argv, environ);
    (void)posix_spawn_file_actions_destroy(&actions);
    return r;
}

static int start_writer(rpi_fan *fan, writer *w)
{
    int fds[2];
    int r;

    if (pipe2(fds, O_CLOEXEC) < 0) {
        rpi_fail(fan->sample, "pipe: %s", strerror(errno));
        return -1;
    }
    r = start(fan->argv, fan->gate_fd, fds[1], &w->pid);
    (void)close(fds[1]);
    w->fd = fds[0];
    if (r != 0) {
        rpi_fail(fan->sample, "posix_spawn: %s", strerror(r));
        return -1;
    }
    return 0;
}

static int start_writers(rpi_fan *fan, writer *writers, int epoll_fd)
{
    for (size_t i = 0; i < fan->writers; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &writers[i]};

        if (start_writer(fan, &writers[i]) < 0) {
            return -1;
        }
        if (fcntl(writers[i].fd, F_SETFL, O_NONBLOCK) < 0 ||
            epoll_ctl(epoll_fd, EPOLL_CTL_ADD, writers[i].fd, &event) < 0) {
            rpi_fail(fan->sample, "epoll: %s", strerror(errno));
            return -1;
        }
    }
    return 0;
}

/* True when this writer is through. */
static bool take_event(rpi_fan *fan, writer *w, char *buffer)
{
    ssize_t n = read(w->fd, buffer, RPI_FAN_READ_SIZE);
    int status = 0;

    if (n > 0) {
        fan->bytes += (size_t)n;
        return false;
    }
    if (n < 0 && errno == EAGAIN) {
        return false;
    }
    (void)close(w->fd);
    if (waitpid(w->pid, &status, 0) < 0 || status != 0) {
        rpi_fail(fan->sample, "a writer ended with wait status %d", status);
    }
    return true;
}

static void read_all(rpi_fan *fan, int epoll_fd, char *buffer)
{
    struct epoll_event events[EVENT_MAX];
    size_t open = fan->writers;

    rpi_meter_start(&fan->meter);
    (void)close(fan->gate_open_fd);
    while (open > 0) {
        int n = epoll_wait(epoll_fd, events, EVENT_MAX, -1);

        for (int i = 0; i < n; i++) {
            open -= take_event(fan, events[i].data.ptr, buffer) ? 1 : 0;
        }
    }
    rpi_meter_stop(&fan->meter);
}

int rpi_fan_epoll(rpi_fan *fan)
{
    writer *writers = calloc(fan->writers, sizeof *writers);
    char *buffer = malloc(RPI_FAN_READ_SIZE);
    int epoll_fd = epoll_create1(EPOLL_CLOEXEC);

    if (writers == NULL || buffer == NULL || epoll_fd < 0) {
        rpi_fail(fan->sample, "out of memory or descriptors");
    } else if (start_writers(fan, writers, epoll_fd) == 0) {
        read_all(fan, epoll_fd, buffer);
    }
    (void)close(epoll_fd);
    free(buffer);
    free(writers);
    return fan->sample->outcome == RPI_MEASURED ? 0 : -1;
}

int rpi_fan_cat(rpi_fan *fan)
{
    static const char *const cat_argv[] = {"cat", NULL};
    struct rusage usage;
    writer w;
    pid_t cat_pid;
    int status = 0;
    int r;

    if (start_writer(fan, &w) < 0) {
        return -1;
    }
    r = start(cat_argv, w.fd, -1, &cat_pid);
    if (r != 0) {
        rpi_fail(fan->sample, "cat: %s", strerror(r));
        return -1;
    }
    (void)close(w.fd);
    rpi_meter_start(&fan->meter);
    (void)close(fan->gate_open_fd);
    if (wait4(cat_pid, &status, 0, &usage) < 0 || status != 0) {
        rpi_fail(fan->sample, "cat ended with wait status %d", status);
        return -1;
    }
    rpi_meter_stop(&fan->meter);
    (void)waitpid(w.pid, NULL, 0);
    fan->bytes = fan->bytes_each; /* cat says nothing of it; that it ended with 0 must do */
    fan->meter.user_ns = (double)usage.ru_utime.tv_sec * 1e9 + (double)usage.ru_utime.tv_usec * 1e3;
    fan->meter.system_ns =
        (double)usage.ru_stime.tv_sec * 1e9 + (double)usage.ru_stime.tv_usec * 1e3;
    fan->meter.waits = (double)usage.ru_nvcsw;
    return 0;
}
