/* How a forked child is known: FreeBSD gives it a page full of zeros instead of ours, macOS none at
 * all, so that there a forked child is known by its number, which costs a system call. */
#ifdef __FreeBSD__
#define __BSD_VISIBLE 1
#endif
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>

#include "base/os.h"
#include "reactor/parts.h"

#ifdef RPI_OS_FREEBSD

#define MARK_SIZE 4096U // whatever a page has, this is within one

const unsigned char *rpi_fork_mark_open(void)
{
    unsigned char *mark =
        rpi_os.mmap(NULL, MARK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANON, -1, 0);

    if (mark == MAP_FAILED) {
        return NULL;
    }
    if (minherit(mark, MARK_SIZE, INHERIT_ZERO) < 0) {
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

#else

const unsigned char *rpi_fork_mark_open(void)
{
    return NULL;
}

void rpi_fork_mark_close(const unsigned char *mark)
{
    (void)mark; // there never is one
}

#endif
