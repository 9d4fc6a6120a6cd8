/* See look_windows.h. */
#include "core/look_windows.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <tlhelp32.h>

#include "core/environment.h"

enum {
    LOOK_FIRST = 128,
    BASIC_INFORMATION_CLASS = 0,
    TEXT_MAX = 1 << 20, /* bytes of an environment that are read */
};

/* Places in the memory of a process of 64 bits. */
enum {
    PEB_PARAMETERS = 0x20,
    PARAMETERS_CWD = 0x38,
    PARAMETERS_COMMAND = 0x70,
    PARAMETERS_ENVIRONMENT = 0x80,
};

uint64_t rpi_look_created(HANDLE process)
{
    FILETIME created;
    FILETIME exited;
    FILETIME kernel;
    FILETIME user;

    if (!rpi_os.GetProcessTimes(process, &created, &exited, &kernel, &user)) {
        return 0;
    }
    return ((uint64_t)created.dwHighDateTime << 32) | created.dwLowDateTime;
}

static uint64_t created_of(int64_t pid)
{
    const HANDLE process = rpi_os.OpenProcess(PROCESS_QUERY_LIMITED_INFORMATION, FALSE, (DWORD)pid);
    uint64_t created = 0;

    if (process != NULL) {
        created = rpi_look_created(process);
        (void)rpi_os.CloseHandle(process); // ours
    }
    return created;
}

static int add(rpi_look *look, size_t *capacity, const PROCESSENTRY32W *entry)
{
    rpi_looked *added;
    int length;

    if (look->count == *capacity) {
        const size_t more = *capacity == 0 ? LOOK_FIRST : *capacity * 2;
        rpi_looked *list = realloc(look->list, more * sizeof *list);

        if (list == NULL) {
            return -ENOMEM;
        }
        look->list = list;
        *capacity = more;
    }
    added = &look->list[look->count++];
    *added = (rpi_looked){.pid = entry->th32ProcessID, .parent = entry->th32ParentProcessID};
    added->created = created_of(added->pid);
    length = WideCharToMultiByte(CP_UTF8, 0, entry->szExeFile, -1, added->name,
                                 sizeof added->name - 1, NULL, NULL);
    if (length <= 0) { // too long: its beginning tells
        (void)WideCharToMultiByte(CP_UTF8, 0, entry->szExeFile, RPI_LOOK_NAME_SIZE / 4, added->name,
                                  sizeof added->name - 1, NULL, NULL);
    }
    return 0;
}

int rpi_look_take(rpi_look *ret_look)
{
    PROCESSENTRY32W entry = {.dwSize = sizeof entry};
    rpi_look look = {NULL, 0};
    size_t capacity = 0;
    const HANDLE all = rpi_os.CreateToolhelp32Snapshot(TH32CS_SNAPPROCESS, 0);
    int r = 0;

    if (all == INVALID_HANDLE_VALUE) {
        return rpi_os_last_error();
    }
    for (BOOL more = Process32FirstW(all, &entry); more && r == 0;
         more = Process32NextW(all, &entry)) {
        r = add(&look, &capacity, &entry);
    }
    (void)rpi_os.CloseHandle(all); // ours
    if (r < 0) {
        rpi_look_fini(&look);
        return r;
    }
    *ret_look = look;
    return 0;
}

void rpi_look_fini(rpi_look *look)
{
    free(look->list);
    *look = (rpi_look){NULL, 0};
}

const rpi_looked *rpi_look_find(const rpi_look *look, int64_t pid)
{
    for (size_t i = 0; i < look->count; i++) {
        if (look->list[i].pid == pid) {
            return &look->list[i];
        }
    }
    return NULL;
}

/* ---- the memory of another process --------------------------------------------------- */

static bool read_memory(HANDLE process, uint64_t from, void *memory, size_t size)
{
    SIZE_T got = 0;

    return rpi_os.ReadProcessMemory(process, (const void *)(uintptr_t)from, memory, size, &got) &&
           got == size;
}

static uint64_t read_pointer(HANDLE process, uint64_t from)
{
    uint64_t value = 0;

    return read_memory(process, from, &value, sizeof value) ? value : 0;
}

/* Where its parameters are; 0: not to be had. */
static uint64_t find_parameters(HANDLE process)
{
    PROCESS_BASIC_INFORMATION basic;

    if (rpi_os.NtQueryInformationProcess == NULL ||
        rpi_os.NtQueryInformationProcess(process, BASIC_INFORMATION_CLASS, &basic, sizeof basic,
                                         NULL) < 0 ||
        basic.PebBaseAddress == NULL) {
        return 0;
    }
    return read_pointer(process, (uint64_t)(uintptr_t)basic.PebBaseAddress + PEB_PARAMETERS);
}

/* A counted text of its parameters, of malloc; NULL: none, or no memory. */
static char *read_text(HANDLE process, uint64_t from)
{
    uint16_t size = 0; // bytes
    const uint64_t at = read_pointer(process, from + 8);
    wchar_t *wide;
    char *text = NULL;

    if (at == 0 || !read_memory(process, from, &size, sizeof size)) {
        return NULL;
    }
    wide = malloc((size_t)size + sizeof *wide);
    if (wide != NULL && read_memory(process, at, wide, size)) {
        text = rpi_os_narrow(wide, size / sizeof *wide);
    }
    free(wide);
    return text;
}

/* The environment's readable part, two NULs behind it; of malloc. */
static wchar_t *read_environment(HANDLE process, uint64_t parameters)
{
    const uint64_t at = read_pointer(process, parameters + PARAMETERS_ENVIRONMENT);
    MEMORY_BASIC_INFORMATION region;
    size_t size;
    wchar_t *block;

    if (at == 0 ||
        VirtualQueryEx(process, (const void *)(uintptr_t)at, &region, sizeof region) == 0) {
        return NULL;
    }
    size = region.RegionSize - (size_t)(at - (uint64_t)(uintptr_t)region.BaseAddress);
    size = size < TEXT_MAX ? size : TEXT_MAX;
    size -= size % sizeof *block;
    block = malloc(size + 2 * sizeof *block);
    if (block == NULL || !read_memory(process, at, block, size)) {
        free(block);
        return NULL;
    }
    block[size / sizeof *block] = L'\0';
    block[size / sizeof *block + 1] = L'\0';
    return block;
}

static char *find_originator(const wchar_t *block)
{
    static const wchar_t name[] = L"RUNNING_PROCESS_ORIGINATOR=";
    const size_t length = sizeof name / sizeof *name - 1;

    for (; *block != L'\0'; block += wcslen(block) + 1) {
        if (_wcsnicmp(block, name, length) == 0) {
            return rpi_os_narrow(block + length, wcslen(block + length));
        }
    }
    return NULL;
}

int rpi_parameters_read(int64_t pid, bool originator_only, rpi_parameters *ret_parameters)
{
    const HANDLE process =
        rpi_os.OpenProcess(PROCESS_QUERY_INFORMATION | PROCESS_VM_READ, FALSE, (DWORD)pid);
    uint64_t parameters;
    wchar_t *environment;

    *ret_parameters = (rpi_parameters){NULL, NULL, NULL};
    if (process == NULL) {
        return rpi_os_last_error();
    }
    rpi_os_resolve();
    parameters = find_parameters(process);
    if (parameters != 0) {
        environment = read_environment(process, parameters);
        if (environment != NULL) {
            ret_parameters->originator = find_originator(environment);
        }
        free(environment);
        if (!originator_only) {
            ret_parameters->command = read_text(process, parameters + PARAMETERS_COMMAND);
            ret_parameters->cwd = read_text(process, parameters + PARAMETERS_CWD);
        }
    }
    (void)rpi_os.CloseHandle(process); // ours
    return parameters != 0 ? 0 : -EACCES;
}

void rpi_parameters_fini(rpi_parameters *parameters)
{
    free(parameters->command);
    free(parameters->cwd);
    free(parameters->originator);
    *parameters = (rpi_parameters){NULL, NULL, NULL};
}
