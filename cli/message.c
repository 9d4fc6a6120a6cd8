/* Composes messages. A program that wraps others is quoted in logs line by line, so each is exactly
 * one line. Called by main_posix.c and supervisor.c. */
#include "cli/message.h"

#include <stdio.h>
#include <string.h>

size_t rpi_cli_message(char *text, size_t text_size, const char *format, va_list arguments)
{
    static const char prefix[] = "running-process: ";
    size_t length = sizeof prefix - 1;

    memcpy(text, prefix, sizeof prefix);
    (void)vsnprintf(text + length, text_size - length - 1, format, arguments);
    for (; text[length] != '\0'; length++) {
        unsigned char byte = (unsigned char)text[length];

        if (byte < 0x20 || byte == 0x7f) {
            text[length] = '?';
        }
    }
    text[length] = '\n';
    text[length + 1] = '\0';
    return length + 1;
}

void rpi_cli_complain(const char *format, ...)
{
    char text[1024];
    va_list arguments;

    va_start(arguments, format);
    (void)rpi_cli_message(text, sizeof text, format, arguments);
    va_end(arguments);
    (void)fputs(text, stderr); /* there is nobody left to tell */
}

const char *rpi_cli_span(unsigned long long span_ns, char *text, size_t text_size)
{
    char digits[32];
    size_t length;

    (void)snprintf(digits, sizeof digits, "%llu.%09llu", span_ns / 1000000000,
                   span_ns % 1000000000);
    length = strlen(digits);
    while (digits[length - 1] == '0') {
        length--;
    }
    if (digits[length - 1] == '.') {
        length--;
    }
    (void)snprintf(text, text_size, "%.*s s", (int)length, digits);
    return text;
}
