/* Helpers of the tests that need a real system under the reactor: system.h. */
#define _GNU_SOURCE
#include "tests/reactor/system.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void on_input(rpi_op *op)
{
    test_input *self = RPI_CONTAINER(op, test_input, op);

    self->calls++;
    self->last = op->result;
    if (op->result > 0) {
        self->total += (size_t)op->result;
        if (self->again) {
            input_start(self);
        }
    }
}

void input_open(test_input *input, rpi_reactor *reactor, int fd)
{
    memset(input, 0, sizeof *input);
    input->reactor = reactor;
    rpi_io_init(&input->io, fd);
    rpi_op_init(&input->op, RPI_OP_READ, &input->io, on_input);
    input->op.data = input->bytes;
    input->op.size = sizeof input->bytes;
}

void input_start(test_input *input)
{
    cr_assert_eq(rpi_op_start(input->reactor, &input->op), 0);
}

void system_open(rpi_reactor *reactor)
{
    const rpi_reactor_options options = {.backend = RIG_BACKEND};

    cr_assert_eq(rpi_reactor_init(reactor, &options), 0);
}

unsigned descriptor_count(void)
{
    DIR *directory = opendir("/proc/self/fd");
    unsigned count = 0;

    cr_assert_not_null(directory);
    while (readdir(directory) != NULL) {
        count++;
    }
    closedir(directory);
    return count;
}

void pipe_open(int ends[2])
{
    cr_assert_eq(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
}

void in_child(int (*function)(void *), void *argument)
{
    int status;
    pid_t pid = fork();

    cr_assert_geq(pid, 0);
    if (pid == 0) {
        _exit(function(argument));
    }
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_assert(WIFEXITED(status), "the child died of signal %d", WTERMSIG(status));
    cr_assert_eq(WEXITSTATUS(status), 0, "step %d of the child failed", WEXITSTATUS(status));
}
