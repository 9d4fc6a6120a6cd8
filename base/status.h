/* Errors as texts, and the calling thread's error detail: one sentence about its last failed call,
 * fetched by rp_error_detail(). Whoever returns an error that deserves more than its name sets it;
 * every public entry point clears it first. Inside a callback it tells of what the callback
 * reports.
 *
 * The names and texts of the system's own errors stand in a table of ours (status_linux.c): the C
 * library's follow the locale, and its names are not there on every system. */
#ifndef RPI_BASE_STATUS_H
#define RPI_BASE_STATUS_H

#include <stddef.h>
#include <stdio.h>

/** Says that a function takes printf's format and arguments, so that calls are checked. */
#ifdef __MINGW_PRINTF_FORMAT /* the printf in use may not be the system's */
#define RPI_PRINTF(format_, first_) __attribute__((format(__MINGW_PRINTF_FORMAT, format_, first_)))
#else
#define RPI_PRINTF(format_, first_) __attribute__((format(printf, format_, first_)))
#endif

typedef struct rpi_error_text {
    int error;        /* negative */
    const char *name; /* "RP_ENOENT" */
    const char *text; /* "no such file or directory" */
} rpi_error_text;

/** The system's errors, each number once. */
extern const rpi_error_text rpi_system_errors[];
extern const size_t rpi_system_error_count;

/** Forgets the detail of the calling thread. */
void rpi_detail_clear(void);

/** Sets the detail of the calling thread, printf-like, cut at 255 bytes. Returns `error`, so that
 * it can be returned. */
int rpi_detail(int error, const char *format, ...) RPI_PRINTF(2, 3);

/** Sets a ready text, cut likewise. NULL forgets. */
void rpi_detail_set(const char *text);

#endif
