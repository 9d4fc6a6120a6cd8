/* See arguments_windows.h. The C runtime's rules: an argument with blanks or quotes stands in
 * quotes; a quote is written \", and backslashes right before a quote are doubled, all others are
 * not. Arguments of a batch file always stand in quotes, which keeps cmd.exe from seeing & | < > ^
 * ( ) in them. */
#include "core/arguments_windows.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/os_windows.h"

/* A text that grows, and remembers that it could not. */
typedef struct line {
    char *text; // owned
    size_t size;
    size_t capacity;
    int error;
} line;

static void add_bytes(line *to, const char *bytes, size_t size)
{
    if (to->error != 0) {
        return;
    }
    if (size >= to->capacity - to->size) {
        const size_t capacity = (to->size + size + 1) * 2;
        char *text = realloc(to->text, capacity);

        if (text == NULL) {
            to->error = -ENOMEM;
            return;
        }
        to->text = text;
        to->capacity = capacity;
    }
    memcpy(to->text + to->size, bytes, size);
    to->size += size;
    to->text[to->size] = '\0';
}

static void add(line *to, const char *text)
{
    add_bytes(to, text, strlen(text));
}

static void add_backslashes(line *to, size_t count)
{
    for (; count > 0; count--) {
        add(to, "\\");
    }
}

/* One argument by the C runtime's rules. */
static void add_quoted(line *to, const char *argument, bool always)
{
    size_t backslashes = 0;

    if (!always && argument[0] != '\0' && strpbrk(argument, " \t\n\v\"") == NULL) {
        add(to, argument);
        return;
    }
    add(to, "\"");
    for (; *argument != '\0'; argument++) {
        if (*argument == '\\') {
            backslashes++;
            continue;
        }
        add_backslashes(to, *argument == '"' ? 2 * backslashes + 1 : backslashes);
        backslashes = 0;
        add_bytes(to, argument, 1);
    }
    add_backslashes(to, 2 * backslashes);
    add(to, "\"");
}

static void add_runtime(line *to, char *const *argv)
{
    for (size_t i = 0; argv[i] != NULL; i++) {
        add(to, i > 0 ? " " : "");
        if (i == 0 && strchr(argv[0], '"') == NULL) {
            // The runtime takes the first one as it stands between quotes, backslashes too.
            const bool plain = argv[0][0] != '\0' && strpbrk(argv[0], " \t") == NULL;

            add(to, plain ? "" : "\"");
            add(to, argv[0]);
            add(to, plain ? "" : "\"");
        } else {
            add_quoted(to, argv[i], false);
        }
    }
}

static void add_verbatim(line *to, char *const *argv)
{
    for (size_t i = 0; argv[i] != NULL; i++) {
        add(to, i > 0 ? " " : "");
        add(to, argv[i]);
    }
}

/* With /S cmd.exe takes off the outermost quotes and runs what is between them as it stands. */
static void add_shell(line *to, char *const *argv)
{
    size_t last = 0;

    while (argv[last + 1] != NULL) {
        last++;
    }
    add(to, "cmd.exe /D /S /C \"");
    add(to, argv[last]);
    add(to, "\"");
}

static void add_batch(line *to, char *const *argv, const char *program)
{
    add(to, "cmd.exe /E:ON /V:OFF /D /S /C \"\"");
    add(to, program);
    add(to, "\"");
    if (strpbrk(program, "\"%\r\n") != NULL) {
        to->error = -EINVAL;
    }
    for (size_t i = 1; argv[0] != NULL && argv[i] != NULL; i++) {
        if (strpbrk(argv[i], "\"%\r\n") != NULL) {
            to->error = -EINVAL;
        }
        add(to, " ");
        add_quoted(to, argv[i], true);
    }
    add(to, "\"");
}

/* The same as UTF-16. */
static int widen(line *from, wchar_t **ret_line)
{
    bool invalid = false;
    wchar_t *wide;

    if (from->error != 0) {
        return from->error;
    }
    wide = rpi_os_wide(from->text != NULL ? from->text : "", &invalid);
    if (wide == NULL) {
        return invalid ? -EINVAL : -ENOMEM;
    }
    if (wcslen(wide) >= RPI_COMMAND_LINE_MAX) {
        free(wide);
        return -E2BIG;
    }
    *ret_line = wide;
    return 0;
}

int rpi_command_line_make(char *const *argv,
                          const char *program,
                          rpi_quoting quoting,
                          wchar_t **ret_line)
{
    line made = {.text = NULL};
    int r;

    switch (quoting) {
    case RPI_QUOTE_RUNTIME:
        add_runtime(&made, argv);
        break;
    case RPI_QUOTE_VERBATIM:
        add_verbatim(&made, argv);
        break;
    case RPI_QUOTE_SHELL:
        add_shell(&made, argv);
        break;
    case RPI_QUOTE_BATCH:
        add_batch(&made, argv, program);
        break;
    }
    r = widen(&made, ret_line);
    free(made.text);
    return r;
}

/* The system takes dots and blanks off the end of a file's name. */
bool rpi_is_batch_file(const char *program)
{
    size_t length = strlen(program);

    while (length > 0 && (program[length - 1] == '.' || program[length - 1] == ' ')) {
        length--;
    }
    return length >= 4 && (_strnicmp(program + length - 4, ".bat", 4) == 0 ||
                           _strnicmp(program + length - 4, ".cmd", 4) == 0);
}

/* ---- the environment ------------------------------------------------------------------- */

static size_t name_length(const wchar_t *entry)
{
    // Names may begin with '=' ("=C:": the current folder of a drive).
    const wchar_t *end = entry[0] != L'\0' ? wcschr(entry + 1, L'=') : NULL;

    return end != NULL ? (size_t)(end - entry) : wcslen(entry);
}

static int compare(const void *a, const void *b)
{
    const wchar_t *const *x = a;
    const wchar_t *const *y = b;
    const int order =
        CompareStringOrdinal(*x, (int)name_length(*x), *y, (int)name_length(*y), TRUE);

    return order - CSTR_EQUAL;
}

/* All entries as UTF-16, behind each other in one block; `ret_list` gets where each begins. */
static int
widen_entries(char *const *env, size_t count, wchar_t **ret_list, wchar_t *text, int room)
{
    for (size_t i = 0; i < count; i++) {
        const int length =
            MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, env[i], -1, text, room);

        if (length <= 0) {
            return -EINVAL;
        }
        ret_list[i] = text;
        text += length;
        room -= length;
    }
    return 0;
}

/* Copies the sorted entries into the block. */
static void copy_sorted(wchar_t *const *list, size_t count, wchar_t *block)
{
    for (size_t i = 0; i < count; i++) {
        const size_t size = wcslen(list[i]) + 1;

        memcpy(block, list[i], size * sizeof *block);
        block += size;
    }
    if (count == 0) {
        *block++ = L'\0';
    }
    *block = L'\0';
}

int rpi_environment_block_make(char *const *env, wchar_t **ret_block)
{
    size_t count = 0;
    size_t size = 2;
    wchar_t **list;
    wchar_t *texts;
    wchar_t *block;
    int r = -ENOMEM;

    for (; env[count] != NULL; count++) {
        size += strlen(env[count]) + 1; // no text has more characters in UTF-16
    }
    if (size > INT32_MAX) {
        return -E2BIG;
    }
    list = malloc((count + 1) * sizeof *list);
    texts = malloc(size * sizeof *texts);
    block = malloc(size * sizeof *block);
    if (list != NULL && texts != NULL && block != NULL) {
        r = widen_entries(env, count, list, texts, (int)size);
    }
    if (r == 0) {
        qsort(list, count, sizeof *list, compare);
        copy_sorted(list, count, block);
        *ret_block = block;
        block = NULL;
    }
    free(block);
    free(texts);
    free(list);
    return r;
}
