/* The memory of rings on FreeBSD and macOS. A mirrored ring is a nameless object of shared memory,
 * mapped twice into address space that was reserved as one piece, so that nothing can come in
 * between. Mappings are not inherited by forked children. */
#ifdef __FreeBSD__
#define __BSD_VISIBLE 1
#endif
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>
#ifdef __APPLE__
#include <mach/vm_inherit.h>
#endif

#include "base/os.h"
#include "base/ring_map.h"

uint32_t rpi_ring_page_size(void)
{
    return (uint32_t)getpagesize();
}

/** Shared memory without a name: a descriptor, or -errno. */
static int open_memory(void)
{
    int fd;

#ifdef RPI_OS_FREEBSD
    fd = shm_open(SHM_ANON, O_RDWR | O_CLOEXEC, 0600);
#else
    static atomic_uint next;
    char name[32]; // macOS takes 31 characters

    (void)snprintf(name, sizeof name, "/rp.%lld.%u", (long long)rpi_os_pid(),
                   atomic_fetch_add(&next, 1));
    fd = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
    if (fd >= 0) {
        (void)shm_unlink(name); // it is ours alone from now on
    }
#endif
    return fd < 0 ? -errno : rpi_os_lift(fd);
}

/** Not for forked children: they must not share them. */
static void keep_from_children(char *memory, size_t size)
{
#ifdef INHERIT_NONE
    (void)minherit(memory, size, INHERIT_NONE); // refused: a child has them, and does not look
#else
    (void)minherit(memory, size, VM_INHERIT_NONE);
#endif
}

char *rpi_ring_map_linear(uint32_t size)
{
    char *memory = rpi_os.mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANON, -1, 0);

    if (memory == MAP_FAILED) {
        return NULL;
    }
    keep_from_children(memory, size);
    return memory;
}

void rpi_ring_unmap(char *memory, uint32_t size, bool mirrored)
{
    (void)rpi_os.munmap(memory, mirrored ? 2 * (size_t)size : size); // our own mapping
}

char *rpi_ring_map_mirrored(uint32_t size, bool *refused)
{
    char *memory;
    bool mapped = false;
    int fd;

    memory = rpi_os.mmap(NULL, 2 * (size_t)size, PROT_NONE, MAP_PRIVATE | MAP_ANON, -1, 0);
    if (memory == MAP_FAILED) {
        return NULL;
    }
    fd = open_memory();
    if (fd >= 0 && rpi_os.ftruncate(fd, size) == 0) {
        mapped = rpi_os.mmap(memory, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) !=
                     MAP_FAILED &&
                 rpi_os.mmap(memory + size, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
                             fd, 0) != MAP_FAILED;
    }
    // A lack of descriptors passes; what else there is stays.
    *refused = !mapped && fd != -EMFILE && fd != -ENFILE;
    if (fd >= 0) {
        rpi_os_close(fd); // the mappings keep what is in it
    }
    if (!mapped) {
        rpi_ring_unmap(memory, size, true);
        return NULL;
    }
    keep_from_children(memory, 2 * (size_t)size);
    return memory;
}
