/* Bytes that look random and can be made again from a seed, and a sum that tells two texts apart:
 * for the child that writes them (tests/child.c) and the tests that look whether all of them came.
 */
#ifndef RPI_TESTS_SUPPORT_NOISE_H
#define RPI_TESTS_SUPPORT_NOISE_H

#include <stddef.h>
#include <stdint.h>

/** A stream of numbers: Marsaglia's xorshift with a multiplied result. */
typedef struct noise {
    uint64_t state;
} noise;

static inline noise noise_begin(uint64_t seed)
{
    return (noise){(seed + 1) * UINT64_C(0x9E3779B97F4A7C15) | 1};
}

static inline uint32_t noise_next(noise *self)
{
    self->state ^= self->state >> 12;
    self->state ^= self->state << 25;
    self->state ^= self->state >> 27;
    return (uint32_t)((self->state * UINT64_C(0x2545F4914F6CDD1D)) >> 32);
}

static inline void noise_fill(noise *self, char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        bytes[i] = (char)(noise_next(self) & 0xff);
    }
}

/** The sum of a text, of any pieces in order: its size, and a polynomial of its bytes. */
typedef struct noise_sum {
    uint64_t size;
    uint64_t value;
} noise_sum;

static inline void noise_sum_add(noise_sum *sum, const char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        sum->value = sum->value * UINT64_C(0x100000001B3) + (unsigned char)bytes[i] + 1;
    }
    sum->size += size;
}

/** What noise_sum_add makes of `size` bytes of the seed's noise. */
static inline noise_sum noise_sum_of(uint64_t seed, size_t size)
{
    noise bytes = noise_begin(seed);
    noise_sum sum = {0, 0};

    for (size_t i = 0; i < size; i++) {
        char byte = (char)(noise_next(&bytes) & 0xff);

        noise_sum_add(&sum, &byte, 1);
    }
    return sum;
}

#endif
