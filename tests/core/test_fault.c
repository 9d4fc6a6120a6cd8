/* Where memory comes from: the given allocator alone. That each of its refusals is survived is the
 * sweep's to show (tests/sweep/). */
#define _GNU_SOURCE
#include <malloc.h>
#include <string.h>

#include "tests/support/check.h"
#include "tests/support/stage.h"

/* An allocator that has nothing to do with malloc: it only ever takes the next piece. */
static void *take_piece(void *old, size_t old_size, size_t new_size, void *user)
{
    static _Alignas(16) char arena[1 << 20];
    static size_t used;
    size_t *requests = user;
    char *piece = arena + used;

    if (new_size == 0) {
        return NULL;
    }
    ++*requests;
    used += (new_size + 15) & ~(size_t)15;
    cr_assert_leq(used, sizeof arena);
    if (old_size > 0) {
        memcpy(piece, old, old_size < new_size ? old_size : new_size);
    }
    return piece;
}

static size_t heap_in_use(void)
{
    return mallinfo2().uordblks;
}

/* A life that is looked at in the middle: nothing was taken from the heap since the loop opened. */
static void check_heap(actor *self, actor_event event, rp_stream stream)
{
    (void)stream;
    if (event == ACTOR_STARTED || event == ACTOR_EXITED) {
        const size_t texts = self->data[0].capacity + self->data[1].capacity;

        cr_assert_leq(heap_in_use(), *(size_t *)self->context + texts + 256,
                      "the library took from malloc");
    }
}

BACKEND_TEST(fault, free_all_memory_comes_from_the_given_allocator)
{
    size_t requests = 0;
    const rp_allocator allocator = {take_piece, &requests};
    rp_loop_options options = RP_LOOP_OPTIONS_INIT;
    rp_command command = stage_command(CHILD("read", "5", "flood-both", "100000", "41"));
    actor child = {.hook = check_heap};
    stage on = {.loop = NULL};
    size_t before;

    options.backend = *backend;
    options.spawn_threads = RP_SPAWN_INLINE;
    cr_assert_eq(rp_loop_open(&options, &on.loop), 0); // what is found out once a program
    cr_assert_eq(rp_loop_close(on.loop), 0);
    options.allocator = &allocator;
    command.in.kind = RP_STDIO_PIPE;
    command.capture_max = 20000;
    command.capture_order = true;
    command.timeout_ns = 900 * RP_SECOND;
    command.write_max = 1 << 20;
    before = heap_in_use();
    child.context = &before;
    cr_assert_eq(rp_loop_open(&options, &on.loop), 0);
    actor_spawn(&on, &child, &command, ACTOR_DATA);
    cr_assert_eq(rp_write(child.process, (rp_view){"01234", 5}, NULL, NULL), 0);
    stage_run_until(&on, &child.counts[ACTOR_DONE], 1);
    actor_check_code(&child, 0);
    cr_assert_gt(requests, 8);
    actor_free(&child);
    cr_assert_eq(rp_loop_close(on.loop), 0);
    cr_assert_leq(heap_in_use(), before);
}
