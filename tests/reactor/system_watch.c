/* Public watches on real descriptors. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/reactor/system.h"
#include "tests/support/fault.h"

TestSuite(watch, .timeout = 60);

typedef struct test_guard {
    rp_watch *watch;
    int calls;
    uint32_t last;
    int close_at; /* closes itself at this call */
    struct test_guard *closes;
    int fd; /* read empty at each call, unless -1 */
} test_guard;

static void on_guard(rp_watch *watch, uint32_t events, void *user)
{
    test_guard *self = user;
    char bytes[64];

    cr_assert_eq(watch, self->watch);
    self->calls++;
    self->last = events;
    if (self->fd >= 0) {
        while (read(self->fd, bytes, sizeof bytes) > 0) {
        }
    }
    if (self->closes != NULL && self->closes->watch != NULL) {
        rp_watch_close(self->closes->watch);
        self->closes->watch = NULL;
    }
    if (self->calls == self->close_at) {
        rp_watch_close(watch);
    }
}

static void guard_start(test_guard *guard, rpi_reactor *reactor, int fd, uint32_t events)
{
    cr_assert_eq(rp_watch_start(system_loop(reactor), fd, events, on_guard, guard, &guard->watch),
                 0);
}

Test(watch, reports_for_as_long_as_it_is_ready)
{
    rpi_reactor reactor;
    test_guard guard = {.fd = -1};
    int ends[2];

    system_open(&reactor);
    pipe_open(ends);
    guard_start(&guard, &reactor, ends[0], RP_READABLE);
    cr_assert_eq(reactor.left, 1);
    cr_assert_eq(rpi_reactor_turn(&reactor, RP_MILLISECOND), 0);
    cr_assert_eq(write(ends[1], "x", 1), 1);
    TURN_UNTIL(&reactor, guard.calls == 3);
    cr_assert_eq(guard.last, RP_READABLE);
    guard.fd = ends[0];
    TURN_UNTIL(&reactor, guard.calls == 4);
    cr_assert_eq(rpi_reactor_turn(&reactor, RP_MILLISECOND), 0);
    cr_assert_eq(write(ends[1], "x", 1), 1);
    TURN_UNTIL(&reactor, guard.calls == 5);
    rp_watch_close(guard.watch);
    rp_watch_close(NULL);
    cr_assert_eq(reactor.left, 0);
    cr_assert_eq(close(ends[0]), 0);
    cr_assert_eq(close(ends[1]), 0);
    rpi_reactor_fini(&reactor);
}

Test(watch, reports_a_hang_up)
{
    rpi_reactor reactor;
    test_guard guard = {.fd = -1};
    int ends[2];

    system_open(&reactor);
    pipe_open(ends);
    guard_start(&guard, &reactor, ends[0], RP_READABLE);
    cr_assert_eq(close(ends[1]), 0);
    TURN_UNTIL(&reactor, guard.calls == 1);
    cr_assert_eq(guard.last, RP_READABLE);
    rp_watch_close(guard.watch);
    cr_assert_eq(close(ends[0]), 0);
    rpi_reactor_fini(&reactor);
}

Test(watch, tells_both_directions_of_a_socket)
{
    rpi_reactor reactor;
    test_guard guard = {.fd = -1};
    int ends[2];

    system_open(&reactor);
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    guard_start(&guard, &reactor, ends[0], RP_READABLE | RP_WRITABLE);
    TURN_UNTIL(&reactor, guard.calls == 1);
    cr_assert_eq(guard.last, RP_WRITABLE);
    cr_assert_eq(write(ends[1], "x", 1), 1);
    TURN_UNTIL(&reactor, guard.last == (RP_READABLE | RP_WRITABLE));
    rp_watch_close(guard.watch);
    close(ends[0]);
    close(ends[1]);
    rpi_reactor_fini(&reactor);
}

Test(watch, may_stand_twice_on_one_descriptor)
{
    rpi_reactor reactor;
    test_guard guards[3] = {{.fd = -1}, {.fd = -1}, {.fd = -1}};
    unsigned before = descriptor_count();
    int ends[2];
    int i;

    system_open(&reactor);
    pipe_open(ends);
    for (i = 0; i < 3; i++) {
        guard_start(&guards[i], &reactor, ends[0], RP_READABLE);
    }
    cr_assert_eq(rpi_reactor_turn(&reactor, RP_MILLISECOND), 0);
    cr_assert_eq(write(ends[1], "x", 1), 1);
    TURN_UNTIL(&reactor, guards[0].calls > 1 && guards[1].calls > 1 && guards[2].calls > 1);
    rp_watch_close(guards[0].watch); // the others go on
    i = guards[1].calls;
    TURN_UNTIL(&reactor, guards[1].calls > i && guards[2].calls > i);
    rp_watch_close(guards[1].watch);
    rp_watch_close(guards[2].watch);
    close(ends[0]);
    close(ends[1]);
    rpi_reactor_fini(&reactor);
    cr_assert_eq(descriptor_count(), before);
}

Test(watch, finds_a_regular_file_always_ready)
{
    rpi_reactor reactor;
    test_guard guard = {.fd = -1, .close_at = 5};
    FILE *file = tmpfile();

    cr_assert_not_null(file);
    system_open(&reactor);
    guard_start(&guard, &reactor, fileno(file), RP_READABLE | RP_WRITABLE);
    TURN_UNTIL(&reactor, guard.calls == 5);
    cr_assert_eq(guard.last, RP_READABLE | RP_WRITABLE);
    cr_assert_eq(rpi_reactor_turn(&reactor, 0), 0);
    fclose(file);
    rpi_reactor_fini(&reactor);
}

Test(watch, may_be_closed_by_its_own_callback_and_by_another)
{
    rpi_reactor reactor;
    test_guard own = {.fd = -1, .close_at = 1};
    test_guard pair[2] = {{.fd = -1}, {.fd = -1}};
    rpi_fault_memory memory;
    rpi_reactor_options options = {.backend = RIG_BACKEND};
    int ends[2];

    rpi_fault_memory_init(&memory, 0);
    options.allocator = &memory.allocator;
    cr_assert_eq(rpi_reactor_init(&reactor, &options), 0);
    pipe_open(ends);
    cr_assert_eq(write(ends[1], "x", 1), 1);
    guard_start(&own, &reactor, ends[0], RP_READABLE);
    TURN_UNTIL(&reactor, own.calls == 1);
    cr_assert_eq(reactor.left, 0);
    // Both are ready in the same wait: whoever comes first silences the other.
    guard_start(&pair[0], &reactor, ends[0], RP_READABLE);
    guard_start(&pair[1], &reactor, ends[0], RP_READABLE);
    pair[0].closes = &pair[1];
    pair[1].closes = &pair[0];
    TURN_UNTIL(&reactor, pair[0].calls + pair[1].calls >= 3);
    cr_assert(pair[0].calls == 0 || pair[1].calls == 0);
    cr_assert_eq(reactor.left, 1);
    rpi_reactor_fini(&reactor);
    cr_assert_eq(memory.live_blocks, 0);
    close(ends[0]);
    close(ends[1]);
}

/* Whether nobody can read any more what is written to this end. */
static bool is_broken(int fd)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLOUT};

    return poll(&poll_fd, 1, 0) == 1 && (poll_fd.revents & POLLERR) != 0;
}

Test(watch, says_nothing_after_its_close_and_lets_go_of_the_descriptor)
{
    rpi_reactor reactor;
    test_guard guard = {.fd = -1};
    int ends[2];
    int i;

    system_open(&reactor);
    for (i = 0; i < 100; i++) {
        pipe_open(ends); // the same numbers each time
        guard_start(&guard, &reactor, ends[0], RP_READABLE);
        if (i % 3 != 0) {
            (void)rpi_reactor_turn(&reactor, 0);
        }
        if (i % 2 != 0) {
            cr_assert_eq(write(ends[1], "x", 1), 1);
        }
        rp_watch_close(guard.watch);
        cr_assert_eq(close(ends[0]), 0);
        (void)rpi_reactor_turn(&reactor, 0);
        (void)rpi_reactor_turn(&reactor, 0);
        cr_assert(is_broken(ends[1])); // nobody holds the reading end any more
        cr_assert_eq(close(ends[1]), 0);
    }
    cr_assert_eq(guard.calls, 0);
    rpi_reactor_fini(&reactor);
}

Test(watch, refuses_bad_arguments)
{
    rpi_reactor reactor;
    test_guard guard = {.fd = -1};
    rp_loop *loop = system_loop(&reactor);
    int ends[2];

    system_open(&reactor);
    pipe_open(ends);
    cr_assert_eq(rp_watch_start(loop, ends[0], RP_READABLE, NULL, NULL, &guard.watch), RP_EINVAL);
    cr_assert_eq(rp_watch_start(loop, ends[0], 0, on_guard, NULL, &guard.watch), RP_EINVAL);
    cr_assert_eq(rp_watch_start(loop, ends[0], 4, on_guard, NULL, &guard.watch), RP_EINVAL);
    cr_assert_eq(rp_watch_start(loop, -1, RP_READABLE, on_guard, NULL, &guard.watch), RP_EINVAL);
    cr_assert_eq(rp_watch_start(loop, 19000, RP_READABLE, on_guard, NULL, &guard.watch), -EBADF);
    cr_assert_null(guard.watch);
    cr_assert_eq(reactor.left, 0);
    cr_assert_eq(rpi_reactor_turn(&reactor, 0), 0);
    close(ends[0]);
    close(ends[1]);
    rpi_reactor_fini(&reactor);
}

Test(watch, reports_once_when_its_descriptor_is_closed_too_early)
{
    rpi_reactor reactor;
    test_guard guard = {.fd = -1};
    int ends[2];
    int i;

    system_open(&reactor);
    pipe_open(ends);
    guard_start(&guard, &reactor, ends[0], RP_READABLE);
    cr_assert_eq(write(ends[1], "x", 1), 1);
    TURN_UNTIL(&reactor, guard.calls > 0);
    close(ends[0]);
    for (i = 0; i < 20; i++) {
        (void)rpi_reactor_turn(&reactor, 0);
    }
    cr_assert_leq(guard.calls, 4);
    rp_watch_close(guard.watch);
    close(ends[1]);
    rpi_reactor_fini(&reactor);
}
