/* See stage.h: what is Windows's. A pipe of a lifeline has two plain ends, inheritable; tests hand
 * them to children by rp_fd, whose number there is the handle's own. */
#include <windows.h>

#include <stdio.h>

#include "base/os_windows.h"
#include "tests/support/stage.h"

enum {
    SYSTEM_HANDLES_EX_CLASS = 64,
    POOL_HANDLES = 8, /* what the system keeps for a thread that it has started meanwhile */
};

/* ---- what is left behind ---------------------------------------------------------- */

typedef struct handle_entry {
    PVOID object;
    ULONG_PTR pid;
    ULONG_PTR handle;
    ULONG access;
    USHORT trace, type;
    ULONG attributes, reserved;
} handle_entry;

typedef struct handle_list {
    ULONG_PTR count;
    ULONG_PTR reserved;
    handle_entry entries[];
} handle_list;

/* All handles of the system, those of this process counted. */
static int count_handles(void)
{
    ULONG size = 1 << 20;
    handle_list *list = NULL;
    int count = 0;

    rpi_os_resolve();
    cr_assert(rpi_os.NtQuerySystemInformation != NULL);
    do {
        free(list);
        size *= 2;
        list = malloc(size);
        cr_assert_not_null(list);
    } while (rpi_os.NtQuerySystemInformation(SYSTEM_HANDLES_EX_CLASS, list, size, NULL) < 0);
    for (ULONG_PTR i = 0; i < list->count; i++) {
        count += list->entries[i].pid == GetCurrentProcessId() ? 1 : 0;
    }
    free(list);
    return count;
}

static void CALLBACK set_other(void *context, BOOLEAN timed_out)
{
    (void)timed_out;
    (void)SetEvent(context);
}

/* The first wait that is registered starts the system's pool of threads, which keeps handles. */
static void warm_up(void)
{
    static bool is_warm;
    HANDLE event = CreateEventW(NULL, TRUE, FALSE, NULL);
    HANDLE other = CreateEventW(NULL, TRUE, FALSE, NULL);
    HANDLE wait = NULL;

    if (!is_warm) {
        cr_assert(RegisterWaitForSingleObject(&wait, event, set_other, other, INFINITE,
                                              WT_EXECUTEINWAITTHREAD | WT_EXECUTEONLYONCE));
        (void)SetEvent(event);
        (void)WaitForSingleObject(other, INFINITE);
        (void)UnregisterWaitEx(wait, INVALID_HANDLE_VALUE);
        is_warm = true;
    }
    (void)CloseHandle(event);
    (void)CloseHandle(other);
}

stage_holdings stage_count(void)
{
    warm_up();
    return (stage_holdings){.descriptors = count_handles(), .threads = 0};
}

/* The threads of the system's pools, which the first wait starts, keep a few handles. */
void stage_check(const stage_holdings *before)
{
    stage_holdings now = stage_count();

    // A thread of a pool that is done with a wait gives its handles back a moment later.
    for (int i = 0; i < 200 && now.descriptors > before->descriptors + POOL_HANDLES; i++) {
        Sleep(10);
        now = stage_count();
    }
    cr_assert_leq(now.descriptors, before->descriptors + POOL_HANDLES, "%d handles, and before %d",
                  now.descriptors, before->descriptors);
}

/* The system does not say what a thread waits for: nothing that it does is seen for a while. */
bool stage_is_blocked(int64_t pid)
{
    const HANDLE process =
        OpenProcess(PROCESS_QUERY_LIMITED_INFORMATION | SYNCHRONIZE, FALSE, (DWORD)pid);
    DWORD waited;

    cr_assert_not_null(process, "the child is gone");
    waited = WaitForSingleObject(process, 2);
    (void)CloseHandle(process);
    cr_assert_eq(waited, WAIT_TIMEOUT, "the child is gone");
    return true;
}

/* ---- lifelines ---------------------------------------------------------------------- */

lifeline lifeline_open(void)
{
    SECURITY_ATTRIBUTES inherit = {.nLength = sizeof inherit, .bInheritHandle = TRUE};
    HANDLE reader;
    HANDLE writer;

    cr_assert(CreatePipe(&reader, &writer, &inherit, 0));
    return (lifeline){.read = rpi_os_fd(reader), .write = rpi_os_fd(writer)};
}

static void close_once(int *fd)
{
    if (*fd >= 0) {
        (void)CloseHandle(rpi_os_handle(*fd));
    }
    *fd = -1;
}

void lifeline_close_read(lifeline *line)
{
    close_once(&line->read);
}

void lifeline_close_write(lifeline *line)
{
    close_once(&line->write);
}

void lifeline_close(lifeline *line)
{
    lifeline_close_read(line);
    lifeline_close_write(line);
}

static DWORD get_byte(const lifeline *line)
{
    DWORD n = 0;
    char byte;

    return ReadFile(rpi_os_handle(line->read), &byte, 1, &n, NULL) ? n : 0;
}

void lifeline_await_byte(lifeline *line)
{
    cr_assert_eq(get_byte(line), 1);
}

void lifeline_await_end(lifeline *line)
{
    lifeline_close_write(line);
    while (get_byte(line) > 0) {
    }
    lifeline_close_read(line);
}

bool lifeline_is_silent(const lifeline *line)
{
    DWORD available = 0;

    (void)PeekNamedPipe(rpi_os_handle(line->read), NULL, 0, NULL, &available, NULL);
    return available == 0;
}

void lifeline_tell(lifeline *line)
{
    DWORD n = 0;

    cr_assert(WriteFile(rpi_os_handle(line->write), "x", 1, &n, NULL));
}

rp_fd lifeline_hand(int end, int number)
{
    (void)number; // a handle keeps its value
    return (rp_fd){.parent = end, .child = 0};
}

const char *lifeline_number(int end, int number)
{
    static char text[16];

    (void)number;
    (void)snprintf(text, sizeof text, "%d", end);
    return text;
}

int stage_code_of(int signal)
{
    return signal == 13 ? 0 : 128 + signal; // a broken pipe ends the child by its own doing
}

const char *stage_lacks_interrupts(void)
{
    return rpi_os_is_wine() ? "no CTRL_BREAK event: Wine lacks it" : NULL;
}
