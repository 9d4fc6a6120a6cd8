/* Checking a command: everything that rp_spawn refuses before anything is queued. */
#ifndef RPI_CORE_COMMAND_H
#define RPI_CORE_COMMAND_H

#include "rp/command.h"

/** Copies `command` of whatever size into a full-size one (missing end zero): 0; RP_EINVAL no size; RP_E2BIG bytes set beyond what we know. */
int rpi_command_read(const rp_command *command, rp_command *ret_command);

/** Contradictions, missing and impossible things: 0, RP_EINVAL, RP_ENOENT (cwd), RP_EUNSUPPORTED, RP_EPERM ..., with an error detail that names the field. */
int rpi_command_check(const rp_command *command);

/** The same reading for any struct that begins with its size: copies at most `known` bytes, zeroes the rest of `ret_options`. */
int rpi_options_read(const void *options, size_t known, void *ret_options);

#endif
