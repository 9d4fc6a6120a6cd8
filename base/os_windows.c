/* The table of Win32 calls, and the few questions of base/os.h that are made of them. Calls that a
 * system may lack are looked up by name when a loop is opened. */
#include "base/os_windows.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <tlhelp32.h>

#include "base/os.h"
#include "rp/base.h"

BOOLEAN NTAPI SystemFunction036(PVOID buffer, ULONG size); /* no header has it */

rpi_os_table rpi_os = {
    .CloseHandle = CloseHandle,
    .DuplicateHandle = DuplicateHandle,
    .ReadFile = ReadFile,
    .WriteFile = WriteFile,
    .GetOverlappedResult = GetOverlappedResult,
    .CancelIoEx = CancelIoEx,
    .PeekNamedPipe = PeekNamedPipe,
    .CreateNamedPipeW = CreateNamedPipeW,
    .CreateFileW = CreateFileW,
    .CreateEventW = CreateEventW,
    .CreateThread = CreateThread,
    .CreateIoCompletionPort = CreateIoCompletionPort,
    .GetQueuedCompletionStatusEx = GetQueuedCompletionStatusEx,
    .PostQueuedCompletionStatus = PostQueuedCompletionStatus,
    .SetFileCompletionNotificationModes = SetFileCompletionNotificationModes,
    .RegisterWaitForSingleObject = RegisterWaitForSingleObject,
    .UnregisterWaitEx = UnregisterWaitEx,
    .CreateProcessW = CreateProcessW,
    .UpdateProcThreadAttribute = UpdateProcThreadAttribute,
    .ResumeThread = ResumeThread,
    .OpenProcess = OpenProcess,
    .TerminateProcess = TerminateProcess,
    .WaitForSingleObject = WaitForSingleObject,
    .GetExitCodeProcess = GetExitCodeProcess,
    .GetProcessTimes = GetProcessTimes,
    .SetPriorityClass = SetPriorityClass,
    .ReadProcessMemory = ReadProcessMemory,
    .CreateJobObjectW = CreateJobObjectW,
    .SetInformationJobObject = SetInformationJobObject,
    .QueryInformationJobObject = QueryInformationJobObject,
    .AssignProcessToJobObject = AssignProcessToJobObject,
    .IsProcessInJob = IsProcessInJob,
    .TerminateJobObject = TerminateJobObject,
    .GenerateConsoleCtrlEvent = GenerateConsoleCtrlEvent,
    .CreateToolhelp32Snapshot = CreateToolhelp32Snapshot,
    .CreatePseudoConsole = CreatePseudoConsole,
    .ResizePseudoConsole = ResizePseudoConsole,
    .ClosePseudoConsole = ClosePseudoConsole,
    .VirtualAlloc = VirtualAlloc,
    .VirtualFree = VirtualFree,
    .CreateFileMappingW = CreateFileMappingW,
    .UnmapViewOfFile = UnmapViewOfFile,
    .RtlGenRandom = SystemFunction036,
};

/* ---- what a system may lack ------------------------------------------------------ */

static pthread_once_t resolved = PTHREAD_ONCE_INIT;

/** An entry of the table and the name that it is looked up by. */
typedef struct wanted {
    const wchar_t *module;
    const char *name;
    void *entry; // in rpi_os
} wanted;

static void resolve(void)
{
    const wanted list[] = {
        {L"kernelbase.dll", "VirtualAlloc2", &rpi_os.VirtualAlloc2},
        {L"kernelbase.dll", "MapViewOfFile3", &rpi_os.MapViewOfFile3},
        {L"kernel32.dll", "ReleasePseudoConsole", &rpi_os.ReleasePseudoConsole},
        {L"ntdll.dll", "NtQueryInformationFile", &rpi_os.NtQueryInformationFile},
        {L"ntdll.dll", "NtQueryInformationProcess", &rpi_os.NtQueryInformationProcess},
        {L"ntdll.dll", "NtQuerySystemInformation", &rpi_os.NtQuerySystemInformation},
        {L"ntdll.dll", "NtCreateWaitCompletionPacket", &rpi_os.NtCreateWaitCompletionPacket},
        {L"ntdll.dll", "NtAssociateWaitCompletionPacket", &rpi_os.NtAssociateWaitCompletionPacket},
        {L"ntdll.dll", "NtCancelWaitCompletionPacket", &rpi_os.NtCancelWaitCompletionPacket},
    };

    for (size_t i = 0; i < sizeof list / sizeof list[0]; i++) {
        const HMODULE module = GetModuleHandleW(list[i].module);
        const FARPROC found = module != NULL ? GetProcAddress(module, list[i].name) : NULL;

        memcpy(list[i].entry, &found, sizeof found); // a pointer to a function through none to data
    }
}

void rpi_os_resolve(void)
{
    (void)pthread_once(&resolved, resolve); // fails for no valid argument
}

bool rpi_os_is_wine(void)
{
    const HMODULE module = GetModuleHandleW(L"ntdll.dll");

    return module != NULL && GetProcAddress(module, "wine_get_version") != NULL;
}

/* ---- errors ------------------------------------------------------------------------ */

int rpi_os_last_error(void)
{
    return rpi_os_error(GetLastError());
}

static const struct {
    DWORD error;
    int status;
} translations[] = {
    {ERROR_FILE_NOT_FOUND, -ENOENT},
    {ERROR_PATH_NOT_FOUND, -ENOENT},
    {ERROR_INVALID_DRIVE, -ENOENT},
    {ERROR_INVALID_NAME, -ENOENT},
    {ERROR_BAD_PATHNAME, -ENOENT},
    {ERROR_BAD_NETPATH, -ENOENT},
    {ERROR_BAD_NET_NAME, -ENOENT},
    {ERROR_MOD_NOT_FOUND, -ENOENT},
    {ERROR_TOO_MANY_OPEN_FILES, -EMFILE},
    {ERROR_ACCESS_DENIED, -EACCES},
    {ERROR_NETWORK_ACCESS_DENIED, -EACCES},
    {ERROR_CANT_ACCESS_FILE, -EACCES},
    {ERROR_PRIVILEGE_NOT_HELD, -EPERM},
    {ERROR_INVALID_HANDLE, -EBADF},
    {ERROR_NOT_ENOUGH_MEMORY, -ENOMEM},
    {ERROR_OUTOFMEMORY, -ENOMEM},
    {ERROR_COMMITMENT_LIMIT, -ENOMEM},
    {ERROR_NOT_ENOUGH_QUOTA, -ENOMEM},
    {ERROR_NO_SYSTEM_RESOURCES, -EAGAIN},
    {ERROR_NONPAGED_SYSTEM_RESOURCES, -EAGAIN},
    {ERROR_PAGED_SYSTEM_RESOURCES, -EAGAIN},
    {ERROR_MAX_THRDS_REACHED, -EAGAIN},
    {ERROR_SHARING_VIOLATION, -EBUSY},
    {ERROR_LOCK_VIOLATION, -EBUSY},
    {ERROR_BUSY, -EBUSY},
    {ERROR_PIPE_BUSY, -EBUSY},
    {ERROR_BAD_FORMAT, -ENOEXEC},
    {ERROR_BAD_EXE_FORMAT, -ENOEXEC},
    {ERROR_EXE_MACHINE_TYPE_MISMATCH, -ENOEXEC},
    {ERROR_INVALID_EXE_SIGNATURE, -ENOEXEC},
    {ERROR_DIRECTORY, -ENOTDIR},
    {ERROR_FILENAME_EXCED_RANGE, -ENAMETOOLONG},
    {ERROR_BUFFER_OVERFLOW, -ENAMETOOLONG},
    {ERROR_BROKEN_PIPE, -EPIPE},
    {ERROR_NO_DATA, -EPIPE},
    {ERROR_PIPE_NOT_CONNECTED, -EPIPE},
    {ERROR_OPERATION_ABORTED, -ECANCELED},
    {ERROR_CANCELLED, -ECANCELED},
    {ERROR_INVALID_PARAMETER, -EINVAL},
    {ERROR_INVALID_FUNCTION, -EINVAL},
    {ERROR_NO_UNICODE_TRANSLATION, -EINVAL},
    {ERROR_DISK_FULL, -ENOSPC},
    {ERROR_HANDLE_DISK_FULL, -ENOSPC},
    {ERROR_FILE_EXISTS, -EEXIST},
    {ERROR_ALREADY_EXISTS, -EEXIST},
    {ERROR_WRITE_PROTECT, -EROFS},
    {ERROR_NOT_SUPPORTED, RP_EUNSUPPORTED},
    {ERROR_CALL_NOT_IMPLEMENTED, RP_EUNSUPPORTED},
    {ERROR_SEM_TIMEOUT, -ETIMEDOUT},
    {WAIT_TIMEOUT, -ETIMEDOUT},
};

int rpi_os_error(DWORD error)
{
    for (size_t i = 0; i < sizeof translations / sizeof translations[0]; i++) {
        if (translations[i].error == error) {
            return translations[i].status;
        }
    }
    return -EIO;
}

/* ---- text --------------------------------------------------------------------------- */

wchar_t *rpi_os_wide(const char *text, bool *ret_invalid)
{
    const int count = MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, text, -1, NULL, 0);
    wchar_t *wide;

    if (ret_invalid != NULL) {
        *ret_invalid = count <= 0;
    }
    if (count <= 0) {
        return NULL;
    }
    wide = malloc((size_t)count * sizeof *wide);
    if (wide != NULL) {
        (void)MultiByteToWideChar(CP_UTF8, 0, text, -1, wide, count); // measured before
    }
    return wide;
}

char *rpi_os_narrow(const wchar_t *text, size_t length)
{
    const int wanted_length = (int)length;
    const int count =
        length == 0 ? 0 : WideCharToMultiByte(CP_UTF8, 0, text, wanted_length, NULL, 0, NULL, NULL);
    char *narrow = malloc((size_t)count + 1);

    if (narrow == NULL) {
        return NULL;
    }
    if (count > 0) {
        (void)WideCharToMultiByte(CP_UTF8, 0, text, wanted_length, narrow, count, NULL, NULL);
    }
    narrow[count] = '\0';
    return narrow;
}

/* ---- the questions of base/os.h -------------------------------------------------------- */

void rpi_os_close(int fd)
{
    (void)rpi_os.CloseHandle(rpi_os_handle(fd)); // ours: there is nothing that could be lost
}

int rpi_os_duplicate(intptr_t fd)
{
    const HANDLE self = GetCurrentProcess();
    HANDLE copy = NULL;

    if (fd == 0 || fd == -1 || fd < INT_MIN || fd > INT_MAX) {
        return -EBADF;
    }
    if (!rpi_os.DuplicateHandle(self, rpi_os_handle(fd), self, &copy, 0, FALSE,
                                DUPLICATE_SAME_ACCESS)) {
        return rpi_os_last_error();
    }
    return rpi_os_fd(copy);
}

int rpi_os_keep(intptr_t fd)
{
    DWORD flags = 0;

    if (fd <= 0 || fd > INT_MAX || !GetHandleInformation(rpi_os_handle(fd), &flags)) {
        return -EBADF;
    }
    return (flags & HANDLE_FLAG_INHERIT) != 0 ? (int)fd : RP_EINVAL;
}

bool rpi_os_keeps_by_copy(void)
{
    return false;
}

int rpi_os_check_descriptor(intptr_t fd)
{
    DWORD flags = 0;

    return GetHandleInformation(rpi_os_handle(fd), &flags) ? 0 : -EBADF;
}

int rpi_os_check_directory(const char *path)
{
    bool invalid = false;
    wchar_t *wide = rpi_os_wide(path, &invalid);
    DWORD attributes;

    if (wide == NULL) {
        return invalid ? -ENOENT : -ENOMEM;
    }
    attributes = GetFileAttributesW(wide);
    free(wide);
    if (attributes == INVALID_FILE_ATTRIBUTES) {
        return rpi_os_last_error();
    }
    return (attributes & FILE_ATTRIBUTE_DIRECTORY) != 0 ? 0 : -ENOTDIR;
}

int rpi_os_file_flags(bool is_output, bool append)
{
    if (!is_output) {
        return RPI_OS_FILE_READ;
    }
    return append ? RPI_OS_FILE_APPEND : RPI_OS_FILE_TRUNCATE;
}

int64_t rpi_os_pid(void)
{
    return (int64_t)GetCurrentProcessId();
}

/* ---- what is in a pipe -------------------------------------------------------------------- */

/** FilePipeLocalInformation. */
typedef struct pipe_local_information {
    ULONG type, configuration, instances_max, instances, inbound_quota, read_available;
    ULONG outbound_quota, write_available, state, end;
} pipe_local_information;

enum {
    FILE_PIPE_LOCAL_INFORMATION_CLASS = 24,
    PIPE_STATE_CLOSING = 4, // the other end is closed
};

/** What the system knows of our end; false: nothing. */
static bool ask_pipe(HANDLE pipe, pipe_local_information *ret_information)
{
    IO_STATUS_BLOCK status;

    return rpi_os.NtQueryInformationFile != NULL &&
           rpi_os.NtQueryInformationFile(pipe, &status, ret_information, sizeof *ret_information,
                                         FILE_PIPE_LOCAL_INFORMATION_CLASS) >= 0;
}

int rpi_os_unread(int fd)
{
    DWORD available = 0;

    if (!rpi_os.PeekNamedPipe(rpi_os_handle(fd), NULL, 0, NULL, &available, NULL)) {
        const DWORD error = GetLastError();

        return error == ERROR_BROKEN_PIPE || error == ERROR_PIPE_NOT_CONNECTED
                   ? 0
                   : rpi_os_error(error);
    }
    return available > INT_MAX ? INT_MAX : (int)available;
}

void rpi_os_are_hung_up(const int *fds, size_t count, bool *ret_hung_up)
{
    for (size_t i = 0; i < count; i++) {
        pipe_local_information information;

        if (ask_pipe(rpi_os_handle(fds[i]), &information)) {
            ret_hung_up[i] = information.state == PIPE_STATE_CLOSING;
        } else {
            ret_hung_up[i] =
                !rpi_os.PeekNamedPipe(rpi_os_handle(fds[i]), NULL, 0, NULL, NULL, NULL);
        }
    }
}

int rpi_os_read_now(int fd, void *memory, uint32_t size)
{
    OVERLAPPED overlapped = {0};
    const HANDLE pipe = rpi_os_handle(fd);
    DWORD available = 0;
    DWORD count = 0;
    HANDLE event;
    int r = 0;

    if (!rpi_os.PeekNamedPipe(pipe, NULL, 0, NULL, &available, NULL)) {
        const DWORD error = GetLastError();

        return error == ERROR_BROKEN_PIPE || error == ERROR_PIPE_NOT_CONNECTED
                   ? 0
                   : rpi_os_error(error);
    }
    if (available == 0) {
        return -EAGAIN;
    }
    event = rpi_os.CreateEventW(NULL, TRUE, FALSE, NULL);
    if (event == NULL) {
        return rpi_os_last_error();
    }
    // The lowest bit keeps the packet from the port. Nobody else reads: what is there stays there.
    overlapped.hEvent = (HANDLE)((ULONG_PTR)event | 1);
    if (!rpi_os.ReadFile(pipe, memory, size < available ? size : available, NULL, &overlapped) &&
        GetLastError() != ERROR_IO_PENDING) {
        r = rpi_os_last_error();
    } else if (!rpi_os.GetOverlappedResult(pipe, &overlapped, &count, TRUE)) {
        r = rpi_os_last_error();
    }
    (void)rpi_os.CloseHandle(event); // ours
    return r == -EPIPE ? 0 : r < 0 ? r : (int)count;
}

int rpi_os_write_now(int fd, const void *bytes, uint32_t size)
{
    (void)fd;
    (void)bytes;
    (void)size;
    return RP_EUNSUPPORTED; // a pipe of ours may be full, and then it waits
}

int rpi_os_pipe_name(int fd, uint64_t *ret_name)
{
    (void)fd;
    (void)ret_name;
    return RP_EUNSUPPORTED; // the system tells nobody who holds the other end of a pipe
}

void rpi_os_wait_for_exit(int process)
{
    (void)rpi_os.WaitForSingleObject(rpi_os_handle(process), INFINITE); // our own, valid handle
}
