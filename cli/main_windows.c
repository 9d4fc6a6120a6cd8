/* running-process: supervises one command from the shell (docs/man/running-process.1). Here: what
 * the program finds when it starts (handles, arguments), the answers that need no command, and the
 * way out. The rest is supervisor.c's. For Windows. */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <windows.h>

#include <shellapi.h>

#include <rp/rp.h>

#include "cli/help.h"
#include "cli/message.h"
#include "cli/options.h"
#include "cli/signals.h"
#include "cli/supervisor.h"
#include "cli/why.h"

static int answer(const char *text)
{
    if (fputs(text, stdout) < 0 || fflush(stdout) != 0) {
        rpi_cli_complain("standard output: %s", rp_strerror(-errno));
        return RPI_CLI_FAILED;
    }
    return EXIT_SUCCESS;
}

static int answer_version(void)
{
    char text[256];

    (void)rpi_cli_version(text, sizeof text);
    return answer(text);
}

static int answer_why(int64_t pid)
{
    rpi_cli_buffer text = {0};
    int code = EXIT_SUCCESS;
    int r = rpi_cli_why(pid, &text);

    if (r < 0) {
        rpi_cli_complain("could not get process info for PID %" PRId64 ": %s", pid, rp_strerror(r));
        code = EXIT_FAILURE;
    } else if (fwrite(text.data, 1, text.size, stdout) != text.size || fflush(stdout) != 0) {
        rpi_cli_complain("standard output: %s", rp_strerror(-errno));
        code = RPI_CLI_FAILED;
    }
    rpi_cli_buffer_fini(&text);
    return code;
}

/* UTF-16 as UTF-8, of malloc; NULL: no memory. */
static char *narrow(const wchar_t *text)
{
    const int size = WideCharToMultiByte(CP_UTF8, 0, text, -1, NULL, 0, NULL, NULL);
    char *bytes = malloc((size_t)(size > 0 ? size : 1));

    if (bytes != NULL) {
        bytes[0] = '\0';
        (void)WideCharToMultiByte(CP_UTF8, 0, text, -1, bytes, size, NULL, NULL); /* measured */
    }
    return bytes;
}

/* The arguments as UTF-8, NULL-terminated: they live as long as the program. NULL: no memory. */
static char **read_arguments(void)
{
    int count = 0;
    LPWSTR *wide = CommandLineToArgvW(GetCommandLineW(), &count);
    char **list = wide != NULL ? calloc((size_t)count + 1, sizeof *list) : NULL;

    for (int i = 0; list != NULL && i < count; i++) {
        list[i] = narrow(wide[i]);
        if (list[i] == NULL) {
            return NULL;
        }
    }
    (void)LocalFree(wide); /* the system's */
    return list;
}

/* A file; none is standard error, and numbers of descriptors are not handed over here. The handle,
 * or a negative error. */
static int open_events(const char *target)
{
    wchar_t path[MAX_PATH];
    HANDLE file;

    if (target == NULL) {
        return 2;
    }
    if (strspn(target, "0123456789") == strlen(target)) {
        return strcmp(target, "1") == 0 ? 1 : strcmp(target, "2") == 0 ? 2 : -EBADF;
    }
    if (MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, target, -1, path, MAX_PATH) <= 0) {
        return -ENOENT;
    }
    file = CreateFileW(path, GENERIC_WRITE, FILE_SHARE_READ, NULL, CREATE_ALWAYS,
                       FILE_ATTRIBUTE_NORMAL, NULL);
    if (file == INVALID_HANDLE_VALUE) {
        return GetLastError() == ERROR_ACCESS_DENIED ? -EACCES : -ENOENT;
    }
    return (int)(intptr_t)file;
}

static void find_size(rpi_cli_setup *setup)
{
    CONSOLE_SCREEN_BUFFER_INFO info;

    if (GetConsoleScreenBufferInfo(GetStdHandle(STD_OUTPUT_HANDLE), &info)) {
        setup->rows = (uint16_t)(info.srWindow.Bottom - info.srWindow.Top + 1);
        setup->cols = (uint16_t)(info.srWindow.Right - info.srWindow.Left + 1);
    }
}

static int supervise(const rpi_cli_options *options)
{
    DWORD mode;
    rpi_cli_setup setup = {.own_pid = (int64_t)GetCurrentProcessId(),
                           .json_fd = -1,
                           .has_terminal = GetConsoleMode(GetStdHandle(STD_INPUT_HANDLE), &mode)};
    int r;

    find_size(&setup);
    if (options->json) {
        setup.json_fd = open_events(options->json_target);
        if (setup.json_fd < 0) {
            rpi_cli_complain("--json: %s: '%s'", rp_strerror(setup.json_fd), options->json_target);
            return RPI_CLI_FAILED;
        }
    }
    r = rpi_cli_signals_open(&setup.wake_read_fd, &setup.wake_write_fd);
    if (r < 0) {
        rpi_cli_complain("cannot prepare for events of the console: %s", rp_strerror(r));
        return RPI_CLI_FAILED;
    }
    return rpi_cli_supervise(options, &setup);
}

int main(void)
{
    rpi_cli_options options;
    char message[512];
    int code = RPI_CLI_FAILED;
    char **arguments = read_arguments();

    if (arguments == NULL) {
        rpi_cli_complain("arguments: %s", rp_strerror(RP_ENOMEM));
        return code;
    }
    if (rpi_cli_options_init(&options, arguments, message, sizeof message) < 0) {
        rpi_cli_complain("%s", message);
    } else if (options.action == RPI_CLI_HELP) {
        code = answer(rpi_cli_help());
    } else if (options.action == RPI_CLI_VERSION) {
        code = answer_version();
    } else if (options.action == RPI_CLI_WHY) {
        code = answer_why(options.why_pid);
    } else {
        code = supervise(&options);
    }
    rpi_cli_options_fini(&options);
    return code;
}
