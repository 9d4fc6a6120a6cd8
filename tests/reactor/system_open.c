/* Which backend opens, what keeps one from opening, and what a failing system call does to it. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/os.h"
#include "base/status.h"
#include "tests/reactor/system.h"
#include "tests/support/fault.h"

TestSuite(open, .timeout = 60);

static int open_close(rp_backend backend, rp_backend *ret_id)
{
    const rpi_reactor_options options = {.backend = backend};
    rpi_reactor reactor;
    int r = rpi_reactor_init(&reactor, &options);

    if (r == 0) {
        *ret_id = reactor.backend->api->id;
        rpi_reactor_fini(&reactor);
    }
    return r;
}

/* ---- choosing ---- */

Test(open, takes_the_backend_that_is_named)
{
    rp_backend id = RP_BACKEND_AUTO;

    cr_assert_eq(setenv("RP_BACKEND", "junk", 1), 0); // is asked for AUTO only
    cr_assert_eq(open_close(RIG_BACKEND, &id), 0);
    cr_assert_eq(id, RIG_BACKEND);
#ifndef RPI_HAS_KQUEUE
    cr_assert_eq(open_close(RP_BACKEND_KQUEUE, &id), RP_EUNSUPPORTED);
#endif
    cr_assert_eq(open_close(RP_BACKEND_IOCP, &id), RP_EUNSUPPORTED);
    cr_assert_eq(open_close((rp_backend)77, &id), RP_EINVAL);
    cr_assert_eq(open_close((rp_backend)-1, &id), RP_EINVAL);
}

Test(open, lets_the_environment_decide_what_auto_is)
{
    rp_backend id = RP_BACKEND_AUTO;

    cr_assert_eq(setenv("RP_BACKEND", RIG_BACKEND_NAME, 1), 0);
    cr_assert_eq(open_close(RP_BACKEND_AUTO, &id), 0);
    cr_assert_eq(id, RIG_BACKEND);
    cr_assert_eq(setenv("RP_BACKEND", "junk", 1), 0);
    cr_assert_eq(open_close(RP_BACKEND_AUTO, &id), RP_EINVAL);
    cr_assert_not_null(strstr(rp_error_detail(), "junk"));
    cr_assert_eq(setenv("RP_BACKEND", "iocp", 1), 0);
    cr_assert_eq(open_close(RP_BACKEND_AUTO, &id), RP_EUNSUPPORTED);
    cr_assert_eq(setenv("RP_BACKEND", "", 1), 0); // as if it were not set
    cr_assert_eq(open_close(RP_BACKEND_AUTO, &id), 0);
    cr_assert_eq(unsetenv("RP_BACKEND"), 0);
    cr_assert_eq(open_close(RP_BACKEND_AUTO, &id), 0);
    cr_assert_neq(id, RP_BACKEND_AUTO);
}

/* Refused in this call from the first on; nothing is remembered yet in this process. */
static void refuse(const char *entry, int error)
{
    const unsigned before = descriptor_count();
    rp_backend id = RP_BACKEND_AUTO;

    cr_assert_eq(unsetenv("RP_BACKEND"), 0);
    rpi_fault_os_start();
    rpi_fault_os_fail(entry, RPI_FAULT_EVERY, error);
    cr_assert_eq(open_close(RP_BACKEND_AUTO, &id), 0);
    cr_assert_eq(id, RP_BACKEND_EPOLL);
#ifdef RP_HAVE_URING
    cr_assert_eq(open_close(RP_BACKEND_URING, &id), RP_EUNSUPPORTED);
    cr_assert_neq(rp_error_detail()[0], '\0');
#endif
    rpi_fault_os_stop();
    cr_assert_eq(descriptor_count(), before);
}

Test(open, falls_to_epoll_where_io_uring_is_forbidden)
{
    refuse("io_uring_setup", EPERM);
}

Test(open, falls_to_epoll_where_io_uring_is_unknown)
{
    refuse("io_uring_setup", ENOSYS);
}

Test(open, falls_to_epoll_where_the_flags_are_unknown)
{
    refuse("io_uring_setup", EINVAL);
}

Test(open, falls_to_epoll_where_the_ring_may_be_made_but_not_entered)
{
    refuse("io_uring_enter", EPERM);
}

#ifdef RP_HAVE_URING
Test(open, falls_to_epoll_where_a_filter_comes_later)
{
    const unsigned before = descriptor_count();
    rp_backend id = RP_BACKEND_AUTO;

    cr_assert_eq(unsetenv("RP_BACKEND"), 0);
    cr_assert_eq(open_close(RP_BACKEND_URING, &id), 0); // it was found to be allowed
    rpi_fault_os_start();
    rpi_fault_os_fail("io_uring_enter", RPI_FAULT_EVERY, EPERM);
    cr_assert_eq(open_close(RP_BACKEND_AUTO, &id), 0);
    cr_assert_eq(id, RP_BACKEND_EPOLL);
    rpi_fault_os_fail("io_uring_enter", RPI_FAULT_EVERY, 0);
    rpi_fault_os_fail("io_uring_register", RPI_FAULT_EVERY, EPERM);
    cr_assert_eq(open_close(RP_BACKEND_AUTO, &id), 0);
    cr_assert_eq(id, RP_BACKEND_EPOLL);
    rpi_fault_os_stop();
    cr_assert_eq(descriptor_count(), before);
}

Test(open, makes_a_smaller_ring_where_memory_is_short)
{
    rp_backend id = RP_BACKEND_AUTO;
    unsigned failures;

    cr_assert_eq(unsetenv("RP_BACKEND"), 0);
    cr_assert_eq(open_close(RP_BACKEND_URING, &id), 0);
    rpi_fault_os_start();
    rpi_fault_os_fail("io_uring_setup", 1, ENOMEM);
    cr_assert_eq(open_close(RP_BACKEND_URING, &id), 0);
    failures = rpi_fault_os_calls("io_uring_setup");
    cr_assert_eq(failures, 2);
    rpi_fault_os_fail("io_uring_setup", RPI_FAULT_EVERY, ENOMEM);
    cr_assert_eq(open_close(RP_BACKEND_URING, &id), RP_ENOMEM);
    cr_assert_eq(open_close(RP_BACKEND_AUTO, &id), 0);
    cr_assert_eq(id, RP_BACKEND_EPOLL);
    rpi_fault_os_stop();
}
#endif

static int run_unprivileged(void *argument)
{
    const struct rlimit nothing = {0, 0};
    const rpi_reactor_options options = {.backend = RP_BACKEND_AUTO};
    static test_input input;
    rpi_reactor reactor;
    int ends[2];

    (void)argument;
    if (setrlimit(RLIMIT_MEMLOCK, &nothing) < 0 || setgroups(0, NULL) < 0 || setgid(65534) < 0 ||
        setuid(65534) < 0) {
        return 1;
    }
    unsetenv("RP_BACKEND");
    if (rpi_reactor_init(&reactor, &options) < 0) {
        return 2;
    }
    pipe_open(ends);
    input_open(&input, &reactor, ends[0]);
    input_start(&input);
    if (write(ends[1], "abc", 3) != 3 || rpi_reactor_turn(&reactor, 5 * RP_SECOND) != 1) {
        return 3;
    }
    rpi_reactor_fini(&reactor);
    return input.last == 3 ? 0 : 4;
}

Test(open, finds_a_way_without_lockable_memory)
{
    if (geteuid() != 0) {
        cr_skip_test("only root can become somebody else");
    }
    in_child(run_unprivileged, NULL);
}

static int open_without_stdio(void *argument)
{
    const rpi_reactor_options options = {.backend = RIG_BACKEND};
    rpi_reactor reactor;
    int fd;

    (void)argument;
    for (fd = 0; fd <= 2; fd++) {
        close(fd);
    }
    if (rpi_reactor_init(&reactor, &options) < 0 || rpi_reactor_fd(&reactor) < 3) {
        return 1;
    }
    if (rpi_reactor_turn(&reactor, 0) != 0) {
        return 2;
    }
    for (fd = 0; fd <= 2; fd++) {
        if (fcntl(fd, F_GETFD) >= 0) {
            return 3;
        }
    }
    rpi_reactor_fini(&reactor);
    return 0;
}

Test(open, takes_no_standard_descriptor)
{
    in_child(open_without_stdio, NULL);
}

/* ---- failing calls ---- */

/* Opens, embeds and uses; whatever fails must be told or made good. */
static int open_and_use(rpi_reactor *reactor, rpi_fault_memory *memory)
{
    const rpi_reactor_options options = {.backend = RIG_BACKEND, .allocator = &memory->allocator};
    intptr_t fd;
    int r = rpi_reactor_init(reactor, &options);

    if (r < 0) {
        return r;
    }
    fd = rpi_reactor_fd(reactor);
    rpi_fault_os_stop(); // closing must not be failed: who could make that good?
    if (fd >= 0) {
        r = rpi_reactor_turn(reactor, 0);
        cr_assert(r == 0 || r == RP_ENOMEM);
    }
    rpi_reactor_fini(reactor);
    return fd < 0 ? (int)fd : 0;
}

static void fail_each_call(int error)
{
    const unsigned before = descriptor_count();
    unsigned n;

    for (n = 1;; n++) {
        rpi_fault_memory memory;
        rpi_reactor reactor;
        bool fired;
        int r;

        rpi_fault_memory_init(&memory, 0);
        rpi_fault_os_start();
        rpi_fault_os_fail(NULL, n, error);
        r = open_and_use(&reactor, &memory);
        fired = rpi_fault_os_fired();
        rpi_fault_os_stop();
        cr_assert_eq(memory.live_blocks, 0);
        cr_assert_eq(descriptor_count(), before, "call %u leaves a descriptor", n);
        if (!fired) {
            cr_assert_eq(r, 0);
            break;
        }
        cr_assert_leq(r, 0); // 0: the fork mark and the smaller ring make it good
    }
    cr_assert_gt(n, 4);
}

Test(open, survives_each_call_failing)
{
    rp_backend id;

    cr_assert_eq(open_close(RIG_BACKEND, &id), 0); // what is remembered
    fail_each_call(ENOMEM);
    fail_each_call(EMFILE);
    fail_each_call(EPERM);
}

Test(open, survives_each_allocation_failing)
{
    const unsigned before = descriptor_count();
    unsigned n;

    for (n = 1;; n++) {
        rpi_fault_memory memory;
        rpi_reactor reactor;
        int r;

        rpi_fault_memory_init(&memory, n);
        r = open_and_use(&reactor, &memory);
        cr_assert_eq(memory.live_blocks, 0);
        cr_assert_eq(descriptor_count(), before);
        if (!memory.fired) {
            cr_assert_eq(r, 0);
            break;
        }
        cr_assert_eq(r, RP_ENOMEM);
    }
}

/* Passing failures of the waiting call are made good, wherever they strike. */
static void disturb(const char *entry, int error)
{
    unsigned n;

    for (n = 1; n <= 12; n++) {
        static test_input input;
        rpi_reactor reactor;
        int ends[2];
        int i;

        system_open(&reactor);
        pipe_open(ends);
        input_open(&input, &reactor, ends[0]);
        input.again = true;
        input.op.size = 100;
        input_start(&input);
        rpi_fault_os_start();
        rpi_fault_os_fail(entry, n, error);
        for (i = 1; i <= 6; i++) {
            static const char bytes[1000];

            cr_assert_eq(write(ends[1], bytes, sizeof bytes), sizeof bytes);
            TURN_UNTIL(&reactor, input.total == (size_t)i * sizeof bytes);
        }
        cr_assert(rpi_fault_os_fired());
        rpi_fault_os_stop();
        rpi_reactor_fini(&reactor);
        cr_assert_eq(input.last, RP_ECANCELED);
        close(ends[0]);
        close(ends[1]);
    }
}

Test(open, goes_on_after_passing_failures)
{
    if (RIG_BACKEND == RP_BACKEND_URING) {
        disturb("io_uring_enter", EINTR);
        disturb("io_uring_enter", EAGAIN);
        disturb("io_uring_enter", EBUSY);
    } else {
        disturb(RIG_BACKEND == RP_BACKEND_KQUEUE ? "kevent" : "epoll_wait", EINTR);
        disturb("read", EINTR);
    }
}

Test(open, keeps_cancels_that_there_was_no_room_for)
{
    enum {
        COUNT = 400
    };
    static test_input inputs[COUNT];
    rpi_reactor reactor;
    int started = 0;
    int i;

    if (RIG_BACKEND != RP_BACKEND_URING) {
        cr_skip_test("this backend cancels at once");
    }
    system_open(&reactor);
    cr_assert_eq(rpi_reactor_turn(&reactor, 0), 0);
    rpi_fault_os_start();
    rpi_fault_os_fail("io_uring_enter", RPI_FAULT_EVERY, EBUSY);
    for (i = 0; i < COUNT; i++) {
        int ends[2];

        pipe_open(ends);
        input_open(&inputs[i], &reactor, ends[0]);
        if (rpi_op_start(&reactor, &inputs[i].op) == 0) {
            started++;
        } else {
            cr_assert(rpi_op_is_idle(&inputs[i].op));
        }
    }
    cr_assert_gt(started, 0);
    cr_assert_lt(started, COUNT); // the queue is full and cannot be handed over
    for (i = 0; i < COUNT; i++) {
        rpi_op_cancel(&reactor, &inputs[i].op);
    }
    cr_assert_eq(rpi_reactor_turn(&reactor, 0), 0);
    rpi_fault_os_stop();
    for (i = 0; i < COUNT; i++) {
        TURN_UNTIL(&reactor, rpi_op_is_idle(&inputs[i].op));
        cr_assert_eq(inputs[i].calls, i < started ? 1 : 0);
        cr_assert(i >= started || inputs[i].last == RP_ECANCELED);
    }
    rpi_reactor_fini(&reactor);
}

Test(open, reports_a_start_that_the_system_refuses)
{
    rpi_reactor reactor;
    static test_input input;
    int ends[2];

    if (RIG_BACKEND == RP_BACKEND_URING) {
        cr_skip_test("the ring tells by a completion");
    }
    system_open(&reactor);
    pipe_open(ends);
    input_open(&input, &reactor, ends[0]);
    rpi_fault_os_start();
    rpi_fault_os_fail(RIG_BACKEND == RP_BACKEND_KQUEUE ? "kevent" : "epoll_ctl", 1, ENOSPC);
    cr_assert_eq(rpi_op_start(&reactor, &input.op), -ENOSPC);
    rpi_fault_os_stop();
    cr_assert(rpi_op_is_idle(&input.op));
    cr_assert_eq(rpi_reactor_turn(&reactor, 0), 0);
    input_start(&input);
    cr_assert_eq(write(ends[1], "x", 1), 1);
    TURN_UNTIL(&reactor, input.calls == 1);
    rpi_reactor_fini(&reactor);
    close(ends[0]);
    close(ends[1]);
}
