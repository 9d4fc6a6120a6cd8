/* Between the files that write what a child reads: writer.c (the queue, and pipes) and
 * writer_terminal.c (the master of a pseudo-terminal). */
#ifndef RPI_CORE_WRITER_H
#define RPI_CORE_WRITER_H

#include "core/process.h"

typedef struct rpi_write_request {
    rpi_list node;
    void (*written)(rp_process *, int, void *);
    void *user;
    size_t size;
    size_t sent;
    int status;
    char bytes[];
} rpi_write_request;

/* What a terminal's writer knows beside the queue. */
typedef struct rpi_typing {
    size_t begun;       /* bytes of the line that was begun and not ended */
    bool admitted;      /* the first request was looked at: it may be typed */
    unsigned char key;  /* of the end of file */
    unsigned char keys; /* how often it is still to be typed */
    bool ending;        /* key and keys are known */
} rpi_typing;

struct rpi_writer {
    rp_process *process; /* borrowed */
    rpi_io io;
    rpi_op op;
    rpi_list queue;    /* rpi_write_request.node: to be written */
    rpi_list finished; /* rpi_write_request.node: to be reported by the task */
    rpi_task task;
    size_t unwritten; /* bytes in the queue */
    int status;       /* 0, or why nothing can be written any more */
    bool open;        /* io holds a descriptor that we own */
    bool ending;      /* closed after the queue */
    bool silent;      /* the process is closed: nothing is reported */
    rpi_typing typing;
};

/* ---- writer.c ---- */

static inline rpi_write_request *rpi_writer_first(rpi_writer *writer)
{
    return RPI_CONTAINER(writer->queue.next, rpi_write_request, node);
}

/** The first request of the queue is over: it will be reported, if anybody asked. */
void rpi_writer_finish(rpi_writer *writer, rpi_write_request *first, int status);

/** `size` more bytes of the first request are with the system; finishes it where those are all. */
void rpi_writer_sent(rpi_writer *writer, size_t size);

/** The queue is empty and an end was asked for: closes. The operation is idle. */
void rpi_writer_close(rpi_writer *writer);

/* ---- writer_terminal.c ---- */

/** Types what it can of the queue, and then the end where it was asked for. The operation is idle,
 * the descriptor open. */
void rpi_writer_terminal_go_on(rpi_writer *writer);

/** Whether there is a way to end the input now, as far as that can be told: 0, or RP_EUNSUPPORTED.
 */
int rpi_writer_terminal_can_end(rpi_writer *writer);

#endif
