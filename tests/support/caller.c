/* See caller.h. */
#define _GNU_SOURCE
#include "tests/support/caller.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "rp/rp.h"
#include "tests/support/check.h"

#define PATIENCE_NS (60 * RP_SECOND)

enum {
    SAID = 200, /* the descriptor of what a scenario says */
    FAILED = 97,
    PIECE = 4096
};

/* Of gcov, where the tests are built to be counted. */
extern void __gcov_dump(void) __attribute__((weak));

/* ---- in the caller and its shell -------------------------------------------------- */

_Noreturn void caller_fail(const char *what, const char *file, int line)
{
    char text[512];
    int size = snprintf(text, sizeof text, "failed: %s:%d: %s (%s)\n", file, line, what,
                        rp_error_detail());

    (void)!write(SAID, text, (size_t)size < sizeof text ? (size_t)size : sizeof text - 1);
    _exit(FAILED);
}

void caller_say(const char *line)
{
    char text[256];
    int size = snprintf(text, sizeof text, "%s\n", line);

    CHECK(write(SAID, text, (size_t)size) == size);
}

static void close_upwards(int first)
{
    for (int fd = first; fd < 1024; fd++) {
        if (fd != SAID) {
            (void)close(fd);
        }
    }
}

static void set_action(int number, void (*handler)(int))
{
    struct sigaction action = {.sa_handler = handler};

    (void)sigaction(number, &action, NULL);
}

typedef struct play {
    int slave;
    int control;
    caller_place place;
    caller_scenario *scenario;
    void *argument;
} play;

static _Noreturn void run_caller(const play *self)
{
    char text[32];

    (void)close(3);
    (void)setpgid(0, 0);
    (void)snprintf(text, sizeof text, "pid %d", (int)getpid());
    if (self->place == CALLER_FOREGROUND) {
        CHECK(tcsetpgrp(0, getpgrp()) == 0);
    }
    set_action(SIGTTOU, SIG_DFL);
    set_action(SIGHUP, SIG_DFL);
    caller_say(text);
    self->scenario(self->argument);
    if (__gcov_dump != NULL) {
        __gcov_dump(); // _exit loses the counts
    }
    _exit(0);
}

/* The shell: makes the session and the job, tells how the job ended, then waits to be let go. */
static _Noreturn void run_shell(const play *self)
{
    char text[32];
    int status = 0;
    pid_t job;
    char byte;

    (void)setsid();
    if (self->place != CALLER_WITHOUT) {
        CHECK(ioctl(self->slave, TIOCSCTTY, 0) == 0);
    }
    for (int fd = 0; fd < 3; fd++) {
        (void)dup2(self->slave, fd);
    }
    (void)dup2(self->control, 3);
    close_upwards(4);
    (void)fcntl(SAID, F_SETFD, FD_CLOEXEC);
    set_action(SIGTTOU, SIG_IGN);
    set_action(SIGHUP, SIG_IGN); // the window may be closed
    job = fork();
    if (job == 0) {
        run_caller(self);
    }
    CHECK(waitpid(job, &status, 0) == job);
    (void)snprintf(text, sizeof text, "end %d", status);
    caller_say(text);
    (void)close(SAID); // so that the guard of a killed caller is not taken for it
    while (read(3, &byte, 1) < 0 && errno == EINTR) {
    }
    _exit(0);
}

/* ---- in the test -------------------------------------------------------------------- */

static void add(char **text, size_t *size, const char *bytes, size_t count)
{
    *text = realloc(*text, *size + count + 1);
    cr_assert_not_null(*text);
    memcpy(*text + *size, bytes, count);
    *size += count;
    (*text)[*size] = '\0';
}

/* Takes in what there is, or waits for it. */
static void pump(caller *self)
{
    struct pollfd fds[2] = {{.fd = self->master, .events = POLLIN},
                            {.fd = self->said, .events = POLLIN}};
    char piece[PIECE];
    ssize_t n;

    cr_assert_geq(poll(fds, 2, 60 * 1000), 1, "nothing happens; seen: %s; said: %s", self->seen,
                  self->lines);
    if ((fds[0].revents & POLLIN) != 0) {
        n = read(self->master, piece, sizeof piece);
        if (n > 0) {
            add(&self->seen, &self->seen_size, piece, (size_t)n);
        }
    }
    if (fds[1].revents != 0) {
        n = read(self->said, piece, sizeof piece);
        cr_assert_gt(n, 0, "the scenario says no more; it said: %s; seen: %s", self->lines,
                     self->seen);
        add(&self->lines, &self->lines_size, piece, (size_t)n);
        cr_assert_null(strstr(self->lines, "failed: "), "%s; seen: %s", self->lines, self->seen);
    }
}

/* What follows `word` in a line of what was said, when it is whole; NULL. */
static const char *find_line(const caller *self, const char *word)
{
    char wanted[256];
    const char *found;

    (void)snprintf(wanted, sizeof wanted, "\n%s", word);
    found = strstr(self->lines, wanted);
    return found != NULL && strchr(found + 1, '\n') != NULL ? found + strlen(wanted) : NULL;
}

void caller_await(caller *self, const char *line)
{
    while (find_line(self, line) == NULL) {
        pump(self);
    }
}

static long await_number(caller *self, const char *word)
{
    const char *found;

    while ((found = find_line(self, word)) == NULL) {
        pump(self);
    }
    return strtol(found, NULL, 10);
}

void caller_start(caller *self, caller_place place, caller_scenario *scenario, void *argument)
{
    const struct winsize size = {24, 80, 0, 0};
    play from = {.place = place, .scenario = scenario, .argument = argument};
    int said[2];
    int control[2];
    int unlock = 0;

    *self = (caller){.master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC)};
    cr_assert_geq(self->master, 0);
    cr_assert_eq(ioctl(self->master, TIOCSPTLCK, &unlock), 0);
    from.slave = ioctl(self->master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    cr_assert_geq(from.slave, 0);
    cr_assert_eq(ioctl(from.slave, TIOCSWINSZ, &size), 0);
    cr_assert_eq(pipe2(said, O_CLOEXEC), 0);
    cr_assert_eq(pipe2(control, O_CLOEXEC), 0);
    self->said = said[0];
    self->control = control[1];
    from.control = control[0];
    add(&self->seen, &self->seen_size, "", 0);
    add(&self->lines, &self->lines_size, "\n", 1);
    self->shell = fork();
    cr_assert_geq(self->shell, 0);
    if (self->shell == 0) {
        (void)dup2(said[1], SAID);
        run_shell(&from);
    }
    self->slave = from.slave; // kept, so that the master never hangs up under the test
    (void)close(said[1]);
    (void)close(control[0]);
    self->pid = (pid_t)await_number(self, "pid ");
}

void caller_expect(caller *self, const char *text)
{
    const char *found;

    while ((found = strstr(self->seen + self->seen_from, text)) == NULL) {
        pump(self);
    }
    self->seen_from = (size_t)(found - self->seen) + strlen(text);
}

void caller_type(caller *self, const char *keys)
{
    const size_t size = strlen(keys);

    cr_assert_eq(write(self->master, keys, size), (ssize_t)size);
}

void caller_type_bytes(caller *self, const char *bytes, size_t size)
{
    const int flags = fcntl(self->master, F_GETFL);

    cr_assert_eq(fcntl(self->master, F_SETFL, flags | O_NONBLOCK), 0);
    while (size > 0) {
        struct pollfd entry = {.fd = self->master, .events = POLLOUT | POLLIN};
        const ssize_t n = write(self->master, bytes, size);

        if (n > 0) {
            bytes += n;
            size -= (size_t)n;
            continue;
        }
        cr_assert_eq(errno, EAGAIN);
        cr_assert_geq(poll(&entry, 1, 60 * 1000), 1, "nobody reads what is typed");
        if ((entry.revents & POLLIN) != 0) {
            pump(self);
        }
    }
    cr_assert_eq(fcntl(self->master, F_SETFL, flags), 0);
}

void caller_hang_up(caller *self)
{
    (void)close(self->master);
    self->master = -1;
}

static bool edits_lines(const caller *self)
{
    struct termios modes;

    cr_assert_eq(tcgetattr(self->master, &modes), 0);
    return (modes.c_lflag & ICANON) != 0;
}

void caller_await_lines(caller *self, bool lines)
{
    const uint64_t until_ns = rp_now_ns() + PATIENCE_NS;

    while (edits_lines(self) != lines) {
        cr_assert_lt(rp_now_ns(), until_ns, "the modes do not change; said: %s", self->lines);
        (void)sched_yield();
    }
}

void caller_set_lines(caller *self, bool lines)
{
    struct termios modes;

    cr_assert_eq(tcgetattr(self->slave, &modes), 0);
    if (lines) {
        modes.c_lflag |= (tcflag_t)(ICANON | ECHO | ISIG);
    } else {
        cfmakeraw(&modes);
    }
    cr_assert_eq(tcsetattr(self->slave, TCSANOW, &modes), 0);
}

void caller_resize(const caller *self, unsigned short rows, unsigned short cols)
{
    const struct winsize size = {rows, cols, 0, 0};

    cr_assert_eq(ioctl(self->master, TIOCSWINSZ, &size), 0);
}

int64_t caller_foreground(const caller *self)
{
    pid_t group = 0;

    cr_assert_eq(ioctl(self->master, TIOCGPGRP, &group), 0);
    return group;
}

bool caller_has_echo(const caller *self)
{
    struct termios modes;

    cr_assert_eq(tcgetattr(self->master, &modes), 0);
    return (modes.c_lflag & (ECHO | ICANON)) == (ECHO | ICANON);
}

void caller_await_restored(caller *self)
{
    const uint64_t until_ns = rp_now_ns() + PATIENCE_NS;

    for (;;) {
        const int64_t group = caller_foreground(self);

        if (caller_has_echo(self) && (group == self->pid || group == self->shell)) {
            return;
        }
        cr_assert_lt(rp_now_ns(), until_ns, "group %d has the terminal, echo %d", (int)group,
                     caller_has_echo(self));
        (void)sched_yield();
    }
}

static void end(caller *self)
{
    int status = 0;

    (void)close(self->control);
    cr_assert_eq(waitpid(self->shell, &status, 0), self->shell);
    if (self->master >= 0) {
        (void)close(self->master);
    }
    (void)close(self->slave);
    (void)close(self->said);
    free(self->seen);
    free(self->lines);
}

void caller_end(caller *self)
{
    const long status = await_number(self, "end ");

    cr_assert_eq(status, 0, "the caller ended with status %ld; seen: %s", status, self->seen);
    cr_assert(self->master < 0 || caller_has_echo(self), "the terminal is not as it was");
    end(self);
}

void caller_end_killed(caller *self, int signal)
{
    const int status = (int)await_number(self, "end ");

    cr_assert(WIFSIGNALED(status));
    cr_assert_eq(WTERMSIG(status), signal);
    caller_await_restored(self);
    end(self);
}
