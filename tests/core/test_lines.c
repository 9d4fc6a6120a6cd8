/* Tests the line splitter (core/lines.h): known texts, and random texts cut in every way against a
 * model that sees the whole text at once. */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/os.h"
#include "core/lines.h"
#include "tests/support/check.h"
#include "tests/support/fault.h"
#include "tests/support/seed.h"

#define RING_SIZE ((size_t)4096)

/* What came of a text: "[line]", "[piece~", "[rest$". */
typedef struct notes {
    char *text;
    size_t size;
    size_t capacity;
} notes;

static void note(notes *all, const char *bytes, size_t size)
{
    if (all->size + size + 1 > all->capacity) {
        all->capacity = 2 * (all->size + size + 64);
        all->text = realloc(all->text, all->capacity);
        cr_assert_not_null(all->text);
    }
    memcpy(all->text + all->size, bytes, size);
    all->size += size;
    all->text[all->size] = '\0';
}

static void note_line(notes *all, const char *text, size_t size, char end)
{
    note(all, "[", 1);
    note(all, text, size);
    note(all, &end, 1);
}

static char mark_of(rpi_line_found found)
{
    return found == RPI_LINE_WHOLE ? ']' : found == RPI_LINE_PARTIAL ? '~' : '$';
}

/* ---- the model --------------------------------------------------------------------- */

/* Where the line that begins at `at` ends: its text's size, and the size with its end. False: the
 * text is over before. */
static bool
model_line(const char *at, size_t left, rp_line_end end, size_t *ret_text, size_t *ret_whole)
{
    for (size_t i = 0; i < left; i++) {
        if (end == RP_LINE_NUL ? at[i] == '\0' : at[i] == '\n') {
            *ret_text = end == RP_LINE_LF && i > 0 && at[i - 1] == '\r' ? i - 1 : i;
            *ret_whole = i + 1;
            return true;
        }
        if (end == RP_LINE_CR_OR_LF && at[i] == '\r') {
            *ret_text = i;
            *ret_whole = i + 1 < left && at[i + 1] == '\n' ? i + 2 : i + 1;
            return true;
        }
    }
    return false;
}

static void model(const char *text, size_t size, const rpi_line_rules *rules, notes *all)
{
    const char *end = text + size;

    while (text < end) {
        size_t line = (size_t)(end - text);
        size_t whole = line;
        bool is_ended = model_line(text, line, rules->end, &line, &whole);
        const char *next = text + whole;

        for (; line > rules->line_max; line -= rules->line_max) {
            note_line(all, text, rules->line_max, '~');
            text += rules->line_max;
        }
        note_line(all, text, line, is_ended ? ']' : '$');
        text = next;
    }
}

/* ---- the splitter -------------------------------------------------------------------- */

typedef struct splitting {
    rpi_ring_pool *pool;
    rpi_ring ring;
    rpi_lines lines;
    rpi_line_rules rules;
    bool asks_once;
    notes found;
} splitting;

static void split_open(splitting *self, size_t line_max, rp_line_end end)
{
    memset(self, 0, sizeof *self);
    self->rules = (rpi_line_rules){.line_max = line_max, .end = end};
    rpi_lines_init(&self->lines, rpi_alloc_default(), &self->rules);
    cr_assert_eq(rpi_ring_pool_open(rpi_alloc_default(), RING_SIZE, &self->pool), 0);
    cr_assert_eq(rpi_ring_open(self->pool, 0, &self->ring), 0);
}

static void split_close(splitting *self)
{
    rpi_lines_fini(&self->lines);
    rpi_ring_close(self->pool, &self->ring);
    rpi_ring_pool_close(self->pool);
    free(self->found.text);
}

static void take_all(splitting *self, bool ended)
{
    rpi_line_found found;
    rpi_line_span span;
    rpi_line_span again;

    while ((found = rpi_lines_find(&self->lines, &self->ring, ended, &span)) != RPI_LINE_NONE) {
        again = span;
        if (!self->asks_once) { // pull mode may ask twice before it takes: the answer stays
            cr_assert_eq(rpi_lines_find(&self->lines, &self->ring, ended, &again), found);
            cr_assert_eq(again.text.size, span.text.size);
        }
        note_line(&self->found, again.text.data, again.text.size, mark_of(found));
        rpi_lines_take(&self->lines, &self->ring, found, &again);
    }
}

/* As much of the bytes as there is room for. */
static size_t feed(splitting *self, const char *bytes, size_t size)
{
    char *memory = NULL;
    uint32_t room = rpi_ring_reserve(&self->ring, &memory);

    size = size < room ? size : room;
    cr_assert_gt(size, 0, "the splitter keeps the ring full");
    memcpy(memory, bytes, size);
    rpi_ring_commit(&self->ring, (uint32_t)size);
    return size;
}

/* Feeds the text in pieces of at most `piece_max` random bytes (0: one by one), and compares. */
static void
check_against_model(const char *text, size_t size, const rpi_line_rules *rules, size_t piece_max)
{
    splitting self;
    notes expected = {NULL, 0, 0};

    split_open(&self, rules->line_max, rules->end);
    for (size_t at = 0; at < size;) {
        size_t piece = piece_max == 0 ? 1 : 1 + (size_t)rand() % piece_max;

        piece = piece < size - at ? piece : size - at;
        at += feed(&self, text + at, piece);
        if (rand() % 3 != 0 || rpi_ring_free(&self.ring) == 0) { // not every read is looked at
            take_all(&self, false);
        }
    }
    take_all(&self, true);
    model(text, size, rules, &expected);
    cr_assert_eq(self.found.size, expected.size, "line_max %zu, end %d, pieces of %zu",
                 rules->line_max, (int)rules->end, piece_max);
    cr_assert(expected.size == 0 || memcmp(self.found.text, expected.text, expected.size) == 0,
              "line_max %zu, end %d, pieces of %zu", rules->line_max, (int)rules->end, piece_max);
    cr_assert_eq(self.ring.count, 0);
    cr_assert_eq(rpi_lines_held(&self.lines), 0);
    free(expected.text);
    split_close(&self);
}

static void check_text(const char *text, size_t size, rp_line_end end, const char *expected)
{
    for (size_t cut = 0; cut <= size; cut++) { // in two pieces, at every place
        splitting self;

        split_open(&self, 1000, end);
        for (size_t at = 0; at < cut;) {
            at += feed(&self, text + at, cut - at);
        }
        take_all(&self, false);
        for (size_t at = cut; at < size;) {
            at += feed(&self, text + at, size - at);
        }
        take_all(&self, true);
        cr_assert_str_eq(self.found.text == NULL ? "" : self.found.text, expected, "cut at %zu",
                         cut);
        split_close(&self);
    }
}

Test(lines, keeps_blank_lines_and_an_unended_rest, .timeout = 60)
{
    check_text("a\n\n\nb", 5, RP_LINE_LF, "[a][][][b$");
    check_text("", 0, RP_LINE_LF, "");
    check_text("\n", 1, RP_LINE_LF, "[]");
    check_text("a\n", 2, RP_LINE_LF, "[a]");
}

Test(lines, takes_crlf_as_one_end_and_keeps_a_bare_cr, .timeout = 60)
{
    check_text("a\r\nb\r\n", 6, RP_LINE_LF, "[a][b]");
    check_text("a\rb\n\r\n", 6, RP_LINE_LF, "[a\rb][]");
    check_text("a\r\r\n", 4, RP_LINE_LF, "[a\r]");
    check_text("a\r", 2, RP_LINE_LF, "[a\r$");
}

Test(lines, ends_at_cr_or_lf_and_counts_crlf_once, .timeout = 60)
{
    check_text("a\rb\nc\r\nd", 8, RP_LINE_CR_OR_LF, "[a][b][c][d$");
    check_text("\r\r\n\n", 4, RP_LINE_CR_OR_LF, "[][][]");
    check_text("a\r", 2, RP_LINE_CR_OR_LF, "[a]");
    check_text("a\r\n", 3, RP_LINE_CR_OR_LF, "[a]");
}

Test(lines, ends_at_nul_only, .timeout = 60)
{
    static const char text[] = "a\nb\0\0c\r\n";
    static const char expected[] = "[a\nb][][c\r\n$";

    check_text(text, sizeof text - 1, RP_LINE_NUL, expected);
}

/* A text of short alphabets, where ends are frequent, or rare, so that lines outgrow the ring. */
static size_t make_text(char *text, size_t size_max)
{
    size_t size = (size_t)rand() % size_max;
    int one_in = rand() % 4 == 0 ? 5000 : 1 + rand() % 60;

    for (size_t i = 0; i < size; i++) {
        static const char ends[] = {'\n', '\r', '\0', '\n'};

        text[i] = (char)(rand() % one_in == 0 ? ends[rand() % 4] : 'a' + rand() % 26);
        if (i > 0 && text[i - 1] == '\r' && rand() % 2 == 0) {
            text[i] = '\n';
        }
    }
    return size;
}

Test(lines, are_the_same_however_the_text_was_cut, .timeout = 240)
{
    static const size_t maxima[] = {1,    2,    3,     7,     100,   RING_SIZE - 1, RING_SIZE,
                                    4097, 9000, 12288, 16384, 20000, 1 << 20};
    static char text[40000];

    rpi_seed_random();
    for (int round = 0; round < 600; round++) {
        rpi_line_rules rules = {.line_max =
                                    maxima[(size_t)rand() % (sizeof maxima / sizeof *maxima)],
                                .end = (rp_line_end)(rand() % 3)};
        size_t piece_max = round % 10 == 0 ? 0 : 1 + (size_t)rand() % (2 * RING_SIZE);

        check_against_model(text, make_text(text, round % 10 == 0 ? 6000 : sizeof text), &rules,
                            piece_max);
    }
}

Test(lines, are_the_same_in_a_ring_that_is_not_mirrored, .timeout = 240)
{
    static char text[40000];

    rpi_seed_random();
    rpi_fault_os_start();
    rpi_fault_os_fail("memfd_create", RPI_FAULT_EVERY, ENOSYS);
    for (int round = 0; round < 100; round++) {
        rpi_line_rules rules = {.line_max = 1 + (size_t)rand() % 9000,
                                .end = (rp_line_end)(rand() % 3)};

        check_against_model(text, make_text(text, sizeof text), &rules, 3000);
    }
    rpi_fault_os_stop();
}

Test(lines, of_exactly_line_max_come_whole, .timeout = 60)
{
    splitting self;

    split_open(&self, 4, RP_LINE_LF);
    (void)feed(&self, "abcd\nabcd\r\nabcde\nabcdefghij", 27);
    take_all(&self, false);
    cr_assert_str_eq(self.found.text, "[abcd][abcd][abcd~[e][abcd~[efgh~");
    take_all(&self, true);
    cr_assert_str_eq(self.found.text, "[abcd][abcd][abcd~[e][abcd~[efgh~[ij$");
    split_close(&self);
}

/* The bytes of the notes without their marks: the text has none of them. */
static size_t strip_marks(char *text, size_t size)
{
    size_t kept = 0;

    for (size_t i = 0; i < size; i++) {
        if (strchr("[]~$", text[i]) == NULL) {
            text[kept++] = text[i];
        }
    }
    return kept;
}

Test(lines, lose_no_byte_where_there_is_no_memory, .timeout = 120)
{
    static char text[30000];
    bool fired = true;

    for (size_t i = 0; i < sizeof text; i++) {
        text[i] = (char)('a' + i % 26);
    }
    text[20000] = '\n';
    for (unsigned int n = 1; fired; n++) {
        rpi_fault_memory memory;
        splitting self;

        rpi_fault_memory_init(&memory, n);
        split_open(&self, 1 << 20, RP_LINE_LF);
        self.lines.allocator = &memory.allocator;
        self.asks_once = true; // the second time there may be memory, and so another answer
        for (size_t at = 0; at < sizeof text;) {
            size_t piece = sizeof text - at;

            at += feed(&self, text + at, piece);
            take_all(&self, false);
        }
        take_all(&self, true);
        size_t size = strip_marks(self.found.text, self.found.size);
        cr_assert_eq(size, sizeof text - 1, "request %u", n); // without the line's end
        cr_assert_eq(memcmp(self.found.text, text, 20000), 0);
        cr_assert_eq(memcmp(self.found.text + 20000, text + 20001, sizeof text - 20001), 0);
        fired = memory.fired;
        split_close(&self);
        cr_assert_eq(memory.live_blocks, 0);
    }
}
