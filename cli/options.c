/* Reads the command line: a table of options, one function that takes each option's value, and a
 * loop that knows the three ways to write one (--name=value, --name value, -nvalue). The first word
 * that is no option ends them, so that the command's own options stay the command's. Of an option
 * given twice the last counts, as wrappers around wrappers expect. What is unknown, out of range or
 * without effect is an error: nothing is ignored. */
#include "cli/options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rp/rp.h>

#include "cli/signals.h"

#define ORIGINATOR "RUNNING_PROCESS_ORIGINATOR"

enum {
    NICE_MIN = -20,
    NICE_MAX = 19,
    MARKER_COUNT_MAX = 3
};

typedef enum option_id {
    OPTION_IDLE_TIMEOUT,
    OPTION_WALL_TIMEOUT,
    OPTION_IDLE_EXIT,
    OPTION_KILL_AFTER,
    OPTION_SIGNAL,
    OPTION_PTY,
    OPTION_EXPECT,
    OPTION_NO_DUMPS,
    OPTION_DUMP_FOLDER,
    OPTION_FIND_LEAKS,
    OPTION_KILL_LEAKS,
    OPTION_JSON,
    OPTION_CWD,
    OPTION_NICE,
    OPTION_ENV,
    OPTION_UNSET,
    OPTION_WHY,
    OPTION_HELP,
    OPTION_VERSION
} option_id;

typedef enum value_rule {
    VALUE_NONE,
    VALUE_NEEDED,
    VALUE_ATTACHED /* only as --name=value, and it may be left out */
} value_rule;

struct option {
    const char *name;
    char letter; /* '\0' = none */
    value_rule rule;
    option_id id;
};

static const struct option option_table[] = {
    {"timeout", '\0', VALUE_NEEDED, OPTION_IDLE_TIMEOUT},
    {"idle-timeout", '\0', VALUE_NEEDED, OPTION_IDLE_TIMEOUT},
    {"wall-timeout", '\0', VALUE_NEEDED, OPTION_WALL_TIMEOUT},
    {"idle-exit", '\0', VALUE_NEEDED, OPTION_IDLE_EXIT},
    {"pty", '\0', VALUE_NONE, OPTION_PTY},
    {"expect", '\0', VALUE_NEEDED, OPTION_EXPECT},
    {"kill-after", 'k', VALUE_NEEDED, OPTION_KILL_AFTER},
    {"signal", 's', VALUE_NEEDED, OPTION_SIGNAL},
    {"no-auto-stack-dumping", '\0', VALUE_NONE, OPTION_NO_DUMPS},
    {"stack-dump-dir", '\0', VALUE_NEEDED, OPTION_DUMP_FOLDER},
    {"find-leaks", '\0', VALUE_ATTACHED, OPTION_FIND_LEAKS},
    {"kill-leaks", '\0', VALUE_NONE, OPTION_KILL_LEAKS},
    {"json", '\0', VALUE_ATTACHED, OPTION_JSON},
    {"cwd", 'C', VALUE_NEEDED, OPTION_CWD},
    {"nice", 'n', VALUE_NEEDED, OPTION_NICE},
    {"env", '\0', VALUE_NEEDED, OPTION_ENV},
    {"unset", '\0', VALUE_NEEDED, OPTION_UNSET},
    {"why", '\0', VALUE_NEEDED, OPTION_WHY},
    {"help", 'h', VALUE_NONE, OPTION_HELP},
    {"version", '\0', VALUE_NONE, OPTION_VERSION},
};

/* Where the reading stands, and where its complaint goes. */
struct parser {
    rpi_cli_options *options;
    char **argv;
    size_t next; /* the word after the one being read */
    size_t option_count;
    size_t env_count;
    char label[32]; /* the option as it was written: "--timeout", "-k" */
    char *message;
    size_t message_size;
};

// ---- values ------------------------------------------------------------------

/* The unit's length in nanoseconds; 0 = no such unit. */
static uint64_t unit_ns(const char *unit)
{
    static const struct {
        const char *name;
        uint64_t ns;
    } units[] = {
        {"", RP_SECOND},
        {"ns", 1},
        {"us", 1000},
        {"ms", RP_MILLISECOND},
        {"s", RP_SECOND},
        {"m", 60 * RP_SECOND},
        {"h", 3600 * RP_SECOND},
        {"d", 86400 * RP_SECOND},
    };

    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (strcmp(unit, units[i].name) == 0) {
            return units[i].ns;
        }
    }
    return 0;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Digits to a number that is at most `max`; NULL when there are none or they are too many, else
 * what follows them. */
static const char *parse_digits(const char *text, uint64_t max, uint64_t *ret_number)
{
    uint64_t number = 0;

    if (!is_digit(*text)) {
        return NULL;
    }
    for (; is_digit(*text); text++) {
        uint64_t digit = (uint64_t)(*text - '0');

        if (number > (max - digit) / 10) {
            return NULL;
        }
        number = number * 10 + digit;
    }
    *ret_number = number;
    return text;
}

/* The digits after the point in billionths, rounded up; what follows them, or NULL when there are
 * none. */
static const char *parse_fraction(const char *text, uint64_t *ret_billionths)
{
    uint64_t billionths = 0, place = 100000000;
    bool rest = false;

    if (!is_digit(*text)) {
        return NULL;
    }
    for (; is_digit(*text); text++) {
        uint64_t digit = (uint64_t)(*text - '0');

        billionths += digit * place;
        rest = rest || (place == 0 && digit != 0);
        place /= 10;
    }
    *ret_billionths = billionths + (rest ? 1 : 0);
    return text;
}

/* In integers, so that 0.1 is a tenth and no binary neighbour of it. Rounded up, lest a tiny span
 * become 0, which means none. */
int rpi_cli_parse_duration(const char *text, uint64_t *ret_ns)
{
    const uint64_t billion = 1000000000;
    const uint64_t span_max_ns =
        36500 *
        (86400 * RP_SECOND); /* a hundred years: sums with the clock stay far from overflow */
    uint64_t whole = 0, billionths = 0, unit, ns;

    if (*text != '.') {
        text = parse_digits(text, span_max_ns, &whole);
    }
    if (text != NULL && *text == '.') {
        text = parse_fraction(text + 1, &billionths);
    }
    if (text == NULL) {
        return -1;
    }
    unit = unit_ns(text);
    if (unit == 0 || whole > span_max_ns / unit) {
        return -1;
    }
    ns = whole * unit + (unit / billion) * billionths;
    ns += ((unit % billion) * billionths + billion - 1) / billion;
    *ret_ns = ns;
    return 0;
}

static int parse_nice(const char *text, int *ret_nice)
{
    bool negative = *text == '-';
    uint64_t number;
    const char *end;

    if (*text == '-' || *text == '+') {
        text++;
    }
    end = parse_digits(text, -NICE_MIN, &number);
    if (end == NULL || *end != '\0' || (!negative && number > NICE_MAX)) {
        return -1;
    }
    *ret_nice = negative ? -(int)number : (int)number;
    return 0;
}

// ---- the options -------------------------------------------------------------

static int complain(struct parser *parser, const char *what, const char *value)
{
    if (value == NULL) {
        (void)snprintf(parser->message, parser->message_size, "%s %s", parser->label, what);
    } else {
        (void)snprintf(parser->message, parser->message_size, "%s: %s: '%s'", parser->label, what,
                       value);
    }
    return -1;
}

static int take_duration(struct parser *parser, const char *value, uint64_t *ret_ns)
{
    if (rpi_cli_parse_duration(value, ret_ns) < 0) {
        return complain(parser, "not a duration such as 1.5, 300ms, 2s, 5m or 1h", value);
    }
    return 0;
}

static int take_kill_after(struct parser *parser, const char *value)
{
    rpi_cli_options *options = parser->options;

    options->stop_option = "--kill-after";
    if (take_duration(parser, value, &options->kill_after_ns) < 0) {
        return -1;
    }
    if (options->kill_after_ns == 0) {
        options->kill_after_ns = RP_FOREVER; /* as GNU timeout has it: 0 switches off */
    }
    return 0;
}

static int take_signal(struct parser *parser, const char *value)
{
    parser->options->stop_option = "--signal";
    parser->options->stop_signal = rpi_cli_signal_number(value);
    return parser->options->stop_signal == 0 ? complain(parser, "no such signal", value) : 0;
}

static int take_variable(struct parser *parser, const char *value, bool set)
{
    const char *equals = strchr(value, '=');
    const size_t length = equals != NULL ? (size_t)(equals - value) : strlen(value);

    if (set && (equals == NULL || equals == value)) {
        return complain(parser, "not of the form NAME=VALUE", value);
    }
    if (!set && (equals != NULL || *value == '\0')) {
        return complain(parser, "not the name of a variable", value);
    }
    if (length == sizeof ORIGINATOR - 1 && strncmp(value, ORIGINATOR, length) == 0) {
        parser->options->originator_option = set ? "--env" : "--unset";
    }
    parser->options->env[parser->env_count++] = value; /* a bare name removes */
    return 0;
}

static int take_target(struct parser *parser, const char *value)
{
    parser->options->json = true;
    parser->options->json_target = value;
    return *value == '\0' ? complain(parser, "needs a file or a descriptor", NULL) : 0;
}

static int take_pid(struct parser *parser, const char *value)
{
    uint64_t pid = 0;
    const char *end = parse_digits(value, INT32_MAX, &pid);

    if (end == NULL || *end != '\0' || pid == 0) {
        return complain(parser, "not the number of a process", value);
    }
    parser->options->why_pid = (int64_t)pid;
    parser->options->action = RPI_CLI_WHY;
    return 0;
}

static int take_leak_mode(struct parser *parser, const char *value)
{
    if (strcmp(value, "warn") == 0) {
        parser->options->leaks = RPI_CLI_LEAKS_WARN;
        return 0;
    }
    if (strcmp(value, "fail") == 0) {
        parser->options->leaks = RPI_CLI_LEAKS_FAIL;
        return 0;
    }
    return complain(parser, "neither warn nor fail", value);
}

static int take_rule(struct parser *parser, const char *value)
{
    rpi_cli_options *options = parser->options;
    const char *wrong = rpi_cli_rule_init(&options->rules[options->rule_count], value);

    if (wrong != NULL) {
        return complain(parser, wrong, value);
    }
    options->rule_count++;
    return 0;
}

static int take_value(struct parser *parser, option_id id, const char *value)
{
    rpi_cli_options *options = parser->options;

    switch (id) {
    case OPTION_IDLE_TIMEOUT:
        options->timeout_given = true;
        return take_duration(parser, value, &options->idle_timeout_ns);
    case OPTION_WALL_TIMEOUT:
        options->timeout_given = true;
        return take_duration(parser, value, &options->wall_timeout_ns);
    case OPTION_IDLE_EXIT:
        options->timeout_given = true;
        return take_duration(parser, value, &options->idle_exit_ns);
    case OPTION_PTY:
        options->pty = true;
        return 0;
    case OPTION_EXPECT:
        return take_rule(parser, value);
    case OPTION_KILL_AFTER:
        return take_kill_after(parser, value);
    case OPTION_SIGNAL:
        return take_signal(parser, value);
    case OPTION_NO_DUMPS:
        options->no_dumps = true;
        return 0;
    case OPTION_DUMP_FOLDER:
        options->dump_folder = value;
        return *value == '\0' ? complain(parser, "needs a directory", NULL) : 0;
    case OPTION_FIND_LEAKS:
        return take_leak_mode(parser, value);
    case OPTION_KILL_LEAKS:
        options->kill_leaks = true;
        return 0;
    case OPTION_JSON:
        return take_target(parser, value);
    case OPTION_CWD:
        options->cwd = value;
        return *value == '\0' ? complain(parser, "needs a directory", NULL) : 0;
    case OPTION_NICE:
        return parse_nice(value, &options->nice) < 0
                   ? complain(parser, "not a niceness from -20 to 19", value)
                   : 0;
    case OPTION_ENV:
        return take_variable(parser, value, true);
    case OPTION_UNSET:
        return take_variable(parser, value, false);
    case OPTION_WHY:
        return take_pid(parser, value);
    case OPTION_HELP:
        options->action = RPI_CLI_HELP;
        return 0;
    case OPTION_VERSION:
        options->action = RPI_CLI_VERSION;
        return 0;
    }
    return complain(parser, "is unknown", NULL);
}

/* One whose value may be left out, and is. */
static void take_bare(struct parser *parser, option_id id)
{
    if (id == OPTION_JSON) {
        parser->options->json = true;
        parser->options->json_target = NULL;
    } else {
        parser->options->leaks = RPI_CLI_LEAKS_WARN;
    }
}

/* `value` is what is attached to the option, or NULL: then the next word is it, where one is
 * needed. */
static int take_option(struct parser *parser, const struct option *option, const char *value)
{
    switch (option->rule) {
    case VALUE_NONE:
        if (value != NULL) {
            return complain(parser, "takes no value", NULL);
        }
        return take_value(parser, option->id, "");
    case VALUE_ATTACHED:
        if (value == NULL) {
            take_bare(parser, option->id);
            return 0;
        }
        return take_value(parser, option->id, value);
    case VALUE_NEEDED:
        break;
    }
    if (value == NULL) {
        value = parser->argv[parser->next];
        if (value == NULL) {
            return complain(parser, "needs a value", NULL);
        }
        parser->next++;
    }
    return take_value(parser, option->id, value);
}

static int read_long(struct parser *parser, const char *word)
{
    size_t length = strcspn(word + 2, "=");
    const char *value = word[2 + length] == '=' ? word + 2 + length + 1 : NULL;

    (void)snprintf(parser->label, sizeof parser->label, "%.*s",
                   (int)(length < 29 ? length : 29) + 2, word);
    for (size_t i = 0; i < sizeof option_table / sizeof option_table[0]; i++) {
        const struct option *option = &option_table[i];

        if (strlen(option->name) == length && strncmp(option->name, word + 2, length) == 0) {
            return take_option(parser, option, value);
        }
    }
    return complain(parser, "is not an option of running-process (see --help)", NULL);
}

static int read_short(struct parser *parser, const char *word)
{
    (void)snprintf(parser->label, sizeof parser->label, "%.2s", word);
    for (size_t i = 0; i < sizeof option_table / sizeof option_table[0]; i++) {
        const struct option *option = &option_table[i];

        if (option->letter == word[1]) {
            return take_option(parser, option, word[2] == '\0' ? NULL : word + 2);
        }
    }
    return complain(parser, "is not an option of running-process (see --help)", NULL);
}

static int read_words(struct parser *parser)
{
    for (;;) {
        const char *word = parser->argv[parser->next];

        if (word == NULL || word[0] != '-' || word[1] == '\0') {
            return 0;
        }
        parser->next++;
        if (strcmp(word, "--") == 0) {
            return 0;
        }
        parser->option_count++;
        if ((word[1] == '-' ? read_long(parser, word) : read_short(parser, word)) < 0) {
            return -1;
        }
        if (parser->options->action != RPI_CLI_RUN) {
            return 0; /* --help and --version answer at once, whatever follows */
        }
    }
}

static int check_whole(struct parser *parser)
{
    rpi_cli_options *options = parser->options;

    if (options->action == RPI_CLI_WHY &&
        (parser->argv[parser->next] != NULL || parser->option_count > 1)) {
        (void)snprintf(parser->message, parser->message_size,
                       "--why takes the number of a process and nothing else");
        return -1;
    }
    if (options->action != RPI_CLI_RUN) {
        return 0;
    }
    if (options->stop_option != NULL && !options->timeout_given) {
        (void)snprintf(parser->message, parser->message_size,
                       "%s has no effect without --timeout, --wall-timeout or --idle-exit",
                       options->stop_option);
        return -1;
    }
    if (options->kill_leaks && options->leaks == RPI_CLI_LEAKS_IGNORE) {
        options->leaks = RPI_CLI_LEAKS_WARN; /* what is killed is told */
    }
    if (options->originator_option != NULL && options->leaks != RPI_CLI_LEAKS_IGNORE) {
        (void)snprintf(parser->message, parser->message_size,
                       "%s of " ORIGINATOR " contradicts %s, which sets it",
                       options->originator_option,
                       options->kill_leaks ? "--kill-leaks" : "--find-leaks");
        return -1;
    }
    if (options->command[0] == NULL) {
        (void)snprintf(parser->message, parser->message_size, "a command is required after --");
        return -1;
    }
    return 0;
}

/* What every command finds in its environment, before --env and --unset, which may undo it. */
static void add_markers(struct parser *parser)
{
    const char **env = parser->options->env;

    env[parser->env_count++] = "IN_RUNNING_PROCESS=running-process-cli";
    env[parser->env_count++] = ORIGINATOR; /* removed: the command is not its launcher's child */
    if (getenv("PYTHONFAULTHANDLER") == NULL) {
        env[parser->env_count++] =
            "PYTHONFAULTHANDLER=1"; /* a Python that dies by a signal says where */
    }
}

int rpi_cli_options_init(rpi_cli_options *options, char **argv, char *message, size_t message_size)
{
    struct parser parser = {.options = options,
                            .argv = argv,
                            .next = argv[0] == NULL ? 0 : 1,
                            .message = message,
                            .message_size = message_size};
    size_t count = 0;

    while (argv[count] != NULL) {
        count++;
    }
    *options = (rpi_cli_options){.kill_after_ns = 2 * RP_SECOND,
                                 .stop_signal = rpi_cli_signal_number("TERM")};
    /* Each variable and each rule of the command line takes a word of it at least. */
    options->env = calloc(count + MARKER_COUNT_MAX + 1, sizeof *options->env);
    options->rules = calloc(count + 1, sizeof *options->rules);
    if (options->env == NULL || options->rules == NULL) {
        (void)snprintf(message, message_size, "%s", rp_strerror(RP_ENOMEM));
        return -1;
    }
    add_markers(&parser);
    if (read_words(&parser) < 0) {
        return -1;
    }
    options->command = (const char *const *)argv + parser.next;
    return check_whole(&parser);
}

void rpi_cli_options_fini(rpi_cli_options *options)
{
    free(options->env);
    options->env = NULL;
    for (size_t i = 0; i < options->rule_count; i++) {
        rpi_cli_rule_fini(&options->rules[i]);
    }
    free(options->rules);
    options->rules = NULL;
    options->rule_count = 0;
}
