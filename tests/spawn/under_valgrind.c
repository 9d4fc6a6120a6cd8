/* Run under valgrind: the probe must not try anything that valgrind ends programs for, and the
 * children must be what they are elsewhere. A valgrind that does not know pidfd_open (3.19) leaves
 * nothing to hold a child by: then that is what a launch must say. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/disposable.h"
#include "base/os.h"
#include "tests/spawn/rig.h"

static rig_launch rig;
static rig_end end;

static void spawn(rpi_spawn_site *site)
{
    rpi_spawn_carry_out(site, 0, &rig.launch);
    if (rig.launch.error == 0) {
        rig_finish(&rig, &end);
    }
}

int main(void)
{
    rpi_spawn_site *site = NULL;

    RIG_CHECK(rpi_on_valgrind());
    RIG_CHECK(dup(0) >= 3); // undeclared, and not closed on exec
    RIG_CHECK(rpi_spawn_site_open(rpi_alloc_default(), RPI_SPAWN_UNKNOWN, 1, &site) == 0);
    RIG_CHECK(rpi_spawn_site_method(site) == RPI_SPAWN_FORK);
    if (rpi_os.pidfd_open(getpid(), 0) < 0 && errno == ENOSYS) {
        rig_init(&rig, "both", NULL);
        spawn(site);
        RIG_CHECK(rig.launch.error == RP_EUNSUPPORTED && strcmp(rig.launch.phase, "clone") == 0);
        RIG_CHECK(rig_wait(-1) == 1000);
        rpi_spawn_site_close(site);
        puts("this valgrind has no pidfd_open, and launches say so");
        return 0;
    }
    rig_init(&rig, "both", NULL);
    spawn(site);
    RIG_CHECK(strcmp(end.text[1], "out") == 0 && strcmp(end.text[2], "err") == 0);
    rig_init(&rig, "exit", "42", NULL);
    rig.launch.cwd = "/";
    rig.launch.set_umask = true;
    rig.launch.new_session = true;
    spawn(site);
    RIG_CHECK(end.status == 42);
    rig_init(&rig, "count", NULL);
    spawn(site);
    RIG_CHECK(end.status == 3);
    rig_init_program(&rig, "/no/such/program", NULL);
    spawn(site);
    RIG_CHECK(rig.launch.error == -ENOENT && strcmp(rig.launch.phase, "exec") == 0);
    rpi_spawn_site_close(site);
    RIG_CHECK(rig_wait(-1) == 1000);
    puts("children are right under valgrind");
    return 0;
}
