/* The files of diagnostics and their names. */
#ifndef RPI_CLI_FILES_H
#define RPI_CLI_FILES_H

#include <stddef.h>
#include <stdint.h>

enum {
    RPI_CLI_UTC_SIZE = 40
};

/** The wall clock now, microseconds since 1970. */
int64_t rpi_cli_wall_us(void);

/** A point of the wall clock, microseconds since 1970: "20261124T181500Z". */
void rpi_cli_utc_stamp(int64_t wall_us, char text[RPI_CLI_UTC_SIZE]);

/** The same as "2026-11-24T18:15:00.123456+00:00". */
void rpi_cli_utc_iso(int64_t wall_us, char text[RPI_CLI_UTC_SIZE]);

/** Makes the folder, and those above it that are missing, and in it a file that was not there
 * (its owner's alone: outputs may hold secrets). *ret_path, to be freed, is where it is. 0 or a
 * negative error: then there is no file. */
int rpi_cli_file_write(
    const char *folder, const char *name, const void *bytes, size_t size, char **ret_path);

#endif
