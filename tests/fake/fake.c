/* See fake.h. Used by the contract test, and by tests of other rooms that want a reactor without a
 * system under it. */
#include "tests/fake/fake.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

typedef struct fake_backend {
    rpi_backend base;
    fake_world *world; /* borrowed */
} fake_backend;

static fake_world *world_of(rpi_backend *backend)
{
    return ((fake_backend *)(void *)backend)->world;
}

/* splitmix64 */
uint64_t fake_random(fake_world *world, uint64_t bound)
{
    uint64_t value = world->random += UINT64_C(0x9e3779b97f4a7c15);

    value = (value ^ (value >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    value = (value ^ (value >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (value ^ (value >> 31)) % bound;
}

static bool coin(fake_world *world)
{
    return fake_random(world, 2) == 0;
}

void fake_world_init(fake_world *world, uint64_t seed)
{
    memset(world, 0, sizeof *world);
    world->random = seed;
    world->now_ns = RP_SECOND;
    atomic_init(&world->woken, false);
}

static uint64_t fake_clock_ns(void *user)
{
    return ((fake_world *)user)->now_ns;
}

intptr_t fake_open(fake_world *world)
{
    intptr_t handle;

    for (handle = 0; handle < FAKE_OBJECT_MAX; handle++) {
        if (!world->objects[handle].open) {
            memset(&world->objects[handle], 0, sizeof world->objects[handle]);
            world->objects[handle].open = true;
            return handle;
        }
    }
    RP_ASSERT(handle < FAKE_OBJECT_MAX);
    return -1;
}

fake_object *fake_at(fake_world *world, intptr_t handle)
{
    RP_ASSERT(handle >= 0 && handle < FAKE_OBJECT_MAX && world->objects[handle].open);
    return &world->objects[handle];
}

void fake_close(fake_world *world, intptr_t handle)
{
    fake_at(world, handle)->open = false;
}

void fake_feed(fake_world *world, intptr_t handle, const void *bytes, size_t size)
{
    fake_object *object = fake_at(world, handle);

    RP_ASSERT(size <= FAKE_CAPACITY - object->count);
    memcpy(object->bytes + object->count, bytes, size);
    object->count += size;
}

size_t fake_drain(fake_world *world, intptr_t handle, void *bytes, size_t size)
{
    fake_object *object = fake_at(world, handle);

    size = size < object->count ? size : object->count;
    memcpy(bytes, object->bytes, size);
    object->count -= size;
    memmove(object->bytes, object->bytes + size, object->count);
    return size;
}

/* ---- what an operation would do now ---- */

#define NOT_YET INT32_MIN

static size_t transfer_size(fake_world *world, size_t possible)
{
    if (world->short_transfers && possible > 1) {
        return 1 + (size_t)fake_random(world, possible);
    }
    return possible;
}

static int32_t try_read(fake_world *world, fake_object *object, const rpi_op *op)
{
    size_t size = op->size < object->count ? op->size : object->count;

    if (size == 0) {
        return object->peer_closed ? 0 : NOT_YET;
    }
    size = transfer_size(world, size);
    return (int32_t)fake_drain(world, op->io->handle, op->data, size);
}

static int32_t try_write(fake_world *world, fake_object *object, const rpi_op *op)
{
    size_t room = FAKE_CAPACITY - object->count;
    size_t size = op->size < room ? op->size : room;

    if (object->peer_closed) {
        return -EPIPE;
    }
    if (size == 0) {
        return NOT_YET;
    }
    size = transfer_size(world, size);
    fake_feed(world, op->io->handle, op->data, size);
    return (int32_t)size;
}

static int32_t try_poll(const fake_object *object, const rpi_op *op)
{
    uint32_t ready = 0;

    ready |= object->count > 0 || object->peer_closed ? RP_READABLE : 0U;
    ready |= object->count < FAKE_CAPACITY || object->peer_closed ? RP_WRITABLE : 0U;
    ready &= op->size;
    return ready != 0 ? (int32_t)ready : NOT_YET;
}

static int32_t try_operation(fake_world *world, const rpi_op *op)
{
    fake_object *object = fake_at(world, op->io->handle);

    // A race that the cancel wins at once; else the outcome, if there is one, comes first.
    if (op->cancelled && coin(world)) {
        return RP_ECANCELED;
    }
    switch ((rpi_op_kind)op->kind) {
    case RPI_OP_READ:
        return try_read(world, object, op);
    case RPI_OP_WRITE:
        return try_write(world, object, op);
    case RPI_OP_POLL:
        return try_poll(object, op);
    case RPI_OP_READABLE:
        return object->count > 0 || object->peer_closed ? RP_READABLE : NOT_YET;
    case RPI_OP_EXIT:
        return object->exited ? 0 : NOT_YET;
    }
    return NOT_YET;
}

/* ---- the backend ---- */

static int open_fake(rpi_reactor *reactor, rpi_backend **ret_backend)
{
    fake_backend *self = rpi_alloc_zero(reactor->allocator, sizeof *self);

    if (self == NULL) {
        return RP_ENOMEM;
    }
    self->base.api = &fake_backend_api;
    self->base.reactor = reactor;
    self->world = reactor->clock_user;
    *ret_backend = &self->base;
    return 0;
}

static void close_fake(rpi_backend *backend)
{
    RP_ASSERT(backend->reactor->pending == 0);
    rpi_free(backend->reactor->allocator, backend, sizeof(fake_backend));
}

static int submit_fake(rpi_backend *backend, rpi_op *op)
{
    fake_world *world = world_of(backend);
    int r = world->submit_error;

    world->submit_error = 0;
    if (r == 0) {
        (void)fake_at(world, op->io->handle); // it is an open one
    }
    return r;
}

static void cancel_fake(rpi_backend *backend, rpi_op *op)
{
    (void)backend; // op->cancelled says it; the next wait decides the race
    RP_ASSERT(op->cancelled);
}

static void forget_fake(rpi_backend *backend, rpi_io *io)
{
    rpi_list *operations = &backend->reactor->operations;
    rpi_list *node;

    for (node = operations->next; node != operations; node = node->next) {
        RP_ASSERT(RPI_CONTAINER(node, rpi_op, node)->io != io);
    }
}

static int flush_fake(rpi_backend *backend)
{
    (void)backend; // what was submitted is known at once
    return 0;
}

/* Goes once through what is pending, in an order of its own; the number of completions. */
static unsigned complete_some(fake_backend *self, bool late)
{
    rpi_list *operations = &self->base.reactor->operations;
    rpi_list mixed;
    rpi_list *node;
    unsigned count = 0;

    rpi_list_init(&mixed);
    while ((node = rpi_list_take_first(operations)) != NULL) {
        if (coin(self->world)) {
            rpi_list_append(&mixed, node);
        } else {
            rpi_list_prepend(&mixed, node);
        }
    }
    while ((node = rpi_list_take_first(&mixed)) != NULL) {
        rpi_op *op = RPI_CONTAINER(node, rpi_op, node);
        int32_t result = NOT_YET;

        rpi_list_append(operations, node);
        if (!late || coin(self->world)) {
            result = try_operation(self->world, op);
        }
        if (result != NOT_YET) {
            rpi_reactor_complete(self->base.reactor, op, result);
            count++;
        }
    }
    return count;
}

static bool has_cancelled(rpi_reactor *reactor)
{
    rpi_list *node;

    for (node = reactor->operations.next; node != &reactor->operations; node = node->next) {
        if (RPI_CONTAINER(node, rpi_op, node)->cancelled) {
            return true;
        }
    }
    return false;
}

static int wait_fake(rpi_backend *backend, uint64_t timeout_ns)
{
    fake_backend *self = (fake_backend *)(void *)backend;
    fake_world *world = self->world;
    unsigned count = complete_some(self, world->late);

    world->waits++;
    // Who sleeps is woken by what was late, at last; and a cancel is answered sooner or later.
    while (count == 0 && timeout_ns > 0 && has_cancelled(backend->reactor)) {
        count = complete_some(self, false);
    }
    if (count == 0 && timeout_ns > 0) {
        count = complete_some(self, false);
    }
    if (atomic_exchange(&world->woken, false) || count > 0) {
        return 0;
    }
    if (world->wait_error != 0) {
        int r = world->wait_error;

        world->wait_error = 0;
        return r;
    }
    if (timeout_ns == RP_FOREVER) {
        (void)fprintf(stderr, "fake: waits for ever, and nothing can happen\n");
        abort();
    }
    world->now_ns += timeout_ns;
    return 0;
}

static void wake_fake(rpi_backend *backend)
{
    world_of(backend)->wakes++;
    atomic_store(&world_of(backend)->woken, true);
}

static intptr_t fd_of_fake(rpi_backend *backend)
{
    (void)backend; // nothing that another loop could wait on
    return RP_EUNSUPPORTED;
}

const rpi_backend_api fake_backend_api = {
    .name = "fake",
    .id = RP_BACKEND_AUTO,
    .open = open_fake,
    .close = close_fake,
    .submit = submit_fake,
    .cancel = cancel_fake,
    .forget = forget_fake,
    .flush = flush_fake,
    .wait = wait_fake,
    .wake = wake_fake,
    .fd = fd_of_fake,
};

rpi_reactor_options fake_options(fake_world *world)
{
    return (rpi_reactor_options){
        .backend_api = &fake_backend_api, .clock = fake_clock_ns, .clock_user = world};
}
