/* The child's environment: order kept, the last of two counts, removals, a clean start, the
 * originator. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/environment.h"
#include "tests/support/check.h"

extern char **environ;

enum {
    SIZE = 65536,
    ENTRIES = 1024
};

static char text[SIZE];
static char *entries[ENTRIES];

/** Makes the environment and compares it with `expected`, one entry a line. */
static void check(const rp_command *command, const char *expected)
{
    const rpi_environment_need need = rpi_environment_measure(command);
    char joined[4096] = "";

    cr_assert_lt(need.entry_count, ENTRIES);
    cr_assert_leq(need.text_size, SIZE);
    memset(text, 0x7e, sizeof text);
    memset(entries, 0x7e, sizeof entries);
    cr_assert_eq(rpi_environment_fill(command, need, entries, text), 0);
    for (size_t i = 0; entries[i] != NULL; i++) {
        cr_assert_leq(i, need.entry_count);
        cr_assert(entries[i] >= text && entries[i] < text + need.text_size, "a copy of our own");
        strncat(joined, entries[i], sizeof joined - strlen(joined) - 2);
        strncat(joined, "\n", 2);
    }
    cr_assert_str_eq(joined, expected);
    if (need.text_size < SIZE) {
        cr_assert_eq(text[need.text_size], 0x7e, "nothing beyond");
    }
}

static rp_command make_command(const char *const *env)
{
    rp_command command = RP_COMMAND_INIT;

    command.env = env;
    return command;
}

/** Gives this program another environment; nobody writes to it. */
static void set_environment(const char *const *list)
{
    environ = (char **)(uintptr_t)list;
}

static const char *const inherited[] = {"A=1", "PATH=/bin", "B=2", "AB=3", "odd", NULL};

Test(environment, is_the_callers_as_it_is)
{
    const rp_command command = make_command(NULL);

    set_environment(inherited);
    check(&command, "A=1\nPATH=/bin\nB=2\nAB=3\nodd\n");
}

Test(environment, is_empty_when_cleared)
{
    static const char *const env[] = {"X=1", "A", NULL};
    rp_command command = make_command(NULL);

    set_environment(inherited);
    command.env_clear = true;
    check(&command, "");
    command.env = env;
    check(&command, "X=1\n");
}

Test(environment, of_a_caller_without_one_is_empty)
{
    static const char *const env[] = {"X=1", NULL};
    rp_command command = make_command(NULL);

    environ = NULL;
    check(&command, "");
    command.env = env;
    check(&command, "X=1\n");
    cr_assert_null(rpi_environment_find(&command, "PATH"));
}

Test(environment, overrides_in_place_and_adds_behind)
{
    static const char *const env[] = {"NEW=x", "A=9", "B=", "AB=a=b", NULL};
    const rp_command command = make_command(env);

    set_environment(inherited);
    check(&command, "A=9\nPATH=/bin\nB=\nAB=a=b\nodd\nNEW=x\n");
}

Test(environment, counts_the_last_of_two)
{
    static const char *const env[] = {"A=7", "C=1",     "A=8",  "C=2", "B",
                                      "B=5", "PATH=/x", "PATH", NULL};
    const rp_command command = make_command(env);

    set_environment(inherited);
    check(&command, "A=8\nAB=3\nodd\nC=2\nB=5\n");
}

Test(environment, removes_what_is_named_barely)
{
    static const char *const env[] = {"A", "odd", "NOTHERE", "PAT", NULL};
    const rp_command command = make_command(env);

    set_environment(inherited);
    check(&command, "PATH=/bin\nB=2\nAB=3\n");
}

Test(environment, removes_all_of_a_name_that_the_caller_has_twice)
{
    static const char *const twice[] = {"A=1", "B=2", "A=3", NULL};
    static const char *const env[] = {"A", NULL};
    const rp_command command = make_command(env);

    set_environment(twice);
    check(&command, "B=2\n");
}

Test(environment, carries_the_originator_over_everything)
{
    static const char *const env[] = {"RUNNING_PROCESS_ORIGINATOR=mine:1", "X=1", NULL};
    static const char *const removal[] = {"RUNNING_PROCESS_ORIGINATOR", NULL};
    static const char *const with_one[] = {"RUNNING_PROCESS_ORIGINATOR=outer:7", "A=1", NULL};
    rp_command command = make_command(NULL);
    char expected[128];

    set_environment(with_one);
    command.originator = "my tool";
    (void)snprintf(expected, sizeof expected, "A=1\nRUNNING_PROCESS_ORIGINATOR=my tool:%d\n",
                   (int)getpid());
    check(&command, expected);
    command.env = removal;
    (void)snprintf(expected, sizeof expected, "A=1\nRUNNING_PROCESS_ORIGINATOR=my tool:%d\n",
                   (int)getpid());
    check(&command, expected);
    command.env = env;
    command.env_clear = true;
    (void)snprintf(expected, sizeof expected, "RUNNING_PROCESS_ORIGINATOR=my tool:%d\nX=1\n",
                   (int)getpid());
    check(&command, expected);
}

Test(environment, never_passes_on_the_callers_own_originator)
{
    static const char *const stale[] = {"RUNNING_PROCESS_ORIGINATOR=outer:7", "A=1",
                                        "RUNNING_PROCESS_ORIGINATOR=twice:8",
                                        "RUNNING_PROCESS_ORIGINATORS=1", NULL};
    static const char *const said[] = {"RUNNING_PROCESS_ORIGINATOR=said:9", NULL};
    rp_command command = make_command(NULL);

    set_environment(stale);
    check(&command, "A=1\nRUNNING_PROCESS_ORIGINATORS=1\n");
    command.env = said;
    check(&command, "A=1\nRUNNING_PROCESS_ORIGINATORS=1\nRUNNING_PROCESS_ORIGINATOR=said:9\n");
}

Test(environment, finds_what_the_child_will_have)
{
    static const char *const changes[] = {"PATH=/a", "PATH=/b", NULL};
    static const char *const removal[] = {"PATH=/a", "PATH", NULL};
    rp_command command = make_command(NULL);

    set_environment(inherited);
    cr_assert_str_eq(rpi_environment_find(&command, "PATH"), "/bin");
    cr_assert_null(rpi_environment_find(&command, "PAT"));
    cr_assert_null(rpi_environment_find(&command, "odd"));
    command.env = changes;
    cr_assert_str_eq(rpi_environment_find(&command, "PATH"), "/b");
    command.env = removal;
    cr_assert_null(rpi_environment_find(&command, "PATH"));
    command.env = NULL;
    command.env_clear = true;
    cr_assert_null(rpi_environment_find(&command, "PATH"));
}

Test(environment, notices_that_it_grew_meanwhile)
{
    static const char *const grown[] = {"A=1", "PATH=/bin", "B=2", "AB=3", "odd", "MORE=1", NULL};
    static const char *const longer[] = {"A=1", "PATH=/bin", "B=2", "AB=3", "odder", NULL};
    const rp_command command = make_command(NULL);
    rpi_environment_need need;

    set_environment(inherited);
    need = rpi_environment_measure(&command);
    set_environment(grown);
    cr_assert_eq(rpi_environment_fill(&command, need, entries, text), RP_EAGAIN);
    set_environment(longer);
    cr_assert_eq(rpi_environment_fill(&command, need, entries, text), RP_EAGAIN);
    set_environment(inherited);
    cr_assert_eq(rpi_environment_fill(&command, need, entries, text), 0);
}
