/* Settings: see settings.h. Called by rp_spawn once a process. */
#include "core/settings.h"

#include "core/command.h"

enum {
    LINE_MAX_DEFAULT = 1 << 20
};
#define DRAIN_GRACE_DEFAULT_NS (100 * RP_MILLISECOND)
#define STOP_DEFAULT                                                                               \
    {                                                                                              \
        .size = sizeof(rp_stop_options), .no_interrupt = true                                      \
    }

const rpi_settings rpi_settings_default = {
    .drain_grace_ns = DRAIN_GRACE_DEFAULT_NS,
    .stop = STOP_DEFAULT,
    .lines = {.line_max = LINE_MAX_DEFAULT, .end = RP_LINE_LF},
};

void rpi_settings_from(const rp_command *command, rpi_settings *ret_settings)
{
    *ret_settings = rpi_settings_default;
    ret_settings->timeout_ns = command->timeout_ns;
    ret_settings->deadline_at_ns = command->deadline_at_ns;
    ret_settings->quiet_timeout_ns = command->quiet_timeout_ns;
    ret_settings->ring_size = command->ring_size;
    ret_settings->write_max = command->write_max;
    ret_settings->drain = command->drain;
    ret_settings->on_close = command->on_close;
    ret_settings->lines.end = command->line_end;
    if (command->drain_grace_ns != 0) {
        ret_settings->drain_grace_ns = command->drain_grace_ns;
    }
    if (command->line_max != 0) { /* half of the address space: sums with it cannot wrap */
        ret_settings->lines.line_max =
            command->line_max < SIZE_MAX / 4 ? command->line_max : SIZE_MAX / 4;
    }
    if (command->limits != NULL) {
        rp_limits limits;

        (void)rpi_options_read(command->limits, sizeof limits, &limits); /* checked before */
        ret_settings->output_bytes_max = limits.output_bytes;
    }
    if (command->stop != NULL) {
        (void)rpi_stop_options_read(command->stop, &ret_settings->stop); /* checked before */
    }
}

int rpi_stop_options_read(const rp_stop_options *options, rp_stop_options *ret_options)
{
    if (options == NULL) {
        *ret_options = (rp_stop_options){.size = sizeof *ret_options};
        return 0;
    }
    return rpi_options_read(options, sizeof *ret_options, ret_options);
}
