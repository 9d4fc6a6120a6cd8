/* See expecting.h. */
#include "tests/support/expecting.h"

#include <stdio.h>
#include <string.h>

static void note(notes *self, const char *text, size_t size)
{
    cr_assert_lt(self->size + size, sizeof self->text);
    memcpy(self->text + self->size, text, size);
    self->size += size;
    self->text[self->size] = '\0';
}

void note_match(notes *self, const rp_match *match)
{
    char head[64];

    if (match->status != 0) {
        note(self, rp_error_name(match->status), strlen(rp_error_name(match->status)));
        note(self, "(", 1);
        note(self, match->tail.data, match->tail.size);
        note(self, ") ", 2);
        return;
    }
    (void)snprintf(head, sizeof head, "%zu@%llu(", match->pattern,
                   (unsigned long long)match->offset);
    note(self, head, strlen(head));
    note(self, match->before.data, match->before.size);
    note(self, "|", 1);
    note(self, match->matched.data, match->matched.size);
    note(self, ") ", 2);
}

void on_match(rp_process *process, const rp_match *match, void *user)
{
    notes *self = user;
    const rp_expect_options *next = self->next;

    self->next = NULL;
    if (self->closes != NULL) {
        rp_process_close(self->closes);
        self->closes = NULL;
    }
    self->count++;
    if (next != NULL) {
        cr_assert_eq(rp_expect_start(process, next, on_match, self, NULL), 0);
    }
    note_match(self, match); /* last: the views must still be there */
}

rp_expect_options options_of(const rp_pattern *patterns, size_t count)
{
    rp_expect_options options = RP_EXPECT_OPTIONS_INIT;

    options.patterns = patterns;
    options.pattern_count = count;
    return options;
}

rp_expect *expect(rp_process *process, const rp_expect_options *options, notes *self)
{
    rp_expect *started = NULL;
    int r = rp_expect_start(process, options, on_match, self, &started);

    cr_assert_eq(r, 0, "%s: %s", rp_error_name(r), rp_error_detail());
    cr_assert_not_null(started);
    return started;
}

void spawn(stage *on, actor *child, const char *const *argv)
{
    rp_command command = stage_command(argv);

    command.in.kind = RP_STDIO_PIPE;
    actor_spawn(on, child, &command, 0);
}

rp_process *pull(stage *on, const rp_command *command)
{
    rp_process *process = NULL;
    int r = rp_spawn(on->loop, command, NULL, NULL, &process);

    cr_assert_eq(r, 0, "%s", rp_error_name(r));
    return process;
}

void type(rp_process *process, const char *text)
{
    cr_assert_eq(rp_write(process, (rp_view){text, strlen(text)}, NULL, NULL), 0);
}
