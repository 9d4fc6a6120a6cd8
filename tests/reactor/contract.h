/* What the files of the contract test share. */
#ifndef RPI_TESTS_REACTOR_CONTRACT_H
#define RPI_TESTS_REACTOR_CONTRACT_H

#include "tests/reactor/rig.h"
#include "tests/support/check.h"

/* Turns until the condition holds; a watchdog, not a measure of speed, ends it. */
#define UNTIL(rig_pointer, condition)                                                              \
    do {                                                                                           \
        int turns_ = 0;                                                                            \
        while (!(condition)) {                                                                     \
            cr_assert_lt(turns_++, 100000, "%s never came", #condition);                           \
            cr_assert_geq(rpi_reactor_turn(&(rig_pointer)->reactor, 5 * RP_SECOND), 0);            \
        }                                                                                          \
    } while (0)

#endif
