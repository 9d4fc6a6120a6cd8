/* Fuzzes the matcher (core/matcher.h) with one pattern: shown a text in chunks it must find what
 * PCRE2 finds in the whole. The first bytes of the input choose kind, flags and cuts, then come a
 * size and the pattern, the rest is the text. tests/core/test_differential.c does the same with
 * patterns that make sense; here they need not. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "core/matcher.h"

enum {
    HEAD_SIZE = 4,
    PATTERN_MAX = 64,
    TEXT_MAX = 512,
    GROUPS_MAX = 64,
    STEPS_MAX = 20000
};

typedef enum verdict {
    NOT_FOUND,
    FOUND,
    UNCLEAR /* a limit; or an empty match where bytes are not UTF-8, whose place is arbitrary */
} verdict;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_valid(rp_view text)
{
    char repaired[3 * TEXT_MAX + 1];
    size_t size = rp_utf8_repair(text, repaired, sizeof repaired);

    return size == text.size && (size == 0 || memcmp(repaired, text.data, size) == 0);
}

static uint32_t options_of(const rp_pattern *pattern)
{
    uint32_t options = pattern->kind == RP_LITERAL ? PCRE2_LITERAL : PCRE2_ALT_CIRCUMFLEX;

    options |= (pattern->flags & RP_CASELESS) != 0 ? PCRE2_CASELESS : 0;
    options |= (pattern->flags & RP_MULTILINE) != 0 ? PCRE2_MULTILINE : 0;
    options |= (pattern->flags & RP_DOTALL) != 0 ? PCRE2_DOTALL : 0;
    options |= (pattern->flags & RP_UTF) != 0 ? PCRE2_UTF | PCRE2_MATCH_INVALID_UTF : 0;
    return options;
}

/* What PCRE2 finds in the whole text. */
static verdict look(const rp_pattern *pattern, rp_view text, bool compiled, size_t *ret_groups)
{
    int error = 0;
    PCRE2_SIZE offset = 0;
    uint32_t may_be_empty = 0;
    uint32_t first =
        0; /* 2: it is looked for at the beginnings of lines only, see is_vague there */
    pcre2_code *code = pcre2_compile((PCRE2_SPTR)pattern->text, pattern->text_size,
                                     options_of(pattern), &error, &offset, NULL);
    pcre2_match_data *found = pcre2_match_data_create_from_pattern(code, NULL);
    pcre2_match_context *limits = pcre2_match_context_create(NULL);
    verdict result = UNCLEAR;
    int r;

    (void)pcre2_set_match_limit(limits, STEPS_MAX);
    (void)pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);
    (void)pcre2_pattern_info(code, PCRE2_INFO_MATCHEMPTY, &may_be_empty);
    r = pcre2_match(code, (PCRE2_SPTR)text.data, text.size, 0, compiled ? 0 : PCRE2_NO_JIT, found,
                    limits);
    (void)pcre2_pattern_info(code, PCRE2_INFO_FIRSTCODETYPE, &first);
    if (r >= -1 &&
        ((may_be_empty == 0 && first != 2) || (pattern->flags & RP_UTF) == 0 || is_valid(text))) {
        result = r > 0 ? FOUND : NOT_FOUND;
    }
    if (result == FOUND) {
        memcpy(ret_groups, pcre2_get_ovector_pointer(found),
               2 * sizeof *ret_groups * pcre2_get_ovector_count(found));
    }
    pcre2_match_context_free(limits);
    pcre2_match_data_free(found);
    pcre2_code_free(code);
    return result;
}

/* What the matcher finds in chunks, in memory that ends where they do. */
static verdict feed(rpi_matcher *matcher, rp_view whole, uint32_t random, size_t *ret_groups)
{
    int r = RPI_MATCHER_NO;
    size_t end = 0;
    bool ended = false;
    rpi_matcher_result result;

    while (!ended && (r == RPI_MATCHER_NO || r == RPI_MATCHER_LATER)) {
        rpi_matcher_text text;
        char *memory;

        random = random * 1664525 + 1013904223;
        end += 1 + (random >> 16) % 9;
        ended = end > whole.size;
        end = ended ? whole.size : end;
        memory = malloc(end + 1);
        RP_ASSERT(memory != NULL);
        memcpy(memory + 1, whole.data, end);
        text = (rpi_matcher_text){.data = memory + 1, .size = end, .ended = ended};
        r = rpi_matcher_search(matcher, &text);
        free(memory);
    }
    if (r != RPI_MATCHER_YES) {
        return r < 0 ? UNCLEAR : NOT_FOUND;
    }
    rpi_matcher_result_of(matcher, &result);
    for (size_t i = 0; i < result.group_count; i++) {
        bool none = result.groups[i].start == UINT64_MAX;

        ret_groups[2 * i] = none ? PCRE2_UNSET : (size_t)result.groups[i].start;
        ret_groups[2 * i + 1] = none ? PCRE2_UNSET : (size_t)result.groups[i].end;
    }
    return FOUND;
}

static bool is_same(verdict one, const size_t *groups, verdict other, const size_t *others)
{
    if (one == UNCLEAR || other == UNCLEAR) {
        return true;
    }
    return one == other && (one == NOT_FOUND || memcmp(groups, others, 2 * sizeof *groups) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t pattern_size = size < HEAD_SIZE ? 0 : 1 + data[3] % PATTERN_MAX;
    size_t groups[3][2 * GROUPS_MAX];
    rpi_matcher *matcher = NULL;
    rp_pattern pattern;
    verdict chunks;
    rp_view text;

    if (size < HEAD_SIZE + pattern_size + 1) {
        return 0;
    }
    pattern = (rp_pattern){.kind = data[0] % 4 == 0 ? RP_LITERAL : RP_REGEX,
                           .flags = data[1] & (RP_CASELESS | RP_MULTILINE | RP_DOTALL | RP_UTF),
                           .text = (const char *)data + HEAD_SIZE,
                           .text_size = pattern_size};
    if (pattern.kind == RP_LITERAL) {
        pattern.flags &= RP_CASELESS | RP_UTF;
    }
    text =
        (rp_view){(const char *)data + HEAD_SIZE + pattern_size, size - HEAD_SIZE - pattern_size};
    text.size = text.size < TEXT_MAX ? text.size : TEXT_MAX;
    if (rpi_matcher_make(rpi_alloc_default(), &pattern, 1, &matcher) < 0) {
        return 0;
    }
    if (rpi_matcher_group_max(matcher) > GROUPS_MAX) {
        rpi_matcher_free(matcher);
        return 0;
    }
    if ((pattern.flags & RP_UTF) != 0 && pattern.kind == RP_LITERAL &&
        !is_valid((rp_view){pattern.text, pattern.text_size})) {
        pattern.flags &= ~(uint32_t)RP_UTF; /* to the reference it is bytes */
    }
    chunks = look(&pattern, text, false, groups[0]);
    if (chunks != UNCLEAR) {
        verdict compiled = look(&pattern, text, true, groups[1]);
        verdict whole = chunks;

        chunks = feed(matcher, text, data[2], groups[2]);
        RP_ASSERT(is_same(whole, groups[0], chunks, groups[2]) ||
                  is_same(compiled, groups[1], chunks, groups[2]));
    }
    rpi_matcher_free(matcher);
    return 0;
}
