/* Splitting a typed command: the examples of the rules, their edges, and what is refused. Also the
 * table of what transports mean. */
#include <stdlib.h>
#include <string.h>

#include "rp/interactive.h"
#include "tests/support/check.h"

typedef struct row {
    const char *text;
    const char *words[6]; /* up to NULL */
} row;

static const row rows[] = {
    {"x 'a b' \"c d\"", {"x", "a b", "c d"}},
    {"a\"b c\"d", {"a\"b", "c\"d"}},
    {"\"b c\"d e", {"b c", "d", "e"}},
    {"--opt=\"v w\" z", {"--opt=\"v", "w\"", "z"}},
    {"a\\ b", {"a\\", "b"}},
    {"it's ok", {"it's", "ok"}},
    {"\"\"", {""}},
    {"''", {""}},
    {"", {NULL}},
    {" \t\r\n ", {NULL}},
    {"one", {"one"}},
    {"  one\ttwo\r\nthree\nfour ", {"one", "two", "three", "four"}},
    {"'a''b'\"c\"d", {"a", "b", "c", "d"}},
    {"'\"' \"'\"", {"\"", "'"}},
    {"# $HOME *.c `x` a;b", {"#", "$HOME", "*.c", "`x`", "a;b"}},
    {"\"a\nb\"", {"a\nb"}},
    {"\"a\\\" b", {"a\\", "b"}},
    {"\xc3\xa9 \xff\xfe \v\f", {"\xc3\xa9", "\xff\xfe", "\v\f"}},
};

Test(command_line, splits_as_its_rules_say)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char **argv = NULL;
        size_t count = 0;

        cr_assert_eq(rp_command_line(rows[i].text, &argv), 0, "%s", rows[i].text);
        for (; rows[i].words[count] != NULL; count++) {
            cr_assert_not_null(argv[count], "%s: word %zu", rows[i].text, count);
            cr_assert_str_eq(argv[count], rows[i].words[count], "%s: word %zu is %s", rows[i].text,
                             count, argv[count]);
        }
        cr_assert_null(argv[count], "%s: more than %zu words", rows[i].text, count);
        rp_free(argv);
    }
}

Test(command_line, refuses_a_quotation_without_an_end_and_says_where)
{
    static const char *const texts[] = {"\"", "'", "a 'b", "a \"b c", "'a'\"b'"};
    static const char *const offsets[] = {"offset 0", "offset 0", "offset 2", "offset 2",
                                          "offset 3"};

    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        char **argv = (char **)&argv;

        cr_assert_eq(rp_command_line(texts[i], &argv), RP_EINVAL, "%s", texts[i]);
        cr_assert_eq((void *)argv, (void *)&argv, "%s: the result was touched", texts[i]);
        cr_assert_not_null(strstr(rp_error_detail(), "no closing quotation"), "%s",
                           rp_error_detail());
        cr_assert_not_null(strstr(rp_error_detail(), offsets[i]), "%s", rp_error_detail());
    }
}

Test(command_line, refuses_no_text)
{
    char **argv = NULL;

    cr_assert_eq(rp_command_line(NULL, &argv), RP_EINVAL);
    cr_assert_not_null(strstr(rp_error_detail(), "text"));
}

Test(command_line, takes_a_text_of_many_words)
{
    enum {
        COUNT = 100000
    };
    char *text = malloc(2 * COUNT + 1);
    char **argv = NULL;
    size_t count = 0;

    cr_assert_not_null(text);
    for (size_t i = 0; i < COUNT; i++) {
        memcpy(text + 2 * i, "x ", 2);
    }
    text[2 * COUNT] = '\0';
    cr_assert_eq(rp_command_line(text, &argv), 0);
    while (argv[count] != NULL) {
        cr_assert_str_eq(argv[count], "x");
        count++;
    }
    cr_assert_eq(count, COUNT);
    rp_free(argv);
    free(text);
}

/* ---- what transports mean ---- */

Test(launch_spec, tells_what_each_transport_means)
{
    static const struct {
        rp_transport transport;
        bool uses_pty, restores_terminal;
        rp_owner ctrl_c_owner;
    } expected[] = {
        {RP_PIPES, false, false, RP_OWNER_PARENT},
        {RP_PTY, true, true, RP_OWNER_CHILD},
        {RP_CONSOLE_SHARED, false, false, RP_OWNER_SHARED},
        {RP_CONSOLE_ISOLATED, false, true, RP_OWNER_PARENT},
        {RP_CONSOLE_FOREGROUND, false, true, RP_OWNER_CHILD},
    };

    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        rp_launch launch = RP_INIT(rp_launch);

        cr_assert_eq(rp_launch_spec(expected[i].transport, &launch), 0);
        cr_assert_eq(launch.size, sizeof launch);
        cr_assert_eq(launch.uses_pty, expected[i].uses_pty, "transport %zu", i);
        cr_assert_eq(launch.restores_terminal, expected[i].restores_terminal, "transport %zu", i);
        cr_assert_eq(launch.ctrl_c_owner, expected[i].ctrl_c_owner, "transport %zu", i);
        cr_assert_eq(launch.creation_flags, 0);
    }
}

Test(launch_spec, refuses_what_is_no_transport_and_a_struct_without_a_size)
{
    rp_launch launch = RP_INIT(rp_launch);

    cr_assert_eq(rp_launch_spec((rp_transport)99, &launch), RP_EINVAL);
    cr_assert_not_null(strstr(rp_error_detail(), "99"));
    cr_assert_eq(rp_launch_spec((rp_transport)-1, &launch), RP_EINVAL);
    launch.size = 0;
    cr_assert_eq(rp_launch_spec(RP_PIPES, &launch), RP_EINVAL);
    cr_assert_eq(rp_launch_spec(RP_PIPES, NULL), RP_EINVAL);
}

Test(launch_spec, writes_no_more_than_an_older_struct_has)
{
    rp_launch launch = {.size = offsetof(rp_launch, ctrl_c_owner),
                        .ctrl_c_owner = (rp_owner)77,
                        .creation_flags = 77};

    cr_assert_eq(rp_launch_spec(RP_PTY, &launch), 0);
    cr_assert(launch.uses_pty);
    cr_assert_eq((int)launch.ctrl_c_owner, 77);
    cr_assert_eq(launch.creation_flags, 77);
    cr_assert_eq(launch.size, offsetof(rp_launch, ctrl_c_owner));
}
