/* The memory of rings on Windows. A mirrored ring is a section of its own, mapped twice into
 * address space that was reserved as two placeholders side by side, so that nothing can come
 * between reserving and mapping (Windows 10 1803 has the calls). Where a ring is smaller than the
 * system's granularity of mappings (64 KiB) it cannot be had. */
#include <stddef.h>

#include "base/os_windows.h"
#include "base/ring_map.h"

#ifndef MEM_RESERVE_PLACEHOLDER
#define MEM_RESERVE_PLACEHOLDER 0x00040000
#define MEM_REPLACE_PLACEHOLDER 0x00004000
#endif
#ifndef MEM_PRESERVE_PLACEHOLDER
#define MEM_PRESERVE_PLACEHOLDER 0x00000002
#endif

static SYSTEM_INFO system_info(void)
{
    SYSTEM_INFO info;

    GetSystemInfo(&info); // copied from the process's own memory
    return info;
}

uint32_t rpi_ring_page_size(void)
{
    rpi_os_resolve();
    return system_info().dwPageSize;
}

/** Maps the section into both halves of the space, which are placeholders: whether it could. */
static bool map_twice(HANDLE section, char *memory, uint32_t size)
{
    if (rpi_os.MapViewOfFile3(section, NULL, memory, 0, size, MEM_REPLACE_PLACEHOLDER,
                              PAGE_READWRITE, NULL, 0) == NULL) {
        return false;
    }
    if (rpi_os.MapViewOfFile3(section, NULL, memory + size, 0, size, MEM_REPLACE_PLACEHOLDER,
                              PAGE_READWRITE, NULL, 0) == NULL) {
        (void)rpi_os.UnmapViewOfFile(memory); // mapped just now
        return false;
    }
    return true;
}

char *rpi_ring_map_mirrored(uint32_t size, bool *refused)
{
    HANDLE section = NULL;
    char *memory = NULL;
    bool mapped = false;

    if (size % system_info().dwAllocationGranularity != 0) {
        return NULL;
    }
    if (rpi_os.VirtualAlloc2 == NULL || rpi_os.MapViewOfFile3 == NULL) {
        *refused = true;
        return NULL;
    }
    memory = rpi_os.VirtualAlloc2(NULL, NULL, 2 * (size_t)size,
                                  MEM_RESERVE | MEM_RESERVE_PLACEHOLDER, PAGE_NOACCESS, NULL, 0);
    if (memory == NULL) {
        *refused = GetLastError() != ERROR_NOT_ENOUGH_MEMORY;
        return NULL;
    }
    section = rpi_os.CreateFileMappingW(INVALID_HANDLE_VALUE, NULL, PAGE_READWRITE, 0, size, NULL);
    if (!rpi_os.VirtualFree(memory, size, MEM_RELEASE | MEM_PRESERVE_PLACEHOLDER)) {
        *refused = true;
        (void)rpi_os.VirtualFree(memory, 0, MEM_RELEASE); // still one piece
    } else {
        mapped = section != NULL && map_twice(section, memory, size);
        if (!mapped) {
            (void)rpi_os.VirtualFree(memory, 0, MEM_RELEASE); // two pieces, both ours
            (void)rpi_os.VirtualFree(memory + size, 0, MEM_RELEASE);
        }
    }
    if (section != NULL) {
        (void)rpi_os.CloseHandle(section); // the mappings keep what is in it
    }
    return mapped ? memory : NULL;
}

char *rpi_ring_map_linear(uint32_t size)
{
    return rpi_os.VirtualAlloc(NULL, size, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
}

void rpi_ring_unmap(char *memory, uint32_t size, bool mirrored)
{
    if (mirrored) {
        (void)rpi_os.UnmapViewOfFile(memory); // our own mappings
        (void)rpi_os.UnmapViewOfFile(memory + size);
    } else {
        (void)rpi_os.VirtualFree(memory, 0, MEM_RELEASE); // our own memory
    }
}
