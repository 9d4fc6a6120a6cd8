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

int rpi_proc_file_read(const char *path, char *text, size_t text_size)
{
    ssize_t size;
    int error;
    int fd;

    fd = rpi_os.open(path, O_RDONLY | O_CLOEXEC, 0);
    if (fd < 0) {
        return errno == ENOENT ? RP_ESRCH : -errno;
    }
    size = rpi_os.read(fd, text, text_size - 1);
    error = errno;
    (void)rpi_os.close(fd); // only read
    if (size == 0 || (size < 0 && error == ESRCH)) {
        return RP_ESRCH; // it ended meanwhile
    }
    if (size < 0) {
        return error == EPERM ? RP_EACCES : -error;
    }
    text[size] = '\0';
    return (int)size;
}

int rpi_proc_text_read(int64_t pid, const char *name, char *text, size_t text_size)
{
    char path[64];

    (void)snprintf(path, sizeof path, "/proc/%lld/%s", (long long)pid, name);
    return rpi_proc_file_read(path, text, text_size);
}

// What stands between the first parenthesis and the last: it may hold any itself.
static void copy_name(const char *text, const char *end, char ret_name[RPI_PROC_NAME_SIZE])
{
    const char *start = strchr(text, '(');
    size_t size = 0;

    if (start != NULL && start < end) {
        size = (size_t)(end - start) - 1;
        size = size < RPI_PROC_NAME_SIZE ? size : RPI_PROC_NAME_SIZE - 1;
        memcpy(ret_name, start + 1, size);
    }
    ret_name[size] = '\0';
}

static int stat_parse(char *rest, rpi_proc_stat *ret_stat)
{
    int64_t fields[LAST_FIELD + 1] = {0};

    if (strlen(rest) < 4) {
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
    ret_stat->terminal = (uint32_t)fields[7];
    ret_stat->foreground = fields[8];
    ret_stat->cpu_ticks = (uint64_t)(fields[14] + fields[15] + fields[16] + fields[17]);
    ret_stat->start_ticks = (uint64_t)fields[22];
    return 0;
}

int rpi_proc_stat_read_named(int64_t pid,
                             rpi_proc_stat *ret_stat,
                             char ret_name[RPI_PROC_NAME_SIZE])
{
    char text[STAT_SIZE];
    char *rest;
    int r = rpi_proc_text_read(pid, "stat", text, sizeof text);

    if (r < 0) {
        return r;
    }
    rest = strrchr(text, ')'); // the name before it may hold anything
    if (rest == NULL) {
        return RP_EIO;
    }
    if (ret_name != NULL) {
        copy_name(text, rest, ret_name);
    }
    return stat_parse(rest, ret_stat);
}

int rpi_proc_stat_read(int64_t pid, rpi_proc_stat *ret_stat)
{
    return rpi_proc_stat_read_named(pid, ret_stat, NULL);
}

const char *rpi_proc_state_word(char state)
{
    static const struct {
        char letter;
        const char *word;
    } words[] = {{'R', "running"},      {'S', "sleeping"}, {'D', "disk-sleep"}, {'T', "stopped"},
                 {'t', "tracing-stop"}, {'Z', "zombie"},   {'X', "dead"},       {'I', "idle"}};

    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (words[i].letter == state) {
            return words[i].word;
        }
    }
    return "unknown";
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
