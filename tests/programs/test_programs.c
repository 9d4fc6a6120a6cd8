/* Real programs, as a person would use them, on pseudo-terminals and by rp_expect_wait: shells with
 * jobs, prompts, editors, pagers, a debugger, passwords. Each is skipped where it is not installed;
 * after each nothing is left: no terminal, descriptor, thread or child. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "rp/rp.h"
#include "tests/support/check.h"
#include "tests/support/stage.h"

#define PATIENCE_NS (30 * RP_SECOND)

/* A program on a terminal, in a folder of its own. */
typedef struct session {
    stage on;
    rp_process *process;
    char folder[32];
} session;

/* ---- running it ---- */

static bool is_installed(const char *name)
{
    static const char *const folders[] = {"/usr/local/bin", "/usr/bin", "/bin"};
    char path[128];

    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", folders[i], name);
        if (access(path, X_OK) == 0) {
            return true;
        }
    }
    return false;
}

#define NEEDS(name)                                                                                \
    do {                                                                                           \
        if (!is_installed(name)) {                                                                 \
            cr_skip_test(name " is not installed");                                                \
        }                                                                                          \
        if (!rp_has("regex")) {                                                                    \
            cr_skip_test("regular expressions are not built in");                                  \
        }                                                                                          \
    } while (0)

static void begin(session *self, rp_backend backend, const char *const *argv)
{
    static const char *const env[] = {"PATH=/usr/local/bin:/usr/bin:/bin",
                                      "TERM=xterm",
                                      "LC_ALL=C",
                                      "HOME=.",
                                      "PS1=ready> ",
                                      "HISTFILE=/dev/null",
                                      "LESSHISTFILE=-",
                                      "PYTHONSTARTUP=",
                                      NULL};
    rp_command command = stage_command(argv);
    int r;

    stage_open(&self->on, backend, NULL);
    (void)snprintf(self->folder, sizeof self->folder, "/tmp/rp-programs-XXXXXX");
    cr_assert_not_null(mkdtemp(self->folder));
    command.transport = RP_PTY;
    command.env = env;
    command.env_clear = true;
    command.cwd = self->folder;
    command.screen = rp_has("screen");
    r = rp_spawn(self->on.loop, &command, NULL, NULL, &self->process);
    cr_assert_eq(r, 0, "%s: %s", rp_error_name(r), rp_error_detail());
}

/* Waits for what matches; the number that its first group is. */
static long await(session *self, const char *pattern)
{
    const rp_pattern wanted = {.kind = RP_REGEX, .text = pattern};
    rp_expect_options options = RP_EXPECT_OPTIONS_INIT;
    char number[32] = "";
    rp_match match;
    int r;

    options.patterns = &wanted;
    options.pattern_count = 1;
    options.text = RP_TEXT_STRIPPED;
    options.timeout_ns = PATIENCE_NS;
    r = rp_expect_wait(self->process, &options, &match);
    cr_assert_eq(r, 0, "%s: %s %s; seen: %.*s", pattern, rp_error_name(r), rp_error_detail(),
                 (int)match.tail.size, match.tail.data);
    if (match.group_count > 1 && match.groups[1].size < sizeof number) {
        memcpy(number, match.groups[1].data, match.groups[1].size);
    }
    return strtol(number, NULL, 10);
}

static void type(session *self, const char *keys)
{
    int r = rp_write(self->process, (rp_view){keys, strlen(keys)}, NULL, NULL);

    cr_assert_eq(r, 0, "%s", rp_error_name(r));
}

/* Runs the loop until the program has switched its echo so. */
static void await_echo(session *self, bool echo)
{
    const uint64_t until_ns = rp_now_ns() + PATIENCE_NS;
    rp_pty_mode mode = {.size = sizeof mode};
    int r;

    do {
        r = rp_loop_run_once(self->on.loop, RP_MILLISECOND);
        cr_assert_geq(r, 0);
        r = rp_pty_get_mode(self->process, &mode);
        cr_assert_eq(r, 0, "%s", rp_error_name(r));
        cr_assert_lt(rp_now_ns(), until_ns, "the echo does not go %s", echo ? "on" : "off");
    } while (mode.echo != echo);
}

/* Runs the loop until a job of the shell has the terminal: before that keys are the shell's. */
static void await_job(session *self)
{
    const uint64_t until_ns = rp_now_ns() + PATIENCE_NS;
    rp_pty_mode mode = {.size = sizeof mode};
    int r;

    do {
        r = rp_loop_run_once(self->on.loop, RP_MILLISECOND);
        cr_assert_geq(r, 0);
        r = rp_pty_get_mode(self->process, &mode);
        cr_assert_eq(r, 0, "%s", rp_error_name(r));
        cr_assert_lt(rp_now_ns(), until_ns, "no job comes to the foreground");
    } while (mode.foreground_pgid == rp_process_pid(self->process) || !mode.canonical);
}

/* It ends by itself, with this code, and leaves nothing. */
static void end(session *self, int code)
{
    const rp_exit *exit;

    cr_assert_eq(rp_wait(self->process, PATIENCE_NS), 0, "it does not end");
    exit = rp_process_exit(self->process);
    cr_assert_eq(exit->code, code, "it ended with %d", exit->code);
    cr_assert_eq(exit->reason, RP_STOP_NONE);
    rp_process_close(self->process);
    cr_assert_eq(stage_stats(&self->on).ptys, 0);
    stage_close(&self->on);
    {
        const char *const remove[] = {"rm", "-r", self->folder, NULL};
        rp_command clean = stage_command(remove);
        rp_result result;

        cr_assert_eq(rp_run(&clean, &result), 0);
        cr_assert_eq(result.exit.code, 0);
        rp_result_free(&result);
    }
}

/* The file of that name in its folder, cut at the size of `text`. */
static void read_file(const session *self, const char *name, char *text, size_t size)
{
    char path[96];
    ssize_t n;
    int fd;

    (void)snprintf(path, sizeof path, "%s/%s", self->folder, name);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    cr_assert_geq(fd, 0, "%s is not there", path);
    n = read(fd, text, size - 1);
    cr_assert_geq(n, 0);
    text[n] = '\0';
    (void)close(fd);
}

#define PROGRAM(...) ((const char *const[]){__VA_ARGS__, NULL})

/* ---- shells and prompts ---- */

BACKEND_TEST(programs, bash_with_job_control)
{
    session self;

    NEEDS("bash");
    begin(&self, *backend, PROGRAM("bash", "--norc", "--noprofile", "-i"));
    await(&self, "ready> ");
    /* It says itself that it is there: before its exec it ignores keys, as its shell does. */
    type(&self, "sh -c 'echo u\"\"p; exec sleep 1000'\r");
    await(&self, "\\sup\\s");
    type(&self, "\x1a");
    await(&self, "Stopped +sh -c(?s:.*?)ready> ");
    type(&self, "fg\r");
    await_job(&self);
    type(&self, "\x03");
    await(&self, "ready> ");
    type(&self, "echo code $?\r");
    cr_assert_eq(await(&self, "\\scode (\\d+)\\s"), 128 + SIGINT);
    type(&self, "sleep 1000 &\r");
    await(&self, "\\[1\\] \\d+\\s(?s:.*?)ready> ");
    type(&self, "kill %1; wait; exit 4\r");
    end(&self, 4);
}

BACKEND_TEST(programs, bash_that_is_killed_with_its_jobs)
{
    session self;

    NEEDS("bash");
    begin(&self, *backend, PROGRAM("bash", "--norc", "--noprofile", "-i"));
    await(&self, "ready> ");
    type(&self, "sleep 1000 &\rsleep 1000\r");
    await_job(&self);
    cr_assert_eq(rp_kill(self.process), 0);
    cr_assert_eq(rp_wait(self.process, PATIENCE_NS), 0);
    cr_assert_eq(rp_process_exit(self.process)->signal, SIGKILL);
    cr_assert_eq(rp_process_exit(self.process)->survivors, 0);
    rp_process_close(self.process);
    (void)rmdir(self.folder);
    stage_close(&self.on);
}

BACKEND_TEST(programs, python_at_its_prompt)
{
    session self;

    NEEDS("python3");
    begin(&self, *backend, PROGRAM("python3", "-q", "-i", "-I"));
    await(&self, ">>> ");
    type(&self, "6*7\r");
    await(&self, "\\s42\\s(?s:.*?)>>> ");
    type(&self, "input('na' 'me? ')\r");
    await(&self, "name\\? ");
    type(&self, "Ada\r");
    await(&self, "'Ada'\\s(?s:.*?)>>> ");
    type(&self, "import time; print('go'); time.sleep(1000)\r");
    await(&self, "\\sgo\\s");
    type(&self, "\x03");
    await(&self, "KeyboardInterrupt(?s:.*?)>>> ");
    type(&self, "raise SystemExit(5)\r");
    end(&self, 5);
}

BACKEND_TEST(programs, sqlite3_at_its_prompt)
{
    session self;

    NEEDS("sqlite3");
    begin(&self, *backend, PROGRAM("sqlite3", "-batch", "-interactive", "-init", "/dev/null"));
    await(&self, "sqlite> ");
    type(&self, "create table t(a); insert into t values(40),(2);\r");
    await(&self, "sqlite> ");
    type(&self, "select 'sum ' || sum(a) from t;\r");
    cr_assert_eq(await(&self, "\\ssum (\\d+)\\s"), 42);
    type(&self, ".quit\r");
    end(&self, 0);
}

BACKEND_TEST(programs, gdb_at_its_prompt)
{
    session self;

    NEEDS("gdb");
    begin(&self, *backend, PROGRAM("gdb", "-q", "-nx", "-nh"));
    await(&self, "\\(gdb\\) ");
    type(&self, "print 6*7\r");
    cr_assert_eq(await(&self, "\\$1 = (\\d+)"), 42);
    await(&self, "\\(gdb\\) ");
    type(&self, "quit 3\r");
    end(&self, 3);
}

/* ---- passwords ---- */

BACKEND_TEST(programs, a_password_that_is_read_without_echo)
{
    session self;

    NEEDS("bash");
    begin(&self, *backend,
          PROGRAM("bash", "-c", "read -s -p 'Password: ' word; echo; echo \"length ${#word}\""));
    await(&self, "Password: ");
    await_echo(&self, false);
    type(&self, "secret\r");
    cr_assert_eq(await(&self, "\\slength (\\d+)\\s"), 6);
    end(&self, 0);
}

BACKEND_TEST(programs, ssh_keygen_asks_for_a_passphrase_twice)
{
    session self;
    char text[512];

    NEEDS("ssh-keygen");
    begin(&self, *backend,
          PROGRAM("ssh-keygen", "-q", "-t", "ed25519", "-C", "by test", "-f", "key"));
    await(&self, "passphrase[^:]*: ");
    await_echo(&self, false);
    type(&self, "long enough\r");
    await(&self, "same passphrase[^:]*: ");
    await_echo(&self, false);
    type(&self, "long enough\r");
    cr_assert_eq(rp_wait(self.process, PATIENCE_NS), 0);
    read_file(&self, "key.pub", text, sizeof text);
    cr_assert_not_null(strstr(text, "by test"));
    read_file(&self, "key", text, sizeof text);
    cr_assert_not_null(strstr(text, "PRIVATE KEY"));
    end(&self, 0);
}

/* ---- the whole screen ---- */

BACKEND_TEST(programs, vim_edits_saves_and_quits)
{
    session self;
    char text[128];

    NEEDS("vim");
    begin(&self, *backend, PROGRAM("vim", "-u", "NONE", "-N", "-i", "NONE", "note.txt"));
    await(&self, "note.txt");
    await_echo(&self, false);
    type(&self, "ifirst line\rsecond line\x1b");
    await(&self, "second line");
    type(&self, ":1s/first/changed/\r");
    await(&self, "changed");
    type(&self, ":wq\r");
    cr_assert_eq(rp_wait(self.process, PATIENCE_NS), 0);
    read_file(&self, "note.txt", text, sizeof text);
    cr_assert_str_eq(text, "changed line\nsecond line\n");
    end(&self, 0);
}

BACKEND_TEST(programs, less_shows_the_end_and_quits)
{
    session self;

    NEEDS("less");
    begin(&self, *backend, PROGRAM("sh", "-c", "seq -f 'line %g' 500 >text; exec less text"));
    await(&self, "line 22\\s");
    type(&self, "G");
    await(&self, "line 500");
    type(&self, "/line 77\\b\r"); // wraps
    await(&self, "[Pp]attern not found|line 77");
    type(&self, "g/line 77$\r");
    await(&self, "line 77");
    type(&self, "q");
    end(&self, 0);
}

BACKEND_TEST(programs, top_redraws_and_quits)
{
    session self;

    NEEDS("top");
    begin(&self, *backend, PROGRAM("top", "-d", "0.2"));
    await(&self, "load average");
    await(&self, "load average"); // drawn again
    type(&self, "q");
    end(&self, 0);
}

#define CURSES                                                                                     \
    "import curses\n"                                                                              \
    "def main(screen):\n"                                                                          \
    "    for count in range(1, 4):\n"                                                              \
    "        screen.erase(); screen.box()\n"                                                       \
    "        screen.addstr(2, 4, f'count {count}'); screen.addstr(5, 10, 'press a key')\n"         \
    "        screen.refresh(); screen.getkey()\n"                                                  \
    "curses.wrapper(main)\n"

BACKEND_TEST(programs, a_program_that_redraws_the_whole_screen)
{
    rp_screen screen = {.size = sizeof screen};
    session self;

    NEEDS("python3");
    /* TERM=screen has no "repeat the last character", in which libvterm errs at the last column. */
    begin(&self, *backend, PROGRAM("env", "TERM=screen", "python3", "-I", "-c", CURSES));
    await(&self, "count(?s:.*?)press a key");
    if (rp_has("screen")) { // the parts that were drawn again stand among those that were not
        cr_assert_eq(rp_pty_screen(self.process, &screen), 0);
        cr_assert(screen.alternate);
        cr_assert_not_null(memmem(screen.text.data, screen.text.size, "count 1", 7));
    }
    type(&self, "x");
    await(&self, "2");
    if (rp_has("screen")) { // one figure came, and the rest of the screen is what it was
        cr_assert_eq(rp_pty_wait_settled(self.process, 20 * RP_MILLISECOND, PATIENCE_NS, &screen),
                     0);
        cr_assert_not_null(memmem(screen.text.data, screen.text.size, "count 2", 7), "%.*s",
                           (int)screen.text.size, screen.text.data);
    }
    type(&self, "x");
    await(&self, "3");
    type(&self, "x");
    end(&self, 0);
}
