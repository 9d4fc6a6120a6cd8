/* See rig.h. */
#include "tests/pty/rig.h"

#include <stdlib.h>
#include <string.h>

#include "tests/support/noise.h"

rp_command on_terminal(const char *const *argv)
{
    rp_command command = stage_command(argv);

    command.transport = RP_PTY;
    return command;
}

void type(const actor *self, const char *text)
{
    int r = rp_write(self->process, (rp_view){text, strlen(text)}, NULL, NULL);

    cr_assert_eq(r, 0, "rp_write: %s", rp_error_name(r));
}

void await(stage *on, const actor *self, const char *text)
{
    while (strstr(actor_data(self, RP_STDOUT), text) == NULL) {
        cr_assert_eq(self->counts[ACTOR_DONE], 0, "it ended with: %s", actor_data(self, RP_STDOUT));
        cr_assert_gt(rp_loop_run_once(on->loop, 60 * RP_SECOND), 0, "so far came: %s",
                     actor_data(self, RP_STDOUT));
    }
}

char *noise_text(size_t count, uint64_t seed)
{
    char *text = malloc(count);
    noise bytes = noise_begin(seed);

    cr_assert_not_null(text);
    noise_fill(&bytes, text, count);
    return text;
}
