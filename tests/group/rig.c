/* See rig.h. */
#define _GNU_SOURCE
#include "tests/group/rig.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
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

/* What a link of /proc says; "" where there is none. */
static void read_link(const char *path, char *text, size_t text_size)
{
    const ssize_t size = readlink(path, text, text_size - 1);

    text[size > 0 ? size : 0] = '\0';
}

static int by_number(const void *left, const void *right)
{
    const int64_t a = *(const int64_t *)left;
    const int64_t b = *(const int64_t *)right;

    return (a > b) - (a < b);
}

size_t grove_list(const grove *self, int64_t *pids, size_t max)
{
    char path[64];
    char wanted[64];
    char name[64];
    const struct dirent *entry;
    DIR *folder = opendir("/proc");
    size_t count = 0;

    cr_assert_not_null(folder);
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", self->line.read);
    read_link(path, wanted, sizeof wanted);
    while ((entry = readdir(folder)) != NULL) {
        const int64_t pid = strtoll(entry->d_name, NULL, 10);

        (void)snprintf(path, sizeof path, "/proc/%lld/fd/4", (long long)pid);
        read_link(path, name, sizeof name);
        if (pid > 0 && pid != getpid() && strcmp(name, wanted) == 0) {
            cr_assert_lt(count, max);
            pids[count++] = pid;
        }
    }
    cr_assert_eq(closedir(folder), 0);
    qsort(pids, count, sizeof *pids, by_number);
    return count;
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
