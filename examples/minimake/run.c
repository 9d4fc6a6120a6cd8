/* The part of minimake that runs commands: all that it has to do with the library.
 *
 * Steps whose inputs are settled go through two queues: `met`, where it is decided whether they
 * have to run, and `ready`, from which the loop gets as many as may run. Everything else happens in
 * on_done, when a command has ended: its output, its outputs, the log, and whoever waited for it.
 */
#define _POSIX_C_SOURCE 200809L
#include "examples/minimake/build.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

typedef struct job { /* a command that runs */
    mm_build *own;   /* borrowed, as the step is */
    mm_step *step;
    int64_t began_ns; /* by the clock of files */
} job;

static void advance(mm_build *own);
static void interrupt_all(mm_build *own);

/* What goes wrong beside the commands: the build ends. */
static void give_up(mm_build *own, const char *what, const char *why)
{
    fprintf(stderr, "minimake: error: %s: %s\n", what, why);
    if (!own->is_broken) {
        own->is_broken = true;
        interrupt_all(own);
    }
}

static void flush(mm_build *own)
{
    if (!mm_show_flush(&own->show) && !own->is_broken) {
        give_up(own, "output", strerror(errno));
    }
}

static void show_status(mm_build *own, const mm_step *step)
{
    mm_show_status(&own->show, step, own->finished, own->graph->to_run);
}

/* ---- the graph as steps end -------------------------------------------------- */

/* May run now, as far as the graph goes: when its pool has room. */
static void admit(mm_build *own, mm_step *step)
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

static void leave_pool(mm_build *own, mm_pool *pool)
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
static void settle(mm_build *own, mm_step *step, bool has_changed)
{
    step->has_changed = has_changed;
    for (mm_user *user = step->users; user != NULL; user = user->next) {
        if (--user->step->waits_for == 0) {
            mm_push(&own->met, user->step);
        }
    }
}

/* All its inputs are settled: now it is known whether it has to run. */
static void decide(mm_build *own, mm_step *step)
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

bool mm_make_folders(char *path)
{
    char *slash = strrchr(path, '/');
    bool is_there;

    if (slash == NULL || slash == path) {
        return true;
    }
    *slash = '\0';
    is_there = mkdir(path, 0777) == 0 || errno == EEXIST ||
               (errno == ENOENT && mm_make_folders(path) && mkdir(path, 0777) == 0);
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
static bool prepare(mm_build *own, const mm_step *step)
{
    mm_text *path = &own->scratch;

    for (size_t i = 0; i < step->outs.count; i++) {
        const mm_file *out = step->outs.items[i];

        path->size = 0;
        mm_text_add(path, out->name);
        if (out->mtime_ns == MM_MISSING && !mm_make_folders(path->data)) {
            give_up(own, out->name.data, strerror(errno));
            return false;
        }
    }
    if (mm_variable(path, step, "rspfile", false) && path->size > 0) {
        bool has_content = mm_variable(&own->command, step, "rspfile_content", true);

        if (!mm_make_folders(path->data) ||
            !write_file(path->data, has_content ? (rp_view){own->command.data, own->command.size}
                                                : (rp_view){"", 0})) {
            give_up(own, path->data, strerror(errno));
            return false;
        }
    }
    return true;
}

static void remove_named(mm_build *own, const mm_step *step, const char *variable)
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

        has_changed = has_changed || mtime_ns != out->mtime_ns;
        out->mtime_ns = mtime_ns;
        if (mtime_ns > *ret_newest_ns) {
            *ret_newest_ns = mtime_ns;
        }
    }
    return has_changed;
}

static void succeed(mm_build *own, mm_step *step, int64_t began_ns)
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
static void clean_up(mm_build *own, const mm_step *step)
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
    mm_build *own = ended->own;
    mm_step *step = ended->step;
    bool is_cut;
    rp_view output = rp_process_captured(process, RP_STDOUT, &is_cut);

    own->running--;
    own->finished++;
    if (own->console == step) {
        own->console = NULL;
        own->show.is_held = false;
    } else {
        show_status(own, step);
    }
    if (exit->code == 0 && !is_cut) {
        mm_show_output(&own->show, output);
        succeed(own, step, ended->began_ns);
    } else if (own->is_interrupted || *own->caught != 0) {
        mm_show_output(&own->show, output);
        clean_up(own, step);
    } else {
        own->failures++;
        mm_show_failure(&own->show, step, exit);
        mm_show_output(&own->show, output);
        if (is_cut) {
            mm_show_output(&own->show, mm_view("minimake: no memory for all of its output"));
        }
    }
    flush(own);
    leave_pool(own, step->pool);
    free(ended);
    advance(own);
}

static void add_word(mm_build *own, size_t count, char *word)
{
    if (count == own->words_room) {
        own->words_room = 2 * own->words_room + 64;
        own->words = realloc(own->words, own->words_room * sizeof *own->words);
        if (own->words == NULL) {
            mm_fatal("no memory");
        }
    }
    own->words[count] = word;
}

/* A command in which the shell has nothing to do but to start a program is started without one:
 * plain words, the first of them a path. NULL: it needs a shell. The words are cut out of it. */
static const char *const *split_plain(mm_build *own)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "/_-.,:+=@% ";
    char *text = own->command.data;
    size_t first = strcspn(text, " ");
    size_t count = 0;

    if (memchr(text, '/', first) == NULL || memchr(text, '=', first) != NULL ||
        text[strspn(text, plain)] != '\0') {
        return NULL;
    }
    for (;;) {
        text += strspn(text, " ");
        if (*text == '\0') {
            break;
        }
        add_word(own, count++, text);
        text += strcspn(text, " ");
        if (*text == ' ') {
            *text++ = '\0';
        }
    }
    add_word(own, count, NULL);
    return own->words;
}

static int64_t file_time_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_REALTIME, &now); /* cannot fail */
    return (int64_t)now.tv_sec * (int64_t)RP_SECOND + now.tv_nsec;
}

static int spawn(mm_build *own, mm_step *step)
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
    command.argv = split_plain(own);
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

static void start(mm_build *own, mm_step *step)
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
        mm_show_end_status(&own->show);
        flush(own);
        own->console = step;
        own->show.is_held = true;
    } else if (own->show.is_terminal && !own->show.is_verbose) {
        show_status(own, step);
    }
    r = spawn(own, step);
    if (r < 0) {
        own->show.is_held = false;
        give_up(own, step->outs.items[0]->name.data, rp_strerror(r));
        return;
    }
    own->running++;
}

static bool may_start(const mm_build *own)
{
    return own->running < own->jobs && own->failures < own->failures_max && !own->is_broken &&
           *own->caught == 0;
}

/* Starts what can be started. A loop, as settling one step may settle any number of others. */
static void advance(mm_build *own)
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
    if (own->show.is_terminal) {
        flush(own);
    }
}

/* The first time politely: an interrupt, another after a second, then the end. Who wants to end us
 * by another signal does not mean an interrupt; and the console's command has had its Ctrl-C. */
static bool stop_one(rp_process *process, void *user)
{
    mm_build *own = user;
    const job *running = rp_process_user(process);
    rp_stop_options options = RP_INIT(rp_stop_options);

    if (own->is_interrupted) {
        (void)rp_kill(process);
    } else if (running->step != own->console || *own->caught != SIGINT) {
        options.no_interrupt = *own->caught != SIGINT;
        (void)rp_stop(process, &options);
    }
    return true; /* what cannot be stopped has ended: its `done` comes in any case */
}

static void interrupt_all(mm_build *own)
{
    (void)rp_loop_processes(own->loop, stop_one, own);
    own->is_interrupted = true;
}

/* ---- one build --------------------------------------------------------------- */

/* Of a command that does not come to its `done`, as closing the loop is silent. */
static bool abandon_one(rp_process *process, void *user)
{
    job *left = rp_process_user(process);

    (void)rp_kill(process);
    clean_up(user, left->step);
    free(left);
    return true;
}

int mm_run(mm_build *own)
{
    int r;

    own->met = own->graph->startable;
    own->graph->startable = (mm_queue){NULL, NULL};
    advance(own);
    while ((r = rp_loop_run(own->loop)) == 1) {
        interrupt_all(own);
    }
    mm_show_end_status(&own->show);
    flush(own);
    if (r < 0) {
        fprintf(stderr, "minimake: error: %s\n", rp_strerror(r));
        (void)rp_loop_processes(own->loop, abandon_one, own);
        return EXIT_FAILURE;
    }
    if (*own->caught != 0) {
        printf("minimake: build stopped: interrupted by user.\n");
        return MM_INTERRUPTED;
    }
    if (own->failures > 0) {
        printf("minimake: build stopped: %s.\n", own->failures < own->failures_max
                                                     ? "cannot make progress due to previous errors"
                                                 : own->failures_max > 1 ? "subcommands failed"
                                                                         : "subcommand failed");
    }
    return own->failures > 0 || own->is_broken ? EXIT_FAILURE : 0;
}
