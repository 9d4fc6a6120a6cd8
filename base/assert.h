/* Assertions: they catch this library's own bugs. What the system or a caller does wrong is an
 * error code, never an assertion. RP_ASSERT is cheap and always on; RPI_CHECK may be costly (walks
 * a list, compares two computations) and exists in debug builds only. */
#ifndef RPI_BASE_ASSERT_H
#define RPI_BASE_ASSERT_H

/** Ends the program (abort) after recording the place for a debugger; prints nothing, as the
 * library never does. */
_Noreturn void rpi_assert_failed(const char *condition, const char *file, int line);

#define RP_ASSERT(condition)                                                                       \
    do {                                                                                           \
        if (__builtin_expect(!(condition), 0)) {                                                   \
            rpi_assert_failed(#condition, __FILE__, __LINE__);                                     \
        }                                                                                          \
    } while (0)

#ifdef NDEBUG /* compiled all the same, so that what only a check uses is not called unused */
#define RPI_CHECK(condition) ((void)(0 && (condition)))
#else
#define RPI_CHECK(condition) RP_ASSERT(condition)
#endif

#endif
