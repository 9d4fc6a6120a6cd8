/* See diagnosis.h. The debuggers run one after the other, as each of them stops what it looks at:
 * first py-spy on the command itself, then gdb, or lldb where there is no gdb, on each process of
 * its tree. What one of them says goes into a log; a log is written when its kind is done. */
#include "cli/diagnosis.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/files.h"
#include "cli/quote.h"
#include "cli/supervisor.h"

#define TOOL_NS (9 * RP_SECOND) /* and a second for its end */
#define ALL_NS (30 * RP_SECOND)

enum {
    OUTPUT_MAX = 1 << 20 /* bytes of a debugger that are kept, a stream */
};

/* The words of a debugger's command; NULL stands for the number of the process. */
static const char *const python_words[] = {"py-spy", "dump", "--pid", NULL};
static const char *const gdb_words[] = {
    "gdb",    "-nx", /* nobody's start files */
    "-batch", "-iex", "set auto-load off", "-ex", "info threads", "-ex", "thread apply all bt",
    "-p",     NULL};
static const char *const lldb_words[] = {
    "lldb", "--no-lldbinit", "--batch", "-o", "thread backtrace all", "-o", "detach", "-p", NULL};

static const char *const *words_of(rpi_cli_phase phase)
{
    switch (phase) {
    case RPI_CLI_PHASE_PYTHON:
        return python_words;
    case RPI_CLI_PHASE_LLDB:
        return lldb_words;
    case RPI_CLI_PHASE_GDB:
    case RPI_CLI_PHASE_NONE:
        break;
    }
    return gdb_words;
}

// ---- files -------------------------------------------------------------------

static const char *folder_of(const rpi_cli_options *options)
{
    const char *folder = options->dump_folder;

    if (folder == NULL) {
        folder = getenv("RUNNING_PROCESS_STACK_DUMP_DIR");
    }
    return folder == NULL || *folder == '\0' ? "./logs/running-process" : folder;
}

static void say_error(const rpi_cli_diagnosis *diagnosis, int error)
{
    char text[640];

    (void)snprintf(text, sizeof text, "diagnostics cannot be written: %s: '%s'", rp_strerror(error),
                   folder_of(diagnosis->options));
    diagnosis->say(text, diagnosis->say_user);
}

/* `suffix` behind the stem: true where it is written; else a line says why not. */
static bool write_file(const rpi_cli_diagnosis *diagnosis,
                       const char *suffix,
                       const rpi_cli_buffer *text,
                       char **ret_path)
{
    char name[128];
    int r = RP_ENOMEM;

    (void)snprintf(name, sizeof name, "%s%s", diagnosis->stem, suffix);
    if (!text->failed) {
        r = rpi_cli_file_write(folder_of(diagnosis->options), name, text->data, text->size,
                               ret_path);
    }
    if (r < 0) {
        say_error(diagnosis, r);
    }
    return r == 0;
}

static bool
write_record(rpi_cli_diagnosis *diagnosis, const rp_process *process, rp_stop_reason reason)
{
    const bool is_timeout = reason == RP_STOP_TIMEOUT || reason == RP_STOP_QUIET;
    const char *name = is_timeout ? "timeout" : "abnormal-exit";
    rpi_cli_buffer text = {0};
    char *path = NULL;
    bool is_written;

    rpi_cli_record_stem(diagnosis->record, rp_process_pid(process), name, diagnosis->stem,
                        sizeof diagnosis->stem);
    if (!rpi_cli_record_compose(diagnosis->record, diagnosis->options, process, reason, &text)) {
        text.failed = true;
    }
    is_written = write_file(diagnosis, ".json", &text, &path);
    if (is_written) {
        diagnosis->written(name, path, diagnosis->user);
        free(path);
    }
    rpi_cli_buffer_fini(&text);
    return is_written;
}

void rpi_cli_diagnosis_write(rpi_cli_diagnosis *diagnosis, const rp_process *process)
{
    (void)write_record(diagnosis, process, RP_STOP_NONE); /* it is said */
}

// ---- debuggers ---------------------------------------------------------------

static void next(rpi_cli_diagnosis *diagnosis);

static void write_log(rpi_cli_diagnosis *diagnosis, const char *suffix)
{
    char *path = NULL;

    if (write_file(diagnosis, suffix, &diagnosis->log, &path)) {
        free(path); /* beside the file that was told */
    }
    rpi_cli_buffer_clear(&diagnosis->log);
}

static void add_stream(rpi_cli_buffer *log, const char *head, rp_view text, bool is_cut)
{
    rpi_cli_add_text(log, head);
    rpi_cli_buffer_add(log, text.data, text.size);
    if (text.size > 0 && text.data[text.size - 1] != '\n') {
        rpi_cli_add_text(log, "\n");
    }
    if (is_cut) {
        rpi_cli_add_text(log, "(cut here)\n");
    }
}

/* What came of the debugger that looked at one process. */
static void add_section(rpi_cli_diagnosis *diagnosis, rp_process *tool, const rp_exit *exit)
{
    rpi_cli_buffer *log = &diagnosis->log;
    char text[64];
    bool is_cut = false;
    rp_view captured;

    if (exit->kind == RP_SPAWN_FAILED) {
        rpi_cli_add_text(log, "cannot be run: ");
        rpi_cli_add_text(log, rp_strerror(exit->error));
        rpi_cli_add_text(log, "\n");
        return;
    }
    (void)snprintf(text, sizeof text, "exit_code=%d%s\n", exit->code,
                   exit->reason == RP_STOP_TIMEOUT ? " (it took too long)" : "");
    rpi_cli_add_text(log, text);
    captured = rp_process_captured(tool, RP_STDOUT, &is_cut);
    add_stream(log, "\n[stdout]\n", captured, is_cut);
    captured = rp_process_captured(tool, RP_STDERR, &is_cut);
    add_stream(log, "\n[stderr]\n", captured, is_cut);
}

/* Behind the command line that stands in the log already. */
static void on_tool_done(rp_process *tool, const rp_exit *exit, void *user)
{
    rpi_cli_diagnosis *diagnosis = user;
    const bool is_missing = exit->kind == RP_SPAWN_FAILED && exit->error == RP_ENOENT;

    diagnosis->tool = NULL;
    switch (diagnosis->phase) {
    case RPI_CLI_PHASE_PYTHON:
        if (is_missing) {
            rpi_cli_buffer_clear(&diagnosis->log);
            rpi_cli_add_text(&diagnosis->log, "py-spy unavailable on PATH\n");
        } else {
            add_section(diagnosis, tool, exit);
        }
        write_log(diagnosis, ".py-spy.log");
        diagnosis->phase = RPI_CLI_PHASE_GDB;
        break;
    case RPI_CLI_PHASE_GDB:
        if (is_missing) {
            rpi_cli_buffer_clear(&diagnosis->log);
            diagnosis->phase = RPI_CLI_PHASE_LLDB;
            break;
        }
        add_section(diagnosis, tool, exit);
        diagnosis->subject_at++;
        break;
    case RPI_CLI_PHASE_LLDB:
        if (is_missing) {
            rpi_cli_buffer_clear(&diagnosis->log);
            rpi_cli_add_text(&diagnosis->log, "native debugger unavailable on PATH\n");
            diagnosis->subject_at = diagnosis->subject_count;
            break;
        }
        add_section(diagnosis, tool, exit);
        diagnosis->subject_at++;
        break;
    case RPI_CLI_PHASE_NONE:
        break;
    }
    rp_process_close(tool);
    next(diagnosis);
}

/* The command line of a section, and the command. */
static void
compose(rpi_cli_diagnosis *diagnosis, const rpi_cli_subject *subject, const char *pid, char **argv)
{
    const char *const *words = words_of(diagnosis->phase);
    rpi_cli_buffer *log = &diagnosis->log;
    size_t count = 0;

    rpi_cli_add_text(log, log->size > 0 ? "\n# process " : "# process ");
    rpi_cli_add_text(log, pid);
    rpi_cli_add_text(log, " ");
    rpi_cli_add_quoted(log, subject->name);
    rpi_cli_add_text(log, "\n$");
    for (; words[count] != NULL; count++) {
        argv[count] = (char *)(uintptr_t)words[count]; /* only read */
        rpi_cli_add_text(log, " ");
        rpi_cli_add_text(log, words[count]);
    }
    argv[count] = (char *)(uintptr_t)pid;
    argv[count + 1] = NULL;
    rpi_cli_add_text(log, " ");
    rpi_cli_add_text(log, pid);
    rpi_cli_add_text(log, "\n");
}

static int look_at(rpi_cli_diagnosis *diagnosis, const rpi_cli_subject *subject)
{
    static const char *const environment[] = {"DEBUGINFOD_URLS", "TERM=dumb", NULL};
    rp_command command = RP_COMMAND_INIT;
    rp_stop_options stop = RP_INIT(rp_stop_options);
    const rp_handlers handlers = {.done = on_tool_done};
    const uint64_t now_ns = rp_now_ns();
    const uint64_t left_ns = diagnosis->until_ns - now_ns;
    char *argv[16];
    char pid[24];

    (void)snprintf(pid, sizeof pid, "%" PRId64, subject->pid);
    compose(diagnosis, subject, pid, argv);
    stop.no_interrupt = true;
    stop.terminate_ns = RP_SECOND;
    command.argv = (const char *const *)argv;
    command.env = environment; /* nothing is fetched from the net */
    command.timeout_ns = left_ns < TOOL_NS ? left_ns : TOOL_NS;
    command.stop = &stop;
    command.capture_max = OUTPUT_MAX;
    return rp_spawn(diagnosis->loop, &command, &handlers, diagnosis, &diagnosis->tool);
}

static void finish(rpi_cli_diagnosis *diagnosis)
{
    char text[80];
    const size_t left = diagnosis->left_out + diagnosis->subject_count - diagnosis->subject_at;

    if (left > 0) {
        (void)snprintf(text, sizeof text, "\n# %zu more are not looked at: %s\n", left,
                       diagnosis->cancelled ? "the command has ended" : "it would take too long");
        rpi_cli_add_text(&diagnosis->log, text);
    }
    write_log(diagnosis, ".native-debugger.log");
    diagnosis->phase = RPI_CLI_PHASE_NONE;
    diagnosis->finished(diagnosis->user);
}

/* Begins with the next process, or ends. */
static void next(rpi_cli_diagnosis *diagnosis)
{
    const rpi_cli_subject *subject = &diagnosis->subjects[diagnosis->subject_at];
    int r;

    if (diagnosis->cancelled || diagnosis->subject_at == diagnosis->subject_count ||
        rp_now_ns() >= diagnosis->until_ns) {
        finish(diagnosis);
        return;
    }
    r = look_at(diagnosis, subject);
    if (r < 0) { /* no memory, no descriptors: that will not be better for the next */
        rpi_cli_add_text(&diagnosis->log, "cannot be run: ");
        rpi_cli_add_text(&diagnosis->log, rp_strerror(r));
        rpi_cli_add_text(&diagnosis->log, "\n");
        finish(diagnosis);
    }
}

// ---- the tree ----------------------------------------------------------------

static bool on_member(const rp_process_info *info, void *user)
{
    rpi_cli_diagnosis *diagnosis = user;
    rpi_cli_subject *subject = &diagnosis->subjects[diagnosis->subject_count];

    if (strcmp(info->state, "zombie") == 0 || strcmp(info->state, "dead") == 0) {
        return true;
    }
    if (diagnosis->subject_count == RPI_CLI_SUBJECTS_MAX) {
        diagnosis->left_out++;
        return true;
    }
    subject->pid = info->id.pid;
    (void)snprintf(subject->name, sizeof subject->name, "%s", info->name);
    diagnosis->subject_count++;
    return true;
}

static void on_first(rp_timer *timer, void *user)
{
    rp_timer_close(timer);
    next(user);
}

bool rpi_cli_diagnosis_begin(rpi_cli_diagnosis *diagnosis,
                             rp_process *process,
                             rp_stop_reason reason)
{
    rp_identity identity;
    int r;

    if (!write_record(diagnosis, process, reason)) {
        return false;
    }
    r = rp_process_identity(process, &identity);
    r = r < 0 ? r : rp_tree_each(&identity, on_member, diagnosis);
    if (r < 0 || diagnosis->subject_count == 0) {
        return false; /* it has ended at this moment */
    }
    diagnosis->loop = rp_process_loop(process);
    diagnosis->until_ns = rp_now_ns() + ALL_NS;
    diagnosis->phase = RPI_CLI_PHASE_PYTHON;
    /* From the loop, as everything that follows. */
    if (rp_timer_start(diagnosis->loop, 0, 0, on_first, diagnosis, NULL) < 0) {
        diagnosis->phase = RPI_CLI_PHASE_NONE;
        return false;
    }
    return true;
}

void rpi_cli_diagnosis_cancel(rpi_cli_diagnosis *diagnosis)
{
    diagnosis->cancelled = true;
    if (diagnosis->tool != NULL) {
        (void)rp_kill(diagnosis->tool); /* refused: its time is bounded all the same */
    }
}

void rpi_cli_diagnosis_fini(rpi_cli_diagnosis *diagnosis)
{
    rpi_cli_buffer_fini(&diagnosis->log);
}
