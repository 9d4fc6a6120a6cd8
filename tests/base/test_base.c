/* What is small in base: allocation, lists, clock, version, signal names, assertions, and the
 * questions that os.h asks of the system. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/clock.h"
#include "base/list.h"
#include "base/os.h"
#include "base/probe.h"
#include "base/signals.h"
#include "pty/screen.h"
#include "rp/base.h"
#include "tests/support/check.h"
#include "tests/support/fault.h"

/* ---- allocation ------------------------------------------------------------------ */

Test(alloc, passes_sizes_to_the_embedder)
{
    rpi_fault_memory memory;
    char *block;

    rpi_fault_memory_init(&memory, 0);
    block = rpi_alloc_zero(&memory.allocator, 100);
    cr_assert_not_null(block);
    for (int i = 0; i < 100; i++) {
        cr_assert_eq(block[i], 0);
    }
    memset(block, 'x', 100);
    block = rpi_resize(&memory.allocator, block, 100, 200);
    cr_assert_eq(block[99], 'x');
    cr_assert_eq(memory.live_bytes, 200);
    rpi_free(&memory.allocator, block, 200);
    rpi_free(&memory.allocator, NULL, 0);
    cr_assert_eq(memory.live_blocks, 0);
}

Test(alloc, reports_want_of_memory_and_keeps_the_old_block)
{
    rpi_fault_memory memory;
    char *block;

    rpi_fault_memory_init(&memory, 2);
    block = rpi_alloc(&memory.allocator, 10);
    memcpy(block, "unchanged", 10);
    cr_assert_null(rpi_resize(&memory.allocator, block, 10, 1000));
    cr_assert(memory.fired);
    cr_assert_str_eq(block, "unchanged");
    rpi_free(&memory.allocator, block, 10);
    rpi_fault_memory_init(&memory, 1);
    cr_assert_null(rpi_alloc_zero(&memory.allocator, 10));
}

Test(alloc, works_by_default)
{
    const rp_allocator *allocator = rpi_alloc_default();
    char *block = rpi_resize(allocator, NULL, 0, 100);

    cr_assert_not_null(block);
    block = rpi_resize(allocator, block, 100, 100000);
    memset(block, 1, 100000);
    rpi_free(allocator, block, 100000);
    rp_free(rpi_alloc(allocator, 10)); // what rp_free is for
    rp_free(NULL);
}

Test(alloc, of_nothing_is_an_assertion, .signal = SIGABRT)
{
    (void)rpi_alloc(rpi_alloc_default(), 0);
}

Test(fault, finds_a_wrong_size, .signal = SIGABRT)
{
    rpi_fault_memory memory;

    rpi_fault_memory_init(&memory, 0);
    rpi_free(&memory.allocator, rpi_alloc(&memory.allocator, 10), 11);
}

/* ---- lists ------------------------------------------------------------------------ */

typedef struct element {
    int number;
    rpi_list node;
} element;

static void check_order(rpi_list *list, const char *expected)
{
    char numbers[16] = "";
    size_t length = 0;

    for (rpi_list *node = list->next; node != list; node = node->next) {
        cr_assert_eq(node->next->previous, node);
        numbers[length++] = (char)('0' + RPI_CONTAINER(node, element, node)->number);
    }
    cr_assert_str_eq(numbers, expected);
}

Test(list, keeps_order_and_membership)
{
    element elements[5];
    rpi_list list;
    rpi_list other;

    rpi_list_init(&list);
    rpi_list_init(&other);
    cr_assert_null(rpi_list_take_first(&list));
    for (int i = 0; i < 5; i++) {
        elements[i].number = i;
        rpi_list_init(&elements[i].node);
        cr_assert(rpi_list_is_empty(&elements[i].node));
    }
    rpi_list_append(&list, &elements[1].node);
    rpi_list_append(&list, &elements[2].node);
    rpi_list_prepend(&list, &elements[0].node);
    check_order(&list, "012");
    rpi_list_remove(&elements[1].node);
    rpi_list_remove(&elements[1].node);
    check_order(&list, "02");
    rpi_list_append(&other, &elements[3].node);
    rpi_list_append(&other, &elements[4].node);
    rpi_list_move_all(&list, &other);
    check_order(&list, "0234");
    check_order(&other, "");
    rpi_list_move_all(&list, &other);
    check_order(&list, "0234");
    cr_assert_eq(rpi_list_take_first(&list), &elements[0].node);
    cr_assert(rpi_list_is_empty(&elements[0].node));
    check_order(&list, "234");
}

/* ---- clock ------------------------------------------------------------------------ */

Test(clock, is_the_monotonic_one_and_does_not_go_back)
{
    struct timespec now;
    uint64_t before = rp_now_ns();
    uint64_t system_ns;

    cr_assert_eq(clock_gettime(CLOCK_MONOTONIC, &now), 0);
    system_ns = (uint64_t)now.tv_sec * RP_SECOND + (uint64_t)now.tv_nsec;
    cr_assert_leq(before, system_ns + 1);
    cr_assert_geq(rp_now_ns(), system_ns);
    for (int i = 0; i < 1000; i++) {
        const uint64_t after = rpi_clock_now_ns();

        cr_assert_geq(after, before);
        before = after;
    }
    cr_assert_lt(rpi_clock_wall_time_ms() / 1000 - (uint64_t)time(NULL) + 2, 4);
}

Test(clock, adds_spans_without_wrapping)
{
    cr_assert_eq(rpi_clock_after(5, 7), 12);
    cr_assert_eq(rpi_clock_after(5, RP_FOREVER), RP_FOREVER);
    cr_assert_eq(rpi_clock_after(5, RP_FOREVER - 5), RP_FOREVER);
    cr_assert_eq(rpi_clock_after(5, RP_FOREVER - 6), RP_FOREVER - 1);
    cr_assert_eq(rpi_clock_after(RP_FOREVER, 0), RP_FOREVER);
}

/* ---- version ----------------------------------------------------------------------- */

Test(version, agrees_with_the_header)
{
    char expected[32];

    (void)snprintf(expected, sizeof expected, "%d.%d.%d", RP_VERSION_NUMBER >> 16,
                   (RP_VERSION_NUMBER >> 8) & 0xff, RP_VERSION_NUMBER & 0xff);
    cr_assert_str_eq(rp_version(), expected);
    cr_assert_eq(rp_version_number(), RP_VERSION_NUMBER);
}

Test(version, has_what_is_built_in)
{
    static const char *const absent[] = {"", "URING", "nonsense"};

    for (size_t i = 0; i < sizeof absent / sizeof absent[0]; i++) {
        cr_assert_not(rp_has(absent[i]), "%s", absent[i]);
    }
    cr_assert_not(rp_has(NULL));
    cr_assert(rp_has("pty"));
    cr_assert_eq(rp_has("screen"), rpi_screen_is_available());
#ifdef RP_HAVE_URING
    cr_assert_eq(rp_has("uring"), rpi_probe_uring() == 0);
#else
    cr_assert_not(rp_has("uring"));
#endif
#ifdef RP_HAVE_REGEX
    cr_assert(rp_has("regex"));
#else
    cr_assert_not(rp_has("regex"));
#endif
}

Test(probe, tells_what_refuses_io_uring)
{
    rpi_fault_os_start();
    rpi_fault_os_fail("io_uring_setup", 1, ENOMEM);
    cr_assert_eq(rpi_probe_uring(), -ENOMEM);
    rpi_fault_os_fail("io_uring_setup", 1, EPERM);
    cr_assert_eq(rpi_probe_uring(), -EPERM, "want of memory is not remembered");
    cr_assert_eq(rpi_probe_uring(), -EPERM, "a refusal is");
    cr_assert_not(rp_has("uring"));
    cr_assert_eq(rpi_fault_os_calls("io_uring_setup"), 2);
}

Test(probe, also_enters)
{
    if (!rp_has("uring")) {
        cr_skip("there is no io_uring here");
    }
    cr_assert_eq(rpi_probe_uring(), 0);
}

Test(probe, sees_that_entering_is_refused)
{
    rpi_fault_os_start();
    rpi_fault_os_fail("io_uring_enter", 1, EPERM);
    cr_assert_lt(rpi_probe_uring(), 0);
    cr_assert_eq(rpi_fault_os_calls("close"), rpi_fault_os_calls("io_uring_enter"));
}

/** A filter that answers one system call with `action`, for the rest of this process. */
static void deny(int number, uint32_t action)
{
    struct sock_filter instructions[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)number, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, action),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof instructions / sizeof instructions[0], instructions};

    cr_assert_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) != 0) {
        cr_skip("no seccomp here");
    }
}

Test(probe, survives_a_filter_that_kills, .timeout = 60)
{
    deny(SYS_io_uring_setup, SECCOMP_RET_KILL_PROCESS);
    cr_assert_lt(rpi_probe_uring(), 0);
    cr_assert_not(rp_has("uring"));
}

Test(probe, survives_a_filter_that_traps, .timeout = 60)
{
    deny(SYS_io_uring_enter, SECCOMP_RET_TRAP);
    cr_assert_not(rp_has("uring"));
}

/** Whether the probe succeeds in a child, which has nothing remembered. */
static bool probe_in_child(bool filtered)
{
    const pid_t child = fork();
    int status = -1;

    cr_assert_geq(child, 0);
    if (child == 0) {
        if (filtered) {
            deny(SYS_swapon, SECCOMP_RET_KILL_PROCESS);
        }
        _exit(rpi_probe_uring() == 0 ? 0 : 1);
    }
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFEXITED(status));
    return WEXITSTATUS(status) == 0;
}

Test(probe, finds_the_same_under_a_filter_that_allows, .timeout = 60)
{
    cr_assert_eq(probe_in_child(true), probe_in_child(false));
}

/* ---- signals and assertions ---------------------------------------------------------- */

Test(signals, have_names)
{
    cr_assert_str_eq(rpi_signal_name(SIGKILL), "SIGKILL");
    cr_assert_str_eq(rpi_signal_name(SIGABRT), "SIGABRT");
    cr_assert_str_eq(rpi_signal_name(SIGSYS), "SIGSYS");
    cr_assert_null(rpi_signal_name(0));
    cr_assert_null(rpi_signal_name(-1));
    cr_assert_null(rpi_signal_name(SIGRTMIN));
    cr_assert_null(rpi_signal_name(INT_MAX));
    for (int number = 1; number < 32; number++) {
        char expected[32];

        (void)snprintf(expected, sizeof expected, "SIG%s", sigabbrev_np(number));
        if (number == SIGPOLL) {
            (void)snprintf(expected, sizeof expected, "SIGIO"); // one number, two names
        }
        cr_assert_str_eq(rpi_signal_name(number), expected);
    }
}

Test(assert, ends_the_program, .signal = SIGABRT)
{
    volatile int one = 1;

    RP_ASSERT(one == 1);
    RP_ASSERT(one == 2);
}

/* ---- the system ------------------------------------------------------------------------ */

Test(os, duplicates_above_the_standard_streams_and_close_on_exec)
{
    const int fd = rpi_os_duplicate(0);

    cr_assert_gt(fd, 2);
    cr_assert_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
    cr_assert_eq(close(fd), 0);
    cr_assert_eq(rpi_os_duplicate(-1), -EBADF);
    cr_assert_eq(rpi_os_duplicate(1000000), -EBADF);
    cr_assert_eq(rpi_os_duplicate((intptr_t)INT_MAX + 1), -EBADF);
}

Test(os, says_when_the_table_of_descriptors_is_full)
{
    struct rlimit limit;
    rlim_t before;

    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    before = limit.rlim_cur;
    limit.rlim_cur = 3;
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    cr_assert_eq(rpi_os_duplicate(0), -EMFILE);
    limit.rlim_cur = before; // sanitizers open files at the end
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

Test(os, lifts_what_landed_on_a_standard_stream)
{
    const int saved = fcntl(0, F_DUPFD_CLOEXEC, 10);
    int fd;
    int lifted;

    cr_assert_eq(close(0), 0);
    fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    cr_assert_eq(fd, 0);
    lifted = rpi_os_lift(fd);
    cr_assert_gt(lifted, 2);
    cr_assert_eq(fcntl(0, F_GETFD), -1);
    cr_assert_eq(rpi_os_lift(lifted), lifted);
    cr_assert_eq(close(lifted), 0);
    cr_assert_eq(dup2(saved, 0), 0);
}

Test(os, looks_at_directories)
{
    cr_assert_eq(rpi_os_check_directory("/"), 0);
    cr_assert_eq(rpi_os_check_directory("/proc/self/exe"), -ENOTDIR);
    cr_assert_eq(rpi_os_check_directory("/nowhere"), -ENOENT);
    cr_assert_eq(rpi_os_check_directory(""), -ENOENT);
}

Test(os, opens_files_as_streams_need_them)
{
    cr_assert_eq(rpi_os_file_flags(false, false), O_RDONLY | O_CLOEXEC);
    cr_assert_eq(rpi_os_file_flags(true, false), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC);
    cr_assert_eq(rpi_os_file_flags(true, true), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC);
}

Test(os, waits_in_epoll_to_the_nanosecond_or_rounded_up)
{
    const struct timespec spans[] = {{0, 0}, {0, 1}, {0, 1500000}, {0, 3000000}};
    const int epoll = rpi_os.epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event;

    cr_assert_geq(epoll, 0);
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < sizeof spans / sizeof spans[0]; i++) {
            const uint64_t begin = rp_now_ns();

            cr_assert_eq(rpi_os.epoll_wait(epoll, &event, 1, &spans[i]), 0);
            cr_assert_geq(rp_now_ns() - begin, (uint64_t)spans[i].tv_nsec, "never early");
        }
        deny(SYS_epoll_pwait2, SECCOMP_RET_ERRNO | ENOSYS); // and once more, as on an older kernel
    }
    cr_assert_eq(close(epoll), 0);
}

static void *set_flag(void *argument)
{
    *(int *)argument = 1;
    return argument;
}

Test(os, starts_threads_with_a_stack_of_their_own_size)
{
    pthread_t thread;
    void *result = NULL;
    int flag = 0;

    cr_assert_eq(rpi_os.thread_start(set_flag, &flag, 256 * 1024, &thread), 0);
    cr_assert_eq(pthread_join(thread, &result), 0);
    cr_assert_eq(flag, 1);
    cr_assert_eq(rpi_os.thread_start(set_flag, &flag, 1, &thread), EINVAL);
}

Test(os, raw_calls_leave_errno_alone)
{
    errno = 77;
    cr_assert_eq(rpi_os.io_uring_enter(-1, 0, 0, 0, NULL, 0) < 0, true);
    cr_assert_eq(errno, 77);
    cr_assert_lt(rpi_os.io_uring_setup(0, NULL), 0);
    cr_assert_eq(errno, 77);
}

Test(fault, fails_the_planned_call_only)
{
    struct rlimit limit;

    rpi_fault_os_start();
    rpi_fault_os_fail("getrlimit", 2, ENOMEM);
    cr_assert_eq(rpi_os.getrlimit(RLIMIT_CORE, &limit), 0);
    cr_assert_not(rpi_fault_os_fired());
    cr_assert_eq(rpi_os.getrlimit(RLIMIT_CORE, &limit), -1);
    cr_assert_eq(errno, ENOMEM);
    cr_assert(rpi_fault_os_fired());
    cr_assert_eq(rpi_os.getrlimit(RLIMIT_CORE, &limit), 0);
    cr_assert_eq(rpi_fault_os_calls("getrlimit"), 3);
    cr_assert_eq(rpi_fault_os_calls(NULL), 3);
    rpi_fault_os_fail(NULL, RPI_FAULT_EVERY, EIO);
    cr_assert_eq(rpi_os.kill(getpid(), 0), -1);
    cr_assert_eq(rpi_os.clone3(NULL, 0, NULL, NULL), -EIO);
    cr_assert_eq(rpi_os.thread_start(NULL, NULL, 0, NULL), EIO);
    rpi_fault_os_stop();
    cr_assert_eq(rpi_os.kill(getpid(), 0), 0);
}
