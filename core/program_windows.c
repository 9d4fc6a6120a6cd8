/* See program.h: the rules of Windows. Only the child's PATH is searched, neither the folder of the
 * calling program nor the current one, which CreateProcess would look into first. A name without an
 * extension is a program's, so .exe and .com are tried; .bat and .cmd must be named in full. */
#include "core/program.h"

#include <string.h>

const rpi_program_rules rpi_program_rules_here = {
    .shell = "cmd.exe", // spawn_windows.c takes the system's own
    .shell_option = "/C",
    .path_default = "",
    .path_separator = ';',
    .folder_end = "\\",
    .folder_default = ".",
};

bool rpi_program_has_folder(const char *name)
{
    return strpbrk(name, "/\\:") != NULL;
}

const char *const *rpi_program_suffixes(const char *name)
{
    static const char *const bare[] = {".exe", ".com", NULL};
    static const char *const whole[] = {"", ".exe", ".com", NULL};
    const char *last = name;

    for (const char *at = name; *at != '\0'; at++) {
        if (*at == '/' || *at == '\\' || *at == ':') {
            last = at + 1;
        }
    }
    return strchr(last, '.') != NULL ? whole : bare;
}
