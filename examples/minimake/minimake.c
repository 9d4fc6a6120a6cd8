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
 * How: manifest.c, log.c and plan.c fill and judge a graph (graph.h). Here steps whose inputs are
 * settled go through two queues: `met`, where it is decided whether they have to run, and `ready`,
 * from which the loop gets as many as may run. Everything else happens in on_done, when a command
 * has ended: its output, its outputs, the log, and whoever waited for it. */
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "examples/minimake/graph.h"

enum {
    INTERRUPTED = 130, /* exit status */
    WORDS_MAX = 4096,  /* of a command that is run without a shell */
    WIDTH = 80,        /* of a terminal that does not know its own */
    REGENERATIONS_MAX = 100
};

typedef struct build {
    rp_loop *loop;
    mm_graph *graph;
    const char *manifest;
    unsigned long jobs, failures_max;
    bool is_dry, is_verbose;

    mm_queue met, ready;
    size_t running, finished, failures;
    bool is_broken;      /* something of ours failed */
    bool is_interrupted; /* a signal, or broken: everybody was told to end */

    bool is_terminal;       /* standard output: the status stays in one line */
    bool has_status;        /* that line is not ended */
    const mm_step *console; /* its command has the terminal: our output waits, in `held` */
    mm_text held;
    mm_text command, scratch;
    const char *words[WORDS_MAX + 1];
} build;

typedef struct job { /* a command that runs */
    build *own;      /* borrowed, as the step is */
    mm_step *step;
    int64_t began_ns; /* by the clock of files */
} job;

static rp_loop *volatile stopped_loop; /* for the handler */
static volatile sig_atomic_t caught;   /* the signal that ends us; 0 */

static void advance(build *own);
static void interrupt_all(build *own);

/* ---- telling the user -------------------------------------------------------- */

/* What goes wrong beside the commands: the build ends. */
static void give_up(build *own, const char *what, const char *why)
{
    fprintf(stderr, "minimake: error: %s: %s\n", what, why);
    if (!own->is_broken) {
        own->is_broken = true;
        interrupt_all(own);
    }
}

static void say(build *own, rp_view text)
{
    if (own->console != NULL) {
        mm_text_add(&own->held, text);
    } else {
        (void)fwrite(text.data, 1, text.size, stdout); /* looked at in flush */
    }
}

static void flush(build *own)
{
    if (own->console == NULL && own->held.size > 0) {
        (void)fwrite(own->held.data, 1, own->held.size, stdout);
        own->held.size = 0;
    }
    if ((fflush(stdout) != 0 || ferror(stdout)) && !own->is_broken) {
        give_up(own, "output", strerror(errno));
    }
}

/* Whatever comes next begins at the start of a line. */
static void end_status(build *own)
{
    if (own->has_status) {
        own->has_status = false;
        say(own, mm_view("\n"));
    }
}

static size_t terminal_width(void)
{
    struct winsize size;

    return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : WIDTH;
}

/* "[3/10] Building a.o". In a terminal each takes the place of the one before. */
static void show_status(build *own, const mm_step *step)
{
    char head[64];
    size_t size, width;

    if (own->is_verbose || !mm_variable(&own->scratch, step, "description", false) ||
        own->scratch.size == 0) {
        (void)mm_variable(&own->scratch, step, "command", true); /* rules have one */
    }
    size = (size_t)snprintf(head, sizeof head, "[%zu/%zu] ", own->finished, own->graph->to_run);
    if (!own->is_terminal || own->is_verbose) {
        say(own, (rp_view){head, size});
        say(own, (rp_view){own->scratch.data, own->scratch.size});
        say(own, mm_view("\n"));
        return;
    }
    width = terminal_width();
    say(own, mm_view("\r"));
    say(own, (rp_view){head, size});
    if (size + own->scratch.size <= width) {
        say(own, (rp_view){own->scratch.data, own->scratch.size});
    } else if (size + 3 < width) { /* the end tells more than the middle */
        size_t half = (width - size - 3) / 2;

        say(own, (rp_view){own->scratch.data, half});
        say(own, mm_view("..."));
        say(own, (rp_view){own->scratch.data + own->scratch.size - half, half});
    }
    say(own, mm_view("\033[K"));
    own->has_status = true;
}

static void show_failure(build *own, const mm_step *step, const rp_exit *exit)
{
    char summary[256];

    end_status(own);
    say(own, mm_view("FAILED: "));
    for (size_t i = 0; i < step->outs.count; i++) {
        say(own, step->outs.items[i]->name);
        say(own, mm_view(" "));
    }
    say(own, mm_view("\n"));
    (void)mm_variable(&own->scratch, step, "command", true);
    say(own, (rp_view){own->scratch.data, own->scratch.size});
    say(own, mm_view("\n"));
    if (exit->kind != RP_EXITED) { /* else the command itself has said why, or nobody knows */
        (void)rp_exit_summary(exit, summary, sizeof summary);
        say(own, mm_view(summary));
        say(own, mm_view("\n"));
    }
}

static void show_output(build *own, rp_view output)
{
    if (output.size > 0) {
        end_status(own);
        say(own, output);
        if (output.data[output.size - 1] != '\n') {
            say(own, mm_view("\n"));
        }
    }
}

/* ---- the graph as steps end -------------------------------------------------- */

/* May run now, as far as the graph goes: when its pool has room. */
static void admit(build *own, mm_step *step)
{
    mm_pool *pool = step->pool;

    if (pool != NULL && pool->depth > 0 && pool->running == pool->depth) {
        mm_push(&pool->waiting, step);
        return;
    }
    if (pool != NULL) {
        pool->running++;
    }
    mm_push(&own->ready, step);
}

static void leave_pool(build *own, mm_pool *pool)
{
    mm_step *next;

    if (pool == NULL) {
        return;
    }
    pool->running--;
    next = mm_pop(&pool->waiting);
    if (next != NULL) {
        admit(own, next);
    }
}

/* The outputs are as they should be; who waited for them goes on. */
static void settle(build *own, mm_step *step, bool has_changed)
{
    step->has_changed = has_changed;
    for (mm_user *user = step->users; user != NULL; user = user->next) {
        if (--user->step->waits_for == 0) {
            mm_push(&own->met, user->step);
        }
    }
}

/* All its inputs are settled: now it is known whether it has to run. */
static void decide(build *own, mm_step *step)
{
    for (size_t i = 0; !step->is_due && i < step->real; i++) {
        const mm_step *maker = step->ins.items[i]->maker;

        step->is_due = maker != NULL && maker->has_changed;
    }
    if (step->rule != NULL && step->is_due) {
        admit(own, step);
        return;
    }
    if (step->rule != NULL && step->may_run) {
        own->graph->to_run--; /* its inputs have stayed as they were */
    }
    settle(own, step, step->is_due);
}

/* ---- before a command and after it ------------------------------------------- */

/* The folders above a file. */
static bool make_folders(char *path)
{
    char *slash = strrchr(path, '/');
    bool is_there;

    if (slash == NULL || slash == path) {
        return true;
    }
    *slash = '\0';
    is_there = mkdir(path, 0777) == 0 || errno == EEXIST ||
               (errno == ENOENT && make_folders(path) && mkdir(path, 0777) == 0);
    *slash = '/';
    return is_there;
}

static bool write_file(const char *path, rp_view content)
{
    FILE *file = fopen(path, "w");
    bool is_written;

    if (file == NULL) {
        return false;
    }
    is_written = fwrite(content.data, 1, content.size, file) == content.size;
    return fclose(file) == 0 && is_written;
}

/* What a command finds when it begins: folders for its outputs, its response file. */
static bool prepare(build *own, const mm_step *step)
{
    mm_text *path = &own->scratch;

    for (size_t i = 0; i < step->outs.count; i++) {
        const mm_file *out = step->outs.items[i];

        path->size = 0;
        mm_text_add(path, out->name);
        if (out->mtime_ns == MM_MISSING && !make_folders(path->data)) {
            give_up(own, out->name.data, strerror(errno));
            return false;
        }
    }
    if (mm_variable(path, step, "rspfile", false) && path->size > 0) {
        bool has_content = mm_variable(&own->command, step, "rspfile_content", true);

        if (!make_folders(path->data) ||
            !write_file(path->data, has_content ? (rp_view){own->command.data, own->command.size}
                                                : (rp_view){"", 0})) {
            give_up(own, path->data, strerror(errno));
            return false;
        }
    }
    return true;
}

static void remove_named(build *own, const mm_step *step, const char *variable)
{
    if (mm_variable(&own->scratch, step, variable, false) && own->scratch.size > 0) {
        (void)remove(own->scratch.data); /* may never have been there */
    }
}

/* The times of the outputs after a run. Whether one of them is another than before. */
static bool look_at_outs(mm_step *step, int64_t *ret_newest_ns)
{
    bool has_changed = false;

    for (size_t i = 0; i < step->outs.count; i++) {
        mm_file *out = step->outs.items[i];
        int64_t mtime_ns = mm_mtime_ns(out->name.data);

        has_changed = has_changed || mtime_ns != out->mtime_ns || mtime_ns == MM_MISSING;
        out->mtime_ns = mtime_ns;
        if (mtime_ns > *ret_newest_ns) {
            *ret_newest_ns = mtime_ns;
        }
    }
    return has_changed;
}

static void succeed(build *own, mm_step *step, int64_t began_ns)
{
    mm_record record = {.time_ns = began_ns};
    bool has_changed = true;
    int64_t newest_ns = began_ns;

    if (step->restat || step->generator) {
        bool is_new = look_at_outs(step, &newest_ns);

        has_changed = is_new || !step->restat;
        if (has_changed) { /* a generator writes inputs of its own, too */
            record.time_ns = newest_ns;
        }
    }
    if (step->keeps_deps && mm_variable(&own->scratch, step, "depfile", false) &&
        own->scratch.size > 0) {
        (void)mm_depfile_read(own->graph, own->scratch.data,
                              &record.found); /* none: nothing found */
        (void)remove(own->scratch.data);
    }
    record.hash = mm_command_hash(step, &own->scratch);
    remove_named(own, step, "rspfile");
    if (!mm_log_add(own->graph, step, &record)) {
        give_up(own, "writing the log", strerror(errno));
    }
    settle(own, step, has_changed);
}

/* Of a command that did not come to its end: what it wrote is worth nothing. */
static void clean_up(build *own, const mm_step *step)
{
    bool has_depfile = mm_variable(&own->scratch, step, "depfile", false) && own->scratch.size > 0;

    for (size_t i = 0; i < step->outs.count; i++) {
        const mm_file *out = step->outs.items[i];

        /* One that it has not touched stays, a manifest for one. But where a depfile may be newer
         * than its output, only their absence is safe. */
        if (has_depfile || mm_mtime_ns(out->name.data) != out->mtime_ns) {
            (void)remove(out->name.data);
        }
    }
    remove_named(own, step, "depfile");
}

/* ---- commands ---------------------------------------------------------------- */

static void on_done(rp_process *process, const rp_exit *exit, void *user)
{
    job *ended = user;
    build *own = ended->own;
    mm_step *step = ended->step;
    bool is_cut;
    rp_view output = rp_process_captured(process, RP_STDOUT, &is_cut);

    own->running--;
    own->finished++;
    if (own->console == step) {
        own->console = NULL;
    } else {
        show_status(own, step);
    }
    if (exit->code == 0 && !is_cut) {
        show_output(own, output);
        succeed(own, step, ended->began_ns);
    } else if (own->is_interrupted) {
        show_output(own, output);
        clean_up(own, step);
    } else {
        own->failures++;
        show_failure(own, step, exit);
        show_output(own, output);
        if (is_cut) {
            say(own, mm_view("minimake: there was no memory for all of its output\n"));
        }
    }
    flush(own);
    leave_pool(own, step->pool);
    free(ended);
    advance(own);
}

/* A command in which the shell has nothing to do but to start a program is started without one:
 * plain words, the first of them a path. NULL: it needs a shell. The words are cut out of `text`.
 */
static const char *const *split_plain(build *own, mm_text *text)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "/_-.,:+=@% ";
    size_t first = strcspn(text->data, " ");
    size_t count = 0;

    if (first == 0 || memchr(text->data, '/', first) == NULL ||
        memchr(text->data, '=', first) != NULL || strspn(text->data, plain) != text->size) {
        return NULL;
    }
    for (size_t i = 0; i < text->size; i++) {
        if (text->data[i] != ' ' && (i == 0 || text->data[i - 1] == ' ')) {
            if (count == WORDS_MAX) {
                return NULL;
            }
            own->words[count++] = text->data + i;
        }
    }
    own->words[count] = NULL;
    for (size_t i = 0; i < text->size; i++) {
        if (text->data[i] == ' ') {
            text->data[i] = '\0';
        }
    }
    return own->words;
}

static int64_t file_time_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_REALTIME, &now); /* cannot fail */
    return (int64_t)now.tv_sec * (int64_t)RP_SECOND + now.tv_nsec;
}

static int spawn(build *own, mm_step *step)
{
    static const rp_handlers handlers = {.done = on_done};
    rp_command command = RP_COMMAND_INIT;
    job *fresh = malloc(sizeof *fresh);
    int r;

    if (fresh == NULL) {
        return RP_ENOMEM;
    }
    *fresh = (job){.own = own, .step = step, .began_ns = file_time_ns()};
    (void)mm_variable(&own->command, step, "command", true);
    command.argv = split_plain(own, &own->command);
    if (command.argv == NULL) {
        command.shell = own->command.data;
    }
    if (own->console == step) {
        command.transport = RP_CONSOLE_SHARED; /* Ctrl-C reaches it as it does us */
    } else {
        command.err.kind = RP_STDIO_MERGE;
        command.capture_max = RP_UNLIMITED;
    }
    r = rp_spawn(own->loop, &command, &handlers, fresh, NULL);
    if (r < 0) {
        free(fresh);
    }
    return r;
}

static void start(build *own, mm_step *step)
{
    int r;

    if (own->is_dry) {
        own->finished++;
        show_status(own, step);
        settle(own, step, true);
        leave_pool(own, step->pool);
        return;
    }
    if (!prepare(own, step)) {
        return;
    }
    if (step->pool == own->graph->console) {
        show_status(own, step);
        end_status(own);
        flush(own);
        own->console = step;
    } else if (own->is_terminal && !own->is_verbose) {
        show_status(own, step);
    }
    r = spawn(own, step);
    if (r < 0) {
        give_up(own, step->outs.items[0]->name.data, rp_strerror(r));
        return;
    }
    own->running++;
}

static bool may_start(const build *own)
{
    return own->running < own->jobs && own->failures < own->failures_max && !own->is_broken &&
           caught == 0;
}

/* Starts what can be started. A loop, as settling one step may settle any number of others. */
static void advance(build *own)
{
    mm_step *step;

    do {
        while ((step = mm_pop(&own->met)) != NULL) {
            decide(own, step);
        }
        step = may_start(own) ? mm_pop(&own->ready) : NULL;
        if (step != NULL) {
            start(own, step);
        }
    } while (step != NULL);
    if (own->is_terminal) {
        flush(own);
    }
}

/* The first time politely: an interrupt, another after a second, then the end. Who wants to end us
 * by another signal does not mean an interrupt. */
static bool stop_one(rp_process *process, void *user)
{
    build *own = user;
    const job *running = rp_process_user(process);
    rp_stop_options options = RP_INIT(rp_stop_options);

    if (own->is_interrupted) {
        (void)rp_kill(process);
    } else if (running->step != own->console || caught != SIGINT) { /* it has had its Ctrl-C */
        options.no_interrupt = caught != SIGINT;
        (void)rp_stop(process, &options);
    }
    return true; /* what cannot be stopped has ended: its `done` comes in any case */
}

static void interrupt_all(build *own)
{
    (void)rp_loop_processes(own->loop, stop_one, own);
    own->is_interrupted = true;
}

/* ---- one build --------------------------------------------------------------- */

/* Runs what is planned. 0, or the exit status. */
static int run(build *own)
{
    int r;

    own->met = own->graph->startable;
    own->graph->startable = (mm_queue){NULL, NULL};
    advance(own);
    while ((r = rp_loop_run(own->loop)) == 1) {
        interrupt_all(own);
    }
    end_status(own);
    flush(own);
    if (r < 0) {
        fprintf(stderr, "minimake: error: %s\n", rp_strerror(r));
        return EXIT_FAILURE;
    }
    if (caught != 0) {
        printf("minimake: build stopped: interrupted by user.\n");
        return INTERRUPTED;
    }
    if (own->failures > 0) {
        printf("minimake: build stopped: %s.\n", own->failures < own->failures_max
                                                     ? "cannot make progress due to previous errors"
                                                 : own->failures_max > 1 ? "subcommands failed"
                                                                         : "subcommand failed");
    }
    return own->failures > 0 || own->is_broken ? EXIT_FAILURE : 0;
}

/* Where the log is, into `scratch`. */
static const char *log_path(build *own)
{
    const mm_env env = {.scope = own->graph->scope};

    own->scratch.size = 0;
    mm_expand(&own->scratch, mm_view("$builddir"), &env);
    if (own->scratch.size > 0) {
        mm_text_add(&own->scratch, mm_view("/"));
    }
    mm_text_add(&own->scratch, mm_view(".minimake_log"));
    if (!own->is_dry && !make_folders(own->scratch.data)) {
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
    for (; *names != NULL; names++) {
        mm_file *file = mm_file_find(graph, mm_view(*names));

        if (file == NULL || (file->maker == NULL && !file->is_used)) {
            mm_fatal("unknown target '%s'", *names);
        }
        mm_plan(graph, file);
    }
}

/* Loads all there is and builds the targets, or, if that is out of date, the manifest alone. */
static int load_and_run(build *own, char **targets, bool *ret_is_manifest)
{
    mm_file *manifest;

    mm_graph_free(own->graph);
    own->graph = mm_graph_new();
    own->finished = 0;
    mm_manifest_load(own->graph, own->manifest);
    mm_log_open(own->graph, log_path(own), !own->is_dry);
    manifest = mm_file_find(own->graph, mm_view(own->manifest));
    if (manifest != NULL) {
        mm_plan(own->graph, manifest);
    }
    *ret_is_manifest = own->graph->to_run > 0;
    if (*ret_is_manifest) {
        return run(own);
    }
    if (*targets != NULL) {
        plan_targets(own->graph, targets);
    } else if (own->graph->defaults.count == 0) {
        plan_roots(own->graph);
    }
    for (size_t i = 0; *targets == NULL && i < own->graph->defaults.count; i++) {
        mm_plan(own->graph, own->graph->defaults.items[i]);
    }
    if (own->graph->to_run == 0) {
        printf("minimake: no work to do.\n");
        return 0;
    }
    return run(own);
}

static int build_all(build *own, char **targets)
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
static bool read_options(build *own, int argc, char **argv, const char **ret_folder)
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
            own->is_verbose = true;
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
    static build own = {.manifest = "build.ninja", .failures_max = 1};
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
    own.is_terminal = isatty(STDOUT_FILENO) == 1;
    r = rp_loop_open(NULL, &own.loop);
    if (r < 0) {
        mm_fatal("%s: %s", rp_strerror(r), rp_error_detail());
    }
    stopped_loop = own.loop;
    (void)atexit(kill_all);                  /* fails for want of memory alone */
    (void)sigaction(SIGPIPE, &ignore, NULL); /* a reader that is gone is a failed write */
    set_handlers(on_signal);
    status = build_all(&own, argv + optind);
    set_handlers(SIG_DFL);
    stopped_loop = NULL;
    (void)rp_loop_close(own.loop); /* nothing runs any more */
    mm_graph_free(own.graph);
    mm_text_free(&own.held);
    mm_text_free(&own.command);
    mm_text_free(&own.scratch);
    return fflush(stdout) == 0 ? status : EXIT_FAILURE;
}
