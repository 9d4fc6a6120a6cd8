/* See program.h: the rules of POSIX systems, which execvp has too. */
#include "core/program.h"

#include <string.h>

const rpi_program_rules rpi_program_rules_here = {
    .shell = "/bin/sh",
    .shell_option = "-c",
    .path_default = "/bin:/usr/bin",
    .path_separator = ':',
    .folder_end = "/",
    .folder_default = ".",
};

bool rpi_program_has_folder(const char *name)
{
    return strchr(name, '/') != NULL;
}

const char *const *rpi_program_suffixes(const char *name)
{
    static const char *const none[] = {"", NULL};

    (void)name; // every name is whole
    return none;
}
