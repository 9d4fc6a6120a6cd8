/* The checks of a command, one function a group of fields, each refusing with a detail that names
 * the field. They look and decide; nothing is opened, duplicated or allocated. */
#include "core/command.h"

#include <limits.h>
#include <string.h>

#include "base/os.h"
#include "base/ring.h"
#include "base/status.h"
#include "pty/screen.h"
#include "rp/loop.h"

enum {
    OPTIONS_SIZE_MAX = 1 << 16, // a larger "size" was never set by anybody
    SIGNAL_MAX = 64,
    NICE_MIN = -20,
    NICE_MAX = 19,
};

static int refuse(const char *what)
{
    return rpi_detail(RP_EINVAL, "%s", what);
}

static int lack(const char *what)
{
    return rpi_detail(RP_EUNSUPPORTED, "%s", what);
}

/* ---- reading ----------------------------------------------------------------- */

int rpi_options_read(const void *options, size_t known, void *ret_options)
{
    const unsigned char *bytes = options;
    size_t size;

    if (options == NULL) {
        return refuse("options: none given");
    }
    memcpy(&size, options, sizeof size);
    if (size < sizeof size) {
        return refuse("size: not set");
    }
    if (size > OPTIONS_SIZE_MAX) {
        return rpi_detail(RP_E2BIG, "size: %zu bytes are no struct of this library", size);
    }
    for (size_t i = known; i < size; i++) {
        if (bytes[i] != 0) {
            return rpi_detail(RP_E2BIG,
                              "size: byte %zu is set, and this library knows %zu (version %s)", i,
                              known, rp_version());
        }
    }
    memset(ret_options, 0, known);
    memcpy(ret_options, options, size < known ? size : known);
    memcpy(ret_options, &known, sizeof known);
    return 0;
}

int rpi_command_read(const rp_command *command, rp_command *ret_command)
{
    return rpi_options_read(command, sizeof *ret_command, ret_command);
}

/* ---- the program and its arguments -------------------------------------------- */

static int check_program(const rp_command *command)
{
    const char *const *argv = command->argv;

    if (argv == NULL && command->shell == NULL) {
        return refuse("argv: neither argv nor shell is given");
    }
    if (argv != NULL && command->shell != NULL) {
        return refuse("argv: both argv and shell are given");
    }
    if (argv != NULL && argv[0] == NULL) {
        return refuse("argv: empty, not even the program's name");
    }
    if (command->program != NULL && command->shell != NULL) {
        return refuse("program: the shell is the program");
    }
    if (command->program != NULL && command->program[0] == '\0') {
        return refuse("program: an empty name");
    }
    if (argv != NULL && command->program == NULL && argv[0][0] == '\0') {
        return refuse("argv: an empty program name");
    }
    return 0;
}

static int check_cwd(const rp_command *command)
{
    int r = 0;

    if (command->cwd != NULL) {
        r = rpi_os_check_directory(command->cwd);
        if (r < 0) {
            return rpi_detail(r, "cwd: %s: %s", command->cwd, rp_strerror(r));
        }
    }
    return r;
}

static int check_env(const rp_command *command)
{
    if (command->env == NULL) {
        return 0;
    }
    for (size_t i = 0; command->env[i] != NULL; i++) {
        const char first = command->env[i][0];

        if (first == '\0' || first == '=') {
            return rpi_detail(RP_EINVAL, "env: entry %zu has no name", i);
        }
    }
    return 0;
}

int rpi_originator_check(const char *originator)
{
    if (originator == NULL) {
        return 0;
    }
    if (originator[0] == '\0') {
        return refuse("originator: an empty name");
    }
    for (size_t i = 0; originator[i] != '\0'; i++) {
        const unsigned char byte = (unsigned char)originator[i];

        if (byte == '=' || byte == ':' || byte < ' ' || byte == 0x7f) {
            return rpi_detail(RP_EINVAL, "originator: '=', ':' or a control character at byte %zu",
                              i);
        }
    }
    return 0;
}

/* ---- streams and descriptors --------------------------------------------------- */

static const char *const stream_names[] = {"in", "out", "err"};

static const rp_stdio *get_stdio(const rp_command *command, rp_stream stream)
{
    return stream == RP_STDIN ? &command->in : stream == RP_STDOUT ? &command->out : &command->err;
}

static bool has_input(const rp_command *command)
{
    return command->input.data != NULL || command->input.size > 0;
}

rp_stdio_kind rpi_command_stdio_kind(const rp_command *command, rp_stream stream)
{
    const rp_stdio_kind kind = get_stdio(command, stream)->kind;

    if (kind != RP_STDIO_DEFAULT) {
        return kind;
    }
    if (stream == RP_STDIN && has_input(command)) {
        return RP_STDIO_PIPE;
    }
    if (command->transport == RP_PIPES) {
        return stream == RP_STDIN ? RP_STDIO_NULL : RP_STDIO_PIPE;
    }
    if (command->transport == RP_CONSOLE_ISOLATED && stream == RP_STDIN) {
        return RP_STDIO_NULL; // a background group that reads its terminal would be stopped
    }
    return RP_STDIO_INHERIT;
}

/** That nothing is set which the kind does not use: it would be ignored. */
static int check_unused(const rp_stdio *stdio, const char *name)
{
    if (stdio->kind != RP_STDIO_FD && stdio->fd != 0) {
        return rpi_detail(RP_EINVAL, "%s: fd is for RP_STDIO_FD", name);
    }
    if (stdio->kind != RP_STDIO_FILE && stdio->path != NULL) {
        return rpi_detail(RP_EINVAL, "%s: path is for RP_STDIO_FILE", name);
    }
    if (stdio->append && (stdio->kind != RP_STDIO_FILE || name[0] == 'i')) {
        return rpi_detail(RP_EINVAL, "%s: append is for outputs to RP_STDIO_FILE", name);
    }
    for (size_t i = 0; i < sizeof stdio->reserved / sizeof stdio->reserved[0]; i++) {
        if (stdio->reserved[i] != 0) {
            return rpi_detail(RP_E2BIG, "%s: reserved is set", name);
        }
    }
    return 0;
}

static int check_stream(const rp_command *command, rp_stream stream)
{
    const rp_stdio *stdio = get_stdio(command, stream);
    const char *name = stream_names[stream];

    switch (stdio->kind) {
    case RP_STDIO_DEFAULT:
    case RP_STDIO_PIPE:
    case RP_STDIO_NULL:
    case RP_STDIO_INHERIT:
        break;
    case RP_STDIO_FD:
        if (stdio->fd < 0 || stdio->fd > INT_MAX) {
            return rpi_detail(RP_EINVAL, "%s: fd is no descriptor", name);
        }
        break;
    case RP_STDIO_FILE:
        if (stdio->path == NULL || stdio->path[0] == '\0') {
            return rpi_detail(RP_EINVAL, "%s: RP_STDIO_FILE without a path", name);
        }
        break;
    case RP_STDIO_MERGE:
        if (stream != RP_STDERR) {
            return rpi_detail(RP_EINVAL, "%s: only err can be merged, into out", name);
        }
        break;
    default:
        return rpi_detail(RP_EINVAL, "%s: no such kind: %d", name, (int)stdio->kind);
    }
    return check_unused(stdio, name);
}

static int check_streams(const rp_command *command)
{
    int r = check_stream(command, RP_STDIN);

    r = r < 0 ? r : check_stream(command, RP_STDOUT);
    r = r < 0 ? r : check_stream(command, RP_STDERR);
    if (r < 0) {
        return r;
    }
    if (has_input(command)) {
        if (command->input.data == NULL) {
            return refuse("input: a size, but no data");
        }
        if (command->in.kind != RP_STDIO_DEFAULT && command->in.kind != RP_STDIO_PIPE) {
            return refuse("input: stdin goes somewhere else");
        }
    }
    return 0;
}

/* ---- transport ------------------------------------------------------------------ */

/** All three streams are the terminal, and it has a size or the default's. */
static int check_terminal(const rp_command *command)
{
    for (rp_stream stream = RP_STDIN; stream <= RP_STDERR; stream++) {
        if (get_stdio(command, stream)->kind != RP_STDIO_DEFAULT) {
            return rpi_detail(RP_EINVAL, "%s: all streams of a pseudo-terminal are that",
                              stream_names[stream]);
        }
    }
    if ((command->pty_rows == 0) != (command->pty_cols == 0)) {
        return refuse("pty_rows, pty_cols: one of them is zero");
    }
    if (command->screen && !rpi_screen_is_available()) {
        return lack("screen: this build has no terminal emulator");
    }
    return 0;
}

static int check_transport(const rp_command *command)
{
    int r = 0;

    switch (command->transport) {
    case RP_PIPES:
    case RP_CONSOLE_SHARED:
    case RP_CONSOLE_ISOLATED:
    case RP_CONSOLE_FOREGROUND:
        break;
    case RP_PTY:
        r = check_terminal(command);
        break;
    default:
        return rpi_detail(RP_EINVAL, "transport: no such one: %d", (int)command->transport);
    }
    if (r < 0) {
        return r;
    }
    if (command->transport != RP_PTY && command->screen) {
        return refuse("screen: only a pseudo-terminal has one");
    }
    if (command->transport != RP_PTY && (command->pty_rows != 0 || command->pty_cols != 0)) {
        return refuse("pty_rows, pty_cols: only a pseudo-terminal has a size");
    }
    return 0;
}

/* ---- numbers --------------------------------------------------------------------- */

static int check_choice(int value, int last, const char *name)
{
    return value < 0 || value > last ? rpi_detail(RP_EINVAL, "%s: no such one: %d", name, value)
                                     : 0;
}

static int check_numbers(const rp_command *command)
{
    int r = check_choice((int)command->drain, RP_DRAIN_GRACE, "drain");

    r = r < 0 ? r : check_choice((int)command->capture_keep, RP_KEEP_TAIL, "capture_keep");
    r = r < 0 ? r : check_choice((int)command->line_end, RP_LINE_NUL, "line_end");
    r = r < 0 ? r : check_choice((int)command->on_close, RP_ON_CLOSE_DETACH, "on_close");
    if (r < 0) {
        return r;
    }
    if (command->nice < NICE_MIN || command->nice > NICE_MAX) {
        return rpi_detail(RP_EINVAL, "nice: %d is not between -20 and 19", command->nice);
    }
    if (command->drain_grace_ns != 0 && command->drain != RP_DRAIN_GRACE) {
        return refuse("drain_grace_ns: only with RP_DRAIN_GRACE");
    }
    if (command->ring_size > RPI_RING_SIZE_MAX) {
        return refuse("ring_size: more than 1 GiB");
    }
    return 0;
}

/* ---- nested structs ---------------------------------------------------------------- */

int rpi_command_read_nested(const void *options, size_t known, void *ret_options, const char *name)
{
    const int r = rpi_options_read(options, known, ret_options);
    char reason[192];

    if (r < 0) {
        size_t length = strlen(rp_error_detail());

        length = length < sizeof reason ? length : sizeof reason - 1;
        memcpy(reason, rp_error_detail(), length);
        reason[length] = '\0';
        return rpi_detail(r, "%s: %s", name, reason);
    }
    return 0;
}

static int check_limits(const rp_command *command)
{
    rp_limits limits = RP_INIT(rp_limits);

    /* What the system cannot hold is found out when it is tried, see limits.h. */
    return command->limits == NULL
               ? 0
               : rpi_command_read_nested(command->limits, sizeof limits, &limits, "limits");
}

static int check_stop(const rp_command *command)
{
    rp_stop_options stop = RP_INIT(rp_stop_options);
    int r;

    if (command->stop == NULL) {
        return 0;
    }
    r = rpi_command_read_nested(command->stop, sizeof stop, &stop, "stop");
    if (r < 0) {
        return r;
    }
    if (stop.terminate_signal < 0 || stop.terminate_signal > SIGNAL_MAX) {
        return rpi_detail(RP_EINVAL, "stop: terminate_signal: no such signal: %d",
                          stop.terminate_signal);
    }
    return 0;
}

int rpi_command_check(const rp_command *command)
{
    int r = check_program(command);

    r = r < 0 ? r : check_transport(command);
    r = r < 0 ? r : check_env(command);
    r = r < 0 ? r : rpi_originator_check(command->originator);
    r = r < 0 ? r : check_streams(command);
    r = r < 0 ? r : check_numbers(command);
    r = r < 0 ? r : check_limits(command);
    r = r < 0 ? r : check_stop(command);
    r = r < 0 ? r : rpi_command_check_system(command);
    return r < 0 ? r : check_cwd(command);
}
