/* Making things fail on purpose: an allocator that counts, finds leaks and wrong sizes, and fails
 * the n-th request; and the table of system calls (base/os.h) with an n-th call that fails. For
 * fault loops:
 *
 *     for (unsigned n = 1;; n++) {
 *         rpi_fault_memory memory;
 *         rpi_fault_memory_init(&memory, n);
 *         int r = thing_open(&memory.allocator, &thing);
 *         if (r == 0) { thing_close(thing); }
 *         cr_assert_eq(memory.live_blocks, 0);
 *         if (!memory.fired) { break; } // a clean run: every request has failed once
 *         cr_assert_eq(r, -ENOMEM);
 *     }
 *
 * Both may be used by several threads at once; init, start, stop and fail by one. */
#ifndef RPI_TESTS_SUPPORT_FAULT_H
#define RPI_TESTS_SUPPORT_FAULT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "rp/base.h"

typedef struct rpi_fault_memory {
    rp_allocator allocator; /* hand out its address; the struct must not move */
    atomic_size_t live_blocks;
    atomic_size_t live_bytes;
    atomic_uint requests; /* for new memory or other sizes */
    unsigned fail_at;     /* which of them fails, from 1; 0 = none */
    atomic_bool fired;    /* it did */
} rpi_fault_memory;

/** `fail_at`: the request that fails, from 1; 0 = none. A release or resize with a wrong size or of
 * memory that is not its own ends the test program with a message. */
void rpi_fault_memory_init(rpi_fault_memory *memory, unsigned fail_at);

enum {
    RPI_FAULT_EVERY = 0, /* of `nth` */
    RPI_FAULT_SHORT = -1 /* of `error`: read, pread and write move one byte, where the system could
                            do that: of pipes, terminals and files */
};

/** Whether this system's table has the entry. */
bool rpi_fault_os_has(const char *entry);

/** From now on the calls of rpi_os are counted, from 0, and can be made to fail. Until the stop,
 * which is not needed where the test's process ends. */
void rpi_fault_os_start(void);
void rpi_fault_os_stop(void);

/** Makes the `nth` call from now (1 = the next; RPI_FAULT_EVERY = every one) of the entry with that
 * name
 * ("mmap"; NULL = of any entry) fail with `error`, an errno; the system is not asked then. One plan
 * an entry, and one for "any"; error 0 takes the plan back. An entry that is not in the table ends
 * the test program with a message. */
void rpi_fault_os_fail(const char *entry, unsigned nth, int error);

/** How often an entry was called since the start, failed calls too; NULL = all entries. */
unsigned rpi_fault_os_calls(const char *entry);

/** Whether any planned failure has happened since the start. */
bool rpi_fault_os_fired(void);

#endif
