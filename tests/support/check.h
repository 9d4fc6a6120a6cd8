/* What every C test includes: Test, TestSuite, ParameterizedTest and the cr_ assertions. They come
 * from Criterion where CMake found it (RP_HAVE_CRITERION), else from our own runner, which knows
 * those of them that our tests use. */
#ifndef RPI_TESTS_CHECK_H
#define RPI_TESTS_CHECK_H

#ifdef RP_HAVE_CRITERION
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#else
#include "tests/support/runner.h"
#endif

#endif
