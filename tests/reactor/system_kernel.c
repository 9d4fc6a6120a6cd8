/* What the kernel does to operations: SIGPIPE, packets, terminals, forks, threads, crowds. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "base/status.h"
#include "tests/reactor/system.h"
#include "tests/support/fault.h"

TestSuite(kernel, .timeout = 120);

/* ---- SIGPIPE ---- */

static void on_done(rpi_op *op)
{
    (void)op;
}

static void write_start(rpi_op *op, rpi_reactor *reactor, rpi_io *io, int fd)
{
    static char bytes[4096];

    rpi_io_init(io, fd);
    rpi_op_init(op, RPI_OP_WRITE, io, on_done);
    op->data = bytes;
    op->size = sizeof bytes;
    cr_assert_eq(rpi_op_start(reactor, op), 0);
}

/* To a pipe that is full, is waited on, and then loses its reader. */
static void break_while_waiting(rpi_reactor *reactor)
{
    rpi_op op;
    rpi_io io;
    int ends[2];
    char byte = 0;

    pipe_open(ends);
    while (write(ends[1], &byte, 1) == 1) {
    }
    write_start(&op, reactor, &io, ends[1]);
    cr_assert_eq(rpi_reactor_turn(reactor, RP_MILLISECOND), 0);
    close(ends[0]);
    TURN_UNTIL(reactor, rpi_op_is_idle(&op));
    cr_assert_eq(op.result, RP_EPIPE);
    rpi_io_forget(reactor, &io);
    close(ends[1]);
}

static void break_before_writing(rpi_reactor *reactor, int ends[2])
{
    rpi_op op;
    rpi_io io;

    close(ends[0]);
    write_start(&op, reactor, &io, ends[1]);
    TURN_UNTIL(reactor, rpi_op_is_idle(&op));
    cr_assert_eq(op.result, RP_EPIPE);
    rpi_io_forget(reactor, &io);
    close(ends[1]);
}

static bool sigpipe_is_pending(void)
{
    sigset_t set;

    cr_assert_eq(sigpending(&set), 0);
    return sigismember(&set, SIGPIPE) == 1;
}

/* With the default disposition the first SIGPIPE would end this process. */
static void break_pipes(rpi_reactor *reactor)
{
    const struct sigaction standard = {.sa_handler = SIG_DFL};
    sigset_t sigpipe;
    sigset_t mask;
    int ends[2];

    cr_assert_eq(sigaction(SIGPIPE, &standard, NULL), 0);
    sigemptyset(&sigpipe);
    sigaddset(&sigpipe, SIGPIPE);
    cr_assert_eq(pthread_sigmask(SIG_UNBLOCK, &sigpipe, NULL), 0);
    pipe_open(ends);
    break_before_writing(reactor, ends);
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends), 0);
    break_before_writing(reactor, ends);
    break_while_waiting(reactor);
    cr_assert_eq(pthread_sigmask(SIG_BLOCK, NULL, &mask), 0);
    cr_assert_eq(sigismember(&mask, SIGPIPE), 0); // the mask is as it was

    // A host that blocks it finds none that it did not raise,
    cr_assert_eq(pthread_sigmask(SIG_BLOCK, &sigpipe, NULL), 0);
    pipe_open(ends);
    break_before_writing(reactor, ends);
    break_while_waiting(reactor);
    cr_assert_not(sigpipe_is_pending());
    // and its own stays.
    cr_assert_eq(pthread_kill(pthread_self(), SIGPIPE), 0);
    pipe_open(ends);
    break_before_writing(reactor, ends);
    break_while_waiting(reactor);
    cr_assert(sigpipe_is_pending());
}

Test(kernel, raises_no_sigpipe)
{
    rpi_reactor reactor;

    system_open(&reactor);
    break_pipes(&reactor);
    rpi_reactor_fini(&reactor);
}

#ifdef RP_HAVE_URING
Test(kernel, raises_no_sigpipe_where_the_ring_would)
{
    rpi_reactor reactor;

    system_open(&reactor);
    if (RIG_BACKEND == RP_BACKEND_URING) {
        rpi_uring_write_without_ring(reactor.backend);
    }
    break_pipes(&reactor);
    rpi_reactor_fini(&reactor);
}

Test(kernel, carries_bytes_without_the_ring_too)
{
    static char out[200000];
    static char in[sizeof out];
    rpi_reactor reactor;
    rpi_op op;
    rpi_io io;
    size_t sent = 0;
    size_t received = 0;
    int ends[2];
    size_t i;

    for (i = 0; i < sizeof out; i++) {
        out[i] = (char)(i * 2654435761U >> 9);
    }
    system_open(&reactor);
    if (RIG_BACKEND == RP_BACKEND_URING) {
        rpi_uring_write_without_ring(reactor.backend);
    }
    pipe_open(ends);
    rpi_io_init(&io, ends[1]);
    rpi_op_init(&op, RPI_OP_WRITE, &io, on_done);
    while (received < sizeof out) {
        if (rpi_op_is_idle(&op) && sent < sizeof out) {
            op.data = out + sent;
            op.size = (uint32_t)(sizeof out - sent);
            cr_assert_eq(rpi_op_start(&reactor, &op), 0);
        }
        if (rpi_reactor_turn(&reactor, 0) > 0) {
            cr_assert_gt(op.result, 0);
            sent += (size_t)op.result;
        } else {
            ssize_t n = read(ends[0], in + received, 30000);

            received += n > 0 ? (size_t)n : 0;
        }
    }
    cr_assert_eq(memcmp(in, out, sizeof out), 0);
    // One that waits for room can be cancelled.
    op.data = out;
    op.size = sizeof out;
    cr_assert_eq(rpi_op_start(&reactor, &op), 0);
    TURN_UNTIL(&reactor, rpi_op_is_idle(&op));
    cr_assert_eq(rpi_op_start(&reactor, &op), 0);
    cr_assert_eq(rpi_reactor_turn(&reactor, RP_MILLISECOND), 0);
    rpi_op_cancel(&reactor, &op);
    TURN_UNTIL(&reactor, rpi_op_is_idle(&op));
    cr_assert_eq(op.result, RP_ECANCELED);
    rpi_io_forget(&reactor, &io);
    close(ends[0]);
    close(ends[1]);
    rpi_reactor_fini(&reactor);
}
Test(kernel, ends_a_write_that_is_cancelled_between_its_poll_and_itself)
{
    rpi_reactor reactor;
    rpi_op op;
    rpi_io io;
    static char bytes[65536];
    int ends[2];

    system_open(&reactor);
    if (RIG_BACKEND == RP_BACKEND_URING) {
        rpi_uring_write_without_ring(reactor.backend);
    }
    pipe_open(ends);
    while (write(ends[1], bytes, sizeof bytes) > 0) {
    }
    write_start(&op, &reactor, &io, ends[1]);
    cr_assert_eq(rpi_reactor_turn(&reactor, RP_MILLISECOND), 0);
    while (read(ends[0], bytes, sizeof bytes) > 0) { // there is room: the poll has ended
    }
    while (write(ends[1], bytes, sizeof bytes) > 0) { // there is none: the write would wait
    }
    rpi_op_cancel(&reactor, &op);
    TURN_UNTIL(&reactor, rpi_op_is_idle(&op));
    cr_assert_eq(op.result, RP_ECANCELED);
    rpi_io_forget(&reactor, &io);
    close(ends[0]);
    close(ends[1]);
    rpi_reactor_fini(&reactor);
}
#endif

/* ---- kinds of descriptors ---- */

Test(kernel, hands_out_packets_one_by_one_and_all_of_them)
{
    rpi_reactor reactor;
    test_input input;
    int ends[2];
    int i;

    system_open(&reactor);
    cr_assert_eq(pipe2(ends, O_CLOEXEC | O_NONBLOCK | O_DIRECT), 0);
    input_open(&input, &reactor, ends[0]);
    input.again = true;
    input_start(&input);
    cr_assert_eq(rpi_reactor_turn(&reactor, 0), 0);
    for (i = 0; i < 10; i++) {
        cr_assert_eq(write(ends[1], "0123456789", 10), 10);
    }
    TURN_UNTIL(&reactor, input.total == 100); // a short read says nothing
    cr_assert_eq(input.calls, 10);
    rpi_reactor_fini(&reactor);
    close(ends[0]);
    close(ends[1]);
}

Test(kernel, reads_regular_files_from_their_own_position)
{
    rpi_reactor reactor;
    test_input input;
    FILE *file = tmpfile();
    int i;

    cr_assert_not_null(file);
    for (i = 0; i < 50000; i++) {
        cr_assert_gt(fprintf(file, "%05d\n", i), 0);
    }
    cr_assert_eq(fflush(file), 0);
    rewind(file);
    cr_assert_eq(lseek(fileno(file), 6, SEEK_SET), 6);
    system_open(&reactor);
    input_open(&input, &reactor, fileno(file));
    input.again = true;
    input_start(&input);
    TURN_UNTIL(&reactor, input.calls > 0 && input.last == 0);
    cr_assert_eq(input.total, 6 * 49999);
    rpi_io_forget(&reactor, &input.io);
    fclose(file);
    rpi_reactor_fini(&reactor);
}

static int open_terminal(int *ret_slave)
{
    struct termios mode;
    int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);

    cr_assert_geq(master, 0);
    cr_assert_eq(grantpt(master), 0);
    cr_assert_eq(unlockpt(master), 0);
    *ret_slave = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
    cr_assert_geq(*ret_slave, 0);
    cr_assert_eq(tcgetattr(*ret_slave, &mode), 0);
    cfmakeraw(&mode);
    cr_assert_eq(tcsetattr(*ret_slave, TCSANOW, &mode), 0);
    return master;
}

/* A change of its modes wakes whoever polls a terminal, though nothing is there. */
static void wake_for_nothing(int terminal)
{
    struct termios mode;

    cr_assert_eq(tcgetattr(terminal, &mode), 0);
    mode.c_lflag ^= ICANON;
    cr_assert_eq(tcsetattr(terminal, TCSANOW, &mode), 0);
}

static void poll_through_changes(rpi_op_kind kind)
{
    rpi_reactor reactor;
    rpi_op op;
    rpi_io io;
    int slave;
    int master = open_terminal(&slave);

    system_open(&reactor);
    rpi_io_init(&io, slave);
    rpi_op_init(&op, kind, &io, on_done);
    op.size = RP_READABLE;
    cr_assert_eq(rpi_op_start(&reactor, &op), 0);
    for (int i = 0; i < 6; i++) {
        cr_assert_eq(rpi_reactor_turn(&reactor, RP_MILLISECOND), 0);
        cr_assert_not(rpi_op_is_idle(&op), "nothing is there, but it ended: %d", op.result);
        wake_for_nothing(slave);
    }
    cr_assert_eq(rpi_reactor_turn(&reactor, RP_MILLISECOND), 0);
    cr_assert_not(rpi_op_is_idle(&op), "nothing is there, but it ended: %d", op.result);
    cr_assert_eq(write(master, "x", 1), 1);
    TURN_UNTIL(&reactor, rpi_op_is_idle(&op));
    cr_assert_eq(op.result, RP_READABLE);
    cr_assert_eq(rpi_op_start(&reactor, &op), 0);
    wake_for_nothing(slave);
    rpi_op_cancel(&reactor, &op);
    TURN_UNTIL(&reactor, rpi_op_is_idle(&op));
    rpi_io_forget(&reactor, &io);
    close(slave);
    close(master);
    rpi_reactor_fini(&reactor);
}

Test(kernel, polls_a_terminal_whose_modes_change)
{
    poll_through_changes(RPI_OP_POLL);
    poll_through_changes(RPI_OP_READABLE);
}

Test(kernel, reads_and_writes_a_terminal_until_its_hang_up)
{
    rpi_reactor reactor;
    test_input input;
    rpi_op write_op;
    rpi_op poll_op;
    char bytes[16] = {0};
    int slave;
    int master = open_terminal(&slave);

    system_open(&reactor);
    input_open(&input, &reactor, master);
    input.again = true;
    input_start(&input);
    cr_assert_eq(rpi_reactor_turn(&reactor, RP_MILLISECOND), 0); // it waits, it does not say EAGAIN
    cr_assert_eq(write(slave, "out", 3), 3);
    TURN_UNTIL(&reactor, input.total == 3);
    // In both directions at once.
    rpi_op_init(&write_op, RPI_OP_WRITE, &input.io, on_done);
    write_op.data = (void *)(uintptr_t) "in\n";
    write_op.size = 3;
    cr_assert_eq(rpi_op_start(&reactor, &write_op), 0);
    TURN_UNTIL(&reactor, rpi_op_is_idle(&write_op));
    cr_assert_eq(write_op.result, 3);
    cr_assert_eq(read(slave, bytes, sizeof bytes), 3);
    cr_assert_str_eq(bytes, "in\n");
    rpi_op_cancel(&reactor, &input.op);
    TURN_UNTIL(&reactor, rpi_op_is_idle(&input.op));
    cr_assert_eq(input.last, RP_ECANCELED);
    // A poll for reading beside a write that waits for room.
    rpi_op_init(&poll_op, RPI_OP_POLL, &input.io, on_done);
    poll_op.size = RP_READABLE;
    cr_assert_eq(rpi_op_start(&reactor, &poll_op), 0);
    write_op.data = input.bytes;
    write_op.size = sizeof input.bytes;
    do {
        cr_assert_eq(rpi_op_start(&reactor, &write_op), 0);
        (void)rpi_reactor_turn(&reactor, RP_MILLISECOND);
    } while (rpi_op_is_idle(&write_op));
    cr_assert_not(rpi_op_is_idle(&poll_op));
    while (!rpi_op_is_idle(&write_op)) {
        char drained[512];

        cr_assert_gt(read(slave, drained, sizeof drained), 0);
        (void)rpi_reactor_turn(&reactor, 0);
    }
    cr_assert_gt(write_op.result, 0);
    cr_assert_not(rpi_op_is_idle(&poll_op));
    cr_assert_eq(write(slave, "!", 1), 1);
    TURN_UNTIL(&reactor, rpi_op_is_idle(&poll_op));
    cr_assert_eq(poll_op.result, RP_READABLE);
    input_start(&input);
    TURN_UNTIL(&reactor, input.total == 4);
    close(slave);
    TURN_UNTIL(&reactor, rpi_op_is_idle(&input.op));
    cr_assert(input.last == RP_EIO || input.last == 0); // systems say it either way
    rpi_io_forget(&reactor, &input.io);
    close(master);
    rpi_reactor_fini(&reactor);
}

/* ---- cancel races with a real writer ---- */

typedef struct test_writer {
    int fd;
    uint32_t words;
} test_writer;

static void *write_words(void *user)
{
    const test_writer *self = user;
    uint32_t word;

    for (word = 0; word < self->words; word++) {
        while (write(self->fd, &word, sizeof word) != sizeof word) {
            cr_assert_eq(errno, EAGAIN);
            sched_yield();
        }
        if (word % 37 == 0) {
            sched_yield();
        }
    }
    close(self->fd);
    return NULL;
}

/* RP_TEST_LONG=1 in the environment: as many as the experiment that this rests on. */
Test(kernel, loses_no_byte_to_cancels_that_race_with_a_writer, .timeout = 1800)
{
    rpi_reactor reactor;
    test_input input;
    test_writer writer = {.words = getenv("RP_TEST_LONG") != NULL ? 300000 : ROUNDS(60000)};
    pthread_t thread;
    uint32_t expected = 0;
    uint32_t partial = 0;
    unsigned cancelled = 0;
    int ends[2];

    system_open(&reactor);
    pipe_open(ends);
    writer.fd = ends[1];
    cr_assert_eq(pthread_create(&thread, NULL, write_words, &writer), 0);
    input_open(&input, &reactor, ends[0]);
    input.op.size = 64;
    for (;;) {
        const unsigned char *bytes = (const unsigned char *)input.bytes;
        int32_t i;

        input_start(&input);
        if (expected % 5 == 0) {
            (void)rpi_reactor_turn(&reactor, 0);
        }
        rpi_op_cancel(&reactor, &input.op);
        TURN_UNTIL(&reactor, rpi_op_is_idle(&input.op));
        if (input.last == 0) {
            break;
        }
        cancelled += input.last == RP_ECANCELED;
        cr_assert(input.last > 0 || input.last == RP_ECANCELED);
        for (i = 0; i < input.last; i++, partial++) {
            cr_assert_eq(bytes[i], (unsigned char)(expected >> 8 * (partial % 4)));
            expected += partial % 4 == 3;
        }
    }
    cr_assert_eq(expected, writer.words);
    cr_assert_gt(cancelled, 0);
    cr_assert_eq(pthread_join(thread, NULL), 0);
    rpi_io_forget(&reactor, &input.io);
    close(ends[0]);
    rpi_reactor_fini(&reactor);
}

/* ---- crowds ---- */

typedef struct test_crowd {
    rpi_op op;
    rpi_io io;
    uint64_t value;
} test_crowd;

static unsigned crowd_done;

static void on_crowd(rpi_op *op)
{
    test_crowd *self = RPI_CONTAINER(op, test_crowd, op);

    cr_assert_eq(op->result, sizeof self->value);
    cr_assert_eq(self->value, (uint64_t)(uintptr_t)self);
    crowd_done++;
}

Test(kernel, completes_more_at_once_than_any_queue_holds)
{
    struct rlimit limit;
    rpi_reactor reactor;
    test_crowd *crowd;
    unsigned count = 9000;
    unsigned turns = 0;
    unsigned i;

    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = limit.rlim_max;
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    count = limit.rlim_max < count + 100 ? (unsigned)limit.rlim_max - 100 : count;
    crowd = calloc(count, sizeof *crowd);
    cr_assert_not_null(crowd);
    system_open(&reactor);
    for (i = 0; i < count; i++) {
        int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

        cr_assert_geq(fd, 0);
        rpi_io_init(&crowd[i].io, fd);
        rpi_op_init(&crowd[i].op, RPI_OP_READ, &crowd[i].io, on_crowd);
        crowd[i].op.data = &crowd[i].value;
        crowd[i].op.size = sizeof crowd[i].value;
        cr_assert_eq(rpi_op_start(&reactor, &crowd[i].op), 0);
    }
    cr_assert_eq(rpi_reactor_turn(&reactor, 0), 0);
    for (i = 0; i < count; i++) {
        const uint64_t value = (uint64_t)(uintptr_t)&crowd[i];

        cr_assert_eq(write((int)crowd[i].io.handle, &value, sizeof value), sizeof value);
    }
    crowd_done = 0;
    while (crowd_done < count) {
        cr_assert_geq(rpi_reactor_turn(&reactor, RP_FOREVER), 0);
        turns++;
    }
    cr_assert_leq(turns, 3); // one wait takes all of them
    cr_assert_eq(rpi_reactor_turn(&reactor, 0), 0);
    for (i = 0; i < count; i++) {
        rpi_io_forget(&reactor, &crowd[i].io);
        close((int)crowd[i].io.handle);
    }
    rpi_reactor_fini(&reactor);
    free(crowd);
}

Test(kernel, ends_a_crowd_of_pending_operations)
{
    enum {
        COUNT = 700
    }; // more than fit into a submission queue
    static test_input inputs[COUNT];
    rpi_reactor reactor;
    int ends[2];
    int i;

    system_open(&reactor);
    for (i = 0; i < COUNT; i++) {
        int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

        input_open(&inputs[i], &reactor, fd);
        input_start(&inputs[i]);
    }
    pipe_open(ends);
    cr_assert_eq(rpi_reactor_turn(&reactor, 0), 0);
    rpi_reactor_fini(&reactor);
    for (i = 0; i < COUNT; i++) {
        cr_assert_eq(inputs[i].calls, 1);
        cr_assert_eq(inputs[i].last, RP_ECANCELED);
    }
}

/* ---- forks ---- */

typedef struct test_forked {
    rpi_reactor *reactor;
    test_input *input;
    rp_watch *watch;
    rp_timer *timer;
    rpi_fault_memory *memory;
} test_forked;

static void never(rp_loop *loop, void *user)
{
    (void)loop;
    (void)user;
    abort();
}

static void never_fire(rp_timer *timer, void *user)
{
    (void)timer;
    (void)user;
    abort();
}

static void never_ready(rp_watch *watch, uint32_t events, void *user)
{
    (void)watch;
    (void)events;
    (void)user;
    abort();
}

static int use_in_child(void *argument)
{
    test_forked *self = argument;
    rp_loop *loop = system_loop(self->reactor);
    rpi_op op;
    rp_timer *timer;
    rp_watch *watch;

    if (!rpi_reactor_is_forked(self->reactor)) {
        return 1;
    }
    if (rpi_reactor_turn(self->reactor, 0) != RP_EPERM) {
        return 2;
    }
    rpi_op_init(&op, RPI_OP_EXIT, &self->input->io, on_done);
    if (rpi_op_start(self->reactor, &op) != RP_EPERM) {
        return 3;
    }
    if (rp_timer_start(loop, 0, 0, never_fire, NULL, &timer) != RP_EPERM ||
        rp_watch_start(loop, 0, RP_READABLE, never_ready, NULL, &watch) != RP_EPERM ||
        rp_loop_post(loop, never, NULL) != RP_EPERM || rpi_reactor_fd(self->reactor) != RP_EPERM) {
        return 4;
    }
    if (rpi_reactor_timeout_ns(self->reactor) != RP_FOREVER) {
        return 5;
    }
    rpi_op_cancel(self->reactor, &self->input->op); // nothing happens
    rp_timer_set(self->timer, 0, 0);
    rp_timer_close(self->timer);
    rp_watch_close(self->watch);
    rpi_reactor_fini_forked(self->reactor);
    return self->memory->live_blocks == 0 ? 0 : 6;
}

Test(kernel, keeps_a_forked_child_out_and_the_parent_going)
{
    rpi_fault_memory memory;
    rpi_reactor_options options = {.backend = RIG_BACKEND};
    rpi_reactor reactor;
    test_input input;
    test_forked forked = {.reactor = &reactor, .input = &input, .memory = &memory};
    int ends[2];
    int others[2];

    rpi_fault_memory_init(&memory, 0);
    options.allocator = &memory.allocator;
    cr_assert_eq(rpi_reactor_init(&reactor, &options), 0);
    pipe_open(ends);
    pipe_open(others);
    input_open(&input, &reactor, ends[0]);
    input_start(&input);
    cr_assert_eq(
        rp_timer_start(system_loop(&reactor), 60 * RP_SECOND, 0, never_fire, NULL, &forked.timer),
        0);
    cr_assert_eq(rp_watch_start(system_loop(&reactor), others[0], RP_READABLE, never_ready, NULL,
                                &forked.watch),
                 0);
    cr_assert_eq(rpi_reactor_turn(&reactor, 0), 0);
    in_child(use_in_child, &forked);
    cr_assert_eq(rpi_reactor_turn(&reactor, 0), 0);
    cr_assert_eq(write(ends[1], "still", 5), 5);
    TURN_UNTIL(&reactor, input.calls == 1);
    cr_assert_eq(input.last, 5);
    rpi_reactor_fini(&reactor);
    cr_assert_eq(memory.live_blocks, 0);
}

Test(kernel, lets_go_of_a_pipe_that_a_forked_child_knew_the_ring_of)
{
    rpi_reactor reactor;
    test_input input;
    struct pollfd broken = {.events = POLLOUT};
    int ends[2];
    int until[2];
    pid_t pid;

    system_open(&reactor);
    pipe_open(ends);
    cr_assert_eq(pipe2(until, O_CLOEXEC), 0);
    input_open(&input, &reactor, ends[0]);
    input_start(&input);
    cr_assert_eq(rpi_reactor_turn(&reactor, 0), 0);
    pid = fork();
    if (pid == 0) {
        char byte;

        close(ends[0]);
        close(ends[1]);
        close(until[1]);
        _exit(read(until[0], &byte, 1) == 0 ? 0 : 1);
    }
    rpi_reactor_fini(&reactor);
    cr_assert_eq(input.last, RP_ECANCELED);
    close(ends[0]);
    broken.fd = ends[1];
    // The child closes its own copies soon; nothing else may hold the reading end.
    while (poll(&broken, 1, 10000) != 1 || (broken.revents & POLLERR) == 0) {
        cr_assert_neq(broken.revents & (POLLOUT | POLLERR), 0);
        sched_yield();
    }
    cr_assert_eq(close(until[1]), 0);
    cr_assert_eq(waitpid(pid, NULL, 0), pid);
}

/* ---- threads ---- */

typedef struct test_mover {
    rpi_reactor *reactor;
    int turn;
    sem_t ran;
    sem_t end;
} test_mover;

static void *run_elsewhere(void *user)
{
    test_mover *self = user;

    self->turn = rpi_reactor_turn(self->reactor, 0);
    sem_post(&self->ran);
    sem_wait(&self->end);
    rpi_reactor_fini(self->reactor);
    return NULL;
}

Test(kernel, may_be_opened_by_one_thread_and_belongs_to_the_one_that_runs_it)
{
    rpi_reactor reactor;
    test_mover mover = {.reactor = &reactor};
    pthread_t thread;
    int r;

    sem_init(&mover.ran, 0, 0);
    sem_init(&mover.end, 0, 0);
    system_open(&reactor);
    cr_assert_eq(pthread_create(&thread, NULL, run_elsewhere, &mover), 0);
    sem_wait(&mover.ran);
    cr_assert_eq(mover.turn, 0);
    r = rpi_reactor_turn(&reactor, 0);
    if (RIG_BACKEND == RP_BACKEND_URING) {
        cr_assert_eq(r, RP_EPERM);
        cr_assert_neq(rp_error_detail()[0], '\0');
    } else {
        cr_assert_eq(r, 0); // epoll does not mind
    }
    sem_post(&mover.end);
    cr_assert_eq(pthread_join(thread, NULL), 0);
}

static void *run_once(void *user)
{
    test_mover *self = user;

    self->turn = rpi_reactor_turn(self->reactor, 0);
    return NULL;
}

Test(kernel, does_not_hang_when_the_wrong_thread_ends_it)
{
    static test_input input; // the ring may still write there
    rpi_reactor reactor;
    test_mover mover = {.reactor = &reactor};
    pthread_t thread;
    int ends[2];

    system_open(&reactor);
    pipe_open(ends);
    input_open(&input, &reactor, ends[0]);
    input_start(&input);
    cr_assert_eq(pthread_create(&thread, NULL, run_once, &mover), 0);
    cr_assert_eq(pthread_join(thread, NULL), 0);
    cr_assert_eq(mover.turn, 0);
    rpi_reactor_fini(&reactor);
    cr_assert_eq(input.calls, 1);
    cr_assert_eq(input.last, RP_ECANCELED);
}
