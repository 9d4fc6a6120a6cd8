/* A child in the foreground (RP_CONSOLE_FOREGROUND): its process group has the caller's terminal
 * while it runs, as a shell's job has. The child takes it itself, between clone and exec
 * (spawn_child_linux.c), so that its program never runs without it. This module remembers the
 * settings before, takes the terminal back and restores them when the child has ended, is stopped
 * (Ctrl-Z), or is closed, and hands it over again when it is continued. A guard (base/console.h)
 * does the same where the host dies. One such child a process, and none beside a relay.
 *
 * That a child is stopped can be learned without a SIGCHLD handler only by asking: every 100 ms, as
 * long as there is such a child, and by nobody else's timer.
 *
 * Called by process.c, process_make.c, admission.c and stop.c where process->foreground is set. */
#ifndef RPI_CORE_FOREGROUND_H
#define RPI_CORE_FOREGROUND_H

typedef struct rp_process rp_process;
typedef struct rpi_foreground rpi_foreground;

/** Claims the terminal for a process just made: 0; RP_EINVAL: there is none; RP_EBUSY: another
 * foreground child or a relay of this process has it; RP_ENOMEM, RP_EMFILE, .... */
int rpi_foreground_open(rp_process *process);

/** The launch begins: the settings as they are now are those to restore. */
void rpi_foreground_prepare(rp_process *process);

/** The program runs and has the terminal. */
void rpi_foreground_began(rp_process *process);

/** The child is going to be continued: it has the terminal first. */
void rpi_foreground_continue(rp_process *process);

/** The child needs the terminal no more: takes it back and restores it. Again: nothing. Its exit
 * and the close of its process are learned as an observer. */
void rpi_foreground_end(rp_process *process);

#endif
