/* How a forked child is known: a page that the kernel clears in it (MADV_WIPEONFORK, Linux 4.14).
 * Reading it costs nothing, against a system call for the process's number. */
#include <stddef.h>
#include <sys/mman.h>

#include "base/os.h"
#include "reactor/parts.h"

#define MARK_SIZE 4096U /* whatever a page has, this is within one */

const unsigned char *rpi_fork_mark_open(void)
{
    unsigned char *mark =
        rpi_os.mmap(NULL, MARK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (mark == MAP_FAILED) {
        return NULL;
    }
    if (rpi_os.madvise(mark, MARK_SIZE, MADV_WIPEONFORK) < 0) {
        (void)rpi_os.munmap(mark, MARK_SIZE); // our own mapping
        return NULL;
    }
    *mark = 1;
    return mark;
}

void rpi_fork_mark_close(const unsigned char *mark)
{
    if (mark != NULL) {
        (void)rpi_os.munmap((void *)(uintptr_t)mark, MARK_SIZE); // our own mapping
    }
}
