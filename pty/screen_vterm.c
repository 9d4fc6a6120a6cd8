/* Screens by libvterm, the only file that knows it. See screen.h.
 *
 * libvterm trusts its memory never to run out: it uses what its allocator gives without a look. So
 * each of its blocks is on a list of ours, and where there is no memory we leave it by longjmp from
 * inside its call for some: its half-made state is given up, block by block, without asking it. It
 * holds nothing else: no lock, no descriptor.
 *
 * Nor does it look at where its cursor is: one that was saved before the screen became smaller, or
 * was pushed off its top, is used as an index of rows and columns all the same. So each block has
 * room around it for an index that was good at some time, and a cursor that is not on the screen
 * is brought back to it. Where the row of such a cursor is to be made one of double width (ESC # 3
 * to 6), it writes through a null pointer; so those sequences do not reach it, as many terminals do
 * not know them either.
 *
 * It loses a combining character whose bytes come in two pieces, so what is not a whole character
 * waits here for its rest.
 *
 * It tells of every place that it paints; whether that changed anything is known when the rows are
 * compared with what they were at the last look. Its idea of a title is one piece or another by its
 * version, so the title comes from our own scanner. What the child asks its terminal (where is the
 * cursor? what are you?) is not answered, as without a screen. */
#include "pty/screen.h"

#include <errno.h>
#include <setjmp.h>
#include <stdalign.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <vterm.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/list.h"
#include "base/status.h"
#include "pty/scan.h"

struct rpi_screen {
    rp_allocator allocator;
    rpi_list blocks; /* block.node: all that libvterm holds */
    VTerm *emulator; /* NULL: lost for want of memory */
    VTermScreen *cells;
    jmp_buf *no_memory; /* where to go from inside of libvterm; set while it is called */
    char begun[4];      /* the first bytes of a character */
    size_t begun_size;
    uint8_t escape; /* how much of such a sequence has come: ESC, '#' */
    rpi_scan scan;
    char scan_body[RPI_SCREEN_TITLE_MAX + 4]; /* with the number of the command */
    char title[RPI_SCREEN_TITLE_MAX];
    size_t title_size;
    char *text; /* of the last look */
    size_t text_size;
    size_t text_room;
    char *next_text; /* of the same size: what is drawn to be compared */
    size_t next_room;
    uint64_t generation;
    uint16_t rows, cols;
    uint16_t rows_max, cols_max; /* that it ever had */
    bool is_touched;
    bool cursor_visible;
    bool alternate;
};

/* ---- memory ------------------------------------------------------------------------ */

typedef struct block {
    rpi_list node;
    size_t size; /* of this struct and all behind it */
    void *given; /* what libvterm knows, behind the slack */
    alignas(max_align_t) char bytes[];
} block;

/* Rows are indexed in words of 4 bytes, columns in bytes at most. */
static size_t slack_of(const rpi_screen *screen)
{
    const size_t align = alignof(max_align_t);

    return (4 * (size_t)screen->rows_max + screen->cols_max + align - 1) / align * align;
}

static void *take_block(size_t size, void *user)
{
    rpi_screen *screen = user;
    const size_t slack = slack_of(screen);
    const size_t around = sizeof(block) + 2 * slack;
    block *new =
        size > SIZE_MAX - around ? NULL : rpi_alloc_zero(&screen->allocator, around + size);

    if (new == NULL) {
        RP_ASSERT(screen->no_memory != NULL);
        longjmp(*screen->no_memory, 1);
    }
    new->size = around + size;
    new->given = new->bytes + slack;
    rpi_list_append(&screen->blocks, &new->node);
    return new->given;
}

static void free_block(rpi_screen *screen, block *old)
{
    rpi_list_remove(&old->node);
    rpi_free(&screen->allocator, old, old->size);
}

static void give_block(void *bytes, void *user)
{
    rpi_screen *screen = user;

    for (rpi_list *node = screen->blocks.next; node != &screen->blocks; node = node->next) {
        block *each = RPI_CONTAINER(node, block, node);

        if (each->given == bytes) {
            free_block(screen, each);
            return;
        }
    }
}

static void free_blocks(rpi_screen *screen)
{
    while (!rpi_list_is_empty(&screen->blocks)) {
        free_block(screen, RPI_CONTAINER(screen->blocks.next, block, node));
    }
    screen->emulator = NULL;
    screen->cells = NULL;
}

/* ---- what libvterm tells -------------------------------------------------------------- */

static int on_damage(VTermRect rect, void *user)
{
    rpi_screen *screen = user;

    (void)rect;
    screen->is_touched = true;
    return 1;
}

static int on_property(VTermProp property, VTermValue *value, void *user)
{
    rpi_screen *screen = user;

    if (property == VTERM_PROP_CURSORVISIBLE) {
        screen->cursor_visible = value->boolean != 0;
    } else if (property == VTERM_PROP_ALTSCREEN) {
        screen->alternate = value->boolean != 0;
        screen->is_touched = true;
    }
    return 1;
}

static void on_answer(const char *bytes, size_t size, void *user)
{
    (void)bytes; /* see above: nobody is told */
    (void)size;
    (void)user;
}

static const VTermScreenCallbacks callbacks = {.damage = on_damage, .settermprop = on_property};

/* libvterm's header has it without const. */
static VTermAllocatorFunctions functions = {take_block, give_block};

static void on_event(const rpi_scan_event *event, void *user)
{
    rpi_screen *screen = user;

    if (event->kind == RPI_SCAN_TITLE) {
        screen->title_size =
            event->text.size < sizeof screen->title ? event->text.size : sizeof screen->title;
        memcpy(screen->title, event->text.data, screen->title_size);
    }
}

/* ---- calling libvterm -------------------------------------------------------------------- */

typedef void call_fn(rpi_screen *screen, const void *argument);

/* Calls something that may run out of memory: then the emulator is lost. */
static int call(rpi_screen *screen, call_fn *function, const void *argument)
{
    jmp_buf no_memory;

    screen->no_memory = &no_memory;
    if (setjmp(no_memory) != 0) {
        screen->no_memory = NULL;
        free_blocks(screen);
        return -ENOMEM;
    }
    function(screen, argument);
    screen->no_memory = NULL;
    return 0;
}

/* It writes through a null pointer when a wide character comes where there is but one column. */
static int emulated_cols(const rpi_screen *screen)
{
    return screen->cols > 1 ? screen->cols : 2;
}

static void make_emulator(rpi_screen *screen, const void *argument)
{
    (void)argument;
    screen->emulator =
        vterm_new_with_allocator(screen->rows, emulated_cols(screen), &functions, screen);
    vterm_set_utf8(screen->emulator, 1);
    vterm_output_set_callback(screen->emulator, on_answer, NULL);
    screen->cells = vterm_obtain_screen(screen->emulator);
    vterm_screen_set_callbacks(screen->cells, &callbacks, screen);
    vterm_screen_set_damage_merge(screen->cells, VTERM_DAMAGE_SCROLL);
    vterm_screen_enable_altscreen(screen->cells, 1);
    vterm_screen_reset(screen->cells, 1);
}

static VTermPos cursor_of(const rpi_screen *screen)
{
    VTermPos cursor;

    vterm_state_get_cursorpos(vterm_obtain_state(screen->emulator), &cursor);
    return cursor;
}

static int within(int number, int end)
{
    return number < 0 ? 0 : number < end ? number : end - 1;
}

/* Not between the bytes of a sequence of the child's, which would end by it. */
static void bring_cursor_back(rpi_screen *screen)
{
    const VTermPos cursor = cursor_of(screen);
    const int row = within(cursor.row, screen->rows);
    const int col = within(cursor.col, screen->cols);
    char text[32];
    int size;

    if ((row == cursor.row && col == cursor.col) || !rpi_scan_is_at_text(&screen->scan)) {
        return;
    }
    size = snprintf(text, sizeof text, "\x1b[%d;%dH", row + 1, col + 1);
    (void)vterm_input_write(screen->emulator, text, (size_t)size);
}

/* Where ESC # 3 to 6 ends, or the end of the bytes. Controls in between are no part of it. */
static size_t find_line_width(rpi_screen *screen, rp_view bytes)
{
    for (size_t i = 0; i < bytes.size; i++) {
        const unsigned char byte = (unsigned char)bytes.data[i];

        if (byte == 0x1b) {
            screen->escape = 1;
        } else if (screen->escape == 0) {
            const char *next = memchr(bytes.data + i, 0x1b, bytes.size - i);

            i = next == NULL ? bytes.size : (size_t)(next - bytes.data) - 1;
        } else if (byte == 0x18 || byte == 0x1a) {
            screen->escape = 0;
        } else if (byte >= ' ' && byte != 0x7f) {
            const bool is_end = screen->escape == 2 && byte >= '3' && byte <= '6';

            screen->escape = screen->escape == 1 && byte == '#' ? 2 : 0;
            if (is_end) {
                return i;
            }
        }
    }
    return bytes.size;
}

static void feed_emulator(rpi_screen *screen, const void *argument)
{
    rp_view bytes = *(const rp_view *)argument;

    while (bytes.size > 0) {
        const size_t size = find_line_width(screen, bytes);

        (void)vterm_input_write(screen->emulator, bytes.data, size); /* it takes all */
        bytes.data += size;
        bytes.size -= size;
        if (bytes.size > 0) {
            (void)vterm_input_write(screen->emulator, "0", 1); /* ESC # 0 is nothing */
            bytes.data++;
            bytes.size--;
        }
    }
    bring_cursor_back(screen);
    vterm_screen_flush_damage(screen->cells);
}

static void resize_emulator(rpi_screen *screen, const void *argument)
{
    (void)argument;
    vterm_set_size(screen->emulator, screen->rows, emulated_cols(screen));
    bring_cursor_back(screen);
    vterm_screen_flush_damage(screen->cells);
}

/* ---- the screen ------------------------------------------------------------------------- */

bool rpi_screen_is_available(void)
{
    return true;
}

static int check_size(uint16_t rows, uint16_t cols)
{
    if (rows == 0 || cols == 0) {
        return rpi_detail(RP_EINVAL, "%s: zero", rows == 0 ? "rows" : "cols");
    }
    if ((uint32_t)rows * cols > RPI_SCREEN_CELLS_MAX) {
        return rpi_detail(RP_EINVAL, "screen: %u rows of %u columns are too many for one", rows,
                          cols);
    }
    return 0;
}

static void set_size(rpi_screen *screen, uint16_t rows, uint16_t cols)
{
    screen->rows = rows;
    screen->cols = cols;
    screen->rows_max = rows > screen->rows_max ? rows : screen->rows_max;
    screen->cols_max = cols > screen->cols_max ? cols : screen->cols_max;
}

int rpi_screen_open(const rp_allocator *allocator,
                    uint16_t rows,
                    uint16_t cols,
                    rpi_screen **ret_screen)
{
    rpi_screen *screen;
    int r = check_size(rows, cols);

    if (r < 0) {
        return r;
    }
    screen = rpi_alloc_zero(allocator, sizeof *screen);
    if (screen == NULL) {
        return -ENOMEM;
    }
    screen->allocator = *allocator;
    set_size(screen, rows, cols);
    screen->cursor_visible = true;
    screen->is_touched = true;
    rpi_list_init(&screen->blocks);
    rpi_scan_init(&screen->scan, screen->scan_body, sizeof screen->scan_body);
    r = call(screen, make_emulator, NULL);
    if (r < 0) {
        rpi_screen_close(screen);
        return r;
    }
    *ret_screen = screen;
    return 0;
}

void rpi_screen_close(rpi_screen *screen)
{
    rp_allocator allocator;

    if (screen == NULL) {
        return;
    }
    allocator = screen->allocator;
    free_blocks(screen);
    rpi_free(&allocator, screen->text, screen->text_room);
    rpi_free(&allocator, screen->next_text, screen->next_room);
    rpi_free(&allocator, screen, sizeof *screen);
}

/* How many bytes a character has that begins so; 1 also for what begins none. */
static size_t character_size(unsigned char first)
{
    if (first < 0xc2 || first > 0xf4) {
        return 1;
    }
    return first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
}

/* The size without a character at the end whose rest is still to come. */
static size_t whole_size(rp_view bytes)
{
    for (size_t back = 1; back <= 3 && back <= bytes.size; back++) {
        unsigned char byte = (unsigned char)bytes.data[bytes.size - back];

        if (byte < 0x80) {
            break;
        }
        if (byte >= 0xc0) {
            return character_size(byte) > back ? bytes.size - back : bytes.size;
        }
    }
    return bytes.size;
}

/* Completes the character that was begun; takes from the front of *bytes. */
static int finish_character(rpi_screen *screen, rp_view *bytes)
{
    const size_t wanted = character_size((unsigned char)screen->begun[0]);
    rp_view whole = {screen->begun, 0};

    while (bytes->size > 0 && screen->begun_size < wanted &&
           ((unsigned char)*bytes->data & 0xc0U) == 0x80) {
        screen->begun[screen->begun_size++] = *bytes->data++;
        bytes->size--;
    }
    if (bytes->size == 0 && screen->begun_size < wanted) {
        return 0;
    }
    whole.size = screen->begun_size;
    screen->begun_size = 0;
    return call(screen, feed_emulator, &whole);
}

int rpi_screen_feed(rpi_screen *screen, rp_view bytes)
{
    const rpi_scan_sink sink = {.event = on_event, .user = screen};
    rp_view rest;
    int r = 0;

    if (screen->emulator == NULL) {
        return -ENOMEM;
    }
    rpi_scan_feed(&screen->scan, bytes, &sink);
    if (screen->begun_size > 0) {
        r = finish_character(screen, &bytes);
    }
    if (r < 0 || bytes.size == 0) {
        return r;
    }
    rest = bytes;
    bytes.size = whole_size(bytes);
    screen->begun_size = rest.size - bytes.size;
    if (screen->begun_size > 0) {
        memcpy(screen->begun, rest.data + bytes.size, screen->begun_size);
    }
    return bytes.size == 0 ? 0 : call(screen, feed_emulator, &bytes);
}

int rpi_screen_resize(rpi_screen *screen, uint16_t rows, uint16_t cols)
{
    int r = check_size(rows, cols);

    if (r < 0) {
        return r;
    }
    if (screen->emulator == NULL) {
        return -ENOMEM;
    }
    if (rows == screen->rows && cols == screen->cols) {
        return 0;
    }
    set_size(screen, rows, cols);
    screen->is_touched = true;
    return call(screen, resize_emulator, NULL);
}

bool rpi_screen_is_touched(const rpi_screen *screen)
{
    return screen->is_touched;
}

/* ---- looking ------------------------------------------------------------------------------ */

static bool grow(rpi_screen *screen, size_t wanted)
{
    size_t room = 2 * wanted;
    char *grown = rpi_resize(&screen->allocator, screen->next_text, screen->next_room, room);

    if (grown == NULL) {
        return false;
    }
    screen->next_text = grown;
    screen->next_room = room;
    return true;
}

/* Draws one row behind `at`; false: no memory. */
static bool draw_row(rpi_screen *screen, int row, size_t *at)
{
    const VTermRect rect = {
        .start_row = row, .end_row = row + 1, .start_col = 0, .end_col = screen->cols};
    size_t size = vterm_screen_get_text(screen->cells, NULL, 0, rect);

    if (screen->next_room - *at < size + 1 && !grow(screen, *at + size + 1)) {
        return false;
    }
    size = vterm_screen_get_text(screen->cells, screen->next_text + *at,
                                 screen->next_room - *at - 1, rect);
    while (size > 0 && screen->next_text[*at + size - 1] == ' ') {
        size--;
    }
    *at += size;
    screen->next_text[(*at)++] = '\n';
    return true;
}

static bool draw(rpi_screen *screen)
{
    size_t size = 0;
    char *text;
    size_t room;

    for (int row = 0; row < screen->rows; row++) {
        if (!draw_row(screen, row, &size)) {
            return false;
        }
    }
    if (size == screen->text_size && memcmp(screen->text, screen->next_text, size) == 0) {
        return true;
    }
    text = screen->text;
    room = screen->text_room;
    screen->text = screen->next_text;
    screen->text_room = screen->next_room;
    screen->text_size = size;
    screen->next_text = text;
    screen->next_room = room;
    screen->generation++;
    return true;
}

int rpi_screen_get(rpi_screen *screen, rpi_screen_look *ret_look)
{
    VTermPos cursor;

    if (screen->emulator == NULL) {
        return -ENOMEM;
    }
    if (screen->is_touched && !draw(screen)) {
        return -ENOMEM;
    }
    screen->is_touched = false;
    cursor = cursor_of(screen);
    *ret_look = (rpi_screen_look){.text = {screen->text, screen->text_size},
                                  .title = {screen->title, screen->title_size},
                                  .generation = screen->generation,
                                  .rows = screen->rows,
                                  .cols = screen->cols,
                                  .cursor_row = (uint16_t)within(cursor.row, screen->rows),
                                  .cursor_col = (uint16_t)within(cursor.col, screen->cols),
                                  .cursor_visible = screen->cursor_visible,
                                  .alternate = screen->alternate};
    return 0;
}
