/* The screen of a child, through the public functions: what it shows as the child goes on, when it
 * has settled, and what is refused. */
#define _GNU_SOURCE
#include <string.h>

#include "core/screen.h"
#include "tests/pty/rig.h"
#include "tests/support/check.h"

static rp_screen look_at(const actor *self)
{
    rp_screen screen = {.size = sizeof screen};
    int r = rp_pty_screen(self->process, &screen);

    cr_assert_eq(r, 0, "%s: %s", rp_error_name(r), rp_error_detail());
    return screen;
}

static bool shows(rp_view text, const char *expected)
{
    return text.size == strlen(expected) && memcmp(text.data, expected, text.size) == 0;
}

static rp_command on_screen(const char *const *argv)
{
    rp_command command = on_terminal(argv);

    if (!rp_has("screen")) {
        cr_skip("this build has no screens");
    }
    command.screen = true;
    command.pty_rows = 4;
    command.pty_cols = 20;
    return command;
}

BACKEND_TEST(seen, is_what_the_child_shows_by_and_by)
{
    rp_command command =
        on_screen(CHILD("silent", "write", "1", "name: ", "read", "1", "write", "1",
                        "\r\x1b[2J\x1b[2;3Hhello\x1b]0;greeting\x07\x1b[?25l", "read", "1"));
    rp_screen screen;
    actor self = {0};
    stage on;

    stage_open(&on, *backend, NULL);
    actor_spawn(&on, &self, &command, ACTOR_DATA);
    cr_assert(shows(look_at(&self).text, "\n\n\n\n"), "before it has begun");
    await(&on, &self, "name: ");
    screen = look_at(&self);
    cr_assert(shows(screen.text, "name:\n\n\n\n"));
    cr_assert_eq(screen.cursor_row, 0);
    cr_assert_eq(screen.cursor_col, 6);
    cr_assert(screen.cursor_visible);
    self.stays = true;
    type(&self, "\n");
    await(&on, &self, "25l");
    screen = look_at(&self);
    cr_assert(shows(screen.text, "\n  hello\n\n\n"));
    cr_assert(shows(screen.title, "greeting"));
    cr_assert_not(screen.cursor_visible);
    cr_assert_not(screen.alternate);
    type(&self, "\n");
    stage_run_until(&on, &self.counts[ACTOR_DONE], 1);
    cr_assert(shows(look_at(&self).text, "\n  hello\n\n\n"), "after the end, too");
    actor_close(&self);
    actor_free(&self);
    stage_close(&on);
}

/* In the callback, before anybody else is told: the bytes are on the screen. */
static void compare(actor *self, actor_event event, rp_stream stream)
{
    (void)stream;
    if (event == ACTOR_GOT_DATA) {
        rp_screen screen = look_at(self);

        cr_assert(memchr(screen.text.data, 'x', screen.text.size) != NULL);
        if (self->context != NULL) {
            actor_close(self);
        }
        cr_assert_eq(screen.text.data[0], 'x', "a view that did not stay");
    }
}

BACKEND_TEST(seen, has_the_bytes_before_their_handler_is_told)
{
    rp_command command = on_screen(CHILD("echo", "x"));
    actor self = {.hook = compare};
    stage on;

    stage_open(&on, *backend, NULL);
    actor_play(&on, &self, &command, ACTOR_DATA);
    actor_free(&self);
    self = (actor){.hook = compare, .context = &on}; // and closes it there
    actor_spawn(&on, &self, &command, ACTOR_DATA);
    stage_run(&on);
    actor_free(&self);
    stage_close(&on);
}

BACKEND_TEST(seen, follows_the_size_of_the_terminal)
{
    rp_command command =
        on_screen(CHILD("echo", "0123456789", "read", "1", "echo", "abcdefghij", "read", "1"));
    rp_screen screen;
    actor self = {0};
    stage on;

    stage_open(&on, *backend, NULL);
    actor_spawn(&on, &self, &command, ACTOR_DATA);
    cr_assert_eq(rp_pty_resize(self.process, 6, 30), 0, "while it is queued");
    await(&on, &self, "9\r\n");
    cr_assert_eq(look_at(&self).rows, 6);
    cr_assert_eq(rp_pty_resize(self.process, 8, 5), 0);
    screen = look_at(&self);
    cr_assert_eq(screen.rows, 8);
    cr_assert_eq(screen.cols, 5);
    type(&self, "\n");
    await(&on, &self, "j\r\n");
    screen = look_at(&self);
    cr_assert_not_null(memmem(screen.text.data, screen.text.size, "abcde\nfghij\n", 12));
    cr_assert_eq(rp_pty_resize(self.process, 60000, 60000), RP_EINVAL);
    cr_assert_eq(look_at(&self).rows, 8);
    actor_close(&self);
    actor_free(&self);
    stage_close(&on);
}

BACKEND_TEST(seen, is_refused_where_there_is_none)
{
    rp_command command = on_terminal(CHILD("pause"));
    rp_screen screen = {.size = sizeof screen};
    actor self = {0};
    stage on;

    stage_open(&on, *backend, NULL);
    actor_spawn(&on, &self, &command, 0);
    cr_assert_eq(rp_pty_screen(self.process, &screen), RP_EINVAL);
    cr_assert_eq(rp_pty_wait_settled(self.process, 1, 1, &screen), RP_EINVAL);
    screen.size = 0;
    cr_assert_eq(rp_pty_screen(self.process, &screen), RP_EINVAL);
    actor_close(&self);
    stage_close(&on);
}

/* ---- generations, for expects ---- */

BACKEND_TEST(seen, has_a_generation_that_counts_changes)
{
    rp_command command = on_screen(
        CHILD("silent", "write", "1", "a", "read", "1", "write", "1", "\ra.", "read", "1"));
    uint64_t before = 0;
    uint64_t after = 0;
    rp_view text;
    actor self = {0};
    stage on;

    stage_open(&on, *backend, NULL);
    actor_spawn(&on, &self, &command, ACTOR_DATA);
    await(&on, &self, "a");
    cr_assert_eq(rpi_process_screen_text(self.process, &text, &before), 0);
    cr_assert_eq(rpi_process_screen_text(self.process, &text, &after), 0);
    cr_assert_eq(after, before);
    type(&self, "\n");
    await(&on, &self, "a.");
    cr_assert_eq(rpi_process_screen_text(self.process, &text, &after), 0);
    cr_assert_gt(after, before);
    cr_assert(shows(text, "a.\n\n\n\n"));
    actor_close(&self);
    actor_free(&self);
    stage_close(&on);
}

/* ---- settling ---- */

BACKEND_TEST(seen, settles_although_the_same_is_painted_again_and_again)
{
    // Paints over itself until it is told to end: quiet it never is.
    rp_command command = on_screen((const char *const[]){
        "/bin/sh", "-c", "while :; do printf '\\033[H\\033[2Jload 1'; done", NULL});
    rp_screen screen = {.size = sizeof screen};
    actor self = {0};
    stage on;

    stage_open(&on, *backend, NULL);
    actor_spawn(&on, &self, &command, 0);
    cr_assert_eq(rp_pty_wait_settled(self.process, RP_FOREVER, 0, &screen), RP_ETIMEDOUT);
    do { // a look between clearing and painting sees another text
        int r = rp_pty_wait_settled(self.process, 20 * RP_MILLISECOND, RP_FOREVER, &screen);

        cr_assert_eq(r, 0, "%s", rp_error_name(r));
    } while (!shows(screen.text, "load 1\n\n\n\n"));
    actor_close(&self);
    stage_close(&on);
}

BACKEND_TEST(seen, settles_with_the_end)
{
    rp_command command = on_screen(CHILD("echo", "last"));
    rp_screen screen = {.size = sizeof screen};
    rp_process *process;
    stage on;

    stage_open(&on, *backend, NULL);
    cr_assert_eq(rp_spawn(on.loop, &command, NULL, NULL, &process), 0);
    cr_assert_eq(rp_pty_wait_settled(process, RP_FOREVER, RP_FOREVER, &screen), 0);
    cr_assert(shows(screen.text, "last\n\n\n\n"));
    rp_process_close(process);
    stage_close(&on);
}

static void close_process(rp_loop *loop, void *user)
{
    (void)loop;
    rp_process_close(user);
}

static void wait_inside(rp_loop *loop, void *user)
{
    rp_screen screen = {.size = sizeof screen};

    cr_assert_eq(rp_pty_wait_settled(user, 0, 0, &screen), RP_EDEADLK);
    rp_loop_stop(loop);
}

BACKEND_TEST(seen, ends_its_wait_with_whatever_ends_a_wait)
{
    rp_command command = on_screen(CHILD("echo", "x", "pause"));
    rp_command floods = on_screen(CHILD("fill", "1", "1000000"));
    rp_screen screen = {.size = sizeof screen};
    rp_process *process;
    stage on;

    stage_open(&on, *backend, NULL);
    cr_assert_eq(rp_spawn(on.loop, &command, NULL, NULL, &process), 0);
    cr_assert_eq(rp_loop_post(on.loop, wait_inside, process), 0);
    cr_assert_eq(rp_pty_wait_settled(process, RP_FOREVER, RP_FOREVER, &screen), RP_ECANCELED);
    cr_assert_eq(rp_loop_post(on.loop, close_process, process), 0);
    cr_assert_eq(rp_pty_wait_settled(process, RP_FOREVER, RP_FOREVER, &screen), RP_ECANCELED);
    cr_assert_eq(rp_spawn(on.loop, &floods, NULL, NULL, &process), 0);
    cr_assert_eq(rp_pty_wait_settled(process, RP_FOREVER, RP_FOREVER, &screen), RP_ENOBUFS);
    rp_process_close(process);
    stage_close(&on);
}
