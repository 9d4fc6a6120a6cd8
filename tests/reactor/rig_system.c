/* The contract test's world made of real pipes and processes: see rig.h. RIG_BACKEND names the
 * backend under test. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/reactor/rig.h"
#include "tests/support/check.h"

void rig_open(test_rig *rig, const rp_allocator *allocator)
{
    rpi_reactor_options options = {.backend = RIG_BACKEND, .allocator = allocator};

    cr_assert_eq(rpi_reactor_init(&rig->reactor, &options), 0);
    cr_assert_eq(rig->reactor.backend->api->id, RIG_BACKEND);
}

void rig_close(test_rig *rig)
{
    rpi_reactor_fini(&rig->reactor);
}

void rig_forget(test_rig *rig)
{
    (void)rig; // nothing beside the reactor
}

const char *rig_lacks_poll(void)
{
    return NULL;
}

void rig_unkind(test_rig *rig, uint64_t seed)
{
    (void)rig; // a real system is as it is
    (void)seed;
}

void rig_pass(test_rig *rig, uint64_t span_ns)
{
    (void)rig; // it does
    (void)span_ns;
}

static void open_pipe(rig_end *end, int ours)
{
    int ends[2];

    *end = (rig_end){0};
    cr_assert_eq(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    rpi_io_init(&end->io, ends[ours]);
    end->peer = ends[1 - ours];
}

void rig_source_open(test_rig *rig, rig_end *end)
{
    (void)rig;
    open_pipe(end, 0);
}

void rig_feed(test_rig *rig, rig_end *end, const void *bytes, size_t size)
{
    (void)rig;
    cr_assert_eq(write((int)end->peer, bytes, size), (ssize_t)size);
}

void rig_end_peer(test_rig *rig, rig_end *end)
{
    (void)rig;
    cr_assert_eq(close((int)end->peer), 0);
    end->peer = -1;
}

void rig_sink_open(test_rig *rig, rig_end *end)
{
    (void)rig;
    open_pipe(end, 1);
}

size_t rig_drain(test_rig *rig, rig_end *end, void *bytes, size_t size)
{
    ssize_t n = read((int)end->peer, bytes, size);

    (void)rig;
    if (n < 0) {
        cr_assert_eq(errno, EAGAIN);
        return 0;
    }
    return (size_t)n;
}

void rig_process_open(test_rig *rig, rig_end *end)
{
    int ends[2];
    pid_t pid;

    (void)rig;
    *end = (rig_end){0};
    cr_assert_eq(pipe2(ends, O_CLOEXEC), 0);
    pid = fork();
    cr_assert_geq(pid, 0);
    if (pid == 0) {
        char byte;

        close(ends[1]);
        _exit(read(ends[0], &byte, 1) == 0 ? 0 : 1); // until the parent closes
    }
    close(ends[0]);
    end->peer = ends[1];
    end->pid = pid;
    rpi_io_init(&end->io, rig_process_handle(pid));
}

void rig_process_exit(test_rig *rig, rig_end *end)
{
    siginfo_t information;

    rig_end_peer(rig, end);
    // Until it has: it stays a zombie.
    cr_assert_eq(waitid(P_PID, (id_t)end->pid, &information, WEXITED | WNOWAIT), 0);
}

void rig_end_close(test_rig *rig, rig_end *end)
{
    rpi_io_forget(&rig->reactor, &end->io);
    if (end->io.handle >= 0) {
        cr_assert_eq(close((int)end->io.handle), 0);
    }
    if (end->peer >= 0) {
        close((int)end->peer);
    }
    if (end->pid > 0) {
        cr_assert_eq(waitpid((pid_t)end->pid, NULL, 0), (pid_t)end->pid);
    }
}
