/* The contract test's world made of real pipes and processes under Windows: see rig.h. */
#include <windows.h>

#include "base/os_windows.h"
#include "tests/reactor/rig.h"
#include "tests/support/check.h"
#include "tests/support/pipe_windows.h"

static HANDLE handle_of(intptr_t value)
{
    return (HANDLE)value;
}

void rig_open(test_rig *rig, const rp_allocator *allocator)
{
    rpi_reactor_options options = {.backend = RIG_BACKEND, .allocator = allocator};

    cr_assert_eq(rpi_reactor_init(&rig->reactor, &options), 0);
    cr_assert_eq(rig->reactor.backend->api->id, RIG_BACKEND);
}

void rig_close(test_rig *rig)
{
    rpi_reactor_fini(&rig->reactor);
}

void rig_forget(test_rig *rig)
{
    (void)rig; // nothing beside the reactor
}

const char *rig_lacks_poll(void)
{
    return "a pipe of Windows is no waitable handle";
}

void rig_unkind(test_rig *rig, uint64_t seed)
{
    (void)rig; // a real system is as it is
    (void)seed;
}

void rig_pass(test_rig *rig, uint64_t span_ns)
{
    (void)rig; // it does
    (void)span_ns;
}

static void open_pipe(rig_end *end, bool reads)
{
    HANDLE ours;
    HANDLE peer;

    *end = (rig_end){0};
    cr_assert(test_pipe_open(reads, &ours, &peer));
    rpi_io_init(&end->io, (intptr_t)ours);
    end->peer = (intptr_t)peer;
}

void rig_source_open(test_rig *rig, rig_end *end)
{
    (void)rig;
    open_pipe(end, true);
}

void rig_feed(test_rig *rig, rig_end *end, const void *bytes, size_t size)
{
    DWORD count = 0;

    (void)rig;
    cr_assert(WriteFile(handle_of(end->peer), bytes, (DWORD)size, &count, NULL));
    cr_assert_eq(count, size);
}

void rig_end_peer(test_rig *rig, rig_end *end)
{
    (void)rig;
    cr_assert(CloseHandle(handle_of(end->peer)));
    end->peer = 0;
}

void rig_sink_open(test_rig *rig, rig_end *end)
{
    (void)rig;
    open_pipe(end, false);
}

size_t rig_drain(test_rig *rig, rig_end *end, void *bytes, size_t size)
{
    DWORD available = 0;
    DWORD count = 0;

    (void)rig;
    cr_assert(PeekNamedPipe(handle_of(end->peer), NULL, 0, NULL, &available, NULL));
    if (available == 0) {
        return 0;
    }
    cr_assert(ReadFile(handle_of(end->peer), bytes, (DWORD)size, &count, NULL));
    return count;
}

void rig_process_open(test_rig *rig, rig_end *end)
{
    STARTUPINFOW startup = {.cb = sizeof startup, .dwFlags = STARTF_USESTDHANDLES};
    PROCESS_INFORMATION process;
    wchar_t line[] = L"child wait 0";
    wchar_t *program = rpi_os_wide(RP_TEST_CHILD, NULL);
    HANDLE ours;
    HANDLE peer;

    (void)rig;
    *end = (rig_end){0};
    cr_assert(test_pipe_open(false, &ours, &peer));
    startup.hStdInput = peer;
    cr_assert(CreateProcessW(program, line, NULL, NULL, TRUE, 0, NULL, NULL, &startup, &process));
    free(program);
    CloseHandle(process.hThread);
    CloseHandle(peer);
    end->peer = (intptr_t)ours; // its end ends the child
    end->pid = process.dwProcessId;
    rpi_io_init(&end->io, (intptr_t)process.hProcess);
}

void rig_process_exit(test_rig *rig, rig_end *end)
{
    rig_end_peer(rig, end);
    cr_assert_eq(WaitForSingleObject(handle_of(end->io.handle), 30000), WAIT_OBJECT_0);
}

void rig_end_close(test_rig *rig, rig_end *end)
{
    rpi_io_forget(&rig->reactor, &end->io);
    if (end->peer != 0) {
        CloseHandle(handle_of(end->peer));
    }
    if (end->pid != 0) {
        cr_assert_eq(WaitForSingleObject(handle_of(end->io.handle), 30000), WAIT_OBJECT_0);
    }
    cr_assert(CloseHandle(handle_of(end->io.handle)));
}
