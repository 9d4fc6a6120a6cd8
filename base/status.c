/* Errors as names, texts and numbers, and the calling thread's detail. The library's own errors are
 * listed here, the system's in a table for each system. All functions are safe from any thread: the
 * tables are constant and the detail is thread-local. */
#include "base/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "rp/base.h"

static const rpi_error_text own_errors[] = {
    {0, "RP_OK", "success"},
    {RP_EOS, "RP_EOS", "end of stream"},
    {RP_EUNSUPPORTED, "RP_EUNSUPPORTED", "not supported by this system or build"},
    {RP_ELOST, "RP_ELOST", "the host program reaped the child, its status is unknown"},
    {RP_EPATTERN, "RP_EPATTERN", "invalid pattern, or its match limit was reached"},
};
static const size_t own_error_count = sizeof own_errors / sizeof own_errors[0];

static const rpi_error_text unknown_error = {0, "RP_UNKNOWN", "unknown error"};

static _Thread_local char detail[256];

static const rpi_error_text *find_error(int error)
{
    // The system's own numbers come as themselves too: rp_exit.system_error.
    const int negative = error > 0 && error < 4096 ? -error : error;

    for (size_t i = 0; i < own_error_count; i++) {
        if (own_errors[i].error == error) {
            return &own_errors[i];
        }
    }
    for (size_t i = 0; i < rpi_system_error_count; i++) {
        if (rpi_system_errors[i].error == negative) {
            return &rpi_system_errors[i];
        }
    }
    return &unknown_error;
}

static int find_name(const rpi_error_text *errors, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(errors[i].name, name) == 0) {
            return errors[i].error;
        }
    }
    return 0;
}

const char *rp_error_name(int error)
{
    return find_error(error)->name;
}

const char *rp_strerror(int error)
{
    return find_error(error)->text;
}

int rp_error_number(const char *name)
{
    int error;

    if (name == NULL) {
        return 0;
    }
    error = find_name(own_errors, own_error_count, name);
    return error != 0 ? error : find_name(rpi_system_errors, rpi_system_error_count, name);
}

const char *rp_error_detail(void)
{
    return detail;
}

void rpi_detail_clear(void)
{
    detail[0] = '\0';
}

int rpi_detail(int error, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    if (vsnprintf(detail, sizeof detail, format, arguments) < 0) {
        detail[0] = '\0'; // an encoding error: rather no text than half of one
    }
    va_end(arguments);
    return error;
}

void rpi_detail_set(const char *text)
{
    // Through a copy, as the text may be the detail itself.
    char copy[sizeof detail];

    (void)snprintf(copy, sizeof copy, "%s", text != NULL ? text : ""); // cutting is meant
    memcpy(detail, copy, sizeof copy);
}
