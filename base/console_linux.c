/* See console.h. The kernel's own settings (termios2, where the architecture has it) are read and
 * written whole, so that what a person has set comes back exactly, unusual speeds included. */
#define _GNU_SOURCE
#include "base/console.h"

#include <asm/termbits.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/os.h"
#include "base/raw_linux.h"

#ifdef TCGETS2
typedef struct termios2 kernel_modes;
#define GET_MODES TCGETS2
#define SET_MODES TCSETS2
#else
typedef struct termios kernel_modes; /* has the speeds in it there */
#define GET_MODES TCGETS
#define SET_MODES TCSETS
#endif

_Static_assert(sizeof(kernel_modes) <= sizeof(rpi_console_modes), "they fit");

#define DISABLED 0 /* _POSIX_VDISABLE of Linux: this key does nothing */

/* ---- opening ---- */

int rpi_console_open(void)
{
    const int fd = rpi_os.open("/dev/tty", O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC, 0);

    return fd < 0 ? -errno : rpi_os_lift(fd);
}

int rpi_console_open_again(int fd)
{
    kernel_modes modes;
    char path[32];
    int again;

    if (rpi_os.ioctl(fd, GET_MODES, &modes) < 0) {
        return -errno;
    }
    if (rpi_console_get_group(fd) > 0) { // ours: no rights of its device file are needed
        return rpi_console_open();
    }
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    again = rpi_os.open(path, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC, 0);
    return again < 0 ? -errno : rpi_os_lift(again);
}

int rpi_console_open_output(rpi_console_output *ret_output)
{
    struct stat status;
    int fd = rpi_console_open_again(STDOUT_FILENO);

    *ret_output = RPI_CONSOLE_OUTPUT_TERMINAL;
    if (fd >= 0 || fd == -EMFILE || fd == -EBADF) {
        return fd;
    }
    *ret_output = RPI_CONSOLE_OUTPUT_FREE;
    if (rpi_os.fstat(STDOUT_FILENO, &status) == 0 && S_ISFIFO(status.st_mode)) {
        fd = rpi_os.open("/proc/self/fd/1", O_WRONLY | O_NONBLOCK | O_CLOEXEC, 0);
        if (fd >= 0) {
            return rpi_os_lift(fd);
        }
    }
    *ret_output = RPI_CONSOLE_OUTPUT_SHARED;
    return rpi_os_duplicate(STDOUT_FILENO);
}

/* ---- modes ---- */

/* A call that a background process would be stopped for. */
static int ioctl_unstopped(int fd, unsigned long request, void *argument)
{
    const uint64_t mask = rpi_raw_set_mask(~UINT64_C(0));
    int r = 0;

    do {
        r = rpi_os.ioctl(fd, request, argument) < 0 ? -errno : 0;
    } while (r == -EINTR);
    (void)rpi_raw_set_mask(mask);
    return r;
}

int rpi_console_get_modes(int fd, rpi_console_modes *ret_modes)
{
    rpi_console_modes modes = {{0}};

    if (rpi_os.ioctl(fd, GET_MODES, &modes) < 0) {
        return -errno;
    }
    *ret_modes = modes;
    return 0;
}

int rpi_console_set_modes(int fd, const rpi_console_modes *modes)
{
    rpi_console_modes copy = *modes;

    return ioctl_unstopped(fd, SET_MODES, &copy);
}

void rpi_console_make_raw(rpi_console_modes *modes, bool keep_interrupt)
{
    kernel_modes raw;

    memcpy(&raw, modes, sizeof raw);
    raw.c_iflag &=
        ~(unsigned)(IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR | IGNCR | ICRNL | IUCLC | IXON);
    raw.c_oflag &= ~(unsigned)OPOST;
    raw.c_lflag &= ~(unsigned)(ECHO | ECHONL | ICANON | IEXTEN);
    raw.c_cflag &= ~(unsigned)(CSIZE | PARENB);
    raw.c_cflag |= CS8;
    raw.c_cc[VMIN] = 1;
    raw.c_cc[VTIME] = 0;
    raw.c_lflag &= ~(unsigned)ISIG;
    if (keep_interrupt) {
        raw.c_lflag |= ISIG;
        raw.c_cc[VQUIT] = DISABLED;
        raw.c_cc[VSUSP] = DISABLED;
    }
    memcpy(modes, &raw, sizeof raw);
}

bool rpi_console_modes_are_equal(const rpi_console_modes *a, const rpi_console_modes *b)
{
    return memcmp(a, b, sizeof *a) == 0; // whole words, of zeros where the system has nothing
}

int rpi_console_get_size(int fd, rpi_console_size *ret_size)
{
    struct winsize size = {0};

    if (rpi_os.ioctl(fd, TIOCGWINSZ, &size) < 0) {
        return -errno;
    }
    *ret_size = (rpi_console_size){size.ws_row, size.ws_col, size.ws_xpixel, size.ws_ypixel};
    return 0;
}

/* ---- groups ---- */

int64_t rpi_console_get_group(int fd)
{
    pid_t group = 0;

    return rpi_os.ioctl(fd, TIOCGPGRP, &group) < 0 ? -errno : group;
}

int rpi_console_set_group(int fd, int64_t group)
{
    pid_t copy = (pid_t)group;

    return ioctl_unstopped(fd, TIOCSPGRP, &copy);
}

int64_t rpi_console_own_group(void)
{
    return getpgrp();
}

int64_t rpi_console_outer_group(void)
{
    return getpgid(getppid());
}

bool rpi_console_group_exists(int64_t group)
{
    return group > 1 && (rpi_os.kill((pid_t)-group, 0) == 0 || errno != ESRCH);
}

static atomic_bool is_claimed;

bool rpi_console_claim(void)
{
    return !atomic_exchange(&is_claimed, true);
}

void rpi_console_release(void)
{
    atomic_store(&is_claimed, false);
}

/* ---- bytes ---- */

int64_t rpi_console_read(int fd, char *bytes, size_t size)
{
    const uint64_t mask = rpi_raw_set_mask(~UINT64_C(0));
    const ssize_t n = rpi_os.read(fd, bytes, size);
    const int64_t result = n < 0 ? -errno : n;

    (void)rpi_raw_set_mask(mask);
    return result;
}

int64_t rpi_console_write(int fd, const char *bytes, size_t size)
{
    const uint64_t mask = rpi_raw_set_mask(~UINT64_C(0)); // TOSTOP would stop a background process
    const ssize_t n = rpi_os.write(fd, bytes, size);
    const int64_t result = n < 0 ? -errno : n;

    (void)rpi_raw_set_mask(mask);
    return result;
}
