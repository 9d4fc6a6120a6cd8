/* running-process: supervises one command from the shell (docs/man/running-process.1). Here: what
 * the program finds when it starts (descriptors, arguments), the answers that need no command, and
 * the way out. The rest is supervisor.c's. For POSIX systems. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <rp/rp.h>

#include "cli/help.h"
#include "cli/message.h"
#include "cli/options.h"
#include "cli/signals.h"
#include "cli/supervisor.h"
#include "cli/why.h"

/* Whoever starts us may have closed 0, 1 or 2; the next file opened would then be taken for
 * standard output. /dev/null goes there, opened the wrong way round, so that using it fails as
 * using a closed one does. 0 or a negative error. */
static int fill_standard_descriptors(void)
{
    for (int fd = 0; fd <= 2; fd++) {
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY) < 0) {
            return -errno;
        }
    }
    return 0;
}

static int answer(const char *text)
{
    if (fputs(text, stdout) < 0 || fflush(stdout) != 0) {
        rpi_cli_complain("standard output: %s", rp_strerror(-errno));
        return RPI_CLI_FAILED;
    }
    return EXIT_SUCCESS;
}

static int answer_version(void)
{
    char text[256];

    (void)rpi_cli_version(text, sizeof text);
    return answer(text);
}

static int answer_why(int64_t pid)
{
    rpi_cli_buffer text = {0};
    int code = EXIT_SUCCESS;
    int r = rpi_cli_why(pid, &text);

    if (r < 0) {
        rpi_cli_complain("could not get process info for PID %" PRId64 ": %s", pid, rp_strerror(r));
        code = EXIT_FAILURE;
    } else if (fwrite(text.data, 1, text.size, stdout) != text.size || fflush(stdout) != 0) {
        rpi_cli_complain("standard output: %s", rp_strerror(-errno));
        code = RPI_CLI_FAILED;
    }
    rpi_cli_buffer_fini(&text);
    return code;
}

/* Digits are a descriptor that we were given, anything else a file; none is standard error. The
 * descriptor, or a negative error. */
static int open_events(const char *target)
{
    char *end;
    long number;
    int fd, flags;

    if (target == NULL) {
        return STDERR_FILENO;
    }
    if (strspn(target, "0123456789") != strlen(target)) {
        fd = open(target, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
        return fd < 0 ? -errno : fd;
    }
    errno = 0;
    number = strtol(target, &end, 10);
    if (errno != 0 || number > 0x7fffffff) {
        return -EBADF;
    }
    flags = fcntl((int)number, F_GETFL);
    if (flags < 0) {
        return -errno;
    }
    return (flags & O_ACCMODE) == O_RDONLY ? -EBADF : (int)number;
}

/* The size of the first of our descriptors that is a terminal. */
static void find_size(rpi_cli_setup *setup)
{
    for (int fd = 0; fd <= 2; fd++) {
        struct winsize size;

        if (ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_row > 0 && size.ws_col > 0) {
            setup->rows = size.ws_row;
            setup->cols = size.ws_col;
            return;
        }
    }
}

static int supervise(const rpi_cli_options *options)
{
    rpi_cli_setup setup = {
        .own_pid = getpid(), .json_fd = -1, .has_terminal = isatty(STDIN_FILENO) == 1};
    int r;

    find_size(&setup);
    if (options->json) {
        setup.json_fd = open_events(options->json_target);
        if (setup.json_fd < 0) {
            rpi_cli_complain("--json: %s: '%s'", rp_strerror(setup.json_fd), options->json_target);
            return RPI_CLI_FAILED;
        }
    }
    r = rpi_cli_signals_open(&setup.wake_read_fd, &setup.wake_write_fd);
    if (r < 0) {
        rpi_cli_complain("cannot prepare for signals: %s", rp_strerror(r));
        return RPI_CLI_FAILED;
    }
    return rpi_cli_supervise(options, &setup);
}

int main(int argc, char **argv)
{
    rpi_cli_options options;
    char message[512];
    int code = RPI_CLI_FAILED;
    int r = fill_standard_descriptors();

    (void)argc; /* the list ends with NULL */
    if (r < 0) {
        rpi_cli_complain("/dev/null: %s", rp_strerror(r));
        return RPI_CLI_FAILED;
    }
    if (rpi_cli_options_init(&options, argv, message, sizeof message) < 0) {
        rpi_cli_complain("%s", message);
    } else if (options.action == RPI_CLI_HELP) {
        code = answer(rpi_cli_help());
    } else if (options.action == RPI_CLI_VERSION) {
        code = answer_version();
    } else if (options.action == RPI_CLI_WHY) {
        code = answer_why(options.why_pid);
    } else {
        code = supervise(&options);
    }
    rpi_cli_options_fini(&options);
    return code;
}
