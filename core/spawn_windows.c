/* Carrying launches out on Windows: the one place that calls CreateProcessW (core/spawn.h tells
 * what is asked).
 *
 *     pipes, child's ends inheritable, ours overlapped
 *     attributes: exactly the handles that the child may inherit
 *     CreateProcessW, suspended
 *     into the group's job, then its own
 *     resumed
 *
 * A pipe has two ends by a name: one that nobody can guess, made as the first of its name, for
 * local clients only, and used up at once. What another thread of the host starts meanwhile without
 * a list of handles inherits the child's ends too; that is the host's to avoid. */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/os.h"
#include "base/os_windows.h"
#include "base/status.h"
#include "core/arguments_windows.h"
#include "core/spawn.h"
#include "core/spawn_windows.h"
#include "pty/pty.h"

enum {
    PIPE_SIZE = 64 << 10,
    NICE_FAR = 15, /* from here on the outer two of the four classes */
    STACK_SIZE = 256 << 10,
    EXIT_ABANDONED = 1, /* of a child that never ran a step */
};

struct rpi_spawn_site {
    const rp_allocator *allocator; // borrowed
};

/* One child, while it is made. */
typedef struct birth {
    rpi_launch *launch;
    HANDLE ends[3];   // the child's; owned but for doubles
    HANDLE *inherits; // owned
    size_t inherit_count;
    LPPROC_THREAD_ATTRIBUTE_LIST attributes; // owned
    wchar_t *environment;                    // owned
    wchar_t *cwd;                            // owned
} birth;

static int fail(rpi_launch *launch, const char *phase, int error)
{
    launch->phase = phase;
    return error;
}

static int fail_last(rpi_launch *launch, const char *phase)
{
    const DWORD error = GetLastError();

    launch->system_error = (int)error;
    return fail(launch, phase, rpi_os_error(error));
}

/* ---- pipes ---------------------------------------------------------------------------- */

static SECURITY_ATTRIBUTES inheritable(void)
{
    return (SECURITY_ATTRIBUTES){.nLength = sizeof(SECURITY_ATTRIBUTES), .bInheritHandle = TRUE};
}

int rpi_pipe_make(bool we_read, HANDLE *ret_ours, HANDLE *ret_childs)
{
    SECURITY_ATTRIBUTES inherit = inheritable();
    uint64_t secret[2];
    wchar_t name[96];
    HANDLE ours;
    HANDLE childs;

    if (!rpi_os.RtlGenRandom(secret, sizeof secret)) {
        return -EIO;
    }
    (void)swprintf(name, sizeof name / sizeof *name, L"\\\\.\\pipe\\running-process-%lx-%llx%llx",
                   (unsigned long)GetCurrentProcessId(), (unsigned long long)secret[0],
                   (unsigned long long)secret[1]);
    ours = rpi_os.CreateNamedPipeW(name,
                                   (we_read ? PIPE_ACCESS_INBOUND : PIPE_ACCESS_OUTBOUND) |
                                       FILE_FLAG_OVERLAPPED | FILE_FLAG_FIRST_PIPE_INSTANCE,
                                   PIPE_TYPE_BYTE | PIPE_REJECT_REMOTE_CLIENTS, 1, PIPE_SIZE,
                                   PIPE_SIZE, 0, NULL);
    if (ours == INVALID_HANDLE_VALUE) {
        return rpi_os_last_error();
    }
    // The other direction's attributes too: runtimes ask a standard handle what it is.
    childs = rpi_os.CreateFileW(
        name, we_read ? GENERIC_WRITE | FILE_READ_ATTRIBUTES : GENERIC_READ | FILE_WRITE_ATTRIBUTES,
        0, &inherit, OPEN_EXISTING, SECURITY_SQOS_PRESENT | SECURITY_ANONYMOUS, NULL);
    if (childs == INVALID_HANDLE_VALUE) {
        const int r = rpi_os_last_error();

        (void)rpi_os.CloseHandle(ours); // made just now
        return r;
    }
    *ret_ours = ours;
    *ret_childs = childs;
    return 0;
}

static int make_pipe(birth *child, int stream)
{
    HANDLE ours = NULL;
    const int r = rpi_pipe_make(stream != 0, &ours, &child->ends[stream]);

    if (r < 0) {
        return fail(child->launch, "pipe", r);
    }
    child->launch->pipes[stream] = rpi_os_fd(ours);
    return 0;
}

/* ---- the other ends -------------------------------------------------------------------- */

static int open_file(birth *child, int stream)
{
    const rpi_launch_end *end = &child->launch->ends[stream];
    SECURITY_ATTRIBUTES inherit = inheritable();
    const DWORD share = FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE;
    DWORD access = GENERIC_READ;
    DWORD how = OPEN_EXISTING;
    bool invalid = false;
    wchar_t *path = rpi_os_wide(end->kind == RPI_END_FILE ? end->path : "NUL", &invalid);
    HANDLE file;

    if (path == NULL) {
        return fail(child->launch, "open", invalid ? -ENOENT : -ENOMEM);
    }
    if (end->kind == RPI_END_NULL) {
        access = GENERIC_READ | GENERIC_WRITE;
    } else if (end->open_flags == RPI_OS_FILE_TRUNCATE) {
        access = GENERIC_WRITE;
        how = CREATE_ALWAYS;
    } else if (end->open_flags == RPI_OS_FILE_APPEND) {
        access = FILE_APPEND_DATA | FILE_READ_ATTRIBUTES | SYNCHRONIZE;
        how = OPEN_ALWAYS;
    }
    file = rpi_os.CreateFileW(path, access, share, &inherit, how, FILE_ATTRIBUTE_NORMAL, NULL);
    if (file == INVALID_HANDLE_VALUE) {
        const int r = fail_last(child->launch, "open");

        free(path);
        return r;
    }
    free(path);
    child->ends[stream] = file;
    return 0;
}

/* A duplicate that can be inherited; of a closed standard handle: closed in the child too. */
static int duplicate(birth *child, int stream, HANDLE from)
{
    const HANDLE self = GetCurrentProcess();

    if (from == NULL || from == INVALID_HANDLE_VALUE) {
        child->ends[stream] = NULL;
        return 0;
    }
    if (!rpi_os.DuplicateHandle(self, from, self, &child->ends[stream], 0, TRUE,
                                DUPLICATE_SAME_ACCESS)) {
        child->ends[stream] = NULL;
        return fail_last(child->launch, "descriptors");
    }
    return 0;
}

/* A pseudo-console between two pipes. Its ends of them are its own duplicates, so that ours, and
 * the child has no others, go at once. */
static int make_console(birth *child)
{
    rpi_launch *launch = child->launch;
    HANDLE ours[2] = {NULL, NULL};
    HANDLE theirs[2] = {NULL, NULL};
    int r = rpi_pipe_make(false, &ours[0], &theirs[0]);

    if (r < 0) {
        return fail(launch, "terminal", r);
    }
    launch->pipes[RP_STDIN] = rpi_os_fd(ours[0]);
    r = rpi_pipe_make(true, &ours[1], &theirs[1]);
    if (r == 0) {
        launch->pipes[RP_STDOUT] = rpi_os_fd(ours[1]);
        r = rpi_pty_console_open(launch->pty_rows, launch->pty_cols, rpi_os_fd(theirs[0]),
                                 rpi_os_fd(theirs[1]), &launch->console);
        (void)rpi_os.CloseHandle(theirs[1]); // ours
    }
    (void)rpi_os.CloseHandle(theirs[0]); // ours
    return r < 0 ? fail(launch, "terminal", r) : 0;
}

static int make_end(birth *child, int stream)
{
    static const DWORD standard[] = {STD_INPUT_HANDLE, STD_OUTPUT_HANDLE, STD_ERROR_HANDLE};
    const rpi_launch_end *end = &child->launch->ends[stream];

    switch (end->kind) {
    case RPI_END_PIPE:
        return make_pipe(child, stream);
    case RPI_END_NULL:
    case RPI_END_FILE:
        return open_file(child, stream);
    case RPI_END_INHERIT:
        return duplicate(child, stream, GetStdHandle(standard[stream]));
    case RPI_END_FD:
        return duplicate(child, stream, rpi_os_handle(end->fd));
    case RPI_END_MERGE:
        child->ends[stream] = child->ends[1];
        return 0;
    case RPI_END_PTY:
        break;
    }
    return stream == 0 ? make_console(child) : 0; // one for all three
}

static void close_ends(birth *child)
{
    for (int i = 0; i < 3; i++) {
        if (child->ends[i] != NULL && (i < 2 || child->ends[2] != child->ends[1])) {
            (void)rpi_os.CloseHandle(child->ends[i]); // ours
        }
        child->ends[i] = NULL;
    }
}

/* ---- what the child inherits ------------------------------------------------------------- */

static void add_inherited(birth *child, HANDLE handle)
{
    for (size_t i = 0; i < child->inherit_count; i++) {
        if (child->inherits[i] == handle) {
            return; // twice in the list is refused by the system
        }
    }
    if (handle != NULL) {
        child->inherits[child->inherit_count++] = handle;
    }
}

static int make_attributes(birth *child)
{
    rpi_launch *launch = child->launch;
    SIZE_T size = 0;

    child->inherits = malloc((3 + launch->fd_count) * sizeof(HANDLE));
    if (child->inherits == NULL) {
        return fail(launch, "descriptors", -ENOMEM);
    }
    for (int i = 0; i < 3; i++) {
        add_inherited(child, child->ends[i]);
    }
    for (size_t i = 0; i < launch->fd_count; i++) {
        add_inherited(child, rpi_os_handle(launch->fds[i].fd));
    }
    (void)InitializeProcThreadAttributeList(NULL, 2, 0, &size); // tells the size
    child->attributes = malloc(size);
    if (child->attributes == NULL ||
        !InitializeProcThreadAttributeList(child->attributes, 2, 0, &size)) {
        free(child->attributes);
        child->attributes = NULL;
        return fail(launch, "descriptors", -ENOMEM);
    }
    if (child->inherit_count > 0 &&
        !rpi_os.UpdateProcThreadAttribute(child->attributes, 0, PROC_THREAD_ATTRIBUTE_HANDLE_LIST,
                                          child->inherits, child->inherit_count * sizeof(HANDLE),
                                          NULL, NULL)) {
        return fail_last(launch, "descriptors");
    }
    if (launch->console != NULL &&
        !rpi_os.UpdateProcThreadAttribute(child->attributes, 0, PROC_THREAD_ATTRIBUTE_PSEUDOCONSOLE,
                                          launch->console, sizeof launch->console, NULL, NULL)) {
        return fail_last(launch, "terminal");
    }
    return 0;
}

static int make_texts(birth *child)
{
    rpi_launch *launch = child->launch;
    bool invalid = false;
    int r = rpi_environment_block_make(launch->env, &child->environment);

    if (r < 0) {
        return fail(launch, "environment", r);
    }
    if (launch->cwd != NULL) {
        child->cwd = rpi_os_wide(launch->cwd, &invalid);
        if (child->cwd == NULL) {
            return fail(launch, "chdir", invalid ? -ENOENT : -ENOMEM);
        }
    }
    return 0;
}

static void birth_fini(birth *child)
{
    close_ends(child);
    if (child->attributes != NULL) {
        DeleteProcThreadAttributeList(child->attributes);
    }
    free(child->attributes);
    free(child->inherits);
    free(child->environment);
    free(child->cwd);
}

/* ---- the program ---------------------------------------------------------------------------- */

/* The system's own shell, wherever %ComSpec% may point. */
static wchar_t *find_shell(void)
{
    static const wchar_t name[] = L"\\cmd.exe";
    wchar_t *path = malloc((MAX_PATH + sizeof name / sizeof *name) * sizeof *path);
    UINT length = path != NULL ? GetSystemDirectoryW(path, MAX_PATH) : 0;

    if (length == 0 || length >= MAX_PATH) {
        free(path);
        return NULL;
    }
    memcpy(path + length, name, sizeof name);
    return path;
}

static bool is_absolute(const char *path)
{
    return path[0] == '/' || path[0] == '\\' || (path[0] != '\0' && path[1] == ':');
}

/* Where a candidate is, as seen from the child's folder: of malloc. */
static char *place_of(const rpi_launch *launch, const char *program)
{
    const size_t folder = launch->cwd != NULL && !is_absolute(program) ? strlen(launch->cwd) : 0;
    const size_t size = strlen(program) + 1;
    char *path = malloc(folder + 1 + size);

    if (path == NULL) {
        return NULL;
    }
    if (folder == 0) {
        memcpy(path, program, size);
        return path;
    }
    memcpy(path, launch->cwd, folder);
    path[folder] = '\\';
    memcpy(path + folder + 1, program, size);
    return path;
}

/* What is to be run for one candidate. */
typedef struct image {
    wchar_t *application; // owned
    wchar_t *line;        // owned
} image;

static int image_make(const rpi_launch *launch, const char *place, image *ret_image)
{
    const bool batch = !launch->shell && rpi_is_batch_file(place);
    const rpi_quoting quoting = launch->shell      ? RPI_QUOTE_SHELL
                                : batch            ? RPI_QUOTE_BATCH
                                : launch->verbatim ? RPI_QUOTE_VERBATIM
                                                   : RPI_QUOTE_RUNTIME;
    wchar_t *wide = rpi_os_wide(place, NULL);
    int r = 0;

    if (wide == NULL) {
        return -ENOMEM;
    }
    if (batch && GetFileAttributesW(wide) == INVALID_FILE_ATTRIBUTES) {
        r = rpi_os_last_error();
    } else if (batch && launch->verbatim) {
        r = -EINVAL; // nobody could say what cmd.exe makes of it
    }
    if (r == 0 && (batch || launch->shell)) {
        free(wide);
        wide = find_shell();
        r = wide != NULL ? 0 : -ENOENT;
    }
    r = r < 0 ? r : rpi_command_line_make(launch->argv, place, quoting, &ret_image->line);
    if (r < 0) {
        free(wide);
        return r;
    }
    ret_image->application = wide;
    return 0;
}

static void image_free(image *freed)
{
    free(freed->application);
    free(freed->line);
    *freed = (image){NULL, NULL};
}

static DWORD priority_class(int nice)
{
    if (nice == 0) {
        return NORMAL_PRIORITY_CLASS;
    }
    if (nice > 0) {
        return nice >= NICE_FAR ? IDLE_PRIORITY_CLASS : BELOW_NORMAL_PRIORITY_CLASS;
    }
    return nice <= -NICE_FAR ? HIGH_PRIORITY_CLASS : ABOVE_NORMAL_PRIORITY_CLASS;
}

static DWORD creation_flags(const rpi_launch *launch)
{
    return CREATE_SUSPENDED | CREATE_UNICODE_ENVIRONMENT | EXTENDED_STARTUPINFO_PRESENT |
           launch->creation_flags | (launch->hide_window ? CREATE_NO_WINDOW : 0) |
           (launch->own_group && !launch->terminal ? CREATE_NEW_PROCESS_GROUP : 0);
}

/* The one site. */
static int create(birth *child, const image *made, PROCESS_INFORMATION *ret_process)
{
    rpi_launch *launch = child->launch;
    STARTUPINFOEXW startup = {.StartupInfo = {.cb = sizeof startup}};

    startup.StartupInfo.dwFlags = STARTF_USESTDHANDLES;
    startup.StartupInfo.hStdInput = child->ends[0];
    startup.StartupInfo.hStdOutput = child->ends[1];
    startup.StartupInfo.hStdError = child->ends[2];
    if (launch->hide_window) {
        startup.StartupInfo.dwFlags |= STARTF_USESHOWWINDOW;
        startup.StartupInfo.wShowWindow = SW_HIDE;
    }
    startup.lpAttributeList = child->attributes;
    if (!rpi_os.CreateProcessW(made->application, made->line, NULL, NULL, child->inherit_count > 0,
                               creation_flags(launch), child->environment, child->cwd,
                               &startup.StartupInfo, ret_process)) {
        return fail_last(launch, GetLastError() == ERROR_DIRECTORY ? "chdir" : "exec");
    }
    return 0;
}

/* Whether the next candidate may be the one. */
static bool is_elsewhere(int error)
{
    return error == -ENOENT || error == -ENOTDIR || error == -EACCES || error == -EBADF;
}

/* Tries the candidates in turn. What was found and may not be run is told rather than that nothing
 * was found. */
static int create_first(birth *child, PROCESS_INFORMATION *ret_process)
{
    rpi_launch *launch = child->launch;
    int told = -ENOENT;
    int told_system = ERROR_FILE_NOT_FOUND;

    for (size_t i = 0; launch->programs[i] != NULL; i++) {
        image made = {NULL, NULL};
        char *place = place_of(launch, launch->programs[i]);
        int r = place != NULL ? image_make(launch, place, &made) : -ENOMEM;

        launch->phase = "exec";
        launch->system_error = 0;
        r = r < 0 ? r : create(child, &made, ret_process);
        image_free(&made);
        free(place);
        if (r == 0 || !is_elsewhere(r) || strcmp(launch->phase, "exec") != 0) {
            return r;
        }
        if (r != -ENOENT && r != -ENOTDIR) {
            told = -EACCES; // a folder, too
            told_system = launch->system_error;
        }
    }
    launch->system_error = told_system;
    return told;
}

/* ---- into its jobs --------------------------------------------------------------------------- */

/* The child does not run yet, so nothing of it can be outside of them. */
static int confine(rpi_launch *launch, HANDLE process)
{
    const HANDLE own = rpi_os.CreateJobObjectW(NULL, NULL);

    if (own == NULL) {
        return fail_last(launch, "job");
    }
    launch->job = rpi_os_fd(own);
    if (launch->cgroup != NULL && !rpi_os.AssignProcessToJobObject(
                                      rpi_os_handle(strtol(launch->cgroup, NULL, 10)), process)) {
        return fail_last(launch, "job");
    }
    if (!rpi_os.AssignProcessToJobObject(own, process)) {
        return fail_last(launch, "job");
    }
    return 0;
}

static int let_run(rpi_launch *launch, const PROCESS_INFORMATION *process)
{
    int r = confine(launch, process->hProcess);

    if (r == 0 && launch->nice != 0 &&
        !rpi_os.SetPriorityClass(process->hProcess, priority_class(launch->nice))) {
        r = fail_last(launch, "nice");
    }
    if (r == 0 && rpi_os.ResumeThread(process->hThread) == (DWORD)-1) {
        r = fail_last(launch, "exec");
    }
    return r;
}

static int carry_out(birth *child)
{
    rpi_launch *launch = child->launch;
    PROCESS_INFORMATION process = {0};
    int r = 0;

    for (int i = 0; i < 3 && r == 0; i++) {
        r = make_end(child, i);
    }
    r = r < 0 ? r : make_attributes(child);
    r = r < 0 ? r : make_texts(child);
    r = r < 0 ? r : create_first(child, &process);
    if (r < 0) {
        return r;
    }
    r = let_run(launch, &process);
    (void)rpi_os.CloseHandle(process.hThread); // ours
    if (r < 0) {
        (void)rpi_os.TerminateProcess(process.hProcess, EXIT_ABANDONED); // it never ran
        (void)rpi_os.CloseHandle(process.hProcess);
        return r;
    }
    if (launch->console != NULL && rpi_os.ReleasePseudoConsole != NULL) {
        (void)rpi_os.ReleasePseudoConsole(launch->console); // refused: it is closed all the same
    }
    launch->pid = process.dwProcessId;
    launch->pidfd = rpi_os_fd(process.hProcess);
    launch->phase = NULL;
    launch->system_error = 0;
    return 0;
}

static void drop_results(rpi_launch *launch)
{
    for (int i = 0; i < 3; i++) {
        if (launch->pipes[i] != -1) {
            rpi_os_close(launch->pipes[i]);
            launch->pipes[i] = -1;
        }
    }
    if (launch->job != -1) {
        rpi_os_close(launch->job);
        launch->job = -1;
    }
    if (launch->console != NULL) {
        rpi_pty_console_close(launch->console);
        launch->console = NULL;
    }
}

void rpi_spawn_carry_out(rpi_spawn_site *site, uint32_t number, rpi_launch *launch)
{
    birth child = {.launch = launch};

    (void)site;
    (void)number;
    launch->launched_ns = rpi_clock_now_ns();
    launch->error = carry_out(&child);
    birth_fini(&child);
    if (launch->error < 0) {
        drop_results(launch);
    }
    launch->started_ns = rpi_clock_now_ns();
}

/* ---- the site ---------------------------------------------------------------------------------
 */

int rpi_spawn_site_open(const rp_allocator *allocator,
                        rpi_spawn_method method,
                        uint32_t lane_count,
                        rpi_spawn_site **ret_site)
{
    rpi_spawn_site *site;

    (void)lane_count; // nothing is kept for a lane
    if (method != RPI_SPAWN_UNKNOWN && method != RPI_SPAWN_CREATE_PROCESS) {
        return rpi_detail(RP_EUNSUPPORTED, "no such way to make children here");
    }
    site = rpi_alloc(allocator, sizeof *site);
    if (site == NULL) {
        return -ENOMEM;
    }
    site->allocator = allocator;
    *ret_site = site;
    return 0;
}

void rpi_spawn_site_close(rpi_spawn_site *site)
{
    if (site != NULL) {
        rpi_free(site->allocator, site, sizeof *site);
    }
}

void rpi_spawn_site_close_forked(rpi_spawn_site *site)
{
    rpi_spawn_site_close(site);
}

rpi_spawn_method rpi_spawn_site_method(const rpi_spawn_site *site)
{
    (void)site;
    return RPI_SPAWN_CREATE_PROCESS;
}

int rpi_spawn_thread_start(void *(*run)(void *), void *argument, pthread_t *ret_thread)
{
    pthread_attr_t attributes;
    int r = pthread_attr_init(&attributes);

    if (r != 0) {
        return -r;
    }
    (void)pthread_attr_setstacksize(&attributes, STACK_SIZE); // else the program's own
    r = pthread_create(ret_thread, &attributes, run, argument);
    (void)pthread_attr_destroy(&attributes); // cannot fail for one that was initialised
    return -r;
}

uint32_t rpi_spawn_processors(void)
{
    const DWORD count = GetActiveProcessorCount(ALL_PROCESSOR_GROUPS);

    return count > 0 ? count : 1;
}
