/* What only the backend of Windows does: watches on handles that can be waited for, ends of writes
 * of nothing, and wait completion packets, which an emulator lacks and a fake stands in for. */
#include <windows.h>

#include "base/os_windows.h"
#include "reactor/reactor.h"
#include "tests/reactor/contract.h"
#include "tests/support/check.h"

TestSuite(iocp, .timeout = 60);

typedef struct test_watch {
    HANDLE event;
    unsigned int reports;
    uint32_t events;
} test_watch;

static void on_ready(rp_watch *watch, uint32_t events, void *user)
{
    test_watch *self = user;

    (void)watch;
    self->reports++;
    self->events = events;
    (void)ResetEvent(self->event);
}

Test(iocp, watches_a_handle_that_can_be_waited_for)
{
    test_rig rig;
    test_watch self = {.event = CreateEventW(NULL, TRUE, FALSE, NULL)};
    rp_watch *watch = NULL;
    rp_loop *loop;

    rig_open(&rig, NULL);
    loop = (rp_loop *)(void *)&rig.reactor;
    cr_assert_eq(rp_watch_start(loop, (intptr_t)self.event, RP_READABLE, on_ready, &self, &watch),
                 0);
    cr_assert_geq(rpi_reactor_turn(&rig.reactor, RP_MILLISECOND), 0);
    cr_assert_eq(self.reports, 0);
    for (unsigned int i = 1; i <= 20; i++) {
        cr_assert(SetEvent(self.event));
        UNTIL(&rig, self.reports == i);
        cr_assert_eq(self.events, RP_READABLE);
    }
    rp_watch_close(watch);
    rig_close(&rig);
    cr_assert(CloseHandle(self.event)); // nothing waits for it any more
}

Test(iocp, refuses_to_watch_what_is_no_handle)
{
    test_rig rig;
    rp_watch *watch = NULL;

    rig_open(&rig, NULL);
    cr_assert_eq(rp_watch_start((rp_loop *)(void *)&rig.reactor, 0x7ffffff0, RP_READABLE, on_ready,
                                NULL, &watch),
                 -EBADF);
    rig_close(&rig);
}

/* ---- a write of nothing --------------------------------------------------------------- */

static unsigned int fake_reads;
static BOOL(WINAPI *real_read)(HANDLE, LPVOID, DWORD, LPDWORD, LPOVERLAPPED);

/* The first read is ended by a write of no bytes, as Windows does and Wine does not. */
static BOOL WINAPI
read_nothing_first(HANDLE file, LPVOID memory, DWORD size, LPDWORD read, LPOVERLAPPED overlapped)
{
    if (fake_reads++ == 0) {
        overlapped->Internal = 0;
        overlapped->InternalHigh = 0;
        return TRUE;
    }
    return real_read(file, memory, size, read, overlapped);
}

static int32_t last_result;

static void on_read(rpi_op *op)
{
    last_result = op->result;
}

Test(iocp, takes_a_write_of_nothing_for_no_end_of_file)
{
    test_rig rig;
    rig_end end;
    rpi_op op;
    char bytes[16];

    rig_open(&rig, NULL);
    rig_source_open(&rig, &end);
    real_read = rpi_os.ReadFile;
    rpi_os.ReadFile = read_nothing_first;
    rpi_op_init(&op, RPI_OP_READ, &end.io, on_read);
    op.data = bytes;
    op.size = sizeof bytes;
    cr_assert_eq(rpi_op_start(&rig.reactor, &op), 0);
    cr_assert_geq(rpi_reactor_turn(&rig.reactor, RP_MILLISECOND), 0);
    cr_assert(!rpi_op_is_idle(&op), "the end of file was told");
    rig_feed(&rig, &end, "abc", 3);
    UNTIL(&rig, rpi_op_is_idle(&op));
    cr_assert_eq(last_result, 3);
    cr_assert_eq(fake_reads, 2);
    rpi_os.ReadFile = real_read;
    rig_end_close(&rig, &end);
    rig_close(&rig);
}

/* ---- wait completion packets ------------------------------------------------------------- */

/* One that is associated stays so until the test lets it fire. */
static struct {
    HANDLE port;
    PVOID key;
    PVOID overlapped;
    bool is_queued;
    unsigned int cancels;
} packet;

static NTSTATUS NTAPI create_packet(PHANDLE ret_packet, ACCESS_MASK access, void *attributes)
{
    (void)access;
    (void)attributes;
    *ret_packet = CreateEventW(NULL, TRUE, FALSE, NULL); // something to close
    return 0;
}

static NTSTATUS NTAPI associate_packet(HANDLE own,
                                       HANDLE port,
                                       HANDLE target,
                                       PVOID key,
                                       PVOID overlapped,
                                       NTSTATUS status,
                                       ULONG_PTR information,
                                       PBOOLEAN already)
{
    (void)own;
    (void)target;
    (void)status;
    (void)information;
    (void)already;
    packet.port = port;
    packet.key = key;
    packet.overlapped = overlapped;
    packet.is_queued = false;
    return 0;
}

static NTSTATUS NTAPI cancel_packet(HANDLE own, BOOLEAN removes)
{
    (void)own;
    cr_assert(!removes, "a real outcome would be lost");
    packet.cancels++;
    return packet.is_queued ? (NTSTATUS)0x103 /* STATUS_PENDING */ : 0;
}

static void fire_packet(void)
{
    packet.is_queued = true;
    cr_assert(PostQueuedCompletionStatus(packet.port, 0, (ULONG_PTR)packet.key, packet.overlapped));
}

static void use_packets(void)
{
    rpi_os_resolve();
    rpi_os.NtCreateWaitCompletionPacket = create_packet;
    rpi_os.NtAssociateWaitCompletionPacket = associate_packet;
    rpi_os.NtCancelWaitCompletionPacket = cancel_packet;
}

Test(iocp, learns_of_exits_by_packets_where_there_are_any)
{
    rpi_reactor_options options = {.backend = RP_BACKEND_IOCP};
    rpi_reactor reactor;
    rpi_io io;
    rpi_op op;

    use_packets();
    cr_assert_eq(rpi_reactor_init(&reactor, &options), 0);
    rpi_io_init(&io, (intptr_t)GetCurrentProcess());
    rpi_op_init(&op, RPI_OP_EXIT, &io, on_read);
    last_result = -1;
    cr_assert_eq(rpi_op_start(&reactor, &op), 0);
    cr_assert_geq(rpi_reactor_turn(&reactor, RP_MILLISECOND), 0);
    cr_assert(!rpi_op_is_idle(&op));
    fire_packet();
    cr_assert_geq(rpi_reactor_turn(&reactor, RP_SECOND), 0);
    cr_assert(rpi_op_is_idle(&op));
    cr_assert_eq(last_result, 0);
    cr_assert_eq(packet.cancels, 0);
    rpi_reactor_fini(&reactor);
}

Test(iocp, lets_a_packet_that_is_in_the_port_win_over_a_cancel)
{
    rpi_reactor_options options = {.backend = RP_BACKEND_IOCP};
    rpi_reactor reactor;
    rpi_io io;
    rpi_op op;

    use_packets();
    cr_assert_eq(rpi_reactor_init(&reactor, &options), 0);
    rpi_io_init(&io, (intptr_t)GetCurrentProcess());
    rpi_op_init(&op, RPI_OP_EXIT, &io, on_read);
    last_result = -1;
    cr_assert_eq(rpi_op_start(&reactor, &op), 0);
    fire_packet();
    rpi_op_cancel(&reactor, &op);
    cr_assert(!rpi_op_is_idle(&op));
    cr_assert_geq(rpi_reactor_turn(&reactor, RP_SECOND), 0);
    cr_assert_eq(last_result, 0, "the exit was lost");

    cr_assert_eq(rpi_op_start(&reactor, &op), 0);
    rpi_op_cancel(&reactor, &op);
    cr_assert_geq(rpi_reactor_turn(&reactor, RP_SECOND), 0);
    cr_assert_eq(last_result, -ECANCELED);
    cr_assert_eq(packet.cancels, 2);
    rpi_reactor_fini(&reactor);
}
