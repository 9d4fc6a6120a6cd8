/* What minimake tells: a line of status for each command, what commands wrote, and failures, as
 * ninja does. While a command has the terminal for itself, all of it is held back. */
#define _POSIX_C_SOURCE 200809L
#include "examples/minimake/build.h"

#include <sys/ioctl.h>
#include <unistd.h>

/* Of a terminal that does not know its own. */
enum {
    WIDTH = 80
};

static void say(mm_show *show, rp_view text)
{
    if (show->is_held) {
        mm_text_add(&show->held, text);
    } else {
        (void)fwrite(text.data, 1, text.size, stdout); /* looked at in mm_show_flush */
    }
}

bool mm_show_flush(mm_show *show)
{
    if (!show->is_held && show->held.size > 0) {
        (void)fwrite(show->held.data, 1, show->held.size, stdout);
        show->held.size = 0;
    }
    return fflush(stdout) == 0 && !ferror(stdout);
}

void mm_show_end_status(mm_show *show)
{
    if (show->has_status) {
        show->has_status = false;
        say(show, mm_view("\n"));
    }
}

static size_t terminal_width(void)
{
    struct winsize size;

    return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : WIDTH;
}

void mm_show_status(mm_show *show, const mm_step *step, size_t finished, size_t total)
{
    char head[64];
    size_t size, width;

    if (show->is_verbose || !mm_variable(&show->scratch, step, "description", false) ||
        show->scratch.size == 0) {
        (void)mm_variable(&show->scratch, step, "command", true); /* rules have one */
    }
    size = (size_t)snprintf(head, sizeof head, "[%zu/%zu] ", finished, total);
    if (!show->is_terminal || show->is_verbose) {
        say(show, (rp_view){head, size});
        say(show, (rp_view){show->scratch.data, show->scratch.size});
        say(show, mm_view("\n"));
        return;
    }
    width = terminal_width();
    say(show, mm_view("\r"));
    say(show, (rp_view){head, size});
    if (size + show->scratch.size <= width) {
        say(show, (rp_view){show->scratch.data, show->scratch.size});
    } else if (size + 3 < width) { /* the end tells more than the middle */
        size_t half = (width - size - 3) / 2;

        say(show, (rp_view){show->scratch.data, half});
        say(show, mm_view("..."));
        say(show, (rp_view){show->scratch.data + show->scratch.size - half, half});
    }
    say(show, mm_view("\033[K"));
    show->has_status = true;
}

void mm_show_failure(mm_show *show, const mm_step *step, const rp_exit *exit)
{
    char summary[256];

    mm_show_end_status(show);
    say(show, mm_view("FAILED: "));
    for (size_t i = 0; i < step->outs.count; i++) {
        say(show, step->outs.items[i]->name);
        say(show, mm_view(" "));
    }
    say(show, mm_view("\n"));
    (void)mm_variable(&show->scratch, step, "command", true);
    say(show, (rp_view){show->scratch.data, show->scratch.size});
    say(show, mm_view("\n"));
    if (exit->kind != RP_EXITED) { /* else the command itself has said why, or nobody knows */
        (void)rp_exit_summary(exit, summary, sizeof summary);
        say(show, mm_view(summary));
        say(show, mm_view("\n"));
    }
}

void mm_show_output(mm_show *show, rp_view output)
{
    if (output.size > 0) {
        mm_show_end_status(show);
        say(show, output);
        if (output.data[output.size - 1] != '\n') {
            say(show, mm_view("\n"));
        }
    }
}
