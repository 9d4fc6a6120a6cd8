/* Minimake: builds what a build.ninja describes, as ninja does, on running-process.
 *
 *     minimake [-C DIR] [-f FILE] [-j N] [-k N] [-n] [-v] [TARGET...]
 *     cmake -G Ninja -B build && minimake -C build
 *
 * A step runs when an output is missing, an input is newer, or its command has changed since it
 * last ran; up to N at a time (processors + 2). What a command writes, to standard output or error,
 * comes out in one piece when it has ended. After a failure (-k N: after N of them) nothing new is
 * started, and what runs is waited for. Ctrl-C ends all commands with all that they have started,
 * and deletes what they have half written. Exit status: 0, 1 for a failure, 130 for a signal.
 *
 * How: manifest.c, log.c and plan.c fill and judge a graph (graph.h), run.c runs what is out of
 * date, on the library, and show.c tells of it. Here is the program around them: its options, its
 * signals, and what it is asked to build. */
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "examples/minimake/build.h"

enum {
    REGENERATIONS_MAX = 100 /* of the manifest by itself */
};

static rp_loop *volatile stopped_loop; /* for the handler */
static volatile sig_atomic_t caught;   /* the signal that ends us; 0 */

/* ---- what is to be built ----------------------------------------------------- */

/* Where the log is, into `scratch`. */
static const char *log_path(mm_build *own)
{
    const mm_env env = {.scope = own->graph->scope};

    own->scratch.size = 0;
    mm_expand(&own->scratch, mm_view("$builddir"), &env);
    if (own->scratch.size > 0) {
        mm_text_add(&own->scratch, mm_view("/"));
    }
    mm_text_add(&own->scratch, mm_view(".minimake_log"));
    if (!own->is_dry && !mm_make_folders(own->scratch.data)) {
        mm_fatal("%s: %s", own->scratch.data, strerror(errno));
    }
    return own->scratch.data;
}

/* Whether there was any. */
static bool plan_outs(mm_graph *graph, const mm_step *step, bool all)
{
    bool has_any = false;

    for (size_t i = 0; i < step->outs.count; i++) {
        if (all || !step->outs.items[i]->is_used) {
            mm_plan(graph, step->outs.items[i]);
            has_any = true;
        }
    }
    return has_any;
}

/* Files that are made, and that nothing is made of. If there are none the graph is a cycle, and
 * that is found wherever one begins. */
static void plan_roots(mm_graph *graph)
{
    bool has_any = false;

    for (const mm_step *step = graph->steps; step != NULL; step = step->following) {
        has_any = plan_outs(graph, step, false) || has_any;
    }
    if (!has_any && graph->steps != NULL) {
        (void)plan_outs(graph, graph->steps, true);
    }
}

static void plan_targets(mm_graph *graph, char **names)
{
    if (*names == NULL && graph->defaults.count == 0) {
        plan_roots(graph);
        return;
    }
    for (size_t i = 0; *names == NULL && i < graph->defaults.count; i++) {
        mm_plan(graph, graph->defaults.items[i]);
    }
    for (; *names != NULL; names++) {
        mm_file *file = mm_file_find(graph, mm_view(*names));

        if (file == NULL || (file->maker == NULL && !file->is_used)) {
            mm_fatal("unknown target '%s'", *names);
        }
        mm_plan(graph, file);
    }
}

/* Loads all there is and builds the targets, or, if that is out of date, the manifest alone. */
static int load_and_run(mm_build *own, char **targets, bool *ret_is_manifest)
{
    mm_graph *graph = mm_graph_new();
    mm_file *manifest;

    mm_graph_free(own->graph);
    own->graph = graph;
    own->finished = 0;
    mm_manifest_load(graph, own->manifest);
    mm_log_open(graph, log_path(own), !own->is_dry);
    manifest = mm_file_find(graph, mm_view(own->manifest));
    if (manifest != NULL) {
        mm_plan(graph, manifest);
    }
    *ret_is_manifest = graph->to_run > 0;
    if (!*ret_is_manifest) {
        plan_targets(graph, targets);
    }
    if (graph->to_run == 0) {
        printf("minimake: no work to do.\n");
        return 0;
    }
    return mm_run(own);
}

static int build_all(mm_build *own, char **targets)
{
    bool is_manifest;

    for (int i = 0; i < REGENERATIONS_MAX; i++) {
        int status = load_and_run(own, targets, &is_manifest);

        if (status != 0 || !is_manifest || own->is_dry) {
            return status;
        }
    }
    mm_fatal("manifest '%s' still dirty after %d tries", own->manifest, REGENERATIONS_MAX);
}

/* ---- the program ------------------------------------------------------------- */

static void on_signal(int number)
{
    caught = number;
    rp_loop_stop(stopped_loop);
}

/* For the signals that end us; what is ignored (nohup, a shell's background job) stays so. The
 * children are in groups of their own: Ctrl-C reaches us alone. */
static void set_handlers(void (*handler)(int))
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};

    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        struct sigaction action = {.sa_handler = handler};
        struct sigaction old;

        if (sigaction(numbers[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN) {
            (void)sigaction(numbers[i], &action, NULL); /* cannot fail for these */
        }
    }
}

static bool kill_one(rp_process *process, void *user)
{
    (void)user;
    (void)rp_kill(process);
    return true;
}

/* At exit. After a build there is no loop any more; but mm_fatal may come in the midst of one. */
static void kill_all(void)
{
    if (stopped_loop != NULL) {
        (void)rp_loop_processes(stopped_loop, kill_one, NULL);
    }
}

static int usage(FILE *file, int status)
{
    fprintf(file, "usage: minimake [-C DIR] [-f FILE] [-j N] [-k N] [-n] [-v] [TARGET...]\n"
                  "  -C DIR   go there first\n"
                  "  -f FILE  read this instead of build.ninja\n"
                  "  -j N     commands at a time; 0: any number\n"
                  "  -k N     go on until N of them have failed; 0: to the end\n"
                  "  -n       only say what would be done\n"
                  "  -v       show commands instead of descriptions\n");
    return status;
}

/* The number of a whole text, 0 being the most there is. */
static bool to_number(const char *text, unsigned long *ret_number)
{
    char *end;
    unsigned long number;

    errno = 0;
    number = strtoul(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != '\0' || errno != 0) {
        return false;
    }
    *ret_number = number > 0 ? number : ~0UL;
    return true;
}

/* False: bad usage. */
static bool read_options(mm_build *own, int argc, char **argv, const char **ret_folder)
{
    int option;

    while ((option = getopt(argc, argv, "C:f:j:k:nvh")) != -1) {
        switch (option) {
        case 'C':
            *ret_folder = optarg;
            break;
        case 'f':
            own->manifest = optarg;
            break;
        case 'j':
            if (!to_number(optarg, &own->jobs)) {
                return false;
            }
            break;
        case 'k':
            if (!to_number(optarg, &own->failures_max)) {
                return false;
            }
            break;
        case 'n':
            own->is_dry = true;
            break;
        case 'v':
            own->show.is_verbose = true;
            break;
        case 'h':
            exit(usage(stdout, EXIT_SUCCESS));
        default:
            return false;
        }
    }
    return true;
}

int main(int argc, char **argv)
{
    static mm_build own = {.manifest = "build.ninja", .failures_max = 1};
    const struct sigaction ignore = {.sa_handler = SIG_IGN};
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    const char *folder = NULL;
    int status, r;

    own.jobs = processors > 0 ? (unsigned long)processors + 2 : 3;
    if (!read_options(&own, argc, argv, &folder)) {
        return usage(stderr, EXIT_FAILURE);
    }
    if (folder != NULL) {
        printf("minimake: Entering directory `%s'\n", folder);
        if (chdir(folder) < 0) {
            mm_fatal("chdir to '%s': %s", folder, strerror(errno));
        }
    }
    own.show.is_terminal = isatty(STDOUT_FILENO) == 1;
    r = rp_loop_open(NULL, &own.loop);
    if (r < 0) {
        mm_fatal("%s: %s", rp_strerror(r), rp_error_detail());
    }
    stopped_loop = own.loop;
    (void)atexit(kill_all);                  /* fails for want of memory alone */
    (void)sigaction(SIGPIPE, &ignore, NULL); /* a reader that is gone is a failed write */
    own.caught = &caught;
    set_handlers(on_signal);
    status = build_all(&own, argv + optind);
    set_handlers(SIG_DFL);
    stopped_loop = NULL;
    (void)rp_loop_close(own.loop); /* nothing runs any more */
    mm_graph_free(own.graph);
    mm_text_free(&own.show.held);
    mm_text_free(&own.show.scratch);
    free(own.words);
    mm_text_free(&own.command);
    mm_text_free(&own.scratch);
    return fflush(stdout) == 0 ? status : EXIT_FAILURE;
}
