/* Writing to a pipe that nobody reads raises SIGPIPE, which ends a host that has not changed its
 * disposition; a library must neither raise it nor change the process's settings. So the signal is
 * blocked in this thread around the write, and one that the write raised (it goes to the writing
 * thread, never to the process) is taken out again, unless one was pending before, into which it
 * merged. Called by the epoll backend, and by uring on kernels before RWF_NOSIGNAL. */
#include "reactor/write.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <time.h>

#include "base/os.h"

static bool is_pending(void)
{
    sigset_t pending;

    return sigpending(&pending) == 0 && sigismember(&pending, SIGPIPE) == 1;
}

static void take_sigpipe(const sigset_t *set)
{
#ifdef RPI_OS_MACOS
    int taken;

    // There is no wait with a bound; one that is pending is taken at once.
    if (is_pending()) {
        (void)sigwait(set, &taken);
    }
#else
    const struct timespec no_wait = {0, 0};

    while (sigtimedwait(set, NULL, &no_wait) < 0 && errno == EINTR) {
    }
#endif
}

ssize_t rpi_write_quiet(int fd, const void *memory, size_t size)
{
    sigset_t sigpipe;
    sigset_t before;
    bool pending = false;
    ssize_t n;

    (void)sigemptyset(&sigpipe); // both fail only for a bad argument
    (void)sigaddset(&sigpipe, SIGPIPE);
    if (pthread_sigmask(SIG_BLOCK, &sigpipe, &before) != 0) {
        return -EINVAL; // cannot happen; and unblocked we do not write
    }
    if (sigismember(&before, SIGPIPE) == 1) {
        pending = is_pending(); // only a blocked signal can have been pending before
    }
    n = rpi_os.write(fd, memory, size);
    if (n < 0) {
        n = -errno;
    }
    if (n == -EPIPE && !pending) {
        take_sigpipe(&sigpipe);
    }
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL); // restores what it gave us
    return n;
}
