/* What is kept of a command's output for its diagnostics: how much, when, and (by the library's
 * capture) the last of it. And the file that it ends up in: JSON, its members sorted. Called by
 * supervisor.c and diagnosis.c. */
#ifndef RPI_CLI_RECORD_H
#define RPI_CLI_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include <rp/rp.h>

#include "cli/buffer.h"
#include "cli/options.h"

enum {
    RPI_CLI_TAIL_SIZE = 16384 /* bytes of each stream: what rp_command.capture_max is to be */
};

typedef struct rpi_cli_stream_record {
    uint64_t bytes, chunks;
    uint64_t last_ns; /* by the library's clock; 0 = nothing came */
    bool closed;
} rpi_cli_stream_record;

typedef struct rpi_cli_record {
    uint64_t origin_ns;     /* of the library's clock, */
    int64_t origin_wall_us; /* when the wall clock, microseconds since 1970, was this */
    uint64_t started_ns;
    rpi_cli_stream_record streams[2];
} rpi_cli_record;

void rpi_cli_record_init(rpi_cli_record *record);
void rpi_cli_record_data(rpi_cli_record *record, rp_stream stream, size_t size, uint64_t now_ns);
void rpi_cli_record_eos(rpi_cli_record *record, rp_stream stream);

/** "20261124T181500Z-pid4711-timeout": how all files of one end begin. */
void rpi_cli_record_stem(
    const rpi_cli_record *record, int64_t pid, const char *reason, char *text, size_t text_size);

/** The whole file. `reason`: RP_STOP_TIMEOUT or _QUIET; else the command has ended. false: memory
 * ran out. */
bool rpi_cli_record_compose(const rpi_cli_record *record,
                            const rpi_cli_options *options,
                            const rp_process *process,
                            rp_stop_reason reason,
                            rpi_cli_buffer *ret_text);

#endif
