/* Tests tracking while another program has the database locked for ten seconds (RP_LOCKED_SECONDS:
 * another time). The launches go on, and what was to be written meanwhile is written afterwards. */
#define _GNU_SOURCE
#include <errno.h>
#include <ftw.h>
#include <poll.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rp/track.h"
#include "tests/support/check.h"
#include "tests/support/stage.h"

enum {
    LOCKED_SECONDS = 10,
    STAYING = 50,
    MILLISECONDS = 1000,
    PATH_SIZE = 256
};

/* ---- the other program ------------------------------------------------------------------- */

typedef struct other {
    pid_t pid;
    lifeline go;    /* to it */
    lifeline holds; /* a byte: it has the lock; the end: it is gone */
} other;

static int locked_ms(void)
{
    const char *wanted = getenv("RP_LOCKED_SECONDS");

    return MILLISECONDS * (wanted != NULL ? (int)strtol(wanted, NULL, 10) : LOCKED_SECONDS);
}

static _Noreturn void hold_lock(other *self, const char *path)
{
    sqlite3 *database = NULL;
    bool held;
    char byte = 'x';

    (void)close(self->go.write); /* so that it ends with the test, whatever happens there */
    held = read(self->go.read, &byte, 1) == 1 && sqlite3_open(path, &database) == SQLITE_OK &&
           sqlite3_busy_timeout(database, 60 * MILLISECONDS) == SQLITE_OK &&
           sqlite3_exec(database, "BEGIN EXCLUSIVE", NULL, NULL, NULL) == SQLITE_OK;
    if (held) {
        held = write(self->holds.write, &byte, 1) == 1;
        (void)poll(NULL, 0, locked_ms()); /* what this test is about: it has all that time */
        held = held && sqlite3_exec(database, "COMMIT", NULL, NULL, NULL) == SQLITE_OK;
    }
    _exit(held && sqlite3_close(database) == SQLITE_OK ? 0 : 1);
}

/* Before this program has a thread, or a database. */
static void other_start(other *self, const char *path)
{
    self->go = lifeline_open();
    self->holds = lifeline_open();
    self->pid = fork();
    cr_assert_geq(self->pid, 0);
    if (self->pid == 0) {
        hold_lock(self, path);
    }
    lifeline_close_write(&self->holds);
}

static bool other_is_gone(const other *self)
{
    struct pollfd entry = {.fd = self->holds.read, .events = POLLIN};

    cr_assert_geq(poll(&entry, 1, 0), 0);
    return (entry.revents & POLLHUP) != 0;
}

static void other_forget(other *self)
{
    int status = -1;

    cr_assert_eq(waitpid(self->pid, &status, 0), self->pid);
    cr_assert_eq(status, 0, "it had the lock all the time");
    lifeline_close(&self->go);
    lifeline_close(&self->holds);
}

/* ---- the test ------------------------------------------------------------------------------ */

static int remove_one(const char *path, const struct stat *status, int flag, struct FTW *info)
{
    (void)status;
    (void)flag;
    (void)info;
    return remove(path);
}

typedef struct rows {
    int64_t pids[STAYING];
    int count;
    int others; /* than those that stay */
} rows;

static bool note(const rp_process_info *info, void *user)
{
    rows *all = user;
    bool known = false;

    for (int i = 0; i < STAYING; i++) {
        known = known || all->pids[i] == info->id.pid;
    }
    all->count++;
    all->others += !known;
    return true;
}

static void play_one(stage *on)
{
    const rp_command command = stage_command(CHILD("exit", "0"));
    actor one = {0};

    actor_play(on, &one, &command, 0);
    actor_check_code(&one, 0);
    actor_free(&one);
}

static void start_staying(stage *on, actor *these, const lifeline *hold, rows *all)
{
    const rp_fd fd = {.parent = hold->read, .child = 3};
    rp_command command = stage_command(CHILD("wait", "3"));

    command.fds = &fd;
    command.fd_count = 1;
    for (int i = 0; i < STAYING; i++) {
        actor_spawn(on, &these[i], &command, 0);
        stage_run_until(on, &these[i].counts[ACTOR_STARTED], 1);
        all->pids[i] = rp_process_pid(these[i].process);
    }
}

/* Children come and go until the other is gone: how many. */
static unsigned int play_until_gone(stage *on, const other *locker)
{
    unsigned int count = 0;

    while (!other_is_gone(locker)) {
        play_one(on);
        count++;
    }
    return count;
}

Test(track_locked, loses_no_launch_and_no_row, .timeout = 240)
{
    static actor these[STAYING];
    char folder[PATH_SIZE] = "/tmp/rp-locked-XXXXXX";
    char path[PATH_SIZE + 32];
    rp_loop_options options = RP_LOOP_OPTIONS_INIT;
    lifeline hold;
    other locker;
    rows all = {.count = 0};
    stage on;

    cr_assert_not_null(mkdtemp(folder));
    (void)snprintf(path, sizeof path, "%s/pids.sqlite3", folder);
    other_start(&locker, path);
    cr_assert_eq(rp_track_open(path, &options.track), 0);
    stage_open(&on, RP_BACKEND_EPOLL, &options);
    play_one(&on);
    cr_assert_eq(rp_track_list(options.track, note, &all), 0, "%s", rp_error_detail());
    lifeline_tell(&locker.go);
    lifeline_await_byte(&locker.holds);
    hold = lifeline_open();
    start_staying(&on, these, &hold, &all);
    cr_log_info("%u launches beside %d that stay, while it was locked",
                play_until_gone(&on, &locker), STAYING);
    other_forget(&locker);
    cr_assert_eq(rp_track_list(options.track, note, &all), STAYING, "%s", rp_error_detail());
    cr_assert_eq(all.count, STAYING);
    cr_assert_eq(all.others, 0);
    cr_assert_eq(stage_stats(&on).track_lost, 0);
    lifeline_close(&hold);
    stage_run(&on);
    cr_assert_eq(rp_track_list(options.track, note, &all), 0);
    for (int i = 0; i < STAYING; i++) {
        actor_check_code(&these[i], 0);
        actor_free(&these[i]);
    }
    cr_assert_eq(rp_loop_close(on.loop), 0); /* what is open differs: the database is new */
    rp_track_close(options.track);
    cr_assert_eq(nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}
