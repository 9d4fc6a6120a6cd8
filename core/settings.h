/* Settings: what of a command outlives its launch. They stand behind the process in its own block
 * of memory, and only where they differ from the defaults: most processes share one constant. */
#ifndef RPI_CORE_SETTINGS_H
#define RPI_CORE_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/lines.h"
#include "rp/command.h"

typedef struct rpi_settings {
    uint64_t timeout_ns;       /* wall clock from started; 0 = none */
    uint64_t deadline_at_ns;   /* 0 = none */
    uint64_t quiet_timeout_ns; /* 0 = none */
    uint64_t drain_grace_ns;
    uint64_t output_bytes_max; /* of both streams together; 0 = none */
    rp_stop_options stop;      /* for timeouts and limits */
    size_t ring_size;          /* 0 = the loop's */
    size_t write_max;          /* bytes; 0 = unlimited */
    rpi_line_rules lines;
    rp_drain drain;
    rp_on_close on_close;
} rpi_settings;

extern const rpi_settings rpi_settings_default;

/** The settings of a command that rpi_command_check accepted. */
void rpi_settings_from(const rp_command *command, rpi_settings *ret_settings);

/** Fills the defaults of a ladder in: a copy of what the caller gave, or of nothing. 0; RP_EINVAL;
 * RP_E2BIG. */
int rpi_stop_options_read(const rp_stop_options *options, rp_stop_options *ret_options);

#endif
