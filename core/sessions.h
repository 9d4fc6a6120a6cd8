/* Sessions: who is in the session of a child that leads one, beyond its own process group. A shell
 * with job control gives each job a group of its own, so a signal for the whole tree must reach
 * more than the leader's group, and its end be looked for there too.
 *
 * The system can be asked for a session's members only by looking through all processes. One look
 * serves all who ask in a turn: signals are collected and sent by a task. Called by signal.c,
 * tree_linux.c and loop.c. */
#ifndef RPI_CORE_SESSIONS_H
#define RPI_CORE_SESSIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "reactor/reactor.h"

typedef struct rp_loop rp_loop;
typedef struct rp_process rp_process;

typedef struct rpi_session_member rpi_session_member;
typedef struct rpi_session_errand rpi_session_errand;

/** Of a loop; all zero but the task at the start. */
typedef struct rpi_sessions {
    rpi_session_member *members; /* owned; of all sessions, sorted by session */
    size_t member_count, member_capacity;
    uint64_t taken_ns;           /* before the look began; 0: never */
    rpi_session_errand *errands; /* owned; signals that are still to be sent */
    size_t errand_count, errand_capacity;
    rpi_task task;
} rpi_sessions;

void rpi_sessions_init(rp_loop *loop);
void rpi_sessions_fini(rp_loop *loop);

/** Sends `signal` to everybody in the session that `process` leads and has not reaped, but not in
 * its own group: by the end of the turn, or at once where there is no memory to note it. */
void rpi_sessions_signal(rp_process *process, int signal);

/** Carries out now what was put off. */
void rpi_sessions_run(rp_loop *loop);

/** The process is freed: what was put off for it is still done, with more care. */
void rpi_sessions_forget(rp_process *process);

/** Whether anybody lives in the session that `process` led; it was reaped. Known as of this turn
 * or later. 1, 0, or -errno: it cannot be told. */
int rpi_sessions_has_members(rp_process *process);

#endif
