/* The child that the tests run. Its arguments are a script: each word of it is an operation,
 * followed by that operation's own arguments, and they are carried out in order; behind the last
 * one the child ends with 0. So `child echo hello exit 3` writes a line and ends with 3.
 *
 *   output   echo TEXT            TEXT and a newline, to stdout
 *            write FD TEXT        TEXT; \n \r \t \0 \\ stand for themselves
 *            lines FD COUNT       "line 0\n" ... one write each
 *            order COUNT          "0\n" to stdout, "1\n" to stderr, "2\n" to stdout ...
 *            fill FD BYTES        that many "x"
 *            flood FD BYTES SEED  pseudo-random bytes (tests/support/noise.h)
 *            flood-both BYTES SEED  the same to both streams, in turn, stderr with SEED + 1
 *            flood-forever FD     until it cannot write any more
 *            cat                  stdin to stdout
 *   input    read BYTES           exactly so many of stdin; ends with 3 where there are fewer
 *            digest               all of stdin; prints "BYTES SUM\n" (noise.h)
 *            digest-of BYTES      the same of so many bytes, or fewer at the end
 *            wait FD              for a byte or the end of FD: how tests hand-shake, and tie
 *                                 whatever they start to their own life
 *            close FD
 *   ends     exit CODE, kill SIGNAL (itself), abort, pause (for ever)
 *   signals  ignore SIGNAL        in the kernel
 *            ignore-first SIGNAL COUNT  then it dies of the next
 *            announce SIGNAL TEXT  writes TEXT to stdout when it comes, and goes on
 *   others   fork ... end         a child of its own carries out what stands between, then exits;
 *                                 forks may be nested
 *            tree DEPTH WIDTH FD  WIDTH children, each with WIDTH of its own, DEPTH deep; each of
 *                                 them writes a byte to FD and pauses
 *            scatter COUNT FD     COUNT processes that break ties: sessions of their own, parents
 *                                 that are gone, no environment; each as in "tree"
 *            multiply COUNT FD    forks, and so do those, until there are COUNT; each as in "tree"
 *            run-away             forks and ends, and so does that, for ever
 *            setsid, setpgid
 *            bomb COUNT FD        forks COUNT in all, as fast as it can, everybody forking on; some
 *                                 lead sessions, of some the parent ends at once; half-way one
 *                                 writes a byte to FD; in the end all pause
 *            chain COUNT          forks a child that goes on, and ends itself, so many times; then
 *                                 it pauses
 *            scribble TEXT        over the memory of its environment: TEXT and ones up to the end
 *   tells    fds, signals, env NAME, cwd, nice, ids (pid, parent, group, session), limits, argv0,
 *            arguments ... (all that follow)
 *   terminal raw, cooked          the modes of stdin's; raw without echo
 *            silent               no echo
 *            size                 "ROWS COLS\n"
 *            tty                  whether 0, 1 and 2 are terminals and which group has it:
 *                                 "1 1 1 foreground\n", or "background", "none"
 *            reopen               closes 0, 1 and 2, then opens /dev/tty for them
 *            console              tells who has it, echo and size: "tty foreground echo 24 80\n"
 *            tty-line             reads a line: "[text]\n"
 *   burn MS                       processor time, milliseconds
 *   hoard MEBIBYTES               memory, every page of it touched
 *
 * Whatever happens it is gone after five minutes. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

extern char **environ; // not every system declares it

#include "tests/support/noise.h"

enum {
    LIFE_SECONDS = 300,
    PIECE_SIZE = 8192,
    FAILED = 99, /* the exit code of a child that cannot do what it was told */
    CUT_SHORT = 3
};

static _Noreturn void fail(const char *what, const char *which)
{
    (void)fprintf(stderr, "child: %s: %s\n", what, which);
    _exit(FAILED);
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

/* ---- output ------------------------------------------------------------------- */

static bool write_all(int fd, const void *bytes, size_t size)
{
    const char *at = bytes;

    while (size > 0) {
        ssize_t n = write(fd, at, size);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return false;
        }
        at += n;
        size -= (size_t)n;
    }
    return true;
}

static void put(int fd, const void *bytes, size_t size)
{
    if (!write_all(fd, bytes, size)) {
        fail("cannot write", strerror(errno));
    }
}

__attribute__((format(printf, 2, 3))) static void print(int fd, const char *format, ...)
{
    char text[512];
    va_list arguments;
    int size;

    va_start(arguments, format);
    size = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    put(fd, text, (size_t)size < sizeof text ? (size_t)size : sizeof text - 1);
}

static void write_escaped(int fd, const char *text)
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

static void write_lines(int fd, long count)
{
    for (long i = 0; i < count; i++) {
        print(fd, "line %ld\n", i);
    }
}

static void write_order(long count)
{
    for (long i = 0; i < count; i++) {
        print(i % 2 == 0 ? 1 : 2, "%ld\n", i);
    }
}

static void fill(int fd, long size)
{
    char piece[PIECE_SIZE];

    memset(piece, 'x', sizeof piece);
    while (size > 0) {
        size_t part = size < PIECE_SIZE ? (size_t)size : PIECE_SIZE;

        put(fd, piece, part);
        size -= (long)part;
    }
}

/* Pieces of all sizes, so that reads end anywhere. */
static size_t piece_size(noise *sizes, size_t left)
{
    size_t size = 1 + noise_next(sizes) % PIECE_SIZE;

    return size < left ? size : left;
}

static void flood(int fd, size_t size, uint64_t seed)
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
        put((int)which + 1, piece, part);
        left[which] -= part;
    }
}

static _Noreturn void flood_forever(int fd)
{
    char piece[PIECE_SIZE];

    memset(piece, 'f', sizeof piece);
    while (write_all(fd, piece, sizeof piece)) {
    }
    _exit(0);
}

/* ---- input -------------------------------------------------------------------- */

static size_t get(int fd, void *bytes, size_t size)
{
    ssize_t n;

    do {
        n = read(fd, bytes, size);
    } while (n < 0 && errno == EINTR);
    return n > 0 ? (size_t)n : 0;
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
            _exit(CUT_SHORT);
        }
        left -= size;
    }
}

static void digest_input(size_t left)
{
    char piece[PIECE_SIZE];
    noise_sum sum = {0};
    size_t size;

    while (left > 0 && (size = get(0, piece, left < sizeof piece ? left : sizeof piece)) > 0) {
        noise_sum_add(&sum, piece, size);
        left -= size;
    }
    print(1, "%llu %llu\n", (unsigned long long)sum.size, (unsigned long long)sum.value);
}

static void wait_for(int fd)
{
    char byte;

    (void)get(fd, &byte, 1);
}

/* ---- signals -------------------------------------------------------------------- */

static volatile sig_atomic_t deaf_for;
static const char *announcement;

static void handle(int number, void (*handler)(int))
{
    struct sigaction action;

    memset(&action, 0, sizeof action);
    action.sa_handler = handler;
    action.sa_flags = SA_RESTART;
    if (sigaction(number, &action, NULL) < 0) {
        fail("cannot set a signal", strerror(errno));
    }
}

static void count_down(int number)
{
    if (deaf_for-- <= 0) {
        handle(number, SIG_DFL);
        (void)raise(number); /* unblocked when this handler returns */
    }
}

static void announce(int number)
{
    (void)number;
    (void)write_all(1, announcement, strlen(announcement));
}

static _Noreturn void wait_for_ever(void)
{
    for (;;) {
        (void)pause();
    }
}

/* ---- others ------------------------------------------------------------------------ */

static pid_t fork_one(void)
{
    pid_t pid = fork();

    if (pid < 0) {
        fail("cannot fork", strerror(errno));
    }
    if (pid == 0) {
        (void)alarm(LIFE_SECONDS); /* is not inherited */
    }
    return pid;
}

static void bomb(long count, int fd)
{
    const int both = PROT_READ | PROT_WRITE;
    atomic_long *left = mmap(NULL, sizeof *left, both, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (left == MAP_FAILED) {
        fail("mmap", strerror(errno));
    }
    atomic_init(left, count);
    for (;;) {
        const long mine = atomic_fetch_sub(left, 1);

        if (mine <= 0) {
            break;
        }
        if (mine == count / 2) {
            put(fd, "b", 1);
        }
        if (fork_one() == 0) {
            if (mine % 3 == 0) {
                (void)setsid();
            } else if (mine % 3 == 1 && fork_one() > 0) {
                _exit(0);
            }
        }
    }
    for (;;) {
        (void)pause();
    }
}

static void chain(long count)
{
    for (long i = 0; i < count; i++) {
        if (fork_one() > 0) {
            _exit(0);
        }
    }
    for (;;) {
        (void)pause();
    }
}

/* The entries stand one behind the other in memory. */
static void scribble(const char *text)
{
    char *at = environ[0];
    char *end = at;

    for (char **entry = environ; *entry != NULL; entry++) {
        end = *entry + strlen(*entry) + 1;
    }
    while (at < end) {
        *at++ = *text != '\0' ? *text++ : '1';
    }
}

static void grow_tree(long depth, long width, int fd)
{
    for (long i = 0; depth > 0 && i < width; i++) {
        if (fork_one() == 0) {
            grow_tree(depth - 1, width, fd);
            put(fd, "x", 1);
            wait_for_ever();
        }
    }
}

static _Noreturn void become_bare(int fd)
{
    char number[16];
    char name[] = "bare";
    char first[] = "write";
    char text[] = "x";
    char second[] = "pause";
    char *arguments[] = {name, first, number, text, second, NULL};
    char *environment[] = {NULL};

    (void)snprintf(number, sizeof number, "%d", fd);
    (void)execve("/proc/self/exe", arguments, environment);
    _exit(FAILED);
}

static _Noreturn void break_ties(long kind, int fd)
{
    if (kind == 1 || kind == 3) {
        (void)setsid();
    }
    if (kind >= 2 && kind != 4 && fork_one() != 0) {
        _exit(0);
    }
    if (kind == 3) {
        (void)setpgid(0, 0);
    }
    if (kind == 4) {
        become_bare(fd);
    }
    put(fd, "x", 1);
    wait_for_ever();
}

static void scatter(long count, int fd)
{
    for (long i = 0; i < count; i++) {
        if (fork_one() == 0) {
            break_ties(i % 5, fd);
        }
    }
}

static void multiply(long count, int fd)
{
    atomic_long *made =
        mmap(NULL, sizeof *made, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (made == MAP_FAILED) {
        fail("no memory", strerror(errno));
    }
    while (atomic_fetch_add(made, 1) < count) {
        if (fork_one() == 0) {
            put(fd, "x", 1);
        }
    }
}

static _Noreturn void run_away(void)
{
    while (fork_one() == 0) {
    }
    _exit(0);
}

/* ---- tells -------------------------------------------------------------------------- */

static void tell_fds(void)
{
    DIR *folder = opendir("/proc/self/fd");
    struct dirent *entry;

    if (folder == NULL) {
        fail("cannot look at", "/proc/self/fd");
    }
    while ((entry = readdir(folder)) != NULL) {
        if (entry->d_name[0] != '.' && number_of(entry->d_name) != dirfd(folder)) {
            print(1, "%s ", entry->d_name);
        }
    }
    (void)closedir(folder);
    put(1, "\n", 1);
}

static void tell_signals(void)
{
    FILE *file = fopen("/proc/self/status", "r");
    char line[256];

    if (file == NULL) {
        fail("cannot look at", "/proc/self/status");
    }
    while (fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, "SigBlk:", 7) == 0 || strncmp(line, "SigIgn:", 7) == 0 ||
            strncmp(line, "SigCgt:", 7) == 0) {
            print(1, "%.6s %llx\n", line, strtoull(line + 7, NULL, 16));
        }
    }
    (void)fclose(file);
}

static void tell_limits(void)
{
    struct rlimit files;
    struct rlimit core;

    if (getrlimit(RLIMIT_NOFILE, &files) < 0 || getrlimit(RLIMIT_CORE, &core) < 0) {
        fail("cannot ask for limits", strerror(errno));
    }
    print(1, "nofile %llu\ncore %llu\n", (unsigned long long)files.rlim_cur,
          (unsigned long long)core.rlim_cur);
}

static void tell_cwd(void)
{
    char path[4096];

    if (getcwd(path, sizeof path) == NULL) {
        fail("cannot ask for the directory", strerror(errno));
    }
    print(1, "%.500s\n", path);
}

static void tell_ids(void)
{
    print(1, "pid %d\nparent %d\ngroup %d\nsession %d\n", getpid(), getppid(), getpgrp(),
          getsid(0));
}

static void hoard(long mebibytes)
{
    const size_t size = (size_t)mebibytes << 20;
    volatile char *memory =
        mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (memory == MAP_FAILED) {
        fail("mmap", "hoard");
    }
    for (size_t at = 0; at < size; at += 4096) {
        memory[at] = 1;
    }
}

static void burn(long milliseconds)
{
    while (clock() < (clock_t)(milliseconds * CLOCKS_PER_SEC / 1000)) {
    }
}

/* ---- terminals ------------------------------------------------------------------------ */

static void set_modes(bool raw, bool echo)
{
    struct termios modes;

    if (tcgetattr(0, &modes) < 0) {
        fail("no terminal", strerror(errno));
    }
    if (raw) {
        cfmakeraw(&modes);
    } else {
        modes.c_iflag |= ICRNL;
        modes.c_oflag |= OPOST;
        modes.c_lflag |= ICANON | ISIG;
    }
    modes.c_lflag = echo ? modes.c_lflag | ECHO : modes.c_lflag & ~(tcflag_t)ECHO;
    if (tcsetattr(0, TCSANOW, &modes) < 0) {
        fail("cannot set the terminal", strerror(errno));
    }
}

static void tell_size(void)
{
    struct winsize size;

    if (ioctl(0, TIOCGWINSZ, &size) < 0) {
        fail("no terminal", strerror(errno));
    }
    print(1, "%d %d\n", size.ws_row, size.ws_col);
}

static void tell_terminal(void)
{
    int controlling = open("/dev/tty", O_RDWR | O_CLOEXEC);
    const char *place = "none";

    if (controlling >= 0) {
        place = tcgetpgrp(controlling) == getpgrp() ? "foreground" : "background";
        (void)close(controlling);
    }
    print(1, "%d %d %d %s\n", isatty(0), isatty(1), isatty(2), place);
}

static void tell_console(void)
{
    struct winsize size = {0};
    struct termios modes;

    if (tcgetattr(0, &modes) < 0 || ioctl(0, TIOCGWINSZ, &size) < 0) {
        fail("no terminal", strerror(errno));
    }
    print(1, "tty %s %s %d %d\n", tcgetpgrp(0) == getpgrp() ? "foreground" : "background",
          (modes.c_lflag & ECHO) != 0 ? "echo" : "silent", size.ws_row, size.ws_col);
}

static void read_line(void)
{
    char line[256];
    size_t size = 0;

    while (size < sizeof line - 1 && get(0, line + size, 1) == 1 && line[size] != '\n') {
        size++;
    }
    line[size] = '\0';
    print(1, "[%s]\n", line);
}

static void reopen_terminal(void)
{
    char name[64];

    if (ttyname_r(0, name, sizeof name) != 0) {
        fail("no terminal", strerror(errno));
    }
    for (int fd = 0; fd < 3; fd++) {
        (void)close(fd);
    }
    for (int fd = 0; fd < 3; fd++) {
        if (open(name, O_RDWR) != fd) {
            _exit(FAILED);
        }
    }
}

static bool do_terminal(const char *name)
{
    if (strcmp(name, "raw") == 0) {
        set_modes(true, false);
    } else if (strcmp(name, "cooked") == 0) {
        set_modes(false, true);
    } else if (strcmp(name, "silent") == 0) {
        set_modes(false, false);
    } else if (strcmp(name, "size") == 0) {
        tell_size();
    } else if (strcmp(name, "tty") == 0) {
        tell_terminal();
    } else if (strcmp(name, "console") == 0) {
        tell_console();
    } else if (strcmp(name, "tty-line") == 0) {
        read_line();
    } else if (strcmp(name, "reopen") == 0) {
        reopen_terminal();
    } else {
        return false;
    }
    return true;
}

/* ---- the script ----------------------------------------------------------------------- */

typedef struct operation {
    const char *name;
    int argument_count;
} operation;

static const operation operations[] = {
    {"echo", 1},    {"write", 2},      {"lines", 2},    {"order", 1},         {"fill", 2},
    {"flood", 3},   {"flood-both", 2}, {"cat", 0},      {"flood-forever", 1}, {"read", 1},
    {"digest", 0},  {"wait", 1},       {"close", 1},    {"exit", 1},          {"kill", 1},
    {"abort", 0},   {"pause", 0},      {"ignore", 1},   {"ignore-first", 2},  {"announce", 2},
    {"bomb", 2},    {"chain", 1},      {"scribble", 1}, {"fork", 0},          {"end", 0},
    {"tree", 3},    {"setsid", 0},     {"setpgid", 0},  {"fds", 0},           {"signals", 0},
    {"env", 1},     {"cwd", 0},        {"nice", 0},     {"ids", 0},           {"limits", 0},
    {"argv0", 0},   {"burn", 1},       {"hoard", 1},    {"raw", 0},           {"cooked", 0},
    {"silent", 0},  {"size", 0},       {"tty", 0},      {"reopen", 0},        {"digest-of", 1},
    {"console", 0}, {"tty-line", 0},   {"scatter", 2},  {"multiply", 2},      {"run-away", 0},
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

/* The "end" that belongs to the "fork" before `at`. */
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

static bool do_output(const char *name, char **arguments)
{
    if (strcmp(name, "echo") == 0) {
        print(1, "%s\n", arguments[0]);
    } else if (strcmp(name, "write") == 0) {
        write_escaped((int)number_of(arguments[0]), arguments[1]);
    } else if (strcmp(name, "lines") == 0) {
        write_lines((int)number_of(arguments[0]), number_of(arguments[1]));
    } else if (strcmp(name, "order") == 0) {
        write_order(number_of(arguments[0]));
    } else if (strcmp(name, "fill") == 0) {
        fill((int)number_of(arguments[0]), number_of(arguments[1]));
    } else if (strcmp(name, "flood") == 0) {
        flood((int)number_of(arguments[0]), (size_t)number_of(arguments[1]),
              (uint64_t)number_of(arguments[2]));
    } else if (strcmp(name, "flood-both") == 0) {
        flood_both((size_t)number_of(arguments[0]), (uint64_t)number_of(arguments[1]));
    } else if (strcmp(name, "flood-forever") == 0) {
        flood_forever((int)number_of(arguments[0]));
    } else {
        return false;
    }
    return true;
}

static bool do_input(const char *name, char **arguments)
{
    if (strcmp(name, "cat") == 0) {
        copy_input();
    } else if (strcmp(name, "read") == 0) {
        read_input((size_t)number_of(arguments[0]));
    } else if (strcmp(name, "digest") == 0) {
        digest_input(SIZE_MAX);
    } else if (strcmp(name, "digest-of") == 0) {
        digest_input((size_t)number_of(arguments[0]));
    } else if (strcmp(name, "wait") == 0) {
        wait_for((int)number_of(arguments[0]));
    } else if (strcmp(name, "close") == 0) {
        (void)close((int)number_of(arguments[0]));
    } else {
        return false;
    }
    return true;
}

static bool do_signals_and_ends(const char *name, char **arguments)
{
    if (strcmp(name, "exit") == 0) {
        _exit((int)number_of(arguments[0]));
    } else if (strcmp(name, "kill") == 0) {
        (void)kill(getpid(), (int)number_of(arguments[0]));
    } else if (strcmp(name, "abort") == 0) {
        abort();
    } else if (strcmp(name, "pause") == 0) {
        wait_for_ever();
    } else if (strcmp(name, "ignore") == 0) {
        handle((int)number_of(arguments[0]), SIG_IGN);
    } else if (strcmp(name, "ignore-first") == 0) {
        deaf_for = (sig_atomic_t)number_of(arguments[1]);
        handle((int)number_of(arguments[0]), count_down);
    } else if (strcmp(name, "announce") == 0) {
        announcement = arguments[1];
        handle((int)number_of(arguments[0]), announce);
    } else {
        return false;
    }
    return true;
}

static bool do_tells(const char *name, char **arguments)
{
    if (strcmp(name, "fds") == 0) {
        tell_fds();
    } else if (strcmp(name, "signals") == 0) {
        tell_signals();
    } else if (strcmp(name, "env") == 0) {
        const char *value = getenv(arguments[0]);

        print(1, "%s\n", value != NULL ? value : "(unset)");
    } else if (strcmp(name, "cwd") == 0) {
        tell_cwd();
    } else if (strcmp(name, "nice") == 0) {
        print(1, "%d\n", getpriority(PRIO_PROCESS, 0));
    } else if (strcmp(name, "ids") == 0) {
        tell_ids();
    } else if (strcmp(name, "limits") == 0) {
        tell_limits();
    } else {
        return false;
    }
    return true;
}

static bool do_others(const char *name, char **arguments)
{
    if (strcmp(name, "end") == 0) {
        _exit(0);
    } else if (strcmp(name, "bomb") == 0) {
        bomb(number_of(arguments[0]), (int)number_of(arguments[1]));
    } else if (strcmp(name, "chain") == 0) {
        chain(number_of(arguments[0]));
    } else if (strcmp(name, "scribble") == 0) {
        scribble(arguments[0]);
    } else if (strcmp(name, "tree") == 0) {
        grow_tree(number_of(arguments[0]), number_of(arguments[1]), (int)number_of(arguments[2]));
    } else if (strcmp(name, "scatter") == 0) {
        scatter(number_of(arguments[0]), (int)number_of(arguments[1]));
    } else if (strcmp(name, "multiply") == 0) {
        multiply(number_of(arguments[0]), (int)number_of(arguments[1]));
        wait_for_ever();
    } else if (strcmp(name, "run-away") == 0) {
        run_away();
    } else if (strcmp(name, "setsid") == 0) {
        (void)setsid();
    } else if (strcmp(name, "setpgid") == 0) {
        (void)setpgid(0, 0);
    } else if (strcmp(name, "burn") == 0) {
        burn(number_of(arguments[0]));
    } else if (strcmp(name, "hoard") == 0) {
        hoard(number_of(arguments[0]));
    } else {
        return false;
    }
    return true;
}

int main(int argc, char **argv)
{
    char **at = argv + 1;

    (void)argc;
    (void)alarm(LIFE_SECONDS);
    while (*at != NULL) {
        const char *name = *at;
        char **arguments = at + 1;

        if (strcmp(name, "arguments") == 0) {
            for (; *arguments != NULL; arguments++) {
                print(1, "%s\n", *arguments);
            }
            return 0;
        }
        for (int i = 0; i < find(name)->argument_count; i++) {
            if (arguments[i] == NULL) {
                fail("too few arguments", name);
            }
        }
        at = arguments + find(name)->argument_count;
        if (strcmp(name, "fork") == 0) {
            at = fork_one() == 0 ? at : end_of_fork(at) + 1;
        } else if (strcmp(name, "argv0") == 0) {
            print(1, "%s\n", argv[0]);
        } else if (!do_output(name, arguments) && !do_input(name, arguments) &&
                   !do_signals_and_ends(name, arguments) && !do_tells(name, arguments) &&
                   !do_others(name, arguments) && !do_terminal(name)) {
            fail("no such operation", name);
        }
    }
    return 0;
}
