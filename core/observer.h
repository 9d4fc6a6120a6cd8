/* Observers: who looks at a child's bytes as they pass, besides the handlers: expects, idle
 * watches, the terminal's scanner. Each embeds one of these and is told of every byte once, in the
 * order of the reads, before the handlers are. Being told is no moment to call the user back: an
 * observer stamps, searches and remembers, and reports out of a task or a timer of its own.
 *
 * The process owns the list; an observer takes itself out (rpi_observer_remove) or is dropped with
 * the process. Called by stream.c, writer.c and process.c. */
#ifndef RPI_CORE_OBSERVER_H
#define RPI_CORE_OBSERVER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/list.h"
#include "rp/base.h"

typedef struct rpi_stream rpi_stream;
typedef struct rpi_observer rpi_observer;

/** What the caller has just queued for the child. */
typedef struct rpi_input {
    size_t size;
    bool newline; /* a CR or LF is in it */
    bool submit;  /* by rp_submit */
} rpi_input;

/** Functions that an observer has no use for are NULL. */
typedef struct rpi_observer_api {
    /** `bytes` were read from `stream`: a view into its ring, until this returns. */
    void (*output)(rpi_observer *observer, rpi_stream *stream, rp_view bytes);
    /** From rp_write and rp_submit, so also from outside the loop. */
    void (*input)(rpi_observer *observer, const rpi_input *input);
    /** Nothing more comes from `stream`. */
    void (*ended)(rpi_observer *observer, rpi_stream *stream);
    /** The child has exited, or never ran: its streams may still be drained. */
    void (*exited)(rpi_observer *observer);
    /** Whether it still has something to report, so that done must wait. Asked when all streams
     * have ended. It calls rpi_process_advance_later when that is over. */
    bool (*holds_done)(const rpi_observer *observer);
    /** The process is closed, maybe from inside a callback of this very observer: from now on it
     * reports nothing and is told nothing, but what a callback was handed stays. */
    void (*closed)(rpi_observer *observer);
    /** The process is freed, at the end of a turn, or in a forked child: frees. Required. */
    void (*drop)(rpi_observer *observer);
} rpi_observer_api;

struct rpi_observer {
    rpi_list node; /* the process's */
    const rpi_observer_api *api;
};

typedef struct rp_process rp_process;

/** From now on it is told. `first`: before all others, for one whose findings they use. */
void rpi_observer_add(rp_process *process,
                      rpi_observer *observer,
                      const rpi_observer_api *api,
                      bool first);
/** It is told no more. While observers are told, each may take out itself only. */
void rpi_observer_remove(rpi_observer *observer);

void rpi_observers_output(rp_process *process, rpi_stream *stream, rp_view bytes);
void rpi_observers_input(rp_process *process, const rpi_input *input);
void rpi_observers_ended(rp_process *process, rpi_stream *stream);
void rpi_observers_exited(rp_process *process);
bool rpi_observers_hold_done(const rp_process *process);
void rpi_observers_closed(rp_process *process);
void rpi_observers_drop(rp_process *process);

#endif
