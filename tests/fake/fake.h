/* A backend without an operating system, for tests: scripted peers, its own clock, and a seed that
 * decides the order of completions, how short reads and writes are, how late they come, and who
 * wins a race between a cancel and a real outcome. The same seed gives the same run.
 *
 *     fake_world world;
 *     fake_world_init(&world, seed);
 *     rpi_reactor_options options = fake_options(&world);
 *     rpi_reactor_init(&reactor, &options);
 *
 * Time passes only where the reactor waits and nothing completes. A wait without end in which
 * nothing can complete ends the test program: in the real world it would hang. */
#ifndef RPI_TESTS_FAKE_H
#define RPI_TESTS_FAKE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "reactor/reactor.h"

enum {
    FAKE_OBJECT_MAX = 64,
    FAKE_CAPACITY = 65536 /* bytes that an object holds, as a pipe */
};

/** A pipe that we read, a pipe that we write, or a process. Its index is the io's handle. */
typedef struct fake_object {
    char bytes[FAKE_CAPACITY];
    size_t count;
    bool open;
    bool peer_closed;
    bool exited;
} fake_object;

typedef struct fake_world {
    uint64_t now_ns;
    uint64_t random;
    bool short_transfers; /* reads and writes of fewer bytes than possible */
    bool late;            /* what is ready may be seen some waits later; cancels too */
    int submit_error;     /* the next submit fails with it */
    int wait_error;       /* the next wait that finds nothing fails with it */
    atomic_bool woken;
    unsigned waits;
    atomic_uint wakes;
    fake_object objects[FAKE_OBJECT_MAX];
} fake_world;

extern const rpi_backend_api fake_backend_api;

void fake_world_init(fake_world *world, uint64_t seed);
rpi_reactor_options fake_options(fake_world *world);

/** A random number below `bound`. */
uint64_t fake_random(fake_world *world, uint64_t bound);

/** The handle of a new object. */
intptr_t fake_open(fake_world *world);
void fake_close(fake_world *world, intptr_t handle);
fake_object *fake_at(fake_world *world, intptr_t handle);

/** The peer writes `size` bytes, which must fit; takes at most `size`; the number taken. */
void fake_feed(fake_world *world, intptr_t handle, const void *bytes, size_t size);
size_t fake_drain(fake_world *world, intptr_t handle, void *bytes, size_t size);

#endif
