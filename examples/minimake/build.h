/* Minimake while it builds: what run.c, show.c and minimake.c share. */
#ifndef MINIMAKE_BUILD_H
#define MINIMAKE_BUILD_H

#include <signal.h>

#include "examples/minimake/graph.h"

enum {
    MM_INTERRUPTED = 130 /* exit status */
};

/* ---- what the user sees ------------------------------------------------------ */

typedef struct mm_show {
    bool is_terminal; /* standard output: the status stays in one line */
    bool is_verbose;
    bool is_held;    /* a command has the terminal: all of ours waits in `held` */
    bool has_status; /* the line of status is not ended */
    mm_text held, scratch;
} mm_show;

/* "[3/10] Building a.o". In a terminal each takes the place of the one before. */
void mm_show_status(mm_show *show, const mm_step *step, size_t finished, size_t total);
void mm_show_failure(mm_show *show, const mm_step *step, const rp_exit *exit);
void mm_show_output(mm_show *show, rp_view output);
void mm_show_end_status(mm_show *show); /* whatever comes next begins at the start of a line */
bool mm_show_flush(mm_show *show);      /* false: it cannot be written; errno */

/* ---- running ----------------------------------------------------------------- */

typedef struct mm_build {
    rp_loop *loop;
    mm_graph *graph;
    const char *manifest;
    unsigned long jobs, failures_max;
    bool is_dry;
    const volatile sig_atomic_t *caught; /* the signal that ends us; 0 */
    mm_show show;

    mm_queue met, ready; /* inputs settled; may run */
    size_t running, finished, failures;
    bool is_broken;         /* something of ours failed */
    bool is_interrupted;    /* a signal, or broken: everybody was told to end */
    const mm_step *console; /* its command has the terminal */
    mm_text command, scratch;
    const char **words; /* of a command that is run without a shell */
    size_t words_room;
} mm_build;

/* Runs what is planned. 0, or the exit status. */
int mm_run(mm_build *own);
bool mm_make_folders(char *path); /* above a file; false: errno */

#endif
