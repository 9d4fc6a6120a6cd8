/* Embed: children inside an epoll loop that is not ours, beside another source of events.
 *
 *     embed_epoll COMMAND...      each a line for the shell, all at once
 *
 * The host owns the loop; running-process is one more descriptor in it (rp_loop_fd). Three rules:
 *
 *   1. ask rp_loop_timeout_ns before every sleep, and sleep no longer;
 *   2. after every wake call rp_loop_run_once(loop, 0), whatever the wake was for: a timer of the
 *      library may be due. A turn that finds nothing costs little;
 *   3. round its timeout up, never down.
 *
 * The other source is a timer of the host, which ticks while the children run. Exit status: 0 when
 * all of them ended with 0, 1 when not, 2 for bad usage. */
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "rp/rp.h"

#define TICK_NS (100L * 1000 * 1000)

typedef struct host {
    int epoll;
    int ticker;
    rp_loop *loop;
    unsigned long ticks;
    unsigned running; /* children */
    unsigned failed;
} host;

/* ---- the children ---- */

static void on_line(rp_process *process, rp_stream stream, const rp_line *line, void *user)
{
    (void)user;
    printf("%lld %s: %.*s\n", (long long)rp_process_pid(process),
           stream == RP_STDOUT ? "out" : "err", (int)line->text.size, line->text.data);
}

static void on_done(rp_process *process, const rp_exit *exit, void *user)
{
    host *own = user;
    char summary[256];

    (void)rp_exit_summary(exit, summary, sizeof summary);
    printf("%lld: %s\n", (long long)rp_process_pid(process), summary);
    own->running--;
    own->failed += exit->code != 0;
}

static int start_children(host *own, int count, char **lines)
{
    const rp_handlers handlers = {.line = on_line, .done = on_done};

    for (int i = 0; i < count; i++) {
        rp_command command = RP_COMMAND_INIT;
        int r;

        command.shell = lines[i];
        r = rp_spawn(own->loop, &command, &handlers, own, NULL);
        if (r < 0) {
            fprintf(stderr, "embed_epoll: %s: %s: %s\n", lines[i], rp_strerror(r),
                    rp_error_detail());
            return r;
        }
        own->running++;
    }
    return 0;
}

/* ---- the host's own loop ---- */

static void on_tick(host *own)
{
    uint64_t expired;

    if (read(own->ticker, &expired, sizeof expired) == (ssize_t)sizeof expired) {
        own->ticks += (unsigned long)expired;
        printf("tick %lu, %u running\n", own->ticks, own->running);
    }
}

/* Nanoseconds as epoll_wait takes them: milliseconds rounded up, -1 for ever. */
static int to_epoll_timeout(uint64_t timeout_ns)
{
    uint64_t timeout_ms = timeout_ns / RP_MILLISECOND + (timeout_ns % RP_MILLISECOND != 0);

    if (timeout_ns == RP_FOREVER) {
        return -1;
    }
    return timeout_ms > INT_MAX ? INT_MAX : (int)timeout_ms;
}

/* Until no child is left. 0 or a negative error. */
static int serve(host *own)
{
    struct epoll_event events[16];

    while (own->running > 0) {
        int timeout_ms = to_epoll_timeout(rp_loop_timeout_ns(own->loop));
        int count = epoll_wait(own->epoll, events, 16, timeout_ms);
        int r;

        if (count < 0 && errno != EINTR) {
            return -errno;
        }
        for (int i = 0; i < count; i++) {
            if (events[i].data.fd == own->ticker) {
                on_tick(own);
            }
        }
        r = rp_loop_run_once(own->loop, 0);
        if (r < 0) {
            return r;
        }
    }
    return 0;
}

static int add(const host *own, int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

    return epoll_ctl(own->epoll, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

static int open_host(host *own)
{
    const struct itimerspec every = {{0, TICK_NS}, {0, TICK_NS}};
    intptr_t fd;
    int r = rp_loop_open(NULL, &own->loop);

    if (r < 0) {
        return r;
    }
    own->epoll = epoll_create1(EPOLL_CLOEXEC);
    own->ticker = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (own->epoll < 0 || own->ticker < 0 || timerfd_settime(own->ticker, 0, &every, NULL) < 0) {
        return -errno;
    }
    fd = rp_loop_fd(own->loop); /* the loop's: not ours to read or to close */
    if (fd < 0) {
        return (int)fd;
    }
    r = add(own, (int)fd);
    return r < 0 ? r : add(own, own->ticker);
}

static void close_host(host *own)
{
    (void)rp_loop_close(own->loop); /* kills what still runs */
    if (own->ticker >= 0) {
        (void)close(own->ticker);
    }
    if (own->epoll >= 0) {
        (void)close(own->epoll);
    }
}

int main(int argc, char **argv)
{
    host own = {.epoll = -1, .ticker = -1};
    int r;

    if (argc < 2) {
        fprintf(stderr, "usage: embed_epoll COMMAND...\n");
        return 2;
    }
    (void)setvbuf(stdout, NULL, _IOLBF, 0); /* lines at once, also into a pipe */
    r = open_host(&own);
    if (r == 0) {
        r = start_children(&own, argc - 1, argv + 1);
    }
    if (r == 0) {
        r = serve(&own);
    }
    if (r < 0) {
        fprintf(stderr, "embed_epoll: %s\n", rp_strerror(r));
    }
    close_host(&own);
    return r < 0 || own.failed > 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
