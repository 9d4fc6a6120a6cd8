/* running-process-cleanup: ends and removes what earlier runs left (docs/man/running-process-
 * cleanup.1). Here: what the command line says. Whatever it does, it does only with --confirm. */
#include "cli/cleanup.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <rp/rp.h>

void rpi_cleanup_complain(const char *format, ...)
{
    char text[1024];
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    for (char *at = text; *at != '\0'; at++) {
        if ((unsigned char)*at < 0x20 || *at == 0x7f) {
            *at = '?';
        }
    }
    (void)fprintf(stderr, "running-process-cleanup: %s\n", text); /* there is nobody left to tell */
}

static int answer(const char *text)
{
    if (fputs(text, stdout) < 0 || fflush(stdout) != 0) {
        rpi_cleanup_complain("standard output cannot be written");
        return RPI_CLEANUP_FAILED;
    }
    return RPI_CLEANUP_DONE;
}

static int answer_help(void)
{
    return answer("Usage: running-process-cleanup tracked [--json] [--confirm]\n"
                  "End what earlier runs left behind.\n"
                  "  tracked        processes in the database of tracking that still live\n"
                  "  --confirm      kill them; without it, only list them\n"
                  "  --json         answer with one JSON object\n"
                  "  -h, --help; --version\n"
                  "Exit status: 0 done; 1 the database cannot be used, or somebody has survived;\n"
                  "2 wrong usage.\n");
}

static int answer_version(void)
{
    char text[64];

    (void)snprintf(text, sizeof text, "running-process-cleanup %s\n", rp_version());
    return answer(text);
}

static int misused(const char *what, const char *argument)
{
    rpi_cleanup_complain("%s%s%s%s", what, argument != NULL ? ": '" : "",
                         argument != NULL ? argument : "", argument != NULL ? "'" : "");
    return RPI_CLEANUP_MISUSED;
}

int main(int argc, char **argv)
{
    rpi_cleanup_options options = {.json = false};
    const char *subject = NULL;

    (void)argc; /* the list ends with NULL */
    for (char **at = argv + 1; argv[0] != NULL && *at != NULL; at++) {
        if (strcmp(*at, "--help") == 0 || strcmp(*at, "-h") == 0) {
            return answer_help();
        }
        if (strcmp(*at, "--version") == 0) {
            return answer_version();
        }
        if (strcmp(*at, "--json") == 0) {
            options.json = true;
        } else if (strcmp(*at, "--confirm") == 0) {
            options.confirm = true;
        } else if ((*at)[0] == '-') {
            return misused("unknown option", *at);
        } else if (subject != NULL) {
            return misused("one argument too many", *at);
        } else {
            subject = *at;
        }
    }
    if (subject == NULL) {
        return misused("what is to be cleaned up? (try --help)", NULL);
    }
    if (strcmp(subject, "tracked") != 0) {
        return misused("there is nothing of this name to clean up", subject);
    }
    return rpi_cleanup_tracked(&options);
}
