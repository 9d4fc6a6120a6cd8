/* What this machine allows: descriptors, processes, memory, and where the child programs lie. A
 * case asks before it starts, and is skipped with the reason, by name and number, instead of
 * failing halfway.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "bench/bench.h"

enum {
    DESCRIPTORS_WANTED = 200000,
    DESCRIPTORS_SPARE = 200,
    CHILDREN_SPARE = 1000
};

void rpi_limits_raise(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0) {
        return;
    }
    if (limit.rlim_max < DESCRIPTORS_WANTED) {
        struct rlimit wanted = {DESCRIPTORS_WANTED, DESCRIPTORS_WANTED};

        if (setrlimit(RLIMIT_NOFILE, &wanted) == 0) {
            return;
        }
    }
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit); /* what is missing then, rpi_limits_allow tells */
}

static uint64_t number_in(const char *path)
{
    FILE *file = fopen(path, "re");
    char text[64] = "";
    uint64_t number = UINT64_MAX; /* no such limit, or "max" */

    if (file == NULL) {
        return number;
    }
    if (fgets(text, sizeof text, file) != NULL && text[0] >= '0' && text[0] <= '9') {
        number = strtoull(text, NULL, 10);
    }
    (void)fclose(file);
    return number;
}

static uint64_t field_kib(const char *path, const char *field)
{
    FILE *file = fopen(path, "re");
    size_t field_size = strlen(field);
    uint64_t kib = 0;
    char line[256];

    if (file == NULL) {
        return 0;
    }
    while (fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, field, field_size) == 0 && line[field_size] == ':') {
            kib = strtoull(line + field_size + 1, NULL, 10);
            break;
        }
    }
    (void)fclose(file);
    return kib;
}

uint64_t rpi_memory_available(void)
{
    return field_kib("/proc/meminfo", "MemAvailable") * 1024;
}

uint64_t rpi_status_bytes(const char *field)
{
    return field_kib("/proc/self/status", field) * 1024;
}

bool rpi_limits_allow(size_t children, size_t descriptors, rpi_sample *sample)
{
    struct rlimit files = {0, 0};
    struct rlimit processes = {0, 0};
    uint64_t pid_max = number_in("/proc/sys/kernel/pid_max");
    uint64_t thread_max = number_in("/proc/sys/kernel/threads-max");

    (void)getrlimit(RLIMIT_NOFILE, &files);
    (void)getrlimit(RLIMIT_NPROC, &processes);
    if (files.rlim_cur < descriptors + DESCRIPTORS_SPARE) {
        rpi_skip(sample, "needs %zu descriptors, RLIMIT_NOFILE is %llu (hard %llu)",
                 descriptors + DESCRIPTORS_SPARE, (unsigned long long)files.rlim_cur,
                 (unsigned long long)files.rlim_max);
        return false;
    }
    if (pid_max < children + CHILDREN_SPARE || thread_max < children + CHILDREN_SPARE) {
        rpi_skip(sample, "needs %zu processes, kernel.pid_max is %llu, kernel.threads-max %llu",
                 children + CHILDREN_SPARE, (unsigned long long)pid_max,
                 (unsigned long long)thread_max);
        return false;
    }
    if (geteuid() != 0 && processes.rlim_cur < children + CHILDREN_SPARE) {
        rpi_skip(sample, "needs %zu processes, RLIMIT_NPROC is %llu", children + CHILDREN_SPARE,
                 (unsigned long long)processes.rlim_cur);
        return false;
    }
    return true;
}

int rpi_program_path(const char *name, char *path, size_t path_size)
{
    char self[RPI_PATH_SIZE];
    ssize_t size = readlink("/proc/self/exe", self, sizeof self - 1);
    char *slash;

    if (size < 0) {
        return -errno;
    }
    self[size] = '\0';
    slash = strrchr(self, '/');
    if (slash == NULL) {
        return -ENOENT;
    }
    *slash = '\0';
    if ((size_t)snprintf(path, path_size, "%s/%s", self, name) >= path_size) {
        return -ENAMETOOLONG;
    }
    return access(path, R_OK) < 0 ? -errno : 0;
}

static bool is_kernel_worker(const char *task)
{
    char path[64];
    char name[32] = "";
    FILE *file;

    (void)snprintf(path, sizeof path, "/proc/self/task/%.20s/comm", task);
    file = fopen(path, "re");
    if (file != NULL) {
        (void)!fgets(name, sizeof name, file); /* a thread that ended has no name: counted */
        (void)fclose(file);
    }
    return strncmp(name, "iou-", 4) == 0;
}

unsigned rpi_thread_count(void)
{
    DIR *directory = opendir("/proc/self/task");
    const struct dirent *entry;
    unsigned count = 0;

    if (directory == NULL) {
        return 1;
    }
    while ((entry = readdir(directory)) != NULL) {
        if (entry->d_name[0] != '.' && !is_kernel_worker(entry->d_name)) {
            count++;
        }
    }
    (void)closedir(directory);
    return count;
}

void rpi_machine_text(char *text, size_t text_size)
{
    struct utsname name;
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    double loads[1] = {0.0};

    if (uname(&name) < 0) {
        (void)snprintf(text, text_size, "unknown machine");
        return;
    }
    (void)getloadavg(loads, 1);
    (void)snprintf(text, text_size, "%s %s %s, %ld processors, load %.2f at the start",
                   name.sysname, name.release, name.machine, processors, loads[0]);
}
