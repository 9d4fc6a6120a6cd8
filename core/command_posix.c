/* What of a command is checked on POSIX systems: numbers of further descriptors, sessions, ids. */
#include <limits.h>
#include <string.h>

#include "base/status.h"
#include "core/command.h"

enum {
    CHILD_FD_MAX = 65535, // numbers of further descriptors in the child
    CHILD_FD_FIRST = 3,
    GROUP_COUNT_MAX = 65536, // NGROUPS_MAX of Linux
};

static int refuse(const char *what)
{
    return rpi_detail(RP_EINVAL, "%s", what);
}

/** A descriptor of a list that may have 65,533 entries: found twice through a set of bits. */
static int check_fds(const rp_command *command)
{
    unsigned char seen[(CHILD_FD_MAX + 1) / CHAR_BIT];

    if (command->fd_count == 0) {
        return 0;
    }
    if (command->fds == NULL) {
        return refuse("fds: a count, but no list");
    }
    memset(seen, 0, sizeof seen);
    for (size_t i = 0; i < command->fd_count; i++) {
        const rp_fd *fd = &command->fds[i];
        unsigned char bit;

        if (fd->parent < 0 || fd->parent > INT_MAX) {
            return rpi_detail(RP_EINVAL, "fds: entry %zu is no descriptor", i);
        }
        if (fd->child < CHILD_FD_FIRST || fd->child > CHILD_FD_MAX) {
            return rpi_detail(RP_EINVAL, "fds: entry %zu: %d is not between %d and %d", i,
                              fd->child, (int)CHILD_FD_FIRST, (int)CHILD_FD_MAX);
        }
        bit = (unsigned char)(1U << ((unsigned)fd->child % CHAR_BIT));
        if ((seen[fd->child / CHAR_BIT] & bit) != 0) {
            return rpi_detail(RP_EINVAL, "fds: %d is given twice", fd->child);
        }
        seen[fd->child / CHAR_BIT] |= bit;
    }
    return 0;
}

static int check_posix(const rp_command *command)
{
    rp_posix posix = RP_INIT(rp_posix);
    int r;

    if (command->posix == NULL) {
        return 0;
    }
    r = rpi_command_read_nested(command->posix, sizeof posix, &posix, "posix");
    if (r < 0) {
        return r;
    }
    if (posix.new_session && command->transport == RP_CONSOLE_SHARED) {
        return refuse("posix: new_session leaves the console that RP_CONSOLE_SHARED shares");
    }
    if (posix.new_session && command->transport == RP_CONSOLE_FOREGROUND) {
        return refuse(
            "posix: new_session leaves the terminal that RP_CONSOLE_FOREGROUND hands over");
    }
    if (posix.umask != 0 && !posix.set_umask) {
        return refuse("posix: umask without set_umask");
    }
    if (posix.umask > 0777) {
        return refuse("posix: umask: more than 0777");
    }
    if (!posix.set_ids &&
        (posix.uid != 0 || posix.gid != 0 || posix.groups != NULL || posix.group_count != 0)) {
        return refuse("posix: uid, gid or groups without set_ids");
    }
    if (posix.group_count > 0 && posix.groups == NULL) {
        return refuse("posix: group_count, but no groups");
    }
    if (posix.group_count > GROUP_COUNT_MAX) {
        return refuse("posix: more groups than a process can have");
    }
    return 0;
}

int rpi_command_check_system(const rp_command *command)
{
    int r = check_fds(command);

    r = r < 0 ? r : check_posix(command);
    if (r == 0 && command->windows != NULL) {
        return rpi_detail(RP_EUNSUPPORTED, "windows: this is not Windows");
    }
    return r;
}
