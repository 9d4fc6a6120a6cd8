/* The events of --json: what is said of each moment of the command's life, and when. The manual
 * page describes each field; the format's number is in the first event. */
#ifndef RPI_CLI_EVENTS_H
#define RPI_CLI_EVENTS_H

#include <stdbool.h>
#include <stdint.h>

#include <rp/rp.h>

#include "cli/json.h"
#include "cli/leaks.h"
#include "cli/options.h"
#include "cli/writer.h"

/** Who ended up with a signal that came to the supervisor. */
typedef enum rpi_cli_relay {
    RPI_CLI_RELAY_SENT = 0, /* we sent it on */
    RPI_CLI_RELAY_TERMINAL, /* the terminal had sent it to the command too */
    RPI_CLI_RELAY_KILL      /* the second INT: the command was killed instead */
} rpi_cli_relay;

typedef struct rpi_cli_events {
    rpi_cli_writer *writer; /* borrowed; NULL = no --json: every function below does nothing */
    rpi_cli_channel *channel;
    uint64_t origin_ns; /* what at_ns counts from */
    int error;          /* 0, or RP_ENOMEM: an event could not be made */
    rpi_cli_json json;
} rpi_cli_events;

/** The first event. Without a writer all is silent. */
void rpi_cli_events_init(rpi_cli_events *events, rpi_cli_writer *writer, rpi_cli_channel *channel);
void rpi_cli_events_fini(rpi_cli_events *events);

void rpi_cli_events_start(rpi_cli_events *events, const rpi_cli_options *options, int64_t pid);
void rpi_cli_events_output(rpi_cli_events *events, rp_stream stream, const rp_line *line);
void rpi_cli_events_eos(rpi_cli_events *events, rp_stream stream);
void rpi_cli_events_signal(rpi_cli_events *events, int signal, rpi_cli_relay relay);
/** A rule of --expect has matched. */
void rpi_cli_events_expect(rpi_cli_events *events, const rpi_cli_rule *rule, const rp_match *match);
/** --idle-exit: it has been quiet for so long. */
void rpi_cli_events_idle(rpi_cli_events *events, uint64_t idle_ns);
void rpi_cli_events_timeout(rpi_cli_events *events, rp_stop_reason reason, uint64_t limit_ns);
void rpi_cli_events_stop(rpi_cli_events *events, rp_stop_reason step, int signal);
/** A file of diagnostics was written: "timeout" or "abnormal-exit". */
void rpi_cli_events_diagnostics(rpi_cli_events *events, const char *reason, const char *path);
/** --find-leaks: what was found, be it nothing. */
void rpi_cli_events_leaks(rpi_cli_events *events, const rpi_cli_leaks *leaks);
/** --kill-leaks: who is left. */
void rpi_cli_events_leaks_killed(rpi_cli_events *events,
                                 const rpi_cli_leaks *leaks,
                                 const rp_survivor *survivors,
                                 size_t count);
void rpi_cli_events_exited(rpi_cli_events *events, const rp_exit *exit);
void rpi_cli_events_exit(rpi_cli_events *events, const rp_exit *exit, int exit_code);

#endif
