/* See fake_cgroup.h. */
#define _GNU_SOURCE
#include "tests/group/fake_cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/os.h"
#include "tests/support/check.h"

enum {
    PATH_SIZE = 512
};

static struct {
    rpi_os_table real;
    char base[64]; /* holds the root and what /proc says */
    char root[80];
    char last[PATH_SIZE];
    atomic_uint count;
} fake;

static void put(const char *folder, const char *file, const char *text)
{
    char path[PATH_SIZE];
    FILE *to;

    (void)snprintf(path, sizeof path, "%s/%s", folder, file);
    to = fopen(path, "we");
    cr_assert_not_null(to, "%s", path);
    cr_assert_geq(fputs(text, to), 0);
    cr_assert_eq(fclose(to), 0);
}

static void get(const char *folder, const char *file, char text[PATH_SIZE])
{
    char path[PATH_SIZE];
    FILE *from;
    size_t size;

    (void)snprintf(path, sizeof path, "%s/%s", folder, file);
    from = fopen(path, "re");
    cr_assert_not_null(from, "%s", path);
    size = fread(text, 1, PATH_SIZE - 1, from);
    text[size] = '\0';
    (void)fclose(from); /* only read */
}

static const char *const names[] = {"cgroup.procs",       "cgroup.events",
                                    "cgroup.kill",        "cgroup.type",
                                    "cgroup.controllers", "cgroup.subtree_control",
                                    "cpu.stat",           "memory.max",
                                    "memory.oom.group",   "memory.swap.max",
                                    "memory.events",      "pids.max",
                                    "pids.events",        NULL};

/* What a folder gets with these controllers. */
static void give(const char *folder, const char *controllers)
{
    put(folder, "cgroup.controllers", controllers);
    if (strstr(controllers, "memory") != NULL) {
        put(folder, "memory.max", "max\n");
        put(folder, "memory.oom.group", "0\n");
        put(folder, "memory.swap.max", "max\n");
        put(folder, "memory.events", "oom 0\noom_kill 0\n");
    }
    if (strstr(controllers, "pids") != NULL) {
        put(folder, "pids.max", "max\n");
        put(folder, "pids.events", "max 0\n");
    }
}

static void fill(const char *folder, const char *controllers)
{
    put(folder, "cgroup.procs", "");
    put(folder, "cgroup.events", "populated 0\nfrozen 0\n");
    put(folder, "cgroup.kill", "");
    put(folder, "cgroup.type", "domain\n");
    put(folder, "cgroup.subtree_control", "");
    put(folder, "cpu.stat", "usage_usec 0\n");
    give(folder, controllers);
}

static bool is_inside(const char *path)
{
    return strncmp(path, fake.root, strlen(fake.root)) == 0;
}

/* ---- the calls --------------------------------------------------------------------------- */

static bool ends_with(const char *path, const char *end)
{
    const size_t length = strlen(path);

    return length >= strlen(end) && strcmp(path + length - strlen(end), end) == 0;
}

static int fake_open(const char *path, int flags, mode_t mode)
{
    char other[PATH_SIZE];

    if (strcmp(path, "/proc/self/cgroup") == 0 || strcmp(path, "/proc/self/mountinfo") == 0) {
        (void)snprintf(other, sizeof other, "%s/%s", fake.base, strrchr(path, '/') + 1);
        path = other;
    } else if (is_inside(path) && ends_with(path, "/cgroup.procs") &&
               (flags & O_ACCMODE) == O_RDONLY && strstr(path, "running-process") != NULL) {
        (void)truncate(path, 0); /* who entered is not there: the kernel would list nobody dead */
    }
    return fake.real.open(path, flags, mode);
}

static int fake_mkdir(const char *path, mode_t mode)
{
    const int r = fake.real.mkdir(path, mode);
    char above[PATH_SIZE];
    char controllers[PATH_SIZE];

    if (r == 0 && is_inside(path)) {
        (void)snprintf(above, sizeof above, "%s", path);
        *strrchr(above, '/') = '\0';
        get(above, "cgroup.subtree_control", controllers);
        fill(path, controllers);
        (void)snprintf(fake.last, sizeof fake.last, "%s", path);
        atomic_fetch_add(&fake.count, 1);
    }
    return r;
}

static bool has_folders(const char *path)
{
    DIR *all = opendir(path);
    const struct dirent *entry;
    bool found = false;

    cr_assert_not_null(all);
    while (!found && (entry = readdir(all)) != NULL) {
        found = entry->d_type == DT_DIR && entry->d_name[0] != '.';
    }
    (void)closedir(all); /* only read */
    return found;
}

static int fake_rmdir(const char *path)
{
    char events[PATH_SIZE];
    char file[PATH_SIZE];
    int r;

    if (!is_inside(path) || access(path, F_OK) < 0) {
        return fake.real.rmdir(path);
    }
    get(path, "cgroup.events", events);
    if (strstr(events, "populated 1") != NULL || has_folders(path)) {
        errno = EBUSY;
        return -1;
    }
    for (int i = 0; names[i] != NULL; i++) {
        (void)snprintf(file, sizeof file, "%s/%s", path, names[i]);
        (void)unlink(file); /* some are not there */
    }
    r = fake.real.rmdir(path);
    if (r == 0) {
        atomic_fetch_sub(&fake.count, 1);
    }
    return r;
}

/* Those below a folder get what it hands down by now. */
static void hand_down(const char *folder)
{
    char controllers[PATH_SIZE];
    DIR *all = opendir(folder);
    const struct dirent *entry;

    get(folder, "cgroup.subtree_control", controllers);
    cr_assert_not_null(all);
    while ((entry = readdir(all)) != NULL) {
        char below[2 * PATH_SIZE];

        if (entry->d_type == DT_DIR && entry->d_name[0] != '.') {
            (void)snprintf(below, sizeof below, "%s/%s", folder, entry->d_name);
            give(below, controllers);
        }
    }
    (void)closedir(all); /* only read */
}

/* "+memory" adds to what stands there. */
static ssize_t fake_write(int fd, const void *memory, size_t size)
{
    const char *text = memory;
    char link[64];
    char folder[PATH_SIZE];
    ssize_t length;

    if (size > 1 && text[0] == '+' && text[1] != ' ') {
        (void)lseek(fd, 0, SEEK_END);
        (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        length = readlink(link, folder, sizeof folder - 1);
        cr_assert_gt(length, 0);
        folder[length] = '\0';
        *strrchr(folder, '/') = '\0';
        cr_assert_eq(fake.real.write(fd, text + 1, size - 1), (ssize_t)size - 1);
        cr_assert_eq(fake.real.write(fd, " ", 1), 1);
        hand_down(folder);
        return (ssize_t)size;
    }
    return fake.real.write(fd, memory, size);
}

/* ---- the tree ----------------------------------------------------------------------------- */

void fake_cgroup_open(const char *own, const char *controllers, bool is_root)
{
    char text[PATH_SIZE];

    memset(&fake, 0, sizeof fake);
    (void)snprintf(fake.base, sizeof fake.base, "/tmp/rp-cgroup-XXXXXX");
    cr_assert_not_null(mkdtemp(fake.base));
    (void)snprintf(fake.root, sizeof fake.root, "%s/root", fake.base);
    fake.real = rpi_os;
    cr_assert_eq(mkdir(fake.root, 0755), 0);
    fill(fake.root, controllers);
    if (is_root) {
        (void)snprintf(text, sizeof text, "%s/cgroup.type", fake.root);
        cr_assert_eq(unlink(text), 0);
    }
    (void)snprintf(text, sizeof text, "0::%s\n", own);
    put(fake.base, "cgroup", text);
    (void)snprintf(text, sizeof text, "30 1 0:30 / %s rw - cgroup2 cgroup2 rw\n", fake.root);
    put(fake.base, "mountinfo", text);
    (void)snprintf(text, sizeof text, "%s%s", fake.root, own);
    if (strcmp(own, "/") != 0) {
        cr_assert_eq(mkdir(text, 0755), 0);
        fill(text, controllers);
    }
    put(text, "cgroup.procs", "1\n");
    rpi_os.open = fake_open;
    rpi_os.mkdir = fake_mkdir;
    rpi_os.rmdir = fake_rmdir;
    rpi_os.write = fake_write;
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *where)
{
    (void)status;
    (void)kind;
    (void)where;
    return remove(path);
}

void fake_cgroup_close(void)
{
    rpi_os = fake.real;
    cr_assert_eq(atomic_load(&fake.count), 0, "cgroups are left");
    (void)nftw(fake.base, remove_one, 8,
               FTW_DEPTH | FTW_PHYS); /* in /tmp: what stays does no harm */
}

const char *fake_cgroup_last(void)
{
    cr_assert_neq(fake.last[0], '\0');
    return fake.last;
}

unsigned int fake_cgroup_count(void)
{
    return atomic_load(&fake.count);
}

void fake_cgroup_set(const char *folder, const char *file, const char *text)
{
    char path[PATH_SIZE];
    FILE *to;

    (void)snprintf(path, sizeof path, "%s/%s", folder, file);
    to = fopen(path, "r+e");
    cr_assert_not_null(to, "%s", path);
    cr_assert_geq(fputs(text, to), 0);
    cr_assert_eq(fclose(to), 0);
}

void fake_cgroup_check(const char *folder, const char *file, const char *text)
{
    char is[PATH_SIZE];

    get(folder, file, is);
    cr_assert_eq(strncmp(is, text, strlen(text)), 0, "%s/%s: \"%s\"", folder, file, is);
}
