/* One sample, one process. The harness executes this program again as a worker, so that heap,
 * descriptor table and a peer's global SIGCHLD handling begin fresh, and reads the numbers back
 * over a pipe. A worker that hangs is killed at a deadline. The harness is a subreaper: whatever
 * children a worker leaves behind (sleepers by the thousand, on purpose) come to it and are ended
 * here, so that one sample never runs beside the rest of another.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/bench.h"

enum {
    WORKER_FD = 3,
    ARGUMENT_MAX = 24,
    TEXT_SIZE = 64
};

static volatile sig_atomic_t interrupted;

static void on_interrupt(int number)
{
    (void)number;
    interrupted = 1;
}

bool rpi_worker_interrupted(void)
{
    return interrupted != 0;
}

/* A harness that is told to end still ends the thousands that its worker has started. */
void rpi_worker_prepare(void)
{
    struct sigaction action;

    memset(&action, 0, sizeof action);
    action.sa_handler = on_interrupt; /* no SA_RESTART: poll returns */
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1); /* refused: leftovers end by their alarm */
}

typedef struct arguments {
    char *argv[ARGUMENT_MAX + 1];
    char texts[ARGUMENT_MAX][TEXT_SIZE];
    size_t count;
} arguments;

static void add_text(arguments *a, const char *name, const char *value)
{
    const char *both[2] = {name, value};

    for (size_t i = 0; i < 2; i++) {
        (void)snprintf(a->texts[a->count], TEXT_SIZE, "%s", both[i]);
        a->argv[a->count] = a->texts[a->count];
        a->count++;
    }
}

static void add_number(arguments *a, const char *name, size_t value)
{
    char number[TEXT_SIZE];

    (void)snprintf(number, sizeof number, "%zu", value);
    add_text(a, name, number);
}

static void build_arguments(arguments *a, const rpi_worker *worker)
{
    char scale[TEXT_SIZE];

    (void)snprintf(scale, sizeof scale, "%.9g", worker->options->scale);
    add_text(a, "rp-bench", worker->case_name);
    add_number(a, "--worker", WORKER_FD);
    add_text(a, "--subjects", worker->subject);
    add_number(a, "--group-index", worker->group);
    add_number(a, "--sizes", worker->size);
    add_text(a, "--scale", scale);
    add_number(a, "--threads", worker->options->threads);
    add_number(a, "--bare-threads", worker->options->bare_threads);
    add_number(a, "--total", worker->options->total);
    a->argv[a->count] = NULL;
}

/* In the forked child, which has one thread: the harness has no others. */
static void become_worker(const arguments *a, int result_fd)
{
    int null_fd = open("/dev/null", O_RDONLY);

    if (null_fd < 0 || dup2(null_fd, STDIN_FILENO) < 0 || dup2(result_fd, WORKER_FD) < 0) {
        _exit(126);
    }
    (void)setpgid(0, 0);                    /* refused only where it is one already */
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* a harness that is killed leaves no worker behind */
    for (int fd = WORKER_FD + 1; fd < 64; fd++) {
        (void)close(fd); /* most are not open */
    }
    (void)execv("/proc/self/exe", a->argv);
    _exit(127);
}

static bool read_report(int fd, uint64_t deadline_ns, rpi_sample *sample)
{
    size_t size = 0;

    while (size < sizeof *sample) {
        uint64_t now_ns = rp_now_ns();
        uint64_t left_ns = now_ns < deadline_ns ? deadline_ns - now_ns : 0;
        struct pollfd item = {.fd = fd, .events = POLLIN};
        int ready = poll(&item, 1, (int)(left_ns / RP_MILLISECOND));
        ssize_t n;

        if (ready == 0) {
            rpi_fail(sample, "took longer than --sample-max, killed");
            return false;
        }
        if (interrupted) {
            rpi_fail(sample, "interrupted");
            return false;
        }
        if (ready < 0) {
            continue; /* EINTR: the deadline still holds */
        }
        n = read(fd, (char *)sample + size, sizeof *sample - size);
        if (n == 0 || (n < 0 && errno != EINTR)) {
            return false;
        }
        size += n > 0 ? (size_t)n : 0;
    }
    sample->note[RPI_NOTE_SIZE - 1] = '\0';
    return true;
}

/* Kills the children we have, as the kernel lists them. */
static void kill_children(void)
{
    FILE *file = fopen("/proc/thread-self/children", "re");
    char *text = NULL;
    size_t text_size = 0;

    if (file == NULL) {
        return;
    }
    while (getdelim(&text, &text_size, ' ', file) > 0) {
        pid_t pid = (pid_t)strtol(text, NULL, 10);

        if (pid > 1) {
            (void)kill(pid, SIGKILL); /* ours and unreaped: the number cannot be another's */
        }
    }
    free(text);
    (void)fclose(file);
}

/* Ends all that a worker left, down to its grandchildren, which come to us as their parents die. */
static void sweep(void)
{
    uint64_t deadline_ns = rp_now_ns() + 60 * RP_SECOND;

    while (rp_now_ns() < deadline_ns) {
        pid_t pid;

        do {
            pid = waitpid(-1, NULL, WNOHANG);
        } while (pid > 0);
        if (pid < 0) {
            return; /* ECHILD: nobody is left */
        }
        kill_children();
        (void)waitpid(-1, NULL, 0);
    }
    (void)fputs("rp-bench: children of a worker did not end within 60 s\n", stderr);
}

static void tell_death(pid_t pid, rpi_sample *sample)
{
    int status = 0;
    pid_t waited;

    do {
        waited = waitpid(pid, &status, 0);
    } while (waited < 0 && errno == EINTR);
    if (WIFSIGNALED(status)) {
        rpi_fail(sample, "the worker died of signal %d", WTERMSIG(status));
    } else {
        rpi_fail(sample, "the worker exited with %d and without a report", WEXITSTATUS(status));
    }
}

void rpi_worker_run(const rpi_worker *worker, rpi_sample *ret_sample)
{
    arguments a = {.count = 0};
    int fds[2];
    pid_t pid;

    rpi_sample_init(ret_sample);
    if (pipe2(fds, O_CLOEXEC) < 0) {
        rpi_fail(ret_sample, "pipe: %s", strerror(errno));
        return;
    }
    build_arguments(&a, worker);
    pid = fork();
    if (pid == 0) {
        become_worker(&a, fds[1]);
    }
    (void)close(fds[1]);
    if (pid < 0) {
        rpi_fail(ret_sample, "fork: %s", strerror(errno));
    } else {
        rpi_sample_init(ret_sample);
        if (!read_report(fds[0], rp_now_ns() + worker->options->sample_max_ns, ret_sample)) {
            bool timed_out = ret_sample->note[0] != '\0';

            (void)kill(pid, SIGKILL);
            if (!timed_out) {
                tell_death(pid, ret_sample);
            }
        }
        sweep();
    }
    (void)close(fds[0]);
}

void rpi_worker_report(int fd, const rpi_sample *sample)
{
    const char *bytes = (const char *)sample;
    size_t left = sizeof *sample;

    while (left > 0) {
        ssize_t n = write(fd, bytes, left);

        if (n < 0 && errno != EINTR) {
            return; /* the harness has given up on us */
        }
        if (n > 0) {
            bytes += n;
            left -= (size_t)n;
        }
    }
}
