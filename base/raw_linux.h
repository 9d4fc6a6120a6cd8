/* System calls without the C library, for code that runs in a child between clone and exec: that
 * child may share the host's memory, so it must not touch errno or any other thread-local, take a
 * lock, or enter a sanitizer's runtime. Also the mark for such functions, RPI_CHILD_CODE.
 *
 * Results are the kernel's: -errno on failure. On an architecture without inline calls the C
 * library's syscall() stands in; there only forked children run this code (base/clone.h). */
#ifndef RPI_BASE_RAW_LINUX_H
#define RPI_BASE_RAW_LINUX_H

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

/* On a function of a child: no sanitizer instruments it. clang's ThreadSanitizer counts entries of
 * functions even under no_sanitize; a child never leaves, so the count would grow until it bursts.
 */
#if defined(__clang__)
#if __has_attribute(disable_sanitizer_instrumentation)
#define RPI_CHILD_CODE                                                                             \
    __attribute__((disable_sanitizer_instrumentation,                                              \
                   no_sanitize("address", "undefined", "thread", "memory", "coverage")))
#else
#define RPI_CHILD_CODE                                                                             \
    __attribute__((no_sanitize("address", "undefined", "thread", "memory", "coverage")))
#endif
#elif defined(__GNUC__)
#define RPI_CHILD_CODE __attribute__((no_sanitize("address", "undefined", "thread")))
#else
#define RPI_CHILD_CODE
#endif

/* Numbers that older headers lack; they are the same on all architectures. */
#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#ifndef SYS_close_range
#define SYS_close_range 436
#endif
#define RPI_CLOSE_RANGE_UNSHARE 2U

RPI_CHILD_CODE static inline long rpi_raw(long number, long a, long b, long c, long d, long e)
{
#if defined(__x86_64__)
    long result;
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;

    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "0"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
                     : "rcx", "r11", "memory");
    return result;
#elif defined(__aarch64__)
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    register long x4 __asm__("x4") = e;

    __asm__ volatile("svc #0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4) : "memory");
    return x0;
#else
    long result = syscall(number, a, b, c, d, e);

    return result < 0 ? -errno : result;
#endif
}

/** close_range of the kernel: 0 or -errno. */
RPI_CHILD_CODE static inline long rpi_raw_close_range(unsigned first, unsigned last, unsigned flags)
{
    return rpi_raw(SYS_close_range, (long)first, (long)last, (long)flags, 0, 0);
}

/** The calling thread's signal mask becomes `mask` (bit n - 1 is signal n), 32 and 33 of the C
 * library included; returns the old one. */
RPI_CHILD_CODE static inline uint64_t rpi_raw_set_mask(uint64_t mask)
{
    uint64_t old = 0;

    // cannot fail: the arguments are right
    (void)rpi_raw(SYS_rt_sigprocmask, SIG_SETMASK, (long)(uintptr_t)&mask, (long)(uintptr_t)&old,
                  (long)sizeof mask, 0);
    return old;
}

/* The kernel's struct sigaction begins with the handler on the architectures that make raw calls;
 * the rest (flags, restorer, mask) is 0 where a default is set, and not looked at where one is
 * read. */
typedef struct rpi_raw_action {
    uintptr_t handler;
    unsigned long rest[7];
} rpi_raw_action;

#define RPI_RAW_SIGNAL_MAX 64
#define RPI_RAW_DEFAULT ((uintptr_t)0)
#define RPI_RAW_IGNORED ((uintptr_t)1)

/** What the calling process does with `signal`: RPI_RAW_DEFAULT, RPI_RAW_IGNORED, or a handler. */
RPI_CHILD_CODE static inline uintptr_t rpi_raw_handler(int signal)
{
#if defined(__x86_64__) || defined(__aarch64__)
    rpi_raw_action action;

    action.handler = RPI_RAW_DEFAULT;
    // fails for no signal of 1..64; size of the kernel's set
    (void)rpi_raw(SYS_rt_sigaction, signal, 0, (long)(uintptr_t)&action, (long)sizeof(uint64_t), 0);
    return action.handler;
#else
    struct sigaction action;

    if (sigaction(signal, NULL, &action) < 0) {
        return RPI_RAW_DEFAULT; // 32, 33: the C library's own, which exec resets
    }
    return action.sa_handler == SIG_DFL   ? RPI_RAW_DEFAULT
           : action.sa_handler == SIG_IGN ? RPI_RAW_IGNORED
                                          : RPI_RAW_IGNORED + 1;
#endif
}

/** Sets the default action of `signal` in the calling process. */
RPI_CHILD_CODE static inline void rpi_raw_set_default(int signal)
{
#if defined(__x86_64__) || defined(__aarch64__)
    rpi_raw_action action;
    unsigned i;

    action.handler = RPI_RAW_DEFAULT;
    for (i = 0; i < sizeof action.rest / sizeof action.rest[0]; i++) {
        ((volatile unsigned long *)action.rest)[i] = 0; // volatile: no call to memset
    }
    // fails for SIGKILL and SIGSTOP only, which are at their defaults
    (void)rpi_raw(SYS_rt_sigaction, signal, (long)(uintptr_t)&action, 0, (long)sizeof(uint64_t), 0);
#else
    struct sigaction action = {.sa_handler = SIG_DFL};

    (void)sigaction(signal, &action, NULL); // as above; 32 and 33 are reset by exec
#endif
}

/** Ends the calling process. */
RPI_CHILD_CODE static inline _Noreturn void rpi_raw_exit(int code)
{
    for (;;) {
        (void)rpi_raw(SYS_exit_group, code, 0, 0, 0, 0); // does not return
    }
}

#endif
