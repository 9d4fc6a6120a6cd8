/* A child that talks: writes BYTES bytes to standard output in writes of CHUNK bytes, text as a
 * build prints it, made of a few words in an order that is always the same. The expect_scan case
 * starts it.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    TEXT_SIZE = 1 << 20
};

static int write_all(const char *bytes, size_t size)
{
    while (size > 0) {
        ssize_t n = write(STDOUT_FILENO, bytes, size);

        if (n < 0 && errno != EINTR) {
            return -errno;
        }
        if (n > 0) {
            bytes += n;
            size -= (size_t)n;
        }
    }
    return 0;
}

static void fill(char *text)
{
    static const char *const words[] = {"building",   "the",      "error",  "in",   "file",
                                        "src/main.c", "warning:", "unused", "of",   "to",
                                        "[ 42%]",     "linking",  "ok",     "test", "passed",
                                        "12",         "ms",       "login",  "pass", "\n",
                                        "\n"};
    uint32_t random = 1;
    size_t at = 0;

    while (at < TEXT_SIZE) {
        const char *word = words[(random >> 16) % (sizeof words / sizeof words[0])];
        size_t size = strlen(word);

        random = random * 1664525 + 1013904223;
        size = size < TEXT_SIZE - at ? size : TEXT_SIZE - at;
        memcpy(text + at, word, size);
        at += size;
        if (at < TEXT_SIZE) {
            text[at++] = ' ';
        }
    }
}

int main(int argc, char **argv)
{
    size_t left = argc > 1 ? strtoul(argv[1], NULL, 10) : 0;
    size_t chunk = argc > 2 ? strtoul(argv[2], NULL, 10) : 0;
    char *text = malloc(TEXT_SIZE);
    size_t at = 0;

    if (argc != 3 || chunk == 0 || chunk > TEXT_SIZE || text == NULL) {
        (void)fputs("usage: rp-bench-talker BYTES CHUNK\n", stderr);
        return 2;
    }
    fill(text);
    while (left > 0) {
        size_t size = left < chunk ? left : chunk;

        at = at + size > TEXT_SIZE ? 0 : at;
        if (write_all(text + at, size) < 0) {
            return 4;
        }
        at += size;
        left -= size;
    }
    free(text);
    return 0;
}
