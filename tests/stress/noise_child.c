/* noise_child OUT_SIZE OUT_OFFSET ERR_SIZE ERR_OFFSET END [raw]: writes that much noise to both
 * streams, in pieces of changing sizes that alternate between them, and ends: `eN` exits with N,
 * `sN` kills itself by signal N, `w` waits for ever. With `raw` its terminal passes every byte on
 * as it is. A child of the stress tests: small, so that thousands a second can be started. Exit
 * code 99: a write failed. */
#include <signal.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

#include "tests/stress/noise.h"

enum {
    PIECE_MAX = 32768,
    FAILED = 99
};

struct side {
    int fd;
    size_t size;
    size_t done;
    uint64_t offset;
};

/* Writes the next piece of a side, of at most `max` bytes; how much is left. */
static size_t write_piece(struct side *side, size_t max)
{
    static unsigned char bytes[PIECE_MAX + 8];
    size_t size = side->size - side->done;
    size_t begin = side->done % 8; /* noise is filled from multiples of 8 */
    size_t sent = 0;

    size = size < max ? size : max;
    noise_fill(bytes, begin + size, side->offset + side->done - begin);
    while (sent < size) {
        ssize_t r = write(side->fd, bytes + begin + sent, size - sent);

        if (r < 0) {
            _exit(FAILED);
        }
        sent += (size_t)r;
    }
    side->done += size;
    return side->size - side->done;
}

static void end(const char *how)
{
    int number = (int)strtol(how + 1, NULL, 10);

    if (how[0] == 's') {
        (void)kill(getpid(), number);
    }
    while (how[0] != 'e') {
        (void)pause();
    }
    _exit(number);
}

static int make_raw(void)
{
    struct termios modes;

    if (tcgetattr(STDIN_FILENO, &modes) < 0) {
        return 0;
    }
    cfmakeraw(&modes);
    return tcsetattr(STDIN_FILENO, TCSANOW, &modes) == 0;
}

int main(int argc, char **argv)
{
    struct side out = {.fd = STDOUT_FILENO};
    struct side err = {.fd = STDERR_FILENO};
    uint64_t step = 0;
    size_t left = 1;

    if (argc < 6 || (argc > 6 && !make_raw())) {
        return FAILED;
    }
    out.size = strtoull(argv[1], NULL, 10);
    out.offset = strtoull(argv[2], NULL, 10);
    err.size = strtoull(argv[3], NULL, 10);
    err.offset = strtoull(argv[4], NULL, 10);
    while (left > 0) {
        size_t max = 1 + noise_word(out.offset + err.offset + step++) % PIECE_MAX;

        left = write_piece(&out, max);
        left += write_piece(&err, 1 + max / 3);
    }
    end(argv[5]);
    return 0;
}
