/* Pseudo-terminals, as a pair of descriptors: the master, which is ours, and the slave, which a
 * child gets for its terminal. Everything is asked of the master, which answers for its slave, so
 * that nothing depends on a path, and on who holds what there. Called by the spawners (open) and by
 * the loop's thread (the rest); no state is kept here. */
#ifndef RPI_PTY_PTY_H
#define RPI_PTY_PTY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RPI_PTY_ROWS_DEFAULT 24
#define RPI_PTY_COLS_DEFAULT 80

/** The longest line that a terminal takes while it edits lines (canonical mode), bytes before its
 * end: what is longer is lost. */
#define RPI_PTY_LINE_MAX 4095

typedef struct rpi_pty_pair {
    int master; /* close-on-exec, O_NONBLOCK */
    int slave;  /* close-on-exec, blocking: a child's */
} rpi_pty_pair;

/** What the slave does with what is written to its master. */
typedef struct rpi_pty_modes {
    bool canonical; /* lines are edited, and passed on when they end */
    bool echo;
    bool signals;    /* its characters for signals send them, */
    bool flushes;    /* and let go of what was typed before */
    bool cr_to_nl;   /* of the input; as stty icrnl */
    bool ignores_cr; /* igncr */
    bool nl_to_cr;   /* inlcr */
    unsigned char end_of_file;
    unsigned char end_of_line, end_of_line_2; /* further ends of a line; 0: none */
    unsigned char kill;                       /* lets the begun line go */
    unsigned char quote;                      /* takes the meaning of the next one; 0: none */
    unsigned char interrupt, quit, suspend;
} rpi_pty_modes;

/** A new pseudo-terminal of that size, which is nobody's controlling terminal. 0 or -errno:
 * -EMFILE, -ENFILE, -ENOSPC (no pseudo-terminal is left), -ENXIO, -ENOENT, ... */
int rpi_pty_open(uint16_t rows, uint16_t cols, rpi_pty_pair *ret_pair);

/** Whether there are pseudo-terminals here. */
bool rpi_pty_is_available(void);

/** Its foreground group gets SIGWINCH where that changes anything. 0 or -errno. */
int rpi_pty_set_size(int master, uint16_t rows, uint16_t cols);
int rpi_pty_get_size(int master, uint16_t *ret_rows, uint16_t *ret_cols);

int rpi_pty_get_modes(int master, rpi_pty_modes *ret_modes);

/** The group that has the terminal; 0: none; or -errno. */
int64_t rpi_pty_foreground(int master);

/** The slave's number as a device, as stat tells it (st_rdev). 0 or -errno. */
int rpi_pty_device(int master, uint64_t *ret_device);

/** Sends one of the keyboard's signals to the group that has the terminal, in one step, so that it
 * cannot be another group by then. 0; RP_ESRCH: nobody has it; RP_EUNSUPPORTED: the system does not
 * do so for this signal; or -errno. */
int rpi_pty_signal_foreground(int master, int signal);

/** A pseudo-console, which is what Windows has: it reads and writes the child's side of two pipes,
 * which stay the caller's. 0 or an error; RP_EUNSUPPORTED elsewhere. */
int rpi_pty_console_open(uint16_t rows, uint16_t cols, int input, int output, void **ret_console);
/** 0; RP_EUNSUPPORTED; another error of the system. */
int rpi_pty_console_resize(void *console, uint16_t rows, uint16_t cols);
/** Ends whoever is on it, writes out what it holds, and frees it: by a thread of its own, as it
 * waits until that was read. */
void rpi_pty_console_close(void *console);

#endif
