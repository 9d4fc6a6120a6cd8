/* Reading /proc/PID/stat, without the C library's streams and without allocating. Called by
 * tree_linux.c for every process of the system, and by identity_linux.c. */
#include "core/proc_linux.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/os.h"
#include "rp/base.h"

enum {
    STAT_SIZE = 1024,
    FIELDS_TO_START = 16 // from the session, which follows the group, to the start
};

/* The text of the file, terminated: its size or an error. */
static int read_text(int64_t pid, char text[STAT_SIZE])
{
    char path[48];
    ssize_t size;
    int fd;

    (void)snprintf(path, sizeof path, "/proc/%lld/stat", (long long)pid);
    fd = rpi_os.open(path, O_RDONLY | O_CLOEXEC, 0);
    if (fd < 0) {
        return errno == ENOENT ? RP_ESRCH : -errno;
    }
    size = rpi_os.read(fd, text, STAT_SIZE - 1);
    (void)rpi_os.close(fd); // only read
    if (size <= 0) {
        return RP_ESRCH; // it ended meanwhile
    }
    text[size] = '\0';
    return (int)size;
}

int rpi_proc_stat_read(int64_t pid, rpi_proc_stat *ret_stat)
{
    char text[STAT_SIZE];
    rpi_proc_stat stat = {0};
    char *rest;
    int r = read_text(pid, text);

    if (r < 0) {
        return r;
    }
    rest = strrchr(text, ')'); // the name before it may hold anything
    if (rest == NULL || strlen(rest) < 4) {
        return RP_EIO;
    }
    stat.state = rest[2];
    stat.parent = strtoll(rest + 4, &rest, 10);
    stat.group = strtoll(rest, &rest, 10);
    for (int field = 0; rest != NULL && field < FIELDS_TO_START; field++) {
        rest = strchr(rest + 1, ' ');
    }
    if (rest == NULL) {
        return RP_EIO;
    }
    stat.start_ticks = strtoull(rest, NULL, 10);
    *ret_stat = stat;
    return 0;
}
