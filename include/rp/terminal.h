/* running-process: the terminal of a child that was spawned with RP_PTY: its size, and how it
 * treats what is typed. What the child writes there comes as RP_STDOUT, byte for byte; what is
 * written to it by rp_write is typed.
 *
 * Line ends: a terminal turns each "\n" of its child's output into "\r\n" unless the child says
 * otherwise, echoes what is typed while it echoes, and takes "\r" as the return key. While it edits
 * lines (canonical mode) a line has at most 4,095 bytes on Linux: an rp_write with a longer one
 * reports RP_EMSGSIZE and none of it is typed.
 *
 * The functions belong to the loop's thread. Conventions: rp/base.h. */
#ifndef RP_TERMINAL_H
#define RP_TERMINAL_H

#include "rp/base.h"
#include "rp/process.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Changes the size: its foreground group gets SIGWINCH where it is another one. Before started the
 * child finds it so when it begins. 0; RP_EINVAL: a zero size, one too large for
 * rp_command.screen, or no RP_PTY; RP_ESRCH: the child's
 * terminal is closed; RP_EPERM: a forked child. */
RP_API int rp_pty_resize(rp_process *process, uint16_t rows, uint16_t cols);

/** How a terminal is now. */
typedef struct rp_pty_mode {
    size_t size;
    bool echo;      /* shows what is typed; false: most likely a password is asked for */
    bool canonical; /* edits lines: the child gets them whole; false: every byte as it comes */
    uint16_t rows, cols;
    int64_t foreground_pgid; /* the process group that reads it; 0 = none */
} rp_pty_mode;

/** Set the size before. 0; RP_EINVAL: no size, or no RP_PTY; RP_EAGAIN: before started; RP_ESRCH:
 * the child's terminal is closed; RP_EPERM: a forked child. */
RP_API int rp_pty_get_mode(rp_process *process, rp_pty_mode *ret_mode);

/** What a person would see: with rp_command.screen. */
typedef struct rp_screen {
    size_t size;
    rp_view text;  /* UTF-8: the rows from the top, blanks at their ends cut, each with "\n" behind
                      it.  Until the loop runs next, or the screen is resized or asked again */
    rp_view title; /* UTF-8, as the child set it, 1,024 bytes at most; likewise */
    uint16_t rows, cols;
    uint16_t cursor_row, cursor_col; /* from 0 */
    bool cursor_visible;
    bool alternate; /* the screen that full-screen programs use, without history */
} rp_screen;

/** Set the size before. The emulator does what is shown, and answers nothing: a child that asks its
 * terminal what it is hears nothing, as without a screen. 0, also after the end: the last that was
 * to be seen; RP_EINVAL: no size, or a child without rp_command.screen; RP_ENOMEM: there was none
 * for what the child wrote, and the screen is lost; RP_EPERM: a forked child. */
RP_API int rp_pty_screen(rp_process *process, rp_screen *ret_screen);

/** [runs] Waits until the screen has settled: the same text for `span_ns`, counted from this
 * call at the earliest, whatever was painted over itself meanwhile; or the child and its output
 * have come to their end. Set ret_screen->size before. 0: see ret_screen; RP_ETIMEDOUT: not within
 * `timeout_ns`, and ret_screen is how it is now; RP_ENOBUFS: in pull mode the ring is full, so that
 * the child waits for us: pull it; RP_ECANCELED: closed meanwhile, or rp_loop_stop; RP_EDEADLK:
 * from inside a callback; RP_EINTR: see rp_loop_options; errors of rp_pty_screen; else the loop's.
 */
RP_API int rp_pty_wait_settled(rp_process *process,
                               uint64_t span_ns,
                               uint64_t timeout_ns,
                               rp_screen *ret_screen);

#ifdef __cplusplus
}
#endif
#endif
