/* Screens (pty/screen.h), by whatever emulator is built in: what of an output is to be seen, that
 * it is the same however the output is cut, and what hostile output and a lack of memory do. */
#include "pty/screen.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/status.h"
#include "tests/support/check.h"
#include "tests/support/fault.h"
#include "tests/support/noise.h"

static rpi_screen *open_screen(uint16_t rows, uint16_t cols)
{
    rpi_screen *screen = NULL;

    cr_assert_eq(rpi_screen_open(rpi_alloc_default(), rows, cols, &screen), 0);
    return screen;
}

static void feed(rpi_screen *screen, const char *bytes)
{
    cr_assert_eq(rpi_screen_feed(screen, (rp_view){bytes, strlen(bytes)}), 0);
}

static rpi_screen_look look_at(rpi_screen *screen)
{
    rpi_screen_look look;

    cr_assert_eq(rpi_screen_get(screen, &look), 0);
    cr_assert_not(rpi_screen_is_touched(screen));
    return look;
}

static bool is(rp_view view, const char *text)
{
    return view.size == strlen(text) && memcmp(view.data, text, view.size) == 0;
}

#define CHECK_TEXT(screen, expected)                                                               \
    do {                                                                                           \
        rpi_screen_look seen_ = look_at(screen);                                                   \
        cr_assert(is(seen_.text, expected), "\"%.*s\"", (int)seen_.text.size, seen_.text.data);    \
    } while (0)

/* ---- what is seen ---- */

Test(screen, shows_rows_without_the_blanks_at_their_ends)
{
    rpi_screen *screen = open_screen(4, 10);

    CHECK_TEXT(screen, "\n\n\n\n");
    feed(screen, "one  \r\n  two\r\n\r\nthree");
    CHECK_TEXT(screen, "one\n  two\n\nthree\n");
    feed(screen, "\x1b[1;1Hx");
    CHECK_TEXT(screen, "xne\n  two\n\nthree\n");
    feed(screen, "\x1b[2J\x1b[3;4Hmid");
    CHECK_TEXT(screen, "\n\n   mid\n\n");
    rpi_screen_close(screen);
}

Test(screen, wraps_and_scrolls)
{
    rpi_screen *screen = open_screen(2, 4);

    feed(screen, "abcdef");
    CHECK_TEXT(screen, "abcd\nef\n");
    feed(screen, "\r\ngh");
    CHECK_TEXT(screen, "ef\ngh\n");
    rpi_screen_close(screen);
}

Test(screen, shows_wide_and_combining_characters_once)
{
    rpi_screen *screen = open_screen(2, 8);

    feed(screen, "\xe6\x97\xa5\xe6\x9c\xac.\r\ne\xcc\x81\xc3\xa9|");
    CHECK_TEXT(screen, "\xe6\x97\xa5\xe6\x9c\xac.\ne\xcc\x81\xc3\xa9|\n");
    cr_assert_eq(look_at(screen).cursor_col, 3);
    feed(screen, "\x1b[1;1H\xe6\x97\xa5");
    cr_assert_eq(look_at(screen).cursor_col, 2, "a wide one takes two columns");
    rpi_screen_close(screen);
}

Test(screen, tells_of_cursor_title_and_alternate_screen)
{
    rpi_screen *screen = open_screen(4, 10);
    rpi_screen_look look = look_at(screen);

    cr_assert(look.cursor_visible);
    cr_assert_not(look.alternate);
    cr_assert_eq(look.title.size, 0);
    cr_assert_eq(look.rows, 4);
    cr_assert_eq(look.cols, 10);
    feed(screen, "shell\x1b]2;edit \xe2\x80\x9cx\xe2\x80\x9d\x07\x1b[?1049h\x1b[?25l\x1b[2;3H");
    look = look_at(screen);
    cr_assert(is(look.title, "edit \xe2\x80\x9cx\xe2\x80\x9d"));
    cr_assert(look.alternate);
    cr_assert_not(look.cursor_visible);
    cr_assert_eq(look.cursor_row, 1);
    cr_assert_eq(look.cursor_col, 2);
    cr_assert(is(look.text, "\n\n\n\n"));
    feed(screen, "~\x1b[?25h\x1b[?1049l");
    look = look_at(screen);
    cr_assert_not(look.alternate);
    cr_assert(look.cursor_visible);
    cr_assert(is(look.text, "shell\n\n\n\n"), "\"%.*s\"", (int)look.text.size, look.text.data);
    rpi_screen_close(screen);
}

Test(screen, keeps_what_fits_when_it_is_resized)
{
    rpi_screen *screen = open_screen(2, 5);

    feed(screen, "ab\r\ncd");
    cr_assert_eq(rpi_screen_resize(screen, 3, 20), 0);
    feed(screen, "efghijk");
    CHECK_TEXT(screen, "ab\ncdefghijk\n\n");
    cr_assert_eq(look_at(screen).rows, 3);
    cr_assert_eq(look_at(screen).cols, 20);
    cr_assert_eq(rpi_screen_resize(screen, 3, 20), 0, "nothing to do");
    cr_assert_eq(rpi_screen_resize(screen, 0, 20), RP_EINVAL);
    cr_assert_eq(rpi_screen_resize(screen, 20, 0), RP_EINVAL);
    cr_assert_eq(rpi_screen_resize(screen, 65535, 65535), RP_EINVAL);
    cr_assert_eq(rpi_screen_resize(screen, 1, 1), 0);
    feed(screen, "\x1b[2Jx");
    CHECK_TEXT(screen, "x\n");
    rpi_screen_close(screen);
}

Test(screen, keeps_its_cursor_when_it_becomes_smaller)
{
    rpi_screen *screen = open_screen(20, 80);
    rpi_screen_look look;

    for (int i = 0; i < 19; i++) {
        feed(screen, "line\r\n");
    }
    feed(screen, "last\x1b[2;70H\x1b"
                 "7");
    cr_assert_eq(rpi_screen_resize(screen, 3, 7), 0);
    look = look_at(screen);
    cr_assert_lt(look.cursor_row, 3);
    cr_assert_lt(look.cursor_col, 7);
    feed(screen, "\x1b[0Kx");
    cr_assert_not_null(memchr(look_at(screen).text.data, 'x', look_at(screen).text.size));
    feed(screen, "\x1b[2J\x1b"
                 "8\x1b#6\x1bH\ty"); // the one that was saved is off the screen
    look = look_at(screen);
    cr_assert_lt(look.cursor_row, 3);
    feed(screen, "\rz");
    cr_assert_not_null(memchr(look_at(screen).text.data, 'z', look_at(screen).text.size));
    rpi_screen_close(screen);
}

Test(screen, waits_with_a_correction_until_a_sequence_has_ended)
{
    rpi_screen *screen = open_screen(5, 20);

    feed(screen, "a\r\nb\r\nc\r\nd\r\ne\x1b[1;1H\x1b[");
    cr_assert_eq(rpi_screen_resize(screen, 2, 20), 0);
    cr_assert_lt(look_at(screen).cursor_row, 2);
    feed(screen, "3mz");
    cr_assert_null(memchr(look_at(screen).text.data, '3', look_at(screen).text.size));
    feed(screen, "w");
    cr_assert_not_null(memchr(look_at(screen).text.data, 'w', look_at(screen).text.size));
    rpi_screen_close(screen);
}

/* ---- generations ---- */

Test(screen, counts_another_generation_only_when_the_text_is_another)
{
    rpi_screen *screen = open_screen(2, 10);
    uint64_t generation;

    feed(screen, "load 1");
    generation = look_at(screen).generation;
    cr_assert_eq(look_at(screen).generation, generation);
    feed(screen, "\x1b[H\x1b[2Jload 1"); // painted over itself
    cr_assert_eq(look_at(screen).generation, generation);
    feed(screen, "\x1b[1m\x1b[2;5H\x1b]0;t\x07"); // moved, coloured, named
    cr_assert_eq(look_at(screen).generation, generation);
    feed(screen, "\x1b[1;6H2");
    cr_assert_eq(look_at(screen).generation, generation + 1);
    feed(screen, "\x1b[1;6H1");
    cr_assert_eq(look_at(screen).generation, generation + 2);
    rpi_screen_close(screen);
}

/* ---- cuts ---- */

Test(screen, is_the_same_however_the_output_is_cut)
{
    static const char output[] = "\x1b]2;title\x07\xe6\x97\xa5 \x1b[31mred\x1b[0m\r\n\x1b[3;2H"
                                 "e\xcc\x81\x1b[?1049hx\x1b[?1049l\b\b\x1b[1Pz\x1b[4;1H\x1b[Kend";
    rpi_screen *whole = open_screen(5, 12);

    feed(whole, output);
    for (size_t piece = 1; piece < 9; piece++) {
        rpi_screen *cut = open_screen(5, 12);
        rpi_screen_look expected = look_at(whole);
        rpi_screen_look look;

        for (size_t at = 0; at < sizeof output - 1; at += piece) {
            size_t left = sizeof output - 1 - at;

            cr_assert_eq(rpi_screen_feed(cut, (rp_view){output + at, left < piece ? left : piece}),
                         0);
            (void)look_at(cut); // to look does not change it
        }
        look = look_at(cut);
        cr_assert_eq(look.text.size, expected.text.size);
        cr_assert_eq(memcmp(look.text.data, expected.text.data, look.text.size), 0);
        cr_assert_eq(look.title.size, expected.title.size);
        cr_assert_eq(look.cursor_row, expected.cursor_row);
        cr_assert_eq(look.cursor_col, expected.cursor_col);
        rpi_screen_close(cut);
    }
    rpi_screen_close(whole);
}

/* ---- what it must stand ---- */

Test(screen, stands_numbers_that_are_out_of_all_bounds)
{
    static const char finals[] = "@ABCDEFGHIJKLMPSTXZ`abcdefghlmnqrsu";
    static const char *const numbers[] = {
        "999999999", "2147483647", "4294967295", "18446744073709551615", "0", ""};
    rpi_screen *screen = open_screen(3, 7);

    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        for (const char *final = finals; *final != '\0'; final++) {
            char sequence[128];

            (void)snprintf(sequence, sizeof sequence, "x\x1b[%s;%s%c\x1b[?%s%c\xe6\x97\xa5",
                           numbers[i], numbers[i], *final, numbers[i], *final);
            feed(screen, sequence);
            cr_assert_lt(look_at(screen).cursor_row, 3);
            cr_assert_leq(look_at(screen).cursor_col, 7);
        }
    }
    rpi_screen_close(screen);
}

Test(screen, stands_a_double_width_where_the_cursor_is_not_on_the_screen)
{
    static const char *const ends[] = {"3", "4", "\r5", "6"};

    for (int i = 0; i < 4; i++) {
        rpi_screen *screen = open_screen(60, 20);
        char text[32];

        feed(screen, "\x1b[50;1H\x1b"
                     "7");
        cr_assert_eq(rpi_screen_resize(screen, 5, 20), 0);
        (void)snprintf(text, sizeof text,
                       "\x1b"
                       "8\x1b#%s",
                       ends[i]);
        feed(screen, text);
        feed(screen, "\x1b"
                     "8\x1b"); // in pieces, too
        feed(screen, "#");
        feed(screen, ends[i]);
        feed(screen, "\x1b[2J\x1b[Hok\x1b#8"); // the one that shows something is carried out
        cr_assert_eq(strncmp(look_at(screen).text.data, "EEEEE", 5), 0);
        rpi_screen_close(screen);
    }
}

Test(screen, stands_noise_and_changes_of_size)
{
    static const char alphabet[] = "\x1b[];?0123456789hlmHJKrABCDLMPS@X\r\n\b\t\x0e\x0f\x9b\xc3\xa9"
                                   "\xe6\x97\xa5#()cx ";
    noise bytes = noise_begin(7);
    rpi_screen *screen = open_screen(24, 80);

    for (int round = 0; round < 3000; round++) {
        char output[200];

        for (size_t i = 0; i < sizeof output; i++) {
            output[i] = round % 4 == 3 ? (char)noise_next(&bytes)
                                       : alphabet[noise_next(&bytes) % (sizeof alphabet - 1)];
        }
        cr_assert_eq(rpi_screen_feed(screen, (rp_view){output, sizeof output}), 0);
        if (round % 5 == 0) {
            cr_assert_eq(rpi_screen_resize(screen, (uint16_t)(1 + noise_next(&bytes) % 40),
                                           (uint16_t)(1 + noise_next(&bytes) % 120)),
                         0);
        }
        (void)look_at(screen);
    }
    rpi_screen_close(screen);
}

Test(screen, survives_a_lack_of_memory_anywhere)
{
    for (unsigned int n = 1;; n++) {
        rpi_fault_memory memory;
        rpi_screen *screen = NULL;
        rpi_screen_look look;
        int r;

        rpi_fault_memory_init(&memory, n);
        r = rpi_screen_open(&memory.allocator, 10, 40, &screen);
        if (r == 0) {
            r = rpi_screen_feed(screen, (rp_view){"text \x1b[?1049h more", 18});
            r = r < 0 ? r : rpi_screen_resize(screen, 50, 100);
            r = r < 0 ? r : rpi_screen_get(screen, &look);
            if (r < 0 && rpi_screen_feed(screen, (rp_view){"x", 1}) < 0) { // lost is lost
                cr_assert_eq(rpi_screen_get(screen, &look), -ENOMEM);
                cr_assert_eq(rpi_screen_resize(screen, 5, 5), -ENOMEM);
            } else {
                cr_assert_eq(rpi_screen_get(screen, &look), 0);
            }
        }
        cr_assert_eq(r, memory.fired ? -ENOMEM : 0);
        rpi_screen_close(screen);
        cr_assert_eq(memory.live_blocks, 0, "%u: %zu blocks left", n, (size_t)memory.live_blocks);
        if (!memory.fired) {
            cr_assert_gt(n, 5);
            return;
        }
    }
}

Test(screen, refuses_sizes_that_are_none)
{
    rpi_screen *screen = NULL;

    cr_assert_eq(rpi_screen_open(rpi_alloc_default(), 0, 80, &screen), RP_EINVAL);
    cr_assert_eq(rpi_screen_open(rpi_alloc_default(), 24, 0, &screen), RP_EINVAL);
    cr_assert_eq(rpi_screen_open(rpi_alloc_default(), 2048, 2048, &screen), RP_EINVAL);
    cr_assert_null(screen);
    rpi_screen_close(NULL);
}
