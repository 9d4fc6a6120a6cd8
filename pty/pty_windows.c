/* Terminals on Windows: pseudo-consoles (ConPTY), two pipes and a handle. Pairs of descriptors, and
 * what can be asked of one, are not to be had; the system answers the questions that programs ask
 * their terminal (where is the cursor?) by itself, as we never tell it that another terminal stands
 * behind.
 *
 * Before Windows 11 24H2 a close waits until all that the console still paints was read, so it has
 * a thread of its own that nobody waits for; it owns nothing but the console. Where the console can
 * be released it goes by itself when its last program has gone. */
#include "pty/pty.h"

#include "base/os_windows.h"
#include "rp/base.h"

int rpi_pty_open(uint16_t rows, uint16_t cols, rpi_pty_pair *ret_pair)
{
    (void)rows;
    (void)cols;
    (void)ret_pair;
    return RP_EUNSUPPORTED;
}

bool rpi_pty_is_available(void)
{
    return rpi_os.CreatePseudoConsole != NULL;
}

int rpi_pty_console_open(uint16_t rows, uint16_t cols, int input, int output, void **ret_console)
{
    const COORD size = {.X = (SHORT)cols, .Y = (SHORT)rows};
    HPCON console = NULL;
    HRESULT result;

    rpi_os_resolve();
    result =
        rpi_os.CreatePseudoConsole(size, rpi_os_handle(input), rpi_os_handle(output), 0, &console);
    if (FAILED(result)) {
        return HRESULT_FACILITY(result) == FACILITY_WIN32
                   ? rpi_os_error((DWORD)HRESULT_CODE(result))
                   : RP_EIO;
    }
    *ret_console = console;
    return 0;
}

int rpi_pty_console_resize(void *console, uint16_t rows, uint16_t cols)
{
    const HRESULT result =
        rpi_os.ResizePseudoConsole(console, (COORD){.X = (SHORT)cols, .Y = (SHORT)rows});

    if (result == E_NOTIMPL) {
        return RP_EUNSUPPORTED;
    }
    return FAILED(result) ? RP_EIO : 0;
}

static DWORD WINAPI close_console(void *console)
{
    rpi_os.ClosePseudoConsole(console);
    return 0;
}

void rpi_pty_console_close(void *console)
{
    const HANDLE thread = rpi_os.CreateThread(NULL, 0, close_console, console, 0, NULL);

    if (thread == NULL) {
        rpi_os.ClosePseudoConsole(console); // rather a wait than a console that stays
    } else {
        (void)rpi_os.CloseHandle(thread); // it goes by itself
    }
}

int rpi_pty_set_size(int master, uint16_t rows, uint16_t cols)
{
    (void)master;
    (void)rows;
    (void)cols;
    return RP_EUNSUPPORTED;
}

int rpi_pty_get_size(int master, uint16_t *ret_rows, uint16_t *ret_cols)
{
    (void)master;
    (void)ret_rows;
    (void)ret_cols;
    return RP_EUNSUPPORTED;
}

int rpi_pty_get_modes(int master, rpi_pty_modes *ret_modes)
{
    (void)master;
    (void)ret_modes;
    return RP_EUNSUPPORTED;
}

int64_t rpi_pty_foreground(int master)
{
    (void)master;
    return RP_EUNSUPPORTED;
}

int rpi_pty_device(int master, uint64_t *ret_device)
{
    (void)master;
    (void)ret_device;
    return RP_EUNSUPPORTED;
}

int rpi_pty_signal_foreground(int master, int signal)
{
    (void)master;
    (void)signal;
    return RP_EUNSUPPORTED;
}
