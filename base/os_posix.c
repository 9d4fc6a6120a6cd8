/* The questions of base/os.h that all systems but Windows answer the same way, made of calls of the
 * table. What only one of them answers so stands in its own file (os_linux.c, os_bsd.c). */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/os.h"

void rpi_os_close(int fd)
{
    (void)rpi_os.close(fd); // it is closed whatever the result
}

int rpi_os_check_descriptor(intptr_t fd)
{
    return rpi_os.fcntl((int)fd, F_GETFD, 0) < 0 ? -errno : 0;
}

int rpi_os_unread(int fd)
{
    int size = 0;

    if (rpi_os.ioctl(fd, FIONREAD, &size) < 0) {
        return -errno;
    }
    return size < 0 ? 0 : size;
}

void rpi_os_are_hung_up(const int *fds, size_t count, bool *ret_hung_up)
{
    struct pollfd entries[2];
    int r;

    RP_ASSERT(count <= sizeof entries / sizeof entries[0]);
    for (size_t i = 0; i < count; i++) {
        entries[i] = (struct pollfd){.fd = fds[i]};
    }
    r = rpi_os.poll(entries, count, 0);
    for (size_t i = 0; i < count; i++) {
        ret_hung_up[i] = r > 0 && (entries[i].revents & (POLLHUP | POLLERR)) != 0;
    }
}

int rpi_os_read_now(int fd, void *memory, uint32_t size)
{
    const ssize_t n = rpi_os.read(fd, memory, size < INT_MAX ? size : INT_MAX);

    return n < 0 ? -errno : (int)n;
}

int rpi_os_write_now(int fd, const void *bytes, uint32_t size)
{
    const ssize_t n = rpi_os.write(fd, bytes, size < INT_MAX ? size : INT_MAX);

    return n < 0 ? -errno : (int)n;
}

int rpi_os_duplicate(intptr_t fd)
{
    int result;

    if (fd < 0 || fd > INT_MAX) {
        return -EBADF;
    }
    result = rpi_os.fcntl((int)fd, F_DUPFD_CLOEXEC, 3);
    if (result < 0) {
        // EINVAL: the limit on descriptors is 3 or less.
        return errno == EINVAL ? -EMFILE : -errno;
    }
    return result;
}

int rpi_os_keep(intptr_t fd)
{
    return rpi_os_duplicate(fd);
}

bool rpi_os_keeps_by_copy(void)
{
    return true;
}

int rpi_os_lift(int fd)
{
    int result = fd;

    if (fd <= STDERR_FILENO) {
        result = rpi_os_duplicate(fd);
        (void)rpi_os.close(fd); // ours, just made: a close has nothing to lose
    }
    return result;
}

int rpi_os_check_directory(const char *path)
{
    struct stat status;

    if (rpi_os.stat(path, &status) < 0) {
        return -errno;
    }
    return S_ISDIR(status.st_mode) ? 0 : -ENOTDIR;
}

int rpi_os_file_flags(bool is_output, bool append)
{
    if (!is_output) {
        return O_RDONLY | O_CLOEXEC;
    }
    return O_WRONLY | O_CREAT | O_CLOEXEC | (append ? O_APPEND : O_TRUNC);
}

int rpi_os_environment_load(void)
{
    return 0; // it is looked at where it is
}

bool rpi_os_same_variable(const char *a, const char *b, size_t length)
{
    return a[0] == b[0] && strncmp(a, b, length) == 0;
}

int64_t rpi_os_pid(void)
{
    return getpid();
}
