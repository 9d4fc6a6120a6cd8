/* What a test process has and how its children are, from /proc. See stage.h. */
#define _GNU_SOURCE
#include <dirent.h>
#include <stdio.h>
#include <string.h>

#include "tests/support/check.h"
#include "tests/support/stage.h"

static int count_entries(const char *path)
{
    DIR *folder = opendir(path);
    int count = 0;

    cr_assert_not_null(folder);
    while (readdir(folder) != NULL) {
        count++;
    }
    (void)closedir(folder);
    return count;
}

stage_holdings stage_count(void)
{
    return (stage_holdings){.descriptors = count_entries("/proc/self/fd"),
                            .threads = count_entries("/proc/self/task")};
}

char stage_state(int64_t pid)
{
    char path[64];
    char text[512] = "";
    const char *rest;
    FILE *file;

    (void)snprintf(path, sizeof path, "/proc/%lld/stat", (long long)pid);
    file = fopen(path, "r");
    if (file == NULL) {
        return 'X';
    }
    if (fgets(text, sizeof text, file) == NULL) {
        text[0] = '\0';
    }
    (void)fclose(file);
    rest = strrchr(text, ')');
    return rest != NULL && rest[1] == ' ' ? rest[2] : 'X';
}
