/* Reading what /proc tells of a process, without the C library's streams, and without allocating
 * but for whole files. Called by all that looks through the processes of the system or asks about
 * one: base/members_linux.c, and a dozen files in core. */
#include "base/proc_linux.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/os.h"
#include "rp/base.h"

enum {
    STAT_SIZE = 1024,
    IO_SIZE = 512,
    FIRST_FIELD = 4, // the parent, by the number that proc(5) gives it
    LAST_FIELD = 22, // the start
    PATH_SIZE = 64,
    SCRATCH_FIRST = 16 * 1024,
    /* The system lets a program begin with 6 MiB of arguments and environment; one that points it
     * elsewhere afterwards is not followed further. */
    SCRATCH_MAX = 8 * 1024 * 1024
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
    ret_stat->threads = fields[20];
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

bool rpi_proc_is_alive(const rpi_proc_stat *stat)
{
    return (stat->state != 'Z' && stat->state != 'X') || stat->threads > 1;
}

int rpi_proc_start_read(int64_t pid, uint64_t *ret_start_ticks)
{
    rpi_proc_stat stat;
    const int r = rpi_proc_stat_read(pid, &stat);

    if (r == 0) {
        *ret_start_ticks = stat.start_ticks;
    }
    return r;
}

uint64_t rpi_ticks_now(void)
{
    const uint64_t per_second = (uint64_t)sysconf(_SC_CLK_TCK);
    struct timespec now;

    (void)clock_gettime(CLOCK_BOOTTIME, &now); /* cannot fail: Linux 2.6.39 has it */
    return (uint64_t)now.tv_sec * per_second +
           (uint64_t)now.tv_nsec / (UINT64_C(1000000000) / per_second);
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

/* ---- whole files ------------------------------------------------------------------------ */

static int grow(rpi_scratch *scratch)
{
    const size_t capacity = scratch->capacity == 0 ? SCRATCH_FIRST : 2 * scratch->capacity;
    char *text = rpi_resize(scratch->allocator, scratch->text, scratch->capacity, capacity);

    if (text == NULL) {
        return -ENOMEM;
    }
    scratch->text = text;
    scratch->capacity = capacity;
    return 0;
}

/* Reads all there is, and terminates it: 0, also where it ends early; or -ENOMEM. */
static int read_all(int fd, rpi_scratch *scratch, size_t *ret_size)
{
    size_t size = 0;

    for (;;) {
        ssize_t n;

        if (size + 1 >= scratch->capacity && scratch->capacity < SCRATCH_MAX) {
            int r = grow(scratch);

            if (r < 0) {
                return r;
            }
        }
        n = rpi_os.read(fd, scratch->text + size, scratch->capacity - size - 1);
        if (n <= 0) {
            break;
        }
        size += (size_t)n;
        if (size + 1 < scratch->capacity || scratch->capacity >= SCRATCH_MAX) {
            break; /* /proc gives all that there is room for */
        }
    }
    scratch->text[size] = '\0';
    *ret_size = size;
    return 0;
}

/* The path of a process's file below /proc. By hand, as it is done for each process of the system.
 */
static const char *path_of(int64_t pid, const char *name, char path[PATH_SIZE])
{
    const size_t size = strlen(name) + 1;
    char *at = path + PATH_SIZE - size;

    memcpy(at, name, size);
    *--at = '/';
    do {
        *--at = (char)('0' + pid % 10);
        pid /= 10;
    } while (pid > 0 && at > path);
    return at;
}

int rpi_proc_whole_read(
    int proc, int64_t pid, const char *name, rpi_scratch *scratch, size_t *ret_size)
{
    char path[PATH_SIZE];
    int fd;
    int r;

    *ret_size = 0;
    if (scratch->capacity == 0) {
        r = grow(scratch);
        if (r < 0) {
            return r;
        }
    }
    scratch->text[0] = '\0';
    fd = rpi_os.openat(proc, path_of(pid, name, path), O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return errno == EMFILE || errno == ENFILE || errno == ENOMEM ? -errno : 0;
    }
    r = read_all(fd, scratch, ret_size);
    (void)rpi_os.close(fd); /* only read */
    return r;
}

void rpi_scratch_free(rpi_scratch *scratch)
{
    rpi_free(scratch->allocator, scratch->text, scratch->capacity);
    scratch->text = NULL;
    scratch->capacity = 0;
}

const char *rpi_proc_environment_find(const char *text, size_t size, const char *name)
{
    const size_t name_size = strlen(name);
    const char *end = text + size;
    const char *at = text;

    while ((size_t)(end - at) > name_size) {
        if (at[name_size] == '=' && memcmp(at, name, name_size) == 0) {
            return at + name_size + 1;
        }
        at = memchr(at, '\0', (size_t)(end - at));
        if (at == NULL) {
            break;
        }
        at++;
    }
    return NULL;
}
