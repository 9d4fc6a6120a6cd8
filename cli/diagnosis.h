/* Diagnostics of a bad end: a file with what is known of the command (cli/record.h), and, where it
 * hangs, what its processes are doing, as debuggers see it. They are children on the loop like any
 * other, bounded in time; the command goes on meanwhile. Called by supervisor.c. */
#ifndef RPI_CLI_DIAGNOSIS_H
#define RPI_CLI_DIAGNOSIS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <rp/rp.h>

#include "cli/buffer.h"
#include "cli/options.h"
#include "cli/record.h"

enum {
    RPI_CLI_SUBJECTS_MAX = 16
};

typedef enum rpi_cli_phase {
    RPI_CLI_PHASE_NONE = 0,
    RPI_CLI_PHASE_PYTHON, /* py-spy looks at the command itself */
    RPI_CLI_PHASE_GDB,    /* at each process of its tree */
    RPI_CLI_PHASE_LLDB    /* where there is no gdb */
} rpi_cli_phase;

typedef struct rpi_cli_subject {
    int64_t pid;
    char name[64];
} rpi_cli_subject;

typedef struct rpi_cli_diagnosis {
    const rpi_cli_options *options;
    const rpi_cli_record *record;
    /** A line for standard error; the path of the file that was written, for the events. */
    void (*say)(const char *text, void *say_user);
    void *say_user;
    void (*written)(const char *reason, const char *path, void *user);
    void (*finished)(void *user); /* of what rpi_cli_diagnosis_begin began: once */
    void *user;

    /* Of its own. */
    char stem[96];
    rpi_cli_phase phase;
    rp_loop *loop;    /* borrowed */
    rp_process *tool; /* the debugger that runs; NULL = none */
    bool cancelled;
    uint64_t until_ns;
    rpi_cli_subject subjects[RPI_CLI_SUBJECTS_MAX];
    size_t subject_count, subject_at, left_out;
    rpi_cli_buffer log;
} rpi_cli_diagnosis;

/** Writes the file of a command that has ended. */
void rpi_cli_diagnosis_write(rpi_cli_diagnosis *diagnosis, const rp_process *process);

/** The command has timed out and runs: writes the file and begins to look. True: `finished` will
 * come; false: there is nothing to wait for. */
bool rpi_cli_diagnosis_begin(rpi_cli_diagnosis *diagnosis,
                             rp_process *process,
                             rp_stop_reason reason);

static inline bool rpi_cli_diagnosis_is_active(const rpi_cli_diagnosis *diagnosis)
{
    return diagnosis->phase != RPI_CLI_PHASE_NONE;
}

/** Ends the look soon: `finished` still comes. */
void rpi_cli_diagnosis_cancel(rpi_cli_diagnosis *diagnosis);

void rpi_cli_diagnosis_fini(rpi_cli_diagnosis *diagnosis);

#endif
