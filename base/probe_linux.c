/* Tries io_uring out. What a kernel lacks or an administrator forbids answers with an error, and
 * trying is harmless. Only a seccomp filter may end the process for it (SIGSYS): where one is
 * installed, a disposable child tries. Set-up may be allowed and entering refused, so both are
 * tried. */
#include "base/probe.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/prctl.h>

#include "base/disposable.h"
#include "base/os.h"
#include "base/raw_linux.h"

#ifndef SYS_io_uring_setup
#define SYS_io_uring_setup 425
#define SYS_io_uring_enter 426
#endif

/** struct io_uring_params, whose header older systems lack: 120 bytes, of which only this is set.
 */
typedef struct ring_parameters {
    uint32_t sq_entries, cq_entries, flags, rest[27];
} ring_parameters;
_Static_assert(sizeof(ring_parameters) == 120, "the kernel's struct has this size");

enum {
    RING_SINGLE_ISSUER = 1 << 12, // IORING_SETUP_SINGLE_ISSUER, Linux 6.0
    RING_DEFER_TASKRUN = 1 << 13, // IORING_SETUP_DEFER_TASKRUN, Linux 6.1
    RING_GET_EVENTS = 1 << 0,     // IORING_ENTER_GETEVENTS
    RING_ENTRIES = 2,
};

/** 0 or -errno, through the table. */
static int try_here(void)
{
    ring_parameters parameters = {.flags = RING_SINGLE_ISSUER | RING_DEFER_TASKRUN};
    int result;
    int ring = rpi_os.io_uring_setup(RING_ENTRIES, (struct io_uring_params *)(void *)&parameters);

    if (ring < 0) {
        return ring;
    }
    result = rpi_os.io_uring_enter(ring, 0, 0, RING_GET_EVENTS, NULL, 0);
    (void)rpi_os.close(ring); // made to be thrown away
    return result < 0 ? result : 0;
}

/** The same in the disposable child, whose end closes the ring: 0 or the errno. */
RPI_CHILD_CODE static int try_in_child(void *argument)
{
    ring_parameters parameters = {.flags = RING_SINGLE_ISSUER | RING_DEFER_TASKRUN};
    long ring;
    long result;

    (void)argument; // it needs nothing
    ring = rpi_raw(SYS_io_uring_setup, RING_ENTRIES, (long)(uintptr_t)&parameters, 0, 0, 0);
    if (ring < 0) {
        return (int)-ring;
    }
    result = rpi_raw(SYS_io_uring_enter, ring, 0, 0, RING_GET_EVENTS, 0);
    return result < 0 ? (int)-result : 0;
}

/** Whether a filter of system calls is installed on this thread; yes where that cannot be known. */
static bool is_filtered(void)
{
    return prctl(PR_GET_SECCOMP, 0, 0, 0, 0) != 0;
}

int rpi_probe_uring(void)
{
    enum {
        UNKNOWN = 1
    };
    static atomic_int known = UNKNOWN;
    int result = atomic_load_explicit(&known, memory_order_relaxed);

    if (result != UNKNOWN) {
        return result;
    }
    if (is_filtered()) {
        result = rpi_disposable_run(try_in_child, NULL, RPI_DISPOSABLE_SHARED);
        result = result > 0 ? -result : result;
    } else {
        result = try_here();
    }
    // Two threads may both have tried, and found the same. What may be otherwise later is not kept.
    if (result != -ENOMEM && result != -EMFILE && result != -ENFILE && result != -EAGAIN) {
        atomic_store_explicit(&known, result, memory_order_relaxed);
    }
    return result;
}
