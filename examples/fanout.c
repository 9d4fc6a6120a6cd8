/* Fanout: runs the commands that come on standard input, one a line, so many at a time.
 *
 *     fanout [-j N] <commands
 *     ls *.flac | sed 's/^/oggenc -Q /' | fanout -j 8
 *
 * Each line goes to the shell. What a command wrote comes out when it has ended, in one piece, its
 * standard output to ours and its standard error to ours, in the order in which it was read.
 * While standard error is a terminal a line there tells how far the work is. Empty lines are left
 * out. Exit status: how many commands failed, 101 for more than 100; 125 when fanout itself did; a
 * signal that ends fanout ends the commands too.
 *
 * How: a watch reads standard input, and only while there are less than 2 N commands in the loop's
 * hands, so that any number of lines fits into little memory; the loop runs N of them and queues
 * the rest (process_max). Our own output may block: then the loop stands still, the pipes of the
 * children fill, and they wait as well. */
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "rp/rp.h"

enum {
    FAILED = 125,           /* exit status: not a command's fault */
    MANY_FAILED = 101,      /* exit status: more than 100 */
    JOBS_MAX = 1000000,     /* at a time */
    LINE_MAX_BYTES = 262144 /* twice of what Linux takes as one argument */
};

typedef struct fanout {
    rp_loop *loop;
    rp_watch *input;   /* NULL while no more lines are wanted */
    rp_timer *ticker;  /* NULL without a terminal */
    uint32_t jobs;     /* at a time */
    bool ended;        /* no more lines come */
    bool broken;       /* something of ours failed */
    bool shows_output; /* standard output is a terminal */
    bool mid_line;     /* the terminal's last line is output without an end */
    unsigned long started, done, failed;
    uint64_t began_ns;
    size_t first, end; /* the unread bytes of text */
    char text[LINE_MAX_BYTES + 1];
} fanout;

typedef struct job {
    fanout *own; /* borrowed */
    char line[]; /* with its NUL */
} job;

static void feed(fanout *own);

/* ---- telling the user -------------------------------------------------------- */

/* Before anything is written to the terminal: wipes the progress, but no output. */
static void clear_line(fanout *own)
{
    if (own->ticker != NULL) {
        (void)fputs(own->mid_line ? "\n" : "\r\033[K", stderr);
        own->mid_line = false;
    }
}

static void show_progress(rp_timer *timer, void *user)
{
    fanout *own = user;
    rp_loop_stats stats = RP_INIT(rp_loop_stats);
    double seconds = (double)(rp_now_ns() - own->began_ns) / (double)RP_SECOND;

    (void)timer;
    if (rp_loop_get_stats(own->loop, &stats) < 0) {
        return;
    }
    clear_line(own);
    fprintf(stderr, "%lu done, %lu failed, %lu running, %lu waiting, %.0f a second", own->done,
            own->failed, (unsigned long)stats.live, (unsigned long)stats.queued,
            (double)own->done / seconds);
}

static void complain(fanout *own, const char *what, const char *why)
{
    clear_line(own);
    fprintf(stderr, "fanout: %s: %s\n", what, why);
}

/* Something that is not a command's fault: the loop ends, and main closes it with all its children.
 */
static void give_up(fanout *own, const char *what, const char *why)
{
    complain(own, what, why);
    own->broken = true;
    rp_loop_stop(own->loop);
}

/* ---- commands ---------------------------------------------------------------- */

/* What the command wrote, both streams in the order read. False: it cannot be written. */
static bool write_output(fanout *own, const rp_process *process)
{
    rp_chunk chunk;
    FILE *before = stdout;

    for (size_t i = 0; rp_process_captured_chunk(process, i, &chunk) == 1; i++) {
        FILE *file = chunk.stream == RP_STDOUT ? stdout : stderr;

        if (file != before && fflush(before) != 0) {
            return false;
        }
        if (fwrite(chunk.bytes.data, 1, chunk.bytes.size, file) < chunk.bytes.size) {
            return false;
        }
        if (file == stderr || own->shows_output) {
            own->mid_line = chunk.bytes.data[chunk.bytes.size - 1] != '\n';
        }
        before = file;
    }
    return fflush(stdout) == 0;
}

static void on_done(rp_process *process, const rp_exit *exit, void *user)
{
    job *ended = user;
    fanout *own = ended->own;
    bool out_cut, err_cut;
    char summary[256];

    (void)rp_process_captured(process, RP_STDOUT, &out_cut);
    (void)rp_process_captured(process, RP_STDERR, &err_cut);
    clear_line(own);
    if (!write_output(own, process)) {
        give_up(own, "output", strerror(errno));
    }
    if (out_cut || err_cut) {
        complain(own, ended->line, "there was no memory for all of its output");
    }
    if (exit->code != 0 || out_cut || err_cut) {
        own->failed++;
    }
    if (exit->code != 0) {
        (void)rp_exit_summary(exit, summary, sizeof summary);
        complain(own, ended->line, summary);
    }
    own->done++;
    free(ended);
    feed(own);
}

/* A command that never comes to its `done`. */
static void refuse(fanout *own, const char *line, const char *why)
{
    complain(own, line, why);
    own->done++;
    own->failed++;
}

static void start(fanout *own, const char *line, size_t size)
{
    static const rp_handlers handlers = {.done = on_done};
    rp_command command = RP_COMMAND_INIT;
    job *fresh;
    int r;

    own->started++;
    if (strlen(line) != size) {
        refuse(own, line, "a NUL in the line");
        return;
    }
    fresh = malloc(sizeof *fresh + size + 1);
    if (fresh == NULL) {
        refuse(own, line, "no memory");
        return;
    }
    fresh->own = own;
    memcpy(fresh->line, line, size + 1);
    command.shell = fresh->line;
    command.capture_max = RP_UNLIMITED;
    command.capture_order = true;
    r = rp_spawn(own->loop, &command, &handlers, fresh, NULL);
    if (r < 0) {
        refuse(own, line, rp_strerror(r));
        free(fresh);
    }
}

/* ---- lines of input ---------------------------------------------------------- */

/* The next line, NUL-terminated, until more is read; NULL: there is none yet. */
static const char *take_line(fanout *own, size_t *ret_size)
{
    char *line = own->text + own->first;
    size_t size = own->end - own->first;
    char *newline = memchr(line, '\n', size);

    if (newline != NULL) {
        size = (size_t)(newline - line);
        own->first += size + 1;
    } else if (own->ended && size > 0) {
        own->first = own->end;
    } else {
        return NULL;
    }
    line[size] = '\0'; /* where the newline was, or behind the text */
    *ret_size = size;
    return line;
}

static void on_input(rp_watch *watch, uint32_t events, void *user)
{
    fanout *own = user;
    size_t rest = own->end - own->first;
    ssize_t count;

    (void)watch;
    (void)events;
    memmove(own->text, own->text + own->first, rest);
    own->first = 0;
    own->end = rest;
    if (rest == LINE_MAX_BYTES) {
        give_up(own, "standard input", "a line is too long");
        return;
    }
    count = read(STDIN_FILENO, own->text + rest, LINE_MAX_BYTES - rest);
    if (count < 0) {
        if (errno != EINTR && errno != EAGAIN) {
            give_up(own, "standard input", strerror(errno));
        }
        return; /* else the watch calls again */
    }
    own->ended = count == 0;
    own->end += (size_t)count;
    feed(own);
}

/* Hands commands to the loop as far as it should have them, and sees to it that more come. */
static void feed(fanout *own)
{
    const char *line;
    size_t size;
    bool wants_more;
    int r = 0;

    while (!own->broken && own->started - own->done < 2UL * own->jobs &&
           (line = take_line(own, &size)) != NULL) {
        if (size > 0) {
            start(own, line, size);
        }
    }
    wants_more = !own->ended && !own->broken && own->started - own->done < 2UL * own->jobs;
    if (wants_more && own->input == NULL) {
        r = rp_watch_start(own->loop, STDIN_FILENO, RP_READABLE, on_input, own, &own->input);
    } else if (!wants_more) {
        rp_watch_close(own->input);
        own->input = NULL;
    }
    if (r < 0) {
        give_up(own, "standard input", rp_strerror(r));
    }
    if (own->ended && own->started == own->done) { /* a timer would keep the loop running */
        clear_line(own);
        rp_timer_close(own->ticker);
        own->ticker = NULL;
    }
}

/* ---- the program ------------------------------------------------------------- */

static rp_loop *volatile stopped_loop; /* for the handler */
static volatile sig_atomic_t caught;   /* the signal that ends us; 0 */

static void on_signal(int number)
{
    caught = number;
    rp_loop_stop(stopped_loop);
}

/* For the signals that end us; what is ignored (nohup, a shell's background job) stays so. The
 * children are in groups of their own: Ctrl-C reaches us alone. */
static void set_handlers(void (*handler)(int))
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};

    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        struct sigaction action = {.sa_handler = handler};
        struct sigaction old;

        if (sigaction(numbers[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN) {
            (void)sigaction(numbers[i], &action, NULL); /* cannot fail for these */
        }
    }
}

static int usage(FILE *file, int status)
{
    fprintf(file, "usage: fanout [-j N] <commands     N at a time, 1 to %d\n", JOBS_MAX);
    return status;
}

/* The number of a whole text, or 0. */
static uint32_t to_jobs(const char *text)
{
    char *end;
    unsigned long number;

    errno = 0;
    number = strtoul(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != '\0' || errno != 0 || number > JOBS_MAX) {
        return 0;
    }
    return (uint32_t)number;
}

/* Of a command that did not come to its `done`, as closing the loop is silent. */
static bool free_job(rp_process *process, void *user)
{
    (void)user;
    free(rp_process_user(process));
    return true;
}

/* 0, or an error of the library. */
static int run(fanout *own)
{
    rp_loop_options options = RP_LOOP_OPTIONS_INIT;
    int r;

    options.process_max = own->jobs;
    r = rp_loop_open(&options, &own->loop);
    if (r < 0) {
        return r;
    }
    own->began_ns = rp_now_ns();
    stopped_loop = own->loop;
    set_handlers(on_signal);
    own->shows_output = isatty(STDOUT_FILENO) == 1;
    if (isatty(STDERR_FILENO)) {
        r = rp_timer_start(own->loop, RP_SECOND / 10, RP_SECOND / 10, show_progress, own,
                           &own->ticker);
    }
    if (r == 0) {
        feed(own);
        r = rp_loop_run(own->loop);
    }
    clear_line(own);
    set_handlers(SIG_DFL);
    (void)rp_loop_processes(own->loop, free_job, NULL);
    (void)rp_loop_close(own->loop); /* kills what still runs */
    return r < 0 ? r : 0;
}

int main(int argc, char **argv)
{
    static fanout own;
    const struct sigaction ignore = {.sa_handler = SIG_IGN};
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    int option, r;

    own.jobs = processors > 0 ? (uint32_t)processors : 1;
    while ((option = getopt(argc, argv, "j:h")) != -1) {
        if (option == 'h') {
            return usage(stdout, EXIT_SUCCESS);
        }
        own.jobs = option == 'j' ? to_jobs(optarg) : 0;
        if (own.jobs == 0) {
            return usage(stderr, FAILED);
        }
    }
    if (optind < argc) {
        return usage(stderr, FAILED);
    }
    (void)sigaction(SIGPIPE, &ignore,
                    NULL); /* a reader that is gone is a failed write; cannot fail */
    r = run(&own);
    if (r < 0) {
        fprintf(stderr, "fanout: %s\n", rp_strerror(r));
        return FAILED;
    }
    if (caught != 0) {
        (void)raise(caught); /* the default ends us: our caller sees what happened */
    }
    if (own.broken) {
        return FAILED;
    }
    return own.failed > 100 ? MANY_FAILED : (int)own.failed;
}
