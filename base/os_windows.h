/* The table of Win32 calls, the Windows side of base/os.h: whatever this library asks of the system
 * goes through rpi_os, so that tests can make the n-th call fail, and can play what an emulator
 * lacks. The entries are the system's own calls with their own results; those that a system may
 * lack are NULL there (they are looked up by name, once, by rpi_os_resolve), and whoever uses one
 * has another way. Only files named for Windows include this header.
 *
 * A HANDLE travels through the rest of the library as an int: the system promises that only the low
 * 32 bits of a HANDLE matter, sign-extended. */
#ifndef RPI_BASE_OS_WINDOWS_H
#define RPI_BASE_OS_WINDOWS_H

#ifndef WIN32_LEAN_AND_MEAN
#define WIN32_LEAN_AND_MEAN
#endif
#include <windows.h>
#include <winternl.h>

#include <stdbool.h>
#include <stdint.h>

typedef struct rpi_os_table {
    BOOL(WINAPI *CloseHandle)(HANDLE);
    BOOL(WINAPI *DuplicateHandle)(HANDLE, HANDLE, HANDLE, LPHANDLE, DWORD, BOOL, DWORD);
    BOOL(WINAPI *ReadFile)(HANDLE, LPVOID, DWORD, LPDWORD, LPOVERLAPPED);
    BOOL(WINAPI *WriteFile)(HANDLE, LPCVOID, DWORD, LPDWORD, LPOVERLAPPED);
    BOOL(WINAPI *GetOverlappedResult)(HANDLE, LPOVERLAPPED, LPDWORD, BOOL);
    BOOL(WINAPI *CancelIoEx)(HANDLE, LPOVERLAPPED);
    BOOL(WINAPI *PeekNamedPipe)(HANDLE, LPVOID, DWORD, LPDWORD, LPDWORD, LPDWORD);
    HANDLE(WINAPI *CreateNamedPipeW)
    (LPCWSTR, DWORD, DWORD, DWORD, DWORD, DWORD, DWORD, LPSECURITY_ATTRIBUTES);
    HANDLE(WINAPI *CreateFileW)
    (LPCWSTR, DWORD, DWORD, LPSECURITY_ATTRIBUTES, DWORD, DWORD, HANDLE);
    HANDLE(WINAPI *CreateEventW)(LPSECURITY_ATTRIBUTES, BOOL, BOOL, LPCWSTR);
    HANDLE(WINAPI *CreateThread)
    (LPSECURITY_ATTRIBUTES, SIZE_T, LPTHREAD_START_ROUTINE, LPVOID, DWORD, LPDWORD);

    HANDLE(WINAPI *CreateIoCompletionPort)(HANDLE, HANDLE, ULONG_PTR, DWORD);
    BOOL(WINAPI *GetQueuedCompletionStatusEx)
    (HANDLE, LPOVERLAPPED_ENTRY, ULONG, PULONG, DWORD, BOOL);
    BOOL(WINAPI *PostQueuedCompletionStatus)(HANDLE, DWORD, ULONG_PTR, LPOVERLAPPED);
    BOOL(WINAPI *SetFileCompletionNotificationModes)(HANDLE, UCHAR);
    BOOL(WINAPI *RegisterWaitForSingleObject)
    (PHANDLE, HANDLE, WAITORTIMERCALLBACK, PVOID, ULONG, ULONG);
    BOOL(WINAPI *UnregisterWaitEx)(HANDLE, HANDLE);

    BOOL(WINAPI *CreateProcessW)
    (LPCWSTR,
     LPWSTR,
     LPSECURITY_ATTRIBUTES,
     LPSECURITY_ATTRIBUTES,
     BOOL,
     DWORD,
     LPVOID,
     LPCWSTR,
     LPSTARTUPINFOW,
     LPPROCESS_INFORMATION);
    BOOL(WINAPI *UpdateProcThreadAttribute)
    (LPPROC_THREAD_ATTRIBUTE_LIST, DWORD, DWORD_PTR, PVOID, SIZE_T, PVOID, PSIZE_T);
    DWORD(WINAPI *ResumeThread)(HANDLE);
    HANDLE(WINAPI *OpenProcess)(DWORD, BOOL, DWORD);
    BOOL(WINAPI *TerminateProcess)(HANDLE, UINT);
    DWORD(WINAPI *WaitForSingleObject)(HANDLE, DWORD);
    BOOL(WINAPI *GetExitCodeProcess)(HANDLE, LPDWORD);
    BOOL(WINAPI *GetProcessTimes)(HANDLE, LPFILETIME, LPFILETIME, LPFILETIME, LPFILETIME);
    BOOL(WINAPI *SetPriorityClass)(HANDLE, DWORD);
    BOOL(WINAPI *ReadProcessMemory)(HANDLE, LPCVOID, LPVOID, SIZE_T, SIZE_T *);

    HANDLE(WINAPI *CreateJobObjectW)(LPSECURITY_ATTRIBUTES, LPCWSTR);
    BOOL(WINAPI *SetInformationJobObject)(HANDLE, JOBOBJECTINFOCLASS, LPVOID, DWORD);
    BOOL(WINAPI *QueryInformationJobObject)(HANDLE, JOBOBJECTINFOCLASS, LPVOID, DWORD, LPDWORD);
    BOOL(WINAPI *AssignProcessToJobObject)(HANDLE, HANDLE);
    BOOL(WINAPI *IsProcessInJob)(HANDLE, HANDLE, PBOOL);
    BOOL(WINAPI *TerminateJobObject)(HANDLE, UINT);

    BOOL(WINAPI *GenerateConsoleCtrlEvent)(DWORD, DWORD);
    HANDLE(WINAPI *CreateToolhelp32Snapshot)(DWORD, DWORD);

    HRESULT(WINAPI *CreatePseudoConsole)(COORD, HANDLE, HANDLE, DWORD, HPCON *);
    HRESULT(WINAPI *ResizePseudoConsole)(HPCON, COORD);
    void(WINAPI *ClosePseudoConsole)(HPCON);
    HRESULT(WINAPI *ReleasePseudoConsole)(HPCON); /* may be NULL: before Windows 11 24H2 */

    LPVOID(WINAPI *VirtualAlloc)(LPVOID, SIZE_T, DWORD, DWORD);
    BOOL(WINAPI *VirtualFree)(LPVOID, SIZE_T, DWORD);
    HANDLE(WINAPI *CreateFileMappingW)
    (HANDLE, LPSECURITY_ATTRIBUTES, DWORD, DWORD, DWORD, LPCWSTR);
    BOOL(WINAPI *UnmapViewOfFile)(LPCVOID);
    /** May be NULL (before Windows 10 1803), as may the next. */
    PVOID(WINAPI *VirtualAlloc2)(HANDLE, PVOID, SIZE_T, ULONG, ULONG, void *, ULONG);
    PVOID(WINAPI *MapViewOfFile3)
    (HANDLE, HANDLE, PVOID, ULONG64, SIZE_T, ULONG, ULONG, void *, ULONG);

    /** What the system's own calls say of objects. */
    NTSTATUS(NTAPI *NtQueryInformationFile)(HANDLE, PIO_STATUS_BLOCK, PVOID, ULONG, int);
    NTSTATUS(NTAPI *NtQueryInformationProcess)(HANDLE, int, PVOID, ULONG, PULONG);
    NTSTATUS(NTAPI *NtQuerySystemInformation)(int, PVOID, ULONG, PULONG);

    /** Wait completion packets; all three may be NULL (before Windows 8; Wine). */
    NTSTATUS(NTAPI *NtCreateWaitCompletionPacket)(PHANDLE, ACCESS_MASK, void *);
    NTSTATUS(NTAPI *NtAssociateWaitCompletionPacket)
    (HANDLE, HANDLE, HANDLE, PVOID, PVOID, NTSTATUS, ULONG_PTR, PBOOLEAN);
    NTSTATUS(NTAPI *NtCancelWaitCompletionPacket)(HANDLE, BOOLEAN);

    /** Bytes that nobody can guess. */
    BOOLEAN(WINAPI *RtlGenRandom)(PVOID, ULONG); /* advapi32's SystemFunction036 */
} rpi_os_table;

extern rpi_os_table rpi_os;

/** Looks up what a system may lack. Any number of times, from any thread; whoever uses an entry
 * that may be NULL calls it before. */
void rpi_os_resolve(void);

static inline HANDLE rpi_os_handle(intptr_t fd)
{
    return (HANDLE)fd;
}

static inline int rpi_os_fd(HANDLE handle)
{
    return (int)(intptr_t)handle;
}

/** An error of the system as the library's: negative. -EIO for what has no other name. */
int rpi_os_error(DWORD error);

/** The same of GetLastError(). */
int rpi_os_last_error(void);

/** UTF-8 as UTF-16, of malloc; NULL: no memory, or (ret_invalid, which may be NULL) not UTF-8. */
wchar_t *rpi_os_wide(const char *text, bool *ret_invalid);

/** The other way, of malloc; lone surrogates become U+FFFD. NULL: no memory. */
char *rpi_os_narrow(const wchar_t *text, size_t length);

/** Whether this is Wine: only for what cannot be found out by trying. */
bool rpi_os_is_wine(void);

#endif
