/* What /proc tells of one process: the fields of its stat file that this library looks at. */
#ifndef RPI_CORE_PROC_LINUX_H
#define RPI_CORE_PROC_LINUX_H

#include <stdint.h>

typedef struct rpi_proc_stat {
    char state; /* 'R', 'S', ..., 'Z' a zombie, 'X' dead */
    int64_t parent;
    int64_t group;
    uint64_t start_ticks; /* since the boot, in units of sysconf(_SC_CLK_TCK) */
} rpi_proc_stat;

/** 0; RP_ESRCH: no such process, or gone while it was read; RP_EIO: not the expected form; other
 * errors of the system. */
int rpi_proc_stat_read(int64_t pid, rpi_proc_stat *ret_stat);

#endif
