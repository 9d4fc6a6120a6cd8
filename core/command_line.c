/* A typed command, split into words: rp_command_line. The rules are those of Python's shlex with
 * posix=False and one layer of quotes taken off each word, which is what users of the Python
 * package know; docs of the function: rp/interactive.h. The text is walked twice, to measure and to
 * fill, so that the result is one block. */
#include <stdbool.h>
#include <string.h>

#include "base/alloc.h"
#include "base/status.h"
#include "rp/interactive.h"

static bool is_blank(char byte)
{
    return byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n';
}

/* The next word from *at on, which then stands behind it: 1; 0 where there is none;
 * RP_EINVAL and *at at a quotation without its end. */
static int next_word(const char **at, rp_view *ret_word)
{
    const char *first = *at;
    const char *end;

    while (is_blank(*first)) {
        first++;
    }
    *at = first;
    if (*first == '\0') {
        return 0;
    }
    if (*first == '"' || *first == '\'') {
        end = strchr(first + 1, *first);
        if (end == NULL) {
            return RP_EINVAL;
        }
        *ret_word = (rp_view){first + 1, (size_t)(end - first - 1)};
        *at = end + 1;
        return 1;
    }
    for (end = first; *end != '\0' && !is_blank(*end); end++) {
    }
    *ret_word = (rp_view){first, (size_t)(end - first)};
    *at = end;
    return 1;
}

/* What the words need: 0, or RP_EINVAL with the detail. */
static int measure(const char *text, size_t *ret_count, size_t *ret_bytes)
{
    const char *at = text;
    size_t count = 0;
    size_t bytes = 0;
    rp_view word;
    int r;

    while ((r = next_word(&at, &word)) > 0) {
        count++;
        bytes += word.size + 1;
    }
    if (r < 0) {
        return rpi_detail(r, "offset %zu: no closing quotation", (size_t)(at - text));
    }
    *ret_count = count;
    *ret_bytes = bytes;
    return 0;
}

int rp_command_line(const char *text, char ***ret_argv)
{
    const char *at = text;
    size_t count = 0;
    size_t bytes = 0;
    rp_view word;
    char **argv;
    char *to;
    int r;

    rpi_detail_clear();
    if (text == NULL) {
        return rpi_detail(RP_EINVAL, "text: none given");
    }
    r = measure(text, &count, &bytes);
    if (r < 0) {
        return r;
    }
    /* Words are parted by a byte of the text at least, or closed by one: the sum cannot wrap before
     * the text itself fills the memory. */
    argv = rpi_alloc(rpi_alloc_default(), (count + 1) * sizeof *argv + bytes);
    if (argv == NULL) {
        return RP_ENOMEM;
    }
    to = (char *)(argv + count + 1);
    for (size_t i = 0; i < count && next_word(&at, &word) > 0; i++) {
        argv[i] = to;
        memcpy(to, word.data, word.size);
        to[word.size] = '\0';
        to += word.size + 1;
    }
    argv[count] = NULL;
    *ret_argv = argv;
    return 0;
}
