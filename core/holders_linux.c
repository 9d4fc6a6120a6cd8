/* Who holds the outputs of a child: rp_process_holders. The system can be asked only the other way
 * round, what a process has open, so this looks through the descriptors of all processes for the
 * names that our ends have: a pipe's name is its inode, a terminal's is its number. Names are
 * compared, as nothing has to be opened for that; only a terminal's is looked at more closely, as
 * another mount of devpts may have the same.
 *
 * A stream that ends while somebody holds it leaves its name here (rpi_holders_remember). */
#include "core/holders.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/os.h"
#include "base/scan_linux.h"
#include "base/status.h"
#include "core/describe_linux.h"
#include "core/loop.h"
#include "core/process.h"
#include "rp/contain.h"

enum {
    NAME_SIZE = 64,
    FDINFO_SIZE = 512,
    TERMINAL_MAJOR = 136, /* of pseudo-terminals 0 to 255; the next for the next 256 */
    TERMINALS_A_MAJOR = 256
};

/* What is looked for. */
typedef struct target {
    char name[NAME_SIZE]; /* of the link; "" = nothing */
    dev_t device;      /* of a terminal that is open; 0: a pipe, or a terminal without a master */
    uint32_t terminal; /* as the stat file of a process has it; 0 */
    uint32_t streams;  /* what it is to the child */
} target;

/* What is known of a process that is looked at. */
typedef struct search {
    target targets[2];
    rpi_describer *describer;
    rp_each_fn *holder;
    void *user;
    int64_t self;
    int count;
    bool ended; /* by the callback */
} search;

/* ---- what is looked for ---------------------------------------------------------------- */

uint64_t rpi_holders_name(const rp_process *process, int fd)
{
    struct stat status;
    unsigned int number = 0;

    if (process->terminal != NULL) {
        return rpi_os.ioctl(fd, TIOCGPTN, &number) == 0 ? (uint64_t)number + 1 : 0;
    }
    return rpi_os.fstat(fd, &status) == 0 ? (uint64_t)status.st_ino : 0;
}

static void target_pipe(target *wanted, uint64_t inode)
{
    (void)snprintf(wanted->name, sizeof wanted->name, "pipe:[%llu]", (unsigned long long)inode);
}

/* Of a terminal whose master is closed the name has gone from its folder, and its number is not
 * given to another as long as it has a holder. */
static void target_terminal(target *wanted, uint64_t number, bool is_open)
{
    const unsigned int index = (unsigned int)number;

    (void)snprintf(wanted->name, sizeof wanted->name, "/dev/pts/%u%s", index,
                   is_open ? "" : " (deleted)");
    if (is_open) {
        wanted->device =
            makedev(TERMINAL_MAJOR + index / TERMINALS_A_MAJOR, index % TERMINALS_A_MAJOR);
        /* As new_encode_dev of the kernel packs it. */
        wanted->terminal = (uint32_t)((index % TERMINALS_A_MAJOR) |
                                      (TERMINAL_MAJOR + index / TERMINALS_A_MAJOR) << 8);
    }
}

/* How many streams there is something to look for. */
static int read_targets(const rp_process *process, search *what)
{
    int count = 0;

    for (int i = 0; i < 2; i++) {
        const rpi_stream *stream = &process->streams[i];
        const bool is_open = stream->state != RPI_STREAM_NONE && !rpi_stream_is_over(stream);
        const uint64_t name =
            is_open ? rpi_holders_name(process, (int)stream->io.handle) : stream->left_name;

        if (name == 0) {
            continue;
        }
        count++;
        what->targets[i].streams = UINT32_C(1) << (i + 1);
        if (process->terminal != NULL) {
            target_terminal(&what->targets[i], name - 1, is_open);
        } else {
            target_pipe(&what->targets[i], name);
        }
    }
    return count;
}

/* ---- looking --------------------------------------------------------------------------- */

/* Whether the descriptor was opened for writing: a pipe's two ends have one name. */
static bool can_write(int64_t pid, int64_t fd)
{
    char path[64];
    char text[FDINFO_SIZE];
    const char *flags;

    (void)snprintf(path, sizeof path, "/proc/%lld/fdinfo/%lld", (long long)pid, (long long)fd);
    if (rpi_proc_file_read(path, text, sizeof text) < 0) {
        return false;
    }
    flags = strstr(text, "flags:");
    /* In octal: its last digit has the mode of access, 1 or 2 for writing. */
    return flags != NULL && (strtoul(flags + strlen("flags:"), NULL, 8) & 3) != 0;
}

static bool is_device(const char *path, dev_t device)
{
    struct stat status;

    return rpi_os.stat(path, &status) == 0 && S_ISCHR(status.st_mode) && status.st_rdev == device;
}

/* Which of the streams a descriptor is: a mask. `terminal`: the process's own. */
static uint32_t streams_of(const search *what, int64_t pid, int64_t fd, uint32_t terminal)
{
    char path[64];
    char name[NAME_SIZE];
    ssize_t size;

    (void)snprintf(path, sizeof path, "/proc/%lld/fd/%lld", (long long)pid, (long long)fd);
    size = rpi_os.readlink(path, name, sizeof name - 1);
    if (size <= 0) {
        return 0;
    }
    name[size] = '\0';
    for (int i = 0; i < 2; i++) {
        const target *wanted = &what->targets[i];

        if (wanted->name[0] == '/' && pid == what->self) {
            continue; /* what we have of a terminal is how we read it */
        }
        if (wanted->terminal != 0 && wanted->terminal == terminal &&
            strcmp(name, "/dev/tty") == 0) {
            return wanted->streams; /* opened by the name that it has for everybody */
        }
        if (wanted->name[0] == '\0' || strcmp(name, wanted->name) != 0) {
            continue;
        }
        if (wanted->device != 0 ? is_device(path, wanted->device)
                                : wanted->name[0] == '/' || can_write(pid, fd)) {
            return wanted->streams;
        }
    }
    return 0;
}

static int tell(search *what, const rpi_identity *holder, uint32_t streams)
{
    rp_process_info info;
    int r = rpi_describe(what->describer, holder, &info);

    if (r == 0) {
        info.streams = streams;
        what->count++;
        what->ended = !what->holder(&info, what->user);
    }
    return r == -ENOMEM ? r : 0;
}

static int look_at(search *what, int64_t pid)
{
    rpi_scan scan;
    rpi_identity identity;
    rpi_proc_stat stat;
    const bool is_terminal = what->targets[0].terminal != 0 || what->targets[1].terminal != 0;
    uint32_t streams = 0;
    int64_t fd;

    if (rpi_scan_open_descriptors(&scan, pid) < 0) {
        return 0; /* it has ended, or is not for us */
    }
    if (!is_terminal || rpi_proc_stat_read(pid, &stat) < 0) {
        stat.terminal = 0;
    }
    while (rpi_scan_next(&scan, &fd) > 0) {
        streams |= streams_of(what, pid, fd, stat.terminal);
    }
    rpi_scan_close(&scan);
    if (streams == 0 || rpi_identity_of(pid, &identity) < 0) {
        return 0;
    }
    return tell(what, &identity, streams);
}

static int look(search *what)
{
    rpi_scan scan;
    int64_t pid;
    int r = rpi_scan_open(&scan);

    if (r < 0) {
        return r;
    }
    while (!what->ended && (r = rpi_scan_next(&scan, &pid)) > 0) {
        r = look_at(what, pid);
        if (r < 0) {
            break;
        }
    }
    rpi_scan_close(&scan);
    return r < 0 ? r : what->count;
}

int rp_process_holders(const rp_process *process, rp_each_fn *holder, void *user)
{
    search what = {.holder = holder, .user = user, .self = rpi_os_pid()};
    int r = rpi_loop_enter(process->loop);

    if (r < 0) {
        return r;
    }
    if (holder == NULL) {
        return rpi_detail(RP_EINVAL, "no function to tell");
    }
    if (process->state < RPI_PROCESS_RUNNING) {
        return rpi_detail(RP_EAGAIN, "the child has not started");
    }
    if (read_targets(process, &what) == 0) {
        return 0;
    }
    r = rpi_describer_open(&what.describer);
    if (r == 0) {
        r = look(&what);
        rpi_describer_close(what.describer);
    }
    return r;
}
