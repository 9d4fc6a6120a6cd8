/* See scan_linux.h. The entries are read as the kernel packs them, without the C library's DIR. */
#include "base/scan_linux.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/os.h"
#include "rp/base.h"

/* What stands in front of each name; the kernel's struct linux_dirent64. */
typedef struct entry_head {
    uint64_t inode;
    int64_t next;
    uint16_t size;
    uint8_t type;
} entry_head;

#define NAME_OFFSET (offsetof(entry_head, type) + 1)

static int scan_open(rpi_scan *scan, const char *path)
{
    scan->offset = 0;
    scan->size = 0;
    scan->folder = rpi_os.open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    return scan->folder < 0 ? -errno : 0;
}

int rpi_scan_open(rpi_scan *scan)
{
    return scan_open(scan, "/proc");
}

static int open_of_process(rpi_scan *scan, int64_t pid, const char *folder)
{
    char path[64];
    int r;

    (void)snprintf(path, sizeof path, "/proc/%lld/%s", (long long)pid, folder);
    r = scan_open(scan, path);
    return r == -ENOENT ? RP_ESRCH : r;
}

int rpi_scan_open_descriptors(rpi_scan *scan, int64_t pid)
{
    return open_of_process(scan, pid, "fd");
}

int rpi_scan_open_threads(rpi_scan *scan, int64_t pid)
{
    return open_of_process(scan, pid, "task");
}

/* Whether the name is a number: that. */
static bool number_of(const char *name, int64_t *ret_number)
{
    int64_t number = 0;
    size_t i = 0;

    for (; name[i] >= '0' && name[i] <= '9' && i < 18; i++) {
        number = number * 10 + (name[i] - '0');
    }
    *ret_number = number;
    return i > 0 && name[i] == '\0';
}

static int fill(rpi_scan *scan)
{
    ssize_t size = rpi_os.getdents64(scan->folder, scan->entries, sizeof scan->entries);

    if (size < 0) {
        /* ESRCH, ENOENT: the process whose descriptors they are ended meanwhile. */
        return errno == ESRCH || errno == ENOENT ? 0 : -errno;
    }
    scan->offset = 0;
    scan->size = (size_t)size;
    return size > 0;
}

int rpi_scan_next(rpi_scan *scan, int64_t *ret_number)
{
    for (;;) {
        const char *entry = scan->entries + scan->offset;
        entry_head head;
        int r;

        if (scan->offset >= scan->size) {
            r = fill(scan);
            if (r <= 0) {
                return r;
            }
            continue;
        }
        memcpy(&head, entry, NAME_OFFSET);
        scan->offset += head.size;
        if (number_of(entry + NAME_OFFSET, ret_number)) {
            return 1;
        }
    }
}

void rpi_scan_close(rpi_scan *scan)
{
    (void)rpi_os.close(scan->folder); /* read only: nothing can be lost */
}
