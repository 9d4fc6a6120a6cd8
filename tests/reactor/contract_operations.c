/* The contract of operations (reactor/op.h), rule by rule, built against every backend: see rig.h.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/reactor/contract.h"
#include "tests/support/check.h"

TestSuite(operations, .timeout = 60);

/* A read that counts its completions and, where asked to, begins again until the end. */
typedef struct test_reader {
    rpi_op op;
    test_rig *rig;
    int calls;
    int32_t last;
    bool again;
    bool inside_start; /* rpi_op_start has not returned */
    unsigned char bytes[4096];
    size_t total;
    uint32_t sum;
} test_reader;

static void start_read(test_reader *reader)
{
    reader->inside_start = true;
    cr_assert_eq(rpi_op_start(&reader->rig->reactor, &reader->op), 0);
    reader->inside_start = false;
}

static void on_read(rpi_op *op)
{
    test_reader *self = RPI_CONTAINER(op, test_reader, op);
    int32_t i;

    cr_assert(rpi_op_is_idle(op));
    cr_assert_not(self->inside_start);
    self->calls++;
    self->last = op->result;
    for (i = 0; i < op->result; i++) {
        self->sum = self->sum * 31 + self->bytes[i];
    }
    if (op->result > 0) {
        self->total += (size_t)op->result;
        if (self->again) {
            start_read(self);
        }
    }
}

static void reader_init(test_reader *self, test_rig *rig, rig_end *end)
{
    memset(self, 0, sizeof *self);
    self->rig = rig;
    rpi_op_init(&self->op, RPI_OP_READ, &end->io, on_read);
    self->op.data = self->bytes;
    self->op.size = sizeof self->bytes;
}

Test(operations, complete_once_and_never_from_inside_the_start)
{
    test_rig rig;
    rig_end end;
    test_reader reader;
    int i;

    rig_open(&rig, NULL);
    rig_source_open(&rig, &end);
    reader_init(&reader, &rig, &end);
    rig_feed(&rig, &end, "hello", 5);
    start_read(&reader);
    cr_assert_eq(reader.calls, 0);
    UNTIL(&rig, reader.calls > 0);
    cr_assert_eq(reader.last, 5);
    cr_assert_eq(memcmp(reader.bytes, "hello", 5), 0);
    for (i = 0; i < 10; i++) {
        cr_assert_eq(rpi_reactor_turn(&rig.reactor, 0), 0);
    }
    cr_assert_eq(reader.calls, 1);
    rig_end_close(&rig, &end);
    rig_close(&rig);
}

Test(operations, wait_for_bytes_that_come_later)
{
    test_rig rig;
    rig_end end;
    test_reader reader;

    rig_open(&rig, NULL);
    rig_source_open(&rig, &end);
    reader_init(&reader, &rig, &end);
    start_read(&reader);
    cr_assert_eq(rpi_reactor_turn(&rig.reactor, 0), 0);
    cr_assert_eq(rpi_reactor_turn(&rig.reactor, RP_MILLISECOND), 0);
    cr_assert_eq(reader.calls, 0);
    rig_feed(&rig, &end, "x", 1);
    UNTIL(&rig, reader.calls > 0);
    cr_assert_eq(reader.last, 1);
    rig_end_close(&rig, &end);
    rig_close(&rig);
}

Test(operations, may_begin_again_from_done_until_the_end_of_file)
{
    test_rig rig;
    rig_end end;
    test_reader reader;
    unsigned char chunk[1000];
    uint32_t sum = 0;
    size_t fed = 0;
    size_t i;

    rig_open(&rig, NULL);
    rig_unkind(&rig, 7);
    rig_source_open(&rig, &end);
    reader_init(&reader, &rig, &end);
    reader.again = true;
    start_read(&reader);
    while (fed < 200000) {
        for (i = 0; i < sizeof chunk; i++) {
            chunk[i] = (unsigned char)((fed + i) * 2654435761U >> 13);
            sum = sum * 31 + chunk[i];
        }
        rig_feed(&rig, &end, chunk, sizeof chunk);
        fed += sizeof chunk;
        UNTIL(&rig, reader.total == fed);
    }
    rig_end_peer(&rig, &end);
    UNTIL(&rig, reader.last == 0);
    cr_assert_eq(reader.total, fed);
    cr_assert_eq(reader.sum, sum);
    // The end of file stays.
    start_read(&reader);
    reader.last = -1;
    UNTIL(&rig, reader.last == 0);
    rig_end_close(&rig, &end);
    rig_close(&rig);
}

Test(operations, deliver_what_was_written_before_the_end)
{
    test_rig rig;
    rig_end end;
    test_reader reader;

    rig_open(&rig, NULL);
    rig_source_open(&rig, &end);
    reader_init(&reader, &rig, &end);
    reader.again = true;
    rig_feed(&rig, &end, "last words", 10);
    rig_end_peer(&rig, &end);
    start_read(&reader);
    UNTIL(&rig, reader.last == 0 && reader.calls > 0);
    cr_assert_eq(reader.total, 10);
    rig_end_close(&rig, &end);
    rig_close(&rig);
}

typedef struct test_owner {
    rpi_op op;
    rig_end end;
    test_rig *rig;
    int *calls;
    char byte;
} test_owner;

static void on_owner(rpi_op *op)
{
    test_owner *self = RPI_CONTAINER(op, test_owner, op);

    ++*self->calls;
    rig_end_close(self->rig, &self->end);
    free(self);
}

Test(operations, let_done_free_their_owner)
{
    test_rig rig;
    int calls = 0;
    int i;

    rig_open(&rig, NULL);
    for (i = 0; i < 20; i++) {
        test_owner *owner = malloc(sizeof *owner);

        cr_assert_not_null(owner);
        owner->rig = &rig;
        owner->calls = &calls;
        rig_source_open(&rig, &owner->end);
        rpi_op_init(&owner->op, RPI_OP_READ, &owner->end.io, on_owner);
        owner->op.data = &owner->byte;
        owner->op.size = 1;
        cr_assert_eq(rpi_op_start(&rig.reactor, &owner->op), 0);
        rig_feed(&rig, &owner->end, "abc", 3);
    }
    UNTIL(&rig, calls == 20);
    rig_close(&rig);
}

Test(operations, end_with_canceled_when_cancelled)
{
    test_rig rig;
    rig_end end;
    test_reader reader;

    rig_open(&rig, NULL);
    rig_source_open(&rig, &end);
    reader_init(&reader, &rig, &end);
    start_read(&reader);
    (void)rpi_reactor_turn(&rig.reactor, 0);
    rpi_op_cancel(&rig.reactor, &reader.op);
    rpi_op_cancel(&rig.reactor, &reader.op);
    cr_assert_eq(reader.calls, 0); // not from inside the cancel
    UNTIL(&rig, reader.calls > 0);
    cr_assert_eq(reader.last, RP_ECANCELED);
    cr_assert_eq(reader.calls, 1);
    // The descriptor serves on.
    rig_feed(&rig, &end, "on", 2);
    start_read(&reader);
    UNTIL(&rig, reader.calls == 2);
    cr_assert_eq(reader.last, 2);
    rig_end_close(&rig, &end);
    rig_close(&rig);
}

Test(operations, may_be_cancelled_before_the_system_has_seen_them)
{
    test_rig rig;
    rig_end end;
    test_reader reader;

    rig_open(&rig, NULL);
    rig_source_open(&rig, &end);
    reader_init(&reader, &rig, &end);
    start_read(&reader);
    rpi_op_cancel(&rig.reactor, &reader.op);
    UNTIL(&rig, reader.calls > 0);
    cr_assert_eq(reader.last, RP_ECANCELED);
    rig_end_close(&rig, &end);
    rig_close(&rig);
}

Test(operations, ignore_a_cancel_when_idle)
{
    test_rig rig;
    rig_end end;
    test_reader reader;

    rig_open(&rig, NULL);
    rig_source_open(&rig, &end);
    reader_init(&reader, &rig, &end);
    rpi_op_cancel(&rig.reactor, &reader.op);
    cr_assert_eq(rpi_reactor_turn(&rig.reactor, 0), 0);
    cr_assert_eq(reader.calls, 0);
    rig_end_close(&rig, &end);
    rig_close(&rig);
}

/* Ends in done what became ready in the same wait. */
typedef struct test_rival {
    test_reader reader;
    struct test_rival *other;
} test_rival;

static void on_rival(rpi_op *op)
{
    test_rival *self = RPI_CONTAINER(op, test_rival, reader.op);

    on_read(op);
    rpi_op_cancel(&self->reader.rig->reactor, &self->other->reader.op);
}

Test(operations, keep_a_real_outcome_that_is_ready_when_cancelled)
{
    test_rig rig;
    rig_end ends[2];
    test_rival rivals[2];
    int i;

    rig_open(&rig, NULL);
    for (i = 0; i < 2; i++) {
        rig_source_open(&rig, &ends[i]);
        reader_init(&rivals[i].reader, &rig, &ends[i]);
        rivals[i].reader.op.done = on_rival;
        rivals[i].other = &rivals[1 - i];
        rig_feed(&rig, &ends[i], "42", 2);
        start_read(&rivals[i].reader);
    }
    UNTIL(&rig, rivals[0].reader.calls == 1 && rivals[1].reader.calls == 1);
    cr_assert_eq(rivals[0].reader.last, 2);
    cr_assert_eq(rivals[1].reader.last, 2);
    rig_end_close(&rig, &ends[0]);
    rig_end_close(&rig, &ends[1]);
    rig_close(&rig);
}

Test(operations, lose_no_byte_to_a_cancel)
{
    const uint32_t words = 20000;
    test_rig rig;
    rig_end end;
    test_reader reader;
    uint32_t fed = 0;
    uint32_t got = 0;
    uint32_t canceled = 0;
    uint32_t seed = 12345;
    uint32_t i;

    rig_open(&rig, NULL);
    rig_unkind(&rig, 99);
    rig_source_open(&rig, &end);
    reader_init(&reader, &rig, &end);
    reader.op.size = sizeof got;
    while (got < words * sizeof got) {
        start_read(&reader);
        seed = seed * 1664525 + 1013904223;
        if (fed < words && seed >> 31 != 0) {
            rig_feed(&rig, &end, &fed, sizeof fed);
            fed++;
        }
        if ((seed & 0x40000000) != 0) {
            (void)rpi_reactor_turn(&rig.reactor, 0);
        }
        rpi_op_cancel(&rig.reactor, &reader.op);
        UNTIL(&rig, rpi_op_is_idle(&reader.op));
        canceled += reader.last == RP_ECANCELED;
        for (i = 0; (int32_t)i < reader.last; i++, got++) {
            // byte `got % 4` of word `got / 4`
            uint32_t word = got / 4;

            cr_assert_eq(reader.bytes[i], ((unsigned char *)&word)[got % 4]);
        }
    }
    cr_assert_eq(fed, words);
    cr_assert_gt(canceled, words / 10);
    rig_end_close(&rig, &end);
    rig_close(&rig);
}

static void on_any(rpi_op *op)
{
    (void)op;
}

Test(operations, write_what_fits_and_wait_for_room)
{
    static unsigned char out[300000];
    static unsigned char in[sizeof out];
    test_rig rig;
    rig_end end;
    rpi_op op;
    size_t sent = 0;
    size_t received = 0;
    bool waited = false;
    size_t i;

    for (i = 0; i < sizeof out; i++) {
        out[i] = (unsigned char)(i * 2654435761U >> 11);
    }
    rig_open(&rig, NULL);
    rig_unkind(&rig, 5);
    rig_sink_open(&rig, &end);
    rpi_op_init(&op, RPI_OP_WRITE, &end.io, on_any);
    while (received < sizeof out) {
        if (rpi_op_is_idle(&op)) {
            if (op.data != NULL) {
                cr_assert_gt(op.result, 0);
                sent += (size_t)op.result;
                op.data = NULL;
            }
            if (sent < sizeof out) {
                op.data = out + sent;
                op.size = (uint32_t)(sizeof out - sent);
                cr_assert_eq(rpi_op_start(&rig.reactor, &op), 0);
                cr_assert_not(rpi_op_is_idle(&op));
            }
        }
        if (rpi_reactor_turn(&rig.reactor, 0) == 0) {
            waited = waited || op.state == RPI_OP_PENDING;
            received += rig_drain(&rig, &end, in + received, 10000);
        }
    }
    cr_assert(waited); // it was full at times
    cr_assert_eq(memcmp(in, out, sizeof out), 0);
    UNTIL(&rig, rpi_op_is_idle(&op));
    rig_end_close(&rig, &end);
    rig_close(&rig);
}

Test(operations, fail_to_write_to_nobody)
{
    test_rig rig;
    rig_end end;
    rpi_op op;

    rig_open(&rig, NULL);
    rig_sink_open(&rig, &end);
    rig_end_peer(&rig, &end);
    rpi_op_init(&op, RPI_OP_WRITE, &end.io, on_any);
    op.data = (void *)(uintptr_t) "x";
    op.size = 1;
    cr_assert_eq(rpi_op_start(&rig.reactor, &op), 0);
    UNTIL(&rig, rpi_op_is_idle(&op));
    cr_assert_eq(op.result, RP_EPIPE);
    rig_end_close(&rig, &end);
    rig_close(&rig);
}

Test(operations, poll_tells_what_is_ready)
{
    test_rig rig;
    rig_end source;
    rig_end sink;
    rpi_op op;

    if (rig_lacks_poll() != NULL) {
        cr_skip_test("%s", rig_lacks_poll());
    }
    rig_open(&rig, NULL);
    rig_source_open(&rig, &source);
    rpi_op_init(&op, RPI_OP_POLL, &source.io, on_any);
    op.size = RP_READABLE;
    cr_assert_eq(rpi_op_start(&rig.reactor, &op), 0);
    cr_assert_eq(rpi_reactor_turn(&rig.reactor, RP_MILLISECOND), 0);
    rig_feed(&rig, &source, "x", 1);
    UNTIL(&rig, rpi_op_is_idle(&op));
    cr_assert_eq(op.result, RP_READABLE);
    // Nothing was read: it is ready still.
    cr_assert_eq(rpi_op_start(&rig.reactor, &op), 0);
    UNTIL(&rig, rpi_op_is_idle(&op));
    cr_assert_eq(op.result, RP_READABLE);
    rig_end_peer(&rig, &source);
    cr_assert_eq(rpi_op_start(&rig.reactor, &op), 0);
    UNTIL(&rig, rpi_op_is_idle(&op));
    cr_assert_eq(op.result, RP_READABLE);
    rig_end_close(&rig, &source);

    rig_sink_open(&rig, &sink);
    rpi_op_init(&op, RPI_OP_POLL, &sink.io, on_any);
    op.size = RP_WRITABLE;
    cr_assert_eq(rpi_op_start(&rig.reactor, &op), 0);
    UNTIL(&rig, rpi_op_is_idle(&op));
    cr_assert_eq(op.result, RP_WRITABLE);
    rig_end_peer(&rig, &sink);
    cr_assert_eq(rpi_op_start(&rig.reactor, &op), 0);
    UNTIL(&rig, rpi_op_is_idle(&op));
    cr_assert_eq(op.result, RP_WRITABLE);
    rig_end_close(&rig, &sink);
    rig_close(&rig);
}

Test(operations, readable_waits_for_what_an_owner_reads_by_itself)
{
    test_rig rig;
    rig_end source;
    test_reader reader;
    rpi_op op;
    int i;

    rig_open(&rig, NULL);
    rig_source_open(&rig, &source);
    reader_init(&reader, &rig, &source);
    rpi_op_init(&op, RPI_OP_READABLE, &source.io, on_any);
    op.size = RPI_MAY_HAVE_MORE;
    cr_assert_eq(rpi_op_start(&rig.reactor, &op), 0);
    cr_assert_eq(rpi_reactor_turn(&rig.reactor, RP_MILLISECOND), 0);
    for (i = 1; i <= 20; i++) {
        rig_feed(&rig, &source, "xyz", 3);
        UNTIL(&rig, rpi_op_is_idle(&op));
        cr_assert_eq(op.result, RP_READABLE);
        // Not read yet: it has something still, and says so again.
        op.size = RPI_MAY_HAVE_MORE;
        cr_assert_eq(rpi_op_start(&rig.reactor, &op), 0);
        UNTIL(&rig, rpi_op_is_idle(&op));
        cr_assert_eq(op.result, RP_READABLE);
        start_read(&reader);
        UNTIL(&rig, reader.calls == i);
        cr_assert_eq(reader.last, 3);
        // Empty now: it waits for the next bytes.
        op.size = RPI_WAS_EMPTY;
        cr_assert_eq(rpi_op_start(&rig.reactor, &op), 0);
        cr_assert_eq(rpi_reactor_turn(&rig.reactor, RP_MILLISECOND), 0);
        cr_assert(!rpi_op_is_idle(&op));
    }
    rig_end_peer(&rig, &source);
    UNTIL(&rig, rpi_op_is_idle(&op));
    cr_assert_eq(op.result, RP_READABLE, "end of file is something to read");
    op.size = RPI_MAY_HAVE_MORE;
    cr_assert_eq(rpi_op_start(&rig.reactor, &op), 0);
    UNTIL(&rig, rpi_op_is_idle(&op));
    cr_assert_eq(op.result, RP_READABLE);
    rig_end_close(&rig, &source);
    rig_close(&rig);
}

Test(operations, poll_and_read_take_turns_on_one_descriptor)
{
    test_rig rig;
    rig_end end;
    test_reader reader;
    rpi_op poll;
    int i;

    if (rig_lacks_poll() != NULL) {
        cr_skip_test("%s", rig_lacks_poll());
    }
    rig_open(&rig, NULL);
    rig_source_open(&rig, &end);
    reader_init(&reader, &rig, &end);
    rpi_op_init(&poll, RPI_OP_POLL, &end.io, on_any);
    poll.size = RP_READABLE;
    for (i = 1; i <= 20; i++) {
        cr_assert_eq(rpi_op_start(&rig.reactor, &poll), 0);
        cr_assert_eq(rpi_reactor_turn(&rig.reactor, 0), 0);
        rig_feed(&rig, &end, "xyz", 3);
        UNTIL(&rig, rpi_op_is_idle(&poll));
        start_read(&reader);
        UNTIL(&rig, reader.calls == 2 * i - 1);
        cr_assert_eq(reader.last, 3);
        start_read(&reader);
        cr_assert_eq(rpi_reactor_turn(&rig.reactor, 0), 0);
        rig_feed(&rig, &end, "1", 1);
        UNTIL(&rig, reader.calls == 2 * i);
        cr_assert_eq(reader.last, 1);
    }
    rig_end_close(&rig, &end);
    rig_close(&rig);
}

typedef struct test_order {
    rpi_op read;
    rpi_op exit;
    char byte;
    int calls;
    int read_at;
    int exit_at;
} test_order;

static void on_order_read(rpi_op *op)
{
    test_order *self = RPI_CONTAINER(op, test_order, read);

    self->read_at = ++self->calls;
}

static void on_order_exit(rpi_op *op)
{
    test_order *self = RPI_CONTAINER(op, test_order, exit);

    self->exit_at = ++self->calls;
}

Test(operations, tell_an_exit_once_and_after_the_bytes_of_the_same_wait)
{
    test_rig rig;
    rig_end process;
    rig_end source;
    test_order order = {.calls = 0};

    rig_open(&rig, NULL);
    rig_process_open(&rig, &process);
    rig_source_open(&rig, &source);
    rpi_op_init(&order.exit, RPI_OP_EXIT, &process.io, on_order_exit);
    order.exit.size = (uint32_t)process.pid;
    rpi_op_init(&order.read, RPI_OP_READ, &source.io, on_order_read);
    order.read.data = &order.byte;
    order.read.size = 1;
    cr_assert_eq(rpi_op_start(&rig.reactor, &order.exit), 0);
    cr_assert_eq(rpi_op_start(&rig.reactor, &order.read), 0);
    cr_assert_eq(rpi_reactor_turn(&rig.reactor, 0), 0);
    rig_process_exit(&rig, &process); // first
    rig_feed(&rig, &source, "x", 1);
    UNTIL(&rig, order.calls == 2);
    cr_assert_eq(order.read_at, 1);
    cr_assert_eq(order.exit_at, 2);
    cr_assert_eq(order.exit.result, 0);
    // Known again at once.
    cr_assert_eq(rpi_op_start(&rig.reactor, &order.exit), 0);
    UNTIL(&rig, order.calls == 3);
    cr_assert_eq(order.exit.result, 0);
    rig_end_close(&rig, &source);
    rig_end_close(&rig, &process);
    rig_close(&rig);
}

Test(operations, of_an_exit_can_be_cancelled)
{
    test_rig rig;
    rig_end process;
    rpi_op op;

    rig_open(&rig, NULL);
    rig_process_open(&rig, &process);
    rpi_op_init(&op, RPI_OP_EXIT, &process.io, on_any);
    op.size = (uint32_t)process.pid;
    cr_assert_eq(rpi_op_start(&rig.reactor, &op), 0);
    (void)rpi_reactor_turn(&rig.reactor, 0);
    rpi_op_cancel(&rig.reactor, &op);
    UNTIL(&rig, rpi_op_is_idle(&op));
    cr_assert_eq(op.result, RP_ECANCELED);
    cr_assert_eq(rpi_op_start(&rig.reactor, &op), 0);
    rig_process_exit(&rig, &process);
    UNTIL(&rig, rpi_op_is_idle(&op));
    cr_assert_eq(op.result, 0);
    rig_end_close(&rig, &process);
    rig_close(&rig);
}

Test(operations, that_are_always_ready_get_one_call_a_turn)
{
    test_rig rig;
    rig_end busy;
    rig_end quiet;
    test_reader readers[2];
    char *bytes = calloc(1, 60000);
    int i;

    cr_assert_not_null(bytes);
    rig_open(&rig, NULL);
    rig_source_open(&rig, &busy);
    rig_source_open(&rig, &quiet);
    rig_feed(&rig, &busy, bytes, 60000);
    free(bytes);
    reader_init(&readers[0], &rig, &busy);
    readers[0].op.size = 1;
    readers[0].again = true;
    reader_init(&readers[1], &rig, &quiet);
    start_read(&readers[0]);
    start_read(&readers[1]);
    for (i = 0; i < 20; i++) {
        int before = readers[0].calls;

        (void)rpi_reactor_turn(&rig.reactor, 0);
        cr_assert_leq(readers[0].calls - before, 1);
    }
    // The other is seen within a few turns all the same.
    rig_feed(&rig, &quiet, "x", 1);
    for (i = 0; i < 8 && readers[1].calls == 0; i++) {
        (void)rpi_reactor_turn(&rig.reactor, 0);
    }
    cr_assert_eq(readers[1].calls, 1);
    readers[0].again = false;
    UNTIL(&rig, rpi_op_is_idle(&readers[0].op));
    rig_end_close(&rig, &busy);
    rig_end_close(&rig, &quiet);
    rig_close(&rig);
}

Test(operations, that_are_pending_are_ended_by_fini)
{
    enum {
        COUNT = 30
    };
    static test_reader readers[COUNT];
    test_rig rig;
    rig_end ends[COUNT];
    int i;

    rig_open(&rig, NULL);
    for (i = 0; i < COUNT; i++) {
        rig_source_open(&rig, &ends[i]);
        reader_init(&readers[i], &rig, &ends[i]);
        start_read(&readers[i]);
        if (i == COUNT / 2) { // some are known to the system, some are not yet
            (void)rpi_reactor_turn(&rig.reactor, 0);
        }
    }
    rpi_reactor_fini(&rig.reactor);
    for (i = 0; i < COUNT; i++) {
        cr_assert_eq(readers[i].calls, 1);
        cr_assert_eq(readers[i].last, RP_ECANCELED);
        cr_assert(rpi_op_is_idle(&readers[i].op));
    }
    rig_forget(&rig);
}

static void on_restart(rpi_op *op)
{
    test_reader *self = RPI_CONTAINER(op, test_reader, op);

    self->calls++;
    self->last = rpi_op_start(&self->rig->reactor, op);
}

Test(operations, are_not_started_any_more_while_the_reactor_ends)
{
    test_rig rig;
    rig_end end;
    test_reader reader;

    rig_open(&rig, NULL);
    rig_source_open(&rig, &end);
    reader_init(&reader, &rig, &end);
    reader.op.done = on_restart;
    start_read(&reader);
    rpi_reactor_fini(&rig.reactor);
    cr_assert_eq(reader.calls, 1);
    cr_assert_eq(reader.last, RP_ECANCELED);
    rig_forget(&rig);
}
