/* What of a command is checked on Windows: handles that the child inherits, the settings that only
 * this system has, and those that it lacks. */
#include <limits.h>

#include "base/os_windows.h"
#include "base/signals.h"
#include "base/status.h"
#include "core/command.h"
#include "pty/pty.h"

/* Of CreateProcess; the others are for the library to say. */
#define FLAGS_ALLOWED                                                                              \
    (CREATE_BREAKAWAY_FROM_JOB | CREATE_DEFAULT_ERROR_MODE | CREATE_NEW_CONSOLE |                  \
     CREATE_NO_WINDOW | CREATE_PROTECTED_PROCESS | CREATE_SECURE_PROCESS |                         \
     CREATE_PRESERVE_CODE_AUTHZ_LEVEL | DETACHED_PROCESS)

static int check_fds(const rp_command *command)
{
    if (command->fd_count > 0 && command->fds == NULL) {
        return rpi_detail(RP_EINVAL, "fds: a count, but no list");
    }
    for (size_t i = 0; i < command->fd_count; i++) {
        const rp_fd *fd = &command->fds[i];
        DWORD flags = 0;

        if (fd->child != 0) {
            return rpi_detail(RP_EINVAL, "fds: entry %zu: a handle keeps its value, child is 0", i);
        }
        if (fd->parent <= 0 || fd->parent > INT_MAX ||
            !GetHandleInformation(rpi_os_handle(fd->parent), &flags)) {
            return rpi_detail(-EBADF, "fds: entry %zu is no handle", i);
        }
        if ((flags & HANDLE_FLAG_INHERIT) == 0) {
            return rpi_detail(RP_EINVAL, "fds: entry %zu is not inheritable", i);
        }
    }
    return 0;
}

static int check_windows(const rp_command *command)
{
    rp_windows windows = RP_INIT(rp_windows);
    int r;

    if (command->windows == NULL) {
        return 0;
    }
    r = rpi_command_read_nested(command->windows, sizeof windows, &windows, "windows");
    if (r == 0 && (windows.creation_flags & ~(uint32_t)FLAGS_ALLOWED) != 0) {
        return rpi_detail(RP_EINVAL, "windows: creation_flags 0x%x are not the caller's to set",
                          (unsigned int)windows.creation_flags);
    }
    if (r == 0 && windows.verbatim && command->shell != NULL) {
        return rpi_detail(RP_EINVAL, "windows: verbatim is for argv, a shell's line is so anyway");
    }
    return r;
}

int rpi_command_check_system(const rp_command *command)
{
    rp_limits limits = RP_INIT(rp_limits);
    rp_stop_options stop = RP_INIT(rp_stop_options);
    int r = check_fds(command);

    r = r < 0 ? r : check_windows(command);
    if (r == 0 && command->limits != NULL) {
        r = rpi_command_read_nested(command->limits, sizeof limits, &limits, "limits");
    }
    if (r == 0 && command->stop != NULL) {
        r = rpi_command_read_nested(command->stop, sizeof stop, &stop, "stop");
    }
    if (r < 0) {
        return r;
    }
    if (command->posix != NULL) {
        return rpi_detail(RP_EUNSUPPORTED, "posix: this is Windows");
    }
    if (command->transport == RP_CONSOLE_FOREGROUND) {
        return rpi_detail(RP_EUNSUPPORTED, "transport: a console of Windows has no foreground");
    }
    if (command->transport == RP_PTY && !rpi_pty_is_available()) {
        return rpi_detail(RP_EUNSUPPORTED, "transport: this system has no pseudo-consoles");
    }
    if (limits.open_files != 0) {
        return rpi_detail(RP_EUNSUPPORTED, "limits: open_files: this system has no such limit");
    }
    if (stop.terminate_signal != 0 && stop.terminate_signal != SIGTERM) {
        return rpi_detail(RP_EUNSUPPORTED, "stop: terminate_signal: this system has no signals");
    }
    return 0;
}
