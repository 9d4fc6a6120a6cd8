/* The process: one child's whole life, from rp_spawn to the last free. This header is the inside
 * that the files of core/ share:
 *
 *     process_make.c  rp_spawn, the free                  stream.c      reading, delivering
 *     process.c       states, exit, done, close           writer.c      stdin
 *     admission.c     the queue in front of the spawner   reap_linux.c  how it ended
 *     stop.c          the ladder, time-outs               tree_linux.c  what is left of a tree
 *     signal.c        whom a signal reaches               sessions_linux.c  its other groups
 *     send_*.c        the sending
 *     pull.c          iteration that runs the loop        chunks.c      the order of a capture
 *     observer.c      who else is told of the bytes   terminal.c    RP_PTY: size, modes, slave
 *     foreground_linux.c  who has the caller's terminal
 *
 * States walk one way: QUEUED -> LAUNCHING -> RUNNING -> EXITED -> DONE (a failed launch goes to
 * DONE from either of the first two). `closed` is the caller's doing and orthogonal: a closed
 * process walks on without callbacks and is freed at the end of a turn in which it is DONE and no
 * operation of it is pending. Nothing is freed inside a callback, so views and handles live until
 * it returns. */
#ifndef RPI_CORE_PROCESS_H
#define RPI_CORE_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "base/ring.h"
#include "core/capture.h"
#include "core/foreground.h"
#include "core/launch.h"
#include "core/limits.h"
#include "core/lines.h"
#include "core/loop.h"
#include "core/marks.h"
#include "core/observer.h"
#include "core/screen.h"
#include "core/settings.h"
#include "reactor/reactor.h"
#include "rp/process.h"

typedef enum rpi_stream_state {
    RPI_STREAM_NONE = 0, /* not piped */
    RPI_STREAM_OPEN,     /* read as it comes */
    RPI_STREAM_TO_EOF,   /* after the exit: read to the end of file */
    RPI_STREAM_SETTLING, /* after the exit, somebody holds it: the read that was pending is being
                            taken back */
    RPI_STREAM_EXACT,    /* after that: `left` more bytes are read, no matter what else is written;
                            of a terminal at most so many, and only what is there */
    RPI_STREAM_ENDED,    /* nothing more comes; its descriptor is closed, bytes may be unread */
    RPI_STREAM_REPORTED  /* the end was told: eos, or its pulled event */
} rpi_stream_state;

struct rpi_stream {
    rpi_io io;
    rpi_op op; /* READ, or READABLE where rings are few; idle, its node may be in the loop's queue
                  for ring memory */
    rpi_ring ring;
    rpi_lines *lines;     /* behind the process; NULL: nobody wants lines */
    rpi_capture *capture; /* behind the process; NULL: nothing is kept */
    uint32_t left;        /* EXACT: bytes still to be read, of a terminal: at most */
    uint32_t delivered;   /* unread bytes of the ring that the data handler had already */
    uint8_t state;        /* rpi_stream_state */
    uint8_t index;        /* 0: stdout, 1: stderr */
    bool ours;            /* we read it, or will */
    bool paused;
    bool stalled;       /* an observer can take no more for now */
    bool was_empty;     /* the last read said so, just now */
    bool shut;          /* by rp_close_output: no further read */
    bool held;          /* somebody held it when it was drained */
    uint64_t left_name; /* of the other end, once ours was closed while it was held; 0 */
};

typedef enum rpi_process_state {
    RPI_PROCESS_QUEUED = 0, /* in the admission queue */
    RPI_PROCESS_LAUNCHING,  /* with the spawner */
    RPI_PROCESS_RUNNING,
    RPI_PROCESS_EXITED, /* status known, output may still be draining */
    RPI_PROCESS_DONE
} rpi_process_state;

/* The steps of a stop, in order of strength. */
typedef enum rpi_step {
    RPI_STEP_NONE = 0,
    RPI_STEP_INTERRUPT,
    RPI_STEP_INTERRUPT_AGAIN,
    RPI_STEP_TERMINATE,
    RPI_STEP_KILL,
    RPI_STEP_GIVEN_UP
} rpi_step;

typedef struct rpi_handlers { /* rp_handlers without its reserve */
    void (*started)(rp_process *, void *);
    void (*data)(rp_process *, rp_stream, rp_view, void *);
    void (*line)(rp_process *, rp_stream, const rp_line *, void *);
    void (*eos)(rp_process *, rp_stream, void *);
    void (*exited)(rp_process *, const rp_exit *, void *);
    void (*done)(rp_process *, const rp_exit *, void *);
    void (*stopped)(rp_process *, int, void *);
    bool (*timed_out)(rp_process *, rp_stop_reason, void *);
} rpi_handlers;

typedef struct rpi_writer rpi_writer;
typedef struct rpi_pull rpi_pull;
typedef struct rpi_tree rpi_tree;
typedef struct rpi_chunks rpi_chunks;

/* A piece of a stream that was read at once. */
typedef struct rpi_chunk_place {
    uint32_t stream; /* index */
    uint64_t start;  /* offsets in the stream */
    uint64_t end;
} rpi_chunk_place;
typedef struct rpi_terminal rpi_terminal;

struct rp_process {
    rp_loop *loop;      /* borrowed */
    rpi_list node;      /* the loop's processes, or its closed ones */
    rpi_launch *launch; /* owned until handed to the spawner and after it came back; NULL once
                           started; its node is the admission queue's while queued */
    size_t block_size;  /* bytes of this struct and what stands behind it */
    const rpi_settings *settings;
    rpi_handlers handlers;
    void *user;
    int64_t pid;
    int pidfd;     /* owned until the free; Windows: the process's handle */
    int job;       /* owned until the free; Windows: of its tree; else -1 */
    uint8_t state; /* rpi_process_state */
    uint8_t step;  /* rpi_step: the last one sent */
    uint8_t looks; /* at the rest of its group, since it was reaped */
    bool closed;   /* by the caller */
    bool detached;
    bool closes_itself; /* rp_spawn without ret_process */
    bool own_group;     /* its pid is a process group, */
    bool own_session;   /* and a session */
    bool had_newline;   /* in what was written to it so far */
    bool had_submit;    /* by rp_submit */
    bool reaped;        /* the number may belong to somebody else: no signal goes there any more */
    bool counted;       /* in reactor.left */
    bool live;          /* in loop->live */
    bool alone;         /* launched with nothing else of ours alive: a refusal is final */
    bool timed_out;     /* the handler was told: no timeout comes again */
    bool laddered;      /* each step waits for the whole tree */
    bool kill_when_started; /* stopped at a moment when its launch could not be taken back */
    bool by_hand;           /* its terminal is a file, read and written by stream_terminal.c and
                               writer_terminal.c; else it is pipes, as far as those can tell */
    bool lost_child; /* done was told although the child did not end: its exit is still awaited */
    rpi_io exit_io;
    rpi_op exit_op;
    rpi_stream streams[2];
    rpi_writer *writer;         /* behind the process; NULL: stdin is not ours */
    rpi_pull *pull;             /* behind the process; NULL: handlers */
    rpi_chunks *chunks;         /* behind the process; NULL: order is not kept */
    rpi_terminal *terminal;     /* behind the process; NULL: pipes */
    rpi_track_row *track_row;   /* owned until registered, then named; NULL */
    rpi_foreground *foreground; /* owned; NULL: it does not get the caller's terminal */
    rpi_list observers;         /* rpi_observer.node */
    rpi_process_screen *screen; /* one of them; NULL: none is kept */
    rpi_limiter *limiter;       /* likewise; NULL: it has no limits that need one */
    rpi_tree *tree;             /* owned; while a stop waits for more than the leader */
    rp_group *group;            /* borrowed; NULL: of none */
    rpi_list group_node;        /* the group's processes */
    uint64_t start_ticks;       /* in a group: when its child began, since the boot; 0: not known */
    uint64_t ended_ticks;       /* likewise: just before it was reaped; its number was its own */
    rpi_timer timer;            /* the earliest of its time-outs */
    uint64_t step_at_ns;        /* when the next step of a stop is due; RP_FOREVER */
    uint64_t
        active_at_ns; /* the last byte, or the end of a pause; later: the next look at the rest */
    uint64_t
        heard_at_ns; /* when we last began to listen to it again, after having kept it waiting */
    uint64_t seq;    /* events told */
    rpi_task task;   /* advance and free, at the end of the turn */
    bool *gone;      /* a waiting function's flag, set by the close; NULL */
    const rp_stop_options *ladder; /* of the stop under way; NULL = the settings' */
    rp_stop_options *own_ladder;   /* owned: what rp_stop was given; NULL */
    rp_exit exit;
};

static inline rpi_reactor *rpi_process_reactor(const rp_process *process)
{
    return &process->loop->reactor;
}

static inline rp_process *rpi_stream_process(rpi_stream *stream)
{
    return RPI_CONTAINER(stream - stream->index, rp_process, streams);
}

static inline rp_stream rpi_stream_name(const rpi_stream *stream)
{
    return stream->index == 0 ? RP_STDOUT : RP_STDERR;
}

/* ---- process_make.c ---- */

/** Frees a process that is DONE or never began, with no operation pending. */
void rpi_process_free(rp_process *process);

/** Closes the pidfd, on which no operation is pending. */
void rpi_process_close_pidfd(rp_process *process);

/* ---- process.c ---- */

/** Its task: goes on where something was put off, and frees what is closed and over. */
void rpi_process_task(rpi_task *task);

/** Looks whether the process can go on: reports ends of streams, then the end. Called out of the
 * loop whenever something ended. */
void rpi_process_advance(rp_process *process);

/** Asks for an advance (and, of a closed process, the free) by this turn's tasks: from functions
 * that must not call back. */
void rpi_process_advance_later(rp_process *process);

/** The spawner gave the launch back. */
void rpi_process_launched(rpi_launch *launch, void *user);

/** The launch is over before it began: done(RP_SPAWN_FAILED) with this error comes out of the loop.
 */
void rpi_process_fail(rp_process *process, int error, const char *phase);

/** In a forked child: frees the process, touches neither the child nor what the parent has under
 * way. */
void rpi_process_free_forked(rp_process *process);

/** The child was not seen to end in time: tells done all the same, with survivors. */
void rpi_process_give_up(rp_process *process, uint32_t survivors);

/* ---- stream.c ---- */

/** Begins to read from `fd` (owned by the stream from now on); -1: not piped. */
void rpi_stream_open(rpi_stream *stream, int fd);

/** Starts a read where one is wanted and possible. */
void rpi_stream_arm(rpi_stream *stream);

/** Reads no more until it is let go on: for an observer that cannot keep up. */
void rpi_stream_stall(rpi_stream *stream, bool stalled);

/** Hands unread bytes to the handlers, as far as they may have them. */
void rpi_stream_deliver(rpi_stream *stream);

/** The leader is gone: decides by the drain policy how much is still read. `hung_up`: nobody holds
 * the other end. */
void rpi_stream_after_exit(rpi_stream *stream, bool hung_up);

/** Reads no more and closes the descriptor; what was read still comes. */
void rpi_stream_shut(rpi_stream *stream);

/** What is in it now is the rest: for the end of a grace time. */
void rpi_stream_settle(rpi_stream *stream);

/** Nobody wants its bytes any more: they are dropped, its descriptor is closed as soon as the
 * kernel lets go. */
void rpi_stream_abandon(rpi_stream *stream);

/** Whether all bytes were handed out and the end may be told. */
bool rpi_stream_is_drained(const rpi_stream *stream);

/** Frees ring, lines, capture. No operation is pending. */
void rpi_stream_fini(rpi_stream *stream);

/** Gives the ring back where nobody needs it: empty, and the stream has ended or memory is short;
 * or the process is closed, and no callback of it is under way. Serves who waits for memory. */
void rpi_stream_release_ring(rpi_stream *stream);

/** Ring memory came free: the streams that wait for it go on. */
void rpi_streams_serve_waiting(rp_loop *loop);

static inline bool rpi_stream_is_over(const rpi_stream *stream)
{
    return stream->state == RPI_STREAM_NONE || stream->state >= RPI_STREAM_ENDED;
}

/* ---- writer.c ---- */

size_t rpi_writer_size(void); /* bytes of one */
void rpi_writer_init(rp_process *process, rpi_writer *writer);
void rpi_writer_open(rpi_writer *writer, int fd); /* owned from now on */
int rpi_writer_add(rpi_writer *writer,
                   rp_view bytes,
                   void (*written)(rp_process *, int, void *),
                   void *user);
/** rp_write, and with `submit` rp_submit, whose end is told too. */
int rpi_process_write(rp_process *process,
                      rp_view bytes,
                      bool submit,
                      void (*written)(rp_process *, int, void *),
                      void *user);
void rpi_writer_end(rpi_writer *writer); /* close after all that is queued */
bool rpi_writer_is_open(const rpi_writer *writer);
int rpi_writer_fd(const rpi_writer *writer); /* borrowed; -1: it is closed */
/** No more can be written: what is queued reports `status` out of the loop, the descriptor is
 * closed. */
void rpi_writer_fail(rpi_writer *writer, int status);
void rpi_writer_abandon(rpi_writer *writer); /* the same, silently */
void rpi_writer_forget_op(
    rpi_writer *writer); /* in a forked child: the operation is the parent's */
bool rpi_writer_is_idle(
    const rpi_writer *writer); /* nothing queued, no callback due, no operation pending */
void rpi_writer_fini(rpi_writer *writer);

/* ---- signal.c ---- */

/** To the whole tree. 0, also where nobody is left; or -errno: refused. */
int rpi_signal_tree(rp_process *process, int signal);
/** SIGINT: to the foreground of its terminal, else to the tree. Results as above. */
int rpi_signal_interrupt(rp_process *process);
/** SIGKILL to all that can be reached, at once; for close. */
void rpi_stop_kill_now(rp_process *process);

/* ---- send_*.c: of the system ---- */

/** Whether callers may send signals by number: 0, or RP_EUNSUPPORTED and a detail. */
int rpi_send_check(void);

/** A signal to the child, which is not reaped: 0; RP_ESRCH: it has ended; or -errno. */
int rpi_send_leader(rp_process *process, int signal);
/** To its process group, by number. Results as above; 0: at least one got it. */
int rpi_send_group(rp_process *process, int signal);

/** Whether anybody is in the process group of this number. */
bool rpi_send_group_exists(int64_t group);

/* ---- stop.c ---- */

/** Something other than a call sets out to stop the tree. */
void rpi_stop_for(rp_process *process,
                  rp_stop_reason reason,
                  const char *phase,
                  const rp_stop_options *options);
/** The tree has reached its limit of this name. */
void rpi_stop_for_limit(rp_process *process, const char *field);
/** Arms the process's timer for the earliest thing that is due. */
void rpi_stop_arm(rp_process *process);
void rpi_stop_timer(rpi_timer *timer);
/** Whether silence counts: not while a stream is open that we do not take from, for then we keep
 * the child waiting. One that the child has closed says nothing any more, and is silence. */
bool rpi_process_listens(const rp_process *process);
/** The leader has exited while a stop was under way: true when the rest of its group is still
 * awaited. */
bool rpi_stop_awaits_tree(rp_process *process);

/* ---- tree_linux.c ---- */

/** Looks at the group (or session) that the leader, reaped by now, has left: 0 and a tree whose
 * members' ends call rpi_process_advance, or 0 and NULL when the group is empty; -ENOMEM, -EMFILE,
 * -EACCES: it cannot be looked at. */
int rpi_tree_open(rp_process *process, rpi_tree **ret_tree);
/** Whether the group has any process, zombies too: at the price of two system calls; of a session:
 * whether anybody lives in it, at the price of a look through all processes. */
bool rpi_tree_exists(rp_process *process);
/** Sends to every member of a group of the session that `process` leads: 0; RP_ESRCH: there is
 * none; or -errno. */
int rpi_tree_signal_group(rp_process *process, int64_t group, int signal);
/** Whether nobody is left; looks again when all that were seen have ended. */
bool rpi_tree_is_empty(rpi_tree *tree);
/** Members that were alive at the last look. */
uint32_t rpi_tree_count(const rpi_tree *tree);
/** Sends to every member there is now. */
void rpi_tree_signal(rpi_tree *tree, int signal);
/** In a forked child: frees, and leaves its operations to the parent. */
void rpi_tree_free_forked(rpi_tree *tree);
/** Frees; false while operations are pending: they are cancelled and their ends call
 * rpi_process_advance_later. */
bool rpi_tree_close(rpi_tree *tree);

/* ---- reap_linux.c ---- */

/** rpi_reap: somebody else has reaped it, and the kernel still told its status. */
#define RPI_REAPED_BEFORE 1

/** Reads status and use of an exited child; `consume`: reaps it too. 0 or RPI_REAPED_BEFORE;
 * RP_EAGAIN it has not ended; RP_ELOST its status is known to nobody; another error of the system:
 * nothing is known. */
int rpi_reap(rp_loop *loop, int pidfd, bool consume, rp_exit *exit);

/* ---- pull.c ---- */

size_t rpi_pull_size(void);
void rpi_pull_init(rp_process *process, rpi_pull *pull);
void rpi_pull_fini(rp_process *process);
/** `size` bytes were read into the stream's ring. */
void rpi_pull_note(rpi_stream *stream, uint32_t size);
/** Something may be pulled now. */
void rpi_pull_ready(rp_process *process);
/** Whether a view into this stream's ring is out, so that a linear ring must not move. */
bool rpi_pull_holds(rpi_stream *stream);
/** What was pulled last is not looked at any more: its bytes go. */
void rpi_pull_let_go(rp_process *process);
/** Whether rp_wait was called: nobody will pull any more. */
bool rpi_pull_is_dropping(const rp_process *process);
/** Where the bytes begin that nobody has pulled: an offset in the stream. */
uint64_t rpi_pull_unread_at(rpi_stream *stream);
/** The unread bytes from this offset on, as far as they are in one piece: one or more. */
rp_view rpi_pull_peek(rpi_stream *stream, uint64_t at);
/** The read that brought the byte at this offset. */
rpi_mark rpi_pull_mark(rpi_stream *stream, uint64_t at);
/** Bytes before this offset count as pulled. */
void rpi_pull_skip(rpi_stream *stream, uint64_t at);

/* ---- chunks.c: the order of what is captured ---- */

size_t rpi_chunks_size(void);
void rpi_chunks_init(rpi_chunks *chunks);
void rpi_chunks_add(rp_process *process, rpi_stream *stream, uint32_t size);
void rpi_chunks_fini(rp_process *process);
/** The place in its stream of the `index`th piece: false: there is none. */
bool rpi_chunks_place(const rp_process *process, size_t index, rpi_chunk_place *ret_place);

#endif
