/* See expects.h. Escapes of an action are few: \n, \r, \t, \\ and \xNN; what is not one of them is
 * an error. A word that is an action stands for itself only as a whole: "\x6bill" writes "kill". */
#include "cli/expects.h"

#include <stdlib.h>
#include <string.h>

#define ARROW "=>"

/* ---- reading ---- */

static int hex_digit(char digit)
{
    if (digit >= '0' && digit <= '9') {
        return digit - '0';
    }
    if (digit >= 'a' && digit <= 'f') {
        return digit - 'a' + 10;
    }
    return digit >= 'A' && digit <= 'F' ? digit - 'A' + 10 : -1;
}

/* The byte that the escape at *at (behind its backslash) stands for, and *at behind it; -1. */
static int read_escape(const char **at)
{
    static const char names[] = "nrt\\";
    static const char bytes[] = "\n\r\t\\";
    const char *text = *at;
    const char *name = *text == '\0' ? NULL : strchr(names, *text);

    if (name != NULL) {
        *at = text + 1;
        return bytes[name - names];
    }
    if (*text != 'x' || hex_digit(text[1]) < 0 || hex_digit(text[2]) < 0) {
        return -1;
    }
    *at = text + 3;
    return hex_digit(text[1]) * 16 + hex_digit(text[2]);
}

/* Carries the escapes out, in place: the text's size, or -1. */
static int unescape(char *text)
{
    const char *from = text;
    char *to = text;

    while (*from != '\0') {
        int byte = (unsigned char)*from++;

        if (byte == '\\') {
            byte = read_escape(&from);
            if (byte < 0) {
                return -1;
            }
        }
        *to++ = (char)byte;
    }
    return (int)(to - text);
}

static bool read_word(rpi_cli_rule *rule, const char *action)
{
    static const struct {
        const char *name;
        rp_action_kind kind;
    } words[] = {
        {"interrupt", RP_ACT_INTERRUPT},
        {"terminate", RP_ACT_TERMINATE},
        {"kill", RP_ACT_KILL},
    };

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcmp(action, words[i].name) == 0) {
            rule->action.kind = words[i].kind;
            rule->action_name = words[i].name;
            return true;
        }
    }
    return false;
}

const char *rpi_cli_rule_init(rpi_cli_rule *rule, const char *value)
{
    const char *arrow = strstr(value, ARROW);
    const size_t size = strlen(value) + 1;
    char *action;
    int length;

    if (arrow == NULL || arrow == value) {
        return "not of the form PATTERN=>ACTION";
    }
    *rule = (rpi_cli_rule){.text = malloc(size), .action_name = "none"};
    if (rule->text == NULL) {
        return "out of memory";
    }
    memcpy(rule->text, value, size);
    rule->text[arrow - value] = '\0';
    rule->pattern = rule->text;
    action = rule->text + (arrow - value) + strlen(ARROW);
    if (*action == '\0' || read_word(rule, action)) {
        return NULL;
    }
    length = unescape(action);
    if (length < 0) {
        rpi_cli_rule_fini(rule);
        return "its ACTION has an escape that is none of \\n \\r \\t \\\\ \\xNN";
    }
    rule->action.kind = RP_ACT_WRITE;
    rule->action.bytes = (rp_view){action, (size_t)length};
    rule->action_name = "write";
    return NULL;
}

void rpi_cli_rule_fini(rpi_cli_rule *rule)
{
    free(rule->text);
    rule->text = NULL;
}

bool rpi_cli_expects_write(const rpi_cli_rule *rules, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (rules[i].action.kind == RP_ACT_WRITE) {
            return true;
        }
    }
    return false;
}

/* ---- carrying out ---- */

static void on_match(rp_process *process, const rp_match *match, void *user);

static int arm(const rpi_cli_rule *rule,
               rp_process *process,
               rp_expect_fn *matched,
               void *user,
               rp_expect **ret_expect)
{
    const rp_pattern pattern = {.kind = RP_REGEX, .text = rule->pattern};
    rp_expect_options options = RP_EXPECT_OPTIONS_INIT;

    options.patterns = &pattern;
    options.pattern_count = 1;
    options.actions = &rule->action;
    options.text = RP_TEXT_STRIPPED;
    return rp_expect_start(process, &options, matched, user, ret_expect);
}

static void on_match(rp_process *process, const rp_match *match, void *user)
{
    rpi_cli_expects *expects = user;
    const rpi_cli_rule *rule = &expects->rules[expects->next];
    rp_match failed = {0};

    if (match->status == 0) {
        expects->next++;
    }
    expects->matched(rule, match, expects->user);
    if (match->status != 0 || rpi_cli_expects_are_met(expects)) {
        return;
    }
    rule = &expects->rules[expects->next];
    failed.status = arm(rule, process, on_match, expects, NULL);
    if (failed.status < 0) {
        expects->matched(rule, &failed, expects->user);
    }
}

static void on_trial(rp_process *process, const rp_match *match, void *user)
{
    (void)process;
    (void)match;
    (void)user; /* it was cancelled at once */
}

int rpi_cli_expects_start(rpi_cli_expects *expects,
                          rp_process *process,
                          const rpi_cli_rule **ret_bad)
{
    int r = 0;

    for (size_t i = 1; i < expects->count && r == 0;
         i++) { /* not when its turn comes, hours later */
        rp_expect *trial;

        *ret_bad = &expects->rules[i];
        r = arm(&expects->rules[i], process, on_trial, NULL, &trial);
        if (r == 0) {
            rp_expect_cancel(trial);
        }
    }
    if (r == 0 && expects->count > 0) {
        *ret_bad = &expects->rules[0];
        r = arm(&expects->rules[0], process, on_match, expects, NULL);
    }
    return r;
}
