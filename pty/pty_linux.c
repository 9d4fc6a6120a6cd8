/* Pseudo-terminals of Linux. The slave is opened through its master (TIOCGPTPEER), not by a name in
 * /dev/pts, which may be another mount, or none. See pty.h for who calls. */
#define _GNU_SOURCE
#include "pty/pty.h"

#include <asm/termbits.h> // the kernel's struct termios, which its ioctls fill
#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>

#include "base/os.h"
#include "rp/base.h"

#ifndef TIOCGPTPEER
#define TIOCGPTPEER _IO('T', 0x41) // Linux 4.13
#endif
#ifndef TIOCSIG
#define TIOCSIG _IOW('T', 0x36, int)
#endif

static void close_quietly(int fd)
{
    if (fd >= 0) {
        (void)rpi_os.close(fd); // nothing was written
    }
}

/* The kernel's own settings are those of a terminal that somebody has just sat down at; only that
 * its text is UTF-8 is not among them, and the erase key would leave halves of characters. */
static int set_utf8(int slave)
{
    struct termios modes;

    if (rpi_os.ioctl(slave, TCGETS, &modes) < 0) {
        return -errno;
    }
    modes.c_iflag |= IUTF8;
    return rpi_os.ioctl(slave, TCSETS, &modes) < 0 ? -errno : 0;
}

static int open_slave(int master, int *ret_slave)
{
    const uintptr_t flags = O_RDWR | O_NOCTTY | O_CLOEXEC;
    int unlocked = 0;
    int slave = -1;

    if (rpi_os.ioctl(master, TIOCSPTLCK, &unlocked) < 0) {
        return -errno;
    }
    // The argument is a number, not an address.
    slave = rpi_os.ioctl(master, TIOCGPTPEER, (void *)flags); // NOLINT(performance-no-int-to-ptr)
    if (slave < 0) {
        return -errno;
    }
    *ret_slave = slave;
    return 0;
}

int rpi_pty_open(uint16_t rows, uint16_t cols, rpi_pty_pair *ret_pair)
{
    rpi_pty_pair pair = {-1, -1};
    int r = 0;

    pair.master = rpi_os.open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK, 0);
    if (pair.master < 0) {
        return -errno;
    }
    r = open_slave(pair.master, &pair.slave);
    r = r < 0 ? r : rpi_pty_set_size(pair.master, rows, cols);
    r = r < 0 ? r : set_utf8(pair.slave);
    if (r < 0) {
        close_quietly(pair.slave);
        close_quietly(pair.master);
        return r;
    }
    *ret_pair = pair;
    return 0;
}

bool rpi_pty_is_available(void)
{
    rpi_pty_pair pair = {-1, -1};
    int r = rpi_pty_open(RPI_PTY_ROWS_DEFAULT, RPI_PTY_COLS_DEFAULT, &pair);

    if (r == 0) {
        close_quietly(pair.slave);
        close_quietly(pair.master);
    }
    // Where there is no room for one now, there are some.
    return r == 0 || r == -EMFILE || r == -ENFILE || r == -ENOSPC || r == -ENOMEM;
}

int rpi_pty_set_size(int master, uint16_t rows, uint16_t cols)
{
    struct winsize size = {.ws_row = rows, .ws_col = cols};

    return rpi_os.ioctl(master, TIOCSWINSZ, &size) < 0 ? -errno : 0;
}

int rpi_pty_get_size(int master, uint16_t *ret_rows, uint16_t *ret_cols)
{
    struct winsize size;

    if (rpi_os.ioctl(master, TIOCGWINSZ, &size) < 0) {
        return -errno;
    }
    *ret_rows = size.ws_row;
    *ret_cols = size.ws_col;
    return 0;
}

int rpi_pty_get_modes(int master, rpi_pty_modes *ret_modes)
{
    struct termios modes;

    if (rpi_os.ioctl(master, TCGETS, &modes) < 0) {
        return -errno;
    }
    *ret_modes = (rpi_pty_modes){
        .canonical = (modes.c_lflag & ICANON) != 0,
        .echo = (modes.c_lflag & ECHO) != 0,
        .signals = (modes.c_lflag & ISIG) != 0,
        .flushes = (modes.c_lflag & NOFLSH) == 0,
        .cr_to_nl = (modes.c_iflag & ICRNL) != 0,
        .ignores_cr = (modes.c_iflag & IGNCR) != 0,
        .nl_to_cr = (modes.c_iflag & INLCR) != 0,
        .end_of_file = modes.c_cc[VEOF],
        .end_of_line = modes.c_cc[VEOL],
        .end_of_line_2 = modes.c_cc[VEOL2],
        .kill = modes.c_cc[VKILL],
        .quote = (modes.c_lflag & IEXTEN) != 0 ? modes.c_cc[VLNEXT] : 0,
        .interrupt = modes.c_cc[VINTR],
        .quit = modes.c_cc[VQUIT],
        .suspend = modes.c_cc[VSUSP],
    };
    return 0;
}

int64_t rpi_pty_foreground(int master)
{
    int group = 0;

    return rpi_os.ioctl(master, TIOCGPGRP, &group) < 0 ? -errno : group;
}

int rpi_pty_signal_foreground(int master, int signal)
{
    const int64_t group = rpi_pty_foreground(master);

    if (group <= 0) { // the call below says nothing of it
        return group < 0 ? (int)group : RP_ESRCH;
    }
    // NOLINTNEXTLINE(performance-no-int-to-ptr): the argument is a number, not an address
    if (rpi_os.ioctl(master, TIOCSIG, (void *)(uintptr_t)signal) < 0) {
        return errno == EINVAL || errno == ENOTTY ? RP_EUNSUPPORTED : -errno;
    }
    return 0;
}

int rpi_pty_device(int master, uint64_t *ret_device)
{
    unsigned int number = 0;

    if (rpi_os.ioctl(master, TIOCGPTN, &number) < 0) {
        return -errno;
    }
    *ret_device = makedev(136, number); // UNIX98_PTY_SLAVE_MAJOR: part of the kernel's interface
    return 0;
}
