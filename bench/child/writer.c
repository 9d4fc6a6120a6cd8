/* A child that writes: waits until standard input ends (the starting gate that all writers of a
 * sample share), then writes BYTES bytes to standard output in writes of CHUNK bytes, each chunk
 * one line of text. The fan_in case starts one to a thousand.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

int main(int argc, char **argv)
{
    size_t left = argc > 1 ? strtoul(argv[1], NULL, 10) : 0;
    size_t chunk = argc > 2 ? strtoul(argv[2], NULL, 10) : 0;
    char *bytes;
    char gate;

    if (argc != 3 || chunk == 0) {
        (void)fputs("usage: rp-bench-writer BYTES CHUNK\n", stderr);
        return 2;
    }
    bytes = malloc(chunk);
    if (bytes == NULL) {
        return 3;
    }
    memset(bytes, 'x', chunk);
    bytes[chunk - 1] = '\n';
    while (read(STDIN_FILENO, &gate, 1) < 0 && errno == EINTR) {
    }
    while (left > 0) {
        size_t n = left < chunk ? left : chunk;

        if (write_all(bytes, n) < 0) {
            return 4;
        }
        left -= n;
    }
    free(bytes);
    return 0;
}
