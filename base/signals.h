/* Names of signals, for summaries and messages. */
#ifndef RPI_BASE_SIGNALS_H
#define RPI_BASE_SIGNALS_H

#include <signal.h>

#ifndef SIGKILL /* a system without signals, where these numbers only say how hard a stop is */
#define SIGKILL 9
#endif
#ifndef SIGCONT
#define SIGCONT 18
#endif

/** "SIGKILL"; NULL for a number that has no name of its own (real-time signals, none at all).
 * Static. */
const char *rpi_signal_name(int signal);

#endif
