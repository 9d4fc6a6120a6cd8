/* See exit.h. The summary follows the sentences that users of the former package know; what that
 * one did not tell apart (a launch that failed, a lost status, a time-out) has sentences in the
 * same manner. */
#include "core/exit.h"

#include <stdio.h>
#include <string.h>

#include "base/signals.h"
#include "base/status.h"
#include "base/text.h"

enum {
    CODE_INTERRUPTED = 130,    // what shells and many programs end with after SIGINT
    CODE_NOT_FOUND = 127,      // as in shells
    CODE_NOT_EXECUTABLE = 126, // likewise, and for all else that kept it from running
};

// Of Windows: the default of Ctrl-C and Ctrl-Break, and of a commitment that was refused.
#define CODE_CONTROL_C 0xC000013AU
#define CODE_NO_MEMORY 0xC0000017U

static void clear_end(rp_exit *exit, rp_exit_kind kind, int code)
{
    exit->kind = kind;
    exit->code = code;
    exit->signal = 0;
    exit->error = 0;
    exit->system_error = 0;
    if (exit->reason != RP_STOP_LIMIT) {
        exit->phase = NULL; // else the limit's field
    }
    exit->interrupted = false;
    exit->core_dumped = false;
    exit->possible_oom = false;
    exit->abnormal = code != 0;
}

void rpi_exit_from_wait(rp_exit *exit, int status)
{
    // The layout of the word is the same on every Unix: signal, bit of the core dump, exit code.
    const int signal = status & 0x7f;

    if (signal == 0) {
        clear_end(exit, RP_EXITED, (status >> 8) & 0xff);
        exit->interrupted = exit->code == CODE_INTERRUPTED;
    } else {
        clear_end(exit, RP_SIGNALED, -signal);
        exit->signal = signal;
        exit->core_dumped = (status & 0x80) != 0;
        exit->interrupted = signal == SIGINT;
        exit->possible_oom = signal == SIGKILL;
    }
    exit->abnormal = exit->code != 0 && !exit->interrupted;
}

void rpi_exit_from_code(rp_exit *exit, uint32_t code)
{
    clear_end(exit, RP_EXITED, (int)code);
    exit->interrupted = exit->code == CODE_INTERRUPTED || code == CODE_CONTROL_C;
    exit->possible_oom = code == CODE_NO_MEMORY;
    exit->abnormal = exit->code != 0 && !exit->interrupted;
}

void rpi_exit_from_loss(rp_exit *exit)
{
    clear_end(exit, RP_LOST, RP_ELOST);
}

void rpi_exit_from_failure(rp_exit *exit, int error, const char *phase)
{
    // Only the program itself can be "not found": a missing cwd or file of a stream is not.
    const bool is_missing = error == RP_ENOENT && phase != NULL && strcmp(phase, "exec") == 0;

    clear_end(exit, RP_SPAWN_FAILED, is_missing ? CODE_NOT_FOUND : CODE_NOT_EXECUTABLE);
    exit->error = error;
    exit->system_error = error > -4096 ? -error : 0;
    exit->phase = phase;
}

/* ---- the summary ------------------------------------------------------------- */

// A text that grows as snprintf's does.
typedef struct sentence {
    char *text;
    size_t size;
    size_t length;
} sentence;

static void add(sentence *written, const char *text)
{
    rpi_text_append(written->text, written->size, &written->length, text);
}

static void add_code(sentence *written, const char *before, int code, const char *after)
{
    char number[16];

    (void)snprintf(number, sizeof number, "%d", code); // an int always fits
    add(written, before);
    add(written, number);
    add(written, after);
}

static void say_failure(sentence *written, const rp_exit *exit)
{
    if (exit->error == RP_ECANCELED) {
        add(written, "Process was stopped before it began");
        return;
    }
    if (exit->error == RP_ETIMEDOUT) {
        add(written, "Process timed out before it began");
        return;
    }
    add(written, "Process could not be started: ");
    if (exit->phase != NULL) {
        add(written, exit->phase);
        add(written, ": ");
    }
    add(written, rp_strerror(exit->error));
}

// "Process timed out and " where we stopped it for a reason of its own; else "Process ".
static void say_reason(sentence *written, const rp_exit *exit)
{
    add(written, "Process ");
    if (exit->reason == RP_STOP_TIMEOUT) {
        add(written, "timed out and ");
    } else if (exit->reason == RP_STOP_QUIET) {
        add(written, "timed out without output and ");
    } else if (exit->reason == RP_STOP_LIMIT) {
        add(written, "reached its limit ");
        add(written, exit->phase != NULL ? exit->phase : "on resources");
        add(written, " and ");
    }
}

static void say_signal(sentence *written, const rp_exit *exit)
{
    const char *name = rpi_signal_name(exit->signal);

    add(written, "exited from ");
    if (name != NULL) {
        add(written, name);
    } else {
        add_code(written, "signal ", exit->signal, "");
    }
    add_code(written, " (return code ", exit->code, ")");
    if (exit->oom_killed) {
        add(written, "; the system ran out of memory");
    } else if (exit->possible_oom &&
               (exit->reason == RP_STOP_NONE || exit->reason == RP_STOP_KILL)) {
        add(written, "; this may indicate a forced kill or OOM condition");
    }
}

int rp_exit_summary(const rp_exit *exit, char *text, size_t text_size)
{
    sentence written = {text, text_size, 0};

    if (exit == NULL || (text == NULL && text_size > 0)) {
        return rpi_detail(RP_EINVAL,
                          exit == NULL ? "exit: none given" : "text: a size, but no text");
    }
    if (exit->kind == RP_SPAWN_FAILED) {
        say_failure(&written, exit);
        return (int)written.length;
    }
    say_reason(&written, exit);
    if (exit->kind == RP_LOST) {
        add(&written, "exited; how is not known, as the host program took its status");
    } else if (exit->interrupted && exit->reason < RP_STOP_TIMEOUT) {
        add_code(&written, "interrupted (return code ", exit->code, ")");
    } else if (exit->kind == RP_SIGNALED) {
        say_signal(&written, exit);
    } else if (exit->code != 0) {
        add_code(&written, "exited abnormally with return code ", exit->code, "");
    } else {
        add_code(&written, "exited normally with return code ", exit->code, "");
    }
    return (int)written.length;
}
