/* Tests tracking: rows of living children, what is left of them, the clean-up, databases of other
 * versions, and databases that cannot be used. The database is a real file in a folder of the
 * test's own, and other programs are other connections to it. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/track.h"
#include "rp/track.h"
#include "tests/support/check.h"
#include "tests/support/stage.h"

enum {
    ROWS_MAX = 256,
    NOBODY = 65534, /* by convention */
    PATH_SIZE = 256
};

/* ---- the scene --------------------------------------------------------------------------- */

typedef struct scene {
    char folder[PATH_SIZE];
    char path[PATH_SIZE + 32];
    rp_track *track;
    stage on;
    lifeline hold;
    lifeline ready;
    rp_fd fds[2];
    unsigned int warnings;
    char warning[512];
} scene;

static int remove_one(const char *path, const struct stat *status, int flag, struct FTW *info)
{
    (void)status;
    (void)flag;
    (void)info;
    return remove(path);
}

static void make_folder(scene *self)
{
    memset(self, 0, sizeof *self);
    (void)snprintf(self->folder, sizeof self->folder, "/tmp/rp-track-XXXXXX");
    cr_assert_not_null(mkdtemp(self->folder));
    (void)snprintf(self->path, sizeof self->path, "%s/state/pids.sqlite3", self->folder);
}

static void count_warnings(int level, const char *text, void *user)
{
    scene *self = user;

    if (level <= 1) {
        self->warnings++;
        (void)snprintf(self->warning, sizeof self->warning, "%s", text);
    }
}

static void open_stage(scene *self, rp_track *track)
{
    rp_loop_options options = RP_LOOP_OPTIONS_INIT;

    options.track = track;
    options.log = count_warnings;
    options.log_user = self;
    stage_open(&self->on, stage_backend(), &options);
    self->hold = lifeline_open();
    self->ready = lifeline_open();
    self->fds[0] = (rp_fd){.parent = self->hold.read, .child = 3};
    self->fds[1] = (rp_fd){.parent = self->ready.write, .child = 4};
}

static void close_stage(scene *self)
{
    lifeline_close(&self->hold);
    lifeline_close(&self->ready);
    stage_close(&self->on);
}

static bool ignore_row(const rp_process_info *info, void *user)
{
    (void)info;
    (void)user;
    return true;
}

static int count_rows(rp_track *track)
{
    return rp_track_list(track, ignore_row, NULL);
}

static void spawn(scene *self, actor *one, const char *const *argv)
{
    rp_command command = stage_command(argv);

    command.fds = self->fds;
    command.fd_count = 2;
    actor_spawn(&self->on, one, &command, 0);
    stage_run_until(&self->on, &one->counts[ACTOR_STARTED], 1);
}

static void end_all(scene *self)
{
    lifeline_close(&self->hold);
    stage_run(&self->on);
}

/* The track's thread opens its database with the first row: before anybody counts what is open. */
static void warm(scene *self)
{
    rp_loop_options options = RP_LOOP_OPTIONS_INIT;
    rp_command command = stage_command(CHILD("cat"));
    rp_process *process = NULL;
    rp_loop *loop = NULL;

    options.track = self->track;
    cr_assert_eq(rp_loop_open(&options, &loop), 0);
    command.in.kind = RP_STDIO_PIPE;
    cr_assert_eq(rp_spawn(loop, &command, NULL, NULL, &process), 0);
    while (rp_process_pid(process) == 0) {
        cr_assert_geq(rp_loop_run_once(loop, RP_SECOND), 0);
    }
    cr_assert_eq(count_rows(self->track), 1, "%s", rp_error_detail());
    cr_assert_eq(rp_close_stdin(process), 0);
    cr_assert_eq(rp_wait(process, 60 * RP_SECOND), 0);
    cr_assert_eq(rp_loop_close(loop), 0);
    cr_assert_eq(count_rows(self->track), 0);
}

static void scene_open(scene *self)
{
    make_folder(self);
    cr_assert_eq(rp_track_open(self->path, &self->track), 0);
    cr_assert_str_eq(rp_track_path(self->track), self->path);
    warm(self);
    open_stage(self, self->track);
}

static void scene_remove(scene *self)
{
    rp_track_close(self->track);
    cr_assert_eq(nftw(self->folder, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}

static void scene_close(scene *self)
{
    close_stage(self);
    scene_remove(self);
}

typedef struct rows {
    rp_process_info infos[ROWS_MAX];
    char commands[ROWS_MAX][128];
    char states[ROWS_MAX][16];
    char kinds[ROWS_MAX][16];
    char names[ROWS_MAX][32];
    char cwds[ROWS_MAX][64];
    char originators[ROWS_MAX][64];
    int count;
} rows;

static bool note(const rp_process_info *info, void *user)
{
    rows *all = user;
    const int i = all->count++;

    cr_assert_lt(i, ROWS_MAX);
    all->infos[i] = *info;
    (void)snprintf(all->commands[i], 128, "%s", info->command);
    (void)snprintf(all->states[i], 16, "%s", info->state);
    (void)snprintf(all->kinds[i], 16, "%s", info->kind);
    (void)snprintf(all->names[i], 32, "%s", info->name);
    (void)snprintf(all->cwds[i], 64, "%s", info->cwd);
    (void)snprintf(all->originators[i], 64, "%s", info->originator);
    return true;
}

static rows *list(rp_track *track)
{
    static rows all;

    memset(&all, 0, sizeof all);
    cr_assert_eq(rp_track_list(track, note, &all), all.count, "%s", rp_error_detail());
    return &all;
}

static bool note_record(const rpi_track_record *record, void *user)
{
    rows *all = user;

    (void)record;
    all->count++;
    return true;
}

/* Whatever it does, it is there, and it is the one of its row. */
static void check_alive(const char *state)
{
    cr_assert(strcmp(state, "gone") != 0 && strcmp(state, "reused") != 0, "%s", state);
}

/* ---- living children ----------------------------------------------------------------------- */

Test(track, keeps_a_row_for_a_child_while_it_lives, .timeout = 120)
{
    rp_command command =
        stage_command(CHILD("write", "4", "r", "wait", "3", "echo", "\xff", "exit", "0"));
    rp_identity identity;
    char originator[64];
    actor one = {0};
    const rows *all;
    scene it;

    scene_open(&it);
    command.fds = it.fds;
    command.fd_count = 2;
    command.cwd = "/tmp";
    command.originator = "tool";
    actor_spawn(&it.on, &one, &command, 0);
    stage_run_until(&it.on, &one.counts[ACTOR_STARTED], 1);
    lifeline_await_byte(&it.ready);
    cr_assert_eq(rp_process_identity(one.process, &identity), 0);
    all = list(it.track);
    cr_assert_eq(all->count, 1);
    cr_assert_eq(all->infos[0].id.pid, identity.pid);
    cr_assert_eq(all->infos[0].id.unique, identity.unique);
    cr_assert_leq(all->infos[0].id.start_time_ms, identity.start_time_ms + 20);
    cr_assert_geq(all->infos[0].id.start_time_ms + 20, identity.start_time_ms);
    cr_assert_str_eq(all->kinds[0], "subprocess");
    cr_assert_str_eq(all->cwds[0], "/tmp");
    check_alive(all->states[0]);
    cr_assert_not_null(strstr(RP_TEST_CHILD, all->names[0]));
    cr_assert_not_null(strstr(all->commands[0], " write 4 r wait 3 echo \xef\xbf\xbd exit 0"));
    (void)snprintf(originator, sizeof originator, "tool:%d", (int)getpid());
    cr_assert_str_eq(all->originators[0], originator);
    cr_assert_eq(all->infos[0].parent_pid, getpid());
    cr_assert(all->infos[0].parent_alive);
    end_all(&it);
    cr_assert_eq(count_rows(it.track), 0);
    actor_free(&one);
    cr_assert_eq(it.warnings, 0, "%s", it.warning);
    cr_assert_eq(stage_stats(&it.on).track_lost, 0);
    scene_close(&it);
}

Test(track, tells_terminals_and_shells_apart, .timeout = 120)
{
    rp_command command = {.size = sizeof command, .shell = "read line; exit 3"};
    actor one = {0};
    scene it;

    scene_open(&it);
    command.transport = RP_PTY;
    actor_spawn(&it.on, &one, &command, 0);
    stage_run_until(&it.on, &one.counts[ACTOR_STARTED], 1);
    cr_assert_eq(count_rows(it.track), 1);
    cr_assert_str_eq(list(it.track)->kinds[0], "pty");
    cr_assert_str_eq(list(it.track)->commands[0], "read line; exit 3");
    cr_assert_eq(rp_write(one.process, (rp_view){"\n", 1}, NULL, NULL), 0);
    stage_run(&it.on);
    cr_assert_eq(count_rows(it.track), 0);
    actor_free(&one);
    scene_close(&it);
}

Test(track, follows_many_children_that_come_and_go, .timeout = 300)
{
    static actor these[100];
    scene it;

    scene_open(&it);
    for (int i = 0; i < 100; i++) {
        if (i % 2 == 0) {
            spawn(&it, &these[i], CHILD("wait", "3"));
        } else {
            spawn(&it, &these[i], CHILD("exit", "0"));
            stage_run_until(&it.on, &these[i].counts[ACTOR_DONE], 1);
        }
    }
    cr_assert_eq(count_rows(it.track), 50);
    end_all(&it);
    cr_assert_eq(count_rows(it.track), 0);
    cr_assert_eq(it.warnings, 0);
    for (int i = 0; i < 100; i++) {
        actor_free(&these[i]);
    }
    scene_close(&it);
}

typedef struct runner {
    pthread_t thread;
    rp_track *track;
    int failed;
} runner;

static void *run_children(void *argument)
{
    runner *self = argument;
    rp_loop_options options = RP_LOOP_OPTIONS_INIT;
    rp_loop *loop = NULL;

    options.track = self->track;
    self->failed = rp_loop_open(&options, &loop);
    for (int i = 0; self->failed == 0 && i < 40; i++) {
        rp_command command = stage_command(CHILD("echo", "text"));
        rp_result result;

        self->failed = rp_run_on(loop, &command, &result);
        if (self->failed == 0) {
            self->failed = result.exit.code;
            rp_result_free(&result);
        }
    }
    return rp_loop_close(loop) == 0 ? NULL : self;
}

Test(track, serves_the_loops_of_several_threads, .timeout = 300)
{
    runner runners[4];
    scene it;

    scene_open(&it);
    for (int i = 0; i < 4; i++) {
        runners[i] = (runner){.track = it.track};
        cr_assert_eq(pthread_create(&runners[i].thread, NULL, run_children, &runners[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        void *result;

        cr_assert_geq(count_rows(it.track), 0);
        cr_assert_eq(pthread_join(runners[i].thread, &result), 0);
        cr_assert_null(result);
        cr_assert_eq(runners[i].failed, 0);
    }
    cr_assert_eq(count_rows(it.track), 0);
    scene_close(&it);
}

/* As before Linux 6.9, without a pidfd: the start is read, unless somebody is about to reap it. */
Test(track, goes_by_the_start_where_a_process_has_no_id_of_its_own, .timeout = 120)
{
    const rp_command command = stage_command(CHILD("pause"));
    rpi_track_store *store = NULL;
    rpi_track_row *row;
    const rows *all;
    rows none = {.count = 0};
    scene it;

    scene_open(&it);
    row = rpi_track_row_make(it.track, &command);
    rpi_track_register(row, getpid(), -1, rp_now_ns());
    all = list(it.track);
    cr_assert_eq(all->count, 1);
    cr_assert_eq(all->infos[0].id.unique, 0);
    check_alive(all->states[0]);
    rpi_track_unregister(row);
    cr_assert_eq(count_rows(it.track), 0);

    row = rpi_track_row_make(it.track, &command);
    rpi_track_set_ending(row, true);
    rpi_track_register(row, getpid(), -1, rp_now_ns());
    rpi_track_flush(it.track, 100 * RP_MILLISECOND);
    cr_assert_eq(rpi_track_store_open(it.path, 5000, false, &store), 0);
    cr_assert_eq(rpi_track_store_each(store, note_record, &none), 0);
    rpi_track_store_close(store);
    cr_assert_eq(none.count, 0, "it may be another by now");
    rpi_track_set_ending(row, false);
    cr_assert_eq(count_rows(it.track), 1, "it was not");
    rpi_track_let_go(row);
    cr_assert_eq(count_rows(it.track), 1, "it lives on");
    scene_close(&it);
}

/* ---- what is left ---------------------------------------------------------------------------- */

/* Leaves a child behind, as a host that is killed does: its row, and it, go on. */
static int64_t leave_one(scene *self, lifeline *hold, lifeline *ready)
{
    rp_command command = stage_command(CHILD("fork", "setsid", "write", "4", "a", "wait", "3",
                                             "end", "write", "4", "b", "wait", "3"));
    const rp_fd fds[] = {{.parent = hold->read, .child = 3}, {.parent = ready->write, .child = 4}};
    rp_loop_options options = RP_LOOP_OPTIONS_INIT;
    rp_process *process = NULL;
    rp_loop *loop = NULL;
    int64_t pid;

    options.track = self->track;
    command.fds = fds;
    command.fd_count = 2;
    command.on_close = RP_ON_CLOSE_DETACH;
    cr_assert_eq(rp_loop_open(&options, &loop), 0);
    cr_assert_eq(rp_spawn(loop, &command, NULL, NULL, &process), 0);
    while (rp_process_pid(process) == 0) {
        cr_assert_geq(rp_loop_run_once(loop, RP_SECOND), 0);
    }
    pid = rp_process_pid(process);
    lifeline_await_byte(ready);
    lifeline_await_byte(ready);
    cr_assert_eq(rp_loop_close(loop), 0);
    return pid;
}

Test(track, cleans_up_what_a_bad_run_left, .timeout = 120)
{
    lifeline hold;
    lifeline ready;
    rows killed = {.count = 0};
    int64_t pid;
    scene it;

    scene_open(&it);
    hold = lifeline_open();
    ready = lifeline_open();
    pid = leave_one(&it, &hold, &ready);
    cr_assert_eq(count_rows(it.track), 1);
    cr_assert_eq(rp_track_cleanup(it.track, note, &killed), 1);
    cr_assert_eq(killed.count, 1);
    cr_assert_eq(killed.infos[0].id.pid, pid);
    cr_assert_str_eq(killed.states[0], "dead");
    lifeline_await_end(&ready); /* the whole tree, with who had a session of its own */
    cr_assert_eq(count_rows(it.track), 0);
    cr_assert_eq(rp_track_cleanup(it.track, NULL, NULL), 0);
    (void)waitpid((pid_t)pid, NULL, 0); /* it was let go: nobody else does */
    lifeline_close(&hold);
    scene_close(&it);
}

/* A row as our own thread writes it, but changed by who calls. */
static rpi_track_record record_of(int64_t pid)
{
    rpi_track_record record = {.kind = "subprocess",
                               .command = "some thing",
                               .cwd = "",
                               .originator = "",
                               .containment = "contained"};

    cr_assert_eq(rpi_identity_of(pid, &record.id), 0);
    record.created_at_ms = rpi_identity_wall_ms(record.id.start_ticks);
    record.registered_at = (double)record.created_at_ms / 1000.0 + 0.1;
    return record;
}

static void put(const scene *it, const rpi_track_record *record)
{
    rpi_track_store *store = NULL;

    cr_assert_eq(rpi_track_store_open(it->path, 5000, true, &store), 0);
    cr_assert_eq(rpi_track_store_begin(store), 0);
    cr_assert_eq(rpi_track_store_put(store, record), 0);
    cr_assert_eq(rpi_track_store_commit(store), 0);
    rpi_track_store_close(store);
}

/* The child still answers. */
static void check_lives(scene *it)
{
    lifeline_tell(&it->hold);
    lifeline_await_byte(&it->ready);
}

#define ANSWER "wait", "3", "write", "4", "r"

static const char *const *answering(void)
{
    static const char *const argv[] = {RP_TEST_CHILD, "write", "4",    "r",    ANSWER,
                                       ANSWER,        ANSWER,  ANSWER, ANSWER, ANSWER,
                                       "wait",        "3",     NULL};

    return argv;
}

/* A scene whose children are not tracked: what is in the database is what the test puts there. */
static void bare_open(scene *self)
{
    make_folder(self);
    cr_assert_eq(rp_track_open(self->path, &self->track), 0);
    open_stage(self, NULL);
}

static int64_t bare_spawn(scene *self, actor *one)
{
    spawn(self, one, answering());
    lifeline_await_byte(&self->ready);
    return rp_process_pid(one->process);
}

Test(track, only_drops_rows_whose_process_is_gone_or_another, .timeout = 120)
{
    char boot[RPI_BOOT_SIZE];
    rpi_track_record record;
    actor one = {0};
    int64_t pid;
    scene it;

    bare_open(&it);
    pid = bare_spawn(&it, &one);
    rpi_identity_boot(boot);
    for (int i = 0; i < 4; i++) {
        record = record_of(pid);
        record.boot = boot;
        if (i == 0) {
            record.id.start_ticks++; /* began at another moment */
        } else if (i == 1) {
            record.boot = "of another boot";
        } else if (i == 2 && record.id.unique != 0) {
            record.id.unique++; /* in the same moment, but another */
        } else if (i == 3) {
            record.id.pid = 4194305; /* nobody's */
        } else {
            continue;
        }
        put(&it, &record);
        cr_assert_eq(count_rows(it.track), 1);
        cr_assert_str_eq(list(it.track)->states[0], i == 3 ? "gone" : "reused");
        cr_assert_eq(rp_track_cleanup(it.track, note, NULL), 0);
        cr_assert_eq(count_rows(it.track), 0, "its row is dropped");
        check_lives(&it);
    }
    record = record_of(pid);
    record.boot = boot;
    put(&it, &record);
    check_alive(list(it.track)->states[0]);
    cr_assert_eq(rp_track_cleanup(it.track, NULL, NULL), 1, "and this one is it");
    stage_run_until(&it.on, &one.counts[ACTOR_DONE], 1);
    actor_free(&one);
    scene_close(&it);
}

Test(track, keeps_the_row_of_a_tree_that_the_caller_is_in, .timeout = 120)
{
    char boot[RPI_BOOT_SIZE];
    rpi_track_record record;
    scene it;

    bare_open(&it);
    rpi_identity_boot(boot);
    record = record_of(getpid());
    record.boot = boot;
    put(&it, &record);
    cr_assert_eq(rp_track_cleanup(it.track, NULL, NULL), 0);
    cr_assert_eq(count_rows(it.track), 1);
    scene_close(&it);
}

/* ---- databases of other versions
 * ----------------------------------------------------------------- */

static void make_database(const scene *it, const char *text)
{
    sqlite3 *database = NULL;

    cr_assert_eq(sqlite3_open(it->path, &database), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(database, text, NULL, NULL, NULL), SQLITE_OK, "%s",
                 sqlite3_errmsg(database));
    cr_assert_eq(sqlite3_close(database), SQLITE_OK);
}

static const char table_of_4_3_0[] =
    "PRAGMA journal_mode = WAL;"
    "CREATE TABLE tracked_processes (pid INTEGER, created_at_ms INTEGER, kind TEXT, command TEXT,"
    " cwd TEXT DEFAULT '', originator TEXT DEFAULT '', containment TEXT DEFAULT 'contained',"
    " registered_at REAL, PRIMARY KEY (pid, created_at_ms));";

static const char table_of_the_first[] =
    "PRAGMA journal_mode = WAL;"
    "CREATE TABLE tracked_processes (pid INTEGER PRIMARY KEY, created_at REAL NOT NULL,"
    " kind TEXT NOT NULL, command TEXT NOT NULL, cwd TEXT);";

static void add_row_of_4_3_0(const scene *it, int64_t pid, int64_t created_at_ms, double registered)
{
    char text[512];

    (void)snprintf(text, sizeof text,
                   "INSERT INTO tracked_processes VALUES (%" PRId64 ", %" PRId64
                   ", 'pty', 'make all', '/src', 'T:1', 'detached', %.3f);",
                   pid, created_at_ms, registered);
    make_database(it, text);
}

Test(track, reads_and_cleans_a_database_of_4_3_0, .timeout = 120)
{
    rpi_track_record record;
    actor one = {0};
    const rows *all;
    double now_s;
    scene it;
    int64_t start_ms;

    bare_open(&it);
    record = record_of(bare_spawn(&it, &one));
    start_ms = (int64_t)record.created_at_ms;
    now_s = (double)start_ms / 1000.0 + 0.5;
    make_database(&it, table_of_4_3_0);
    add_row_of_4_3_0(&it, 4194305, 1500, 2);
    add_row_of_4_3_0(&it, record.id.pid, start_ms / 1000 * 1000, now_s); /* whole seconds */
    all = list(it.track);
    cr_assert_eq(all->count, 2);
    cr_assert_str_eq(all->states[0], "gone");
    cr_assert_eq(all->infos[0].id.start_time_ms, 1500);
    check_alive(all->states[1]);
    cr_assert_str_eq(all->kinds[1], "pty");
    cr_assert_str_eq(all->commands[1], "make all");
    cr_assert_str_eq(all->cwds[1], "/src");
    cr_assert_str_eq(all->originators[1], "T:1");
    cr_assert_eq(rp_track_cleanup(it.track, NULL, NULL), 1);
    stage_run_until(&it.on, &one.counts[ACTOR_DONE], 1);
    cr_assert_eq(one.exit.signal, SIGKILL);
    cr_assert_eq(count_rows(it.track), 0);
    actor_free(&one);
    scene_close(&it);
}

Test(track, takes_what_began_after_the_registration_for_another, .timeout = 120)
{
    rpi_track_record record;
    actor one = {0};
    scene it;
    int64_t start_ms;

    bare_open(&it);
    record = record_of(bare_spawn(&it, &one));
    start_ms = (int64_t)record.created_at_ms;
    make_database(&it, table_of_4_3_0);
    add_row_of_4_3_0(&it, record.id.pid, start_ms - 900, (double)(start_ms - 100) / 1000.0);
    cr_assert_str_eq(list(it.track)->states[0], "reused");
    cr_assert_eq(rp_track_cleanup(it.track, NULL, NULL), 0);
    check_lives(&it);
    add_row_of_4_3_0(&it, record.id.pid, start_ms - 2100, (double)(start_ms + 100) / 1000.0);
    cr_assert_eq(rp_track_cleanup(it.track, NULL, NULL), 0, "or too early");
    check_lives(&it);
    cr_assert_eq(count_rows(it.track), 0);
    end_all(&it);
    actor_free(&one);
    scene_close(&it);
}

Test(track, turns_a_database_of_the_first_versions_into_todays, .timeout = 120)
{
    char text[512];
    rpi_track_record record;
    actor one = {0};
    const rows *all;
    scene it;

    bare_open(&it);
    record = record_of(bare_spawn(&it, &one));
    make_database(&it, table_of_the_first);
    (void)snprintf(text, sizeof text,
                   "INSERT INTO tracked_processes VALUES (4194305, 1.25, 'subprocess', 'a', NULL);"
                   "INSERT INTO tracked_processes VALUES (%" PRId64 ", %.3f, 'pty', 'b', '/x');",
                   record.id.pid, (double)record.created_at_ms / 1000.0 - 0.4);
    make_database(&it, text);
    all = list(it.track);
    cr_assert_eq(all->count, 2);
    cr_assert_eq(all->infos[0].id.start_time_ms, 1250);
    cr_assert_str_eq(all->cwds[0], "");
    cr_assert_str_eq(all->states[0], "gone");
    cr_assert_str_eq(all->cwds[1], "/x");
    check_alive(all->states[1]);
    make_database(&it, "SELECT created_at_ms, containment, registered_at FROM tracked_processes;");
    cr_assert_eq(rp_track_cleanup(it.track, NULL, NULL), 1);
    stage_run_until(&it.on, &one.counts[ACTOR_DONE], 1);
    cr_assert_eq(count_rows(it.track), 0);
    actor_free(&one);
    scene_close(&it);
}

Test(track, leaves_a_table_of_another_shape_alone, .timeout = 60)
{
    scene it;

    bare_open(&it);
    make_database(&it, "CREATE TABLE tracked_processes (name TEXT);");
    cr_assert_eq(count_rows(it.track), -EBADMSG);
    cr_assert_not_null(strstr(rp_error_detail(), "shape"));
    make_database(&it, "INSERT INTO tracked_processes VALUES ('still mine');");
    scene_close(&it);
}

/* ---- databases that cannot be used
 * ----------------------------------------------------------------- */

Test(track, waits_for_a_database_that_another_program_has_locked, .timeout = 120)
{
    static actor these[20];
    sqlite3 *other = NULL;
    scene it;

    make_folder(&it);
    cr_assert_eq(rp_track_open(it.path, &it.track), 0);
    warm(&it);
    cr_assert_eq(sqlite3_open(it.path, &other), SQLITE_OK);
    /* What SQLite opens late, and what it keeps for the next, as locks are a process's. */
    cr_assert_eq(sqlite3_exec(other, "DELETE FROM tracked_processes", NULL, NULL, NULL), SQLITE_OK);
    cr_assert_eq(count_rows(it.track), 0);
    open_stage(&it, it.track);
    cr_assert_eq(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    for (int i = 0; i < 20; i++) {
        spawn(&it, &these[i], CHILD("wait", "3"));
    }
    stage_run_until(&it.on, &it.warnings, 1); /* it is told, and the children run */
    cr_assert_not_null(strstr(it.warning, "locked"), "%s", it.warning);
    cr_assert_eq(sqlite3_exec(other, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
    cr_assert_eq(count_rows(it.track), 20);
    cr_assert_eq(stage_stats(&it.on).track_lost, 0);
    end_all(&it);
    cr_assert_eq(count_rows(it.track), 0);
    cr_assert_eq(it.warnings, 1, "once");
    for (int i = 0; i < 20; i++) {
        actor_free(&these[i]);
    }
    close_stage(&it);
    cr_assert_eq(sqlite3_close(other), SQLITE_OK);
    scene_remove(&it);
}

static void write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    cr_assert_geq(fd, 0);
    cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    cr_assert_eq(close(fd), 0);
}

/* Not by root, whom nothing is read only for. */
Test(track, goes_on_where_it_may_only_read, .timeout = 120)
{
    actor one = {0};
    scene it;

    if (geteuid() == 0) {
        stage_need_for_nobody(RP_TEST_CHILD);
    }
    make_folder(&it);
    cr_assert_eq(chmod(it.folder, 0777), 0);
    if (geteuid() == 0) {
        cr_assert_eq(setgid(NOBODY), 0);
        cr_assert_eq(setuid(NOBODY), 0);
        cr_assert_eq(prctl(PR_SET_DUMPABLE, 1), 0); /* its own /proc is readable again */
    }
    cr_assert_eq(rp_track_open(it.path, &it.track), 0);
    warm(&it);
    rp_track_close(it.track);
    cr_assert_eq(chmod(it.path, 0444), 0);
    cr_assert_eq(rp_track_open(it.path, &it.track), 0);
    open_stage(&it, it.track);
    spawn(&it, &one, CHILD("wait", "3"));
    stage_run_until(&it.on, &it.warnings, 1);
    cr_assert_not_null(strstr(it.warning, it.path), "%s", it.warning);
    cr_assert_eq(stage_stats(&it.on).track_lost, 1, "%s", it.warning);
    cr_assert_eq(one.counts[ACTOR_DONE], 0);
    end_all(&it);
    cr_assert_eq(one.exit.code, 0);
    cr_assert_eq(it.warnings, 1, "once");
    actor_free(&one);
    close_stage(&it);
    rp_track_close(it.track);
    (void)nftw(it.folder, remove_one, 8, FTW_DEPTH | FTW_PHYS); /* the folder may be root's */
}

Test(track, goes_on_without_a_database_that_is_none, .timeout = 120)
{
    actor one = {0};
    actor two = {0};
    scene it;

    make_folder(&it);
    cr_assert_eq(rp_track_open(it.path, &it.track), 0);
    write_file(it.path, "this is a text of more than a few bytes, and no database at all\n");
    open_stage(&it, it.track);
    spawn(&it, &one, CHILD("wait", "3"));
    stage_run_until(&it.on, &it.warnings, 1);
    cr_assert_not_null(strstr(it.warning, "database"), "%s", it.warning);
    cr_assert_eq(stage_stats(&it.on).track_lost, 1);
    spawn(&it, &two, CHILD("wait", "3"));
    cr_assert_eq(count_rows(it.track), -EBADMSG);
    end_all(&it);
    cr_assert_eq(one.exit.code, 0);
    cr_assert_eq(it.warnings, 1, "once");
    actor_free(&one);
    actor_free(&two);
    scene_close(&it);
}

Test(track, waits_where_there_is_no_room, .timeout = 120)
{
    struct rlimit limit;
    struct rlimit none;
    actor one = {0};
    scene it;

    make_folder(&it);
    cr_assert_eq(rp_track_open(it.path, &it.track), 0);
    cr_assert_neq(sigaction(SIGXFSZ, &(struct sigaction){.sa_handler = SIG_IGN}, NULL), -1);
    cr_assert_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
    none = limit;
    none.rlim_cur = 100; /* bytes of a file: as if the disk were full */
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &none), 0);
    open_stage(&it, it.track);
    spawn(&it, &one, CHILD("wait", "3"));
    stage_run_until(&it.on, &it.warnings, 1);
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    cr_assert_eq(count_rows(it.track), 1, "%s", rp_error_detail());
    end_all(&it);
    cr_assert_eq(count_rows(it.track), 0);
    cr_assert_eq(stage_stats(&it.on).track_lost, 0);
    actor_free(&one);
    cr_assert_eq(rp_loop_close(it.on.loop), 0); /* what is open differs: the database is new */
    lifeline_close(&it.ready);
    scene_remove(&it);
}

Test(track, says_where_there_can_be_no_file, .timeout = 60)
{
    char path[PATH_SIZE + 64];
    rp_track *track = NULL;
    scene it;

    make_folder(&it);
    cr_assert_eq(rp_track_open("", &track), RP_EINVAL);
    cr_assert_eq(rp_track_open(it.folder, &track), -EISDIR);
    (void)snprintf(path, sizeof path, "%s/file", it.folder);
    write_file(path, "");
    (void)snprintf(path, sizeof path, "%s/file/pids.sqlite3", it.folder);
    cr_assert_eq(rp_track_open(path, &track), -ENOTDIR);
    cr_assert_not_null(strstr(rp_error_detail(), "/file"));
    cr_assert_eq(rp_track_open("/proc/none/pids.sqlite3", &track), RP_ENOENT);
    cr_assert_null(track);
    rp_track_close(NULL);
    cr_assert_eq(nftw(it.folder, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}

/* ---- where it is
 * ---------------------------------------------------------------------------------- */

static void check_default(const char *expected)
{
    rp_track *track = NULL;

    cr_assert_eq(rp_track_open(NULL, &track), 0, "%s", rp_error_detail());
    cr_assert_str_eq(rp_track_path(track), expected);
    cr_assert_eq(count_rows(track), 0, "there is no file yet");
    rp_track_close(track);
    cr_assert_eq(access(expected, F_OK), -1, "and none is made without a row");
}

Test(track, is_where_the_environment_says, .timeout = 60)
{
    char value[PATH_SIZE + 64];
    char expected[PATH_SIZE + 128];
    struct stat status;
    scene it;

    make_folder(&it);
    (void)unsetenv("RUNNING_PROCESS_PID_DB");
    (void)unsetenv("XDG_STATE_HOME");
    (void)setenv("HOME", it.folder, 1);
    (void)snprintf(expected, sizeof expected,
                   "%s/.local/state/running-process/tracked-pids.sqlite3", it.folder);
    check_default(expected);
    (void)setenv("XDG_STATE_HOME", "relative", 1);
    check_default(expected);
    (void)snprintf(value, sizeof value, "%s/xdg", it.folder);
    (void)setenv("XDG_STATE_HOME", value, 1);
    (void)snprintf(expected, sizeof expected, "%s/running-process/tracked-pids.sqlite3", value);
    (void)setenv("RUNNING_PROCESS_PID_DB", " \t", 1);
    check_default(expected);
    cr_assert_eq(stat(value, &status), 0);
    cr_assert_eq(status.st_mode & 0777, 0700, "the user's own");
    (void)snprintf(value, sizeof value, "  %s/db.sqlite3 ", it.folder);
    (void)snprintf(expected, sizeof expected, "%s/db.sqlite3", it.folder);
    (void)setenv("RUNNING_PROCESS_PID_DB", value, 1);
    check_default(expected);
    cr_assert_eq(nftw(it.folder, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}

Test(track, keeps_its_file_from_others, .timeout = 60)
{
    struct stat status;
    scene it;

    scene_open(&it);
    cr_assert_eq(stat(it.path, &status), 0);
    cr_assert_eq(status.st_mode & 0777, 0600);
    scene_close(&it);
}

/* ---- forks
 * ------------------------------------------------------------------------------------------ */

Test(track, is_left_alone_by_a_forked_child, .timeout = 120)
{
    actor one = {0};
    int status = 0;
    pid_t pid;
    scene it;

    scene_open(&it);
    spawn(&it, &one, CHILD("wait", "3"));
    cr_assert_eq(count_rows(it.track), 1);
    pid = fork();
    if (pid == 0) {
        const bool refused = rp_track_list(it.track, ignore_row, NULL) == RP_EPERM &&
                             rp_track_cleanup(it.track, NULL, NULL) == RP_EPERM;

        (void)rp_loop_close(it.on.loop);
        rp_track_close(it.track);
        _exit(refused ? 7 : 1);
    }
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 7);
    cr_assert_eq(count_rows(it.track), 1);
    end_all(&it);
    cr_assert_eq(count_rows(it.track), 0);
    actor_free(&one);
    scene_close(&it);
}

/* ---- faults
 * ----------------------------------------------------------------------------------------- */

Test(track, opens_or_says_why_not, .timeout = 120)
{
    static const char *const entries[] = {"mkdir", "stat", "thread_start", "open", "read"};
    scene it;

    make_folder(&it);
    for (size_t i = 0; i < sizeof entries / sizeof *entries; i++) {
        for (unsigned int n = 1; n <= 5; n++) {
            const stage_holdings before = stage_count();
            rp_track *track = NULL;
            int r;

            rpi_fault_os_start();
            rpi_fault_os_fail(entries[i], n, ENOMEM);
            r = rp_track_open(it.path, &track);
            cr_assert(r == 0 || r == RP_ENOMEM, "%s, %u: %d", entries[i], n, r);
            cr_assert_eq(r == 0, track != NULL);
            rp_track_close(track);
            rpi_fault_os_stop(); /* its thread has ended */
            stage_check(&before);
        }
    }
    cr_assert_eq(nftw(it.folder, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}

Test(track, survives_calls_that_fail_once, .timeout = 120)
{
    static const char *const entries[] = {"open", "read", "close", "fstat", "stat", "pidfd_open"};
    scene it;

    rpi_fault_os_start(); /* before there is a thread */
    scene_open(&it);
    for (size_t i = 0; i < sizeof entries / sizeof *entries; i++) {
        for (unsigned int n = 1; n <= 4; n++) {
            actor one = {0};

            spawn(&it, &one, answering());
            lifeline_await_byte(&it.ready);
            rpi_fault_os_fail(entries[i], n, EMFILE);
            (void)count_rows(it.track);
            rpi_fault_os_fail(entries[i], n, 0);
            cr_assert_eq(count_rows(it.track), 1, "%s, %u", entries[i], n);
            cr_assert_eq(rp_kill(one.process), 0);
            stage_run_until(&it.on, &one.counts[ACTOR_DONE], 1);
            cr_assert_eq(count_rows(it.track), 0);
            actor_free(&one);
        }
    }
    scene_close(&it);
}
