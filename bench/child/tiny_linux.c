/* The smallest program there is: it exits with 0 at once, without a C library, so that what a
 * benchmark measures is the launch and the end, not the program. Built with -static -nostdlib, once
 * per architecture's way to ask for exit. bench/ starts it by the thousand. With RPI_TINY_SLEEPS it
 * waits for a signal instead: 900 s at most, so that no sleeper outlives a benchmark for long.
 */

void _start(void);

#if defined(__x86_64__)
enum {
    CALL_EXIT = 60,
    CALL_ALARM = 37,
    CALL_PAUSE = 34
};

static long call(long number, long argument)
{
    long result;

    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(argument)
                     : "rcx", "r11", "memory");
    return result;
}

static void sleep_for_long(void)
{
    (void)call(CALL_ALARM, 900);
    (void)call(CALL_PAUSE, 0);
}
#elif defined(__aarch64__)
enum {
    CALL_EXIT = 93,
    CALL_NANOSLEEP = 101
};

static long call(long number, long argument)
{
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = argument;
    register long x1 __asm__("x1") = 0;

    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1) : "memory");
    return x0;
}

static void sleep_for_long(void)
{
    static const long time[2] = {900, 0};

    (void)call(CALL_NANOSLEEP, (long)time);
}
#elif defined(__riscv) && __riscv_xlen == 64
enum {
    CALL_EXIT = 93,
    CALL_NANOSLEEP = 101
};

static long call(long number, long argument)
{
    register long a7 __asm__("a7") = number;
    register long a0 __asm__("a0") = argument;
    register long a1 __asm__("a1") = 0;

    __asm__ volatile("ecall" : "+r"(a0) : "r"(a7), "r"(a1) : "memory");
    return a0;
}

static void sleep_for_long(void)
{
    static const long time[2] = {900, 0};

    (void)call(CALL_NANOSLEEP, (long)time);
}
#else
#error "tiny_linux.c does not know how to make a system call here: add this architecture"
#endif

void _start(void)
{
    if (RPI_TINY_SLEEPS) {
        sleep_for_long();
    }
    for (;;) {
        (void)call(CALL_EXIT, 0);
    }
}
