/* What minimake knows of a build: files, the steps that make them from each other, and the texts
 * and variables that steps are described with. manifest.c fills it from build.ninja, log.c with
 * what earlier builds found out, plan.c judges what is out of date, minimake.c runs that.
 *
 * Everything in a graph lives until mm_graph_free, in blocks of memory that are never given back
 * singly; pointers into it stay. A manifest that is wrong and memory that has run out end the
 * program, through mm_fatal. */
#ifndef MINIMAKE_GRAPH_H
#define MINIMAKE_GRAPH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "rp/rp.h"

typedef struct mm_graph mm_graph;
typedef struct mm_file mm_file;
typedef struct mm_step mm_step;

/* ---- memory and text --------------------------------------------------------- */

/* Says "minimake: error: ..." and exits with 1. */
_Noreturn void mm_fatal(const char *format, ...) __attribute__((format(printf, 1, 2)));

void *mm_new(mm_graph *graph, size_t size); /* zeroed, aligned for anything */

typedef struct mm_text { /* grows; always ends in a NUL that does not count, if anything is in it */
    char *data;
    size_t size, room;
} mm_text;

void mm_text_add(mm_text *text, rp_view part);
void mm_text_free(mm_text *text);

rp_view mm_view(const char *text);
rp_view mm_keep(mm_graph *graph, rp_view text); /* a copy that stays, with a NUL behind it */
bool mm_same(rp_view a, rp_view b);
uint64_t mm_hash(uint64_t hash, rp_view text); /* goes on from the hash of what stands before; 0 */

bool mm_read(const char *path, mm_text *ret_text); /* the whole file; false: errno says why */

/* ---- the graph --------------------------------------------------------------- */

enum { /* mtime_ns */
    MM_MISSING = 0,
    MM_UNKNOWN = -1
};

typedef struct mm_files {
    mm_file **items;
    size_t count, room;
} mm_files;

typedef struct mm_binding { /* a variable; of a rule it is expanded when it is used */
    rp_view name, value;
    struct mm_binding *next;
} mm_binding;

typedef struct mm_rule {
    rp_view name;
    mm_binding *bindings;
    struct mm_rule *next;
} mm_rule;

typedef struct mm_scope { /* of the manifest, or of one that it names by subninja */
    struct mm_scope *parent;
    mm_binding *bindings;
    mm_rule *rules;
} mm_scope;

typedef struct mm_queue {
    mm_step *first, *last;
} mm_queue;

typedef struct mm_pool { /* of its steps, `depth` run at a time; 0 = any number */
    rp_view name;
    size_t depth, running;
    mm_queue waiting;
    struct mm_pool *next;
} mm_pool;

typedef struct mm_record { /* of the last successful run of a step */
    uint64_t hash;         /* of its command */
    int64_t time_ns;       /* of what is newer it cannot have known */
    mm_files found;        /* inputs that it told of by itself */
} mm_record;

struct mm_file {
    rp_view name;
    uint64_t hash;
    mm_step *maker;    /* NULL: a source */
    mm_record *record; /* of the step whose first output this is; NULL = none */
    int64_t mtime_ns;
    uint32_t number; /* in the log; 0 = none yet */
    bool is_used;    /* as an input in the manifest */
};

typedef struct mm_user {
    mm_step *step;
    struct mm_user *next;
} mm_user;

struct mm_step {
    const mm_rule *rule; /* NULL: phony, a name for its inputs */
    const mm_scope *scope;
    mm_binding *bindings;
    mm_pool *pool; /* NULL = none */
    mm_files outs;
    mm_files ins;            /* $in, implicit, found, order-only */
    size_t shown_outs;       /* $out */
    size_t shown_ins;        /* $in */
    size_t declared;         /* $in and implicit */
    size_t real;             /* all but order-only */
    bool restat, generator;  /* as in the manifest */
    bool keeps_deps;         /* deps = gcc */
    bool is_open, is_judged; /* how far plan.c is with it */
    bool is_pending;         /* it, or what it waits for, may have to run */
    bool may_run;            /* it itself: by its own state, or if what it depends on changes */
    bool is_due;             /* it must run */
    bool has_changed;        /* it has run, and its outputs are others */
    size_t waits_for;        /* how many inputs are still to be settled */
    mm_user *users;          /* those who wait for it, once for each of their inputs */
    mm_step *next;           /* in a queue */
    mm_step *following;      /* in the manifest */
};

struct mm_graph {
    struct mm_block *blocks;
    mm_file **table; /* by the hash of their names */
    size_t table_size, file_count;
    mm_step *steps, *last_step; /* in the order of the manifest */
    mm_scope *scope;
    mm_pool *pools;
    mm_pool *console;
    mm_files defaults;
    FILE *log; /* NULL: nothing is written */
    uint32_t log_names;
    mm_queue startable; /* pending, and waiting for nothing */
    size_t to_run;      /* steps that may run, phony ones not counted */
};

mm_graph *mm_graph_new(void);
void mm_graph_free(mm_graph *graph);

/* The file of that name, after "a/./b", "a//b" and "a/c/../b" were made "a/b". */
mm_file *mm_file_get(mm_graph *graph, rp_view name);
mm_file *mm_file_find(const mm_graph *graph, rp_view name); /* NULL: in no manifest or log */
void mm_files_add(mm_graph *graph, mm_files *files, mm_file *file);
int64_t mm_mtime_ns(const char *path); /* of the file now; MM_MISSING */

void mm_push(mm_queue *queue, mm_step *step);
mm_step *mm_pop(mm_queue *queue); /* NULL: empty */

/* ---- variables --------------------------------------------------------------- */

typedef struct mm_env {
    const mm_scope *scope;
    const mm_step *step; /* NULL: only the scope is looked into */
    bool is_quoted;      /* $in and $out for a shell */
    unsigned depth;
} mm_env;

/* Appends `raw`, as it stands in a manifest, with variables and escapes replaced. */
void mm_expand(mm_text *out, rp_view raw, const mm_env *env);
/* A variable of a step, expanded: into `out`, which is emptied first. False: there is none. */
bool mm_variable(mm_text *out, const mm_step *step, const char *name, bool is_quoted);
bool mm_is_name(char c);      /* in $name */
bool mm_is_long_name(char c); /* in ${name} */

/* ---- the other parts --------------------------------------------------------- */

void mm_manifest_load(mm_graph *graph, const char *path);

/* Marks what has to be done for a file, adds it to `startable` and `to_run`. */
void mm_plan(mm_graph *graph, mm_file *target);
uint64_t mm_command_hash(const mm_step *step, mm_text *scratch);

/* What is known from the builds before; with `writes`, also opens the log for more. */
void mm_log_open(mm_graph *graph, const char *path, bool writes);
bool mm_log_add(mm_graph *graph, const mm_step *step, const mm_record *record);
/* The inputs that a compiler's dependency file names. False: there is no such file. */
bool mm_depfile_read(mm_graph *graph, const char *path, mm_files *ret_found);

#endif
