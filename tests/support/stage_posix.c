/* See stage.h: what all systems but Windows have in common. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/stage.h"

#ifndef __WALL // children of all kinds, where a system has more than one
#define __WALL 0
#endif

/* ---- what is left behind ---------------------------------------------------------- */

void stage_need_for_nobody(const char *program)
{
    int status = 0;
    pid_t pid = fork();

    cr_assert_geq(pid, 0);
    if (pid == 0) {
        _exit(setgid(65534) == 0 && setuid(65534) == 0 && access(program, X_OK) == 0 ? 0 : 1);
    }
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    if (status != 0) {
        cr_skip("the build folder is closed to other users");
    }
}

void stage_check(const stage_holdings *before)
{
    siginfo_t info;
    stage_holdings now = stage_count();

    cr_assert_eq(now.descriptors, before->descriptors, "%d descriptors, and before %d",
                 now.descriptors, before->descriptors);
    // A joined thread may be seen for a moment longer.
    for (int i = 0; i < 100000 && now.threads > before->threads; i++) {
        (void)sched_yield();
        now = stage_count();
    }
    cr_assert_eq(now.threads, before->threads, "%d threads, and before %d", now.threads,
                 before->threads);
    cr_assert_eq(waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT | __WALL), -1,
                 "a child is left");
    cr_assert_eq(errno, ECHILD);
}

bool stage_is_blocked(int64_t pid)
{
    const char state = stage_state(pid);

    cr_assert_neq(state, 'X', "the child is gone");
    return state == 'S';
}

/* ---- lifelines ---------------------------------------------------------------------- */

lifeline lifeline_open(void)
{
    int ends[2];

    cr_assert_eq(pipe2(ends, O_CLOEXEC), 0);
    return (lifeline){.read = ends[0], .write = ends[1]};
}

static void close_once(int *fd)
{
    if (*fd >= 0) {
        (void)close(*fd);
    }
    *fd = -1;
}

void lifeline_close_read(lifeline *line)
{
    close_once(&line->read);
}

void lifeline_close_write(lifeline *line)
{
    close_once(&line->write);
}

void lifeline_close(lifeline *line)
{
    lifeline_close_read(line);
    lifeline_close_write(line);
}

static ssize_t get_byte(const lifeline *line)
{
    char byte;
    ssize_t n;

    do {
        n = read(line->read, &byte, 1);
    } while (n < 0 && errno == EINTR);
    return n;
}

void lifeline_await_byte(lifeline *line)
{
    cr_assert_eq(get_byte(line), 1);
}

void lifeline_await_end(lifeline *line)
{
    ssize_t n;

    lifeline_close_write(line);
    do {
        n = get_byte(line);
    } while (n > 0);
    cr_assert_eq(n, 0);
    lifeline_close_read(line);
}

bool lifeline_is_silent(const lifeline *line)
{
    struct pollfd entry = {.fd = line->read, .events = POLLIN};

    return poll(&entry, 1, 0) == 0;
}

void lifeline_tell(lifeline *line)
{
    cr_assert_eq(write(line->write, "x", 1), 1);
}

rp_fd lifeline_hand(int end, int number)
{
    return (rp_fd){.parent = end, .child = number};
}

const char *lifeline_number(int end, int number)
{
    static char text[16];

    (void)end; // it has that number there
    (void)snprintf(text, sizeof text, "%d", number);
    return text;
}

int stage_code_of(int signal)
{
    return -signal;
}

const char *stage_lacks_interrupts(void)
{
    return NULL;
}
