/* The command line of running-process: what was asked for, and the text of --help and --version.
 * Pure: it reads its arguments and allocates two arrays; printing, files and signals are others'
 * work. main_posix.c is its only caller. */
#ifndef RPI_CLI_OPTIONS_H
#define RPI_CLI_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cli/expects.h"

typedef enum rpi_cli_action {
    RPI_CLI_RUN = 0,
    RPI_CLI_HELP,
    RPI_CLI_VERSION,
    RPI_CLI_WHY
} rpi_cli_action;

/** What becomes of processes that the command leaves behind. */
typedef enum rpi_cli_leak_mode {
    RPI_CLI_LEAKS_IGNORE = 0,
    RPI_CLI_LEAKS_WARN,
    RPI_CLI_LEAKS_FAIL
} rpi_cli_leak_mode;

typedef struct rpi_cli_options {
    rpi_cli_action action;
    int64_t why_pid;          /* of RPI_CLI_WHY */
    uint64_t idle_timeout_ns; /* 0 = none */
    uint64_t wall_timeout_ns; /* 0 = none */
    uint64_t kill_after_ns;   /* RP_FOREVER = never */
    int stop_signal;          /* what a timeout sends */
    int nice;                 /* 0 = unchanged */
    uint64_t idle_exit_ns;    /* 0 = none */
    bool pty;
    rpi_cli_rule *rules; /* of --expect, in their order */
    size_t rule_count;
    bool no_dumps;           /* no diagnostics */
    const char *dump_folder; /* where they go; NULL = as the environment says, or the default */
    rpi_cli_leak_mode leaks;
    bool kill_leaks; /* then leaks is no RPI_CLI_LEAKS_IGNORE */
    bool json;
    const char *json_target;       /* a descriptor's number or a path; NULL = standard error */
    const char *cwd;               /* NULL = ours */
    const char **env;              /* as rp_command.env: of --env and --unset, in their order */
    const char *const *command;    /* NULL-terminated; into argv */
    bool timeout_given;            /* one of the timeouts or --idle-exit, be it 0 */
    const char *originator_option; /* --env or --unset of what --find-leaks sets; NULL = none */
    const char *stop_option; /* the last of --signal and --kill-after, as named; NULL = neither */
} rpi_cli_options;

/** Reads argv. 0, or -1 with one line in `message` (cut at message_size) that names the option.
 * Texts are borrowed from argv; `env` and `rules` are allocated here and freed by
 * rpi_cli_options_fini, which is to be called in both cases. */
int rpi_cli_options_init(rpi_cli_options *options, char **argv, char *message, size_t message_size);
void rpi_cli_options_fini(rpi_cli_options *options);

/** "1.5", "300ms", "2s", "5m", "1h", "1d": seconds unless a unit says otherwise; rounded up to
 * whole nanoseconds. 0, or -1. */
int rpi_cli_parse_duration(const char *text, uint64_t *ret_ns);

#endif
