/* Identity: this process and no other. A process's number is given to others as soon as it was
 * reaped, so whoever names a process that is not an unreaped child of ours names it by this: the
 * number, the moment it was started, and, where there is one, the kernel's own id of it. A signal
 * to such a process always goes through rpi_identity_signal: it holds the process (a pidfd) first,
 * asks who it is afterwards, and then sends to what it holds, so that it cannot reach a stranger.
 *
 * Degrades in the open: without pidfds (Linux before 5.3, or a filter) nothing is signalled,
 * RP_EUNSUPPORTED; without the kernel's own id (before 6.9) two processes with one number that were
 * started in the same tick of the clock (10 ms) are taken for one. */
#ifndef RPI_CORE_IDENTITY_H
#define RPI_CORE_IDENTITY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/proc_linux.h"
#include "rp/process.h"

enum {
    RPI_BOOT_SIZE = 40
};

typedef struct rpi_identity {
    int64_t pid;
    uint64_t start_ticks; /* since the boot; the system's own unit, so it compares exactly */
    uint64_t unique;      /* 0: not known */
} rpi_identity;

/** Who has the number now; `pidfd` (or -1) is asked for the kernel's own id. 0; RP_ESRCH; other
 * errors of the system. */
int rpi_identity_read(int64_t pid, int pidfd, rpi_identity *ret_identity);

/** The same of whoever has the number now, with the kernel's own id where it can be had. */
int rpi_identity_of(int64_t pid, rpi_identity *ret_identity);

/** Whom a caller means who has it in the public form: 0, and it lives or is a zombie; RP_ESRCH: it
 * is gone; RP_EINVAL: it cannot be told, as the clock was set since, or the identity is from before
 * the boot. One that is nothing but a number means whoever has that now. */
int rpi_identity_find(const rp_identity *wanted, rpi_identity *ret_identity);

/** A descriptor that holds the process, close-on-exec; RP_ESRCH: it is gone; RP_EUNSUPPORTED: no
 * pidfds here; -EMFILE, ... */
int rpi_identity_open(const rpi_identity *identity);

/** 0; RP_ESRCH; RP_EPERM: it is not ours to signal; errors as above. */
int rpi_identity_signal(const rpi_identity *identity, int signal);

/** Whether the process is the one that `stat` was read of. */
static inline bool rpi_identity_fits(const rpi_identity *identity, const rpi_proc_stat *stat)
{
    return identity->start_ticks == stat->start_ticks;
}

/** The public form of it. */
rp_identity rpi_identity_public(const rpi_identity *identity);

/** The kernel's own id of what a pidfd holds; 0: it has none. One system call, after the first. */
uint64_t rpi_identity_unique(int pidfd);

/** The wall clock at so many ticks after the boot, milliseconds since 1970. */
uint64_t rpi_identity_wall_ms(uint64_t ticks);

/** This boot's own name, a terminated text; "" where the system does not tell. */
void rpi_identity_boot(char ret_boot[RPI_BOOT_SIZE]);

#endif
