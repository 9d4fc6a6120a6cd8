/* The child of the tests (tests/child.c, where the operations are told), for Windows: those of them
 * that have a meaning here. Numbers below 3 are the standard streams, all others handles that were
 * inherited. "fork" starts this program again with the operations up to "end". Before anything
 * else, a child on a pseudo-console whose standard handles are not set (Wine does not) takes the
 * console's. */
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <windows.h>

#include "tests/support/noise.h"

enum {
    LIFE_MS = 300000,
    PIECE_SIZE = 8192,
    FAILED = 99,
    CUT_SHORT = 3,
    LINE_SIZE = 32000,
};

static _Noreturn void leave(int code)
{
    ExitProcess((UINT)code);
}

static HANDLE handle_of(long fd)
{
    static const DWORD standard[] = {STD_INPUT_HANDLE, STD_OUTPUT_HANDLE, STD_ERROR_HANDLE};

    return fd >= 0 && fd < 3 ? GetStdHandle(standard[fd]) : (HANDLE)(intptr_t)fd;
}

static bool write_all(long fd, const void *bytes, size_t size)
{
    const char *at = bytes;

    while (size > 0) {
        DWORD n = 0;

        if (!WriteFile(handle_of(fd), at, (DWORD)size, &n, NULL)) {
            return false;
        }
        at += n;
        size -= n;
    }
    return true;
}

static _Noreturn void fail(const char *what, const char *which)
{
    char text[512];

    (void)snprintf(text, sizeof text, "child: %s: %s\n", what, which);
    (void)write_all(2, text, strlen(text));
    leave(FAILED);
}

static long number_of(const char *text)
{
    char *end = NULL;
    long number = strtol(text, &end, 10);

    if (end == text || *end != '\0') {
        fail("not a number", text);
    }
    return number;
}

static void put(long fd, const void *bytes, size_t size)
{
    if (!write_all(fd, bytes, size)) {
        leave(FAILED);
    }
}

static void print(long fd, const char *format, ...)
{
    char text[4096];
    va_list arguments;
    int size;

    va_start(arguments, format);
    size = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    put(fd, text, (size_t)size < sizeof text ? (size_t)size : sizeof text - 1);
}

/* ---- output ------------------------------------------------------------------- */

static void write_escaped(long fd, const char *text)
{
    char *bytes = malloc(strlen(text) + 1);
    size_t size = 0;

    for (; bytes != NULL && *text != '\0'; text++) {
        static const char names[] = "nrt0\\";
        static const char meanings[] = {'\n', '\r', '\t', '\0', '\\'};
        const char *name = *text == '\\' && text[1] != '\0' ? strchr(names, text[1]) : NULL;

        bytes[size++] = name != NULL ? meanings[name - names] : *text;
        text += name != NULL ? 1 : 0;
    }
    put(fd, bytes, size);
    free(bytes);
}

static void fill(long fd, long size, bool for_ever)
{
    char piece[PIECE_SIZE];

    memset(piece, for_ever ? 'f' : 'x', sizeof piece);
    while (for_ever || size > 0) {
        size_t part = for_ever || size >= PIECE_SIZE ? PIECE_SIZE : (size_t)size;

        if (!write_all(fd, piece, part)) {
            leave(for_ever ? 0 : FAILED);
        }
        size -= (long)part;
    }
}

static size_t piece_size(noise *sizes, size_t left)
{
    size_t size = 1 + noise_next(sizes) % PIECE_SIZE;

    return size < left ? size : left;
}

static void flood(long fd, size_t size, uint64_t seed)
{
    noise bytes = noise_begin(seed);
    noise sizes = noise_begin(seed ^ 0x5157);
    char piece[PIECE_SIZE];

    while (size > 0) {
        size_t part = piece_size(&sizes, size);

        noise_fill(&bytes, piece, part);
        put(fd, piece, part);
        size -= part;
    }
}

static void flood_both(size_t size, uint64_t seed)
{
    noise bytes[2] = {noise_begin(seed), noise_begin(seed + 1)};
    noise sizes = noise_begin(seed ^ 0x5157);
    size_t left[2] = {size, size};
    char piece[PIECE_SIZE];

    while (left[0] + left[1] > 0) {
        unsigned int which = noise_next(&sizes) % 2;
        size_t part = piece_size(&sizes, left[which]);

        noise_fill(&bytes[which], piece, part);
        put((long)which + 1, piece, part);
        left[which] -= part;
    }
}

static bool do_output(const char *name, char **arguments)
{
    if (strcmp(name, "echo") == 0) {
        print(1, "%s\n", arguments[0]);
    } else if (strcmp(name, "write") == 0) {
        write_escaped(number_of(arguments[0]), arguments[1]);
    } else if (strcmp(name, "lines") == 0) {
        for (long i = 0; i < number_of(arguments[1]); i++) {
            print(number_of(arguments[0]), "line %ld\n", i);
        }
    } else if (strcmp(name, "order") == 0) {
        for (long i = 0; i < number_of(arguments[0]); i++) {
            print(i % 2 == 0 ? 1 : 2, "%ld\n", i);
        }
    } else if (strcmp(name, "fill") == 0) {
        fill(number_of(arguments[0]), number_of(arguments[1]), false);
    } else if (strcmp(name, "flood") == 0) {
        flood(number_of(arguments[0]), (size_t)number_of(arguments[1]),
              (uint64_t)number_of(arguments[2]));
    } else if (strcmp(name, "flood-both") == 0) {
        flood_both((size_t)number_of(arguments[0]), (uint64_t)number_of(arguments[1]));
    } else if (strcmp(name, "flood-forever") == 0) {
        fill(number_of(arguments[0]), 0, true);
    } else {
        return false;
    }
    return true;
}

/* ---- input -------------------------------------------------------------------- */

static size_t get(long fd, void *bytes, size_t size)
{
    DWORD n = 0;

    return ReadFile(handle_of(fd), bytes, (DWORD)size, &n, NULL) ? n : 0;
}

static void copy_input(void)
{
    char piece[PIECE_SIZE];
    size_t size;

    while ((size = get(0, piece, sizeof piece)) > 0) {
        put(1, piece, size);
    }
}

static void read_input(size_t left)
{
    char piece[PIECE_SIZE];

    while (left > 0) {
        size_t size = get(0, piece, left < sizeof piece ? left : sizeof piece);

        if (size == 0) {
            leave(CUT_SHORT);
        }
        left -= size;
    }
}

static void digest_input(size_t left)
{
    char piece[PIECE_SIZE];
    noise_sum sum = {0, 0};
    size_t size;

    while (left > 0 && (size = get(0, piece, left < sizeof piece ? left : sizeof piece)) > 0) {
        noise_sum_add(&sum, piece, size);
        left -= size;
    }
    print(1, "%llu %llu\n", (unsigned long long)sum.size, (unsigned long long)sum.value);
}

static void read_line(void)
{
    char line[256];
    size_t size = 0;

    while (size < sizeof line - 1 && get(0, line + size, 1) == 1 && line[size] != '\n') {
        size++;
    }
    size -= size > 0 && line[size - 1] == '\r' ? 1 : 0;
    line[size] = '\0';
    print(1, "[%s]\n", line);
}

static bool do_input(const char *name, char **arguments)
{
    char byte;

    if (strcmp(name, "cat") == 0) {
        copy_input();
    } else if (strcmp(name, "read") == 0) {
        read_input((size_t)number_of(arguments[0]));
    } else if (strcmp(name, "digest") == 0) {
        digest_input(SIZE_MAX);
    } else if (strcmp(name, "digest-of") == 0) {
        digest_input((size_t)number_of(arguments[0]));
    } else if (strcmp(name, "wait") == 0) {
        (void)get(number_of(arguments[0]), &byte, 1);
    } else if (strcmp(name, "close") == 0) {
        (void)CloseHandle(handle_of(number_of(arguments[0])));
    } else if (strcmp(name, "tty-line") == 0) {
        read_line();
    } else {
        return false;
    }
    return true;
}

/* ---- others ---------------------------------------------------------------------- */

/* This program again, with these operations. */
static void start_again(char **from, char **to)
{
    static wchar_t line[LINE_SIZE];
    wchar_t program[MAX_PATH];
    STARTUPINFOW startup = {.cb = sizeof startup};
    PROCESS_INFORMATION process;
    size_t used;

    (void)GetModuleFileNameW(NULL, program, MAX_PATH);
    used = (size_t)swprintf(line, LINE_SIZE, L"\"%ls\"", program);
    for (; from < to; from++) { // no operation of the tests has a quote or ends in a backslash
        used += (size_t)swprintf(line + used, LINE_SIZE - used, L" \"%hs\"", *from);
    }
    if (!CreateProcessW(program, line, NULL, NULL, TRUE, 0, NULL, NULL, &startup, &process)) {
        fail("cannot start another", "fork");
    }
    (void)CloseHandle(process.hThread);
    (void)CloseHandle(process.hProcess);
}

static void grow_tree(long depth, long width, long fd)
{
    for (long i = 0; depth > 0 && i < width; i++) {
        char texts[3][24];
        char node[] = "tree-node";
        char *script[] = {node, texts[0], texts[1], texts[2], NULL};

        (void)snprintf(texts[0], sizeof texts[0], "%ld", depth - 1);
        (void)snprintf(texts[1], sizeof texts[1], "%ld", width);
        (void)snprintf(texts[2], sizeof texts[2], "%ld", fd);
        start_again(script, script + 4);
    }
}

static void burn(long span_ms)
{
    FILETIME created;
    FILETIME ended;
    FILETIME kernel;
    FILETIME user = {0, 0};

    do {
        for (volatile int i = 0; i < 100000; i++) {
        }
        (void)GetProcessTimes(GetCurrentProcess(), &created, &ended, &kernel, &user);
    } while ((long)(user.dwLowDateTime / 10000) < span_ms);
}

static bool do_others(const char *name, char **arguments)
{
    if (strcmp(name, "exit") == 0) {
        leave((int)strtoul(arguments[0], NULL, 0));
    } else if (strcmp(name, "kill") == 0) {
        (void)TerminateProcess(GetCurrentProcess(), (UINT)number_of(arguments[0]));
    } else if (strcmp(name, "abort") == 0) {
        RaiseException(0xC0000005, EXCEPTION_NONCONTINUABLE, 0, NULL);
    } else if (strcmp(name, "pause") == 0) {
        Sleep(LIFE_MS);
        leave(FAILED);
    } else if (strcmp(name, "end") == 0) {
        leave(0);
    } else if (strcmp(name, "tree") == 0) {
        grow_tree(number_of(arguments[0]), number_of(arguments[1]), number_of(arguments[2]));
    } else if (strcmp(name, "tree-node") == 0) {
        grow_tree(number_of(arguments[0]), number_of(arguments[1]), number_of(arguments[2]));
        put(number_of(arguments[2]), "t", 1);
        Sleep(LIFE_MS);
    } else if (strcmp(name, "burn") == 0) {
        burn(number_of(arguments[0]));
    } else {
        return false;
    }
    return true;
}

/* ---- what it tells ------------------------------------------------------------------ */

static void tell_wide(const wchar_t *text)
{
    char narrow[4096];

    if (WideCharToMultiByte(CP_UTF8, 0, text, -1, narrow, sizeof narrow, NULL, NULL) > 0) {
        print(1, "%s\n", narrow);
    }
}

static void tell_variable(const char *name)
{
    wchar_t wide[256];
    static wchar_t value[32768];

    (void)MultiByteToWideChar(CP_UTF8, 0, name, -1, wide, 256);
    if (GetEnvironmentVariableW(wide, value, 32768) == 0 && GetLastError() != ERROR_SUCCESS) {
        print(1, "(unset)\n");
    } else {
        tell_wide(value);
    }
}

static void tell_size(void)
{
    CONSOLE_SCREEN_BUFFER_INFO info;

    if (!GetConsoleScreenBufferInfo(handle_of(1), &info)) {
        fail("no terminal", "size");
    }
    print(1, "%d %d\n", info.srWindow.Bottom - info.srWindow.Top + 1,
          info.srWindow.Right - info.srWindow.Left + 1);
}

static bool do_tells(const char *name, char **arguments)
{
    wchar_t folder[MAX_PATH];
    DWORD mode;

    if (strcmp(name, "env") == 0) {
        tell_variable(arguments[0]);
    } else if (strcmp(name, "cwd") == 0) {
        (void)GetCurrentDirectoryW(MAX_PATH, folder);
        tell_wide(folder);
    } else if (strcmp(name, "nice") == 0) {
        print(1, "%lx\n", (unsigned long)GetPriorityClass(GetCurrentProcess()));
    } else if (strcmp(name, "ids") == 0) {
        print(1, "%lu\n", (unsigned long)GetCurrentProcessId());
    } else if (strcmp(name, "size") == 0) {
        tell_size();
    } else if (strcmp(name, "tty") == 0) {
        print(1, "%d %d %d\n", GetConsoleMode(handle_of(0), &mode) != 0,
              GetConsoleMode(handle_of(1), &mode) != 0, GetConsoleMode(handle_of(2), &mode) != 0);
    } else {
        return false;
    }
    return true;
}

/* ---- the script ------------------------------------------------------------------------ */

typedef struct operation {
    const char *name;
    int argument_count;
} operation;

static const operation operations[] = {
    {"echo", 1},     {"write", 2},      {"lines", 2},     {"order", 1},         {"fill", 2},
    {"flood", 3},    {"flood-both", 2}, {"cat", 0},       {"flood-forever", 1}, {"read", 1},
    {"wait", 1},     {"digest", 0},     {"digest-of", 1}, {"close", 1},         {"exit", 1},
    {"kill", 1},     {"abort", 0},      {"pause", 0},     {"fork", 0},          {"end", 0},
    {"tree", 3},     {"tree-node", 3},  {"env", 1},       {"cwd", 0},           {"nice", 0},
    {"ids", 0},      {"argv0", 0},      {"burn", 1},      {"size", 0},          {"tty", 0},
    {"tty-line", 0},
};

static const operation *find(const char *name)
{
    for (size_t i = 0; i < sizeof operations / sizeof operations[0]; i++) {
        if (strcmp(operations[i].name, name) == 0) {
            return &operations[i];
        }
    }
    fail("no such operation", name);
}

static char **end_of_fork(char **at)
{
    for (int depth = 1; *at != NULL;) {
        const operation *found = find(*at);

        depth += strcmp(found->name, "fork") == 0 ? 1 : 0;
        depth -= strcmp(found->name, "end") == 0 ? 1 : 0;
        if (depth == 0) {
            return at;
        }
        for (int i = 0; i <= found->argument_count; i++) {
            if (*at == NULL) {
                fail("too few arguments", found->name);
            }
            at++;
        }
    }
    fail("a fork without its end", "fork");
}

static DWORD WINAPI end_of_life(void *nothing)
{
    (void)nothing;
    Sleep(LIFE_MS);
    leave(FAILED);
}

/* The console's own handles, where there is a console and they are not set. */
static void take_console(void)
{
    SECURITY_ATTRIBUTES inherit = {.nLength = sizeof inherit, .bInheritHandle = TRUE};
    HANDLE input;
    HANDLE output;

    if (GetStdHandle(STD_OUTPUT_HANDLE) != NULL || GetStdHandle(STD_INPUT_HANDLE) != NULL) {
        return;
    }
    input = CreateFileW(L"CONIN$", GENERIC_READ | GENERIC_WRITE, FILE_SHARE_READ | FILE_SHARE_WRITE,
                        &inherit, OPEN_EXISTING, 0, NULL);
    output = CreateFileW(L"CONOUT$", GENERIC_READ | GENERIC_WRITE,
                         FILE_SHARE_READ | FILE_SHARE_WRITE, &inherit, OPEN_EXISTING, 0, NULL);
    if (output != INVALID_HANDLE_VALUE) {
        (void)SetStdHandle(STD_INPUT_HANDLE, input);
        (void)SetStdHandle(STD_OUTPUT_HANDLE, output);
        (void)SetStdHandle(STD_ERROR_HANDLE, output);
    }
}

/* The arguments as UTF-8: the runtime's own are in a code page that cannot say everything. */
static char **arguments_as_given(void)
{
    int count = 0;
    LPWSTR *wide = CommandLineToArgvW(GetCommandLineW(), &count);
    char **list = calloc((size_t)count + 1, sizeof *list);

    for (int i = 0; list != NULL && i < count; i++) {
        const int size = WideCharToMultiByte(CP_UTF8, 0, wide[i], -1, NULL, 0, NULL, NULL);

        list[i] = malloc((size_t)size);
        (void)WideCharToMultiByte(CP_UTF8, 0, wide[i], -1, list[i], size, NULL, NULL);
    }
    return list;
}

int main(void)
{
    char **argv = arguments_as_given();
    char **at = argv + 1;

    (void)SetErrorMode(SEM_FAILCRITICALERRORS | SEM_NOGPFAULTERRORBOX);
    (void)CloseHandle(CreateThread(NULL, 0, end_of_life, NULL, 0, NULL));
    take_console();
    while (*at != NULL) {
        const char *name = *at;
        char **arguments = at + 1;

        if (strcmp(name, "arguments") == 0) {
            for (; *arguments != NULL; arguments++) {
                print(1, "%s\n", *arguments);
            }
            leave(0);
        }
        for (int i = 0; i < find(name)->argument_count; i++) {
            if (arguments[i] == NULL) {
                fail("too few arguments", name);
            }
        }
        at = arguments + find(name)->argument_count;
        if (strcmp(name, "fork") == 0) {
            start_again(at, end_of_fork(at));
            at = end_of_fork(at) + 1;
        } else if (strcmp(name, "argv0") == 0) {
            print(1, "%s\n", argv[0]);
        } else if (!do_output(name, arguments) && !do_input(name, arguments) &&
                   !do_tells(name, arguments) && !do_others(name, arguments)) {
            fail("no such operation", name);
        }
    }
    leave(0);
}
