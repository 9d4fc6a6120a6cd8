/* Lives with faults. A scenario is what a caller does with the library, told as functions; the one
 * driver of them all plays it again and again: each allocation fails once, then each call of each
 * entry of the table of system calls (base/os.h) with each error that a system may give there,
 * then reads and writes move one byte only. After each life nothing may be left (memory,
 * descriptors, threads, children, terminals), every child has had one end, whatever went wrong was
 * told to somebody, and a next child of the same loop has a life without faults.
 *
 * Where something is called very often, not each of its calls is tried: RP_SWEEP=full tries all.
 * RP_SWEEP_NAME='pull mode' plays that scenario only, RP_SWEEP_ENTRY=read tries that entry only.
 * Each scenario prints how many faults it has survived. */
#ifndef RPI_TESTS_SWEEP_LIFE_H
#define RPI_TESTS_SWEEP_LIFE_H

#include "tests/support/check.h"
#include "tests/support/stage.h"

typedef struct life life;

typedef struct life_scenario {
    const char *name;
    bool opens; /* faults come from rp_loop_open on; else once the loop is open and `begin` done */
    bool rings; /* its threads wake the loop by writing, which a system has no reason to refuse */
    bool is_long; /* minutes: played with RP_SWEEP=full, or by its name */
    bool looks;   /* through /proc: some calls are made for each process of the machine */
    bool types; /* to a terminal, of which EAGAIN is asked again; a pipe would tell of its change */
    bool closes; /* a loop while there are faults: where fstat fails, a descriptor may be the host's
                    by now, and is not closed */
    bool (*is_possible)(void);                        /* NULL = everywhere */
    void (*setup)(void);                              /* once, before the lives; NULL = nothing */
    void (*teardown)(void);                           /* after them; NULL = nothing */
    void (*choose)(life *self, rp_loop_options *ret); /* NULL = no option of its own */
    void (*begin)(life *self);                        /* without faults; NULL = nothing */
    void (*live)(life *self);                         /* with them */
    void (*end)(life *self); /* without: judges, and gives back what is the scenario's */
} life_scenario;

/* One life, and what it came to. */
struct life {
    stage on;
    const life_scenario *of;
    const char *entry; /* that fails; "allocation"; NULL = nothing */
    int error;         /* its errno, or RPI_FAULT_SHORT */
    unsigned int n;    /* the n-th time */
    bool fired;        /* from `end` on */
    int open_error;
    int spawn_error;
    unsigned int run_errors; /* of the backend, each gone on after */
    unsigned int logged;     /* errors that only the log could tell */
    unsigned int refused;    /* calls that returned an error, or told one */
    actor child;             /* has been done once, unless it was not spawned; closed in the end */
    lifeline line;           /* for a tree; zero = none: closed by `end` */
    rp_fd fd;                /* its write end as the child's descriptor 4 */
};

/** Asserts, and says which life it was. */
#define LIFE_CHECK(self, condition) cr_assert(condition, "%s: %s", life_name(self), #condition)

/** What this life is, for messages; until the next call. */
const char *life_name(const life *self);

/** Whether nobody was told of anything: then all of it must have happened. */
bool life_is_silent(const life *self);

/** Notes an error that a call returned. Its argument. */
int life_note(life *self, int result);

/** Runs turns until *count reaches `wanted`, through errors of the backend: the fault comes once.
 */
void life_run_until(life *self, const unsigned int *count, unsigned int wanted);

/** Spawns self->child, where a refusal is an outcome. Whether it is there now. */
bool life_spawn(life *self, const rp_command *command, unsigned int listens);

/** Opens `line` and gives its write end to the command as descriptor 4. */
void life_tie(life *self, rp_command *command);

/** Runs until the child has started and so many of its tree have written a byte to `line`, or are
 * gone; at once where it was not spawned. The test's own write end is closed. Whether they came. */
bool life_await_tree(life *self, unsigned int count);

/** What one test plays. */
typedef struct life_setting {
    size_t index; /* of the scenario */
    rp_backend backend;
} life_setting;

/** Each of so many scenarios on each backend. */
struct criterion_test_params life_settings(size_t count);

/** Plays all lives of a scenario. */
void life_sweep(const life_scenario *scenarios, const life_setting *with);

/** The tests of a table of scenarios. */
#define LIFE_TESTS(suite, scenarios)                                                               \
    ParameterizedTestParameters(suite, survives_each_failure)                                      \
    {                                                                                              \
        return life_settings(sizeof(scenarios) / sizeof *(scenarios));                             \
    }                                                                                              \
    ParameterizedTest(life_setting *with, suite, survives_each_failure, .timeout = 3600)           \
    {                                                                                              \
        life_sweep(scenarios, with);                                                               \
    }

#endif
