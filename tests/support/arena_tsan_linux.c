/* Lets Criterion run under ThreadSanitizer on x86-64. Criterion hands a test to its worker process
 * through memory that it maps at a random fixed address; ThreadSanitizer reserves nearly all such
 * addresses for its own shadow and ends the program. So the two calls it uses for this, mmap and
 * mincore, are answered here: the address it picked counts as free, and the mapping is put where
 * the sanitizer expects the program's own memory. Linked into each test program of a
 * thread-sanitized build. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

/* The addresses Criterion picks from, and the beginning of a range that is the program's in the
 * sanitizer's layout. */
#define PICKED_FIRST UINT64_C(0x200000000000)
#define PICKED_END UINT64_C(0x7f0000000000)
#define ALLOWED_FIRST UINT64_C(0x550000000000)
#define ALLOWED_STEP (UINT64_C(1) << 30)

void *__interceptor_mmap(void *address, size_t size, int protection, int flags, int fd, off_t at);
void *mmap64(void *address, size_t size, int protection, int flags, int fd, off_t at);
int mincore(void *address, size_t size, unsigned char *ret_pages);

static bool is_picked(const void *address)
{
    return (uintptr_t)address >= PICKED_FIRST && (uintptr_t)address < PICKED_END;
}

/* The worker maps the same memory again, but privately: that one already has an address that is
 * allowed. */
void *mmap64(void *address, size_t size, int protection, int flags, int fd, off_t at)
{
    static uint64_t next = ALLOWED_FIRST;
    const int arena = MAP_SHARED | MAP_FIXED;

    if (fd >= 0 && (flags & arena) == arena && is_picked(address)) {
        address = (void *)(uintptr_t)__atomic_fetch_add(&next, ALLOWED_STEP, __ATOMIC_RELAXED);
    }
    return __interceptor_mmap(address, size, protection, flags, fd, at);
}

int mincore(void *address, size_t size, unsigned char *ret_pages)
{
    if (is_picked(address)) {
        errno = ENOMEM; /* "nothing is mapped there" */
        return -1;
    }
    return (int)syscall(SYS_mincore, address, size, ret_pages);
}
