/* Reading what /proc tells of a process, without the C library's streams and without allocating.
 * Called by tree_linux.c, sessions_linux.c and usage_linux.c for every process of the system, and
 * by identity_linux.c and reading_linux.c for one. */
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
    IO_SIZE = 512,
    FIRST_FIELD = 4, // the parent, by the number that proc(5) gives it
    LAST_FIELD = 22  // the start
};

int rpi_proc_text_read(int64_t pid, const char *name, char *text, size_t text_size)
{
    char path[64];
    ssize_t size;
    int error;
    int fd;

    (void)snprintf(path, sizeof path, "/proc/%lld/%s", (long long)pid, name);
    fd = rpi_os.open(path, O_RDONLY | O_CLOEXEC, 0);
    if (fd < 0) {
        return errno == ENOENT ? RP_ESRCH : -errno;
    }
    size = rpi_os.read(fd, text, text_size - 1);
    error = errno;
    (void)rpi_os.close(fd); // only read
    if (size < 0 && (error == EACCES || error == EPERM)) {
        return RP_EACCES;
    }
    if (size <= 0) {
        return RP_ESRCH; // it ended meanwhile
    }
    text[size] = '\0';
    return (int)size;
}

int rpi_proc_stat_read(int64_t pid, rpi_proc_stat *ret_stat)
{
    char text[STAT_SIZE];
    int64_t fields[LAST_FIELD + 1] = {0};
    char *rest;
    int r = rpi_proc_text_read(pid, "stat", text, sizeof text);

    if (r < 0) {
        return r;
    }
    rest = strrchr(text, ')'); // the name before it may hold anything
    if (rest == NULL || strlen(rest) < 4) {
        return RP_EIO;
    }
    *ret_stat = (rpi_proc_stat){.state = rest[2]};
    rest += 3;
    for (int i = FIRST_FIELD; i <= LAST_FIELD; i++) {
        char *end = rest;

        fields[i] = strtoll(rest, &end, 10);
        if (end == rest) {
            return RP_EIO;
        }
        rest = end;
    }
    ret_stat->parent = fields[4];
    ret_stat->group = fields[5];
    ret_stat->session = fields[6];
    ret_stat->foreground = fields[8];
    ret_stat->cpu_ticks = (uint64_t)(fields[14] + fields[15] + fields[16] + fields[17]);
    ret_stat->start_ticks = (uint64_t)fields[22];
    return 0;
}

// The number behind a word at the beginning of a line.
static uint64_t number_of(const char *text, const char *word)
{
    const char *found = strstr(text, word);

    return found == NULL ? 0 : strtoull(found + strlen(word), NULL, 10);
}

uint64_t rpi_proc_disk_bytes(int64_t pid)
{
    char text[IO_SIZE];

    if (rpi_proc_text_read(pid, "io", text, sizeof text) < 0) {
        return 0;
    }
    return number_of(text, "\nread_bytes: ") + number_of(text, "\nwrite_bytes: ");
}
