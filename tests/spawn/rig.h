/* What the spawn tests share: launches built by hand (the spawner is tested below rp_spawn), run
 * through a lane or a plan, and seen to their end. Asserts on whatever must not go wrong in itself.
 */
#ifndef RPI_TESTS_SPAWN_RIG_H
#define RPI_TESTS_SPAWN_RIG_H

#include <stdbool.h>
#include <stddef.h>

#include "core/launch.h"
#include "core/spawn.h"
#include "tests/support/check.h"

#define RIG_OUTPUT_MAX 65536
#define RIG_PROGRAM_MAX 8

/** A test that runs once with each way of making children, `*method`. */
#define METHOD_TEST(suite, name)                                                                   \
    ParameterizedTestParameters(suite, name)                                                       \
    {                                                                                              \
        return rig_methods();                                                                      \
    }                                                                                              \
    ParameterizedTest(rpi_spawn_method *method, suite, name, .timeout = 300)

struct criterion_test_params rig_methods(void);

/** The path of the child, report.c. */
extern const char rig_report[];

/** The path of the smallest child, tiny.c. */
extern const char rig_tiny[];

/** A launch and what it points to. Zero it, then rig_init. */
typedef struct rig_launch {
    rpi_launch launch;
    char *argv[16];
    const char *programs[RIG_PROGRAM_MAX + 1];
    rpi_launch_fd fds[300];
} rig_launch;

/** report.c with `mode` and its arguments up to a NULL; standard input from /dev/null, both outputs
 * by pipes, the test's own environment. */
void rig_init(rig_launch *rig, const char *mode, ...);

/** The same for any program. */
void rig_init_program(rig_launch *rig, const char *program, ...);

/** What came of a child. */
typedef struct rig_end {
    int status; /* of wait: exit code, or -signal; 1000: lost */
    size_t sizes[3];
    char text[3][RIG_OUTPUT_MAX + 1]; /* by stream; NUL-terminated */
} rig_end;

/** Carries the launch out on lane 0 of a new site, and sees the child to its end if there is one.
 */
void rig_run(rpi_spawn_method method, rig_launch *rig, rig_end *ret_end);

/** Reads the pipes to their ends, waits for the child, closes all that the launch brought. */
void rig_finish(rig_launch *rig, rig_end *ret_end);

/** The value of "NAME VALUE" in `text`, as printed by report.c, into a static buffer; or NULL. */
const char *rig_value(const char *text, const char *name);

/** Runs `body` in a forked child of the test, which may do to its descriptors what it likes: the
 * test's own must stay whole. Fails the test with the line where a RIG_CHECK failed. */
void rig_isolated(void (*body)(void));

/** For the body of rig_isolated and what it calls. */
#define RIG_CHECK(condition)                                                                       \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            rig_check_failed(#condition, __FILE__, __LINE__);                                      \
        }                                                                                          \
    } while (0)
_Noreturn void rig_check_failed(const char *condition, const char *file, int line);

/** How many descriptors are open in this process. */
int rig_count_fds(void);

/** Sets what this process does with a signal: SIG_IGN, SIG_DFL or a handler. */
void rig_handle(int number, void (*handler)(int));

/** Waits for the child `pid` as waitpid does, through interruptions. */
int rig_wait(int pid);

/** A file of `size` bytes that only a descriptor leads to, so that fstat tells it from others. */
int rig_tagged(long size);

const char *rig_method_name(rpi_spawn_method method);

#endif
