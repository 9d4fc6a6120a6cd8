/* Expects: the inside that their files share.
 *
 *     expect.c       the public functions: options, start, cancel, the blocking form
 *     expect_screen.c  the same of RP_TEXT_SCREEN
 *     expect_look.c  windows, looking at what is new, deciding
 *     expects.c      all expects of one process: being told of its bytes, reporting
 *
 * A process that has expects has one rpi_expects among its observers, made with the first of them.
 * It feeds windows (window.h) as bytes are read, lets each expect's matcher look at once, and
 * reports what was decided out of a task of the same turn. */
#ifndef RPI_CORE_EXPECT_H
#define RPI_CORE_EXPECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "core/matcher.h"
#include "core/observer.h"
#include "core/window.h"
#include "reactor/reactor.h"
#include "rp/expect.h"

enum {
    RPI_DETAIL_SIZE = 160
};

/** A match that rp_expect_wait handed out: one block. */
typedef struct rpi_expect_kept {
    char *memory; /* owned; NULL */
    size_t size;
} rpi_expect_kept;

typedef struct rpi_expects {
    rpi_observer observer;
    rp_process *process; /* borrowed */
    rpi_list windows;    /* rpi_window.node */
    rpi_window *screen;  /* owned; not in that list; NULL until it is wanted */
    uint64_t seen;       /* the screen's generation at the last match on it */
    rpi_list armed;      /* rp_expect.node, in the order of their starts */
    rpi_list due;        /* those that are being reported */
    rpi_task task;
    uint64_t taken[2]; /* how far in each stream matches have taken the text */
    rpi_expect_kept kept;
    bool closed;
} rpi_expects;

struct rp_expect {
    rpi_list node;      /* the owner's armed or due */
    rpi_expects *owner; /* borrowed */
    rpi_window *window; /* of the owner's; counts this one as a user */
    rpi_matcher *matcher;
    const rp_action *actions; /* behind the struct, as are views; NULL */
    rp_view *views;           /* the groups of the match */
    size_t block_size;
    size_t window_max;
    rpi_timer timer; /* the earliest of the three */
    uint64_t timeout_at_ns;
    uint64_t look_at_ns;  /* what was put off */
    uint64_t seen;        /* RP_TEXT_SCREEN: the generation that it looked at last */
    uint64_t stuck_at_ns; /* when full rings were seen to stand in the way, and a little later */
    uint64_t stuck_bytes; /* of the process so far, then */
    uint64_t begun; /* where in the window its text began: offsets of its matches count from here */
    uint64_t origin; /* where it begins now: behind the last match that it acted on */
    uint64_t floor;  /* the first byte that may be in `before`: origin, or later */
    int status;      /* once decided */
    bool decided;
    rp_expect_fn *matched;
    void *user;
    char detail[RPI_DETAIL_SIZE];
};

/** The expects of a process: those there are, or new ones. NULL: no memory. */
rpi_expects *rpi_expects_of(rp_process *process);

/** Finds or makes the window for an expect whose options were checked, and lets it look at what is
 * there. 0 or -ENOMEM. */
int rpi_expects_arm(rpi_expects *expects, rp_expect *expect, const rp_expect_options *options);

/** Frees the match that rp_expect_wait handed out last. */
void rpi_expects_let_go(rpi_expects *expects);

/** Takes it out, silently, and frees it. */
void rpi_expect_free(rp_expect *expect);

/* ---- expect_look.c ---- */

/** Looks at what was put off; nothing found: this is its status. The report comes out of the loop.
 */
void rpi_expect_end(rp_expect *expect, int status);

/** Looks at what is new in its window, and decides; `at_once`: puts nothing off. */
void rpi_expect_look(rp_expect *expect, bool at_once);

/** The same of a text that is all there: on a screen. */
void rpi_expect_look_once(rp_expect *expect);

/** Lets all expects on a window look. */
void rpi_expects_look_all(rpi_expects *expects, rpi_window *window, bool at_once);

/** Shows an expect that has its window to itself all that is kept, until it is decided. */
void rpi_expect_catch_up(rp_expect *expect);

/** Arms the timer for what is due first. */
void rpi_expect_set_timer(rp_expect *expect);

/** Pull mode: notes a full ring that may keep the child from writing what is expected. */
void rpi_expect_watch_rings(rp_expect *expect);

/** A window takes bytes, and its expects look. False: no memory, they have ended. */
bool rpi_expects_take_in(rpi_expects *expects,
                         rpi_window *window,
                         unsigned int stream,
                         rp_view bytes);

/** Lets go what no expect on this window needs. */
void rpi_expects_trim(rpi_expects *expects, rpi_window *window);

/** Whether nothing more will come for a window. */
bool rpi_window_is_over(const rp_process *process, const rpi_window *window);

/** Whether a window has all bytes that were read; the last `but` ones of one stream do not count.
 */
bool rpi_window_is_current(const rp_process *process,
                           const rpi_window *window,
                           unsigned int stream,
                           size_t but);

/** Bytes of a stream from an offset on, from where the process (`user`) keeps them: an
 * rpi_window_source. */
rp_view rpi_expects_kept_at(void *user, unsigned int stream, uint64_t at);

/* ---- expect_screen.c ---- */

/** No generation of a screen. */
#define RPI_NO_SCREEN UINT64_MAX

/** Gives an expect the screen as its window. 0; RP_EINVAL: there is no screen; -ENOMEM. */
int rpi_expects_arm_on_screen(rpi_expects *expects, rp_expect *expect, rp_from from);

/** At the end of a turn: expects on the screen look at it. */
void rpi_expects_look_at_screen(rpi_expects *expects);

#endif
