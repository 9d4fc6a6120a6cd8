/* The peers of expect_scan, as their users would have them search the same pipe: Tcl's expect and
 * Python's pexpect, each with a window of a few thousand bytes, which is their quick way; start-up
 * included. Neither is part of the build: where one is not installed its row says so.
 */
#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/expect_scan.h"

extern char **environ;

enum {
    NOT_INSTALLED = 9,
    ARGUMENTS = 8
};

static const char tcl_script[] =
    "set timeout -1; log_user 0; match_max 4000\n"
    "set kind [expr {[lindex $argv 0] ? {-re} : {-ex}}]\n"
    "set cases [list]\n"
    "foreach pattern [lrange $argv 4 end] { lappend cases $kind $pattern {exit 3} }\n"
    "set pipe [open [concat | [lrange $argv 1 3]] r]\n"
    "fconfigure $pipe -translation binary\n"
    "spawn -noecho -open $pipe\n"
    "lappend cases eof {exit 0}\n"
    "expect {*}$cases\n"
    "exit 4\n";

static const char python_script[] =
    "import os, subprocess, sys\n"
    "try:\n"
    "    import pexpect, pexpect.fdpexpect\n"
    "except ImportError:\n"
    "    sys.exit(9)\n"
    "reader, writer = os.pipe()\n"
    "child = subprocess.Popen(sys.argv[2:5], stdin=subprocess.DEVNULL, stdout=writer)\n"
    "os.close(writer)\n"
    "patterns = [pexpect.EOF] + [text.encode() for text in sys.argv[5:]]\n"
    "session = pexpect.fdpexpect.fdspawn(reader, timeout=None, maxread=65536, "
    "searchwindowsize=4000)\n"
    "search = session.expect if sys.argv[1] == '1' else session.expect_exact\n"
    "sys.exit(0 if search(patterns) == 0 else 3)\n";

static int run_tool(rpi_scan_job *job, const char *const *start, const char *tool)
{
    const char *argv[ARGUMENTS + RPI_SCAN_PATTERN_MAX];
    size_t count = 0;
    int status = 0;
    pid_t pid;
    int r;

    while (start[count] != NULL) {
        argv[count] = start[count];
        count++;
    }
    argv[count++] = job->regex ? "1" : "0";
    argv[count++] = job->program;
    argv[count++] = job->bytes;
    argv[count++] = job->chunk;
    for (size_t i = 0; i < job->count; i++) {
        argv[count++] = job->patterns[i];
    }
    argv[count] = NULL;
    rpi_meter_start(&job->meter);
    r = posix_spawnp(&pid, argv[0], NULL, NULL, (char *const *)(uintptr_t)argv, environ);
    if (r == ENOENT) {
        rpi_skip(job->sample, "%s is not installed", tool);
        return -1;
    }
    if (r != 0) {
        rpi_fail(job->sample, "%s: %s", tool, strerror(r));
        return -1;
    }
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    rpi_meter_stop(&job->meter);
    if (WIFEXITED(status) && WEXITSTATUS(status) == NOT_INSTALLED) {
        rpi_skip(job->sample, "%s is not installed", tool);
        return -1;
    }
    if (status != 0) {
        rpi_fail(job->sample, "%s ended with wait status %d", tool, status);
        return -1;
    }
    return 0;
}

int rpi_scan_tcl(rpi_scan_job *job)
{
    char path[32]; /* a script with arguments has to be a file */
    const char *start[] = {"expect", "-f", path, NULL};
    int fd = memfd_create("script", 0);
    int r;

    if (fd < 0 || write(fd, tcl_script, sizeof tcl_script - 1) != (ssize_t)sizeof tcl_script - 1) {
        rpi_fail(job->sample, "no file in memory: %s", strerror(errno));
        return -1;
    }
    (void)snprintf(path, sizeof path, "/dev/fd/%d", fd);
    r = run_tool(job, start, "Tcl expect");
    (void)close(fd);
    return r;
}

int rpi_scan_pexpect(rpi_scan_job *job)
{
    static const char *const start[] = {"python3", "-c", python_script, NULL};

    return run_tool(job, start, "pexpect");
}
