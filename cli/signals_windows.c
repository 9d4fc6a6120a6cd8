/* What reaches the supervisor of Windows in place of signals: the events of its console, which the
 * system tells in a thread of its own. They go into a short queue and set an event, which the loop
 * watches; the writers' news set it too. Called by main_windows.c, supervisor.c and writer.c. */
#include "cli/signals.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <windows.h>

enum {
    QUEUE_MAX = 16, /* more are the same request again */
    NUMBER_MAX = 64,
};

static struct {
    CRITICAL_SECTION lock;
    HANDLE event;
    rpi_cli_wake queue[QUEUE_MAX];
    size_t count;
    bool news;
} inbox;

static HANDLE handle_of(int fd)
{
    return (HANDLE)(intptr_t)fd;
}

static void push(int number, bool from_keyboard)
{
    EnterCriticalSection(&inbox.lock);
    if (inbox.count < QUEUE_MAX) {
        inbox.queue[inbox.count++] = (rpi_cli_wake){number, from_keyboard};
    }
    LeaveCriticalSection(&inbox.lock);
    (void)SetEvent(inbox.event); /* ours */
}

/* In a thread of the system's. A console that is closed ends the program when this returns, so it
 * waits: the supervisor ends it. */
static BOOL WINAPI on_event(DWORD event)
{
    switch (event) {
    case CTRL_C_EVENT:
    case CTRL_BREAK_EVENT:
        push(rpi_cli_signal_number("INT"), true);
        return TRUE;
    default:
        push(rpi_cli_signal_number("TERM"), false);
        Sleep(INFINITE);
        return TRUE;
    }
}

int rpi_cli_signals_open(int *ret_read_fd, int *ret_write_fd)
{
    InitializeCriticalSection(&inbox.lock);
    inbox.event = CreateEventW(NULL, TRUE, FALSE, NULL);
    if (inbox.event == NULL) {
        return -12; /* ENOMEM */
    }
    (void)SetConsoleCtrlHandler(on_event, TRUE); /* without a console there are no events */
    *ret_read_fd = (int)(intptr_t)inbox.event;
    *ret_write_fd = *ret_read_fd;
    return 0;
}

size_t rpi_cli_signals_take(int read_fd, rpi_cli_wake *wakes, size_t count)
{
    size_t taken = 0;

    EnterCriticalSection(&inbox.lock);
    if (inbox.news && count > 0) {
        inbox.news = false;
        wakes[taken++] = (rpi_cli_wake){0, false};
    }
    while (taken < count && inbox.count > 0) {
        wakes[taken++] = inbox.queue[0];
        inbox.count--;
        memmove(inbox.queue, inbox.queue + 1, inbox.count * sizeof inbox.queue[0]);
    }
    if (inbox.count == 0 && !inbox.news) {
        (void)ResetEvent(handle_of(read_fd)); /* under the lock: who pushes sets it again */
    }
    LeaveCriticalSection(&inbox.lock);
    return taken;
}

void rpi_cli_signals_tell(int write_fd)
{
    EnterCriticalSection(&inbox.lock);
    inbox.news = true;
    (void)SetEvent(handle_of(write_fd)); /* ours */
    LeaveCriticalSection(&inbox.lock);
}

void rpi_cli_signals_block(bool block)
{
    (void)block; /* events come in a thread of their own, whatever threads there are */
}

// ---- names -------------------------------------------------------------------

static const struct {
    const char *name;
    int number;
} signal_table[] = {
    {"SIGINT", 2}, {"SIGKILL", 9}, {"SIGTERM", 15}, {"SIGBREAK", 21}, {"SIGABRT", 22},
};

int rpi_cli_signal_number(const char *text)
{
    if (*text >= '0' && *text <= '9') {
        char *end;
        const long number = strtol(text, &end, 10);

        return *end == '\0' && number > 0 && number <= NUMBER_MAX ? (int)number : 0;
    }
    for (size_t i = 0; i < sizeof signal_table / sizeof signal_table[0]; i++) {
        const char *name = signal_table[i].name;

        if (_stricmp(text, name) == 0 || _stricmp(text, name + strlen("SIG")) == 0) {
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
