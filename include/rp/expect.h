/* running-process: waiting for what a child says. Conventions (results, units, threads, views):
 * rp/base.h. */
#ifndef RP_EXPECT_H
#define RP_EXPECT_H

#include "rp/base.h"
#include "rp/command.h"
#include "rp/process.h"

#ifdef __cplusplus
extern "C" {
#endif

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

#ifdef __cplusplus
}
#endif
#endif
