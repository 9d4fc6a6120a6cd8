/* The stage of the core's tests: a loop on a given backend with an allocator that counts, actors
 * (children whose every callback is written down and checked against the promised order), and a
 * look for what was left behind when the loop is closed: memory, descriptors, children, threads.
 * It asserts on whatever must not go wrong in any test. */
#ifndef RPI_TESTS_SUPPORT_STAGE_H
#define RPI_TESTS_SUPPORT_STAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rp/rp.h"
#include "tests/support/check.h"
#include "tests/support/fault.h"

/** A test that runs once on each backend, `*backend`. */
#define BACKEND_TEST(suite, name)                                                                  \
    ParameterizedTestParameters(suite, name)                                                       \
    {                                                                                              \
        return stage_backends();                                                                   \
    }                                                                                              \
    ParameterizedTest(rp_backend *backend, suite, name, .timeout = 120)

struct criterion_test_params stage_backends(void);

#define STAGE_BACKENDS_MAX 4
/** The backends that tests run on, how many: all that this build has and this system lets us use;
 * or the one that RP_BACKEND in the environment names. */
size_t stage_backend_list(rp_backend list[STAGE_BACKENDS_MAX]);
const char *stage_backend_name(rp_backend backend);
/** The one for tests that need no more than one: the first of them. */
rp_backend stage_backend(void);

/** The argv of the child with these operations (tests/child.c). */
#define CHILD(...) ((const char *const[]){RP_TEST_CHILD, __VA_ARGS__, NULL})

/** What this program holds that a test must give back. */
typedef struct stage_holdings {
    int descriptors;
    int threads;
} stage_holdings;

stage_holdings stage_count(void);

/** How a process is: 'S' it waits, 'X' it is gone, ... (not on Windows). */
char stage_state(int64_t pid);

/** Skips the test where user and group 65534, who have no rights, may not run the program: as where
 * the build lies below somebody's closed home. Called by root. */
void stage_need_for_nobody(const char *program);

/** That this program holds as much as before, and has no child. */
void stage_check(const stage_holdings *before);

typedef struct stage {
    rp_loop *loop;
    rpi_fault_memory memory;
    stage_holdings before;
} stage;

/** `options` may be NULL; its size, backend and allocator are filled in. */
void stage_open(stage *self, rp_backend backend, const rp_loop_options *options);

/** Closes the loop, which must see every child end, and looks for what was left behind. */
void stage_close(stage *self);

/** Runs the loop until nothing is left. */
void stage_run(stage *self);

/** Runs turns until *count reaches `wanted`. */
void stage_run_until(stage *self, const unsigned int *count, unsigned int wanted);

/** Runs turns until the child sleeps in a system call and no turn brings anything any more. */
void stage_run_until_blocked(stage *self, int64_t pid);

/** Whether it sleeps in a system call, or at least does nothing: of the system, for the above. */
bool stage_is_blocked(int64_t pid);

rp_loop_stats stage_stats(const stage *self);

/** A command with this argv and nothing else. */
rp_command stage_command(const char *const *argv);

/* ---- actors --------------------------------------------------------------------- */

/** What an actor listens to beside started, eos, exited and done. */
enum {
    ACTOR_DATA = 1,
    ACTOR_LINES = 2
};

typedef enum actor_event {
    ACTOR_STARTED,
    ACTOR_GOT_DATA,
    ACTOR_GOT_LINE,
    ACTOR_EOS,
    ACTOR_EXITED,
    ACTOR_DONE
} actor_event;

#define ACTOR_EVENT_COUNT (ACTOR_DONE + 1)

typedef struct actor_text {
    char *bytes; /* a NUL follows; NULL while empty */
    size_t size;
    size_t capacity;
} actor_text;

/** Zero it; then actor_spawn. */
typedef struct actor actor;
struct actor {
    rp_process *process; /* NULL once closed */
    actor_text data[2];  /* of stdout, stderr: what the data handler got */
    actor_text lines[2]; /* "[text]", "[piece~", "[rest$" */
    actor_text order;    /* both streams' lines in the order they came, newline behind each */
    unsigned int counts[ACTOR_EVENT_COUNT];
    unsigned int eos[2];
    unsigned int partials;
    uint64_t seq;                                                   /* of the last line */
    rp_exit exit;                                                   /* at done */
    bool stays;                                                     /* is not closed in done */
    void (*hook)(actor *self, actor_event event, rp_stream stream); /* last in every callback */
    void *context;                                                  /* of the hook */
};

/** Spawns it with handlers; closes itself in done unless it stays. The result of rp_spawn. */
int actor_try_spawn(stage *on, actor *self, const rp_command *command, unsigned int listens);

/** The same, which must succeed. */
void actor_spawn(stage *on, actor *self, const rp_command *command, unsigned int listens);

/** The same, and runs until it is done. */
void actor_play(stage *on, actor *self, const rp_command *command, unsigned int listens);

/** Closes the process, if it is open, from outside of done. */
void actor_close(actor *self);

/** Frees the texts and empties the actor. */
void actor_free(actor *self);

/** Its text, "" when there is none. */
const char *actor_data(const actor *self, rp_stream stream);
const char *actor_lines(const actor *self, rp_stream stream);

void actor_text_add(actor_text *text, const char *bytes, size_t size);

/** Asserts on the end of a child that ran: code as rp_exit.code, and no stop. */
void actor_check_code(const actor *self, int code);

/* ---- lifelines -------------------------------------------------------------------- */

/** A pipe between the test and children (or theirs) that the test cannot see otherwise. `read` and
 * `write` are close-on-exec; hand one of them to a child by rp_fd. */
typedef struct lifeline {
    int read;
    int write;
} lifeline;

lifeline lifeline_open(void);

/** Closes the read (write) end, once. */
void lifeline_close_read(lifeline *line);
void lifeline_close_write(lifeline *line);
void lifeline_close(lifeline *line);

/** How an end is handed to a child as its descriptor `number`, and the text by which the child is
 * told of it: on Windows it is the handle itself. The text lives until the next call. */
rp_fd lifeline_hand(int end, int number);
const char *lifeline_number(int end, int number);

/** Why no interrupt reaches a child here; NULL: it does. */
const char *stage_lacks_interrupts(void);

/** The exit code of a child that this signal has ended. */
int stage_code_of(int signal);

/** Waits for one byte. */
void lifeline_await_byte(lifeline *line);

/** Waits until nobody holds the write end any more; the test's own is closed first. What comes
 * meanwhile is dropped. */
void lifeline_await_end(lifeline *line);

/** Whether nothing has come. */
bool lifeline_is_silent(const lifeline *line);

/** Lets a child go on that does "wait". */
void lifeline_tell(lifeline *line);

#endif
