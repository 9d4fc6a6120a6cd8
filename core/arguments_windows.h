/* The texts of CreateProcessW: the command line, quoted so that the program's C runtime takes it
 * apart into the same arguments again; and the environment block. Called by spawn_windows.c;
 * texts in are UTF-8, texts out UTF-16 of malloc. */
#ifndef RPI_CORE_ARGUMENTS_WINDOWS_H
#define RPI_CORE_ARGUMENTS_WINDOWS_H

#include <stdbool.h>
#include <stddef.h>

enum {
    RPI_COMMAND_LINE_MAX = 32767 /* characters, with the NUL at the end: the system's limit */
};

typedef enum rpi_quoting {
    RPI_QUOTE_RUNTIME = 0, /* for the C runtime's rules */
    RPI_QUOTE_VERBATIM,    /* arguments joined by blanks, as they are */
    RPI_QUOTE_SHELL,       /* cmd.exe /D /S /C "the text", argv being that text's */
    RPI_QUOTE_BATCH        /* a .bat or .cmd file, which cmd.exe runs: see below */
} rpi_quoting;

/** The command line of argv. RPI_QUOTE_SHELL: argv[0] is the shell, the last argument the text.
 * RPI_QUOTE_BATCH: argv[0] is not looked at, `program` is the file; cmd.exe would take quotes,
 * percent signs and line ends of the arguments for its own, whatever is done to them, so those are
 * refused. 0; -E2BIG: too long; -EINVAL: no UTF-8, or such an argument; -ENOMEM. */
int rpi_command_line_make(char *const *argv,
                          const char *program,
                          rpi_quoting quoting,
                          wchar_t **ret_line);

/** The block of an environment, sorted as the system wants it, with two NULs at its end. 0;
 * -EINVAL: no UTF-8; -ENOMEM. */
int rpi_environment_block_make(char *const *env, wchar_t **ret_block);

/** Whether a file is one that only cmd.exe can run. */
bool rpi_is_batch_file(const char *program);

#endif
