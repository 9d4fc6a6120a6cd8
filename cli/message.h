/* The one line that the program says when something went wrong. */
#ifndef RPI_CLI_MESSAGE_H
#define RPI_CLI_MESSAGE_H

#include <stdarg.h>
#include <stddef.h>

#if defined(__GNUC__)
#define RPI_CLI_FORMAT(text, first) __attribute__((format(printf, text, first)))
#else
#define RPI_CLI_FORMAT(text, first)
#endif

/** "running-process: ..." and a newline, cut to fit; control characters become '?', so that it
 * stays one line whatever it quotes. Its length. */
size_t rpi_cli_message(char *text, size_t text_size, const char *format, va_list arguments)
    RPI_CLI_FORMAT(3, 0);

/** The same, straight to standard error. */
void rpi_cli_complain(const char *format, ...) RPI_CLI_FORMAT(1, 2);

/** "0.3 s": a span for people, exact. Into `text`, which is returned. */
const char *rpi_cli_span(unsigned long long span_ns, char *text, size_t text_size);

#endif
