/* A child on a terminal, for pty_throughput, pty_round_trip and idle_many.
 *
 *     flood BYTES CHUNK   sets its terminal raw, says "r", waits for one byte, writes BYTES bytes
 * in writes of CHUNK reply               echo off; prints "> ", answers each line with "got it" and
 * a new "> ", ends at the line "q"
 *     spin MS             paints a spinner that often, until its terminal is gone
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <time.h>
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

static int set_terminal(bool raw)
{
    struct termios settings;

    if (tcgetattr(STDIN_FILENO, &settings) < 0) {
        return -errno;
    }
    if (raw) {
        cfmakeraw(&settings);
    } else {
        settings.c_lflag &= ~(tcflag_t)ECHO;
    }
    return tcsetattr(STDIN_FILENO, TCSANOW, &settings) < 0 ? -errno : 0;
}

static int flood(size_t left, size_t chunk)
{
    char *bytes = chunk == 0 ? NULL : malloc(chunk);
    char gate;
    int r = 0;

    if (bytes == NULL || set_terminal(true) < 0 || write_all("r", 1) < 0) {
        free(bytes);
        return 3;
    }
    memset(bytes, 'x', chunk);
    while (read(STDIN_FILENO, &gate, 1) < 0 && errno == EINTR) {
    }
    while (left > 0 && r == 0) {
        size_t n = left < chunk ? left : chunk;

        r = write_all(bytes, n) < 0 ? 4 : 0;
        left -= n;
    }
    free(bytes);
    return r;
}

static int reply(void)
{
    static const char answer[] = "got it\n> ";
    char line[256];
    int r = set_terminal(false);

    r = r < 0 ? r : write_all("> ", 2);
    while (r == 0) {
        ssize_t n = read(STDIN_FILENO, line, sizeof line);

        if (n <= 0 || (n == 2 && line[0] == 'q')) {
            return n < 0 ? 4 : 0;
        }
        r = write_all(answer, sizeof answer - 1);
    }
    return 5;
}

static int spin(long interval_ms)
{
    static const char *const frames[] = {"\xe2\xa0\x8b", "\xe2\xa0\x99", "\xe2\xa0\xb9"};
    const struct timespec pause = {.tv_sec = interval_ms / 1000,
                                   .tv_nsec = interval_ms % 1000 * 1000000};
    char frame[64];

    for (size_t i = 0;; i++) {
        int size =
            snprintf(frame, sizeof frame, "\r\x1b[2K\x1b[36m%s\x1b[0m Working", frames[i % 3]);

        if (write_all(frame, (size_t)size) < 0) {
            return 0;
        }
        (void)nanosleep(&pause, NULL); // a signal ends it anyway
    }
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "flood") == 0) {
        return flood(strtoul(argv[2], NULL, 10), strtoul(argv[3], NULL, 10));
    }
    if (argc == 2 && strcmp(argv[1], "reply") == 0) {
        return reply();
    }
    if (argc == 3 && strcmp(argv[1], "spin") == 0) {
        return spin(strtol(argv[2], NULL, 10));
    }
    (void)fputs("usage: rp-bench-typist flood BYTES CHUNK | reply | spin MS\n", stderr);
    return 2;
}
