/* See slots_linux.h. The check and the dup3 are two calls: a host that closes all of its
 * descriptors in another thread at that very moment can still lose one to us. Nothing atomic exists
 * for it. */
#define _GNU_SOURCE
#include "core/slots_linux.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/os.h"

int rpi_placeholder_open(rpi_placeholder *ret_placeholder)
{
    rpi_placeholder placeholder;
    struct stat status;
    int ends[2];
    int r = 0;

    if (rpi_os.pipe2(ends, O_CLOEXEC) < 0) {
        return -errno;
    }
    (void)rpi_os.close(ends[1]); // what is read from the other end does not matter
    placeholder.fd = ends[0];
    if (placeholder.fd < 3) {
        placeholder.fd = rpi_os.fcntl(ends[0], F_DUPFD_CLOEXEC, 3);
        r = placeholder.fd < 0 ? -errno : 0;
        (void)rpi_os.close(ends[0]); // its result says nothing about a pipe
    }
    if (r < 0) {
        return r;
    }
    if (rpi_os.fstat(placeholder.fd, &status) < 0) {
        r = -errno;
        (void)rpi_os.close(placeholder.fd); // as above
        return r;
    }
    placeholder.device = status.st_dev;
    placeholder.inode = status.st_ino;
    *ret_placeholder = placeholder;
    return 0;
}

static bool is_placeholder(const rpi_placeholder *placeholder, int fd)
{
    struct stat status;

    return rpi_os.fstat(fd, &status) == 0 && status.st_ino == placeholder->inode &&
           status.st_dev == placeholder->device;
}

void rpi_placeholder_close(rpi_placeholder *placeholder)
{
    if (placeholder->fd >= 0 && is_placeholder(placeholder, placeholder->fd)) {
        (void)rpi_os.close(placeholder->fd); // its result says nothing about a pipe
    }
    placeholder->fd = -1;
}

int rpi_slots_open(rpi_slots *ret_slots, const rpi_placeholder *placeholder)
{
    rpi_slots slots = {{-1, -1, -1}};
    unsigned i;

    for (i = 0; i < RPI_SLOT_COUNT; i++) {
        slots.fds[i] = rpi_os.fcntl(placeholder->fd, F_DUPFD_CLOEXEC, 3);
        if (slots.fds[i] < 0) {
            const int r = -errno;

            rpi_slots_close(&slots, placeholder);
            return r;
        }
    }
    *ret_slots = slots;
    return 0;
}

void rpi_slots_close(rpi_slots *slots, const rpi_placeholder *placeholder)
{
    unsigned i;

    for (i = 0; i < RPI_SLOT_COUNT; i++) {
        if (slots->fds[i] >= 0 && is_placeholder(placeholder, slots->fds[i])) {
            (void)rpi_os.close(slots->fds[i]); // its result says nothing about a pipe
        }
        slots->fds[i] = -1;
    }
}

int rpi_slots_highest(const rpi_slots *slots)
{
    int highest = -1;
    unsigned i;

    for (i = 0; i < RPI_SLOT_COUNT; i++) {
        if (slots->fds[i] < 0) {
            return -1;
        }
        highest = slots->fds[i] > highest ? slots->fds[i] : highest;
    }
    return highest;
}

int rpi_slots_put(rpi_slots *slots, const rpi_placeholder *placeholder, unsigned index, int fd)
{
    const int slot = slots->fds[index];

    if (slot < 0) {
        return -1;
    }
    if (!is_placeholder(placeholder, slot)) {
        slots->fds[index] = -1; // the host closed it and may have something of its own there
        return -1;
    }
    return rpi_os.dup3(fd, slot, O_CLOEXEC);
}

void rpi_slots_restore(rpi_slots *slots, const rpi_placeholder *placeholder, unsigned index)
{
    // The placeholder is older than the slots, and so below them: what closed it took the slots
    // too.
    if (rpi_os.dup3(placeholder->fd, slots->fds[index], O_CLOEXEC) < 0) {
        (void)rpi_os.close(slots->fds[index]); // the child's end; its result says nothing
        slots->fds[index] = -1;
    }
}
