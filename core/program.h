/* Where a program is looked for, and which one is the shell: the rules of the system, as launch.c
 * applies them. */
#ifndef RPI_CORE_PROGRAM_H
#define RPI_CORE_PROGRAM_H

#include <stdbool.h>

typedef struct rpi_program_rules {
    const char *shell;          /* the program, */
    const char *shell_option;   /* and what makes it run one line */
    const char *path_default;   /* where the child has no PATH */
    char path_separator;        /* between the folders of a PATH */
    const char *folder_end;     /* between a folder and a name in it */
    const char *folder_default; /* what an empty element of a PATH means */
} rpi_program_rules;

extern const rpi_program_rules rpi_program_rules_here;

/** Whether a name says where it is, so that no PATH is searched. */
bool rpi_program_has_folder(const char *name);

/** What may be appended to a name to find the file, in the order in which it is tried:
 * NULL-terminated, at least one, "" = nothing. Static. */
const char *const *rpi_program_suffixes(const char *name);

#endif
