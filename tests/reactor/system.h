/* What the tests of the real backends share: see system_support.c. */
#ifndef RPI_TESTS_REACTOR_SYSTEM_H
#define RPI_TESTS_REACTOR_SYSTEM_H

#include <stdbool.h>
#include <stdint.h>

#include "reactor/reactor.h"
#include "tests/reactor/contract.h"
#include "tests/support/check.h"

/* A sanitizer slows everything down: fewer rounds of what is repeated for the sake of races. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define ROUNDS(count) ((count) / 10)
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define ROUNDS(count) ((count) / 10)
#endif
#endif
#ifndef ROUNDS
#define ROUNDS(count) (count)
#endif

/** A READ that keeps what came. */
typedef struct test_input {
    rpi_op op;
    rpi_io io;
    rpi_reactor *reactor;
    char bytes[65536];
    size_t total;
    int calls;
    int32_t last;
    bool again; /* begin anew after bytes */
} test_input;

void input_open(test_input *input, rpi_reactor *reactor, int fd);
void input_start(test_input *input);

/** Opens a reactor of the backend under test. */
void system_open(rpi_reactor *reactor);

static inline rp_loop *system_loop(rpi_reactor *reactor)
{
    return (rp_loop *)(void *)reactor;
}

/** Turns until the condition holds. */
#define TURN_UNTIL(reactor_pointer, condition)                                                     \
    do {                                                                                           \
        int turns_ = 0;                                                                            \
        while (!(condition)) {                                                                     \
            cr_assert_lt(turns_++, 1000000, "%s never came", #condition);                          \
            cr_assert_geq(rpi_reactor_turn(reactor_pointer, 5 * RP_SECOND), 0);                    \
        }                                                                                          \
    } while (0)

/** How many descriptors this process has. */
unsigned descriptor_count(void);

/** A pipe, both ends close-on-exec and O_NONBLOCK. */
void pipe_open(int ends[2]);

/** Runs a function in a forked child that must return 0. */
void in_child(int (*function)(void *), void *argument);

#endif
