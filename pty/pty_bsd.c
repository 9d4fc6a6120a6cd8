/* Pseudo-terminals of FreeBSD and macOS. FreeBSD gives up what was not read as soon as a session's
 * leader ends while anybody else has the slave open, so there only the child opens it; macOS takes
 * a master without a slave for one at its end, so there whoever launches holds one until the child
 * has its own. Called by the spawner (open) and by the loop's thread (the rest). */
#ifdef __FreeBSD__
#define __BSD_VISIBLE 1
#else
#define _DARWIN_C_SOURCE 1
#endif
#include "pty/pty.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "base/os.h"
#include "pty/pty_bsd.h"
#include "rp/base.h"

static void close_quietly(int fd)
{
    if (fd >= 0) {
        rpi_os_close(fd); // nothing was written
    }
}

/** The slave's path, and that it may be opened. */
static int find_slave(int master, char *ret_path, size_t size)
{
#ifdef RPI_OS_FREEBSD
    return ptsname_r(master, ret_path, size) != 0 ? -errno : 0;
#else
    char path[128]; // as the call wants it

    if (grantpt(master) < 0 || unlockpt(master) < 0 ||
        rpi_os.ioctl(master, TIOCPTYGNAME, path) < 0) {
        return -errno;
    }
    if (strlen(path) >= size) {
        return -ENAMETOOLONG;
    }
    memcpy(ret_path, path, strlen(path) + 1);
    return 0;
#endif
}

int rpi_pty_open_master(uint16_t rows, uint16_t cols, int *ret_master, char *ret_path, size_t size)
{
    int master = posix_openpt(O_RDWR | O_NOCTTY);
    int r;

    if (master < 0) {
        return -errno;
    }
    master = rpi_os_lift(master);
    if (master < 0) {
        return master;
    }
    r = rpi_os.fcntl(master, F_SETFD, FD_CLOEXEC) < 0 ||
                rpi_os.fcntl(master, F_SETFL, O_NONBLOCK) < 0
            ? -errno
            : 0;
    r = r < 0 ? r : find_slave(master, ret_path, size);
    r = r < 0 ? r : rpi_pty_set_size(master, rows, cols);
    if (r < 0) {
        close_quietly(master);
        return r;
    }
    *ret_master = master;
    return 0;
}

int rpi_pty_open(uint16_t rows, uint16_t cols, rpi_pty_pair *ret_pair)
{
    rpi_pty_pair pair = {-1, -1};
    char path[128];
    int r = rpi_pty_open_master(rows, cols, &pair.master, path, sizeof path);

    if (r < 0) {
        return r;
    }
    pair.slave = rpi_os.open(path, O_RDWR | O_NOCTTY | O_CLOEXEC, 0);
    if (pair.slave < 0) {
        r = -errno;
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

/** A key that does nothing is none. */
static unsigned char key(cc_t character)
{
    return character == (cc_t)_POSIX_VDISABLE ? 0 : character;
}

int rpi_pty_get_modes(int master, rpi_pty_modes *ret_modes)
{
    struct termios modes;

    if (tcgetattr(master, &modes) < 0) {
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
        .end_of_file = key(modes.c_cc[VEOF]),
        .end_of_line = key(modes.c_cc[VEOL]),
        .end_of_line_2 = key(modes.c_cc[VEOL2]),
        .kill = key(modes.c_cc[VKILL]),
        .quote = (modes.c_lflag & IEXTEN) != 0 ? key(modes.c_cc[VLNEXT]) : 0,
        .interrupt = key(modes.c_cc[VINTR]),
        .quit = key(modes.c_cc[VQUIT]),
        .suspend = key(modes.c_cc[VSUSP]),
    };
    return 0;
}

int64_t rpi_pty_foreground(int master)
{
    pid_t group = 0;

    return rpi_os.ioctl(master, TIOCGPGRP, &group) < 0 ? -errno : group;
}

int rpi_pty_signal_foreground(int master, int signal)
{
    const int64_t group = rpi_pty_foreground(master);

    if (group <= 0) {
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
    char path[128];
    struct stat status;
    const int r = find_slave(master, path, sizeof path);

    if (r < 0) {
        return r;
    }
    if (rpi_os.stat(path, &status) < 0) {
        return -errno;
    }
    *ret_device = (uint64_t)status.st_rdev;
    return 0;
}
