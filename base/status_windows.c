/* The errors of Windows with the library's names and texts, for base/status.c: the errno numbers of
 * its C runtime, which the system's own errors are translated into (rpi_os_error). Each number
 * stands once: EDEADLOCK is EDEADLK; EWOULDBLOCK and ENOTSUP are numbers of their own there. */
#include "base/status_errors.h"

const rpi_error_text rpi_system_errors[] = {
    RPI_COMMON_ERRORS,
    RPI_ERROR(ENOSTR, "device not a stream"),
    RPI_ERROR(ENODATA, "no data available"),
    RPI_ERROR(ETIME, "timer expired"),
    RPI_ERROR(ENOSR, "out of streams resources"),
    RPI_ERROR(ENOTSUP, "not supported"),
    RPI_ERROR(EWOULDBLOCK, "operation would block"),
};

const size_t rpi_system_error_count = sizeof rpi_system_errors / sizeof rpi_system_errors[0];
