/* See matcher.h. Each source (the literals that heed case, those that do not, each regular
 * expression) is in one of three states: it has found its first match, which is then final; or it
 * knows that nothing begins before some place, its bound. The best match found is the result when
 * it comes before the bounds of all the others. */
#include "core/matcher.h"

#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "base/status.h"
#include "core/regex.h"
#include "core/search.h"

enum {
    AGAIN_FREE = 512, /* bytes that may be gone over again each time */
    AGAIN_SHARE = 4,  /* else as many for each byte that comes */
    PREFIX_MIN = 2    /* one byte PCRE2 finds as fast */
};

typedef struct literals {
    rpi_search *search; /* owned; NULL: there are none */
    rpi_search_run run;
} literals;

typedef struct expression {
    rpi_regex *regex; /* owned */
    char prefix[RPI_REGEX_PREFIX_MAX];
    size_t prefix_size; /* 0: not known what its matches begin with */
    uint16_t same;      /* place of the next expression with the same prefix; RPI_SEARCH_NONE */
    bool idle;          /* its prefix is looked for; where that is found it is tried */
    uint16_t index;
    bool found;
    bool put_off;
    uint64_t from;     /* no match begins before this; where found: the match does */
    uint64_t seen;     /* the text's end at the last attempt */
    uint64_t credited; /* the text's end at the last look */
    uint64_t credit;   /* bytes that may be gone over again */
} expression;

/* A place in the text and in the list: the lower one wins. */
typedef struct rank {
    uint64_t start;
    uint16_t index;
} rank;

struct rpi_matcher {
    const rp_allocator *allocator; /* borrowed */
    size_t block_size;
    literals literals[2];    /* heeding case, caseless */
    literals prefixes;       /* of expressions; their indices are places in `expressions` */
    expression *expressions; /* behind the struct, as are the groups */
    size_t expression_count;
    rpi_matcher_span *groups; /* of the result; while searching, of the best expression's match */
    size_t group_max;
    size_t group_count;
    uint64_t origin; /* where the text begins */
    size_t context;
    size_t pattern_count;
    uint16_t pattern; /* of the result */
};

/* ---- making -------------------------------------------------------------------- */

static size_t size_of(const rp_pattern *pattern)
{
    if (pattern->text_size != 0 || pattern->text == NULL) {
        return pattern->text_size;
    }
    return strlen(pattern->text);
}

static bool is_expression(const rp_pattern *pattern)
{
    const uint32_t both = RP_CASELESS | RP_UTF;

    return pattern->kind == RP_REGEX || (pattern->flags & both) == both;
}

static int check(const rp_pattern *pattern, size_t index)
{
    const uint32_t all = RP_CASELESS | RP_MULTILINE | RP_DOTALL | RP_UTF;

    if (pattern->kind != RP_LITERAL && pattern->kind != RP_REGEX) {
        return rpi_detail(RP_EINVAL, "patterns[%zu].kind: %d is none", index, (int)pattern->kind);
    }
    if ((pattern->flags & ~all) != 0) {
        return rpi_detail(RP_EINVAL, "patterns[%zu].flags: 0x%x is not known", index,
                          (unsigned int)(pattern->flags & ~all));
    }
    if (pattern->kind == RP_LITERAL && (pattern->flags & (RP_MULTILINE | RP_DOTALL)) != 0) {
        return rpi_detail(RP_EINVAL,
                          "patterns[%zu].flags: a literal is neither RP_MULTILINE nor "
                          "RP_DOTALL",
                          index);
    }
    if (pattern->text == NULL || size_of(pattern) == 0) {
        return rpi_detail(RP_EINVAL, "patterns[%zu].text: empty", index);
    }
    if (pattern->reserved[0] != 0 || pattern->reserved[1] != 0) {
        return rpi_detail(RP_EINVAL, "patterns[%zu].reserved: not zero", index);
    }
    return 0;
}

/* An error of one of several patterns says which. */
static int name_pattern(int error, size_t index, size_t count)
{
    char detail[256];

    if (count == 1) {
        return error;
    }
    (void)strncpy(detail, rp_error_detail(), sizeof detail - 1);
    detail[sizeof detail - 1] = '\0';
    return rpi_detail(error, "patterns[%zu]: %s", index, detail);
}

static int add_expressions(rpi_matcher *matcher, const rp_pattern *patterns, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        expression *added = &matcher->expressions[matcher->expression_count];
        int r;

        if (!is_expression(&patterns[i])) {
            continue;
        }
        r = rpi_regex_make(matcher->allocator, &patterns[i], &added->regex);
        if (r < 0) {
            return r == -ENOMEM ? r : name_pattern(r, i, count);
        }
        added->index = (uint16_t)i;
        matcher->expression_count++;
        added->prefix_size = rpi_regex_prefix(&patterns[i], size_of(&patterns[i]), added->prefix);
        if (added->prefix_size < PREFIX_MIN) {
            added->prefix_size = 0;
        }
        if (rpi_regex_context(added->regex) > matcher->context) {
            matcher->context = rpi_regex_context(added->regex);
        }
        if (rpi_regex_group_count(added->regex) > matcher->group_max) {
            matcher->group_max = rpi_regex_group_count(added->regex);
        }
    }
    return 0;
}

/* Notes which expressions have the same prefix: their list begins with the first of them. */
static bool is_first_of_prefix(rpi_matcher *matcher, uint16_t place)
{
    expression *added = &matcher->expressions[place];

    added->same = RPI_SEARCH_NONE;
    for (uint16_t i = 0; i < place; i++) {
        expression *each = &matcher->expressions[i];

        if (each->prefix_size == added->prefix_size &&
            memcmp(each->prefix, added->prefix, added->prefix_size) == 0) {
            added->same = each->same;
            each->same = place;
            return false;
        }
    }
    return true;
}

static int add_prefixes(rpi_matcher *matcher)
{
    size_t size = (matcher->expression_count + 1) * sizeof(rpi_literal);
    rpi_literal *chosen = rpi_alloc(matcher->allocator, size);
    size_t count = 0;
    int r = 0;

    if (chosen == NULL) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < matcher->expression_count; i++) {
        const expression *each = &matcher->expressions[i];

        if (each->prefix_size > 0 && is_first_of_prefix(matcher, (uint16_t)i)) {
            chosen[count++] = (rpi_literal){
                .text = each->prefix, .size = each->prefix_size, .index = (uint16_t)i};
        }
    }
    if (count > 0) {
        r = rpi_search_make(matcher->allocator, chosen, count, false, &matcher->prefixes.search);
    }
    rpi_free(matcher->allocator, chosen, size);
    return r;
}

static int
add_literals(rpi_matcher *matcher, const rp_pattern *patterns, size_t count, bool caseless)
{
    rpi_literal *chosen = rpi_alloc(matcher->allocator, count * sizeof *chosen);
    size_t chosen_count = 0;
    int r = 0;

    if (chosen == NULL) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < count; i++) {
        if (!is_expression(&patterns[i]) && ((patterns[i].flags & RP_CASELESS) != 0) == caseless) {
            chosen[chosen_count++] = (rpi_literal){
                .text = patterns[i].text, .size = size_of(&patterns[i]), .index = (uint16_t)i};
        }
    }
    if (chosen_count > 0) {
        r = rpi_search_make(matcher->allocator, chosen, chosen_count, caseless,
                            &matcher->literals[caseless ? 1 : 0].search);
    }
    rpi_free(matcher->allocator, chosen, count * sizeof *chosen);
    return r;
}

static int fill(rpi_matcher *matcher, const rp_pattern *patterns, size_t count)
{
    int r = add_expressions(matcher, patterns, count);

    r = r < 0 ? r : add_prefixes(matcher);
    r = r < 0 ? r : add_literals(matcher, patterns, count, false);
    r = r < 0 ? r : add_literals(matcher, patterns, count, true);
    if (r < 0) {
        return r;
    }
    matcher->groups = rpi_alloc(matcher->allocator, matcher->group_max * sizeof *matcher->groups);
    return matcher->groups == NULL ? -ENOMEM : 0;
}

int rpi_matcher_make(const rp_allocator *allocator,
                     const rp_pattern *patterns,
                     size_t count,
                     rpi_matcher **ret_matcher)
{
    rpi_matcher *matcher;
    size_t expressions = 0;
    size_t size;
    int r = 0;

    if (count == 0 || patterns == NULL) {
        return rpi_detail(RP_EINVAL, "patterns: none");
    }
    if (count > RPI_PATTERNS_MAX) {
        return rpi_detail(RP_EINVAL, "pattern_count: more than %d", RPI_PATTERNS_MAX);
    }
    for (size_t i = 0; i < count && r == 0; i++) {
        r = check(&patterns[i], i);
        expressions += is_expression(&patterns[i]) ? 1 : 0;
    }
    if (r < 0) {
        return r;
    }
    size = sizeof *matcher + expressions * sizeof(expression);
    matcher = rpi_alloc_zero(allocator, size);
    if (matcher == NULL) {
        return -ENOMEM;
    }
    matcher->allocator = allocator;
    matcher->block_size = size;
    matcher->expressions = (expression *)(void *)(matcher + 1);
    matcher->group_max = 1;
    matcher->pattern_count = count;
    r = fill(matcher, patterns, count);
    if (r < 0) {
        rpi_matcher_free(matcher);
        return r;
    }
    rpi_matcher_begin(matcher, 0);
    *ret_matcher = matcher;
    return 0;
}

void rpi_matcher_free(rpi_matcher *matcher)
{
    if (matcher == NULL) {
        return;
    }
    for (size_t i = 0; i < matcher->expression_count; i++) {
        rpi_regex_free(matcher->expressions[i].regex);
    }
    rpi_search_free(matcher->literals[0].search);
    rpi_search_free(matcher->literals[1].search);
    rpi_search_free(matcher->prefixes.search);
    rpi_free(matcher->allocator, matcher->groups,
             matcher->groups == NULL ? 0 : matcher->group_max * sizeof *matcher->groups);
    rpi_free(matcher->allocator, matcher, matcher->block_size);
}

size_t rpi_matcher_context(const rpi_matcher *matcher)
{
    return matcher->context;
}

size_t rpi_matcher_group_max(const rpi_matcher *matcher)
{
    return matcher->group_max;
}

/* ---- beginning -------------------------------------------------------------------- */

void rpi_matcher_begin(rpi_matcher *matcher, uint64_t offset)
{
    matcher->origin = offset;
    rpi_search_begin(&matcher->prefixes.run, offset);
    for (int i = 0; i < 2; i++) {
        rpi_search_begin(&matcher->literals[i].run, offset);
    }
    for (size_t i = 0; i < matcher->expression_count; i++) {
        expression *each = &matcher->expressions[i];

        each->found = false;
        each->idle = each->prefix_size > 0;
        each->put_off = false;
        each->from = offset;
        each->seen = offset;
        each->credited = offset;
        each->credit = 0;
    }
}

void rpi_matcher_forget(rpi_matcher *matcher, uint64_t offset)
{
    if (matcher->prefixes.search != NULL) {
        rpi_search_forget(matcher->prefixes.search, &matcher->prefixes.run, offset);
    }
    for (int i = 0; i < 2; i++) {
        literals *each = &matcher->literals[i];
        uint16_t ignored;

        if (each->search == NULL) {
            continue;
        }
        if (each->run.index == RPI_SEARCH_NONE) {
            rpi_search_forget(each->search, &each->run, offset);
        } else if (rpi_search_begun(each->search, &each->run, &ignored) < offset) {
            each->run.decided = true;
        }
    }
    for (size_t i = 0; i < matcher->expression_count; i++) {
        expression *each = &matcher->expressions[i];

        if (!each->found && each->from < offset) {
            each->from = offset;
            each->seen = each->seen < offset ? offset : each->seen;
        }
    }
}

/* ---- searching ---------------------------------------------------------------------- */

static bool comes_before(rank first, rank second)
{
    return first.start < second.start ||
           (first.start == second.start && first.index < second.index);
}

static rank rank_of(const expression *of)
{
    return (rank){of->from, of->index};
}

/* A prefix has come: the expressions that it belongs to are to be tried there. */
static void wake(rpi_matcher *matcher, uint16_t place, uint64_t start)
{
    while (place != RPI_SEARCH_NONE) {
        expression *each = &matcher->expressions[place];

        if (each->idle && start >= each->from) {
            each->idle = false;
            each->from = start;
            each->seen = start;
        }
        place = each->same;
    }
}

static void feed_prefixes(rpi_matcher *matcher, const rpi_matcher_text *text)
{
    const rpi_search *search = matcher->prefixes.search;
    rpi_search_run *run = &matcher->prefixes.run;
    uint64_t end = text->offset + text->size;

    while (search != NULL && run->at < end) {
        uint64_t start;
        uint16_t place;
        uint32_t hit = 0;

        (void)rpi_search_step(search, run, text->data + (run->at - text->offset),
                              (size_t)(end - run->at));
        while ((hit = rpi_search_hit(search, run, hit, &start, &place)) != 0) {
            wake(matcher, place, start);
        }
    }
}

static void feed_literals(literals *these, const rpi_matcher_text *text)
{
    rpi_search_run *run = &these->run;
    uint64_t end = text->offset + text->size;

    if (these->search != NULL && !run->decided && run->at < end) {
        RP_ASSERT(run->at >= text->offset);
        rpi_search_feed(these->search, run, text->data + (run->at - text->offset),
                        (size_t)(end - run->at));
    }
}

/* Keeps the groups of the best match so far: expressions that cannot come before it are not tried.
 */
static void keep_groups(rpi_matcher *matcher, const expression *of, uint64_t base)
{
    matcher->group_count = rpi_regex_group_count(of->regex);
    for (size_t i = 0; i < matcher->group_count; i++) {
        size_t start = 0;
        size_t end = 0;
        bool took_part = rpi_regex_group(of->regex, i, &start, &end);

        matcher->groups[i] = (rpi_matcher_span){.start = took_part ? base + start : UINT64_MAX,
                                                .end = took_part ? base + end : UINT64_MAX};
    }
}

/* Whether a new attempt may be made now, by what it would go over again. */
static bool may_try(expression *each, const rpi_matcher_text *text)
{
    uint64_t end = text->offset + text->size;
    uint64_t again = each->seen - each->from;

    each->credit += AGAIN_SHARE * (end - each->credited);
    each->credited = end;
    if (again <= AGAIN_FREE || text->at_once || text->ended) {
        return true;
    }
    if (again > each->credit) {
        return false;
    }
    each->credit -= again;
    return true;
}

/* One attempt of an expression: 0, or an error. */
static int try_expression(rpi_matcher *matcher,
                          expression *each,
                          const rpi_matcher_text *text,
                          const rank *best)
{
    uint64_t floor = matcher->origin > text->offset ? matcher->origin : text->offset;
    size_t context = rpi_regex_context(each->regex);
    uint64_t base = each->from - floor > context ? each->from - context : floor;
    uint64_t end = text->offset + text->size;
    rpi_regex_try attempt = {.data = text->data + (base - text->offset),
                             .size = (size_t)(end - base),
                             .from = (size_t)(each->from - base),
                             .ended = text->ended};
    size_t start = 0;
    int r;

    RP_ASSERT(each->from >= floor);
    r = rpi_regex_attempt(each->regex, &attempt, &start);
    if (r < 0) {
        return r;
    }
    each->from = base + start;
    each->seen = end > each->from ? end : each->from;
    each->put_off = false;
    each->found = r == RPI_REGEX_YES;
    each->idle = r == RPI_REGEX_NO && each->prefix_size > 0;
    if (each->found && comes_before(rank_of(each), *best)) {
        keep_groups(matcher, each, base);
    }
    return 0;
}

/* Looks at what is new with one expression: 0, or an error. */
static int feed_expression(rpi_matcher *matcher,
                           expression *each,
                           const rpi_matcher_text *text,
                           const rank *best)
{
    uint64_t end = text->offset + text->size;
    bool is_new = each->seen < end || text->ended || (each->put_off && text->at_once);

    if (each->found || each->idle || !is_new || comes_before(*best, rank_of(each))) {
        return 0;
    }
    if (!may_try(each, text)) {
        each->put_off = true;
        return 0;
    }
    return try_expression(matcher, each, text, best);
}

/* Whether something may still come before the best match; *ret_put_off: because it was put off. */
static bool is_open(const rpi_matcher *matcher, rank best, bool *ret_put_off)
{
    bool open = false;

    *ret_put_off = false;
    for (int i = 0; i < 2; i++) {
        const literals *each = &matcher->literals[i];
        rank bound;

        if (each->search == NULL || each->run.decided) {
            continue;
        }
        bound.start = rpi_search_begun(each->search, &each->run, &bound.index);
        open = open || comes_before(bound, best);
    }
    if (matcher->prefixes.search != NULL) { /* all that are idle at once */
        rank bound;

        bound.start =
            rpi_search_begun(matcher->prefixes.search, &matcher->prefixes.run, &bound.index);
        if (bound.index != RPI_SEARCH_NONE) {
            bound.index = matcher->expressions[bound.index].index;
        }
        open = open || comes_before(bound, best);
    }
    for (size_t i = 0; i < matcher->expression_count; i++) {
        const expression *each = &matcher->expressions[i];

        if (!each->found && !each->idle && comes_before(rank_of(each), best)) {
            open = true;
            *ret_put_off = *ret_put_off || each->put_off;
        }
    }
    return open;
}

/* The best match of the literals, and of the expressions that had found theirs before. */
static rank best_so_far(const rpi_matcher *matcher)
{
    rank best = {UINT64_MAX, RPI_SEARCH_NONE};

    for (int i = 0; i < 2; i++) {
        const literals *each = &matcher->literals[i];
        rank found = {each->run.start, each->run.index};

        if (each->run.index != RPI_SEARCH_NONE && comes_before(found, best)) {
            best = found;
        }
    }
    for (size_t i = 0; i < matcher->expression_count; i++) {
        const expression *each = &matcher->expressions[i];

        if (each->found && comes_before(rank_of(each), best)) {
            best = rank_of(each);
        }
    }
    return best;
}

uint64_t rpi_matcher_found_at(const rpi_matcher *matcher)
{
    return best_so_far(matcher).start;
}

/* The groups of a literal are the one that it is; those of an expression are kept already. */
static void take(rpi_matcher *matcher, rank best)
{
    matcher->pattern = best.index;
    for (int i = 0; i < 2; i++) {
        const rpi_search_run *run = &matcher->literals[i].run;

        if (run->index == best.index) {
            matcher->group_count = 1;
            matcher->groups[0] = (rpi_matcher_span){run->start, run->end};
        }
    }
}

int rpi_matcher_search(rpi_matcher *matcher, const rpi_matcher_text *text)
{
    bool put_off;
    rank best;

    feed_prefixes(matcher, text);
    feed_literals(&matcher->literals[0], text);
    feed_literals(&matcher->literals[1], text);
    best = best_so_far(matcher);
    for (size_t i = 0; i < matcher->expression_count; i++) {
        expression *each = &matcher->expressions[i];
        int r = feed_expression(matcher, each, text, &best);

        if (r < 0) {
            return name_pattern(r, each->index, matcher->pattern_count);
        }
        if (each->found && comes_before(rank_of(each), best)) {
            best = rank_of(each);
        }
    }
    if (is_open(matcher, best, &put_off) && !text->ended) {
        return put_off ? RPI_MATCHER_LATER : RPI_MATCHER_NO;
    }
    if (best.index == RPI_SEARCH_NONE) {
        return RPI_MATCHER_NO;
    }
    take(matcher, best);
    return RPI_MATCHER_YES;
}

void rpi_matcher_result_of(const rpi_matcher *matcher, rpi_matcher_result *ret_result)
{
    *ret_result = (rpi_matcher_result){.pattern = matcher->pattern,
                                       .group_count = matcher->group_count,
                                       .groups = matcher->groups};
}

uint64_t rpi_matcher_put_off(const rpi_matcher *matcher)
{
    uint64_t bytes = 0;

    for (size_t i = 0; i < matcher->expression_count; i++) {
        const expression *each = &matcher->expressions[i];

        bytes += each->put_off ? each->seen - each->from : 0;
    }
    return bytes;
}
