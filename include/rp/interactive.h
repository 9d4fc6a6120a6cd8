/* running-process: interactive launches. What a transport means for the terminal, without launching
 * anything, and the splitting of a command typed by a person. Conventions: rp/base.h. */
#ifndef RP_INTERACTIVE_H
#define RP_INTERACTIVE_H

#include "rp/base.h"
#include "rp/command.h"

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
