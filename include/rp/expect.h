/* running-process: waiting for what a child says. An expect searches a child's output as it comes,
 * on pipes without waiting for a newline, and reports the first match once:
 *
 *     static void on_login(rp_process *process, const rp_match *match, void *user)
 *     {
 *         if (match->status == 0) { ... rp_expect_start(process, &next, on_password, user, NULL); }
 *     }
 *
 * Rules that are to be followed in order are a chain: each `matched` starts the next expect, which
 * goes on where the match has ended, so that nothing is lost in between. Answers to be given any
 * number of times meanwhile are patterns of the same expect whose actions have `again`. "A, but not
 * once B was seen" is one expect for both: B is a second pattern, and `matched` tells by
 * match->pattern which came first (where both begin at one place, the first in the list does).
 *
 *     rp_pattern patterns[] = {{.text = "done"}, {.text = "error"}, {.text = "[y/n] "}};
 *     rp_action actions[3] = {{.kind = RP_ACT_NONE}};
 *     actions[2] = (rp_action){.kind = RP_ACT_WRITE, .again = true, .bytes = {"y\n", 2}};
 *
 * Conventions (results, units, threads, [runs], views): rp/base.h. */
#ifndef RP_EXPECT_H
#define RP_EXPECT_H

#include "rp/base.h"
#include "rp/command.h"
#include "rp/process.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- what to look for ------------------------------------------------------ */

typedef enum rp_pattern_kind {
    RP_LITERAL = 0,
    RP_REGEX
} rp_pattern_kind;

enum {                /* rp_pattern.flags */
    RP_CASELESS = 1,  /* ASCII letters stand for both cases; with RP_UTF all letters do */
    RP_MULTILINE = 2, /* RP_REGEX: ^ and $ match at lines too; ^ also behind the last newline */
    RP_DOTALL = 4,    /* RP_REGEX: a dot matches newlines too */
    RP_UTF = 8        /* UTF-8: characters instead of bytes. Bytes that are not UTF-8 match nothing,
                         and no match goes across them */
};

/** What to look for. An expression is matched as one look at the whole text would match it, however
 * the bytes come: where more of them could change a match (its `+` may take more, its `$` may not
 * be the end) it is not found before they come, or the stream ends. Bytes that were matched are
 * gone: the next text begins behind them, ^ matches there, and lookbehind does not see them.
 *
 * PCRE2's syntax, but for what cannot be matched as bytes come: \G, \X, \C, (*COMMIT),
 * (*NOTEMPTY_ATSTART), and newlines of two bytes, (*CRLF), (*ANYCRLF), (*ANY). At most 999 groups,
 * and 64 KiB of text; the literals of one expect have 256 KiB at most. */
typedef struct rp_pattern {
    rp_pattern_kind kind;
    uint32_t flags;   /* RP_CASELESS, ...; what a kind has no use for is RP_EINVAL */
    const char *text; /* not empty */
    size_t text_size; /* 0 = strlen */
    uint64_t reserved[2];
} rp_pattern;

/* ---- where to look, and what to do ------------------------------------------ */

typedef enum rp_action_kind {
    RP_ACT_NONE = 0,
    RP_ACT_WRITE,
    RP_ACT_INTERRUPT,
    RP_ACT_TERMINATE,
    RP_ACT_KILL
} rp_action_kind;

/** Done before `matched` is called: rp_write, rp_interrupt, rp_terminate, rp_kill. One that fails
 * ends the expect: its error is the status of the match. */
typedef struct rp_action {
    rp_action_kind kind;
    bool again;    /* act and go on expecting, the timeout running on: matched is not called */
    rp_view bytes; /* RP_ACT_WRITE, copied */
    uint64_t reserved[2];
} rp_action;

/** Where the text begins. For an expect still to come, text is kept in pull mode (while unread) and
 * by a capture; otherwise start the first before the loop runs and the next inside matched. */
typedef enum rp_from {
    RP_FROM_LAST_MATCH = 0, /* behind it; before the first match: as RP_FROM_START */
    RP_FROM_NOW,            /* with the next byte that is read */
    RP_FROM_START           /* of what is kept */
} rp_from;

typedef enum rp_text {
    RP_TEXT_RAW = 0,
    RP_TEXT_STRIPPED, /* without escape sequences */
    RP_TEXT_SCREEN    /* what a person would see (rp_command.screen), at the end of each turn of the
                         loop that changed it: its rows as rp_pty_screen tells them, a text of its
                         own each time. A match takes nothing; RP_FROM_LAST_MATCH and `again` wait
                         for the screen to change, RP_FROM_START looks at it as it is */
} rp_text;

typedef struct rp_expect_options {
    size_t size;
    const rp_pattern *patterns;
    size_t pattern_count;     /* 1 to 4096 */
    const rp_action *actions; /* NULL, or one a pattern */
    rp_stream stream; /* RP_STDIN (0) = RP_BOTH: one text, in the order read. From a capture without
                         capture_order: what stdout kept, then what stderr kept */
    rp_from from;
    rp_text text;
    uint64_t timeout_ns; /* 0 = none */
    size_t window_max;   /* bytes searched back; 0 = 1 MiB. A match that is longer, or has begun
                            further back without being decided, may be let go */
} rp_expect_options;
#define RP_EXPECT_OPTIONS_INIT RP_INIT(rp_expect_options)

typedef struct rp_match {
    int status;     /* 0; RP_ETIMEDOUT; RP_EOS: the stream or the child has ended; RP_ECANCELED;
                       RP_EPATTERN: a pattern ran into the match limit, rp_error_detail says which;
                       RP_ENOBUFS: in pull mode, a full ring stops the child: pull it;
                       RP_ENOMEM; or the error of an action */
    size_t pattern; /* which one: the earliest in the text, then the first in the list */
    rp_view before, matched; /* `before`: from where the text begins, window_max bytes at most */
    const rp_view *groups; /* [0] is matched; a group that took no part has data == NULL; they live
                              as the views do */
    size_t group_count;
    rp_view tail;    /* without a match: the last 4 KiB seen, for the error message */
    uint64_t offset; /* of matched, in the text searched, since its start */
    uint64_t reserved[4];
} rp_match;

typedef void rp_expect_fn(rp_process *process, const rp_match *match, void *user);

/* ---- expecting ----------------------------------------------------------------- */

/** Arms an expect, at any time from rp_spawn on. Several may be armed on one process, each with a
 * place of its own. `matched` is called once, out of the loop, before done; with it the handle is
 * gone. A match takes the text of its streams up to its end: the next expect begins there, and so
 * does rp_next; handlers and captures see every byte. ret_expect may be NULL.
 * 0; RP_EINVAL: no size, no pattern, an empty one, an unknown kind or flag, an action that cannot
 * be (stdin is no pipe), a stream that is not ours to read, RP_TEXT_SCREEN without a screen, after
 * rp_wait in pull mode; RP_EPATTERN: a pattern that does not parse or cannot be matched as bytes
 * come: "offset 6: missing closing parenthesis"; RP_EUNSUPPORTED: RP_REGEX where rp_has("regex") is
 * false; RP_E2BIG; RP_ECANCELED: the process is closed; RP_ENOMEM. */
RP_API int rp_expect_start(rp_process *process,
                           const rp_expect_options *options,
                           rp_expect_fn *matched,
                           void *user,
                           rp_expect **ret_expect);

/** Ends it: matched still comes, out of the loop, with RP_ECANCELED, or with a match that was
 * first. Twice is as once; NULL is allowed. Not after matched. */
RP_API void rp_expect_cancel(rp_expect *expect);

/** [runs] The blocking form. Returns ret_match->status, which may also be an error of
 * rp_expect_start, RP_EDEADLK (inside a callback), RP_ECANCELED (the process was closed meanwhile,
 * or rp_loop_stop), RP_EINTR (see rp_loop_options) or the loop's. ret_match is always written; its
 * views live until the next rp_expect_wait on the process or its close, and are empty where the
 * start failed. */
RP_API int
rp_expect_wait(rp_process *process, const rp_expect_options *options, rp_match *ret_match);

#ifdef __cplusplus
}
#endif
#endif
