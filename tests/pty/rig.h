/* What the tests of children on terminals share: their command, typing, waiting for what is shown.
 */
#ifndef RPI_TESTS_PTY_RIG_H
#define RPI_TESTS_PTY_RIG_H

#include "tests/support/stage.h"

/** A command for a child on a terminal of 24 by 80. */
rp_command on_terminal(const char *const *argv);

/** Types a text. */
void type(const actor *self, const char *text);

/** Runs until the child's output holds `text`, before it is done. */
void await(stage *on, const actor *self, const char *text);

/** The text of `count` bytes that `flood FD count seed` writes; free it. */
char *noise_text(size_t count, uint64_t seed);

#endif
