/* What all matches of an expression begin with, where its text says so at a glance: plain
 * characters, up to the first that means something. matcher.c looks for that first, which is many
 * times faster, above all with many expressions. Where there is the least doubt there is no prefix.
 */
#include <string.h>

#include "core/regex.h"

/* Whether a byte stands for itself wherever it stands outside of classes. */
static bool is_plain(char byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
           (byte >= '0' && byte <= '9') ||
           (byte != '\0' && strchr(" !\"%&',-/:;<=>@_`~", byte) != NULL);
}

static bool is_escaped_mark(const char *text, size_t size)
{
    return size >= 2 && text[0] == '\\' && text[1] != '\0' &&
           strchr(".^$*+?()[]{}|\\/-:#'\"", text[1]) != NULL;
}

/* Whether there may be an alternative to the whole: outside of all parentheses, as far as that is
 * plain to see. */
static bool may_have_alternative(const char *text, size_t size)
{
    size_t depth = 0;
    bool is_clear = true; /* no class, quotation or comment so far */

    for (size_t i = 0; i < size; i++) {
        if (text[i] == '\\' && i + 1 < size) {
            i++;
            is_clear = is_clear && text[i] != 'Q';
        } else if (text[i] == '[' || (text[i] == '#' && i > 0)) {
            is_clear = false;
        } else if (text[i] == '(') {
            depth++;
        } else if (text[i] == ')') {
            depth -= depth > 0 ? 1 : 0;
        } else if (text[i] == '|' && (depth == 0 || !is_clear)) {
            return true;
        }
    }
    return false;
}

size_t rpi_regex_prefix(const rp_pattern *pattern, size_t text_size, char *ret_prefix)
{
    const char *text = pattern->text;
    size_t size = 0;
    size_t i = 0;

    if (pattern->kind != RP_REGEX || (pattern->flags & RP_CASELESS) != 0 ||
        may_have_alternative(text, text_size)) {
        return 0;
    }
    while (i < text_size && size < RPI_REGEX_PREFIX_MAX) {
        if (is_plain(text[i])) {
            ret_prefix[size++] = text[i];
            i++;
        } else if (is_escaped_mark(text + i, text_size - i)) {
            ret_prefix[size++] = text[i + 1];
            i += 2;
        } else {
            break;
        }
    }
    if (i < text_size && size > 0 && strchr("*+?{", text[i]) != NULL) {
        size--; /* it may be missing */
    }
    return size;
}
