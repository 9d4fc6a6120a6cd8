/* Systems without a terminal to give: for a while, and at all. That each failing call is survived
 * is the sweep's to show (tests/sweep/). */
#include <errno.h>

#include "tests/pty/rig.h"

/* No terminal is left for a while: the launch waits for its turn. */
BACKEND_TEST(pty_fault, no_terminal_left_makes_a_launch_wait)
{
    static const int errors[] = {ENOSPC, ENXIO, EMFILE};
    stage on;
    actor first = {0};
    actor second = {0};
    rp_command command = on_terminal(CHILD("echo", "ready", "read", "1"));
    rp_loop_options options = RP_LOOP_OPTIONS_INIT;

    options.spawn_threads = RP_SPAWN_INLINE; // the table is this thread's alone
    stage_open(&on, *backend, &options);
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
        actor_spawn(&on, &first, &command, ACTOR_DATA);
        await(&on, &first, "ready");
        rpi_fault_os_start();
        rpi_fault_os_fail("open", 1, errors[i]);
        actor_spawn(&on, &second, &command, ACTOR_DATA);
        while (!rpi_fault_os_fired()) {
            cr_assert_geq(rp_loop_run_once(on.loop, RP_SECOND), 0);
        }
        rpi_fault_os_stop();
        type(&first, "\n");
        stage_run_until(&on, &first.counts[ACTOR_DONE], 1);
        await(&on, &second, "ready");
        type(&second, "\n");
        stage_run_until(&on, &second.counts[ACTOR_DONE], 1);
        actor_check_code(&second, 0);
        actor_free(&first);
        actor_free(&second);
    }
    stage_close(&on);
}

/* And where nothing could free one, it is told. */
BACKEND_TEST(pty_fault, no_terminal_at_all_is_told)
{
    stage on;
    actor self = {0};
    rp_command command = on_terminal(CHILD("echo", "ready"));

    stage_open(&on, *backend, NULL);
    rpi_fault_os_start();
    rpi_fault_os_fail("open", RPI_FAULT_EVERY, ENOENT);
    actor_play(&on, &self, &command, ACTOR_DATA);
    rpi_fault_os_stop();
    cr_assert_eq(self.exit.kind, RP_SPAWN_FAILED);
    cr_assert_eq(self.exit.error, RP_ENOENT);
    cr_assert_eq(self.exit.code, 126);
    cr_assert_str_eq(self.exit.phase, "terminal");
    actor_free(&self);
    stage_close(&on);
}
