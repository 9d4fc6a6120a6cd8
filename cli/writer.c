/* The writer's thread and queue; the writing itself is the system's (writer_<system>.c).
 *
 * Why a thread. The supervisor's output descriptors are shared with whoever started it, so it must
 * not make them non-blocking: the flag belongs to the open file, and a shell or a sibling would
 * meet EAGAIN. Asking poll(2) first and writing at most PIPE_BUF bytes does not do: another writer
 * of the same pipe may take the room in between, a terminal is writable and still blocks in the
 * middle of a line, a file on a stalled server always says yes. A thread that may block is right
 * for each of these, and a descriptor that happens to be non-blocking costs it one poll.
 *
 * How. Two buffers: the loop fills one, the thread writes the other out, and takes the full one
 * when it is done. In them stand records, a head and its bytes, since one writer may serve two
 * channels (stdout and stderr of one terminal) whose order counts. At most two times FULL_SIZE and
 * a chunk each are queued as long as the caller heeds rpi_cli_writer_is_full.
 *
 * Called by supervisor.c. */
#include "cli/writer.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "cli/buffer.h"
#include "cli/signals.h"

enum {
    FULL_SIZE = 64 * 1024 /* bytes */
};

/* Stands before its bytes in a buffer, unaligned: copied in and out. */
typedef struct record {
    rpi_cli_channel *channel;
    size_t size;
} record;

struct rpi_cli_writer {
    int wake_fd; /* borrowed */
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t filled;

    /* Under the mutex. */
    rpi_cli_buffer queue;
    size_t last_record; /* where the last record of the queue begins */
    bool writing;       /* the thread has a batch */
    bool asked;         /* the caller met "full" or "busy" and waits for news */
    bool ending;

    rpi_cli_buffer batch; /* the thread's */
};

// ---- the thread --------------------------------------------------------------

/* Called with the mutex held. */
static void tell_if_asked(rpi_cli_writer *writer)
{
    if (writer->asked) {
        writer->asked = false;
        rpi_cli_signals_tell(writer->wake_fd);
    }
}

static void end_channel(rpi_cli_writer *writer, rpi_cli_channel *channel, int error)
{
    (void)pthread_mutex_lock(&writer->mutex); /* a plain mutex, used properly, cannot fail */
    channel->error = error;
    (void)pthread_mutex_unlock(&writer->mutex);
    rpi_cli_signals_tell(writer->wake_fd);
}

static void write_batch(rpi_cli_writer *writer)
{
    size_t offset = 0;

    while (offset < writer->batch.size) {
        record head;
        int r;

        memcpy(&head, writer->batch.data + offset, sizeof head);
        offset += sizeof head;
        /* Only this thread sets the error, so it may read it without the mutex. */
        if (head.channel->error == 0) {
            r = rpi_cli_writer_write(head.channel->fd, writer->batch.data + offset, head.size);
            if (r < 0) {
                end_channel(writer, head.channel, r);
            }
        }
        offset += head.size;
    }
    rpi_cli_buffer_clear(&writer->batch);
}

/* Takes the queue over as the next batch; false: there is none and never will be. */
static bool take_batch(rpi_cli_writer *writer)
{
    rpi_cli_buffer empty = writer->batch;
    bool more;

    (void)pthread_mutex_lock(&writer->mutex);
    writer->writing = false;
    if (writer->queue.size == 0) {
        tell_if_asked(writer);
    }
    while (writer->queue.size == 0 && !writer->ending) {
        (void)pthread_cond_wait(&writer->filled, &writer->mutex);
    }
    more = writer->queue.size > 0;
    if (more) {
        writer->batch = writer->queue;
        writer->queue = empty;
        writer->last_record = 0;
        writer->writing = true;
        tell_if_asked(writer); /* there is room again */
    }
    (void)pthread_mutex_unlock(&writer->mutex);
    return more;
}

static void *run(void *argument)
{
    rpi_cli_writer *writer = argument;

    while (take_batch(writer)) {
        write_batch(writer);
    }
    return NULL;
}

// ---- the caller's side -------------------------------------------------------

int rpi_cli_writer_open(int wake_fd, rpi_cli_writer **ret_writer)
{
    int r = -ENOMEM;
    rpi_cli_writer *writer = calloc(1, sizeof *writer);

    if (writer == NULL) {
        return r;
    }
    writer->wake_fd = wake_fd;
    r = -pthread_mutex_init(&writer->mutex, NULL);
    if (r < 0) {
        goto fail_writer;
    }
    r = -pthread_cond_init(&writer->filled, NULL);
    if (r < 0) {
        goto fail_mutex;
    }
    rpi_cli_signals_block(true); /* the handlers are the main thread's */
    r = -pthread_create(&writer->thread, NULL, run, writer);
    rpi_cli_signals_block(false);
    if (r < 0) {
        goto fail_cond;
    }
    *ret_writer = writer;
    return 0;

fail_cond:
    (void)pthread_cond_destroy(&writer->filled); /* nobody waits on it */
fail_mutex:
    (void)pthread_mutex_destroy(&writer->mutex);
fail_writer:
    free(writer);
    return r;
}

/* The last record, when it is of the same channel and can simply be made longer. */
static bool extend_record(rpi_cli_writer *writer, rpi_cli_channel *channel, size_t size)
{
    record head;

    if (writer->queue.size == 0) {
        return false;
    }
    memcpy(&head, writer->queue.data + writer->last_record, sizeof head);
    if (head.channel != channel) {
        return false;
    }
    head.size += size;
    memcpy(writer->queue.data + writer->last_record, &head, sizeof head);
    return true;
}

int rpi_cli_writer_put(rpi_cli_writer *writer,
                       rpi_cli_channel *channel,
                       const void *bytes,
                       size_t size)
{
    int r = 0;

    if (size == 0) {
        return 0;
    }
    (void)pthread_mutex_lock(&writer->mutex);
    if (channel->error == 0) {
        if (rpi_cli_buffer_reserve(&writer->queue, sizeof(record) + size) == NULL) {
            r = -ENOMEM;
        } else {
            if (!extend_record(writer, channel, size)) {
                record head = {.channel = channel, .size = size};

                writer->last_record = writer->queue.size;
                rpi_cli_buffer_add(&writer->queue, &head, sizeof head);
            }
            rpi_cli_buffer_add(&writer->queue, bytes, size);
            (void)pthread_cond_signal(&writer->filled); /* cannot fail */
        }
    }
    (void)pthread_mutex_unlock(&writer->mutex);
    return r;
}

bool rpi_cli_writer_is_full(rpi_cli_writer *writer)
{
    bool full;

    (void)pthread_mutex_lock(&writer->mutex);
    full = writer->queue.size >= FULL_SIZE;
    writer->asked = writer->asked || full;
    (void)pthread_mutex_unlock(&writer->mutex);
    return full;
}

bool rpi_cli_writer_is_busy(rpi_cli_writer *writer)
{
    bool busy;

    (void)pthread_mutex_lock(&writer->mutex);
    busy = writer->writing || writer->queue.size > 0;
    writer->asked = writer->asked || busy;
    (void)pthread_mutex_unlock(&writer->mutex);
    return busy;
}

int rpi_cli_writer_error(rpi_cli_writer *writer, const rpi_cli_channel *channel)
{
    int error;

    (void)pthread_mutex_lock(&writer->mutex);
    error = channel->error;
    (void)pthread_mutex_unlock(&writer->mutex);
    return error;
}

void rpi_cli_writer_close(rpi_cli_writer *writer)
{
    if (writer == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&writer->mutex);
    writer->ending = true;
    (void)pthread_cond_signal(&writer->filled);
    (void)pthread_mutex_unlock(&writer->mutex);
    (void)pthread_join(writer->thread, NULL); /* it is ours and joinable */
    (void)pthread_cond_destroy(&writer->filled);
    (void)pthread_mutex_destroy(&writer->mutex);
    rpi_cli_buffer_fini(&writer->queue);
    rpi_cli_buffer_fini(&writer->batch);
    free(writer);
}
