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
 * child finds it so when it begins. 0; RP_EINVAL: a zero size, or no RP_PTY; RP_ESRCH: the child's
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

#ifdef __cplusplus
}
#endif
#endif
