/* Where cgroups are made. Our own comes from /proc: its name from /proc/self/cgroup, the place of
 * the hierarchy from /proc/self/mountinfo. A cgroup can give controllers (memory, pids) to those
 * below it only while no process is in it, unless it is the root of all. We are in ours. So where
 * the one above it is ours to divide too (systemd says so by an extended attribute; the root of a
 * cgroup namespace is its container's), they are made there, beside ours; else below ours, without
 * controllers. Called by core/, on the loop's thread. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/cgroup.h"
#include "base/clock.h"
#include "base/os.h"
#include "rp/base.h"

enum {
    LINE_SIZE = RPI_CGROUP_PATH_SIZE,
    WORDS_SIZE = 512
};

/* ---- our own --------------------------------------------------------------------------- */

/* The first line of a file of /proc that `matches`: true, and it is in `line`. */
static bool find_line(const char *path, bool (*matches)(const char *line), char line[LINE_SIZE])
{
    const int fd = rpi_os.open(path, O_RDONLY | O_CLOEXEC, 0);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "re");
    bool found = false;

    if (file == NULL && fd >= 0) {
        (void)rpi_os.close(fd); /* nothing was read */
    }
    while (file != NULL && !found && fgets(line, LINE_SIZE, file) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        found = matches(line);
    }
    if (file != NULL) {
        (void)fclose(file); /* only read */
    }
    return found;
}

static bool is_unified(const char *line)
{
    return strncmp(line, "0::/", 4) == 0;
}

static bool is_mount(const char *line)
{
    return strstr(line, " - cgroup2 ") != NULL;
}

/* Undoes what the kernel does to blanks and backslashes in the names of mounts. */
static void unescape(char *text)
{
    char *to = text;

    for (; *text != '\0'; to++) {
        if (text[0] == '\\' && text[1] >= '0' && text[1] <= '3' && text[2] != '\0' &&
            text[3] != '\0') {
            *to = (char)((text[1] - '0') * 64 + (text[2] - '0') * 8 + (text[3] - '0'));
            text += 4;
        } else {
            *to = *text++;
        }
    }
    *to = '\0';
}

/* Cuts the `index`th word, from 0, out of a line: NULL: there is none. */
static char *word_of(char *line, int index)
{
    char *word = line;

    for (; index > 0 && word != NULL; index--) {
        word = strchr(word, ' ');
        word = word == NULL ? NULL : word + 1;
    }
    if (word != NULL) {
        word[strcspn(word, " ")] = '\0';
        unescape(word);
    }
    return word;
}

typedef struct place {
    char path[RPI_CGROUP_PATH_SIZE]; /* of the cgroup that we are in */
    size_t root_length;              /* of the part of it that is the mount */
} place;

/* 0 or RP_EUNSUPPORTED. */
static int find_own(place *ret_own)
{
    char own[LINE_SIZE];
    char mount[LINE_SIZE];
    const char *name = own + 3; /* behind "0::" */
    const char *root;
    const char *at;
    size_t length;

    if (!find_line("/proc/self/cgroup", is_unified, own) ||
        !find_line("/proc/self/mountinfo", is_mount, mount)) {
        return RP_EUNSUPPORTED;
    }
    at = word_of(mount, 4); /* the later one first, as cutting ends the line */
    root = word_of(mount, 3);
    if (at == NULL || root == NULL) {
        return RP_EUNSUPPORTED;
    }
    length = strcmp(root, "/") == 0 ? 0 : strlen(root);
    if (strncmp(name, root, length) != 0 || (name[length] != '/' && name[length] != '\0')) {
        return RP_EUNSUPPORTED; /* ours is outside of what is mounted */
    }
    name += length;
    length = strlen(name);
    if (length > 0 && name[length - 1] == '/') {
        own[strlen(own) - 1] = '\0';
    }
    if (snprintf(ret_own->path, sizeof ret_own->path, "%s%s", at, name) >=
        (int)sizeof ret_own->path) {
        return RP_EUNSUPPORTED;
    }
    ret_own->root_length = strlen(at);
    return 0;
}

/* ---- controllers ------------------------------------------------------------------------ */

bool rpi_cgroup_lists(const char *path, const char *file, const char *word)
{
    char text[WORDS_SIZE];
    const size_t length = strlen(word);

    if (rpi_cgroup_read(path, file, text, sizeof text) < 0) {
        return false;
    }
    for (const char *at = text; (at = strstr(at, word)) != NULL; at += length) {
        const bool begins = at == text || at[-1] == ' ';

        if (begins && (at[length] == ' ' || at[length] == '\n' || at[length] == '\0')) {
            return true;
        }
    }
    return false;
}

static bool has_file(const char *path, const char *file)
{
    char text[2];

    return rpi_cgroup_read(path, file, text, sizeof text) >= 0;
}

bool rpi_cgroup_is_root(const char *path)
{
    return !has_file(path, "cgroup.type");
}

static bool has_processes(const char *path)
{
    char text[2];

    return rpi_cgroup_read(path, "cgroup.procs", text, sizeof text) != 0;
}

int rpi_cgroup_offer(const char *path, const char *controller)
{
    char text[64];

    if (rpi_cgroup_lists(path, "cgroup.subtree_control", controller)) {
        return 0;
    }
    if (!rpi_cgroup_lists(path, "cgroup.controllers", controller)) {
        return RP_EUNSUPPORTED;
    }
    if (!rpi_cgroup_is_root(path) && has_processes(path)) {
        return -EBUSY; /* pids could be had, and would make those below unusable for processes */
    }
    (void)snprintf(text, sizeof text, "+%s", controller);
    return rpi_cgroup_write(path, "cgroup.subtree_control", text);
}

/* ---- the place --------------------------------------------------------------------------- */

static bool is_delegated(const char *path)
{
    static const char *const names[] = {"user.delegate", "trusted.delegate"};
    char value[8];

    for (int i = 0; i < 2; i++) {
        if (rpi_os.getxattr(path, names[i], value, sizeof value) > 0 && value[0] == '1') {
            return true;
        }
    }
    return false;
}

static bool has_controllers(const char *path)
{
    return rpi_cgroup_lists(path, "cgroup.controllers", "memory") ||
           rpi_cgroup_lists(path, "cgroup.controllers", "pids");
}

static bool is_writable(const char *path)
{
    char file[RPI_CGROUP_PATH_SIZE];
    const int fd = rpi_cgroup_join(file, path, "cgroup.procs")
                       ? rpi_os.open(file, O_WRONLY | O_CLOEXEC, 0)
                       : -1;

    if (fd >= 0) {
        (void)rpi_os.close(fd); /* nothing was written */
    }
    return fd >= 0;
}

/* Goes up by one, where that is better. */
static void choose(place *own)
{
    char *slash = strrchr(own->path, '/');
    bool is_top = false;

    if (slash == NULL || slash < own->path + own->root_length || rpi_cgroup_is_root(own->path)) {
        return;
    }
    *slash = '\0';
    is_top = slash == own->path + own->root_length;
    if ((!is_delegated(own->path) && !(is_top && !rpi_cgroup_is_root(own->path))) ||
        !has_controllers(own->path) || !is_writable(own->path)) {
        *slash = '/';
    }
}

int rpi_cgroup_name(const char *name, char ret_path[RPI_CGROUP_PATH_SIZE])
{
    char path[RPI_CGROUP_PATH_SIZE];
    place own;
    const int r = find_own(&own);

    if (r < 0) {
        return r;
    }
    choose(&own);
    if (!rpi_cgroup_join(path, own.path, name)) {
        return -ENAMETOOLONG;
    }
    memcpy(ret_path, path, sizeof path);
    return 0;
}

bool rpi_cgroup_is_usable(void)
{
    char name[64];
    char path[RPI_CGROUP_PATH_SIZE];

    (void)snprintf(name, sizeof name, "running-process.%lld.%llx.probe", (long long)rpi_os_pid(),
                   (unsigned long long)rpi_clock_now_ns());
    return rpi_cgroup_name(name, path) == 0 && rpi_cgroup_make(path) == 0 &&
           rpi_cgroup_remove(path) == 0;
}
