/* Signals for the supervisor, on POSIX systems. A handler may do almost nothing, so it writes the
 * signal's number into a pipe that never blocks and goes; the loop reads it there. A full pipe
 * loses bytes, but then thousands are unread: the same request again. signalfd would do with less,
 * but wants the signals blocked in every thread of the process, the library's included, which is
 * not ours to promise. Called by main_posix.c, supervisor.c and writer_posix.c. */
#include "cli/signals.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

enum {
    KEYBOARD_BIT = 0x80 /* in a byte of the pipe, beside the number */
};

static const int forwarded_signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};

static volatile sig_atomic_t handler_fd = -1;

static void on_signal(int number, siginfo_t *info, void *context)
{
    int saved_errno = errno;
    unsigned char byte = (unsigned char)number;
    ssize_t written;

    (void)context;
    if (info->si_code == SI_KERNEL) {
        byte |= KEYBOARD_BIT;
    }
    written = write(handler_fd, &byte, 1);
    (void)written; /* a full pipe: see above */
    errno = saved_errno;
}

static int set_disposition(int number, void (*disposition)(int))
{
    struct sigaction action = {.sa_handler = disposition};

    (void)sigemptyset(&action.sa_mask); /* cannot fail */
    return sigaction(number, &action, NULL) < 0 ? -errno : 0;
}

static int install(int number)
{
    struct sigaction action = {.sa_flags = SA_SIGINFO | SA_RESTART};
    struct sigaction old;

    if (sigaction(number, NULL, &old) < 0) {
        return -errno;
    }
    if ((old.sa_flags & SA_SIGINFO) == 0 && old.sa_handler == SIG_IGN) {
        return 0;
    }
    action.sa_sigaction = on_signal;
    (void)sigfillset(&action.sa_mask); /* cannot fail */
    return sigaction(number, &action, NULL) < 0 ? -errno : 0;
}

static int open_pipe(int ends[2])
{
    if (pipe(ends) < 0) {
        return -errno;
    }
    for (int i = 0; i < 2; i++) {
        if (fcntl(ends[i], F_SETFD, FD_CLOEXEC) < 0 || fcntl(ends[i], F_SETFL, O_NONBLOCK) < 0) {
            int error = -errno;

            (void)close(ends[0]); /* the first error is the one to tell */
            (void)close(ends[1]);
            return error;
        }
    }
    return 0;
}

int rpi_cli_signals_open(int *ret_read_fd, int *ret_write_fd)
{
    int ends[2];
    int r = open_pipe(ends);

    if (r < 0) {
        return r;
    }
    handler_fd = ends[1];
    for (size_t i = 0; r == 0 && i < sizeof forwarded_signals / sizeof forwarded_signals[0]; i++) {
        r = install(forwarded_signals[i]);
    }
    if (r == 0) {
        r = set_disposition(SIGPIPE, SIG_IGN); /* a reader that went away is an error of write(2) */
    }
    if (r == 0) {
        r = set_disposition(SIGCHLD,
                            SIG_DFL); /* inherited as ignored it would cost us the status */
    }
    if (r < 0) {
        return r; /* the program ends: pipe and handlers go with it */
    }
    rpi_cli_signals_block(false); /* whoever started us may have left them blocked */
    *ret_read_fd = ends[0];
    *ret_write_fd = ends[1];
    return 0;
}

size_t rpi_cli_signals_take(int read_fd, rpi_cli_wake *wakes, size_t count)
{
    unsigned char bytes[64];
    ssize_t got;

    do {
        got = read(read_fd, bytes, count < sizeof bytes ? count : sizeof bytes);
    } while (got < 0 && errno == EINTR);
    if (got < 0) {
        return 0; /* EAGAIN: empty. Nothing else can happen to a pipe whose both ends are ours. */
    }
    for (ssize_t i = 0; i < got; i++) {
        wakes[i].signal = bytes[i] & ~KEYBOARD_BIT;
        wakes[i].from_keyboard = (bytes[i] & KEYBOARD_BIT) != 0;
    }
    return (size_t)got;
}

void rpi_cli_signals_tell(int write_fd)
{
    const unsigned char byte = 0;
    ssize_t written;

    do {
        written = write(write_fd, &byte, 1);
    } while (written < 0 &&
             errno == EINTR); /* EAGAIN: full of unread bytes, so it will be looked at */
}

void rpi_cli_signals_block(bool block)
{
    sigset_t set;

    (void)sigemptyset(&set); /* these cannot fail: the numbers are valid */
    for (size_t i = 0; i < sizeof forwarded_signals / sizeof forwarded_signals[0]; i++) {
        (void)sigaddset(&set, forwarded_signals[i]);
    }
    (void)pthread_sigmask(block ? SIG_BLOCK : SIG_UNBLOCK, &set, NULL);
}

// ---- names -------------------------------------------------------------------

static const struct {
    const char *name;
    int number;
} signal_table[] = {
    {"SIGHUP", SIGHUP},       {"SIGINT", SIGINT},   {"SIGQUIT", SIGQUIT},   {"SIGILL", SIGILL},
    {"SIGTRAP", SIGTRAP},     {"SIGABRT", SIGABRT}, {"SIGBUS", SIGBUS},     {"SIGFPE", SIGFPE},
    {"SIGKILL", SIGKILL},     {"SIGUSR1", SIGUSR1}, {"SIGSEGV", SIGSEGV},   {"SIGUSR2", SIGUSR2},
    {"SIGPIPE", SIGPIPE},     {"SIGALRM", SIGALRM}, {"SIGTERM", SIGTERM},   {"SIGCHLD", SIGCHLD},
    {"SIGCONT", SIGCONT},     {"SIGSTOP", SIGSTOP}, {"SIGTSTP", SIGTSTP},   {"SIGTTIN", SIGTTIN},
    {"SIGTTOU", SIGTTOU},     {"SIGURG", SIGURG},   {"SIGXCPU", SIGXCPU},   {"SIGXFSZ", SIGXFSZ},
    {"SIGVTALRM", SIGVTALRM}, {"SIGPROF", SIGPROF}, {"SIGWINCH", SIGWINCH}, {"SIGIO", SIGIO},
    {"SIGSYS", SIGSYS},
#ifdef SIGPWR
    {"SIGPWR", SIGPWR},
#endif
#ifdef SIGSTKFLT
    {"SIGSTKFLT", SIGSTKFLT},
#endif
};

int rpi_cli_signal_number(const char *text)
{
    long number;
    char *end;

    if (*text >= '0' && *text <= '9') {
        number = strtol(text, &end, 10);
        return *end == '\0' && number > 0 && number < NSIG ? (int)number : 0;
    }
    for (size_t i = 0; i < sizeof signal_table / sizeof signal_table[0]; i++) {
        const char *name = signal_table[i].name;

        if (strcasecmp(text, name) == 0 || strcasecmp(text, name + strlen("SIG")) == 0) {
            return signal_table[i].number;
        }
    }
    return 0;
}

const char *rpi_cli_signal_name(int number, char *text, size_t text_size)
{
    for (size_t i = 0; i < sizeof signal_table / sizeof signal_table[0]; i++) {
        if (signal_table[i].number == number) {
            return signal_table[i].name;
        }
    }
    (void)snprintf(text, text_size, "signal %d", number);
    return text;
}
