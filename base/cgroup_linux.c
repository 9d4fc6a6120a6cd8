/* See cgroup.h: making, emptying and removing them. Waiting is by POLLPRI on cgroup.events. Where
 * they are made is cgroup_place_linux.c's. */
#include "base/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/disposable.h"
#include "base/os.h"
#include "base/raw_linux.h"
#include "rp/base.h"

enum {
    EVENTS_SIZE = 256,
    DEPTH_MAX = 32,
    SLICE_MS = 20,     /* the longest wait: `until_ns` may have come nearer */
    REMOVE_TRIES = 100 /* the last one in it may still be on his way out */
};

/* ---- files ----------------------------------------------------------------------------- */

bool rpi_cgroup_join(char path[RPI_CGROUP_PATH_SIZE], const char *folder, const char *name)
{
    const int length = snprintf(path, RPI_CGROUP_PATH_SIZE, "%s/%s", folder, name);

    return length > 0 && length < RPI_CGROUP_PATH_SIZE;
}

static int open_file(const char *folder, const char *name, int flags)
{
    char path[RPI_CGROUP_PATH_SIZE];
    int fd;

    if (!rpi_cgroup_join(path, folder, name)) {
        return -ENAMETOOLONG;
    }
    fd = rpi_os.open(path, flags | O_CLOEXEC, 0);
    return fd < 0 ? -errno : fd;
}

int rpi_cgroup_write(const char *path, const char *file, const char *text)
{
    const int fd = open_file(path, file, O_WRONLY);
    int r = 0;

    if (fd < 0) {
        return fd;
    }
    if (rpi_os.write(fd, text, strlen(text)) < 0) {
        r = -errno;
    }
    (void)rpi_os.close(fd); /* the write was the deed */
    return r;
}

int rpi_cgroup_read(const char *path, const char *file, char *text, size_t text_size)
{
    const int fd = open_file(path, file, O_RDONLY);
    ssize_t size;
    int r;

    if (fd < 0) {
        return fd;
    }
    size = rpi_os.read(fd, text, text_size - 1);
    r = size < 0 ? -errno : (int)size;
    (void)rpi_os.close(fd); /* only read */
    text[size < 0 ? 0 : size] = '\0';
    return r;
}

uint64_t rpi_cgroup_number(const char *text, const char *name)
{
    const size_t length = strlen(name);
    const char *line = text;

    while (line != NULL) {
        if (strncmp(line, name, length) == 0 && (length == 0 || line[length] == ' ')) {
            const char *digits = line + length;
            char *end = NULL;
            const uint64_t number = strtoull(digits, &end, 10);

            return end == digits ? UINT64_MAX : number;
        }
        line = strchr(line, '\n');
        line = line == NULL ? NULL : line + 1;
    }
    return UINT64_MAX;
}

/* ---- making ----------------------------------------------------------------------------- */

/* In a disposable child: whether it can enter. */
RPI_CHILD_CODE static int try_to_enter(void *argument)
{
    const long fd =
        rpi_raw(SYS_openat, AT_FDCWD, (long)(uintptr_t)argument, O_WRONLY | O_CLOEXEC, 0, 0);
    long r = fd;

    if (fd >= 0) {
        r = rpi_raw(SYS_write, fd, (long)(uintptr_t) "0", 1, 0, 0);
        (void)rpi_raw(SYS_close, fd, 0, 0, 0, 0); // the write was the deed
    }
    return r < 0 ? (int)-r : 0;
}

int rpi_cgroup_make(const char *path)
{
    char file[RPI_CGROUP_PATH_SIZE];
    int r;

    if (!rpi_cgroup_join(file, path, "cgroup.procs")) {
        return -ENAMETOOLONG;
    }
    if (rpi_os.mkdir(path, 0755) < 0) {
        return -errno;
    }
    r = open_file(path, "cgroup.kill", O_WRONLY);
    if (r >= 0) {
        (void)rpi_os.close(r); /* nothing was written */
        r = -rpi_disposable_run(try_to_enter, file, RPI_DISPOSABLE_SHARED);
        r = r > 0 ? -r : r; /* there was no child */
    } else {
        r = r == -ENOENT ? RP_EUNSUPPORTED : r;
    }
    if (r < 0) {
        (void)rpi_cgroup_remove(path); /* nobody is in it */
    }
    return r;
}

/* ---- ending ------------------------------------------------------------------------------ */

int rpi_cgroup_kill(const char *path)
{
    return rpi_cgroup_write(path, "cgroup.kill", "1");
}

static int is_populated(int events)
{
    char text[EVENTS_SIZE];
    const ssize_t size = rpi_os.pread(events, text, sizeof text - 1, 0);

    if (size < 0) {
        return -errno;
    }
    text[size] = '\0';
    return rpi_cgroup_number(text, "populated") != 0;
}

int rpi_cgroup_is_populated(const char *path)
{
    const int events = open_file(path, "cgroup.events", O_RDONLY);
    int r = events;

    if (events >= 0) {
        r = is_populated(events);
        (void)rpi_os.close(events); /* only read */
    }
    return r;
}

static int milliseconds_left(const _Atomic uint64_t *until_ns)
{
    const uint64_t at_ns = atomic_load(until_ns);
    const uint64_t now_ns = rpi_clock_now_ns();

    if (at_ns <= now_ns) {
        return 0;
    }
    return at_ns - now_ns > SLICE_MS * RP_MILLISECOND
               ? SLICE_MS
               : (int)((at_ns - now_ns) / RP_MILLISECOND) + 1;
}

int rpi_cgroup_end(const char *path, const _Atomic uint64_t *until_ns)
{
    const int events = open_file(path, "cgroup.events", O_RDONLY);
    int r;

    if (events < 0) {
        return events;
    }
    for (;;) {
        struct pollfd entry = {.fd = events, .events = POLLPRI};
        int timeout_ms = 0;

        r = is_populated(events);
        timeout_ms = milliseconds_left(until_ns);
        if (r <= 0 || timeout_ms == 0) {
            break;
        }
        r = rpi_cgroup_kill(path);
        if (r < 0) {
            break;
        }
        (void)rpi_os.poll(&entry, 1, timeout_ms); /* failed: it is asked again */
    }
    (void)rpi_os.close(events); /* only read */
    return r;
}

/* ---- those below -------------------------------------------------------------------------- */

typedef int folder_fn(const char *path, void *user);

/* Calls `each` for the folders below, and for those below them, children first. */
static int walk(const char *path, int depth, folder_fn *each, void *user)
{
    DIR *folder = depth < DEPTH_MAX ? opendir(path) : NULL;
    struct dirent *entry;
    int r = 0;

    if (folder == NULL) {
        return depth < DEPTH_MAX ? -errno : -ELOOP;
    }
    while (r == 0 && (entry = readdir(folder)) != NULL) {
        char below[RPI_CGROUP_PATH_SIZE];

        if (entry->d_type == DT_DIR && entry->d_name[0] != '.') {
            r = rpi_cgroup_join(below, path, entry->d_name) ? walk(below, depth + 1, each, user)
                                                            : -ENAMETOOLONG;
            r = r == -ENOENT ? 0 : r;
        }
    }
    (void)closedir(folder); /* only read */
    return r < 0 ? r : each(path, user);
}

static int remove_folder(const char *path, void *user)
{
    (void)user;
    return rpi_os.rmdir(path) < 0 && errno != ENOENT ? -errno : 0;
}

int rpi_cgroup_remove(const char *path)
{
    int r = remove_folder(path, NULL);

    for (int tries = 0; r == -EBUSY && tries < REMOVE_TRIES; tries++) {
        r = walk(path, 0, remove_folder, NULL);
        if (r == -EBUSY && rpi_cgroup_is_populated(path) != 0) {
            break;
        }
    }
    return r == -ENOENT ? 0 : r;
}

typedef struct listing {
    void (*each)(int64_t pid, void *user);
    void *user;
} listing;

static int list_folder(const char *path, void *user)
{
    const listing *to = user;
    char file[RPI_CGROUP_PATH_SIZE];
    char line[64];
    FILE *procs = rpi_cgroup_join(file, path, "cgroup.procs") ? fopen(file, "re") : NULL;

    while (procs != NULL && fgets(line, sizeof line, procs) != NULL) {
        const int64_t pid = strtoll(line, NULL, 10);

        if (pid > 0) { /* 0: of another namespace, which has no number for us */
            to->each(pid, to->user);
        }
    }
    if (procs != NULL) {
        (void)fclose(procs); /* only read */
    }
    return 0;
}

int rpi_cgroup_each(const char *path, void (*each)(int64_t pid, void *user), void *user)
{
    listing to = {each, user};

    return walk(path, 0, list_folder, &to);
}
