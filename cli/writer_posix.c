/* How a writer writes on POSIX systems, in its own thread: see writer.c for why it may block. */
#include <errno.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/writer.h"

static void wait_writable(int fd)
{
    struct pollfd entry = {.fd = fd, .events = POLLOUT};

    (void)poll(&entry, 1, -1); /* interrupted or failed: the write that follows tells */
}

int rpi_cli_writer_write(int fd, const char *bytes, size_t size)
{
    while (size > 0) {
        ssize_t written = write(fd, bytes, size);

        if (written >= 0) {
            bytes += written;
            size -= (size_t)written;
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            wait_writable(fd);
        } else if (errno != EINTR) {
            return -errno;
        }
    }
    return 0;
}

bool rpi_cli_writer_is_same(int fd, int other_fd)
{
    struct stat one, other;

    return fstat(fd, &one) == 0 && fstat(other_fd, &other) == 0 && one.st_dev == other.st_dev &&
           one.st_ino == other.st_ino;
}
