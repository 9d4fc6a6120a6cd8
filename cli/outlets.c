/* See outlets.h. */
#include "cli/outlets.h"

static int open_outlet(rpi_cli_outlets *outlets, int index, int fd, int wake_fd)
{
    rpi_cli_outlet *all = outlets->all;
    rpi_cli_outlet *outlet = &all[index];
    static const char *const names[] = {"standard output", "standard error", "--json"};

    outlet->name = names[index];
    outlet->channel.fd = fd;
    for (int i = 0; i < index; i++) {
        if (all[i].owns_writer && rpi_cli_writer_is_same(fd, all[i].channel.fd)) {
            outlet->writer = all[i].writer;
            return 0;
        }
    }
    outlet->owns_writer = true;
    return rpi_cli_writer_open(wake_fd, &outlet->writer);
}

int rpi_cli_outlets_open(rpi_cli_outlets *outlets, int json_fd, int wake_fd)
{
    int r = open_outlet(outlets, RPI_CLI_OUT, 1, wake_fd);

    if (r == 0) {
        r = open_outlet(outlets, RPI_CLI_ERR, 2, wake_fd);
    }
    if (r == 0 && json_fd >= 0) {
        r = open_outlet(outlets, RPI_CLI_JSON, json_fd, wake_fd);
    }
    return r;
}

int rpi_cli_outlet_put(rpi_cli_outlet *outlet, const void *bytes, size_t size)
{
    return outlet->writer == NULL
               ? 0
               : rpi_cli_writer_put(outlet->writer, &outlet->channel, bytes, size);
}

bool rpi_cli_outlet_is_full(rpi_cli_outlet *outlet)
{
    return outlet->writer != NULL && !outlet->broken && rpi_cli_writer_is_full(outlet->writer);
}

bool rpi_cli_outlet_is_busy(rpi_cli_outlet *outlet)
{
    return outlet->writer != NULL && !outlet->broken && rpi_cli_writer_is_busy(outlet->writer);
}

int rpi_cli_outlet_error(const rpi_cli_outlet *outlet)
{
    return outlet->writer == NULL || outlet->broken
               ? 0
               : rpi_cli_writer_error(outlet->writer, &outlet->channel);
}

bool rpi_cli_outlets_are_written(rpi_cli_outlets *outlets)
{
    for (int i = 0; i < RPI_CLI_OUTLET_COUNT; i++) {
        rpi_cli_outlet *outlet = &outlets->all[i];

        if (outlet->owns_writer && rpi_cli_writer_is_busy(outlet->writer)) {
            return false;
        }
    }
    return true;
}

void rpi_cli_outlets_close(rpi_cli_outlets *outlets)
{
    for (int i = 0; i < RPI_CLI_OUTLET_COUNT; i++) {
        if (outlets->all[i].owns_writer) {
            rpi_cli_writer_close(outlets->all[i].writer);
        }
    }
}
