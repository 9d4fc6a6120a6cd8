/* The names of the signals of FreeBSD and macOS, for base/signals.h. A table of ours, as the C
 * library's names for them are without "SIG". SIGIOT is SIGABRT. */
#ifdef __FreeBSD__
#define __BSD_VISIBLE 1
#endif
#include "base/signals.h"

#include <signal.h>
#include <stddef.h>

static const char *const signal_names[] = {
    [SIGHUP] = "SIGHUP",   [SIGINT] = "SIGINT",     [SIGQUIT] = "SIGQUIT",
    [SIGILL] = "SIGILL",   [SIGTRAP] = "SIGTRAP",   [SIGABRT] = "SIGABRT",
    [SIGBUS] = "SIGBUS",   [SIGFPE] = "SIGFPE",     [SIGKILL] = "SIGKILL",
    [SIGUSR1] = "SIGUSR1", [SIGSEGV] = "SIGSEGV",   [SIGUSR2] = "SIGUSR2",
    [SIGPIPE] = "SIGPIPE", [SIGALRM] = "SIGALRM",   [SIGTERM] = "SIGTERM",
    [SIGEMT] = "SIGEMT",   [SIGINFO] = "SIGINFO",   [SIGCHLD] = "SIGCHLD",
    [SIGCONT] = "SIGCONT", [SIGSTOP] = "SIGSTOP",   [SIGTSTP] = "SIGTSTP",
    [SIGTTIN] = "SIGTTIN", [SIGTTOU] = "SIGTTOU",   [SIGURG] = "SIGURG",
    [SIGXCPU] = "SIGXCPU", [SIGXFSZ] = "SIGXFSZ",   [SIGVTALRM] = "SIGVTALRM",
    [SIGPROF] = "SIGPROF", [SIGWINCH] = "SIGWINCH", [SIGIO] = "SIGIO",
    [SIGSYS] = "SIGSYS",
};

const char *rpi_signal_name(int signal)
{
    if (signal <= 0 || (size_t)signal >= sizeof signal_names / sizeof signal_names[0]) {
        return NULL;
    }
    return signal_names[signal];
}
