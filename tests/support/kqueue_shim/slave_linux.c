/* Finds out whether this process holds the other side of a terminal: on macOS a master that is
 * registered before is at its end from then on. See shim_linux.c. */
#define _GNU_SOURCE
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "tests/support/kqueue_shim/shim.h"

bool rpi_kqueue_shim_has_slave(int master)
{
    DIR *folder = opendir("/proc/self/fd");
    const struct dirent *entry;
    char wanted[32];
    char target[64];
    unsigned number;
    bool is_found = false;

    if (folder == NULL || ioctl(master, TIOCGPTN, &number) < 0) {
        abort(); // a test that cannot be run is none
    }
    (void)snprintf(wanted, sizeof wanted, "/dev/pts/%u", number);
    while (!is_found && (entry = readdir(folder)) != NULL) {
        const ssize_t size = readlinkat(dirfd(folder), entry->d_name, target, sizeof target - 1);

        if (size > 0) {
            target[size] = '\0';
            is_found = strcmp(target, wanted) == 0;
        }
    }
    (void)closedir(folder);
    return is_found;
}
