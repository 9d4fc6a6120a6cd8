/* See files.h. Called by record.c and diagnosis.c. */
#include "cli/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <rp/rp.h>

int64_t rpi_cli_wall_us(void)
{
    struct timespec now = {0};

    (void)timespec_get(&now, TIME_UTC); /* without a clock: 1970 */
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static struct tm parts_of(int64_t wall_us)
{
    const time_t seconds = (time_t)(wall_us / 1000000);
    struct tm parts = {.tm_mday = 1};

    (void)gmtime_r(&seconds, &parts); /* a year beyond all calendars: 1900 */
    return parts;
}

void rpi_cli_utc_stamp(int64_t wall_us, char text[RPI_CLI_UTC_SIZE])
{
    const struct tm parts = parts_of(wall_us);

    if (strftime(text, RPI_CLI_UTC_SIZE, "%Y%m%dT%H%M%SZ", &parts) == 0) {
        text[0] = '\0';
    }
}

void rpi_cli_utc_iso(int64_t wall_us, char text[RPI_CLI_UTC_SIZE])
{
    const struct tm parts = parts_of(wall_us);
    const size_t length = strftime(text, RPI_CLI_UTC_SIZE, "%Y-%m-%dT%H:%M:%S", &parts);

    (void)snprintf(text + length, RPI_CLI_UTC_SIZE - length, ".%06d+00:00",
                   (int)(wall_us % 1000000));
}

/* Each folder on the way to the file; `path` is put back as it was. */
static int make_folders(char *path)
{
    for (char *at = strchr(path + 1, '/'); at != NULL; at = strchr(at + 1, '/')) {
        int r;

        *at = '\0';
        r = mkdir(path, 0777) < 0 && errno != EEXIST ? -errno : 0;
        *at = '/';
        if (r < 0) {
            return r;
        }
    }
    return 0;
}

static int write_whole(int fd, const char *bytes, size_t size)
{
    while (size > 0) {
        const ssize_t written = write(fd, bytes, size);

        if (written < 0 && errno != EINTR) {
            return -errno;
        }
        if (written > 0) {
            bytes += written;
            size -= (size_t)written;
        }
    }
    return 0;
}

static int write_file(char *path, const void *bytes, size_t size)
{
    int r = make_folders(path);
    int fd;

    if (r < 0) {
        return r;
    }
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) {
        return -errno;
    }
    r = write_whole(fd, bytes, size);
    if (close(fd) < 0 && r == 0) {
        r = -errno;
    }
    if (r < 0) {
        (void)unlink(path); /* half of it misleads */
    }
    return r;
}

int rpi_cli_file_write(
    const char *folder, const char *name, const void *bytes, size_t size, char **ret_path)
{
    const size_t path_size = strlen(folder) + strlen(name) + 2;
    char *path = malloc(path_size);
    int r;

    if (path == NULL) {
        return RP_ENOMEM;
    }
    (void)snprintf(path, path_size, "%s/%s", folder, name);
    r = write_file(path, bytes, size);
    if (r < 0) {
        free(path);
        return r;
    }
    *ret_path = path;
    return 0;
}
