/* What Windows has in place of signals, for signal.c: an interrupt is a CTRL_BREAK event, which
 * reaches the child's process group where it shares the caller's console; terminating and killing
 * end the whole job of the child, or the child alone, at once and beyond its say. The exit codes
 * are those that a shell would tell of SIGTERM and SIGKILL. */
#include <errno.h>

#include "base/os_windows.h"
#include "base/signals.h"
#include "base/status.h"
#include "core/process.h"

enum {
    CODE_OF_SIGNAL = 128
};

static bool has_ended(const rp_process *process)
{
    return rpi_os.WaitForSingleObject(rpi_os_handle(process->pidfd), 0) == WAIT_OBJECT_0;
}

int rpi_send_check(void)
{
    return rpi_detail(RP_EUNSUPPORTED, "this system has no signals");
}

/* Ctrl-C, typed: the console makes an event of it, unless the program reads keys as they are. */
static int type_interrupt(rp_process *process)
{
    return rpi_writer_is_open(process->writer)
               ? rpi_writer_add(process->writer, (rp_view){"\x03", 1}, NULL, NULL)
               : RP_EPIPE;
}

static int send_break(rp_process *process)
{
    if (process->terminal != NULL) {
        return type_interrupt(process);
    }
    if (!process->own_group ||
        !rpi_os.GenerateConsoleCtrlEvent(CTRL_BREAK_EVENT, (DWORD)process->pid)) {
        return rpi_detail(RP_EUNSUPPORTED,
                          "no interrupt reaches a child that is not at the caller's console");
    }
    return 0;
}

int rpi_send_leader(rp_process *process, int signal)
{
    if (has_ended(process)) {
        return RP_ESRCH;
    }
    if (signal == 0) {
        return 0;
    }
    if (signal == SIGINT) {
        return send_break(process);
    }
    if (!rpi_os.TerminateProcess(rpi_os_handle(process->pidfd), (UINT)(CODE_OF_SIGNAL + signal))) {
        const int r = rpi_os_last_error();

        return has_ended(process) ? RP_ESRCH : r;
    }
    return 0;
}

bool rpi_send_group_exists(int64_t group)
{
    (void)group;
    return false; // such groups are of consoles only
}

int rpi_send_group(rp_process *process, int signal)
{
    if (signal == 0) {
        return has_ended(process) ? RP_ESRCH : 0;
    }
    if (signal == SIGINT) {
        return has_ended(process) ? RP_ESRCH : send_break(process);
    }
    if (!rpi_os.TerminateJobObject(rpi_os_handle(process->job), (UINT)(CODE_OF_SIGNAL + signal))) {
        return rpi_os_last_error();
    }
    return 0;
}
