/* What /proc tells of one process: the fields of its stat file that this library looks at, its
 * texts. */
#ifndef RPI_BASE_PROC_LINUX_H
#define RPI_BASE_PROC_LINUX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/alloc.h"

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
    int64_t threads;
} rpi_proc_stat;

/** A text that grows. */
typedef struct rpi_scratch {
    const rp_allocator *allocator; /* borrowed; set before the first use, the rest 0 */
    char *text;                    /* owned */
    size_t capacity;
} rpi_scratch;

/** 0; RP_ESRCH: no such process, or gone while it was read; RP_EIO: not the expected form; other
 * errors of the system. */
int rpi_proc_stat_read(int64_t pid, rpi_proc_stat *ret_stat);

/** The same, and its name: the first of its program's file, or what it calls itself. */
int rpi_proc_stat_read_named(int64_t pid,
                             rpi_proc_stat *ret_stat,
                             char ret_name[RPI_PROC_NAME_SIZE]);

/** Whether it lives: no zombie, or one of which only the first thread has ended. */
bool rpi_proc_is_alive(const rpi_proc_stat *stat);

/** When the process with this number began: 0, or an error as of rpi_proc_stat_read. */
int rpi_proc_start_read(int64_t pid, uint64_t *ret_start_ticks);

/** Now, in ticks since the boot, as the starts of processes are counted. */
uint64_t rpi_ticks_now(void);

/** A word for a state: "sleeping". */
const char *rpi_proc_state_word(char state);

/** Reads the file `name` in the process's folder ("stat", "io") into `text`, cut at its size and
 * terminated: the bytes read, or an error as above; RP_EACCES: it is not for us. */
int rpi_proc_text_read(int64_t pid, const char *name, char *text, size_t text_size);

/** The same of any file of /proc. */
int rpi_proc_file_read(const char *path, char *text, size_t text_size);

/** Reads all of the file `name` ("environ", "cmdline") in the process's folder, up to 8 MiB, and
 * terminates it. `proc`: /proc, open. 0, also where it is not for us, gone or ends early: *ret_size
 * is what there was; or -ENOMEM, -EMFILE, -ENFILE. */
int rpi_proc_whole_read(
    int proc, int64_t pid, const char *name, rpi_scratch *scratch, size_t *ret_size);

void rpi_scratch_free(rpi_scratch *scratch);

/** The value of the first entry `name` in the text of an environment, terminated by its own NUL or
 * the text's end; NULL: there is none. */
const char *rpi_proc_environment_find(const char *text, size_t size, const char *name);

/** What it has read from and written to disks, and the children that it waited for: bytes; 0 where
 * the system does not tell us. */
uint64_t rpi_proc_disk_bytes(int64_t pid);

#endif
