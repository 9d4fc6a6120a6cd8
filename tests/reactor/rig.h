/* What the contract test needs of the world around a reactor, once with real pipes and processes
 * under a real backend (rig_system.c), once with the scripted fake (rig_fake.c). */
#ifndef RPI_TESTS_REACTOR_RIG_H
#define RPI_TESTS_REACTOR_RIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "reactor/reactor.h"

typedef struct test_rig {
    rpi_reactor reactor;
    void *world;
} test_rig;

/** A descriptor of ours and what stands behind it. */
typedef struct rig_end {
    rpi_io io;
    intptr_t peer;
    int64_t pid;
} rig_end;

/** `allocator` may be NULL. */
void rig_open(test_rig *rig, const rp_allocator *allocator);
void rig_close(test_rig *rig);
/** What must be given back after rpi_reactor_fini, where the test calls that itself. */
void rig_forget(test_rig *rig);

/** Why pipes cannot be polled here; NULL: they can. */
const char *rig_lacks_poll(void);

/** From now on the world is unkind, as far as it can be: short, late, in another order. */
void rig_unkind(test_rig *rig, uint64_t seed);

/** Time passes, where it does not by itself. */
void rig_pass(test_rig *rig, uint64_t span_ns);

/** A pipe that we read. */
void rig_source_open(test_rig *rig, rig_end *end);
/** The peer writes bytes that fit, or closes. */
void rig_feed(test_rig *rig, rig_end *end, const void *bytes, size_t size);
void rig_end_peer(test_rig *rig, rig_end *end);

/** A pipe that we write; the peer reads what is there. */
void rig_sink_open(test_rig *rig, rig_end *end);
size_t rig_drain(test_rig *rig, rig_end *end, void *bytes, size_t size);

/** A process of which we wait for the end, and its end. */
void rig_process_open(test_rig *rig, rig_end *end);
void rig_process_exit(test_rig *rig, rig_end *end);

/** What stands for a process in an io: a descriptor; below 0 where the system has none. */
intptr_t rig_process_handle(int64_t pid);

/** Forgets the io and closes both sides, as far as they are open. */
void rig_end_close(test_rig *rig, rig_end *end);

#endif
