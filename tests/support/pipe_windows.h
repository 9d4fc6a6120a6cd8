/* Pipes as the library makes them, for tests on Windows: one end overlapped, the other plain. */
#ifndef RPI_TESTS_SUPPORT_PIPE_WINDOWS_H
#define RPI_TESTS_SUPPORT_PIPE_WINDOWS_H

#include <windows.h>

#include <stdbool.h>
#include <stdio.h>

/** `reads`: the overlapped end reads. The plain end is inheritable. false: it failed. */
static inline bool test_pipe_open(bool reads, HANDLE *ret_overlapped, HANDLE *ret_plain)
{
    static LONG next;
    SECURITY_ATTRIBUTES inherit = {.nLength = sizeof inherit, .bInheritHandle = TRUE};
    wchar_t name[100];

    (void)swprintf(name, sizeof name / sizeof *name, L"\\\\.\\pipe\\rp-test-%lu-%ld",
                   (unsigned long)GetCurrentProcessId(), (long)InterlockedIncrement(&next));
    *ret_overlapped = CreateNamedPipeW(
        name, (reads ? PIPE_ACCESS_INBOUND : PIPE_ACCESS_OUTBOUND) | FILE_FLAG_OVERLAPPED,
        PIPE_TYPE_BYTE | PIPE_REJECT_REMOTE_CLIENTS, 1, 65536, 65536, 0, NULL);
    if (*ret_overlapped == INVALID_HANDLE_VALUE) {
        return false;
    }
    *ret_plain = CreateFileW(
        name, reads ? GENERIC_WRITE | FILE_READ_ATTRIBUTES : GENERIC_READ | FILE_WRITE_ATTRIBUTES,
        0, &inherit, OPEN_EXISTING, 0, NULL);
    if (*ret_plain == INVALID_HANDLE_VALUE) {
        (void)CloseHandle(*ret_overlapped);
        return false;
    }
    return true;
}

#endif
