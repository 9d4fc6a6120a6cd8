/* Tests the matcher (core/matcher.h) and what is under it: when something is found, what blocks
 * what, what is refused, what is put off, and that limits end hopeless patterns. That cuts make no
 * difference is test_differential.c's. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "core/matcher.h"
#include "core/regex.h"
#include "tests/support/check.h"
#include "tests/support/fault.h"

#define REGEX(string) ((rp_pattern){.kind = RP_REGEX, .text = (string)})
#define LITERAL(string) ((rp_pattern){.kind = RP_LITERAL, .text = (string)})

/* A text that grows, and the matcher that looks at it. */
typedef struct reader {
    rpi_matcher *matcher;
    char *text;
    size_t size;
} reader;

static void reader_open(reader *self, const rp_pattern *patterns, size_t count)
{
    int r = rpi_matcher_make(rpi_alloc_default(), patterns, count, &self->matcher);

    cr_assert_eq(r, 0, "%s: %s", rp_error_name(r), rp_error_detail());
    self->text = NULL;
    self->size = 0;
}

static void reader_close(reader *self)
{
    rpi_matcher_free(self->matcher);
    free(self->text);
}

static int look(reader *self, bool ended, bool at_once)
{
    rpi_matcher_text text = {
        .data = self->text, .size = self->size, .ended = ended, .at_once = at_once};

    return rpi_matcher_search(self->matcher, &text);
}

static void add(reader *self, const char *bytes, size_t size)
{
    self->text = realloc(self->text, self->size + size + 1);
    cr_assert_not_null(self->text);
    memcpy(self->text + self->size, bytes, size);
    self->size += size;
}

static int feed(reader *self, const char *bytes)
{
    add(self, bytes, strlen(bytes));
    return look(self, false, false);
}

static void check_found(const reader *self, size_t pattern, uint64_t start, uint64_t end)
{
    rpi_matcher_result result;

    rpi_matcher_result_of(self->matcher, &result);
    cr_assert_eq(result.pattern, pattern);
    cr_assert_eq(result.groups[0].start, start);
    cr_assert_eq(result.groups[0].end, end);
}

/* The error of making these, and the beginning of its detail. */
static void check_refused(const rp_pattern *patterns, size_t count, int error, const char *detail)
{
    rpi_matcher *matcher = NULL;
    int r = rpi_matcher_make(rpi_alloc_default(), patterns, count, &matcher);

    cr_assert_eq(r, error, "%s, not %s", rp_error_name(r), rp_error_name(error));
    cr_assert_null(matcher);
    cr_assert_eq(strncmp(rp_error_detail(), detail, strlen(detail)), 0, "\"%s\", not \"%s\"",
                 rp_error_detail(), detail);
}

/* ---- literals --------------------------------------------------------------------- */

Test(matcher, finds_a_literal_with_its_last_byte)
{
    const rp_pattern pattern = LITERAL("login: ");
    reader self;

    reader_open(&self, &pattern, 1);
    cr_assert_eq(feed(&self, "host log"), RPI_MATCHER_NO);
    cr_assert_eq(feed(&self, "in:"), RPI_MATCHER_NO);
    cr_assert_eq(feed(&self, " "), RPI_MATCHER_YES);
    check_found(&self, 0, 5, 12);
    reader_close(&self);
}

Test(matcher, waits_with_a_literal_while_an_earlier_one_may_be_completed)
{
    const rp_pattern patterns[] = {LITERAL("cd"), LITERAL("abcdef")};
    reader self;

    reader_open(&self, patterns, 2);
    cr_assert_eq(feed(&self, "abcde"), RPI_MATCHER_NO);
    cr_assert_eq(feed(&self, "f"), RPI_MATCHER_YES);
    check_found(&self, 1, 0, 6);
    reader_close(&self);
    reader_open(&self, patterns, 2);
    cr_assert_eq(feed(&self, "abcde"), RPI_MATCHER_NO);
    cr_assert_eq(feed(&self, "!"), RPI_MATCHER_YES);
    check_found(&self, 0, 2, 4);
    reader_close(&self);
}

Test(matcher, of_literals_at_one_place_takes_the_first_in_the_list)
{
    const rp_pattern long_first[] = {LITERAL("abc"), LITERAL("ab")};
    const rp_pattern short_first[] = {LITERAL("ab"), LITERAL("abc")};
    reader self;

    reader_open(&self, short_first, 2);
    cr_assert_eq(feed(&self, "xab"), RPI_MATCHER_YES);
    check_found(&self, 0, 1, 3);
    reader_close(&self);
    reader_open(&self, long_first, 2);
    cr_assert_eq(feed(&self, "xab"), RPI_MATCHER_NO, "abc may still come");
    cr_assert_eq(look(&self, true, false), RPI_MATCHER_YES, "it does not");
    check_found(&self, 1, 1, 3);
    reader_close(&self);
}

Test(matcher, finds_literals_of_many_sizes_among_near_misses)
{
    enum {
        SIZE = 3000,
        COUNT = 120
    };
    char *texts[COUNT];
    rp_pattern patterns[COUNT];
    char *text = malloc(SIZE + 1);

    cr_assert_not_null(text);
    for (size_t i = 0; i < COUNT; i++) {
        texts[i] = malloc(i + 3);
        cr_assert_not_null(texts[i]);
        memset(texts[i], 'a', i + 2);
        texts[i][i + 1] = (char)('A' + i % 20);
        texts[i][i + 2] = '\0';
        patterns[i] = LITERAL(texts[i]);
        patterns[i].flags = i % 3 == 0 ? RP_CASELESS : 0;
    }
    for (size_t single = 1; single < COUNT; single += 7) {
        for (size_t count = 1; count <= 40; count += 39) {
            size_t first = single + count <= COUNT ? single : COUNT - count;
            size_t at = SIZE - 200 - 3 * single;
            reader self;

            memset(text, 'b', SIZE);
            memset(text + 50, 'a', 20);
            memcpy(text + at, texts[first], first + 2);
            text[SIZE] = '\0';
            reader_open(&self, patterns + first, count);
            cr_assert_eq(feed(&self, text), RPI_MATCHER_YES, "%zu of %zu", first, count);
            check_found(&self, 0, at, at + first + 2);
            reader_close(&self);
        }
    }
    for (size_t i = 0; i < COUNT; i++) {
        free(texts[i]);
    }
    free(text);
}

Test(matcher, of_a_caseless_literal_takes_ascii_letters_of_both_cases)
{
    rp_pattern pattern = LITERAL("PassWord[");
    reader self;

    pattern.flags = RP_CASELESS;
    reader_open(&self, &pattern, 1);
    cr_assert_eq(feed(&self, "pASSwORD{ "), RPI_MATCHER_NO, "{ is [ with another bit");
    cr_assert_eq(feed(&self, "pASSwORD["), RPI_MATCHER_YES);
    check_found(&self, 0, 10, 19);
    reader_close(&self);
}

Test(matcher, finds_a_literal_with_a_nul)
{
    rp_pattern pattern = {.text = "a\0b", .text_size = 3};
    reader self;

    reader_open(&self, &pattern, 1);
    add(&self, "xa\0", 3);
    cr_assert_eq(look(&self, false, false), RPI_MATCHER_NO);
    cr_assert_eq(feed(&self, "b"), RPI_MATCHER_YES);
    check_found(&self, 0, 1, 4);
    reader_close(&self);
}

/* ---- expressions -------------------------------------------------------------------- */

typedef struct decision {
    const char *pattern;
    uint32_t flags;
    const char *first; /* after this: nothing yet */
    const char *then;  /* after this: found */
    uint64_t start, end;
} decision;

static const decision decisions[] = {
    {"pass(word|phrase): ", 0, "your passphrase:", " ", 5, 17},
    {"ab+", 0, "xabb", "c", 1, 4},
    {"a|ab", 0, "", "a", 0, 1},
    {"foo$", 0, "foo", "\n!", 0, 0},
    {"foo$", RP_MULTILINE, "foo", "\n", 0, 3},
    {"^b", RP_MULTILINE, "a\n", "b", 2, 3},
    {"a\n^b", RP_MULTILINE, "a\n", "b", 0, 3},
    {"\\bfoo\\b", 0, "a foo", " ", 2, 5},
    {"(?<=ab)c", 0, "ab", "c", 2, 3},
    {"a(?!b)", 0, "a", "c", 0, 1},
    {"a(?=bc)", 0, "ab", "c", 0, 1},
    {"(a+)b\\1", 0, "aab", "aa", 0, 5},
    {"\\R!", 0, "a\r", "\n!", 1, 4},
    {"(\\((?:[^()]|(?1))*\\))", 0, "x(a(b)", ")", 1, 7},
    {"foo\\Kbar", 0, "fooba", "r", 3, 6},
    {".*", 0, "abc", "\n", 0, 3},
    {"x*", 0, "", "b", 0, 0},
    {"(?>a+)b", 0, "aaa", "b", 0, 4},
    {"\\$ ?$", 0, "$ ", "\r", 0, 0},
    {"(?i)\\u00c4x", RP_UTF, "\xc3", "", 0, 0},
    {".b", RP_UTF, "\xe2\x82",
     "\xac"
     "b",
     0, 4},
    {"a.b", RP_UTF,
     "\xff"
     "a\xe2\x82",
     "\xac"
     "b",
     1, 6},
};

Test(matcher, finds_an_expression_as_soon_as_no_byte_to_come_can_change_it)
{
    for (size_t i = 0; i < sizeof decisions / sizeof *decisions; i++) {
        const decision *each = &decisions[i];
        rp_pattern pattern = REGEX(each->pattern);
        reader self;
        int r;

        if (strstr(each->pattern, "\\u00c4") != NULL) {
            continue; /* not PCRE2's syntax */
        }
        pattern.flags = each->flags;
        reader_open(&self, &pattern, 1);
        cr_assert_eq(feed(&self, each->first), RPI_MATCHER_NO, "%s", each->pattern);
        r = feed(&self, each->then);
        if (each->end == 0 && strcmp(each->pattern, "x*") != 0) {
            cr_assert_eq(r, RPI_MATCHER_NO, "%s", each->pattern);
        } else {
            cr_assert_eq(r, RPI_MATCHER_YES, "%s", each->pattern);
            check_found(&self, 0, each->start, each->end);
        }
        reader_close(&self);
    }
}

Test(matcher, decides_at_the_end_what_hung_on_more_text)
{
    static const char *const patterns[] = {"foo$", "fo+", "foo\\b", "foo\\z", "foo(?!x)", "foo.*"};

    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++) {
        const rp_pattern pattern = REGEX(patterns[i]);
        reader self;

        reader_open(&self, &pattern, 1);
        cr_assert_eq(feed(&self, "a foo"), RPI_MATCHER_NO, "%s", patterns[i]);
        cr_assert_eq(look(&self, true, false), RPI_MATCHER_YES, "%s", patterns[i]);
        check_found(&self, 0, 2, 5);
        reader_close(&self);
    }
}

Test(matcher, waits_with_an_expression_while_another_may_begin_earlier)
{
    const rp_pattern patterns[] = {REGEX("b"), REGEX("ab+c"), LITERAL("bb")};
    reader self;

    reader_open(&self, patterns, 3);
    cr_assert_eq(feed(&self, "abb"), RPI_MATCHER_NO);
    cr_assert_eq(feed(&self, "c"), RPI_MATCHER_YES);
    check_found(&self, 1, 0, 4);
    rpi_matcher_begin(self.matcher, 1);
    cr_assert_eq(look(&self, false, false), RPI_MATCHER_YES, "a text that begins behind the a");
    check_found(&self, 0, 1, 2);
    reader_close(&self);
}

Test(matcher, takes_the_place_where_it_begins_for_the_beginning_of_the_text)
{
    const rp_pattern patterns[] = {REGEX("^b"), REGEX("(?<=a)b"), REGEX("\\Ab")};
    reader self;

    for (size_t i = 0; i < 3; i++) {
        reader_open(&self, &patterns[i], 1);
        (void)feed(&self, "ab");
        rpi_matcher_begin(self.matcher, 1);
        cr_assert_eq(look(&self, true, false), i == 1 ? RPI_MATCHER_NO : RPI_MATCHER_YES);
        reader_close(&self);
    }
}

Test(matcher, does_not_take_a_cut_for_the_beginning_of_the_text)
{
    const rp_pattern patterns[] = {REGEX("^b"), REGEX("\\Ab"), REGEX("\\bb"), REGEX("(?<!a)b")};

    for (size_t i = 0; i < 4; i++) {
        reader self;
        rpi_matcher_text rest = {.data = "ab", .size = 2, .offset = 0, .ended = true};

        reader_open(&self, &patterns[i], 1);
        for (int j = 0; j < 1000; j++) {
            cr_assert_eq(feed(&self, "a"), RPI_MATCHER_NO);
        }
        add(&self, "b", 1);
        rest.data = self.text + self.size - 20;
        rest.size = 20;
        rest.offset = self.size - 20;
        cr_assert_eq(rpi_matcher_search(self.matcher, &rest), RPI_MATCHER_NO);
        reader_close(&self);
    }
}

Test(matcher, gives_up_what_begins_before_what_is_forgotten)
{
    const rp_pattern patterns[] = {REGEX("a[^!]*!"), LITERAL("ab!")};

    for (size_t i = 0; i < 2; i++) {
        reader self;

        reader_open(&self, &patterns[i], 1);
        cr_assert_eq(feed(&self, "ab"), RPI_MATCHER_NO);
        rpi_matcher_forget(self.matcher, 2);
        cr_assert_eq(feed(&self, "!"), RPI_MATCHER_NO);
        cr_assert_eq(feed(&self, "ab!"), RPI_MATCHER_YES);
        check_found(&self, 0, 3, 6);
        reader_close(&self);
    }
}

Test(matcher, keeps_what_has_begun_behind_what_is_forgotten)
{
    const rp_pattern patterns[] = {LITERAL("abab!"), REGEX("abab!")};

    for (size_t i = 0; i < 2; i++) {
        reader self;

        reader_open(&self, &patterns[i], 1);
        cr_assert_eq(feed(&self, "aba"), RPI_MATCHER_NO);
        rpi_matcher_forget(self.matcher, 1);
        cr_assert_eq(feed(&self, "bab!"), RPI_MATCHER_YES, "begun with the second a");
        check_found(&self, 0, 2, 7);
        reader_close(&self);
    }
}

Test(matcher, tells_groups_and_those_that_took_no_part)
{
    const rp_pattern pattern = REGEX("(a)|(b)(c)?");
    rpi_matcher_result result;
    reader self;

    reader_open(&self, &pattern, 1);
    cr_assert_eq(feed(&self, "xbx"), RPI_MATCHER_YES);
    rpi_matcher_result_of(self.matcher, &result);
    cr_assert_eq(result.group_count, 4);
    cr_assert_eq(result.groups[1].start, UINT64_MAX);
    cr_assert_eq(result.groups[2].start, 1);
    cr_assert_eq(result.groups[2].end, 2);
    cr_assert_eq(result.groups[3].start, UINT64_MAX);
    reader_close(&self);
}

/* ---- work ------------------------------------------------------------------------------- */

Test(matcher, puts_off_going_over_a_long_stretch_again_and_again)
{
    const rp_pattern pattern = {.kind = RP_REGEX, .flags = RP_DOTALL, .text = "a.*z!"};
    unsigned int later = 0;
    reader self;

    reader_open(&self, &pattern, 1);
    (void)feed(&self, "a");
    for (int i = 0; i < 20000; i++) {
        int r = feed(&self, "z");

        cr_assert(r == RPI_MATCHER_NO || r == RPI_MATCHER_LATER);
        later += r == RPI_MATCHER_LATER ? 1 : 0;
    }
    cr_assert_gt(later, 15000, "most of 20,000 attempts over up to 20,000 bytes are not made");
    add(&self, "!", 1);
    cr_assert_neq(look(&self, false, true), RPI_MATCHER_LATER, "not when asked at once");
    cr_assert_eq(rpi_matcher_put_off(self.matcher), 0);
    cr_assert_eq(look(&self, true, false), RPI_MATCHER_YES);
    check_found(&self, 0, 0, 20002);
    reader_close(&self);
}

static void check_limit(const char *text, size_t size, const char *expression)
{
    const rp_pattern pattern = REGEX(expression);
    reader self;

    reader_open(&self, &pattern, 1);
    add(&self, text, size);
    cr_assert_eq(look(&self, false, false), RPI_MATCHER_NO, "all of it matches so far");
    add(&self, "b", 1);
    cr_assert_eq(look(&self, false, true), RP_EPATTERN, "%s", expression);
    cr_assert_str_neq(rp_error_detail(), "");
    reader_close(&self);
}

Test(matcher, ends_a_hopeless_expression_with_an_error)
{
    enum {
        SIZE = 1 << 20
    };
    char *text = malloc(SIZE);

    cr_assert_not_null(text);
    memset(text, 'a', SIZE);
    check_limit(text, SIZE, "(a+)+$");
    check_limit(text, SIZE, "(*NO_JIT)(a+)+$");
    check_limit(text, SIZE, "a+[^ab]");
    free(text);
}

Test(matcher, ends_a_recursion_without_end)
{
    const rp_pattern pattern = REGEX("((?>(?:\\n){2}c+?ab)?b|a\\N(?![^a]acc|\\1)|(?1)) +A");
    reader self;

    reader_open(&self, &pattern, 1);
    add(&self, "b_ ", 3);
    cr_assert_eq(look(&self, false, true), RP_EPATTERN);
    cr_assert_str_eq(rp_error_detail(), "nested recursion at the same subject position");
    reader_close(&self);
}

Test(matcher, matches_across_more_than_the_compiled_code_has_stack_for)
{
    enum {
        SIZE = 50000
    };
    const rp_pattern pattern = REGEX("(?:a|(b))*c");
    char *text = malloc(SIZE + 1);
    reader self;

    cr_assert_not_null(text);
    memset(text, 'a', SIZE);
    reader_open(&self, &pattern, 1);
    add(&self, text, SIZE);
    (void)look(&self, false, true);
    cr_assert_eq(feed(&self, "c"), RPI_MATCHER_YES);
    check_found(&self, 0, 0, SIZE + 1);
    reader_close(&self);
    free(text);
}

/* ---- errors ----------------------------------------------------------------------------- */

Test(matcher, refuses_what_is_no_pattern)
{
    rp_pattern two[2] = {LITERAL("a"), LITERAL("")};
    rp_pattern flags = LITERAL("a");
    rp_pattern kind = LITERAL("a");
    rp_pattern none = LITERAL(NULL);

    check_refused(two, 0, RP_EINVAL, "patterns: none");
    check_refused(NULL, 1, RP_EINVAL, "patterns: none");
    check_refused(two, 2, RP_EINVAL, "patterns[1].text: empty");
    check_refused(&none, 1, RP_EINVAL, "patterns[0].text: empty");
    flags.flags = 1U << 20;
    check_refused(&flags, 1, RP_EINVAL, "patterns[0].flags: 0x100000");
    flags.flags = RP_DOTALL;
    check_refused(&flags, 1, RP_EINVAL, "patterns[0].flags: a literal");
    kind.kind = (rp_pattern_kind)9;
    check_refused(&kind, 1, RP_EINVAL, "patterns[0].kind: 9");
    kind = LITERAL("a");
    kind.reserved[1] = 1;
    check_refused(&kind, 1, RP_EINVAL, "patterns[0].reserved");
}

Test(matcher, refuses_what_cannot_be_matched_as_bytes_come)
{
    static const struct {
        const char *text;
        const char *detail;
    } refused[] = {
        {"foo(", "offset 4: missing closing parenthesis"},
        {"a\\Gb", "offset 1: \\G"},
        {"\\X", "offset 0: \\X"},
        {"a(*COMMIT)b", "offset 1: (*COMMIT)"},
        {"a(*COMMIT:x)b", "offset 1: (*COMMIT)"},
        {"(*NOTEMPTY_ATSTART)a*", "offset 0: (*NOTEMPTY_ATSTART)"},
        {"(*CRLF)a", "offset 0: newlines"},
        {"(*ANYCRLF)a", "offset 0: newlines"},
        {"a\\Cb", "offset 3: using \\C is disabled"},
        {"(*UTF)a", "offset 6: using UTF is disabled"},
    };
    rp_pattern two[2] = {LITERAL("a"), REGEX("(")};

    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        const rp_pattern pattern = REGEX(refused[i].text);

        check_refused(&pattern, 1, RP_EPATTERN, refused[i].detail);
    }
    check_refused(two, 2, RP_EPATTERN, "patterns[1]: offset 1: missing closing parenthesis");
}

Test(matcher, allows_quoted_what_it_refuses)
{
    static const char *const allowed[] = {"\\\\G", "\\Q\\G(*COMMIT\\E", "\\\\\\\\X", "\\Q\\E\\\\X"};

    for (size_t i = 0; i < sizeof allowed / sizeof *allowed; i++) {
        const rp_pattern pattern = REGEX(allowed[i]);
        reader self;

        reader_open(&self, &pattern, 1);
        reader_close(&self);
    }
}

Test(matcher, refuses_too_many_groups_and_too_long_patterns)
{
    enum {
        SIZE = 1 << 19
    };
    char *text = malloc(SIZE);
    rp_pattern pattern = {.text = text};

    cr_assert_not_null(text);
    for (size_t i = 0; i < 1000; i++) {
        memcpy(text + 3 * i, "(a)", 3);
    }
    pattern.kind = RP_REGEX;
    pattern.text_size = 3000;
    check_refused(&pattern, 1, RP_EPATTERN, "the pattern has 1000 groups");
    memset(text, 'a', SIZE);
    pattern.text_size = SIZE;
    check_refused(&pattern, 1, RP_EPATTERN, "the pattern has more than");
    pattern.kind = RP_LITERAL;
    check_refused(&pattern, 1, RP_EPATTERN, "the literals have more than");
    free(text);
}

Test(matcher, survives_every_failing_allocation)
{
    rp_pattern patterns[] = {REGEX("(a+)(b)?c"), LITERAL("xyz"), LITERAL("xyz"), REGEX("\\w+;")};

    patterns[2].flags = RP_CASELESS;
    for (unsigned int n = 1;; n++) {
        rpi_matcher *matcher = NULL;
        rpi_fault_memory memory;
        int r;

        rpi_fault_memory_init(&memory, n);
        r = rpi_matcher_make(&memory.allocator, patterns, 4, &matcher);
        if (r == 0) {
            rpi_matcher_text text = {.data = "aab aac", .size = 7};

            r = rpi_matcher_search(matcher, &text);
            cr_assert(r == RPI_MATCHER_YES || r == -ENOMEM, "%s", rp_error_name(r));
            rpi_matcher_free(matcher);
        } else {
            cr_assert_eq(r, -ENOMEM, "%u: %s, %s", n, rp_error_name(r), rp_error_detail());
        }
        cr_assert_eq(memory.live_blocks, 0);
        if (!memory.fired) {
            cr_assert_gt(n, 8);
            break;
        }
    }
}
