/* See search.h. The automaton's nodes are the beginnings of the literals, node 0 the empty one;
 * children are a list, as nearly all nodes have one. The filter leaves node 0 only where a literal
 * may begin: for one literal by comparing its two rarest bytes at sixteen places at once, for
 * several by tables of the pairs of bytes that they begin with, at eight places at once. Both look
 * at bytes in front of them, so the last ones of a chunk always go through the automaton, which is
 * what carries over to the next chunk. */
#include "core/search.h"

#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "base/status.h"

enum {
    PAIRS = 1 << 13,
    MAY_BEGIN = 1,   /* a literal begins with this pair of bytes */
    MAY_FOLLOW = 2,  /* the pair stands behind a literal's first byte */
    ROUND = 8,       /* places looked at together */
    REACH_MAX = 255, /* how far in front the filter of one literal looks */
    LANES = 16,
    STRIDE = 32 /* two of them a round */
};

typedef struct node {
    uint32_t child;     /* the first; 0 = none */
    uint32_t sibling;   /* the next child of its parent; 0 = none */
    uint32_t fail;      /* the longest proper end of it that is a node */
    uint32_t hit;       /* the longest end of it, itself included, that is a literal; 0 = none */
    uint32_t depth;     /* bytes */
    uint16_t index;     /* the literal that it is; RPI_SEARCH_NONE */
    uint16_t below;     /* the lowest index of literals that go on from it; RPI_SEARCH_NONE */
    unsigned char byte; /* its last one, folded */
} node;

typedef uint8_t lanes __attribute__((vector_size(LANES)));
typedef uint64_t halves __attribute__((vector_size(LANES)));

/* A byte of the literal that the filter compares: text | bits == byte. */
typedef struct probe {
    size_t offset; /* in the literal */
    uint8_t bits;  /* 0x20 where both cases of a letter are meant */
    uint8_t byte;
} probe;

struct rpi_search {
    const rp_allocator *allocator; /* borrowed */
    size_t block_size;
    node *nodes; /* behind the struct */
    uint32_t node_count;
    bool single;   /* one literal: probes; else pairs */
    size_t window; /* bytes that the filter looks at from where a literal may begin */
    probe probes[2];
    uint32_t roots[256]; /* children of node 0, by byte as it comes */
    uint8_t folds[256];
    uint8_t pairs[PAIRS];
};

/* ---- making ------------------------------------------------------------------ */

static uint32_t child_of(const rpi_search *search, uint32_t parent, unsigned char byte)
{
    uint32_t found;

    if (parent == 0) {
        return search->roots[byte];
    }
    found = search->nodes[parent].child;
    while (found != 0 && search->nodes[found].byte != byte) {
        found = search->nodes[found].sibling;
    }
    return found;
}

static uint32_t add_child(rpi_search *search, uint32_t parent, unsigned char byte)
{
    uint32_t added = search->node_count++;
    node *nodes = search->nodes;

    nodes[added] = (node){.sibling = nodes[parent].child,
                          .depth = nodes[parent].depth + 1,
                          .index = RPI_SEARCH_NONE,
                          .below = RPI_SEARCH_NONE,
                          .byte = byte};
    nodes[parent].child = added;
    if (parent == 0) {
        search->roots[byte] = added;
    }
    return added;
}

static void add_literal(rpi_search *search, const rpi_literal *literal)
{
    uint32_t at = 0;

    for (size_t i = 0; i < literal->size; i++) {
        unsigned char byte = search->folds[(unsigned char)literal->text[i]];
        uint32_t next = child_of(search, at, byte);

        if (literal->index < search->nodes[at].below) {
            search->nodes[at].below = literal->index;
        }
        at = next != 0 ? next : add_child(search, at, byte);
    }
    if (literal->index < search->nodes[at].index) {
        search->nodes[at].index = literal->index;
    }
}

/* Where the automaton goes from a node with a (folded) byte. */
static inline uint32_t step(const rpi_search *search, uint32_t at, unsigned char byte)
{
    while (at != 0) {
        uint32_t next = child_of(search, at, byte);

        if (next != 0) {
            return next;
        }
        at = search->nodes[at].fail;
    }
    return search->roots[byte];
}

/* Level by level, as a node's ends are shorter than itself. `queue` has room for all nodes. */
static void link_nodes(rpi_search *search, uint32_t *queue)
{
    node *nodes = search->nodes;
    uint32_t count = 0;

    queue[count++] = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t parent = queue[i];

        for (uint32_t at = nodes[parent].child; at != 0; at = nodes[at].sibling) {
            nodes[at].fail = parent == 0 ? 0 : step(search, nodes[parent].fail, nodes[at].byte);
            nodes[at].hit = nodes[at].index != RPI_SEARCH_NONE ? at : nodes[nodes[at].fail].hit;
            queue[count++] = at;
        }
    }
    RP_ASSERT(count == search->node_count);
}

/* How common a byte is in what programs print; 0 for all that are rare. */
static size_t commonness(unsigned char byte)
{
    static const char by_rank[] = "ZQXJqzKVWYUHGBFxj@~^%&?!$#*+|<>(){}\"'`\\=,;[]\x1b_:/.-9876543P"
                                  "RDLMNOICASETvkwybgpf21mucdhlrsinoat0\r\ne ";
    const char *found = byte == 0 ? NULL : strchr(by_rank, byte);

    return found == NULL ? 0 : (size_t)(found - by_rank) + 1;
}

static bool is_letter(unsigned char byte)
{
    return (byte | 0x20) >= 'a' && (byte | 0x20) <= 'z';
}

static void make_probes(rpi_search *search, const rpi_literal *literal, bool caseless)
{
    size_t reach = literal->size < REACH_MAX ? literal->size : REACH_MAX;
    size_t chosen[2] = {0, 0}; /* the rarest, and the next one */

    for (size_t i = 1; i < reach; i++) {
        size_t rank = commonness((unsigned char)literal->text[i]);

        if (rank < commonness((unsigned char)literal->text[chosen[0]])) {
            chosen[1] = chosen[0];
            chosen[0] = i;
        } else if (chosen[1] == chosen[0] ||
                   rank < commonness((unsigned char)literal->text[chosen[1]])) {
            chosen[1] = i;
        }
    }
    for (int i = 0; i < 2; i++) {
        unsigned char byte = (unsigned char)literal->text[chosen[i]];
        uint8_t bits = caseless && is_letter(byte) ? 0x20 : 0;

        search->probes[i] =
            (probe){.offset = chosen[i], .bits = bits, .byte = (uint8_t)(byte | bits)};
    }
    search->window = (chosen[0] > chosen[1] ? chosen[0] : chosen[1]) + 1;
}

static inline size_t pair_hash(unsigned char first, unsigned char second)
{
    return ((size_t)second << 5) ^ first;
}

/* Notes a pair of a literal, in all its cases. */
static void note_pair(rpi_search *search, const char *pair, uint8_t note)
{
    for (unsigned int a = 0; a < 256; a++) {
        if (search->folds[a] != search->folds[(unsigned char)pair[0]]) {
            continue;
        }
        for (unsigned int b = 0; b < 256; b++) {
            if (search->folds[b] == search->folds[(unsigned char)pair[1]]) {
                search->pairs[pair_hash((unsigned char)a, (unsigned char)b)] |= note;
            }
        }
    }
}

static void make_pairs(rpi_search *search, const rpi_literal *literals, size_t count)
{
    search->window = 3;
    for (size_t i = 0; i < count; i++) {
        search->window = literals[i].size < search->window ? literals[i].size : search->window;
    }
    for (size_t i = 0; i < count && search->window > 1; i++) {
        note_pair(search, literals[i].text, MAY_BEGIN);
        if (search->window > 2) {
            note_pair(search, literals[i].text + 1, MAY_FOLLOW);
        }
    }
}

static void make_folds(rpi_search *search, bool caseless)
{
    for (unsigned int i = 0; i < 256; i++) {
        bool is_upper = i >= 'A' && i <= 'Z';

        search->folds[i] = (uint8_t)(caseless && is_upper ? i | 0x20 : i);
    }
}

/* The other case of a first byte leads to the same child. */
static void spread_roots(rpi_search *search)
{
    for (unsigned int i = 0; i < 256; i++) {
        search->roots[i] = search->roots[search->folds[i]];
    }
}

int rpi_search_make(const rp_allocator *allocator,
                    const rpi_literal *literals,
                    size_t count,
                    bool caseless,
                    rpi_search **ret_search)
{
    size_t bytes = 0;
    size_t size;
    rpi_search *search;
    uint32_t *queue;

    for (size_t i = 0; i < count; i++) {
        RP_ASSERT(literals[i].size > 0 && literals[i].index < RPI_SEARCH_NONE);
        if (literals[i].size > RPI_SEARCH_BYTES_MAX - bytes) {
            return rpi_detail(RP_EPATTERN, "the literals have more than %d bytes in all",
                              RPI_SEARCH_BYTES_MAX);
        }
        bytes += literals[i].size;
    }
    size = sizeof *search + (bytes + 1) * sizeof(node);
    search = rpi_alloc_zero(allocator, size);
    queue = rpi_alloc(allocator, (bytes + 1) * sizeof *queue);
    if (search == NULL || queue == NULL) {
        rpi_free(allocator, search, size);
        rpi_free(allocator, queue, (bytes + 1) * sizeof *queue);
        return -ENOMEM;
    }
    search->allocator = allocator;
    search->block_size = size;
    search->nodes = (node *)(void *)(search + 1);
    search->nodes[0] = (node){.index = RPI_SEARCH_NONE, .below = RPI_SEARCH_NONE};
    search->node_count = 1;
    search->single = count == 1;
    make_folds(search, caseless);
    for (size_t i = 0; i < count; i++) {
        add_literal(search, &literals[i]);
    }
    link_nodes(search, queue);
    spread_roots(search);
    rpi_free(allocator, queue, (bytes + 1) * sizeof *queue);
    if (search->single) {
        make_probes(search, literals, caseless);
    } else {
        make_pairs(search, literals, count);
    }
    *ret_search = search;
    return 0;
}

void rpi_search_free(rpi_search *search)
{
    if (search != NULL) {
        rpi_free(search->allocator, search, search->block_size);
    }
}

/* ---- the filter ---------------------------------------------------------------- */

static inline lanes load(const unsigned char *from)
{
    lanes loaded;

    memcpy(&loaded, from, sizeof loaded);
    return loaded;
}

static inline lanes all_of(uint8_t byte)
{
    return (lanes){0} + byte;
}

static inline bool any(lanes these)
{
    halves both = (halves)these;

    return (both[0] | both[1]) != 0;
}

/* Where the literal may begin next, from `at` on; places whose window is not all there count. */
static const unsigned char *
skip_single(const rpi_search *search, const unsigned char *at, const unsigned char *end)
{
    const probe first = search->probes[0];
    const probe second = search->probes[1];
    const lanes first_byte = all_of(first.byte);
    const lanes first_bits = all_of(first.bits);
    const lanes second_byte = all_of(second.byte);
    const lanes second_bits = all_of(second.bits);

    while ((size_t)(end - at) >= search->window + STRIDE) {
        lanes hits = (lanes)((load(at + first.offset) | first_bits) == first_byte) &
                     (lanes)((load(at + second.offset) | second_bits) == second_byte);
        lanes more = (lanes)((load(at + LANES + first.offset) | first_bits) == first_byte) &
                     (lanes)((load(at + LANES + second.offset) | second_bits) == second_byte);

        if (any(hits | more)) {
            break;
        }
        at += STRIDE;
    }
    while ((size_t)(end - at) >= search->window &&
           ((at[first.offset] | first.bits) != first.byte ||
            (at[second.offset] | second.bits) != second.byte)) {
        at++;
    }
    return at;
}

static const unsigned char *
skip_bytes(const rpi_search *search, const unsigned char *at, const unsigned char *end)
{
    while (at < end && search->roots[*at] == 0) {
        at++;
    }
    return at;
}

/* The next place, of those whose window is all there, where a pair may begin a literal. */
static const unsigned char *
skip_pairs(const rpi_search *search, const unsigned char *at, const unsigned char *end)
{
    const uint8_t *pairs = search->pairs;
    const unsigned char *last = end - search->window; /* there are so many */

    while (last - at >= ROUND) {
        unsigned int any_of = 0;

        for (size_t i = 0; i < ROUND; i++) {
            any_of |= pairs[pair_hash(at[i], at[i + 1])];
        }
        if ((any_of & MAY_BEGIN) != 0) {
            break;
        }
        at += ROUND;
    }
    while (at <= last && (pairs[pair_hash(at[0], at[1])] & MAY_BEGIN) == 0) {
        at++;
    }
    return at;
}

static const unsigned char *
skip_several(const rpi_search *search, const unsigned char *at, const unsigned char *end)
{
    if (search->window == 1) {
        return skip_bytes(search, at, end);
    }
    while ((size_t)(end - at) >= search->window) {
        at = skip_pairs(search, at, end);
        if ((size_t)(end - at) < search->window || search->window == 2 ||
            (search->pairs[pair_hash(at[1], at[2])] & MAY_FOLLOW) != 0) {
            break;
        }
        at++;
    }
    return at;
}

/* ---- feeding ------------------------------------------------------------------- */

void rpi_search_begin(rpi_search_run *run, uint64_t at)
{
    *run = (rpi_search_run){.at = at, .index = RPI_SEARCH_NONE};
}

/* Takes note of a literal that ends here. Of those that end at one place the longest begins first.
 */
static void note_hit(const rpi_search *search, rpi_search_run *run)
{
    const node *hit = &search->nodes[search->nodes[run->node].hit];
    uint64_t start = run->at - hit->depth;

    if (run->index == RPI_SEARCH_NONE || start < run->start ||
        (start == run->start && hit->index < run->index)) {
        run->start = start;
        run->end = run->at;
        run->index = hit->index;
    }
}

static bool is_decided(const rpi_search *search, const rpi_search_run *run)
{
    const node *here = &search->nodes[run->node];
    uint64_t begun = run->at - here->depth;

    return begun > run->start || (begun == run->start && here->below >= run->index);
}

/* Byte by byte, until nothing is begun and nothing found, or it is decided. */
static const unsigned char *walk(const rpi_search *search,
                                 rpi_search_run *run,
                                 const unsigned char *at,
                                 const unsigned char *end)
{
    do {
        run->node = step(search, run->node, search->folds[*at]);
        run->at++;
        at++;
        if (search->nodes[run->node].hit != 0) {
            note_hit(search, run);
        }
        if (run->index != RPI_SEARCH_NONE && is_decided(search, run)) {
            run->decided = true;
            break;
        }
    } while (at < end && (run->node != 0 || run->index != RPI_SEARCH_NONE));
    return at;
}

void rpi_search_feed(const rpi_search *search, rpi_search_run *run, const char *bytes, size_t size)
{
    const unsigned char *at = (const unsigned char *)bytes;
    const unsigned char *end = at + size;

    while (at < end && !run->decided) {
        if (run->node == 0 && run->index == RPI_SEARCH_NONE) {
            const unsigned char *next =
                search->single ? skip_single(search, at, end) : skip_several(search, at, end);

            run->at += (uint64_t)(next - at);
            at = next;
            if (at == end) {
                break;
            }
        }
        at = walk(search, run, at, end);
    }
}

void rpi_search_forget(const rpi_search *search, rpi_search_run *run, uint64_t offset)
{
    while (run->node != 0 && run->at - search->nodes[run->node].depth < offset) {
        run->node = search->nodes[run->node].fail;
    }
    if (run->at < offset) {
        run->at = offset;
    }
}

size_t
rpi_search_step(const rpi_search *search, rpi_search_run *run, const char *bytes, size_t size)
{
    const unsigned char *begin = (const unsigned char *)bytes;
    const unsigned char *at = begin;
    const unsigned char *end = begin + size;

    while (at < end) {
        if (run->node == 0) {
            at = search->single ? skip_single(search, at, end) : skip_several(search, at, end);
            if (at == end) {
                break;
            }
        }
        run->node = step(search, run->node, search->folds[*at]);
        at++;
        if (search->nodes[run->node].hit != 0) {
            break;
        }
    }
    run->at += (uint64_t)(at - begin);
    return (size_t)(at - begin);
}

uint32_t rpi_search_hit(const rpi_search *search,
                        const rpi_search_run *run,
                        uint32_t hit,
                        uint64_t *ret_start,
                        uint16_t *ret_index)
{
    const node *nodes = search->nodes;

    hit = nodes[hit == 0 ? run->node : nodes[hit].fail].hit;
    if (hit != 0) {
        *ret_start = run->at - nodes[hit].depth;
        *ret_index = nodes[hit].index;
    }
    return hit;
}

uint64_t rpi_search_begun(const rpi_search *search, const rpi_search_run *run, uint16_t *ret_index)
{
    const node *here = &search->nodes[run->node];

    *ret_index = here->below;
    return run->at - here->depth;
}
