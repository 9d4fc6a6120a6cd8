/* How a writer writes on Windows, in its own thread: see writer.c. Descriptors below 3 are the
 * standard handles, others are handles. */
#include <errno.h>
#include <stdint.h>

#include <windows.h>

#include "cli/writer.h"

static HANDLE handle_of(int fd)
{
    static const DWORD standard[] = {STD_INPUT_HANDLE, STD_OUTPUT_HANDLE, STD_ERROR_HANDLE};

    return fd >= 0 && fd < 3 ? GetStdHandle(standard[fd]) : (HANDLE)(intptr_t)fd;
}

int rpi_cli_writer_write(int fd, const char *bytes, size_t size)
{
    while (size > 0) {
        const DWORD share = size < INT32_MAX ? (DWORD)size : INT32_MAX;
        DWORD written = 0;

        if (!WriteFile(handle_of(fd), bytes, share, &written, NULL)) {
            const DWORD error = GetLastError();

            return error == ERROR_BROKEN_PIPE || error == ERROR_NO_DATA ? -EPIPE
                   : error == ERROR_INVALID_HANDLE                      ? -EBADF
                   : error == ERROR_DISK_FULL                           ? -ENOSPC
                                                                        : -EIO;
        }
        bytes += written;
        size -= written;
    }
    return 0;
}

bool rpi_cli_writer_is_same(int fd, int other_fd)
{
    const HANDLE one = handle_of(fd);
    const HANDLE other = handle_of(other_fd);
    BY_HANDLE_FILE_INFORMATION a;
    BY_HANDLE_FILE_INFORMATION b;
    DWORD mode;

    if (one == other) {
        return true;
    }
    if (GetConsoleMode(one, &mode) && GetConsoleMode(other, &mode)) {
        return true; // a program has one console
    }
    // Of pipes the system does not tell; then each has a writer of its own.
    return GetFileInformationByHandle(one, &a) && GetFileInformationByHandle(other, &b) &&
           a.dwVolumeSerialNumber == b.dwVolumeSerialNumber &&
           a.nFileIndexHigh == b.nFileIndexHigh && a.nFileIndexLow == b.nFileIndexLow &&
           GetFileType(one) == FILE_TYPE_DISK;
}
