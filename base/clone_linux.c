/* The trampolines of clone3 and clone. A child that shares the caller's memory may not return into
 * the caller's frames, so the few instructions between the kernel's return and the first C function
 * are written out for each architecture: the child leaves the old stack behind, calls fn(argument)
 * on its own, and ends with exit_group. The C library's clone() is not used: ThreadSanitizer of
 * clang intercepts it and dies, AddressSanitizer warns about it on every child.
 *
 * Called through the table of base/os.h only. An architecture without a trampoline has functions
 * that say -ENOSYS, whereupon the spawner's probe settles for posix_spawn. */
#include "base/clone.h"

#include <errno.h>

#if defined(__x86_64__)

/* The kernel keeps all registers over a system call but rax, rcx and r11; a child starts with its
 * parent's. The stack's end must be a multiple of 16, as the ABI wants it before a call. */
__asm__(".text\n"
        ".globl rpi_clone3\n"
        ".hidden rpi_clone3\n"
        ".type rpi_clone3, @function\n"
        ".balign 16\n"
        "rpi_clone3:\n" /* rdi args, rsi size, rdx fn, rcx argument */
        "    .cfi_startproc\n"
        "    endbr64\n"
        "    movq %rdx, %r8\n"
        "    movq %rcx, %r9\n"
        "    movl $435, %eax\n"
        "    syscall\n"
        "    testq %rax, %rax\n"
        "    jz 1f\n"
        "    ret\n"
        "1:\n"
        "    .cfi_undefined rip\n"
        "    xorl %ebp, %ebp\n"
        "    movq %r9, %rdi\n"
        "    call *%r8\n"
        "    movl %eax, %edi\n"
        "    movl $231, %eax\n"
        "    syscall\n"
        "    hlt\n"
        "    .cfi_endproc\n"
        ".size rpi_clone3, . - rpi_clone3\n"

        ".globl rpi_clone\n"
        ".hidden rpi_clone\n"
        ".type rpi_clone, @function\n"
        ".balign 16\n"
        "rpi_clone:\n" /* rdi flags, rsi stack_top, rdx ret_pidfd, rcx fn, r8 argument */
        "    .cfi_startproc\n"
        "    endbr64\n"
        "    movq %rcx, %r9\n"
        "    andq $-16, %rsi\n"
        "    xorl %r10d, %r10d\n"
        "    movl $56, %eax\n"
        "    syscall\n"
        "    testq %rax, %rax\n"
        "    jz 1f\n"
        "    ret\n"
        "1:\n"
        "    .cfi_undefined rip\n"
        "    xorl %ebp, %ebp\n"
        "    movq %r8, %rdi\n"
        "    call *%r9\n"
        "    movl %eax, %edi\n"
        "    movl $231, %eax\n"
        "    syscall\n"
        "    hlt\n"
        "    .cfi_endproc\n"
        ".size rpi_clone, . - rpi_clone\n");

#elif defined(__aarch64__)

/* The kernel keeps all registers over a system call but x0. `hint 34` is `bti c`. */
__asm__(".text\n"
        ".globl rpi_clone3\n"
        ".hidden rpi_clone3\n"
        ".type rpi_clone3, %function\n"
        ".balign 16\n"
        "rpi_clone3:\n" /* x0 args, x1 size, x2 fn, x3 argument */
        "    .cfi_startproc\n"
        "    hint #34\n"
        "    mov x8, #435\n"
        "    svc #0\n"
        "    cbz x0, 1f\n"
        "    ret\n"
        "1:\n"
        "    .cfi_undefined x30\n"
        "    mov x29, #0\n"
        "    mov x30, #0\n"
        "    mov x0, x3\n"
        "    blr x2\n"
        "    mov x8, #94\n"
        "    svc #0\n"
        "    brk #0\n"
        "    .cfi_endproc\n"
        ".size rpi_clone3, . - rpi_clone3\n"

        ".globl rpi_clone\n"
        ".hidden rpi_clone\n"
        ".type rpi_clone, %function\n"
        ".balign 16\n"
        "rpi_clone:\n" /* x0 flags, x1 stack_top, x2 ret_pidfd, x3 fn, x4 argument */
        "    .cfi_startproc\n"
        "    hint #34\n"
        "    mov x5, x3\n"
        "    mov x6, x4\n"
        "    and x1, x1, #-16\n"
        "    mov x3, #0\n"
        "    mov x4, #0\n"
        "    mov x8, #220\n"
        "    svc #0\n"
        "    cbz x0, 1f\n"
        "    ret\n"
        "1:\n"
        "    .cfi_undefined x30\n"
        "    mov x29, #0\n"
        "    mov x30, #0\n"
        "    mov x0, x6\n"
        "    blr x5\n"
        "    mov x8, #94\n"
        "    svc #0\n"
        "    brk #0\n"
        "    .cfi_endproc\n"
        ".size rpi_clone, . - rpi_clone\n");

#else

int rpi_clone3(const rpi_clone_args *args, size_t size, rpi_child_fn *fn, void *argument)
{
    (void)args, (void)size, (void)fn, (void)argument; // no trampoline for this architecture
    return -ENOSYS;
}

int rpi_clone(uint64_t flags, void *stack_top, int *ret_pidfd, rpi_child_fn *fn, void *argument)
{
    (void)flags, (void)stack_top, (void)ret_pidfd, (void)fn, (void)argument; // as above
    return -ENOSYS;
}

#endif
