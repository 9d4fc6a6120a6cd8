/* What a command left behind: processes that carry the mark which only this command's descendants
 * got (RUNNING_PROCESS_ORIGINATOR), and whoever holds its output open. Looked for once, after its
 * end; it is never waited for. Called by supervisor.c. */
#ifndef RPI_CLI_LEAKS_H
#define RPI_CLI_LEAKS_H

#include <stdbool.h>
#include <stddef.h>

#include <rp/rp.h>

#include "cli/buffer.h"

typedef struct rpi_cli_leak {
    rp_identity id;
    int64_t parent_pid;
    bool parent_alive;
    bool is_spared;   /* by rpi_cli_leaks_check */
    bool is_marked;   /* else it only holds the output, and need not come of the command */
    uint32_t streams; /* that it holds: 1 << RP_STDOUT, 1 << RP_STDERR */
    char *name;       /* owned, as is */
    char *command;    /* cut after 4 KiB */
} rpi_cli_leak;

typedef struct rpi_cli_leaks {
    char mark[64]; /* the tool of the originator, for rp_command.originator */
    rpi_cli_buffer list;
    size_t count; /* of rpi_cli_leak in the list */
    size_t marked_count;
} rpi_cli_leaks;

/** Chooses a mark that no other run has. */
void rpi_cli_leaks_init(rpi_cli_leaks *leaks, int64_t own_pid);
void rpi_cli_leaks_fini(rpi_cli_leaks *leaks);

/** Looks for them, once the process is done: 0, or what failed (RP_ENOMEM, ...), and the list has
 * what was found until then. By number, the marked ones first. */
int rpi_cli_leaks_find(rpi_cli_leaks *leaks, const rp_process *process);

const rpi_cli_leak *rpi_cli_leaks_at(const rpi_cli_leaks *leaks, size_t index);

/** The report: whole lines, none where there is nothing to tell. */
void rpi_cli_leaks_report(const rpi_cli_leaks *leaks, rpi_cli_buffer *text);

/** After a kill: notes who lives on because nothing says that it is of the command; how many. */
size_t rpi_cli_leaks_check(rpi_cli_leaks *leaks, const rp_survivor *survivors, size_t count);

/** What came of the kill, as whole lines. */
void rpi_cli_leaks_report_kill(const rpi_cli_leaks *leaks,
                               const rp_survivor *survivors,
                               size_t count,
                               rpi_cli_buffer *text);

#endif
