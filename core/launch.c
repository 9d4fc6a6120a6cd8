/* Builds launches: one block of memory for the struct, its lists and all texts, measured first and
 * filled second, so that a launch costs one allocation and its strings lie side by side. rp_spawn
 * calls it; spawners only read what stands here. */
#include "core/launch.h"

#include <limits.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/os.h"
#include "base/status.h"
#include "core/command.h"
#include "core/environment.h"
#include "core/group.h"
#include "core/program.h"
#include "pty/pty.h"

/** What is measured, and from the second pass on where the next text goes. */
typedef struct builder {
    const rp_command *command;
    rp_posix posix;
    rp_limits limits;
    rp_windows windows;
    rpi_environment_need environment;
    const char *const *argv;
    size_t argument_count;
    const char *program;
    const char *path; // the PATH that is searched; NULL: the program says where it is
    const char *const *suffixes;
    size_t program_count;
    size_t text_size;
    char *text;
} builder;

/* ---- measuring ----------------------------------------------------------------- */

/** The number of elements of a PATH: one more than it has separators. */
static size_t count_elements(const char *path)
{
    size_t count = 1;

    for (; *path != '\0'; path++) {
        count += *path == rpi_program_rules_here.path_separator ? 1 : 0;
    }
    return count;
}

static size_t text_need(const char *text)
{
    return text != NULL ? strlen(text) + 1 : 0;
}

static void measure_program(builder *built)
{
    const rp_command *command = built->command;
    size_t suffix_count = 0;
    size_t suffix_size = 0;
    size_t elements = 1;

    built->program = command->shell != NULL     ? rpi_program_rules_here.shell
                     : command->program != NULL ? command->program
                                                : command->argv[0];
    RP_ASSERT(built->program != NULL); // the command was checked
    built->suffixes = rpi_program_suffixes(built->program);
    for (size_t i = 0; built->suffixes[i] != NULL; i++) {
        suffix_count++;
        suffix_size += strlen(built->suffixes[i]);
    }
    if (!rpi_program_has_folder(built->program)) {
        built->path = rpi_environment_find(command, "PATH");
        if (built->path == NULL) {
            built->path = rpi_program_rules_here.path_default;
        }
        elements = count_elements(built->path);
        built->text_size += strlen(built->path) * suffix_count;
    }
    built->program_count = elements * suffix_count;
    // Each candidate: its directory ("." for an empty one), a slash, name and suffix, a NUL.
    built->text_size += built->program_count * (text_need(built->program) + 2);
    built->text_size += elements * suffix_size;
}

static void measure(builder *built)
{
    const rp_command *command = built->command;

    if (command->posix != NULL) {
        (void)rpi_options_read(command->posix, sizeof built->posix, &built->posix); // was checked
    }
    if (command->windows != NULL) {
        (void)rpi_options_read(command->windows, sizeof built->windows,
                               &built->windows); // was checked
    }
    if (command->limits != NULL) {
        (void)rpi_options_read(command->limits, sizeof built->limits,
                               &built->limits); // was checked
    }
    for (built->argument_count = 0; built->argv[built->argument_count] != NULL;
         built->argument_count++) {
        built->text_size += text_need(built->argv[built->argument_count]);
    }
    measure_program(built);
    built->environment = rpi_environment_measure(command);
    built->text_size += built->environment.text_size;
    built->text_size += text_need(command->cwd) + text_need(command->in.path) +
                        text_need(command->out.path) + text_need(command->err.path) +
                        text_need(rpi_group_cgroup(command->group));
}

/* ---- filling ------------------------------------------------------------------- */

/** Copies a text to where the next one goes; NULL stays NULL. */
static char *add_text(builder *built, const char *text)
{
    const size_t size = text_need(text);
    char *copied = built->text;

    if (text == NULL) {
        return NULL;
    }
    memcpy(copied, text, size);
    built->text += size;
    return copied;
}

static void add_bytes(builder *built, const char *bytes, size_t size)
{
    memcpy(built->text, bytes, size);
    built->text += size;
}

/** The program in one folder (NULL: as it is), with each suffix: how many. */
static size_t
fill_names(builder *built, const char *folder, size_t folder_length, const char **programs)
{
    size_t count = 0;

    for (; built->suffixes[count] != NULL; count++) {
        programs[count] = built->text;
        if (folder != NULL) {
            add_bytes(built, folder, folder_length);
            add_bytes(built, rpi_program_rules_here.folder_end, 1);
        }
        add_bytes(built, built->program, strlen(built->program));
        (void)add_text(built, built->suffixes[count]); // ends what began above
    }
    return count;
}

/** The files to try: the program as it is, or in each directory of the PATH. */
static void fill_programs(builder *built, const char **programs)
{
    const rpi_program_rules *rules = &rpi_program_rules_here;
    const char *element = built->path;
    size_t count = 0;

    if (element == NULL) {
        count = fill_names(built, NULL, 0, programs);
    }
    while (element != NULL) {
        const char *end = strchr(element, rules->path_separator);
        const size_t length = end != NULL ? (size_t)(end - element) : strlen(element);

        count += length > 0 ? fill_names(built, element, length, programs + count)
                            : fill_names(built, rules->folder_default, 1, programs + count);
        element = end != NULL ? end + 1 : NULL;
    }
    RP_ASSERT(count == built->program_count);
    programs[count] = NULL;
}

static rpi_launch_end make_end(builder *built, rp_stream stream, const rp_stdio *stdio)
{
    rpi_launch_end end = {.kind = RPI_END_NULL, .fd = -1};

    if (built->command->transport == RP_PTY) {
        end.kind = RPI_END_PTY;
        return end;
    }
    switch (rpi_command_stdio_kind(built->command, stream)) {
    case RP_STDIO_PIPE:
        end.kind = RPI_END_PIPE;
        break;
    case RP_STDIO_INHERIT:
        end.kind = RPI_END_INHERIT;
        break;
    case RP_STDIO_FD:
        end.kind = RPI_END_FD;
        break;
    case RP_STDIO_FILE:
        end.kind = RPI_END_FILE;
        end.open_flags = rpi_os_file_flags(stream != RP_STDIN, stdio->append);
        end.path = add_text(built, stdio->path);
        break;
    case RP_STDIO_MERGE:
        end.kind = RPI_END_MERGE;
        break;
    case RP_STDIO_DEFAULT: // is never what a default means
    case RP_STDIO_NULL:
        break;
    }
    return end;
}

static void fill_settings(rpi_launch *launch, const builder *built)
{
    const rp_command *command = built->command;

    launch->own_group = command->transport != RP_CONSOLE_SHARED;
    launch->foreground = command->transport == RP_CONSOLE_FOREGROUND;
    launch->terminal = command->transport == RP_PTY;
    launch->new_session = built->posix.new_session || launch->terminal;
    launch->pty_rows = command->pty_rows != 0 ? command->pty_rows : RPI_PTY_ROWS_DEFAULT;
    launch->pty_cols = command->pty_cols != 0 ? command->pty_cols : RPI_PTY_COLS_DEFAULT;
    launch->no_core = built->posix.no_core;
    launch->set_umask = built->posix.set_umask;
    launch->set_ids = built->posix.set_ids;
    launch->umask = built->posix.umask;
    launch->uid = built->posix.uid;
    launch->gid = built->posix.gid;
    launch->group_count = built->posix.group_count;
    launch->nice = command->nice;
    launch->shell = command->shell != NULL;
    launch->verbatim = built->windows.verbatim;
    launch->hide_window = built->windows.hide_window;
    launch->creation_flags = built->windows.creation_flags;
    launch->open_files = built->limits.open_files;
    launch->queued_ns = rpi_clock_now_ns();
}

/** The lists behind the struct, from the largest alignment to the smallest, then the texts. */
static int fill(builder *built, rpi_launch *launch)
{
    const rp_command *command = built->command;
    char **argv = (char **)(void *)(launch + 1);
    char **env = argv + built->argument_count + 1;
    const char **programs = (const char **)(void *)(env + built->environment.entry_count + 1);
    rpi_launch_fd *fds = (rpi_launch_fd *)(void *)(programs + built->program_count + 1);
    uint32_t *groups = (uint32_t *)(void *)(fds + command->fd_count);
    int r;

    built->text = (char *)(groups + built->posix.group_count);
    r = rpi_environment_fill(command, built->environment, env, built->text);
    if (r < 0) {
        return r;
    }
    built->text += built->environment.text_size;
    for (size_t i = 0; i < built->argument_count; i++) {
        argv[i] = add_text(built, built->argv[i]);
    }
    argv[built->argument_count] = NULL;
    fill_programs(built, programs);
    for (size_t i = 0; i < command->fd_count; i++) {
        fds[i] = (rpi_launch_fd){-1, command->fds[i].child};
        launch->fd_max = fds[i].child > launch->fd_max ? fds[i].child : launch->fd_max;
    }
    for (size_t i = 0; i < built->posix.group_count; i++) {
        groups[i] = built->posix.groups[i];
    }
    launch->argv = argv;
    launch->env = env;
    launch->programs = programs;
    launch->cwd = add_text(built, command->cwd);
    launch->cgroup = add_text(built, rpi_group_cgroup(command->group));
    // The kernel (6.18 at least) takes who is born from outside into a cgroup that was
    // killed before for one who escaped that kill.
    launch->enters_cgroup = command->group != NULL && command->group->was_killed;
    launch->fds = fds;
    launch->fd_count = command->fd_count;
    launch->groups = groups;
    launch->ends[0] = make_end(built, RP_STDIN, &command->in);
    launch->ends[1] = make_end(built, RP_STDOUT, &command->out);
    launch->ends[2] = make_end(built, RP_STDERR, &command->err);
    fill_settings(launch, built);
    RP_ASSERT(built->text <= (char *)launch + launch->block_size);
    return 0;
}

/** Duplicates the caller's descriptors: what a queued launch is made with must not be a number that
 * he closed meanwhile. */
static int duplicate(const rp_command *command, rpi_launch *launch)
{
    static const char *const names[] = {"in", "out", "err"};
    const rp_stdio *stdio[] = {&command->in, &command->out, &command->err};
    int fd;

    for (size_t i = 0; i < 3; i++) {
        if (launch->ends[i].kind == RPI_END_FD) {
            fd = rpi_os_duplicate(stdio[i]->fd);
            if (fd < 0) {
                return rpi_detail(fd, "%s: descriptor %d: %s", names[i], (int)stdio[i]->fd,
                                  rp_strerror(fd));
            }
            launch->ends[i].fd = fd;
        }
    }
    for (size_t i = 0; i < command->fd_count; i++) {
        fd = rpi_os_keep(command->fds[i].parent);
        if (fd < 0) {
            return rpi_detail(fd, "fds: descriptor %d: %s", (int)command->fds[i].parent,
                              rp_strerror(fd));
        }
        launch->fds[i].fd = fd;
    }
    return 0;
}

int rpi_launch_build(const rp_allocator *allocator,
                     const rp_command *command,
                     rpi_launch **ret_launch)
{
    const char *const shell_argv[] = {rpi_program_rules_here.shell,
                                      rpi_program_rules_here.shell_option, command->shell, NULL};
    builder built = {.command = command, .argv = command->argv};
    rpi_launch *launch;
    size_t pointer_count;
    size_t size;
    int r = rpi_os_environment_load();

    if (r < 0) {
        return r;
    }
    if (command->shell != NULL) {
        built.argv = shell_argv;
    }
    measure(&built);
    pointer_count = built.argument_count + built.environment.entry_count + built.program_count + 3;
    // Counts are bounded by the caller's memory and by the check: the sum cannot wrap.
    size = sizeof *launch + pointer_count * sizeof(char *) +
           command->fd_count * sizeof(rpi_launch_fd) + built.posix.group_count * sizeof(uint32_t) +
           built.text_size;
    launch = rpi_alloc(allocator, size);
    if (launch == NULL) {
        return RP_ENOMEM;
    }
    *launch = (rpi_launch){
        .allocator = allocator,
        .block_size = size,
        .ends = {{.fd = -1}, {.fd = -1}, {.fd = -1}},
        .fd_max = 2,
        .pidfd = -1,
        .pipes = {-1, -1, -1},
        .slave = -1,
        .job = -1,
    };
    rpi_list_init(&launch->node);
    r = fill(&built, launch);
    r = r < 0 ? r : duplicate(command, launch);
    if (r < 0) {
        rpi_launch_free(launch);
        return r;
    }
    *ret_launch = launch;
    return 0;
}

static void close_owned(int fd)
{
    if (fd >= 0) {
        rpi_os_close(fd);
    }
}

void rpi_launch_free(rpi_launch *launch)
{
    if (launch == NULL) {
        return;
    }
    for (size_t i = 0; i < 3; i++) {
        close_owned(launch->ends[i].fd);
        close_owned(launch->pipes[i]);
    }
    for (size_t i = 0; i < launch->fd_count; i++) {
        if (rpi_os_keeps_by_copy()) {
            close_owned(launch->fds[i].fd);
        }
    }
    close_owned(launch->slave);
    close_owned(launch->job);
    if (launch->console != NULL) {
        rpi_pty_console_close(launch->console);
    }
    close_owned(launch->pidfd);
    rpi_free(launch->allocator, launch, launch->block_size);
}
