/* running-process: interactive launches. What a transport means for the terminal, without launching
 * anything, and the splitting of a command typed by a person. Conventions: rp/base.h. */
#ifndef RP_INTERACTIVE_H
#define RP_INTERACTIVE_H

#include "rp/base.h"
#include "rp/command.h"
#include "rp/process.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- what a transport means ------------------------------------------------- */

/** Who gets the Ctrl-C of the caller's terminal. */
typedef enum rp_owner {
    RP_OWNER_CHILD,  /* the child alone */
    RP_OWNER_SHARED, /* child and caller */
    RP_OWNER_PARENT  /* the caller alone */
} rp_owner;

/** What a launch by some transport does to the terminal. */
typedef struct rp_launch {
    size_t size;
    bool uses_pty;          /* the child has a pseudo-terminal of its own */
    bool restores_terminal; /* when the child is over the caller's terminal is as it was: put back,
                               or out of the child's reach all the time */
    rp_owner ctrl_c_owner;
    uint32_t creation_flags; /* Windows: of CreateProcess; elsewhere 0 */
} rp_launch;

/** Tells what `transport` means; launches nothing. Set ret_launch->size before.
 *
 *     transport              uses_pty  restores_terminal  ctrl_c_owner
 *     RP_PIPES               no        no                 the caller
 *     RP_PTY                 yes       yes                the child
 *     RP_CONSOLE_SHARED      no        no                 both
 *     RP_CONSOLE_ISOLATED    no        yes                the caller
 *     RP_CONSOLE_FOREGROUND  no        yes                the child
 *
 * 0; RP_EINVAL: no such transport, or no size. [any thread] */
RP_API int rp_launch_spec(rp_transport transport, rp_launch *ret_launch);

/* ---- the relay -------------------------------------------------------------- */

typedef struct rp_relay rp_relay;

typedef struct rp_relay_options {
    size_t size;
    bool keep_interrupt; /* Ctrl-C stays the caller's (a SIGINT to its group), and is not sent on */
    bool no_output;      /* input only: the caller shows the output itself. The terminal is restored
                            after the child's eos was told, which rp_pause can put off */
    const char *detach_key; /* bytes that end the relay, 1 to 32; NULL = none */
} rp_relay_options;
#define RP_RELAY_OPTIONS_INIT RP_INIT(rp_relay_options)

/** Gives the caller's terminal (standard input) to a child that runs by RP_PTY: raw mode; what is
 * typed is sent to the child as it comes, a paste in one write, what holds a CR or LF as by
 * rp_submit; what the child writes goes to standard output; the child's terminal gets the size of
 * the caller's, now and when it changes. `options` and `ret_relay` may be NULL.
 *
 * The terminal is put back as it was when the relay ends, for whatever reason: detach_key, close,
 * the child's end, the close of process or loop, and also when this process is killed: a guard, a
 * small process made for that, then does it. While another process has stopped this one, the
 * terminal is the shell's to care for; the relay goes on in raw mode when this process is in the
 * foreground again. In the background it reads nothing.
 *
 * No signal handler is installed: the size is looked at with each input and five times a second.
 * Standard output that takes bytes slowly slows the child, never the loop; its flags are not
 * changed. `done` waits until it has all. Handlers, captures and expects see the same bytes. In
 * pull mode the output must be pulled, too.
 *
 * The beginning of a detach_key waits for the rest of it. What is typed behind it in the same
 * moment is dropped. A line that is too long for the child's terminal (RP_EMSGSIZE of rp_write)
 * rings the bell and is not sent. The host's page tables are copied once, for the guard.
 *
 * `ended` is called once, out of the loop, before done: 0 = the detach key was typed; RP_EOS = the
 * child has ended, or the caller's terminal hung up; RP_EPIPE, ... = standard output or the
 * terminal failed. NULL is allowed. It may close the relay.
 *
 * 0; RP_EINVAL: no RP_PTY, standard input is not a terminal, an impossible detach_key; RP_EBUSY: a
 * relay or a foreground child (RP_CONSOLE_FOREGROUND) of this process has the terminal, or this
 * process is in its background; RP_EPIPE: the child has ended; RP_E2BIG; -EBADF: standard output is
 * closed; RP_ENOMEM, RP_EMFILE; RP_EPERM: a forked child. */
RP_API int rp_relay_start(rp_process *process,
                          const rp_relay_options *options,
                          void (*ended)(rp_process *process, int status, void *user),
                          void *user,
                          rp_relay **ret_relay);

/** Ends it, silently, and frees it. That of a closed process is over and must still be closed, or
 * is with the loop; without a ret_relay it is closed with its process. NULL is allowed. */
RP_API void rp_relay_close(rp_relay *relay);

/* ---- a typed command ---------------------------------------------------------- */

/** Splits a command as a person types it into the words of an argv, without a shell: words end at
 * blanks, tabs and line ends. Quotes, '...' and "...", count only at the beginning of a word; there
 * the closing quote ends the word, and both quotes are taken off. Everything else stands for
 * itself: backslash, '#', '$', '*', and quotes inside a word.
 *
 *     x 'a b' "c d"    x | a b | c d            a\ b       a\ | b
 *     a"b c"d          a"b | c"d                it's ok    it's | ok
 *     "b c"d e         b c | d | e              ""         one empty word
 *     --opt="v w" z    --opt="v | w" | z
 *
 * A text without a word gives an argv without one, which rp_spawn refuses. The result is one block:
 * the pointers, NULL at their end, and the words behind them; yours until rp_free(*ret_argv).
 * 0; RP_EINVAL: no text, or a quotation without its end ("no closing quotation", with its place, in
 * rp_error_detail); RP_ENOMEM. [any thread] */
RP_API int rp_command_line(const char *text, char ***ret_argv);

#ifdef __cplusplus
}
#endif
#endif
