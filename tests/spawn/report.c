/* The child that the spawn tests run: it says what it was born with. Built as a static program
 * without sanitizers, so that it starts fast and has no descriptor of its own. Modes:
 *
 *     exit CODE        ends with CODE
 *     fds              one line for each open descriptor: "NUMBER TARGET"
 *     status           one line "NAME VALUE" for each attribute (see print_status)
 *     map SIZE...      0 when descriptor i is a file of the i-th size (-1: closed), none of them is
 *                      closed on exec, and nothing else is open below 64; else 1
 *     count            how many descriptors are open below 1024, as the exit code
 *     arguments ...    its arguments, one a line, argv[0] first
 *     variable NAME    the variable's value, or nothing and exit code 1
 *     cat              copies standard input to standard output
 *     both             "out" to standard output, "err" to standard error
 *     sleep            until standard input ends */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static int print_fds(void)
{
    DIR *directory = opendir("/proc/self/fd");
    struct dirent *entry;

    if (directory == NULL) {
        return 1;
    }
    while ((entry = readdir(directory)) != NULL) {
        char target[256];
        const int fd = (int)strtol(entry->d_name, NULL, 10);
        ssize_t size;

        if (entry->d_name[0] == '.' || fd == dirfd(directory)) {
            continue;
        }
        size = readlinkat(dirfd(directory), entry->d_name, target, sizeof target - 1);
        target[size < 0 ? 0 : size] = '\0';
        printf("%d %s\n", fd, target);
    }
    closedir(directory);
    return 0;
}

static void print_signals(void)
{
    FILE *file = fopen("/proc/self/status", "r");
    char line[256];

    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        unsigned long long set;

        if (sscanf(line, "SigBlk: %llx", &set) == 1) {
            printf("blocked %llx\n", set);
        } else if (sscanf(line, "SigIgn: %llx", &set) == 1) {
            printf("ignored %llx\n", set);
        } else if (sscanf(line, "SigCgt: %llx", &set) == 1) {
            printf("caught %llx\n", set);
        }
    }
    if (file != NULL) {
        fclose(file);
    }
}

static int print_status(void)
{
    char cwd[4096];
    gid_t groups[64];
    struct rlimit limit;
    const mode_t mask = umask(0);
    const int group_count = getgroups(64, groups);
    int i;

    print_signals();
    printf("pid %d\npgid %d\nsid %d\n", getpid(), getpgrp(), getsid(0));
    printf("uid %u\neuid %u\ngid %u\negid %u\n", getuid(), geteuid(), getgid(), getegid());
    printf("groups");
    for (i = 0; i < group_count; i++) {
        printf(" %u", groups[i]);
    }
    printf("\numask %03o\n", (unsigned)mask);
    printf("nice %d\n", getpriority(PRIO_PROCESS, 0));
    getrlimit(RLIMIT_NOFILE, &limit);
    printf("nofile %llu %llu\n", (unsigned long long)limit.rlim_cur,
           (unsigned long long)limit.rlim_max);
    getrlimit(RLIMIT_CORE, &limit);
    printf("core %llu\n", (unsigned long long)limit.rlim_cur);
    printf("cwd %s\n", getcwd(cwd, sizeof cwd) == NULL ? "?" : cwd);
    return 0;
}

static int check_map(int count, char **sizes)
{
    int fd;

    for (fd = 0; fd < 64; fd++) {
        const long wanted = fd < count ? strtol(sizes[fd], NULL, 10) : -1;
        struct stat status;

        if (fstat(fd, &status) < 0 ? wanted != -1 : status.st_size != wanted) {
            return 1;
        }
        if (wanted != -1 && fcntl(fd, F_GETFD) != 0) {
            return 1;
        }
    }
    return 0;
}

static int count_fds(void)
{
    int count = 0;
    int fd;

    for (fd = 0; fd < 1024; fd++) {
        count += fcntl(fd, F_GETFD) >= 0;
    }
    return count;
}

static int copy_input(int output)
{
    char buffer[4096];
    ssize_t size;

    while ((size = read(0, buffer, sizeof buffer)) > 0) {
        if (output >= 0 && write(output, buffer, (size_t)size) != size) {
            return 1;
        }
    }
    return size < 0;
}

int main(int argc, char **argv)
{
    const char *mode = argc > 1 ? argv[1] : "exit";
    int i;

    if (strcmp(mode, "exit") == 0) {
        return argc > 2 ? (int)strtol(argv[2], NULL, 10) : 0;
    }
    if (strcmp(mode, "fds") == 0) {
        return print_fds();
    }
    if (strcmp(mode, "status") == 0) {
        return print_status();
    }
    if (strcmp(mode, "map") == 0) {
        return check_map(argc - 2, argv + 2);
    }
    if (strcmp(mode, "count") == 0) {
        return count_fds();
    }
    if (strcmp(mode, "arguments") == 0) {
        for (i = 0; i < argc; i++) {
            printf("%s\n", argv[i]);
        }
        return 0;
    }
    if (strcmp(mode, "variable") == 0 && argc > 2) {
        return getenv(argv[2]) == NULL ? 1 : puts(getenv(argv[2])) < 0;
    }
    if (strcmp(mode, "cat") == 0 || strcmp(mode, "sleep") == 0) {
        return copy_input(mode[0] == 'c' ? 1 : -1);
    }
    if (strcmp(mode, "both") == 0) {
        return write(1, "out", 3) != 3 || write(2, "err", 3) != 3;
    }
    fprintf(stderr, "report: no such mode: %s\n", mode);
    return 125;
}
