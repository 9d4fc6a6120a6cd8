/* running-process-guard: ends the groups of a host that died without closing them. A loop starts
 * one, tells it of its groups (base/guard.h), and closes the socket when it needs it no more. The
 * guard is in a session of its own with all signals blocked, so that what ends the host by a
 * terminal or a request does not end it first; it has nothing of the host's memory, and of its
 * descriptors only the two that it is given.
 *
 * Members are born in a cgroup, or found by their marks: one that was between clone and exec when
 * the host died may show only a moment later, so the looks go on for a while. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/cgroup.h"
#include "base/clock.h"
#include "base/guard.h"
#include "base/members.h"

#define CGROUP_NS (30 * RP_SECOND) /* after which nobody can do anything */
#define MEMBERS_NS (10 * RP_SECOND)

enum {
    EXIT_TOLD = 0,
    EXIT_BROKEN = 1, /* out of memory, or told what it does not know: the loop hears of the end */
    LATE_LOOKS = 10,
    LATE_PAUSE_MS = 50
};

/* A group of the host. */
typedef struct ward {
    struct ward *next;
    char *cgroup; /* NULL: none */
    rpi_members members;
} ward;

static ward *wards;

static _Noreturn void give_up(void)
{
    _exit(EXIT_BROKEN);
}

/* ---- what it is told --------------------------------------------------------------------- */

static ward **find(const char *mark)
{
    ward **at = &wards;

    while (*at != NULL && strcmp((*at)->members.mark, mark) != 0) {
        at = &(*at)->next;
    }
    return at;
}

static void add_ward(const char *mark, const char *since, const char *path)
{
    ward *added = calloc(1, sizeof *added);

    if (added == NULL) {
        give_up();
    }
    rpi_members_init(&added->members, rpi_alloc_default(), mark);
    added->members.since_ticks = strtoull(since, NULL, 10);
    if (strcmp(path, "-") != 0) {
        added->cgroup = strdup(path);
        if (added->cgroup == NULL) {
            give_up();
        }
    }
    added->next = wards;
    wards = added;
}

static void drop_ward(const char *mark)
{
    ward **at = find(mark);
    ward *dropped = *at;

    if (dropped == NULL) {
        return;
    }
    *at = dropped->next;
    rpi_members_fini(&dropped->members);
    free(dropped->cgroup);
    free(dropped);
}

static void note_leader(const char *mark, const char *pid_text, const char *start_text, bool lives)
{
    const int64_t pid = strtoll(pid_text, NULL, 10);
    const uint64_t start_ticks = strtoull(start_text, NULL, 10);
    ward *of = *find(mark);

    if (of == NULL) {
        return;
    }
    if (!lives) {
        rpi_members_remove(&of->members, pid, start_ticks);
    } else if (rpi_members_add(&of->members, pid, start_ticks, rpi_ticks_now()) < 0) {
        give_up();
    }
}

/* Cuts the next word off, at a blank. */
static const char *take_word(char **rest)
{
    char *word = *rest;
    char *end = strchr(word, ' ');

    *rest = end == NULL ? word + strlen(word) : end + 1;
    if (end != NULL) {
        *end = '\0';
    }
    return word;
}

static void obey(char *line)
{
    char *rest = line;
    const char *verb = take_word(&rest);
    const char *mark = take_word(&rest);
    const char *first = NULL;

    if (strcmp(verb, "-") == 0) {
        drop_ward(mark);
        return;
    }
    first = take_word(&rest);
    if (strcmp(verb, "+") == 0) {
        add_ward(mark, first, rest);
    } else if (strcmp(verb, "l") == 0 || strcmp(verb, "e") == 0) {
        note_leader(mark, first, rest, verb[0] == 'l');
    } else {
        give_up(); /* another version's loop */
    }
}

/* Reads what is there: false at the end. */
static bool listen_once(void)
{
    static char text[RPI_GUARD_TEXT_MAX];
    static size_t filled;
    ssize_t size = read(RPI_GUARD_LINE, text + filled, sizeof text - filled);
    char *line = text;
    char *end = NULL;

    if (size <= 0) {
        return size < 0 && (errno == EINTR || errno == EAGAIN);
    }
    filled += (size_t)size;
    while ((end = memchr(line, '\n', filled - (size_t)(line - text))) != NULL) {
        *end = '\0';
        obey(line);
        line = end + 1;
    }
    filled -= (size_t)(line - text);
    memmove(text, line, filled);
    if (filled == sizeof text) {
        give_up(); /* no line of ours is as long */
    }
    return true;
}

/* Until the host is gone, or needs nobody any more. */
static void listen_to_host(void)
{
    struct pollfd entries[2] = {{.fd = RPI_GUARD_LINE, .events = POLLIN},
                                {.fd = RPI_GUARD_HOST, .events = POLLIN}};

    for (;;) {
        const int r = poll(entries, 2, -1);

        if (r < 0 && errno != EINTR) {
            give_up();
        }
        if (r > 0 && entries[0].revents != 0) {
            if (!listen_once()) {
                return;
            }
            continue; /* all that was told before the host ended */
        }
        if (r > 0 && (entries[1].revents & POLLNVAL) != 0) {
            entries[1].fd = -1; /* none was given */
        } else if (r > 0 && entries[1].revents != 0) {
            return;
        }
    }
}

/* ---- what it does -------------------------------------------------------------------------- */

static void end_cgroup(const char *path)
{
    const _Atomic uint64_t until_ns = rpi_clock_now_ns() + CGROUP_NS;

    while (rpi_clock_now_ns() < until_ns) {
        const int r = rpi_cgroup_end(path, &until_ns);

        /* Removed: nobody can come into it any more. */
        if (r == -ENOENT || (r == 0 && rpi_cgroup_remove(path) == 0)) {
            return;
        }
        (void)poll(NULL, 0, 1);
    }
}

/* All of them in turn, so that many take no longer than one to be looked at late, too. */
static void end_all_members(void)
{
    for (int looks = 0; looks < LATE_LOOKS; looks++) {
        for (ward *one = wards; one != NULL; one = one->next) {
            const _Atomic uint64_t until_ns = rpi_clock_now_ns() + MEMBERS_NS;

            if (one->cgroup == NULL) {
                (void)rpi_members_end(&one->members, &until_ns); /* what it cannot nobody can */
            }
        }
        (void)poll(NULL, 0, LATE_PAUSE_MS);
    }
}

int main(void)
{
    sigset_t all;

    (void)sigfillset(&all);                   /* cannot fail */
    (void)sigprocmask(SIG_BLOCK, &all, NULL); /* likewise */
    listen_to_host();
    for (const ward *one = wards; one != NULL; one = one->next) {
        if (one->cgroup != NULL) {
            (void)rpi_cgroup_kill(one->cgroup); /* all of them before any is waited for */
        }
    }
    for (ward *one = wards; one != NULL; one = one->next) {
        if (one->cgroup != NULL) {
            end_cgroup(one->cgroup);
        }
    }
    if (wards != NULL) {
        end_all_members();
    }
    return EXIT_TOLD;
}
