/* Checking a command: everything that rp_spawn and rp_run refuse in the call, before anything is
 * queued. Each refusal leaves an error detail that begins with the field's name. Also the one way
 * to read a struct that begins with its size, for every public function that takes one. */
#ifndef RPI_CORE_COMMAND_H
#define RPI_CORE_COMMAND_H

#include "rp/command.h"

/** Copies `command` of whatever size into a full-size one (missing end zero): 0; RP_EINVAL: no
 * command, no size; RP_E2BIG: bytes set beyond what we know. What its pointers point to stays the
 * caller's. */
int rpi_command_read(const rp_command *command, rp_command *ret_command);

/** Whether a full-size command can be carried out, as far as can be told now: 0; RP_EINVAL
 * contradictions, fields out of their range; RP_E2BIG nested structs, or `reserved` set;
 * RP_EUNSUPPORTED what this build or system cannot; RP_ENOENT, -ENOTDIR, ... of cwd. */
int rpi_command_check(const rp_command *command);

/** command_<system>.c: what only this system has, and what only others have. */
int rpi_command_check_system(const rp_command *command);

/** As rpi_options_read, for a struct inside another; where it fails the detail says which one. */
int rpi_command_read_nested(const void *options, size_t known, void *ret_options, const char *name);

/** The same reading for any struct that begins with its size: copies at most `known` bytes, zeroes
 * the rest of `ret_options`, whose size becomes `known`. 0, RP_EINVAL (NULL, no size), RP_E2BIG. */
int rpi_options_read(const void *options, size_t known, void *ret_options);

/** Where a stream goes when its kind is RP_STDIO_DEFAULT: what the transport and `input` make of
 * it. */
rp_stdio_kind rpi_command_stdio_kind(const rp_command *command, rp_stream stream);

/** Whether `originator` can be one: 0 (also for NULL), or RP_EINVAL. */
int rpi_originator_check(const char *originator);

#endif
