/* What /proc tells of one process: the fields of its stat file that this library looks at, its
 * texts. */
#ifndef RPI_CORE_PROC_LINUX_H
#define RPI_CORE_PROC_LINUX_H

#include <stddef.h>
#include <stdint.h>

enum {
    RPI_PROC_NAME_SIZE = 64 /* of a kernel's worker; others have 15 bytes at most */
};

typedef struct rpi_proc_stat {
    char state; /* 'R', 'S', ..., 'Z' a zombie, 'X' dead */
    int64_t parent;
    int64_t group;
    int64_t session;
    uint32_t terminal;    /* the device of its terminal, as the system numbers it; 0 = none */
    int64_t foreground;   /* group that has its terminal; -1 = it has no terminal */
    uint64_t cpu_ticks;   /* its own and that of children it waited for, in units of
                             sysconf(_SC_CLK_TCK), as are these */
    uint64_t start_ticks; /* since the boot */
} rpi_proc_stat;

/** 0; RP_ESRCH: no such process, or gone while it was read; RP_EIO: not the expected form; other
 * errors of the system. */
int rpi_proc_stat_read(int64_t pid, rpi_proc_stat *ret_stat);

/** The same, and its name: the first of its program's file, or what it calls itself. */
int rpi_proc_stat_read_named(int64_t pid,
                             rpi_proc_stat *ret_stat,
                             char ret_name[RPI_PROC_NAME_SIZE]);

/** A word for a state: "sleeping". */
const char *rpi_proc_state_word(char state);

/** Reads the file `name` in the process's folder ("stat", "io") into `text`, cut at its size and
 * terminated: the bytes read, or an error as above; RP_EACCES: it is not for us. */
int rpi_proc_text_read(int64_t pid, const char *name, char *text, size_t text_size);

/** The same of any file of /proc. */
int rpi_proc_file_read(const char *path, char *text, size_t text_size);

/** What it has read from and written to disks, and the children that it waited for: bytes; 0 where
 * the system does not tell us. */
uint64_t rpi_proc_disk_bytes(int64_t pid);

#endif
