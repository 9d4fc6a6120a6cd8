/* The thin runner's part for systems with fork: a case runs in a copy of the runner. Its time is
 * kept by an interval timer of the parent's whose signal interrupts waitpid. See runner.h. */
#include "tests/support/runner.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Shared with the process of the case, which writes why it skips. */
static char *shared_reason;

enum {
    REASON_SIZE = 200
};

double runner_now(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now); // cannot fail for this clock
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

void runner_keep_reason(const char *reason)
{
    if (shared_reason != NULL) {
        (void)snprintf(shared_reason, REASON_SIZE, "%s", reason);
    }
}

_Noreturn void runner_leave(int exit_code)
{
    (void)fflush(stdout);
    // Also out of a thread, and out of a process that a case has forked.
    _exit(exit_code);
}

static void on_alarm(int signal)
{
    (void)signal; // it interrupts waitpid, and does nothing else
}

/** Lets SIGALRM come four times a second: one that comes right before waitpid is followed by
 * another. */
static void keep_time(bool on)
{
    struct itimerval every = {.it_interval = {.tv_usec = 250000}, .it_value = {.tv_usec = 250000}};
    struct itimerval never = {.it_value = {0}};
    struct sigaction action = {.sa_handler = on ? on_alarm : SIG_DFL};

    if (on) {
        (void)sigaction(SIGALRM, &action, NULL); // cannot fail for this signal
    }
    (void)setitimer(ITIMER_REAL, on ? &every : &never, NULL); // the values are valid
    if (!on) {
        (void)sigaction(SIGALRM, &action, NULL);
    }
}

/** Waits for the case; kills it when its time is over. */
static int wait_for(pid_t pid, double seconds, bool *ret_hung)
{
    const double end = runner_now() + seconds;
    int status = 0;

    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
        if (!*ret_hung && runner_now() >= end) {
            *ret_hung = true;
            (void)kill(pid, SIGKILL); // ours and not reaped: it is there
        }
    }
    return status;
}

void runner_carry_out(const char *program, const runner_case *one, double seconds, runner_end *ret)
{
    bool hung = false;
    pid_t pid;
    int status;

    (void)program; // a copy of this process is enough
    if (shared_reason == NULL) {
        shared_reason =
            mmap(NULL, REASON_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANON, -1, 0);
    }
    if (shared_reason == MAP_FAILED) {
        shared_reason = NULL;
    } else {
        *shared_reason = '\0';
    }
    (void)fflush(NULL); // else the copy would print it too
    pid = fork();
    if (pid == 0) {
        runner_run_case(one);
    }
    if (pid < 0) {
        ret->how = RUNNER_ABSENT;
        ret->number = errno;
        return;
    }
    keep_time(true);
    status = wait_for(pid, seconds, &hung);
    keep_time(false);
    if (hung) {
        ret->how = RUNNER_HUNG;
    } else if (WIFSIGNALED(status)) {
        ret->how = RUNNER_CRASHED;
        ret->number = WTERMSIG(status);
    } else {
        ret->how = RUNNER_EXITED;
        ret->number = WEXITSTATUS(status);
    }
    (void)snprintf(ret->reason, sizeof ret->reason, "%s",
                   shared_reason != NULL ? shared_reason : "");
}
