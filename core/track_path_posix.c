/* Where the database of tracking is: the same place as running-process 4.3.0 has it. The folder is
 * made for the user alone, as commands and folders are nobody else's business; below /tmp, where
 * anybody can have put anything, it must be the user's own. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/os.h"
#include "base/status.h"
#include "core/track.h"

#define FILE_NAME "running-process/tracked-pids.sqlite3"
#define TEMPORARY "/tmp/running-process-state"

enum {
    PRIVATE_FOLDER = 0700,
    PRIVATE_FILE = 0600
};

static bool is_blank(char byte)
{
    return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

/* `first`, `middle` and `last` in one. */
static int join(const char *first, const char *middle, const char *last, char **ret_path)
{
    const size_t size = strlen(first) + strlen(middle) + strlen(last) + 1;
    char *path = rpi_alloc(rpi_alloc_default(), size);

    if (path == NULL) {
        return -ENOMEM;
    }
    (void)snprintf(path, size, "%s%s%s", first, middle, last);
    *ret_path = path;
    return 0;
}

/* A value without the blanks around it: 0 and a copy, or NULL where nothing is left; -ENOMEM. */
static int trim(const char *value, char **ret_path)
{
    size_t size = value != NULL ? strlen(value) : 0;
    char *path = NULL;

    while (size > 0 && is_blank(value[0])) {
        value++;
        size--;
    }
    while (size > 0 && is_blank(value[size - 1])) {
        size--;
    }
    if (size > 0) {
        path = rpi_alloc(rpi_alloc_default(), size + 1);
        if (path == NULL) {
            return -ENOMEM;
        }
        memcpy(path, value, size);
        path[size] = '\0';
    }
    *ret_path = path;
    return 0;
}

/* Relative ones are to be taken for none, says the specification of these variables. */
static const char *folder_in(const char *name)
{
    const char *value = getenv(name);

    return value != NULL && value[0] == '/' ? value : NULL;
}

int rpi_track_path_find(const char *path, char **ret_path)
{
    const char *folder;
    int r;

    if (path != NULL) {
        return path[0] != '\0' ? join(path, "", "", ret_path)
                               : rpi_detail(RP_EINVAL, "path: an empty name");
    }
    r = trim(getenv("RUNNING_PROCESS_PID_DB"), ret_path);
    if (r < 0 || *ret_path != NULL) {
        return r;
    }
    folder = folder_in("XDG_STATE_HOME");
    if (folder != NULL) {
        return join(folder, "/", FILE_NAME, ret_path);
    }
    folder = folder_in("HOME");
    if (folder != NULL) {
        return join(folder, "/.local/state/", FILE_NAME, ret_path);
    }
    return join(TEMPORARY, "/", FILE_NAME, ret_path);
}

/* Whether a folder that anybody could have made is the user's own, and nobody else's to write. */
static int check_own(const char *folder)
{
    struct stat status;
    int fd = rpi_os.open(folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0);
    int r = fd < 0 ? -errno : 0;

    if (r == 0 && rpi_os.fstat(fd, &status) < 0) {
        r = -errno;
    }
    if (fd >= 0) {
        (void)rpi_os.close(fd); /* only looked at */
    }
    if (r == 0 && (status.st_uid != geteuid() || (status.st_mode & (S_IWGRP | S_IWOTH)) != 0)) {
        r = rpi_detail(-EACCES, "%s is not the user's own", folder);
    }
    return r;
}

/* Makes the folder `path[0..size)` where it is missing. */
static int make_folder(char *path, size_t size)
{
    const char cut = path[size];
    int r = 0;

    path[size] = '\0';
    if (rpi_os.mkdir(path, PRIVATE_FOLDER) < 0 && errno != EEXIST) {
        r = -errno;
        if (rpi_os_check_directory(path) == 0) {
            r = 0; /* it is there, in a folder that is not ours to write to */
        }
    }
    if (r == 0 && strcmp(path, TEMPORARY) == 0) {
        r = check_own(path);
    }
    if (r < 0) {
        r = rpi_detail(r, "%s: %s", path, rp_strerror(r));
    }
    path[size] = cut;
    return r;
}

int rpi_track_path_prepare(const char *path)
{
    char *copy = NULL;
    struct stat status;
    int r = join(path, "", "", &copy);
    size_t size;

    if (r < 0) {
        return r;
    }
    size = strlen(copy);
    for (size_t i = 1; r == 0 && i < size; i++) {
        if (copy[i] == '/') {
            r = make_folder(copy, i);
        }
    }
    rpi_free(rpi_alloc_default(), copy, size + 1);
    if (r == 0 && rpi_os.stat(path, &status) < 0) {
        r = errno == ENOENT ? 0 : rpi_detail(-errno, "%s: %s", path, rp_strerror(-errno));
    } else if (r == 0 && S_ISDIR(status.st_mode)) {
        r = rpi_detail(-EISDIR, "%s is a folder", path);
    }
    return r;
}

int rpi_track_path_exists(const char *path)
{
    struct stat status;

    if (rpi_os.stat(path, &status) < 0) {
        return errno == ENOENT || errno == ENOTDIR ? 0 : -errno;
    }
    return 1;
}

int rpi_track_path_make_file(const char *path)
{
    /* Only where there is none: to close a descriptor of a file gives up all locks that this
     * process has on it, SQLite's too. */
    int fd = rpi_os.open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, PRIVATE_FILE);

    if (fd < 0) {
        return errno == EEXIST ? 0 : -errno;
    }
    (void)rpi_os.close(fd); /* nothing was written */
    return 0;
}
