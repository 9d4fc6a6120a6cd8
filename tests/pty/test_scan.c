/* The scanner (pty/scan.h). Every case is fed at once, byte by byte and in pairs: text, events and
 * churn must be the same. What is heard is written down as a line of text, which a case gives. */
#include "pty/scan.h"

#include <stdio.h>
#include <string.h>

#include "tests/support/check.h"

/* Ends a hexadecimal escape in a literal where a letter of hexadecimal follows. */
#define TEXT(literal)                                                                              \
    {                                                                                              \
        literal, sizeof(literal) - 1                                                               \
    }

enum {
    BODY_SIZE = 16,
    HEARD_SIZE = 4096
};

typedef struct heard {
    char text[HEARD_SIZE];
    size_t size;
} heard;

static void hear(heard *to, const char *bytes, size_t size)
{
    cr_assert_leq(to->size + size, sizeof to->text);
    memcpy(to->text + to->size, bytes, size);
    to->size += size;
}

static void on_text(rp_view text, void *user)
{
    cr_assert_gt(text.size, 0);
    hear(user, text.data, text.size);
}

static void on_event(const rpi_scan_event *event, void *user)
{
    static const char *const names[] = {"title", "cwd",  "notify",    "progress",
                                        "mark",  "bell", "alternate", "cursor"};
    char line[128];
    int size = snprintf(line, sizeof line, "<%s %d %d %.*s%s>", names[event->kind], event->code,
                        event->value == RPI_SCAN_NO_VALUE ? -999 : event->value,
                        (int)event->text.size, event->text.data, event->cut ? "~" : "");

    hear(user, line, (size_t)size);
}

static void feed(rp_view bytes, size_t piece, heard *ret_heard)
{
    const rpi_scan_sink sink = {on_text, on_event, ret_heard};
    char body[BODY_SIZE];
    rpi_scan scan;

    ret_heard->size = 0;
    rpi_scan_init(&scan, body, sizeof body);
    for (size_t at = 0; at < bytes.size; at += piece) {
        size_t size = bytes.size - at < piece ? bytes.size - at : piece;

        rpi_scan_feed(&scan, (rp_view){bytes.data + at, size}, &sink);
    }
}

static void check(rp_view bytes, rp_view expected)
{
    static const size_t pieces[] = {4096, 1, 2, 3, 7};
    heard all;

    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        feed(bytes, pieces[i], &all);
        cr_assert(all.size == expected.size && memcmp(all.text, expected.data, all.size) == 0,
                  "pieces of %zu: \"%.*s\" instead of \"%.*s\"", pieces[i], (int)all.size, all.text,
                  (int)expected.size, expected.data);
    }
}

typedef struct scan_case {
    rp_view bytes;
    rp_view heard;
} scan_case;

static void check_all(const scan_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        check(cases[i].bytes, cases[i].heard);
    }
}

#define CHECK_ALL(cases) check_all(cases, sizeof(cases) / sizeof *(cases))

/* ---- text ---- */

Test(scan, passes_text_and_single_controls_as_they_are)
{
    static const scan_case cases[] = {
        {TEXT(""), TEXT("")},
        {TEXT("plain text, longer than a word\r\n\t\b\v\f\0\x7f|"),
         TEXT("plain text, longer than a word\r\n\t\b\v\f\0\x7f|")},
        {TEXT("\xe2\x80\x9cquoted\xe2\x80\x9d \xf0\x9f\x98\x80 \xc2\x9b|"),
         TEXT("\xe2\x80\x9cquoted\xe2\x80\x9d \xf0\x9f\x98\x80 \xc2\x9b|")},
        {TEXT("\x85\x84\x9c|"), TEXT("\x85\x84\x9c|")},
        {TEXT("latin \xe9t\xe9 \xfc|"), TEXT("latin \xe9t\xe9 \xfc|")},
    };

    CHECK_ALL(cases);
}

Test(scan, takes_sequences_out)
{
    static const scan_case cases[] = {
        {TEXT("a\x1b[31;1mb\x1b[0mc"), TEXT("abc")},
        {TEXT("\x1b[38:2::1:2:3mx\x1b[>4;2my\x1b[?2004hz\x1b[ q!"), TEXT("xyz!")},
        {TEXT("\x1b(B\x1b)0\x1b#8\x1b%G\x1b=\x1b>\x1b"
              "7\x1b"
              "8\x1bM|"),
         TEXT("|")},
        {TEXT("\x1bPq#0;2;0;0;0~~\x1b\\|"), TEXT("|")},
        {TEXT("\x1b_Gf=24;AAAA\x1b\\\x1b^pm\x1b\\\x1bXsos\x07 more\x1b\\|"), TEXT("|")},
        {TEXT("\x1b]52;c;AAAA\x07|"), TEXT("|")},
        {TEXT("\x1bNx\x1bOy"), TEXT("xy")},
        {TEXT("\x9b"
              "31mred\x9d"
              "52;c\x9c|\x90q\x9c|\x9e\x9c\x9f\x9c\x98\x9c|"),
         TEXT("red|||")},
        {TEXT("\x1b\x1b[1m|"), TEXT("|")},
        {TEXT("end\x1b["), TEXT("end")},
    };

    CHECK_ALL(cases);
}

Test(scan, carries_controls_out_that_stand_inside_of_a_sequence)
{
    static const scan_case cases[] = {
        {TEXT("\x1b[3\n1mx"), TEXT("\nx")},
        {TEXT("\x1b\rM\x1b[\x07Hx"), TEXT("\r\a<bell 0 0 >x")},
        {TEXT("\x1b[\x7fHx"), TEXT("x")},
        {TEXT("\x1b[31\x18mx\x1b[\x1amy\x1b\x18[z"), TEXT("mxmy[z")},
        {TEXT("\x1b]0;a\x18"
              "b\x1bPq\x1a"
              "c"),
         TEXT("bc")},
        {TEXT("\x1b[3\x1b[1mx"), TEXT("x")},
        {TEXT("\x1b[3\xe2\x80\x9c|"), TEXT("\xe2\x80\x9c|")},
        {TEXT("\x1b\xc3\xa9|"), TEXT("\xc3\xa9|")},
    };

    CHECK_ALL(cases);
}

Test(scan, lets_a_string_that_may_be_none_end_with_its_line)
{
    static const scan_case cases[] = {
        {TEXT("\x9e"
              "ena\r\nnext"),
         TEXT("\r\nnext")},
        {TEXT("\x1bknever ended\nnext"), TEXT("\nnext")},
        {TEXT("\x1b]0;a\nb\x07|"), TEXT("<title 0 0 ab>|")},
        {TEXT("\x1bPq\n\n\x1b\\|"), TEXT("|")},
    };

    CHECK_ALL(cases);
}

/* ---- events ---- */

Test(scan, tells_of_titles_and_folders)
{
    static const scan_case cases[] = {
        {TEXT("\x1b]0;both\x07\x1b]1;icon\x07\x1b]2;title\x1b\\|"),
         TEXT("<title 0 0 both><title 0 0 title>|")},
        {TEXT("\x1b]2;\xe2\x80\x9cq\xe2\x80\x9d\x9c|"),
         TEXT("<title 0 0 \xe2\x80\x9cq\xe2\x80\x9d>|")},
        {TEXT("\x1b]0;\x07|\x1b]0\x07|\x1b]\x07|\x1b];x\x07|"), TEXT("<title 0 0 >||||")},
        {TEXT("\x1bkscreen\x1b\\|"), TEXT("<title 0 0 screen>|")},
        {TEXT("\x1b]7;file://h/tmp\x07|"), TEXT("<cwd 0 0 file://h/tmp>|")},
        {TEXT("\x1b]9;9;C:\\x\x07|"), TEXT("<cwd 0 0 C:\\x>|")},
        {TEXT("\x1b]0;lost\x1b[1m|"), TEXT("|")},
    };

    CHECK_ALL(cases);
}

Test(scan, cuts_what_is_longer_than_its_memory_between_characters)
{
    static const scan_case cases[] = {
        {TEXT("\x1b]0;01234567890123456789\x07|"), TEXT("<title 0 0 01234567890123~>|")},
        {TEXT("\x1b]0;0123456789012\xc3\xa9\x07|"), TEXT("<title 0 0 0123456789012~>|")},
        {TEXT("\x1b]0;012345678901\xc3\xa9\x07|"), TEXT("<title 0 0 012345678901\xc3\xa9>|")},
        {TEXT("\x1b]0;012345678901\xc3\xa9.\x07|"), TEXT("<title 0 0 012345678901\xc3\xa9~>|")},
    };

    CHECK_ALL(cases);
}

Test(scan, tells_of_notifications_progress_and_bells)
{
    static const scan_case cases[] = {
        {TEXT("\x1b]9;done\x07|"), TEXT("<notify 0 0 done>|")},
        {TEXT("\x1b]9;4 jobs\x07|"), TEXT("<notify 0 0 4 jobs>|")},
        {TEXT("\x1b]777;notify;a;b\x07\x1b]777;other;a\x07|"), TEXT("<notify 0 0 a;b>|")},
        {TEXT("\x1b]9;4;1;42\x07|"), TEXT("<progress 1 42 >|")},
        {TEXT("\x1b]9;4;0\x07|\x1b]9;4;3;\x07|"), TEXT("<progress 0 0 >|<progress 3 0 >|")},
        {TEXT("\x1b]9;4;2;999\x07|\x1b]9;4;5;1\x07|\x1b]9;4;x\x07|\x1b]9;4\x07|"),
         TEXT("<progress 2 100 >||||")},
        {TEXT("\x1b]9;12\x07|\x1b]9;1;50\x07|"), TEXT("||")},
        {TEXT("a\x07"
              "b"),
         TEXT("a\a<bell 0 0 >b")},
    };

    CHECK_ALL(cases);
}

Test(scan, tells_of_prompts_and_commands)
{
    static const scan_case cases[] = {
        {TEXT("\x1b]133;A\x07$ \x1b]133;B\x07ls\x1b]133;C\x07out"),
         TEXT("<mark 65 -999 >$ <mark 66 -999 >ls<mark 67 -999 >out")},
        {TEXT("\x1b]133;D\x07|\x1b]133;D;0\x07|\x1b]133;D;-2\x07|\x1b]133;D;127;x\x07|"),
         TEXT("<mark 68 -999 >|<mark 68 0 >|<mark 68 -2 >|<mark 68 127 >|")},
        {TEXT("\x1b]133;A;cl=m\x07|\x1b]133;P\x07|\x1b]133;AB\x07|\x1b]133;\x07|"),
         TEXT("<mark 65 -999 >||||")},
        {TEXT("\x1b]133;D;\x07|\x1b]133;D;aid=1\x07|"), TEXT("<mark 68 -999 >|<mark 68 -999 >|")},
    };

    CHECK_ALL(cases);
}

Test(scan, tells_of_the_alternate_screen_and_the_cursor)
{
    static const scan_case cases[] = {
        {TEXT("\x1b[?1049h|\x1b[?1049l|"), TEXT("<alternate 1 0 >|<alternate 0 0 >|")},
        {TEXT("\x1b[?47h\x1b[?1047l|"), TEXT("<alternate 1 0 ><alternate 0 0 >|")},
        {TEXT("\x1b[?25l\x1b[?25h|"), TEXT("<cursor 0 0 ><cursor 1 0 >|")},
        {TEXT("\x1b[?1;1049;7;25h|"), TEXT("<alternate 1 0 ><cursor 1 0 >|")},
        {TEXT("\x9b?25l|"), TEXT("<cursor 0 0 >|")},
        {TEXT("\x1b[25h\x1b[?25:1h\x1b[?25$p\x1b[?25s\x1b[>25h\x1b[?125h|"), TEXT("|")},
        {TEXT("\x1b"
              "c|\x1b[!p|"),
         TEXT("<alternate 0 0 ><cursor 1 0 >|<cursor 1 0 >|")},
        {TEXT("\x1b[?4294967321h\x1b[?99999999999999999925h|"), TEXT("|")},
    };

    CHECK_ALL(cases);
}

/* ---- helpers ---- */

Test(scan, strips_where_the_bytes_are)
{
    char bytes[] = "a\x1b[1mb\x1b]0;t\x07"
                   "c\x1b";
    rpi_scan scan;

    rpi_scan_init(&scan, NULL, 0);
    cr_assert_eq(rpi_scan_strip(&scan, (rp_view){bytes, sizeof bytes - 1}, bytes), 3);
    cr_assert_eq(memcmp(bytes, "abc", 3), 0);
    cr_assert_not(rpi_scan_is_at_text(&scan));
    cr_assert_eq(rpi_scan_strip(&scan, (rp_view){"[1md", 4}, bytes), 1);
    cr_assert_eq(bytes[0], 'd');
    cr_assert(rpi_scan_is_at_text(&scan));
    cr_assert_eq(rpi_scan_strip(&scan, (rp_view){"\xc3", 1}, bytes), 1);
    cr_assert_not(rpi_scan_is_at_text(&scan));
}

Test(scan, needs_no_sink_and_no_memory)
{
    static const rpi_scan_sink nobody = {NULL, NULL, NULL};
    rpi_scan scan;

    rpi_scan_init(&scan, NULL, 0);
    rpi_scan_feed(&scan, (rp_view){"a\x1b]0;t\x07\x1b[?25l\x07\x1b]9;4;1\x07", 23}, &nobody);
    cr_assert(rpi_scan_is_at_text(&scan));
}

/* ---- churn ---- */

typedef struct churn_case {
    rp_view bytes;
    size_t churn;
} churn_case;

Test(churn, counts_by_the_rule)
{
    static const churn_case cases[] = {
        {TEXT(""), 0},
        {TEXT("hello"), 0},
        {TEXT("hello world, 123"), 0},
        {TEXT("\n"), 0},
        {TEXT("\t"), 0},
        {TEXT("\x07"), 0},
        {TEXT("\0"), 0},
        {TEXT("caf\xc3\xa9"), 0},
        {TEXT("\xe2\xa0\x8b"), 0},
        {TEXT("\x9b"
              "31m"),
         0},
        {TEXT("\x1b"), 1},
        {TEXT("\x08"), 1},
        {TEXT("\r"), 1},
        {TEXT("\x7f"), 1},
        {TEXT("\r\n"), 1},
        {TEXT("\b \b"), 2},
        {TEXT("\x1b["), 2},
        {TEXT("\x1b[m"), 3},
        {TEXT("\x1b[2J"), 4},
        {TEXT("\x1b[H"), 3},
        {TEXT("\x1b[2J\x1b[H"), 7},
        {TEXT("\x1b[31mred\x1b[0m"), 9},
        {TEXT("\x1b[?25l"), 6},
        {TEXT("\x1b[38;5;196m"), 11},
        {TEXT("\x1b[31"), 4},
        {TEXT("\x1b[@x"), 3},
        {TEXT("\x1b[~x"), 3},
        {TEXT("\x1b[1 q"), 5},
        {TEXT("\x1b"
              "7"),
         1},
        {TEXT("\x1b(B"), 1},
        {TEXT("\x1b]0;title\x07"), 1},
        {TEXT("\x1b\x1b[A"), 4},
        {TEXT("\x1b[\r\n\x1b;A"), 7},
        {TEXT("\r\x1b[Kworking |"), 4},
        {TEXT("[31m"), 0},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (size_t piece = 1; piece < 20; piece++) {
            rpi_churn churn = {0};
            size_t count = 0;

            for (size_t at = 0; at < cases[i].bytes.size; at += piece) {
                size_t left = cases[i].bytes.size - at;

                count += rpi_churn_count(
                    &churn, (rp_view){cases[i].bytes.data + at, left < piece ? left : piece});
            }
            cr_assert_eq(count, cases[i].churn, "case %zu in pieces of %zu: %zu", i, piece, count);
        }
    }
}
