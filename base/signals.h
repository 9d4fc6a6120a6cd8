/* Names of signals, for summaries and messages. */
#ifndef RPI_BASE_SIGNALS_H
#define RPI_BASE_SIGNALS_H

/** "SIGKILL"; NULL for a number that has no name of its own (real-time signals, none at all).
 * Static. */
const char *rpi_signal_name(int signal);

#endif
