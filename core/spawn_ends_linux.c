/* The ends of a launch: its files and pipes are opened, its inherited descriptors looked at, and
 * what is ours is moved out of the way. Used by spawn_linux.c in every launch; the system calls
 * here are most of what a launch costs beyond its child. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/os.h"
#include "core/spawn_linux.h"
#include "pty/pty.h"

#define HIGH_BASE 1024 /* our own descriptors go here and above */

/* ---- descriptors ---- */

void rpi_close(int fd)
{
    if (fd >= 0) {
        (void)rpi_os.close(fd); // Linux frees the number whatever it says
    }
}

/* Half of a small table, so that there is room above and below. */
int rpi_high_look_up(void)
{
    struct rlimit limit;

    if (rpi_os.getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur / 2 >= HIGH_BASE) {
        return HIGH_BASE;
    }
    return limit.rlim_cur < 6 ? 3 : (int)(limit.rlim_cur / 2);
}

/* Moves a descriptor of ours up, unless it may stay. The new number, or the old one when there is
 * no room above; -errno only where it would have to stay in 0 to 2, and then it is closed. */
int rpi_move_up(rpi_room *room, int fd)
{
    int moved = -1;
    int r = 0;

    if (fd < 0 || fd >= room->high || (fd > 2 && fd < room->low)) {
        return fd;
    }
    moved = rpi_os.fcntl(fd, F_DUPFD_CLOEXEC, room->high);
    if (moved < 0 && errno == EINVAL) {
        room->high = rpi_high_look_up(); // the host has lowered its limit
        moved = rpi_os.fcntl(fd, F_DUPFD_CLOEXEC, room->high);
    }
    if (moved < 0) {
        if (fd > 2) {
            return fd;
        }
        moved = rpi_os.fcntl(fd, F_DUPFD_CLOEXEC, 3);
        r = moved < 0 ? -errno : 0;
    }
    (void)rpi_os.close(fd); // a duplicate
    return moved < 0 ? r : moved;
}

/* A duplicate of a descriptor of ours, high where there is room. The number, or -errno. */
static int duplicate_up(rpi_room *room, int fd)
{
    int duplicate = rpi_os.fcntl(fd, F_DUPFD_CLOEXEC, room->high);

    if (duplicate < 0 && (errno == EINVAL || errno == EMFILE)) {
        duplicate = rpi_os.fcntl(fd, F_DUPFD_CLOEXEC, 3);
    }
    return duplicate < 0 ? -errno : duplicate;
}

/* Moves a child's end out of 0 to 2, where it lands in a host that has closed those. The new
 * number, or -errno, and then it is closed. */
int rpi_move_out_of_stdio(int fd)
{
    int moved = fd;
    int r = 0;

    if (fd > 2) {
        return fd;
    }
    moved = rpi_os.fcntl(fd, F_DUPFD_CLOEXEC, 3);
    r = moved < 0 ? -errno : 0;
    (void)rpi_os.close(fd); // a duplicate
    return moved < 0 ? r : moved;
}

/* A pipe for the child's stream `stream`: our end high, closed on exec and non-blocking. The
 * child's end must block, so the flag is not pipe2's. 0 or -errno. */
static int open_pipe(rpi_room *room, int stream, int *ret_child, int *ret_own)
{
    const int mine = stream == 0 ? 1 : 0;
    int ends[2];
    int child = -1;
    int kept = -1;
    int r = 0;

    if (rpi_os.pipe2(ends, O_CLOEXEC) < 0) {
        return -errno;
    }
    kept = rpi_move_up(room, ends[mine]);
    child = rpi_move_out_of_stdio(ends[1 - mine]);
    if (kept < 0 || child < 0) {
        r = kept < 0 ? kept : child;
        goto fail;
    }
    if (rpi_os.fcntl(kept, F_SETFL, O_NONBLOCK) < 0) {
        r = -errno;
        goto fail;
    }
    *ret_child = child;
    *ret_own = kept;
    return 0;

fail:
    rpi_close(kept);
    rpi_close(child);
    return r;
}

/* A pseudo-terminal for the child. Ours are the master, a duplicate of it, as reading and writing
 * are two owners' (core/stream.c, core/writer.c), and one of the slave, which keeps the terminal
 * from hanging up for as long as the child runs, whatever it closes. 0 or -errno; what is open by
 * then is in `launch`, for the caller to close. */
static int open_terminal(rpi_room *room, rpi_launch *launch, int *ret_child)
{
    rpi_pty_pair pair = {-1, -1};
    int child = -1;
    int r = rpi_pty_open(launch->pty_rows, launch->pty_cols, &pair);

    if (r < 0) {
        return r;
    }
    launch->pipes[RP_STDOUT] = rpi_move_up(room, pair.master);
    child = rpi_move_out_of_stdio(pair.slave);
    if (launch->pipes[RP_STDOUT] < 0 || child < 0) {
        r = child < 0 ? child : launch->pipes[RP_STDOUT];
        goto fail;
    }
    launch->pipes[RP_STDIN] = duplicate_up(room, launch->pipes[RP_STDOUT]);
    launch->slave = duplicate_up(room, child);
    if (launch->pipes[RP_STDIN] < 0 || launch->slave < 0) {
        r = launch->slave < 0 ? launch->slave : launch->pipes[RP_STDIN];
        goto fail;
    }
    *ret_child = child;
    return 0;

fail:
    rpi_close(child);
    return r;
}

/* ---- the ends of a launch ---- */

bool rpi_is_null_device(int fd)
{
    struct stat status;

    return fd >= 0 && rpi_os.fstat(fd, &status) == 0 && S_ISCHR(status.st_mode) &&
           status.st_rdev == makedev(1, 3);
}

/* The spawner's /dev/null if it still is one: a host may close descriptors that it does not know,
 * and use their numbers again. Else a new one for this launch. */
static int take_null(int null_fd, bool *ret_owned)
{
    int fd = null_fd;

    *ret_owned = false;
    if (!rpi_is_null_device(fd)) {
        fd = rpi_os.open("/dev/null", O_RDWR | O_CLOEXEC, 0);
        if (fd < 0) {
            return -errno;
        }
        *ret_owned = true;
        fd = rpi_move_out_of_stdio(fd);
    }
    return fd;
}

static int open_file(const rpi_launch_end *end)
{
    // A terminal that is opened must not become the host's own.
    const int fd = rpi_os.open(end->path, end->open_flags | O_CLOEXEC | O_NOCTTY, 0666);

    return fd < 0 ? -errno : rpi_move_out_of_stdio(fd);
}

/* Opens what the child's stream `stream` needs. 0 or -errno. */
static int open_end(int null_fd, rpi_room *room, rpi_launch *launch, int stream, rpi_ends *opened)
{
    const rpi_launch_end *end = &launch->ends[stream];
    int fd = -1;
    int r = 0;

    opened->owned[stream] = false;
    switch (end->kind) {
    case RPI_END_NULL:
        fd = take_null(null_fd, &opened->owned[stream]);
        r = fd < 0 ? fd : 0;
        break;
    case RPI_END_PIPE:
        opened->owned[stream] = true;
        r = open_pipe(room, stream, &fd, &launch->pipes[stream]);
        break;
    case RPI_END_INHERIT:
        // Looked at before pipes are made, which could land on a closed one.
        fd = rpi_os.fcntl(stream, F_GETFD, 0) < 0 ? -1 : stream;
        break;
    case RPI_END_FD:
        fd = end->fd;
        break;
    case RPI_END_FILE:
        opened->owned[stream] = true;
        fd = open_file(end);
        r = fd < 0 ? fd : 0;
        break;
    case RPI_END_MERGE:
        fd = opened->fds[1];
        break;
    case RPI_END_PTY: // one for all three
        opened->owned[stream] = stream == 0;
        if (stream == 0) {
            r = open_terminal(room, launch, &fd);
        } else {
            fd = opened->fds[0];
        }
        break;
    }
    opened->fds[stream] = r < 0 ? -1 : fd;
    return r;
}

static rpi_phase phase_of(rpi_end_kind kind)
{
    if (kind == RPI_END_PTY) {
        return RPI_PHASE_TERMINAL;
    }
    return kind == RPI_END_PIPE ? RPI_PHASE_PIPE : RPI_PHASE_OPEN;
}

void rpi_ends_close(rpi_ends *ends)
{
    int i;

    for (i = 0; i < 3; i++) {
        if (ends->owned[i]) {
            rpi_close(ends->fds[i]);
        }
    }
}

/* Inherited ends first, then the others. 0 or -errno with the phase; nothing is open then. */
int rpi_ends_open(
    int null_fd, rpi_room *room, rpi_launch *launch, rpi_ends *ret_ends, rpi_phase *ret_phase)
{
    rpi_ends opened = {{-1, -1, -1}, {false, false, false}};
    int r = 0;
    int pass;
    int i;

    for (pass = 0; pass < 2; pass++) {
        for (i = 0; i < 3 && r == 0; i++) {
            if ((launch->ends[i].kind == RPI_END_INHERIT) == (pass == 0)) {
                r = open_end(null_fd, room, launch, i, &opened);
                *ret_phase = phase_of(launch->ends[i].kind);
            }
        }
    }
    if (r < 0) {
        rpi_ends_close(&opened);
        return r;
    }
    *ret_ends = opened;
    return 0;
}
