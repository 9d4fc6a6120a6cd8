/* The pty cases without a library: terminals opened and read by hand. See pty.h. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/pty.h"

enum {
    EVENT_MAX = 256
};

typedef struct terminal {
    pid_t pid;
    int fd;
} terminal;

static _Noreturn void be_child(const char *const *argv, int slave)
{
    if (setsid() < 0 || ioctl(slave, TIOCSCTTY, 0) < 0) {
        _exit(126);
    }
    for (int fd = 0; fd < 3; fd++) {
        if (dup2(slave, fd) < 0) {
            _exit(126);
        }
    }
    (void)execv(argv[0], (char *const *)(uintptr_t)argv);
    _exit(127);
}

pid_t rpi_pty_start(const char *const *argv, int *ret_master)
{
    const struct winsize size = {.ws_row = 24, .ws_col = 80};
    const int master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
    int unlocked = 0;
    int slave = -1;
    pid_t pid = -1;
    int error;

    if (master >= 0 && ioctl(master, TIOCSPTLCK, &unlocked) == 0) {
        slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    }
    if (slave >= 0 && ioctl(slave, TIOCSWINSZ, &size) == 0) {
        pid = fork();
    }
    if (pid == 0) {
        be_child(argv, slave);
    }
    error = errno;
    if (slave >= 0) {
        (void)close(slave);
    }
    if (pid < 0 && master >= 0) {
        (void)close(master);
    }
    errno = error;
    *ret_master = master;
    return pid;
}

/* ---- pty_throughput ---- */

static int start_all(rpi_pty_flood *flood, terminal *terminals, int epoll_fd)
{
    for (size_t i = 0; i < flood->count; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &terminals[i]};

        terminals[i].pid = rpi_pty_start(flood->argv, &terminals[i].fd);
        if (terminals[i].pid < 0 ||
            epoll_ctl(epoll_fd, EPOLL_CTL_ADD, terminals[i].fd, &event) < 0) {
            rpi_fail(flood->sample, "a terminal or its child: %s", strerror(errno));
            return -1;
        }
    }
    return 0;
}

/* What is there of one; false when it has ended. */
static bool read_some(rpi_pty_flood *flood, const terminal *from, char *buffer)
{
    ssize_t n = read(from->fd, buffer, RPI_PTY_READ_SIZE);
    int status = 0;

    if (n > 0) {
        flood->bytes += (size_t)n;
        return true;
    }
    if (n < 0 && errno == EAGAIN) {
        return true;
    }
    (void)close(from->fd); // EIO: the child has ended
    if (waitpid(from->pid, &status, 0) < 0 || status != 0) {
        rpi_fail(flood->sample, "a child ended with wait status %d", status);
    }
    return false;
}

/* Until `bytes` were read or all have ended; how many have. */
static size_t read_until(rpi_pty_flood *flood, int epoll_fd, char *buffer, size_t bytes)
{
    struct epoll_event events[EVENT_MAX];
    size_t ended = 0;

    while (flood->bytes < bytes && ended < flood->count) {
        int n = epoll_wait(epoll_fd, events, EVENT_MAX, -1);

        for (int i = 0; i < n; i++) {
            ended += read_some(flood, events[i].data.ptr, buffer) ? 0 : 1;
        }
    }
    return ended;
}

int rpi_pty_flood_bare(rpi_pty_flood *flood)
{
    terminal *terminals = calloc(flood->count, sizeof *terminals);
    char *buffer = malloc(RPI_PTY_READ_SIZE);
    int epoll_fd = epoll_create1(EPOLL_CLOEXEC);

    if (terminals == NULL || buffer == NULL || epoll_fd < 0) {
        rpi_fail(flood->sample, "out of memory or descriptors");
    } else if (start_all(flood, terminals, epoll_fd) == 0) {
        if (read_until(flood, epoll_fd, buffer, flood->count) > 0) {
            rpi_fail(flood->sample, "a child ended before it began");
        }
        rpi_meter_start(&flood->meter);
        for (size_t i = 0; i < flood->count; i++) {
            if (write(terminals[i].fd, "g", 1) != 1) {
                rpi_fail(flood->sample, "write: %s", strerror(errno));
            }
        }
        (void)read_until(flood, epoll_fd, buffer, SIZE_MAX);
        rpi_meter_stop(&flood->meter);
    }
    (void)close(epoll_fd);
    free(buffer);
    free(terminals);
    return flood->sample->outcome == RPI_MEASURED ? 0 : -1;
}

/* ---- pty_round_trip ---- */

/* Reads until what came ends in the prompt; false: it ended before. */
static bool await_prompt(int fd)
{
    char text[4096];
    size_t size = 0;

    for (;;) {
        struct pollfd entry = {.fd = fd, .events = POLLIN};
        ssize_t n = -1;

        if (poll(&entry, 1, -1) < 0 && errno != EINTR) {
            return false;
        }
        n = read(fd, text + size, sizeof text - size);
        if (n <= 0 && !(n < 0 && errno == EAGAIN)) {
            return false;
        }
        size += n > 0 ? (size_t)n : 0;
        if (size >= 2 && memcmp(text + size - 2, "> ", 2) == 0) {
            return true;
        }
        if (size == sizeof text) {
            size = 0;
        }
    }
}

int rpi_pty_dialogue_bare(rpi_pty_dialogue *dialogue)
{
    int fd = -1;
    const pid_t pid = rpi_pty_start(dialogue->argv, &fd);
    bool well = pid > 0 && await_prompt(fd);

    rpi_meter_start(&dialogue->meter);
    for (size_t i = 0; i < dialogue->trips && well; i++) {
        const uint64_t begin_ns = rp_now_ns();

        well = write(fd, "x\n", 2) == 2 && await_prompt(fd);
        dialogue->spans_ns[i] = rp_now_ns() - begin_ns;
    }
    rpi_meter_stop(&dialogue->meter);
    well = well && write(fd, "q\n", 2) == 2 && waitpid(pid, NULL, 0) == pid;
    (void)close(fd);
    if (!well) {
        rpi_fail(dialogue->sample, "the dialogue broke off: %s", strerror(errno));
    }
    return well ? 0 : -1;
}
