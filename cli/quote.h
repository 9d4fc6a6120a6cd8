/* Text of others in a line of ours, between quotes, as Python writes a string: whatever it holds,
 * the line stays one line and its end can be told. Called by leaks.c and why.c. */
#ifndef RPI_CLI_QUOTE_H
#define RPI_CLI_QUOTE_H

#include "cli/buffer.h"

/** Adds a string without quotes: plain words. */
void rpi_cli_add_text(rpi_cli_buffer *to, const char *text);

/** Adds it as it is, with a ? for each control character. */
void rpi_cli_add_printable(rpi_cli_buffer *to, const char *text);

/** The same as between the quotes of rpi_cli_add_quoted, without them. */
void rpi_cli_add_escaped(rpi_cli_buffer *to, const char *text);

/** Adds it quoted. What is no UTF-8 becomes U+FFFD; controls, and characters that would turn or
 * hide the text around them, become escapes. */
void rpi_cli_add_quoted(rpi_cli_buffer *to, const char *text);

#endif
