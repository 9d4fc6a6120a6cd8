/* The detach key of a relay: bytes that end it, wherever they stand in what is typed, however that
 * was cut into reads. Bytes that may be the key's beginning wait until the next ones say; the
 * search is Knuth, Morris and Pratt's, so each byte is looked at once. Pure. */
#ifndef RPI_CORE_RELAY_KEYS_H
#define RPI_CORE_RELAY_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    RPI_KEYS_MAX = 32
};

typedef struct rpi_keys {
    unsigned char bytes[RPI_KEYS_MAX];
    uint8_t fall[RPI_KEYS_MAX]; /* after i + 1 matching bytes: how many still do, one place on */
    uint8_t size;               /* 0: there is no key */
    uint8_t matched;            /* bytes of it seen, which wait */
} rpi_keys;

/** `text` is NULL for no key. False: it is empty, or longer than RPI_KEYS_MAX. */
bool rpi_keys_init(rpi_keys *keys, const char *text);

/** Takes `size` typed bytes. What is not (the beginning of) the key goes to `out`, which has room
 * for size + RPI_KEYS_MAX; *ret_size counts it. True: the key was typed; what follows it is
 * dropped. */
bool rpi_keys_feed(rpi_keys *keys, const char *bytes, size_t size, char *out, size_t *ret_size);

#endif
