/* See regex.h. A pattern is compiled once, and by the JIT where there is one, for whole and for
 * partial matches (PCRE2_PARTIAL_HARD: whatever touches the end of a text that may go on is
 * undecided). Attempts go through the text in slices, so that a hopeless pattern is found out by
 * the clock between two of them; within one PCRE2's own limits end it. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <errno.h>
#include <pcre2.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/status.h"
#include "base/text.h"
#include "core/regex.h"

enum {
    MATCH_LIMIT = 5000000,     /* steps of one attempt at one place: some hundredths of a second */
    DEPTH_LIMIT = MATCH_LIMIT, /* the heap ends it before */
    HEAP_LIMIT_KIB = 32768,
    SLICE_MIN = 64,       /* places at which one slice begins an attempt */
    SLICE_WORK = 1 << 26, /* places times bytes that each of them may look at */
    CLASS_BYTES_MAX = 4   /* of a character */
};

static const uint64_t budget_ns = RP_SECOND; /* of one call */

struct rpi_regex {
    const rp_allocator *allocator; /* borrowed */
    pcre2_general_context *memory;
    pcre2_code *code;
    pcre2_match_context *limits;
    pcre2_match_data *found;
    size_t context;
    size_t group_count;
    bool utf;
    bool jit;
    bool anchored; /* only the first place of an attempt counts */
};

/* ---- memory: PCRE2 frees without saying how much ------------------------------------- */

typedef union block {
    size_t size;
    max_align_t aligned;
} block;

static void *block_get(size_t size, void *user)
{
    block *got = size > SIZE_MAX - sizeof(block) ? NULL : rpi_alloc(user, sizeof(block) + size);

    if (got == NULL) {
        return NULL;
    }
    got->size = sizeof(block) + size;
    return got + 1;
}

static void block_put(void *memory, void *user)
{
    if (memory != NULL) {
        block *put = (block *)memory - 1;

        rpi_free(user, put, put->size);
    }
}

/* ---- what is refused --------------------------------------------------------------------- */

typedef struct refusal {
    const char *item;
    const char *why;
} refusal;

static const refusal refusals[] = {
    {"\\G", "\\G depends on where an attempt begins"},
    {"\\X", "\\X looks back without end"},
    {"(*COMMIT", "(*COMMIT) depends on where an attempt begins"},
    {"(*NOTEMPTY_ATSTART)", "(*NOTEMPTY_ATSTART) depends on where an attempt begins"},
};

static const refusal *refusal_at(const char *text, size_t size)
{
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        size_t length = strlen(refusals[i].item);

        if (size >= length && memcmp(text, refusals[i].item, length) == 0) {
            return &refusals[i];
        }
    }
    return NULL;
}

/* Looks through a pattern that parses. A backslash takes the next byte with it; \Q quotes up to
 * \E. */
static int refuse(const char *text, size_t size)
{
    bool quoted = false;

    for (size_t i = 0; i < size; i++) {
        const refusal *found = quoted ? NULL : refusal_at(text + i, size - i);

        if (found != NULL) {
            return rpi_detail(RP_EPATTERN, "offset %zu: %s: it cannot be matched as bytes come", i,
                              found->why);
        }
        if (text[i] == '\\' && i + 1 < size) {
            quoted = quoted ? text[i + 1] != 'E' : text[i + 1] == 'Q';
            i += quoted && text[i + 1] != 'Q' ? 0 : 1;
        }
    }
    return 0;
}

static uint32_t info(const pcre2_code *code, uint32_t what)
{
    uint32_t value = 0;

    RP_ASSERT(pcre2_pattern_info(code, what, &value) == 0);
    return value;
}

static int check(rpi_regex *regex, const rp_pattern *pattern, size_t size)
{
    uint32_t newline = info(regex->code, PCRE2_INFO_NEWLINE);

    regex->group_count = (size_t)info(regex->code, PCRE2_INFO_CAPTURECOUNT) + 1;
    if (regex->group_count > RPI_REGEX_GROUPS_MAX) {
        return rpi_detail(RP_EPATTERN, "the pattern has %zu groups; %d are allowed",
                          regex->group_count - 1, RPI_REGEX_GROUPS_MAX - 1);
    }
    if (newline != PCRE2_NEWLINE_LF && newline != PCRE2_NEWLINE_CR &&
        newline != PCRE2_NEWLINE_NUL) {
        return rpi_detail(RP_EPATTERN, "offset 0: newlines that may have two bytes (CRLF, "
                                       "ANYCRLF, ANY) cannot be matched as bytes come");
    }
    return pattern->kind == RP_REGEX ? refuse(pattern->text, size) : 0;
}

/* ---- making ---------------------------------------------------------------------------------- */

static uint32_t options_of(const rp_pattern *pattern)
{
    uint32_t options = PCRE2_USE_OFFSET_LIMIT;

    options |= (pattern->flags & RP_CASELESS) != 0 ? PCRE2_CASELESS : 0;
    options |= (pattern->flags & RP_MULTILINE) != 0 ? PCRE2_MULTILINE : 0;
    options |= (pattern->flags & RP_DOTALL) != 0 ? PCRE2_DOTALL : 0;
    if ((pattern->flags & RP_UTF) != 0) {
        options |= PCRE2_UTF | PCRE2_MATCH_INVALID_UTF;
    }
    if (pattern->kind == RP_LITERAL) {
        return options | PCRE2_LITERAL;
    }
    /* ALT_CIRCUMFLEX: whether ^ matches behind a newline must not wait for what follows it. */
    options |= PCRE2_NEVER_BACKSLASH_C | PCRE2_ALT_CIRCUMFLEX;
    return (pattern->flags & RP_UTF) != 0 ? options : options | PCRE2_NEVER_UTF;
}

static int compile(rpi_regex *regex, const rp_pattern *pattern, size_t size)
{
    pcre2_compile_context *rules = pcre2_compile_context_create(regex->memory);
    int error = 0;
    PCRE2_SIZE offset = 0;
    char message[160];

    if (rules == NULL) {
        return -ENOMEM;
    }
    (void)pcre2_set_newline(rules, PCRE2_NEWLINE_LF);
    (void)pcre2_set_bsr(rules, PCRE2_BSR_UNICODE);
    regex->code =
        pcre2_compile((PCRE2_SPTR)pattern->text, size, options_of(pattern), &error, &offset, rules);
    pcre2_compile_context_free(rules);
    if (regex->code != NULL) {
        return 0;
    }
    if (error == PCRE2_ERROR_HEAP_FAILED) {
        return -ENOMEM;
    }
    (void)pcre2_get_error_message(error, (PCRE2_UCHAR *)message, sizeof message);
    return rpi_detail(RP_EPATTERN, "offset %zu: %s", (size_t)offset, message);
}

/* How far back an attempt may look: twice what PCRE2 says, as a lookbehind may call another, and
 * one character more, so that a text that was cut never looks like its beginning. */
static void measure(rpi_regex *regex)
{
    uint32_t options = info(regex->code, PCRE2_INFO_ALLOPTIONS);
    size_t characters = 2 * (size_t)info(regex->code, PCRE2_INFO_MAXLOOKBEHIND) + 2;

    regex->utf = (options & PCRE2_UTF) != 0;
    regex->anchored = (options & PCRE2_ANCHORED) != 0;
    regex->context = characters * (regex->utf ? CLASS_BYTES_MAX : 1);
}

static int prepare(rpi_regex *regex)
{
    size_t jit_size = 0;

    regex->limits = pcre2_match_context_create(regex->memory);
    regex->found = pcre2_match_data_create_from_pattern(regex->code, regex->memory);
    if (regex->limits == NULL || regex->found == NULL) {
        return -ENOMEM;
    }
    (void)pcre2_set_match_limit(regex->limits, MATCH_LIMIT);
    (void)pcre2_set_depth_limit(regex->limits, DEPTH_LIMIT);
    (void)pcre2_set_heap_limit(regex->limits, HEAP_LIMIT_KIB);
    /* Where there is no JIT, or no memory that may be run, the interpreter does the same. */
    /* (*NO_JIT) in a pattern makes the first call succeed and compile nothing. */
    regex->jit = pcre2_jit_compile(regex->code, PCRE2_JIT_COMPLETE | PCRE2_JIT_PARTIAL_HARD) == 0 &&
                 pcre2_pattern_info(regex->code, PCRE2_INFO_JITSIZE, &jit_size) == 0 &&
                 jit_size > 0;
    return 0;
}

bool rpi_regex_is_built_in(void)
{
    return true;
}

int rpi_regex_make(const rp_allocator *allocator, const rp_pattern *pattern, rpi_regex **ret_regex)
{
    size_t size = pattern->text_size != 0 ? pattern->text_size : strlen(pattern->text);
    rpi_regex *regex;
    int r;

    if (size > RPI_REGEX_TEXT_MAX) {
        return rpi_detail(RP_EPATTERN, "the pattern has more than %d bytes", RPI_REGEX_TEXT_MAX);
    }
    regex = rpi_alloc_zero(allocator, sizeof *regex);
    if (regex == NULL) {
        return -ENOMEM;
    }
    regex->allocator = allocator;
    // PCRE2 hands the user pointer back as it is: never written through.
    regex->memory =
        pcre2_general_context_create(block_get, block_put, (void *)(uintptr_t)allocator);
    r = regex->memory == NULL ? -ENOMEM : compile(regex, pattern, size);
    r = r < 0 ? r : check(regex, pattern, size);
    if (r == 0) {
        measure(regex);
        r = prepare(regex);
    }
    if (r < 0) {
        rpi_regex_free(regex);
        return r;
    }
    *ret_regex = regex;
    return 0;
}

void rpi_regex_free(rpi_regex *regex)
{
    if (regex == NULL) {
        return;
    }
    pcre2_match_data_free(regex->found);
    pcre2_match_context_free(regex->limits);
    pcre2_code_free(regex->code);
    pcre2_general_context_free(regex->memory);
    rpi_free(regex->allocator, regex, sizeof *regex);
}

size_t rpi_regex_context(const rpi_regex *regex)
{
    return regex->context;
}

size_t rpi_regex_group_count(const rpi_regex *regex)
{
    return regex->group_count;
}

/* ---- attempts -----------------------------------------------------------------------------------
 */

static bool is_continuation(char byte)
{
    return ((unsigned char)byte & 0xC0) == 0x80;
}

/* The size of a text less a character at its end that has begun and may be completed. */
static size_t whole_characters(const char *data, size_t size)
{
    for (size_t back = 1; back <= size && back < CLASS_BYTES_MAX; back++) {
        unsigned char byte = (unsigned char)data[size - back];
        size_t needed = byte >= 0xF0 ? 4 : byte >= 0xE0 ? 3 : byte >= 0xC0 ? 2 : 1;

        if (!is_continuation(data[size - back])) {
            return needed > back ? size - back : size;
        }
    }
    return size;
}

/* Where what follows is UTF-8 to the end, from `from` on; `from` where all is. */
static size_t behind_invalid(const rpi_regex_try *attempt)
{
    const uint8_t *data = (const uint8_t *)attempt->data;
    size_t behind = attempt->from;
    size_t at = attempt->from;

    while (at < attempt->size) {
        bool is_valid = data[at] < 0x80;

        at += is_valid ? 1 : rpi_utf8_next(data + at, attempt->size - at, &is_valid);
        behind = is_valid ? behind : at;
    }
    return behind;
}

/* The interpreter. It gives up a piece of text that ends in bytes that are not UTF-8 where the end
 * of that piece might be a partial match, so up to there, where nothing is undecided, it is not
 * asked for one. */
static int interpret(rpi_regex *regex, const rpi_regex_try *attempt)
{
    uint32_t options = PCRE2_NO_JIT | (attempt->ended ? 0U : PCRE2_PARTIAL_HARD);
    PCRE2_SPTR data = (PCRE2_SPTR)attempt->data;
    size_t from = attempt->from;

    if (regex->utf && !attempt->ended) {
        size_t behind = behind_invalid(attempt);

        if (behind > from) {
            int r = pcre2_match(regex->code, data, behind, from, PCRE2_NOTEOL | PCRE2_NO_JIT,
                                regex->found, regex->limits);

            if (r != PCRE2_ERROR_NOMATCH) {
                return r;
            }
            from = behind;
        }
    }
    return pcre2_match(regex->code, data, attempt->size, from, options, regex->found,
                       regex->limits);
}

static int run(rpi_regex *regex, const rpi_regex_try *attempt)
{
    if (!regex->jit) {
        return interpret(regex, attempt);
    }
    return pcre2_jit_match(regex->code, (PCRE2_SPTR)attempt->data, attempt->size, attempt->from,
                           attempt->ended ? 0 : PCRE2_PARTIAL_HARD, regex->found, regex->limits);
}

/* The same; where compiled code runs out of stack the interpreter goes on: its limits hold for
 * every pattern, while a recursion without end costs compiled code with a large stack more than
 * time. */
static int run_with_limits(rpi_regex *regex, const rpi_regex_try *attempt)
{
    int r = run(regex, attempt);

    return r == PCRE2_ERROR_JIT_STACKLIMIT ? interpret(regex, attempt) : r;
}

/* Where the next slice ends: the last place at which this one begins a match. */
static size_t slice_end(const rpi_regex *regex, const rpi_regex_try *attempt)
{
    size_t left = attempt->size - attempt->from;
    size_t slice = left == 0 ? SLICE_MIN : SLICE_WORK / left;
    size_t end;

    slice = slice < SLICE_MIN ? SLICE_MIN : slice;
    if (regex->anchored || slice >= left) {
        return attempt->size;
    }
    end = attempt->from + slice;
    while (regex->utf && end < attempt->size && is_continuation(attempt->data[end])) {
        end++;
    }
    return end;
}

static int fail(int error)
{
    char message[160];

    if (error == PCRE2_ERROR_NOMEMORY) {
        return -ENOMEM;
    }
    (void)pcre2_get_error_message(error, (PCRE2_UCHAR *)message, sizeof message);
    return rpi_detail(RP_EPATTERN, "%s", message);
}

int rpi_regex_attempt(rpi_regex *regex, const rpi_regex_try *attempt, size_t *ret_start)
{
    rpi_regex_try now = *attempt;
    uint64_t begun_ns = 0;

    if (regex->utf && !now.ended) {
        now.size = whole_characters(now.data, now.size);
    }
    if (now.from > now.size) { /* not even a character */
        *ret_start = now.from;
        return RPI_REGEX_NO;
    }
    for (;;) {
        size_t end = slice_end(regex, &now);
        int r;

        (void)pcre2_set_offset_limit(regex->limits, end);
        r = run_with_limits(regex, &now);
        if (r != PCRE2_ERROR_NOMATCH) {
            *ret_start = pcre2_get_ovector_pointer(regex->found)[0];
            return r >= 0 ? RPI_REGEX_YES : r == PCRE2_ERROR_PARTIAL ? RPI_REGEX_BEGUN : fail(r);
        }
        if (end == now.size) {
            *ret_start = end;
            return RPI_REGEX_NO;
        }
        now.from = end;
        if (begun_ns == 0) {
            begun_ns = rpi_clock_now_ns();
        } else if (rpi_clock_now_ns() - begun_ns > budget_ns) {
            return rpi_detail(RP_EPATTERN, "it takes too long on this text");
        }
    }
}

bool rpi_regex_group(const rpi_regex *regex, size_t group, size_t *ret_start, size_t *ret_end)
{
    const PCRE2_SIZE *places = pcre2_get_ovector_pointer(regex->found);

    if (places[2 * group] == PCRE2_UNSET) {
        return false;
    }
    *ret_start = places[2 * group];
    *ret_end = places[2 * group + 1];
    return true;
}
