/* Noise: bytes that can be computed at any place without those before, so that a child writes and a
 * test checks them independently, however the stream was cut. Included by the child program and by
 * the tests. */
#ifndef RPI_TESTS_STRESS_NOISE_H
#define RPI_TESTS_STRESS_NOISE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum {
    NOISE_PERIOD = 65536
}; /* offsets are drawn below it */

/* splitmix64 of a counter. */
static inline uint64_t noise_word(uint64_t index)
{
    uint64_t z = (index + 1) * UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* Bytes [offset, offset + size) of the noise; offset is a multiple of 8. */
static inline void noise_fill(unsigned char *bytes, size_t size, uint64_t offset)
{
    for (size_t done = 0; done < size; done += sizeof(uint64_t)) {
        uint64_t word = noise_word((offset + done) / sizeof(uint64_t));
        size_t left = size - done;

        memcpy(bytes + done, &word, left < sizeof word ? left : sizeof word);
    }
}

#endif
