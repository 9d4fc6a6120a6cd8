/* See disposable.h. The child is made with exit signal 0, so that neither a SIGCHLD handler nor a
 * wait for any child of the host learns of it, and with CLONE_VFORK, so that it is over when the
 * call returns. It leaves its result in a page that is shared in either memory mode.
 *
 * A filter that answers with SIGSYS (SECCOMP_RET_TRAP) would run the host's handler, if it has one,
 * or dump core: the child catches SIGSYS itself, and RLIMIT_CORE 1 keeps its own children from
 * dumping (1, not 0: the kernel asks a core_pattern pipe for no other value). Before Linux 5.16 a
 * core dump also killed every process that shared the memory: there the memory is copied. */
#define _GNU_SOURCE
#include "base/disposable.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <sys/wait.h>

#include "base/clone.h"
#include "base/os.h"
#include "base/raw_linux.h"

#define STACK_SIZE ((size_t)64 * 1024)
#define WORK_SIZE ((size_t)4096) /* a page: sanitizers forget an unmapped one only as a whole */
#define NO_RESULT (-1)

/* Lies in a shared page. */
typedef struct disposable {
    rpi_disposable_fn *fn;
    void *argument;
    volatile int result;
} disposable;

_Static_assert(sizeof(disposable) <= WORK_SIZE, "it fits its page");

bool rpi_on_valgrind(void)
{
#if defined(__x86_64__)
    const uint64_t request[6] = {0x1001, 0, 0, 0, 0, 0}; // RUNNING_ON_VALGRIND
    uint64_t result = 0;

    __asm__ volatile("rolq $3, %%rdi; rolq $13, %%rdi; rolq $61, %%rdi; rolq $51, %%rdi\n\t"
                     "xchgq %%rbx, %%rbx"
                     : "=d"(result)
                     : "a"(request), "0"(result)
                     : "cc", "memory");
    return result != 0;
#elif defined(__aarch64__)
    const uint64_t request[6] = {0x1001, 0, 0, 0, 0, 0};
    register uint64_t x3 __asm__("x3") = 0;
    register const uint64_t *x4 __asm__("x4") = request;

    __asm__ volatile("ror x12, x12, #3; ror x12, x12, #13\n\t"
                     "ror x12, x12, #51; ror x12, x12, #61\n\t"
                     "orr x10, x10, x10"
                     : "+r"(x3)
                     : "r"(x4)
                     : "cc", "memory");
    return x3 != 0;
#else
    return false; // no trampolines here either: the probe comes to fork by itself
#endif
}

/* Whether a core dump kills its own thread group only. */
static bool core_dumps_alone(void)
{
    struct utsname system;
    char *rest = NULL;
    unsigned long major;
    unsigned long minor;

    if (uname(&system) < 0) {
        return false;
    }
    major = strtoul(system.release, &rest, 10);
    minor = *rest == '.' ? strtoul(rest + 1, NULL, 10) : 0;
    return major > 5 || (major == 5 && minor >= 16);
}

RPI_CHILD_CODE static void trapped(int signal)
{
    (void)signal; // SIGSYS: the filter refused a call in its own way
    rpi_raw_exit(1);
}

#if defined(__x86_64__)
#define SA_RESTORER_FLAG                                                                           \
    0x04000000UL // x86_64 refuses a handler without a way back, though none is taken
#else
#define SA_RESTORER_FLAG 0UL
#endif

RPI_CHILD_CODE static int disposable_main(void *argument)
{
    disposable *work = argument;
    const struct {
        uint64_t soft, hard;
    } no_core = {1, 1};
    const struct {
        void (*handler)(int);
        unsigned long flags;
        void (*restorer)(int);
        uint64_t mask;
    } action = {trapped, SA_RESTORER_FLAG, trapped, 0};

    (void)rpi_raw(SYS_prlimit64, 0, RLIMIT_CORE, (long)(uintptr_t)&no_core, 0,
                  0); // at worst a core
    (void)rpi_raw(SYS_rt_sigaction, SIGSYS, (long)(uintptr_t)&action, 0, (long)sizeof(uint64_t), 0);
    (void)rpi_raw_set_mask(~(UINT64_C(1) << (SIGSYS - 1)));
    work->result = work->fn(work->argument);
    return 0;
}

static int make(disposable *work, char *stack, rpi_disposable_memory memory)
{
    const uint64_t mask = rpi_raw_set_mask(~UINT64_C(0));
    char *top = stack + STACK_SIZE;
    int pid = -EPERM;

    if (memory == RPI_DISPOSABLE_SHARED && core_dumps_alone()) {
        pid = rpi_clone(CLONE_VFORK | CLONE_VM, top, NULL, disposable_main, work);
    }
    if (pid < 0 && pid != -EAGAIN && pid != -ENOMEM) { // or a filter refuses shared memory
        pid = rpi_clone(CLONE_VFORK, top, NULL, disposable_main, work);
    }
    if (pid < 0 && pid != -EAGAIN && pid != -ENOMEM) {
        pid = rpi_os.fork(); // an emulator that knows nothing but fork; visible as a child, then
        if (pid == 0) {
            rpi_raw_exit(disposable_main(work));
        }
        pid = pid < 0 ? -errno : pid;
    }
    (void)rpi_raw_set_mask(mask);
    return pid;
}

int rpi_disposable_run(rpi_disposable_fn *fn, void *argument, rpi_disposable_memory memory)
{
    const int protection = PROT_READ | PROT_WRITE;
    int r = -ENOMEM;
    disposable *work = NULL;
    char *stack = NULL;

    if (rpi_on_valgrind()) {
        return -ENOSYS;
    }
    work = rpi_os.mmap(NULL, WORK_SIZE, protection, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    stack = rpi_os.mmap(NULL, STACK_SIZE, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (work == MAP_FAILED || stack == MAP_FAILED) {
        goto done;
    }
    work->fn = fn;
    work->argument = argument;
    work->result = NO_RESULT;
    r = make(work, stack, memory);
    if (r > 0) {
        // By its number, as it is not reaped yet. Where a host waits for clones too, it is gone:
        // fine.
        while (rpi_os.waitid(P_PID, r, NULL, WEXITED | __WALL, NULL) < 0 && errno == EINTR) {
        }
        r = work->result == NO_RESULT ? -ECHILD : work->result;
    }

done:
    if (work != MAP_FAILED) {
        (void)rpi_os.munmap(work, WORK_SIZE); // cannot fail: it is our mapping
    }
    if (stack != MAP_FAILED) {
        (void)rpi_os.munmap(stack, STACK_SIZE);
    }
    return r;
}
