/* The contract test's world made of the scripted fake: see rig.h and tests/fake/fake.h. */
#include <stdlib.h>

#include "tests/fake/fake.h"
#include "tests/reactor/rig.h"
#include "tests/support/check.h"

static fake_world *world_of(const test_rig *rig)
{
    return rig->world;
}

void rig_open(test_rig *rig, const rp_allocator *allocator)
{
    rpi_reactor_options options;

    rig->world = malloc(sizeof(fake_world));
    cr_assert_not_null(rig->world);
    fake_world_init(rig->world, 1);
    options = fake_options(rig->world);
    options.allocator = allocator;
    cr_assert_eq(rpi_reactor_init(&rig->reactor, &options), 0);
}

void rig_close(test_rig *rig)
{
    rpi_reactor_fini(&rig->reactor);
    rig_forget(rig);
}

void rig_forget(test_rig *rig)
{
    free(rig->world);
}

const char *rig_lacks_poll(void)
{
    return NULL;
}

void rig_unkind(test_rig *rig, uint64_t seed)
{
    world_of(rig)->random = seed;
    world_of(rig)->short_transfers = true;
    world_of(rig)->late = true;
}

void rig_pass(test_rig *rig, uint64_t span_ns)
{
    world_of(rig)->now_ns += span_ns;
}

static void open_object(test_rig *rig, rig_end *end)
{
    *end = (rig_end){0};
    end->peer = fake_open(rig->world);
    rpi_io_init(&end->io, end->peer);
}

void rig_source_open(test_rig *rig, rig_end *end)
{
    open_object(rig, end);
}

void rig_feed(test_rig *rig, rig_end *end, const void *bytes, size_t size)
{
    fake_feed(rig->world, end->peer, bytes, size);
}

void rig_end_peer(test_rig *rig, rig_end *end)
{
    fake_at(rig->world, end->peer)->peer_closed = true;
}

void rig_sink_open(test_rig *rig, rig_end *end)
{
    open_object(rig, end);
}

size_t rig_drain(test_rig *rig, rig_end *end, void *bytes, size_t size)
{
    return fake_drain(rig->world, end->peer, bytes, size);
}

void rig_process_open(test_rig *rig, rig_end *end)
{
    open_object(rig, end);
}

void rig_process_exit(test_rig *rig, rig_end *end)
{
    fake_at(rig->world, end->peer)->exited = true;
}

void rig_end_close(test_rig *rig, rig_end *end)
{
    rpi_io_forget(&rig->reactor, &end->io);
    fake_close(rig->world, end->peer);
}
