/* Hosts under a seccomp filter, as in containers: calls that are refused with an error, or by
 * ending the process. The probe must survive, choose what is left, and that must keep the contract.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/probe.h"
#include "core/spawn_linux.h"
#include "tests/spawn/rig.h"

#ifndef SYS_io_uring_setup
#define SYS_io_uring_setup 425
#define SYS_io_uring_enter 426
#endif

#define REFUSED_MAX 4

typedef struct filter_case {
    const char *name;
    long calls[REFUSED_MAX]; /* refused; 0 ends the list */
    unsigned action;
    bool no_shared_memory; /* clone with CLONE_VM and without CLONE_THREAD: EPERM */
    rpi_spawn_method expected;
    bool refuses_uring;
} filter_case;

#define REFUSE(error) (SECCOMP_RET_ERRNO | (error))

static const filter_case cases[] = {
    {"nothing", {0}, 0, false, RPI_SPAWN_CLONE3, false},
    {"clone3: EPERM", {SYS_clone3}, REFUSE(EPERM), false, RPI_SPAWN_CLONE, false},
    {"clone3: ENOSYS", {SYS_clone3}, REFUSE(ENOSYS), false, RPI_SPAWN_CLONE, false},
    {"clone3: TRAP", {SYS_clone3}, SECCOMP_RET_TRAP, false, RPI_SPAWN_CLONE, false},
    {"clone3: KILL", {SYS_clone3}, SECCOMP_RET_KILL_PROCESS, false, RPI_SPAWN_CLONE, false},
    {"clone: shared memory", {0}, 0, true, RPI_SPAWN_CLONE3, false},
    {"clone, clone3", {SYS_clone3}, REFUSE(ENOSYS), true, RPI_SPAWN_FORK, false},
    {"clone, clone3, close_range",
     {SYS_clone3, SYS_close_range},
     REFUSE(ENOSYS),
     true,
     RPI_SPAWN_FORK,
     false},
    {"clone, clone3, close_range: TRAP",
     {SYS_clone3, SYS_close_range},
     SECCOMP_RET_TRAP,
     true,
     RPI_SPAWN_FORK,
     false},
    {"close_range: EPERM", {SYS_close_range}, REFUSE(EPERM), false, RPI_SPAWN_CLONE3, false},
    {"close_range: ENOSYS", {SYS_close_range}, REFUSE(ENOSYS), false, RPI_SPAWN_CLONE3, false},
    {"close_range: TRAP", {SYS_close_range}, SECCOMP_RET_TRAP, false, RPI_SPAWN_CLONE3, false},
    {"close_range: KILL",
     {SYS_close_range},
     SECCOMP_RET_KILL_PROCESS,
     false,
     RPI_SPAWN_CLONE3,
     false},
    {"pidfd_open: EPERM", {SYS_pidfd_open}, REFUSE(EPERM), false, RPI_SPAWN_CLONE3, false},
    {"pidfd_open: ENOSYS", {SYS_pidfd_open}, REFUSE(ENOSYS), false, RPI_SPAWN_CLONE3, false},
    {"pidfd_open: TRAP", {SYS_pidfd_open}, SECCOMP_RET_TRAP, false, RPI_SPAWN_CLONE3, false},
    {"close_range, pidfd_open: EPERM",
     {SYS_close_range, SYS_pidfd_open},
     REFUSE(EPERM),
     false,
     RPI_SPAWN_CLONE3,
     false},
    {"close_range, pidfd_open: TRAP",
     {SYS_close_range, SYS_pidfd_open},
     SECCOMP_RET_TRAP,
     false,
     RPI_SPAWN_CLONE3,
     false},
    {"io_uring_setup: EPERM", {SYS_io_uring_setup}, REFUSE(EPERM), false, RPI_SPAWN_CLONE3, true},
    {"io_uring_setup: ENOSYS", {SYS_io_uring_setup}, REFUSE(ENOSYS), false, RPI_SPAWN_CLONE3, true},
    {"io_uring_setup: TRAP", {SYS_io_uring_setup}, SECCOMP_RET_TRAP, false, RPI_SPAWN_CLONE3, true},
    {"io_uring_enter: EPERM", {SYS_io_uring_enter}, REFUSE(EPERM), false, RPI_SPAWN_CLONE3, true},
    {"io_uring_enter: TRAP", {SYS_io_uring_enter}, SECCOMP_RET_TRAP, false, RPI_SPAWN_CLONE3, true},
    {"as an old container: all of it",
     {SYS_clone3, SYS_close_range, SYS_pidfd_open, SYS_io_uring_setup},
     REFUSE(EPERM),
     false,
     RPI_SPAWN_CLONE,
     true},
};

static const filter_case *current;
static rig_launch rig;
static rig_end end;

static size_t refuse_calls(struct sock_filter *code)
{
    size_t count = 0;
    int i;

    code[count++] =
        (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (i = 0; i < REFUSED_MAX && current->calls[i] != 0; i++) {
        code[count++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
                                                     (unsigned)current->calls[i], 0, 1);
        code[count++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, current->action);
    }
    return count;
}

static size_t refuse_shared_memory(struct sock_filter *code, size_t count)
{
    code[count++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 4);
    code[count++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
                                                 offsetof(struct seccomp_data, args[0]));
    code[count++] =
        (struct sock_filter)BPF_STMT(BPF_ALU | BPF_AND | BPF_K, CLONE_VM | CLONE_THREAD);
    code[count++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, CLONE_VM, 0, 1);
    code[count++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, REFUSE(EPERM));
    return count;
}

static void install(void)
{
    struct sock_filter code[32];
    struct sock_fprog program = {0, code};
    size_t count = refuse_calls(code);

    if (current->no_shared_memory) {
        count = refuse_shared_memory(code, count);
    }
    code[count++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    program.len = (unsigned short)count;
    RIG_CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    RIG_CHECK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0);
}

static void spawn_under_filter(void)
{
    rpi_spawn_site *site = NULL;
    int i;

    install();
    RIG_CHECK(rpi_spawn_site_open(rpi_alloc_default(), RPI_SPAWN_UNKNOWN, 1, &site) == 0);
    RIG_CHECK(rpi_spawn_site_method(site) == current->expected);
    RIG_CHECK(!current->refuses_uring || rpi_probe_uring() < 0);
    RIG_CHECK(dup(0) >= 3); // undeclared, and not closed on exec
    for (i = 0; i < 3; i++) {
        rig_init(&rig, "count", NULL);
        rpi_spawn_carry_out(site, 0, &rig.launch);
        RIG_CHECK(rig.launch.error == 0 && rig.launch.pidfd >= 0);
        rig_finish(&rig, &end);
        RIG_CHECK(end.status == 3);
    }
    rig_init(&rig, "both", NULL);
    rig.launch.cwd = "/";
    rig.launch.set_umask = true;
    rpi_spawn_carry_out(site, 0, &rig.launch);
    rig_finish(&rig, &end);
    RIG_CHECK(strcmp(end.text[1], "out") == 0 && strcmp(end.text[2], "err") == 0);
    rig_init_program(&rig, "/no/such/program", NULL);
    rpi_spawn_carry_out(site, 0, &rig.launch);
    RIG_CHECK(rig.launch.error == -ENOENT);
    RIG_CHECK(strcmp(rig.launch.phase, "exec") == 0);
    rpi_spawn_site_close(site);
    RIG_CHECK(rig_wait(-1) == 1000);
}

ParameterizedTestParameters(filters, leave_a_way_to_make_children)
{
    static size_t indices[sizeof cases / sizeof cases[0]]; // the test's process has other addresses
    size_t i;

    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        indices[i] = i;
    }
    return cr_make_param_array(size_t, indices, sizeof cases / sizeof cases[0]);
}

ParameterizedTest(size_t *index, filters, leave_a_way_to_make_children, .timeout = 60)
{
    current = &cases[*index];
    cr_log_info("%s", current->name);
    rig_isolated(spawn_under_filter);
}
