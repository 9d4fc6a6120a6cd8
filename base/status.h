/* The calling thread's error detail: one sentence about its last failed call, fetched by
 * rp_error_detail(). Whoever returns an error that deserves more than its name sets it; every
 * public entry point clears it first. Inside a callback it tells of what the callback reports. */
#ifndef RPI_BASE_STATUS_H
#define RPI_BASE_STATUS_H

/** Forgets the detail of the calling thread. */
void rpi_detail_clear(void);

/** Sets the detail of the calling thread, printf-like, cut at 255 bytes. Returns `error`, so that
 * it can be returned. */
int rpi_detail(int error, const char *format, ...) __attribute__((format(printf, 2, 3)));

/** Sets a ready text. */
void rpi_detail_set(const char *text);

#endif
