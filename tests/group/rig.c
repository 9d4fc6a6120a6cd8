/* See rig.h. */
#define _GNU_SOURCE
#include "tests/group/rig.h"

#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

void grove_plant(stage *on, grove *self, rp_group *group, const char *const *argv)
{
    memset(self, 0, sizeof *self);
    self->line = lifeline_open();
    self->fd = (rp_fd){.parent = self->line.write, .child = 4};
    self->command = stage_command(argv);
    self->command.fds = &self->fd;
    self->command.fd_count = 1;
    self->command.group = group;
    actor_spawn(on, &self->actor, &self->command, ACTOR_DATA);
    lifeline_close_write(&self->line); /* the launch has a duplicate */
}

void grove_await(stage *on, grove *self, unsigned int count)
{
    char bytes[256];
    unsigned int seen = 0;

    stage_run_until(on, &self->actor.counts[ACTOR_STARTED], 1);
    while (seen < count) {
        const size_t wanted = count - seen < sizeof bytes ? count - seen : sizeof bytes;
        const ssize_t size = read(self->line.read, bytes, wanted);

        cr_assert_gt(size, 0);
        seen += (unsigned int)size;
    }
}

void grove_check_gone(grove *self)
{
    lifeline_await_end(&self->line);
    lifeline_close(&self->line);
    actor_free(&self->actor);
}

bool grove_is_alive(const grove *self)
{
    struct pollfd entry = {.fd = self->line.read, .events = POLLIN};

    cr_assert_geq(poll(&entry, 1, 0), 0);
    return (entry.revents & POLLHUP) == 0;
}

void verdict_note(rp_group *group, const rp_survivor *survivors, size_t count, void *user)
{
    verdict *noted = user;

    cr_assert_not_null(group);
    noted->calls++;
    noted->survivors = count;
    for (size_t i = 0; i < count && i < sizeof noted->pids / sizeof noted->pids[0]; i++) {
        cr_assert_gt(survivors[i].id.pid, 0);
        cr_assert_not_null(survivors[i].name);
        cr_assert_not_null(survivors[i].command);
        noted->pids[i] = survivors[i].id.pid;
    }
}
