/* Children on a pseudo-console. Under Wine the child itself has to take the console's handles, a
 * resize is not there, and Ctrl-C ends the console: those are told by fakes. */
#include <windows.h>

#include <stdlib.h>
#include <string.h>
#include <tlhelp32.h>

#include "base/os_windows.h"
#include "tests/support/check.h"
#include "tests/support/stage.h"

TestSuite(console, .timeout = 60);

static rp_command console_command(const char *const *argv)
{
    rp_command command = stage_command(argv);

    command.transport = RP_PTY;
    command.pty_rows = 33;
    command.pty_cols = 90;
    return command;
}

static int count_consoles(void)
{
    PROCESSENTRY32W entry = {.dwSize = sizeof entry};
    const HANDLE all = CreateToolhelp32Snapshot(TH32CS_SNAPPROCESS, 0);
    int count = 0;

    cr_assert_neq(all, INVALID_HANDLE_VALUE);
    for (BOOL more = Process32FirstW(all, &entry); more; more = Process32NextW(all, &entry)) {
        count += _wcsicmp(entry.szExeFile, L"conhost.exe") == 0 ? 1 : 0;
    }
    (void)CloseHandle(all);
    return count;
}

/* The text without sequences. */
static char *plain(const char *text)
{
    char *to = malloc(strlen(text) + 1);
    size_t size = 0;

    for (; *text != '\0'; text++) {
        if (*text == '\x1b' && text[1] == '[') {
            text += 2;
            while (*text != '\0' && (*text < '@' || *text > '~')) {
                text++;
            }
            if (*text == '\0') {
                break;
            }
        } else if ((unsigned char)*text >= ' ' || *text == '\n') {
            to[size++] = *text;
        }
    }
    to[size] = '\0';
    return to;
}

static void check_shows(const actor *child, const char *expected)
{
    char *text = plain(actor_data(child, RP_STDOUT));

    cr_assert(strstr(text, expected) != NULL, "\"%s\" without \"%s\"", text, expected);
    free(text);
}

Test(console, has_its_size_and_shows_what_is_written)
{
    rp_command command = console_command(CHILD("size", "echo", "words on a screen"));
    const int before = count_consoles();
    actor child = {0};
    stage self;

    stage_open(&self, RP_BACKEND_IOCP, NULL);
    actor_play(&self, &child, &command, ACTOR_DATA);
    actor_check_code(&child, 0);
    check_shows(&child, "33 90");
    check_shows(&child, "words on a screen");
    cr_assert_eq(stage_stats(&self).ptys, 0);
    actor_free(&child);
    stage_close(&self);
    for (int i = 0; i < 500 && count_consoles() > before; i++) {
        Sleep(10); // the thread that closes it
    }
    cr_assert_eq(count_consoles(), before, "a console is left");
}

static void type_when_asked(actor *self, actor_event event, rp_stream stream)
{
    (void)stream;
    if (event == ACTOR_GOT_DATA && self->context == NULL &&
        strstr(actor_data(self, RP_STDOUT), "ready") != NULL) {
        self->context = self;
        cr_assert_eq(rp_write(self->process, (rp_view){"typed\r", 6}, NULL, NULL), 0);
    }
}

Test(console, takes_a_line_that_is_typed)
{
    rp_command command = console_command(CHILD("echo", "ready", "tty-line"));
    actor child = {.hook = type_when_asked};
    stage self;

    stage_open(&self, RP_BACKEND_IOCP, NULL);
    actor_play(&self, &child, &command, ACTOR_DATA);
    actor_check_code(&child, 0);
    check_shows(&child, "[typed]");
    actor_free(&child);
    stage_close(&self);
}

static COORD resized;

static HRESULT WINAPI take_resize(HPCON console, COORD size)
{
    (void)console;
    resized = size;
    return S_OK;
}

static void resize_and_kill(actor *self, actor_event event, rp_stream stream)
{
    (void)stream;
    if (event == ACTOR_GOT_DATA && self->context == NULL &&
        strstr(actor_data(self, RP_STDOUT), "ready") != NULL) {
        self->context = self;
        if (rpi_os_is_wine()) {
            cr_assert_eq(rp_pty_resize(self->process, 20, 40), RP_EUNSUPPORTED);
        }
        rpi_os.ResizePseudoConsole = take_resize;
        cr_assert_eq(rp_pty_resize(self->process, 21, 41), 0);
        cr_assert(resized.X == 41 && resized.Y == 21);
        cr_assert_eq(rp_close_stdin(self->process), RP_EUNSUPPORTED);
        cr_assert_eq(rp_kill(self->process), 0);
    }
}

Test(console, is_resized_and_killed)
{
    rp_command command = console_command(CHILD("echo", "ready", "pause"));
    actor child = {.hook = resize_and_kill};
    stage self;

    stage_open(&self, RP_BACKEND_IOCP, NULL);
    actor_play(&self, &child, &command, ACTOR_DATA);
    cr_assert_eq(child.exit.code, 128 + 9);
    actor_free(&child);
    stage_close(&self);
}

static HRESULT WINAPI
refuse_console(COORD size, HANDLE input, HANDLE output, DWORD flags, HPCON *ret_console)
{
    (void)size;
    (void)input;
    (void)output;
    (void)flags;
    (void)ret_console;
    return HRESULT_FROM_WIN32(ERROR_NOT_ENOUGH_MEMORY);
}

Test(console, that_cannot_be_made_is_a_failed_launch)
{
    rp_command command = console_command(CHILD("echo", "never"));
    actor child = {0};
    stage self;

    stage_open(&self, RP_BACKEND_IOCP, NULL);
    rpi_os.CreatePseudoConsole = refuse_console;
    actor_play(&self, &child, &command, ACTOR_DATA);
    cr_assert_eq(child.exit.kind, RP_SPAWN_FAILED);
    cr_assert_eq(child.exit.error, RP_ENOMEM);
    cr_assert_str_eq(child.exit.phase, "terminal");
    actor_free(&child);
    stage_close(&self);
}

Test(console, twenty_at_once_leave_none_behind)
{
    const int before = count_consoles();
    static actor children[20];
    stage self;

    stage_open(&self, RP_BACKEND_IOCP, NULL);
    for (int i = 0; i < 20; i++) {
        rp_command command = console_command(CHILD("echo", "one of many"));

        actor_spawn(&self, &children[i], &command, ACTOR_DATA);
    }
    stage_run(&self);
    for (int i = 0; i < 20; i++) {
        check_shows(&children[i], "one of many");
        actor_free(&children[i]);
    }
    stage_close(&self);
    for (int i = 0; i < 500 && count_consoles() > before; i++) {
        Sleep(10);
    }
    cr_assert_eq(count_consoles(), before, "consoles are left");
}
