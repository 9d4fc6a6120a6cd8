/* See files.h. Called by record.c and diagnosis.c. */
#include "cli/files.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <windows.h>

#include <rp/rp.h>

#define FILETIME_UNIX_EPOCH INT64_C(116444736000000000) /* from 1601 to 1970, in 100 ns */

int64_t rpi_cli_wall_us(void)
{
    FILETIME now;

    GetSystemTimePreciseAsFileTime(&now);
    return ((int64_t)(((uint64_t)now.dwHighDateTime << 32) | now.dwLowDateTime) -
            FILETIME_UNIX_EPOCH) /
           10;
}

static SYSTEMTIME parts_of(int64_t wall_us)
{
    const uint64_t ticks = (uint64_t)(wall_us * 10 + FILETIME_UNIX_EPOCH);
    const FILETIME time = {(DWORD)ticks, (DWORD)(ticks >> 32)};
    SYSTEMTIME parts = {.wYear = 1970, .wMonth = 1, .wDay = 1};

    (void)FileTimeToSystemTime(&time, &parts); /* a year beyond all calendars: 1970 */
    return parts;
}

void rpi_cli_utc_stamp(int64_t wall_us, char text[RPI_CLI_UTC_SIZE])
{
    const SYSTEMTIME at = parts_of(wall_us);

    (void)snprintf(text, RPI_CLI_UTC_SIZE, "%04d%02d%02dT%02d%02d%02dZ", at.wYear, at.wMonth,
                   at.wDay, at.wHour, at.wMinute, at.wSecond);
}

void rpi_cli_utc_iso(int64_t wall_us, char text[RPI_CLI_UTC_SIZE])
{
    const SYSTEMTIME at = parts_of(wall_us);

    (void)snprintf(text, RPI_CLI_UTC_SIZE, "%04d-%02d-%02dT%02d:%02d:%02d.%06d+00:00", at.wYear,
                   at.wMonth, at.wDay, at.wHour, at.wMinute, at.wSecond, (int)(wall_us % 1000000));
}

static wchar_t *widen(const char *text)
{
    const int count = MultiByteToWideChar(CP_UTF8, 0, text, -1, NULL, 0);
    wchar_t *wide = malloc((size_t)(count > 0 ? count : 1) * sizeof *wide);

    if (wide != NULL) {
        wide[0] = L'\0';
        (void)MultiByteToWideChar(CP_UTF8, 0, text, -1, wide, count); /* measured before */
    }
    return wide;
}

/* Each folder on the way to the file; `path` is put back as it was. */
static int make_folders(wchar_t *path)
{
    for (wchar_t *at = path + 1; *at != L'\0'; at++) {
        const wchar_t separator = *at;
        bool failed;

        if ((separator != L'/' && separator != L'\\') || at[-1] == L':') {
            continue;
        }
        *at = L'\0';
        failed = !CreateDirectoryW(path, NULL) && GetLastError() != ERROR_ALREADY_EXISTS;
        *at = separator;
        if (failed) {
            return GetLastError() == ERROR_ACCESS_DENIED ? -EACCES : -ENOENT;
        }
    }
    return 0;
}

static int write_file(wchar_t *path, const char *bytes, size_t size)
{
    int r = make_folders(path);
    DWORD written = 0;
    HANDLE file;

    if (r < 0) {
        return r;
    }
    /* Whoever may read it is what its folder says, the user's own. */
    file = CreateFileW(path, GENERIC_WRITE, 0, NULL, CREATE_NEW, FILE_ATTRIBUTE_NORMAL, NULL);
    if (file == INVALID_HANDLE_VALUE) {
        return GetLastError() == ERROR_FILE_EXISTS ? -EEXIST : -EACCES;
    }
    if (size > UINT32_MAX || !WriteFile(file, bytes, (DWORD)size, &written, NULL) ||
        written != size) {
        r = -EIO;
    }
    (void)CloseHandle(file); /* what it had to say was said by the write */
    if (r < 0) {
        (void)DeleteFileW(path); /* half of it misleads */
    }
    return r;
}

int rpi_cli_file_write(
    const char *folder, const char *name, const void *bytes, size_t size, char **ret_path)
{
    const size_t path_size = strlen(folder) + strlen(name) + 2;
    char *path = malloc(path_size);
    wchar_t *wide = NULL;
    int r = RP_ENOMEM;

    if (path != NULL) {
        (void)snprintf(path, path_size, "%s/%s", folder, name);
        wide = widen(path);
    }
    if (wide != NULL) {
        r = write_file(wide, bytes, size);
        free(wide);
    }
    if (r < 0) {
        free(path);
        return r;
    }
    *ret_path = path;
    return 0;
}
