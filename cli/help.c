/* The texts of --help and --version. --help fits a terminal of 80 columns and 24 rows (tests/cli
 * holds it to that); whatever needs more room than its line stands in the manual page. --version
 * names every feature that rp_has knows, with + or -, so that a bug report shows what this build
 * can do on this system. Called by main_posix.c. */
#include "cli/help.h"

#include <stdio.h>

#include <rp/rp.h>

const char *rpi_cli_help(void)
{
    return "Usage: running-process [OPTIONS] [--] COMMAND [ARGUMENT]...\n"
           "Run COMMAND, pass its output through as it comes, and stop it when it hangs.\n"
           "  --timeout, --idle-timeout DURATION  stop it after so long of inactivity\n"
           "  --wall-timeout DURATION    stop it so long after its start, whatever it does\n"
           "  --idle-exit DURATION       end it, with status 0, once it is quiet for so long\n"
           "  -s, --signal SIGNAL        what is sent to stop it, name or number (TERM)\n"
           "  -k, --kill-after DURATION  then kill it after so long (default 2s; 0: never)\n"
           "  --pty                      give it a terminal of its own\n"
           "  --expect 'REGEX=>ACTION'   at that output, write ACTION (with \\n, \\xNN), or\n"
           "                             interrupt, terminate, kill; repeated: in order\n"
           "  --json[=FILE|FD]           write events, one JSON object a line (default FD 2)\n"
           "  --find-leaks[=warn|fail]   name the processes that it leaves behind\n"
           "  --kill-leaks               and kill them\n"
           "  --stack-dump-dir DIR; --no-auto-stack-dumping  files on a bad end: where; none\n"
           "  -C, --cwd DIR; -n, --nice N  run it in DIR; at niceness N, -20 to 19\n"
           "  --env NAME=VALUE; --unset NAME  set or remove a variable of its environment\n"
           "  --why PID                  (alone) what PID and its tree wait for\n"
           "  -h, --help; --version      print this; the version and what this build can do\n"
           "DURATION is in seconds or has a unit: 1.5 300ms 2s 5m 1h 1d; 0 means none.\n"
           "INT, TERM, HUP and QUIT are passed on to COMMAND; a second INT kills it.\n"
           "Exit status: COMMAND's own; 128+N when signal N ended it; 123 left processes\n"
           "behind (--find-leaks=fail); 124 timed out; 125 running-process itself failed, or\n"
           "what was expected did not come; 126 COMMAND cannot be run; 127 not found.\n";
}

int rpi_cli_version(char *text, size_t text_size)
{
    static const char *const features[] = {"uring", "pty", "regex", "screen", "track", "cgroup"};
    char list[128] = "";
    size_t used = 0;

    for (size_t i = 0; i < sizeof features / sizeof features[0]; i++) {
        int length = snprintf(list + used, sizeof list - used, " %c%s",
                              rp_has(features[i]) ? '+' : '-', features[i]);

        used += (size_t)length;
    }
    return snprintf(text, text_size, "running-process %s (%s)\n", rp_version(), list + 1);
}
