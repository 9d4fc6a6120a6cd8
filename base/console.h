/* The caller's own terminal: its modes, its size, and which process group has it. For what hands it
 * over (core/foreground.c) and what relays its input (core/relay.c).
 *
 * A process in the background that changes a terminal is stopped by SIGTTOU, and one that reads it
 * by SIGTTIN. Here those signals are blocked in the calling thread around each such call: changes
 * are then carried out, reads fail, and the host is never stopped. */
#ifndef RPI_BASE_CONSOLE_H
#define RPI_BASE_CONSOLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** The settings of a terminal, as the system has them. */
typedef struct rpi_console_modes {
    uint64_t words[8];
} rpi_console_modes;

typedef struct rpi_console_size {
    uint16_t rows, cols, pixel_width, pixel_height;
} rpi_console_size;

/** A descriptor of our own for the controlling terminal, close-on-exec and above 2: neither its
 * position nor its flags (O_NONBLOCK) are shared with anybody. -ENXIO: there is no such terminal;
 * -EMFILE, -EACCES, .... */
int rpi_console_open(void);

/** The same for the terminal that `fd` is; -ENOTTY: it is none. */
int rpi_console_open_again(int fd);

/** How standard output can be written to. */
typedef enum rpi_console_output {
    RPI_CONSOLE_OUTPUT_TERMINAL, /* a terminal: non-blocking */
    RPI_CONSOLE_OUTPUT_FREE,     /* something else, non-blocking */
    RPI_CONSOLE_OUTPUT_SHARED    /* the caller's own open file, whose flags are not ours to change:
                                    a small write when poll says that it is writable */
} rpi_console_output;

/** A descriptor of our own for standard output, close-on-exec and above 2; -EBADF: it is closed. */
int rpi_console_open_output(rpi_console_output *ret_output);

/** All: 0 (or the value) or -errno. */
int rpi_console_get_modes(int fd, rpi_console_modes *ret_modes);
int rpi_console_set_modes(int fd, const rpi_console_modes *modes);
int rpi_console_get_size(int fd, rpi_console_size *ret_size);
/** The foreground process group. */
int64_t rpi_console_get_group(int fd);
int rpi_console_set_group(int fd, int64_t group);
/** Bytes read; 0: hung up; -EAGAIN: none now; -EIO in the background, or hung up. */
int64_t rpi_console_read(int fd, char *bytes, size_t size);
int64_t rpi_console_write(int fd, const char *bytes, size_t size);

/** Every key as it is typed, no echo, output untouched. `keep_interrupt`:
 * the interrupt key still makes a SIGINT, and is not read. */
void rpi_console_make_raw(rpi_console_modes *modes, bool keep_interrupt);
bool rpi_console_modes_are_equal(const rpi_console_modes *a, const rpi_console_modes *b);

/** This process's group, and that of its parent: a shell's, if one started it. */
int64_t rpi_console_own_group(void);
int64_t rpi_console_outer_group(void);
/** Whether any process is in `group`. */
bool rpi_console_group_exists(int64_t group);

/** Claims the terminal for one foreground child or one relay: false where this process has given it
 * to another one. [any thread] */
bool rpi_console_claim(void);
void rpi_console_release(void);

/* ---- the guard -------------------------------------------------------------- */

/** A small process that puts the terminal back if this one dies without having done so: by a crash,
 * by SIGKILL. It is a copy of the host as fork makes one, with every signal blocked, in a group of
 * its own, that waits for the end of a socket; no SIGCHLD tells of it and no wait for any child
 * collects it. Where somebody else has taken the terminal meanwhile (the shell, once it sees that
 * its job is gone), the guard leaves it alone. */
typedef struct rpi_console_guard {
    int pid;  /* 0: none */
    int line; /* our end of a socket pair */
} rpi_console_guard;

/** What the guard puts back. */
typedef struct rpi_console_state {
    rpi_console_modes modes;
    int64_t group;       /* the caller's own; 0: nobody has this terminal, only modes count */
    int64_t outer_group; /* of the shell: what that has taken stays with it */
} rpi_console_state;

/** 0 or -errno. */
int rpi_console_guard_open(rpi_console_guard *guard, int fd, const rpi_console_state *state);
/** From now on it takes the terminal from this group, and from no other one that lives. */
void rpi_console_guard_tell(rpi_console_guard *guard, int64_t child_group);
/** The terminal is as it should be: the guard goes without touching it. Nothing where there is
 * none. */
void rpi_console_guard_close(rpi_console_guard *guard);
/** In a forked child: the guard is the parent's; only our copy of the line is closed. */
void rpi_console_guard_forget(rpi_console_guard *guard);

#endif
