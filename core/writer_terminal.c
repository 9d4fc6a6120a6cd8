/* Typing: writing to the master of a pseudo-terminal. Never by an operation, which might block a
 * thread of the kernel's: the writer writes by itself, without waiting, and waits only until the
 * terminal takes bytes again.
 *
 * A terminal that edits lines loses what is typed beyond its longest line. So each request is
 * looked at when its turn comes, with the modes of that moment: one that would make a line too long
 * is refused as a whole and not typed. And an end of file is there a key, which ends the begun line
 * first where there is one. In raw mode every byte goes through, and no key ends anything.
 *
 * Called by writer.c only. */
#include "core/writer.h"

#include <errno.h>

#include "base/os.h"
#include "base/status.h"
#include "core/loop.h"
#include "pty/pty.h"

enum {
    SHARE_MAX = 64 * 1024, /* bytes for one terminal in a turn */
    TRIES_MAX = 100        /* writes that a signal handler interrupts in a row */
};

/* ---- lines ---------------------------------------------------------------------- */

/* What a byte does to the line that is edited. */
typedef enum effect {
    EFFECT_GROWS,
    EFFECT_NOTHING,
    EFFECT_CLEARS, /* ends it, or lets it go */
    EFFECT_QUOTES  /* the next byte has no effect but to be there */
} effect;

/* A key that is not set is 0, and so is the byte that nobody types. */
static bool is_key(unsigned char byte, unsigned char key)
{
    return byte == key && key != 0;
}

static effect effect_of(const rpi_pty_modes *modes, unsigned char byte)
{
    if (byte == '\r') {
        if (modes->ignores_cr) {
            return EFFECT_NOTHING;
        }
        byte = modes->cr_to_nl ? '\n' : '\r';
    } else if (byte == '\n' && modes->nl_to_cr) {
        byte = '\r';
    }
    if (modes->signals && (is_key(byte, modes->interrupt) || is_key(byte, modes->quit) ||
                           is_key(byte, modes->suspend))) {
        return modes->flushes ? EFFECT_CLEARS : EFFECT_NOTHING;
    }
    if (byte == '\n' || is_key(byte, modes->end_of_file) || is_key(byte, modes->end_of_line) ||
        is_key(byte, modes->end_of_line_2) || is_key(byte, modes->kill)) {
        return EFFECT_CLEARS;
    }
    return is_key(byte, modes->quote) ? EFFECT_QUOTES : EFFECT_GROWS;
}

/* Whether no line becomes too long when these bytes are typed after `*begun`, which becomes the
 * length of the line that is begun then. Erasing is not counted: it could only make room. */
static bool fits(const rpi_pty_modes *modes, const rpi_write_request *request, size_t *begun)
{
    size_t length = *begun;
    bool quoted = false;

    for (size_t i = 0; i < request->size; i++) {
        effect now = quoted ? EFFECT_GROWS : effect_of(modes, (unsigned char)request->bytes[i]);

        quoted = now == EFFECT_QUOTES;
        if (now == EFFECT_CLEARS) {
            length = 0;
        } else if (now == EFFECT_GROWS && ++length > RPI_PTY_LINE_MAX) {
            return false;
        }
    }
    *begun = length;
    return true;
}

/* Whether the first request may be typed. */
static bool admit(rpi_writer *writer, const rpi_write_request *first)
{
    rpi_typing *typing = &writer->typing;
    rpi_pty_modes modes;

    writer->process->loop->kernel_calls++;
    if (rpi_pty_get_modes((int)writer->io.handle, &modes) < 0 || !modes.canonical) {
        typing->begun = 0; /* where it cannot be asked the write says why */
        return true;
    }
    return fits(&modes, first, &typing->begun);
}

/* ---- writing -------------------------------------------------------------------- */

/* One write: bytes or -errno; -EAGAIN: the terminal is full. */
static int write_once(rpi_writer *writer, const void *bytes, size_t size)
{
    const uint32_t share = size < INT32_MAX ? (uint32_t)size : INT32_MAX;
    int n;
    int tries = 0;

    do {
        writer->process->loop->kernel_calls++;
        n = rpi_os_write_now((int)writer->io.handle, bytes, share); /* raises no SIGPIPE there */
    } while (n == -EINTR && ++tries < TRIES_MAX);
    return n == 0 || n == -EINTR ? -EAGAIN : n;
}

static void wait_for_room(rpi_writer *writer)
{
    int r;

    writer->op.kind = RPI_OP_POLL;
    writer->op.size = RP_WRITABLE;
    r = rpi_op_start(&writer->process->loop->reactor, &writer->op);
    if (r < 0) {
        rpi_writer_fail(writer, r);
    }
}

static void fail(rpi_writer *writer, int error)
{
    rpi_writer_fail(writer, error == -EIO ? RP_EPIPE : error); /* EIO: nobody is there any more */
}

/* Types the queue: true when it is empty; false: there is no room, or the writer failed. */
static bool type_queue(rpi_writer *writer)
{
    size_t share = SHARE_MAX;

    while (!rpi_list_is_empty(&writer->queue)) {
        rpi_write_request *first = rpi_writer_first(writer);
        size_t size = first->size - first->sent;
        ssize_t n;

        if (!writer->typing.admitted && !admit(writer, first)) {
            rpi_writer_finish(writer, first, RP_EMSGSIZE);
            continue;
        }
        writer->typing.admitted = true;
        if (share == 0) {
            wait_for_room(writer); /* there may be some: others come first */
            return false;
        }
        size = size < share ? size : share;
        n = size == 0 ? 0 : write_once(writer, first->bytes + first->sent, size);
        if (n == -EAGAIN) {
            wait_for_room(writer);
            return false;
        }
        if (n < 0) {
            fail(writer, (int)n);
            return false;
        }
        share -= (size_t)n;
        writer->typing.admitted = first->sent + (size_t)n < first->size;
        rpi_writer_sent(writer, (size_t)n);
    }
    return true;
}

/* ---- the end of file ------------------------------------------------------------- */

/* What is to be typed for it. */
static void begin_end(rpi_writer *writer)
{
    rpi_typing *typing = &writer->typing;
    rpi_pty_modes modes;

    typing->ending = true;
    writer->process->loop->kernel_calls++;
    if (rpi_pty_get_modes((int)writer->io.handle, &modes) < 0) {
        return;
    }
    if (!modes.canonical || modes.end_of_file == 0) {
        rpi_loop_log(writer->process->loop, 1,
                     "the terminal of child %lld has no key for the end of file now",
                     (long long)writer->process->pid);
        return;
    }
    typing->key = modes.end_of_file;
    typing->keys = typing->begun > 0 ? 2 : 1; /* the first one ends the line that was begun */
}

static void type_end(rpi_writer *writer)
{
    rpi_typing *typing = &writer->typing;
    const unsigned char keys[2] = {typing->key, typing->key};
    ssize_t n = 0;

    while (typing->keys > 0) {
        n = write_once(writer, keys, typing->keys);
        if (n < 0) {
            break;
        }
        typing->keys = (unsigned char)(typing->keys - n);
    }
    if (n == -EAGAIN) {
        wait_for_room(writer);
    } else if (n < 0) {
        fail(writer, (int)n);
    } else {
        rpi_writer_close(writer);
    }
}

void rpi_writer_terminal_go_on(rpi_writer *writer)
{
    if (!type_queue(writer) || !writer->ending) {
        return;
    }
    if (!writer->typing.ending) {
        begin_end(writer);
    }
    type_end(writer);
}

int rpi_writer_terminal_can_end(rpi_writer *writer)
{
    rpi_pty_modes modes;

    if (!writer->open || writer->ending || !rpi_list_is_empty(&writer->queue) ||
        rpi_pty_get_modes((int)writer->io.handle, &modes) < 0 ||
        (modes.canonical && modes.end_of_file != 0)) {
        return 0;
    }
    return rpi_detail(RP_EUNSUPPORTED, "the terminal is in raw mode: no key ends its input");
}
