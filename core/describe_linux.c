/* See describe_linux.h. Called by find_linux.c, family_linux.c and holders_linux.c. */
#include "core/describe_linux.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/os.h"
#include "core/environment.h"

enum {
    PATH_SIZE = 64,
    SCRATCH_FIRST = 16 * 1024,
    /* The system lets a program begin with 6 MiB of arguments and environment; one that points it
     * elsewhere afterwards is not followed further. */
    SCRATCH_MAX = 8 * 1024 * 1024
};

int rpi_describer_open(rpi_describer **ret_describer)
{
    rpi_describer *describer = rpi_alloc_zero(rpi_alloc_default(), sizeof *describer);

    if (describer == NULL) {
        return -ENOMEM;
    }
    describer->folder = rpi_os.open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    if (describer->folder < 0) {
        const int r = -errno;

        rpi_free(rpi_alloc_default(), describer, sizeof *describer);
        return r;
    }
    *ret_describer = describer;
    return 0;
}

void rpi_describer_close(rpi_describer *describer)
{
    (void)rpi_os.close(describer->folder); /* only read from */
    rpi_free(rpi_alloc_default(), describer->environment.text, describer->environment.capacity);
    rpi_free(rpi_alloc_default(), describer->command.text, describer->command.capacity);
    rpi_free(rpi_alloc_default(), describer, sizeof *describer);
}

/* ---- whole files ------------------------------------------------------------------------ */

static int grow(rpi_scratch *scratch)
{
    const size_t capacity = scratch->capacity == 0 ? SCRATCH_FIRST : 2 * scratch->capacity;
    char *text = rpi_resize(rpi_alloc_default(), scratch->text, scratch->capacity, capacity);

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

/* One of the process's files, "environ" or "cmdline"; empty where it cannot be read. */
static int read_text(
    rpi_describer *describer, rpi_scratch *scratch, int64_t pid, const char *name, size_t *ret_size)
{
    char path[PATH_SIZE];
    int fd;
    int r;

    if (scratch->capacity == 0) {
        r = grow(scratch);
        if (r < 0) {
            return r;
        }
    }
    fd = rpi_os.openat(describer->folder, path_of(pid, name, path), O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        scratch->text[0] = '\0';
        *ret_size = 0;
        return 0;
    }
    r = read_all(fd, scratch, ret_size);
    (void)rpi_os.close(fd); /* only read */
    return r;
}

/* ---- originators ------------------------------------------------------------------------ */

/* The value of the first entry of that name, terminated by its own NUL or the end; NULL: none. */
static const char *find_value(const char *text, size_t size)
{
    static const char pattern[] = "\0" RPI_ORIGINATOR_NAME "=";
    const size_t name_size = sizeof pattern - 2; /* without the NULs on both sides */
    const char *at = text;
    const char *end = text + size;

    if (size >= name_size && memcmp(text, pattern + 1, name_size) == 0) {
        return text + name_size;
    }
    while ((at = memchr(at, '\0', (size_t)(end - at))) != NULL) {
        if ((size_t)(end - at) <= name_size) {
            return NULL;
        }
        if (memcmp(at, pattern, name_size + 1) == 0) {
            return at + name_size + 1;
        }
        at++;
    }
    return NULL;
}

int rpi_describe_originator(rpi_describer *describer, int64_t pid, const char **ret_value)
{
    size_t size = 0;
    int r = read_text(describer, &describer->environment, pid, "environ", &size);

    if (r == 0) {
        *ret_value = find_value(describer->environment.text, size);
        *ret_value = *ret_value != NULL ? *ret_value : "";
    }
    return r;
}

int64_t rpi_originator_pid(const char *value)
{
    const char *colon = strrchr(value, ':');
    int64_t pid = 0;

    if (colon == NULL || colon == value || colon[1] == '\0') {
        return 0;
    }
    for (const char *at = colon + 1; *at != '\0'; at++) {
        if (*at < '0' || *at > '9') {
            return 0;
        }
        pid = pid * 10 + (*at - '0');
        if (pid > UINT32_MAX) {
            return 0;
        }
    }
    return pid;
}

bool rpi_lived_at(int64_t pid, uint64_t start_ticks)
{
    rpi_proc_stat stat;

    return rpi_proc_stat_read(pid, &stat) == 0 && stat.start_ticks <= start_ticks &&
           stat.state != 'Z' && stat.state != 'X';
}

/* ---- all of it -------------------------------------------------------------------------- */

/* The arguments with blanks between them; the name where there are none. */
static int describe_command(rpi_describer *describer, int64_t pid, const char **ret_command)
{
    size_t size = 0;
    int r = read_text(describer, &describer->command, pid, "cmdline", &size);
    char *text = describer->command.text;

    if (r < 0) {
        return r;
    }
    while (size > 0 && text[size - 1] == '\0') {
        size--;
    }
    for (size_t i = 0; i < size; i++) {
        text[i] = text[i] != '\0' ? text[i] : ' ';
    }
    *ret_command = size > 0 ? text : describer->name;
    return 0;
}

static const char *describe_cwd(rpi_describer *describer, int64_t pid)
{
    char path[64];
    ssize_t size;

    (void)snprintf(path, sizeof path, "/proc/%lld/cwd", (long long)pid);
    size = rpi_os.readlink(path, describer->cwd, sizeof describer->cwd - 1);
    describer->cwd[size > 0 ? size : 0] = '\0';
    return describer->cwd;
}

int rpi_describe(rpi_describer *describer, const rpi_identity *of, rp_process_info *ret_info)
{
    rpi_proc_stat stat;
    rp_process_info info = {.kind = ""};
    int r = rpi_describe_originator(describer, of->pid, &info.originator);

    r = r < 0 ? r : describe_command(describer, of->pid, &info.command);
    if (r < 0) {
        return r;
    }
    info.cwd = describe_cwd(describer, of->pid);
    /* Last: if it is still there, all that was read before is its own. */
    r = rpi_proc_stat_read_named(of->pid, &stat, describer->name);
    if (r < 0) {
        return r;
    }
    if (!rpi_identity_fits(of, &stat)) {
        return RP_ESRCH;
    }
    info.id = rpi_identity_public(of);
    info.parent_pid = stat.parent;
    info.parent_alive = stat.parent > 0 && rpi_lived_at(stat.parent, stat.start_ticks);
    info.name = describer->name;
    info.state = rpi_proc_state_word(stat.state);
    *ret_info = info;
    return 0;
}
