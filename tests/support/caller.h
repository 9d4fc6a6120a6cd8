/* A caller at a terminal, for what concerns the caller's own: the test holds the master of a
 * pseudo-terminal, as a person at a window does; a "shell" leads the session on its slave; and the
 * caller, a process that uses the library, runs as its job, in the foreground or not.
 *
 *     test (master) -- shell (session leader) -- caller (scenario) -- children of the library
 *
 * The scenario asserts by CHECK, says how far it has come by caller_say, and ends by returning. */
#ifndef RPI_TESTS_SUPPORT_CALLER_H
#define RPI_TESTS_SUPPORT_CALLER_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/types.h>

typedef void caller_scenario(void *argument);

typedef struct caller {
    int master;
    int slave;
    int said;    /* what the scenario says */
    int control; /* closed: the shell goes */
    pid_t shell;
    pid_t pid;  /* of the caller */
    char *seen; /* what came out of the terminal; NUL-terminated */
    size_t seen_size;
    size_t seen_from; /* where the next caller_expect begins */
    char *lines;      /* what was said; begins with a newline */
    size_t lines_size;
} caller;

typedef enum caller_place {
    CALLER_FOREGROUND, /* a job that has the terminal */
    CALLER_BACKGROUND, /* a job that has not */
    CALLER_WITHOUT     /* in a session without a terminal */
} caller_place;

/** Starts all of it. The slave is 24 x 80, canonical, with echo. */
void caller_start(caller *self, caller_place place, caller_scenario *scenario, void *argument);

/** Waits until the scenario says this line. */
void caller_await(caller *self, const char *line);

/** Waits until the terminal shows this, behind what was waited for before. */
void caller_expect(caller *self, const char *text);

/** Types. */
void caller_type(caller *self, const char *keys);

/** Types so many bytes, reading what comes meanwhile. */
void caller_type_bytes(caller *self, const char *bytes, size_t size);

/** Closes the window. */
void caller_hang_up(caller *self);

/** Waits until the terminal is in raw mode, or in the mode of lines, as the master sees it. */
void caller_await_lines(caller *self, bool lines);

/** Sets that mode, as a shell does for itself. */
void caller_set_lines(caller *self, bool lines);

/** The window changes its size. */
void caller_resize(const caller *self, unsigned short rows, unsigned short cols);

/** The group that has the terminal; whether it echoes; both as the master sees it. */
int64_t caller_foreground(const caller *self);
bool caller_has_echo(const caller *self);

/** Waits until the caller's group (or the shell's) has the terminal, with echo and lines. */
void caller_await_restored(caller *self);

/** Waits for the caller, which must have returned from its scenario; looks at the terminal, which
 * must be as it was; frees. */
void caller_end(caller *self);

/** The same for one that was killed by `signal`. */
void caller_end_killed(caller *self, int signal);

/* ---- in the scenario ---- */

void caller_say(const char *line);
#define CHECK(condition) ((condition) ? (void)0 : caller_fail(#condition, __FILE__, __LINE__))
_Noreturn void caller_fail(const char *what, const char *file, int line);

#endif
